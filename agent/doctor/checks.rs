//! The checks, in the order in which one thing needs another.

mod approval;
mod sensor;

use std::path::Path;

use super::extensions::{self, Extension};
use super::mac::Mac;
use super::profiles::{Profiles, parse_xml};
use super::{Check, Verdict};
use crate::program::Take;
use crate::readable::visible;
use crate::status::Status;
use crate::{code_signature, identity, timestamp};

/// The oldest macOS that the program is built for, and the newest that was known when this was written.
const OLDEST: u64 = 13;
const NEWEST: u64 = 27;

/// The longest finding, in characters.
const MAX_SHOWN: usize = 600;

/// What all checks read.
struct Facts<'a> {
    mac: &'a dyn Mac,
    /// macOS's major version.
    macos: Option<u64>,
    /// The extension in all versions that macOS knows; or why it is not known.
    extensions: Result<Vec<Extension>, String>,
    profiles: Result<Profiles, String>,
    /// What the sensor last said; none if it never did.
    status: Result<Option<Status>, String>,
}

/// Looks at everything.
pub(super) fn all(mac: &dyn Mac) -> Vec<Check> {
    let (version, macos) = macos(mac);
    let facts = Facts {
        mac,
        macos: version,
        extensions: extension_list(mac),
        profiles: profiles(mac),
        status: status(mac),
    };
    let mut checks = vec![macos, extension(&facts), version_of_app(&facts), left_overs(&facts)];
    checks.extend(approval::checks(&facts));
    checks.extend(sensor::checks(&facts));
    checks.push(unified_log(&facts));
    checks
}

/// Makes checks of one kind.
pub(super) struct About {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
}

impl About {
    pub(super) fn pass(&self, found: impl AsRef<str>) -> Check {
        let found = shown(found.as_ref());
        Check {
            id: self.id,
            title: self.title,
            verdict: Verdict::Pass,
            found,
            next: None,
            evidence: Vec::new(),
        }
    }

    pub(super) fn warn(&self, found: impl AsRef<str>, next: impl AsRef<str>) -> Check {
        let next = Some(shown(next.as_ref()));
        Check { verdict: Verdict::Warn, next, ..self.pass(found) }
    }

    pub(super) fn fail(&self, found: impl AsRef<str>, next: impl AsRef<str>) -> Check {
        Check { verdict: Verdict::Fail, ..self.warn(found, next) }
    }
}

/// What programs and files said, seen and of bounded length: it goes to terminals, and into property lists, in which
/// control characters cannot be.
fn shown(text: &str) -> String {
    let mut visible = visible(text.get(..text.floor_char_boundary(4 * MAX_SHOWN)).unwrap_or(text));
    if let Some((end, _)) = visible.char_indices().nth(MAX_SHOWN) {
        visible.truncate(end);
        visible.push('…');
    }
    visible
}

fn macos(mac: &dyn Mac) -> (Option<u64>, Check) {
    let about = About { id: "macos", title: "macOS" };
    let output = mac.command("/usr/bin/sw_vers", &["-productVersion"], Take::All);
    let text = match output {
        Ok(output) => output.text.trim().to_owned(),
        Err(reason) => return (None, about.warn(reason, "see whether /usr/bin/sw_vers runs")),
    };
    let Some(major) = text.split('.').next().and_then(|major| major.parse::<u64>().ok()) else {
        return (None, about.warn(format!("`{text}` is no version"), "see what `sw_vers` says"));
    };
    let check = if major < OLDEST {
        about.fail(
            format!("{text}: the sensor needs macOS {OLDEST}"),
            format!("update to macOS {OLDEST} or later"),
        )
    } else if major > NEWEST {
        let next = "look for a newer version of Vedette, and run `sudo vedette selftest`";
        about.warn(format!("{text}, which is newer than this version of Vedette knows"), next)
    } else {
        about.pass(text)
    };
    (Some(major), check)
}

fn extension_list(mac: &dyn Mac) -> Result<Vec<Extension>, String> {
    let output = mac.command("/usr/bin/systemextensionsctl", &["list"], Take::All)?;
    if output.status != 0 {
        return Err(format!("systemextensionsctl ended with {}", output.status));
    }
    Ok(extensions::of(&output.text, &identity::sensor_id()))
}

fn profiles(mac: &dyn Mac) -> Result<Profiles, String> {
    if !mac.is_root() {
        return Err("only root sees the profiles of the whole Mac".to_owned());
    }
    let output = mac.command("/usr/bin/profiles", &["show", "-output", "stdout-xml"], Take::All)?;
    if output.status != 0 {
        return Err(format!("profiles ended with {}", output.status));
    }
    Profiles::parse(&output.text).map_err(|reason| format!("what profiles wrote cannot be read: {reason}"))
}

fn status(mac: &dyn Mac) -> Result<Option<Status>, String> {
    let path = mac.status_file();
    let bytes = mac.file(&path).map_err(|reason| format!("{}: {reason}", path.display()))?;
    let Some(bytes) = bytes else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| format!("{}: this is no status: {error}", path.display()))
}

/// Where a person allows an extension.
fn settings(macos: Option<u64>) -> &'static str {
    if macos.is_some_and(|major| major < 15) {
        "System Settings > Privacy & Security"
    } else {
        "System Settings > General > Login Items & Extensions > Endpoint Security Extensions"
    }
}

fn extension(facts: &Facts<'_>) -> Check {
    let about = About { id: "extension", title: "system extension" };
    let extensions = match &facts.extensions {
        Ok(extensions) => extensions,
        Err(reason) => return about.warn(reason, "see what `systemextensionsctl list` says"),
    };
    let allowed = |extension: &Extension| {
        facts.profiles.as_ref().is_ok_and(|profiles| profiles.policy(&extension.team, &extension.id).allowed)
    };
    let current: Vec<&Extension> = extensions.iter().filter(|extension| !extension.is_left_over()).collect();
    if let Some(running) = current.iter().find(|extension| extension.runs()) {
        return about.pass(format!("{} of {} runs", running.version, running.team));
    }
    let Some(extension) = current.first() else {
        let installed = installed_version(facts.mac).is_some();
        return if installed {
            about.fail("it is not installed, and the app is", "`sudo vedette extension activate`")
        } else {
            about.fail("neither the app nor the extension is installed", "install the package")
        };
    };
    let found = format!("{} of {} is `{}`", extension.version, extension.team, extension.state);
    let next = match extension.state.as_str() {
        // An MDM's profile that comes after the request is not always looked at again.
        "activated waiting for user" if allowed(extension) => {
            "a profile allows it, so ask again: `sudo vedette extension activate`; if that changes nothing, restart the Mac"
                .to_owned()
        }
        "activated waiting for user" => {
            format!("allow it in {}, or deploy system-extension.mobileconfig by MDM", settings(facts.macos))
        }
        "activated disabled" => format!("switch it on in {}", settings(facts.macos)),
        state if state.contains("reboot") => "restart the Mac".to_owned(),
        _ => "`sudo vedette extension activate`; if the state stays, restart the Mac".to_owned(),
    };
    about.fail(found, next)
}

/// Returns version and build of the extension in the app, as `systemextensionsctl` writes them.
fn installed_version(mac: &dyn Mac) -> Option<String> {
    let bytes = mac.file(&identity::extension().join("Contents/Info.plist")).ok()??;
    let root = parse_xml(&bytes).ok()?;
    let text = |key: &str| root.as_dictionary()?.get(key)?.as_string().map(str::to_owned);
    Some(format!("{}/{}", text("CFBundleShortVersionString")?, text("CFBundleVersion")?))
}

fn version_of_app(facts: &Facts<'_>) -> Check {
    let about = About { id: "version", title: "app and extension" };
    let Some(installed) = installed_version(facts.mac) else {
        let path = identity::app();
        return about.fail(format!("{} is not there", path.display()), "install the package");
    };
    let running =
        facts.extensions.as_ref().ok().and_then(|list| list.iter().find(|extension| extension.runs()));
    match running {
        None => about.pass(format!("the app brings {installed}; no extension runs")),
        Some(running) if running.version == installed => about.pass(format!("both are {installed}")),
        Some(running) => about.warn(
            format!("the app brings {installed}, and {} runs", running.version),
            "`sudo vedette extension activate`; macOS then puts the app's in its place",
        ),
    }
}

fn left_overs(facts: &Facts<'_>) -> Check {
    let about = About { id: "left_overs", title: "earlier versions" };
    let Ok(extensions) = &facts.extensions else {
        return about.warn("not known", "see what `systemextensionsctl list` says");
    };
    let left: Vec<&str> = extensions
        .iter()
        .filter(|extension| extension.is_left_over())
        .map(|extension| &*extension.version)
        .collect();
    let running = extensions.iter().filter(|extension| extension.runs()).count();
    if running > 1 {
        about.fail(format!("{running} versions run at once"), "restart the Mac")
    } else if left.is_empty() {
        about.pass("none is left")
    } else {
        let found = format!("{} waits to be removed by a restart", left.join(", "));
        about.warn(found, "restart the Mac when it suits: until then nothing is amiss")
    }
}

fn unified_log(facts: &Facts<'_>) -> Check {
    let about = About { id: "unified_log", title: "unified logging" };
    let output = match facts.mac.command("/usr/bin/log", &["show", "--style", "ndjson"], Take::FirstLine) {
        Ok(output) => output,
        Err(reason) => {
            return about.warn(reason, "`sudo log show --last 1m` says why; the alert file is the record");
        }
    };
    let oldest = serde_json::from_str::<serde_json::Value>(&output.text)
        .ok()
        .and_then(|entry| timestamp::parse_log(entry.get("timestamp")?.as_str()?));
    let Some(oldest) = oldest else {
        let next = if facts.mac.is_root() { "`log show --last 1m` says why" } else { "run this with sudo" };
        return about.warn("its oldest entry cannot be read", next);
    };
    let hours = facts.mac.now().saturating_sub(oldest) / 3_600_000_000_000;
    let age = if hours < 48 { format!("{hours} h") } else { format!("{} days", hours / 24) };
    let found = format!("it goes back {age}; the alert file is the record");
    if hours < 24 {
        about.warn(found, "ship the alert file, for macOS keeps its log by size: docs/ship.md")
    } else {
        about.pass(found)
    }
}

/// What lets one see the profiles that could not be read.
fn to_see_profiles(mac: &dyn Mac) -> &'static str {
    if mac.is_root() { "see what `profiles show` says" } else { "run this with sudo" }
}

/// Returns the first of what `code_signature` says of the installed extension.
fn installed_signature(mac: &dyn Mac) -> Result<code_signature::CodeSignature, String> {
    let program = installed_program();
    let bytes = mac.file(&program)?.ok_or_else(|| format!("{} is not there", program.display()))?;
    let mut signatures = code_signature::parse(&bytes)?;
    if signatures.is_empty() {
        Err("it holds no architecture".to_owned())
    } else {
        Ok(signatures.swap_remove(0))
    }
}

fn installed_program() -> std::path::PathBuf {
    identity::extension().join("Contents/MacOS").join(identity::sensor_id())
}

/// A path as it stands in a command for a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}
