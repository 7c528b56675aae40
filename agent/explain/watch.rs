//! Watches a rule over a stream: what matched, and what came near.

mod settle;

use std::collections::VecDeque;
use std::sync::Arc;

use eql::{Judgement, Match, Outcome, Record, Scalar};

use self::settle::{absent, differences};
use super::describe::{self, conditions, sight};
use super::report::{Closest, Difference, Fired, Miss, Nearest, Silence, Step, Term};
use super::variants::{Role, Variant, Variants};
use super::{MAX_CLOSEST, MAX_MATCHES, MAX_SILENCES};
use crate::alert;
use crate::event::Event;
use crate::recent::RecentIds;
use crate::rule::Rule;
use crate::timestamp;

/// How many partials of one step are watched for what comes near to them; the engine itself has many more.
const MAX_WAITING: usize = 256;

/// How many bytes the events of all of them may hold.
const WAITING_BYTES: usize = 16 << 20;

/// How many events of each term are remembered, for those that came too early.
const MAX_EARLY: usize = 64;

/// How many bytes they may hold, for each term.
const EARLY_BYTES: usize = 2 << 20;

/// How many alerts are known again.
const MAX_GIVEN: usize = 1 << 16;

/// How far from going on a partial is to which nothing came near.
const NOTHING_NEAR: f64 = 5.0;

type Key = Vec<Option<Scalar>>;

/// A rule under watch.
pub(super) struct Watch<'r> {
    rule: &'r Arc<Rule>,
    pub(super) variants: Variants,
    pub(super) terms: Vec<Term>,
    /// For each term: which conditions fail for the closest events.
    shapes: Vec<Vec<Vec<bool>>>,
    /// For each step but the first: the partials that wait for it.
    waiting: Vec<VecDeque<Waiting>>,
    waiting_bytes: usize,
    /// Complete but for missing terms, on which nothing has been decided.
    complete: VecDeque<Waiting>,
    /// For each term: the last events that satisfied it.
    early: Vec<VecDeque<(Event, Vec<Key>)>>,
    outcomes: Vec<Outcome<Event>>,
    given: RecentIds,
    pub(super) fired: u64,
    pub(super) repeated: u64,
    pub(super) withheld: Vec<u64>,
    /// How many events each exception took.
    pub(super) taken: Vec<u64>,
    pub(super) matches: Vec<Fired>,
    /// How far each is from firing, and what it is; the nearest first.
    silences: Vec<(f64, Silence)>,
}

/// A partial, and what came nearest to go on with it.
struct Waiting {
    events: Vec<Event>,
    key: Key,
    nearest: Option<(f64, Nearest)>,
    /// The event of `until` that ended it.
    ended: Option<Event>,
    weight: usize,
}

impl Waiting {
    fn new(events: Vec<Event>, key: Key) -> Self {
        let weight = events.iter().map(Record::weight).sum();
        Waiting { events, key, nearest: None, ended: None, weight }
    }

    fn first(&self) -> i64 {
        self.events.first().map_or(i64::MIN, |event| event.order)
    }

    fn last(&self) -> i64 {
        self.events.last().map_or(i64::MIN, |event| event.order)
    }

    fn has(&self, event: &Event) -> bool {
        self.events.iter().any(|own| own.is(event))
    }
}

impl<'r> Watch<'r> {
    pub(super) fn new(rule: &'r Arc<Rule>, variants: Variants) -> Self {
        let terms: Vec<Term> =
            (0..variants.terms.len()).map(|index| describe::term(rule, &variants, index)).collect();
        Watch {
            rule,
            shapes: terms.iter().map(|_| Vec::new()).collect(),
            early: terms.iter().map(|_| VecDeque::new()).collect(),
            waiting: (1..variants.steps.len()).map(|_| VecDeque::new()).collect(),
            withheld: vec![0; variants.withholding.len()],
            taken: vec![0; variants.excepting.len()],
            terms,
            variants,
            waiting_bytes: 0,
            complete: VecDeque::new(),
            outcomes: Vec::new(),
            given: RecentIds::new(MAX_GIVEN),
            fired: 0,
            repeated: 0,
            matches: Vec::new(),
            silences: Vec::new(),
        }
    }

    /// Shows an event to the rule.
    pub(super) fn observe(&mut self, event: &Event) {
        self.variants.engine.push(event, &mut self.outcomes);
        for term in 0..self.terms.len() {
            self.judge(term, event);
        }
        self.settle();
    }

    /// Says that the input has ended, and returns what came nearest to firing, the nearest first.
    pub(super) fn finish(&mut self) -> Vec<Silence> {
        self.variants.engine.finish(&mut self.outcomes);
        self.settle();
        for step in 1..self.variants.steps.len() {
            while let Some(waiting) = self.waiting[step - 1].pop_front() {
                self.retire(step, waiting);
            }
        }
        while let Some(waiting) = self.complete.pop_front() {
            self.retire(self.variants.steps.len(), waiting);
        }
        std::mem::take(&mut self.silences).into_iter().map(|(_, silence)| silence).collect()
    }

    /// Looks at an event in the light of one term.
    fn judge(&mut self, term: usize, event: &Event) {
        let Some(judgement) = self.variants.engine.judge(0, term, event, &[]) else { return };
        if !judgement.of_category {
            return;
        }
        self.terms[term].of_category += 1;
        let (role, reads_alias) = (self.variants.terms[term].role, self.variants.terms[term].reads_alias);
        if role == Role::Until && judgement.holds() {
            self.until(&judgement, event);
        }
        if role != Role::Occurs {
            self.terms[term].satisfied += u64::from(judgement.holds());
            self.keep_closest(term, &judgement, event, &[]);
            return;
        }
        // A term that reads an earlier event is judged together with one.
        let mut best = (!reads_alias).then(|| (judgement.clone(), Vec::new()));
        let taker = match reads_alias || judgement.holds() {
            true => self.variants.taker(term, event),
            false => None,
        };
        let steps: Vec<usize> =
            (0..self.variants.steps.len()).filter(|step| self.variants.steps[*step] == term).collect();
        for step in steps {
            match step.checked_sub(1) {
                None => self.begin(term, &judgement, taker, event),
                Some(before) => {
                    let mut partials = std::mem::take(&mut self.waiting[before]);
                    for waiting in partials.iter_mut().rev() {
                        self.compare(term, waiting, &judgement, taker, event, &mut best);
                    }
                    self.waiting[before] = partials;
                }
            }
        }
        let (judged, bound) = best.unwrap_or((judgement, Vec::new()));
        self.keep_closest(term, &judged, event, &bound);
        if !judged.holds() {
            return;
        }
        self.terms[term].satisfied += 1;
        if let Some(taker) = taker {
            self.terms[term].excepted += 1;
            self.taken[taker] += 1;
        } else if bound.is_empty() {
            let early = &mut self.early[term];
            early.push_back((event.clone(), judged.keys));
            let bytes = |early: &VecDeque<(Event, Vec<Key>)>| {
                early.iter().map(|(own, _)| own.weight()).sum::<usize>()
            };
            while early.len() > MAX_EARLY || (early.len() > 1 && bytes(early) > EARLY_BYTES) {
                early.pop_front();
            }
        }
    }

    /// An event that satisfies the first term and begins nothing.
    fn begin(&mut self, term: usize, judgement: &Judgement, taker: Option<usize>, event: &Event) {
        if !judgement.holds() {
            return;
        }
        let paths = &self.variants.terms[term].keys;
        let miss = match taker {
            Some(taker) => Miss::Excepted { by: self.variants.excepting[taker].exception.id.clone() },
            None if judgement.keys.is_empty() => Miss::NoKey { fields: absent(&self.variants, paths, event) },
            None => return,
        };
        let far = self.variants.steps.len() as f64;
        if !self.is_near(far) {
            return;
        }
        let nearest = self.nearest(term, miss, judgement, event, &[]);
        let keys = judgement.keys.first().map(|key| describe::keys(paths, key)).unwrap_or_default();
        let silence = Silence {
            keys,
            steps: Vec::new(),
            waits_for: Some(term + 1),
            until: None,
            nearest: Some(nearest),
        };
        self.keep_silence(far, silence);
    }

    /// Compares an event with a partial that waits for it, or for one like it.
    fn compare(
        &self,
        term: usize,
        waiting: &mut Waiting,
        judgement: &Judgement,
        taker: Option<usize>,
        event: &Event,
        best: &mut Option<(Judgement, Vec<Event>)>,
    ) {
        let aliased;
        let judgement = match self.variants.terms[term].reads_alias {
            false => judgement,
            true => {
                let judged = self.variants.engine.judge(0, term, event, &waiting.events);
                aliased = judged.unwrap_or_default();
                if aliased.keys.contains(&waiting.key)
                    && best.as_ref().is_none_or(|(own, _)| aliased.failed() < own.failed())
                {
                    *best = Some((aliased.clone(), waiting.events.clone()));
                }
                &aliased
            }
        };
        let taker = taker.filter(|_| judgement.holds());
        let Some((distance, miss)) = self.miss(term, waiting, judgement, taker, event) else { return };
        if waiting.nearest.as_ref().is_none_or(|(own, _)| distance < *own) {
            let nearest = self.nearest(term, miss, judgement, event, &waiting.events);
            waiting.nearest = Some((distance, nearest));
        }
    }

    /// Returns why an event does not go on with a partial, and how far it is from that: below one where nothing but time
    /// is between them. `None` where it does, or has nothing to do with it.
    fn miss(
        &self,
        term: usize,
        waiting: &Waiting,
        judgement: &Judgement,
        taker: Option<usize>,
        event: &Event,
    ) -> Option<(f64, Miss)> {
        let maxspan = self.variants.maxspan;
        let share = |time: i64| time as f64 / maxspan.filter(|maxspan| *maxspan > 0).unwrap_or(1) as f64;
        let same = judgement.keys.contains(&waiting.key);
        if event.order < waiting.last() {
            let by_ns = waiting.last().saturating_sub(event.order);
            let near = judgement.holds()
                && same
                && taker.is_none()
                && maxspan.is_none_or(|maxspan| by_ns <= maxspan);
            return near.then(|| (0.5 + share(by_ns).min(1.0) / 2.0, Miss::Before { by_ns }));
        }
        let span_ns = event.order.saturating_sub(waiting.first());
        let late = maxspan.map_or(0, |maxspan| span_ns.saturating_sub(maxspan));
        match (judgement.holds(), same, late > 0) {
            (true, true, false) => match (taker, &waiting.ended) {
                (Some(taker), _) => {
                    Some((0.0, Miss::Excepted { by: self.variants.excepting[taker].exception.id.clone() }))
                }
                (None, Some(by)) => Some((0.01, Miss::Ended { by: sight(by) })),
                (None, None) => None,
            },
            (true, true, true) if taker.is_none() => {
                Some((0.02 + share(late), Miss::Late { by_ns: late, span_ns }))
            }
            (true, false, false) if taker.is_none() => {
                let paths = &self.variants.terms[term].keys;
                if judgement.keys.is_empty() {
                    return Some((0.9, Miss::NoKey { fields: absent(&self.variants, paths, event) }));
                }
                let keys = judgement.keys.iter().map(|key| differences(paths, &waiting.key, key));
                let keys = keys.min_by_key(Vec::len)?;
                Some((0.9 * keys.len() as f64, Miss::OtherKeys { keys }))
            }
            (false, true, false) => {
                let failed = judgement.failed();
                Some((failed as f64, Miss::Conditions { failed }))
            }
            _ => None,
        }
    }

    fn nearest(
        &self,
        term: usize,
        miss: Miss,
        judgement: &Judgement,
        event: &Event,
        bound: &[Event],
    ) -> Nearest {
        let conditions = conditions(self.rule, &self.variants, term, judgement, event, bound);
        Nearest { term: term + 1, miss, event: sight(event), conditions }
    }

    fn until(&mut self, judgement: &Judgement, event: &Event) {
        for waiting in self.waiting.iter_mut().flatten() {
            if judgement.keys.contains(&waiting.key) && waiting.last() <= event.order {
                waiting.ended.get_or_insert_with(|| event.clone());
            }
        }
    }
}
