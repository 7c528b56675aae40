//! Directories: `struct dirent` with 64-bit inodes (`<sys/dirent.h>`).
//!
//! Models: readdir, readdir_r. The stream itself is the host's. Not: seekdir and telldir.

use super::errors::{take_host, to_darwin};
use super::files::on_host;
use crate::symbols::exports;
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int};
use std::mem::{offset_of, size_of};
use std::ptr;

exports! {
    "opendir" => opendir,
    "readdir" => readdir,
    "readdir_r" => readdir_r,
}

#[repr(C)]
struct Dirent {
    ino: u64,
    seekoff: u64,
    reclen: u16,
    namlen: u16,
    kind: u8,
    name: [u8; 1024],
}

const _: () = assert!(offset_of!(Dirent, name) == 21 && size_of::<Dirent>() == 1048);

/// Translates an entry.
///
/// # Safety
/// `host` is an entry whose name ends with a zero, and `out` a place for one.
unsafe fn fill(host: *const libc::dirent, out: *mut Dirent) {
    // DT_* are the same numbers on both.
    let length = libc::strlen((&raw const (*host).d_name).cast());
    (*out).ino = (*host).d_ino;
    (*out).seekoff = (*host).d_off as u64;
    (*out).reclen = (offset_of!(Dirent, name) + length + 1).next_multiple_of(4) as u16;
    (*out).namlen = length as u16;
    (*out).kind = (*host).d_type;
    ptr::copy_nonoverlapping(
        (&raw const (*host).d_name).cast(),
        (&raw mut (*out).name).cast::<u8>(),
        length + 1,
    );
}

unsafe extern "C" fn opendir(path: *const c_char) -> *mut libc::DIR {
    libc::opendir(on_host(path).as_ptr())
}

unsafe extern "C" fn readdir_r(
    stream: *mut libc::DIR,
    entry: *mut Dirent,
    result: *mut *mut Dirent,
) -> c_int {
    take_host();
    let host = libc::readdir(stream);
    if host.is_null() {
        *result = ptr::null_mut();
        return to_darwin(take_host());
    }
    fill(host, entry);
    *result = entry;
    0
}

unsafe extern "C" fn readdir(stream: *mut libc::DIR) -> *mut Dirent {
    thread_local! {
        static ENTRY: UnsafeCell<Dirent> =
            const { UnsafeCell::new(Dirent { ino: 0, seekoff: 0, reclen: 0, namlen: 0, kind: 0, name: [0; 1024] }) };
    }
    let host = libc::readdir(stream);
    if host.is_null() {
        return ptr::null_mut();
    }
    ENTRY.with(|entry| {
        fill(host, entry.get());
        entry.get()
    })
}
