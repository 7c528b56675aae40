//! Samples: events that share keys, in any order, over finite input.

use std::collections::{BTreeMap, HashMap};

use crate::compile::SamplePlan;
use crate::key::{Key, KeyMap, keys};
use crate::predicate::Context;
use crate::record::Record;

/// A sample and the events that its terms have seen.
#[derive(Debug)]
pub(crate) struct SampleState<R> {
    pub(crate) plan: SamplePlan,
    /// For each term and key: the events, each with its number of arrival. More than there are terms are
    /// never needed to find one for each.
    seen: Vec<KeyMap<Vec<(u64, R)>>>,
    arrived: u64,
    scratch: Vec<Key>,
}

impl<R: Record> SampleState<R> {
    pub(crate) fn new(plan: SamplePlan) -> Self {
        let seen = plan.terms.iter().map(|_| KeyMap::default()).collect();
        SampleState { plan, seen, arrived: 0, scratch: Vec::new() }
    }

    /// Goes on with what another of the same query has seen.
    pub(crate) fn take_over(&mut self, other: Self) {
        self.seen = other.seen;
        self.arrived = other.arrived;
    }

    pub(crate) fn step(&mut self, record: &R, related: &dyn Fn(usize, &R) -> bool) {
        self.arrived += 1;
        let most = self.plan.terms.len();
        for (term, seen) in self.plan.terms.iter().zip(&mut self.seen) {
            if !term.filter.holds(&Context { record, bound: &[], related }) {
                continue;
            }
            keys(&term.keys, record, &mut self.scratch);
            for key in self.scratch.drain(..) {
                let events = seen.entry(key).or_default();
                if events.len() < most {
                    events.push((self.arrived, record.clone()));
                }
            }
        }
    }

    /// Returns one match for each key for which every term has an event of its own, by key.
    pub(crate) fn finish(&mut self) -> Vec<(Key, Vec<R>)> {
        let seen = std::mem::take(&mut self.seen);
        let Some((first, others)) = seen.split_first() else { return Vec::new() };
        let mut found = BTreeMap::new();
        for key in first.keys() {
            if others.iter().all(|term| term.contains_key(key)) {
                let candidates: Vec<&[(u64, R)]> = seen.iter().map(|term| &*term[key]).collect();
                if let Some(events) = choose(&candidates) {
                    found.insert(key.clone(), events);
                }
            }
        }
        self.seen = self.plan.terms.iter().map(|_| KeyMap::default()).collect();
        found.into_iter().collect()
    }
}

/// Chooses one event for each term so that no event stands twice: a bipartite matching by augmenting paths.
fn choose<R: Record>(candidates: &[&[(u64, R)]]) -> Option<Vec<R>> {
    let mut owner: HashMap<u64, (usize, usize)> = HashMap::new();
    for term in 0..candidates.len() {
        let mut tried = std::collections::HashSet::new();
        if !assign(term, candidates, &mut owner, &mut tried) {
            return None;
        }
    }
    let mut chosen: Vec<Option<R>> = vec![None; candidates.len()];
    for (term, at) in owner.into_values() {
        chosen[term] = Some(candidates[term][at].1.clone());
    }
    chosen.into_iter().collect()
}

fn assign<R>(
    term: usize,
    candidates: &[&[(u64, R)]],
    owner: &mut HashMap<u64, (usize, usize)>,
    tried: &mut std::collections::HashSet<u64>,
) -> bool {
    for (at, (number, _)) in candidates[term].iter().enumerate() {
        if !tried.insert(*number) {
            continue;
        }
        let free = match owner.get(number) {
            None => true,
            Some((other, _)) => assign(*other, candidates, owner, tried),
        };
        if free {
            owner.insert(*number, (term, at));
            return true;
        }
    }
    false
}
