//! `vedette extension`.

use std::process::ExitCode;

use crate::extension::{Outcome, Request};

/// What `vedette extension` takes.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Ask macOS to run the extension, or to exchange it for this app's version
    #[command(after_help = Outcome::EXIT_CODES)]
    Activate,
    /// Ask macOS to end and remove the extension
    #[command(after_help = Outcome::EXIT_CODES)]
    Deactivate,
}

/// Asks macOS, and says what it answers.
///
/// # Errors
/// This is no Mac.
pub(super) fn run(command: Command) -> anyhow::Result<ExitCode> {
    let request = match command {
        Command::Activate => Request::Activate,
        Command::Deactivate => Request::Deactivate,
    };
    ask(request)
}

#[cfg(target_os = "macos")]
fn ask(request: Request) -> anyhow::Result<ExitCode> {
    use crate::readable::visible;

    let outcome = crate::macos::extension::ask(request);
    let sentence = outcome.sentence(request).to_string();
    super::output::say(format_args!("vedette: {}\n", visible(&sentence)));
    Ok(ExitCode::from(outcome.exit_code()))
}

#[cfg(not(target_os = "macos"))]
fn ask(_request: Request) -> anyhow::Result<ExitCode> {
    anyhow::bail!("only macOS has system extensions, and this is no Mac")
}
