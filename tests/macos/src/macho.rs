//! What a Mach-O executable says of itself: segments, imports, pointers to fix, thread-local variables, entry point.
//!
//! The formats are those of `<mach-o/loader.h>`, `<mach-o/fat.h>` and `<mach-o/fixup-chains.h>`, as far as `rust-lld`
//! writes them for macOS 13: chained fixups of 64-bit pointers, and no other kind of fixup.

use std::fmt;

/// A Mach-O executable for this machine's processor.
pub struct Macho {
    bytes: Vec<u8>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) sections: Vec<Section>,
    /// The entry point's distance from the first mapped byte.
    pub(crate) entry: u64,
    imports: Vec<Import>,
    pub(crate) fixups: Vec<Fixup>,
}

/// A function or variable of another library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// As the linker writes it, with the leading underscore of C.
    pub symbol: String,
    /// The install name of the library that the linker found it in; empty for no certain one.
    pub library: String,
    /// Whether it may be missing.
    pub weak: bool,
}

/// A range of the file and where it is mapped.
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) file: std::ops::Range<usize>,
    /// Bits 1 read, 2 write, 4 execute.
    pub(crate) protection: u32,
}

/// A part of a segment that the loader must know.
pub(crate) struct Section {
    /// `S_…` of loader.h.
    pub(crate) kind: u32,
    pub(crate) address: u64,
    pub(crate) size: u64,
}

/// A pointer that has to be written when the image is mapped.
pub(crate) struct Fixup {
    pub(crate) address: u64,
    pub(crate) value: FixupValue,
}

/// What is written.
pub(crate) enum FixupValue {
    /// An address of the image.
    Own(u64),
    /// An import, by its place in `imports`, and what is added to its address.
    Import { index: usize, addend: u64 },
}

/// Why a file cannot be loaded.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Sections of initialised and of zeroed thread-local variables, and of their descriptors.
pub(crate) const S_THREAD_LOCAL_REGULAR: u32 = 0x11;
pub(crate) const S_THREAD_LOCAL_ZEROFILL: u32 = 0x12;
pub(crate) const S_THREAD_LOCAL_VARIABLES: u32 = 0x13;
/// Sections of functions that run before main.
pub(crate) const S_MOD_INIT_FUNC_POINTERS: u32 = 0x9;
pub(crate) const S_INIT_FUNC_OFFSETS: u32 = 0x16;

#[cfg(target_arch = "x86_64")]
const CPU: u32 = 0x0100_0007;
#[cfg(target_arch = "aarch64")]
const CPU: u32 = 0x0100_000c;

const FAT_MAGIC: u32 = 0xcafe_babe;
const MAGIC_64: u32 = 0xfeed_facf;
const MH_EXECUTE: u32 = 2;
const LC_SEGMENT_64: u32 = 0x19;
const LC_MAIN: u32 = 0x8000_0028;
const LC_LOAD_DYLIB: u32 = 0xc;
const LC_LOAD_WEAK_DYLIB: u32 = 0x8000_0018;
const LC_REEXPORT_DYLIB: u32 = 0x8000_001f;
const LC_DYLD_INFO: u32 = 0x22;
const LC_DYLD_INFO_ONLY: u32 = 0x8000_0022;
const LC_DYLD_CHAINED_FIXUPS: u32 = 0x8000_0034;

impl Macho {
    /// Reads a file: a universal one by its slice for this processor.
    ///
    /// # Errors
    /// If it is no executable for this processor, is cut short, or has fixups of another kind than `rust-lld` writes.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let bytes = own_slice(bytes)?;
        let header = Reader(&bytes);
        if header.u32(0)? != MAGIC_64 || header.u32(4)? != CPU || header.u32(12)? != MH_EXECUTE {
            return Err(Error("it is no Mach-O executable for this machine's processor".to_owned()));
        }
        let mut segments = Vec::new();
        let mut sections = Vec::new();
        let mut libraries = Vec::new();
        let (mut entry, mut chains) = (None, None);
        let mut at = 32;
        for _ in 0..header.u32(16)? {
            let size = header.u32(at + 4)? as usize;
            match header.u32(at)? {
                LC_SEGMENT_64 => read_segment(&header, at, &mut segments, &mut sections)?,
                LC_LOAD_DYLIB | LC_LOAD_WEAK_DYLIB | LC_REEXPORT_DYLIB => {
                    libraries.push(header.text(at + header.u32(at + 8)? as usize)?);
                }
                LC_MAIN => entry = Some(header.u64(at + 8)?),
                LC_DYLD_CHAINED_FIXUPS => {
                    let start = header.u32(at + 8)? as usize;
                    chains = Some(start..start + header.u32(at + 12)? as usize);
                }
                LC_DYLD_INFO | LC_DYLD_INFO_ONLY => {
                    return Err(Error(
                        "its fixups are opcodes (LC_DYLD_INFO); only chains are known here".to_owned(),
                    ));
                }
                _ => {}
            }
            at += size.max(8);
        }
        let entry = entry.ok_or_else(|| Error("it has no entry point (LC_MAIN)".to_owned()))?;
        let (imports, fixups) = match chains {
            Some(range) => read_chains(&bytes, range, &segments, &libraries)?,
            None => (Vec::new(), Vec::new()),
        };
        Ok(Self { bytes, segments, sections, entry, imports, fixups })
    }

    /// What it needs of other libraries, sorted and once each as the linker wrote them.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    pub(crate) fn bytes_of(&self, segment: &Segment) -> &[u8] {
        &self.bytes[segment.file.clone()]
    }

    /// Where the header is mapped: the segment that begins the file.
    pub(crate) fn base(&self) -> u64 {
        let text = self.segments.iter().find(|segment| segment.file.start == 0 && !segment.file.is_empty());
        text.map_or(0, |segment| segment.address)
    }
}

/// The part of a universal file that is for this processor, or the whole of another.
fn own_slice(bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let reader = Reader(&bytes);
    if reader.u32_be(0)? != FAT_MAGIC {
        return Ok(bytes);
    }
    for index in 0..reader.u32_be(4)? as usize {
        let entry = 8 + index * 20;
        if reader.u32_be(entry)? == CPU {
            let (start, size) = (reader.u32_be(entry + 8)? as usize, reader.u32_be(entry + 12)? as usize);
            return Ok(reader.range(start, size)?.to_vec());
        }
    }
    Err(Error("it has no slice for this machine's processor".to_owned()))
}

fn read_segment(
    reader: &Reader<'_>,
    at: usize,
    segments: &mut Vec<Segment>,
    sections: &mut Vec<Section>,
) -> Result<(), Error> {
    let file = reader.u64(at + 40)? as usize;
    let file_size = reader.u64(at + 48)? as usize;
    reader.range(file, file_size)?;
    segments.push(Segment {
        name: reader.name(at + 8)?,
        address: reader.u64(at + 24)?,
        size: reader.u64(at + 32)?,
        file: file..file + file_size,
        protection: reader.u32(at + 60)?,
    });
    for index in 0..reader.u32(at + 64)? as usize {
        let section = at + 72 + index * 80;
        sections.push(Section {
            kind: reader.u32(section + 64)? & 0xff,
            address: reader.u64(section + 32)?,
            size: reader.u64(section + 40)?,
        });
    }
    Ok(())
}

/// `dyld_chained_fixups_header`: the imports, and in each page of a segment a chain through its pointers.
fn read_chains(
    bytes: &[u8],
    range: std::ops::Range<usize>,
    segments: &[Segment],
    libraries: &[String],
) -> Result<(Vec<Import>, Vec<Fixup>), Error> {
    let header = Reader(Reader(bytes).range(range.start, range.len())?);
    let (starts, table, symbols) =
        (header.u32(4)? as usize, header.u32(8)? as usize, header.u32(12)? as usize);
    let (count, format) = (header.u32(16)? as usize, header.u32(20)?);
    if format != 1 {
        return Err(Error(format!(
            "its imports are of format {format}; only DYLD_CHAINED_IMPORT is known here"
        )));
    }
    let mut imports = Vec::new();
    for index in 0..count {
        let word = header.u32(table + index * 4)?;
        let symbol = header.text(symbols + (word >> 9) as usize)?;
        // Counted from 1; 0 and negative numbers mean this file, or any.
        let library = libraries.get((word as u8 as usize).wrapping_sub(1)).cloned().unwrap_or_default();
        imports.push(Import { symbol, library, weak: word >> 8 & 1 != 0 });
    }
    let image = Reader(bytes);
    let base = segments.iter().find(|segment| segment.file.start == 0 && !segment.file.is_empty());
    let base = base.map_or(0, |segment| segment.address);
    let mut fixups = Vec::new();
    for (index, segment) in segments.iter().enumerate().take(header.u32(starts)? as usize) {
        let info = header.u32(starts + 4 + index * 4)? as usize;
        if info == 0 {
            continue;
        }
        let info = starts + info;
        let (page_size, format) = (header.u16(info + 4)? as usize, header.u16(info + 6)?);
        // DYLD_CHAINED_PTR_64 has addresses, DYLD_CHAINED_PTR_64_OFFSET distances from the image's base.
        let own_base = match format {
            2 => 0,
            6 => base,
            other => {
                return Err(Error(format!(
                    "its pointers are of format {other}; only 2 and 6 are known here"
                )));
            }
        };
        for page in 0..header.u16(info + 20)? as usize {
            let start = header.u16(info + 22 + page * 2)?;
            if start == u16::MAX {
                continue;
            }
            let mut offset = page * page_size + start as usize;
            loop {
                let word = image.u64(segment.file.start + offset)?;
                let value = if word >> 63 != 0 {
                    let index = (word & 0xff_ffff) as usize;
                    if index >= imports.len() {
                        return Err(Error(format!("a pointer names import {index} of {}", imports.len())));
                    }
                    FixupValue::Import { index, addend: word >> 24 & 0xff }
                } else {
                    let high = (word >> 36 & 0xff) << 56;
                    FixupValue::Own((own_base + (word & 0xf_ffff_ffff)) | high)
                };
                fixups.push(Fixup { address: segment.address + offset as u64, value });
                match (word >> 51 & 0xfff) as usize {
                    0 => break,
                    next => offset += next * 4,
                }
            }
        }
    }
    Ok((imports, fixups))
}

/// Reads numbers at offsets; never beyond the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn range(&self, start: usize, size: usize) -> Result<&'a [u8], Error> {
        let end = start.checked_add(size);
        end.and_then(|end| self.0.get(start..end))
            .ok_or_else(|| Error(format!("it ends before byte {start} + {size}")))
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Error> {
        Ok(self.range(at, N)?.try_into().expect("a range of N bytes"))
    }

    fn u16(&self, at: usize) -> Result<u16, Error> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Result<u32, Error> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u32_be(&self, at: usize) -> Result<u32, Error> {
        self.array(at).map(u32::from_be_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, Error> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// A name of at most 16 bytes, filled up with zeros.
    fn name(&self, at: usize) -> Result<String, Error> {
        let name = self.range(at, 16)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(16);
        Ok(String::from_utf8_lossy(&name[..end]).into_owned())
    }

    /// A text up to its zero.
    fn text(&self, at: usize) -> Result<String, Error> {
        let rest = self.0.get(at..).ok_or_else(|| Error(format!("it ends before the text at byte {at}")))?;
        let end =
            rest.iter().position(|byte| *byte == 0).ok_or_else(|| Error("a text has no end".to_owned()))?;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}
