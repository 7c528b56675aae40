//! Decodes ECS documents, and JSON documents of any schema: one a line.
//!
//! A field's path may be written nested (`{"process":{"pid":1}}`), dotted (`{"process.pid":1}`) or mixed. What
//! counts is what Elasticsearch would index: arrays, and objects within arrays, are flattened into the values
//! of each path; nulls and empty arrays are nothing; a path that occurs several times has all its values.

mod notes;

use std::fmt;
use std::sync::Arc;

use eql::{FieldId, Scalar};
use rustc_hash::FxHashMap;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub(super) use self::notes::{Note, Notes, note};
use super::eslogger::places::{self, Slot, Slots};
use super::problem::LineError;
use super::scan::Paths;
use crate::observation::{Document, Form, Layout, MAX_PLACES, Message, Place, Values};
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

/// The fields that are kept.
#[derive(Clone, Debug)]
pub struct Wanted {
    timestamp_field: Box<str>,
    paths: Paths,
    /// What the values at each node of the paths are for.
    uses: Vec<Use>,
    /// The shapes of documents that came by, by a hash of their places' nodes.
    shapes: FxHashMap<u64, Arc<Shape>>,
}

/// How many shapes are kept; they come from whoever made the documents.
const MAX_SHAPES: usize = 256;

/// Documents whose wanted values stand in the same order.
#[derive(Clone, Debug)]
struct Shape {
    nodes: Box<[u32]>,
    layout: Arc<Layout>,
    /// The places that mean something to the decoder.
    roles: Box<[(Role, usize)]>,
    form: ShapeForm,
}

#[derive(Clone, Debug)]
enum ShapeForm {
    Document,
    Message(Slots),
    /// Not known by what there is.
    Unclear,
}

/// What a line was read as by its places.
pub(super) enum Read<'a> {
    /// A document, or of what kind it is if it is no event.
    Document(Result<Document, NotEvaluated>),
    /// An Endpoint Security message.
    Message(Box<Message<'a>>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    field: Option<FieldId>,
    role: Option<Role>,
    slot: Option<Slot>,
}

/// What a value means to the decoder itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Timestamp,
    Kind,
    Tick,
}

/// What was found in a document; kept between documents for its memory only.
#[derive(Clone, Debug, Default)]
pub struct Found {
    places: Vec<Place>,
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
        wanted.at("event.kind").role = Some(Role::Kind);
        wanted.at("vedette.tick").role = Some(Role::Tick);
        wanted
    }

    /// Reads eslogger's messages as well, with their environment variables if `environment` is set.
    pub(super) fn with_messages(mut self, environment: bool) -> Self {
        let Wanted { paths, uses, .. } = &mut self;
        places::want(paths, environment, |node, slot| used(uses, node).slot = Some(slot));
        self
    }

    /// Keeps `fields` of documents of any schema, whose time is `timestamp_field`.
    pub fn raw<'p>(timestamp_field: &str, fields: impl IntoIterator<Item = (FieldId, &'p str)>) -> Self {
        let mut wanted = Wanted {
            timestamp_field: timestamp_field.into(),
            paths: Paths::default(),
            uses: Vec::new(),
            shapes: FxHashMap::default(),
        };
        for (field, path) in fields {
            wanted.at(path).field = Some(field);
        }
        wanted.at(timestamp_field).role = Some(Role::Timestamp);
        wanted
    }

    /// Returns what the values of `path` are for.
    fn at(&mut self, path: &str) -> &mut Use {
        // Paths are all named before the first document, so that no shape is of fewer.
        used(&mut self.uses, self.paths.want(path))
    }

    fn used(&self, node: u32) -> Use {
        self.uses.get(node as usize).copied().unwrap_or_default()
    }

    /// Tells by a line's places which form it is of. An ECS document has a time and nothing that only messages have.
    fn form(&self, places: &[Place]) -> ShapeForm {
        let uses = || places.iter().map(|place| self.used(place.node));
        let is_telling = |own: Use| own.slot.is_some_and(places::is_telling);
        match (uses().any(|own| own.role == Some(Role::Timestamp)), uses().any(is_telling)) {
            (true, false) => ShapeForm::Document,
            (false, true) => {
                places::slots(uses().map(|own| own.slot)).map_or(ShapeForm::Unclear, ShapeForm::Message)
            }
            _ => ShapeForm::Unclear,
        }
    }

    /// Returns the shape of a document with these places; `None` if there are too many of them.
    fn shape(&mut self, places: &[Place]) -> Option<&Arc<Shape>> {
        let hash = places.iter().fold(places.len() as u64, |hash, place| {
            (hash.rotate_left(5) ^ u64::from(place.node)).wrapping_mul(0x517c_c1b7_2722_0a95)
        });
        let is_same =
            |shape: &Arc<Shape>| places.iter().map(|place| place.node).eq(shape.nodes.iter().copied());
        // Looked at first, because a borrow that is returned on one path only is not accepted.
        if !self.shapes.get(&hash).is_some_and(is_same) {
            if places.len() > MAX_PLACES {
                return None;
            }
            if self.shapes.len() >= MAX_SHAPES {
                self.shapes.clear();
            }
            let shape = Shape {
                nodes: places.iter().map(|place| place.node).collect(),
                layout: Arc::new(Layout::new(places.iter().map(|place| self.used(place.node).field))),
                roles: (0..)
                    .zip(places)
                    .filter_map(|(at, place)| Some((self.used(place.node).role?, at)))
                    .collect(),
                form: self.form(places),
            };
            self.shapes.insert(hash, Arc::new(shape));
        }
        self.shapes.get(&hash)
    }
}

/// Returns what the values at a node are for.
fn used(uses: &mut Vec<Use>, node: u32) -> &mut Use {
    let node = node as usize;
    if node >= uses.len() {
        uses.resize(node + 1, Use::default());
    }
    &mut uses[node]
}

/// Reads a line of either form by the places of its values; `None` where serde_json must decide what it is, or what is
/// wrong with it. `found` is only working memory.
pub(super) fn read<'a>(line: &'a str, wanted: &mut Wanted, found: &mut Found) -> Option<Read<'a>> {
    let is_doubtful = scan(line, wanted, found)?;
    let shape = wanted.shape(&found.places)?;
    match &shape.form {
        ShapeForm::Document => {
            let values = take_places(line, shape, found, is_doubtful)?;
            Some(Read::Document(match found.kind {
                Some(kind) => Err(kind),
                None => {
                    let (time, tick) = (found.time?, found.tick);
                    Ok(Document { line: line.into(), time, tick, values: Arc::new(values) })
                }
            }))
        }
        ShapeForm::Message(slots) => {
            places::read(line, &found.places, slots).map(|message| Read::Message(Box::new(message)))
        }
        ShapeForm::Unclear => None,
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
    let values = match decode_by_places(line, wanted, found) {
        Some(values) => values,
        None => decode_by_serde(line, wanted, found)?,
    };
    if let Some(kind) = found.kind {
        return Ok(Err(kind));
    }
    let time = found.time.ok_or_else(|| {
        LineError::new(format!(
            "document: no {}; expected an RFC 3339 time or milliseconds since 1970",
            wanted.timestamp_field
        ))
    })?;
    Ok(Ok(Document { line: line.into(), time, tick: found.tick, values: Arc::new(values) }))
}

/// Decodes a document by noting where its values lie; `None` where serde_json must decide what it is, or what
/// is wrong with it.
fn decode_by_places(line: &str, wanted: &mut Wanted, found: &mut Found) -> Option<Values> {
    let is_doubtful = scan(line, wanted, found)?;
    let shape = wanted.shape(&found.places)?;
    take_places(line, shape, found, is_doubtful)
}

/// Finds the places of a line's values; returns whether some may not be readable.
fn scan(line: &str, wanted: &mut Wanted, found: &mut Found) -> Option<bool> {
    found.places.clear();
    u32::try_from(line.len()).ok()?;
    wanted.paths.scan(line, &mut found.places)
}

/// Takes a document's values, and what means something to the decoder.
fn take_places(line: &str, shape: &Shape, found: &mut Found, is_doubtful: bool) -> Option<Values> {
    take_roles(line, shape, found, is_doubtful)?;
    Some(Values::at(Arc::clone(&shape.layout), &found.places))
}

/// Takes what of a document means something to the decoder; `None` if not all of its values are readable.
fn take_roles(line: &str, shape: &Shape, found: &mut Found, is_doubtful: bool) -> Option<()> {
    if is_doubtful && !found.places.iter().all(|place| place.is_readable(line)) {
        return None;
    }
    (found.time, found.tick, found.kind) = (None, None, None);
    for (role, at) in &shape.roles {
        let place = found.places[*at];
        let text = place.text(line);
        match (role, place.form) {
            (Role::Timestamp, Form::Text) => {
                found.time.get_or_insert(timestamp::parse_value(text).ok()?);
            }
            (Role::Kind, Form::Text) => found.kind = found.kind.or(NotEvaluated::of(text)),
            (Role::Tick, Form::Integer) => found.tick = Some(text.parse().ok()?),
            _ => return None,
        }
    }
    Some(())
}

fn decode_by_serde(line: &str, wanted: &Wanted, found: &mut Found) -> Result<Values, LineError> {
    found.values.clear();
    (found.time, found.tick, found.kind) = (None, None, None);
    let mut deserializer = serde_json::Deserializer::from_str(line);
    deserializer
        .deserialize_map(At { wanted, node: 0, found })
        .and_then(|()| deserializer.end())
        .map_err(|error| LineError::json("document", "", &error))?;
    Ok(Values::of(&mut found.values))
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
