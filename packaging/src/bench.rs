//! `cargo xtask bench`: what Vedette costs, beside others.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many lines of ECS; of eslogger a quarter
    #[arg(long, default_value_t = 200_000)]
    lines: u64,
    /// How often everything is run
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// The core to run on
    #[arg(long, default_value_t = 0)]
    core: u32,
    /// A Python that may have the packages eql and duckdb
    #[arg(long, default_value = "python3")]
    python: String,
}

/// Builds the agent and the package `bench`, and has that compare.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("packaging/ has a parent")?;
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => folder.into(),
        None => root.join("target"),
    };
    cargo(root, &["build", "--release", "--bin", "vedette"])?;
    let vedette = target.join("release/vedette");
    let folder = target.join("bench");
    let manifest = root.join("packaging/bench/Cargo.toml");
    let texts = [&manifest, &vedette, &folder].map(|path| path.to_string_lossy().into_owned());
    let [manifest, vedette, folder] = &texts;
    let (lines, rounds, core) =
        (options.lines.to_string(), options.rounds.to_string(), options.core.to_string());
    let run = ["run", "--release", "--quiet", "--manifest-path", manifest, "--", "compare"];
    let what = ["--vedette", vedette, "--folder", folder, "--lines", &lines, "--rounds", &rounds];
    let how = ["--core", &core, "--python", &options.python];
    cargo(root, &[&run[..], &what[..], &how[..]].concat())
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status =
        Command::new(env!("CARGO")).args(arguments).current_dir(root).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}
