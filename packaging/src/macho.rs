//! Reading universal binaries (`<mach-o/fat.h>`, `<mach-o/loader.h>`).

use anyhow::{Context, Result, bail};
use object::LittleEndian;
use object::macho::{
    CPU_TYPE_ARM64, CPU_TYPE_X86_64, FAT_MAGIC, LC_CODE_SIGNATURE, MachHeader64, PLATFORM_MACOS,
};
use object::read::macho::{FatArch, LoadCommandVariant, MachHeader, MachOFatFile32, Section, Segment};

/// One architecture of a universal binary.
pub(crate) struct Slice<'a> {
    /// As `lipo -archs` calls it: `x86_64`, `arm64`.
    pub(crate) arch: &'static str,
    /// The whole Mach-O.
    pub(crate) data: &'a [u8],
    /// The oldest macOS, major and minor, where the Mach-O says that it is for macOS.
    pub(crate) minimum_macos: Option<(u32, u32)>,
    /// What a dSYM is found by.
    pub(crate) uuid: Option<[u8; 16]>,
    /// The machine code proper, section `__text`.
    pub(crate) code: &'a [u8],
    /// The code signature, as the linker or a signer left it.
    pub(crate) signature: Option<&'a [u8]>,
}

/// Reads the slices of a universal binary.
///
/// # Errors
/// If it is not universal, or not well formed: where, and what.
pub(crate) fn slices(data: &[u8]) -> Result<Vec<Slice<'_>>> {
    if !data.starts_with(&FAT_MAGIC.to_be_bytes()) {
        bail!("it is no universal binary");
    }
    let fat = MachOFatFile32::parse(data).context("its table of architectures is broken")?;
    let mut slices = Vec::new();
    for entry in fat.arches() {
        let arch = match entry.cputype() {
            CPU_TYPE_X86_64 => "x86_64",
            CPU_TYPE_ARM64 => "arm64",
            other => bail!("it has a slice for processor type {other:#x}, which no Mac with macOS 13 has"),
        };
        let data = entry.data(data).with_context(|| format!("its slice {arch} lies outside of the file"))?;
        slices.push(slice(arch, data).with_context(|| format!("its slice {arch} is broken"))?);
    }
    Ok(slices)
}

/// Reads a Mach-O for one architecture.
///
/// # Errors
/// If it is no 64-bit Mach-O, or not well formed.
pub(crate) fn slice<'a>(arch: &'static str, data: &'a [u8]) -> Result<Slice<'a>> {
    let header = MachHeader64::<LittleEndian>::parse(data, 0).context("no 64-bit Mach-O")?;
    let endian = header.endian().context("no 64-bit Mach-O")?;
    let mut found = Slice { arch, data, minimum_macos: None, uuid: None, code: &[], signature: None };
    let mut commands = header.load_commands(endian, data, 0)?;
    while let Some(command) = commands.next()? {
        match command.variant()? {
            LoadCommandVariant::BuildVersion(version, _)
                if version.platform.get(endian) == PLATFORM_MACOS =>
            {
                // X.Y.Z as xxxx.yy.zz (`<mach-o/loader.h>`).
                let minimum = version.minos.get(endian).0;
                found.minimum_macos = Some((minimum >> 16, minimum >> 8 & 0xff));
            }
            LoadCommandVariant::Segment64(segment, sections) => {
                for section in segment.sections(endian, sections)? {
                    if section.name() == b"__text" && section.segment_name() == b"__TEXT" {
                        let code = section.data(endian, data, section.offset(endian).into()).ok();
                        found.code = code.context("its code lies outside of the file")?;
                    }
                }
            }
            LoadCommandVariant::Uuid(uuid) => found.uuid = Some(uuid.uuid),
            LoadCommandVariant::LinkeditData(part) if command.cmd() == LC_CODE_SIGNATURE => {
                let start = part.dataoff.get(endian) as usize;
                let end = start.checked_add(part.datasize.get(endian) as usize);
                let range = end.and_then(|end| data.get(start..end));
                found.signature = Some(range.context("its code signature lies outside of the file")?);
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Whether slices are those that Macs need, no more and no less.
///
/// # Errors
/// If one is missing, with its name.
pub(crate) fn universal(slices: &[Slice<'_>]) -> Result<()> {
    for arch in ["x86_64", "arm64"] {
        if !slices.iter().any(|slice| slice.arch == arch) {
            bail!("it has no slice for {arch}");
        }
    }
    Ok(())
}
