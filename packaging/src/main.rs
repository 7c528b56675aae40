//! `cargo xtask …`: the build steps that cargo alone cannot do.

mod macos;

use clap::{Parser, Subcommand};
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
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Macos(task) => macos::run(&task),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
