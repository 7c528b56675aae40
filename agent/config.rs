//! The sensor's configuration: managed preferences over a file over defaults, key by key.
//!
//! Nothing that is read ends the sensor. What is wrong is a [`Finding`], and only its key falls back: to the last good
//! value ([`LastGood`]), else to the default. A file that cannot be read as a whole is wrong for all of its keys.

mod document;
mod file;
mod finding;
mod keys;
pub mod reference;
pub mod report;
mod setting;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use eql::{Diagnostic, Level, Position};

pub use self::finding::Finding;
pub use self::keys::{
    Alerts, Change, Config, Events, Exceptions, Health, KEYS, Key, Network, Rules, SECTIONS, Section, Status,
    Telemetry, UnifiedLog,
};
pub use self::setting::{Bytes, Filter, NetworkSource};

use self::document::{Content, Entry, Table};
use self::keys::Rejection;
use crate::identity;

/// Where configuration is read.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Managed preferences, a property list.
    pub managed: Place,
    /// The local file, TOML.
    pub file: Place,
}

/// The path of a source.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Whether it is where the sensor reads it: then it is refused if others can change it. Of a file elsewhere, which
    /// is only checked, that is a warning.
    pub installed: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing sets it.
    Default,
    /// The local file.
    File,
    /// Managed preferences.
    Managed,
    /// What sets it is wrong: the value from before.
    LastGood,
}

/// What became of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was read; single keys may be wrong.
    Read,
    /// There is none.
    Absent,
    /// There is one, and it does not count because the Mac is managed.
    Ignored,
    /// It could not be used as a whole.
    Unusable,
}

/// A source of configuration and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// [`Origin::Managed`] or [`Origin::File`].
    pub origin: Origin,
    /// The file.
    pub path: PathBuf,
    /// What became of it.
    pub state: State,
    /// SHA-256 of the file in hexadecimal, if it was read.
    pub sha256: Option<String>,
    /// The uid of its owner, if it was read.
    pub owner: Option<u32>,
}

/// A configuration that can be used, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Whether the Mac is managed: the local file, and the local folders of rules and exceptions, do not count. It is
    /// where managed preferences hold any key but Apple's own (`Payload…`), and where they exist and cannot be used.
    pub locked: bool,
    /// The sources, the stronger one first.
    pub sources: [Source; 2],
    /// What was found wrong or odd, some hundred at most.
    pub findings: Vec<Finding>,
    /// A value for each of [`KEYS`].
    keys: Vec<KeyState>,
}

/// What is known of a key's value.
#[derive(Clone, Debug)]
struct KeyState {
    origin: Origin,
    /// Whether the source that should set it is wrong about it, or unusable.
    broken: bool,
    /// Where it stands.
    place: Option<(PathBuf, Option<Position>)>,
}

/// Keeps the last good value of each key, for when what is loaded next is wrong about it.
#[derive(Debug, Default)]
pub struct LastGood(Option<Config>);

/// The keys that name files of which each must be another.
const FILES: [&str; 4] = ["alerts.file", "health.file", "status.file", "telemetry.file"];

impl Paths {
    /// Returns the places where the sensor reads.
    pub fn standard() -> Self {
        let installed = |path| Place { path, installed: true };
        Paths {
            managed: installed(identity::managed_preferences()),
            file: installed(identity::configuration()),
        }
    }
}

/// Reads the configuration.
pub fn load(paths: &Paths) -> Loaded {
    let mut loading = Loading::default();
    let managed = loading.read(Origin::Managed, &paths.managed);
    // Apple puts keys of the profile itself beside ours.
    let is_ours = |entry: &Entry| !entry.name.starts_with("Payload");
    let locked = match &managed.table {
        Some(table) => table.iter().any(is_ours),
        None => managed.source.state == State::Unusable,
    };
    let file =
        if locked { loading.ignore(&paths.file.path) } else { loading.read(Origin::File, &paths.file) };
    let sources = [managed.source.clone(), file.source.clone()];
    for read in [file, managed] {
        loading.apply(read);
    }
    let mut loaded =
        Loaded { config: loading.config, locked, sources, findings: loading.findings, keys: loading.keys };
    loaded.keep_files_apart();
    if loading.left_out > 0 {
        let message = format!("and {} more findings", loading.left_out);
        loaded.findings.push(Finding::new(&paths.file.path, None, Level::Warning, &message, None));
    }
    loaded
}

impl Loaded {
    /// Returns where the value of a key comes from.
    pub fn origin(&self, key: &Key) -> Origin {
        KEYS.iter()
            .zip(&self.keys)
            .find(|(other, _)| other.path == key.path)
            .map_or(Origin::Default, |(_, state)| state.origin)
    }

    /// Returns whether anything is an error: the sensor runs, degraded.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Error)
    }

    /// Returns the folder of local rules, unless the Mac is managed and its preferences do not name one.
    pub fn rules_folder(&self) -> Option<&Path> {
        self.folder("rules.folder", &self.config.rules.folder)
    }

    /// Returns the folder of local exceptions, unless the Mac is managed and its preferences do not name one.
    pub fn exceptions_folder(&self) -> Option<&Path> {
        self.folder("exceptions.folder", &self.config.exceptions.folder)
    }

    fn folder<'a>(&self, key: &str, path: &'a Path) -> Option<&'a Path> {
        let named = Key::find(key).is_some_and(|key| self.origin(key) == Origin::Managed);
        (!self.locked || named).then_some(path)
    }

    /// Two sinks that write one file would tear each other's lines: the key that is not at its default goes back to it.
    fn keep_files_apart(&mut self) {
        let defaults = Config::default();
        let files: Vec<usize> =
            KEYS.iter().enumerate().filter(|(_, key)| FILES.contains(&key.path)).map(|(at, _)| at).collect();
        // Each round takes one key back, and the defaults are apart.
        for _ in 0..FILES.len() {
            let same = files.iter().flat_map(|one| files.iter().map(move |other| (*one, *other))).find(
                |(one, other)| {
                    one < other
                        && same_file(&KEYS[*one].value(&self.config), &KEYS[*other].value(&self.config))
                },
            );
            let Some((one, other)) = same else { return };
            let moved = if self.keys[other].origin == Origin::Default { one } else { other };
            let kept = if moved == one { other } else { one };
            let (key, state) = (&KEYS[moved], &mut self.keys[moved]);
            let message = format!("`{}` names the same file as `{}`", key.path, KEYS[kept].path);
            let (path, position) =
                state.place.clone().unwrap_or_else(|| (self.sources[1].path.clone(), None));
            let hint = Some("give each its own; until then the default is used");
            self.findings.push(Finding::new(&path, position, Level::Error, &message, hint).about(key.path));
            (key.copy)(&mut self.config, &defaults);
            (state.origin, state.broken) = (Origin::Default, true);
        }
    }
}

impl LastGood {
    /// Takes what was loaded and puts in the last good value of each key that is wrong; what comes of it is the last
    /// good configuration from now on.
    pub fn settle(&mut self, mut loaded: Loaded) -> Loaded {
        if let Some(good) = &self.0 {
            for (key, state) in KEYS.iter().zip(&mut loaded.keys).filter(|(_, state)| state.broken) {
                (key.copy)(&mut loaded.config, good);
                state.origin = Origin::LastGood;
            }
            loaded.keep_files_apart();
        }
        self.0 = Some(loaded.config.clone());
        loaded
    }
}

/// Returns the keys whose values differ; their [`Change`] says whether the sensor must start again.
pub fn changed(before: &Config, after: &Config) -> Vec<&'static Key> {
    KEYS.iter().filter(|key| key.value(before) != key.value(after)).collect()
}

/// Whether two paths lead to one file on a volume that does not tell case apart, as a Mac's own does not.
fn same_file(one: &toml::Value, other: &toml::Value) -> bool {
    let folded = |path: &toml::Value| path.as_str().unwrap_or_default().to_lowercase();
    Path::new(&folded(one)) == Path::new(&folded(other))
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
    findings: Vec<Finding>,
    left_out: usize,
}

impl Default for Loading {
    fn default() -> Self {
        let state = KeyState { origin: Origin::Default, broken: false, place: None };
        Loading {
            config: Config::default(),
            keys: vec![state; KEYS.len()],
            findings: Vec::new(),
            left_out: 0,
        }
    }
}

impl Loading {
    /// Reads and parses a source. If it cannot be used, that is a finding.
    fn read(&mut self, origin: Origin, place: &Place) -> Read {
        let path = &place.path;
        let source =
            Source { origin, path: path.to_owned(), state: State::Absent, sha256: None, owner: None };
        let mut read = Read { source, table: None, text: String::new() };
        match file::read(path, place.installed) {
            Ok(None) => {}
            Ok(Some(found)) => {
                if let Some(refusal) = &found.unsafe_because {
                    let message =
                        format!("where the sensor reads it, it would be refused: {}", refusal.reason);
                    self.find(Finding::new(path, None, Level::Warning, &message, Some(&refusal.hint)));
                }
                read.source.sha256 = Some(found.sha256);
                read.source.owner = Some(found.owner);
                match parse(origin, path, found.bytes) {
                    Ok((table, text)) => {
                        read.source.state = State::Read;
                        (read.table, read.text) = (Some(table), text);
                    }
                    Err(finding) => {
                        read.source.state = State::Unusable;
                        self.find(*finding);
                    }
                }
            }
            Err(refusal) => {
                read.source.state = State::Unusable;
                self.find(Finding::new(path, None, Level::Error, &refusal.reason, Some(&refusal.hint)));
            }
        }
        if read.source.state == State::Unusable {
            self.keys.iter_mut().for_each(|state| state.broken = true);
        }
        read
    }

    /// Leaves the local file alone, because the Mac is managed.
    fn ignore(&mut self, path: &Path) -> Read {
        let present = path.symlink_metadata().is_ok();
        if present {
            let message = "this Mac is managed, so nothing of this file counts";
            let hint = "set the keys in the profile instead, or remove this file";
            self.find(Finding::new(path, None, Level::Warning, message, Some(hint)));
        }
        let state = if present { State::Ignored } else { State::Absent };
        let source = Source { origin: Origin::File, path: path.to_owned(), state, sha256: None, owner: None };
        Read { source, table: None, text: String::new() }
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
                    _ => self.not_a_section(read, entry),
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
                self.keys[index].origin = read.source.origin;
                diagnostics
            }
            Err(Rejection::Found(found)) => {
                self.keys[index].broken = true;
                let message = format!("`{}` takes {}, not {found}", key.path, key.takes());
                let mut diagnostic = Diagnostic::error(entry.value.span, message);
                diagnostic.hint = assignment(key).map(|example| format!("for example {example}"));
                self.find(read.finding(&diagnostic).about(key.path));
                return;
            }
            Err(Rejection::Content(diagnostics)) => {
                self.keys[index].broken = true;
                diagnostics
            }
        };
        let Content::Text(content) = &entry.value.content else { return };
        for diagnostic in diagnostics {
            let mut diagnostic = diagnostic;
            diagnostic.message = format!("`{}`: {}", key.path, diagnostic.message);
            let origin = crate::rule::content_start(&read.text, entry.value.span.start);
            let origin =
                if read.text.is_empty() { Position::START } else { Position::of(origin, &read.text) };
            let mut finding = Finding::in_text(&read.source.path, origin, content, &diagnostic);
            if read.text.is_empty() {
                finding.position = None;
            }
            self.find(finding.about(key.path));
        }
    }

    /// A property list can give a key nested and with a dot. Neither is better, so neither counts.
    fn twice(&mut self, read: &Read, index: usize, entry: &Entry) {
        let key = &KEYS[index];
        (key.copy)(&mut self.config, &Config::default());
        (self.keys[index].origin, self.keys[index].broken) = (Origin::Default, true);
        let message = format!("`{}` is given twice, nested and with a dot", key.path);
        let diagnostic = Diagnostic::error(entry.span, message).with_hint("keep one of them");
        self.find(read.finding(&diagnostic).about(key.path));
    }

    fn not_a_section(&mut self, read: &Read, entry: &Entry) {
        for (key, state) in KEYS.iter().zip(&mut self.keys) {
            state.broken |= key.names().0 == entry.name;
        }
        let message = format!("`{}` is a section, so it takes a table of keys", entry.name);
        let example = KEYS.iter().find(|key| key.names().0 == entry.name).and_then(assignment);
        let mut diagnostic = Diagnostic::error(entry.value.span, message);
        diagnostic.hint = example.map(|example| format!("for example {example}"));
        self.find(read.finding(&diagnostic));
    }

    fn unknown(&mut self, read: &Read, path: &str, entry: &Entry) {
        let is_section = path.contains('.') || matches!(entry.value.content, Content::Table(_));
        let what = if is_section && !path.contains('.') { "section" } else { "key" };
        let mut diagnostic = Diagnostic::warning(entry.span, format!("there is no {what} `{}`", cut(path)));
        diagnostic.hint = nearest(path).map(|near| format!("did you mean `{near}`?"));
        self.find(read.finding(&diagnostic));
    }

    fn find(&mut self, finding: Finding) {
        finding::push(&mut self.findings, &mut self.left_out, finding);
    }
}

impl Read {
    fn finding(&self, diagnostic: &Diagnostic) -> Finding {
        if self.text.is_empty() {
            let Diagnostic { level, message, hint, .. } = diagnostic;
            Finding::new(&self.source.path, None, *level, message, hint.as_deref())
        } else {
            Finding::in_text(&self.source.path, Position::START, &self.text, diagnostic)
        }
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
fn nearest(path: &str) -> Option<&'static str> {
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
