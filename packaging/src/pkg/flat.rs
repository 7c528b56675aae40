//! The flat package: a xar archive with a Distribution and one component.
//!
//! The crate embala-pkg writes all formats. Its Distribution is fixed, so ours takes its place.

use super::names::{Names, STAGING, SUPPORT};
use super::payload::{files, template_text};
use anyhow::{Context, Result};
use apple_xar::reader::XarReader;
use embala_pkg::{DirSpec, FileSpec, PkgSpec, XarEntry, XarEntryKind};
use quick_xml::events::Event;
use std::fs;
use std::io::Cursor;
use std::path::Path;

/// The component's folder in the archive.
pub(crate) const COMPONENT: &str = "Vedette.pkg";

/// Writes a package, not signed, of a payload and the installer's scripts.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn write(root: &Path, names: &Names, payload: &Path, scripts: &Path, to: &Path) -> Result<()> {
    let mut specs = Vec::new();
    for file in files(payload)? {
        let dest = file.to_str().with_context(|| format!("{} is no UTF-8", file.display()))?;
        specs.push(FileSpec { src: payload.join(&file), dest: format!("{STAGING}/{dest}"), mode: None });
    }
    let spec = PkgSpec {
        name: COMPONENT.trim_end_matches(".pkg").to_owned(),
        display_name: "Vedette".to_owned(),
        identifier: names.package_id(),
        version: names.version().to_owned(),
        install_location: SUPPORT.to_owned(),
        enable_user_home: false,
        files: specs,
        // Nobody but root sees or touches what waits there to be verified.
        directories: vec![DirSpec { dest: STAGING.to_owned(), mode: Some(0o700) }],
        scripts: Some(scripts.to_owned()),
    };
    embala_pkg::build(&spec, to).with_context(|| format!("cannot write {}", to.display()))?;

    let archive = fs::read(to).with_context(|| format!("cannot read {}", to.display()))?;
    let mut archive = XarReader::new(Cursor::new(archive)).context("cannot read the archive again")?;
    let mut part = |name: &str| -> Result<Vec<u8>> {
        let path = format!("{COMPONENT}/{name}");
        archive.get_file_data_from_path(&path)?.with_context(|| format!("the archive lacks {path}"))
    };
    let (bom, payload, scripts, info) =
        (part("Bom")?, part("Payload")?, part("Scripts")?, part("PackageInfo")?);
    let distribution = template_text(root, names, "packaging/pkg/Distribution.xml")?
        .replace("@INSTALL_KBYTES@", &attribute(&info, "payload", "installKBytes")?);
    // In productbuild's order. Payload and Scripts are compressed already.
    let children = vec![
        file("Bom", &bom, false),
        file("Payload", &payload, true),
        file("Scripts", &scripts, true),
        file("PackageInfo", &info, false),
    ];
    let entries = [
        XarEntry { name: COMPONENT, kind: XarEntryKind::Directory { mode: 0o700, children } },
        file("Distribution", distribution.as_bytes(), false),
    ];
    let mut archive = Vec::new();
    embala_pkg::write_xar(&entries, &mut archive)?;
    fs::write(to, archive).with_context(|| format!("cannot write {}", to.display()))
}

/// The value of an attribute of the first element of that name.
///
/// # Errors
/// If the text is no XML, or has none such.
pub(crate) fn attribute(xml: &[u8], element: &str, attribute: &str) -> Result<String> {
    let mut reader = quick_xml::Reader::from_reader(xml);
    loop {
        match reader.read_event()? {
            Event::Start(found) | Event::Empty(found) if found.name().as_ref() == element.as_bytes() => {
                let found = found.try_get_attribute(attribute)?;
                let found = found.with_context(|| format!("<{element}> has no attribute {attribute}"))?;
                return Ok(String::from_utf8(found.value.into_owned())?);
            }
            Event::Eof => anyhow::bail!("there is no element <{element}>"),
            _ => {}
        }
    }
}

fn file<'a>(name: &'a str, data: &'a [u8], store: bool) -> XarEntry<'a> {
    XarEntry { name, kind: XarEntryKind::File { data, mode: 0o644, store } }
}
