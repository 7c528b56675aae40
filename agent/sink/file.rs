//! Alerts appended to a file, a line each; what the file holds already is not written again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;

use super::folder::{Folder, Readers, Trust};
use super::rotating::{RotatingFile, Rotation};
use super::{Sink, SinkError};
use crate::alert::{Alert, AlertKind};
use crate::recent::RecentIds;

/// Appends the alerts of a replay to a file that never rotates.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    target: Target,
    /// The [`key`] of every document in the file: some 100 bytes for a line.
    known: RecentIds,
    /// Alerts that the file held already.
    repeated: u64,
}

#[derive(Debug)]
enum Target {
    File(Box<RotatingFile<Folder>>),
    /// A pipe or a device has no past, and nothing in it can be written again.
    Stream(File),
}

impl FileSink {
    /// Opens the file, or makes it with mode 0600. A last line without an end, which a kill or a power loss
    /// left behind, is moved to `FILE.torn`.
    ///
    /// # Errors
    /// The file cannot be read or written, another process writes to it, or it is a symbolic link: what it points
    /// to may be anyone's.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let failed =
            |error| SinkError::io(format!("{}: the alert file cannot be opened", path.display()), error);
        let mut known = RecentIds::new(usize::MAX);
        let target = match path.symlink_metadata() {
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
                let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
                Target::Stream(
                    OpenOptions::new().append(true).custom_flags(flags).open(path).map_err(failed)?,
                )
            }
            _ => {
                let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
                    failed(std::io::Error::other("the path does not end with a file's name in UTF-8"))
                })?;
                let folder = Folder::open(path.parent().unwrap_or(path), Trust::Callers, Readers::Nobody)
                    .map_err(failed)?;
                let learn = |line: &[u8]| {
                    known.extend(key(line));
                };
                let file = RotatingFile::open(folder, name, Rotation::NEVER, learn).map_err(failed)?;
                Target::File(Box::new(file))
            }
        };
        Ok(FileSink { path: path.to_owned(), target, known, repeated: 0 })
    }

    /// Returns how many alerts were not written because the file held them.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }
}

impl Sink for FileSink {
    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError> {
        let key = key_of(alert);
        if self.known.contains(&key) {
            self.repeated += 1;
            return Ok(());
        }
        // One write for a line: a kill tears at most the last one.
        let line = [alert.line(), "\n"].concat();
        let written = match &mut self.target {
            Target::File(file) => file.write(line.as_bytes(), SystemTime::now()),
            Target::Stream(file) => file.write_all(line.as_bytes()),
        };
        written.map_err(|error| {
            SinkError::io(format!("{}: an alert cannot be written", self.path.display()), error)
        })?;
        self.known.insert(key.into());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let synced = match &mut self.target {
            Target::File(file) => file.sync(),
            // A pipe or a device cannot be synced.
            Target::Stream(_) => Ok(()),
        };
        synced.map_err(|error| {
            SinkError::io(format!("{}: alerts cannot be made to stay", self.path.display()), error)
        })
    }
}

/// What makes a document in an alert file the same as another: `event.id` of an alert; of an enrichment `+`, of a
/// summary `#`, and the id of the alert that it follows.
pub(crate) fn key_of(alert: &Alert) -> String {
    match alert.kind {
        AlertKind::Alert => alert.id.clone(),
        AlertKind::Enrichment => format!("+{}", alert.id),
        AlertKind::Summary => format!("#{}", alert.id),
    }
}

/// Returns the key of a line of an alert file, if it is a document that has one.
pub(super) fn key(line: &[u8]) -> Option<Arc<str>> {
    let known: KnownLine = serde_json::from_slice(line).ok()?;
    let event = known.event?;
    match event.kind.as_deref() {
        Some("enrichment") => {
            let vedette = known.vedette?;
            let mark = if vedette.left_out.is_some() { '#' } else { '+' };
            Some(format!("{mark}{}", vedette.follows?).into())
        }
        _ => event.id.map(Into::into),
    }
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
    left_out: Option<serde::de::IgnoredAny>,
}
