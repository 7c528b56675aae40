//! A Mac of which was recorded what it said: `mac.toml` in a folder.
//!
//! ```toml
//! based_on = "../healthy"        # what is not said here is as it is there
//! now = "2026-11-24T09:00:00Z"
//! root = true
//!
//! [[command]]
//! run = "/usr/bin/sw_vers -productVersion"
//! stdout = "26.6.2\n"            # and `status`, 0 if it is not said; or `error` where it could not be run
//!
//! [[file]]
//! path = "/Library/Logs/Vedette/alerts.ndjson"
//! text = ""                      # or `from`, a file of the folder; or `error`; or `absent = true`
//! owner = 0
//! mode = 0o600
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::mac::{Mac, Metadata};
use crate::config::Config;
use crate::program::{Output, Take};
use crate::timestamp;

/// How many recordings may be based on one another.
const MAX_BASES: usize = 4;

/// A recorded Mac. What it was not asked for is not there.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    now: i64,
    root: bool,
    commands: BTreeMap<String, Result<Output, String>>,
    files: BTreeMap<PathBuf, RecordedFile>,
}

type RecordedFile = Result<Option<(Vec<u8>, Metadata)>, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    based_on: Option<PathBuf>,
    now: Option<String>,
    root: Option<bool>,
    #[serde(default)]
    command: Vec<RawCommand>,
    #[serde(default)]
    file: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCommand {
    run: String,
    #[serde(default)]
    status: i32,
    #[serde(default)]
    stdout: String,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: PathBuf,
    text: Option<String>,
    from: Option<PathBuf>,
    error: Option<String>,
    #[serde(default)]
    absent: bool,
    #[serde(default)]
    owner: u32,
    #[serde(default = "ordinary_mode")]
    mode: u32,
}

fn ordinary_mode() -> u32 {
    0o644
}

impl Recorded {
    /// Reads `mac.toml` of a folder.
    ///
    /// # Errors
    /// It cannot be read, or is not as it should be; a sentence that names the file.
    pub fn read(folder: &Path) -> Result<Self, String> {
        Self::read_based(folder, MAX_BASES)
    }

    fn read_based(folder: &Path, bases: usize) -> Result<Self, String> {
        let path = folder.join("mac.toml");
        let named = |reason: String| format!("{}: {reason}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| named(error.to_string()))?;
        let raw: Raw = toml::from_str(&text).map_err(|error| named(error.to_string()))?;
        let mut mac = match &raw.based_on {
            Some(_) if bases == 0 => {
                return Err(named("too many recordings are based on one another".into()));
            }
            Some(base) => Self::read_based(&folder.join(base), bases - 1)?,
            None => Recorded::default(),
        };
        if let Some(now) = &raw.now {
            mac.now = timestamp::parse(now).map_err(|_| named(format!("`{now}` is no time")))?;
        }
        mac.root = raw.root.unwrap_or(mac.root);
        for command in raw.command {
            let output = Output { status: command.status, text: command.stdout };
            mac.commands.insert(command.run, command.error.map_or(Ok(output), Err));
        }
        for file in raw.file {
            let metadata = Metadata { owner: file.owner, mode: file.mode, is_file: true };
            let content = match (file.error, file.absent, file.from) {
                (Some(error), ..) => Err(error),
                (None, true, _) => Ok(None),
                (None, false, Some(from)) => {
                    let bytes =
                        std::fs::read(folder.join(&from)).map_err(|error| named(error.to_string()))?;
                    Ok(Some((bytes, metadata)))
                }
                (None, false, None) => Ok(Some((file.text.unwrap_or_default().into_bytes(), metadata))),
            };
            mac.files.insert(file.path, content);
        }
        Ok(mac)
    }
}

impl Mac for Recorded {
    fn command(&self, program: &str, arguments: &[&str], take: Take) -> Result<Output, String> {
        let run = std::iter::once(program).chain(arguments.iter().copied()).collect::<Vec<_>>().join(" ");
        let recorded = self.commands.get(&run).cloned();
        let mut output =
            recorded.unwrap_or_else(|| Err(format!("{program} cannot be run: it was not recorded")))?;
        if take == Take::FirstLine {
            let end = output.text.find('\n').map_or(output.text.len(), |end| end + 1);
            output.text.truncate(end);
        }
        Ok(output)
    }

    fn file(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        let file = self.files.get(path).cloned().unwrap_or(Ok(None))?;
        Ok(file.map(|(bytes, _)| bytes))
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>, String> {
        let file = self.files.get(path).cloned().unwrap_or(Ok(None))?;
        Ok(file.map(|(_, metadata)| metadata))
    }

    fn status_file(&self) -> PathBuf {
        Config::default().status.file
    }

    fn now(&self) -> i64 {
        self.now
    }

    fn is_root(&self) -> bool {
        self.root
    }
}
