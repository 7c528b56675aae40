//! Redaction: no sink gets a credential.
//!
//! Rules see events as they are. Before a document is written, what is known as a credential is replaced by a mark with a
//! salted hash, `[redacted:0123456789abcdef]`: equal secrets have equal marks, so that they still join, and nobody without
//! the salt can try guesses. What counts as one: values of options and variables with telling names, userinfo and
//! parameters of URLs, header fields, tokens of known form (`patterns`, `words`), and what an administrator's patterns
//! say. A secret that has been told by its place in one field is replaced wherever else free text of the document has it.
//!
//! It goes by form. A secret that looks like any other word, in a place that nothing gives away, stays. And the fields that
//! say what something is, an executable or a destination, lose nothing but tokens of known form: else a program that calls
//! its own path a password would have it blotted out.

mod patterns;
pub mod salt;
#[cfg(test)]
mod tests;
mod words;

use std::ops::Range;
use std::sync::LazyLock;

use eql::Scalar;
use rustc_hash::FxHashSet;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use self::patterns::Patterns;
use self::salt::Salt;
use self::words::is_secret_name;
use crate::event::{Event, Process};
use crate::process_table::cut;
use crate::schema::FIELDS;

pub use self::patterns::{MAX_PATTERN, compile};

/// The shortest secret that is looked for beyond its own place, in bytes: a shorter one would be found in words that have
/// nothing to do with it.
const MIN_ELSEWHERE: usize = 6;

/// How many secrets of one document are looked for beyond their own places.
const MAX_SECRETS: usize = 256;

/// What stands before and after the hash in a mark.
const MARK: (&str, &str) = ("[redacted:", "]");

/// Objects of an alert that its rule has written, and no event.
const OWN: [&str; 2] = ["rule", "threat"];

/// The fields of a process that hold whatever it was given. All others of the sensor's fields say what something is.
const FREE: [&str; 3] = ["args", "command_line", "env_vars"];

/// Replaces credentials in documents.
#[derive(Debug)]
pub struct Redactor {
    salt: Salt,
    patterns: Patterns,
    command_line: usize,
}

/// The secrets of a document, longest first once they are in use.
#[derive(Debug, Default)]
pub struct Secrets(Vec<String>);

impl Redactor {
    /// Makes a redactor. `more` are patterns of an administrator, those that do not compile left out; command lines are
    /// cut to `command_line` bytes.
    pub fn new(salt: Salt, more: &[String], command_line: usize) -> Self {
        let more = more.iter().filter_map(|pattern| compile(pattern).ok()).collect();
        Redactor { salt, patterns: Patterns::new(more), command_line }
    }

    /// Replaces what is secret in a document, and cuts its command lines, with `command_line_truncated` beside those that
    /// are cut: under `Ext` in processes, as Elastic has it, in a process tree in the node itself. `known` are secrets of
    /// processes of which the document holds no more than the command line.
    pub fn document(&self, document: &mut Map<String, Json>, mut known: Secrets) {
        let is_alert = document.get("event").is_some_and(|event| event["kind"] == "alert");
        let is_own = |key: &str| is_alert && OWN.contains(&key);
        let mut anything = !known.0.is_empty();
        for (key, value) in document.iter().filter(|(key, _)| !is_own(key)) {
            anything |= self.collect(key, value, &mut known);
        }
        // So it is with most documents.
        if !anything {
            return;
        }
        // The longest first: one may be a part of another.
        known.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for (key, value) in document.iter_mut().filter(|(key, _)| !is_own(key)) {
            self.value(key, value, &known);
        }
    }

    /// Returns text with what is secret in it replaced.
    pub fn text(&self, text: &str) -> String {
        self.replaced("", text, Vec::new(), &Secrets::default()).unwrap_or_else(|| text.to_owned())
    }

    /// Gathers secrets, those of arguments and environments by their places. Returns whether there is anything to do.
    fn collect(&self, key: &str, value: &Json, secrets: &mut Secrets) -> bool {
        match value {
            Json::String(text) if identifies(key) => !self.patterns.find_by_form(text).is_empty(),
            Json::String(text) => {
                let found = self.patterns.find(text);
                let is_long = last(key) == "command_line" && text.len() > self.command_line;
                let anything = is_long || !found.is_empty();
                found.into_iter().for_each(|range| secrets.add(&text[range]));
                anything
            }
            Json::Array(items) => {
                let mut anything = false;
                if is_list(key) {
                    let texts: Vec<&str> =
                        items.iter().map(|item| item.as_str().unwrap_or_default()).collect();
                    for (index, range) in places(key, &texts) {
                        anything = true;
                        secrets.add(&texts[index][range]);
                    }
                }
                items.iter().fold(anything, |anything, item| anything | self.collect(key, item, secrets))
            }
            Json::Object(object) => object
                .iter()
                .fold(false, |anything, (key, value)| anything | self.collect(key, value, secrets)),
            _ => false,
        }
    }

    fn value(&self, key: &str, value: &mut Json, secrets: &Secrets) {
        match value {
            Json::String(text) => {
                if let Some(replaced) = self.replaced(key, text, Vec::new(), secrets) {
                    *text = replaced;
                }
            }
            Json::Array(items) => {
                let mut own: Vec<Vec<Range<usize>>> = vec![Vec::new(); items.len()];
                if is_list(key) {
                    let texts: Vec<&str> =
                        items.iter().map(|item| item.as_str().unwrap_or_default()).collect();
                    places(key, &texts).into_iter().for_each(|(index, range)| own[index].push(range));
                }
                for (item, own) in items.iter_mut().zip(own) {
                    match item {
                        Json::String(text) => {
                            if let Some(replaced) = self.replaced(key, text, own, secrets) {
                                *text = replaced;
                            }
                        }
                        item => self.value(key, item, secrets),
                    }
                }
            }
            Json::Object(object) => {
                object.iter_mut().for_each(|(key, value)| self.value(key, value, secrets));
                self.cut(object);
            }
            _ => {}
        }
    }

    /// Cuts an object's command line.
    fn cut(&self, object: &mut Map<String, Json>) {
        let Some(Json::String(line)) = object.get_mut("command_line") else { return };
        if line.len() <= self.command_line {
            return;
        }
        let mut length = cut(line, self.command_line).len();
        // Half a mark is no mark: where one would be cut, it goes whole.
        if let Some(mark) = marks(line).into_iter().find(|mark| mark.start < length && length < mark.end) {
            length = mark.start;
        }
        line.truncate(length);
        let is_node = object.contains_key("relation");
        let flags = match is_node {
            true => object,
            false => match object.entry("Ext").or_insert_with(|| Map::new().into()) {
                Json::Object(flags) => flags,
                _ => return,
            },
        };
        flags.insert("command_line_truncated".into(), true.into());
    }

    /// Returns the text of a field with marks in the place of secrets, `found` among them; `None` where there is none.
    fn replaced(
        &self,
        key: &str,
        text: &str,
        mut found: Vec<Range<usize>>,
        secrets: &Secrets,
    ) -> Option<String> {
        if identifies(key) {
            found.extend(self.patterns.find_by_form(text));
        } else {
            found.extend(self.patterns.find(text));
            for secret in &secrets.0 {
                found.extend(text.match_indices(secret.as_str()).map(|(at, secret)| at..at + secret.len()));
            }
        }
        let marks = marks(text);
        found.retain(|range| !range.is_empty() && !is_marked(&marks, range));
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut replaced = String::with_capacity(text.len());
        let mut done = 0;
        let mut ranges = found.into_iter().peekable();
        while let Some(mut range) = ranges.next() {
            while let Some(next) = ranges.next_if(|next| next.start < range.end) {
                range.end = range.end.max(next.end);
            }
            replaced.push_str(&text[done..range.start]);
            replaced.push_str(&self.mark(&text[range.clone()]));
            done = range.end;
        }
        replaced.push_str(&text[done..]);
        Some(replaced)
    }

    /// What stands for a secret.
    fn mark(&self, secret: &str) -> String {
        let hash = Sha256::new().chain_update(self.salt.bytes()).chain_update(secret).finalize();
        format!("{}{}{}", MARK.0, crate::digest::hexadecimal(&hash[..8]), MARK.1)
    }
}

impl Secrets {
    /// Gathers the secrets of a process's arguments and environment.
    pub fn of_process(&mut self, process: &Process) {
        for (key, list) in [("args", process.args()), ("env_vars", process.env_vars())] {
            let texts: Vec<&str> = list
                .iter()
                .map(|item| match item {
                    Scalar::Str(text) => &**text,
                    _ => "",
                })
                .collect();
            for (index, range) in places(key, &texts) {
                self.add(&texts[index][range]);
            }
        }
    }

    /// Gathers those of an event's processes: its own, the parent and the responsible one.
    pub fn of_event(&mut self, event: &Event) {
        for process in [event.process(), event.parent(), event.effective_parent()].into_iter().flatten() {
            self.of_process(process);
        }
    }

    fn add(&mut self, secret: &str) {
        let is_new = secret.len() >= MIN_ELSEWHERE && !self.0.iter().any(|own| own == secret);
        if is_new && self.0.len() < MAX_SECRETS && !secret.starts_with(MARK.0) {
            self.0.push(secret.to_owned());
        }
    }
}

/// Whether a field is a list in which places tell what is secret.
fn is_list(key: &str) -> bool {
    matches!(last(key), "args" | "env_vars")
}

/// The secrets of a list, by their places in it.
fn places(key: &str, texts: &[&str]) -> Vec<(usize, Range<usize>)> {
    if key.ends_with("env_vars") {
        // The whole of a variable's value, whatever is in it.
        let named = texts.iter().enumerate().filter_map(|(index, text)| {
            let (name, value) = text.split_once('=')?;
            (!value.is_empty() && is_secret_name(name)).then(|| (index, name.len() + 1..text.len()))
        });
        return named.collect();
    }
    patterns::in_arguments(texts)
}

/// Whether a field says what something is.
fn identifies(key: &str) -> bool {
    static NAMES: LazyLock<FxHashSet<&str>> = LazyLock::new(|| {
        let names = FIELDS.iter().map(|field| last(field.path));
        names.filter(|name| !FREE.contains(name)).collect()
    });
    NAMES.contains(last(key))
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Where marks stand in a text already, in order.
fn marks(text: &str) -> Vec<Range<usize>> {
    let place = |(at, _)| text[at..].find(MARK.1).map(|end| at..at + end + MARK.1.len());
    // Where one does not end, none after it does.
    text.match_indices(MARK.0).map_while(place).collect()
}

/// Whether a range lies in a mark: what has been redacted before is not redacted again.
fn is_marked(marks: &[Range<usize>], range: &Range<usize>) -> bool {
    let before = marks.partition_point(|mark| mark.start <= range.start);
    before.checked_sub(1).is_some_and(|at| range.end <= marks[at].end)
}
