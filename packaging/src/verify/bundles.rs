//! Property lists and what they say: ids, versions, the oldest macOS.

use super::found;
use super::package::Package;
use crate::macos::MINIMUM_MACOS;
use crate::pkg::flat::attribute;
use crate::pkg::payload::{APP, DAEMON};
use crate::{macho, signature};
use anyhow::{Context, Result, bail};
use plist::{Dictionary, Value};

/// Each property list of the payload can be read.
pub(super) fn property_lists(package: &Package) -> Vec<String> {
    let lists = package.payload.iter().filter(|entry| {
        entry.path.ends_with(".plist") || entry.path.ends_with("/_CodeSignature/CodeResources")
    });
    lists.filter_map(|entry| Some(format!("{}: {:#}", entry.path, parse(&entry.data).err()?))).collect()
}

/// Bundle ids, the names of folders and programs, the identifiers that were signed and the package's own agree.
pub(super) fn ids(package: &Package) -> Vec<String> {
    found(check_ids(package))
}

/// Everything that says a version says the package's.
pub(super) fn versions(package: &Package) -> Vec<String> {
    found(check_versions(package))
}

/// Everything that says an oldest macOS says the same.
pub(super) fn minimum_macos(package: &Package) -> Vec<String> {
    found(check_minimum_macos(package))
}

/// Reads a property list, of which ours are all dictionaries.
///
/// # Errors
/// If it is none.
pub(super) fn parse(data: &[u8]) -> Result<Dictionary> {
    Value::from_reader_xml(data)?.into_dictionary().context("it is no dictionary")
}

fn check_ids(package: &Package) -> Result<()> {
    let (names, [app, extension]) = (&package.names, info_plists(package)?);
    let sensor = names.sensor_id();
    let expected = [
        (&app, "CFBundleIdentifier", format!("{}.app", names.prefix())),
        (&app, "CFBundleExecutable", "vedette".to_owned()),
        (&app, "CFBundlePackageType", "APPL".to_owned()),
        (&extension, "CFBundleIdentifier", sensor.clone()),
        (&extension, "CFBundleExecutable", sensor.clone()),
        (&extension, "CFBundlePackageType", "SYSX".to_owned()),
        (&extension, "NSEndpointSecurityMachServiceName", format!("{}.{sensor}", names.team())),
    ];
    for (info, key, value) in expected {
        equal(key, text(info, key)?, &value)?;
    }
    for key in ["NSSystemExtensionUsageDescription", "OSLogPreferences"] {
        extension.get(key).with_context(|| format!("the extension's Info.plist has no {key}"))?;
    }
    if app.get("LSUIElement") != Some(&Value::Boolean(true)) {
        bail!("the app is shown in the Dock: LSUIElement is not true");
    }
    let daemon = parse(package.content(DAEMON)?)?;
    equal("Label", text(&daemon, "Label")?, &format!("{}.activate", names.prefix()))?;
    equal("pkg-ref id", &attribute(&package.distribution, "pkg-ref", "id")?, &names.package_id())?;
    let identifiers = [format!("{}.app", names.prefix()), sensor, names.command_id()];
    for (program, identifier) in package.programs().iter().zip(identifiers) {
        for slice in macho::slices(package.content(program)?)? {
            let signed = slice.signature.with_context(|| format!("{program} is not signed"))?;
            let signed = signature::CodeSignature::parse(signed)?;
            equal(
                &format!("identifier in the signature of {program}"),
                &signed.directory().identifier,
                &identifier,
            )?;
        }
    }
    Ok(())
}

fn check_versions(package: &Package) -> Result<()> {
    let names = &package.names;
    let short = names.fill("@SHORT_VERSION@");
    for (what, info) in ["app", "extension"].into_iter().zip(info_plists(package)?) {
        equal(&format!("CFBundleVersion of the {what}"), text(&info, "CFBundleVersion")?, names.version())?;
        let key = "CFBundleShortVersionString";
        equal(&format!("{key} of the {what}"), text(&info, key)?, &short)?;
    }
    equal("version in PackageInfo", &attribute(&package.info, "pkg-info", "version")?, names.version())?;
    // The first pkg-ref stands in a choice and says an id only.
    let distribution = String::from_utf8_lossy(&package.distribution);
    if !distribution.contains(&format!("version=\"{}\"", names.version())) {
        bail!("the Distribution's package is of another version than {}", names.version());
    }
    let activate = String::from_utf8_lossy(package.content("activate")?);
    if !activate.contains(&format!("\nversion=\"{short}/{}\"\n", names.version())) {
        bail!("the script activate asks for another version than {short}/{}", names.version());
    }
    Ok(())
}

fn check_minimum_macos(package: &Package) -> Result<()> {
    for (what, info) in ["app", "extension"].into_iter().zip(info_plists(package)?) {
        let key = "LSMinimumSystemVersion";
        equal(&format!("{key} of the {what}"), text(&info, key)?, MINIMUM_MACOS)?;
    }
    equal("os-version min", &attribute(&package.distribution, "os-version", "min")?, MINIMUM_MACOS)?;
    for program in package.programs() {
        for slice in macho::slices(package.content(&program)?)? {
            let (major, minor) =
                slice.minimum_macos.with_context(|| format!("{program} is not for macOS"))?;
            equal(&format!("{} of {program}", slice.arch), &format!("{major}.{minor}"), MINIMUM_MACOS)?;
        }
    }
    Ok(())
}

/// The Info.plists of app and extension.
fn info_plists(package: &Package) -> Result<[Dictionary; 2]> {
    let read =
        |path: String| parse(package.content(&path)?).with_context(|| format!("{path} cannot be read"));
    Ok([
        read(format!("{APP}/Contents/Info.plist"))?,
        read(format!("{APP}/{}/Contents/Info.plist", package.names.extension()))?,
    ])
}

fn text<'a>(dictionary: &'a Dictionary, key: &str) -> Result<&'a str> {
    dictionary.get(key).and_then(Value::as_string).with_context(|| format!("{key} is no text"))
}

fn equal(what: &str, is: &str, should: &str) -> Result<()> {
    if is != should {
        bail!("{what} is {is}, not {should}");
    }
    Ok(())
}
