//! An alert as a page of labelled rows.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

use super::text::{MAX_NAME, destination, get, host, severity, shorten, steps, summary, text};
use super::{Style, visible};
use crate::rule::{Rule, Severity};

/// How many generations of a process tree are drawn as steps; what is deeper stands on the last one.
const MAX_INDENT: usize = 8;

/// The most lines that one value takes where it is shown whole.
const MAX_LINES: usize = 12;

/// A page that grows line by line.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) style: Style,
    /// Whether a long value goes on in the next lines instead of being cut.
    pub(super) is_whole: bool,
}

/// How a part of a line stands out.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    Bold,
    Dim,
    Reverse,
    Red,
    Yellow,
    Cyan,
}

impl Colour {
    /// Returns the colour of a severity.
    pub(super) fn of(severity: Option<Severity>) -> Self {
        match severity {
            Some(Severity::Critical) => Colour::Reverse,
            Some(Severity::High) => Colour::Red,
            Some(Severity::Medium) | None => Colour::Yellow,
            Some(Severity::Low) => Colour::Cyan,
        }
    }
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        Page { text: String::new(), style, is_whole: false }
    }

    /// Returns the page, an empty line last.
    pub(super) fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }

    /// An alert in some twenty lines. What the document does not say is asked of the rule, where that is known.
    pub(super) fn alert(&mut self, document: &Map<String, Json>, rule: Option<&Rule>) {
        self.head(document);
        self.package(document);
        self.connection(document);
        self.loss(document);
        self.tree(document);
        self.matched(document);
        self.joined(document);
        for check in rule.and_then(|rule| rule.note.as_deref()).iter().flat_map(|note| steps(note)).take(3) {
            self.wrapped("check", &check);
        }
        self.identity(document);
    }

    /// What it is, when and where.
    pub(super) fn head(&mut self, document: &Map<String, Json>) {
        let severity = severity(document);
        let word = severity.map_or("ALERT".to_owned(), |severity| severity.text().to_uppercase());
        self.title(&word, Colour::of(severity), &text(get(document, "rule.name")));
        self.row("time", &text(document.get("@timestamp")));
        self.row("host", &host(document));
    }

    /// How the matched events belong together, and whether there may be more of them.
    pub(super) fn joined(&mut self, document: &Map<String, Json>) {
        // The loss is all that such an alert is about, and is told by itself.
        if get(document, "vedette.loss").is_some() {
            return;
        }
        if get(document, "vedette.gap").and_then(Json::as_bool) == Some(true) {
            self.row("loss", "events were lost inside this window: there may be more to it");
        }
        let relation = match get(document, "vedette.relation").and_then(Json::as_str) {
            Some("descendant") => "all of it in one install session",
            _ => "joined by the rule's keys only: the processes need not be related",
        };
        self.row("relation", relation);
    }

    /// What one copies to find the rule and the alert again.
    pub(super) fn identity(&mut self, document: &Map<String, Json>) {
        let id = shorten(&text(get(document, "rule.id")), 60);
        self.row("rule", &format!("{id} (version {})", text(get(document, "rule.version"))));
        self.row("event.id", &text(get(document, "event.id")));
    }

    /// What followed an alert of the rule of this name.
    pub(super) fn enrichment(&mut self, document: &Map<String, Json>, rule_name: &str) {
        self.title("MORE", Colour::Yellow, &format!("after: {rule_name}"));
        self.row("follows", &text(get(document, "vedette.follows")));
        for event in get(document, "vedette.related").and_then(Json::as_array).into_iter().flatten() {
            self.row("event", &summary(event));
        }
        match get(document, "vedette.related_dropped").and_then(Json::as_u64) {
            Some(dropped) if dropped > 0 => self.row("", &format!("and {dropped} more")),
            _ => {}
        }
    }

    /// How many alerts of the rule of this name were left out, beyond its budget.
    pub(super) fn summary(&mut self, document: &Map<String, Json>, rule_name: &str) {
        let count = text(get(document, "vedette.left_out.count"));
        self.title("LEFT OUT", Colour::Yellow, &format!("{count} more alerts: {rule_name}"));
        self.row("from", &text(get(document, "vedette.left_out.from")));
        self.row("to", &text(get(document, "vedette.left_out.to")));
        let executables = get(document, "vedette.left_out.executables").and_then(Json::as_array);
        for (index, executable) in executables.into_iter().flatten().enumerate() {
            self.row(if index == 0 { "by" } else { "" }, &text(Some(executable)));
        }
        self.row("follows", &text(get(document, "vedette.follows")));
    }

    /// What it is in a word, and its name.
    pub(super) fn title(&mut self, word: &str, colour: Colour, name: &str) {
        let room = self.style.width.saturating_sub(word.len() + 2).max(20);
        let name = self.paint(&shorten(&visible(name), room), Colour::Bold);
        let word = self.paint(word, colour);
        let _ = writeln!(self.text, "{word}  {name}");
    }

    pub(super) fn package(&mut self, document: &Map<String, Json>) {
        let events = get(document, "vedette.events").and_then(Json::as_array);
        let package = get(document, "vedette.package")
            .or_else(|| events.into_iter().flatten().find_map(|event| event.get("vedette")?.get("package")));
        let Some(package) = package else { return };
        let claimed: Vec<&str> =
            package["claimed"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for (label, key) in [("package", "identifier"), ("", "path"), ("", "script")] {
            if let Some(value) = package.get(key) {
                // Before the value, which may be as long as its maker likes.
                let mark = if claimed.contains(&key) { " (claimed)" } else { "" };
                self.row(label, &format!("{key}{mark} {}", text(Some(value))));
            }
        }
        self.row(
            if package.get("identifier").is_some() { "" } else { "package" },
            &format!("run by {}", text(package.get("host"))),
        );
    }

    pub(super) fn connection(&mut self, document: &Map<String, Json>) {
        let events = get(document, "vedette.events").and_then(Json::as_array);
        let flows = events.into_iter().flatten().filter(|event| event.get("destination").is_some());
        for flow in flows {
            self.row("connected", &destination(&flow["destination"]));
        }
    }

    /// What did not come, and who was busiest just before.
    pub(super) fn loss(&mut self, document: &Map<String, Json>) {
        let Some(loss) = get(document, "vedette.loss") else { return };
        self.row("lost", &format!("{} messages did not come", text(loss.get("missing"))));
        let name = shorten(&text(get(document, "process.name")), MAX_NAME);
        if !name.is_empty() {
            let (of_busiest, messages) = (text(loss.get("of_busiest")), text(loss.get("messages")));
            let with = "with those that it is responsible for";
            self.row(
                "busiest",
                &format!("{name}, {with}: {of_busiest} of the {messages} messages just before"),
            );
        }
    }

    pub(super) fn tree(&mut self, document: &Map<String, Json>) {
        let nodes = get(document, "vedette.process_tree").and_then(Json::as_array);
        let mut depth = 0;
        for (index, node) in nodes.into_iter().flatten().enumerate() {
            let responsible = node["relation"] == "responsible";
            let branch = match depth.min(MAX_INDENT) {
                0 => String::new(),
                depth => format!("{}└ ", "  ".repeat(depth - 1)),
            };
            let pid = node.get("pid").map_or("?".to_owned(), |pid| pid.to_string());
            let command = ["command_line", "executable", "name"]
                .iter()
                .find_map(|key| node.get(*key))
                .map(|v| text(Some(v)));
            let user = node["user"].get("name").or_else(|| node["user"].get("id"));
            let user =
                user.map_or(String::new(), |user| format!(" as {}", shorten(&text(Some(user)), MAX_NAME)));
            let name = shorten(&text(node.get("name")), MAX_NAME);
            let what = command.unwrap_or_else(|| "a process of which no more is known".to_owned());
            let note = if responsible { " (responsible)" } else { "" };
            let line = if name.is_empty() || what.starts_with(&name) {
                format!("{branch}{pid}{user}{note}  {what}")
            } else {
                format!("{branch}{pid}{user}{note}  {name}: {what}")
            };
            self.hanging(if index == 0 { "processes" } else { "" }, &line, branch.chars().count() + 6);
            depth += usize::from(!responsible);
        }
    }

    fn matched(&mut self, document: &Map<String, Json>) {
        let events = get(document, "vedette.events").and_then(Json::as_array);
        for (index, event) in events.into_iter().flatten().enumerate() {
            let line = if event.is_null() { "(nothing of this kind)".to_owned() } else { summary(event) };
            self.row(if index == 0 { "matched" } else { "" }, &line);
        }
    }

    /// A label and what it says. Most values are visible text by now; to make it sure costs nothing.
    pub(super) fn row(&mut self, label: &str, value: &str) {
        self.hanging(label, value, 0);
    }

    /// A row that, where it goes on in the next lines, is indented there by so many characters.
    pub(super) fn hanging(&mut self, label: &str, value: &str, indent: usize) {
        let room = self.style.width.saturating_sub(12).max(20);
        let value = visible(value);
        let lines = if self.is_whole { broken(&value, room, indent) } else { vec![shorten(&value, room)] };
        let mut label = label;
        for line in lines {
            let shown = self.paint(&format!("{label:<10}"), Colour::Dim);
            let _ = writeln!(self.text, "  {shown}{line}");
            label = "";
        }
    }

    /// A row that goes on in the next lines.
    pub(super) fn wrapped(&mut self, label: &str, value: &str) {
        let room = self.style.width.saturating_sub(12).max(20);
        let mut line = String::new();
        let mut label = label;
        for word in value.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                self.row(label, &std::mem::take(&mut line));
                label = "";
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.row(label, &line);
    }

    fn paint(&self, text: &str, colour: Colour) -> String {
        paint(text, colour, self.style)
    }
}

/// Returns text in a colour, where colours are wanted.
pub(super) fn paint(text: &str, colour: Colour, style: Style) -> String {
    if !style.colour {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Bold => "1",
        Colour::Dim => "2",
        Colour::Reverse => "1;7;31",
        Colour::Red => "1;31",
        Colour::Yellow => "1;33",
        Colour::Cyan => "1;36",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Breaks text into lines of at most `room` characters, at a space where there is one near the end; all but the
/// first are indented.
fn broken(text: &str, room: usize, indent: usize) -> Vec<String> {
    let indent = indent.min(room / 2);
    let mut rest: Vec<char> = text.chars().collect();
    let mut lines = Vec::new();
    let mut margin = 0;
    while margin + rest.len() > room && lines.len() + 1 < MAX_LINES {
        let width = room - margin;
        let near = width * 2 / 3;
        let space = rest[near..width].iter().rposition(|c| *c == ' ');
        let part: String = rest.drain(..space.map_or(width, |at| near + at + 1)).collect();
        lines.push(format!("{:margin$}{}", "", part.trim_end()));
        margin = indent;
    }
    let last: String = rest.into_iter().collect();
    lines.push(format!("{:margin$}{}", "", shorten(&last, room - margin)));
    lines
}
