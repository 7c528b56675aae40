//! An event as a nested ECS document.

use eql::Value;
use serde_json::{Map, Value as Json};

use super::FIELDS;
use crate::event::Event;
use crate::source::to_json;

/// Returns the whole event as a nested ECS document, never with dotted keys.
///
/// A recorded document keeps everything that it holds, whatever its form; what the sensor knows beyond it is
/// filled in.
pub fn render(event: &Event) -> Map<String, Json> {
    let mut root = event.document.as_ref().map_or_else(Map::new, to_json);
    for field in FIELDS {
        let value = json((field.read)(event));
        if !nothing(&value) {
            let array = field.array && !value.is_array();
            fill(&mut root, field.path, if array { Json::Array(vec![value]) } else { value });
        }
    }
    root
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

/// Returns a value as JSON; what is missing is null, several values are an array.
pub fn json(value: Value<'_>) -> Json {
    match value {
        Value::Missing => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Int(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Str(text) => text.into(),
        Value::List(values) => values.iter().map(|value| json(Value::from(value))).collect(),
    }
}
