//! The normalised event: what rules are evaluated against and alerts are made of.

mod description;
mod entity_id;
mod invocation;
mod process;

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use eql::{FieldId, Record, Scalar, Value};

pub use self::description::{CodeSignature, Description, DescriptionParts, User};
pub use self::entity_id::EntityId;
pub use self::invocation::{ArgsParts, Invocation, InvocationParts, KeptArgs};
pub use self::process::{Lazy, Process, Reader};
use crate::observation::Document;
use crate::{normaliser, schema, timestamp};

/// One event. A clone is a reference count.
#[derive(Clone, Debug)]
pub struct Event(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    fields: Fields,
    who: OnceCell<Who>,
    /// Who is asked for that, if it is not known yet.
    attribution: Option<Rc<dyn Attribute>>,
    /// Made when they are first asked for, as those of most events never are.
    dates: OnceCell<Box<Dates>>,
}

/// Whose an event is.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// `process.*`: the image at the time of the event (for an exec the new one, for a fork the child).
    pub process: Option<Rc<Process>>,
    /// `process.parent.*`: the image that the message's own parent token names.
    pub parent: Option<Rc<Process>>,
    /// `process.Ext.effective_parent.*`: the responsible process, absent where a process is its own.
    pub effective_parent: Option<Rc<Process>>,
    /// `vedette.attribution`, where the process of a flow was looked up.
    pub attribution: Option<Attribution>,
}

/// Says whose an event is, when somebody first asks for what its document does not say itself: of most nobody ever does.
pub(crate) trait Attribute: fmt::Debug {
    /// Returns whose `event` is. To be asked only of the event that was made last; whoever keeps an event is told before
    /// the next is made.
    fn who(&self, event: &Fields) -> Who;

    /// Returns whether `event` is of a process's new image of which nothing is known but what the event's own document
    /// says.
    fn is_described(&self, event: &Fields) -> bool;
}

/// The event's dates as text, each written when a rule or an alert first asks for it.
#[derive(Debug, Default)]
struct Dates {
    time: OnceCell<Box<str>>,
    start: OnceCell<Box<str>>,
    parent_start: OnceCell<Box<str>>,
}

/// What an [`Event`] holds. A field that is in the document, if there is one, wins over what the process
/// table adds: "fields present are kept, only missing ones filled".
#[derive(Debug)]
pub struct Fields {
    /// `@timestamp`: wall clock, nanoseconds since 1970.
    pub time: i64,
    /// What orders events and measures windows, nanoseconds: the tick where every event has one, else
    /// `time`.
    pub order: i64,
    /// `vedette.tick`: monotonic nanoseconds.
    pub tick: Option<i64>,
    /// `event.action`, from which `event.category` and `event.type` follow.
    pub action: Action,
    /// `event.sequence`: Endpoint Security's `global_seq_num`.
    pub sequence: Option<u64>,
    /// `host.*`.
    pub host: Arc<Host>,
    /// `process.exit_code`, for an exit.
    pub exit_code: Option<i64>,
    /// `network.*`, `source.*`, `destination.*`, for live flows; a recorded flow has a document.
    pub network: Option<Box<Network>>,
    /// `vedette.loss.*`; the process is then the busiest one that is responsible for others.
    pub loss: Option<Box<Loss>>,
    /// The ECS document that the event was read from.
    pub document: Option<Document>,
}

impl Fields {
    /// Returns what nothing is known of but a host and when: a wall time, and what orders events.
    pub fn of(host: Arc<Host>, time: i64, order: i64) -> Self {
        Fields {
            time,
            order,
            tick: None,
            action: Action::default(),
            sequence: None,
            host,
            exit_code: None,
            network: None,
            loss: None,
            document: None,
        }
    }
}

impl Fields {
    /// Returns what a document says.
    pub(crate) fn of_document(document: Document, host: Arc<Host>, order: i64) -> Self {
        let Document { time, tick, .. } = document;
        Fields { tick, action: Action::Document, document: Some(document), ..Fields::of(host, time, order) }
    }
}

impl Default for Fields {
    fn default() -> Self {
        Fields::of(Arc::default(), 0, 0)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// A process replaced its image.
    Exec,
    /// A process was made.
    Fork,
    /// A process ended.
    End,
    /// A connection was begun.
    ConnectionAttempted,
    /// A connection was ended.
    DisconnectReceived,
    /// Messages did not come.
    EventsLost,
    /// Whatever the document says.
    #[default]
    Document,
}

/// How the process of a flow was found, and so how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribution {
    /// The flow names the process itself: by `process.entity_id`, or live by its audit token or by a number that no
    /// other process of this boot has.
    Named,
    /// By pid, and the process was running at the flow's time.
    Pid,
    /// By pid, and the process had ended by then; no other was seen to take the pid since.
    PidAfterExit,
}

impl Attribution {
    /// Returns the value of `vedette.attribution`.
    pub fn as_str(self) -> &'static str {
        match self {
            Attribution::Named => "named",
            Attribution::Pid => "pid",
            Attribution::PidAfterExit => "pid_after_exit",
        }
    }
}

/// The Mac, `host.*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// `host.id`.
    pub id: Arc<str>,
    /// `host.name` and `host.hostname`.
    pub name: Option<Arc<str>>,
    /// `host.architecture`: `arm64` or `x86_64`.
    pub architecture: Option<Arc<str>>,
    /// `host.os.version`: 15.5.
    pub os_version: Option<Arc<str>>,
    /// `host.os.full`: macOS 15.5.
    pub os_full: Option<Arc<str>>,
    /// `host.os.kernel`: 24.5.0.
    pub os_kernel: Option<Arc<str>>,
    /// `host.ip`.
    pub ip: Box<[Scalar]>,
    /// `host.mac`.
    pub mac: Box<[Scalar]>,
    /// The document says itself which operating system it comes from, so none is filled in.
    pub os_recorded: bool,
}

/// `vedette.package`: the install session that a process descends from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Package {
    /// `host`: the name of the installer host that began it.
    pub host: Arc<str>,
    /// `host_entity_id`.
    pub host_entity_id: Arc<str>,
    /// `identifier` of the package.
    pub identifier: Option<Arc<str>>,
    /// `script` that the host runs.
    pub script: Option<Arc<str>>,
    /// `path` of the .pkg.
    pub path: Option<Arc<str>>,
    /// `claimed`: which of the above come from arguments, and so from whoever made or ran the package.
    pub claimed: Box<[Scalar]>,
    /// Names one session: the entity id of the host's child that began it.
    pub session: Arc<str>,
}

/// What did not come, and what else happened meanwhile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    /// `vedette.loss.missing`: messages that did not come, by their numbers.
    pub missing: u64,
    /// `vedette.loss.messages`: messages that came in the ten to twenty seconds before.
    pub messages: u64,
    /// `vedette.loss.of_busiest`: how many of them were of the busiest process and those it is responsible for.
    pub of_busiest: Option<u64>,
    /// `vedette.loss.sessions`: install sessions that had a running process.
    pub sessions: usize,
    /// `vedette.package`: of these sessions the one that began last.
    pub package: Option<Arc<Package>>,
}

/// A live flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// `network.direction`.
    pub direction: Option<&'static str>,
    /// `network.transport`.
    pub transport: Option<&'static str>,
    /// `network.type`.
    pub kind: Option<&'static str>,
    /// `source.ip` (and `address`).
    pub source_ip: Option<Arc<str>>,
    /// `source.port`.
    pub source_port: Option<u16>,
    /// `source.bytes`.
    pub source_bytes: Option<u64>,
    /// `destination.ip` (and `address`).
    pub destination_ip: Option<Arc<str>>,
    /// `destination.port`.
    pub destination_port: Option<u16>,
    /// `destination.domain`.
    pub destination_domain: Option<Arc<str>>,
    /// `destination.bytes`.
    pub destination_bytes: Option<u64>,
    /// `vedette.source`: which of the Mac's network sources saw it.
    pub source: Option<&'static str>,
}

impl Event {
    /// Makes an event.
    pub fn new(fields: Fields, who: Who) -> Self {
        Event(Rc::new(Inner { fields, who: who.into(), attribution: None, dates: OnceCell::new() }))
    }

    /// Makes an event in the memory of `last`, the one that was made so before, if nobody has kept that.
    pub(crate) fn renewed(last: &mut Option<Event>, fields: Fields, who: Who) -> Self {
        Self::put(last, Inner { fields, who: who.into(), attribution: None, dates: OnceCell::new() })
    }

    /// The same of a document's event, of which it is asked for later whose it is, if at all. What mostly stays as it was
    /// is not written again.
    pub(crate) fn of_document(
        last: &mut Option<Event>,
        (document, order): (Document, i64),
        host: &Arc<Host>,
        attribution: &Rc<dyn Attribute>,
    ) -> Self {
        if let Some(Inner { fields, who, attribution: Some(_), dates }) =
            last.as_mut().and_then(|last| Rc::get_mut(&mut last.0))
        {
            if !Arc::ptr_eq(&fields.host, host) {
                fields.host = Arc::clone(host);
            }
            (fields.time, fields.order, fields.tick) = (document.time, order, document.tick);
            fields.document = Some(document);
            who.take();
            dates.take();
        } else {
            let fields = Fields::of_document(document, Arc::clone(host), order);
            let (who, attribution) = (OnceCell::new(), Some(Rc::clone(attribution)));
            return Self::put(last, Inner { fields, who, attribution, dates: OnceCell::new() });
        }
        last.clone().expect("made just now")
    }

    fn put(last: &mut Option<Event>, inner: Inner) -> Self {
        match last.as_mut().map(|last| Rc::get_mut(&mut last.0)) {
            Some(Some(own)) => *own = inner,
            _ => *last = Some(Event(Rc::new(inner))),
        }
        last.clone().expect("made just now")
    }

    /// Returns whose it is.
    #[inline]
    pub fn who(&self) -> &Who {
        self.0.who.get_or_init(|| match &self.0.attribution {
            Some(attribution) => attribution.who(&self.0.fields),
            None => Who::default(),
        })
    }

    /// Returns [`Who::process`].
    #[inline]
    pub fn process(&self) -> Option<&Rc<Process>> {
        self.who().process.as_ref()
    }

    /// Returns [`Who::parent`].
    #[inline]
    pub fn parent(&self) -> Option<&Rc<Process>> {
        self.who().parent.as_ref()
    }

    /// Returns [`Who::effective_parent`].
    #[inline]
    pub fn effective_parent(&self) -> Option<&Rc<Process>> {
        self.who().effective_parent.as_ref()
    }

    /// Returns whether it is known, without making anything, that its process has nothing under `field`, which its document
    /// has not.
    pub(crate) fn lacks(&self, field: FieldId) -> bool {
        let of_image = normaliser::COPIED.get(field.index()) == Some(&true);
        of_image
            && match (&self.0.attribution, self.0.who.get()) {
                (Some(attribution), None) if attribution.is_described(&self.0.fields) => true,
                _ => self.process().is_some_and(|process| process.description.lacks(field)),
            }
    }

    /// Returns whether somebody else has it too.
    pub(crate) fn is_kept(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    /// Returns whether it is the very same event as another, not merely an equal one.
    pub fn is(&self, other: &Event) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Returns whether it tells of lost messages.
    pub fn is_loss(&self) -> bool {
        !self.get(schema::LOSS).is_missing()
    }

    fn dates(&self) -> &Dates {
        self.0.dates.get_or_init(Box::default)
    }

    /// Returns `@timestamp` as RFC 3339 text.
    pub fn time_text(&self) -> &str {
        self.dates().time.get_or_init(|| timestamp::format(self.time).into())
    }

    /// Returns `process.start` as RFC 3339 text, where it is known.
    pub fn start_text(&self) -> Option<&str> {
        let start = self.process()?.start?;
        Some(self.dates().start.get_or_init(|| timestamp::format(start).into()))
    }

    /// Returns `process.parent.start` as RFC 3339 text, where it is known.
    pub fn parent_start_text(&self) -> Option<&str> {
        let start = self.parent()?.start?;
        Some(self.dates().parent_start.get_or_init(|| timestamp::format(start).into()))
    }
}

impl std::ops::Deref for Event {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0.fields
    }
}

impl Record for Event {
    #[expect(clippy::misnamed_getters, reason = "what the engine calls time is the clock that orders events")]
    fn time(&self) -> i64 {
        self.order
    }

    fn category(&self) -> Value<'_> {
        self.get(schema::EVENT_CATEGORY)
    }

    fn get(&self, field: FieldId) -> Value<'_> {
        if let Some(document) = &self.document {
            let value = document.get(field);
            if !value.is_missing() {
                return value;
            }
        }
        schema::read(self, field)
    }

    fn any(&self, field: FieldId, mut test: impl FnMut(Value<'_>) -> bool) -> bool {
        let recorded = self.document.as_ref().and_then(|document| document.any(field, &mut test));
        recorded.unwrap_or_else(|| schema::read(self, field).any(test))
    }

    #[inline]
    fn single(&self, field: FieldId) -> Option<Value<'_>> {
        self.document.as_ref()?.values.single(field)
    }

    fn any_category(&self, test: impl FnMut(Value<'_>) -> bool) -> bool {
        self.any(schema::EVENT_CATEGORY, test)
    }

    fn category_field() -> Option<FieldId> {
        Some(schema::EVENT_CATEGORY)
    }

    fn is_list(field: FieldId) -> bool {
        // ECS has arrays of categories and types, but an event is of one.
        let many = |spec: &schema::FieldSpec| spec.array && !spec.path.starts_with("event.");
        schema::FIELDS.get(field.index()).is_some_and(many)
    }

    fn is_kind(field: FieldId) -> bool {
        // event.action, event.type and the like.
        schema::FIELDS.get(field.index()).is_some_and(|spec| spec.path.starts_with("event."))
    }

    #[inline]
    fn likeness(&self) -> Option<u64> {
        Some(self.document.as_ref()?.values.layout_number())
    }

    fn is_shared(&self, field: FieldId) -> bool {
        // What a document says itself, nothing else is asked for.
        self.document.as_ref().is_some_and(|document| document.values.is_shared(field))
    }

    fn weight(&self) -> usize {
        let process = |process: Option<&Rc<Process>>| process.map_or(0, |process| process.weight);
        size_of::<Inner>()
            + self.network.as_ref().map_or(0, |network| size_of_val(&**network))
            + self.document.as_ref().map_or(0, |document| document.values.weight())
            + process(self.process())
            + process(self.parent())
            + process(self.effective_parent())
    }

    fn protected(&self) -> bool {
        self.process().is_some_and(|process| process.package.is_some())
    }
}
