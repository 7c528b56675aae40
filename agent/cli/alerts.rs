//! `vedette alerts`: reads the alert file and its rotations.

mod list;
mod show;
mod since;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;

use self::since::Since;
use crate::alert_log::AlertLog;
use crate::config::{self, Paths};
use crate::rule::Severity;

/// What `vedette alerts` takes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List alerts, the newest last (the default)
    List(ListArguments),
    /// Show all that is known about one alert
    Show(ShowArguments),
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// Go on with new alerts as they come; without --since from now
    #[arg(short, long)]
    follow: bool,
    /// Only alerts of this time or later: 90s, 15m, 1h, 2d, 1w or 2026-11-24T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = Since::parse)]
    since: Option<Since>,
    /// Only alerts of this rule: its id, or part of its name; may be given several times
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// Only alerts that are at least this bad: low, medium, high, critical
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    severity: Option<Severity>,
    /// Write NDJSON even to a terminal: the lines as they stand in the file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: FileArgument,
}

#[derive(Debug, clap::Args)]
struct ShowArguments {
    /// The alert's event.id, or at least 4 characters of its beginning
    #[arg(value_name = "ID", value_parser = id)]
    id: String,
    /// Write NDJSON even to a terminal: the alert and what followed it, as they stand in the file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: FileArgument,
}

#[derive(Debug, clap::Args)]
struct FileArgument {
    /// The alert file; its rotations (FILE.1, FILE.2.gz, …) are read with it [default: the sensor's]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Lists, follows or shows alerts.
///
/// # Errors
/// The alert file cannot be read, or what is found cannot be written.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        None => list::run(&arguments.list),
        Some(Command::List(arguments)) => list::run(arguments),
        Some(Command::Show(arguments)) => show::run(arguments),
    }
}

impl FileArgument {
    /// The file that was named, else the one that the configuration names.
    fn path(&self) -> Cow<'_, Path> {
        match &self.file {
            Some(file) => file.into(),
            None => config::load(&Paths::standard()).config.alerts.file.into(),
        }
    }

    /// Refuses a file that somebody named and that is not there, nor any rotation of it.
    fn require(&self, log: &AlertLog) -> anyhow::Result<()> {
        if self.file.is_some() && log.files()?.is_empty() {
            bail!("{}: there is no such file, nor a rotation of it; check the path", self.path().display());
        }
        Ok(())
    }
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(&text.to_lowercase()).ok_or_else(|| "expected low, medium, high or critical".to_owned())
}

fn id(text: &str) -> Result<String, String> {
    if text.chars().count() < 4 {
        return Err("expected at least 4 characters of an event.id, as `vedette alerts` shows it".to_owned());
    }
    Ok(text.to_owned())
}

/// Returns a line as it is written: byte for byte, to a terminal with what would act on it escaped as JSON does.
fn line_out(line: &[u8], to_terminal: bool) -> Vec<u8> {
    let mut out = match std::str::from_utf8(line) {
        Ok(text) if to_terminal => {
            // Between tokens only these may stand; escaped they would be no JSON.
            let spaced = text.replace(['\t', '\r'], " ");
            crate::alert::escaped(spaced).into_bytes()
        }
        _ => line.to_vec(),
    };
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reaches_a_terminal_without_acting_on_it() {
        let line = "{\"a\":\t\"\u{9b}31m\u{202e}é\"}\r".as_bytes();
        assert_eq!(line_out(line, false), [line, b"\n"].concat());
        assert_eq!(line_out(line, true), "{\"a\": \"\\u009b31m\\u202eé\"} \n".as_bytes());
    }
}
