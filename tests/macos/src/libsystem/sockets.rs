//! Sockets of the loopback: TCP over IPv4, listening.
//!
//! Models: `struct sockaddr_in` with darwin's length byte (`<netinet/in.h>`), the options that std sets
//! (`<sys/socket.h>`), `struct timeval` with 32-bit microseconds. Not: other families and types; SIGPIPE on a socket
//! that is not to raise it, which each send is told instead.

use super::errors::fail;
use crate::symbols::exports;
use std::ffi::{c_int, c_void};
use std::mem::size_of;

exports! {
    "accept" => accept,
    "bind" => bind,
    "getsockname" => getsockname,
    "recv" => recv,
    "send" => send,
    "setsockopt" => setsockopt,
    "socket" => socket,
}

const EINVAL: c_int = 22;
const EAFNOSUPPORT: c_int = 47;
const ENOPROTOOPT: c_int = 42;

/// Darwin's `struct sockaddr_in`: as Linux's, but for the length and the family in a byte each.
#[repr(C)]
#[derive(Clone, Copy)]
struct Address {
    length: u8,
    family: u8,
    port: u16,
    ip: u32,
    zero: [u8; 8],
}

const _: () = assert!(size_of::<Address>() == 16);

const AF_INET: u8 = 2;

fn to_linux(address: &Address) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port,
        sin_addr: libc::in_addr { s_addr: address.ip },
        sin_zero: [0; 8],
    }
}

/// Writes an address where there is room for it, and its size.
unsafe fn put(address: &libc::sockaddr_in, out: *mut Address, size: *mut u32) {
    if !out.is_null() && *size as usize >= size_of::<Address>() {
        let (port, ip) = (address.sin_port, address.sin_addr.s_addr);
        *out = Address { length: 16, family: AF_INET, port, ip, zero: [0; 8] };
        *size = 16;
    }
}

unsafe extern "C" fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int {
    if family != c_int::from(AF_INET) || kind != libc::SOCK_STREAM {
        return fail(EAFNOSUPPORT);
    }
    libc::socket(family, kind, protocol)
}

unsafe extern "C" fn bind(socket: c_int, address: *const Address, size: u32) -> c_int {
    if size as usize != size_of::<Address>() || (*address).family != AF_INET {
        return fail(EAFNOSUPPORT);
    }
    let host = to_linux(&*address);
    libc::bind(socket, (&raw const host).cast(), 16)
}

unsafe extern "C" fn accept(socket: c_int, address: *mut Address, size: *mut u32) -> c_int {
    let mut host: libc::sockaddr_in = std::mem::zeroed();
    let mut host_size = size_of::<libc::sockaddr_in>() as u32;
    let accepted = libc::accept(socket, (&raw mut host).cast(), &raw mut host_size);
    if accepted >= 0 {
        // Darwin's inherits the listener's flags, Linux's does not.
        let flags = libc::fcntl(socket, libc::F_GETFL);
        libc::fcntl(accepted, libc::F_SETFL, flags);
        put(&host, address, size);
    }
    accepted
}

unsafe extern "C" fn getsockname(socket: c_int, address: *mut Address, size: *mut u32) -> c_int {
    let mut host: libc::sockaddr_in = std::mem::zeroed();
    let mut host_size = size_of::<libc::sockaddr_in>() as u32;
    let result = libc::getsockname(socket, (&raw mut host).cast(), &raw mut host_size);
    if result == 0 {
        put(&host, address, size);
    }
    result
}

unsafe extern "C" fn setsockopt(
    socket: c_int,
    level: c_int,
    option: c_int,
    value: *const c_void,
    size: u32,
) -> c_int {
    const SOL_SOCKET: c_int = 0xffff;
    const SO_REUSEADDR: c_int = 0x4;
    const SO_RCVTIMEO: c_int = 0x1006;
    const SO_NOSIGPIPE: c_int = 0x1022;
    match (level, option) {
        (SOL_SOCKET, SO_NOSIGPIPE) => 0,
        (SOL_SOCKET, SO_REUSEADDR) => {
            libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, value, size)
        }
        (SOL_SOCKET, SO_RCVTIMEO) if size == 16 => {
            let value = value.cast::<i64>();
            let time = libc::timeval { tv_sec: *value, tv_usec: i64::from(*value.add(1) as i32) };
            let size = size_of::<libc::timeval>() as u32;
            libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const time).cast(), size)
        }
        _ => fail(ENOPROTOOPT),
    }
}

unsafe extern "C" fn recv(socket: c_int, bytes: *mut c_void, size: usize, flags: c_int) -> isize {
    if flags != 0 {
        return fail(EINVAL) as isize;
    }
    libc::recv(socket, bytes, size, 0)
}

/// Darwin's `MSG_NOSIGNAL` is 0x80000; nothing here is to raise SIGPIPE.
unsafe extern "C" fn send(socket: c_int, bytes: *const c_void, size: usize, flags: c_int) -> isize {
    if flags & !0x8_0000 != 0 {
        return fail(EINVAL) as isize;
    }
    libc::send(socket, bytes, size, libc::MSG_NOSIGNAL)
}
