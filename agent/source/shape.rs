//! Reads lines of either form by the steps that [`scan`](super::scan) passes over them by.
//!
//! Lines of the same steps have one shape: where their values stand, and what each is for, is found out once. What a line is
//! that cannot be read so, and what is wrong with it, serde_json decides.

mod notes;

use std::sync::Arc;

use eql::{FieldId, Scalar};
use rustc_hash::FxHashMap;

pub(super) use self::notes::{Note, Notes, note};
use super::NotEvaluated;
use super::eslogger::places::{self, Slot, Slots};
use super::scan::{Paths, Step};
use crate::observation::{Document, Form, Layout, MAX_SPOTS, Message, Reused, Spot, Values};
use crate::timestamp::Day;

/// The fields that are kept.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub(super) timestamp_field: Box<str>,
    pub(super) paths: Paths,
    /// What the values at each node of the paths are for.
    uses: Vec<Use>,
    /// The shapes of lines that came by, by a hash of their steps; these mean something as long as the paths have forgotten
    /// nothing.
    shapes: FxHashMap<u64, Arc<Shape>>,
    /// How often they had.
    forgotten: u64,
    /// A few of the shapes, the most frequent first: to compare with those costs less than a hash.
    frequent: Vec<Arc<Shape>>,
    /// The last that is of one line only.
    own: Option<Arc<Shape>>,
}

/// How many shapes are kept, and how many steps one may have; they come from whoever made the lines.
const MAX_SHAPES: usize = 512;
const MAX_STEPS: usize = 512;

/// How many shapes are compared with before a hash is made.
const FREQUENT: usize = 4;

/// Lines of the same steps.
#[derive(Clone, Debug)]
struct Shape {
    /// What the steps have in common.
    kinds: Box<[u32]>,
    form: ShapeForm,
}

#[derive(Clone, Debug)]
enum ShapeForm {
    Document {
        layout: Arc<Layout>,
        /// The values that mean something to the decoder.
        roles: Box<[(Role, Spot)]>,
    },
    Message(Slots),
    /// Not known by what there is.
    Unclear,
}

/// What a line was read as by its steps.
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
    steps: Vec<Step>,
    marks: Vec<u32>,
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
            forgotten: 0,
            frequent: Vec::new(),
            own: None,
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

    /// Tells by a line's values, and their nodes, which form it is of. An ECS document has a time and nothing that only
    /// messages have.
    fn form(&self, values: &[(u32, Spot)]) -> ShapeForm {
        let uses = || values.iter().map(|(node, spot)| (self.used(*node), *spot));
        let is_telling = |(own, _): (Use, Spot)| own.slot.is_some_and(places::is_telling);
        match (uses().any(|(own, _)| own.role == Some(Role::Timestamp)), uses().any(is_telling)) {
            (true, false) => ShapeForm::Document {
                layout: Arc::new(Layout::new(uses().map(|(own, spot)| (own.field, spot)))),
                roles: uses().filter_map(|(own, spot)| Some((own.role?, spot))).collect(),
            },
            (false, true) => {
                let slots = places::slots(uses().map(|(own, spot)| (own.slot, spot)));
                slots.map_or(ShapeForm::Unclear, ShapeForm::Message)
            }
            _ => ShapeForm::Unclear,
        }
    }

    /// Returns the shape of a line that was passed over by `steps`; `None` if there is too much in it. Where lines of these
    /// steps differ, they are made those of this very line.
    fn shape(&mut self, line: &str, steps: &mut Vec<Step>) -> Option<&Arc<Shape>> {
        if self.forgotten != self.paths.forgotten() {
            self.forgotten = self.paths.forgotten();
            self.shapes.clear();
            self.frequent.clear();
        }
        let is_same = |shape: &Arc<Shape>| {
            // All of them, without asking after each: most shapes that are compared with are the right one.
            let differing = |sum, (step, kind): (&Step, &u32)| sum | (step.kind() ^ kind);
            shape.kinds.len() == steps.len() && steps.iter().zip(&shape.kinds).fold(0, differing) == 0
        };
        if let Some(at) = self.frequent.iter().position(is_same) {
            // One step to the front each time, so that what is frequent gets there.
            let ahead = at.saturating_sub(1);
            self.frequent.swap(at, ahead);
            return self.frequent.get(ahead);
        }
        let hash = steps.iter().fold(steps.len() as u64, |hash, step| {
            (hash.rotate_left(5) ^ u64::from(step.kind())).wrapping_mul(0x517c_c1b7_2722_0a95)
        });
        // Looked at first, because a borrow that is returned on one path only is not accepted.
        if !self.shapes.get(&hash).is_some_and(is_same) {
            let Some(shape) = self.new_shape(steps) else {
                self.own = self.own_shape(line, steps);
                return self.own.as_ref();
            };
            if self.shapes.len() >= MAX_SHAPES {
                self.shapes.clear();
            }
            self.shapes.insert(hash, Arc::new(shape));
        }
        let shape = self.shapes.get(&hash)?;
        self.frequent.truncate(FREQUENT - 1);
        self.frequent.push(Arc::clone(shape));
        Some(shape)
    }

    /// Makes the shape of all lines of these steps.
    #[cold]
    fn new_shape(&self, steps: &[Step]) -> Option<Shape> {
        if steps.len() > MAX_STEPS {
            return None;
        }
        let kinds = steps.iter().map(Step::kind).collect();
        Some(Shape { kinds, form: self.form(&self.paths.spots(steps)?) })
    }

    /// Makes a shape of one line, and `steps` those that it is of.
    #[cold]
    fn own_shape(&self, line: &str, steps: &mut Vec<Step>) -> Option<Arc<Shape>> {
        let all = self.paths.all_steps(line, steps);
        let values = self.paths.own_spots(&all)?;
        if values.len() > MAX_SPOTS {
            return None;
        }
        *steps = all;
        Some(Arc::new(Shape { kinds: Box::default(), form: self.form(&values) }))
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

/// Reads a line of either form by its steps; `None` where serde_json must decide what it is, or what is wrong with it.
/// `found` is only working memory.
pub(super) fn read<'a>(line: &'a str, wanted: &mut Wanted, found: &mut Found) -> Option<Read<'a>> {
    let (shape, is_doubtful) = scan(line, wanted, found)?;
    match &shape.form {
        ShapeForm::Document { layout, roles } => {
            take_roles(line, layout, roles, found, is_doubtful)?;
            let values = found.reused.at(line, layout, &found.marks);
            found.document(values).map(Read::Document)
        }
        ShapeForm::Message(slots) => places::read(line, &found.marks, slots, &mut found.day)
            .map(|message| Read::Message(Box::new(message))),
        ShapeForm::Unclear => None,
    }
}

/// Decodes a document by its steps; `None` where serde_json must decide what it is, or what is wrong with it.
pub(super) fn decode_by_steps(line: &str, wanted: &mut Wanted, found: &mut Found) -> Option<Arc<Values>> {
    let (shape, is_doubtful) = scan(line, wanted, found)?;
    let ShapeForm::Document { layout, roles } = &shape.form else { return None };
    take_roles(line, layout, roles, found, is_doubtful)?;
    Some(found.reused.at(line, layout, &found.marks))
}

/// Finds the marks of a line; returns its shape, and whether some of its values may not be readable.
fn scan<'w>(line: &str, wanted: &'w mut Wanted, found: &mut Found) -> Option<(&'w Arc<Shape>, bool)> {
    u32::try_from(line.len()).ok()?;
    let is_doubtful = wanted.paths.scan(line, &mut found.steps)?;
    let shape = wanted.shape(line, &mut found.steps)?;
    found.marks.clear();
    found.marks.extend(found.steps.iter().map(Step::mark));
    Some((shape, is_doubtful))
}

/// Takes what of a document means something to the decoder; `None` if not all of its values are readable.
fn take_roles(
    line: &str,
    layout: &Layout,
    roles: &[(Role, Spot)],
    found: &mut Found,
    is_doubtful: bool,
) -> Option<()> {
    if is_doubtful && !layout.spots().iter().all(|spot| spot.place(&found.marks).is_readable(line)) {
        return None;
    }
    (found.time, found.tick, found.kind) = (None, None, None);
    for (role, spot) in roles {
        let place = spot.place(&found.marks);
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
