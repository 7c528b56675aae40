//! os_log, as far as libSystem exports it: a line for each message, to the file that `MACOS_ABI_LOG` names.
//!
//! Models: `%{public}s` as the only argument, which is what the crate oslog sends. A line is
//! `LEVEL SUBSYSTEM CATEGORY TEXT`. Not: other formats, limits of length, levels that are off.

use crate::symbols::exports;
use std::ffi::{CStr, c_char, c_void};
use std::fs::OpenOptions;
use std::io::Write;
use std::ptr;

exports! {
    "_os_log_default" => &raw const DEFAULT,
    "_os_log_impl" => os_log_impl,
    "os_log_create" => os_log_create,
    "os_log_type_enabled" => os_log_type_enabled,
    "os_release" => os_release,
}

struct OsLog {
    subsystem: String,
    category: String,
}

static DEFAULT: OsLog = OsLog { subsystem: String::new(), category: String::new() };

unsafe extern "C" fn os_log_create(subsystem: *const c_char, category: *const c_char) -> *const OsLog {
    let text = |text: *const c_char| CStr::from_ptr(text).to_string_lossy().into_owned();
    Box::into_raw(Box::new(OsLog { subsystem: text(subsystem), category: text(category) }))
}

extern "C" fn os_log_type_enabled(_log: *const OsLog, _level: u8) -> bool {
    true
}

/// A log object of the same subsystem and category is one object on a Mac, and is never freed.
extern "C" fn os_release(_object: *const c_void) {}

/// The buffer is what clang's `__builtin_os_log_format` lays out: a summary byte, the number of arguments, then for
/// each a descriptor, a size, and its value.
unsafe extern "C" fn os_log_impl(
    _image: *const c_void,
    log: *const OsLog,
    level: u8,
    _format: *const c_char,
    buffer: *const u8,
    size: u32,
) {
    const STRING: u8 = 0x22;
    let text = if size == 12 && *buffer.add(1) == 1 && *buffer.add(2) == STRING {
        CStr::from_ptr(ptr::read_unaligned(buffer.add(4).cast::<*const c_char>())).to_string_lossy()
    } else {
        "(a format that the stand-in does not read)".into()
    };
    let level = match level {
        0x00 => "default",
        0x01 => "info",
        0x02 => "debug",
        0x10 => "error",
        0x11 => "fault",
        _ => "?",
    };
    let Some(path) = std::env::var_os("MACOS_ABI_LOG") else { return };
    let line = format!("{level} {} {} {text}\n", (*log).subsystem, (*log).category);
    if let Err(error) = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()))
    {
        eprintln!("macos-abi: cannot write {}: {error}", path.display());
    }
}
