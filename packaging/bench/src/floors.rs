//! What any program that reads such a recording has to do at least, with nothing found.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Floor {
    /// Lines are told apart.
    Split,
    /// serde_json checks each line and builds nothing.
    SerdeSkip,
    /// sonic-rs builds each line's values.
    SonicDom,
}

/// Does it for each line of a file, and returns how many there were.
pub(crate) fn run(floor: Floor, path: &Path) -> anyhow::Result<u64> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut line = Vec::new();
    let mut lines = 0;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(lines);
        }
        lines += 1;
        let whole = match floor {
            Floor::Split => !line.is_empty(),
            Floor::SerdeSkip => serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok(),
            Floor::SonicDom => sonic_rs::from_slice::<sonic_rs::Value>(&line).is_ok(),
        };
        if !whole {
            bail!("line {lines} of {} is no JSON", path.display());
        }
    }
}
