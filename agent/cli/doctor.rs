//! `vedette doctor`.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::output;
use crate::config::{self, Paths};
use crate::doctor::{self, Check, Recorded, Verdict};
use crate::network::probe;
use crate::readable::{Style, visible};

/// What `vedette doctor` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write JSON even to a terminal
    #[arg(long, conflicts_with = "plist")]
    json: bool,
    /// Write a property list, for an inventory
    #[arg(long)]
    plist: bool,
    /// Judge what was recorded of a Mac in this folder (mac.toml), on any system
    #[arg(long, value_name = "DIR")]
    recorded: Option<PathBuf>,
    /// Also try each network source with connections of our own, and show what it told; takes some seconds, needs root
    #[arg(long, conflicts_with = "recorded")]
    probe_network: bool,
}

/// Says what keeps the sensor from working. The exit code is 0 if nothing fails, 1 if something does.
///
/// # Errors
/// This is no Mac, the recording cannot be read, or standard output cannot be written.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut checks = match &arguments.recorded {
        Some(folder) => doctor::examine(&Recorded::read(folder).map_err(anyhow::Error::msg)?),
        None => here()?,
    };
    if arguments.probe_network {
        let status = config::load(&Paths::standard()).config.status.file;
        checks.extend(doctor::probed(&probe::reports(&status)));
    }
    match output::style(arguments.json) {
        Some(style) if !arguments.plist => {
            std::io::stdout().lock().write_all(page(&checks, style).as_bytes())?;
        }
        _ => output::machine(&doctor::document(&checks), arguments.plist)?,
    }
    Ok(if doctor::worst(&checks) == Verdict::Fail { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

#[cfg(target_os = "macos")]
fn here() -> anyhow::Result<Vec<Check>> {
    Ok(doctor::examine(&doctor::System))
}

#[cfg(not(target_os = "macos"))]
fn here() -> anyhow::Result<Vec<Check>> {
    anyhow::bail!(
        "`doctor` looks at a Mac, and this is none; `--recorded DIR` judges what was recorded of one \
         (docs/deploy.md says how)"
    )
}

/// The width of the column of titles.
const TITLE: usize = 19;

/// The page for people: a line for each check, its next step below it.
fn page(checks: &[Check], style: Style) -> String {
    let mut page = String::new();
    for check in checks {
        let (word, colour) = match check.verdict {
            Verdict::Pass => ("pass", "32"),
            Verdict::Warn => ("warn", "1;33"),
            Verdict::Fail => ("FAIL", "1;31"),
        };
        let word = if style.colour { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word.to_owned() };
        row(&mut page, &format!("{word}  {:<TITLE$}", check.title), &check.found, style.width);
        if let Some(next) = &check.next {
            row(&mut page, &format!("      {:<TITLE$}", "  next"), next, style.width);
        }
        // Raw messages are for programs.
        for line in check.evidence.iter().filter(|line| !line.starts_with("raw ")) {
            row(&mut page, &format!("      {:<TITLE$}", ""), line, style.width);
        }
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (fail, warn) = (count(Verdict::Fail), count(Verdict::Warn));
    let _ = writeln!(page, "{fail} fail, {warn} warn, {} pass", count(Verdict::Pass));
    if let Some(next) = doctor::first_step(checks).filter(|_| fail + warn > 1) {
        row(&mut page, "first ", next, style.width + TITLE);
    }
    page
}

/// A label and a text over as many lines as it takes. The text comes from files and programs.
fn row(page: &mut String, label: &str, text: &str, width: usize) {
    let indent = TITLE + 6;
    let room = width.saturating_sub(indent).max(20);
    let mut line = String::new();
    let mut label = Some(label);
    let mut flush = |line: &mut String| {
        let start = label.take().map_or_else(|| " ".repeat(indent), str::to_owned);
        let _ = writeln!(page, "{start}{}", std::mem::take(line));
    };
    for word in visible(text).split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            flush(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    flush(&mut line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_each_check_with_its_next_step_and_nothing_that_acts() {
        let check = |verdict, found: &str, next: Option<&str>| Check {
            id: "id",
            title: "a title",
            verdict,
            found: found.to_owned(),
            next: next.map(str::to_owned),
            evidence: if verdict == Verdict::Warn {
                vec!["raw 00".into(), "seen".into()]
            } else {
                Vec::new()
            },
        };
        let checks = [
            check(Verdict::Pass, "as it is", None),
            check(Verdict::Warn, "so so", Some("look")),
            check(
                Verdict::Fail,
                "a\u{1b}[2J\nb is broken, which takes more room than there is in a line",
                Some("mend it"),
            ),
        ];
        let expected = "pass  a title            as it is\n\
                        warn  a title            so so\n        next             look\n\
                        \x20                        seen\n\
                        FAIL  a title            a\\u{1b}[2J\\nb is broken, which\n\
                        \x20                        takes more room than there is\n\
                        \x20                        in a line\n        next             mend it\n\
                        1 fail, 1 warn, 1 pass\nfirst mend it\n";
        assert_eq!(page(&checks, Style { colour: false, width: 55 }), expected);
        let coloured = page(&checks, Style { colour: true, width: 55 });
        assert!(coloured.contains("\u{1b}[1;31mFAIL\u{1b}[0m"), "{coloured}");
    }
}
