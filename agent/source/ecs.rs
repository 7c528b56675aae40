//! Decodes ECS documents, and JSON documents of any schema: one a line.
//!
//! A field's path may be written nested (`{"process":{"pid":1}}`), dotted (`{"process.pid":1}`) or mixed. What
//! counts is what Elasticsearch would index: arrays, and objects within arrays, are flattened into the values
//! of each path; nulls and empty arrays are nothing; a path that occurs several times has all its values.

use std::fmt;
use std::sync::Arc;

use eql::Scalar;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::problem::LineError;
pub use super::shape::{Found, Wanted};
use super::shape::{Role, decode_by_steps};
use crate::observation::{Document, Values};
use crate::timestamp::{self, TimestampError};

/// The kind of a document that is no event (ECS `event.kind`), and so is read but not evaluated.
///
/// As large as what stands in its place where there is an event: so that is moved as a whole, not by bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum NotEvaluated {
    /// What a detection made.
    Alert,
    /// What something was like at the time: health, inventory.
    State,
    /// What was added to another document.
    Enrichment,
}

impl NotEvaluated {
    pub(super) fn of(kind: &str) -> Option<Self> {
        match kind {
            "alert" => Some(NotEvaluated::Alert),
            "state" => Some(NotEvaluated::State),
            "enrichment" => Some(NotEvaluated::Enrichment),
            _ => None,
        }
    }

    /// Returns the value of `event.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            NotEvaluated::Alert => "alert",
            NotEvaluated::State => "state",
            NotEvaluated::Enrichment => "enrichment",
        }
    }
}

/// Decodes one document: its wanted fields, or of what kind it is if it is no event. `found` is only working
/// memory.
pub fn decode(
    line: &str,
    wanted: &mut Wanted,
    found: &mut Found,
) -> Result<Result<Document, NotEvaluated>, LineError> {
    (found.time, found.tick, found.kind) = (None, None, None);
    let values = match decode_by_steps(line, wanted, found) {
        Some(values) => values,
        None => Arc::new(decode_by_serde(line, wanted, found)?),
    };
    found.document(values).ok_or_else(|| {
        LineError::new(format!(
            "document: no {}; expected an RFC 3339 time or milliseconds since 1970",
            wanted.timestamp_field
        ))
    })
}

fn decode_by_serde(line: &str, wanted: &Wanted, found: &mut Found) -> Result<Values, LineError> {
    found.values.clear();
    (found.time, found.tick, found.kind) = (None, None, None);
    let mut deserializer = serde_json::Deserializer::from_str(line);
    deserializer
        .deserialize_map(At { wanted, node: 0, found })
        .and_then(|()| deserializer.end())
        .map_err(|error| LineError::json("document", "", &error))?;
    Ok(Values::of(line, &mut found.values))
}

/// The value at a node of the tree.
struct At<'s> {
    wanted: &'s Wanted,
    node: u32,
    found: &'s mut Found,
}

impl At<'_> {
    fn role(&self) -> Option<Role> {
        self.wanted.used(self.node).role
    }

    /// Keeps a value, if it is wanted. Made only then: text needs memory.
    fn keep(self, scalar: impl FnOnce() -> Scalar) {
        if let Some(field) = self.wanted.used(self.node).field {
            self.found.values.push((field, scalar()));
        }
    }

    /// Takes `value`, which reads as `time`, for the document's time; of several, the first counts.
    fn keep_time<E: Error>(
        &mut self,
        value: impl fmt::Display,
        time: Result<i64, TimestampError>,
    ) -> Result<(), E> {
        let field = &self.wanted.timestamp_field;
        let time = time.map_err(|error| E::custom(format!("{field}: {value} is {error}")))?;
        self.found.time.get_or_insert(time);
        Ok(())
    }

    fn no_tick<E: Error>() -> E {
        E::custom("vedette.tick: expected a whole number of nanoseconds")
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        match self.role() {
            Some(Role::Timestamp) => self.keep_time(value, Err(TimestampError::Form))?,
            Some(Role::Tick) => return Err(Self::no_tick()),
            Some(Role::Kind) | None => {}
        }
        self.keep(|| Scalar::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        match self.role() {
            Some(Role::Timestamp) => self.keep_time(value, timestamp::from_millis(value))?,
            Some(Role::Tick) => self.found.tick = Some(value),
            Some(Role::Kind) | None => {}
        }
        self.keep(|| Scalar::Int(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        match self.role() {
            Some(Role::Timestamp) => self.keep_time(value, timestamp::from_millis_f64(value))?,
            Some(Role::Tick) => return Err(Self::no_tick()),
            Some(Role::Kind) | None => {}
        }
        self.keep(|| Scalar::Float(value));
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        match self.role() {
            Some(Role::Timestamp) => {
                self.keep_time(format_args!("\"{text}\""), timestamp::parse_value(text))?;
            }
            Some(Role::Tick) => return Err(Self::no_tick()),
            Some(Role::Kind) => self.found.kind = self.found.kind.or(NotEvaluated::of(text)),
            None => {}
        }
        self.keep(|| Scalar::from(text));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(At { wanted: self.wanted, node: self.node, found: self.found })?.is_some()
        {
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(child) = map.next_key_seed(KeyFrom { wanted: self.wanted, node: self.node })? {
            match child {
                Some(node) => map.next_value_seed(At { wanted: self.wanted, node, found: self.found })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key, read as the node that it leads to from another.
struct KeyFrom<'w> {
    wanted: &'w Wanted,
    node: u32,
}

impl<'de> DeserializeSeed<'de> for KeyFrom<'_> {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u32>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyFrom<'_> {
    type Value = Option<u32>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<u32>, E> {
        Ok(self.wanted.paths.descend(self.node, key))
    }
}

#[cfg(test)]
mod tests;
