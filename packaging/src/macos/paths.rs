//! Paths of the machine that builds, which must not stand in what ships: panic messages and debug information name files.
//!
//! Each becomes a name that is the same on every machine, so that the same source also gives the same bytes.

use super::toolchain;
use crate::{command, root, target_folder};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The flags for rustc that rename this machine's folders: the source, its crates, the build folder, the toolchain.
///
/// # Errors
/// If crates cannot be fetched, or where they lie cannot be found out.
pub(super) fn remapped(target: &str) -> Result<Vec<String>> {
    // The folders of the crates are known once they are there.
    command::run(
        Command::new("cargo").current_dir(root()).args(["fetch", "--quiet", "--locked", "--target", target]),
    )?;
    let mut renamed = vec![(absolute(root())?, "/vedette")];
    renamed.push((absolute(&target_folder())?, "/target"));
    for folder in crate_folders()? {
        renamed.push((folder, "/crates"));
    }
    renamed.push((toolchain::sysroot()?, "/rust"));
    // Of several that fit, rustc takes the last.
    Ok(renamed.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect())
}

/// Where cargo unpacks crates: a folder for each registry, named after the registry.
fn crate_folders() -> Result<Vec<PathBuf>> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let source = home.join("registry/src");
    let folders = fs::read_dir(&source).with_context(|| format!("cannot list {}", source.display()))?;
    let mut folders = folders.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    folders.sort();
    Ok(folders)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} cannot be made absolute", path.display()))
}
