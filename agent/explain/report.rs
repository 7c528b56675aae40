//! What an explanation says: plain data, bounded, and the JSON of `rules explain --json`.

use serde::Serialize;
use serde_json::Value as Json;

/// Why a rule did or did not fire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Which rule.
    pub rule: RuleName,
    /// Events shown to the rule.
    pub events: u64,
    /// How often it alerts.
    pub fired: u64,
    /// Matches that came to no alert because the same one was given before.
    pub repeated: u64,
    /// Matches whose alert an exception withheld.
    pub withheld: u64,
    /// The longest time from the first event to the last, in nanoseconds.
    pub maxspan_ns: Option<i64>,
    /// The first matches, at most [`MAX_MATCHES`](super::MAX_MATCHES).
    pub matches: Vec<Fired>,
    /// What came nearest to firing and did not, the nearest first, at most [`MAX_SILENCES`](super::MAX_SILENCES).
    pub silences: Vec<Silence>,
    /// The terms in the order of the text, `until` last.
    pub terms: Vec<Term>,
    /// The exceptions for this rule.
    pub exceptions: Vec<Excepted>,
}

/// A rule by its names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleName {
    /// `rule.id`.
    pub id: String,
    /// `rule.name`.
    pub name: String,
    /// `rule.version`.
    pub version: String,
    /// The file.
    pub path: String,
}

/// A match of the whole rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fired {
    /// The alert's `event.id`.
    pub id: String,
    /// The exception that withholds the alert.
    pub withheld_by: Option<String>,
    /// From the first event to the last, in nanoseconds.
    pub span_ns: i64,
    /// The join keys.
    pub keys: Vec<Value>,
    /// The events, in order.
    pub steps: Vec<Step>,
}

/// An event that satisfied a term.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The term's number, from 1.
    pub term: usize,
    /// The event.
    pub event: Sight,
    /// The term's conditions and the values that they found.
    pub conditions: Vec<Condition>,
}

/// Something that came near to firing and did not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Silence {
    /// The join keys, as far as they are known.
    pub keys: Vec<Value>,
    /// The events that had come.
    pub steps: Vec<Step>,
    /// The number of the term that was waited for; none where nothing more was.
    pub waits_for: Option<usize>,
    /// Until when, RFC 3339; none where a rule has no maxspan.
    pub until: Option<String>,
    /// The event that came nearest to go on with.
    pub nearest: Option<Nearest>,
}

/// An event that would have gone on with a partial, but for something.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nearest {
    /// The term's number, from 1.
    pub term: usize,
    /// Why it did not.
    #[serde(flatten)]
    pub miss: Miss,
    /// The event.
    pub event: Sight,
    /// The term's conditions and the values that they found.
    pub conditions: Vec<Condition>,
}

/// Why an event did not go on with a partial.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "miss", rename_all = "snake_case")]
pub enum Miss {
    /// It came after maxspan had passed.
    Late {
        /// How long after, in nanoseconds.
        by_ns: i64,
        /// How long after the first event, in nanoseconds.
        span_ns: i64,
    },
    /// It came before the event that it should follow.
    Before {
        /// How long before, in nanoseconds.
        by_ns: i64,
    },
    /// It has other values of join keys.
    OtherKeys {
        /// Those that differ.
        keys: Vec<Difference>,
    },
    /// It lacks a join key that must be there.
    NoKey {
        /// The paths of those that are missing.
        fields: Vec<String>,
    },
    /// Conditions did not hold.
    Conditions {
        /// How many.
        failed: usize,
    },
    /// An exception took it.
    Excepted {
        /// The exception's id.
        by: String,
    },
    /// What must be missing came.
    Seen,
    /// `until` had ended the partial before.
    Ended {
        /// By which event.
        by: Sight,
    },
}

/// A join key of which the waiting events and another have different values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The field's path.
    pub field: String,
    /// What was waited for.
    pub waiting: Json,
    /// What came.
    pub came: Json,
}

/// A term, and what came near to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Term {
    /// Its number, from 1.
    pub term: usize,
    /// `occurs`, `missing` or `until`.
    pub role: &'static str,
    /// As it stands in the rule.
    pub text: String,
    /// Its line in the rule's file.
    pub line: usize,
    /// Its column.
    pub column: usize,
    /// Events of its category.
    pub of_category: u64,
    /// Events that satisfied it, those that exceptions took included. Of a term that reads an earlier event, those that
    /// did so together with one that waited.
    pub satisfied: u64,
    /// Events that exceptions took from it.
    pub excepted: u64,
    /// The closest events, at most [`MAX_CLOSEST`](super::MAX_CLOSEST): those for which most conditions hold, one for
    /// each set of conditions that fail.
    pub closest: Vec<Closest>,
}

/// An event that is close to a term.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Closest {
    /// How many conditions do not hold.
    pub failed: usize,
    /// How many events there were for which the very same conditions failed; this is the first.
    pub alike: u64,
    /// The event.
    pub event: Sight,
    /// The conditions and the values that they found.
    pub conditions: Vec<Condition>,
}

/// An exception for the rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Excepted {
    /// What it is called.
    pub id: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// The last moment at which it holds, RFC 3339.
    pub expires: String,
    /// Events that it took.
    pub events: u64,
    /// Alerts that it withheld.
    pub alerts: u64,
}

/// One of the conditions that a term joins by `and`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// As it stands in the rule, in one line.
    pub text: String,
    /// Its line in the rule's file.
    pub line: usize,
    /// Its column.
    pub column: usize,
    /// Whether the event satisfies it.
    pub holds: bool,
    /// The fields that it reads, and what the event has there.
    pub values: Vec<Value>,
}

/// A field and its value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// The path, as it stands in the rule.
    pub field: String,
    /// The value; null is missing. Of long text the beginning, of many values the first.
    pub value: Json,
}

/// An event, as much of it as tells which one it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sight {
    /// `@timestamp`.
    #[serde(rename = "@timestamp")]
    pub time: String,
    /// `host.id`.
    pub host_id: String,
    /// `process.entity_id`.
    pub entity_id: Option<String>,
    /// In one line, for people; everything but visible characters escaped.
    pub summary: String,
}
