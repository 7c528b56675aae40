//! A note on the disk while a source is used for the first time on a version of macOS.
//!
//! Both sources are undocumented, and one of them has panicked kernels. A Mac that goes down with the sensor, again at
//! each start, is worse than one whose connections are not seen. So before a source is first used on a build of macOS a
//! note is written and synced; it is taken back after [`SURVIVED`] or at an orderly end. A sensor that finds the note
//! keeps the source off on this build.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::readable::visible;
use crate::sink::{Folder, Readers, Trust};

/// How long a source must have been in use to be trusted not to take the Mac down, in nanoseconds.
pub const SURVIVED: i64 = 120_000_000_000;

/// The name of the file, beside the status.
const NAME: &str = "network.json";

/// The most that is read of it.
const MAX_FILE: u64 = 64 << 10;

/// What is known of each source on the build of macOS on which it was last used. The file is read again before each
/// change, as the sensor and `vedette doctor --probe-network` may both have it.
#[derive(Debug)]
pub struct Notes {
    path: PathBuf,
    trust: Trust,
    sources: BTreeMap<String, Note>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// `kern.osversion`.
    build: String,
    /// When, RFC 3339.
    at: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// In use, and not known to be harmless.
    Armed,
    /// Was in use for long enough.
    Survived,
}

impl Notes {
    /// Returns the path of the file, for a status file's path.
    pub fn beside(status: &Path) -> PathBuf {
        status.with_file_name(NAME)
    }

    /// Reads the notes. None are there where there is no file.
    ///
    /// # Errors
    /// They cannot be read: a note that keeps a source off may be among them, so none may be used. In a sentence.
    pub fn read(path: &Path, trust: Trust) -> Result<Self, String> {
        let mut notes = Notes { path: path.to_owned(), trust, sources: BTreeMap::new() };
        notes.read_again().map_err(|error| notes.unreadable(&error))?;
        Ok(notes)
    }

    /// Notes, before a source is used on a build of macOS, that it is; nothing is to be noted where it was in use for
    /// long enough before. `now` is RFC 3339.
    ///
    /// # Errors
    /// The source must stay off, and why, in a sentence: it was in use when the sensor or the Mac went down, or that it
    /// is cannot be noted.
    pub fn arm(&mut self, source: &str, build: &str, now: &str) -> Result<(), String> {
        if build.is_empty() {
            return Err("the Mac does not say which build of macOS it runs".to_owned());
        }
        self.read_again().map_err(|error| self.unreadable(&error))?;
        match self.sources.get(source).filter(|note| note.build == build) {
            Some(Note { state: State::Survived, .. }) => return Ok(()),
            Some(Note { state: State::Armed, at, .. }) => {
                return Err(format!(
                    "the sensor or the Mac went down within two minutes of first using this source on this build of \
                     macOS ({}), at {}, so it stays off until the next update of macOS; if it went down for another \
                     reason, remove {} and restart the sensor",
                    visible(build),
                    visible(at),
                    self.path.display()
                ));
            }
            None => {}
        }
        let note = Note { build: build.to_owned(), at: now.to_owned(), state: State::Armed };
        self.sources.insert(source.to_owned(), note);
        self.write().map_err(|error| {
            self.sources.remove(source);
            format!("{}: the note before its first use cannot be written: {error}", self.path.display())
        })
    }

    /// Returns whether a source is in use and not known to be harmless.
    pub fn is_armed(&self, source: &str) -> bool {
        self.sources.get(source).is_some_and(|note| note.state == State::Armed)
    }

    /// Takes a note back: the source has been in use for [`SURVIVED`].
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn survived(&mut self, source: &str) -> io::Result<()> {
        self.read_again()?;
        match self.sources.get_mut(source) {
            Some(note) if note.state == State::Armed => note.state = State::Survived,
            _ => return Ok(()),
        }
        self.write()
    }

    /// Takes a note back at an orderly end, or because the source is not used after all. Only for who has made it: one
    /// that was found says that something went down.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn disarm(&mut self, source: &str) -> io::Result<()> {
        self.read_again()?;
        if !self.is_armed(source) {
            return Ok(());
        }
        self.sources.remove(source);
        self.write()
    }

    fn read_again(&mut self) -> io::Result<()> {
        self.sources = match read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            read => read?,
        };
        Ok(())
    }

    fn unreadable(&self, error: &io::Error) -> String {
        format!(
            "{}: what is known of network sources on this Mac cannot be read ({}), so none is used; remove the file to \
             try them again",
            self.path.display(),
            visible(&error.to_string())
        )
    }

    /// Writes the file as a whole and syncs it and its folder.
    fn write(&self) -> io::Result<()> {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file in a folder");
        let folder = self.path.parent().ok_or_else(missing)?;
        let name = self.path.file_name().and_then(|name| name.to_str()).ok_or_else(missing)?;
        let text = serde_json::to_string(&self.sources)?;
        Folder::open(folder, self.trust, Readers::Everyone)?.replace(name, &text)
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Note>> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T12:00:00.000000000Z";

    fn notes(folder: &tempfile::TempDir) -> Notes {
        let path = Notes::beside(&folder.path().join("status.json"));
        Notes::read(&path, Trust::Callers).expect("no file, or a good one")
    }

    #[test]
    fn a_source_that_was_in_use_when_all_went_down_stays_off_on_that_build() {
        let folder = tempfile::tempdir().expect("a folder");
        notes(&folder).arm("es", "25E246", NOW).expect("nothing is known of it");
        // Whoever comes next, and after that.
        for _ in 0..2 {
            let why = notes(&folder).arm("es", "25E246", NOW).expect_err("it went down");
            assert!(why.contains("25E246") && why.contains(NOW) && why.contains("network.json"), "{why}");
        }
        notes(&folder).arm("ntstat", "25E246", NOW).expect("the other has done nothing");
        notes(&folder).arm("es", "25E250", NOW).expect("another build");
    }

    #[test]
    fn what_survived_is_not_noted_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = notes(&folder);
        first.arm("es", "25E246", NOW).expect("nothing is known of it");
        assert!(first.is_armed("es"));
        first.survived("es").expect("the folder can be written");
        assert!(!first.is_armed("es"));
        for _ in 0..2 {
            let mut later = notes(&folder);
            later.arm("es", "25E246", NOW).expect("it survived");
            assert!(!later.is_armed("es"));
        }
        let mut other = notes(&folder);
        other.arm("es", "25F1", NOW).expect("another build");
        assert!(other.is_armed("es"));
    }

    #[test]
    fn an_orderly_end_takes_the_note_back() {
        let folder = tempfile::tempdir().expect("a folder");
        for _ in 0..2 {
            let mut notes = notes(&folder);
            notes.arm("es", "25E246", NOW).expect("the one before ended in an orderly way");
            notes.disarm("es").expect("the folder can be written");
        }
    }

    #[test]
    fn what_another_process_noted_meanwhile_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut sensor, mut doctor) = (notes(&folder), notes(&folder));
        sensor.arm("es", "25E246", NOW).expect("nothing is known of it");
        doctor.arm("es", "25E246", NOW).expect_err("the sensor has just begun to use it");
        doctor.arm("ntstat", "25E246", NOW).expect("nothing is known of it");
        sensor.survived("es").expect("the folder can be written");
        assert!(sensor.is_armed("ntstat"));
        doctor.disarm("ntstat").expect("the folder can be written");
        let mut later = notes(&folder);
        later.arm("es", "25E246", NOW).expect("it survived");
        assert!(!later.is_armed("es") && !later.is_armed("ntstat"));
        std::fs::write(&later.path, "odd").expect("the folder can be written");
        assert!(later.arm("ntstat", "25E246", NOW).is_err_and(|why| why.contains("cannot be read")));
    }

    #[test]
    fn without_a_note_nothing_is_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut gone =
            Notes::read(&folder.path().join("none/network.json"), Trust::Callers).expect("no file");
        let why = gone.arm("es", "25E246", NOW).expect_err("there is no folder");
        assert!(why.contains("cannot be written") && !gone.is_armed("es"), "{why}");
        assert!(notes(&folder).arm("es", "", NOW).is_err());
    }

    #[test]
    fn notes_that_cannot_be_read_keep_everything_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        let long = format!("{{\"es\":{{\"build\":\"{}", "x".repeat(1 << 20));
        for text in
            ["", "{", "[]", "{\"es\":7}", "{\"es\":{\"build\":\"b\",\"at\":\"\",\"state\":\"odd\"}}", &long]
        {
            std::fs::write(&path, text).expect("the folder can be written");
            let why = Notes::read(&path, Trust::Callers).expect_err("no notes");
            assert!(why.contains("network.json") && why.contains("remove"), "{why}");
        }
    }
}
