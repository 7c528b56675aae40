//! Other processes: libproc, task ports, code signatures; users and groups.
//!
//! Models: a Mac on which nothing but this process runs; its own audit token; `struct passwd` and `struct group` filled
//! from the host's accounts. Not: what proc_pidinfo says of any process, which is "no such process".

use super::errors::{fail, to_darwin};
use crate::bsm::AuditToken;
use crate::symbols::exports;
use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;

exports! {
    "csops_audittoken" => no_such_process,
    "getgrgid_r" => getgrgid_r,
    "getgrnam_r" => getgrnam_r,
    "getpwuid_r" => getpwuid_r,
    "mach_port_deallocate" => mach_port_deallocate,
    "mach_task_self_" => &raw const TASK_SELF,
    "poll" => poll,
    "proc_listallpids" => proc_listallpids,
    "proc_pidinfo" => no_process,
    "proc_pidpath" => no_process,
    "task_info" => task_info,
    "task_name_for_pid" => task_name_for_pid,
}

const ESRCH: c_int = 3;
const KERN_SUCCESS: c_int = 0;
const KERN_FAILURE: c_int = 5;
/// The name of this task's port, in any number that is not null.
static TASK_SELF: u32 = 0x103;

unsafe extern "C" fn proc_listallpids(pids: *mut c_int, size: c_int) -> c_int {
    if !pids.is_null() && size >= 4 {
        *pids = libc::getpid();
    }
    1
}

/// libproc's calls say nothing was found by 0.
extern "C" fn no_process() -> c_int {
    fail(ESRCH);
    0
}

extern "C" fn no_such_process() -> c_int {
    fail(ESRCH)
}

unsafe extern "C" fn task_name_for_pid(_task: u32, pid: c_int, name: *mut u32) -> c_int {
    if pid != libc::getpid() {
        return KERN_FAILURE;
    }
    *name = TASK_SELF;
    KERN_SUCCESS
}

extern "C" fn mach_port_deallocate(_task: u32, _name: u32) -> c_int {
    KERN_SUCCESS
}

unsafe extern "C" fn task_info(_task: u32, flavor: u32, out: *mut AuditToken, count: *mut u32) -> c_int {
    const TASK_AUDIT_TOKEN: u32 = 15;
    if flavor != TASK_AUDIT_TOKEN || *count < 8 {
        return KERN_FAILURE;
    }
    let (uid, gid) = (libc::geteuid(), libc::getegid());
    *out = AuditToken([uid, uid, gid, uid, gid, libc::getpid() as u32, 100_003, 1]);
    *count = 8;
    KERN_SUCCESS
}

/// The number of files is 32 bits wide, so what stands above it in the register is not the host's.
unsafe extern "C" fn poll(files: *mut libc::pollfd, count: u32, timeout: c_int) -> c_int {
    libc::poll(files, count.into(), timeout)
}

/// `struct passwd` of darwin.
#[repr(C)]
struct Passwd {
    name: *mut c_char,
    password: *mut c_char,
    uid: u32,
    gid: u32,
    change: i64,
    class: *const c_char,
    gecos: *mut c_char,
    directory: *mut c_char,
    shell: *mut c_char,
    expire: i64,
}

unsafe extern "C" fn getpwuid_r(
    uid: u32,
    out: *mut Passwd,
    buffer: *mut c_char,
    size: usize,
    result: *mut *mut Passwd,
) -> c_int {
    let (mut host, mut found) = (MaybeUninit::zeroed(), ptr::null_mut());
    let error = libc::getpwuid_r(uid, host.as_mut_ptr(), buffer, size, &mut found);
    *result = ptr::null_mut();
    if let Some(host) = found.as_ref() {
        *out = Passwd {
            name: host.pw_name,
            password: host.pw_passwd,
            uid: host.pw_uid,
            gid: host.pw_gid,
            change: 0,
            class: c"".as_ptr(),
            gecos: host.pw_gecos,
            directory: host.pw_dir,
            shell: host.pw_shell,
            expire: 0,
        };
        *result = out;
    }
    to_darwin(error)
}

// `struct group` is the same on both: name, password, gid, members.

unsafe extern "C" fn getgrgid_r(
    gid: u32,
    out: *mut libc::group,
    buffer: *mut c_char,
    size: usize,
    result: *mut *mut libc::group,
) -> c_int {
    to_darwin(libc::getgrgid_r(gid, out, buffer, size, result))
}

unsafe extern "C" fn getgrnam_r(
    name: *const c_char,
    out: *mut libc::group,
    buffer: *mut c_char,
    size: usize,
    result: *mut *mut libc::group,
) -> c_int {
    to_darwin(libc::getgrnam_r(name, out, buffer, size, result))
}
