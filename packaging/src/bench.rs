//! `cargo xtask bench` and `cargo xtask instructions`: what Vedette costs, beside others and beside what it did.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many lines of ECS; of eslogger a quarter
    #[arg(long, default_value_t = 400_000)]
    lines: u64,
    /// How often everything is run
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// The core to run on; `--jobs 2` has one more
    #[arg(long, default_value_t = 0)]
    core: u32,
    /// A folder of rules to load beside the one that finds what is planted
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// A Python that may have the packages eql and duckdb
    #[arg(long, default_value = "python3")]
    python: String,
    /// rsigma 0.23, if it is installed
    #[arg(long, default_value = "rsigma")]
    rsigma: String,
}

/// Builds the agent and the package `bench`, and has that compare.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut bench = program("compare")?;
    bench.args(["--lines", &options.lines.to_string(), "--rounds", &options.rounds.to_string()]);
    bench.args(["--core", &options.core.to_string()]);
    bench.args(["--python", &options.python, "--rsigma", &options.rsigma]);
    if let Some(folder) = &options.rules {
        bench.arg("--rules").arg(std::path::absolute(folder).context("--rules")?);
    }
    command::run(&mut bench)
}

/// Builds the same, and has it count instructions.
pub(crate) fn instructions() -> Result<()> {
    command::run(&mut program("instructions")?)
}

/// Builds the agent and `bench`, and returns the latter's command for one of its tasks.
fn program(task: &str) -> Result<Command> {
    let target = std::path::absolute(crate::target_folder()).context("the folder of builds")?;
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        // Built in pieces, as it is where builds are incremental, the same source takes other instructions.
        cargo.args(arguments).current_dir(crate::root()).env("CARGO_INCREMENTAL", "0");
        cargo
    };
    command::run(&mut cargo(&["build", "--release", "--locked", "--bin", "vedette"]))?;
    let tools = target.join("bench-tools");
    let mut build =
        cargo(&["build", "--release", "--locked", "--manifest-path", "packaging/bench/Cargo.toml"]);
    command::run(build.arg("--target-dir").arg(&tools))?;
    let mut bench = Command::new(tools.join("release/bench"));
    bench.arg(task).current_dir(crate::root());
    bench.arg("--vedette").arg(target.join("release/vedette"));
    bench.arg("--folder").arg(target.join("bench"));
    Ok(bench)
}
