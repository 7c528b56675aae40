//! What a program's code signature says of it: identifier, team, designated requirement.
//!
//! It is read, not verified: that needs Apple's certificates and is `codesign`'s to do. Layouts are those of xnu's
//! `osfmk/kern/cs_blobs.h` and `EXTERNAL_HEADERS/mach-o/{fat,loader}.h`; a signature's own numbers are big-endian.

mod macho;
pub mod requirement;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use self::requirement::Requirement;

/// The largest program that is read, in bytes.
const MAX_PROGRAM: u64 = 256 << 20;

/// The most blobs that are looked at in a signature; Apple's tools write some ten.
const MAX_BLOBS: u32 = 64;

/// The longest identifier or team, in bytes.
const MAX_NAME: usize = 1024;

/// `CSMAGIC_EMBEDDED_SIGNATURE`, `CSMAGIC_CODEDIRECTORY`, `CSMAGIC_REQUIREMENTS`.
const EMBEDDED_SIGNATURE: u32 = 0xfade_0cc0;
const CODE_DIRECTORY: u32 = 0xfade_0c02;
const REQUIREMENTS: u32 = 0xfade_0c01;

/// `CSSLOT_CODEDIRECTORY`, `CSSLOT_REQUIREMENTS`, and `CSSLOT_SIGNATURESLOT`, in which the certificates are.
const SLOT_CODE_DIRECTORY: u32 = 0;
const SLOT_REQUIREMENTS: u32 = 2;
const SLOT_SIGNATURE: u32 = 0x1_0000;

/// `kSecDesignatedRequirementType` of Security's `CSCommon.h`.
const DESIGNATED: u32 = 3;

/// The flag `CS_ADHOC`.
const ADHOC: u32 = 0x2;

/// From this version on a code directory names its team (`CS_SUPPORTSTEAMID`).
const WITH_TEAM: u32 = 0x2_0200;

/// The signature of one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeSignature {
    /// The signing identifier; of a bundle, its bundle id.
    pub identifier: String,
    /// The team, if it is signed with a certificate that Apple gave out.
    pub team: Option<String>,
    /// Whether it is signed without any certificate.
    pub adhoc: bool,
    /// What the program's maker says that later versions of it must be.
    pub designated: Option<Requirement>,
    /// The CMS message, DER, in which the certificates stand; empty for one without.
    pub cms: Vec<u8>,
}

/// Reads the signatures of a program, one for each architecture, or of the program in a bundle (a `.systemextension`).
///
/// # Errors
/// It cannot be read, is no Mach-O, or not signed: a sentence that names the path.
pub fn read(path: &Path) -> Result<Vec<CodeSignature>, String> {
    let program = program(path);
    let shown = program.display().to_string();
    let cannot = |error: std::io::Error| format!("{shown}: the program cannot be read: {error}");
    let file = File::open(&program).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("{shown}: this is no file; name the extension's program, or its bundle"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_PROGRAM + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_PROGRAM {
        return Err(format!("{shown}: the program is larger than {} MiB", MAX_PROGRAM >> 20));
    }
    parse(&bytes).map_err(|reason| format!("{shown}: {reason}"))
}

/// Reads the signatures in a program's bytes, one for each architecture.
///
/// # Errors
/// They are no Mach-O, or not signed; why.
pub fn parse(program: &[u8]) -> Result<Vec<CodeSignature>, String> {
    macho::signatures(program)?.into_iter().map(embedded).collect()
}

/// Returns the program of a bundle, whose name is the bundle's as macOS wants it for a system extension; else the path.
fn program(path: &Path) -> std::path::PathBuf {
    match path.file_stem() {
        Some(name) if path.is_dir() => path.join("Contents/MacOS").join(name),
        _ => path.to_owned(),
    }
}

/// Reads a `CS_SuperBlob`: magic, length, count, and for each blob its slot and where it begins.
fn embedded(blob: &[u8]) -> Result<CodeSignature, String> {
    let broken = || "the code signature is cut short or not in order; sign the program anew".to_owned();
    let blobs = index(blob, EMBEDDED_SIGNATURE).ok_or_else(broken)?;
    let find = |slot| blobs.iter().find(|(other, _)| *other == slot).map(|(_, blob)| *blob);
    let directory = find(SLOT_CODE_DIRECTORY).ok_or_else(broken)?;
    let designated = match find(SLOT_REQUIREMENTS) {
        Some(set) => {
            let set = index(set, REQUIREMENTS).ok_or_else(broken)?;
            let designated = set.iter().find(|(kind, _)| *kind == DESIGNATED);
            designated.map(|(_, blob)| Requirement::from_blob(blob)).transpose()?
        }
        None => None,
    };
    let (identifier, team, flags) = directory_names(directory).ok_or_else(broken)?;
    let cms = find(SLOT_SIGNATURE).and_then(|wrapper| wrapper.get(8..)).unwrap_or_default().to_vec();
    Ok(CodeSignature { identifier, team, adhoc: flags & ADHOC != 0, designated, cms })
}

/// Returns identifier, team and flags of a `CS_CodeDirectory`.
fn directory_names(directory: &[u8]) -> Option<(String, Option<String>, u32)> {
    if number(directory, 0)? != CODE_DIRECTORY {
        return None;
    }
    let (version, flags) = (number(directory, 8)?, number(directory, 12)?);
    let identifier = name(directory, number(directory, 20)?)?;
    let team = match version >= WITH_TEAM {
        true => match number(directory, 48)? {
            0 => None,
            offset => Some(name(directory, offset)?),
        },
        false => None,
    };
    Some((identifier, team, flags))
}

/// Returns the blobs of an index, each from its own magic to its own length.
fn index(blob: &[u8], magic: u32) -> Option<Vec<(u32, &[u8])>> {
    let length = usize::try_from(number(blob, 4)?).ok()?;
    let blob = blob.get(..length).filter(|_| number(blob, 0) == Some(magic))?;
    let count = number(blob, 8).filter(|count| *count <= MAX_BLOBS)?;
    (0..count as usize)
        .map(|entry| {
            let kind = number(blob, 12 + 8 * entry)?;
            let start = usize::try_from(number(blob, 16 + 8 * entry)?).ok()?;
            let length = usize::try_from(number(blob, start.checked_add(4)?)?).ok()?;
            Some((kind, blob.get(start..start.checked_add(length)?)?))
        })
        .collect()
}

/// Returns a C string of visible ASCII: identifiers and teams are nothing else.
fn name(blob: &[u8], offset: u32) -> Option<String> {
    let rest = blob.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().take(MAX_NAME + 1).position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// Returns the big-endian number at an offset.
fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}
