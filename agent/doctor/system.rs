//! The Mac that this runs on.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::mac::{Mac, Metadata};
use crate::config;
use crate::program::{self, Output, Take};

/// The most that is read of a file, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// How long a program may take: `profiles` asks the MDM's client, `log` opens a store of half a gigabyte.
const MAX_TIME: Duration = Duration::from_secs(30);

/// The Mac that this runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Mac for System {
    fn command(&self, program: &str, arguments: &[&str], take: Take) -> Result<Output, String> {
        let mut command = program::command(Path::new(program));
        command.args(arguments);
        program::run(command, take, MAX_TIME)
    }

    fn file(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK)
            .open(path);
        let file = match opened {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| error.to_string())?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
        }
        Ok(Some(bytes))
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>, String> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
            Ok(found) => Ok(Some(Metadata {
                owner: found.uid(),
                mode: found.mode() & 0o7777,
                is_file: found.is_file(),
            })),
        }
    }

    fn status_file(&self) -> PathBuf {
        config::load(&config::Paths::standard()).config.status.file
    }

    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
    }

    fn is_root(&self) -> bool {
        nix::unistd::geteuid().is_root()
    }
}
