//! Import by name: which function or variable of ours, or of the host, the image is given.

use crate::{blocks, bsm, endpoint_security, libsystem, objc, os_log};
use std::ffi::CString;
use std::fmt;

/// Makes a module's `symbol`: the address of each name, without the underscore of C.
macro_rules! exports {
    ($($name:literal => $function:expr),* $(,)?) => {
        /// The address of what this file exports under `name`.
        pub(crate) fn symbol(name: &str) -> Option<usize> {
            match name {
                $($name => Some($function as *const () as usize),)*
                _ => None,
            }
        }
    };
}
pub(crate) use exports;

/// Who answers for an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A function or variable here, with darwin's numbers and layouts.
    StandIn,
    /// The host's function of the same name: same arguments, no constants or structures that differ.
    Host,
    /// None. A call ends the process and names it; weak imports are null.
    Unused,
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::StandIn => "stand-in",
            Self::Host => "host",
            Self::Unused => "unused",
        })
    }
}

/// Who answers for the import `symbol`, written as in a Mach-O.
pub fn standing(symbol: &str) -> Standing {
    match (stand_in(symbol), on_host(symbol)) {
        (Some(_), _) => Standing::StandIn,
        (None, Some(_)) => Standing::Host,
        (None, None) => Standing::Unused,
    }
}

/// The address that an import is bound to.
pub(crate) fn address(symbol: &str) -> Option<usize> {
    stand_in(symbol).or_else(|| on_host(symbol))
}

fn stand_in(symbol: &str) -> Option<usize> {
    let name = plain(symbol);
    let libraries = [
        libsystem::symbol,
        blocks::symbol,
        bsm::symbol,
        endpoint_security::symbol,
        objc::symbol,
        os_log::symbol,
    ];
    libraries.into_iter().find_map(|library| library(name))
}

fn on_host(symbol: &str) -> Option<usize> {
    let name = plain(symbol);
    if !libsystem::host::SAME.contains(&name) {
        return None;
    }
    let name = CString::new(name).ok()?;
    // SAFETY: a lookup by name changes nothing.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address as usize)
}

/// Without C's underscore, and without the variant: `$INODE64` is the only one on arm64, `$NOCANCEL` makes no
/// difference where no thread is cancelled, `$DARWIN_EXTSN` extends what is asked for in no way that is used.
fn plain(symbol: &str) -> &str {
    let name = symbol.strip_prefix('_').unwrap_or(symbol);
    name.split_once('$').map_or(name, |(name, _)| name)
}

/// Code for an import that nothing answers for: names it on stderr and ends the process.
pub(crate) fn missing(symbol: &str) -> usize {
    extern "C" fn call_of_missing(name: *const u8, length: usize) -> ! {
        // SAFETY: the code below passes a text that is never freed.
        let name = unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(name, length)) };
        eprintln!("macos-abi: the program called {name}, which has no stand-in");
        std::process::abort()
    }
    let name: &'static str = Box::leak(symbol.to_owned().into_boxed_str());
    let literals = [name.as_ptr() as usize, name.len(), call_of_missing as *const () as usize];
    let code = jump(literals);
    // SAFETY: a page of its own, filled before it is made executable.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED, "no memory for a stub");
        std::ptr::copy_nonoverlapping(code.as_ptr(), page.cast(), code.len());
        libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_EXEC);
        page as usize
    }
}

/// `mov rdi, …; mov rsi, …; mov rax, …; and rsp, -16; call rax`
#[cfg(target_arch = "x86_64")]
fn jump(literals: [usize; 3]) -> Vec<u8> {
    let mut code = Vec::new();
    for (opcode, literal) in [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xb8]].into_iter().zip(literals) {
        code.extend(opcode);
        code.extend(literal.to_le_bytes());
    }
    code.extend([0x48, 0x83, 0xe4, 0xf0, 0xff, 0xd0]);
    code
}

/// `ldr x0, …; ldr x1, …; ldr x16, …; br x16`, then the three literals.
#[cfg(target_arch = "aarch64")]
fn jump(literals: [usize; 3]) -> Vec<u8> {
    let code = [0x5800_0080_u32, 0x5800_00a1, 0x5800_00d0, 0xd61f_0200];
    let literals = literals.into_iter().flat_map(usize::to_le_bytes);
    code.into_iter().flat_map(u32::to_le_bytes).chain(literals).collect()
}
