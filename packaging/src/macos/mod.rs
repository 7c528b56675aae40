//! `cargo xtask macos …`: cross-builds of the darwin binary, and its trial on Linux.
//!
//! Nothing of Apple's is needed or fetched: the linker is the `rust-lld` of the Rust toolchain, the libraries are stubs
//! (`sdk`), C is compiled by the zig of PyPI's `ziglang` (`ziglang`).

mod abi;
mod build;
mod paths;
mod sdk;
mod toolchain;
mod universal;
mod ziglang;

pub(crate) use build::{both, with_debug_map};
pub(crate) use ziglang::cache_folder;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Cross-build target/macos/{x86_64,aarch64}/vedette and join them to target/macos/vedette.
    Build(BuildArgs),
    /// Run clippy over what is built for one architecture.
    Lint(LintArgs),
    /// Build one architecture and run it on Linux against the stand-ins of tests/macos.
    Test(TestArgs),
    /// Measure the x86_64 one there, for BENCHMARKS.md.
    Bench,
}

#[derive(Args)]
pub(crate) struct BuildArgs {
    /// Build only this architecture, and join nothing.
    #[arg(long)]
    arch: Option<Arch>,
}

#[derive(Args)]
pub(crate) struct LintArgs {
    /// Which one.
    #[arg(long)]
    arch: Arch,
}

#[derive(Args)]
pub(crate) struct TestArgs {
    /// The arm64 binary, under qemu-user.
    #[arg(long)]
    arm64: bool,
    /// Add to and correct tests/macos/imports.txt, which a person then reviews in git's diff.
    #[arg(long)]
    update_imports: bool,
}

/// A processor architecture of Macs, by Rust's name for it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// Intel Macs.
    #[value(name = "x86_64")]
    X86_64,
    /// Macs with Apple silicon.
    #[value(name = "aarch64")]
    Aarch64,
}

impl Arch {
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// What Rust and zig call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Rust's target for macOS on it.
    fn target(self) -> String {
        format!("{}-apple-darwin", self.name())
    }
}

/// The oldest macOS that the agent supports: Cargo's builds, zig's target and the imports' check agree on it.
pub(crate) const MINIMUM_MACOS: &str = "13.0";

pub(crate) fn run(task: &Task) -> Result<()> {
    match task {
        Task::Build(BuildArgs { arch: Some(arch) }) => build::one(*arch, None).map(drop),
        Task::Build(BuildArgs { arch: None }) => build::both(None).map(drop),
        Task::Lint(arguments) => build::lint(arguments.arch),
        Task::Test(arguments) => {
            let arch = if arguments.arm64 { Arch::Aarch64 } else { Arch::X86_64 };
            abi::test(arch, arguments.update_imports)
        }
        Task::Bench => abi::bench(),
    }
}

/// Where what is made for Macs lies.
fn output_folder() -> PathBuf {
    crate::target_folder().join("macos")
}
