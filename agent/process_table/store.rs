//! Where the table's processes lie: a slab, its indices, and the order in which entries go.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use eql::Scalar;
use hashbrown::HashTable;
use rustc_hash::FxSeededState;
use smallvec::SmallVec;

use super::{Parent, image};
use crate::event::{EntityId, Package, Process};
use crate::observation::{Image, Texts, Token};
use crate::package;
use crate::seeded::{self, SeededMap};

/// A process from fork to exit, and the images that it had. What is read of most processes comes first, and lies together.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Instance {
    pub(super) entity_id: EntityId,
    /// Which host it ran on.
    pub(super) host: u32,
    pub(super) pid: u32,
    pub(super) package: Option<Arc<Package>>,
    /// When it started, on the clock that orders events.
    pub(super) begun: i64,
    /// When it ended, or was seen to have been succeeded by another of its pid.
    pub(super) ended: Option<i64>,
    /// Its images, oldest first; never empty, but while one is entered from a document. Most processes have one or two.
    pub(super) versions: SmallVec<[Version; 2]>,
    /// `start_time`, wall clock; with host and pid its identity.
    pub(super) start: Option<i64>,
    /// Its ancestors' entity ids, the parent at fork first; `None` if it has none.
    pub(super) ancestry: Option<Arc<[Scalar]>>,
    /// Who forked it, if a fork message or document said so.
    pub(super) forker: Option<Parent>,
}

/// An image, and what goes with it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Version {
    /// From when it holds, on the clock that orders events.
    pub(super) from: i64,
    /// A hash of what its document calls it, so that the image need not be looked at to know whether another document
    /// calls it the same; 0 if it has none.
    pub(super) called: u64,
    pub(super) process: Rc<Process>,
    /// The image's own weight, for the same reason.
    pub(super) weight: usize,
    pub(super) parent: Option<Rc<Process>>,
    pub(super) effective_parent: Option<Rc<Process>>,
    /// Whether it is an installer host.
    pub(super) is_installer_host: bool,
    pub(super) token: Option<Token>,
}

impl Version {
    /// An image that a message shows, which holds from a time on.
    pub(super) fn of_message(
        from: i64,
        image: &Image<'_>,
        process: Rc<Process>,
        parent: Option<Parent>,
        effective_parent: Option<Rc<Process>>,
    ) -> Self {
        Version {
            from,
            token: Some(image.token),
            weight: process.weight,
            process,
            parent: parent.map(|parent| parent.process),
            effective_parent,
            is_installer_host: package::is_host(image),
            called: 0,
        }
    }

    /// Exchanges the image for one that differs in no more than what is known of it.
    pub(super) fn set(&mut self, process: Rc<Process>) {
        self.weight = process.weight;
        self.process = process;
    }
}

impl Instance {
    /// The image at `time`; the oldest known if `time` is before them all.
    pub(super) fn at(&self, time: i64) -> &Version {
        self.newest_by(time).expect("a process has an image")
    }

    /// The same, of a process that may have none yet.
    pub(super) fn newest_by(&self, time: i64) -> Option<&Version> {
        self.versions.iter().rfind(|version| version.from <= time).or_else(|| self.versions.first())
    }

    /// The newest image that is not newer than `pidversion`, which grows with each exec. An image from a
    /// document has none and is taken by time.
    pub(super) fn up_to(&self, pidversion: u32, time: i64) -> Option<&Version> {
        let fits = |version: &&Version| match version.process.pidversion {
            Some(known) => known <= pidversion,
            None => version.from <= time,
        };
        self.versions.iter().rfind(fits)
    }

    pub(super) fn of(&self, pidversion: u32) -> Option<usize> {
        self.versions.iter().rposition(|version| version.process.pidversion == Some(pidversion))
    }

    pub(super) fn weight(&self) -> usize {
        size_of::<Slot>() + self.versions.iter().map(|version| version.weight).sum::<usize>()
    }

    /// In the order in which entries go: what has ended, then what has not, each without a package first.
    fn list(&self) -> usize {
        usize::from(self.package.is_some()) * 2 + usize::from(self.ended.is_none())
    }
}

/// The list of those that have a package and have not ended; see [`Instance::list`].
const RUNNING_OF_SESSIONS: usize = 3;

/// What an entry takes and stands for in the slab.
#[derive(Debug)]
#[repr(C)]
struct Slot {
    /// The hash of its host and entity id.
    hash: u64,
    weight: usize,
    instance: Instance,
}

/// An entry's place in its list. It lies apart from the entry: who moves one entry changes two others' places, and what
/// those are is of no matter then and was not looked at for long.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    list: usize,
    previous: Option<u32>,
    next: Option<u32>,
}

/// An entry by its entity id; the hash is kept so that nobody's id is looked at but that of the entry in question.
#[derive(Clone, Copy, Debug)]
struct Named {
    hash: u64,
    id: u32,
}

/// Entries of one kind, from the first to go to the last.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    first: Option<u32>,
    last: Option<u32>,
}

pub(super) struct Store {
    slots: Vec<Option<Slot>>,
    links: Vec<Link>,
    free: Vec<u32>,
    lists: [List; 4],
    bytes: usize,
    /// Ids by host and pid, by when they began.
    by_pid: SeededMap<(u32, u32), SmallVec<[u32; 2]>>,
    by_token: SeededMap<(u32, u32, u32), u32>,
    /// By host and entity id, which is a digest of the sensor's own, but in a recording what it says.
    by_entity: HashTable<Named>,
    hasher: FxSeededState,
    /// Images that are gone, for their memory: mostly one goes when another comes.
    spare: Vec<Rc<Process>>,
    texts: Texts,
    /// How many of the entries that go next were looked at already.
    near: usize,
}

/// How many images' memory is kept.
const MAX_SPARE: usize = 16;

/// How many entries are looked at before the first of them goes.
const AHEAD: usize = 16;

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store")
            .field("slots", &self.slots)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Default for Store {
    fn default() -> Self {
        let hasher = seeded::state(seeded::seed());
        Store {
            slots: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            lists: Default::default(),
            bytes: 0,
            by_pid: HashMap::with_hasher(hasher.clone()),
            by_token: HashMap::with_hasher(hasher.clone()),
            by_entity: HashTable::new(),
            hasher,
            spare: Vec::new(),
            texts: Texts::default(),
            near: 0,
        }
    }
}

impl Store {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, id: u32) -> &Instance {
        &self.slot(id).instance
    }

    /// The processes of install sessions that have not ended.
    pub(super) fn running_of_sessions(&self) -> impl Iterator<Item = &Instance> {
        let first = self.lists[RUNNING_OF_SESSIONS].first;
        let ids = std::iter::successors(first, |id| self.links[*id as usize].next);
        ids.map(|id| self.get(id))
    }

    pub(super) fn by_token(&self, host: u32, pid: u32, pidversion: u32) -> Option<u32> {
        self.by_token.get(&(host, pid, pidversion)).copied()
    }

    pub(super) fn by_entity(&self, host: u32, entity_id: &str) -> Option<u32> {
        let entity_id = entity_id.as_bytes();
        let hash = self.hash(host, entity_id);
        let is_same = |own: &Named| own.hash == hash && is_named(&self.slots, own.id, host, entity_id);
        self.by_entity.find(hash, is_same).map(|own| own.id)
    }

    fn hash(&self, host: u32, entity_id: &[u8]) -> u64 {
        self.hasher.hash_one((host, entity_id))
    }

    /// All processes known to have had `pid`, by when they began.
    pub(super) fn by_pid(&self, host: u32, pid: u32) -> &[u32] {
        self.by_pid.get(&(host, pid)).map_or(&[], SmallVec::as_slice)
    }

    /// The process of `pid` that began last up to `time`.
    pub(super) fn begun_by(&self, host: u32, pid: u32, time: i64) -> Option<u32> {
        let ids = self.by_pid(host, pid);
        ids[..ids.partition_point(|id| self.get(*id).begun <= time)].last().copied()
    }

    /// Enters a process. Two of one pid do not live at once: the earlier ended when the later began.
    pub(super) fn insert(&mut self, mut instance: Instance) -> u32 {
        let key = (instance.host, instance.pid);
        let ids = self.by_pid.get(&key).map_or(&[][..], SmallVec::as_slice);
        let position = ids.partition_point(|id| self.get(*id).begun <= instance.begun);
        let before = position.checked_sub(1).map(|index| ids[index]);
        let begun = instance.begun;
        if let Some(after) = ids.get(position) {
            instance.ended.get_or_insert(self.get(*after).begun);
        }
        if let Some(before) = before {
            self.update(before, |instance| _ = instance.ended.get_or_insert(begun));
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.links.push(Link::default());
            (self.slots.len() - 1) as u32
        });
        self.by_pid.entry(key).or_default().insert(position, id);
        let hash = self.hash(instance.host, instance.entity_id.as_bytes());
        self.name(Named { hash, id }, instance.host, instance.entity_id.as_bytes());
        for version in &instance.versions {
            if let Some(pidversion) = version.process.pidversion {
                self.by_token.insert((instance.host, instance.pid, pidversion), id);
            }
        }
        let (weight, list) = (instance.weight(), instance.list());
        self.bytes += weight;
        self.slots[id as usize] = Some(Slot { instance, weight, hash });
        self.push(id, list);
        id
    }

    /// Lets an entity id stand for a new entry; one that comes again stands for the newer.
    fn name(&mut self, new: Named, host: u32, entity_id: &[u8]) {
        let is_same = |own: &Named| own.hash == new.hash && is_named(&self.slots, own.id, host, entity_id);
        match self.by_entity.find_mut(new.hash, is_same) {
            Some(own) => own.id = new.id,
            None => _ = self.by_entity.insert_unique(new.hash, new, |own| own.hash),
        }
    }

    /// Puts an image in its place among the process's others; one of the same pidversion is replaced. Of too
    /// many the oldest goes.
    pub(super) fn put(&mut self, id: u32, version: Version, most: usize) {
        let (host, pid) = (self.get(id).host, self.get(id).pid);
        let pidversion = version.process.pidversion;
        let mut dropped = None;
        self.update(id, |instance| {
            let versions = &mut instance.versions;
            if let Some(old) = pidversion.and_then(|known| {
                versions.iter().position(|version| version.process.pidversion == Some(known))
            }) {
                versions.remove(old);
            }
            let position = versions.iter().rposition(|other| !newer(other, &version)).map_or(0, |at| at + 1);
            versions.insert(position, version);
            if versions.len() > most {
                dropped = versions.remove(0).process.pidversion;
            }
        });
        if let Some(pidversion) = pidversion {
            self.by_token.insert((host, pid, pidversion), id);
        }
        if let Some(pidversion) = dropped {
            forget(&mut self.by_token, (host, pid, pidversion), id);
        }
    }

    /// Changes a process; it counts as used.
    pub(super) fn update<T>(&mut self, id: u32, change: impl FnOnce(&mut Instance) -> T) -> T {
        let slot = self.slot_mut(id);
        let result = change(&mut slot.instance);
        let (old, new, list) = (slot.weight, slot.instance.weight(), slot.instance.list());
        slot.weight = new;
        let is_running = slot.instance.ended.is_none();
        self.bytes = self.bytes - old + new;
        // What has ended keeps its place: it goes in the order of its end.
        if list != self.links[id as usize].list || is_running {
            self.unlink(id);
            self.push(id, list);
        }
        result
    }

    /// Notes when a process ended.
    pub(super) fn end(&mut self, id: u32, order: i64) {
        let slot = self.slot_mut(id);
        slot.instance.ended = Some(order);
        let list = slot.instance.list();
        if list != self.links[id as usize].list {
            self.unlink(id);
            self.push(id, list);
        }
    }

    /// Notes that a process was used, so that it goes later.
    pub(super) fn touch(&mut self, id: u32) {
        let Link { list, next, .. } = self.links[id as usize];
        // What has ended keeps its place: it goes in the order of its end.
        if next.is_some() && self.get(id).ended.is_none() {
            self.unlink(id);
            self.push(id, list);
        }
    }

    /// Removes the processes that ended first as long as `done` says so of their ends.
    pub(super) fn expire(&mut self, mut done: impl FnMut(i64) -> bool) -> u64 {
        let mut removed = 0;
        for list in [0, 2] {
            while let Some(id) = self.lists[list].first
                && self.get(id).ended.is_some_and(&mut done)
            {
                self.remove_first(id);
                removed += 1;
            }
        }
        removed
    }

    /// Removes the one process that is to go first.
    pub(super) fn evict(&mut self) {
        if let Some(id) = self.lists.iter().find_map(|list| list.first) {
            self.remove_first(id);
        }
    }

    /// Removes the first entry of a list.
    fn remove_first(&mut self, id: u32) {
        if self.near == 0 {
            self.look_ahead(id);
            self.near = AHEAD;
        }
        self.near -= 1;
        self.remove(id);
    }

    /// Reads what is read when an entry and those after it go. Nobody has looked at them for minutes, so their memory is
    /// far away; to wait for that of several at once takes hardly longer than for that of one.
    fn look_ahead(&self, first: u32) {
        let ids = std::iter::successors(Some(first), |id| self.links[*id as usize].next).take(AHEAD);
        let read = ids.map(|id| {
            let Slot { instance, weight, hash } = self.slot(id);
            let named = self.by_entity.find(*hash, |own| own.id == id).is_some();
            let image = |version: &Version| {
                Rc::strong_count(&version.process) + version.process.description.read_through()
            };
            let images: usize = instance.versions.iter().map(image).sum();
            let of_pid = self.by_pid(instance.host, instance.pid).len();
            let entity = usize::from(instance.entity_id.as_bytes().first().copied().unwrap_or_default());
            weight + usize::from(named) + images + of_pid + entity
        });
        // Nobody wants the sum, but it must be made.
        std::hint::black_box(read.fold(0, usize::wrapping_add));
    }

    fn remove(&mut self, id: u32) {
        self.unlink(id);
        let Some(Slot { instance, weight, hash }) = &self.slots[id as usize] else { return };
        self.bytes -= weight;
        let key = (instance.host, instance.pid);
        if let Some(ids) = self.by_pid.get_mut(&key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_pid.remove(&key);
            }
        }
        if let Ok(named) = self.by_entity.find_entry(*hash, |own| own.id == id) {
            named.remove();
        }
        for version in &instance.versions {
            if let Some(pidversion) = version.process.pidversion {
                forget(&mut self.by_token, (instance.host, instance.pid, pidversion), id);
            }
        }
        if let Some(slot) = &mut self.slots[id as usize] {
            let images = slot.instance.versions.drain(..).map(|version| version.process);
            self.spare.extend(images.take(MAX_SPARE - self.spare.len()));
        }
        // Dropped where it lies, which is cheaper than to take it from there.
        self.slots[id as usize] = None;
        self.free.push(id);
    }

    /// Returns an image as it is kept.
    pub(super) fn sealed(&mut self, process: Process) -> Rc<Process> {
        let mut image = self.blank();
        if let Some(own) = Rc::get_mut(&mut image) {
            *own = process;
            own.weight = image::weight(own);
        }
        image
    }

    /// Returns an image to be written anew, which nobody else has; what is in it is of one that is gone.
    pub(super) fn blank(&mut self) -> Rc<Process> {
        while let Some(mut image) = self.spare.pop() {
            if Rc::get_mut(&mut image).is_some() {
                return image;
            }
        }
        Rc::default()
    }

    /// Returns the memory for texts of images.
    pub(super) fn texts(&mut self) -> &mut Texts {
        &mut self.texts
    }

    fn push(&mut self, id: u32, list: usize) {
        let previous = self.lists[list].last.replace(id);
        match previous {
            Some(previous) => self.links[previous as usize].next = Some(id),
            None => self.lists[list].first = Some(id),
        }
        self.links[id as usize] = Link { list, previous, next: None };
    }

    fn unlink(&mut self, id: u32) {
        let Link { list, previous, next } = self.links[id as usize];
        match previous {
            Some(previous) => self.links[previous as usize].next = next,
            None => self.lists[list].first = next,
        }
        match next {
            Some(next) => self.links[next as usize].previous = previous,
            None => self.lists[list].last = previous,
        }
    }

    fn slot(&self, id: u32) -> &Slot {
        self.slots[id as usize].as_ref().expect("an id from an index of the store")
    }

    fn slot_mut(&mut self, id: u32) -> &mut Slot {
        self.slots[id as usize].as_mut().expect("an id from an index of the store")
    }
}

/// Forgets whose a token is. One that has come again, after a restart of the Mac, belongs to the newer process.
fn forget(by_token: &mut SeededMap<(u32, u32, u32), u32>, token: (u32, u32, u32), id: u32) {
    if by_token.get(&token) == Some(&id) {
        by_token.remove(&token);
    }
}

fn is_named(slots: &[Option<Slot>], id: u32, host: u32, entity_id: &[u8]) -> bool {
    slots[id as usize]
        .as_ref()
        .is_some_and(|slot| slot.instance.host == host && slot.instance.entity_id.as_bytes() == entity_id)
}

/// Whether `left` is the newer image: by pidversion, which no clock step or late line disturbs, else by time.
fn newer(left: &Version, right: &Version) -> bool {
    match (left.process.pidversion, right.process.pidversion) {
        (Some(left), Some(right)) => left > right,
        _ => left.from > right.from,
    }
}
