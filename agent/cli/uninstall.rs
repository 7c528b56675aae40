//! `vedette uninstall`.

use std::process::ExitCode;

/// What `vedette uninstall` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Remove the alerts too
    #[arg(long)]
    purge: bool,
}

/// Removes Vedette from this Mac: becomes the script that the package installed, which also works without the app.
///
/// # Errors
/// This is no Mac, nothing is installed, or whoever runs it is not root.
#[cfg(target_os = "macos")]
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    use std::path::Path;

    let script = Path::new(crate::identity::FOLDER).join("bin/uninstall");
    if !nix::unistd::geteuid().is_root() {
        anyhow::bail!("only root can uninstall: sudo vedette uninstall");
    }
    let mut command = std::process::Command::new(&script);
    if arguments.purge {
        command.arg("--purge");
    }
    let error = command.exec();
    anyhow::bail!("{}: {error}; was Vedette installed by its package?", script.display())
}

/// Says that there is nothing to remove.
///
/// # Errors
/// Always: this is no Mac.
#[cfg(not(target_os = "macos"))]
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let what = if arguments.purge { "Vedette and its alerts" } else { "Vedette" };
    anyhow::bail!("`uninstall` removes {what} from a Mac, and this is no Mac")
}
