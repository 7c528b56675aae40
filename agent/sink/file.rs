//! Alerts appended to a file, a line each; what the file holds already is not written again.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Sink, SinkError};
use crate::alert::{Alert, AlertKind};

/// Appends alerts to a file.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    file: File,
    /// `event.id` of every alert in the file, and `+` with the followed id of every enrichment: some 50 bytes
    /// for a line.
    known: HashSet<String>,
    /// Alerts that the file held already.
    repeated: u64,
}

/// What is read of a line to know it again.
#[derive(Deserialize)]
struct KnownLine {
    event: Option<KnownEvent>,
    vedette: Option<KnownVedette>,
}

#[derive(Deserialize)]
struct KnownEvent {
    id: Option<String>,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct KnownVedette {
    follows: Option<String>,
}

impl FileSink {
    /// Opens the file, or makes it with mode 0600. A last line without an end, which a kill or a power loss
    /// left behind, is moved to `FILE.torn`.
    ///
    /// # Errors
    /// The file cannot be read or written, or is a symbolic link: what it points to may be anyone's.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let failed =
            |error| SinkError::io(format!("{}: the alert file cannot be opened", path.display()), error);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
            .map_err(failed)?;
        let mut sink = FileSink { path: path.to_owned(), file, known: HashSet::new(), repeated: 0 };
        sink.recover().map_err(failed)?;
        Ok(sink)
    }

    /// Returns how many alerts were not written because the file held them.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Learns what the file holds, and moves a torn last line out of it.
    fn recover(&mut self) -> std::io::Result<()> {
        if !self.file.metadata()?.is_file() {
            // A pipe or a device has no past.
            return Ok(());
        }
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        let mut whole = 0u64;
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            if length == 0 || !line.ends_with(b"\n") {
                break;
            }
            whole += length as u64;
            if let Ok(known) = serde_json::from_slice::<KnownLine>(&line) {
                self.known.extend(known.key());
            }
        }
        if line.is_empty() {
            return Ok(());
        }
        let torn = PathBuf::from(format!("{}.torn", self.path.display()));
        let mut aside = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(torn)?;
        (&self.file).seek(SeekFrom::Start(whole))?;
        line.clear();
        (&self.file).read_to_end(&mut line)?;
        line.push(b'\n');
        aside.write_all(&line)?;
        aside.sync_all()?;
        self.file.set_len(whole)?;
        self.file.sync_all()
    }
}

impl KnownLine {
    fn key(self) -> Option<String> {
        let event = self.event?;
        match event.kind.as_deref() {
            Some("enrichment") => Some(format!("+{}", self.vedette?.follows?)),
            _ => event.id,
        }
    }
}

impl Sink for FileSink {
    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError> {
        let key = match alert.kind {
            AlertKind::Alert => alert.id.clone(),
            AlertKind::Enrichment => format!("+{}", alert.id),
        };
        if self.known.contains(&key) {
            self.repeated += 1;
            return Ok(());
        }
        // One write for a line: two processes that append never mix, and a kill tears at most the last one.
        let line = alert.to_line() + "\n";
        self.file.write_all(line.as_bytes()).map_err(|error| {
            SinkError::io(format!("{}: an alert cannot be written", self.path.display()), error)
        })?;
        self.known.insert(key);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        match self.file.sync_data() {
            // A pipe or a device cannot be synced.
            Err(error) if error.kind() != std::io::ErrorKind::InvalidInput => {
                Err(SinkError::io(format!("{}: alerts cannot be made to stay", self.path.display()), error))
            }
            _ => Ok(()),
        }
    }
}
