//! Sockets (`<sys/socket.h>`, `<netinet/in.h>`): TCP and UDP over the host's loopback, and kernel controls
//! (`<sys/kern_control.h>`).
//!
//! Models: darwin's families, `struct sockaddr_in` and `sockaddr_in6` with their length, the options that std and nix
//! set, CTLIOCGINFO (`files` has ioctl) and connect of a kernel control, of which there is one: `statistics`. Not: other
//! families and options, ancillary data, names.

use super::errors::{EINVAL, fail};
use crate::statistics;
use crate::symbols::exports;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

exports! {
    "accept" => accept,
    "bind" => bind,
    "connect" => connect,
    "getpeername" => getpeername,
    "getsockname" => getsockname,
    "getsockopt" => getsockopt,
    "listen" => listen,
    "recv" => recv,
    "recvfrom" => recvfrom,
    "send" => send,
    "setsockopt" => setsockopt,
    "shutdown" => shutdown,
    "socket" => socket,
}

const AF_INET: c_int = 2;
const AF_INET6: c_int = 30;
const AF_SYSTEM: c_int = 32;
const ENOENT: c_int = 2;
const EAFNOSUPPORT: c_int = 47;
const ENOPROTOOPT: c_int = 42;

/// `ctl_id` of the one kernel control.
const STATISTICS: u32 = 5;

/// Files that are kernel controls.
static CONTROLS: Mutex<BTreeSet<c_int>> = Mutex::new(BTreeSet::new());

fn is_control(file: c_int) -> bool {
    CONTROLS.lock().unwrap_or_else(PoisonError::into_inner).contains(&file)
}

extern "C" fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int {
    const SYSPROTO_CONTROL: c_int = 2;
    match family {
        // SOCK_STREAM and SOCK_DGRAM have the same numbers.
        // SAFETY: makes a socket.
        AF_INET => unsafe { libc::socket(libc::AF_INET, kind, protocol) },
        // SAFETY: as above.
        AF_INET6 => unsafe { libc::socket(libc::AF_INET6, kind, protocol) },
        AF_SYSTEM if (kind, protocol) == (libc::SOCK_DGRAM, SYSPROTO_CONTROL) => {
            let file = statistics::open();
            CONTROLS.lock().unwrap_or_else(PoisonError::into_inner).insert(file);
            file
        }
        _ => fail(EAFNOSUPPORT),
    }
}

/// CTLIOCGINFO: `struct ctl_info` is u32 ctl_id and 96 bytes of the name.
///
/// # Safety
/// `info` is such a structure.
pub(super) unsafe fn control_info(file: c_int, info: *mut [u8; 100]) -> c_int {
    let info = &mut *info;
    let name = info[4..].split(|byte| *byte == 0).next().unwrap_or_default();
    if !is_control(file) || !statistics::exists() || name != b"com.apple.network.statistics" {
        return fail(ENOENT);
    }
    info[..4].copy_from_slice(&STATISTICS.to_ne_bytes());
    0
}

unsafe extern "C" fn connect(file: c_int, address: *const u8, length: u32) -> c_int {
    if is_control(file) {
        // struct sockaddr_ctl: length 32, family, AF_SYS_CONTROL 2, id, unit.
        let bytes = std::slice::from_raw_parts(address, length as usize);
        let fits = length == 32
            && bytes[..2] == [32, AF_SYSTEM as u8]
            && bytes[2..4] == 2u16.to_ne_bytes()
            && bytes[4..8] == STATISTICS.to_ne_bytes();
        return if fits { 0 } else { fail(EINVAL) };
    }
    with_address(address, length, |address, length| libc::connect(file, address, length))
}

unsafe extern "C" fn bind(file: c_int, address: *const u8, length: u32) -> c_int {
    with_address(address, length, |address, length| libc::bind(file, address, length))
}

extern "C" fn listen(file: c_int, backlog: c_int) -> c_int {
    // SAFETY: no pointers.
    unsafe { libc::listen(file, backlog) }
}

/// Calls with the host's form of an address.
unsafe fn with_address(
    address: *const u8,
    length: u32,
    call: impl FnOnce(*const libc::sockaddr, u32) -> c_int,
) -> c_int {
    let bytes = std::slice::from_raw_parts(address, length as usize);
    let family = match bytes.get(1).copied().map(c_int::from) {
        Some(AF_INET) => libc::AF_INET,
        Some(AF_INET6) => libc::AF_INET6,
        _ => return fail(EAFNOSUPPORT),
    };
    // The same from the port on.
    let mut host = bytes.to_vec();
    host[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    call(host.as_ptr().cast(), length)
}

/// Calls for an address of the host's and gives darwin's form of it.
unsafe fn give_address(
    out: *mut u8,
    length: *mut u32,
    call: impl FnOnce(*mut libc::sockaddr, *mut u32) -> c_int,
) -> c_int {
    let mut host = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut filled = size_of::<libc::sockaddr_storage>() as u32;
    let result = call(host.as_mut_ptr().cast(), &mut filled);
    if result < 0 || out.is_null() {
        return result;
    }
    let family = if host.assume_init().ss_family == libc::AF_INET as u16 { AF_INET } else { AF_INET6 };
    let room = (*length).min(filled) as usize;
    std::ptr::copy_nonoverlapping(host.as_ptr().cast::<u8>(), out, room);
    if room >= 2 {
        *out = filled as u8;
        *out.add(1) = family as u8;
    }
    *length = filled;
    result
}

unsafe extern "C" fn getsockname(file: c_int, out: *mut u8, length: *mut u32) -> c_int {
    give_address(out, length, |host, filled| libc::getsockname(file, host, filled))
}

unsafe extern "C" fn getpeername(file: c_int, out: *mut u8, length: *mut u32) -> c_int {
    give_address(out, length, |host, filled| libc::getpeername(file, host, filled))
}

unsafe extern "C" fn accept(file: c_int, out: *mut u8, length: *mut u32) -> c_int {
    let accepted = give_address(out, length, |host, filled| libc::accept(file, host, filled));
    if accepted >= 0 {
        // Darwin's inherits the listener's flags, Linux's does not.
        libc::fcntl(accepted, libc::F_SETFL, libc::fcntl(file, libc::F_GETFL));
    }
    accepted
}

unsafe extern "C" fn recvfrom(
    file: c_int,
    buffer: *mut c_void,
    size: usize,
    darwin: c_int,
    out: *mut u8,
    length: *mut u32,
) -> isize {
    give_address(out, length, |host, filled| {
        libc::recvfrom(file, buffer, size, message_flags(darwin), host, filled) as c_int
    }) as isize
}

/// MSG_PEEK 2, MSG_DONTWAIT 0x80, MSG_NOSIGNAL 0x80000; others are not used. Nothing here is to raise SIGPIPE.
fn message_flags(darwin: c_int) -> c_int {
    let peek = if darwin & 2 != 0 { libc::MSG_PEEK } else { 0 };
    peek | if darwin & 0x80 != 0 { libc::MSG_DONTWAIT } else { 0 } | libc::MSG_NOSIGNAL
}

unsafe extern "C" fn send(file: c_int, bytes: *const c_void, size: usize, darwin: c_int) -> isize {
    libc::send(file, bytes, size, message_flags(darwin))
}

unsafe extern "C" fn recv(file: c_int, buffer: *mut c_void, size: usize, darwin: c_int) -> isize {
    libc::recv(file, buffer, size, message_flags(darwin))
}

extern "C" fn shutdown(file: c_int, how: c_int) -> c_int {
    // SAFETY: no pointers; the numbers are the same.
    unsafe { libc::shutdown(file, how) }
}

/// Of SOL_SOCKET, 0xffff: which option of the host's; none for one that it need not have.
fn option(level: c_int, name: c_int) -> Option<Option<c_int>> {
    match (level, name) {
        (0xffff, 0x0004) => Some(Some(libc::SO_REUSEADDR)),
        (0xffff, 0x1002) => Some(Some(libc::SO_RCVBUF)),
        (0xffff, 0x1007) => Some(Some(libc::SO_ERROR)),
        // SO_NOSIGPIPE: every send here is without.
        (0xffff, 0x1022) => Some(None),
        _ => None,
    }
}

unsafe extern "C" fn setsockopt(
    file: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: u32,
) -> c_int {
    const SO_RCVTIMEO: c_int = 0x1006;
    match option(level, name) {
        // struct timeval has 32-bit microseconds.
        None if (level, name) == (0xffff, SO_RCVTIMEO) && length == 16 => {
            let value = value.cast::<i64>();
            let time = libc::timeval { tv_sec: *value, tv_usec: i64::from(*value.add(1) as i32) };
            let size = size_of::<libc::timeval>() as u32;
            libc::setsockopt(file, libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const time).cast(), size)
        }
        Some(Some(name)) => libc::setsockopt(file, libc::SOL_SOCKET, name, value, length),
        Some(None) => 0,
        None => fail(ENOPROTOOPT),
    }
}

unsafe extern "C" fn getsockopt(
    file: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_int,
    length: *mut u32,
) -> c_int {
    let Some(Some(name)) = option(level, name) else { return fail(ENOPROTOOPT) };
    let result = libc::getsockopt(file, libc::SOL_SOCKET, name, value.cast(), length);
    if result == 0 && name == libc::SO_ERROR {
        *value = super::errors::to_darwin(*value);
    }
    result
}
