//! The table that gives each field path a number.

use std::collections::HashMap;

/// The number of a field path in a [`Schema`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u32);

impl FieldId {
    /// Returns the number as an index into a table that follows the schema's order.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a field's values are, as far as its supplier says. Rules that contradict it are warned about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Not said.
    #[default]
    Any,
    /// Text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An IP address, as text.
    Ip,
    /// A time, as text.
    Date,
}

/// An append-only list of field paths (`process.parent.name`), each with its [`FieldId`].
///
/// Who supplies the records fills it first; a path that only a query names is added when the query is
/// compiled. Ids are dense, start at 0 and never change.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    paths: Vec<Box<str>>,
    kinds: Vec<Kind>,
    ids: HashMap<Box<str>, FieldId>,
}

impl Schema {
    /// Returns an empty schema.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the id of `path`, adding the path if it is new.
    pub fn intern(&mut self, path: &str) -> FieldId {
        self.intern_as(path, Kind::Any)
    }

    /// Returns the id of `path`, adding the path with its kind if it is new.
    pub fn intern_as(&mut self, path: &str, kind: Kind) -> FieldId {
        if let Some(id) = self.ids.get(path) {
            return *id;
        }
        let id = FieldId(u32::try_from(self.paths.len()).expect("a schema of 2^32 paths"));
        self.paths.push(path.into());
        self.kinds.push(kind);
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

    /// Returns the kind of `id`'s values.
    ///
    /// # Panics
    /// If `id` is of another schema and beyond this one's length.
    pub fn kind(&self, id: FieldId) -> Kind {
        self.kinds[id.index()]
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
