//! The process: arguments, environment, dyld's list of images, sysconf.
//!
//! Models: one image, at the address it was linked for. Not: the system's libraries as images; sysctl.

use super::errors::{EINVAL, fail};
use crate::image;
use crate::symbols::exports;
use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::ptr;
use std::sync::OnceLock;

exports! {
    "_NSGetArgc" => ns_get_argc,
    "_NSGetArgv" => ns_get_argv,
    "_NSGetEnviron" => ns_get_environ,
    "_NSGetExecutablePath" => ns_get_executable_path,
    "_dyld_get_image_header" => dyld_get_image_header,
    "_dyld_get_image_name" => dyld_get_image_name,
    "_dyld_get_image_vmaddr_slide" => dyld_get_image_vmaddr_slide,
    "_dyld_image_count" => dyld_image_count,
    "dyld_stub_binder" => dyld_stub_binder,
    "sysconf" => sysconf,
}

/// Texts and arrays that live as long as the process, as C's main has them.
struct Process {
    argc: c_int,
    argv: *const *const c_char,
    apple: *const *const c_char,
    path: CString,
}

// SAFETY: written once, before the image runs; what it points to is never freed.
unsafe impl Send for Process {}
// SAFETY: as above.
unsafe impl Sync for Process {}

static PROCESS: OnceLock<Process> = OnceLock::new();

/// Sets what the image sees as its command line; the first argument is its path.
pub(crate) fn set(arguments: Vec<Vec<u8>>) {
    let path = arguments.first().cloned().unwrap_or_default();
    let apple = vec![[b"executable_path=", &path[..]].concat()];
    let argc = arguments.len() as c_int;
    let path = CString::new(path).expect("an argument has no zero in it");
    PROCESS.get_or_init(|| Process { argc, argv: array(arguments), apple: array(apple), path });
}

fn array(texts: Vec<Vec<u8>>) -> *const *const c_char {
    let texts =
        texts.into_iter().map(|text| CString::new(text).expect("an argument has no zero in it").into_raw());
    let mut pointers: Vec<*const c_char> = texts.map(<*mut c_char>::cast_const).collect();
    pointers.push(ptr::null());
    pointers.leak().as_ptr()
}

fn process() -> &'static Process {
    PROCESS.get().expect("the command line is set before the image runs")
}

/// The path of the program.
pub(super) fn path() -> &'static CStr {
    &process().path
}

pub(crate) fn argc() -> c_int {
    process().argc
}

pub(crate) fn argv() -> *const *const c_char {
    process().argv
}

pub(crate) fn apple() -> *const *const c_char {
    process().apple
}

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

pub(crate) fn envp() -> *const *const c_char {
    // SAFETY: read before the image runs, by the only thread.
    unsafe { environ }
}

extern "C" fn ns_get_argc() -> *const c_int {
    &raw const process().argc
}

extern "C" fn ns_get_argv() -> *const *const *const c_char {
    &raw const process().argv
}

extern "C" fn ns_get_environ() -> *mut *const *const c_char {
    &raw mut environ
}

unsafe extern "C" fn ns_get_executable_path(out: *mut c_char, size: *mut u32) -> c_int {
    let path = process().path.as_bytes_with_nul();
    if (*size as usize) < path.len() {
        *size = path.len() as u32;
        return -1;
    }
    ptr::copy_nonoverlapping(path.as_ptr().cast(), out, path.len());
    0
}

extern "C" fn dyld_image_count() -> u32 {
    1
}

extern "C" fn dyld_get_image_header(index: u32) -> usize {
    // __TEXT begins with the header.
    if index == 0 { image::text().start } else { 0 }
}

extern "C" fn dyld_get_image_name(index: u32) -> *const c_char {
    if index == 0 { process().path.as_ptr() } else { ptr::null() }
}

extern "C" fn dyld_get_image_vmaddr_slide(_index: u32) -> isize {
    0
}

/// Lazy binding, which chained fixups do not have.
extern "C" fn dyld_stub_binder() -> ! {
    eprintln!("macos-abi: the program called dyld_stub_binder, but nothing of it is bound lazily");
    std::process::abort()
}

/// `<unistd.h>`: the names that std and the crates ask for.
unsafe extern "C" fn sysconf(name: c_int) -> c_long {
    let host = match name {
        1 => libc::_SC_ARG_MAX,
        3 => libc::_SC_CLK_TCK,
        5 => libc::_SC_OPEN_MAX,
        29 => libc::_SC_PAGESIZE,
        57 => libc::_SC_NPROCESSORS_CONF,
        58 => libc::_SC_NPROCESSORS_ONLN,
        70 => libc::_SC_GETGR_R_SIZE_MAX,
        71 => libc::_SC_GETPW_R_SIZE_MAX,
        _ => return fail(EINVAL).into(),
    };
    libc::sysconf(host)
}
