//! libunwind: backtraces.
//!
//! Models: `_Unwind_Backtrace` by frame pointers, which Apple's targets keep. Not: exceptions. A panic therefore runs
//! its hook and then ends the process here instead of unwinding; what is tested must not rest on `catch_unwind`.

use crate::image;
use crate::symbols::exports;
use std::ffi::{c_int, c_void};

exports! {
    "_Unwind_Backtrace" => macos_abi_backtrace_entry,
    "_Unwind_GetCFA" => get_cfa,
    "_Unwind_GetIP" => get_ip,
    "_Unwind_GetIPInfo" => get_ip_info,
}

/// What a backtrace's callback is given.
#[repr(C)]
struct Frame {
    /// The return address.
    code: usize,
    /// The stack pointer after the return.
    stack: usize,
}

type Callback = extern "C" fn(*const Frame, *mut c_void) -> c_int;

const END_OF_STACK: c_int = 5;
const FATAL: c_int = 3;

// The third argument: the caller's frame pointer.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".globl macos_abi_backtrace_entry",
    "macos_abi_backtrace_entry:",
    "mov rdx, rbp",
    "jmp macos_abi_backtrace"
);
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".globl macos_abi_backtrace_entry",
    "macos_abi_backtrace_entry:",
    "mov x2, x29",
    "b macos_abi_backtrace"
);
unsafe extern "C" {
    fn macos_abi_backtrace_entry();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn macos_abi_backtrace(
    callback: Callback,
    argument: *mut c_void,
    mut frame: usize,
) -> c_int {
    let text = image::text();
    while frame != 0 && frame.is_multiple_of(8) {
        let (next, code) = (*(frame as *const usize), *((frame + 8) as *const usize));
        if !text.contains(&code) {
            break;
        }
        if callback(&Frame { code, stack: frame + 16 }, argument) != 0 {
            return FATAL;
        }
        if next <= frame {
            break;
        }
        frame = next;
    }
    END_OF_STACK
}

unsafe extern "C" fn get_ip(frame: *const Frame) -> usize {
    (*frame).code
}

unsafe extern "C" fn get_ip_info(frame: *const Frame, before: *mut c_int) -> usize {
    *before = 0;
    (*frame).code
}

unsafe extern "C" fn get_cfa(frame: *const Frame) -> usize {
    (*frame).stack
}
