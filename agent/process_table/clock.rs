//! The table's clock: event time, proof against single timestamps far away.

/// How many events it takes to move the clock.
const BLOCK: usize = 16;

/// Takes the median of each 16 event times. Neither one event from the year 2100 nor seven of them among
/// sixteen move it, and where most events are from then, so is the recording. It may step back.
#[derive(Debug)]
pub(super) struct Clock {
    block: [i64; BLOCK],
    filled: usize,
    now: i64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock { block: [0; BLOCK], filled: 0, now: i64::MIN }
    }

    /// Takes an event's time; returns whether the clock has been set anew.
    pub(super) fn observe(&mut self, time: i64) -> bool {
        self.block[self.filled] = time;
        self.filled += 1;
        if self.filled < BLOCK {
            return false;
        }
        self.filled = 0;
        self.now = *self.block.select_nth_unstable(BLOCK / 2).1;
        true
    }

    /// Returns the time, at first `i64::MIN`.
    pub(super) fn now(&self) -> i64 {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_far_away_do_not_move_it() {
        let mut clock = Clock::new();
        for index in 0..64 {
            clock.observe(if index % 16 < 7 { i64::MAX - index } else { 1_000 + index });
        }
        assert!((1_000..2_000).contains(&clock.now()), "{}", clock.now());
    }

    #[test]
    fn it_follows_most_events() {
        let mut clock = Clock::new();
        let moved = (0..40).filter(|time| clock.observe(*time)).count();
        assert_eq!((moved, clock.now()), (2, 24));
    }
}
