//! The machine: sysctl by name, its UUID, its name, network interfaces.
//!
//! Models: a Mac with macOS 13.6, or what the scenario says, on this processor, one fixed UUID from a range for documentation, no network interface.
//! KERN_PROCARGS2 of what the scenario says runs. Not: any other name of sysctl, which fails with ENOENT or EINVAL.

use super::errors::{EINVAL, fail};
use super::processes;
use crate::scenario::scenario;
use crate::symbols::exports;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

exports! {
    "__stack_chk_fail" => stack_chk_fail,
    "__stack_chk_guard" => &raw const STACK_GUARD,
    "freeifaddrs" => freeifaddrs,
    "gethostname" => gethostname,
    "gethostuuid" => gethostuuid,
    "getifaddrs" => getifaddrs,
    "sysctl" => sysctl,
    "sysctlbyname" => sysctlbyname,
}

const ENOENT: c_int = 2;
const ENOMEM: c_int = 12;

static STACK_GUARD: u64 = 0x00a5_5a5a_a5a5_5a00;

extern "C" fn stack_chk_fail() -> ! {
    eprintln!("macos-abi: a function of the program wrote beyond its stack frame");
    std::process::abort()
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

unsafe extern "C" fn sysctlbyname(
    name: *const c_char,
    out: *mut c_void,
    size: *mut usize,
    _new: *const c_void,
    _new_size: usize,
) -> c_int {
    let machine = if cfg!(target_arch = "x86_64") { "x86_64\0" } else { "arm64\0" };
    let value: &[u8] = match CStr::from_ptr(name).to_bytes() {
        b"kern.osproductversion" => &text(&scenario().system[0]),
        b"kern.osrelease" => &text(&scenario().system[1]),
        b"kern.osversion" => &text(&scenario().system[2]),
        b"hw.machine" => machine.as_bytes(),
        b"sysctl.proc_translated" => &[0; 4],
        _ => return fail(ENOENT),
    };
    if !out.is_null() {
        if *size < value.len() {
            return fail(ENOMEM);
        }
        ptr::copy_nonoverlapping(value.as_ptr(), out.cast(), value.len());
    }
    *size = value.len();
    0
}

unsafe extern "C" fn sysctl(
    name: *const c_int,
    length: c_uint,
    out: *mut c_void,
    size: *mut usize,
    _new: *const c_void,
    _new_size: usize,
) -> c_int {
    const CTL_KERN: c_int = 1;
    const KERN_PROCARGS2: c_int = 49;
    let [CTL_KERN, KERN_PROCARGS2, pid] = *std::slice::from_raw_parts(name, length as usize) else {
        return fail(EINVAL);
    };
    // Of a process that has ended, or of the kernel's own.
    let Some(bytes) = processes::arguments(pid) else { return fail(EINVAL) };
    // What there is no room for is left out, from its end.
    let length = bytes.len().min(*size);
    ptr::copy_nonoverlapping(bytes.as_ptr(), out.cast(), length);
    *size = length;
    0
}

unsafe extern "C" fn gethostuuid(uuid: *mut u8, _wait: *const libc::timespec) -> c_int {
    ptr::copy_nonoverlapping(
        b"\x00\x00\x00\x00\x00\x00\x40\x00\x80\x00\x00\x00\x00\x00\x00\x13".as_ptr(),
        uuid,
        16,
    );
    0
}

unsafe extern "C" fn gethostname(name: *mut u8, size: usize) -> c_int {
    let text = b"mac.example.com\0";
    ptr::copy_nonoverlapping(text.as_ptr(), name, text.len().min(size));
    0
}

unsafe extern "C" fn getifaddrs(first: *mut *mut c_void) -> c_int {
    *first = ptr::null_mut();
    0
}

extern "C" fn freeifaddrs(_first: *mut c_void) {}
