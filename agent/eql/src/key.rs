//! Join keys.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use crate::compile::KeyPlan;
use crate::record::Record;
use crate::value::{Scalar, Value};

/// The values by which events of one match belong together, in the order of `by`: one piece of memory, hashed once. A
/// clone is a reference count.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Whoever sends events cannot foretell it.
    hash: u64,
    /// Each part's kind and value, so that equal bytes are equal parts.
    bytes: Arc<[u8]>,
}

/// A map by keys, which does not hash them again.
pub(crate) type KeyMap<T> = HashMap<Key, T, BuildHasherDefault<KnownHash>>;

/// One value of a join key. Values are compared by type and case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KeyPart {
    /// Of a `?field` only: there null is a value.
    Null,
    Bool(bool),
    Int(i64),
    /// The bits of a float that is not a whole number.
    Float(u64),
    Str(Arc<str>),
}

/// The most keys that one event may have. An event with two fields of a thousand values each would
/// otherwise cost a million.
pub(crate) const MAX_KEYS: usize = 1024;

/// How many bytes the keys of most sequences have at most.
const USUAL: usize = 128;

/// Collects the keys of an event for a term: none where a field that must be there is missing, one
/// normally, every combination of distinct values where fields have several.
///
/// Returns whether keys beyond [`MAX_KEYS`] were left out.
pub(crate) fn keys<R: Record>(plan: &[KeyPlan], record: &R, found: &mut Vec<Key>) -> bool {
    found.clear();
    let mut bytes = Vec::with_capacity(USUAL);
    for key in plan {
        match record.get(key.field) {
            Value::List(_) => return combinations(plan, record, found),
            Value::Missing if key.optional => write(Value::Missing, &mut bytes),
            Value::Missing => return false,
            single => write(single, &mut bytes),
        }
    }
    found.push(Key::new(&bytes));
    false
}

/// Collects the keys of an event that has several values of a field.
fn combinations<R: Record>(plan: &[KeyPlan], record: &R, found: &mut Vec<Key>) -> bool {
    let mut parts: Vec<Vec<KeyPart>> = Vec::with_capacity(plan.len());
    for key in plan {
        let value = record.get(key.field);
        let mut values = Vec::with_capacity(1);
        value.any(|value| {
            if let Some(part) = part(value)
                && !values.contains(&part)
                && values.len() <= MAX_KEYS
            {
                values.push(part);
            }
            false
        });
        if values.is_empty() {
            if !key.optional {
                return false;
            }
            values.push(KeyPart::Null);
        }
        parts.push(values);
    }
    let total = parts.iter().fold(1usize, |total, values| total.saturating_mul(values.len()));
    let mut key: Vec<&KeyPart> = Vec::with_capacity(parts.len());
    let mut bytes = Vec::with_capacity(USUAL);
    for index in 0..total.min(MAX_KEYS) {
        // The index counted in a system whose digits are the values, the last field's fastest.
        let mut rest = index;
        key.clear();
        for values in parts.iter().rev() {
            key.push(&values[rest % values.len()]);
            rest /= values.len();
        }
        bytes.clear();
        key.iter().rev().for_each(|part| write(part.value(), &mut bytes));
        found.push(Key::new(&bytes));
    }
    total > MAX_KEYS
}

/// Returns a single value as part of a key.
pub(crate) fn part(value: Value<'_>) -> Option<KeyPart> {
    Some(match value {
        Value::Bool(value) => KeyPart::Bool(value),
        Value::Int(number) => KeyPart::Int(number),
        Value::Float(number) => match whole(number) {
            Some(number) => KeyPart::Int(number),
            None => KeyPart::Float(number.to_bits()),
        },
        Value::Str(text) => KeyPart::Str(text.into()),
        Value::Missing | Value::List(_) => return None,
    })
}

/// Returns a float as the whole number that it is equal to, if it is one.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// What kind of part follows in a key.
mod kind {
    pub(super) const NULL: u8 = 0;
    pub(super) const BOOL: u8 = 1;
    pub(super) const INT: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
    pub(super) const STR: u8 = 4;
}

/// Appends a part of a key; `Missing` is null.
fn write(value: Value<'_>, bytes: &mut Vec<u8>) {
    let (kind, number) = match value {
        Value::Missing | Value::List(_) => (kind::NULL, 0),
        Value::Bool(value) => (kind::BOOL, u64::from(value)),
        Value::Int(number) => (kind::INT, number as u64),
        Value::Float(number) => match whole(number) {
            Some(number) => (kind::INT, number as u64),
            None => (kind::FLOAT, number.to_bits()),
        },
        Value::Str(text) => (kind::STR, text.len() as u64),
    };
    bytes.push(kind);
    bytes.extend_from_slice(&number.to_le_bytes());
    if let Value::Str(text) = value {
        bytes.extend_from_slice(text.as_bytes());
    }
}

/// Takes the first part off what [`write`] has written.
fn read(bytes: &mut &[u8]) -> Option<KeyPart> {
    let (kind, rest) = bytes.split_first()?;
    let (number, rest) = rest.split_first_chunk()?;
    let number = u64::from_le_bytes(*number);
    *bytes = rest;
    Some(match *kind {
        kind::NULL => KeyPart::Null,
        kind::BOOL => KeyPart::Bool(number != 0),
        kind::INT => KeyPart::Int(number as i64),
        kind::FLOAT => KeyPart::Float(number),
        _ => {
            let (text, rest) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            *bytes = rest;
            KeyPart::Str(std::str::from_utf8(text).ok()?.into())
        }
    })
}

impl Key {
    fn new(bytes: &[u8]) -> Self {
        // One for all: keys go over from an engine's program to the one that takes its place.
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Key { hash: HASHER.hash_one(bytes), bytes: bytes.into() }
    }

    /// Returns its parts, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = KeyPart> {
        let mut rest = &*self.bytes;
        std::iter::from_fn(move || read(&mut rest))
    }

    /// Returns its values; `None` is null.
    pub(crate) fn to_scalars(&self) -> Vec<Option<Scalar>> {
        self.parts().map(KeyPart::into_scalar).collect()
    }

    /// Returns about how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Key>() + 2 * size_of::<usize>() + self.bytes.len()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(other.parts())
    }
}

/// Passes the hash of a [`Key`] on.
#[derive(Debug, Default)]
pub(crate) struct KnownHash(u64);

impl Hasher for KnownHash {
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

impl KeyPart {
    fn value(&self) -> Value<'_> {
        match self {
            KeyPart::Null => Value::Missing,
            KeyPart::Bool(value) => Value::Bool(*value),
            KeyPart::Int(number) => Value::Int(*number),
            KeyPart::Float(bits) => Value::Float(f64::from_bits(*bits)),
            KeyPart::Str(text) => Value::Str(text),
        }
    }

    /// Returns the value; `None` is null.
    fn into_scalar(self) -> Option<Scalar> {
        match self {
            KeyPart::Null => None,
            KeyPart::Bool(value) => Some(Scalar::Bool(value)),
            KeyPart::Int(number) => Some(Scalar::Int(number)),
            KeyPart::Float(bits) => Some(Scalar::Float(f64::from_bits(bits))),
            KeyPart::Str(text) => Some(Scalar::Str(text)),
        }
    }

    /// Returns about how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let text = match self {
            KeyPart::Str(text) => text.len() + 16,
            _ => 0,
        };
        size_of::<KeyPart>() + text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = KeyPart> {
        prop_oneof![
            Just(KeyPart::Null),
            any::<bool>().prop_map(KeyPart::Bool),
            any::<i64>().prop_map(KeyPart::Int),
            any::<f64>()
                .prop_filter("a whole number", |number| whole(*number).is_none())
                .prop_map(|number| { KeyPart::Float(number.to_bits()) }),
            ".{0,20}".prop_map(|text| KeyPart::Str(text.into())),
        ]
    }

    fn key(parts: &[KeyPart]) -> Key {
        let mut bytes = Vec::with_capacity(USUAL);
        parts.iter().for_each(|part| write(part.value(), &mut bytes));
        Key::new(&bytes)
    }

    proptest! {
        #[test]
        fn a_key_says_what_its_parts_say(
            one in prop::collection::vec(value(), 0..4),
            other in prop::collection::vec(value(), 0..4),
        ) {
            prop_assert!(key(&one).parts().eq(one.iter().cloned()));
            prop_assert_eq!(key(&one) == key(&other), one == other);
            prop_assert_eq!(key(&one).cmp(&key(&other)), one.cmp(&other));
            prop_assert_eq!(key(&one), key(&one));
        }
    }
}
