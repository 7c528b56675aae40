//! `rcodesign`, which signs for Macs on any system: the program of the crate apple-codesign.
//!
//! A program of its own, built once into the user's cache folder, and no library: its tree is some 400 crates, which
//! nobody should have to build to make a binary. Its own lock file says which.

use crate::{command, macos};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "0.29.0";

/// An installed `rcodesign`.
pub(crate) struct Rcodesign {
    program: PathBuf,
}

impl Rcodesign {
    /// Finds it in the user's cache folder, or builds it there. Only with `notarise` can it talk to Apple.
    ///
    /// # Errors
    /// If the crate cannot be fetched or built.
    pub(crate) fn find_or_install(notarise: bool) -> Result<Self> {
        let cache = macos::cache_folder()?;
        let folder = cache.join(format!("rcodesign-{VERSION}{}", if notarise { "-notary" } else { "" }));
        let program = folder.join("bin/rcodesign");
        if program.is_file() {
            return Ok(Self { program });
        }
        eprintln!(
            "xtask: building rcodesign {VERSION} into {}, once; it takes some minutes",
            folder.display()
        );
        let build = cache.join(format!("rcodesign-build.{}", std::process::id()));
        let mut cargo = Command::new("cargo");
        cargo
            .args(["install", "--quiet", "--locked", "apple-codesign", "--version", VERSION])
            .arg("--root")
            .arg(&folder);
        if !notarise {
            cargo.arg("--no-default-features");
        }
        // Its speed does not matter, its build's does.
        cargo
            .env("CARGO_TARGET_DIR", &build)
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        let built = command::run(&mut cargo).context("cannot build rcodesign");
        // Half a gigabyte that nothing needs any more; that it is gone is not worth an error.
        let _ = fs::remove_dir_all(&build);
        built.map(|()| Self { program })
    }

    /// Makes a throw-away identity, which no Mac trusts: a key and a certificate that signs itself, as one PEM file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn throw_away(&self, profile: &str, team: &str, to: &Path) -> Result<()> {
        let mut rcodesign = self.command(&["generate-self-signed-certificate", "--profile", profile]);
        rcodesign
            .args(["--team-id", team, "--person-name", "Vedette throw-away"])
            .arg("--pem-unified-file")
            .arg(to);
        command::output(&mut rcodesign).map(drop)
    }

    /// Signs in place. `settings` are rcodesign's own.
    ///
    /// # Errors
    /// If rcodesign does not; it says why.
    pub(crate) fn sign(&self, identity: &Identity, settings: &[String], path: &Path) -> Result<()> {
        let mut rcodesign = self.command(&["sign"]);
        match identity.file.extension().and_then(|extension| extension.to_str()) {
            Some("p12" | "pfx") => {
                rcodesign.arg("--p12-file").arg(&identity.file);
                if let Some(password) = std::env::var_os("VEDETTE_P12_PASSWORD_FILE") {
                    rcodesign.arg("--p12-password-file").arg(password);
                }
            }
            _ => {
                rcodesign.arg("--pem-file").arg(&identity.file);
            }
        }
        if identity.throw_away {
            // Of Apple's certificates it knows the team; this one only says it.
            rcodesign.args(["--team-name", &identity.team]);
            // A time stamp is asked of Apple's server, and says nothing of an identity that is nobody's.
            rcodesign.args(["--timestamp-url", "none"]);
        } else {
            rcodesign.arg("--for-notarization");
        }
        command::output(rcodesign.args(settings).arg(path)).map(drop)
    }

    /// Sends to Apple, waits for the answer and staples it.
    ///
    /// # Errors
    /// If Apple's server is not reached or refuses.
    pub(crate) fn notarise(&self, key: &Path, path: &Path) -> Result<()> {
        let mut rcodesign = self.command(&["notary-submit", "--staple", "--max-wait-seconds", "3600"]);
        command::run(rcodesign.arg("--api-key-file").arg(key).arg(path))
            .with_context(|| format!("{} is not notarised", path.display()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // No settings of the user's own (`rcodesign --config-file`, and its defaults in the home folder).
        command.arg("--config-file").arg("/dev/null").args(arguments);
        command
    }
}

/// A certificate with its key.
pub(crate) struct Identity {
    /// PEM, or PKCS #12 by its name `.p12` or `.pfx`.
    pub(crate) file: PathBuf,
    /// The team's id.
    pub(crate) team: String,
    /// Whether it was made for this package alone.
    pub(crate) throw_away: bool,
}
