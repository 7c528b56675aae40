//! The Mach-O that ships, run on Linux: builds it, the harness (`tests/macos`) and the Linux binary to compare with.

use super::toolchain;
use super::ziglang::Ziglang;
use super::{Arch, build, output_folder};
use crate::{command, root, target_folder};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian's packages for programs of arm64 put things.
const QEMU: &str = "/usr/bin/qemu-aarch64-static";
const ARM64_LIBRARIES: &str = "/usr/aarch64-linux-gnu";
const LINUX_ARM64: &str = "aarch64-unknown-linux-gnu";

/// Builds what the harness needs and runs its tests.
///
/// # Errors
/// With what is missing and how to get it; if a test fails.
pub(super) fn test(arch: Arch, update_imports: bool) -> Result<()> {
    let mut tests = harness(arch, &[])?;
    if update_imports {
        tests.env("UPDATE_EXPECT", "1");
    }
    command::run(&mut tests)
}

/// Measures the x86_64 binary by a release build of the harness.
///
/// # Errors
/// As `test`.
pub(super) fn bench() -> Result<()> {
    let mut figures = harness(Arch::X86_64, &["--release"])?;
    // One after the other: each measures.
    let one = ["--ignored", "--nocapture", "--test-threads=1"];
    command::run(figures.args(["--test", "harness", "figures", "--"]).args(one))
}

/// The command that runs the harness's tests, after what they need was built.
fn harness(arch: Arch, options: &[&str]) -> Result<Command> {
    if !cfg!(target_os = "linux") {
        bail!("the harness stands in for macOS on Linux; on a Mac, run the binary itself");
    }
    let program = build::one(arch, None)?;
    let ziglang = Ziglang::find_or_install()?;
    let linux = target_folder().join("debug/vedette");
    command::run(
        cargo(&["build", "--locked", "--package", "vedette", "--bin", "vedette"])
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )?;

    let mut tests = cargo(&["test", "--locked", "--package", "macos-abi"]);
    tests
        .args(options)
        .env("MACOS_ABI_PROGRAM", program)
        .env("MACOS_ABI_LINUX_PROGRAM", linux)
        .env("MACOS_ABI_LIBSYSTEM_TBD", ziglang.libsystem_tbd())
        .env("MACOS_ABI_HEADERS", ziglang.headers());
    if arch == Arch::Aarch64 {
        let loader = arm64_loader(&ziglang)?;
        tests
            .env("MACOS_ABI_LOADER", loader)
            .env("MACOS_ABI_EMULATOR", format!("{QEMU} -L {ARM64_LIBRARIES}"));
    }
    Ok(tests)
}

/// The harness's own program for Linux on arm64.
fn arm64_loader(ziglang: &Ziglang) -> Result<PathBuf> {
    for (path, package) in [(QEMU, "qemu-user-static"), (ARM64_LIBRARIES, "libc6-arm64-cross")] {
        if !Path::new(path).exists() {
            bail!("{path} is missing; install Debian's package {package}");
        }
    }
    let linker = ziglang.write_linux_arm64_linker(&output_folder().join("sdk"))?;
    let mut build = cargo(&["build", "--locked", "--package", "macos-abi", "--target", LINUX_ARM64]);
    build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", linker);
    toolchain::with_standard_library(&mut build, LINUX_ARM64)?;
    command::run(&mut build).context("cannot build the harness for arm64")?;
    Ok(target_folder().join(LINUX_ARM64).join("debug/macos-abi"))
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args(arguments).env("CARGO_TARGET_DIR", target_folder());
    cargo
}
