//! Which programs a record is shown to: those of which it may satisfy a term that counts now.
//!
//! The first term of a sequence always counts, a later one only while a partial waits for it.

use std::ops::Range;

use crate::compile::Filter;
use crate::engine::{Running, State};
use crate::index::{Candidates, Index};
use crate::record::Record;
use crate::sequence::SequenceState;

/// The terms of an engine's programs: indexed, and whether they count now.
///
/// A program's terms have successive numbers, in the order of programs: those of its plan, then `until`, then
/// what its relations refer to.
#[derive(Debug)]
pub(crate) struct Dispatch {
    index: Index,
    /// The number of each program's first term; at the end, how many there are.
    first: Vec<usize>,
    /// The number of each program's first relation, or of the next program's first term.
    first_relation: Vec<usize>,
    /// For each term, its program.
    program: Vec<u32>,
    /// A bit for each program: whether the passing of time may decide something.
    waiting: Vec<u64>,
    /// For each program that waits, the time that must have passed for that.
    due: Vec<i64>,
    /// None of them is due before this has passed.
    least_due: i64,
    /// The terms that count and that the current record may satisfy.
    found: Candidates,
}

impl Dispatch {
    pub(crate) fn new<R: Record>(programs: &[Running<R>]) -> Self {
        let mut first = vec![0];
        let mut first_relation = Vec::new();
        let mut program = Vec::new();
        for (index, running) in programs.iter().enumerate() {
            program.resize(program.len() + filters(running).count(), index as u32);
            first.push(program.len());
            first_relation.push(program.len() - running.relations.plans.len());
        }
        let mut dispatch = Dispatch {
            index: Index::new::<R>(programs.iter().flat_map(filters)),
            first,
            first_relation,
            waiting: vec![0; programs.len().div_ceil(64)],
            due: vec![i64::MAX; programs.len()],
            least_due: i64::MAX,
            program,
            found: Candidates::default(),
        };
        for (index, running) in programs.iter().enumerate() {
            dispatch.arm_all(index, running);
            dispatch.arm(index, running);
        }
        dispatch
    }

    /// Looks up what terms `record` may satisfy.
    pub(crate) fn find<R: Record>(&mut self, record: &R) {
        self.index.find(record, &mut self.found);
    }

    /// Returns the first program from `from` on of which the record may satisfy a term that counts.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let term = self.found.next(*self.first.get(from)?)?;
        Some(self.program[term] as usize)
    }

    /// Returns whether the record may satisfy a term of a program's plan; of one that did not count when it was looked up,
    /// that it does not.
    pub(crate) fn may(&self, program: usize, term: usize) -> bool {
        self.found.has(self.first[program] + term)
    }

    /// The same of what a relation of a program refers to; these are its last terms.
    pub(crate) fn may_relate(&self, program: usize, relation: usize) -> bool {
        self.found.has(self.first_relation[program] + relation)
    }

    /// Returns whether `now`, which has passed, may decide something for any program.
    pub(crate) fn is_due(&self, now: i64) -> bool {
        has_passed(self.least_due, now)
    }

    /// Returns the first program from `from` on for which `now`, which has passed, decides something.
    pub(crate) fn next_due(&self, from: usize, now: i64) -> Option<usize> {
        let mut waiting = self.waiting_from(from);
        waiting.find(|program| has_passed(self.due[*program], now))
    }

    /// Notes what is due first, once all that was due has been seen to.
    pub(crate) fn note_least_due(&mut self) {
        self.least_due = self.waiting_from(0).map(|program| self.due[program]).min().unwrap_or(i64::MAX);
    }

    /// Returns the programs from `from` on for which time may decide something, in order.
    fn waiting_from(&self, from: usize) -> impl Iterator<Item = usize> {
        let first = u64::MAX << (from % 64);
        let words = self.waiting.iter().enumerate().skip(from / 64);
        words.flat_map(move |(at, word)| {
            let mut rest = if at == from / 64 { word & first } else { *word };
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest.wrapping_sub(1);
                (bit < 64).then_some(at * 64 + bit)
            })
        })
    }

    /// Notes which terms of a program count now. To be called whenever it has seen a record or a time; what it
    /// does not wait for any longer may go unnoticed until then.
    pub(crate) fn arm<R: Record>(&mut self, program: usize, running: &Running<R>) {
        // What a relation is needed for counts from when it is known.
        if !running.relations.plans.is_empty() {
            self.arm_all(program, running);
        }
        let State::Sequence(sequence) = &running.state else { return };
        let related = |relation| running.relations.is_known(relation);
        let base = self.first[program];
        for (term, steps) in sequence.steps_of.iter().enumerate().filter(|(_, steps)| !steps.is_empty()) {
            self.index.set_counting(base + term, counts(sequence, steps), related);
        }
        if sequence.plan.until.is_some() {
            let begun = sequence.pending.iter().any(|stage| !stage.is_empty());
            self.index.set_counting(base + sequence.plan.terms.len(), begun, related);
        }
        let due = sequence.due();
        put(&mut self.waiting, program, due.is_some());
        if let Some(due) = due {
            self.due[program] = due;
            self.least_due = self.least_due.min(due);
        }
    }

    /// Has all terms of a program count, as what is no step of a sequence always does.
    fn arm_all<R: Record>(&mut self, program: usize, running: &Running<R>) {
        let related = |relation| running.relations.is_known(relation);
        for term in self.first[program]..self.first[program + 1] {
            self.index.set_counting(term, true, related);
        }
    }
}

/// Whether what is due after a time is due now: at the end of time all is.
fn has_passed(due: i64, now: i64) -> bool {
    due < now || now == i64::MAX
}

/// Whether a term counts that is some steps of a sequence: one is the first, or something waits for it.
fn counts<R: Record>(sequence: &SequenceState<R>, steps: &Range<usize>) -> bool {
    let waits = |step: usize| step == 0 || !sequence.pending[step - 1].is_empty();
    steps.clone().any(waits) || (steps.end == sequence.plan.steps.len() && sequence.is_followed())
}

/// The filters of a program's terms, in the order of their numbers.
fn filters<R>(running: &Running<R>) -> impl Iterator<Item = &Filter> {
    let (single, terms, until) = match &running.state {
        State::Event(filter) => (Some(filter), &[][..], None),
        State::Sequence(sequence) => (None, &sequence.plan.terms[..], sequence.plan.until.as_ref()),
        State::Sample(sample) => (None, &sample.plan.terms[..], None),
    };
    let relations = running.relations.plans.iter().map(|relation| &relation.filter);
    single.into_iter().chain(terms.iter().chain(until).map(|term| &term.filter)).chain(relations)
}

fn put(bits: &mut [u64], at: usize, value: bool) {
    let bit = 1 << (at % 64);
    match value {
        true => bits[at / 64] |= bit,
        false => bits[at / 64] &= !bit,
    }
}

#[cfg(test)]
mod tests {
    use crate::compile::{Options, Program};
    use crate::engine::{Engine, EngineOptions};
    use crate::record::Record;
    use crate::schema::{FieldId, Schema};
    use crate::value::Value;

    /// A process event of a name, at a time in milliseconds.
    #[derive(Clone)]
    struct Event(i64, &'static str);

    impl Record for Event {
        fn time(&self) -> i64 {
            self.0 * 1_000_000
        }

        fn category(&self) -> Value<'_> {
            Value::Str("process")
        }

        fn get(&self, _: FieldId) -> Value<'_> {
            Value::Str(self.1)
        }

        fn weight(&self) -> usize {
            0
        }
    }

    #[test]
    fn a_later_term_counts_only_while_something_waits_for_it() {
        let mut schema = Schema::new();
        let mut engine = Engine::new(EngineOptions { follow: true, ..EngineOptions::default() });
        for query in [
            "sequence with maxspan=50ms [process where name == \"a\"] [process where name == \"b\"]",
            "process where name == \"c\"",
        ] {
            engine.add(Program::new(query, &mut schema, &Options::default()).expect("a query"));
        }
        let mut out = Vec::new();
        let mut shown = |event: Event| {
            engine.push(&event, &mut out);
            let dispatch = engine.dispatch.as_mut().expect("a record was pushed");
            dispatch.find(&Event(event.0, "b"));
            // When time decides something, in milliseconds.
            let is_due = |time: &i64| dispatch.next_due(0, time * 1_000_000).is_some();
            (dispatch.next(0), (0..1000).find(is_due))
        };
        assert_eq!(shown(Event(0, "x")), (None, None));
        assert_eq!(shown(Event(1, "a")), (Some(0), Some(52)));
        // Complete; what follows within maxspan is gathered.
        assert_eq!(shown(Event(3, "b")), (Some(0), Some(52)));
        let later: Vec<_> = (0..40).map(|number| shown(Event(100 + number, "x"))).collect();
        assert_eq!(later.last(), Some(&(None, None)));
    }
}
