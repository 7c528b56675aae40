//! What the terms of one category ask for, of which each field that an event has leaves less.
//!
//! The fields are looked at in an order that drops much early, and only as long as something that is left asks for
//! them: of most events that is a few fields, however many terms there are. A term that may hold in several ways is
//! several *alternatives*, each by itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::choice::Choice;
use crate::fold::folded;
use crate::parts::Parts;
use crate::record::Record;
use crate::schema::FieldId;
use crate::value::Value;
use crate::witness::{Clause, Test, fingerprint, folded_fingerprint};

/// A set of alternatives, by number: only the words of a bit set that are not empty.
pub(crate) type Set = Box<[(u32, u64)]>;

/// Some words of a bit set, for they are combined without a loop.
type Block = [u64; 4];

/// How many alternatives a block has bits for.
const BLOCK_BITS: usize = 64 * 4;

/// Alternatives of one category.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    /// A bit for each: whether it counts now.
    counting: Vec<Block>,
    /// In the order in which they are looked at.
    fields: Vec<FieldLookup>,
}

/// What is asked of one field.
#[derive(Debug)]
struct FieldLookup {
    field: FieldId,
    /// A bit for each alternative that asks for anything here, and so is dropped if it does not find it.
    asking: Box<[Block]>,
    present: Set,
    /// What is found by values, by their fingerprints, and a bit for each alternative that asks for one.
    equal: HashMap<u64, Set, BuildHasherDefault<AsItIs>>,
    asking_equal: Box<[Block]>,
    /// The same for parts of values.
    parts: Option<Parts>,
    asking_parts: Box<[Block]>,
}

/// A bit for each alternative that has found what it asks for in a field.
#[derive(Debug, Default)]
pub(crate) struct Hits(Vec<Block>);

/// What an event is looked up with, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// A bit for each alternative that is left.
    left: Vec<Block>,
    hits: Hits,
}

impl Sieve {
    /// Makes one of what was chosen; an alternative's number is its place there. None of them counts yet.
    pub(crate) fn new(choice: Choice) -> Self {
        let blocks = choice.clauses.len().div_ceil(BLOCK_BITS);
        let mut fields: Vec<Asked> =
            choice.fields.iter().map(|field| Asked { field: *field, ..Asked::default() }).collect();
        for (number, clauses) in (0..).zip(choice.clauses) {
            for clause in clauses {
                if let Some(asked) = fields.iter_mut().find(|asked| asked.field == clause.field) {
                    asked.ask(clause, number);
                }
            }
        }
        let fields = fields.into_iter().map(|asked| asked.into_lookup(blocks)).collect();
        Sieve { counting: vec![Block::default(); blocks], fields }
    }

    /// Says whether an alternative counts.
    pub(crate) fn set_counting(&mut self, number: u32, counts: bool) {
        let bit = 1 << (number % 64);
        let word = &mut self.counting.as_flattened_mut()[number as usize / 64];
        *word = if counts { *word | bit } else { *word & !bit };
    }

    /// Calls `each` with every alternative that counts and in which `record` may satisfy its term, in order.
    pub(crate) fn find<R: Record>(&self, record: &R, scratch: &mut Scratch, mut each: impl FnMut(u32)) {
        let Scratch { left, hits } = scratch;
        left.clone_from(&self.counting);
        for lookup in &self.fields {
            if have_common(&lookup.asking, left) {
                hits.clear(left.len());
                lookup.find(record, left, hits);
                for ((left, asking), hits) in left.iter_mut().zip(&lookup.asking).zip(&hits.0) {
                    *left = std::array::from_fn(|at| left[at] & (!asking[at] | hits[at]));
                }
            }
        }
        for (at, word) in (0..).zip(left.as_flattened()) {
            let mut rest = *word;
            while rest != 0 {
                each(at * 64 + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
    }
}

impl FieldLookup {
    /// Adds what is found in the field's values for those that are left.
    fn find<R: Record>(&self, record: &R, left: &[Block], hits: &mut Hits) {
        // Where only one of both is asked for, somebody who is left asks for it.
        let equal = Some(&self.equal)
            .filter(|_| !self.equal.is_empty())
            .filter(|_| self.parts.is_none() || have_common(&self.asking_equal, left));
        let parts =
            self.parts.as_ref().filter(|_| self.equal.is_empty() || have_common(&self.asking_parts, left));
        let mut is_present = false;
        record.any(self.field, |value| {
            is_present = true;
            let fingerprint = match value {
                Value::Str(text) => {
                    // A character that is not ASCII may fold to one that is: the Kelvin sign is a k.
                    let folded = if text.is_ascii() { None } else { Some(folded(text)) };
                    let bytes = folded.as_deref().unwrap_or(text).as_bytes();
                    if let Some(parts) = parts {
                        parts.find(bytes, hits);
                    }
                    equal.map(|_| folded_fingerprint(bytes))
                }
                other => fingerprint(other),
            };
            if let Some(found) = fingerprint.and_then(|fingerprint| equal?.get(&fingerprint)) {
                hits.add(found);
            }
            false
        });
        if is_present {
            hits.add(&self.present);
        }
    }
}

fn have_common(one: &[Block], other: &[Block]) -> bool {
    let both = |one: &Block, other: &Block| {
        let words = one.iter().zip(other).fold(0, |both, (one, other)| both | (one & other));
        words != 0
    };
    one.iter().zip(other).any(|(one, other)| both(one, other))
}

impl Hits {
    #[cfg(test)]
    pub(crate) fn has(&self, number: usize) -> bool {
        self.0.as_flattened()[number / 64] >> (number % 64) & 1 == 1
    }

    pub(crate) fn add(&mut self, found: &Set) {
        for (at, word) in found {
            self.0.as_flattened_mut()[*at as usize] |= word;
        }
    }

    pub(crate) fn clear(&mut self, blocks: usize) {
        self.0.clear();
        self.0.resize(blocks, Block::default());
    }
}

/// What is asked of a field, while it is gathered.
#[derive(Default)]
struct Asked {
    field: FieldId,
    asking: Vec<u32>,
    present: Vec<u32>,
    equal: HashMap<u64, Vec<u32>>,
    parts: HashMap<Box<str>, Vec<u32>>,
}

impl Asked {
    fn ask(&mut self, clause: Clause, number: u32) {
        self.asking.push(number);
        for test in clause.tests {
            match test {
                Test::Equal(fingerprint) | Test::Fact(fingerprint) => {
                    self.equal.entry(fingerprint).or_default().push(number)
                }
                Test::Contains(text) => self.parts.entry(text).or_default().push(number),
                Test::Present => self.present.push(number),
            }
        }
    }

    fn into_lookup(self, blocks: usize) -> FieldLookup {
        let bits = |numbers: &mut dyn Iterator<Item = &u32>| {
            let mut bits = vec![Block::default(); blocks];
            numbers.for_each(|number| bits.as_flattened_mut()[*number as usize / 64] |= 1 << (number % 64));
            bits.into_boxed_slice()
        };
        let asking = bits(&mut self.asking.iter());
        let asking_equal = bits(&mut self.equal.values().flatten());
        let asking_parts = bits(&mut self.parts.values().flatten());
        let mut parts: Vec<(Box<str>, Set)> =
            self.parts.into_iter().map(|(text, numbers)| (text, set(numbers))).collect();
        parts.sort();
        FieldLookup {
            field: self.field,
            asking,
            asking_equal,
            asking_parts,
            present: set(self.present),
            equal: self.equal.into_iter().map(|(fingerprint, numbers)| (fingerprint, set(numbers))).collect(),
            parts: Parts::new(parts),
        }
    }
}

fn set(mut numbers: Vec<u32>) -> Set {
    numbers.sort_unstable();
    let mut words: Vec<(u32, u64)> = Vec::new();
    for number in numbers {
        let bit = 1 << (number % 64);
        match words.last_mut() {
            Some((at, word)) if *at == number / 64 => *word |= bit,
            _ => words.push((number / 64, bit)),
        }
    }
    words.into()
}

/// The hash of a number that is one already. Who sends events cannot add to the map.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
