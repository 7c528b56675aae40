//! The sensor's configuration: managed preferences over a file over defaults, key by key.
//!
//! Nothing that is read ends the sensor. What is wrong is a [`Finding`], and only its key falls back: to the last good
//! value ([`LastGood`]), else to the default. A file that cannot be read as a whole is wrong for all of its keys.

mod document;
mod file;
mod finding;
mod keys;
mod loading;
pub mod reference;
pub mod report;
mod setting;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use eql::{Level, Position};

pub use self::finding::Finding;
pub use self::keys::{
    Alerts, Change, Config, Events, Exceptions, Health, KEYS, Key, Network, Redaction, Rules, SECTIONS,
    Section, Status, Telemetry, UnifiedLog,
};
pub use self::setting::{Bytes, Filter, NetworkSource, Patterns};

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
    let mut loaded = loading::load(paths);
    loaded.keep_files_apart();
    loaded
}

/// Reads a local file that is somewhere else, as if the Mac were not managed.
pub fn load_file(path: &Path) -> Loaded {
    let mut loaded = loading::load_file(&Place { path: path.to_owned(), installed: false });
    loaded.keep_files_apart();
    loaded
}

/// Takes managed preferences, a property list, from memory, as if they were the Mac's; findings name them by `path`.
pub fn load_managed(path: &Path, bytes: Vec<u8>) -> Loaded {
    let mut loaded = loading::load_managed(path, bytes);
    loaded.keep_files_apart();
    loaded
}

/// Returns the uid that owns a file which decides what the sensor does.
///
/// # Errors
/// Others than root, or who runs this, can change the file, in a sentence with what to do.
pub(crate) fn owner_if_safe(path: &Path) -> Result<u32, String> {
    file::owner(path).map_err(|refusal| format!("{}; {}", refusal.reason, refusal.hint))
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
