//! What a package and its parts are called: all of it from one prefix, a team and a version.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// The team of packages that nobody's identity signs.
pub(crate) const THROW_AWAY_TEAM: &str = "THROWAWAY0";

/// The folder of the sensor on a Mac; the payload is installed below it.
pub(crate) const SUPPORT: &str = "/Library/Application Support/Vedette";

/// The folder below `SUPPORT` that the payload goes to, which only root enters.
pub(crate) const STAGING: &str = "staging";

/// The names of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    prefix: String,
    team: String,
    short_version: String,
    version: String,
}

impl Names {
    /// Puts names together. `version` is the package's, `None` for that of the program; a number may follow the
    /// program's version, so that a package can be made again: macOS exchanges an extension only for another version.
    ///
    /// # Errors
    /// If Cargo.toml has no version, or `version` is not one of it.
    pub(crate) fn new(root: &Path, prefix: &str, team: &str, version: Option<&str>) -> Result<Self> {
        let short_version = program_version(root)?;
        let version = version.unwrap_or(&short_version).to_owned();
        let number = version.strip_prefix(&short_version).with_context(|| {
            format!(
                "--version {version}: the program is {short_version}; use that, or {short_version}.NUMBER"
            )
        })?;
        let is_number = |text: &str| {
            !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !number.is_empty() && !number.strip_prefix('.').is_some_and(is_number) {
            bail!(
                "--version {version}: after {short_version} only a number may follow, as in {short_version}.7"
            );
        }
        Ok(Self { prefix: prefix.to_owned(), team: team.to_owned(), short_version, version })
    }

    /// What all ids begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The id of the team that signs.
    pub(crate) fn team(&self) -> &str {
        &self.team
    }

    /// The package's version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The bundle id of the extension, which is also the name of its executable.
    pub(crate) fn sensor_id(&self) -> String {
        format!("{}.sensor", self.prefix)
    }

    /// The identifier of the command that root's scripts use.
    pub(crate) fn command_id(&self) -> String {
        format!("{}.command", self.prefix)
    }

    /// The package's id, and that of its receipt.
    pub(crate) fn package_id(&self) -> String {
        format!("{}.pkg", self.prefix)
    }

    /// The extension's folder, below the app's.
    pub(crate) fn extension(&self) -> String {
        format!("Contents/Library/SystemExtensions/{}.systemextension", self.sensor_id())
    }

    /// Puts the names into a template: `@PREFIX@`, `@TEAM@`, `@VERSION@`, `@SHORT_VERSION@`, `@MINIMUM_MACOS@`.
    pub(crate) fn fill(&self, template: &str) -> String {
        template
            .replace("@PREFIX@", &self.prefix)
            .replace("@TEAM@", &self.team)
            .replace("@SHORT_VERSION@", &self.short_version)
            .replace("@VERSION@", &self.version)
            .replace("@MINIMUM_MACOS@", crate::macos::MINIMUM_MACOS)
    }
}

/// Reads a prefix as the program takes it at build time (agent/identity.rs).
///
/// # Errors
/// If it has other characters than letters, digits, hyphens and periods, or the latter at its ends.
pub(crate) fn prefix(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    if bytes.iter().all(|byte| fits(*byte)) && ends(bytes.first()) && ends(bytes.last()) {
        return Ok(text.to_owned());
    }
    Err("letters, digits, `-` and `.`, the latter two not at its ends, such as com.example.vedette"
        .to_owned())
}

/// Reads the id of a team.
///
/// # Errors
/// If it is not ten letters and digits.
pub(crate) fn team(text: &str) -> Result<String, String> {
    if text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("ten capital letters and digits; Apple shows it under Membership details".to_owned())
}

/// The version in the root's Cargo.toml, which the program says as its own.
fn program_version(root: &Path) -> Result<String> {
    let path = root.join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("version = \""));
    let version = line.and_then(|line| line.strip_suffix('"'));
    Ok(version.with_context(|| format!("{} has no line `version = \"…\"`", path.display()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(version: Option<&str>) -> Result<Names> {
        Names::new(crate::root(), "com.example", "ABCDE12345", version)
    }

    #[test]
    fn a_version_is_the_programs_with_a_number_behind() {
        let plain = names(None).unwrap();
        let program = plain.version().to_owned();
        assert_eq!(plain.fill("@SHORT_VERSION@ (@VERSION@)"), format!("{program} ({program})"));
        let again = names(Some(&format!("{program}.7"))).unwrap();
        assert_eq!(again.fill("@SHORT_VERSION@ (@VERSION@)"), format!("{program} ({program}.7)"));
        for bad in ["999", "", &format!("{program}7"), &format!("{program}."), &format!("{program}.1.2.3-x")]
        {
            assert!(names(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_could_leave_a_plist_or_a_path_is_no_name() {
        for bad in ["", ".a", "a.", "a/b", "a b", "<a>", "é", "-a"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
        assert_eq!(prefix("com.example.it-security").unwrap(), "com.example.it-security");
        for bad in ["", "ABCDE1234", "abcde12345", "ABCDE12345\"", "ABCDE1234é"] {
            assert!(team(bad).is_err(), "{bad}");
        }
    }
}
