//! Reads a file, or standard input, line by line, plain or compressed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use memchr::memchr;

use super::compressed;
use super::problem::{LineError, Problem, SourceError};

/// The longest line that is read, in bytes without its line end: 16 MiB. A longer one is reported and
/// skipped without being held.
pub const MAX_LINE: usize = 16 << 20;

/// How much is read at once, and how large the buffer is while no line needs more.
const BUFFER: usize = 256 << 10;

/// The lines of one file. Holds at most one line and what was read with it.
pub struct Lines {
    name: Arc<str>,
    input: Input,
    /// Bytes read and not yet handed out: `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How far `buffer` is known to hold no newline; at least `start`.
    searched: usize,
    /// Where the current line lies in `buffer`.
    line: std::ops::Range<usize>,
    number: u64,
}

/// One line, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line's number in its file, from 1; blank lines count.
    pub number: u64,
    /// The line.
    pub text: &'a str,
}

enum Input {
    /// Not looked at yet: whether it is compressed shows in its first bytes. They are awaited only when the
    /// first line is asked for, because a pipe may have none for long.
    Unopened(Box<dyn Read + Send>),
    Open(Box<dyn Read + Send>),
    Ended,
}

impl Lines {
    /// Opens the file at `path`; `-` is standard input.
    ///
    /// Whether it is compressed (gzip, zstd) is told by its content, not by its name.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        if path.as_os_str() == "-" {
            return Ok(Self::from_reader("-", io::stdin()));
        }
        let file = File::open(path).map_err(|error| SourceError::new(path, open_reason(&error)))?;
        let metadata = file.metadata().map_err(|error| SourceError::new(path, error.to_string()))?;
        if metadata.is_dir() {
            return Err(SourceError::new(path, "it is a directory; name the files in it"));
        }
        Ok(Self::from_reader(&path.to_string_lossy(), file))
    }

    /// Reads lines from `reader`; `name` stands for it in problems.
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static) -> Self {
        Lines {
            name: name.into(),
            input: Input::Unopened(Box::new(reader)),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            searched: 0,
            line: 0..0,
            number: 0,
        }
    }

    /// Returns the file as it was named.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Goes to the next line that is not blank; `None` at the end of the file.
    ///
    /// After a problem with a line the lines after it follow; after one with the file itself (it is
    /// truncated, the disk fails) nothing does.
    #[inline]
    pub fn advance(&mut self) -> Option<Result<(), Problem>> {
        // Most lines were read already and begin with a brace, so that they are not blank and have no byte order mark.
        if let Some(length) = memchr(b'\n', &self.buffer[self.searched..self.end])
            && self.buffer[self.start] == b'{'
            && self.searched + length - self.start <= MAX_LINE
        {
            let end = self.searched + length;
            let is_returned = self.buffer[end - 1] == b'\r';
            self.line = self.start..end - usize::from(is_returned);
            (self.start, self.searched) = (end + 1, end + 1);
            self.number += 1;
            return Some(Ok(()));
        }
        self.find_any()
    }

    /// Goes to the next line that is not blank, whatever it is.
    #[inline(never)]
    fn find_any(&mut self) -> Option<Result<(), Problem>> {
        loop {
            match self.find_line() {
                Ok(None) => return None,
                Ok(Some(range)) => {
                    let range = self.trim(range);
                    if range.len() > MAX_LINE {
                        return Some(Err(self.problem(too_long())));
                    }
                    if !self.buffer[range.clone()].iter().all(u8::is_ascii_whitespace) {
                        self.line = range;
                        return Some(Ok(()));
                    }
                }
                Err(reason) => return Some(Err(self.problem(reason))),
            }
        }
    }

    /// Returns the line that [`advance`](Self::advance) went to, if it is UTF-8; the byte that a problem
    /// names counts from 1.
    #[inline]
    pub fn line(&self) -> Result<Line<'_>, Problem> {
        match simdutf8::basic::from_utf8(&self.buffer[self.line.clone()]) {
            Ok(text) => Ok(Line { number: self.number, text }),
            Err(_) => Err(self.no_text()),
        }
    }

    /// Returns the problem with a line that is not UTF-8.
    #[cold]
    fn no_text(&self) -> Problem {
        let valid = simdutf8::compat::from_utf8(&self.buffer[self.line.clone()]);
        let byte = valid.map_or_else(|error| error.valid_up_to(), str::len) + 1;
        self.problem(format!("not valid UTF-8 at byte {byte}; the line is skipped"))
    }

    /// Goes to the next line that is not blank and returns it.
    pub fn next_line(&mut self) -> Option<Result<Line<'_>, Problem>> {
        match self.advance()? {
            Ok(()) => Some(self.line()),
            Err(problem) => Some(Err(problem)),
        }
    }

    /// Returns a problem with the line that [`advance`](Self::advance) went to.
    pub fn problem(&self, reason: impl Into<LineError>) -> Problem {
        Problem { file: Arc::clone(&self.name), line: self.number, reason: reason.into() }
    }

    /// Returns whether the next line was read already, so that going to it waits for nothing.
    pub(super) fn has_line(&mut self) -> bool {
        let found = memchr(b'\n', &self.buffer[self.searched..self.end]);
        // What was searched now is not searched again when that line is gone to.
        self.searched = found.map_or(self.end, |at| self.searched + at);
        found.is_some()
    }

    /// Finds the next line, its line feed left off, and counts it.
    fn find_line(&mut self) -> Result<Option<std::ops::Range<usize>>, String> {
        self.line = 0..0;
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.searched..self.end]) {
                let range = self.start..self.searched + at;
                self.start = range.end + 1;
                self.searched = self.start;
                self.number += 1;
                return Ok(Some(range));
            }
            self.searched = self.end;
            // One more than the longest line, for a carriage return.
            if self.end - self.start > MAX_LINE + 1 {
                self.number += 1;
                self.skip_line()?;
                return Err(too_long());
            }
            match self.fill() {
                Ok(0) if self.start == self.end => return Ok(None),
                Ok(0) => {
                    let range = self.start..self.end;
                    self.start = self.end;
                    self.number += 1;
                    return Ok(Some(range));
                }
                Ok(_) => {}
                Err(error) => {
                    self.number += 1;
                    return Err(self.end_by(&error));
                }
            }
        }
    }

    /// Throws away what is left of a line that is too long.
    fn skip_line(&mut self) -> Result<(), String> {
        loop {
            (self.start, self.end, self.searched) = (0, 0, 0);
            match self.fill() {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    if let Some(at) = memchr(b'\n', &self.buffer[..self.end]) {
                        self.start = at + 1;
                        self.searched = self.start;
                        return Ok(());
                    }
                }
                Err(error) => return Err(self.end_by(&error)),
            }
        }
    }

    /// Ends the file at a read error; what there is of a last line is not whole, and so is dropped.
    fn end_by(&mut self, error: &io::Error) -> String {
        self.input = Input::Ended;
        (self.start, self.end, self.searched) = (0, 0, 0);
        format!("{error}; the lines before it were read, nothing after")
    }

    /// Reads more behind `end`; 0 at the end of the file.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.searched -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == 0 && self.buffer.len() > BUFFER {
            self.buffer.truncate(BUFFER);
            self.buffer.shrink_to_fit();
        } else if self.end == self.buffer.len() {
            // Doubled, so that a long line is moved a few times only; never beyond what a line may have.
            let size = (self.buffer.len() * 2).clamp(BUFFER, MAX_LINE + 2);
            self.buffer.resize(size.max(self.end + 1), 0);
        }
        loop {
            let input = match &mut self.input {
                Input::Open(reader) => reader,
                Input::Ended => return Ok(0),
                Input::Unopened(_) => {
                    self.open_input()?;
                    continue;
                }
            };
            match input.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    if read == 0 {
                        self.input = Input::Ended;
                    }
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn open_input(&mut self) -> io::Result<()> {
        if let Input::Unopened(reader) = std::mem::replace(&mut self.input, Input::Ended) {
            self.input = Input::Open(compressed::decompress(reader)?);
        }
        Ok(())
    }

    /// Leaves off a carriage return at the end and, in the first line, a byte order mark.
    fn trim(&self, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let std::ops::Range { mut start, mut end } = range;
        let text = &self.buffer[start..end];
        if text.ends_with(b"\r") {
            end -= 1;
        }
        if self.number == 1 && text.starts_with(b"\xef\xbb\xbf") {
            start += 3;
        }
        start..end
    }
}

fn too_long() -> String {
    format!("longer than {} MiB; the line is skipped", MAX_LINE >> 20)
}

fn open_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; check the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; make it readable for this user, or run as one who may read it".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
