//! sysctl(3).

use std::ffi::{CStr, c_int};
use std::ptr;

/// The most bytes that a text is taken to have.
const MAX_TEXT: usize = 1024;

/// Returns a text, without what is not UTF-8 in it; `None` if there is none.
pub(super) fn text(name: &CStr) -> Option<String> {
    let mut buffer = [0u8; MAX_TEXT];
    let mut length = buffer.len();
    // SAFETY: `name` ends in NUL, and `buffer` has room for `length` bytes, which the call may only lower.
    let result = unsafe {
        libc::sysctlbyname(name.as_ptr(), buffer.as_mut_ptr().cast(), &raw mut length, ptr::null_mut(), 0)
    };
    let bytes = buffer.get(..length).filter(|_| result == 0)?;
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(bytes).into_owned()).filter(|text| !text.is_empty())
}

/// Returns a number of 32 bits; `None` if there is none.
pub(super) fn number(name: &CStr) -> Option<i32> {
    let mut number: c_int = 0;
    let mut length = size_of::<c_int>();
    // SAFETY: `name` ends in NUL, and `number` has room for `length` bytes.
    let result = unsafe {
        libc::sysctlbyname(name.as_ptr(), (&raw mut number).cast(), &raw mut length, ptr::null_mut(), 0)
    };
    (result == 0 && length == size_of::<c_int>()).then_some(number)
}

/// Fills `buffer` with what `kern.procargs2` says of a process, and returns the part that was filled; `None` where the
/// process is gone, or is the kernel. See [`procargs`](crate::procargs).
pub(super) fn process_arguments(pid: u32, buffer: &mut [u8]) -> Option<&[u8]> {
    let pid = c_int::try_from(pid).ok()?;
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let mut length = buffer.len();
    // SAFETY: `name` has the three numbers that are announced, and `buffer` has room for `length` bytes.
    let result = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            name.len() as u32,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
            ptr::null_mut(),
            0,
        )
    };
    buffer.get(..length).filter(|_| result == 0)
}
