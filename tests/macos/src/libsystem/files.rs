//! Files: open, openat, fcntl, ioctl, stat, `*at`, seek.
//!
//! Models: darwin's open flags, `AT_FDCWD` and flags of the `*at` calls, `struct stat` with 64-bit inodes
//! (`<sys/stat.h>`, 144 bytes), `F_FULLFSYNC` as fsync, `F_GETPATH`. Not: birth times (the time of change is given),
//! file flags, generations, extended attributes; a flag that is not in a table here fails with EINVAL.

use super::errors::{EINVAL, ENOTTY, fail, keeping_errno};
use super::{flags, sockets};
use crate::measure;
use crate::scenario::mac_root;
use crate::symbols::exports;
use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::mem::{MaybeUninit, offset_of, size_of};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;

#[cfg(target_arch = "x86_64")]
use {
    macos_abi_fcntl as fcntl_entry, macos_abi_ioctl as ioctl_entry, macos_abi_open as open_entry,
    macos_abi_openat as openat_entry,
};

exports! {
    "fcntl" => fcntl_entry,
    "fstat" => fstat,
    "fstatat" => fstatat,
    "fsync" => fsync,
    "ioctl" => ioctl_entry,
    "lseek" => lseek,
    "lstat" => lstat,
    "mkdirat" => mkdirat,
    "open" => open_entry,
    "openat" => openat_entry,
    "realpath" => realpath,
    "renameat" => renameat,
    "stat" => stat,
    "unlinkat" => unlinkat,
}

// Apple's arm64 passes variadic arguments on the stack, Linux's like others: these fetch the one that is used.
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".globl macos_abi_open_entry, macos_abi_openat_entry, macos_abi_fcntl_entry, macos_abi_ioctl_entry",
    "macos_abi_open_entry: ldr x2, [sp]",
    "b macos_abi_open",
    "macos_abi_openat_entry: ldr x3, [sp]",
    "b macos_abi_openat",
    "macos_abi_fcntl_entry: ldr x2, [sp]",
    "b macos_abi_fcntl",
    "macos_abi_ioctl_entry: ldr x2, [sp]",
    "b macos_abi_ioctl",
);
#[cfg(target_arch = "aarch64")]
unsafe extern "C" {
    #[link_name = "macos_abi_open_entry"]
    fn open_entry();
    #[link_name = "macos_abi_openat_entry"]
    fn openat_entry();
    #[link_name = "macos_abi_fcntl_entry"]
    fn fcntl_entry();
    #[link_name = "macos_abi_ioctl_entry"]
    fn ioctl_entry();
}

/// `<sys/fcntl.h>`: open flags beside the access mode, which both systems number alike.
const OPEN_FLAGS: &[(c_int, c_int)] = &[
    (0x4, libc::O_NONBLOCK),
    (0x8, libc::O_APPEND),
    (0x80, libc::O_SYNC),
    (0x100, libc::O_NOFOLLOW),
    (0x200, libc::O_CREAT),
    (0x400, libc::O_TRUNC),
    (0x800, libc::O_EXCL),
    (0x2_0000, libc::O_NOCTTY),
    (0x10_0000, libc::O_DIRECTORY),
    (0x40_0000, libc::O_DSYNC),
    (0x100_0000, libc::O_CLOEXEC),
];
const AT_FLAGS: &[(c_int, c_int)] =
    &[(0x20, libc::AT_SYMLINK_NOFOLLOW), (0x40, libc::AT_SYMLINK_FOLLOW), (0x80, libc::AT_REMOVEDIR)];
const AT_FDCWD: c_int = -2;

/// `struct stat` of darwin, with 64-bit inodes.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Stat {
    dev: i32,
    mode: u16,
    nlink: u16,
    ino: u64,
    uid: u32,
    gid: u32,
    rdev: i32,
    padding: i32,
    atime: [i64; 2],
    mtime: [i64; 2],
    ctime: [i64; 2],
    birthtime: [i64; 2],
    size: i64,
    blocks: i64,
    blksize: i32,
    flags: u32,
    generation: u32,
    spare: i32,
    spares: [i64; 2],
}

const _: () =
    assert!(size_of::<Stat>() == 144 && offset_of!(Stat, birthtime) == 80 && offset_of!(Stat, size) == 96);

impl Stat {
    fn from_host(host: &libc::stat) -> Self {
        Self {
            dev: host.st_dev as i32,
            mode: host.st_mode as u16,
            nlink: host.st_nlink as u16,
            ino: host.st_ino,
            uid: host.st_uid,
            gid: host.st_gid,
            rdev: host.st_rdev as i32,
            atime: [host.st_atime, host.st_atime_nsec],
            mtime: [host.st_mtime, host.st_mtime_nsec],
            ctime: [host.st_ctime, host.st_ctime_nsec],
            birthtime: [host.st_ctime, host.st_ctime_nsec],
            size: host.st_size,
            blocks: host.st_blocks,
            blksize: host.st_blksize as i32,
            ..Self::default()
        }
    }
}

/// The folder that stands for the Mac's root, in which `/`, `/Applications` and `/Library` are looked up; the host's own where
/// `MACOS_ABI_ROOT` is not set.
pub(super) fn on_host(path: *const c_char) -> HostPath {
    // SAFETY: a path is a C string that outlives the call it is an argument of, and so what is made of it here.
    let given: &'static CStr = unsafe { CStr::from_ptr(path) };
    let bytes = given.to_bytes();
    let below =
        |folder: &[u8]| bytes.strip_prefix(folder).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
    let of_mac = bytes == b"/" || below(b"/Library") || below(b"/Applications");
    HostPath(match mac_root() {
        Some(root) if of_mac => {
            let moved = [root.as_os_str().as_bytes(), bytes].concat();
            CString::new(moved).map_or(Cow::Borrowed(given), Cow::Owned)
        }
        _ => Cow::Borrowed(given),
    })
}

/// A path on the host. It is given up right after a call that may have failed, whose errno that must not change: whoever
/// frees memory may wait for another thread, which leaves an errno of its own.
pub(super) struct HostPath(Cow<'static, CStr>);

impl Deref for HostPath {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        &self.0
    }
}

impl Drop for HostPath {
    fn drop(&mut self) {
        keeping_errno(|| self.0 = Cow::Borrowed(c""));
    }
}

extern "C" fn fsync(file: c_int) -> c_int {
    measure::sync(file)
}

fn folder(darwin: c_int) -> c_int {
    if darwin == AT_FDCWD { libc::AT_FDCWD } else { darwin }
}

fn open_flags(darwin: c_int) -> Option<c_int> {
    flags(darwin & !3, OPEN_FLAGS).map(|others| others | darwin & 3)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn macos_abi_open(path: *const c_char, darwin: c_int, mode: c_uint) -> c_int {
    open_flags(darwin).map_or_else(|| fail(EINVAL), |flags| libc::open(on_host(path).as_ptr(), flags, mode))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn macos_abi_openat(at: c_int, path: *const c_char, darwin: c_int, mode: c_uint) -> c_int {
    open_flags(darwin)
        .map_or_else(|| fail(EINVAL), |flags| libc::openat(folder(at), on_host(path).as_ptr(), flags, mode))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn macos_abi_fcntl(file: c_int, command: c_int, argument: usize) -> c_int {
    const F_FULLFSYNC: c_int = 51;
    const F_GETPATH: c_int = 50;
    const F_DUPFD_CLOEXEC: c_int = 67;
    match command {
        libc::F_DUPFD | libc::F_GETFD | libc::F_SETFD => libc::fcntl(file, command, argument),
        libc::F_GETFL => match libc::fcntl(file, libc::F_GETFL) {
            -1 => -1,
            host => {
                let others = OPEN_FLAGS.iter().filter(|(_, ours)| host & ours == *ours);
                others.fold(host & 3, |darwin, (theirs, _)| darwin | theirs)
            }
        },
        libc::F_SETFL => match open_flags(argument as c_int) {
            Some(flags) => libc::fcntl(file, libc::F_SETFL, flags),
            None => fail(EINVAL),
        },
        F_FULLFSYNC => measure::sync(file),
        F_DUPFD_CLOEXEC => libc::fcntl(file, libc::F_DUPFD_CLOEXEC, argument),
        F_GETPATH => {
            let link = CString::new(format!("/proc/self/fd/{file}")).expect("no zero in a number");
            let path = argument as *mut u8;
            let length = libc::readlink(link.as_ptr(), path.cast(), 1023);
            if length < 0 {
                return -1;
            }
            *path.add(length as usize) = 0;
            0
        }
        _ => fail(EINVAL),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn macos_abi_ioctl(file: c_int, request: u64, argument: usize) -> c_int {
    /// Of `<sys/kern_control.h>`.
    const CTLIOCGINFO: u64 = 0xc064_4e03;
    const FIOCLEX: u64 = 0x2000_6601;
    const FIONBIO: u64 = 0x8004_667e;
    /// `struct winsize` is the same on both.
    const TIOCGWINSZ: u64 = 0x4008_7468;
    match request {
        FIOCLEX => libc::ioctl(file, libc::FIOCLEX),
        CTLIOCGINFO => sockets::control_info(file, argument as *mut [u8; 100]),
        FIONBIO => libc::ioctl(file, libc::FIONBIO, argument as *mut c_int),
        TIOCGWINSZ => libc::ioctl(file, libc::TIOCGWINSZ, argument as *mut c_void),
        _ => fail(ENOTTY),
    }
}

/// Translates what a call of the host's gives.
///
/// # Safety
/// `out` is a place for a `struct stat`, and the call fills its argument where it returns 0.
unsafe fn stat_with(out: *mut Stat, call: impl FnOnce(*mut libc::stat) -> c_int) -> c_int {
    let mut host = MaybeUninit::zeroed();
    let result = call(host.as_mut_ptr());
    if result == 0 {
        *out = Stat::from_host(&host.assume_init());
    }
    result
}

unsafe extern "C" fn stat(path: *const c_char, out: *mut Stat) -> c_int {
    stat_with(out, |host| libc::stat(on_host(path).as_ptr(), host))
}

unsafe extern "C" fn lstat(path: *const c_char, out: *mut Stat) -> c_int {
    stat_with(out, |host| libc::lstat(on_host(path).as_ptr(), host))
}

unsafe extern "C" fn fstat(file: c_int, out: *mut Stat) -> c_int {
    stat_with(out, |host| libc::fstat(file, host))
}

unsafe extern "C" fn fstatat(at: c_int, path: *const c_char, out: *mut Stat, darwin: c_int) -> c_int {
    let Some(flags) = flags(darwin, AT_FLAGS) else { return fail(EINVAL) };
    stat_with(out, |host| libc::fstatat(folder(at), on_host(path).as_ptr(), host, flags))
}

unsafe extern "C" fn unlinkat(at: c_int, path: *const c_char, darwin: c_int) -> c_int {
    flags(darwin, AT_FLAGS)
        .map_or_else(|| fail(EINVAL), |flags| libc::unlinkat(folder(at), on_host(path).as_ptr(), flags))
}

unsafe extern "C" fn renameat(from: c_int, old: *const c_char, to: c_int, new: *const c_char) -> c_int {
    libc::renameat(folder(from), on_host(old).as_ptr(), folder(to), on_host(new).as_ptr())
}

unsafe extern "C" fn mkdirat(at: c_int, path: *const c_char, mode: u16) -> c_int {
    libc::mkdirat(folder(at), on_host(path).as_ptr(), mode.into())
}

unsafe extern "C" fn lseek(file: c_int, offset: i64, whence: c_int) -> i64 {
    const SEEK_HOLE: c_int = 3;
    const SEEK_DATA: c_int = 4;
    let whence = match whence {
        SEEK_HOLE => libc::SEEK_HOLE,
        SEEK_DATA => libc::SEEK_DATA,
        same => same,
    };
    libc::lseek(file, offset, whence)
}

unsafe extern "C" fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char {
    libc::realpath(on_host(path).as_ptr(), resolved)
}
