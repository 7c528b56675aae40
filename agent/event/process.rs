//! A process's image, and what it is, which may be read from a document when somebody asks.

use std::sync::{Arc, OnceLock};

use eql::{FieldId, Scalar};

use super::{Description, DescriptionParts, EntityId, Package};
use crate::observation::{Excerpt, Selection, Texts, Values};
use crate::process_table::MAX_TEXT_BYTES;

/// A process's image at one moment; a new one at each fork and exec.
///
/// Here is who it is; what it is stands in its [`Description`], which is read as if its fields were here. Of most images
/// in a recording nobody reads more than what comes first, which lies together.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Process {
    /// About how many bytes the texts of this image hold; set when it is made.
    pub weight: usize,
    /// `vedette.package`: the install session that the process belongs to.
    pub package: Option<Arc<Package>>,
    /// `process.pid`.
    pub pid: u32,
    /// The kernel's pidversion; with the pid it names this very image.
    pub pidversion: Option<u32>,
    /// `process.entity_id`: stable over exec, unique over fork and pid reuse.
    pub entity_id: EntityId,
    /// `process.start`, nanoseconds since 1970: when the process was forked.
    pub start: Option<i64>,
    /// `process.parent.pid`.
    pub parent_pid: Option<u32>,
    /// `process.parent.entity_id`.
    pub parent_entity_id: Option<EntityId>,
    /// `process.Ext.ancestry`: entity ids, the parent at fork first.
    pub ancestry: Arc<[Scalar]>,
    /// The image that this one replaced, `process.previous.*`.
    pub previous_executable: Option<Arc<str>>,
    /// What it is.
    pub description: Lazy,
}

impl std::ops::Deref for Process {
    type Target = Description;

    fn deref(&self) -> &Description {
        self.description.made()
    }
}

impl std::ops::DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Description {
        self.description.made_mut()
    }
}

/// A [`Description`], or what it is made of when somebody first reads it: of most images that documents describe nobody
/// does.
#[derive(Clone, Debug)]
pub struct Lazy(State);

#[derive(Clone, Debug)]
enum State {
    Made(Description),
    Recorded(Recorded),
}

/// What a document says of an image, and how that is read.
#[derive(Clone, Debug)]
struct Recorded {
    excerpt: Excerpt,
    reader: &'static Reader,
    made: OnceLock<Box<Description>>,
}

/// How a document's description of an image is read.
#[derive(Debug)]
pub struct Reader {
    /// The fields that it is made of.
    pub fields: Selection,
    /// All of it.
    pub describe: for<'d> fn(&'d Values) -> DescriptionParts<'d>,
    /// The field that is `executable`, where it is plain text.
    pub executable: FieldId,
    /// The field that is `name`, where it is plain text.
    pub name: FieldId,
    /// For each of the sensor's fields, whether an event of the process has it from a description only if the document
    /// that was described has that very field.
    pub copied: &'static [bool],
}

impl Lazy {
    /// Keeps what `values` say, to be read once it is asked for, in the memory of what was kept before, or that of `texts`;
    /// what is long is read now, as less of it may be kept.
    pub fn renew(&mut self, values: &Values, reader: &'static Reader, texts: &mut Texts) {
        let State::Recorded(own) = &mut self.0 else {
            let excerpt = Excerpt::default();
            self.0 = State::Recorded(Recorded { excerpt, reader, made: OnceLock::new() });
            return self.renew(values, reader, texts);
        };
        own.made.take();
        own.reader = reader;
        if !own.excerpt.renew(values, &reader.fields, texts) {
            *self = (reader.describe)(values).into();
        }
    }

    /// Returns whether it was made by [`renew`](Self::renew) of the same values, read in the same way.
    pub fn is_of(&self, values: &Values, reader: &'static Reader) -> bool {
        match &self.0 {
            State::Recorded(own) => {
                std::ptr::eq(own.reader, reader) && own.excerpt.is_of(values, &reader.fields)
            }
            State::Made(_) => false,
        }
    }

    /// Reads all memory that it takes; what is returned means nothing.
    pub(crate) fn read_through(&self) -> usize {
        self.excerpt().map_or(0, Excerpt::read_through)
    }

    /// Returns what is kept to be read.
    pub fn excerpt(&self) -> Option<&Excerpt> {
        match &self.0 {
            State::Recorded(recorded) => Some(&recorded.excerpt),
            State::Made(_) => None,
        }
    }

    /// Returns [`Description::executable`]; for that alone, mostly nothing is made.
    pub fn executable(&self) -> Option<&str> {
        self.plain(|reader| reader.executable).or_else(|| self.made().executable())
    }

    /// Returns [`Description::name`]; for that alone, mostly nothing is made.
    pub fn name(&self) -> Option<&str> {
        self.plain(|reader| reader.name).or_else(|| self.made().name())
    }

    /// Returns the text of a field, if it is kept as it is written.
    fn plain(&self, field: impl Fn(&Reader) -> FieldId) -> Option<&str> {
        let State::Recorded(own) = &self.0 else { return None };
        let text = own.excerpt.plain(field(own.reader))?;
        (1..=MAX_TEXT_BYTES).contains(&text.len()).then_some(text)
    }

    /// Returns whether it is known, without making anything, that an event of the process has nothing under `field` from
    /// its description.
    pub(crate) fn lacks(&self, field: FieldId) -> bool {
        match &self.0 {
            State::Recorded(own) => {
                own.reader.copied.get(field.index()) == Some(&true) && !own.excerpt.has(field)
            }
            State::Made(_) => false,
        }
    }

    fn made(&self) -> &Description {
        match &self.0 {
            State::Made(description) => description,
            State::Recorded(own) => own.made.get_or_init(|| own.describe().into()),
        }
    }

    fn made_mut(&mut self) -> &mut Description {
        if let State::Recorded(own) = &mut self.0 {
            self.0 = State::Made(own.made.take().map_or_else(|| own.describe(), |made| *made));
        }
        match &mut self.0 {
            State::Made(description) => description,
            State::Recorded(_) => unreachable!("made just now"),
        }
    }
}

impl Recorded {
    fn describe(&self) -> Description {
        (self.reader.describe)(&self.excerpt.values()).into()
    }
}

impl Default for Lazy {
    fn default() -> Self {
        Lazy(State::Made(Description::default()))
    }
}

impl From<DescriptionParts<'_>> for Lazy {
    fn from(parts: DescriptionParts<'_>) -> Self {
        Lazy(State::Made(parts.into()))
    }
}
