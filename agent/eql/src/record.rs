//! The seam to whoever supplies events.

use crate::schema::FieldId;
use crate::value::Value;

/// One event, as the engine sees it.
///
/// The engine keeps clones for as long as a partial match lives, so a clone should be a reference count.
pub trait Record: Clone {
    /// Returns when the event happened, in nanoseconds on the one clock that orders all records.
    fn time(&self) -> i64;

    /// Returns the event's category, or categories, as a query's `process where …` names it.
    fn category(&self) -> Value<'_>;

    /// Returns what the event holds under `field`; an id that it does not know is `Missing`.
    fn get(&self, field: FieldId) -> Value<'_>;

    /// Returns about how many bytes a kept clone holds in memory; partials are bounded by the sum.
    fn weight(&self) -> usize;

    /// Returns whether a partial with this event should be the last to go when memory runs out.
    fn protected(&self) -> bool {
        false
    }
}
