//! The table that gives each field path a number.

use std::collections::HashMap;

/// The number of a field path in a [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u32);

impl FieldId {
    /// Returns the number as an index into a table that follows the schema's order.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An append-only list of field paths (`process.parent.name`), each with its [`FieldId`].
///
/// Who supplies the records fills it first; a path that only a query names is added when the query is
/// compiled. Ids are dense, start at 0 and never change.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    paths: Vec<Box<str>>,
    ids: HashMap<Box<str>, FieldId>,
}

impl Schema {
    /// Returns an empty schema.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the id of `path`, adding the path if it is new.
    pub fn intern(&mut self, path: &str) -> FieldId {
        if let Some(id) = self.ids.get(path) {
            return *id;
        }
        let id = FieldId(u32::try_from(self.paths.len()).expect("a schema of 2^32 paths"));
        self.paths.push(path.into());
        self.ids.insert(path.into(), id);
        id
    }

    /// Returns the id of `path`, if it is known.
    pub fn id(&self, path: &str) -> Option<FieldId> {
        self.ids.get(path).copied()
    }

    /// Returns the path of `id`.
    ///
    /// # Panics
    /// If `id` is of another schema and beyond this one's length.
    pub fn path(&self, id: FieldId) -> &str {
        &self.paths[id.index()]
    }

    /// Returns how many paths there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Returns whether there is no path yet.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Returns all paths, in the order of their ids.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = (FieldId, &str)> {
        self.paths.iter().enumerate().map(|(index, path)| (FieldId(index as u32), &**path))
    }
}
