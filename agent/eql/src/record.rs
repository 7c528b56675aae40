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

    /// Returns whether any single value under `field` satisfies `test`, which never sees `Missing` or `List`; no test is
    /// made where there is no value. One that keeps its lists in another form need not make one for this.
    fn any(&self, field: FieldId, test: impl FnMut(Value<'_>) -> bool) -> bool {
        self.get(field).any(test)
    }

    /// Returns what [`get`](Record::get) does where that is no list and the record has it at hand. That it returns `None`
    /// says nothing; one who asks then goes on with [`any`](Record::any).
    #[inline]
    fn single(&self, field: FieldId) -> Option<Value<'_>> {
        let _ = field;
        None
    }

    /// Returns whether a category satisfies `test`.
    fn any_category(&self, test: impl FnMut(Value<'_>) -> bool) -> bool {
        self.category().any(test)
    }

    /// Returns the field, if there is one, whose values are always the record's categories. Conditions on it are then
    /// looked up as categories are, and categories as values of it.
    fn category_field() -> Option<FieldId> {
        None
    }

    /// Returns whether records often have many values under `field`; such a field is looked at last.
    fn is_list(field: FieldId) -> bool {
        let _ = field;
        false
    }

    /// Returns whether records have few different values under `field`: what kind of event they are, what came of it. That
    /// a record has one of them says little, however few conditions ask for it.
    fn is_kind(field: FieldId) -> bool {
        let _ = field;
        false
    }

    /// Returns a number that only records have which are like this one: under every field that [is
    /// shared](Record::is_shared) they have the same values, as their producer writes them there whatever happened. What
    /// these say is then looked up once, not for each record.
    #[inline]
    fn likeness(&self) -> Option<u64> {
        None
    }

    /// Returns whether all records of this one's [likeness](Record::likeness) have its values under `field`.
    fn is_shared(&self, field: FieldId) -> bool {
        let _ = field;
        false
    }

    /// Returns about how many bytes a kept clone holds in memory; partials are bounded by the sum.
    fn weight(&self) -> usize;

    /// Returns whether a partial with this event should be the last to go when memory runs out.
    fn protected(&self) -> bool {
        false
    }
}
