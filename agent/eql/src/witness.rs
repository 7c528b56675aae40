//! What an event must have for a condition to hold, as far as an index can look it up.
//!
//! The analysis may only weaken: whatever satisfies the condition satisfies all clauses of one of its alternatives.
//! What it does not understand gives no clause.

use regex::Regex;

use crate::ast::Comparison;
use crate::fold::folded;
use crate::function::Computed;
use crate::parts::LEAST_PART;
use crate::predicate::{Node, NodeKind, Operand};
use crate::regular;
use crate::schema::FieldId;
use crate::value::Value;
use crate::wildcard::Needed;

/// One of the ways in which a condition may hold. It may be empty, which says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alternative {
    /// What must be found, all of it; no two on the same field.
    pub(crate) clauses: Vec<Clause>,
    /// The relations of the program that the event must have.
    pub(crate) relations: Vec<usize>,
}

/// Tests of one field of which one at least holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) field: FieldId,
    /// Sorted.
    pub(crate) tests: Vec<Test>,
}

/// A test of a field that an index answers for all conditions at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Test {
    /// A text has this [fingerprint](text_fingerprint).
    Equal(u64),
    /// A number or a truth has this fingerprint. Of these few are told apart: many events have the same.
    Fact(u64),
    /// A value, folded, begins with this text, which is folded.
    Begins(Box<str>),
    /// A value, folded, contains this text, which is folded.
    Contains(Box<str>),
    /// There is a value.
    Present,
}

/// How many alternatives a condition is taken apart into at most. What would make more is asked less exactly.
const MOST_ALTERNATIVES: usize = 16;

/// Returns the alternatives of a condition; without any it never holds.
pub(crate) fn alternatives(condition: &Node) -> Vec<Alternative> {
    let on_one =
        |clause: Option<Clause>| vec![Alternative { clauses: Vec::from_iter(clause), relations: Vec::new() }];
    match &condition.kind {
        NodeKind::Constant(true) | NodeKind::IsNull(_) => on_one(None),
        NodeKind::Constant(false) => Vec::new(),
        NodeKind::Relation(relation) => vec![Alternative { clauses: Vec::new(), relations: vec![*relation] }],
        NodeKind::And(nodes) => all(nodes.iter().map(alternatives).collect()),
        NodeKind::Or(nodes) => any(nodes.iter().flat_map(alternatives).collect()),
        NodeKind::Not(node) => negated(node),
        NodeKind::Texts(operand, set) => {
            on_one(on(operand, || set.texts().map(|text| Test::Equal(text_fingerprint(text))).collect()))
        }
        NodeKind::Wildcards(operand, patterns) => {
            on_one(on(operand, || patterns.iter().map(|pattern| needed(pattern.needed())).collect()))
        }
        NodeKind::Regexes(operand, regexes) => {
            on_one(on(operand, || regexes.iter().flat_map(begins).collect()))
        }
        NodeKind::Networks(operand, _) => on_one(on(operand, || vec![Test::Present])),
        NodeKind::Truth(operand) => on_one(on(operand, || vec![Test::Fact(bool_fingerprint(true))])),
        NodeKind::Compare { optional: true, .. } => on_one(None),
        NodeKind::Compare { operator, left, right, optional: false } => all(compared(*operator, left, right)),
        NodeKind::In { value, list, .. } => on_one(on(value, || {
            let entries: Option<Vec<Test>> = list
                .iter()
                .map(|entry| match entry {
                    Operand::Constant(constant) => equal_to(constant),
                    _ => None,
                })
                .collect();
            entries.unwrap_or_else(|| vec![Test::Present])
        })),
    }
}

/// The alternatives of a condition that holds where all of several do.
fn all(mut conditions: Vec<Vec<Alternative>>) -> Vec<Alternative> {
    // Those that are exact cost nothing, so that there is room for the others.
    conditions.sort_by_key(Vec::len);
    let mut all = vec![Alternative::default()];
    for own in conditions {
        let own = if all.len() * own.len() <= MOST_ALTERNATIVES { own } else { vec![common(own)] };
        all = all.iter().flat_map(|before| own.iter().map(|own| before.and(own))).collect();
    }
    all
}

/// The alternatives of a condition that holds where one of several does.
fn any(alternatives: Vec<Alternative>) -> Vec<Alternative> {
    let mut any: Vec<Alternative> = Vec::new();
    for own in alternatives {
        let same =
            any.iter_mut().find(|other| own.only_field().is_some() && other.only_field() == own.only_field());
        match same {
            // Values of one field are one question.
            Some(other) => *other = common(vec![std::mem::take(other), own]),
            None => any.push(own),
        }
    }
    let says_nothing = |own: &Alternative| own.clauses.is_empty() && own.relations.is_empty();
    if any.len() > MOST_ALTERNATIVES || any.iter().any(says_nothing) {
        return vec![common(any)];
    }
    any
}

/// What all of several alternatives have in common: of a field that all ask for, the tests of all.
fn common(alternatives: Vec<Alternative>) -> Alternative {
    let mut alternatives = alternatives.into_iter();
    let mut common = alternatives.next().unwrap_or_default();
    common.relations.clear();
    for other in alternatives {
        common.clauses.retain_mut(|clause| {
            let Some(own) = other.clauses.iter().find(|own| own.field == clause.field) else { return false };
            clause.tests.extend_from_slice(&own.tests);
            clause.tests.sort();
            clause.tests.dedup();
            true
        });
    }
    common
}

impl Alternative {
    /// Both of them. Of two clauses on one field the one stays that fewer values pass.
    fn and(&self, other: &Alternative) -> Alternative {
        let mut both = self.clone();
        both.relations.extend(&other.relations);
        for clause in &other.clauses {
            match both.clauses.iter_mut().find(|own| own.field == clause.field) {
                Some(own) if own.weakness() > clause.weakness() => *own = clause.clone(),
                Some(_) => {}
                None => both.clauses.push(clause.clone()),
            }
        }
        both
    }

    /// Returns the field of its only clause, where it asks for nothing else.
    fn only_field(&self) -> Option<FieldId> {
        match (&self.clauses[..], &self.relations[..]) {
            ([clause], []) => Some(clause.field),
            _ => None,
        }
    }
}

impl Clause {
    /// The weakest kind of test, then how many there are: the smaller, the less holds by chance.
    fn weakness(&self) -> (u8, usize) {
        let weakest = self.tests.iter().map(|test| match test {
            Test::Equal(_) => 0,
            Test::Begins(_) => 1,
            Test::Contains(_) => 2,
            Test::Fact(_) => 3,
            Test::Present => 4,
        });
        (weakest.max().unwrap_or(0), self.tests.len())
    }
}

/// Returns the fingerprint of a single value: equal values have the same one. `None` is equal to no constant.
#[inline]
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
#[inline]
pub(crate) fn text_fingerprint(text: &str) -> u64 {
    // A character that is not ASCII may fold to one that is: the Kelvin sign is a k.
    ascii_fingerprint(text.as_bytes()).unwrap_or_else(|| folded_fingerprint(folded(text).as_bytes()))
}

/// The same of a text that is ASCII; `None` of one that is not.
#[inline]
pub(crate) fn ascii_fingerprint(bytes: &[u8]) -> Option<u64> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (fingerprint, seen) = mixed(bytes);
    (seen & HIGH == 0).then_some(fingerprint)
}

/// The same of a text that is folded already but for ASCII letters.
pub(crate) fn folded_fingerprint(bytes: &[u8]) -> u64 {
    mixed(bytes).0
}

/// Returns the fingerprint of a text, and all bits that are set in any of its words.
#[inline]
fn mixed(bytes: &[u8]) -> (u64, u64) {
    // A bit that is set in every lower-case letter makes the case alike, and a few other characters.
    const CASE: u64 = 0x2020_2020_2020_2020;
    let (mut state, mut seen) = ((bytes.len() as u64).wrapping_mul(SPREAD), 0);
    // The last word overlaps the one before; a text of less than a word is all in two halves.
    let last = match bytes.last_chunk::<8>() {
        Some(last) => {
            for word in bytes[..bytes.len() - 1].as_chunks::<8>().0 {
                let word = u64::from_le_bytes(*word);
                state = mix(state, word | CASE);
                seen |= word;
            }
            u64::from_le_bytes(*last)
        }
        None => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
            }
            _ => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        },
    };
    (mix(state, last | CASE), seen | last)
}

fn number_fingerprint(number: f64) -> u64 {
    // Zero has two signs.
    mix(SPREAD, (number + 0.0).to_bits())
}

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word) * 0xd6e8_feb8_6659_fd93;
    (product as u64) ^ ((product >> 64) as u64)
}

fn bool_fingerprint(value: bool) -> u64 {
    mix(!SPREAD, u64::from(value))
}

/// What has the value of a constant; `None` if nothing can be looked up.
fn equal_to(constant: &Computed<'_>) -> Option<Test> {
    match constant {
        Computed::Str(text) => Some(Test::Equal(text_fingerprint(text))),
        Computed::Int(number) => Some(Test::Fact(number_fingerprint(*number as f64))),
        Computed::Float(number) => Some(Test::Fact(number_fingerprint(*number))),
        Computed::Bool(value) => Some(Test::Fact(bool_fingerprint(*value))),
        Computed::Null | Computed::Many(_) => None,
    }
}

/// The clause of an operand that is a field of the event itself.
fn on(operand: &Operand, tests: impl FnOnce() -> Vec<Test>) -> Option<Clause> {
    let Operand::Field { step: None, id } = operand else { return None };
    let mut tests = tests();
    tests.sort();
    tests.dedup();
    Some(Clause { field: *id, tests })
}

/// What each side of a comparison must be.
fn compared(operator: Comparison, left: &Operand, right: &Operand) -> Vec<Vec<Alternative>> {
    let constant = match (left, right) {
        (Operand::Constant(constant), _) | (_, Operand::Constant(constant)) => Some(constant),
        _ => None,
    };
    let test = match (operator, constant) {
        (Comparison::Equal, Some(constant)) => equal_to(constant),
        _ => None,
    };
    // A comparison with nothing is false.
    let of = |operand| on(operand, || vec![test.clone().unwrap_or(Test::Present)]);
    let side = |operand| vec![Alternative { clauses: Vec::from_iter(of(operand)), relations: Vec::new() }];
    vec![side(left), side(right)]
}

fn negated(condition: &Node) -> Vec<Alternative> {
    match &condition.kind {
        NodeKind::Constant(true) => Vec::new(),
        NodeKind::Not(node) => alternatives(node),
        NodeKind::Or(nodes) => all(nodes.iter().map(negated).collect()),
        NodeKind::And(nodes) => any(nodes.iter().flat_map(negated).collect()),
        NodeKind::IsNull(operand) => {
            let clause = on(operand, || vec![Test::Present]);
            vec![Alternative { clauses: Vec::from_iter(clause), relations: Vec::new() }]
        }
        _ => vec![Alternative::default()],
    }
}

/// What a text must have that matches a regular expression.
fn begins(regex: &Regex) -> Vec<Test> {
    match regular::needed(regex) {
        Some(texts) => texts.iter().map(|text| of_part(text, Test::Begins)).collect(),
        None => vec![Test::Present],
    }
}

fn needed(needed: Needed<'_>) -> Test {
    match needed {
        Needed::Whole(text) => Test::Equal(text_fingerprint(text)),
        Needed::Head(text) => of_part(text, Test::Begins),
        Needed::Part(text) => of_part(&text, Test::Contains),
    }
}

/// A test for a part of a value; of one that is too short, that there is a value.
fn of_part(text: &str, test: fn(Box<str>) -> Test) -> Test {
    // Folding may make a text shorter.
    let text = folded(text);
    if text.len() >= LEAST_PART { test(text.into()) } else { Test::Present }
}
