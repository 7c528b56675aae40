//! Sequence numbers: what did not come.

use std::collections::{BTreeMap, VecDeque};

use crate::seeded::{self, SeededMap};

/// How many gaps are kept apart; older ones become one that covers them all.
pub const MAX_GAPS: usize = 1024;

/// How many counters are kept: one of a stream, and one for each of its event types. ESTypes.h has fewer than
/// 200 types; what comes beyond the bound is not counted.
const MAX_COUNTERS: usize = 16_384;

/// Messages that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The `es_event_type_t` whose numbers have the gap; `None` where it is in the numbers of all messages.
    pub event_type: Option<u32>,
    /// The time of the message before, on the clock that orders events.
    pub from: i64,
    /// The time of the message after.
    pub to: i64,
    /// How many are missing; `None` where the numbers began anew, so that nobody can tell.
    pub missing: Option<u64>,
}

/// A stream, and an event type unless all are meant.
type Counter = (u32, Option<u32>);

/// A counter, how often its numbers have begun anew, and a number.
type Key = (Counter, u32, u64);

/// Follows the sequence numbers of all streams.
#[derive(Debug)]
pub(super) struct Sequences {
    counters: SeededMap<Counter, Last>,
    /// Missing numbers by counter, run and the first of them.
    open: BTreeMap<Key, Missing>,
    order: VecDeque<Key>,
    /// Covers the gaps that are too many.
    older: Option<Gap>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    run: u32,
    next: u64,
    at: i64,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    /// The last missing number; `None` where the numbers began anew.
    last: Option<u64>,
    from: i64,
    to: i64,
}

impl Default for Sequences {
    fn default() -> Self {
        Sequences { counters: seeded::map(), open: BTreeMap::new(), order: VecDeque::new(), older: None }
    }
}

impl Sequences {
    /// Takes the numbers of a message: `seq_num` counts its event type, `global_seq_num` all messages. Returns how many
    /// messages before it did not come, by the number of all if it has one.
    pub(super) fn observe(
        &mut self,
        stream: u32,
        event_type: u32,
        seq_num: Option<u64>,
        global_seq_num: Option<u64>,
        at: i64,
    ) -> u64 {
        let of_kind = seq_num.map(|number| self.count((stream, Some(event_type)), number, at));
        let of_all = global_seq_num.map(|number| self.count((stream, None), number, at));
        of_all.or(of_kind).unwrap_or(0)
    }

    pub(super) fn gaps(&self) -> impl Iterator<Item = Gap> {
        let open = self.open.iter().map(|((counter, _, first), missing)| Gap {
            event_type: counter.1,
            from: missing.from,
            to: missing.to,
            missing: missing.last.map(|last| last - first + 1),
        });
        self.older.into_iter().chain(open)
    }

    fn count(&mut self, counter: Counter, number: u64, at: i64) -> u64 {
        let next = number.saturating_add(1);
        let Some(last) = self.counters.get_mut(&counter) else {
            // The first: what came before the recording is not missing from it.
            if self.counters.len() < MAX_COUNTERS {
                self.counters.insert(counter, Last { run: 0, next, at });
            }
            return 0;
        };
        let before = *last;
        if number >= before.next {
            *last = Last { next, at, ..before };
            if number > before.next {
                let missing = Missing { last: Some(number - 1), from: before.at, to: at };
                self.note((counter, before.run, before.next), missing);
            }
            return number - before.next;
        }
        // Numbers begin anew with each client: where one is not late, eslogger was started again, and blind in
        // between.
        let run = before.run.wrapping_add(1);
        let restarted = at > before.at && !self.is_missing((counter, before.run, number));
        if restarted && let Some(last) = self.counters.get_mut(&counter) {
            *last = Last { run, next, at };
            self.note((counter, run, number), Missing { last: None, from: before.at, to: at });
        } else {
            self.fill((counter, before.run, number), at);
        }
        0
    }

    fn is_missing(&self, key: Key) -> bool {
        self.around(key).is_some()
    }

    /// Returns the gap that a number lies in: its key, and its last number.
    fn around(&self, (counter, run, number): Key) -> Option<(Key, u64, Missing)> {
        let (key, missing) = self.open.range((counter, run, 0)..=(counter, run, number)).next_back()?;
        let last = missing.last.filter(|last| number <= *last)?;
        Some((*key, last, *missing))
    }

    /// Takes a number that comes late: it was missing, or is there twice.
    fn fill(&mut self, late: Key, at: i64) {
        let Some((key, last, gap)) = self.around(late) else { return };
        let (counter, run, number) = late;
        self.open.remove(&key);
        if key.2 < number {
            self.note(key, Missing { last: Some(number - 1), to: at, ..gap });
        }
        if number < last {
            self.note((counter, run, number + 1), Missing { last: Some(last), from: at, ..gap });
        }
    }

    fn note(&mut self, key: Key, missing: Missing) {
        if self.open.insert(key, missing).is_none() {
            self.order.push_back(key);
        }
        // Of those that were noted, some may have been filled since.
        while self.order.len() > MAX_GAPS
            && let Some(key) = self.order.pop_front()
        {
            let Some(gap) = self.open.remove(&key) else { continue };
            let missing = gap.last.map(|last| last - key.2 + 1);
            let older = self.older.get_or_insert(Gap {
                event_type: None,
                missing: Some(0),
                from: gap.from,
                to: gap.to,
            });
            older.from = older.from.min(gap.from);
            older.to = older.to.max(gap.to);
            older.missing = older.missing.zip(missing).map(|(sum, missing)| sum.saturating_add(missing));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds one counter `(number, time)` and returns its gaps as `(from, to, missing)`.
    fn gaps(numbers: &[(u64, i64)]) -> Vec<(i64, i64, Option<u64>)> {
        let mut sequences = Sequences::default();
        for (number, at) in numbers {
            sequences.observe(0, 9, Some(*number), None, *at);
        }
        sequences.gaps().map(|gap| (gap.from, gap.to, gap.missing)).collect()
    }

    #[test]
    fn what_does_not_come_is_a_gap() {
        assert_eq!(gaps(&[(0, 10), (1, 20), (2, 30)]), []);
        assert_eq!(gaps(&[(7, 10), (8, 20)]), [], "what came before the recording is not missing");
        assert_eq!(gaps(&[(0, 10), (3, 20)]), [(10, 20, Some(2))]);
        assert_eq!(gaps(&[(0, 10), (0, 10)]), [], "the same line twice");
    }

    #[test]
    fn what_comes_late_is_no_gap() {
        assert_eq!(gaps(&[(0, 10), (2, 30), (1, 20)]), []);
        assert_eq!(gaps(&[(0, 10), (4, 50), (2, 30)]), [(10, 30, Some(1)), (30, 50, Some(1))]);
        assert_eq!(gaps(&[(0, 10), (4, 50), (2, 30), (3, 40), (1, 20)]), []);
    }

    #[test]
    fn numbers_that_begin_anew_are_a_gap_of_unknown_size() {
        assert_eq!(gaps(&[(5, 10), (6, 20), (0, 90), (1, 91)]), [(20, 90, None)]);
        assert_eq!(gaps(&[(5, 10), (u64::MAX, 20), (0, 90)]).len(), 2);
        let thrice = gaps(&[(1, 10), (0, 20), (1, 21), (0, 90), (1, 91)]);
        assert_eq!(thrice, [(10, 20, None), (21, 90, None)], "each restart is a gap of its own");
        let both = gaps(&[(0, 10), (2, 12), (0, 20), (2, 22), (1, 21)]);
        assert_eq!(both, [(10, 12, Some(1)), (12, 20, None)], "a late number is of the last run");
    }

    #[test]
    fn streams_and_event_types_count_by_themselves() {
        let mut sequences = Sequences::default();
        sequences.observe(0, 9, Some(0), Some(0), 10);
        sequences.observe(0, 11, Some(0), Some(1), 20);
        sequences.observe(1, 9, Some(70), Some(99), 30);
        sequences.observe(0, 9, Some(1), Some(3), 40);
        let gaps: Vec<Gap> = sequences.gaps().collect();
        assert_eq!(gaps, [Gap { event_type: None, from: 20, to: 40, missing: Some(1) }]);
    }

    #[test]
    fn gaps_without_end_take_no_memory_without_end() {
        let numbers: Vec<(u64, i64)> = (0..10_000).map(|index| (index * 2, index as i64)).collect();
        let gaps = gaps(&numbers);
        assert_eq!(gaps.len(), MAX_GAPS + 1);
        assert_eq!(gaps.iter().map(|gap| gap.2.unwrap()).sum::<u64>(), 9_999);
        assert_eq!(gaps[0].0, 0, "the oldest is still covered");
    }
}
