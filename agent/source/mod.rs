//! Sources of recorded events: eslogger's JSON and ECS documents, told apart line by line.
//!
//! [`Merge`] reads files in the order of their events' times, [`Lines`] the lines of one file, [`Decoder`]
//! one line.

pub mod ecs;
pub mod eslogger;

mod ahead;
pub(crate) mod compressed;
mod lines;
mod merge;
mod nested;
mod problem;
mod scan;
mod shape;

use std::fmt;

use eql::FieldId;
use memchr::memmem::Finder;
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};

pub use self::ecs::NotEvaluated;
pub use self::lines::{Line, Lines, MAX_LINE};
pub use self::merge::{Counters, Item, Merge, Position};
pub use self::nested::{parse as parse_nested, to_json};
pub use self::problem::{LineError, Problem, SourceError};
use self::shape::{Found, Note, Notes, Read, Wanted};
use crate::observation::Observation;

/// What a line of a recording is.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// An event.
    Observation(Observation<'a>),
    /// A document that is no event: an alert, a state, an enrichment.
    NotEvaluated(NotEvaluated),
}

impl<'a> From<Read<'a>> for Decoded<'a> {
    fn from(read: Read<'a>) -> Self {
        match read {
            Read::Document(Ok(document)) => Decoded::Observation(Observation::Document(document)),
            Read::Document(Err(kind)) => Decoded::NotEvaluated(kind),
            Read::Message(message) => Decoded::Observation(Observation::Message(message)),
        }
    }
}

/// The form that a line is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Eslogger,
    Ecs,
    Unknown,
}

/// Reads lines, of either form or of any schema.
///
/// Which documents' fields are kept is fixed when it is made; a field that nobody reads costs a scan over
/// its text and no allocation.
#[derive(Clone, Debug)]
pub struct Decoder {
    wanted: Wanted,
    mode: Mode,
    found: Found,
    timestamp_key: Finder<'static>,
    event_type_key: Finder<'static>,
}

#[derive(Clone, Debug)]
enum Mode {
    Recording { environment: bool },
    Raw,
}

impl Decoder {
    /// Reads recordings: eslogger's lines, with their environment variables if `environment` is set, and ECS
    /// documents, of which `fields` are kept.
    pub fn recording<'p>(fields: impl IntoIterator<Item = (FieldId, &'p str)>, environment: bool) -> Self {
        Self::new(Wanted::recording(fields).with_messages(environment), Mode::Recording { environment })
    }

    /// Reads JSON documents of any schema, of which `fields` are kept; `timestamp_field` is the path of
    /// their time. Nothing in them has a meaning of its own: alerts are events too.
    pub fn raw<'p>(timestamp_field: &str, fields: impl IntoIterator<Item = (FieldId, &'p str)>) -> Self {
        Self::new(Wanted::raw(timestamp_field, fields), Mode::Raw)
    }

    fn new(wanted: Wanted, mode: Mode) -> Self {
        Decoder {
            wanted,
            mode,
            found: Found::default(),
            timestamp_key: Finder::new(b"\"@timestamp\""),
            event_type_key: Finder::new(b"\"event_type\""),
        }
    }

    /// Decodes one line.
    pub fn decode<'a>(&mut self, line: &'a str) -> Result<Decoded<'a>, LineError> {
        let Mode::Recording { environment } = self.mode else { return self.decode_document(line) };
        if let Some(read) = shape::read(line, &mut self.wanted, &mut self.found) {
            return Ok(read.into());
        }
        match self.form(line) {
            Form::Ecs => self.decode_document(line),
            Form::Eslogger => eslogger::decode(line, environment)
                .map(|message| Decoded::Observation(Observation::Message(Box::new(message))))
                .map_err(|error| if form_by_keys(line) == Form::Unknown { unknown(line) } else { error }),
            Form::Unknown => Err(unknown(line)),
        }
    }

    /// Decodes one line for another thread; `None` where only [`decode`](Self::decode) can tell what it is.
    fn note(&mut self, line: &str, notes: &mut Notes) -> Option<Result<Note, NotEvaluated>> {
        shape::note(line, &mut self.wanted, &mut self.found, notes)
    }

    fn decode_document<'a>(&mut self, line: &str) -> Result<Decoded<'a>, LineError> {
        ecs::decode(line, &mut self.wanted, &mut self.found).map(|decoded| match decoded {
            Ok(document) => Decoded::Observation(Observation::Document(document)),
            Err(kind) => Decoded::NotEvaluated(kind),
        })
    }

    /// Tells the form of `line` by what it contains, which nearly always is enough. A key that is not in the
    /// text is not in the object; one that is may be something else (an argument can be anything), and so
    /// where both forms' keys occur the top-level keys decide.
    fn form(&self, line: &str) -> Form {
        if self.timestamp_key.find(line.as_bytes()).is_none() {
            Form::Eslogger
        } else if self.event_type_key.find(line.as_bytes()).is_none() {
            Form::Ecs
        } else {
            form_by_keys(line)
        }
    }
}

/// Says why a line of neither form is none.
fn unknown(line: &str) -> LineError {
    match serde_json::from_str::<IgnoredAny>(line) {
        Err(error) => LineError::json("not JSON", "", &error),
        Ok(_) if !line.trim_start().starts_with('{') => {
            LineError::new("not a JSON object; expected an eslogger message or an ECS document")
        }
        Ok(_) => LineError::new(
            "neither an eslogger message (it would have event_type, process and event) nor an ECS document \
             (it would have @timestamp)",
        ),
    }
}

/// Tells the form of `line` by its top-level keys.
fn form_by_keys(line: &str) -> Form {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    // A line that breaks off is judged by the keys that came before.
    let mut keys = Keys::default();
    let _ = deserializer.deserialize_map(&mut keys);
    // A log shipper may have added an @timestamp to an eslogger message, but nobody adds a mach_time.
    if keys.mach_time && keys.process && keys.event {
        Form::Eslogger
    } else if keys.timestamp {
        Form::Ecs
    } else if (keys.mach_time || keys.event_type) && (keys.process || keys.event) {
        Form::Eslogger
    } else {
        Form::Unknown
    }
}

/// Which telling keys an object has.
#[derive(Default)]
struct Keys {
    timestamp: bool,
    event_type: bool,
    mach_time: bool,
    process: bool,
    event: bool,
}

impl<'de> Visitor<'de> for &mut Keys {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<eslogger::Text<'de>>()? {
            match &*key.0 {
                "@timestamp" => self.timestamp = true,
                "event_type" => self.event_type = true,
                "mach_time" => self.mach_time = true,
                "process" => self.process = true,
                "event" => self.event = true,
                _ => {}
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
