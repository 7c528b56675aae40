//! Panics over restarts: three in five minutes lead to safe mode, with built-in rules and documented sources only.
//!
//! It lasts until the sensor's version or its configuration is another: whatever made it panic may still come by, but
//! not the rule or the setting that met it. What is kept stands in a small file beside the status.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sink::{Folder, Readers, Trust};
use crate::timestamp;

/// So many panics within [`WITHIN`] lead to safe mode.
pub const PANICS: usize = 3;

/// In nanoseconds.
pub const WITHIN: i64 = 300_000_000_000;

/// The name of the file.
const NAME: &str = "panics.json";

/// The most that is read of it.
const MAX_FILE: u64 = 64 << 10;

/// The longest reason of a panic that is kept, in bytes.
const MAX_REASON: usize = 1024;

/// What is known of panics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Panics {
    /// The version that panicked.
    pub version: String,
    /// A hash of the configuration with which it did.
    pub configuration: String,
    /// When, in nanoseconds since 1970: the last three.
    pub times: Vec<i64>,
    /// Why, the last time.
    pub reason: String,
    /// Whether they were too many.
    pub safe_mode: bool,
}

impl Panics {
    /// Returns the path of the file, for a status file's path.
    pub fn beside(status: &Path) -> PathBuf {
        status.with_file_name(NAME)
    }

    /// Reads what is known; nothing is known from a file that is not there or cannot be read. What was said of another
    /// version or configuration is forgotten.
    pub fn read(path: &Path, version: &str, configuration: &str) -> Self {
        let known = read(path).unwrap_or_default();
        if (&*known.version, &*known.configuration) == (version, configuration) {
            return known;
        }
        Panics { version: version.to_owned(), configuration: configuration.to_owned(), ..Panics::default() }
    }

    /// Adds a panic, at a time in nanoseconds since 1970.
    pub fn add(&mut self, now: i64, reason: &str) {
        self.reason = reason[..reason.floor_char_boundary(MAX_REASON)].to_owned();
        self.times.push(now);
        let more = self.times.len().saturating_sub(PANICS);
        self.times.drain(..more);
        // The clock may have been set back meanwhile.
        let recent = |time: &&i64| now.saturating_sub(**time).saturating_abs() <= WITHIN;
        self.safe_mode |= self.times.iter().filter(recent).count() >= PANICS;
    }

    /// Says why the sensor must be careful, if it must.
    pub fn why(&self) -> Option<String> {
        let last = self.times.last().copied().map(timestamp::format).unwrap_or_default();
        self.safe_mode.then(|| {
            format!(
                "it panicked {PANICS} times within {} minutes, the last time at {last} ({}); it lasts until the \
                 version or the configuration is another",
                WITHIN / 60_000_000_000,
                self.reason
            )
        })
    }

    /// Writes the file, as a whole.
    ///
    /// # Errors
    /// The folder cannot be written, or is not the sensor's own.
    pub fn write(&self, path: &Path, trust: Trust) -> io::Result<()> {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file in a folder");
        let folder = path.parent().ok_or_else(missing)?;
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(missing)?;
        Folder::open(folder, trust, Readers::Everyone)?.replace(name, &serde_json::to_string(self)?)
    }
}

fn read(path: &Path) -> Option<Panics> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    fn after(times: &[i64]) -> Panics {
        let mut panics = Panics::default();
        for time in times {
            panics.add(*time, "index out of bounds");
        }
        panics
    }

    #[test]
    fn three_panics_in_five_minutes_are_too_many() {
        for (times, safe_mode) in [
            (&[0, MINUTE][..], false),
            (&[0, MINUTE, 5 * MINUTE], true),
            (&[0, MINUTE, 6 * MINUTE], false),
            (&[0, 4 * MINUTE, 8 * MINUTE, 9 * MINUTE], true),
            (&[0, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE], false),
            (&[9 * MINUTE, 8 * MINUTE, 7 * MINUTE], true),
            (&[i64::MIN, 0, i64::MAX], false),
        ] {
            assert_eq!(after(times).safe_mode, safe_mode, "{times:?}");
        }
    }

    #[test]
    fn it_lasts_until_version_or_configuration_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Panics::beside(&folder.path().join("status.json"));
        for round in 0..3 {
            let mut panics = Panics::read(&path, "1.0", "abc");
            assert_eq!((panics.times.len(), panics.why()), (round, None));
            panics.add(round as i64, "too long");
            panics.write(&path, Trust::Callers).expect("the folder can be written");
        }
        let why = Panics::read(&path, "1.0", "abc").why().expect("three panics");
        assert!(why.contains("too long") && why.contains("1970-01-01"), "{why}");
        // Much later too: nothing says that it would go better now.
        let mut later = Panics::read(&path, "1.0", "abc");
        later.add(100 * MINUTE, "again");
        assert!(later.safe_mode);
        assert_eq!(Panics::read(&path, "1.1", "abc").why(), None);
        assert_eq!(Panics::read(&path, "1.0", "abd").why(), None);
    }

    #[test]
    fn a_file_that_is_none_of_this_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        let hostile =
            format!("{{\"version\":\"1\",\"configuration\":\"c\",\"reason\":\"{}", "x".repeat(1 << 20));
        for text in ["", "{", "[1]", "{\"times\":[1e99]}", "{\"version\":7}", &hostile, "\0\0\0"] {
            std::fs::write(&path, text).expect("the folder can be written");
            assert_eq!(Panics::read(&path, "1", "c").times, [0i64; 0], "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut panics = Panics::default();
        for time in 0..100 {
            panics.add(time, &"é".repeat(1 << 20));
        }
        assert_eq!((panics.times.len(), panics.reason.len()), (PANICS, MAX_REASON));
    }
}
