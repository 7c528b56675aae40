//! The Mach-O files and their signatures.

use super::archive::{check_cms, throw_away};
use super::package::Package;
use super::{bundles, found};
use crate::pkg::payload::{APP, template_text};
use crate::pkg::sign::entitlement_files;
use crate::signature::{CodeSignature, Special, digest};
use crate::{macho, root};
use anyhow::{Context, Result, bail};
use cryptographic_message_syntax::SignedData;
use plist::Value;
use std::collections::BTreeSet;

/// Each program has a slice for both processors.
pub(super) fn architectures(package: &Package) -> Vec<String> {
    each_program(package, |program, _| macho::universal(&macho::slices(package.content(program)?)?))
}

/// Each slice is what was signed, by the package's team.
pub(super) fn signatures(package: &Package) -> Vec<String> {
    each_slice(package, |slice, signature| {
        let directory = signature.directory();
        // The signature stands at the file's end and is not part of what is signed.
        signature.check_hashes(slice.data)?;
        if directory.ad_hoc() {
            bail!("nobody signed it (ad hoc)");
        }
        if directory.team.as_deref() != Some(package.names.team()) {
            bail!("it is not signed by team {}", package.names.team());
        }
        check_cms(&cms(signature)?, directory.data, package)
    })
}

/// Each slice asks for the hardened runtime.
pub(super) fn hardened_runtime(package: &Package) -> Vec<String> {
    each_slice(package, |_, signature| {
        if !signature.directory().hardened_runtime() {
            bail!("it has not the hardened runtime");
        }
        Ok(())
    })
}

/// With an identity that is more than a throw-away one, each signature has a secure time stamp.
pub(super) fn time_stamps(package: &Package) -> Vec<String> {
    if throw_away(package) { Vec::new() } else { missing_time_stamps(package) }
}

/// The programs whose signatures have no secure time stamp.
pub(super) fn missing_time_stamps(package: &Package) -> Vec<String> {
    each_slice(package, |_, signature| {
        for signer in cms(signature)?.signers() {
            signer.verify_time_stamp_token()?.context("it has no secure time stamp")?;
        }
        Ok(())
    })
}

/// Each program's entitlements are those of `entitlements/`, and the command has none.
pub(super) fn entitlements(package: &Package) -> Vec<String> {
    each_program(package, |program, index| {
        let expected = entitlement_files().get(index).map(|file| template_text(root(), &package.names, file));
        let expected = expected.transpose()?.map(|text| bundles::parse(text.as_bytes())).transpose()?;
        for slice in macho::slices(package.content(program)?)? {
            let signature = CodeSignature::parse(slice.signature.context("it is not signed")?)?;
            let signed = signature.entitlements().map(bundles::parse).transpose()?;
            if signed != expected {
                bail!("its entitlements ({}) are not those of entitlements/", slice.arch);
            }
        }
        Ok(())
    })
}

/// `CodeResources` of app and extension list every file with its hash, and are themselves signed, as is Info.plist. The
/// extension's files stand in the app's list too: by Apple's rules, which the list repeats, code in
/// `Library/SystemExtensions` is sealed as files, not as nested code.
pub(super) fn resources(package: &Package) -> Vec<String> {
    let [app, extension, _] = package.programs();
    let inner = format!("{APP}/{}", package.names.extension());
    let mut findings = Vec::new();
    for (bundle, program) in [(APP, &app), (&inner, &extension)] {
        if let Err(error) = check_resources(package, bundle, program) {
            findings.push(format!("{bundle}: {error:#}"));
        }
    }
    findings
}

fn check_resources(package: &Package, bundle: &str, program: &str) -> Result<()> {
    let list = package.content(&format!("{bundle}/Contents/_CodeSignature/CodeResources"))?;
    let info = package.content(&format!("{bundle}/Contents/Info.plist"))?;
    for slice in macho::slices(package.content(program)?)? {
        let signature = CodeSignature::parse(slice.signature.context("it is not signed")?)?;
        for (special, data) in [(Special::InfoPlist, info), (Special::Resources, list)] {
            if signature.directory().special(special) != Some(&digest(data)) {
                bail!("{special:?} is not what was signed ({})", slice.arch);
            }
        }
    }
    let list = bundles::parse(list).context("CodeResources cannot be read")?;
    let listed = list.get("files2").and_then(Value::as_dictionary).context("CodeResources has no files2")?;
    let mut left: BTreeSet<&str> = listed.keys().map(String::as_str).collect();
    let contents = format!("{bundle}/Contents/");
    let prefix = format!("./{}/{contents}", crate::pkg::names::STAGING);
    for entry in package.payload.iter().filter(|entry| entry.is_file()) {
        let Some(path) = entry.path.strip_prefix(&prefix) else { continue };
        // What the signature covers otherwise: itself, the program, Info.plist, a stapled ticket.
        let otherwise = path.starts_with("_CodeSignature/")
            || Some(path) == program.strip_prefix(&contents)
            || matches!(path, "Info.plist" | "CodeResources");
        if otherwise {
            continue;
        }
        left.remove(path);
        let hash = listed.get(path).and_then(Value::as_dictionary).and_then(|file| file.get("hash2"));
        if hash.and_then(Value::as_data) != Some(&digest(&entry.data)) {
            bail!("{path} is not listed, or with another hash");
        }
    }
    match left.first() {
        Some(path) => bail!("{path} is listed and missing"),
        None => Ok(()),
    }
}

fn cms(signature: &CodeSignature<'_>) -> Result<SignedData> {
    let cms = signature.cms().context("nobody signed it")?;
    SignedData::parse_ber(cms).context("its CMS signature is broken")
}

fn each_program(package: &Package, check: impl Fn(&str, usize) -> Result<()>) -> Vec<String> {
    let programs = package.programs();
    let results = programs
        .iter()
        .enumerate()
        .map(|(index, program)| found(check(program, index).with_context(|| program.clone())));
    results.flatten().collect()
}

fn each_slice(
    package: &Package,
    check: impl Fn(&macho::Slice<'_>, &CodeSignature<'_>) -> Result<()>,
) -> Vec<String> {
    each_program(package, |program, _| {
        for slice in macho::slices(package.content(program)?)? {
            let signed = slice.signature.with_context(|| format!("{} is not signed", slice.arch))?;
            check(&slice, &CodeSignature::parse(signed)?).with_context(|| slice.arch)?;
        }
        Ok(())
    })
}
