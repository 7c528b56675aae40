//! What can be asked of a Mac.

use std::path::{Path, PathBuf};

use crate::program::{Output, Take};

/// A Mac: its own, or one of which was recorded what it said.
pub trait Mac {
    /// Runs one of the system's programs, by its absolute path, with a bounded time and output.
    ///
    /// # Errors
    /// It cannot be run, or did not end in time: why, in a few words.
    fn command(&self, program: &str, arguments: &[&str], take: Take) -> Result<Output, String>;

    /// Reads a file; none if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is larger than any that is asked for: why, in a few words.
    fn file(&self, path: &Path) -> Result<Option<Vec<u8>>, String>;

    /// Says whose a file is, without following a link; none if there is none.
    ///
    /// # Errors
    /// It cannot be looked at: why, in a few words.
    fn metadata(&self, path: &Path) -> Result<Option<Metadata>, String>;

    /// Returns where the sensor writes its status.
    fn status_file(&self) -> PathBuf;

    /// Returns the wall time, nanoseconds since 1970.
    fn now(&self) -> i64;

    /// Whether one asks as root, to whom alone macOS shows some of it.
    fn is_root(&self) -> bool;
}

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The owner's uid.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
    /// Whether it is a file, and no link, folder or device.
    pub is_file: bool,
}
