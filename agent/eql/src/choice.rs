//! Which clauses the index looks up, and in which order of fields.
//!
//! Each alternative of a condition has one clause that decides: a rare one over the whole set of terms, on as few fields
//! as will do. What else it asks of the fields that are looked at anyway is asked too, as that costs little more and
//! leaves fewer to ask for the fields that come later.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::record::Record;
use crate::schema::FieldId;
use crate::witness::{Alternative, Clause, Test};

/// What is looked up of the alternatives of one category.
pub(crate) struct Choice {
    /// The fields that are looked at, in this order.
    pub(crate) fields: Vec<FieldId>,
    /// For each alternative what must be found, by field; without any it is always a candidate.
    pub(crate) clauses: Vec<Vec<Clause>>,
    /// How many of the fields decide.
    pub(crate) deciding: usize,
}

/// How good a clause is to look up, the best first. What an event costs is how many fields are looked at, and
/// how many terms are then evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// An exact value, or how one begins, that few terms ask for.
    Rare,
    /// A part of a value, which takes a search through it.
    RarePart,
    /// An exact value that not most terms ask for.
    Shared,
    /// A number, a truth or a [kind](Record::is_kind), of which there are few, and that not most terms ask for.
    Fact,
    /// A field that few terms need to be there.
    RareField,
    /// Any other.
    Common,
}

/// How many fields decide before one more is worth it that may save looking at them.
pub(crate) const WORTH_A_GATE: usize = 3;

/// Chooses what is looked up of the alternatives of one category, in records of a type.
pub(crate) fn choose<R: Record>(alternatives: &[&Alternative], shares: &Shares) -> Choice {
    let is_list = R::is_list;
    let deciding = deciding(alternatives, shares);
    let mut gates = gates(alternatives, is_list);
    let fields = &deciding | &gates;
    let is_asked = |clause: &&Clause| fields.contains(&clause.field) && shares.class(clause) != Class::Common;
    let is_gate = |clause: &&Clause| gates.contains(&clause.field);
    let clauses: Vec<Vec<Clause>> = alternatives
        .iter()
        .map(|own| own.clauses.iter().filter(|clause| is_asked(clause) || is_gate(clause)).cloned().collect())
        .collect();
    // A gate that decides nothing is another field to get, which has to save more than one; where records that are alike
    // share it, it costs nothing and saves even that.
    let gates_come_first = deciding.len() >= WORTH_A_GATE;
    if !gates_come_first {
        gates = &gates - &deciding;
    }
    let fields = ordered(&clauses, &gates, gates_come_first, is_list, shares);
    Choice { fields, clauses, deciding: deciding.len() }
}

/// Returns all fields of clauses in the order in which they are looked at.
///
/// Gates come first, that which most ask for before the others, or else last. Of the others the order is that in which few fields are
/// looked at where an event has none of the values that are rare, as most events have none: each field drops all who ask it
/// for one, and the next is that which drops the most for what it costs, until nobody is left to ask for more.
fn ordered(
    clauses: &[Vec<Clause>],
    gates: &BTreeSet<FieldId>,
    gates_come_first: bool,
    is_list: fn(FieldId) -> bool,
    shares: &Shares,
) -> Vec<FieldId> {
    let mut asked: BTreeMap<FieldId, usize> = BTreeMap::new();
    let mut searched: BTreeSet<FieldId> = BTreeSet::new();
    for clause in clauses.iter().flatten() {
        *asked.entry(clause.field).or_default() += 1;
        if clause.tests.iter().any(|test| matches!(test, Test::Contains(_))) {
            searched.insert(clause.field);
        }
    }
    let drops = |own: &&Vec<Clause>, field: FieldId| {
        let is_rare = |clause: &Clause| shares.class(clause) <= Class::Shared;
        own.iter().any(|clause| clause.field == field && is_rare(clause))
    };
    let cost =
        |field: FieldId| 1 + 4 * usize::from(is_list(field)) + 4 * usize::from(searched.contains(&field));
    let (mut gates, mut rest): (Vec<FieldId>, Vec<FieldId>) =
        asked.keys().partition(|field| gates.contains(field));
    gates.sort_by_key(|field| (Reverse(asked[field]), *field));
    let mut fields = Vec::new();
    let mut left: Vec<&Vec<Clause>> = clauses.iter().collect();
    if gates_come_first {
        gates.iter().for_each(|field| left.retain(|own| !drops(own, *field)));
        fields.append(&mut gates);
    }
    while !rest.is_empty() {
        // How many it drops, and asks, for its cost: in hundredths.
        let worth = |field: &FieldId| {
            let dropped = left.iter().filter(|own| drops(own, *field)).count();
            (dropped * 100 / cost(*field), asked[field] * 100 / cost(*field), Reverse(*field))
        };
        let Some(best) = (0..rest.len()).max_by_key(|at| worth(&rest[*at])) else { break };
        let best = rest.remove(best);
        left.retain(|own| !drops(own, best));
        fields.push(best);
    }
    fields.append(&mut gates);
    fields
}

impl Choice {
    /// Looks at one more field, if it is not looked at anyway: last, where hardly anything is left to ask for it.
    pub(crate) fn and_last(mut self, field: FieldId, alternatives: &[&Alternative]) -> Self {
        if !self.fields.contains(&field) {
            self.fields.push(field);
            for (clauses, own) in self.clauses.iter_mut().zip(alternatives) {
                clauses.extend(own.clauses.iter().find(|clause| clause.field == field).cloned());
            }
        }
        self
    }
}

/// Returns the fields on which each alternative, where it can be, is decided.
fn deciding(alternatives: &[&Alternative], shares: &Shares) -> BTreeSet<FieldId> {
    let mut options: Vec<Options<'_>> =
        alternatives.iter().filter_map(|own| Options::new(own, shares)).collect();
    // The best classes first, so that a field chosen for them serves the others as well.
    options.sort_by_key(|options| options.class);
    let mut fields = BTreeSet::new();
    while let Some(field) = most_asked(&options, shares) {
        fields.insert(field);
        options.retain(|options| options.clauses.iter().all(|clause| clause.field != field));
    }
    fields
}

/// Returns the fields that are looked at first: where half of the alternatives ask for one of some values, an event with
/// another one is done with half of them for the price of one field.
fn gates(alternatives: &[&Alternative], is_list: impl Fn(FieldId) -> bool) -> BTreeSet<FieldId> {
    let mut asked: BTreeMap<FieldId, usize> = BTreeMap::new();
    let is_exact = |clause: &&Clause| clause.tests.iter().all(|test| matches!(test, Test::Equal(_)));
    let exact = alternatives.iter().flat_map(|own| &own.clauses).filter(is_exact);
    exact.for_each(|clause| *asked.entry(clause.field).or_default() += 1);
    asked.retain(|field, count| 2 * *count >= alternatives.len() && !is_list(*field));
    asked.into_keys().collect()
}

/// The clauses of an alternative that are of its best class.
struct Options<'a> {
    class: Class,
    clauses: Vec<&'a Clause>,
}

impl<'a> Options<'a> {
    fn new(alternative: &'a Alternative, shares: &Shares) -> Option<Self> {
        let class = alternative.clauses.iter().map(|clause| shares.class(clause)).min()?;
        let of_class = |clause: &&Clause| shares.class(clause) == class;
        Some(Options { class, clauses: alternative.clauses.iter().filter(of_class).collect() })
    }
}

/// Returns the field by which most of the alternatives of the best class that is left can be looked up; of equal ones
/// that of which the fewest terms share a value.
fn most_asked(options: &[Options<'_>], shares: &Shares) -> Option<FieldId> {
    let best = options.first()?.class;
    let mut asked: BTreeMap<FieldId, (usize, usize)> = BTreeMap::new();
    for clause in options.iter().filter(|options| options.class == best).flat_map(|options| &options.clauses)
    {
        let entry = asked.entry(clause.field).or_default();
        entry.0 += 1;
        entry.1 += shares.largest(clause);
    }
    let order =
        |(field, (count, shared)): &(FieldId, (usize, usize))| (*count, Reverse(*shared), Reverse(*field));
    asked.into_iter().max_by_key(order).map(|(field, _)| field)
}

/// How many terms, of all categories, ask for each test of a field.
pub(crate) struct Shares {
    terms: usize,
    counts: HashMap<FieldId, HashMap<Test, usize>>,
    is_kind: fn(FieldId) -> bool,
}

impl Shares {
    /// Begins to count terms over records of a type.
    pub(crate) fn new<R: Record>() -> Self {
        Shares { terms: 0, counts: HashMap::new(), is_kind: R::is_kind }
    }

    /// Counts another term, by its alternatives.
    pub(crate) fn count(&mut self, alternatives: &[Alternative]) {
        self.terms += 1;
        let clauses = alternatives.iter().flat_map(|own| &own.clauses);
        let mut own: Vec<(FieldId, &Test)> =
            clauses.flat_map(|clause| clause.tests.iter().map(|test| (clause.field, test))).collect();
        own.sort();
        own.dedup();
        for (field, test) in own {
            *self.counts.entry(field).or_default().entry(test.clone()).or_default() += 1;
        }
    }

    /// By how many terms the clause's most popular test is asked for.
    fn largest(&self, clause: &Clause) -> usize {
        let Some(counts) = self.counts.get(&clause.field) else { return 0 };
        clause.tests.iter().filter_map(|test| counts.get(test)).copied().max().unwrap_or(0)
    }

    fn class(&self, clause: &Clause) -> Class {
        let shared = self.largest(clause);
        let rare = shared <= (self.terms / 16).max(16);
        let common = shared > self.terms / 4 && !rare;
        let has = |is: fn(&Test) -> bool| clause.tests.iter().any(is);
        if has(|test| *test == Test::Present) {
            return if rare { Class::RareField } else { Class::Common };
        }
        let fact = (self.is_kind)(clause.field) || has(|test| matches!(test, Test::Fact(_)));
        match (fact, has(|test| matches!(test, Test::Contains(_)))) {
            _ if common => Class::Common,
            (true, _) => Class::Fact,
            (false, false) if rare => Class::Rare,
            (false, true) if rare => Class::RarePart,
            (false, _) => Class::Shared,
        }
    }
}
