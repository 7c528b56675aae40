//! Messages: which function answers, and the jump to it with the caller's arguments as they are.

use super::{Class, Object, locked};
use std::ffi::{CStr, c_char};

/// What `objc_msgSendSuper` is given in the receiver's place (`struct objc_super`).
#[repr(C)]
struct Super {
    receiver: *mut Object,
    class: *const Class,
}

/// The function that answers `name` for an object; one that gives 0 for nil.
pub(super) unsafe extern "C" fn method(object: *const Object, name: *const c_char) -> usize {
    if object.is_null() { nothing as *const () as usize } else { find((*object).class, name) }
}

unsafe extern "C" fn method_of_super(above: *const Super, name: *const c_char) -> usize {
    find((*above).class, name)
}

extern "C" fn nothing() -> usize {
    0
}

unsafe fn find(class: *const Class, name: *const c_char) -> usize {
    let mut at = class;
    while !at.is_null() {
        if let Some(function) = locked(&(*at).methods).get(&(name as usize)) {
            return *function;
        }
        at = (*at).above;
    }
    let (class, name) = ((*class).name.to_string_lossy(), CStr::from_ptr(name).to_string_lossy());
    eprintln!("macos-abi: the program sent {name} to {class}, which has no stand-in");
    std::process::abort()
}

/// `objc_msgSend`: looks the method up and jumps to it, all argument registers as they were.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn message() {
    std::arch::naked_asm!(
        "push rbp", "mov rbp, rsp", "sub rsp, 192",
        "mov [rsp], rdi", "mov [rsp + 8], rsi", "mov [rsp + 16], rdx", "mov [rsp + 24], rcx",
        "mov [rsp + 32], r8", "mov [rsp + 40], r9", "mov [rsp + 48], rax",
        "movups [rsp + 64], xmm0", "movups [rsp + 80], xmm1", "movups [rsp + 96], xmm2", "movups [rsp + 112], xmm3",
        "movups [rsp + 128], xmm4", "movups [rsp + 144], xmm5", "movups [rsp + 160], xmm6", "movups [rsp + 176], xmm7",
        "call {method}",
        "mov r11, rax",
        "mov rdi, [rsp]", "mov rsi, [rsp + 8]", "mov rdx, [rsp + 16]", "mov rcx, [rsp + 24]",
        "mov r8, [rsp + 32]", "mov r9, [rsp + 40]", "mov rax, [rsp + 48]",
        "movups xmm0, [rsp + 64]", "movups xmm1, [rsp + 80]", "movups xmm2, [rsp + 96]", "movups xmm3, [rsp + 112]",
        "movups xmm4, [rsp + 128]", "movups xmm5, [rsp + 144]", "movups xmm6, [rsp + 160]", "movups xmm7, [rsp + 176]",
        "leave",
        "jmp r11",
        method = sym method,
    )
}

/// `objc_msgSendSuper`: the same, from a class above, with the receiver in the place of what was given.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn message_to_super() {
    std::arch::naked_asm!(
        "push rbp", "mov rbp, rsp", "sub rsp, 64",
        "mov [rsp], rdi", "mov [rsp + 8], rsi", "mov [rsp + 16], rdx", "mov [rsp + 24], rcx",
        "mov [rsp + 32], r8", "mov [rsp + 40], r9",
        "call {method}",
        "mov r11, rax",
        "mov rdi, [rsp]", "mov rdi, [rdi]", "mov rsi, [rsp + 8]", "mov rdx, [rsp + 16]", "mov rcx, [rsp + 24]",
        "mov r8, [rsp + 32]", "mov r9, [rsp + 40]",
        "leave",
        "jmp r11",
        method = sym method_of_super,
    )
}

/// `objc_msgSend`: looks the method up and jumps to it, all argument registers as they were.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn message() {
    std::arch::naked_asm!(
        "stp x29, x30, [sp, #-16]!", "mov x29, sp", "sub sp, sp, #208",
        "stp x0, x1, [sp]", "stp x2, x3, [sp, #16]", "stp x4, x5, [sp, #32]", "stp x6, x7, [sp, #48]", "str x8, [sp, #64]",
        "stp q0, q1, [sp, #80]", "stp q2, q3, [sp, #112]", "stp q4, q5, [sp, #144]", "stp q6, q7, [sp, #176]",
        "bl {method}",
        "mov x16, x0",
        "ldp x0, x1, [sp]", "ldp x2, x3, [sp, #16]", "ldp x4, x5, [sp, #32]", "ldp x6, x7, [sp, #48]", "ldr x8, [sp, #64]",
        "ldp q0, q1, [sp, #80]", "ldp q2, q3, [sp, #112]", "ldp q4, q5, [sp, #144]", "ldp q6, q7, [sp, #176]",
        "mov sp, x29", "ldp x29, x30, [sp], #16",
        "br x16",
        method = sym method,
    )
}

/// `objc_msgSendSuper`: the same, from a class above, with the receiver in the place of what was given.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn message_to_super() {
    std::arch::naked_asm!(
        "stp x29, x30, [sp, #-16]!", "mov x29, sp", "sub sp, sp, #80",
        "stp x0, x1, [sp]", "stp x2, x3, [sp, #16]", "stp x4, x5, [sp, #32]", "stp x6, x7, [sp, #48]", "str x8, [sp, #64]",
        "bl {method}",
        "mov x16, x0",
        "ldp x0, x1, [sp]", "ldr x0, [x0]", "ldp x2, x3, [sp, #16]", "ldp x4, x5, [sp, #32]", "ldp x6, x7, [sp, #48]",
        "ldr x8, [sp, #64]",
        "mov sp, x29", "ldp x29, x30, [sp], #16",
        "br x16",
        method = sym method_of_super,
    )
}
