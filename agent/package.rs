//! Install sessions: which package a process descends from.
//!
//! macOS runs a package's scripts below a few programs of its own, the *hosts*. Each child of a host begins a
//! session; all its descendants carry the same [`Package`], over exec and whatever becomes of their parents.
//! A host is told by what cannot be forged without Apple's key: the kernel's platform flag together with a
//! path under System Integrity Protection or Apple's signing id. A name alone says nothing.

use std::borrow::Cow;
use std::sync::Arc;

use eql::Scalar;

use crate::event::{Package, Process};
use crate::observation::Image;

/// Where the hosts lie, all on the sealed system volume.
const HOST_PATHS: &[&str] = &[
    "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A/XPCServices/package_script_service.xpc/\
     Contents/MacOS/package_script_service",
    "/System/Library/PrivateFrameworks/PackageKit.framework/XPCServices/package_script_service.xpc/Contents/\
     MacOS/package_script_service",
    "/System/Library/CoreServices/Installer.app/Contents/MacOS/Installer",
    "/usr/sbin/installer",
];

/// The hosts' signing ids.
const HOST_SIGNING_IDS: &[&str] = &[
    "com.apple.package_script_service",
    "com.apple.installer",
    "com.apple.InstallerRemotePluginService",
    "com.apple.InstallerRemotePluginService-arm64",
    "com.apple.InstallerRemotePluginService-x86_64",
];

/// The plug-in host's framework has moved between versions of macOS; its name under `/System/Library` has not.
const PLUGIN_HOST: &str = "InstallerRemotePluginService";

/// What PackageKit calls the scripts that it runs.
const SCRIPTS: &[&str] =
    &["preinstall", "postinstall", "preflight", "postflight", "preupgrade", "postupgrade"];

/// Returns whether a message's image is an installer host.
pub fn is_host(image: &Image<'_>) -> bool {
    image.is_platform_binary && has_identity(Some(&*image.executable), image.signing_id.as_deref())
}

/// What a recorded document says of who a process is.
#[derive(Clone, Debug, Default)]
pub struct Identity<'d> {
    /// `executable`.
    pub executable: Option<Cow<'d, str>>,
    /// `code_signature.trusted`.
    pub trusted: bool,
    /// `code_signature.signing_id`.
    pub signing_id: Option<Cow<'d, str>>,
    /// Whether there is a `code_signature.team_id`.
    pub has_team: bool,
}

/// Returns whether a recorded document's process is an installer host. A document has no platform flag unless
/// this sensor wrote it (`recorded_flag`); else a trusted signature with Apple's own kind of signing id and
/// without a team stands in for it, since Apple's platform binaries belong to no team.
pub fn is_recorded_host(identity: &Identity<'_>, recorded_flag: Option<bool>) -> bool {
    recorded_flag.unwrap_or_else(|| by_apple(identity))
        && has_identity(identity.executable.as_deref(), identity.signing_id.as_deref())
}

fn by_apple(identity: &Identity<'_>) -> bool {
    identity.trusted
        && !identity.has_team
        && identity.signing_id.as_deref().is_some_and(is_signing_id_of_apple)
}

/// Returns whether a signing id is one that Apple gives its own programs.
pub fn is_signing_id_of_apple(id: &str) -> bool {
    id.starts_with("com.apple.")
}

fn has_identity(executable: Option<&str>, signing_id: Option<&str>) -> bool {
    executable.is_some_and(is_host_path) || signing_id.is_some_and(|id| HOST_SIGNING_IDS.contains(&id))
}

fn is_host_path(path: &str) -> bool {
    let plugin_host = || {
        path.strip_prefix("/System/Library/")
            .and_then(|rest| rest.rsplit('/').next())
            .and_then(|name| name.strip_prefix(PLUGIN_HOST))
            .is_some_and(|architecture| matches!(architecture, "" | "-arm64" | "-x86_64"))
    };
    HOST_PATHS.contains(&path) || plugin_host()
}

/// Begins the session of `host`'s child `session` (its entity id).
pub fn begin(host: &Process, session: &str) -> Package {
    let path = argument_of(host.args(), &["-pkg", "-package"]);
    Package {
        host: host.name().unwrap_or_default().into(),
        host_entity_id: (&*host.entity_id).into(),
        claimed: claimed(&[("path", path.is_some())]),
        path,
        session: session.into(),
        ..Package::default()
    }
}

/// Returns what the image of the process that began the session adds to `package`: the script that the host
/// runs, the package that it belongs to, and the .pkg's path; `None` if it adds nothing.
///
/// PackageKit runs `/tmp/PKInstallSandbox.XXXXXX/Scripts/IDENTIFIER.YYYYYY/postinstall PKG TARGET VOLUME ROOT`,
/// by itself, by its `#!` line, or as an interpreter's first argument. In the first two the kernel names the
/// script; what arguments say is claimed.
pub fn refine(package: &Package, image: &Process) -> Option<Package> {
    if package.script.is_some() {
        return None;
    }
    let vouched = [image.executable(), image.script()].into_iter().flatten().find_map(Script::parse);
    let mut arguments = image.args().iter().map(|arg| arg.as_str().unwrap_or_default()).take(4);
    let script = match vouched {
        Some(script) => {
            // Up to the script itself, however it is spelt, so that what follows is its first argument.
            let _ = arguments.find(|arg| arg.rsplit('/').next() == Some(script.name));
            script
        }
        None => arguments.find_map(Script::parse)?,
    };
    let path = package.path.clone().or_else(|| arguments.next().map(Arc::from));
    let from_arguments = vouched.is_none();
    Some(Package {
        identifier: Some(script.identifier.into()),
        script: Some(script.path.into()),
        claimed: claimed(&[
            ("identifier", from_arguments),
            ("script", from_arguments),
            ("path", path.is_some()),
        ]),
        path,
        ..package.clone()
    })
}

#[derive(Clone, Copy)]
struct Script<'a> {
    path: &'a str,
    identifier: &'a str,
    name: &'a str,
}

impl<'a> Script<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let below = path.strip_prefix("/private").unwrap_or(path).strip_prefix("/tmp/PKInstallSandbox.")?;
        let mut parts = below.split('/');
        let (_sandbox, scripts, folder, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // mkdtemp's suffix: six letters or digits.
        let (identifier, suffix) = folder.rsplit_once('.')?;
        let made = suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (scripts == "Scripts"
            && made
            && !identifier.is_empty()
            && SCRIPTS.contains(&name)
            && parts.next().is_none())
        .then_some(Script { path, identifier, name })
    }
}

/// Returns the argument that follows the first of `options`.
fn argument_of(args: &[Scalar], options: &[&str]) -> Option<Arc<str>> {
    let at = args.iter().position(|arg| arg.as_str().is_some_and(|arg| options.contains(&arg)))?;
    args.get(at + 1)?.as_str().map(Arc::from)
}

fn claimed(names: &[(&str, bool)]) -> Box<[Scalar]> {
    names.iter().filter(|(_, claimed)| *claimed).map(|(name, _)| Scalar::from(*name)).collect()
}

#[cfg(test)]
mod tests;
