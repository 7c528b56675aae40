//! errno: darwin's numbers for the host's errors (`<sys/errno.h>`).
//!
//! Models: errno of the calling thread, `strerror_r`. The host's errno is a mailbox: what a call left there is moved to
//! the image's errno when that is next read. Not: darwin's own texts; they are the host's for the same error.

use crate::symbols::exports;
use std::cell::Cell;
use std::ffi::{c_char, c_int};

exports! {
    "__error" => error,
    "strerror_r" => strerror_r,
}

pub(super) const EINVAL: c_int = 22;
pub(super) const ENOTTY: c_int = 25;

/// Linux's number and darwin's. 1 to 34 are the same on both, but for 11 and 35.
const NUMBERS: &[(c_int, c_int)] = &[
    (libc::EAGAIN, 35),
    (libc::EDEADLK, 11),
    (libc::ENAMETOOLONG, 63),
    (libc::ENOLCK, 77),
    (libc::ENOSYS, 78),
    (libc::ENOTEMPTY, 66),
    (libc::ELOOP, 62),
    (libc::EOVERFLOW, 84),
    (libc::EILSEQ, 92),
    (libc::ENOTSOCK, 38),
    (libc::EDESTADDRREQ, 39),
    (libc::EMSGSIZE, 40),
    (libc::EPROTOTYPE, 41),
    (libc::ENOPROTOOPT, 42),
    (libc::EPROTONOSUPPORT, 43),
    (libc::EOPNOTSUPP, 102),
    (libc::EAFNOSUPPORT, 47),
    (libc::EADDRINUSE, 48),
    (libc::EADDRNOTAVAIL, 49),
    (libc::ENETDOWN, 50),
    (libc::ENETUNREACH, 51),
    (libc::ECONNABORTED, 53),
    (libc::ECONNRESET, 54),
    (libc::ENOBUFS, 55),
    (libc::EISCONN, 56),
    (libc::ENOTCONN, 57),
    (libc::ETIMEDOUT, 60),
    (libc::ECONNREFUSED, 61),
    (libc::EHOSTDOWN, 64),
    (libc::EHOSTUNREACH, 65),
    (libc::EALREADY, 37),
    (libc::EINPROGRESS, 36),
    (libc::ESTALE, 70),
    (libc::EDQUOT, 69),
    (libc::ECANCELED, 89),
    (libc::EPROTO, 100),
    (libc::EBADMSG, 94),
];

/// Darwin's number for Linux's; `EINVAL` for one that darwin has not.
pub(super) fn to_darwin(linux: c_int) -> c_int {
    match NUMBERS.iter().find(|(ours, _)| *ours == linux) {
        Some((_, theirs)) => *theirs,
        None if (0..=34).contains(&linux) => linux,
        None => EINVAL,
    }
}

fn to_linux(darwin: c_int) -> c_int {
    NUMBERS.iter().find(|(_, theirs)| *theirs == darwin).map_or(darwin, |(ours, _)| *ours)
}

thread_local! {
    static ERRNO: Cell<c_int> = const { Cell::new(0) };
}

/// Sets the image's errno to darwin's number `darwin` and returns -1.
pub(super) fn fail(darwin: c_int) -> c_int {
    take_host();
    ERRNO.with(|errno| errno.set(darwin));
    -1
}

/// Takes the host's errno out of the mailbox.
pub(super) fn take_host() -> c_int {
    // SAFETY: the host's errno of this thread.
    unsafe { std::mem::take(&mut *libc::__errno_location()) }
}

/// Does something that leaves the host's errno as it was.
pub(super) fn keeping_errno(what: impl FnOnce()) {
    let host = take_host();
    what();
    // SAFETY: the host's errno of this thread.
    unsafe { *libc::__errno_location() = host };
}

unsafe extern "C" fn error() -> *mut c_int {
    let host = take_host();
    ERRNO.with(|errno| {
        if host != 0 {
            errno.set(to_darwin(host));
        }
        errno.as_ptr()
    })
}

unsafe extern "C" fn strerror_r(darwin: c_int, text: *mut c_char, size: usize) -> c_int {
    to_darwin(libc::strerror_r(to_linux(darwin), text, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_beside_a_call_leaves_its_error() {
        // SAFETY: the descriptor is none, which is what the call says.
        unsafe { libc::close(-1) };
        // SAFETY: as above; the path is none.
        keeping_errno(|| _ = unsafe { libc::open(c"/missing".as_ptr(), libc::O_RDONLY) });
        assert_eq!(take_host(), libc::EBADF);
    }

    #[test]
    fn each_error_goes_there_and_back() {
        for linux in (1..=34).chain(NUMBERS.iter().map(|(linux, _)| *linux)) {
            assert_eq!(to_linux(to_darwin(linux)), linux);
        }
    }
}
