//! Thread-local variables of a Mach-O.
//!
//! Each `__thread_vars` descriptor is `{thunk, key, offset}`. Code calls the thunk with the descriptor in the first
//! argument's register and takes the variable's address from the result's register; every other register must keep its
//! value (arm64: but x16, x17 and the link register). So the thunk is assembly, and its slow path, which gives a thread
//! its block, saves the rest.
//!
//! Models: a block for each thread, copied from the template when first used, freed when the thread ends, after the
//! destructors. Not: keys, images but the one.

use crate::macho::{Macho, S_THREAD_LOCAL_REGULAR, S_THREAD_LOCAL_VARIABLES, S_THREAD_LOCAL_ZEROFILL};
use std::ffi::c_void;
use std::sync::OnceLock;

struct Template {
    start: usize,
    /// The initialised part.
    copied: usize,
    /// With the zeroed part behind it.
    size: usize,
    key: libc::pthread_key_t,
}

static TEMPLATE: OnceLock<Template> = OnceLock::new();

const PAGE: usize = 4096;

/// Writes the thunk into the image's descriptors, which must be mapped writable.
pub(crate) fn set_up(macho: &Macho) {
    let variables =
        |kind| macho.sections.iter().filter(move |section| section.kind == kind && section.size > 0);
    let regular =
        variables(S_THREAD_LOCAL_REGULAR).map(|section| (section.address, section.address + section.size));
    let zeroed =
        variables(S_THREAD_LOCAL_ZEROFILL).map(|section| (section.address, section.address + section.size));
    let copied_end = regular.clone().map(|(_, end)| end).max();
    let Some(start) = regular.clone().chain(zeroed.clone()).map(|(start, _)| start).min() else { return };
    let end = regular.chain(zeroed).map(|(_, end)| end).max().unwrap_or(start);
    let mut key = 0;
    // SAFETY: the destructor takes what `macos_abi_tlv_block` stores.
    unsafe { libc::pthread_key_create(&mut key, Some(free_block)) };
    let template = Template {
        start: start as usize,
        copied: copied_end.map_or(0, |end| (end - start) as usize),
        size: (end - start) as usize,
        key,
    };
    let size = template.size;
    TEMPLATE.get_or_init(|| template);
    for section in variables(S_THREAD_LOCAL_VARIABLES) {
        for index in 0..section.size as usize / 24 {
            let descriptor = (section.address as usize + index * 24) as *mut usize;
            // SAFETY: descriptors of three words, in a segment that is mapped writable.
            unsafe {
                assert!(*descriptor.add(2) < size, "a thread-local variable lies outside of the template");
                *descriptor = thunk_address();
            }
        }
    }
}

/// What `__tlv_bootstrap` is bound to, before the descriptors are written.
pub(crate) fn thunk_address() -> usize {
    macos_abi_tlv_thunk as *const () as usize
}

unsafe extern "C" {
    fn macos_abi_tlv_thunk();
    fn macos_abi_tlv_clear();
}

/// The slow path of the thunk: this thread's block.
#[unsafe(no_mangle)]
unsafe extern "C" fn macos_abi_tlv_block() -> usize {
    let template = TEMPLATE.get().expect("a thread-local variable is used after its template is known");
    // The same place within a page as the template has, so that any alignment below that holds.
    let place = template.start % PAGE;
    let block = libc::aligned_alloc(PAGE, (place + template.size).next_multiple_of(PAGE)) as usize;
    assert_ne!(block, 0, "no memory for a thread's variables");
    let base = block + place;
    std::ptr::copy_nonoverlapping(template.start as *const u8, base as *mut u8, template.copied);
    std::ptr::write_bytes((base + template.copied) as *mut u8, 0, template.size - template.copied);
    libc::pthread_setspecific(template.key, block as *const c_void);
    base
}

unsafe extern "C" fn free_block(block: *mut c_void) {
    macos_abi_tlv_clear();
    libc::free(block);
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    r#"
    .section .tbss,"awT",@nobits
    .balign 8
macos_abi_tlv_base: .zero 8
    .text
    .globl macos_abi_tlv_thunk
macos_abi_tlv_thunk:
    movq %fs:macos_abi_tlv_base@tpoff, %rax
    testq %rax, %rax
    je 1f
    addq 16(%rdi), %rax
    ret
1:  pushq %rbp
    movq %rsp, %rbp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    subq $1088, %rsp
    andq $-64, %rsp
    fxsave (%rsp)
    call macos_abi_tlv_block
    fxrstor (%rsp)
    movq %rax, %fs:macos_abi_tlv_base@tpoff
    movq -64(%rbp), %r11
    movq -56(%rbp), %r10
    movq -48(%rbp), %r9
    movq -40(%rbp), %r8
    movq -32(%rbp), %rcx
    movq -24(%rbp), %rdx
    movq -16(%rbp), %rsi
    movq -8(%rbp), %rdi
    leave
    addq 16(%rdi), %rax
    ret
    .globl macos_abi_tlv_clear
macos_abi_tlv_clear:
    movq $0, %fs:macos_abi_tlv_base@tpoff
    ret
"#,
    options(att_syntax)
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    r#"
    .section .tbss,"awT",@nobits
    .balign 8
macos_abi_tlv_base: .zero 8
    .text
    .globl macos_abi_tlv_thunk
macos_abi_tlv_thunk:
    mrs x16, tpidr_el0
    add x16, x16, #:tprel_hi12:macos_abi_tlv_base, lsl #12
    add x16, x16, #:tprel_lo12_nc:macos_abi_tlv_base
    ldr x17, [x16]
    cbz x17, 1f
    ldr x0, [x0, #16]
    add x0, x0, x17
    ret
1:  stp x29, x30, [sp, #-16]!
    mov x29, sp
    stp x0, x1, [sp, #-16]!
    stp x2, x3, [sp, #-16]!
    stp x4, x5, [sp, #-16]!
    stp x6, x7, [sp, #-16]!
    stp x8, x9, [sp, #-16]!
    stp x10, x11, [sp, #-16]!
    stp x12, x13, [sp, #-16]!
    stp x14, x15, [sp, #-16]!
    stp x16, x17, [sp, #-16]!
    stp q0, q1, [sp, #-32]!
    stp q2, q3, [sp, #-32]!
    stp q4, q5, [sp, #-32]!
    stp q6, q7, [sp, #-32]!
    stp q16, q17, [sp, #-32]!
    stp q18, q19, [sp, #-32]!
    stp q20, q21, [sp, #-32]!
    stp q22, q23, [sp, #-32]!
    stp q24, q25, [sp, #-32]!
    stp q26, q27, [sp, #-32]!
    stp q28, q29, [sp, #-32]!
    stp q30, q31, [sp, #-32]!
    bl macos_abi_tlv_block
    mov x30, x0
    ldp q30, q31, [sp], #32
    ldp q28, q29, [sp], #32
    ldp q26, q27, [sp], #32
    ldp q24, q25, [sp], #32
    ldp q22, q23, [sp], #32
    ldp q20, q21, [sp], #32
    ldp q18, q19, [sp], #32
    ldp q16, q17, [sp], #32
    ldp q6, q7, [sp], #32
    ldp q4, q5, [sp], #32
    ldp q2, q3, [sp], #32
    ldp q0, q1, [sp], #32
    ldp x16, x17, [sp], #16
    ldp x14, x15, [sp], #16
    ldp x12, x13, [sp], #16
    ldp x10, x11, [sp], #16
    ldp x8, x9, [sp], #16
    ldp x6, x7, [sp], #16
    ldp x4, x5, [sp], #16
    ldp x2, x3, [sp], #16
    ldp x0, x1, [sp], #16
    str x30, [x16]
    mov x17, x30
    ldp x29, x30, [sp], #16
    ldr x0, [x0, #16]
    add x0, x0, x17
    ret
    .globl macos_abi_tlv_clear
macos_abi_tlv_clear:
    mrs x16, tpidr_el0
    add x16, x16, #:tprel_hi12:macos_abi_tlv_base, lsl #12
    add x16, x16, #:tprel_lo12_nc:macos_abi_tlv_base
    str xzr, [x16]
    ret
"#
);
