//! One file of the alert log: which one it is, whatever its name is by now, and its whole lines.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memchr;
use sha2::{Digest, Sha256};

use super::{Item, Line};
use crate::source::compressed::decompress;
use crate::source::{LineError, MAX_LINE, Problem};

/// The hash of a file's first line: the same under every name, in a copy and in a compressed one.
pub(super) type Fingerprint = [u8; 32];

/// How much of a first line is hashed, in bytes. An alert's `event.id` comes long before.
const HASHED: usize = 64 << 10;

/// How much is read at once, in bytes.
const CHUNK: usize = 256 << 10;

/// An open file of the log.
#[derive(Debug)]
pub(super) struct LogFile {
    /// The name under which it was opened.
    pub(super) path: PathBuf,
    /// Its number among the rotations; 0 is the live file.
    pub(super) index: u32,
    /// Device and inode: nobody else gets them while the file is open here.
    pub(super) node: (u64, u64),
    file: Arc<File>,
}

/// How far a file has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Where the first line begins that was not handed out, in bytes of plain text.
    pub(super) offset: u64,
    /// How many lines came before it.
    pub(super) lines: u64,
    /// How much of that line is thrown away already because it is too long, in bytes.
    skipped: u64,
}

impl Place {
    /// The place in a file that was cut off at `length`: what was read already is not read again.
    pub(super) fn within(self, length: u64) -> Self {
        let skipped = if self.offset + self.skipped > length { 0 } else { self.skipped };
        Place { offset: self.offset.min(length), skipped, ..self }
    }
}

impl LogFile {
    /// Opens one; `None` where there is no such file.
    pub(super) fn open(path: &Path, index: u32) -> io::Result<Option<Self>> {
        // Opening a pipe would wait for whoever writes to it.
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Some(LogFile { path: path.to_owned(), index, node: node(&metadata), file: Arc::new(file) }))
    }

    /// Returns how much of it there is, in bytes of plain text; of a compressed one that is not known.
    pub(super) fn length(&self) -> io::Result<Option<u64>> {
        Ok(if self.is_compressed() { None } else { Some(self.file.metadata()?.len()) })
    }

    /// Returns the hash of its first line, if that is whole or `finished` says that it will not become so;
    /// `None` for a file without one.
    ///
    /// One that cannot be decompressed is known by what it is on the disk.
    pub(super) fn fingerprint(&self, finished: bool) -> io::Result<Option<Fingerprint>> {
        let head = |reader: &mut dyn Read| {
            let mut head = Vec::new();
            reader.take(HASHED as u64).read_to_end(&mut head).map(|_| head)
        };
        let plain = self.reader(0).and_then(|mut reader| head(&mut reader));
        let head = match plain {
            Ok(head) => head,
            Err(_) if self.is_compressed() => head(&mut self.raw(0))?,
            Err(error) => return Err(error),
        };
        Ok(match memchr(b'\n', &head) {
            Some(end) => Some(Sha256::digest(&head[..end]).into()),
            None if head.len() == HASHED || (finished && !head.is_empty()) => {
                Some(Sha256::digest(&head).into())
            }
            None => None,
        })
    }

    /// Hands out every whole line from `place` on, and moves `place` behind it. A line over [`MAX_LINE`] is
    /// reported and not held.
    ///
    /// In a `finished` file a last line without its end is reported: nobody will end it.
    pub(super) fn read(
        &self,
        place: &mut Place,
        finished: bool,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut buffer = Vec::new();
        let ended = self.reader(place.offset + place.skipped).and_then(|mut reader| {
            loop {
                let filled = buffer.len();
                buffer.resize(filled + CHUNK, 0);
                let read = read_some(&mut reader, &mut buffer[filled..]);
                buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
                if read? == 0 {
                    return Ok(ControlFlow::Continue(()));
                }
                let used = self.hand_out(&buffer, filled, place, take);
                match used {
                    Ok(used) => drop(buffer.drain(..used)),
                    Err(()) => return Ok(ControlFlow::Break(())),
                }
                if place.skipped > 0 || buffer.len() > MAX_LINE {
                    place.skipped += buffer.len() as u64;
                    buffer.clear();
                }
            }
        });
        let number = place.lines + 1;
        let unfinished = buffer.len() as u64 + place.skipped;
        match ended {
            Ok(ControlFlow::Break(())) => ControlFlow::Break(()),
            Ok(ControlFlow::Continue(())) if finished && unfinished > 0 => take(Item::Problem(
                self.problem(
                    number,
                    "the file ends within this line, torn by a crash or a power loss; the line is skipped"
                        .to_owned(),
                ),
            )),
            Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
            Err(error) => take(Item::Problem(
                self.problem(number, format!("{error}; the lines before it were read, nothing after")),
            )),
        }
    }

    /// Hands out the whole lines in `buffer`, of which the first `searched` bytes hold no line end; returns
    /// how many bytes they were, or an error to stop.
    fn hand_out(
        &self,
        buffer: &[u8],
        searched: usize,
        place: &mut Place,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<usize, ()> {
        let mut start = 0;
        let mut from = searched;
        while let Some(at) = memchr(b'\n', &buffer[from..]) {
            let end = from + at;
            let bytes = &buffer[start..end];
            place.lines += 1;
            let item = if place.skipped > 0 || bytes.len() > MAX_LINE {
                let reason = format!("longer than {} MiB; the line is skipped", MAX_LINE >> 20);
                Some(Item::Problem(self.problem(place.lines, reason)))
            } else if bytes.iter().all(u8::is_ascii_whitespace) {
                None
            } else {
                Some(Item::Line(Line { file: &self.path, number: place.lines, bytes }))
            };
            place.offset += place.skipped + (end + 1 - start) as u64;
            place.skipped = 0;
            start = end + 1;
            from = start;
            if item.is_some_and(|item| take(item).is_break()) {
                return Err(());
            }
        }
        Ok(start)
    }

    fn problem(&self, line: u64, reason: impl Into<LineError>) -> Problem {
        Problem { file: self.path.to_string_lossy().into(), line, reason: reason.into() }
    }

    /// Reads plain text from `offset` on.
    fn reader(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        if !self.is_compressed() {
            return Ok(Box::new(self.raw(offset)));
        }
        let mut reader = decompress(Box::new(self.raw(0)))?;
        io::copy(&mut (&mut reader).take(offset), &mut io::sink())?;
        Ok(reader)
    }

    fn raw(&self, offset: u64) -> At {
        At { file: Arc::clone(&self.file), offset }
    }

    fn is_compressed(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
    }
}

/// Device and inode.
pub(super) fn node(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether a file, or the folder that it should be in, is merely not there.
pub(super) fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_some(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads a file from a place of its own: nobody moves another's.
struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
