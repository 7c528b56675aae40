//! An event as a nested ECS document.

use eql::Value;
use serde_json::{Map, Value as Json};

use super::FIELDS;
use super::nested::{Node, Object};
use crate::event::Event;
use crate::source::to_json;

/// Returns the whole event as a nested ECS document, never with dotted keys.
///
/// A recorded document keeps everything that it holds, whatever its form; what the sensor knows beyond it is
/// filled in.
pub fn render(event: &Event) -> Map<String, Json> {
    nested(event).into_json()
}

/// Returns the same while it is put together.
pub(crate) fn nested(event: &Event) -> Object<'_> {
    let mut root = match &event.document {
        Some(document) => Object::read(document.line()).unwrap_or_else(|| to_json(document).into()),
        None => Object::default(),
    };
    for field in FIELDS {
        let value = (field.read)(event);
        let is_nothing = match value {
            Value::Missing => true,
            Value::List(values) => values.is_empty(),
            // JSON has no such number.
            Value::Float(number) => !number.is_finite(),
            _ => false,
        };
        if !is_nothing {
            let is_single = !matches!(value, Value::List(_));
            root.fill(field.path, || match node(value) {
                single if field.array && is_single => Node::Array(vec![single]),
                node => node,
            });
        }
    }
    root
}

fn node(value: Value<'_>) -> Node<'static> {
    match value {
        Value::Str(text) => Node::text(text),
        Value::List(values) => values.iter().map(|value| node(Value::from(value))).collect(),
        other => Node::from(json(other)),
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
