//! Runs a program and says what it cost.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// What one run cost and gave.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    /// Seconds of processor time, the program's and the kernel's for it.
    pub(crate) seconds: f64,
    /// Seconds that went by.
    pub(crate) wall: f64,
    /// The most memory, in bytes.
    pub(crate) memory: u64,
    /// What it wrote to standard output.
    pub(crate) output: String,
}

/// Runs a command on some cores (`0`, `0,1`) and measures it. A process of its own waits for it, so that what is
/// measured is it alone.
pub(crate) fn run(cores: &str, command: &[String]) -> anyhow::Result<Run> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let done = Command::new("taskset")
        .args(["-c", cores])
        .arg(own)
        .args(["measured", "--"])
        .args(command)
        .stdin(Stdio::null())
        .output()
        .context("cannot run taskset (util-linux)")?;
    if !done.status.success() {
        bail!("`{}` failed: {}", command.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    serde_json::from_slice(&done.stdout)
        .with_context(|| format!("`{}` gave no measurement", command.join(" ")))
}

/// Runs a command and writes to standard output, as JSON, what it cost.
pub(crate) fn measured(command: &[String]) -> anyhow::Result<()> {
    let [program, arguments @ ..] = command else { bail!("no command") };
    let start = Instant::now();
    let done = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", Path::new(program).display()))?;
    if !done.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let wall = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let output = String::from_utf8_lossy(&done.stdout).into_owned();
    let run = Run { seconds: micros as f64 / 1e6, wall, memory: usage.max_rss() as u64 * 1024, output };
    println!("{}", serde_json::to_string(&run)?);
    Ok(())
}
