//! A package taken apart: what the checks look at.

use crate::pkg::flat::{COMPONENT, attribute};
use crate::pkg::names::{Names, STAGING};
use crate::pkg::payload::APP;
use crate::{macho, root, signature};
use anyhow::{Context, Result, bail};
use apple_bom::ParsedBom;
use apple_xar::reader::XarReader;
use flate2::read::GzDecoder;
use std::io::{Cursor, Read};

/// The most that a compressed part may become, 1 GiB: nobody's package fills the memory of who checks it.
const MAX_PART: u64 = 1 << 30;

/// A line of the bill of materials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BomLine {
    /// As `./a/b`; the root is `.`.
    pub(super) path: String,
    /// With the kind's bits, as in `st_mode`.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) size: u64,
    /// POSIX `cksum` of a file's content.
    pub(super) checksum: Option<u32>,
}

/// An entry of a cpio archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// As `./a/b`; the root is `.`.
    pub(super) path: String,
    /// With the kind's bits, as in `st_mode`.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) data: Vec<u8>,
}

impl Entry {
    /// Whether it is a regular file.
    pub(super) fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

/// A package's parts.
#[derive(Clone)]
pub(super) struct Package {
    /// The file itself, for what concerns the archive as such.
    pub(super) archive: Vec<u8>,
    pub(super) bom: Vec<BomLine>,
    pub(super) payload: Vec<Entry>,
    pub(super) scripts: Vec<Entry>,
    pub(super) distribution: Vec<u8>,
    pub(super) info: Vec<u8>,
    /// What the package calls itself.
    pub(super) names: Names,
}

impl Package {
    /// Takes a package apart.
    ///
    /// # Errors
    /// If it is no flat package of Vedette's, or a part cannot be read: which.
    pub(super) fn read(archive: Vec<u8>) -> Result<Self> {
        let mut xar = XarReader::new(Cursor::new(&archive)).context("it is no xar archive")?;
        let mut part = |name: &str| -> Result<Vec<u8>> {
            let data = xar.get_file_data_from_path(name).with_context(|| format!("{name} cannot be read"))?;
            data.with_context(|| format!("it lacks {name}"))
        };
        let bom = part(&format!("{COMPONENT}/Bom"))?;
        let payload = part(&format!("{COMPONENT}/Payload"))?;
        let scripts = part(&format!("{COMPONENT}/Scripts"))?;
        let info = part(&format!("{COMPONENT}/PackageInfo"))?;
        let distribution = part("Distribution")?;
        let payload = cpio(&payload).context("the payload cannot be read")?;
        let names = names(&info, &payload)?;
        Ok(Self {
            bom: bill_of_materials(&bom).context("the bill of materials cannot be read")?,
            payload,
            scripts: cpio(&scripts).context("the scripts cannot be read")?,
            distribution,
            info,
            names,
            archive,
        })
    }

    /// A file of the payload, by its path below the staging folder.
    pub(super) fn file(&self, path: &str) -> Option<&Entry> {
        let path = format!("./{STAGING}/{path}");
        self.payload.iter().find(|entry| entry.path == path && entry.is_file())
    }

    /// The content of a file of the payload.
    ///
    /// # Errors
    /// If it is missing.
    pub(super) fn content(&self, path: &str) -> Result<&[u8]> {
        let entry = self.file(path).with_context(|| format!("{path} is missing"))?;
        Ok(&entry.data)
    }

    /// The Mach-O files, by their paths below the staging folder: the app's, the extension's, the command's.
    pub(super) fn programs(&self) -> [String; 3] {
        let sensor = self.names.sensor_id();
        [
            format!("{APP}/Contents/MacOS/vedette"),
            format!("{APP}/{}/Contents/MacOS/{sensor}", self.names.extension()),
            crate::pkg::payload::COMMAND.to_owned(),
        ]
    }
}

/// The names that a package gives itself: prefix and version by its own word, the team by the app's signature.
fn names(info: &[u8], payload: &[Entry]) -> Result<Names> {
    let identifier = attribute(info, "pkg-info", "identifier").context("PackageInfo cannot be read")?;
    let version = attribute(info, "pkg-info", "version").context("PackageInfo cannot be read")?;
    let Some(prefix) = identifier.strip_suffix(".pkg") else {
        bail!("its id {identifier} does not end in .pkg")
    };
    let path = format!("./{STAGING}/{APP}/Contents/MacOS/vedette");
    let program = payload.iter().find(|entry| entry.path == path).context("the app has no program")?;
    let slices = macho::slices(&program.data).context("the app's program cannot be read")?;
    let signed =
        slices.first().and_then(|slice| slice.signature).context("the app's program is not signed")?;
    let team = signature::CodeSignature::parse(signed)?.directory().team.clone();
    Names::new(root(), prefix, &team.context("the app's signature names no team")?, Some(&version))
}

fn bill_of_materials(data: &[u8]) -> Result<Vec<BomLine>> {
    let bom = ParsedBom::parse(data)?;
    let lines = bom.paths()?.into_iter().map(|path| BomLine {
        path: path.path().to_owned(),
        mode: u32::from(path.file_mode()),
        owner: (path.user_id(), path.group_id()),
        size: path.size() as u64,
        checksum: path.crc32(),
    });
    Ok(lines.collect())
}

fn cpio(data: &[u8]) -> Result<Vec<Entry>> {
    let mut plain = Vec::new();
    GzDecoder::new(data).take(MAX_PART).read_to_end(&mut plain)?;
    if plain.len() as u64 == MAX_PART {
        bail!("it is larger than 1 GiB");
    }
    let mut reader = cpio_archive::reader(Cursor::new(plain))?;
    let mut entries = Vec::new();
    while let Some(header) = reader.read_next()? {
        let mut data = Vec::new();
        reader.read_to_end(&mut data)?;
        entries.push(Entry {
            path: header.name().to_owned(),
            mode: header.mode(),
            owner: (header.uid(), header.gid()),
            data,
        });
    }
    Ok(entries)
}
