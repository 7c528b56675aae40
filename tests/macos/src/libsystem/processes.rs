//! Other processes: libproc, task ports, code signatures; users and groups.
//!
//! Models: this process, and those that the scenario says run: proc_listallpids in no order, proc_pidinfo's
//! `struct proc_bsdinfo`, paths, the names of tasks and their audit tokens, what csops_audittoken says of the image that a
//! token names, KERN_PROCARGS2 (`machine` has sysctl); `struct passwd` and `struct group` filled from the host's
//! accounts. Not: other flavors and operations, which fail; processes that end meanwhile; environments.

use super::errors::{EINVAL, fail, to_darwin};
use crate::bsm::AuditToken;
use crate::endpoint_security;
use crate::scenario::{Running, scenario};
use crate::started::{runs, started, unique};
use crate::symbols::exports;
use std::ffi::{c_char, c_int, c_uint};
use std::mem::{MaybeUninit, offset_of, size_of};
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

exports! {
    "csops_audittoken" => csops_audittoken,
    "getgrgid_r" => getgrgid_r,
    "getgrnam_r" => getgrnam_r,
    "getpwuid_r" => getpwuid_r,
    "mach_port_deallocate" => mach_port_deallocate,
    "mach_task_self_" => &raw const TASK_SELF,
    "poll" => poll,
    "proc_listallpids" => proc_listallpids,
    "proc_pidinfo" => proc_pidinfo,
    "proc_pidpath" => proc_pidpath,
    "task_info" => task_info,
    "task_name_for_pid" => task_name_for_pid,
}

const ENOENT: c_int = 2;
const ESRCH: c_int = 3;
const ERANGE: c_int = 34;
const KERN_SUCCESS: c_int = 0;
const KERN_FAILURE: c_int = 5;
const KERN_INVALID_NAME: c_int = 15;
/// The name of this task's port, in any number that is not null.
static TASK_SELF: u32 = 0x103;
/// The names of the others' begin here, in the scenario's order.
const FIRST_TASK: u32 = 0x1003;

/// Names of tasks that were given and not yet taken back.
static NAMES: AtomicI64 = AtomicI64::new(0);

/// How many names of tasks the program still holds.
pub(crate) fn names_held() -> i64 {
    NAMES.load(Ordering::SeqCst)
}

fn running(pid: c_int) -> Option<(u32, &'static Running)> {
    let all = (0..).zip(&scenario().running);
    all.into_iter().find(|(_, running)| i64::from(running.process.pid) == i64::from(pid))
}

/// How many there are, and as many pids as there is room for.
unsafe extern "C" fn proc_listallpids(pids: *mut c_int, size: c_int) -> c_int {
    while scenario().listing_waits && !pids.is_null() && !endpoint_security::all_told() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let own = std::iter::once(libc::getpid());
    // Children before their parents, which the kernel may do.
    let others = scenario().running.iter().rev().map(|running| running.process.pid as c_int);
    let all: Vec<c_int> = own.chain(others).collect();
    if pids.is_null() {
        return all.len() as c_int;
    }
    let room = size as usize / size_of::<c_int>();
    ptr::copy_nonoverlapping(all.as_ptr(), pids, room.min(all.len()));
    room.min(all.len()) as c_int
}

/// `struct proc_bsdinfo` of `<sys/proc_info.h>`.
#[repr(C)]
struct BsdInfo {
    flags: u32,
    status: u32,
    xstatus: u32,
    pid: u32,
    ppid: u32,
    /// uid, gid, ruid, rgid, svuid, svgid.
    ids: [u32; 6],
    reserved: u32,
    comm: [u8; 16],
    name: [u8; 32],
    nfiles: u32,
    pgid: u32,
    pjobc: u32,
    tdev: u32,
    tpgid: u32,
    nice: i32,
    /// Seconds and microseconds.
    start: [i64; 2],
}

const _: () = assert!(size_of::<BsdInfo>() == 136 && offset_of!(BsdInfo, pgid) == 100);

/// How many bytes were filled; libproc's calls say by 0 that nothing was found.
unsafe extern "C" fn proc_pidinfo(
    pid: c_int,
    flavor: c_int,
    _argument: u64,
    out: *mut BsdInfo,
    size: c_int,
) -> c_int {
    const PROC_PIDTBSDINFO: c_int = 3;
    const PROC_PIDT_BSDINFOWITHUNIQID: c_int = 18;
    if flavor == PROC_PIDT_BSDINFOWITHUNIQID {
        return info_with_unique_id(pid as u32, out, size);
    }
    let Some((_, Running { process, .. })) = running(pid) else {
        fail(ESRCH);
        return 0;
    };
    if flavor != PROC_PIDTBSDINFO || (size as usize) < size_of::<BsdInfo>() {
        fail(EINVAL);
        return 0;
    }
    *out = BsdInfo {
        pid: process.pid,
        ppid: process.ppid,
        ids: [process.uid, 20, process.uid, 20, process.uid, 20],
        pgid: process.pid,
        start: started(process.pid, false),
        ..std::mem::zeroed()
    };
    size_of::<BsdInfo>() as c_int
}

/// `struct proc_bsdinfowithuniqid`: the number at 152, behind 16 bytes of a UUID.
unsafe fn info_with_unique_id(pid: u32, out: *mut BsdInfo, size: c_int) -> c_int {
    const SIZE: usize = 192;
    if (size as usize) < SIZE || !runs(pid) {
        fail(if runs(pid) { EINVAL } else { ESRCH });
        return 0;
    }
    ptr::write_bytes(out.cast::<u8>(), 0, SIZE);
    *out = BsdInfo { pid, start: started(pid, false), ..std::mem::zeroed() };
    out.byte_add(152).cast::<u64>().write(unique(pid));
    SIZE as c_int
}

unsafe extern "C" fn proc_pidpath(pid: c_int, out: *mut u8, size: u32) -> c_int {
    match running(pid) {
        Some((_, running)) => {
            let path = running.process.path.as_bytes();
            let length = path.len().min(size as usize);
            ptr::copy_nonoverlapping(path.as_ptr(), out, length);
            length as c_int
        }
        None => {
            fail(ESRCH);
            0
        }
    }
}

/// What KERN_PROCARGS2 says (xnu's bsd/kern/kern_sysctl.c): the count, the path, zeros up to a multiple of 8, the
/// arguments.
pub(super) fn arguments(pid: c_int) -> Option<Vec<u8>> {
    let (_, Running { process, args }) = running(pid)?;
    let mut path = process.path.clone().into_bytes();
    path.resize((path.len() + 1).next_multiple_of(8), 0);
    let mut bytes = [&(args.len() as c_int).to_ne_bytes()[..], &path].concat();
    for argument in args {
        bytes.extend(argument.as_bytes());
        bytes.push(0);
    }
    Some(bytes)
}

unsafe extern "C" fn task_name_for_pid(_task: u32, pid: c_int, name: *mut u32) -> c_int {
    *name = match running(pid) {
        Some((index, _)) => FIRST_TASK + index,
        None if pid == libc::getpid() => TASK_SELF,
        None => return KERN_FAILURE,
    };
    NAMES.fetch_add(1, Ordering::SeqCst);
    KERN_SUCCESS
}

extern "C" fn mach_port_deallocate(_task: u32, name: u32) -> c_int {
    if name != TASK_SELF && of_task(name).is_none() {
        return KERN_INVALID_NAME;
    }
    NAMES.fetch_sub(1, Ordering::SeqCst);
    KERN_SUCCESS
}

fn of_task(name: u32) -> Option<&'static Running> {
    scenario().running.get(name.checked_sub(FIRST_TASK)? as usize)
}

unsafe extern "C" fn task_info(task: u32, flavor: u32, out: *mut AuditToken, count: *mut u32) -> c_int {
    const TASK_AUDIT_TOKEN: u32 = 15;
    if flavor != TASK_AUDIT_TOKEN || *count < 8 {
        return KERN_FAILURE;
    }
    *out = match of_task(task) {
        Some(Running { process, .. }) => endpoint_security::token_of(process),
        None if task == TASK_SELF => endpoint_security::own_token(),
        None => return KERN_FAILURE,
    };
    *count = 8;
    KERN_SUCCESS
}

/// xnu's bsd/kern/kern_proc.c, csops_internal: a text comes after eight bytes, of which the last four are its length with
/// them, big-endian.
unsafe extern "C" fn csops_audittoken(
    pid: c_int,
    operation: c_uint,
    out: *mut u8,
    size: usize,
    token: *const AuditToken,
) -> c_int {
    let Some((_, Running { process, .. })) = running(pid) else { return fail(ESRCH) };
    if *token != endpoint_security::token_of(process) {
        return fail(ESRCH);
    }
    let text = |text: &str| {
        let length = text.len() as u32 + 9;
        [&[0; 4][..], &length.to_be_bytes(), text.as_bytes(), &[0]].concat()
    };
    let bytes = match operation {
        0 => process.code_signing_flags().to_ne_bytes().to_vec(),
        5 => process.cdhash().to_vec(),
        11 if process.signing_id.is_empty() => return fail(ENOENT),
        11 => text(&process.signing_id),
        14 if process.team_id.is_empty() => return fail(ENOENT),
        14 => text(&process.team_id),
        _ => return fail(EINVAL),
    };
    if bytes.len() > size {
        return fail(ERANGE);
    }
    ptr::copy_nonoverlapping(bytes.as_ptr(), out, bytes.len());
    0
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
