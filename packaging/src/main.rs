//! `cargo xtask …`: the build steps that cargo alone cannot do.

mod bench;
mod command;
mod macho;
mod macos;
mod pkg;
mod signature;
mod verify;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Vedette's build steps that cargo alone cannot do.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The binaries that run on a Mac, made and tried on Linux.
    #[command(subcommand)]
    Macos(macos::Task),
    /// Make the package for Macs: target/pkg/Vedette-VERSION.pkg.
    Pkg(Box<pkg::PkgArgs>),
    /// Check a package part by part, on any system.
    VerifyPkg(verify::VerifyArgs),
    /// What Vedette costs, beside other programs, over generated recordings.
    Bench(bench::Options),
    /// How many instructions an event takes, beside what is committed; counted by valgrind.
    Instructions,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Macos(task) => macos::run(&task),
        Task::Pkg(arguments) => pkg::run(&arguments),
        Task::VerifyPkg(arguments) => verify::run(&arguments),
        Task::Bench(options) => bench::run(&options),
        Task::Instructions => bench::instructions(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root, of which this package is a folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("packaging/ has a parent folder")
}

/// The folder of the root's builds: `CARGO_TARGET_DIR`, else `target`.
fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
