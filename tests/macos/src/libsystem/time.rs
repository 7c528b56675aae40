//! Clocks.
//!
//! Models: clock_gettime of `<time.h>`'s clock numbers; a wall clock that a scenario sets; Mach's clocks in ticks of the
//! scenario's timebase; time that passes at once, where a scenario says so. Not: time that stands still while the machine sleeps, which is the difference between darwin's
//! two monotonic clocks.

use super::errors::{EINVAL, fail};
use crate::scenario::scenario;
use crate::symbols::exports;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

exports! {
    "clock_gettime" => clock_gettime,
    "mach_absolute_time" => mach_absolute_time,
    "mach_continuous_time" => mach_absolute_time,
    "mach_timebase_info" => mach_timebase_info,
}

/// How far the Mac's wall clock is ahead of the host's, in nanoseconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// How much time has passed at once, on every clock, in nanoseconds.
static PASSED: AtomicI64 = AtomicI64::new(0);

/// Whether the next reading of the wall clock fails.
static FAILS: AtomicBool = AtomicBool::new(false);

/// Sets the wall clock, by so many nanoseconds.
pub(crate) fn step(nanoseconds: i64) {
    AHEAD.fetch_add(nanoseconds, Ordering::SeqCst);
}

/// Lets so many nanoseconds pass at once, on every clock.
pub(crate) fn pass(nanoseconds: u64) {
    PASSED.fetch_add(nanoseconds as i64, Ordering::SeqCst);
}

/// Lets the next reading of the wall clock fail.
pub(crate) fn fail_once() {
    FAILS.store(true, Ordering::SeqCst);
}

/// The Mac's wall clock, in nanoseconds since 1970.
pub(crate) fn wall() -> i64 {
    read(libc::CLOCK_REALTIME) + PASSED.load(Ordering::SeqCst) + AHEAD.load(Ordering::SeqCst)
}

/// Nanoseconds of the host's monotonic clock, and what has passed at once.
pub(crate) fn monotonic() -> u64 {
    (read(libc::CLOCK_MONOTONIC) + PASSED.load(Ordering::SeqCst)) as u64
}

/// Nanoseconds of the monotonic clock as ticks of Mach's.
pub(crate) fn ticks(nanoseconds: u64) -> u64 {
    let [numerator, denominator] = scenario().timebase;
    (u128::from(nanoseconds) * u128::from(denominator) / u128::from(numerator)) as u64
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes into `time`.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

unsafe extern "C" fn clock_gettime(darwin: c_int, time: *mut libc::timespec) -> c_int {
    let nanoseconds = match darwin {
        0 if FAILS.swap(false, Ordering::SeqCst) => return fail(EINVAL),
        0 => wall(),
        // CLOCK_MONOTONIC_RAW and its approximation, CLOCK_MONOTONIC, CLOCK_UPTIME_RAW and its approximation.
        4..=6 | 8 | 9 => monotonic() as i64,
        12 => read(libc::CLOCK_PROCESS_CPUTIME_ID),
        16 => read(libc::CLOCK_THREAD_CPUTIME_ID),
        _ => return fail(EINVAL),
    };
    (*time).tv_sec = nanoseconds.div_euclid(1_000_000_000);
    (*time).tv_nsec = nanoseconds.rem_euclid(1_000_000_000);
    0
}

extern "C" fn mach_absolute_time() -> u64 {
    ticks(monotonic())
}

unsafe extern "C" fn mach_timebase_info(info: *mut [u32; 2]) -> c_int {
    *info = scenario().timebase;
    0
}
