//! Debug information, apart from what ships: a dSYM for each architecture, found by the Mach-O's UUID.

use crate::macos::{Arch, with_debug_map};
use crate::{command, macho};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes `vedette.dSYM` for each architecture below `to`. Says so where LLVM's dsymutil is missing: a package without
/// them is whole, but its crash reports name no lines.
///
/// The linker makes the UUID of all that it writes, the map to debug information included, which names this machine's
/// files. So the program is linked once more with the map, and what comes of it gets the UUID of what ships.
///
/// # Errors
/// If cargo or dsymutil fails, or the two links differ in code.
pub(super) fn write(shipped: &[macho::Slice<'_>], prefix: Option<&str>, to: &Path) -> Result<()> {
    let Some(dsymutil) = find() else {
        eprintln!("xtask: no dsymutil, so no dSYMs are made; install Debian's package llvm, or Xcode");
        return Ok(());
    };
    for (arch, name) in [(Arch::X86_64, "x86_64"), (Arch::Aarch64, "arm64")] {
        let slice = shipped.iter().find(|slice| slice.arch == name).context("an architecture is missing")?;
        let program = with_debug_map(arch, prefix)?;
        let linked = read(&program)?;
        let linked = macho::slice(name, &linked)?;
        if linked.code != slice.code {
            bail!("{name}: linked once more, the program has other code; build again");
        }
        let bundle = to.join(arch.name()).join("vedette.dSYM");
        command::output(Command::new(&dsymutil).arg("-o").arg(&bundle).arg(&program))?;
        let path = bundle.join("Contents/Resources/DWARF/vedette");
        let dwarf = with_uuid(&read(&path)?, name, slice)?;
        fs::write(&path, dwarf).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A Mach-O with the UUID of another.
fn with_uuid(data: &[u8], name: &'static str, of: &macho::Slice<'_>) -> Result<Vec<u8>> {
    let uuid = of.uuid.context("the program has no UUID")?;
    let own = macho::slice(name, data)?.uuid.context("what dsymutil wrote has no UUID")?;
    // It stands once, in a load command, which come first.
    let at = memchr::memmem::find(data, &own).context("what dsymutil wrote has no UUID")?;
    let mut data = data.to_vec();
    data[at..at + 16].copy_from_slice(&uuid);
    Ok(data)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// LLVM's dsymutil, under the name that Apple and Debian give it.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("dsymutil")).find(|program| program.is_file())
}
