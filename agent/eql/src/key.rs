//! Join keys.

use std::sync::Arc;

use crate::compile::KeyPlan;
use crate::record::Record;
use crate::value::{Scalar, Value};

/// The values by which events of one match belong together, in the order of `by`.
pub(crate) type Key = Arc<[KeyPart]>;

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

/// Collects the keys of an event for a term: none where a field that must be there is missing, one
/// normally, every combination of distinct values where fields have several.
///
/// Returns whether keys beyond [`MAX_KEYS`] were left out.
pub(crate) fn keys<R: Record>(plan: &[KeyPlan], record: &R, found: &mut Vec<Key>) -> bool {
    found.clear();
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
    for index in 0..total.min(MAX_KEYS) {
        // The index counted in a system whose digits are the values, the last field's fastest.
        let mut rest = index;
        let mut key: Vec<KeyPart> = Vec::with_capacity(parts.len());
        for values in parts.iter().rev() {
            key.push(values[rest % values.len()].clone());
            rest /= values.len();
        }
        key.reverse();
        found.push(key.into());
    }
    total > MAX_KEYS
}

/// Returns a single value as part of a key.
pub(crate) fn part(value: Value<'_>) -> Option<KeyPart> {
    Some(match value {
        Value::Bool(value) => KeyPart::Bool(value),
        Value::Int(number) => KeyPart::Int(number),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => KeyPart::Int(number as i64),
        Value::Float(number) => KeyPart::Float(number.to_bits()),
        Value::Str(text) => KeyPart::Str(text.into()),
        Value::Missing | Value::List(_) => return None,
    })
}

impl KeyPart {
    /// Returns the value; `None` is null.
    pub(crate) fn to_scalar(&self) -> Option<Scalar> {
        match self {
            KeyPart::Null => None,
            KeyPart::Bool(value) => Some(Scalar::Bool(*value)),
            KeyPart::Int(number) => Some(Scalar::Int(*number)),
            KeyPart::Float(bits) => Some(Scalar::Float(f64::from_bits(*bits))),
            KeyPart::Str(text) => Some(Scalar::Str(text.clone())),
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

/// Returns about how many bytes a key takes.
pub(crate) fn size(key: &Key) -> usize {
    key.iter().map(KeyPart::size).sum()
}
