//! Where alerts go.

mod delivery;
mod disk;
mod file;
mod folder;
mod rotating;
mod stdout;
mod unified_log;
#[cfg(test)]
mod world;

pub use delivery::{Delivered, Delivery, Lane, LaneOptions, LaneStart, LaneStatus, OpenDisk};
pub use disk::{Disk, DiskFile, Open};
pub use file::FileSink;
pub(crate) use file::key_of;
pub use folder::{Folder, Readers, Trust};
pub use rotating::{RotatingFile, Rotation};
pub use stdout::StdoutSink;
pub use unified_log::UnifiedLogSink;

use crate::alert::Alert;

/// Takes alerts and the enrichments of them.
pub trait Sink {
    /// Delivers one document.
    ///
    /// # Errors
    /// What could not be written, where and why.
    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError>;

    /// Makes sure that what was delivered stays: called at the end, and whenever nothing more is at hand.
    ///
    /// # Errors
    /// What could not be written, where and why.
    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Why a sink could not deliver.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Whoever read the output has gone: nothing more needs to be written.
    #[error("the reader of the output has gone")]
    Gone,
    /// The output failed.
    #[error("{what}: {error}")]
    Io {
        /// What was being done to which file.
        what: String,
        /// Why it failed.
        error: std::io::Error,
    },
}

impl SinkError {
    pub(crate) fn io(what: impl Into<String>, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => SinkError::Gone,
            _ => SinkError::Io { what: what.into(), error },
        }
    }
}
