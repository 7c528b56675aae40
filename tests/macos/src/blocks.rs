//! The Blocks runtime (clang's "Block Implementation Specification").
//!
//! Models: copies of stack blocks with their helpers, reference counts, calls with two arguments. Not: `__block`
//! variables, Objective-C objects that a block holds.

use crate::symbols::exports;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

exports! {
    "_Block_copy" => block_copy,
    "_Block_release" => block_release,
    "_NSConcreteGlobalBlock" => &raw const GLOBAL,
    "_NSConcreteMallocBlock" => &raw const MALLOC,
    "_NSConcreteStackBlock" => &raw const STACK,
}

static STACK: [usize; 32] = [0; 32];
static MALLOC: [usize; 32] = [0; 32];
static GLOBAL: [usize; 32] = [0; 32];

const REFERENCES: i32 = 0xffff;
/// Counts go in steps of 2; bit 0 is "being freed".
const ONE: i32 = 2;
const NEEDS_FREE: i32 = 1 << 24;
const HAS_HELPERS: i32 = 1 << 25;
const IS_GLOBAL: i32 = 1 << 28;

#[repr(C)]
pub(crate) struct Block {
    class: *const [usize; 32],
    flags: AtomicI32,
    reserved: i32,
    invoke: *const c_void,
    descriptor: *const Descriptor,
}

#[repr(C)]
struct Descriptor {
    reserved: usize,
    size: usize,
    /// Only with `HAS_HELPERS`.
    copy: extern "C" fn(*mut Block, *const Block),
    dispose: extern "C" fn(*mut Block),
}

pub(crate) unsafe extern "C" fn block_copy(block: *mut Block) -> *mut Block {
    if block.is_null() {
        return block;
    }
    let flags = (*block).flags.load(Ordering::SeqCst);
    if flags & IS_GLOBAL != 0 {
        return block;
    }
    if flags & NEEDS_FREE != 0 {
        (*block).flags.fetch_add(ONE, Ordering::SeqCst);
        return block;
    }
    let size = (*(*block).descriptor).size;
    let copy = libc::malloc(size).cast::<Block>();
    assert!(!copy.is_null(), "no memory for a block");
    ptr::copy_nonoverlapping(block.cast::<u8>(), copy.cast::<u8>(), size);
    (*copy).class = &raw const MALLOC;
    (*copy).flags = AtomicI32::new(flags & !REFERENCES | NEEDS_FREE | ONE);
    if flags & HAS_HELPERS != 0 {
        ((*(*block).descriptor).copy)(copy, block);
    }
    copy
}

pub(crate) unsafe extern "C" fn block_release(block: *mut Block) {
    if block.is_null() || (*block).flags.load(Ordering::SeqCst) & (IS_GLOBAL | NEEDS_FREE) != NEEDS_FREE {
        return;
    }
    let before = (*block).flags.fetch_sub(ONE, Ordering::SeqCst);
    assert!(before & REFERENCES >= ONE, "a block is released more often than it was copied");
    if before & REFERENCES == ONE {
        if before & HAS_HELPERS != 0 {
            ((*(*block).descriptor).dispose)(block);
        }
        libc::free(block.cast());
    }
}

/// A block that takes two pointers and does nothing, to measure calls by.
pub(crate) fn empty() -> *mut Block {
    extern "C" fn nothing(_block: *mut Block, _first: *const c_void, _second: *const c_void) {}
    Box::leak(Box::new(Block {
        class: &raw const GLOBAL,
        flags: AtomicI32::new(IS_GLOBAL),
        reserved: 0,
        invoke: nothing as *const c_void,
        descriptor: ptr::null(),
    }))
}

/// Calls a block that takes two pointers and returns nothing.
///
/// # Safety
/// The block is one, and takes these.
pub(crate) unsafe fn call(block: *mut Block, first: *const c_void, second: *const c_void) {
    let invoke: extern "C" fn(*mut Block, *const c_void, *const c_void) =
        std::mem::transmute((*block).invoke);
    invoke(block, first, second);
}
