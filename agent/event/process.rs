//! A process's image, and what it is, which may be read from a document when somebody asks.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use eql::{FieldId, Scalar};

use super::{Description, DescriptionParts, Package};
use crate::observation::Document;

/// A process's image at one moment; a new one at each fork and exec.
///
/// Here is who it is; what it is stands in its [`Description`], which is read as if its fields were here.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// `process.pid`.
    pub pid: u32,
    /// The kernel's pidversion; with the pid it names this very image.
    pub pidversion: Option<u32>,
    /// `process.entity_id`: stable over exec, unique over fork and pid reuse.
    pub entity_id: Arc<str>,
    /// `process.start`, nanoseconds since 1970: when the process was forked.
    pub start: Option<i64>,
    /// `process.parent.pid`.
    pub parent_pid: Option<u32>,
    /// `process.parent.entity_id`.
    pub parent_entity_id: Option<Arc<str>>,
    /// `process.Ext.ancestry`: entity ids, the parent at fork first.
    pub ancestry: Arc<[Scalar]>,
    /// `vedette.package`: the install session that the process belongs to.
    pub package: Option<Arc<Package>>,
    /// The image that this one replaced, `process.previous.*`.
    pub previous_executable: Option<Arc<str>>,
    /// What it is.
    pub description: Lazy,
    /// About how many bytes the texts of this image hold; set when it is made.
    pub weight: usize,
}

impl std::ops::Deref for Process {
    type Target = Description;

    fn deref(&self) -> &Description {
        self.description.made()
    }
}

impl std::ops::DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Description {
        self.description.made();
        self.description.source = None;
        self.description.made.get_mut().expect("made just now")
    }
}

/// A [`Description`], or the document that it is made of when somebody first reads it: of most images nobody does.
#[derive(Clone, Debug, Default)]
pub struct Lazy {
    made: OnceLock<Description>,
    source: Option<DescribedBy>,
}

/// How long a document is, in bytes, that is kept to be read later.
const MAX_KEPT_LINE: usize = 8 << 10;

/// A document that describes an image, and how.
#[derive(Clone, Debug)]
struct DescribedBy {
    document: Document,
    reader: &'static Reader,
}

/// How a document's description of an image is read.
#[derive(Debug)]
pub struct Reader {
    /// All of it.
    pub describe: for<'d> fn(&'d Document) -> DescriptionParts<'d>,
    /// `executable` by itself.
    pub executable: for<'d> fn(&'d Document) -> Option<Cow<'d, str>>,
    /// `name` by itself.
    pub name: for<'d> fn(&'d Document) -> Option<Cow<'d, str>>,
    /// For each of the sensor's fields, whether an event of the process has it from a description only if the document
    /// that was described has that very field.
    pub copied: &'static [bool],
}

impl Lazy {
    /// Reads `document` once it is asked for; one that is long is read now, as what is in it may be much shorter.
    pub fn new(document: &Document, reader: &'static Reader) -> Self {
        match document.line.len() > MAX_KEPT_LINE {
            true => (reader.describe)(document).into(),
            false => {
                let source = DescribedBy { document: document.clone(), reader };
                Lazy { made: OnceLock::new(), source: Some(source) }
            }
        }
    }

    /// Returns the document that is kept to be read.
    pub fn document(&self) -> Option<&Document> {
        self.source.as_ref().map(|source| &source.document)
    }

    /// Returns [`Description::executable`]; for that alone, nothing is made.
    pub fn executable(&self) -> Option<Cow<'_, str>> {
        match &self.source {
            Some(source) => (source.reader.executable)(&source.document),
            None => self.made().executable().map(Cow::Borrowed),
        }
    }

    /// Returns [`Description::name`]; for that alone, nothing is made.
    pub fn name(&self) -> Option<Cow<'_, str>> {
        match &self.source {
            Some(source) => (source.reader.name)(&source.document),
            None => self.made().name().map(Cow::Borrowed),
        }
    }

    /// Returns whether it is known, without making anything, that an event of the process has nothing under `field` from
    /// its description.
    pub(crate) fn lacks(&self, field: FieldId) -> bool {
        self.source.as_ref().is_some_and(|source| {
            source.reader.copied.get(field.index()) == Some(&true) && !source.document.has(field)
        })
    }

    fn made(&self) -> &Description {
        self.made.get_or_init(|| {
            let describe =
                |source: &DescribedBy| Description::from((source.reader.describe)(&source.document));
            self.source.as_ref().map(describe).unwrap_or_default()
        })
    }
}

impl From<DescriptionParts<'_>> for Lazy {
    fn from(parts: DescriptionParts<'_>) -> Self {
        Lazy { made: OnceLock::from(Description::from(parts)), source: None }
    }
}
