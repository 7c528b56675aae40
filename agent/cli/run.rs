//! `vedette run`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use eql::Level;

use super::output;
use crate::alert::json_line;
use crate::config::{self, Loaded, Paths, Place, report};

/// What `vedette run` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Check the configuration and show each key's value and origin, on any system; do not run
    #[arg(long)]
    check_config: bool,
    /// Check this file in the place of the local configuration
    #[arg(long, value_name = "FILE", requires = "check_config")]
    config: Option<PathBuf>,
    /// Check this property list in the place of the managed preferences
    #[arg(long, value_name = "FILE", requires = "check_config")]
    managed: Option<PathBuf>,
    /// Write the result of the check as JSON even to a terminal
    #[arg(long, requires = "check_config")]
    json: bool,
}

/// Runs the sensor, or checks its configuration.
///
/// # Errors
/// This is no Mac, the system gives no thread, a file that was named does not exist, or standard output cannot be
/// written.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.check_config {
        return check(arguments);
    }
    live()
}

#[cfg(target_os = "macos")]
fn live() -> anyhow::Result<ExitCode> {
    output::say(format_args!(
        "vedette: the sensor in the foreground, for development Macs; Ctrl-C ends it. What it does: `vedette status`.\n"
    ));
    Ok(crate::macos::run()?)
}

#[cfg(not(target_os = "macos"))]
fn live() -> anyhow::Result<ExitCode> {
    bail!(
        "`run` watches a Mac through Endpoint Security, and this is no Mac; `vedette replay` runs recordings on any \
         system (`sudo eslogger exec fork exit > events.ndjson` makes one on a Mac)"
    )
}

fn check(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    for path in [&arguments.config, &arguments.managed].into_iter().flatten() {
        exists(path)?;
    }
    let loaded = config::load(&paths(arguments));
    for finding in &loaded.findings {
        output::say(format_args!("{}", finding.rendered));
    }
    let mut stdout = std::io::stdout().lock();
    match output::style(arguments.json) {
        None => writeln!(stdout, "{}", json_line(&report::json(&loaded)))?,
        Some(style) => stdout.write_all(report::text(&loaded, style).as_bytes())?,
    }
    output::say(format_args!("{}\n", summary(&loaded)));
    Ok(if loaded.has_errors() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn paths(arguments: &Arguments) -> Paths {
    let mut paths = Paths::standard();
    if let Some(file) = &arguments.config {
        paths.file = Place { path: file.clone(), installed: false };
    }
    if let Some(managed) = &arguments.managed {
        paths.managed = Place { path: managed.clone(), installed: false };
    }
    paths
}

/// A file that is named is meant; only the standard ones need not be there.
fn exists(path: &Path) -> anyhow::Result<()> {
    match path.symlink_metadata() {
        Err(error) => bail!("{}: the configuration cannot be read: {error}", path.display()),
        Ok(_) => Ok(()),
    }
}

fn summary(loaded: &Loaded) -> String {
    let count = |level: Level| loaded.findings.iter().filter(|finding| finding.level == level).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let locked = if loaded.locked { "; locked: this Mac is managed" } else { "" };
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    format!("{}, {}{locked}", plural(errors, "error"), plural(warnings, "warning"))
}
