//! Maps a Mach-O into this process, binds its imports, and calls its entry point.
//!
//! It is mapped at the address that it was linked for, so pointers of its own need no slide. Models: segments with their
//! protections, fixups, initialisers, thread-local variables, argc/argv/envp/apple. Not: dyld's other images, address
//! space randomisation, code signatures.

use crate::libsystem::process;
use crate::macho::{FixupValue, Macho, S_INIT_FUNC_OFFSETS, S_MOD_INIT_FUNC_POINTERS};
use crate::{symbols, tlv};
use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::OnceLock;

/// What main and an initialiser are called with: argc, argv, envp, apple.
type Main = extern "C" fn(c_int, *const *const c_char, *const *const c_char, *const *const c_char) -> c_int;

/// The addresses of the image's code.
static TEXT: OnceLock<std::ops::Range<usize>> = OnceLock::new();

/// The addresses of the image's code, empty before it is mapped.
pub(crate) fn text() -> std::ops::Range<usize> {
    TEXT.get().cloned().unwrap_or(0..0)
}

/// Runs a program to its end, with its exit status. `arguments` begin with the program's path.
///
/// # Panics
/// If the addresses that the program was linked for are taken in this process.
pub fn run(macho: &Macho, arguments: Vec<Vec<u8>>) -> ! {
    let segments =
        || macho.segments.iter().filter(|segment| segment.name != "__PAGEZERO" && segment.size > 0);
    for segment in segments() {
        let (address, size) = (segment.address as usize, segment.size as usize);
        // SAFETY: MAP_FIXED_NOREPLACE replaces no mapping of ours; the bytes fit in what was mapped.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            let mapped = libc::mmap(address as _, size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_eq!(mapped as usize, address, "cannot map {} at {address:#x}", segment.name);
            let bytes = macho.bytes_of(segment);
            ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len().min(size));
        }
    }
    let addresses: Vec<Option<usize>> = macho
        .imports()
        .iter()
        .map(|import| match symbols::address(&import.symbol) {
            None if !import.weak => Some(symbols::missing(&import.symbol)),
            found => found,
        })
        .collect();
    for fixup in &macho.fixups {
        let value = match fixup.value {
            FixupValue::Own(address) => address as usize,
            FixupValue::Import { index, addend } => addresses[index].map_or(0, |it| it + addend as usize),
        };
        // SAFETY: the chain lies in a segment that was mapped writable above.
        unsafe { ptr::write_unaligned(fixup.address as *mut usize, value) };
    }
    tlv::set_up(macho);
    for segment in segments() {
        if segment.protection & 4 != 0 {
            let start = segment.address as usize;
            TEXT.get_or_init(|| start..start + segment.size as usize);
        }
        // Bits of VM_PROT_* and PROT_* are the same.
        // SAFETY: the range was mapped above.
        unsafe { libc::mprotect(segment.address as _, segment.size as _, segment.protection as c_int) };
    }
    process::set(arguments);
    let end = segments().map(|segment| segment.address + segment.size).max().unwrap_or_default();
    crate::measure::begin(macho.base() as usize..end as usize);
    for function in initialisers(macho) {
        call(function);
    }
    let status = call((macho.base() + macho.entry) as usize);
    // SAFETY: as a return from main.
    unsafe { libc::exit(status) }
}

fn initialisers(macho: &Macho) -> Vec<usize> {
    let mut functions = Vec::new();
    for section in &macho.sections {
        let address = section.address as usize;
        // SAFETY: the section lies in a mapped segment whose fixups are written.
        unsafe {
            match section.kind {
                S_MOD_INIT_FUNC_POINTERS => {
                    functions.extend(
                        (0..section.size as usize / 8).map(|index| *(address as *const usize).add(index)),
                    );
                }
                S_INIT_FUNC_OFFSETS => functions.extend(
                    (0..section.size as usize / 4)
                        .map(|index| macho.base() as usize + *(address as *const u32).add(index) as usize),
                ),
                _ => {}
            }
        }
    }
    functions
}

fn call(address: usize) -> c_int {
    // SAFETY: main and initialisers of a Mach-O take these four arguments; an initialiser's result is not looked at.
    let function: Main = unsafe { std::mem::transmute(address) };
    function(process::argc(), process::argv(), process::envp(), process::apple())
}
