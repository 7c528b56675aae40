//! Sequence numbers: what did not come.

use std::collections::{BTreeMap, HashMap, VecDeque};

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

/// Follows the sequence numbers of all streams.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    counters: HashMap<Counter, Last>,
    /// Missing numbers by counter and the first of them.
    open: BTreeMap<(Counter, u64), Missing>,
    order: VecDeque<(Counter, u64)>,
    /// Covers the gaps that are too many.
    older: Option<Gap>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
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

impl Sequences {
    /// Takes the numbers of a message: `seq_num` counts its event type, `global_seq_num` all messages.
    pub(super) fn observe(
        &mut self,
        stream: u32,
        event_type: u32,
        seq_num: Option<u64>,
        global_seq_num: Option<u64>,
        at: i64,
    ) {
        if let Some(number) = seq_num {
            self.count((stream, Some(event_type)), number, at);
        }
        if let Some(number) = global_seq_num {
            self.count((stream, None), number, at);
        }
    }

    pub(super) fn gaps(&self) -> impl Iterator<Item = Gap> {
        let open = self.open.iter().map(|((counter, first), missing)| Gap {
            event_type: counter.1,
            from: missing.from,
            to: missing.to,
            missing: missing.last.map(|last| last - first + 1),
        });
        self.older.into_iter().chain(open)
    }

    fn count(&mut self, counter: Counter, number: u64, at: i64) {
        let Some(last) = self.counters.get_mut(&counter) else {
            // The first: what came before the recording is not missing from it.
            if self.counters.len() < MAX_COUNTERS {
                self.counters.insert(counter, Last { next: number.saturating_add(1), at });
            }
            return;
        };
        let before = *last;
        if number >= before.next {
            *last = Last { next: number.saturating_add(1), at };
            if number > before.next {
                self.note(counter, before.next, Missing { last: Some(number - 1), from: before.at, to: at });
            }
        } else if !self.fill(counter, number, at) && at > before.at {
            // Numbers begin anew with each client: eslogger was started again, and was blind in between.
            *last_mut(&mut self.counters, counter) = Last { next: number.saturating_add(1), at };
            self.note(counter, number, Missing { last: None, from: before.at, to: at });
        }
    }

    /// Takes a number that was missing; returns whether it was.
    fn fill(&mut self, counter: Counter, number: u64, at: i64) -> bool {
        let found = self.open.range((counter, 0)..=(counter, number)).next_back();
        let Some((&key, &Missing { last: Some(last), from, to })) = found else { return false };
        let first = key.1;
        if number > last {
            return false;
        }
        self.open.remove(&key);
        if first < number {
            self.note(counter, first, Missing { last: Some(number - 1), from, to: at });
        }
        if number < last {
            self.note(counter, number + 1, Missing { last: Some(last), from: at, to });
        }
        true
    }

    fn note(&mut self, counter: Counter, first: u64, missing: Missing) {
        if self.open.insert((counter, first), missing).is_none() {
            self.order.push_back((counter, first));
        }
        // Of those that were noted, some may have been filled since.
        while self.order.len() > MAX_GAPS
            && let Some(key) = self.order.pop_front()
        {
            let Some(gap) = self.open.remove(&key) else { continue };
            let missing = gap.last.map(|last| last - key.1 + 1);
            let older = self.older.get_or_insert(Gap {
                event_type: None,
                from: gap.from,
                to: gap.to,
                missing: Some(0),
            });
            older.from = older.from.min(gap.from);
            older.to = older.to.max(gap.to);
            older.missing = older.missing.zip(missing).map(|(sum, missing)| sum.saturating_add(missing));
        }
    }
}

fn last_mut(counters: &mut HashMap<Counter, Last>, counter: Counter) -> &mut Last {
    counters.entry(counter).or_insert(Last { next: 0, at: i64::MIN })
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
