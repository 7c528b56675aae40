//! `vedette profile`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::output;
use crate::alert::json_line;
use crate::digest::hexadecimal;
use crate::profile::{self, Configuration, Profile, Signer, Unusable};
use crate::readable::visible;
use crate::{code_signature, identity};

/// What `vedette profile` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The team that signs the sensor, like ABCDE12345
    #[arg(long, value_name = "TEAM")]
    team_id: Option<String>,
    /// Take team and code requirement from the signed extension: its program or its bundle
    #[arg(long, value_name = "PATH")]
    signed_binary: Option<PathBuf>,
    /// The folder that the profiles are written to
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Write only the temporary profile that lets a script remove the extension
    #[arg(long, conflicts_with_all = ["config", "rules", "exceptions"])]
    removal: bool,
    /// Put the keys of this configuration file into the managed configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Put these rules into it, a file or a folder
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Put these exceptions into it, a file or a folder
    #[arg(long, value_name = "PATH")]
    exceptions: Vec<PathBuf>,
    /// Write NDJSON even to a terminal
    #[arg(long)]
    json: bool,
}

/// Writes the configuration profiles of a fleet. The exit code is 1 if the sensor would refuse the configuration.
///
/// # Errors
/// It is not said who signs the sensor, or the program says otherwise; a file cannot be read or written.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let signer = signer(arguments.team_id.as_deref(), arguments.signed_binary.as_deref())?;
    let profiles = if arguments.removal {
        vec![profile::removal(&signer)]
    } else {
        match Configuration::new(arguments.config.as_deref(), &arguments.rules, &arguments.exceptions) {
            Ok(configuration) => {
                for note in &configuration.notes {
                    output::say(format_args!("{}\n", lines(note)));
                }
                profile::deployment(&signer, &configuration)
            }
            Err(Unusable::Unreadable(reason)) => bail!("{reason}"),
            Err(Unusable::Refused(findings)) => {
                for finding in findings {
                    output::say(format_args!("{}\n", lines(finding.trim_end())));
                }
                output::say(format_args!("vedette: no profile is written: the sensor would refuse this\n"));
                return Ok(ExitCode::from(1));
            }
        }
    };
    let problems = profile::lint(&profiles);
    if !problems.is_empty() {
        bail!("no profile is written: {}", problems.join("; "));
    }
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("{}: the folder cannot be made", arguments.out.display()))?;
    let style = output::style(arguments.json);
    let mut stdout = std::io::stdout().lock();
    for profile in &profiles {
        let path = arguments.out.join(profile.file);
        let written = write(&path, &profile.bytes)?;
        match style {
            None => writeln!(stdout, "{}", json_line(&document(profile, &path, written)))?,
            Some(_) => {
                let state = if written { "written" } else { "as it was" };
                writeln!(stdout, "{:<9} {}", state, visible(&path.display().to_string()))?;
                writeln!(stdout, "          {}", profile.about)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says who signs the sensor: what the program says, else what was said; on a Mac with the app, the app's extension.
fn signer(team: Option<&str>, program: Option<&Path>) -> anyhow::Result<Signer> {
    let program = match (program, team) {
        (Some(program), _) => program.to_owned(),
        (None, Some(team)) => return Signer::of_team(team).map_err(anyhow::Error::msg).context("--team-id"),
        (None, None) => identity::extension(),
    };
    if team.is_none() && !program.exists() {
        bail!(
            "it is not known who signs the sensor: name the signed extension with --signed-binary, or the team with \
             --team-id ({} is not here)",
            program.display()
        );
    }
    let signatures = code_signature::read(&program).map_err(anyhow::Error::msg)?;
    let signer = Signer::of_program(&signatures, team)
        .map_err(anyhow::Error::msg)
        .with_context(|| program.display().to_string())?;
    if !signer.designated {
        output::say(format_args!(
            "the program's own requirement does not name Apple's root, its identifier and its team: the profile asks for \
             the Developer ID of {}\n",
            signer.team
        ));
    }
    Ok(signer)
}

/// Writes a file as a whole, unless it holds the same already: a tool that watches it then sees no change.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    let cannot = || format!("{}: the profile cannot be written", path.display());
    if std::fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    let mut partial = path.to_owned().into_os_string();
    partial.push(".partial");
    // One that a kill has left, or that somebody put there to lead elsewhere.
    let _ = std::fs::remove_file(&partial);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).open(&partial).with_context(cannot)?;
    file.write_all(bytes).with_context(cannot)?;
    std::fs::rename(&partial, path).with_context(cannot)?;
    Ok(true)
}

fn document(profile: &Profile, path: &Path, written: bool) -> serde_json::Value {
    json!({
        "path": path.display().to_string(),
        "identifier": profile.identifier,
        "uuid": profile.uuid,
        "payload_type": profile.payload_type,
        "sha256": hexadecimal(&Sha256::digest(&profile.bytes)),
        "written": written,
        "about": profile.about,
    })
}

/// Makes text of several lines, whose lines are ours, visible.
fn lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}
