//! A file of lines that outlasts kills, losses of power, full disks and its own size.
//!
//! `NAME` is written to; `NAME.1` is the one before, then `NAME.2` or `NAME.2.gz` and so on, `keep` of them. A line
//! is never split over two files. What is not synced yet is written again at the same place after a failure, so that
//! a reader never sees it twice and a short write mends itself.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::disk::{Disk, DiskFile, FromStart, Open, write_all_at};

/// When a file is put aside for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The size in bytes that the next line must not exceed, unless it is the first one.
    pub bytes: Option<u64>,
    /// The age, by the wall clock, from which on the next line goes to a new file.
    pub age: Option<Duration>,
    /// How many older files are kept.
    pub keep: u32,
    /// Whether all but the newest of the older ones are compressed.
    pub compress: bool,
}

impl Rotation {
    /// One file for ever.
    pub const NEVER: Rotation = Rotation { bytes: None, age: None, keep: 0, compress: false };
}

/// A file of lines and its older parts.
#[derive(Debug)]
pub struct RotatingFile<D: Disk> {
    disk: D,
    name: String,
    rotation: Rotation,
    /// `None` after it could not be opened again.
    file: Option<Current<D::File>>,
    /// Where and when a rotation failed: it is not tried again for each line.
    failed_rotation: Option<(u64, SystemTime)>,
    /// A compression that is under way.
    compressing: Option<Compressing<D::File>>,
    /// Whether there may be something to compress or to remove.
    untidy: bool,
    /// How often the file had gone or been exchanged when a line was to be written.
    replaced: u64,
}

#[derive(Debug)]
struct Current<F> {
    file: F,
    /// How much of it is whole lines that are synced.
    synced: u64,
    /// How much of it is whole lines.
    written: u64,
    created: SystemTime,
}

#[derive(Debug)]
struct Compressing<F> {
    name: String,
    source: F,
    read: u64,
    encoder: GzEncoder<Vec<u8>>,
    target: F,
    written: u64,
}

/// How long a rotation that failed is left alone, and after how many bytes it is tried before.
const RETRY: (Duration, u64) = (Duration::from_secs(60), 1 << 20);

/// How much is compressed in one go: some milliseconds' worth.
const CHUNK: usize = 256 << 10;

/// The most that is kept in `NAME.torn`.
const MAX_TORN: u64 = 16 << 20;

impl<D: Disk> RotatingFile<D> {
    /// Opens the file in `disk`, or makes it. A last line without an end, which a kill or a loss of power left
    /// behind, is moved to `NAME.torn`. Each whole line of the file is given to `line`, the oldest first.
    ///
    /// # Errors
    /// The file cannot be opened, read or mended; in `NAME.torn` nothing is lost then.
    pub fn open(disk: D, name: &str, rotation: Rotation, line: impl FnMut(&[u8])) -> io::Result<Self> {
        let mut rotating = RotatingFile {
            disk,
            name: name.to_owned(),
            rotation,
            file: None,
            failed_rotation: None,
            compressing: None,
            untidy: true,
            replaced: 0,
        };
        rotating.open_current(line)?;
        Ok(rotating)
    }

    /// Writes whole lines; they last only after [`sync`](Self::sync).
    ///
    /// # Errors
    /// What went wrong, or that the file was removed or exchanged under lines that were not synced yet. All lines
    /// since the last [`sync`](Self::sync) are to be written again.
    pub fn write(&mut self, lines: &[u8], now: SystemTime) -> io::Result<()> {
        self.in_place()?;
        if self.is_due(lines.len() as u64, now) {
            self.sync()?;
            if let Err(error) = self.rotate() {
                let written = self.file.as_ref().map_or(0, |current| current.written);
                self.failed_rotation = Some((written, now));
                log::warn!(target: "sensor", "{} cannot be rotated, it is written on: {error}", self.name);
                self.in_place()?;
            }
        }
        let current = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        write_all_at(&mut current.file, lines, current.written)?;
        current.written += lines.len() as u64;
        Ok(())
    }

    /// Makes sure that what was written outlasts a loss of power.
    ///
    /// # Errors
    /// What went wrong. All lines since the last success are to be written again: they go to the same place.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.file else { return Ok(()) };
        if current.synced == current.written {
            return Ok(());
        }
        match current.file.sync() {
            Ok(()) => {
                current.synced = current.written;
                Ok(())
            }
            Err(error) => {
                current.written = current.synced;
                Err(error)
            }
        }
    }

    /// Forgets what was written since the last sync: it is to be written again, at the same place.
    pub fn rewind(&mut self) {
        if let Some(current) = &mut self.file {
            current.written = current.synced;
        }
    }

    /// Puts the file aside if it is old enough, without anything to write.
    ///
    /// # Errors
    /// What went wrong.
    pub fn rotate_if_old(&mut self, now: SystemTime) -> io::Result<()> {
        let empty = self.file.as_ref().is_none_or(|current| current.written == 0);
        if empty || !self.is_old(now) || self.waits(now) {
            return Ok(());
        }
        self.sync()?;
        self.rotate().inspect_err(|_| self.failed_rotation = Some((0, now)))
    }

    /// Does a little of the work that can wait: compressing, removing. Returns whether there is more.
    ///
    /// # Errors
    /// What went wrong; it is begun anew next time.
    pub fn tidy(&mut self) -> io::Result<bool> {
        if let Some(compressing) = self.compressing.take() {
            self.compress_on(compressing)?;
            return Ok(true);
        }
        if !std::mem::take(&mut self.untidy) {
            return Ok(false);
        }
        let names = self.disk.names()?;
        let (older, stale) = self.older(&names);
        self.remove_stale(&stale)?;
        for (.., name) in older.iter().filter(|(number, ..)| *number > self.rotation.keep) {
            self.disk.remove(name)?;
        }
        let waiting = older
            .iter()
            .find(|(number, form, _)| *form == Form::Plain && *number >= 2 && *number <= self.rotation.keep);
        if let (true, Some((.., name))) = (self.rotation.compress, waiting) {
            let source = self.disk.open(name, Open::Existing)?;
            let target = self.disk.open(&format!("{name}.gz.part"), Open::New)?;
            let encoder = GzEncoder::new(Vec::new(), Compression::default());
            self.compressing =
                Some(Compressing { name: (*name).clone(), source, read: 0, encoder, target, written: 0 });
            self.untidy = true;
        }
        Ok(self.untidy)
    }

    /// Gives every line of the older files to `line`, the newest file first and in it the oldest line first, until
    /// `line` wants no more. What is damaged, or no file of ours, is left out.
    ///
    /// # Errors
    /// A file cannot be read now.
    pub fn older_lines(&mut self, mut line: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        let names = self.disk.names()?;
        let (older, _) = self.older(&names);
        for (_, form, name) in older {
            let mut file = match self.disk.open(name, Open::Existing) {
                Err(error) if error.raw_os_error().is_none() => continue,
                opened => opened?,
            };
            let from_start = BufReader::new(FromStart::new(&mut file));
            let reader: Box<dyn Read> = match form {
                Form::Compressed => Box::new(MultiGzDecoder::new(from_start)),
                _ => Box::new(from_start),
            };
            let mut more = true;
            match each_line(BufReader::new(reader), |text| more &= line(text)) {
                Err(error) if error.raw_os_error().is_some() => return Err(error),
                _ if !more => break,
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns how often the file had been removed or exchanged by someone else.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    fn open_current(&mut self, line: impl FnMut(&[u8])) -> io::Result<()> {
        let mut file = self.disk.open(&self.name, Open::Writer)?;
        let length = file.length()?;
        let whole = each_line(BufReader::new(FromStart::new(&mut file)), line)?;
        if whole < length {
            self.move_torn(&mut file, whole, length)?;
        }
        rewrite(&mut file, whole)?;
        self.disk.sync()?;
        let created = file.created()?;
        self.file = Some(Current { file, synced: whole, written: whole, created });
        Ok(())
    }

    /// Moves the torn last line out of the file.
    fn move_torn(&mut self, file: &mut D::File, whole: u64, length: u64) -> io::Result<()> {
        let mut torn = self.disk.open(&format!("{}.torn", self.name), Open::Writer)?;
        let mut at = torn.length()?;
        if at + (length - whole) > MAX_TORN {
            torn.set_length(0)?;
            at = 0;
        }
        let mut from = whole;
        let mut bytes = vec![0; CHUNK];
        // A line that no sink writes may be longer than anything: only as much as fits.
        while from < length && at < MAX_TORN {
            let count = file.read_at(&mut bytes, from)?;
            if count == 0 {
                break;
            }
            write_all_at(&mut torn, &bytes[..count], at)?;
            from += count as u64;
            at += count as u64;
        }
        write_all_at(&mut torn, b"\n", at)?;
        torn.sync()?;
        self.disk.sync()?;
        file.set_length(whole)?;
        file.sync()
    }

    /// Makes sure that the file is where people look for it.
    fn in_place(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.file else {
            self.disk.reopen()?;
            return self.open_current(|_| {});
        };
        let unsynced = current.written > current.synced;
        if self.disk.holds(&self.name, &current.file)? {
            let length = current.file.length()?;
            if length >= current.written {
                return Ok(());
            }
            // Someone else has cut it, as log rotation by copying does: go on at its end.
            current.written = length;
            current.synced = length;
            self.replaced += 1;
        } else {
            self.replaced += 1;
            self.compressing = None;
            self.untidy = true;
            self.file = None;
        }
        if unsynced {
            return Err(io::Error::new(
                io::ErrorKind::Interrupted,
                "the file was cut or exchanged by someone else",
            ));
        }
        if self.file.is_some() { Ok(()) } else { self.in_place() }
    }

    /// Whether the next line, of `more` bytes, goes to a new file. Before it is written, what came before must be
    /// synced for itself.
    pub fn is_due(&self, more: u64, now: SystemTime) -> bool {
        let Some(current) = &self.file else { return false };
        let full = self.rotation.bytes.is_some_and(|most| current.written + more > most);
        current.written > 0 && (full || self.is_old(now)) && !self.waits(now)
    }

    fn is_old(&self, now: SystemTime) -> bool {
        let (Some(current), Some(most)) = (&self.file, self.rotation.age) else { return false };
        // A clock that was set back makes files of the future: they are old when it has come.
        now.duration_since(current.created).is_ok_and(|age| age >= most)
    }

    /// Whether a rotation has just failed.
    fn waits(&self, now: SystemTime) -> bool {
        let (Some((written, when)), Some(current)) = (self.failed_rotation, &self.file) else { return false };
        current.written < written.saturating_add(RETRY.1)
            && now.duration_since(when).is_ok_and(|passed| passed < RETRY.0)
    }

    /// `NAME.1` becomes `NAME.2` and so on, `NAME` becomes `NAME.1`, and a new file is made. Each step leaves
    /// something that a reader understands.
    fn rotate(&mut self) -> io::Result<()> {
        self.compressing = None;
        self.untidy = true;
        if let Some(current) = &mut self.file
            && current.file.length()? > current.written
        {
            // What a failed write left behind belongs to the lines that come next.
            current.file.set_length(current.written)?;
            current.file.sync()?;
        }
        let names = self.disk.names()?;
        let (older, stale) = self.older(&names);
        // First: moved on by a rotation that does not end, it would be taken for another part.
        self.remove_stale(&stale)?;
        for (number, form, name) in older.into_iter().rev() {
            if number >= self.rotation.keep {
                self.disk.remove(name)?;
            } else {
                let end = if form == Form::Compressed { ".gz" } else { "" };
                self.disk.rename(name, &format!("{}.{}{end}", self.name, number + 1))?;
            }
        }
        if self.rotation.keep == 0 {
            self.disk.remove(&self.name)?;
        } else {
            self.disk.rename(&self.name, &format!("{}.1", self.name))?;
        }
        self.file = None;
        self.failed_rotation = None;
        let file = self.disk.open(&self.name, Open::New)?;
        self.disk.sync()?;
        let created = file.created()?;
        self.file = Some(Current { file, synced: 0, written: 0, created });
        Ok(())
    }

    /// Returns the older parts, the newest first, and what is left of compressions: parts that did not end, and the
    /// plain form of what is there compressed.
    fn older<'n>(&self, names: &'n [String]) -> (Vec<(u32, Form, &'n String)>, Vec<&'n String>) {
        let mut older: Vec<(u32, Form, &String)> =
            names.iter().filter_map(|name| self.number(name).map(|(n, form)| (n, form, name))).collect();
        older.sort_by_key(|(number, ..)| *number);
        let stale = |form: Form, name: &String| match form {
            Form::Part => true,
            Form::Plain => names.contains(&format!("{name}.gz")),
            Form::Compressed => false,
        };
        let (stale, older): (Vec<_>, Vec<_>) =
            older.into_iter().partition(|(_, form, name)| stale(*form, name));
        (older, stale.into_iter().map(|(.., name)| name).collect())
    }

    fn remove_stale(&mut self, stale: &[&String]) -> io::Result<()> {
        if !stale.is_empty() {
            // The compressed form must last before the plain one goes.
            self.disk.sync()?;
        }
        stale.iter().try_for_each(|name| self.disk.remove(name))
    }

    /// Returns which older part a name is, if it is one.
    fn number(&self, name: &str) -> Option<(u32, Form)> {
        let rest = name.strip_prefix(&self.name)?.strip_prefix('.')?;
        let (digits, form) = if let Some(digits) = rest.strip_suffix(".gz.part") {
            (digits, Form::Part)
        } else if let Some(digits) = rest.strip_suffix(".gz") {
            (digits, Form::Compressed)
        } else {
            (rest, Form::Plain)
        };
        let number: u32 = digits.parse().ok().filter(|number| *number > 0)?;
        (number.to_string() == digits).then_some((number, form))
    }

    fn compress_on(&mut self, mut compressing: Compressing<D::File>) -> io::Result<()> {
        let mut bytes = vec![0; CHUNK];
        let count =
            compressing.source.read_at(&mut bytes, compressing.read).inspect_err(|_| self.untidy = true)?;
        compressing.read += count as u64;
        let ended = count == 0;
        let result = (|| {
            compressing.encoder.write_all(&bytes[..count])?;
            if ended {
                compressing.encoder.try_finish()?;
            }
            let output = std::mem::take(compressing.encoder.get_mut());
            write_all_at(&mut compressing.target, &output, compressing.written)?;
            compressing.written += output.len() as u64;
            if ended {
                compressing.target.sync()?;
                let name = &compressing.name;
                self.disk.rename(&format!("{name}.gz.part"), &format!("{name}.gz"))?;
                self.disk.sync()?;
                self.disk.remove(name)?;
            }
            Ok(())
        })();
        match result {
            Ok(()) if !ended => self.compressing = Some(compressing),
            // Begun anew, from what is in the folder then.
            _ => self.untidy = true,
        }
        result
    }
}

/// Writes what is in a file over itself and syncs it. Whoever was killed may not have synced it; and where a sync has
/// failed the kernel may hold it in memory, as clean, and never write it, so that syncing alone would say nothing.
fn rewrite<F: DiskFile>(file: &mut F, length: u64) -> io::Result<()> {
    let mut bytes = vec![0; CHUNK];
    let mut at = 0;
    while at < length {
        let count = file.read_at(&mut bytes, at)?;
        if count == 0 {
            break;
        }
        let count = count.min((length - at) as usize);
        write_all_at(file, &bytes[..count], at)?;
        at += count as u64;
    }
    if length > 0 { file.sync() } else { Ok(()) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Compressed,
    /// A compression that did not end.
    Part,
}

/// Gives each whole line to `line`, with its line break; returns how many bytes they have.
///
/// A NUL, which no line of JSON has, ends it: a hole of unwritten blocks that a loss of power left, so that nothing
/// from there on had been synced.
fn each_line(mut reader: impl BufRead, mut line: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut whole = 0;
    let mut text = Vec::new();
    loop {
        text.clear();
        let mut length = 0u64;
        loop {
            let buffer = match reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Ok(whole);
            }
            let end = memchr::memchr(b'\n', buffer);
            let count = end.map_or(buffer.len(), |at| at + 1);
            // A line that no sink writes is passed over without being held.
            if text.len() + count <= crate::source::MAX_LINE {
                text.extend_from_slice(&buffer[..count]);
            }
            length += count as u64;
            reader.consume(count);
            if end.is_some() {
                break;
            }
        }
        if memchr::memchr(0, &text).is_some() {
            return Ok(whole);
        }
        whole += length;
        if length == text.len() as u64 {
            line(&text);
        }
    }
}

#[cfg(test)]
mod tests;
