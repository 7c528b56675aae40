//! Signatures of the payload, from the inside out: extension, app, command.

use super::names::Names;
use super::payload::{APP, COMMAND, template_text};
use super::rcodesign::{Identity, Rcodesign};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// The entitlements of app and extension, in the repository. The command has none.
pub(crate) fn entitlement_files() -> [&'static str; 2] {
    ["entitlements/app.plist", "entitlements/extension.plist"]
}

/// Signs what is in `tree`, in place, with the hardened runtime.
///
/// # Errors
/// If a template cannot be read, or rcodesign does not sign.
pub(super) fn payload(
    rcodesign: &Rcodesign,
    identity: &Identity,
    root: &Path,
    names: &Names,
    tree: &Path,
) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut settings = Vec::new();
    // The outermost thing that is signed has no scope in front.
    let scopes = [String::new(), format!("{}:", names.extension())];
    for (index, (template, scope)) in entitlement_files().into_iter().zip(scopes).enumerate() {
        let file = folder.path().join(format!("{index}.plist"));
        fs::write(&file, template_text(root, names, template)?).context("cannot write entitlements")?;
        settings.extend(["--code-signature-flags".to_owned(), format!("{scope}runtime")]);
        settings.extend(["--entitlements-xml-file".to_owned(), format!("{scope}{}", file.display())]);
    }
    rcodesign.sign(identity, &settings, &tree.join(APP)).context("the app is not signed")?;
    let settings = ["--code-signature-flags", "runtime", "--binary-identifier", &names.command_id()];
    rcodesign
        .sign(identity, &settings.map(str::to_owned), &tree.join(COMMAND))
        .context("the command is not signed")
}
