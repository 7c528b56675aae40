//! The command line.
//!
//! Exit codes: 0 done; 1 the answer is no; 2 it could not run.

// Both panic where nobody reads: `output::say`, or `writeln!` and its error.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod alerts;
mod completions;
mod doctor;
mod extension;
mod hunt;
mod output;
mod profile;
mod replay;
mod rules;
mod run;
mod selftest;
mod status;
mod uninstall;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::network::probe;

/// A macOS endpoint sensor that decides on the Mac itself.
#[derive(Debug, Parser)]
#[command(name = "vedette", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run recorded telemetry through the rules, as the live sensor would
    Replay(replay::Arguments),
    /// Run one EQL query over NDJSON of any schema
    Hunt(hunt::Arguments),
    /// List and check rules
    #[command(subcommand)]
    Rules(rules::Command),
    /// Show what the running sensor does
    Status(status::Arguments),
    /// Say what keeps the sensor from working, and the next step
    Doctor(doctor::Arguments),
    /// Install a harmless package and see whether its alert arrives
    Selftest(selftest::Arguments),
    /// List, follow and show the alerts in the alert file
    Alerts(alerts::Arguments),
    /// Write the configuration profiles that an MDM deploys
    Profile(profile::Arguments),
    /// Activate or deactivate the system extension (needs a Mac)
    #[command(subcommand)]
    Extension(extension::Command),
    /// Remove Vedette from this Mac
    Uninstall(uninstall::Arguments),
    /// Write completions for a shell
    Completions(completions::Arguments),
    /// Run the sensor in the foreground (needs a Mac), or check its configuration
    Run(run::Arguments),
    /// Connect to ports of the sensor's own over loopback, for it to see whether it is told of that
    #[command(name = probe::SUBCOMMAND, hide = true)]
    ProbeConnect {
        /// Where to, as tcp:127.0.0.1:5000
        targets: Vec<String>,
    },
}

/// Parses the command line, runs it and returns the exit code.
pub fn main() -> ExitCode {
    // The system starts the extension without arguments.
    #[cfg(target_os = "macos")]
    if crate::macos::is_extension() && !probe::is_wanted(std::env::args_os().nth(1).as_deref()) {
        return crate::macos::run().unwrap_or(ExitCode::from(2));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Hunt(arguments) => hunt::run(&arguments),
        Command::Rules(command) => rules::run(&command),
        Command::Status(arguments) => status::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Selftest(arguments) => selftest::run(&arguments),
        Command::Alerts(arguments) => alerts::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Extension(command) => extension::run(command),
        Command::Uninstall(arguments) => uninstall::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::ProbeConnect { targets } => {
            probe::connect(&targets).map(|()| ExitCode::SUCCESS).map_err(anyhow::Error::msg)
        }
    };
    result.unwrap_or_else(|error| {
        // Whoever read the output has gone, as `| head` does: nothing is wrong.
        if error.chain().any(is_broken_pipe) {
            return ExitCode::SUCCESS;
        }
        output::say(format_args!("vedette: {}\n", crate::readable::visible(&format!("{error:#}"))));
        ExitCode::from(2)
    })
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
        || matches!(error.downcast_ref(), Some(crate::sink::SinkError::Gone))
}
