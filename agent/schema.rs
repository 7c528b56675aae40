//! The sensor's fields: one table, the only list of what the sensor produces.
//!
//! The normaliser, the rule checker, the JSON of events and the field reference `docs/fields.md` read
//! [`FIELDS`]; what ECS or Elastic's own sensor has and this one cannot know is in [`NOT_OBSERVED`], with why.

mod eslogger;
mod fields;
mod nested;
mod reference;
mod render;
mod unobserved;

use eql::{FieldId, Schema, Value};

use crate::event::Event;

pub use eslogger::{EsloggerKey, Fate, KEYS};
pub use fields::FIELDS;
pub(crate) use nested::{Node, Object};
pub use reference::reference;
pub(crate) use render::nested;
pub use render::{json, render};
pub use unobserved::{NOT_OBSERVED, Unobserved};

/// The id of `event.category`.
pub const EVENT_CATEGORY: FieldId = id("event.category");

/// The id of the field that events of lost messages have, and no others.
pub const LOSS: FieldId = id("vedette.loss.missing");

/// The event categories that some source of some build provides, each with its values of `event.action`.
pub const EVENT_KINDS: &[(&str, &[&str])] = &[
    ("process", &["exec", "fork", "end"]),
    ("network", &["connection_attempted", "disconnect_received"]),
    ("host", &["events_lost"]),
];

/// One field of the sensor's events.
#[derive(Debug)]
pub struct FieldSpec {
    /// The dotted path, as rules name it.
    pub path: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// Whether records hold it as an array even where there is one value.
    pub array: bool,
    /// The events that carry it.
    pub on: On,
    /// Who can tell it.
    pub source: Source,
    /// Whence its value comes, for people.
    pub whence: &'static str,
    /// Reads it. What a recorded document itself holds goes before and is not seen here.
    pub read: fn(&Event) -> Value<'_>,
}

/// The type of a field's values, in Elasticsearch's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared whole.
    Keyword,
    /// A whole number.
    Long,
    /// `true` or `false`.
    Boolean,
    /// RFC 3339 text.
    Date,
    /// An IP address as text.
    Ip,
}

impl From<Kind> for eql::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Keyword => eql::Kind::Text,
            Kind::Long => eql::Kind::Number,
            Kind::Boolean => eql::Kind::Boolean,
            Kind::Date => eql::Kind::Date,
            Kind::Ip => eql::Kind::Ip,
        }
    }
}

/// Which events carry a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct On(u8);

impl On {
    /// A process replaced its image.
    pub const EXEC: On = On(1);
    /// A process was made.
    pub const FORK: On = On(2);
    /// A process ended.
    pub const END: On = On(4);
    /// A flow began or ended.
    pub const NETWORK: On = On(8);
    /// Messages were lost.
    pub const LOSS: On = On(16);
    /// Exec, fork and end.
    pub const PROCESS: On = On(7);
    /// All of them.
    pub const ALL: On = On(31);

    /// Returns whether all events of `other` carry the field.
    pub fn covers(self, other: On) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Who can tell a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An Endpoint Security message, live or recorded by eslogger.
    Message,
    /// The process table, from the messages before.
    Table,
    /// A network source of a live sensor; in a recording, the network document.
    Flow,
    /// A live sensor, which can ask its Mac; in a recording, only a document that holds it.
    Live,
    /// The sensor itself.
    Sensor,
}

/// What is known of a path that a rule names.
#[derive(Clone, Copy, Debug)]
pub enum Known {
    /// The sensor's events have it.
    Observed(&'static FieldSpec),
    /// No source of any build provides it, and why.
    NotObserved(&'static Unobserved),
    /// Neither ECS, as far as it concerns a Mac's processes and network, nor the sensor knows it.
    Unknown,
}

/// Returns a schema with the sensor's fields, each id an index into [`FIELDS`].
pub fn schema() -> Schema {
    let mut schema = Schema::new();
    for field in FIELDS {
        schema.intern_as(field.path, field.kind.into());
    }
    schema
}

/// Returns what the sensor itself knows under `field`; a path beyond its own table is missing.
pub fn read(event: &Event, field: FieldId) -> Value<'_> {
    // Of what is beyond the table nobody need be asked.
    let Some(spec) = FIELDS.get(field.index()) else { return Value::Missing };
    if event.lacks(field) {
        return Value::Missing;
    }
    (spec.read)(event)
}

/// Returns what is known of `path`. A path below one that is not observed is not observed either.
pub fn lookup(path: &str) -> Known {
    if let Some(spec) = FIELDS.iter().find(|spec| spec.path == path) {
        return Known::Observed(spec);
    }
    let within =
        |whole: &str| path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    match NOT_OBSERVED.iter().find(|field| within(field.path.trim_end_matches(".*"))) {
        Some(field) => Known::NotObserved(field),
        None => Known::Unknown,
    }
}

/// Returns the id of one of [`FIELDS`], while compiling.
///
/// # Panics
/// If there is no such field; in a constant, that is an error of compilation.
pub const fn id(path: &str) -> FieldId {
    let mut index = 0;
    while index < FIELDS.len() {
        if same(FIELDS[index].path.as_bytes(), path.as_bytes()) {
            return FieldId(index as u32);
        }
        index += 1;
    }
    panic!("no such field in the sensor's table");
}

/// Returns for each of [`FIELDS`] whether it is in one of `lists`, while compiling.
pub(crate) const fn among(lists: &[&[FieldId]]) -> [bool; FIELDS.len()] {
    let mut among = [false; FIELDS.len()];
    let mut list = 0;
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            among[lists[list][index].0 as usize] = true;
            index += 1;
        }
        list += 1;
    }
    among
}

/// Whether two texts are equal; `==` cannot be used in a constant.
const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests;
