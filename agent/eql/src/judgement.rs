//! How a record fares with one term of a running program, piece by piece: what explanations are made of.

use crate::compile::{Clause, Filter, KeyPlan};
use crate::engine::{Engine, State};
use crate::key::{Key, keys};
use crate::predicate::Context;
use crate::record::Record;
use crate::value::Scalar;

/// How a record fares with a term.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Whether it is of the term's category.
    pub of_category: bool,
    /// The conditions that the term joins by `and`, in the order of the text.
    pub clauses: Vec<Clause>,
    /// The values of the join keys, shared ones first: one list, more where a field has several values, none where a key
    /// that must be there is missing. `None` is null.
    pub keys: Vec<Vec<Option<Scalar>>>,
}

impl Judgement {
    /// Returns whether the record satisfies the term, join keys apart.
    pub fn holds(&self) -> bool {
        self.of_category && self.clauses.iter().all(|clause| clause.holds)
    }

    /// Returns how many conditions do not hold.
    pub fn failed(&self) -> usize {
        self.clauses.iter().filter(|clause| !clause.holds).count()
    }
}

impl<R: Record> Engine<R> {
    /// Judges a record by one term of a program, as the engine knows the process tree now. It changes nothing.
    ///
    /// `term` counts all terms of a sequence, missing ones too, `until` after the last; an event query has one. `bound`
    /// are the earlier events of the match, a record for each step, for conditions that read an alias. `None` if there
    /// is no such program or term, or it is a sample, whose terms are not looked at in order.
    pub fn judge(&self, program: usize, term: usize, record: &R, bound: &[R]) -> Option<Judgement> {
        let running = self.programs.get(program)?;
        let (filter, plan): (&Filter, &[KeyPlan]) = match &running.state {
            State::Event(filter) => (term == 0).then_some((filter, &[][..]))?,
            State::Sequence(state) => {
                let own = state.plan.terms.get(term);
                let until = state.plan.until.as_ref().filter(|_| term == state.plan.terms.len());
                own.or(until).map(|term| (&term.filter, &*term.keys))?
            }
            State::Sample(_) => return None,
        };
        let related = |relation: usize, record: &R| running.relations.related(relation, record);
        let context = Context { record, bound, related: &related };
        let mut judgement = Judgement { of_category: filter.is_of_category(record), ..Judgement::default() };
        filter.condition.clauses(&context, &mut judgement.clauses);
        let mut found = Vec::new();
        keys(plan, record, &mut found);
        judgement.keys = found.iter().map(Key::to_scalars).collect();
        Some(judgement)
    }
}
