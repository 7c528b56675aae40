//! Recorded process documents as a source of the table.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use eql::Scalar;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::store::{Instance, Version};
use super::{
    At, HostRef, MAX_IMAGES, Parent, ProcessTable, Seen, ancestry, entity_id, identify, image, inherited,
    sealed, seen,
};
use crate::event::{EntityId, Lazy, Package, Process, Reader};
use crate::observation::{Texts, Values};

/// What a recorded process document says.
#[derive(Debug)]
pub struct Recorded<'d> {
    /// What happened.
    pub change: Change,
    /// The process.
    pub process: DescribedProcess<'d>,
    /// How the rest is read, which most documents are not asked for.
    pub readers: &'static Readers,
    /// What was read of that, as it is asked for more than once.
    pub identity: OnceCell<Identity>,
}

/// Reads what else a process document says.
#[derive(Debug)]
pub struct Readers {
    /// What tells the process from others, beside its entity id.
    pub identity: fn(&Values) -> Identity,
    /// Where it comes from; asked for where it has a new image.
    pub lineage: fn(&Values) -> Lineage,
    /// The parent, as far as the document describes it.
    pub parent: for<'d> fn(&'d Values) -> Option<DescribedProcess<'d>>,
    /// The responsible process, as far as the document describes it.
    pub effective_parent: for<'d> fn(&'d Values) -> Option<DescribedProcess<'d>>,
}

/// What tells a process from others, as far as a document says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its pidversion.
    pub pidversion: Option<u32>,
    /// When it was forked, nanoseconds since 1970.
    pub start: Option<i64>,
    /// The pid of its parent.
    pub parent_pid: Option<u32>,
}

/// What a document says of a process and where that comes from.
#[derive(Debug)]
pub struct Lineage {
    /// [`Process::parent_entity_id`].
    pub parent_entity_id: Option<EntityId>,
    /// [`Process::ancestry`], if it says any.
    pub ancestry: Option<Arc<[Scalar]>>,
    /// [`Process::package`].
    pub package: Option<Arc<Package>>,
    /// [`Process::previous_executable`].
    pub previous_executable: Option<Arc<str>>,
    /// Whether it says which arguments the process has.
    pub has_args: bool,
}

/// A process of which a document says something.
#[derive(Debug)]
pub struct DescribedProcess<'d> {
    /// `pid`, else 0.
    pub pid: u32,
    /// `entity_id`.
    pub entity_id: Option<Cow<'d, str>>,
    /// `executable`.
    pub executable: Option<Cow<'d, str>>,
    /// `name`.
    pub name: Option<Cow<'d, str>>,
    /// The document.
    pub values: &'d Values,
    /// What it says of it.
    pub reader: &'static Reader,
    /// Whether it is an installer host, by what the document says.
    pub is_host: fn(&Values) -> bool,
}

/// What a recorded process document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new image; of a process that is not known, its start.
    Exec,
    /// A new process.
    Fork,
    /// A process's end.
    End,
    /// Something else, of a process that runs.
    None,
}

impl DescribedProcess<'_> {
    /// Returns whether it is an installer host.
    fn is_installer_host(&self) -> bool {
        (self.is_host)(self.values)
    }

    /// Makes `image` its own, of which no more is known than the document says; its memory is used again, but for who it
    /// is.
    fn put(&self, image: &mut Process, texts: &mut Texts) {
        image.pid = self.pid;
        image.description.renew(self.values, self.reader, texts);
    }

    /// Returns what [`Version::called`] is of it.
    fn called(&self) -> u64 {
        called(self.executable.as_deref(), self.name.as_deref())
    }
}

/// Returns a hash of what a document calls a process, which is 0 only where it does not.
fn called(executable: Option<&str>, name: Option<&str>) -> u64 {
    match (executable, name) {
        (None, None) => 0,
        both => FxBuildHasher.hash_one(both) | 1,
    }
}

impl Seen {
    /// Returns whether its process may be what a document calls by these, as [`Process::agrees`] does; mostly without a
    /// look at the image.
    pub fn agrees(&self, executable: Option<&str>, name: Option<&str>) -> bool {
        (self.called != 0 && self.called == called(executable, name)) || self.process.agrees(executable, name)
    }
}

impl Recorded<'_> {
    /// Makes `image` that of the process, without its entity id; what the document does not say is left out. Returns
    /// whether it says which arguments the process has.
    fn put(&self, image: &mut Process, texts: &mut Texts) -> bool {
        let values = self.process.values;
        let Identity { pidversion, start, parent_pid } = self.identity();
        let Lineage { parent_entity_id, ancestry, package, previous_executable, has_args } =
            (self.readers.lineage)(values);
        self.process.put(image, texts);
        (image.pidversion, image.start, image.parent_pid) = (pidversion, start, parent_pid);
        if ancestry.is_some() || !image.ancestry.is_empty() {
            image.ancestry = ancestry.unwrap_or_default();
        }
        image.parent_entity_id = parent_entity_id;
        (image.package, image.previous_executable) = (package, previous_executable);
        has_args
    }

    /// Returns no more than the image: what a document says that is no event of the process.
    pub(crate) fn into_process(self) -> Process {
        let entity_id = self.process.entity_id.as_deref().map(EntityId::from).unwrap_or_default();
        let mut image = Process { entity_id, ..Process::default() };
        self.put(&mut image, &mut Texts::default());
        image
    }

    fn identity(&self) -> Identity {
        *self.identity.get_or_init(|| (self.readers.identity)(self.process.values))
    }

    fn parent(&self) -> Option<DescribedProcess<'_>> {
        (self.readers.parent)(self.process.values)
    }
}

impl Process {
    /// Returns whether this image may be what a document calls by these: a name or an executable that the
    /// document leaves out is no contradiction.
    pub fn agrees(&self, executable: Option<&str>, name: Option<&str>) -> bool {
        let same = |other: Option<&str>, own: fn(&Lazy) -> Option<&str>| {
            other.is_none_or(|other| own(&self.description).is_none_or(|own| own == other))
        };
        same(executable, Lazy::executable) && same(name, Lazy::name)
    }

    fn is_called(&self, other: &DescribedProcess<'_>) -> bool {
        self.agrees(other.executable.as_deref(), other.name.as_deref())
    }
}

impl Version {
    /// Returns whether its image may be what a document calls so; mostly without a look at it.
    fn is_called(&self, other: &DescribedProcess<'_>) -> bool {
        (self.called != 0 && self.called == other.called()) || self.process.is_called(other)
    }
}

/// What is known of a document's process.
enum Known {
    /// The process, and the image of which the document tells.
    Image(u32),
    /// No more than the process, if that; what the document shows is a new image.
    Process(Option<u32>),
}

impl ProcessTable {
    /// Takes a process document. What it says of ids and lineage is kept; what it does not say comes from the
    /// table. `slack` is as in [`ProcessTable::at`].
    pub fn record(&mut self, host: HostRef<'_>, recorded: Recorded<'_>, at: At, slack: i64) -> Seen {
        let by = at.order.saturating_add(slack);
        let result = match self.known(host, &recorded, by) {
            Known::Image(id) => {
                let parent = self.recorded_parent(host, recorded.parent().as_ref(), at.order);
                let seen = seen(self.store.get(id).at(by), recorded.change == Change::End);
                let parent = parent.map(|parent| parent.process).or(seen.parent);
                self.note_end(id, recorded.change, at);
                Seen { parent, ..seen }
            }
            Known::Process(found) => {
                let is_end = recorded.change == Change::End;
                self.new_image(host, found, &recorded, (at, by), |version| seen(version, is_end))
            }
        };
        self.enforce();
        result
    }

    /// Takes a process document as [`record`](Self::record) does, where nobody asks whose it is.
    pub fn learn(&mut self, host: HostRef<'_>, recorded: Recorded<'_>, at: At, slack: i64) {
        let by = at.order.saturating_add(slack);
        match self.known(host, &recorded, by) {
            Known::Image(id) => self.note_end(id, recorded.change, at),
            Known::Process(found) => self.new_image(host, found, &recorded, (at, by), |_| ()),
        }
        self.enforce();
    }

    /// Finds what is known of a document's process.
    fn known(&self, host: HostRef<'_>, recorded: &Recorded<'_>, by: i64) -> Known {
        let found = self.find_recorded(host, recorded, by);
        let is_same = |id: &u32| {
            let current = self.store.get(*id).newest_by(by);
            current.is_some_and(|current| current.is_called(&recorded.process))
        };
        match found.filter(|_| matches!(recorded.change, Change::End | Change::None)).filter(is_same) {
            Some(id) => Known::Image(id),
            None => Known::Process(found),
        }
    }

    fn note_end(&mut self, id: u32, change: Change, at: At) {
        if change == Change::End {
            self.store.end(id, at.order);
        }
    }

    /// Gives a process a new image; it is entered if it was not found. Returns what `see` makes of the image.
    fn new_image<S>(
        &mut self,
        host: HostRef<'_>,
        found: Option<u32>,
        recorded: &Recorded<'_>,
        (at, by): (At, i64),
        see: impl FnOnce(&Version) -> S,
    ) -> S {
        let Recorded { change, process: described, readers, .. } = recorded;
        let parent = self.recorded_parent(host, recorded.parent().as_ref(), at.order);
        let effective_parent = (readers.effective_parent)(described.values);
        let effective_parent = self.recorded_parent(host, effective_parent.as_ref(), at.order);
        let mut image = self.store.blank();
        let process = Rc::get_mut(&mut image).expect("nobody else has a blank image");
        let has_args = recorded.put(process, self.store.texts());
        let id = match found {
            Some(id) => id,
            None => self.enter_recorded(host, recorded, process, parent.as_ref(), at),
        };
        if let (Change::Fork, Some(forker), None) = (change, &parent, &self.store.get(id).forker)
            && process.ancestry.is_empty()
        {
            self.adopt(id, forker);
        }
        let instance = self.store.get(id);
        if let (Change::Exec, Some(old)) = (change, instance.newest_by(by))
            && process.previous_executable.is_none()
        {
            process.previous_executable = old.process.description.executable().map(Arc::from);
        }
        if let (Change::Fork, Some(parent)) = (change, &parent)
            && !has_args
            && parent.process.is_called(described)
        {
            process.invocation = parent.process.invocation.clone();
        }
        let from = if *change == Change::Fork { instance.begun.max(at.order) } else { at.order };
        self.refine(id, process);
        let own_parent = (process.parent_pid, process.parent_entity_id.take());
        let own_start = process.start;
        identify(process, self.store.get(id), parent.as_ref());
        process.start = process.start.or(own_start);
        process.parent_pid = own_parent.0.or(process.parent_pid);
        process.parent_entity_id = own_parent.1.or(process.parent_entity_id.take());
        process.weight = image::weight(process);
        let version = Version {
            from,
            token: None,
            weight: process.weight,
            process: image,
            parent: parent.map(|parent| parent.process),
            effective_parent: effective_parent.map(|parent| parent.process),
            is_installer_host: described.is_installer_host(),
            called: described.called(),
        };
        let result = see(&version);
        self.store.put(id, version, MAX_IMAGES);
        self.note_end(id, *change, at);
        result
    }

    fn find_recorded(&self, host: HostRef<'_>, recorded: &Recorded<'_>, order: i64) -> Option<u32> {
        let pid = recorded.process.pid;
        if let Some(entity_id) = &recorded.process.entity_id
            && let Some(id) = self.store.by_entity(host.number, entity_id)
        {
            return Some(id);
        }
        let identity = recorded.identity();
        if let Some(pidversion) = identity.pidversion
            && let Some(id) = self.store.by_token(host.number, pid, pidversion)
        {
            return Some(id);
        }
        if identity.start.is_some() {
            let ids = self.store.by_pid(host.number, pid);
            return ids.iter().rev().copied().find(|id| self.store.get(*id).start == identity.start);
        }
        if recorded.process.entity_id.is_some() || recorded.change == Change::Fork {
            return None;
        }
        // No more than a pid. It goes on as the process that has it, unless its parent is another: who keeps
        // its pid keeps its parent, or falls to launchd.
        let id = self.store.begun_by(host.number, pid, order)?;
        let instance = self.store.get(id);
        let known = instance.at(order).process.parent_pid;
        let other_parent = match (known, identity.parent_pid) {
            (Some(known), Some(parent)) => known != parent && parent != 1,
            _ => false,
        };
        let alive = instance.ended.is_none_or(|ended| ended >= order);
        ((alive || recorded.change == Change::End) && !other_parent).then_some(id)
    }

    fn enter_recorded(
        &mut self,
        host: HostRef<'_>,
        recorded: &Recorded<'_>,
        process: &mut Process,
        parent: Option<&Parent>,
        at: At,
    ) -> u32 {
        let change = recorded.change;
        if change != Change::Fork {
            self.counts.first_seen_alive += 1;
        }
        match recorded.process.entity_id.as_deref() {
            None => process.entity_id = entity_id(host.id, process.pid, process.start.unwrap_or(at.time)),
            // Mostly in the memory of that of a process that is gone, whose image this was.
            Some(entity_id) => process.entity_id.renew(entity_id),
        }
        let id = process.entity_id.clone();
        let age = process.start.map_or(0, |start| at.time.saturating_sub(start).max(0));
        self.store.insert(Instance {
            host: host.number,
            pid: process.pid,
            start: process.start,
            begun: at.order.saturating_sub(age),
            ended: None,
            versions: SmallVec::new(),
            ancestry: match process.ancestry.is_empty() {
                true => ancestry(parent),
                false => Some(process.ancestry.clone()),
            },
            package: process.package.clone().or_else(|| inherited(parent?, &id)),
            entity_id: id,
            forker: parent.filter(|_| change == Change::Fork).cloned(),
        })
    }

    /// Returns the image of the process that a document describes as parent or responsible: by its entity id,
    /// else by its pid where nothing contradicts it, else what the document itself says.
    fn recorded_parent(
        &mut self,
        host: HostRef<'_>,
        parent: Option<&DescribedProcess<'_>>,
        order: i64,
    ) -> Option<Parent> {
        let parent = parent?;
        if let Some(entity_id) = &parent.entity_id {
            if let Some(id) = self.store.by_entity(host.number, entity_id) {
                self.store.touch(id);
                return Some(Parent::from(self.store.get(id).at(order)));
            }
        } else if let Some(living) = self.living(host, parent.pid, None, order)
            && living.process.is_called(parent)
        {
            return Some(living);
        }
        Some(self.described.get(parent, self.store.texts()))
    }
}

/// Processes that only documents describe, as parents: few are, by very many documents.
#[derive(Debug)]
pub(super) struct Described(Box<[[Option<Parent>; 2]]>);

/// How many are kept, in pairs; a further one takes the place of one of a pair.
const MAX_DESCRIBED: usize = 256;

impl Default for Described {
    fn default() -> Self {
        Described((0..MAX_DESCRIBED / 2).map(|_| [None, None]).collect())
    }
}

impl Described {
    /// Returns the process, which is the same for all documents of one layout that say the same of it.
    fn get(&mut self, another: &DescribedProcess<'_>, texts: &mut Texts) -> Parent {
        let called = [&another.entity_id, &another.executable, &another.name].map(Option::as_deref);
        let hash = FxBuildHasher.hash_one((another.pid, another.values.layout_number(), called));
        let [first, second] = &mut self.0[hash as usize % (MAX_DESCRIBED / 2)];
        let is_same = |own: &&Parent| own.process.is_described_by(another);
        if let Some(own) = first.as_ref().filter(is_same) {
            return own.clone();
        }
        std::mem::swap(first, second);
        if let Some(own) = first.as_ref().filter(is_same) {
            return own.clone();
        }
        let entity_id = another.entity_id.as_deref().map(EntityId::from).unwrap_or_default();
        let mut process = Process { entity_id, ..Process::default() };
        another.put(&mut process, texts);
        first
            .insert(Parent { process: sealed(process), is_installer_host: another.is_installer_host() })
            .clone()
    }
}

impl Process {
    /// Returns whether it is known from a document that said the same of it, and no more than that.
    fn is_described_by(&self, another: &DescribedProcess<'_>) -> bool {
        self.pid == another.pid
            && self.entity_id.as_bytes() == another.entity_id.as_deref().unwrap_or_default().as_bytes()
            && self.description.is_of(another.values, another.reader)
    }
}
