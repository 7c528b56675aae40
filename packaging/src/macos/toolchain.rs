//! The Rust toolchain: its standard library for a target, and a linker for Mach-O.

use crate::{command, root};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sees to it that a cargo command has the standard library for its target: the toolchain's, which rustup is asked to
/// fetch, or one that cargo compiles from the toolchain's copy of its source.
///
/// # Errors
/// If there is neither the library nor its source.
pub(super) fn with_standard_library(cargo: &mut Command, target: &str) -> Result<()> {
    let rustlib = sysroot()?.join("lib/rustlib");
    if rustlib.join(target).join("lib").is_dir() {
        return Ok(());
    }
    let Err(error) = rustup(&["target", "add", target]) else { return Ok(()) };
    let source = rustlib.join("src/rust/library/std/Cargo.toml");
    if !source.is_file() {
        rustup(&["component", "add", "rust-src"]).with_context(|| missing(target, &rustlib))?;
    }
    eprintln!("xtask: {error:#}; the standard library for {target} is compiled from its source");
    // Stable cargo takes -Z only so; std itself is written in the compiler's unstable features anyway.
    cargo.arg("-Zbuild-std=std,panic_unwind").env("RUSTC_BOOTSTRAP", "1");
    Ok(())
}

fn rustup(arguments: &[&str]) -> Result<()> {
    command::run(Command::new("rustup").current_dir(root()).args(arguments))
}

/// What to do where rustup fetches nothing.
fn missing(target: &str, rustlib: &Path) -> String {
    format!(
        "Rust's standard library for {target} is missing, and so is its source in {}; rustup could fetch neither, for the \
         reasons above. Use a toolchain that has one of them, as Debian's packages rustc-web, cargo-web, rust-web-src \
         and lld-22 together do; the source must be that of the compiler's own release",
        rustlib.join("src").display()
    )
}

/// The linker: rustup's toolchains carry one, Debian has one in each of its packages lld-NN.
///
/// # Errors
/// If there is none.
pub(super) fn linker() -> Result<PathBuf> {
    let host = command::output(Command::new("rustc").current_dir(root()).arg("-vV"))?;
    let host =
        host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let own = sysroot()?.join("lib/rustlib").join(host).join("bin/rust-lld");
    if own.is_file() {
        return Ok(own);
    }
    match newest_lld(Path::new("/usr/lib")) {
        Some(path) => Ok(path),
        None => bail!(
            "{} is missing; use a toolchain of rustup's, whose component rustc carries it, or install Debian's lld-22",
            own.display()
        ),
    }
}

/// Debian's newest linker for Mach-O, `llvm-NN/bin/ld64.lld` in `folder`.
fn newest_lld(folder: &Path) -> Option<PathBuf> {
    let version = |name: &str| name.strip_prefix("llvm-")?.parse::<u32>().ok();
    let folders = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let all =
        folders.filter_map(|path| Some((version(path.file_name()?.to_str()?)?, path.join("bin/ld64.lld"))));
    all.filter(|(_, path)| path.is_file()).max().map(|(_, path)| path)
}

/// The folder of the toolchain.
///
/// # Errors
/// As rustc.
pub(super) fn sysroot() -> Result<PathBuf> {
    command::output(Command::new("rustc").current_dir(root()).args(["--print", "sysroot"])).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_debians_linkers_the_newest_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["llvm-9", "llvm-14", "llvm-22", "llvm-x"] {
            fs::create_dir_all(folder.path().join(name).join("bin")).expect("a folder");
        }
        assert_eq!(newest_lld(folder.path()), None);
        for name in ["llvm-9", "llvm-14", "llvm-x"] {
            fs::write(folder.path().join(name).join("bin/ld64.lld"), "").expect("a file");
        }
        assert_eq!(newest_lld(folder.path()), Some(folder.path().join("llvm-14/bin/ld64.lld")));
    }
}
