//! Decodes ECS documents, and JSON documents of any schema: one a line.
//!
//! A field's path may be written nested (`{"process":{"pid":1}}`), dotted (`{"process.pid":1}`) or mixed. What
//! counts is what Elasticsearch would index: arrays, and objects within arrays, are flattened into the values
//! of each path; nulls and empty arrays are nothing; a path that occurs several times has all its values.

use std::fmt;

use eql::{FieldId, Scalar};
use rustc_hash::FxHashMap;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::problem::LineError;
use crate::observation::{Document, FieldValue};
use crate::timestamp::{self, TimestampError};

/// The kind of a document that is no event (ECS `event.kind`), and so is read but not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotEvaluated {
    /// What a detection made.
    Alert,
    /// What something was like at the time: health, inventory.
    State,
    /// What was added to another document.
    Enrichment,
}

impl NotEvaluated {
    fn of(kind: &str) -> Option<Self> {
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

/// The fields that are kept, as a tree of path segments.
#[derive(Debug)]
pub struct Wanted {
    timestamp_field: Box<str>,
    /// The root is the first.
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// The index of the node of each longer path.
    children: FxHashMap<Box<str>, usize>,
    field: Option<FieldId>,
    role: Option<Role>,
}

/// What a value means to the decoder itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Timestamp,
    Kind,
    Tick,
}

/// What was found in a document; kept between documents for its memory only.
#[derive(Debug, Default)]
pub struct Found {
    values: Vec<(FieldId, Scalar)>,
    time: Option<i64>,
    tick: Option<i64>,
    kind: Option<NotEvaluated>,
}

impl Wanted {
    /// Keeps `fields` of ECS documents, whose time is `@timestamp`; `event.kind` and `vedette.tick` mean
    /// what they say.
    pub fn recording<'p>(fields: impl IntoIterator<Item = (FieldId, &'p str)>) -> Self {
        let mut wanted = Self::raw("@timestamp", fields);
        wanted.assign("event.kind", Role::Kind);
        wanted.assign("vedette.tick", Role::Tick);
        wanted
    }

    /// Keeps `fields` of documents of any schema, whose time is `timestamp_field`.
    pub fn raw<'p>(timestamp_field: &str, fields: impl IntoIterator<Item = (FieldId, &'p str)>) -> Self {
        let mut wanted = Wanted { timestamp_field: timestamp_field.into(), nodes: vec![Node::default()] };
        for (field, path) in fields {
            let node = wanted.node(path);
            wanted.nodes[node].field = Some(field);
        }
        wanted.assign(timestamp_field, Role::Timestamp);
        wanted
    }

    fn assign(&mut self, path: &str, role: Role) {
        let node = self.node(path);
        self.nodes[node].role = Some(role);
    }

    /// Returns the index of the node of `path`, making it if it is new.
    fn node(&mut self, path: &str) -> usize {
        let mut at = 0;
        for segment in path.split('.') {
            at = match self.nodes[at].children.get(segment) {
                Some(child) => *child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(Node::default());
                    self.nodes[at].children.insert(segment.into(), child);
                    child
                }
            };
        }
        at
    }

    /// Returns the node that `key`, one segment or several, leads to from `node`.
    fn descend(&self, node: usize, key: &str) -> Option<usize> {
        // Most keys are one segment, and most of those are not wanted.
        if let Some(child) = self.nodes[node].children.get(key) {
            return Some(*child);
        }
        let (segment, rest) = key.split_once('.')?;
        let child = *self.nodes[node].children.get(segment)?;
        rest.split('.').try_fold(child, |at, segment| self.nodes[at].children.get(segment).copied())
    }
}

/// Decodes one document: its wanted fields, or of what kind it is if it is no event. `found` is only working
/// memory.
pub fn decode(
    line: &str,
    wanted: &Wanted,
    found: &mut Found,
) -> Result<Result<Document, NotEvaluated>, LineError> {
    found.values.clear();
    (found.time, found.tick, found.kind) = (None, None, None);
    let mut deserializer = serde_json::Deserializer::from_str(line);
    deserializer
        .deserialize_map(At { wanted, node: 0, found })
        .and_then(|()| deserializer.end())
        .map_err(|error| LineError::json("document", "", &error))?;
    if let Some(kind) = found.kind {
        return Ok(Err(kind));
    }
    let time = found.time.ok_or_else(|| {
        LineError::new(format!(
            "document: no {}; expected an RFC 3339 time or milliseconds since 1970",
            wanted.timestamp_field
        ))
    })?;
    Ok(Ok(Document { line: line.into(), time, tick: found.tick, fields: fields(&mut found.values) }))
}

/// Groups values by field.
fn fields(values: &mut Vec<(FieldId, Scalar)>) -> Box<[(FieldId, FieldValue)]> {
    // Stable: several values of a field keep their order.
    values.sort_by_key(|(field, _)| *field);
    let mut fields = Vec::with_capacity(values.len());
    let mut rest = values.drain(..).peekable();
    while let Some((field, first)) = rest.next() {
        let is_same = |next: &(FieldId, Scalar)| next.0 == field;
        let value = match rest.next_if(is_same) {
            None => FieldValue::One(first),
            Some((_, second)) => {
                let mut list = vec![first, second];
                list.extend(std::iter::from_fn(|| rest.next_if(is_same)).map(|(_, scalar)| scalar));
                FieldValue::Many(list.into())
            }
        };
        fields.push((field, value));
    }
    fields.into()
}

/// The value at a node of the tree.
struct At<'s> {
    wanted: &'s Wanted,
    node: usize,
    found: &'s mut Found,
}

impl At<'_> {
    fn role(&self) -> Option<Role> {
        self.wanted.nodes[self.node].role
    }

    /// Keeps a value, if it is wanted. Made only then: text needs memory.
    fn keep(self, scalar: impl FnOnce() -> Scalar) {
        if let Some(field) = self.wanted.nodes[self.node].field {
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
    node: usize,
}

impl<'de> DeserializeSeed<'de> for KeyFrom<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyFrom<'_> {
    type Value = Option<usize>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.wanted.descend(self.node, key))
    }
}

#[cfg(test)]
mod tests;
