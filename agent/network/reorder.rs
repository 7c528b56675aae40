//! Holds flows until Endpoint Security has passed their time.
//!
//! A flow's source has a thread of its own, so its flow may be here before the exec of the process that made it. Messages
//! of Endpoint Security are never held; a flow is, until a message that is not older than it has been evaluated, and at
//! most [`WAIT`], for then there was none.

use std::collections::{BTreeMap, VecDeque};

/// How long a flow waits at most, in nanoseconds.
pub const WAIT: i64 = 500_000_000;

/// How many flows wait at most. Of more, the earliest goes on at once: nothing is lost, but it may be evaluated before
/// an exec that it belongs to.
pub const MAX_WAITING: usize = 16_384;

/// Flows that wait, and how far Endpoint Security is.
#[derive(Debug)]
pub struct Reorder<T> {
    /// By their own times, then in the order of arrival.
    waiting: BTreeMap<Key, T>,
    /// The same, in the order of arrival, with when each must go on; what has gone on already is skipped.
    deadlines: VecDeque<(i64, Key)>,
    next: u64,
    passed: i64,
    early: u64,
}

type Key = (i64, u64);

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        let (waiting, deadlines) = (BTreeMap::new(), VecDeque::new());
        Reorder { waiting, deadlines, next: 0, passed: i64::MIN, early: 0 }
    }
}

impl<T> Reorder<T> {
    /// Takes a flow of a time (its tick), which arrived at `now`; both in nanoseconds on the clock that orders events.
    pub fn push(&mut self, time: i64, now: i64, flow: T) {
        let key = (time, self.next);
        self.next += 1;
        self.waiting.insert(key, flow);
        self.deadlines.push_back((now.saturating_add(WAIT), key));
    }

    /// Notes that a message of Endpoint Security of this time has been evaluated.
    pub fn pass(&mut self, time: i64) {
        // One message with a time far ahead must not release everything from then on.
        self.passed = time;
    }

    /// Returns the next flow that has waited long enough by `now`, the earliest first.
    pub fn pop(&mut self, now: i64) -> Option<T> {
        while let Some((_, key)) = self.deadlines.front()
            && !self.waiting.contains_key(key)
        {
            self.deadlines.pop_front();
        }
        let first = *self.waiting.first_key_value()?.0;
        let due = self.deadlines.front().is_some_and(|(deadline, _)| *deadline <= now);
        let full = self.waiting.len() > MAX_WAITING;
        // What is due takes along what is earlier still, so that flows keep their own order.
        if first.0 > self.passed && !due && !full {
            return None;
        }
        self.early += u64::from(first.0 > self.passed && !due);
        self.waiting.remove(&first)
    }

    /// Returns when the next flow must go on; none if no flow waits.
    pub fn deadline(&self) -> Option<i64> {
        self.deadlines.iter().find(|(_, key)| self.waiting.contains_key(key)).map(|(deadline, _)| *deadline)
    }

    /// Returns how many flows wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns how many went on early because too many waited.
    pub fn early(&self) -> u64 {
        self.early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(reorder: &mut Reorder<&'static str>, now: i64) -> Vec<&'static str> {
        std::iter::from_fn(|| reorder.pop(now)).collect()
    }

    #[test]
    fn a_flow_waits_for_a_message_that_is_not_older() {
        let mut reorder = Reorder::default();
        reorder.pass(90);
        reorder.push(100, 105, "flow");
        assert_eq!(all(&mut reorder, 106), [""; 0]);
        reorder.pass(99);
        assert_eq!(all(&mut reorder, 107), [""; 0]);
        reorder.pass(100);
        assert_eq!((all(&mut reorder, 108), reorder.deadline()), (vec!["flow"], None));
    }

    #[test]
    fn it_waits_no_longer_than_that() {
        let mut reorder = Reorder::default();
        reorder.push(100, 105, "flow");
        assert_eq!(reorder.deadline(), Some(105 + WAIT));
        assert_eq!(all(&mut reorder, 104 + WAIT), [""; 0]);
        assert_eq!(all(&mut reorder, 105 + WAIT), ["flow"]);
    }

    #[test]
    fn flows_go_on_in_the_order_of_their_times() {
        let mut reorder = Reorder::default();
        for (time, flow) in [(300, "c"), (100, "a"), (200, "b"), (200, "also b"), (900, "later")] {
            reorder.push(time, 1_000, flow);
        }
        reorder.pass(300);
        assert_eq!(all(&mut reorder, 1_001), ["a", "b", "also b", "c"]);
        // What must go on now takes along what is earlier.
        reorder.push(800, 1_002, "earlier");
        assert_eq!(all(&mut reorder, 1_000 + WAIT), ["earlier", "later"]);
    }

    #[test]
    fn a_time_far_away_neither_holds_nor_releases_the_others() {
        let mut reorder = Reorder::default();
        reorder.push(i64::MAX, 0, "never");
        reorder.push(i64::MIN, 0, "ever");
        reorder.push(100, 0, "flow");
        reorder.pass(i64::MAX - 1);
        reorder.pass(50);
        assert_eq!(all(&mut reorder, 1), ["ever"]);
        assert_eq!(all(&mut reorder, WAIT), ["flow", "never"]);
    }

    #[test]
    fn too_many_lose_none() {
        let mut reorder = Reorder::default();
        for time in 0..MAX_WAITING as i64 + 3 {
            reorder.push(time, 0, time);
        }
        let mut out = Vec::new();
        while let Some(time) = reorder.pop(0) {
            out.push(time);
        }
        assert_eq!((out, reorder.len(), reorder.early()), (vec![0, 1, 2], MAX_WAITING, 3));
        assert_eq!(std::iter::from_fn(|| reorder.pop(WAIT)).count(), MAX_WAITING);
        assert!(reorder.is_empty());
    }
}
