//! Memory: mmap's flags (`<sys/mman.h>`), and what only darwin's C library has.
//!
//! Not: MAP_JIT, file hints; a flag that is not in the table fails with EINVAL.

use super::errors::{EINVAL, fail};
use super::flags;
use crate::symbols::exports;
use std::ffi::{c_int, c_void};
use std::ptr;

exports! {
    "CCRandomGenerateBytes" => cc_random_generate_bytes,
    "__bzero" => bzero,
    "bzero" => bzero,
    "memset_pattern16" => memset_pattern16,
    "mmap" => mmap,
}

/// MAP_SHARED, MAP_PRIVATE and MAP_FIXED are the same on both.
const MAP_FLAGS: &[(c_int, c_int)] = &[
    (0x1, libc::MAP_SHARED),
    (0x2, libc::MAP_PRIVATE),
    (0x10, libc::MAP_FIXED),
    (0x40, libc::MAP_NORESERVE),
    (0x1000, libc::MAP_ANONYMOUS),
];

unsafe extern "C" fn mmap(
    address: *mut c_void,
    size: usize,
    protection: c_int,
    darwin: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    match flags(darwin, MAP_FLAGS) {
        Some(flags) => libc::mmap(address, size, protection, flags, file, offset),
        None => {
            fail(EINVAL);
            libc::MAP_FAILED
        }
    }
}

unsafe extern "C" fn bzero(memory: *mut u8, size: usize) {
    ptr::write_bytes(memory, 0, size);
}

unsafe extern "C" fn memset_pattern16(memory: *mut u8, pattern: *const u8, size: usize) {
    for offset in (0..size).step_by(16) {
        ptr::copy_nonoverlapping(pattern, memory.add(offset), (size - offset).min(16));
    }
}

/// 0 (kCCSuccess), or kCCRNGFailure.
unsafe extern "C" fn cc_random_generate_bytes(memory: *mut c_void, size: usize) -> c_int {
    const FAILURE: c_int = -4307;
    let mut done = 0;
    while done < size {
        match libc::getrandom(memory.byte_add(done), size - done, 0) {
            got if got > 0 => done += got as usize,
            _ => return FAILURE,
        }
    }
    0
}
