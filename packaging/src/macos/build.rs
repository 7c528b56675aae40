//! The release binary for darwin, linked on Linux.

use super::toolchain;
use super::ziglang::Ziglang;
use super::{Arch, MINIMUM_MACOS, output_folder, paths, sdk, universal};
use crate::{command, root, target_folder};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds one architecture and returns the path of its binary, `target/macos/ARCH/vedette`: what ships, without the map
/// to debug information, which names object files by their paths on this machine. `prefix` is what its ids begin with, if
/// not `dev.vedette`.
///
/// # Errors
/// With what is missing and how to get it, or as cargo.
pub(super) fn one(arch: Arch, prefix: Option<&str>) -> Result<PathBuf> {
    let linked = link(arch, prefix, &["-Clink-arg=-S"])?;
    let folder = output_folder().join(arch.name());
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("vedette");
    fs::copy(&linked, &path)
        .with_context(|| format!("cannot copy {} to {}", linked.display(), path.display()))?;
    Ok(path)
}

/// Links one architecture with its map to debug information, and returns where the binary lies until the next link.
///
/// # Errors
/// As `one`.
pub(crate) fn with_debug_map(arch: Arch, prefix: Option<&str>) -> Result<PathBuf> {
    link(arch, prefix, &[])
}

/// `last` is for the last call of rustc only, which links.
fn link(arch: Arch, prefix: Option<&str>, last: &[&str]) -> Result<PathBuf> {
    let mut cargo = cargo("rustc", arch)?;
    cargo.args(["--release", "--package", "vedette", "--bin", "vedette", "--"]).args(last);
    match prefix {
        Some(prefix) => cargo.env("VEDETTE_PREFIX", prefix),
        None => cargo.env_remove("VEDETTE_PREFIX"),
    };
    command::run(&mut cargo)?;
    Ok(target_folder().join(arch.target()).join("release/vedette"))
}

/// Runs clippy over what is built for one architecture; each of its findings is an error.
///
/// # Errors
/// As `one`.
pub(super) fn lint(arch: Arch) -> Result<()> {
    command::run(cargo("clippy", arch)?.args(["--workspace", "--", "-D", "warnings"]))
}

/// A cargo command for darwin, with its linker, stub libraries and C compiler.
fn cargo(subcommand: &str, arch: Arch) -> Result<Command> {
    let ziglang = Ziglang::find_or_install()?;
    let stubs = output_folder().join("sdk");
    sdk::write(&stubs, &ziglang)?;
    let cc = ziglang.write_cc(&stubs, arch.name())?;
    let ar = ziglang.write_ar(&stubs)?;
    let target = arch.target();

    let upper = target.replace('-', "_").to_uppercase();
    let lower = target.replace('-', "_");
    let mut flags = vec![
        "-Clinker-flavor=ld64.lld".to_owned(),
        format!("-Clink-arg=-L{}/usr/lib", stubs.display()),
        format!("-Clink-arg=-F{}/System/Library/Frameworks", stubs.display()),
        "-Clink-arg=-syslibroot".to_owned(),
        format!("-Clink-arg={}", stubs.display()),
    ];
    flags.extend(paths::remapped(&target)?);
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args([subcommand, "--locked", "--target", &target])
        .env("CARGO_TARGET_DIR", target_folder())
        // The separator that a path cannot hold. Build scripts do not get these flags, as there is a `--target`.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env(format!("CARGO_TARGET_{upper}_LINKER"), toolchain::linker()?)
        .env("MACOSX_DEPLOYMENT_TARGET", MINIMUM_MACOS)
        .env("SDKROOT", &stubs)
        .env(format!("CC_{lower}"), cc)
        .env(format!("AR_{lower}"), ar)
        .env(format!("CFLAGS_{lower}"), format!("-I{}", sdk::include_folder().display()))
        // No flags of the crate cc's own: it would ask xcrun for Apple's SDK.
        .env("CRATE_CC_NO_DEFAULTS", "1");
    toolchain::with_standard_library(&mut cargo, &target)?;
    Ok(cargo)
}

/// Builds both architectures and joins them; returns the path of the universal binary, `target/macos/vedette`.
///
/// # Errors
/// As `one`.
pub(crate) fn both(prefix: Option<&str>) -> Result<PathBuf> {
    let mut slices = Vec::new();
    for arch in Arch::ALL {
        let path = one(arch, prefix)?;
        slices.push(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let path = output_folder().join("vedette");
    let joined = universal::join(&slices).context("cannot join the two architectures")?;
    fs::write(&path, joined).with_context(|| format!("cannot write {}", path.display()))?;
    make_executable(&path)?;
    println!("{}", path.display());
    Ok(path)
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}
