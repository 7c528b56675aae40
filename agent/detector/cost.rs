//! What each rule costs.
//!
//! Evaluations, matches, alerts and exceptions are counted. Time is sampled: around one event in some hundred the clock is
//! read after each rule, and what is found stands for the events between. So nearly all events cost no look at a clock,
//! and a rule that is slow for a single event in a million may be missed.

use std::time::{Duration, Instant};

/// One event in so many is timed. A prime, so that it does not keep step with what repeats.
pub(super) const EVERY: u32 = 251;

/// What a rule has cost since the detector began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Events that the rule was evaluated for.
    pub evaluations: u64,
    /// Matches, whether an alert came of them or not.
    pub matches: u64,
    /// Alerts.
    pub alerts: u64,
    /// Events that exceptions took from it, and alerts that they withheld.
    pub excepted: u64,
    /// Time spent on it, estimated from a sample; zero where nothing is timed.
    pub time: Duration,
}

/// Chooses the events that are timed.
#[derive(Debug)]
pub(super) struct Sampler {
    until_next: u32,
    /// What reading the clock costs by itself.
    reading: Duration,
}

/// Times what is done one after the other.
pub(super) struct Stopwatch {
    last: Instant,
    reading: Duration,
}

impl Sampler {
    pub(super) fn new() -> Self {
        let mut watch = Stopwatch { last: Instant::now(), reading: Duration::ZERO };
        let reading = (0..64).map(|_| watch.lap()).min().unwrap_or_default();
        Sampler { until_next: EVERY, reading }
    }

    /// Returns a stopwatch that runs, if the next event is one that is timed.
    pub(super) fn next(&mut self) -> Option<Stopwatch> {
        self.until_next -= 1;
        (self.until_next == 0).then(|| {
            self.until_next = EVERY;
            Stopwatch { last: Instant::now(), reading: self.reading }
        })
    }
}

impl Stopwatch {
    /// Returns the time since the last lap, without what reading the clock takes.
    pub(super) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let passed = now.duration_since(self.last);
        self.last = now;
        passed.saturating_sub(self.reading)
    }
}
