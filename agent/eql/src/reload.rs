//! Exchanging the programs of a running engine without forgetting what it waits for.

use crate::compile::Program;
use crate::engine::{Engine, Outcome, Running, State, followed};
use crate::partial::{PartialId, Store};
use crate::record::Record;
use crate::sequence::{Counters, SequenceState};

/// What an exchange of programs kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Partials that go on in the new programs.
    pub kept: usize,
    /// Partials that ended, because a term that they had satisfied, or their program, is there no longer.
    pub dropped: usize,
}

impl<R: Record> Engine<R> {
    /// Exchanges all programs. Each new one may name an old one, by its number, whose state it takes over.
    ///
    /// A program whose text is the same goes on as if nothing had happened. Of one that has changed, partials go on as
    /// far as the terms that they have satisfied are the same, in the same order and with the same keys: they wait for
    /// whatever the next term is now, until the new maxspan. A missing term that is the same keeps what it has seen.
    /// What was gathered for matches of programs that have changed or gone is given out; outcomes in `out` have the old
    /// programs' numbers.
    pub fn reload(&mut self, programs: Vec<(Option<usize>, Program)>, out: &mut Vec<Outcome<R>>) -> Reloaded {
        let mut old: Vec<Option<Running<R>>> =
            std::mem::take(&mut self.programs).into_iter().map(Some).collect();
        self.dispatch = None;
        let mut reloaded = Reloaded::default();
        for (number, running) in old.iter_mut().enumerate() {
            let goes_on = programs.iter().any(|(from, program)| {
                *from == Some(number) && running.as_ref().is_some_and(|running| running.text == program.text)
            });
            if let (false, Some(Running { state: State::Sequence(sequence), .. })) = (goes_on, running) {
                out.extend(sequence.close_all_windows().into_iter().map(|related| followed(number, related)));
            }
        }
        for (index, (from, program)) in programs.into_iter().enumerate() {
            let mut running = self.running(index, program);
            if let Some(before) = from.and_then(|from| old.get_mut(from)).and_then(Option::take) {
                running.take_over(before, &mut self.store, &mut self.counters, &mut reloaded);
            }
            self.programs.push(running);
        }
        for running in old.into_iter().flatten() {
            if let State::Sequence(sequence) = running.state {
                sequence.discard(&mut self.store, &mut self.counters, &mut reloaded);
            }
        }
        reloaded
    }
}

impl<R: Record> Running<R> {
    fn take_over(
        &mut self,
        before: Running<R>,
        store: &mut Store<R>,
        counters: &mut Counters,
        reloaded: &mut Reloaded,
    ) {
        let same = self.text == before.text;
        if same {
            self.relations.take_over(before.relations);
            self.pipes = before.pipes;
            self.done = before.done;
        }
        match (&mut self.state, before.state) {
            (State::Sequence(new), State::Sequence(old)) => {
                new.take_over(*old, same, store, counters, reloaded);
            }
            (State::Sample(new), State::Sample(old)) if same => new.take_over(*old),
            (_, State::Sequence(old)) => old.discard(store, counters, reloaded),
            _ => {}
        }
    }
}

impl<R: Record> SequenceState<R> {
    fn take_over(
        &mut self,
        mut old: Self,
        same: bool,
        store: &mut Store<R>,
        counters: &mut Counters,
        reloaded: &mut Reloaded,
    ) {
        let text = |state: &Self, step: usize| {
            let term = state.plan.steps.get(step)?;
            state.plan.texts.get(*term).cloned()
        };
        let common = (0..)
            .take_while(|step| text(self, *step).is_some_and(|own| Some(own) == text(&old, *step)))
            .count();
        for (new, missing) in self.sightings.iter_mut().zip(&self.plan.missing) {
            let own = &self.plan.texts[missing.term];
            if let Some(at) = old.plan.missing.iter().position(|other| old.plan.texts[other.term] == *own) {
                *new = std::mem::take(&mut old.sightings[at]);
            }
        }
        if same {
            self.waiting = std::mem::take(&mut old.waiting);
            self.waiting_bytes = std::mem::take(&mut old.waiting_bytes);
            self.followed = old.followed.take();
        }
        // Oldest first, so that where only one may wait the newest does.
        let mut partials: Vec<PartialId> = Vec::new();
        for stage in &mut old.pending {
            partials.extend(stage.drain().flat_map(|(_, candidates)| candidates.iter().collect::<Vec<_>>()));
        }
        partials.sort_by_key(|id| store.get(*id).map(|partial| (partial.last, partial.first)));
        let before = store.len();
        let mut deadlines = Vec::new();
        for id in partials {
            let Some(partial) = store.get(id) else { continue };
            let (stage, key, first) = (partial.stage, partial.key.clone(), partial.first);
            if stage >= common || stage >= self.pending.len() {
                store.remove(id);
                continue;
            }
            store.hand_over(id, self.index);
            deadlines.extend(self.plan.maxspan.map(|maxspan| (first.saturating_add(maxspan), id)));
            self.put(stage, key, id, store, counters);
        }
        deadlines.sort_by_key(|(deadline, _)| *deadline);
        self.deadlines = deadlines.into();
        let dropped = before - store.len();
        reloaded.dropped += dropped;
        reloaded.kept += self.waits();
        old.discard(store, counters, reloaded);
    }

    /// How many partials wait.
    fn waits(&self) -> usize {
        self.pending.iter().flat_map(|stage| stage.values()).map(|candidates| candidates.iter().count()).sum()
    }

    /// Drops all that it holds.
    fn discard(mut self, store: &mut Store<R>, counters: &mut Counters, reloaded: &mut Reloaded) {
        for stage in &mut self.pending {
            for (_, candidates) in stage.drain() {
                for id in candidates.iter() {
                    reloaded.dropped += usize::from(store.remove(id).is_some());
                }
            }
        }
        // Matches that waited for a missing event's time to pass.
        counters.evicted += self.waiting.len() as u64;
    }
}
