//! An event as a nested ECS document.

use eql::{Scalar, Value};
use serde_json::{Map, Value as Json};

use super::FIELDS;
use crate::event::Event;

/// Returns the whole event as a nested ECS document, never with dotted keys.
///
/// A recorded document keeps everything that it holds, whatever its form; what the sensor knows beyond it is
/// filled in.
pub fn render(event: &Event) -> Map<String, Json> {
    let mut root = event.document.as_ref().map_or_else(Map::new, |document| recorded(&document.line));
    for field in FIELDS {
        if let Some(value) = json((field.read)(event), field.array) {
            fill(&mut root, field.path, value);
        }
    }
    root
}

/// Returns the document of a line, its dotted keys expanded.
///
/// A line that is no JSON object gives an empty document: the source has read it before, so that there is
/// none in practice.
fn recorded(line: &str) -> Map<String, Json> {
    match serde_json::from_str(line) {
        Ok(Json::Object(object)) => expand(object),
        _ => Map::new(),
    }
}

/// Expands dotted keys at every level: `{"a.b": 1, "a": {"c": 2}}` becomes `{"a": {"b": 1, "c": 2}}`. The
/// depth is that of the line, which serde_json limits to 128, plus the dots of its keys.
fn expand(object: Map<String, Json>) -> Map<String, Json> {
    let mut root = Map::new();
    for (key, value) in object {
        let value = match value {
            Json::Object(inner) => Json::Object(expand(inner)),
            Json::Array(items) => Json::Array(items.into_iter().map(expand_item).collect()),
            single => single,
        };
        match plain(&key) {
            true => merge(&mut root, &key, value),
            false => put(&mut root, &key, value),
        }
    }
    root
}

fn expand_item(item: Json) -> Json {
    match item {
        Json::Object(inner) => Json::Object(expand(inner)),
        other => other,
    }
}

/// Whether a key names one level. Keys such as `a..b` or `.a`, and ones with more levels than a document may
/// nest, are nobody's path and stay as they are.
fn plain(key: &str) -> bool {
    !key.contains('.') || key.split('.').any(str::is_empty) || key.split('.').count() > MAX_LEVELS
}

const MAX_LEVELS: usize = 32;

/// Puts `value` at a dotted path; where something that is no object is in the way, the key stays dotted.
fn put(object: &mut Map<String, Json>, path: &str, value: Json) {
    let Some((first, rest)) = path.split_once('.') else {
        return merge(object, path, value);
    };
    match object.entry(first).or_insert_with(|| Json::Object(Map::new())) {
        Json::Object(inner) => put(inner, rest, value),
        _ => {
            object.insert(path.to_owned(), value);
        }
    }
}

/// Puts `value` under `key`; two objects become one, and otherwise the first that was there stays.
fn merge(object: &mut Map<String, Json>, key: &str, value: Json) {
    match (object.get_mut(key), value) {
        (None, value) => {
            object.insert(key.to_owned(), value);
        }
        (Some(Json::Object(old)), Json::Object(new)) => {
            for (key, value) in new {
                merge(old, &key, value);
            }
        }
        (Some(_), _) => {}
    }
}

/// Puts `value` at `path` unless the document holds something there: null and the empty array are nothing,
/// as they are to a rule.
fn fill(object: &mut Map<String, Json>, path: &str, value: Json) {
    match path.split_once('.') {
        Some((first, rest)) => {
            let inner = object.entry(first).or_insert(Json::Null);
            if nothing(inner) {
                *inner = Json::Object(Map::new());
            }
            if let Json::Object(inner) = inner {
                fill(inner, rest, value);
            }
        }
        None => {
            let slot = object.entry(path).or_insert(Json::Null);
            if nothing(slot) {
                *slot = value;
            }
        }
    }
}

fn nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.iter().all(Json::is_null),
        _ => false,
    }
}

fn json(value: Value<'_>, array: bool) -> Option<Json> {
    let single = match value {
        Value::Missing | Value::List([]) => return None,
        Value::List(items) => return Some(Json::Array(items.iter().map(scalar).collect())),
        Value::Bool(value) => Json::from(value),
        Value::Int(value) => Json::from(value),
        Value::Float(value) => Json::from(value),
        Value::Str(value) => Json::from(value),
    };
    Some(if array { Json::Array(vec![single]) } else { single })
}

fn scalar(scalar: &Scalar) -> Json {
    match scalar {
        Scalar::Bool(value) => Json::from(*value),
        Scalar::Int(value) => Json::from(*value),
        Scalar::Float(value) => Json::from(*value),
        Scalar::Str(value) => Json::from(&**value),
    }
}
