//! Which of a term's clauses the index looks up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use crate::schema::FieldId;
use crate::witness::{Clause, Test, Witness, single_field};

/// What a term's condition needs.
pub(crate) struct Needs {
    pub(crate) term: u32,
    pub(crate) clauses: Vec<Clause>,
}

/// How good a clause is to look up, the best first. What an event costs is how many fields are looked at, and
/// how many terms are then evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// An exact value that few terms ask for.
    Rare,
    /// A part of a value, which takes a search through it.
    RarePart,
    /// An exact value that not most terms ask for.
    Shared,
    /// A number or a truth, of which there are few.
    RareFact,
    /// A field that few terms need to be there.
    RareField,
    /// Any other.
    Common,
}

/// Chooses for each term, of one category, the clause that is looked up; `None` where there is none. Terms
/// that never hold are left out.
pub(crate) fn choose(terms: Vec<Needs>, shares: &Shares) -> Vec<(u32, Option<Clause>)> {
    let terms: Vec<Needs> =
        terms.into_iter().filter(|term| !term.clauses.iter().any(Vec::is_empty)).collect();
    let mut options: Vec<Options> = terms
        .into_iter()
        .map(|Needs { term, clauses }| {
            let best = clauses.iter().map(|clause| shares.class(clause)).min();
            let clauses = clauses.into_iter().filter(|clause| Some(shares.class(clause)) == best).collect();
            Options { term, class: best, clauses }
        })
        .collect();
    // The best classes first, so that a field chosen for them serves the others as well.
    let mut chosen: Vec<(u32, Option<Clause>)> = Vec::new();
    options.sort_by_key(|options| options.class.map_or(u8::MAX, |class| class as u8));
    while let Some(field) = most_asked(&options, shares) {
        options.retain(|options| {
            let on_field = options.clauses.iter().filter(|clause| single_field(clause) == Some(field));
            let clause = on_field.min_by_key(|clause| shares.largest(clause));
            chosen.extend(clause.map(|clause| (options.term, Some(clause.clone()))));
            clause.is_none()
        });
    }
    // What is left needs several fields, or has nothing that can be looked up.
    chosen.extend(options.into_iter().map(|options| {
        let least = |clause: &Clause| (clause.len(), shares.largest(clause));
        (options.term, options.clauses.into_iter().min_by_key(least))
    }));
    chosen
}

struct Options {
    term: u32,
    /// Of all its clauses the best; `None` without any.
    class: Option<Class>,
    /// Those of that class.
    clauses: Vec<Clause>,
}

/// Returns the field by which most of the terms of the best class that is left can be looked up; of equal ones
/// that of which the fewest terms share a value.
fn most_asked(options: &[Options], shares: &Shares) -> Option<FieldId> {
    let single = |options: &Options| options.clauses.iter().any(|clause| single_field(clause).is_some());
    let best = options.iter().find(|options| single(options))?.class;
    let mut asked: BTreeMap<FieldId, (usize, usize)> = BTreeMap::new();
    for options in options.iter().filter(|options| options.class == best) {
        let mut seen: Vec<FieldId> = Vec::new();
        for clause in &options.clauses {
            let Some(field) = single_field(clause).filter(|field| !seen.contains(field)) else { continue };
            seen.push(field);
            let entry = asked.entry(field).or_default();
            entry.0 += 1;
            entry.1 += shares.largest(clause);
        }
    }
    let order =
        |(field, (terms, shared)): &(FieldId, (usize, usize))| (*terms, Reverse(*shared), Reverse(*field));
    asked.into_iter().max_by_key(order).map(|(field, _)| field)
}

/// How many terms, of all categories, ask for each witness.
#[derive(Default)]
pub(crate) struct Shares {
    terms: usize,
    counts: HashMap<Witness, usize>,
}

impl Shares {
    /// Counts another term.
    pub(crate) fn count(&mut self, Needs { clauses, .. }: &Needs) {
        self.terms += 1;
        let mut own: Vec<&Witness> = clauses.iter().flatten().collect();
        own.sort();
        own.dedup();
        for witness in own {
            *self.counts.entry(witness.clone()).or_default() += 1;
        }
    }

    /// By how many terms the clause's most popular witness is asked for.
    fn largest(&self, clause: &Clause) -> usize {
        clause.iter().filter_map(|witness| self.counts.get(witness)).copied().max().unwrap_or(0)
    }

    fn class(&self, clause: &Clause) -> Class {
        let shared = self.largest(clause);
        let rare = shared <= (self.terms / 16).max(16);
        let parts = clause.iter().any(|witness| matches!(witness.test, Test::Contains(_)));
        let fields = clause.iter().any(|witness| witness.test == Test::Present);
        let facts = clause.iter().any(|witness| matches!(witness.test, Test::Fact(_)));
        match (fields, parts) {
            (false, _) if facts => {
                if rare {
                    Class::RareFact
                } else {
                    Class::Common
                }
            }
            (false, false) if rare => Class::Rare,
            (false, true) if rare => Class::RarePart,
            (false, _) if shared <= self.terms / 4 => Class::Shared,
            (true, _) if rare => Class::RareField,
            _ => Class::Common,
        }
    }
}
