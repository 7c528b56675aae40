//! `cargo xtask pkg`: from the source to one signed package, on Linux as on a Mac.
//!
//! The universal program, the bundles, signatures from the inside out, the package. With a team's identities it is what
//! is given to Macs; without, it is for tests, and says so.

mod dsym;
pub(crate) mod flat;
pub(crate) mod names;
pub(crate) mod payload;
mod rcodesign;
#[cfg(all(test, target_os = "linux"))]
mod scripts;
pub(crate) mod sign;

use crate::{macho, macos, root, target_folder, verify};
use anyhow::{Context, Result};
use clap::Args;
use names::{Names, THROW_AWAY_TEAM};
use payload::Parts;
use rcodesign::{Identity, Rcodesign};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct PkgArgs {
    /// What all ids begin with: an App ID belongs to one team, so another team needs its own.
    #[arg(long, value_name = "PREFIX", default_value = DEFAULT_PREFIX, value_parser = names::prefix)]
    bundle_prefix: String,
    /// The team that signs, as Apple shows it under Membership details.
    #[arg(long, value_name = "ID", value_parser = names::team)]
    team_id: Option<String>,
    /// The certificate "Developer ID Application" with its key: PEM, or PKCS #12 named .p12 (its password in the file
    /// that the variable VEDETTE_P12_PASSWORD_FILE names).
    #[arg(long, value_name = "FILE", requires_all = ["team_id", "installer_identity"])]
    app_identity: Option<PathBuf>,
    /// The certificate "Developer ID Installer" with its key.
    #[arg(long, value_name = "FILE", requires_all = ["team_id", "app_identity"])]
    installer_identity: Option<PathBuf>,
    /// The app's provisioning profile.
    #[arg(long, value_name = "FILE")]
    profile_app: Option<PathBuf>,
    /// The extension's provisioning profile, which carries the Endpoint Security entitlement.
    #[arg(long, value_name = "FILE")]
    profile_extension: Option<PathBuf>,
    /// An App Store Connect API key, as `rcodesign encode-app-store-connect-api-key` writes it: notarises and staples.
    #[arg(long, value_name = "FILE", requires = "app_identity")]
    notary_key: Option<PathBuf>,
    /// The package's version: the program's, or that with a number behind, as in 0.1.0.7.
    #[arg(long)]
    version: Option<String>,
}

const DEFAULT_PREFIX: &str = "dev.vedette";

pub(crate) fn run(arguments: &PkgArgs) -> Result<()> {
    let team = arguments.team_id.as_deref().unwrap_or(THROW_AWAY_TEAM);
    let names = Names::new(root(), &arguments.bundle_prefix, team, arguments.version.as_deref())?;
    let prefix = (names.prefix() != DEFAULT_PREFIX).then_some(names.prefix());
    let program = macos::both(prefix)?;
    let program = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let slices = macho::slices(&program).context("the program is not fit for a package")?;
    macho::universal(&slices).context("the program is not fit for a package")?;

    let output = target_folder().join("pkg");
    let work = output.join("work");
    renew(&work)?;
    dsym::write(&slices, prefix, &output.join("dSYMs"))?;

    let parts = Parts {
        root: root(),
        program: &program,
        names: &names,
        profile_app: arguments.profile_app.as_deref(),
        profile_extension: arguments.profile_extension.as_deref(),
    };
    let (tree, scripts) = (work.join("payload"), work.join("scripts"));
    parts.write(&tree)?;
    parts.write_scripts(&scripts)?;
    println!("unsigned payload sha256 {}", payload::digest_of(&tree)?);

    let rcodesign = Rcodesign::find_or_install(arguments.notary_key.is_some())?;
    let (app, installer) = identities(arguments, &rcodesign, &names, &work)?;
    sign::payload(&rcodesign, &app, root(), &names, &tree)?;
    if let Some(key) = &arguments.notary_key {
        rcodesign.notarise(key, &tree.join(payload::APP))?;
    }

    let package = output.join(format!("Vedette-{}.pkg", names.version()));
    let unfinished = work.join("Vedette.pkg");
    flat::write(root(), &names, &tree, &scripts, &unfinished)?;
    rcodesign.sign(&installer, &[], &unfinished)?;
    if let Some(key) = &arguments.notary_key {
        rcodesign.notarise(key, &unfinished)?;
    }
    verify::package(&unfinished)?;
    // Under its name only once it is whole.
    fs::rename(&unfinished, &package).with_context(|| format!("cannot write {}", package.display()))?;
    println!("{}", package.display());
    if app.throw_away {
        println!("signed by a throw-away identity: for tests only; no Mac installs the extension of it");
    } else if arguments.notary_key.is_none() {
        println!("not notarised: a Mac opens it only where Gatekeeper is told to");
    }
    Ok(())
}

/// The identities that were given, else throw-away ones.
fn identities(
    arguments: &PkgArgs,
    rcodesign: &Rcodesign,
    names: &Names,
    work: &Path,
) -> Result<(Identity, Identity)> {
    if let (Some(app), Some(installer)) = (&arguments.app_identity, &arguments.installer_identity) {
        let given = |file: &PathBuf| Identity {
            file: file.clone(),
            team: names.team().to_owned(),
            throw_away: false,
        };
        return Ok((given(app), given(installer)));
    }
    let made = |profile: &str| -> Result<Identity> {
        let file = work.join(format!("{profile}.pem"));
        rcodesign.throw_away(profile, names.team(), &file)?;
        Ok(Identity { file, team: names.team().to_owned(), throw_away: true })
    };
    Ok((made("developer-id-application")?, made("developer-id-installer")?))
}

/// Makes an empty folder.
fn renew(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
