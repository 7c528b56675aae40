//! What an event must have for a condition to hold, as far as an index can look it up.
//!
//! The analysis may only weaken: whatever satisfies the condition satisfies every one of its clauses. What it
//! does not understand gives no clause.

use regex::Regex;

use crate::ast::Comparison;
use crate::fold::folded;
use crate::function::Computed;
use crate::predicate::{Node, NodeKind, Operand};
use crate::regular;
use crate::schema::FieldId;
use crate::value::Value;
use crate::wildcard::Needed;

/// A test of one field that an index answers for all conditions at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Witness {
    pub(crate) field: FieldId,
    pub(crate) test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Test {
    /// A text has this [fingerprint](text_fingerprint).
    Equal(u64),
    /// A number or a truth has this fingerprint. Of these few are told apart: many events have the same.
    Fact(u64),
    /// A value, folded, contains this text, which is folded.
    Contains(Box<str>),
    /// There is a value.
    Present,
}

/// Witnesses of which one at least holds if the condition does. Without any the condition never holds.
pub(crate) type Clause = Vec<Witness>;

/// A shorter text than this says too little of a value that contains it.
const LEAST_PART: usize = 3;

/// How many clauses at most are made of alternatives that ask for different fields, and how many witnesses one may have.
const MOST_MIXED: usize = 4;
const MOST_WITNESSES: usize = 256;

/// Returns the clauses of a condition.
pub(crate) fn clauses(condition: &Node) -> Vec<Clause> {
    match &condition.kind {
        NodeKind::Constant(true) | NodeKind::IsNull(_) | NodeKind::Relation(_) => Vec::new(),
        NodeKind::Constant(false) => vec![Vec::new()],
        NodeKind::And(nodes) => nodes.iter().flat_map(clauses).collect(),
        NodeKind::Or(nodes) => either(nodes.iter().map(clauses).collect()),
        NodeKind::Not(node) => negated(node),
        NodeKind::Texts(operand, set) => {
            on(operand, |field| set.texts().map(|text| equal(field, text_fingerprint(text))).collect())
        }
        NodeKind::Wildcards(operand, patterns) => {
            on(operand, |field| patterns.iter().map(|pattern| needed(field, pattern.needed())).collect())
        }
        NodeKind::Regexes(operand, regexes) => {
            on(operand, |field| regexes.iter().flat_map(|regex| begins(field, regex)).collect())
        }
        NodeKind::Networks(operand, _) => on(operand, |field| vec![present(field)]),
        NodeKind::Truth(operand) => on(operand, |field| vec![fact(field, bool_fingerprint(true))]),
        NodeKind::Compare { optional: true, .. } => Vec::new(),
        NodeKind::Compare { operator, left, right, optional: false } => compared(*operator, left, right),
        NodeKind::In { value, list, .. } => on(value, |field| {
            let entries: Option<Clause> = list
                .iter()
                .map(|entry| match entry {
                    Operand::Constant(constant) => equal_to(field, constant),
                    _ => None,
                })
                .collect();
            entries.unwrap_or_else(|| vec![present(field)])
        }),
    }
}

/// Returns the fingerprint of a single value: equal values have the same one. `None` is equal to no constant.
pub(crate) fn fingerprint(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Str(text) => Some(text_fingerprint(text)),
        Value::Int(number) => Some(number_fingerprint(number as f64)),
        Value::Float(number) => Some(number_fingerprint(number)),
        Value::Bool(value) => Some(bool_fingerprint(value)),
        Value::Missing | Value::List(_) => None,
    }
}

/// Returns a number that texts which are equal in some case have in common; others have it seldom.
pub(crate) fn text_fingerprint(text: &str) -> u64 {
    // A character that is not ASCII may fold to one that is: the Kelvin sign is a k.
    let folded = if text.is_ascii() { None } else { Some(folded(text)) };
    let bytes = folded.as_deref().unwrap_or(text).as_bytes();
    // A bit that is set in every lower-case letter makes the case alike, and a few other characters.
    const CASE: u64 = 0x2020_2020_2020_2020;
    let mut state = mix(0, bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state, u64::from_le_bytes(*word) | CASE);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(state, u64::from_le_bytes(last) | CASE)
}

fn number_fingerprint(number: f64) -> u64 {
    // Zero has two signs.
    mix(1, (number + 0.0).to_bits())
}

fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (product as u64) ^ ((product >> 64) as u64)
}

fn bool_fingerprint(value: bool) -> u64 {
    mix(2, u64::from(value))
}

/// What has the value of a constant; `None` if nothing can be looked up.
fn equal_to(field: FieldId, constant: &Computed<'_>) -> Option<Witness> {
    match constant {
        Computed::Str(text) => Some(equal(field, text_fingerprint(text))),
        Computed::Int(number) => Some(fact(field, number_fingerprint(*number as f64))),
        Computed::Float(number) => Some(fact(field, number_fingerprint(*number))),
        Computed::Bool(value) => Some(fact(field, bool_fingerprint(*value))),
        Computed::Null | Computed::Many(_) => None,
    }
}

/// The clause that `clause` makes of an operand that is a field of the event itself.
fn on(operand: &Operand, clause: impl FnOnce(FieldId) -> Clause) -> Vec<Clause> {
    match operand {
        Operand::Field { step: None, id } => vec![clause(*id)],
        _ => Vec::new(),
    }
}

fn compared(operator: Comparison, left: &Operand, right: &Operand) -> Vec<Clause> {
    let constant = match (left, right) {
        (Operand::Constant(constant), _) | (_, Operand::Constant(constant)) => Some(constant),
        _ => None,
    };
    let of = |operand| {
        on(operand, |field| match (operator, constant) {
            (Comparison::Equal, Some(constant)) => {
                vec![equal_to(field, constant).unwrap_or_else(|| present(field))]
            }
            // A comparison with nothing is false.
            _ => vec![present(field)],
        })
    };
    of(left).into_iter().chain(of(right)).collect()
}

fn negated(condition: &Node) -> Vec<Clause> {
    match &condition.kind {
        NodeKind::Constant(true) => vec![Vec::new()],
        NodeKind::Not(node) => clauses(node),
        NodeKind::Or(nodes) => nodes.iter().flat_map(negated).collect(),
        NodeKind::And(nodes) => either(nodes.iter().map(negated).collect()),
        NodeKind::IsNull(operand) => on(operand, |field| vec![present(field)]),
        _ => Vec::new(),
    }
}

/// The clauses of a condition that holds where one of several does.
fn either(mut branches: Vec<Vec<Clause>>) -> Vec<Clause> {
    branches.retain(|clauses| !clauses.iter().any(Vec::is_empty));
    let Some((first, others)) = branches.split_first() else { return vec![Vec::new()] };
    // What all branches ask of one field is one clause on that field.
    let mut joined: Vec<Clause> = first
        .iter()
        .filter_map(|clause| {
            let field = single_field(clause)?;
            let mut union = clause.clone();
            for branch in others {
                union.extend_from_slice(branch.iter().find(|clause| single_field(clause) == Some(field))?);
            }
            Some(union)
        })
        .collect();
    // Else each branch may be looked up by something else: in turn the strongest that each has, the second, and so on,
    // for what is strong by itself may be what everybody asks for. What is joined is not asked again.
    let done: Vec<Option<FieldId>> = joined.iter().map(single_field).collect();
    for branch in &mut branches {
        branch.retain(|clause| single_field(clause).is_none_or(|field| !done.contains(&Some(field))));
        branch.sort_by_key(rank);
    }
    for turn in 0..branches.iter().map(Vec::len).max().unwrap_or(0).min(MOST_MIXED) {
        let mixed: Option<Vec<&Clause>> =
            branches.iter().map(|clauses| clauses.get(turn).or(clauses.last())).collect();
        let mixed: Option<Clause> = mixed.map(|clauses| clauses.into_iter().flatten().cloned().collect());
        joined.extend(mixed.filter(|clause| clause.len() <= MOST_WITNESSES));
    }
    for clause in &mut joined {
        clause.sort();
        clause.dedup();
    }
    joined
}

/// Returns the field that all witnesses of a clause are about.
pub(crate) fn single_field(clause: &Clause) -> Option<FieldId> {
    let field = clause.first()?.field;
    clause.iter().all(|witness| witness.field == field).then_some(field)
}

/// The weakest kind of test in a clause, then how many there are: the smaller, the less holds by chance.
fn rank(clause: &Clause) -> (u8, usize) {
    let weakest = clause.iter().map(|witness| match witness.test {
        Test::Equal(_) => 0,
        Test::Contains(_) => 1,
        Test::Fact(_) => 2,
        Test::Present => 3,
    });
    (weakest.max().unwrap_or(0), clause.len())
}

fn equal(field: FieldId, fingerprint: u64) -> Witness {
    Witness { field, test: Test::Equal(fingerprint) }
}

fn fact(field: FieldId, fingerprint: u64) -> Witness {
    Witness { field, test: Test::Fact(fingerprint) }
}

/// What a text must have that matches a regular expression.
fn begins(field: FieldId, regex: &Regex) -> Clause {
    match regular::needed(regex) {
        Some(texts) if texts.iter().all(|text| text.len() >= LEAST_PART) => {
            let mut clause: Clause = texts.iter().map(|text| contains(field, text)).collect();
            clause.sort();
            clause.dedup();
            clause
        }
        _ => vec![present(field)],
    }
}

fn contains(field: FieldId, text: &str) -> Witness {
    Witness { field, test: Test::Contains(folded(text).into()) }
}

fn present(field: FieldId) -> Witness {
    Witness { field, test: Test::Present }
}

fn needed(field: FieldId, needed: Needed<'_>) -> Witness {
    match needed {
        Needed::Whole(text) => equal(field, text_fingerprint(text)),
        Needed::Part(text) if text.len() >= LEAST_PART => contains(field, &text),
        Needed::Part(_) => present(field),
    }
}
