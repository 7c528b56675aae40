//! Where in a Mach-O file the code signature lies.

/// `FAT_MAGIC`, `FAT_MAGIC_64`: big-endian.
const FAT: u32 = 0xcafe_babe;
const FAT_64: u32 = 0xcafe_babf;

/// `MH_MAGIC_64`, little-endian, as all programs of macOS 11 and later are.
const MACHO_64: u32 = 0xfeed_facf;

/// `LC_CODE_SIGNATURE`.
const CODE_SIGNATURE: u32 = 0x1d;

/// The most architectures in a file; a Java class file begins with the same four bytes and a larger number.
const MAX_ARCHITECTURES: u32 = 16;

/// The size of `mach_header_64`.
const HEADER: usize = 32;

/// Returns the signature of each architecture, unread.
pub(super) fn signatures(file: &[u8]) -> Result<Vec<&[u8]>, String> {
    slices(file)?.into_iter().map(signature).collect()
}

fn slices(file: &[u8]) -> Result<Vec<&[u8]>, String> {
    let no_macho = "this is no Mach-O program; name the extension's signed program";
    let magic = big(file, 0).ok_or(no_macho)?;
    let entry = match magic {
        FAT => 20,
        FAT_64 => 32,
        _ => return Ok(vec![file]),
    };
    let count = big(file, 4).filter(|count| (1..=MAX_ARCHITECTURES).contains(count)).ok_or(no_macho)?;
    let slice = |at: usize| {
        let (offset, size) = if magic == FAT {
            (u64::from(big(file, at + 8)?), u64::from(big(file, at + 12)?))
        } else {
            (big_64(file, at + 8)?, big_64(file, at + 16)?)
        };
        part(file, offset, size)
    };
    (0..count as usize)
        .map(|index| slice(8 + entry * index).ok_or_else(|| "the universal program is cut short".to_owned()))
        .collect()
}

fn signature(slice: &[u8]) -> Result<&[u8], String> {
    if little(slice, 0) != Some(MACHO_64) {
        return Err("this is no 64-bit Mach-O program; name the extension's signed program".to_owned());
    }
    let cut = || "the program is cut short within its load commands".to_owned();
    let count = little(slice, 16).ok_or_else(cut)?;
    let commands = little(slice, 20).ok_or_else(cut)? as usize;
    let commands = slice.get(HEADER..HEADER.saturating_add(commands)).ok_or_else(cut)?;
    let mut at = 0;
    for _ in 0..count {
        let size = little(commands, at + 4).ok_or_else(cut)? as usize;
        if little(commands, at) == Some(CODE_SIGNATURE) {
            let offset = little(commands, at + 8).ok_or_else(cut)?;
            let length = little(commands, at + 12).ok_or_else(cut)?;
            return part(slice, offset.into(), length.into())
                .ok_or_else(|| "the program is cut short before its code signature".to_owned());
        }
        // A command holds at least its kind and its size; each round must move on.
        if size < 8 {
            return Err(cut());
        }
        at = at.checked_add(size).filter(|at| *at <= commands.len()).ok_or_else(cut)?;
    }
    Err("the program is not signed; sign it with a Developer ID Application certificate".to_owned())
}

fn part(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

fn four(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok()
}

fn big(bytes: &[u8], at: usize) -> Option<u32> {
    four(bytes, at).map(u32::from_be_bytes)
}

fn big_64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(big(bytes, at)?) << 32 | u64::from(big(bytes, at + 4)?))
}

fn little(bytes: &[u8], at: usize) -> Option<u32> {
    four(bytes, at).map(u32::from_le_bytes)
}
