//! A streaming engine for EQL, the Event Query Language.
//!
//! It knows no clock, file, thread, operating system, JSON or ECS: events come in as [`Record`]s, their
//! time is the only time, and the same input gives the same matches.

mod record;
mod schema;
mod value;

pub use record::Record;
pub use schema::{FieldId, Schema};
pub use value::{Scalar, Value};
