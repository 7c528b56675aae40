//! Missing terms: a match is given out only if no event satisfied them where they stand.

use super::{Complete, Counters, SequenceState, Shown};
use crate::key::{Key, keys};
use crate::predicate::Context;
use crate::record::Record;

/// How many bytes of matches may wait for a trailing missing event.
const WAITING_BYTES: usize = 4 << 20;

/// A match whose steps are complete, which a missing event may still refuse.
#[derive(Debug)]
pub(crate) struct Waiting<R> {
    complete: Complete<R>,
    deadline: i64,
}

impl<R> Waiting<R> {
    /// Returns the time that must have passed to decide about it.
    pub(super) fn deadline(&self) -> i64 {
        self.deadline
    }
}

impl<R: Record> SequenceState<R> {
    pub(super) fn see_missing(
        &mut self,
        shown: Shown<'_, R>,
        counters: &mut Counters,
        keys_of: &mut Vec<Key>,
    ) {
        let Shown { record, related, may } = shown;
        for (missing, sightings) in self.plan.missing.iter().zip(&mut self.sightings) {
            let term = &self.plan.terms[missing.term];
            if may(missing.term) && term.filter.holds(&Context { record, bound: &[], related }) {
                counters.keys_left_out += u64::from(keys(&term.keys, record, keys_of));
                for key in keys_of.drain(..) {
                    counters.evicted += u64::from(sightings.add(key, record.time()));
                }
            }
        }
    }

    /// Judges matches whose steps are complete by their missing terms: returned, refused, or put off.
    pub(crate) fn settle(&mut self, complete: Vec<Complete<R>>, counters: &mut Counters) -> Vec<Complete<R>> {
        if self.plan.missing.is_empty() {
            return complete;
        }
        let mut accepted = Vec::new();
        for complete in complete {
            match self.verdict(&complete) {
                Verdict::Refused => {}
                Verdict::Accepted if self.waiting.is_empty() => accepted.push(complete),
                // Matches come out in the order in which they were completed.
                Verdict::Accepted => self.put_off(complete, i64::MIN, counters),
                Verdict::Until(deadline) => self.put_off(complete, deadline, counters),
            }
        }
        accepted
    }

    fn put_off(&mut self, complete: Complete<R>, deadline: i64, counters: &mut Counters) {
        self.waiting_bytes += complete.weight();
        self.waiting.push_back(Waiting { complete, deadline });
        while self.waiting_bytes > WAITING_BYTES && self.take_waiting().is_some() {
            counters.evicted += 1;
        }
    }

    fn take_waiting(&mut self) -> Option<Waiting<R>> {
        let waiting = self.waiting.pop_front()?;
        self.waiting_bytes -= waiting.complete.weight();
        Some(waiting)
    }

    /// Returns the matches that were put off and that `now`, which has passed, decides.
    pub(crate) fn settled(&mut self, now: i64) -> Vec<Complete<R>> {
        let mut accepted = Vec::new();
        while let Some(waiting) = self.waiting.front()
            && waiting.deadline < now
        {
            let seen = waiting.deadline > i64::MIN && self.is_seen_after(&waiting.complete, waiting.deadline);
            if let Some(waiting) = self.take_waiting()
                && !seen
            {
                accepted.push(waiting.complete);
            }
        }
        accepted
    }

    fn verdict(&self, complete: &Complete<R>) -> Verdict {
        let (Some(first), Some(last)) = (complete.events.first(), complete.events.last()) else {
            return Verdict::Refused;
        };
        let maxspan = self.plan.maxspan.unwrap_or(i64::MAX);
        let mut leading = None;
        let mut trailing = false;
        for (missing, sightings) in self.plan.missing.iter().zip(&self.sightings) {
            if missing.after == 0 {
                leading = leading.max(sightings.latest_before(&complete.key, first.time()));
            } else if missing.after == complete.events.len() {
                trailing = true;
            } else {
                let after = complete.events[missing.after - 1].time();
                let before = complete.events[missing.after].time();
                if sightings.earliest_after(&complete.key, after).is_some_and(|seen| seen < before) {
                    return Verdict::Refused;
                }
            }
        }
        let leads = self.plan.missing.iter().any(|missing| missing.after == 0);
        match (leads, leading, trailing) {
            // No sighting before: nothing that comes after can take that back.
            (true, None, _) | (false, _, false) => Verdict::Accepted,
            (true, Some(seen), true) => Verdict::Until(seen.saturating_add(maxspan)),
            (true, Some(seen), false) if last.time().saturating_sub(seen) > maxspan => Verdict::Accepted,
            (true, Some(_), false) => Verdict::Refused,
            (false, _, true) => Verdict::Until(first.time().saturating_add(maxspan)),
        }
    }

    /// Whether a trailing missing term was seen after the match and not later than `deadline`.
    fn is_seen_after(&self, complete: &Complete<R>, deadline: i64) -> bool {
        let Some(last) = complete.events.last() else { return false };
        self.plan.missing.iter().zip(&self.sightings).any(|(missing, sightings)| {
            missing.after == complete.events.len()
                && sightings.earliest_after(&complete.key, last.time()).is_some_and(|seen| seen <= deadline)
        })
    }

    /// Returns the terms of the query in order, with `None` in the slot of a missing one.
    pub(crate) fn slots(&self, events: Vec<R>) -> Vec<Option<R>> {
        if self.plan.missing.is_empty() {
            return events.into_iter().map(Some).collect();
        }
        let mut slots = Vec::with_capacity(events.len() + self.plan.missing.len());
        let mut missing = self.plan.missing.iter().peekable();
        for (step, event) in events.into_iter().enumerate() {
            while missing.next_if(|missing| missing.after <= step).is_some() {
                slots.push(None);
            }
            slots.push(Some(event));
        }
        slots.extend(missing.map(|_| None));
        slots
    }
}

enum Verdict {
    Accepted,
    Refused,
    /// Accepted unless a trailing missing event comes by then.
    Until(i64),
}
