//! Values: what a record's field holds.

use std::sync::Arc;

/// One stored value of a record: an element of a multi-valued field, or part of a join key.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction, or one beyond the range of `i64`.
    Float(f64),
    /// Text. Dates and IP addresses are text too.
    Str(Arc<str>),
}

impl Scalar {
    /// Returns the text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Scalar::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number of bytes this value keeps alive beyond its own size.
    pub fn heap_size(&self) -> usize {
        match self {
            Scalar::Str(text) => text.len() + 2 * size_of::<usize>(),
            _ => 0,
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Scalar::Str(text.into())
    }
}

/// What [`Record::get`](crate::Record::get) returns: nothing, one value, or several.
///
/// An empty list and an absent field are the same to EQL: both are `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// The record does not have the field (EQL's `null`).
    #[default]
    Missing,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Str(&'a str),
    /// Several values; a predicate holds if it holds for any of them.
    List(&'a [Scalar]),
}

impl<'a> Value<'a> {
    /// Returns whether the field has no value at all.
    pub fn is_missing(&self) -> bool {
        matches!(self, Value::Missing | Value::List([]))
    }

    /// Returns the text, if this is one text.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns whether any single value satisfies `test`; `test` never sees `Missing` or `List`.
    pub fn any(self, mut test: impl FnMut(Value<'a>) -> bool) -> bool {
        match self {
            Value::Missing => false,
            Value::List(values) => values.iter().any(|value| test(Value::from(value))),
            single => test(single),
        }
    }

    /// Returns an owned copy of a single value; `None` for `Missing` and lists.
    pub fn to_scalar(self) -> Option<Scalar> {
        match self {
            Value::Missing | Value::List(_) => None,
            Value::Bool(value) => Some(Scalar::Bool(value)),
            Value::Int(value) => Some(Scalar::Int(value)),
            Value::Float(value) => Some(Scalar::Float(value)),
            Value::Str(value) => Some(Scalar::Str(value.into())),
        }
    }
}

impl<'a> From<&'a Scalar> for Value<'a> {
    fn from(scalar: &'a Scalar) -> Self {
        match scalar {
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Int(value) => Value::Int(*value),
            Scalar::Float(value) => Value::Float(*value),
            Scalar::Str(value) => Value::Str(value),
        }
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Value::Missing, Value::Str)
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Value::Missing, Value::Int)
    }
}

impl From<Option<bool>> for Value<'_> {
    fn from(truth: Option<bool>) -> Self {
        truth.map_or(Value::Missing, Value::Bool)
    }
}
