//! Reads lines of either form by the places of their values, as [`scan`](super::scan) finds them.
//!
//! Lines whose wanted values stand in the same order have one shape: what each place is for is found out once. What a
//! line is that cannot be read so, and what is wrong with it, serde_json decides.

mod notes;

use std::sync::Arc;

use eql::{FieldId, Scalar};
use rustc_hash::FxHashMap;

pub(super) use self::notes::{Note, Noted, Notes, note};
use super::NotEvaluated;
use super::eslogger::places::{self, Slot, Slots};
use super::scan::Paths;
use crate::observation::{Document, Form, Layout, MAX_PLACES, Message, Place, Reused, Values};
use crate::timestamp::Day;

/// The fields that are kept.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub(super) timestamp_field: Box<str>,
    pub(super) paths: Paths,
    /// What the values at each node of the paths are for.
    uses: Vec<Use>,
    /// The shapes of documents that came by, by a hash of their places' nodes.
    shapes: FxHashMap<u64, Arc<Shape>>,
    /// A few of them, the most frequent first: to compare with those costs less than a hash.
    frequent: Vec<Arc<Shape>>,
}

/// How many shapes are kept; they come from whoever made the documents.
const MAX_SHAPES: usize = 256;

/// How many shapes are compared with before a hash is made.
const FREQUENT: usize = 4;

/// Documents whose wanted values stand in the same order.
#[derive(Clone, Debug)]
struct Shape {
    nodes: Box<[u32]>,
    layout: Arc<Layout>,
    /// The places that mean something to the decoder.
    roles: Box<[(Role, usize)]>,
    form: ShapeForm,
}

#[derive(Clone, Debug)]
enum ShapeForm {
    Document,
    Message(Slots),
    /// Not known by what there is.
    Unclear,
}

/// What a line was read as by its places.
pub(super) enum Read<'a> {
    /// A document, or of what kind it is if it is no event.
    Document(Result<Document, NotEvaluated>),
    /// An Endpoint Security message.
    Message(Box<Message<'a>>),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    pub(super) field: Option<FieldId>,
    pub(super) role: Option<Role>,
    slot: Option<Slot>,
}

/// What a value means to the decoder itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Timestamp,
    Kind,
    Tick,
}

/// What was found in a document; kept between documents for its memory only.
#[derive(Clone, Debug, Default)]
pub struct Found {
    places: Vec<Place>,
    reused: Reused,
    pub(super) values: Vec<(FieldId, Scalar)>,
    pub(super) time: Option<i64>,
    pub(super) tick: Option<i64>,
    pub(super) kind: Option<NotEvaluated>,
    /// That of the last line.
    day: Day,
}

impl Found {
    /// Returns the document of these values, or of what kind it is if it is no event; `None` if it has no time.
    pub(super) fn document(&self, values: Arc<Values>) -> Option<Result<Document, NotEvaluated>> {
        if let Some(kind) = self.kind {
            return Some(Err(kind));
        }
        Some(Ok(Document { time: self.time?, tick: self.tick, values }))
    }
}

impl Wanted {
    /// Keeps `fields` of ECS documents, whose time is `@timestamp`; `event.kind` and `vedette.tick` mean
    /// what they say.
    pub fn recording<'p>(fields: impl IntoIterator<Item = (FieldId, &'p str)>) -> Self {
        let mut wanted = Self::raw("@timestamp", fields);
        wanted.at("event.kind").role = Some(Role::Kind);
        wanted.at("vedette.tick").role = Some(Role::Tick);
        wanted
    }

    /// Reads eslogger's messages as well, with their environment variables if `environment` is set.
    pub(super) fn with_messages(mut self, environment: bool) -> Self {
        let Wanted { paths, uses, .. } = &mut self;
        places::want(paths, environment, |node, slot| used(uses, node).slot = Some(slot));
        self
    }

    /// Keeps `fields` of documents of any schema, whose time is `timestamp_field`.
    pub fn raw<'p>(timestamp_field: &str, fields: impl IntoIterator<Item = (FieldId, &'p str)>) -> Self {
        let mut wanted = Wanted {
            timestamp_field: timestamp_field.into(),
            paths: Paths::default(),
            uses: Vec::new(),
            shapes: FxHashMap::default(),
            frequent: Vec::new(),
        };
        for (field, path) in fields {
            wanted.at(path).field = Some(field);
        }
        wanted.at(timestamp_field).role = Some(Role::Timestamp);
        wanted
    }

    /// Returns what the values of `path` are for.
    fn at(&mut self, path: &str) -> &mut Use {
        // Paths are all named before the first document, so that no shape is of fewer.
        used(&mut self.uses, self.paths.want(path))
    }

    pub(super) fn used(&self, node: u32) -> Use {
        self.uses.get(node as usize).copied().unwrap_or_default()
    }

    /// Tells by a line's places which form it is of. An ECS document has a time and nothing that only messages have.
    fn form(&self, places: &[Place]) -> ShapeForm {
        let uses = || places.iter().map(|place| self.used(place.node));
        let is_telling = |own: Use| own.slot.is_some_and(places::is_telling);
        match (uses().any(|own| own.role == Some(Role::Timestamp)), uses().any(is_telling)) {
            (true, false) => ShapeForm::Document,
            (false, true) => {
                places::slots(uses().map(|own| own.slot)).map_or(ShapeForm::Unclear, ShapeForm::Message)
            }
            _ => ShapeForm::Unclear,
        }
    }

    /// Returns the shape of a document with these places; `None` if there are too many of them.
    fn shape(&mut self, places: &[Place]) -> Option<&Arc<Shape>> {
        let is_same = |shape: &Arc<Shape>| {
            // All of them, without asking after each: most shapes that are compared with are the right one.
            let differing = |sum, (place, node): (&Place, &u32)| sum | (place.node ^ node);
            shape.nodes.len() == places.len() && places.iter().zip(&shape.nodes).fold(0, differing) == 0
        };
        if let Some(at) = self.frequent.iter().position(is_same) {
            // One step to the front each time, so that what is frequent gets there.
            let ahead = at.saturating_sub(1);
            self.frequent.swap(at, ahead);
            return self.frequent.get(ahead);
        }
        let hash = places.iter().fold(places.len() as u64, |hash, place| {
            (hash.rotate_left(5) ^ u64::from(place.node)).wrapping_mul(0x517c_c1b7_2722_0a95)
        });
        // Looked at first, because a borrow that is returned on one path only is not accepted.
        if !self.shapes.get(&hash).is_some_and(is_same) {
            if places.len() > MAX_PLACES {
                return None;
            }
            if self.shapes.len() >= MAX_SHAPES {
                self.shapes.clear();
            }
            let shape = Shape {
                nodes: places.iter().map(|place| place.node).collect(),
                layout: Arc::new(Layout::new(places.iter().map(|place| self.used(place.node).field))),
                roles: (0..)
                    .zip(places)
                    .filter_map(|(at, place)| Some((self.used(place.node).role?, at)))
                    .collect(),
                form: self.form(places),
            };
            self.shapes.insert(hash, Arc::new(shape));
        }
        let shape = self.shapes.get(&hash)?;
        self.frequent.truncate(FREQUENT - 1);
        self.frequent.push(Arc::clone(shape));
        Some(shape)
    }
}

/// Returns what the values at a node are for.
fn used(uses: &mut Vec<Use>, node: u32) -> &mut Use {
    let node = node as usize;
    if node >= uses.len() {
        uses.resize(node + 1, Use::default());
    }
    &mut uses[node]
}

/// Reads a line of either form by the places of its values; `None` where serde_json must decide what it is, or what is
/// wrong with it. `found` is only working memory.
pub(super) fn read<'a>(line: &'a str, wanted: &mut Wanted, found: &mut Found) -> Option<Read<'a>> {
    let is_doubtful = scan(line, wanted, found)?;
    let shape = wanted.shape(&found.places)?;
    match &shape.form {
        ShapeForm::Document => {
            let values = take_places(line, shape, found, is_doubtful)?;
            found.document(values).map(Read::Document)
        }
        ShapeForm::Message(slots) => places::read(line, &found.places, slots, &mut found.day)
            .map(|message| Read::Message(Box::new(message))),
        ShapeForm::Unclear => None,
    }
}

/// Decodes a document by noting where its values lie; `None` where serde_json must decide what it is, or what
/// is wrong with it.
pub(super) fn decode_by_places(line: &str, wanted: &mut Wanted, found: &mut Found) -> Option<Arc<Values>> {
    let is_doubtful = scan(line, wanted, found)?;
    let shape = wanted.shape(&found.places)?;
    take_places(line, shape, found, is_doubtful)
}

/// Finds the places of a line's values; returns whether some may not be readable.
fn scan(line: &str, wanted: &mut Wanted, found: &mut Found) -> Option<bool> {
    found.places.clear();
    u32::try_from(line.len()).ok()?;
    wanted.paths.scan(line, &mut found.places)
}

/// Takes a document's values, and what means something to the decoder.
fn take_places(line: &str, shape: &Shape, found: &mut Found, is_doubtful: bool) -> Option<Arc<Values>> {
    take_roles(line, shape, found, is_doubtful)?;
    Some(found.reused.at(line, &shape.layout, &mut found.places))
}

/// Takes what of a document means something to the decoder; `None` if not all of its values are readable.
fn take_roles(line: &str, shape: &Shape, found: &mut Found, is_doubtful: bool) -> Option<()> {
    if is_doubtful && !found.places.iter().all(|place| place.is_readable(line)) {
        return None;
    }
    (found.time, found.tick, found.kind) = (None, None, None);
    for (role, at) in &shape.roles {
        let place = found.places[*at];
        match (role, place.form) {
            (Role::Timestamp, Form::Text) => {
                found.time.get_or_insert(found.day.parse_value(place.text(line)).ok()?);
            }
            (Role::Kind, Form::Text) => {
                found.kind = found.kind.or_else(|| NotEvaluated::of(place.text(line)));
            }
            (Role::Tick, Form::Integer) => found.tick = Some(place.text(line).parse().ok()?),
            _ => return None,
        }
    }
    Some(())
}
