//! The sensor's fields: one table, the only list of what the sensor produces.

use eql::{FieldId, Value};

use crate::event::Event;

/// The id of `event.category`.
pub const EVENT_CATEGORY: FieldId = FieldId(0);

/// Returns what the sensor itself knows under `field`; a path beyond its own table is missing.
pub fn read(_event: &Event, _field: FieldId) -> Value<'_> {
    Value::Missing
}
