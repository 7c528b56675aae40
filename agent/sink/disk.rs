//! What a rotating file asks of the folder that it lives in.
//!
//! A seam, so that a full disk, a failing one and a loss of power can be tried without one: [`Folder`] is the real
//! thing, the tests have others.
//!
//! [`Folder`]: super::Folder

use std::io::{self, Read};
use std::time::SystemTime;

/// A folder of files. A name is one component of a path.
pub trait Disk {
    /// A file in it, open for reading and writing.
    type File: DiskFile;

    /// Opens a file.
    ///
    /// # Errors
    /// As of `open(2)`. Something that is no plain file of the folder's owner is an error.
    fn open(&mut self, name: &str, how: Open) -> io::Result<Self::File>;

    /// Returns the names of what is in the folder, in no order.
    ///
    /// # Errors
    /// The folder cannot be read.
    fn names(&mut self) -> io::Result<Vec<String>>;

    /// Gives a file another name, in the place of what has that name.
    ///
    /// # Errors
    /// As of `rename(2)`.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As of `unlink(2)`.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes sure that new names, renames and removals outlast a loss of power.
    ///
    /// # Errors
    /// As of `fsync(2)`.
    fn sync(&mut self) -> io::Result<()>;

    /// Returns whether `name`, on the path by which people reach it, is still `file`.
    ///
    /// # Errors
    /// It cannot be told.
    fn holds(&mut self, name: &str, file: &Self::File) -> io::Result<bool>;

    /// Opens the folder anew by its path, which may lead elsewhere by now.
    ///
    /// # Errors
    /// The path leads nowhere, or to a folder that is not to be trusted.
    fn reopen(&mut self) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must exist.
    Existing,
    /// It is made if there is none. Held against other writers for as long as it is open.
    Writer,
    /// It must not exist; held like a [`Writer`](Open::Writer)'s.
    New,
}

/// An open file.
pub trait DiskFile {
    /// Writes some of `bytes` at `offset`; returns how many.
    ///
    /// # Errors
    /// As of `pwrite(2)`.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads some bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// As of `pread(2)`.
    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Returns its length in bytes.
    ///
    /// # Errors
    /// As of `fstat(2)`.
    fn length(&self) -> io::Result<u64>;

    /// Cuts it to a length in bytes.
    ///
    /// # Errors
    /// As of `ftruncate(2)`.
    fn set_length(&mut self, length: u64) -> io::Result<()>;

    /// Makes sure that what was written outlasts a loss of power (`F_FULLFSYNC` on a Mac).
    ///
    /// # Errors
    /// As of `fsync(2)`. What was written since the last time may or may not have reached the disk: the kernel may
    /// drop it after having said so once, so it has to be written again.
    fn sync(&mut self) -> io::Result<()>;

    /// Returns when it was made.
    ///
    /// # Errors
    /// It cannot be told.
    fn created(&self) -> io::Result<SystemTime>;
}

/// Reads a file from its beginning.
pub(super) struct FromStart<'f, F> {
    file: &'f mut F,
    offset: u64,
}

impl<'f, F: DiskFile> FromStart<'f, F> {
    pub(super) fn new(file: &'f mut F) -> Self {
        FromStart { file, offset: 0 }
    }
}

impl<F: DiskFile> Read for FromStart<'_, F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(bytes, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// Writes all of `bytes` at `offset`.
pub(super) fn write_all_at<F: DiskFile>(file: &mut F, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => {
                bytes = &bytes[length..];
                offset += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
