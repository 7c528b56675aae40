//! libdispatch: semaphores, on which std parks a thread, and queues as names that other stand-ins are given.
//!
//! Models: create, signal, wait with a time of `dispatch_time`, retain, release. Not: work on queues, sources, blocks.

use super::time::monotonic;
use crate::symbols::exports;
use std::ffi::{c_char, c_long, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

exports! {
    "dispatch_queue_create" => dispatch_queue_create,
    "dispatch_release" => dispatch_release,
    "dispatch_retain" => dispatch_retain,
    "dispatch_semaphore_create" => dispatch_semaphore_create,
    "dispatch_semaphore_signal" => dispatch_semaphore_signal,
    "dispatch_semaphore_wait" => dispatch_semaphore_wait,
    "dispatch_time" => dispatch_time,
}

struct Semaphore {
    value: Mutex<c_long>,
    raised: Condvar,
    references: AtomicUsize,
}

const DISPATCH_TIME_NOW: u64 = 0;
const DISPATCH_TIME_FOREVER: u64 = u64::MAX;

/// Nothing is put on it here, so it is but something to retain and release.
extern "C" fn dispatch_queue_create(_label: *const c_char, _attributes: *const c_void) -> *mut Semaphore {
    dispatch_semaphore_create(0)
}

extern "C" fn dispatch_semaphore_create(value: c_long) -> *mut Semaphore {
    let references = AtomicUsize::new(1);
    Box::into_raw(Box::new(Semaphore { value: Mutex::new(value), raised: Condvar::new(), references }))
}

unsafe extern "C" fn dispatch_semaphore_signal(semaphore: *mut Semaphore) -> c_long {
    let semaphore = &*semaphore;
    // Notified under the lock: who wakes up may free the semaphore.
    let mut value = semaphore.value.lock().unwrap_or_else(PoisonError::into_inner);
    *value += 1;
    semaphore.raised.notify_one();
    1
}

/// 0, or another value where the time ran out.
unsafe extern "C" fn dispatch_semaphore_wait(semaphore: *mut Semaphore, until: u64) -> c_long {
    let semaphore = &*semaphore;
    let mut value = semaphore.value.lock().unwrap_or_else(PoisonError::into_inner);
    while *value == 0 {
        if until == DISPATCH_TIME_FOREVER {
            value = semaphore.raised.wait(value).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let left = until.saturating_sub(monotonic());
        if left == 0 {
            return 49;
        }
        let waited = semaphore.raised.wait_timeout(value, Duration::from_nanos(left));
        value = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    *value -= 1;
    0
}

extern "C" fn dispatch_time(base: u64, delta: i64) -> u64 {
    let base = if base == DISPATCH_TIME_NOW { monotonic() } else { base };
    base.saturating_add_signed(delta)
}

unsafe extern "C" fn dispatch_retain(semaphore: *mut Semaphore) {
    (*semaphore).references.fetch_add(1, Ordering::AcqRel);
}

unsafe extern "C" fn dispatch_release(semaphore: *mut Semaphore) {
    if (*semaphore).references.fetch_sub(1, Ordering::AcqRel) == 1 {
        drop(Box::from_raw(semaphore));
    }
}
