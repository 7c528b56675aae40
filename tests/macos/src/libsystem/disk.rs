//! The disk: full, when a scenario says so.
//!
//! Models: of a full disk, that no file of the Mac's grows; what is written within a file's length is written, and what
//! reaches beyond it is written up to there. Not: new folder entries, which take room too; other volumes.

use super::errors::fail;
use crate::scenario::mac_root;
use crate::symbols::exports;
use std::ffi::{c_int, c_void};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

exports! {
    "ftruncate" => ftruncate,
    "pwrite" => pwrite,
    "write" => write,
}

const ENOSPC: c_int = 28;

static FULL: AtomicBool = AtomicBool::new(false);

/// Says that the disk is full, or no longer.
pub(crate) fn set_full(full: bool) {
    FULL.store(full, Ordering::SeqCst);
}

/// How many of `size` bytes at `offset` there is room for; at the file's end without an offset.
fn room(file: c_int, size: usize, offset: Option<i64>) -> usize {
    if size == 0 || !FULL.load(Ordering::SeqCst) || !is_on_mac(file) {
        return size;
    }
    // SAFETY: calls on a descriptor, which may be invalid; the structure is ours, of integers only.
    let (length, begins) = unsafe {
        let mut stat = std::mem::zeroed::<libc::stat>();
        if libc::fstat(file, &mut stat) != 0 {
            return size;
        }
        let appends = libc::fcntl(file, libc::F_GETFL) & libc::O_APPEND != 0;
        let begins = match offset {
            Some(offset) => offset,
            None if appends => stat.st_size,
            None => libc::lseek(file, 0, libc::SEEK_CUR),
        };
        (stat.st_size, begins)
    };
    usize::try_from(length.saturating_sub(begins)).unwrap_or(0).min(size)
}

/// Whether a file lies below the folder that stands for the Mac's root.
fn is_on_mac(file: c_int) -> bool {
    let path = std::fs::read_link(PathBuf::from(format!("/proc/self/fd/{file}")));
    mac_root().zip(path.ok()).is_some_and(|(root, path)| path.starts_with(root.join("Library")))
}

unsafe extern "C" fn pwrite(file: c_int, bytes: *const c_void, size: usize, offset: i64) -> isize {
    match room(file, size, Some(offset)) {
        0 if size > 0 => fail(ENOSPC) as isize,
        room => libc::pwrite(file, bytes, room, offset),
    }
}

unsafe extern "C" fn write(file: c_int, bytes: *const c_void, size: usize) -> isize {
    match room(file, size, None) {
        0 if size > 0 => fail(ENOSPC) as isize,
        room => libc::write(file, bytes, room),
    }
}

unsafe extern "C" fn ftruncate(file: c_int, length: i64) -> c_int {
    let grows = usize::try_from(length).unwrap_or(0);
    if room(file, grows, Some(0)) < grows { fail(ENOSPC) } else { libc::ftruncate(file, length) }
}
