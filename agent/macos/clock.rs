//! The Mac's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use mach2::mach_time::{
    mach_absolute_time, mach_continuous_time, mach_timebase_info, mach_timebase_info_data_t,
};

use crate::sensor::Now;

/// How long a tick of Mach's clocks lasts: 125/3 ns on Apple silicon, 1 ns on Intel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timebase {
    numerator: u32,
    denominator: u32,
}

impl Timebase {
    /// Asks the system. Without an answer a tick is a nanosecond.
    pub(super) fn new() -> Self {
        let mut info = mach_timebase_info_data_t { numer: 0, denom: 0 };
        // SAFETY: `info` is a valid `mach_timebase_info_data_t` to write to.
        let result = unsafe { mach_timebase_info(&raw mut info) };
        if result != 0 || info.numer == 0 || info.denom == 0 {
            return Timebase { numerator: 1, denominator: 1 };
        }
        Timebase { numerator: info.numer, denominator: info.denom }
    }

    /// Turns ticks into nanoseconds.
    pub(super) fn nanoseconds(self, ticks: u64) -> i64 {
        let nanoseconds = u128::from(ticks) * u128::from(self.numerator) / u128::from(self.denominator);
        i64::try_from(nanoseconds).unwrap_or(i64::MAX)
    }

    /// Returns the tick: nanoseconds of the clock that Endpoint Security's `mach_time` is of.
    pub(super) fn tick(self) -> i64 {
        // SAFETY: it only reads a clock.
        self.nanoseconds(unsafe { mach_absolute_time() })
    }

    /// Returns `mach_continuous_time`, in its own ticks.
    pub(super) fn continuous_ticks(self) -> u64 {
        // SAFETY: it only reads a clock.
        unsafe { mach_continuous_time() }
    }

    /// Returns a moment of `mach_continuous_time` as wall time and tick, in nanoseconds; one that is to come is `now`.
    /// Where the Mac slept in between, the tick is earlier than it was by that time.
    pub(super) fn moment(self, continuous: u64, now: &Now) -> (i64, i64) {
        let passed = now.continuous.saturating_sub(self.nanoseconds(continuous)).max(0);
        (now.wall.saturating_sub(passed), now.tick.saturating_sub(passed))
    }

    /// Returns what the clocks say. The tick is of the clock that Endpoint Security's `mach_time` is of.
    pub(super) fn now(self) -> Now {
        // SAFETY: both only read a clock.
        let (absolute, continuous) = unsafe { (mach_absolute_time(), mach_continuous_time()) };
        Now { wall: wall(), tick: self.nanoseconds(absolute), continuous: self.nanoseconds(continuous) }
    }
}

/// Returns the wall clock, in nanoseconds since 1970.
pub(super) fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
