//! The state machine of a sequence, with the semantics of Elasticsearch's `SequenceMatcher`.
//!
//! There is one pending partial for each step and key; a later event overwrites it. An event is shown to
//! the steps from the last to the first, so that it never follows itself. A step that an event satisfies
//! takes the pending partial out even if maxspan then rejects it.
//!
//! Where a later term reads an earlier event through an alias, the alias is part of what joins: all
//! partials that could still be meant are kept, and the newest for which the condition holds goes on.

mod followed;
mod missing;

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::ops::Range;

use crate::compile::{SequencePlan, TermPlan};
use crate::key::{Key, KeyMap, keys};
use crate::partial::{Events, Partial, PartialId, Store};
use crate::predicate::Context;
use crate::record::Record;
use crate::sightings::Sightings;

pub(crate) use followed::{Followed, Related};
pub(crate) use missing::Waiting;

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
    pub(crate) pending: Vec<KeyMap<Candidates>>,
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
        self.key.size() + self.events.iter().map(|event| event.weight() + 64).sum::<usize>()
    }
}

/// How many partials of one step and key are kept side by side where aliases tell them apart.
const MAX_CANDIDATES: usize = 64;

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
            pending: (1..steps).map(|_| KeyMap::default()).collect(),
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
        let partial = |key: Key| Partial {
            sequence: self.index,
            stage: 0,
            key,
            events: Events::One([record.clone()]),
            first: time,
            last: time,
        };
        let id = if self.keeps_all[0] {
            let id = store.insert(partial(key.clone()));
            self.put(0, key, id, store, counters);
            id
        } else {
            // What most sequences do with most of their first events, so that the key is looked up but once.
            match self.pending[0].entry(key) {
                Entry::Vacant(place) => {
                    let id = store.insert(partial(place.key().clone()));
                    place.insert(Candidates::One(id));
                    id
                }
                Entry::Occupied(mut place) => {
                    if place.get().newest().and_then(|id| store.get(id)).is_some_and(|old| old.last > time) {
                        return;
                    }
                    let id = store.insert(partial(place.key().clone()));
                    if let Candidates::One(old) = place.insert(Candidates::One(id)) {
                        store.remove(old);
                    }
                    id
                }
            }
        };
        if let Some(maxspan) = self.plan.maxspan {
            self.deadlines.push_back((time.saturating_add(maxspan), id));
            self.compact(store);
        }
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
            self.take(step - 1, key.clone(), *id);
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
                let events = partial.events.and(record.clone());
                complete.push(Complete { key: partial.key, events });
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
        let newest = self.pending[stage].get(key).and_then(Candidates::newest);
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
    fn take(&mut self, stage: usize, key: Key, id: PartialId) {
        let Entry::Occupied(mut place) = self.pending[stage].entry(key) else { return };
        let gone = match place.get_mut() {
            Candidates::One(own) => *own == id,
            Candidates::Many(ids) => {
                ids.retain(|own| *own != id);
                ids.is_empty()
            }
        };
        if gone {
            place.remove();
        }
    }

    /// Forgets a partial that the engine has taken out of the store.
    pub(crate) fn forget(&mut self, partial: Partial<R>, id: PartialId) {
        self.take(partial.stage, partial.key, id);
    }

    fn until(
        &mut self,
        record: &R,
        related: &dyn Fn(usize, &R) -> bool,
        store: &mut Store<R>,
        keys_of: &mut Vec<Key>,
    ) {
        let Some(until) = &self.plan.until else { return };
        if self.pending.iter().all(KeyMap::is_empty)
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

/// Time.
impl<R: Record> SequenceState<R> {
    /// Drops what `now`, which has passed, has decided: partials beyond their maxspan, old sightings.
    pub(crate) fn expire(&mut self, now: i64, store: &mut Store<R>, counters: &mut Counters) {
        while let Some((deadline, id)) = self.deadlines.front().copied()
            && deadline < now
        {
            self.deadlines.pop_front();
            if let Some(partial) = store.remove(id) {
                self.take(partial.stage, partial.key, id);
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

    /// Returns the time that must have passed to decide anything that is kept; `None` if no time does.
    pub(crate) fn due(&self) -> Option<i64> {
        let partial = self.deadlines.front().map(|(deadline, _)| *deadline);
        let waiting = self.waiting.front().map(Waiting::deadline);
        let sighting = self.plan.maxspan.and_then(|maxspan| {
            let first = self.sightings.iter().filter_map(Sightings::first).min();
            first.map(|time| time.saturating_add(maxspan.saturating_mul(2)))
        });
        let window = self.followed.as_ref().and_then(Followed::closes);
        [partial, waiting, sighting, window].into_iter().flatten().min()
    }

    /// Deadlines of partials that are gone are dropped once they are the larger half.
    fn compact(&mut self, store: &Store<R>) {
        if self.deadlines.len() > 1024 && self.deadlines.len() > 2 * store.len() {
            self.deadlines.retain(|(_, id)| store.get(*id).is_some());
        }
    }
}

impl Candidates {
    /// Returns the one that was put there last.
    fn newest(&self) -> Option<PartialId> {
        match self {
            Candidates::One(id) => Some(*id),
            Candidates::Many(ids) => ids.back().copied(),
        }
    }

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
