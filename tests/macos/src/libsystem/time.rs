//! Clocks.
//!
//! Models: clock_gettime of `<time.h>`'s clock numbers; mach_absolute_time in nanoseconds (a timebase of 1/1, as on
//! Intel Macs). Not: time that stands still while the machine sleeps, which is the difference between darwin's two
//! monotonic clocks.

use super::errors::{EINVAL, fail};
use crate::symbols::exports;
use std::ffi::c_int;

exports! {
    "clock_gettime" => clock_gettime,
    "mach_absolute_time" => mach_absolute_time,
    "mach_continuous_time" => mach_absolute_time,
    "mach_timebase_info" => mach_timebase_info,
}

/// Nanoseconds of the host's monotonic clock.
pub(crate) fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes into `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

unsafe extern "C" fn clock_gettime(darwin: c_int, time: *mut libc::timespec) -> c_int {
    let clock = match darwin {
        0 => libc::CLOCK_REALTIME,
        // CLOCK_MONOTONIC_RAW and its approximation, CLOCK_MONOTONIC, CLOCK_UPTIME_RAW and its approximation.
        4..=6 | 8 | 9 => libc::CLOCK_MONOTONIC,
        12 => libc::CLOCK_PROCESS_CPUTIME_ID,
        16 => libc::CLOCK_THREAD_CPUTIME_ID,
        _ => return fail(EINVAL),
    };
    libc::clock_gettime(clock, time)
}

extern "C" fn mach_absolute_time() -> u64 {
    monotonic()
}

unsafe extern "C" fn mach_timebase_info(info: *mut [u32; 2]) -> c_int {
    *info = [1, 1];
    0
}
