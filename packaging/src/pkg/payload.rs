//! What a package installs, as a folder: the app with the extension in it, the command, scripts.

use super::names::Names;
use crate::signature::digest;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The app's folder in the payload.
pub(crate) const APP: &str = "Vedette.app";
/// The command for root's scripts. The app's own has entitlements that hold only inside of the app.
pub(crate) const COMMAND: &str = "vedette";
/// Scripts of the payload, beside the command.
pub(crate) const SCRIPTS: [&str; 2] = ["activate", "uninstall"];
/// The LaunchDaemon.
pub(crate) const DAEMON: &str = "activate.plist";

/// What is packed.
pub(crate) struct Parts<'a> {
    /// The repository, whose templates are filled in.
    pub(crate) root: &'a Path,
    /// The universal program.
    pub(crate) program: &'a [u8],
    pub(crate) names: &'a Names,
    /// Provisioning profiles, as Apple's developer site gives them.
    pub(crate) profile_app: Option<&'a Path>,
    pub(crate) profile_extension: Option<&'a Path>,
}

impl Parts<'_> {
    /// Writes the payload, unsigned, to an empty folder.
    ///
    /// # Errors
    /// If a template or a profile cannot be read, or a file not be written.
    pub(crate) fn write(&self, to: &Path) -> Result<()> {
        let contents = to.join(APP).join("Contents");
        let extension = to.join(APP).join(self.names.extension()).join("Contents");
        self.fill("packaging/bundle/app/Info.plist", &contents.join("Info.plist"), 0o644)?;
        self.fill("packaging/bundle/extension/Info.plist", &extension.join("Info.plist"), 0o644)?;
        write(&contents.join("MacOS/vedette"), self.program, 0o755)?;
        write(&extension.join("MacOS").join(self.names.sensor_id()), self.program, 0o755)?;
        write(&to.join(COMMAND), self.program, 0o755)?;
        for (profile, contents) in [(self.profile_app, &contents), (self.profile_extension, &extension)] {
            if let Some(profile) = profile {
                write(&contents.join("embedded.provisionprofile"), &read(profile)?, 0o644)?;
            }
        }
        for script in SCRIPTS {
            self.fill(&format!("packaging/pkg/{script}"), &to.join(script), 0o755)?;
        }
        self.fill(&format!("packaging/pkg/{DAEMON}"), &to.join(DAEMON), 0o644)
    }

    /// Writes the scripts that the installer runs to an empty folder.
    ///
    /// # Errors
    /// As `write`.
    pub(crate) fn write_scripts(&self, to: &Path) -> Result<()> {
        for script in ["preinstall", "postinstall"] {
            self.fill(&format!("packaging/pkg/scripts/{script}"), &to.join(script), 0o755)?;
        }
        Ok(())
    }

    fn fill(&self, template: &str, to: &Path, mode: u32) -> Result<()> {
        write(to, template_text(self.root, self.names, template)?.as_bytes(), mode)
    }
}

/// A template of the repository with the names filled in.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn template_text(root: &Path, names: &Names, template: &str) -> Result<String> {
    let text = read(&root.join(template))?;
    Ok(names.fill(&String::from_utf8(text).with_context(|| format!("{template} is not UTF-8"))?))
}

/// One SHA-256 over paths, modes and contents of a folder: the same for the same payload.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn digest_of(folder: &Path) -> Result<String> {
    let mut lines = String::new();
    for file in files(folder)? {
        let path = folder.join(&file);
        let mode = fs::metadata(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .permissions()
            .mode();
        let hash = hexadecimal(&digest(&read(&path)?));
        lines.push_str(&format!("{hash} {:o} {}\n", mode & 0o777, file.display()));
    }
    Ok(hexadecimal(&digest(lines.as_bytes())))
}

/// The files below a folder, relative to it, sorted.
///
/// # Errors
/// If a folder cannot be listed.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        let path = folder.join(&relative);
        let entries = fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?;
        for entry in entries {
            let entry = entry?;
            let relative = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(relative);
            } else {
                found.push(relative);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, data: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().expect("a file of the payload lies in a folder");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(path, data).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(to: &Path) {
        let names = Names::new(crate::root(), "com.example", "ABCDE12345", None).unwrap();
        let parts = Parts {
            root: crate::root(),
            program: b"program",
            names: &names,
            profile_app: None,
            profile_extension: None,
        };
        parts.write(to).unwrap();
    }

    #[test]
    fn the_same_parts_give_the_same_payload_wherever_it_is_made() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        payload(one.path());
        payload(&two.path().join("elsewhere"));
        let first = digest_of(one.path()).unwrap();
        assert_eq!(first, digest_of(&two.path().join("elsewhere")).unwrap());
        fs::write(one.path().join(COMMAND), "another").unwrap();
        assert_ne!(first, digest_of(one.path()).unwrap());
    }

    #[test]
    fn no_placeholder_stays_and_names_are_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        payload(folder.path());
        let info = folder
            .path()
            .join(APP)
            .join("Contents/Library/SystemExtensions/com.example.sensor.systemextension/Contents/Info.plist");
        assert!(fs::read_to_string(info).unwrap().contains("<string>ABCDE12345.com.example.sensor</string>"));
        for file in files(folder.path()).unwrap() {
            let text = fs::read_to_string(folder.path().join(&file)).unwrap();
            for word in ["@PREFIX@", "@TEAM@", "VERSION@", "@MINIMUM"] {
                assert!(!text.contains(word), "{word} in {}", file.display());
            }
        }
    }
}
