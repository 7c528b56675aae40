//! `vedette selftest`.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};

use super::output;
use crate::config::{self, Paths};
use crate::identity;
use crate::readable::{Style, visible};
use crate::selftest::{self, Outcome, Programs, SelftestError, Setup};

/// What `vedette selftest` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Install the package without asking
    #[arg(long)]
    yes: bool,
    /// How many seconds to wait for the alert, from the start of the installation on
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
    /// The alert file, if it is not the one that the configuration names
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write JSON even to a terminal
    #[arg(long)]
    json: bool,
    /// Run the programs of this folder in the place of macOS's, for tests: pkgbuild, installer, pkgutil, log
    #[arg(long, value_name = "DIR", hide = true)]
    stand_ins: Option<PathBuf>,
}

/// Where the temporary folder is made: root's, with the sticky bit, whatever the environment says.
const TEMPORARY: &str = "/tmp";

/// Installs a harmless package and waits for the alert of it. The exit code is 0 if it arrived in every sink, else 1.
///
/// # Errors
/// This is no Mac or not root, nobody agreed, the package cannot be installed, or somebody ended it.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let programs = match &arguments.stand_ins {
        Some(folder) => Programs::in_folder(folder),
        None if cfg!(not(target_os = "macos")) => {
            bail!("`selftest` installs a package on a Mac, and this is none")
        }
        None if !nix::unistd::geteuid().is_root() => {
            bail!("only root may install a package: `sudo vedette selftest`")
        }
        None => Programs::system(),
    };
    let nonce = selftest::nonce().context("/dev/urandom")?;
    if !arguments.yes && !agreed(&nonce)? {
        output::say(format_args!("nothing was done\n"));
        return Ok(ExitCode::from(2));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        signal_hook::flag::register(signal, stop.clone()).context("signals cannot be waited for")?;
    }
    let config = config::load(&Paths::standard()).config;
    let setup = Setup {
        programs,
        temporary: TEMPORARY.into(),
        alerts: arguments.file.clone().unwrap_or(config.alerts.file),
        unified_log: config.unified_log.enabled,
        wait: Duration::from_secs(arguments.wait),
    };
    output::say(format_args!(
        "vedette: installing {}, and waiting for its alert\n",
        identity::selftest_id(&nonce)
    ));
    let outcome = match selftest::run(&setup, &nonce, &stop) {
        Ok(outcome) => outcome,
        Err(SelftestError::CannotRun(reason)) => bail!("the self-test could not run: {reason}"),
        Err(interrupted @ SelftestError::Interrupted) => bail!("{interrupted}"),
    };
    match output::style(arguments.json) {
        None => output::machine(&outcome.document(), false)?,
        Some(style) => std::io::stdout().lock().write_all(page(&outcome, style).as_bytes())?,
    }
    Ok(if outcome.is_seen() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Says what will be done, and asks.
fn agreed(nonce: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("it installs a package, so it asks first, and nobody is there to answer: add --yes");
    }
    output::say(format_args!(
        "This installs {} on this Mac: a package without files, whose script connects once to\n\
         this program, on 127.0.0.1. It should raise an alert of the rule for install scripts, here and wherever alerts\n\
         are sent. Nothing of it stays. Go on? [y/N] ",
        identity::selftest_id(nonce)
    ));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("standard input")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn page(outcome: &Outcome, style: Style) -> String {
    let mut page = String::new();
    let (word, colour) = if outcome.is_seen() { ("seen", "1;32") } else { ("NOT SEEN", "1;31") };
    let word = if style.colour { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word.to_owned() };
    let connected = outcome.connected.map(|time| format!("{:.1} s after the start", time.as_secs_f64()));
    let _ = writeln!(page, "{word}: the alert of self-test {}", outcome.nonce);
    let _ = writeln!(page, "  {:<14}{}", "connected", connected.as_deref().unwrap_or("never"));
    for sighting in &outcome.sinks {
        let found = match (sighting.enabled, sighting.latency) {
            (false, _) => "switched off by the configuration".to_owned(),
            (true, None) => "not there".to_owned(),
            (true, Some(latency)) => {
                let (id, rule) = (sighting.event_id.as_deref(), sighting.rule.as_deref());
                let rule = rule.map(|rule| format!(", {}", visible(rule))).unwrap_or_default();
                let id = visible(id.unwrap_or_default());
                format!("{} ms after the connection: {id}{rule}", latency.as_millis())
            }
        };
        let _ = writeln!(page, "  {:<14}{found}", sighting.sink.replace('_', " "));
    }
    if let Some(next) = outcome.next() {
        let _ = writeln!(page, "  {:<14}{next}", "next");
    }
    page
}
