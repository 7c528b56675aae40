//! The alert file and its rotations, read from the oldest line to the newest, once or for as long as one likes.
//!
//! The live file is renamed to `.1` when it is full, `.1` to `.2` and so on, and a new live file is made. From
//! `.2` on a file may be compressed (`.gz`, `.zst`): the compressed one appears whole, then the plain one goes.
//! Others copy and truncate instead, or delete. A reader that looks again finds its place through all of that:
//! by the open file itself, which stays readable when it is renamed or removed, and by the hash of its first
//! line, which is the same in every copy.

mod entry;
mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::entry::{Entry, Kind};
use self::file::{Fingerprint, LogFile, Place, absent, node};
use crate::source::{Problem, SourceError};

/// How long a follower waits between two looks.
///
/// It polls: a look at a file that has not changed is one `stat`, the same on every system, and it misses
/// nothing. Notifications (kqueue, inotify) would still need all of what finds a place again after a rotation,
/// and a poll behind them for folders that vanish and for network volumes.
pub const INTERVAL: Duration = Duration::from_millis(200);

/// The most files of one log that are held open at once. A shell on a Mac allows 256.
const MAX_FILES: usize = 128;

/// How many files that were read are remembered, 32 bytes each. A look stops at the newest of them.
const MAX_KNOWN: usize = 1024;

/// What a look hands out.
#[derive(Debug)]
pub enum Item<'a> {
    /// A whole line that is not blank.
    Line(Line<'a>),
    /// A line, or the rest of a file, that cannot be read.
    Problem(Problem),
    /// Lines may be missing here.
    Gap(Gap),
}

/// A line of the log, without its line end.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The file, under the name that it had when it was opened.
    pub file: &'a Path,
    /// The line's number in it, from 1; blank lines count.
    pub number: u64,
    /// The line, at most [`MAX_LINE`](crate::source::MAX_LINE) bytes.
    pub bytes: &'a [u8],
}

/// Why lines may be missing, as far as that is known. Displays it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The file that was being read is gone, and there are others of which none was read yet.
    RotatedAway {
        /// The live file.
        file: PathBuf,
        /// How many lines of the file that is gone were read.
        lines: u64,
        /// The oldest file that there is now.
        oldest: PathBuf,
    },
    /// The file was emptied, and what it held is in no other file.
    Truncated {
        /// The file.
        file: PathBuf,
        /// How many of its lines had been read.
        lines: u64,
    },
    /// There are more files than are read.
    TooMany {
        /// The oldest file that is read.
        oldest: PathBuf,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::RotatedAway { file, lines, oldest } => write!(
                out,
                "{}: rotated faster than it was read: after line {lines} of a file that is gone, whole files may be \
                 missing before {}; keep more of them",
                file.display(),
                oldest.display()
            ),
            Gap::Truncated { file, lines } => write!(
                out,
                "{}: truncated after line {lines} was read; what was written between is in no rotated file",
                file.display()
            ),
            Gap::TooMany { oldest } => write!(
                out,
                "{}: {MAX_FILES} files are read, older ones than this are not; name one with --file",
                oldest.display()
            ),
        }
    }
}

/// Reads an alert file across its rotations.
#[derive(Debug)]
pub struct AlertLog {
    path: PathBuf,
    current: Option<Current>,
    /// The first lines of files that were read to their end, newest last.
    known: VecDeque<Fingerprint>,
    /// What the live file was before it was last read.
    stamp: Option<Stamp>,
}

/// The newest file that was read, and how far.
#[derive(Debug)]
struct Current {
    file: LogFile,
    place: Place,
    /// `None` while its first line has no end: then nothing of it was handed out.
    fingerprint: Option<Fingerprint>,
}

/// What changes when a file does: device and inode, size, times of change and of modification.
type Stamp = ((u64, u64), u64, (i64, i64), (i64, i64));

impl AlertLog {
    /// Makes a reader of the live file at `path` and its rotations. Nothing needs to exist yet.
    pub fn new(path: &Path) -> Self {
        AlertLog { path: path.to_owned(), current: None, known: VecDeque::new(), stamp: None }
    }

    /// Returns the files that there are now, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read. That it does not exist is no error.
    pub fn files(&self) -> Result<Vec<PathBuf>, SourceError> {
        let names = self.names().map_err(|error| self.failed(&error))?;
        Ok(names.into_iter().map(|(_, path)| path).filter(|path| path.is_file()).rev().collect())
    }

    /// Hands out every whole line that was not handed out before, the oldest first: at the first look all of
    /// them. After `take` breaks there is to be no further look.
    ///
    /// # Errors
    /// The folder or the live file cannot be read. That they do not exist is no error: they may come.
    pub fn look(
        &mut self,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, SourceError> {
        self.look_at(take).map_err(|error| self.failed(&error))
    }

    fn look_at(&mut self, take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<ControlFlow<()>> {
        // Asked for before anything is read, so that what is written meanwhile shows at the next look.
        let stamp = match std::fs::metadata(&self.path) {
            Ok(metadata) => Some(stamp(&metadata)),
            Err(error) if absent(&error) => None,
            Err(error) => return Err(error),
        };
        if stamp.is_some() && stamp == self.stamp {
            return Ok(ControlFlow::Continue(()));
        }
        self.stamp = None;
        if stamp.is_none() && !self.folder().is_dir() {
            // Away, and what tells in which order to read is away with it. It may come back.
            return Ok(ControlFlow::Continue(()));
        }
        let live = stamp.map(|(node, ..)| node);
        let kept = self.current.as_mut().map(Current::check).transpose()?.unwrap_or(false);
        let flow = match &mut self.current {
            // Without a first line it could have been filled, copied and emptied since.
            Some(current) if kept && live == Some(current.file.node) && current.fingerprint.is_some() => {
                current.file.read(&mut current.place, false, take)
            }
            _ => self.find_place(kept, take)?,
        };
        self.stamp = stamp;
        Ok(flow)
    }

    /// Reads on where the live file is not, or no longer, what was being read. `kept` says whether the open
    /// file still holds what was read of it.
    fn find_place(
        &mut self,
        kept: bool,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let Newer { mut found, mut end, has_more } = match self.newer_files(kept, take)? {
            ControlFlow::Continue(newer) => newer,
            ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
        };
        // It may have got its first line, been rotated and compressed since it was looked at. Asked for before
        // the place is taken: an error must not lose that.
        let own = match &self.current {
            Some(current) if kept => current.file.fingerprint(true)?,
            _ => None,
        };
        if let Some(mut current) = self.current.take() {
            if kept {
                let is_own = |(file, print): &(LogFile, Option<Fingerprint>)| {
                    file.node == current.file.node || (own.is_some() && *print == own)
                };
                match found.iter().position(is_own) {
                    // Nothing of it was handed out, so it is read as one of those found.
                    Some(_) if current.fingerprint.is_none() => return self.read_newer(found, take),
                    Some(at) => {
                        found.truncate(at);
                        end = End::Own;
                    }
                    None => {}
                }
            }
            if let (true, End::Nothing, Some((oldest, _))) =
                (kept, &end, found.last().filter(|(file, _)| file.index > 0))
            {
                let gap = Gap::RotatedAway {
                    file: self.path.clone(),
                    lines: current.place.lines,
                    oldest: oldest.path.clone(),
                };
                if take(Item::Gap(gap)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            let is_finished = !found.is_empty();
            let flow = match end {
                End::Copy(copy) if kept => {
                    let flow = current.file.read(&mut current.place, is_finished, take);
                    current.file = copy;
                    flow
                }
                End::Copy(copy) => {
                    let flow = copy.read(&mut current.place, is_finished, take);
                    current.file = copy;
                    flow
                }
                _ if kept => current.file.read(&mut current.place, is_finished, take),
                _ => {
                    self.remember(current.fingerprint);
                    let gap = Gap::Truncated { file: self.path.clone(), lines: current.place.lines };
                    return match take(Item::Gap(gap)) {
                        ControlFlow::Continue(()) => self.read_newer(found, take),
                        ControlFlow::Break(()) => Ok(ControlFlow::Break(())),
                    };
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
            if is_finished {
                let print = current.file.fingerprint(true).unwrap_or(current.fingerprint);
                self.remember(print);
            } else {
                self.current.insert(current).recognise()?;
            }
        } else if let (true, Some((oldest, _))) = (has_more, found.last()) {
            let gap = Gap::TooMany { oldest: oldest.path.clone() };
            if take(Item::Gap(gap)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.read_newer(found, take)
    }

    /// Reads files from their beginning, the last of the list first; the first of the list may grow further.
    fn read_newer(
        &mut self,
        mut found: Found,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        while let Some((file, fingerprint)) = found.pop() {
            let mut place = Place::default();
            let is_finished = !found.is_empty();
            // Without what has no end yet: the line may still get one.
            let fingerprint =
                if is_finished { fingerprint } else { file.fingerprint(false).unwrap_or(fingerprint) };
            if file.read(&mut place, is_finished, take).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if is_finished {
                self.remember(fingerprint);
            } else {
                self.current.insert(Current { file, place, fingerprint }).recognise()?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Opens the files that are newer than what was read, the newest first, and says what ended the search
    /// and whether there were more than may be held open.
    ///
    /// In this order no file is missed while others rotate it: a file only ever moves to a higher number.
    /// The plain one of a number is asked for first, because it goes only after the compressed one has come.
    fn newer_files(
        &self,
        kept: bool,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<(), Newer>> {
        let mut found: Found = Vec::new();
        for (index, path) in self.names()? {
            let opened = LogFile::open(&path, index).and_then(|file| {
                file.map(|file| file.fingerprint(index > 0).map(|print| (file, print))).transpose()
            });
            let (file, print) = match opened {
                Ok(Some(opened)) => opened,
                Ok(None) => continue,
                Err(error) if index == 0 => return Err(error),
                Err(error) => {
                    let problem = Problem {
                        file: path.to_string_lossy().into(),
                        line: 1,
                        reason: format!("the file cannot be read: {error}").into(),
                    };
                    if take(Item::Problem(problem)).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    continue;
                }
            };
            let again = |(other, its): &(LogFile, Option<Fingerprint>)| {
                (print.is_some() && *its == print)
                    || (other.node == file.node && (its.is_none() || print.is_none()))
            };
            if found.iter().any(again) {
                continue;
            }
            if let Some(current) = &self.current {
                if kept && current.file.node == file.node && current.fingerprint.is_some() {
                    return Ok(ControlFlow::Continue(Newer::up_to(End::Own, found)));
                }
                if print.is_some() && current.fingerprint == print {
                    // A compressed or rotated copy of a file that is open anyway says nothing new.
                    let end = if kept && index > 0 { End::Own } else { End::Copy(file) };
                    return Ok(ControlFlow::Continue(Newer::up_to(end, found)));
                }
            }
            if print.is_some_and(|print| self.known.contains(&print)) {
                return Ok(ControlFlow::Continue(Newer::up_to(End::Known, found)));
            }
            if found.len() == MAX_FILES {
                return Ok(ControlFlow::Continue(Newer { found, end: End::Nothing, has_more: true }));
            }
            found.push((file, print));
        }
        Ok(ControlFlow::Continue(Newer::up_to(End::Nothing, found)))
    }

    /// Returns the names that a file of this log may have, the newest first: those that there are, and the
    /// next numbers, to which a rotation may move them before they are opened.
    fn names(&self) -> io::Result<Vec<(u32, PathBuf)>> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut numbers = BTreeSet::from([1, 2, 3]);
        match std::fs::read_dir(self.folder()) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?.file_name();
                    let number = entry.to_str().and_then(|entry| rotation(entry, &name));
                    numbers.extend(number.into_iter().flat_map(|number| number..=number.saturating_add(2)));
                }
            }
            Err(error) if absent(&error) => {}
            Err(error) => return Err(error),
        }
        let rotated = numbers.into_iter().flat_map(|number| {
            ["", ".gz", ".zst"].map(|suffix| {
                let mut path = self.path.clone().into_os_string();
                path.push(format!(".{number}{suffix}"));
                (number, PathBuf::from(path))
            })
        });
        Ok(std::iter::once((0, self.path.clone())).chain(rotated).collect())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    fn remember(&mut self, fingerprint: Option<Fingerprint>) {
        // A file without a line has nothing to be read twice.
        let Some(fingerprint) = fingerprint else { return };
        if self.known.len() == MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(fingerprint);
    }

    fn failed(&self, error: &io::Error) -> SourceError {
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "permission denied: the alert file is root's alone; run this with sudo".to_owned()
            }
            _ => error.to_string(),
        };
        SourceError::new(&self.path, reason)
    }
}

/// Open files with what they are known by, the newest first.
type Found = Vec<(LogFile, Option<Fingerprint>)>;

/// The files that are newer than what was read.
struct Newer {
    found: Found,
    end: End,
    /// Whether there are older ones that are unknown too, more than may be open.
    has_more: bool,
}

impl Newer {
    fn up_to(end: End, found: Found) -> Self {
        Newer { found, end, has_more: false }
    }
}

/// Where a search for newer files ended.
enum End {
    /// At the file that is open here.
    Own,
    /// At another file with the same first line: a copy of what was being read.
    Copy(LogFile),
    /// At a file that was read before.
    Known,
    /// At none that was known.
    Nothing,
}

impl Current {
    /// Takes the fingerprint as soon as a line was handed out.
    fn recognise(&mut self) -> io::Result<()> {
        if self.fingerprint.is_none() && self.place != Place::default() {
            self.fingerprint = self.file.fingerprint(false)?;
        }
        Ok(())
    }

    /// Returns whether the open file still holds what was read of it.
    fn check(&mut self) -> io::Result<bool> {
        if self.fingerprint.is_none() {
            return Ok(true);
        }
        if self.file.fingerprint(false)? != self.fingerprint {
            return Ok(false);
        }
        // The same beginning, but shorter: lines were cut off that had been read already.
        if let Some(length) = self.file.length()? {
            self.place = self.place.within(length);
        }
        Ok(true)
    }
}

fn stamp(metadata: &std::fs::Metadata) -> Stamp {
    (
        node(metadata),
        metadata.len(),
        (metadata.ctime(), metadata.ctime_nsec()),
        (metadata.mtime(), metadata.mtime_nsec()),
    )
}

/// Returns the number of a rotated file: `alerts.ndjson.3`, `.3.gz` and `.3.zst` are 3.
fn rotation(entry: &str, name: &str) -> Option<u32> {
    let rest = entry.strip_prefix(name)?.strip_prefix('.')?;
    let digits = rest.strip_suffix(".gz").or_else(|| rest.strip_suffix(".zst")).unwrap_or(rest);
    // `.01` is no name that a rotation gives.
    digits.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == digits)
}
