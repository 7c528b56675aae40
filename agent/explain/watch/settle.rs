//! What comes of the engine's matches: partials that wait and go on, alerts, and silences.

use super::*;
use crate::alert::Matched;

/// How many matches without their missing terms may wait for what becomes of them.
const MAX_COMPLETE: usize = 64;

impl Watch<'_> {
    /// Takes what the engine has found.
    pub(super) fn settle(&mut self) {
        for outcome in std::mem::take(&mut self.outcomes) {
            let Outcome::Match(found) = outcome else { continue };
            match self.variants.variants[found.program] {
                Variant::Plain => {}
                Variant::Prefix(steps) => self.went_on(found, steps),
                Variant::Complete => {
                    let waiting = self.complete(found);
                    self.complete.push_back(waiting);
                    if self.complete.len() > MAX_COMPLETE
                        && let Some(oldest) = self.complete.pop_front()
                    {
                        self.retire(self.variants.steps.len(), oldest);
                    }
                }
                Variant::Rule => {
                    let events = found.events.clone();
                    let waiting = self.complete(found);
                    let last = |events: &[Event]| events.iter().all(|event| waiting.has(event));
                    self.complete.retain(|own| !last(&own.events));
                    self.matched(&events, waiting);
                }
                Variant::Seen(term) => self.seen(term, &found),
            }
        }
    }

    /// A partial has satisfied `steps` steps and waits for the next.
    fn went_on(&mut self, found: Match<Event>, steps: usize) {
        let events: Vec<Event> = found.events.into_iter().flatten().collect();
        self.forget(&events);
        let mut waiting = Waiting::new(events, found.keys);
        let side_by_side = self.variants.terms.iter().any(|term| term.reads_alias);
        let place = self.waiting[steps - 1].iter().position(|own| !side_by_side && own.key == waiting.key);
        if let Some(place) = place
            && let Some(overwritten) = self.waiting[steps - 1].remove(place)
        {
            self.waiting_bytes -= overwritten.weight;
            // The newer one stands for it, unless something came near to the older.
            if overwritten.nearest.is_some() {
                self.retire(steps, overwritten);
            }
        }
        let term = self.variants.steps[steps];
        // Of a term with runs, the one before is no event that came too early.
        let repeats = self.variants.steps[steps - 1] == term;
        let early = self.early[term].iter().rev().filter(|_| !repeats).find(|(event, keys)| {
            let by = waiting.last().saturating_sub(event.order);
            keys.contains(&waiting.key)
                && by >= 0
                && !waiting.has(event)
                && self.variants.maxspan.is_none_or(|maxspan| by <= maxspan)
        });
        if let Some((event, _)) = early {
            let judgement = self.variants.engine.judge(0, term, event, &waiting.events).unwrap_or_default();
            let by_ns = waiting.last().saturating_sub(event.order);
            let nearest = self.nearest(term, Miss::Before { by_ns }, &judgement, event, &waiting.events);
            waiting.nearest = Some((0.75, nearest));
        }
        self.waiting_bytes += waiting.weight;
        self.waiting[steps - 1].push_back(waiting);
        while self.waiting[steps - 1].len() > MAX_WAITING || self.waiting_bytes > WAITING_BYTES {
            let Some(oldest) = self.waiting[steps - 1].pop_front() else { break };
            self.waiting_bytes -= oldest.weight;
            self.retire(steps, oldest);
        }
    }

    fn complete(&mut self, found: Match<Event>) -> Waiting {
        let events: Vec<Event> = found.events.into_iter().flatten().collect();
        self.forget(&events);
        Waiting::new(events, found.keys)
    }

    /// The partial that `events` has gone on from waits no longer.
    fn forget(&mut self, events: &[Event]) {
        let Some(before) = events.len().checked_sub(2) else { return };
        let Some(partials) = self.waiting.get_mut(before) else { return };
        let is_same = |own: &Waiting| own.events.iter().zip(events).all(|(own, event)| own.is(event));
        if let Some(place) = partials.iter().position(is_same)
            && let Some(gone) = partials.remove(place)
        {
            self.waiting_bytes -= gone.weight;
        }
    }

    /// The rule has matched.
    fn matched(&mut self, slots: &[Option<Event>], waiting: Waiting) {
        let Some(last) = waiting.events.last() else { return };
        let paths: &[String] = self.variants.terms.first().map_or(&[], |term| &term.keys);
        let join_keys: Vec<_> = paths.iter().cloned().zip(waiting.key.iter().cloned()).collect();
        let made = alert::alert(Matched {
            rule: self.rule,
            events: slots,
            join_keys: &join_keys,
            gap: false,
            process: &mut |_| None,
        });
        let Some(id) = made.map(|alert| alert.id) else { return };
        let withholding = &self.variants.withholding;
        let withheld_by = withholding.iter().position(|(_, program)| program.matches(last));
        match withheld_by {
            Some(index) => self.withheld[index] += 1,
            None if self.given.insert(id.as_str().into()) => self.fired += 1,
            None => {
                self.repeated += 1;
                return;
            }
        }
        if self.matches.len() == MAX_MATCHES {
            return;
        }
        self.matches.push(Fired {
            id,
            withheld_by: withheld_by.map(|index| withholding[index].0.id.clone()),
            span_ns: waiting.last().saturating_sub(waiting.first()),
            keys: describe::keys(paths, &waiting.key),
            steps: self.steps(&waiting.events),
        });
    }

    fn steps(&self, events: &[Event]) -> Vec<Step> {
        let steps = events.iter().zip(&self.variants.steps).enumerate();
        steps
            .map(|(index, (event, term))| {
                describe::step(self.rule, &self.variants, *term, event, &events[..index])
            })
            .collect()
    }

    /// What must be missing came, for a match that would otherwise be whole.
    fn seen(&mut self, term: usize, found: &Match<Event>) {
        let events: Vec<&Event> = found.events.iter().flatten().collect();
        let spoilt = |own: &Waiting| own.events.iter().all(|one| events.iter().any(|event| event.is(one)));
        let Some(place) = self.complete.iter().rposition(spoilt) else { return };
        let Some(mut waiting) = self.complete.remove(place) else { return };
        if let Some(event) = events.into_iter().find(|event| !waiting.has(event)) {
            let judgement = self.variants.engine.judge(0, term, event, &[]).unwrap_or_default();
            waiting.nearest = Some((0.0, self.nearest(term, Miss::Seen, &judgement, event, &[])));
        }
        self.complete.insert(place, waiting);
    }

    /// A partial has waited in vain; `steps` of its steps are satisfied.
    pub(super) fn retire(&mut self, steps: usize, waiting: Waiting) {
        let missing = self.variants.steps.len() - steps;
        let far = missing as f64
            + waiting.nearest.as_ref().map_or(NOTHING_NEAR, |(distance, _)| distance.min(10.0));
        if !self.is_near(far) {
            return;
        }
        let paths: &[String] = self.variants.terms.first().map_or(&[], |term| &term.keys);
        let until = waiting.events.first().zip(self.variants.maxspan);
        let silence = Silence {
            keys: describe::keys(paths, &waiting.key),
            steps: self.steps(&waiting.events),
            waits_for: self.variants.steps.get(steps).map(|term| term + 1),
            until: until.map(|(first, maxspan)| timestamp::format(first.time.saturating_add(maxspan))),
            nearest: waiting.nearest.map(|(_, nearest)| nearest),
        };
        self.keep_silence(far, silence);
    }

    /// Whether something so far from firing is among the nearest.
    pub(super) fn is_near(&self, far: f64) -> bool {
        self.silences.len() < MAX_SILENCES || self.silences.last().is_some_and(|(own, _)| far < *own)
    }

    pub(super) fn keep_silence(&mut self, far: f64, silence: Silence) {
        // Of two that are as near the earlier stays first.
        let place = self.silences.partition_point(|(own, _)| *own <= far);
        self.silences.insert(place, (far, silence));
        self.silences.truncate(MAX_SILENCES);
    }

    /// Keeps an event for which more of a term's conditions hold than for others, or other ones.
    pub(super) fn keep_closest(
        &mut self,
        term: usize,
        judgement: &Judgement,
        event: &Event,
        bound: &[Event],
    ) {
        let shape: Vec<bool> = judgement.clauses.iter().map(|clause| clause.holds).collect();
        let known = self.shapes[term].iter().position(|own| *own == shape);
        if let Some(known) = known {
            self.terms[term].closest[known].alike += 1;
            return;
        }
        let failed = judgement.failed();
        let place = self.terms[term].closest.partition_point(|own| own.failed <= failed);
        if place >= MAX_CLOSEST {
            return;
        }
        let closest = Closest {
            failed,
            alike: 1,
            event: sight(event),
            conditions: conditions(self.rule, &self.variants, term, judgement, event, bound),
        };
        self.terms[term].closest.insert(place, closest);
        self.shapes[term].insert(place, shape);
        self.terms[term].closest.truncate(MAX_CLOSEST);
        self.shapes[term].truncate(MAX_CLOSEST);
    }
}

/// The join keys that an event lacks.
pub(super) fn absent(variants: &Variants, paths: &[String], event: &Event) -> Vec<String> {
    let missing =
        |path: &&String| variants.schema.id(path).is_none_or(|id| Record::get(event, id).is_missing());
    paths.iter().filter(missing).cloned().collect()
}

/// The join keys of which two events have different values.
pub(super) fn differences(
    paths: &[String],
    waiting: &[Option<Scalar>],
    came: &[Option<Scalar>],
) -> Vec<Difference> {
    let pairs = paths.iter().zip(waiting.iter().zip(came)).filter(|(_, (waiting, came))| waiting != came);
    pairs
        .map(|(field, (waiting, came))| Difference {
            field: field.clone(),
            waiting: describe::key(waiting.as_ref()),
            came: describe::key(came.as_ref()),
        })
        .collect()
}
