//! What the system says of a process, by its pid.

use std::ffi::{c_int, c_uint, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use endpoint_sec::AuditToken;
use endpoint_sec::sys::audit_token_t;
use mach2::mach_port::mach_port_deallocate;
use mach2::port::{MACH_PORT_NULL, mach_port_name_t};
use mach2::task::task_info;
use mach2::task_info::{TASK_AUDIT_TOKEN, TASK_AUDIT_TOKEN_COUNT};
use mach2::traps::{mach_task_self, task_name_for_pid};

/// How many processes there may be more by the time that they are listed than when they were counted.
const MORE: usize = 256;

/// The longest path that `proc_pidpath` gives: `PROC_PIDPATHINFO_MAXSIZE`.
const MAX_PATH: usize = 4096;

/// The longest signing id or team id that is read, in bytes.
const MAX_SIGNATURE_TEXT: usize = 1024;

// `CS_OPS_*` of xnu's bsd/sys/codesign.h.
const CS_OPS_STATUS: c_uint = 0;
const CS_OPS_CDHASH: c_uint = 5;
const CS_OPS_IDENTITY: c_uint = 11;
const CS_OPS_TEAMID: c_uint = 14;

/// What precedes a text that csops gives: a magic number and the length, both big-endian.
const CS_HEADER: usize = 8;

/// The length of a cdhash, in bytes.
pub(super) const CDHASH: usize = 20;

unsafe extern "C" {
    /// In libSystem since macOS 10.8, in no public header: bsd/sys/codesign.h of xnu. Fails where the token is no
    /// longer that of the process.
    fn csops_audittoken(
        pid: libc::pid_t,
        operation: c_uint,
        address: *mut c_void,
        size: usize,
        token: *const audit_token_t,
    ) -> c_int;
}

/// Returns the ids of all processes, in no order; none if the system does not say.
pub(super) fn all() -> Vec<u32> {
    // SAFETY: without a buffer the call only counts.
    let count = unsafe { libc::proc_listallpids(ptr::null_mut(), 0) };
    let mut pids = vec![0 as libc::pid_t; usize::try_from(count).unwrap_or(0) + MORE];
    let size = c_int::try_from(size_of_val(&*pids)).unwrap_or(c_int::MAX);
    // SAFETY: `pids` has room for `size` bytes.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), size) };
    pids.truncate(usize::try_from(count).unwrap_or(0));
    pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect()
}

/// Returns parent, group and start of a process.
pub(super) fn info(pid: u32) -> Option<libc::proc_bsdinfo> {
    let pid = c_int::try_from(pid).ok()?;
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = size_of::<libc::proc_bsdinfo>() as c_int;
    // SAFETY: `info` has room for `size` bytes.
    let filled =
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size) };
    // SAFETY: it is made of integers only, and was all zeros before the call.
    (filled == size).then(|| unsafe { info.assume_init() })
}

/// A process that no other is mistaken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unique {
    /// `p_uniqueid`: a number that no other process has as long as the Mac runs.
    pub(super) number: u64,
    /// When it was forked, nanoseconds since 1970.
    pub(super) start: i64,
}

/// `proc_bsdinfowithuniqid` of xnu's bsd/sys/proc_info.h: `proc_bsdinfo`, and `proc_uniqidentifierinfo`: 16 bytes of the
/// executable's UUID, u64 p_uniqueid, u64 p_puniqueid, i32 p_idversion, and 20 bytes that are not used here.
#[repr(C)]
struct BsdInfoWithUniqueId {
    info: libc::proc_bsdinfo,
    uuid: [u8; 16],
    unique_id: u64,
    rest: [u64; 4],
}

const _: () = assert!(size_of::<BsdInfoWithUniqueId>() == 192);

/// Returns the unique number and the start of the process that has a pid now.
pub(super) fn unique(pid: u32) -> Option<Unique> {
    /// `PROC_PIDT_BSDINFOWITHUNIQID` of the same file.
    const FLAVOR: c_int = 18;
    let pid = c_int::try_from(pid).ok()?;
    let mut info = MaybeUninit::<BsdInfoWithUniqueId>::zeroed();
    let size = size_of::<BsdInfoWithUniqueId>() as c_int;
    // SAFETY: `info` has room for `size` bytes.
    let filled = unsafe { libc::proc_pidinfo(pid, FLAVOR, 0, info.as_mut_ptr().cast(), size) };
    // SAFETY: it is made of integers only, and was all zeros before the call.
    let info = (filled == size).then(|| unsafe { info.assume_init() })?;
    let start =
        info.info.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(info.info.pbi_start_tvusec);
    Some(Unique { number: info.unique_id, start: i64::try_from(start).ok()?.saturating_mul(1_000) })
}

/// Returns the path of a process's executable.
pub(super) fn path(pid: u32) -> Option<String> {
    let pid = c_int::try_from(pid).ok()?;
    let mut buffer = [0u8; MAX_PATH];
    // SAFETY: `buffer` has room for the bytes that are announced.
    let length = unsafe { libc::proc_pidpath(pid, buffer.as_mut_ptr().cast(), MAX_PATH as u32) };
    let path = buffer.get(..usize::try_from(length).ok()?)?;
    (!path.is_empty()).then(|| String::from_utf8_lossy(path).into_owned())
}

/// Returns the audit token of a process.
pub(super) fn token(pid: u32) -> Option<AuditToken> {
    let pid = c_int::try_from(pid).ok()?;
    let mut name: mach_port_name_t = MACH_PORT_NULL;
    // SAFETY: `name` is a place for a port's name.
    let result = unsafe { task_name_for_pid(mach_task_self(), pid, &raw mut name) };
    if result != 0 {
        return None;
    }
    let token = token_of(name);
    // SAFETY: `name` is a right that the call above gave to this task. The binding's own `from_pid` would keep it.
    let _ = unsafe { mach_port_deallocate(mach_task_self(), name) };
    token
}

/// Returns the audit token of this process.
pub(super) fn own_token() -> Option<AuditToken> {
    // SAFETY: it reads a variable that libSystem sets before anything else runs.
    token_of(unsafe { mach_task_self() })
}

fn token_of(task: mach_port_name_t) -> Option<AuditToken> {
    let mut token = audit_token_t::default();
    let mut count = TASK_AUDIT_TOKEN_COUNT;
    // SAFETY: `token` has room for the `count` numbers that are announced.
    let result = unsafe { task_info(task, TASK_AUDIT_TOKEN, token.val.as_mut_ptr().cast(), &raw mut count) };
    (result == 0).then_some(AuditToken(token))
}

/// Returns the code signing flags (`CS_*`) of the image that a token names.
pub(super) fn signing_flags(token: &AuditToken) -> Option<u32> {
    let mut flags = [0; size_of::<u32>()];
    code_signing(token, CS_OPS_STATUS, &mut flags).then(|| u32::from_ne_bytes(flags))
}

/// Returns the cdhash of the image that a token names.
pub(super) fn cdhash(token: &AuditToken) -> Option<[u8; CDHASH]> {
    let mut hash = [0; CDHASH];
    code_signing(token, CS_OPS_CDHASH, &mut hash).then_some(hash)
}

/// Returns the signing id of the image that a token names.
pub(super) fn signing_id(token: &AuditToken) -> Option<String> {
    signature_text(token, CS_OPS_IDENTITY)
}

/// Returns the team id of the image that a token names.
pub(super) fn team_id(token: &AuditToken) -> Option<String> {
    signature_text(token, CS_OPS_TEAMID)
}

fn signature_text(token: &AuditToken, operation: c_uint) -> Option<String> {
    let mut buffer = [0; CS_HEADER + MAX_SIGNATURE_TEXT];
    if !code_signing(token, operation, &mut buffer) {
        return None;
    }
    let text = buffer[CS_HEADER..].split(|byte| *byte == 0).next().unwrap_or_default();
    (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
}

fn code_signing(token: &AuditToken, operation: c_uint, buffer: &mut [u8]) -> bool {
    let raw = token.raw_token();
    let [.., pid, _, _] = raw.val;
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: `buffer` has room for the bytes that are announced, and `raw` is a token.
    let result = unsafe {
        csops_audittoken(pid, operation, buffer.as_mut_ptr().cast(), buffer.len(), ptr::from_ref(raw))
    };
    result == 0
}
