//! From the sources to values: what is taken over, and what is found on the way.

use std::path::Path;

use eql::{Diagnostic, Level, Position};

use super::document::{self, Content, Entry, Table};
use super::finding::{Finding, Findings};
use super::keys::{Config, KEYS, Key, Rejection, SECTIONS};
use super::{KeyState, Loaded, Origin, Paths, Place, Source, State, file};

/// Reads both sources and takes over their values, the managed ones last.
pub(super) fn load(paths: &Paths) -> Loaded {
    let mut loading = Loading::default();
    let managed = loading.read(Origin::Managed, &paths.managed);
    let locked = match &managed.table {
        Some(table) => table.iter().any(is_ours),
        None => managed.source.state == State::Unusable,
    };
    let file =
        if locked { loading.ignore(&paths.file.path) } else { loading.read(Origin::File, &paths.file) };
    loading.finish(managed, file, locked)
}

/// Reads a local file as if the Mac were not managed.
pub(super) fn load_file(place: &Place) -> Loaded {
    let mut loading = Loading::default();
    let file = loading.read(Origin::File, place);
    loading.finish(Read::absent(Origin::Managed, Path::new("")), file, false)
}

/// Takes managed preferences from memory; `path` is what findings call them.
pub(super) fn load_managed(path: &Path, bytes: Vec<u8>) -> Loaded {
    let mut loading = Loading::default();
    let mut managed = Read::absent(Origin::Managed, path);
    loading.parse(&mut managed, bytes);
    loading.finish(managed, Read::absent(Origin::File, Path::new("")), true)
}

/// Apple puts keys of the profile itself beside ours.
fn is_ours(entry: &Entry) -> bool {
    !entry.name.starts_with("Payload")
}

/// What a source gave.
struct Read {
    source: Source,
    table: Option<Table>,
    /// TOML, for showing the place; empty for a property list.
    text: String,
}

struct Loading {
    config: Config,
    keys: Vec<KeyState>,
    findings: Findings,
}

impl Default for Loading {
    fn default() -> Self {
        let state = KeyState { origin: Origin::Default, broken: false, place: None };
        Loading { config: Config::default(), keys: vec![state; KEYS.len()], findings: Findings::default() }
    }
}

impl Loading {
    fn finish(mut self, managed: Read, file: Read, locked: bool) -> Loaded {
        let sources = [managed.source.clone(), file.source.clone()];
        for read in [file, managed] {
            self.apply(read);
        }
        let findings = self.findings.into_list(&sources[usize::from(!locked)].path);
        Loaded { config: self.config, locked, sources, findings, keys: self.keys }
    }

    /// Reads and parses a source. If it cannot be used, that is a finding.
    fn read(&mut self, origin: Origin, place: &Place) -> Read {
        let path = &place.path;
        let mut read = Read::absent(origin, path);
        match file::read(path, place.installed) {
            Ok(None) => {}
            Ok(Some(found)) => {
                if let Some(refusal) = &found.unsafe_because {
                    let message =
                        format!("where the sensor reads it, it would be refused: {}", refusal.reason);
                    self.findings.add(Level::Warning, || {
                        Finding::new(path, None, Level::Warning, &message, Some(&refusal.hint))
                    });
                }
                read.source.sha256 = Some(found.sha256);
                read.source.owner = Some(found.owner);
                self.parse(&mut read, found.bytes);
            }
            Err(refusal) => {
                read.source.state = State::Unusable;
                self.findings.add(Level::Error, || {
                    Finding::new(path, None, Level::Error, &refusal.reason, Some(&refusal.hint))
                });
            }
        }
        if read.source.state == State::Unusable {
            self.keys.iter_mut().for_each(|state| state.broken = true);
        }
        read
    }

    fn parse(&mut self, read: &mut Read, bytes: Vec<u8>) {
        match parse(read.source.origin, &read.source.path, bytes) {
            Ok((table, text)) => {
                read.source.state = State::Read;
                (read.table, read.text) = (Some(table), text);
            }
            Err(finding) => {
                read.source.state = State::Unusable;
                self.findings.add(Level::Error, || *finding);
            }
        }
    }

    /// Leaves the local file alone, because the Mac is managed.
    fn ignore(&mut self, path: &Path) -> Read {
        let present = path.symlink_metadata().is_ok();
        if present {
            let message = "this Mac is managed, so nothing of this file counts";
            let hint = "set the keys in the profile instead, or remove this file";
            self.findings
                .add(Level::Warning, || Finding::new(path, None, Level::Warning, message, Some(hint)));
        }
        let mut read = Read::absent(Origin::File, path);
        if present {
            read.source.state = State::Ignored;
        }
        read
    }

    /// Takes over the values of a source.
    fn apply(&mut self, read: Read) {
        let Some(table) = &read.table else { return };
        let mut given = Vec::new();
        self.apply_table(&read, "", table, &mut given);
    }

    /// `prefix` is empty, or the name of a section: this goes no deeper than keys do.
    fn apply_table(&mut self, read: &Read, prefix: &str, table: &Table, given: &mut Vec<usize>) {
        for entry in table {
            let path = format!("{prefix}{}", entry.name);
            if let Some(index) = KEYS.iter().position(|key| key.path == path) {
                if given.contains(&index) {
                    self.twice(read, index, entry);
                } else {
                    given.push(index);
                    self.set(read, index, entry);
                }
            } else if prefix.is_empty() && SECTIONS.iter().any(|section| section.name == path) {
                match &entry.value.content {
                    Content::Table(table) => self.apply_table(read, &format!("{path}."), table, given),
                    _ => self.not_a_section(read, entry, given),
                }
            } else if !(read.source.origin == Origin::Managed && path.starts_with("Payload")) {
                self.unknown(read, &path, entry);
            }
        }
    }

    fn set(&mut self, read: &Read, index: usize, entry: &Entry) {
        let key = &KEYS[index];
        let place = (!read.text.is_empty()).then(|| Position::of(entry.value.span.start, &read.text));
        self.keys[index].place = Some((read.source.path.clone(), place));
        let diagnostics = match (key.set)(&mut self.config, &entry.value) {
            Ok(diagnostics) => {
                (self.keys[index].origin, self.keys[index].broken) = (read.source.origin, false);
                diagnostics
            }
            Err(Rejection::Found(found)) => {
                self.keys[index].broken = true;
                let message = format!("`{}` takes {}, not {found}", key.path, key.takes());
                let mut diagnostic = Diagnostic::error(entry.value.span, message);
                diagnostic.hint = assignment(key).map(|example| format!("for example {example}"));
                self.findings.add(diagnostic.level, || read.finding(&diagnostic).about(key.path));
                return;
            }
            Err(Rejection::Content(diagnostics)) => {
                self.keys[index].broken = true;
                diagnostics
            }
        };
        let Content::Text(content) = &entry.value.content else { return };
        let origin = crate::rule::content_start(&read.text, entry.value.span.start);
        for diagnostic in diagnostics {
            self.findings
                .add(diagnostic.level, || read.finding_within(origin, content, key.path, diagnostic));
        }
    }

    /// A property list can give a key nested and with a dot. Neither is better, so neither counts.
    fn twice(&mut self, read: &Read, index: usize, entry: &Entry) {
        let key = &KEYS[index];
        (key.copy)(&mut self.config, &Config::default());
        (self.keys[index].origin, self.keys[index].broken) = (Origin::Default, true);
        let message = format!("`{}` is given twice, nested and with a dot", key.path);
        let diagnostic = Diagnostic::error(entry.span, message).with_hint("keep one of them");
        self.findings.add(diagnostic.level, || read.finding(&diagnostic).about(key.path));
    }

    /// What it was to set is not known, so its keys are broken; not those that a property list gives with a dot.
    fn not_a_section(&mut self, read: &Read, entry: &Entry, given: &[usize]) {
        for (index, (key, state)) in KEYS.iter().zip(&mut self.keys).enumerate() {
            state.broken |= key.names().0 == entry.name && !given.contains(&index);
        }
        let message = format!("`{}` is a section, so it takes a table of keys", entry.name);
        let example = KEYS.iter().find(|key| key.names().0 == entry.name).and_then(assignment);
        let mut diagnostic = Diagnostic::error(entry.value.span, message);
        diagnostic.hint = example.map(|example| format!("for example {example}"));
        self.findings.add(diagnostic.level, || read.finding(&diagnostic));
    }

    fn unknown(&mut self, read: &Read, path: &str, entry: &Entry) {
        let is_section = path.contains('.') || matches!(entry.value.content, Content::Table(_));
        let what = if is_section && !path.contains('.') { "section" } else { "key" };
        let mut diagnostic = Diagnostic::warning(entry.span, format!("there is no {what} `{}`", cut(path)));
        diagnostic.hint = nearest(path).map(|near| format!("did you mean `{near}`?"));
        self.findings.add(diagnostic.level, || read.finding(&diagnostic));
    }
}

impl Read {
    fn absent(origin: Origin, path: &Path) -> Self {
        let source =
            Source { origin, path: path.to_owned(), state: State::Absent, sha256: None, owner: None };
        Read { source, table: None, text: String::new() }
    }

    fn finding(&self, diagnostic: &Diagnostic) -> Finding {
        if self.text.is_empty() {
            let Diagnostic { level, message, hint, .. } = diagnostic;
            Finding::new(&self.source.path, None, *level, message, hint.as_deref())
        } else {
            Finding::in_text(&self.source.path, Position::START, &self.text, diagnostic)
        }
    }

    /// Makes a finding about a query that is the value of `key` and begins at `origin`.
    fn finding_within(
        &self,
        origin: usize,
        query: &str,
        key: &'static str,
        diagnostic: Diagnostic,
    ) -> Finding {
        let diagnostic = Diagnostic { message: format!("`{key}`: {}", diagnostic.message), ..diagnostic };
        let path = &self.source.path;
        if self.text.is_empty() {
            return Finding::in_value(path, key, query, &diagnostic).about(key);
        }
        Finding::in_text(path, Position::of(origin, &self.text), query, &diagnostic).about(key)
    }
}

/// Parses a source by what it is: TOML, or a property list.
fn parse(origin: Origin, path: &Path, bytes: Vec<u8>) -> Result<(Table, String), Box<Finding>> {
    let whole = |message: &str, hint| Box::new(Finding::new(path, None, Level::Error, message, Some(hint)));
    if origin == Origin::Managed {
        let hint = "`plutil -lint` says more; the profile that set it must be mended";
        return document::from_plist(&bytes)
            .map(|table| (table, String::new()))
            .map_err(|error| whole(&error, hint));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        whole(&format!("the file is not UTF-8 text, from line {line} on"), "save it as UTF-8")
    })?;
    match document::from_toml(&text) {
        Ok(table) => Ok((table, text)),
        Err(diagnostic) => Err(Box::new(Finding::in_text(path, Position::START, &text, &diagnostic))),
    }
}

/// Returns the key or section that is nearest to a name, if one is near enough to be meant.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let length = path.chars().count();
    let limit = (length / 3).clamp(1, 4);
    let names = KEYS.iter().map(|key| key.path).chain(SECTIONS.iter().map(|section| section.name));
    let near = names
        .filter(|name| name.len().abs_diff(length) <= limit)
        .map(|name| (strsim::osa_distance(path, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min();
    // `keep` alone, or in the wrong section.
    let last = path.rsplit('.').next().unwrap_or(path);
    near.map(|(_, name)| name)
        .or_else(|| KEYS.iter().map(|key| key.path).find(|name| name.ends_with(&format!(".{last}"))))
}

/// An example as it stands in the file, if it fits in a line.
fn assignment(key: &Key) -> Option<String> {
    let (section, name) = key.names();
    (!key.example.contains('\n')).then(|| format!("`{name} = {}` in [{section}]", key.example))
}

/// The beginning of a name that is too long to be one.
fn cut(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
