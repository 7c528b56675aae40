//! Reads a whole document as it is put into an alert: nested objects, never dotted keys.

use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::problem::LineError;
use crate::observation::Document;
use crate::timestamp;

/// How deep objects and arrays may lie in each other, dotted keys counted by their segments. Whoever reads
/// an alert has such a limit as well, most readers 128; repeated keys, which become arrays, at most double
/// the depth, and an alert adds some levels of its own.
const MAX_DEPTH: usize = 48;

/// Stands for what lies deeper.
const TOO_DEEP: &str = "(left out: nested too deeply)";

/// Returns `document` as an object with nested keys.
///
/// An alert must not be lost to an oddity in a part of a document that no rule reads, such as a number that
/// no 64 bits hold or half a surrogate pair: then the object holds the time and, as `event.original`, the
/// text.
pub fn to_json(document: &Document) -> Map<String, Value> {
    parse(document.line()).unwrap_or_else(|_| {
        let mut object = Map::new();
        object.insert("@timestamp".into(), timestamp::format(document.time).into());
        object.insert("event".into(), serde_json::json!({ "original": document.line() }));
        object
    })
}

/// Reads the JSON object `line` with dotted keys taken apart: `{"a.b":1,"a":{"c":2}}` is
/// `{"a":{"b":1,"c":2}}`.
///
/// Where a path occurs several times, its values become one array. A dotted key that leads through something
/// other than an object stays as it is, and so does one with an empty segment. What is nested deeper than 48
/// levels is left out, with a text in its place that says so.
pub fn parse(line: &str) -> Result<Map<String, Value>, LineError> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let object = deserializer
        .deserialize_map(ObjectAt { depth: 1 })
        .and_then(|object| deserializer.end().map(|()| object))
        .map_err(|error| LineError::json("document", "", &error))?;
    Ok(object)
}

/// Puts `value` under the segments of `key`.
fn insert(mut object: &mut Map<String, Value>, key: &str, value: Value, is_split: bool) {
    let mut rest = key;
    while is_split && let Some((segment, tail)) = rest.split_once('.') {
        // Looked at first, because a borrow that is returned on one path only is not accepted.
        if object.get(segment).is_some_and(|existing| !existing.is_object()) {
            break;
        }
        let next = object.entry(segment).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(next) = next else { unreachable!("looked at above") };
        object = next;
        rest = tail;
    }
    insert_here(object, rest.to_owned(), value);
}

fn insert_here(object: &mut Map<String, Value>, key: String, value: Value) {
    match object.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) => combine(entry.get_mut(), value),
    }
}

/// Adds a second value of one path: objects become one, other values an array.
fn combine(existing: &mut Value, value: Value) {
    match (existing, value) {
        (_, Value::Null) => {}
        (existing @ Value::Null, value) => *existing = value,
        (Value::Object(existing), Value::Object(object)) => {
            for (key, value) in object {
                insert_here(existing, key, value);
            }
        }
        (Value::Array(existing), Value::Array(more)) => existing.extend(more),
        (Value::Array(existing), value) => existing.push(value),
        (existing, value) => {
            let mut list = vec![existing.take()];
            match value {
                Value::Array(more) => list.extend(more),
                single => list.push(single),
            }
            *existing = Value::Array(list);
        }
    }
}

/// How many levels `key` adds, or `None` if it stays whole.
fn segments(key: &str, depth: usize) -> Option<usize> {
    let count = key.split('.').count();
    let is_path =
        count > 1 && depth + count <= MAX_DEPTH && key.split('.').all(|segment| !segment.is_empty());
    is_path.then_some(count)
}

/// An object whose entries lie at `depth`.
struct ObjectAt {
    depth: usize,
}

/// A value that lies at `depth`.
struct ValueAt {
    depth: usize,
}

impl<'de> Visitor<'de> for ObjectAt {
    type Value = Map<String, Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let segments = segments(&key, self.depth);
            let depth = self.depth + segments.unwrap_or(1);
            let value = map.next_value_seed(ValueAt { depth })?;
            insert(&mut object, &key, value, segments.is_some());
        }
        Ok(object)
    }
}

impl<'de> DeserializeSeed<'de> for ValueAt {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            IgnoredAny::deserialize(deserializer)?;
            return Ok(TOO_DEEP.into());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueAt {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(ValueAt { depth: self.depth + 1 })? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        ObjectAt { depth: self.depth + 1 }.visit_map(map).map(Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::observation::Values;

    fn object(line: &str) -> Value {
        Value::Object(parse(line).unwrap())
    }

    #[test]
    fn dotted_keys_become_nested() {
        for (line, expected) in [
            (r#"{"a":{"b":1}}"#, json!({"a":{"b":1}})),
            (
                r#"{"a.b":1,"a":{"c":2},"a.d.e":[true,null]}"#,
                json!({"a":{"b":1,"c":2,"d":{"e":[true,null]}}}),
            ),
            (r#"{"a":{"b.c":1},"a.b":{"d":2}}"#, json!({"a":{"b":{"c":1,"d":2}}})),
            (r#"{"list":[{"a.b":1},{"a":{"b":2}}]}"#, json!({"list":[{"a":{"b":1}},{"a":{"b":2}}]})),
            (r#"{"n":18446744073709551615,"f":1.5,"i":-3}"#, json!({"n":u64::MAX,"f":1.5,"i":-3})),
        ] {
            assert_eq!(object(line), expected, "{line}");
        }
    }

    #[test]
    fn nothing_is_lost_where_keys_disagree() {
        for (line, expected) in [
            (r#"{"a":1,"a":2,"a":[3,4]}"#, json!({"a":[1,2,3,4]})),
            (r#"{"a.b":1,"a":{"b":2}}"#, json!({"a":{"b":[1,2]}})),
            (r#"{"a":null,"a":1,"a":null}"#, json!({"a":1})),
            (r#"{"a":1,"a.b":2}"#, json!({"a":1,"a.b":2})),
            (r#"{"a.b":2,"a":1}"#, json!({"a":[{"b":2},1]})),
            (r#"{"a.b":1,"a.b.c.d":2}"#, json!({"a":{"b":1,"b.c.d":2}})),
            (r#"{"":1,".":2,"a.":3,".b":4,"c..d":5}"#, json!({"":1,".":2,"a.":3,".b":4,"c..d":5})),
        ] {
            assert_eq!(object(line), expected, "{line}");
        }
    }

    #[test]
    fn depth_is_bounded_however_it_is_written() {
        let levels = 100_000;
        let arrays = format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let dotted = format!(r#"{{"{}":1}}"#, vec!["a"; levels].join("."));
        let mixed = format!("{}1{}", r#"{"a.b.c.d.e":"#.repeat(levels), "}".repeat(levels));
        let repeated = format!(r#"{}1{}"#, r#"{"a":0,"a":"#.repeat(levels), "}".repeat(levels));
        for line in [arrays, objects, dotted, mixed, repeated] {
            let text = serde_json::to_string(&object(&line)).unwrap();
            // serde_json refuses more than 128 levels.
            serde_json::from_str::<Value>(&text).unwrap();
        }
    }

    #[test]
    fn an_unreadable_document_is_kept_as_text() {
        for rest in [r#""n":1e999"#, r#""s":"\ud800""#] {
            let line = format!(r#"{{"@timestamp":"2026-11-24T08:00:00Z",{rest}}}"#);
            let values = Arc::new(Values::of(&line, &mut Vec::new()));
            let document = Document { time: 1_795_507_200_000_000_000, tick: None, values };
            assert_eq!(
                Value::Object(to_json(&document)),
                json!({"@timestamp":"2026-11-24T08:00:00.000Z","event":{"original":line}})
            );
        }
        assert!(parse("[1]").is_err());
        assert!(parse(r#"{"a":1} x"#).is_err());
    }
}
