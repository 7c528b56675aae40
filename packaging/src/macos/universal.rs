//! A universal binary: a table of contents in front of one Mach-O for each architecture (`<mach-o/fat.h>`).

use anyhow::{Result, bail};

const FAT_MAGIC: u32 = 0xcafe_babe;
const MACHO_MAGIC_64: u32 = 0xfeed_facf;
const HEADER: usize = 8;
const ENTRY: usize = 20;
/// log2 of where a slice may begin: the pages of Apple silicon are 16 KiB, and `lipo` aligns all slices so.
const ALIGNMENT: u32 = 14;

/// Joins 64-bit Mach-O files, in their order.
///
/// # Errors
/// If one is no 64-bit Mach-O, two are of one architecture, or the whole exceeds the 4 GiB that the format can say.
pub(super) fn join(slices: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut table = Vec::new();
    table.extend(FAT_MAGIC.to_be_bytes());
    table.extend(u32::try_from(slices.len())?.to_be_bytes());
    let mut body = Vec::new();
    let start = (HEADER + ENTRY * slices.len()).next_multiple_of(1 << ALIGNMENT);
    let mut seen = Vec::new();
    for slice in slices {
        let word = |offset: usize| {
            slice.get(offset..offset + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("4 bytes")))
        };
        let (Some(MACHO_MAGIC_64), Some(cpu), Some(subtype)) = (word(0), word(4), word(8)) else {
            bail!("a slice is no 64-bit Mach-O");
        };
        if seen.contains(&cpu) {
            bail!("two slices are for processor type {cpu:#x}");
        }
        seen.push(cpu);
        body.resize(body.len().next_multiple_of(1 << ALIGNMENT), 0);
        let offset = u32::try_from(start + body.len())?;
        let size = u32::try_from(slice.len())?;
        for field in [cpu, subtype, offset, size, ALIGNMENT] {
            table.extend(field.to_be_bytes());
        }
        body.extend(slice);
    }
    u32::try_from(start + body.len())?;
    table.resize(start, 0);
    table.extend(body);
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn macho(cpu: u32, size: usize) -> Vec<u8> {
        let mut file = Vec::new();
        for word in [MACHO_MAGIC_64, cpu, 3] {
            file.extend(word.to_le_bytes());
        }
        file.resize(size, 0xab);
        file
    }

    #[test]
    fn each_slice_is_whole_and_aligned_where_the_table_says() {
        let slices = [macho(0x0100_0007, 20_000), macho(0x0100_000c, 100)];
        let joined = join(&slices).unwrap();
        let word =
            |offset: usize| u32::from_be_bytes(joined[offset..offset + 4].try_into().unwrap()) as usize;
        assert_eq!((word(0), word(4)), (FAT_MAGIC as usize, 2));
        for (index, slice) in slices.iter().enumerate() {
            let entry = HEADER + ENTRY * index;
            let (offset, size) = (word(entry + 8), word(entry + 12));
            assert_eq!(offset % 16_384, 0);
            assert_eq!(&joined[offset..offset + size], &slice[..]);
        }
    }

    #[test]
    fn what_is_no_macho_and_an_architecture_twice_are_refused() {
        assert!(join(&[b"#!/bin/sh\n".to_vec()]).is_err());
        assert!(join(&[macho(7, 64), macho(7, 64)]).is_err());
    }
}
