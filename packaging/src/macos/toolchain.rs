//! The Rust toolchain: its standard library for a target, and its linker.

use crate::{command, root};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a target's standard library comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StandardLibrary {
    /// The toolchain has it.
    Prebuilt,
    /// It is compiled from the toolchain's copy of its source.
    Source,
}

/// Finds out where a target's standard library comes from; rustup is asked to fetch it.
///
/// # Errors
/// If there is neither the library nor its source.
pub(super) fn standard_library(target: &str) -> Result<StandardLibrary> {
    let rustlib = sysroot()?.join("lib/rustlib");
    if rustlib.join(target).join("lib").is_dir() {
        return Ok(StandardLibrary::Prebuilt);
    }
    let added = command::run(Command::new("rustup").current_dir(root()).args(["target", "add", target]));
    let Err(error) = added else { return Ok(StandardLibrary::Prebuilt) };
    if rustlib.join("src/rust/library/std/Cargo.toml").is_file() {
        eprintln!("xtask: {error:#}; the standard library for {target} is compiled from its source");
        return Ok(StandardLibrary::Source);
    }
    Err(error).with_context(|| {
        format!(
            "Rust's standard library for {target} is needed, or its source: `rustup component add rust-src`, or \
             Debian's rustc-web and rust-web-src"
        )
    })
}

/// The linker: rustup's toolchains carry one, Debian has it in the package lld.
///
/// # Errors
/// If there is none.
pub(super) fn linker() -> Result<PathBuf> {
    let host = command::output(Command::new("rustc").current_dir(root()).arg("-vV"))?;
    let host =
        host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let own = sysroot()?.join("lib/rustlib").join(host).join("bin/rust-lld");
    match [&own, Path::new("/usr/bin/ld64.lld")].into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.to_owned()),
        None => bail!(
            "{} is missing; use a toolchain of rustup's, whose component rustc carries it, or install Debian's lld",
            own.display()
        ),
    }
}

/// The folder of the toolchain.
///
/// # Errors
/// As rustc.
pub(super) fn sysroot() -> Result<PathBuf> {
    command::output(Command::new("rustc").current_dir(root()).args(["--print", "sysroot"])).map(PathBuf::from)
}
