//! The state machine of a sequence, with the semantics of Elasticsearch's `SequenceMatcher`.
//!
//! There is one pending partial for each step and key; a later event overwrites it. An event is shown to
//! the steps from the last to the first, so that it never follows itself. A step that an event satisfies
//! takes the pending partial out even if maxspan then rejects it.
//!
//! Where a later term reads an earlier event through an alias, the alias is part of what joins: all
//! partials that could still be meant are kept, and the newest for which the condition holds goes on.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use crate::compile::{SequencePlan, TermPlan};
use crate::key::{self, Key, keys};
use crate::partial::{Partial, PartialId, Store};
use crate::predicate::Context;
use crate::record::Record;
use crate::sightings::Sightings;

/// What sequences count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) expired: u64,
    pub(crate) evicted: u64,
    pub(crate) keys_left_out: u64,
}

/// A sequence and what it waits for.
#[derive(Debug)]
pub(crate) struct SequenceState<R> {
    /// Its index in the engine, which its partials carry.
    pub(crate) index: usize,
    pub(crate) plan: SequencePlan,
    /// For each term, the steps that it is: none of a missing term, several where it has runs.
    pub(crate) steps_of: Box<[Range<usize>]>,
    /// For each step but the last: the partials that wait for the next one.
    pub(crate) pending: Vec<HashMap<Key, Candidates>>,
    /// For each step: whether partials that satisfied it are kept side by side.
    keeps_all: Vec<bool>,
    /// Partials by deadline, oldest first, with some that are gone.
    pub(crate) deadlines: VecDeque<(i64, PartialId)>,
    /// For each missing term: when it was seen.
    pub(crate) sightings: Vec<Sightings>,
    /// Complete but for a trailing missing event, in the order of completion.
    pub(crate) waiting: VecDeque<Waiting<R>>,
    pub(crate) waiting_bytes: usize,
    /// Complete, and watched for more events that satisfy the last term.
    pub(crate) followed: Option<Followed<R>>,
    scratch: Vec<Key>,
}

/// A complete match: the events of the steps.
#[derive(Debug)]
pub(crate) struct Complete<R> {
    pub(crate) key: Key,
    pub(crate) events: Vec<R>,
}

impl<R: Record> Complete<R> {
    /// About how many bytes it holds.
    fn weight(&self) -> usize {
        key::size(&self.key) + self.events.iter().map(|event| event.weight() + 64).sum::<usize>()
    }
}

/// Later events that satisfy the last term of a match.
#[derive(Debug)]
pub(crate) struct Related<R> {
    pub(crate) serial: u64,
    pub(crate) events: Vec<R>,
    pub(crate) dropped: u64,
}

/// How many partials of one step and key are kept side by side where aliases tell them apart.
const MAX_CANDIDATES: usize = 64;
/// How many bytes of matches may wait for a trailing missing event.
const WAITING_BYTES: usize = 4 << 20;
/// How many matches are watched at once, and how many bytes of events they may gather together.
const MAX_FOLLOWED: usize = 1 << 10;
const RELATED_BYTES: usize = 4 << 20;
/// How many matches of one key are watched at once: an event is looked at for each.
const MAX_WINDOWS: usize = 16;
/// How many events are gathered for one match.
const MAX_RELATED: usize = 64;

#[derive(Debug)]
pub(crate) enum Candidates {
    One(PartialId),
    /// From the oldest to the newest.
    Many(VecDeque<PartialId>),
}

impl<R: Record> SequenceState<R> {
    pub(crate) fn new(index: usize, plan: SequencePlan, follow: bool) -> Self {
        let steps = plan.steps.len();
        let reads = |step: usize| plan.terms[plan.steps[step]].reads_alias;
        let keeps_all = (0..steps).map(|step| plan.aliases && (step + 1..steps).any(reads)).collect();
        let last_is_missing = plan.missing.iter().any(|missing| missing.after == steps);
        let follows = follow && steps >= 2 && plan.maxspan.is_some() && !last_is_missing;
        SequenceState {
            index,
            steps_of: (0..plan.terms.len()).map(|term| steps_of(&plan, term)).collect(),
            pending: (1..steps).map(|_| HashMap::new()).collect(),
            keeps_all,
            deadlines: VecDeque::new(),
            sightings: plan.missing.iter().map(|_| Sightings::default()).collect(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            followed: follows.then(Followed::default),
            scratch: Vec::new(),
            plan,
        }
    }

    /// Shows an event to the sequence.
    pub(crate) fn step(
        &mut self,
        shown: Shown<'_, R>,
        store: &mut Store<R>,
        counters: &mut Counters,
        complete: &mut Vec<Complete<R>>,
    ) {
        let Shown { record, related, .. } = shown;
        let mut keys_of = std::mem::take(&mut self.scratch);
        self.see_missing(shown, counters, &mut keys_of);
        let last = self.plan.steps.len() - 1;
        let mut verdicts = Verdicts { shown, known: None };
        for step in (0..=last).rev() {
            if step > 0 && self.pending[step - 1].is_empty() {
                continue;
            }
            let term = &self.plan.terms[self.plan.steps[step]];
            if !term.reads_alias && !verdicts.holds(self.plan.steps[step], term) {
                continue;
            }
            counters.keys_left_out += u64::from(keys(&term.keys, record, &mut keys_of));
            for key in keys_of.drain(..) {
                if step == 0 {
                    self.begin(record, key, store, counters, complete);
                } else {
                    self.advance(step, record, &key, related, store, counters, complete);
                }
            }
        }
        self.follow(record, &mut verdicts, &mut keys_of);
        self.until(record, related, store, &mut keys_of);
        self.scratch = keys_of;
    }

    fn begin(
        &mut self,
        record: &R,
        key: Key,
        store: &mut Store<R>,
        counters: &mut Counters,
        complete: &mut Vec<Complete<R>>,
    ) {
        let time = record.time();
        if self.pending.is_empty() {
            complete.push(Complete { key, events: vec![record.clone()] });
            return;
        }
        if !self.keeps_all[0] && self.is_newer(0, &key, time, store) {
            return;
        }
        let id = store.insert(Partial {
            sequence: self.index,
            stage: 0,
            key: key.clone(),
            events: vec![record.clone()],
            first: time,
            last: time,
        });
        if let Some(maxspan) = self.plan.maxspan {
            self.deadlines.push_back((time.saturating_add(maxspan), id));
            self.compact(store);
        }
        self.put(0, key, id, store, counters);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one event's way through one step; a struct would only rename them"
    )]
    fn advance(
        &mut self,
        step: usize,
        record: &R,
        key: &Key,
        related: &dyn Fn(usize, &R) -> bool,
        store: &mut Store<R>,
        counters: &mut Counters,
        complete: &mut Vec<Complete<R>>,
    ) {
        let Some(candidates) = self.pending[step - 1].get(key) else { return };
        let term = &self.plan.terms[self.plan.steps[step]];
        let time = record.time();
        let fits = |id: &PartialId| {
            // An event that is older than the partial's last one came late: it does not follow it.
            store.get(*id).is_some_and(|partial| {
                time >= partial.last
                    && (!term.reads_alias
                        || term.filter.holds(&Context { record, bound: &partial.events, related }))
            })
        };
        let mut fitting: Vec<PartialId> = candidates.iter().filter(fits).collect();
        if fitting.is_empty() {
            return;
        }
        for id in &fitting {
            self.take(step - 1, key, *id);
        }
        if !self.keeps_all[step] {
            let newest = fitting.pop();
            for id in fitting.drain(..) {
                store.remove(id);
            }
            fitting.extend(newest);
        }
        for id in fitting {
            let Some(first) = store.get(id).map(|partial| partial.first) else { continue };
            if self.plan.maxspan.is_some_and(|maxspan| time.saturating_sub(first) > maxspan) {
                store.remove(id);
                counters.expired += 1;
            } else if step == self.pending.len() {
                let Some(partial) = store.remove(id) else { continue };
                let mut events = partial.events;
                events.push(record.clone());
                complete.push(Complete { key: key.clone(), events });
            } else if !self.keeps_all[step] && self.is_newer(step, key, time, store) {
                store.remove(id);
            } else {
                store.advance(id, step, record.clone());
                self.put(step, key.clone(), id, store, counters);
            }
        }
    }

    /// Whether a partial waits at `stage` whose last event is newer than `time`: then the event came late.
    fn is_newer(&self, stage: usize, key: &Key, time: i64, store: &Store<R>) -> bool {
        let newest = self.pending[stage].get(key).and_then(|candidates| candidates.iter().last());
        newest.and_then(|id| store.get(id)).is_some_and(|partial| partial.last > time)
    }

    pub(crate) fn put(
        &mut self,
        stage: usize,
        key: Key,
        id: PartialId,
        store: &mut Store<R>,
        counters: &mut Counters,
    ) {
        if !self.keeps_all[stage] {
            if let Some(Candidates::One(old)) = self.pending[stage].insert(key, Candidates::One(id)) {
                store.remove(old);
            }
            return;
        }
        let candidates =
            self.pending[stage].entry(key).or_insert_with(|| Candidates::Many(VecDeque::with_capacity(1)));
        if let Candidates::Many(ids) = candidates {
            ids.push_back(id);
            if ids.len() > MAX_CANDIDATES
                && let Some(oldest) = ids.pop_front()
            {
                store.remove(oldest);
                counters.evicted += 1;
            }
        }
    }

    /// Takes a partial out of those that wait at `stage`.
    fn take(&mut self, stage: usize, key: &Key, id: PartialId) {
        let gone = match self.pending[stage].get_mut(key) {
            Some(Candidates::One(own)) => *own == id,
            Some(Candidates::Many(ids)) => {
                ids.retain(|own| *own != id);
                ids.is_empty()
            }
            None => false,
        };
        if gone {
            self.pending[stage].remove(key);
        }
    }

    /// Forgets a partial that the engine has taken out of the store.
    pub(crate) fn forget(&mut self, partial: &Partial<R>, id: PartialId) {
        self.take(partial.stage, &partial.key, id);
    }

    fn until(
        &mut self,
        record: &R,
        related: &dyn Fn(usize, &R) -> bool,
        store: &mut Store<R>,
        keys_of: &mut Vec<Key>,
    ) {
        let Some(until) = &self.plan.until else { return };
        if self.pending.iter().all(HashMap::is_empty)
            || !until.filter.holds(&Context { record, bound: &[], related })
        {
            return;
        }
        keys(&until.keys, record, keys_of);
        for key in keys_of.drain(..) {
            for stage in &mut self.pending {
                let Some(candidates) = stage.remove(&key) else { continue };
                // An event that came late ends only what was there at its time.
                let (ended, kept): (Vec<_>, Vec<_>) = candidates
                    .iter()
                    .partition(|id| store.get(*id).is_none_or(|partial| partial.last <= record.time()));
                for id in ended {
                    store.remove(id);
                }
                match (candidates, kept.first()) {
                    (_, None) => {}
                    (Candidates::One(_), Some(id)) => {
                        stage.insert(key.clone(), Candidates::One(*id));
                    }
                    (Candidates::Many(_), Some(_)) => {
                        stage.insert(key.clone(), Candidates::Many(kept.into()));
                    }
                }
            }
        }
    }
}

/// Missing events.
impl<R: Record> SequenceState<R> {
    fn see_missing(&mut self, shown: Shown<'_, R>, counters: &mut Counters, keys_of: &mut Vec<Key>) {
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

#[derive(Debug)]
pub(crate) struct Waiting<R> {
    complete: Complete<R>,
    deadline: i64,
}

/// Matches that are watched for more events of their last term.
#[derive(Debug)]
pub(crate) struct Followed<R> {
    windows: HashMap<Key, Vec<Window<R>>>,
    order: VecDeque<(i64, Key, u64)>,
    /// What the gathered events hold.
    bytes: usize,
}

#[derive(Debug)]
struct Window<R> {
    bound: Vec<R>,
    close: i64,
    related: Related<R>,
}

impl<R> Default for Followed<R> {
    fn default() -> Self {
        Followed { windows: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<R: Record> SequenceState<R> {
    /// Watches the key of a match for later events of the last term, until maxspan after it. Returns what was
    /// gathered for the match that was watched longest, if there are too many.
    pub(crate) fn watch(&mut self, complete: &Complete<R>, serial: u64) -> Option<Related<R>> {
        let (Some(followed), Some(maxspan)) = (&mut self.followed, self.plan.maxspan) else { return None };
        let close = complete.events.last()?.time().saturating_add(maxspan);
        let windows = followed.windows.entry(complete.key.clone()).or_default();
        if windows.len() >= MAX_WINDOWS {
            // What comes is gathered for the earlier matches of the key.
            return None;
        }
        let related = Related { serial, events: Vec::new(), dropped: 0 };
        windows.push(Window { bound: complete.events.clone(), close, related });
        followed.order.push_back((close, complete.key.clone(), serial));
        if followed.order.len() <= MAX_FOLLOWED {
            return None;
        }
        let (_, key, serial) = followed.order.pop_front()?;
        followed.close(&key, serial).filter(|related| related.dropped > 0 || !related.events.is_empty())
    }

    /// Gathers the event for the matches of its key that are watched. One that completes a match itself is
    /// gathered for those before it.
    fn follow(&mut self, record: &R, verdicts: &mut Verdicts<'_, R>, keys_of: &mut Vec<Key>) {
        let Some(followed) = self.followed.as_mut().filter(|followed| !followed.windows.is_empty()) else {
            return;
        };
        let Some(index) = self.plan.steps.last() else { return };
        let term = &self.plan.terms[*index];
        if !term.reads_alias && !verdicts.holds(*index, term) {
            return;
        }
        keys(&term.keys, record, keys_of);
        for key in keys_of.drain(..) {
            let Followed { windows, bytes, .. } = &mut *followed;
            for window in windows.get_mut(&key).into_iter().flatten() {
                let since = window.bound.last().map_or(i64::MIN, R::time);
                let context = Context { record, bound: &window.bound, related: verdicts.shown.related };
                if record.time() < since
                    || record.time() > window.close
                    || (term.reads_alias && !term.filter.holds(&context))
                {
                    continue;
                }
                let room = *bytes + record.weight() <= RELATED_BYTES;
                if room && window.related.events.len() < MAX_RELATED {
                    *bytes += record.weight();
                    window.related.events.push(record.clone());
                } else {
                    window.related.dropped += 1;
                }
            }
        }
    }
}

impl<R: Record> Followed<R> {
    fn close(&mut self, key: &Key, serial: u64) -> Option<Related<R>> {
        let windows = self.windows.get_mut(key)?;
        let at = windows.iter().position(|window| window.related.serial == serial)?;
        let related = windows.remove(at).related;
        self.bytes -= related.events.iter().map(R::weight).sum::<usize>();
        if windows.is_empty() {
            self.windows.remove(key);
        }
        Some(related)
    }
}

/// Time.
impl<R: Record> SequenceState<R> {
    /// Drops what `now`, which has passed, has decided: partials beyond their maxspan, old sightings.
    pub(crate) fn expire(&mut self, now: i64, store: &mut Store<R>, counters: &mut Counters) {
        while let Some((deadline, id)) = self.deadlines.front().copied()
            && deadline < now
        {
            self.deadlines.pop_front();
            if let Some(partial) = store.remove(id) {
                self.take(partial.stage, &partial.key, id);
                counters.expired += 1;
            }
        }
        if let Some(maxspan) = self.plan.maxspan {
            // A sighting counts for matches that end up to maxspan later, and those that wait as long again.
            let before = now.saturating_sub(maxspan.saturating_mul(2));
            for sightings in &mut self.sightings {
                sightings.expire(before);
            }
        }
    }

    /// Returns what was gathered for all matches that are watched: nobody watches them any longer.
    pub(crate) fn close_all_windows(&mut self) -> Vec<Related<R>> {
        self.close_windows(i64::MAX)
    }

    /// Returns what was gathered for matches whose window `now`, which has passed, closes.
    pub(crate) fn close_windows(&mut self, now: i64) -> Vec<Related<R>> {
        let mut closed = Vec::new();
        let Some(followed) = &mut self.followed else { return closed };
        while let Some((close, _, _)) = followed.order.front()
            && (*close < now || now == i64::MAX)
        {
            if let Some((_, key, serial)) = followed.order.pop_front() {
                closed.extend(
                    followed
                        .close(&key, serial)
                        .filter(|related| related.dropped > 0 || !related.events.is_empty()),
                );
            }
        }
        closed
    }

    /// Whether time may decide anything that is kept.
    pub(crate) fn waits_for_time(&self) -> bool {
        !self.deadlines.is_empty()
            || !self.waiting.is_empty()
            || self.sightings.iter().any(|sightings| !sightings.is_empty())
            || self.is_followed()
    }

    /// Whether a match is watched.
    pub(crate) fn is_followed(&self) -> bool {
        self.followed.as_ref().is_some_and(|followed| !followed.order.is_empty())
    }

    /// Deadlines of partials that are gone are dropped once they are the larger half.
    fn compact(&mut self, store: &Store<R>) {
        if self.deadlines.len() > 1024 && self.deadlines.len() > 2 * store.len() {
            self.deadlines.retain(|(_, id)| store.get(*id).is_some());
        }
    }
}

impl Candidates {
    pub(crate) fn iter(&self) -> impl Iterator<Item = PartialId> {
        let (one, many) = match self {
            Candidates::One(id) => (Some(*id), None),
            Candidates::Many(ids) => (None, Some(ids.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// The steps that a term of a plan is; they follow each other.
fn steps_of(plan: &SequencePlan, term: usize) -> Range<usize> {
    let is_of = |step: &usize| *step == term;
    let first = plan.steps.iter().position(is_of).unwrap_or(0);
    first..first + plan.steps.iter().filter(|step| is_of(step)).count()
}

/// An event that is shown to a sequence.
pub(crate) struct Shown<'a, R> {
    pub(crate) record: &'a R,
    /// Whether the event has a relation of the query.
    pub(crate) related: &'a dyn Fn(usize, &R) -> bool,
    /// Whether it may satisfy a term, as far as the index says.
    pub(crate) may: &'a dyn Fn(usize) -> bool,
}

impl<R> Clone for Shown<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Shown<'_, R> {}

/// Whether a term holds for an event, remembered for the term asked last: steps of one term with runs
/// follow each other.
struct Verdicts<'a, R> {
    shown: Shown<'a, R>,
    known: Option<(usize, bool)>,
}

impl<R: Record> Verdicts<'_, R> {
    fn holds(&mut self, index: usize, term: &TermPlan) -> bool {
        if let Some((known, holds)) = self.known
            && known == index
        {
            return holds;
        }
        let Shown { record, related, may } = self.shown;
        let holds = may(index) && term.filter.holds(&Context { record, bound: &[], related });
        self.known = Some((index, holds));
        holds
    }
}
