//! The process table: which image a pid, a token or an entity id stood for at a given time.
//!
//! A *process* lives from fork to exit; its *images* follow one another by exec. The kernel names an image by
//! pid and pidversion, a process by pid and start time, and a recorded flow by no more than a pid: the table
//! answers all three. Events may come late or not at all, so each goes in at its own time, and a process whose
//! fork or exec was not seen is entered from whatever message names it first.
//!
//! The table is bounded: [`MAX_PROCESSES`] and [`MAX_BYTES`]. What has ended goes first, oldest first, then
//! what was used least recently; processes of an install session go last. Ended processes also go once the
//! largest window and a minute have passed. An image holds on to its parent's, so that what is kept in memory
//! may be a small multiple of [`MAX_BYTES`].

mod accounts;
mod clock;
mod image;
mod recorded;
mod store;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use eql::Scalar;
use smallvec::SmallVec;

use crate::event::{DescriptionParts, EntityId, InvocationParts, Package, Process};
use crate::observation::{Exec, Image, ImageId};
use crate::package;
use clock::Clock;
use image::Images;
use store::{Instance, Store, Version};

pub use accounts::Accounts;
pub use image::{MAX_ARGS_BYTES, MAX_COMMAND_LINE_BYTES, MAX_TEXT_BYTES, entity_id};
pub(crate) use image::{cut, file_name};
use recorded::Described;
pub use recorded::{Change, DescribedProcess, Identity, Lineage, Readers, Recorded};

/// How many processes are kept.
pub const MAX_PROCESSES: usize = 16_384;

/// How many bytes of images are kept.
pub const MAX_BYTES: usize = 12 << 20;

/// How many images of one process are kept, the newest.
pub const MAX_IMAGES: usize = 16;

/// How many ancestors are kept, the nearest.
pub const MAX_ANCESTRY: usize = 64;

/// How long an ended process is kept beyond the largest window of the rules, in nanoseconds.
pub const KEPT_BEYOND_WINDOW: i64 = 60_000_000_000;

/// The table of all hosts' processes.
#[derive(Debug)]
pub struct ProcessTable {
    store: Store,
    images: Images,
    described: Described,
    /// What is known of pid 1 where it is not in the table, as it hardly ever is in a recording.
    launchd: Parent,
    clock: Clock,
    limits: Limits,
    keep_ended: i64,
    keep_env: bool,
    counts: Counts,
}

/// The table's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many processes.
    pub processes: usize,
    /// How many bytes of images.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { processes: MAX_PROCESSES, bytes: MAX_BYTES }
    }
}

/// What the table has had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes that went to make room, though they might still have been asked for.
    pub evicted: u64,
    /// Ended processes that went because their time had passed.
    pub expired: u64,
    /// Processes entered without their fork having been seen.
    pub first_seen_alive: u64,
}

/// When an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Wall clock, nanoseconds since 1970.
    pub time: i64,
    /// On the clock that orders events, nanoseconds.
    pub order: i64,
}

/// A host, by a number of the caller's that is never given to another, and its id.
#[derive(Clone, Copy, Debug)]
pub struct HostRef<'a> {
    /// Tells hosts apart: a pid or an entity id of one says nothing of another.
    pub number: u32,
    /// `host.id`, part of what entity ids are made of.
    pub id: &'a str,
}

/// What the table knows of an event's process.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The image at the time.
    pub process: Rc<Process>,
    /// The parent's image.
    pub parent: Option<Rc<Process>>,
    /// The responsible process's image, unless the process is its own.
    pub effective_parent: Option<Rc<Process>>,
    /// Whether the process had ended by then.
    pub ended: bool,
    /// A hash of what the image's document calls it; 0 if it has none.
    called: u64,
}

/// A parent's image, and whether it is an installer host.
#[derive(Clone, Debug)]
struct Parent {
    process: Rc<Process>,
    is_installer_host: bool,
}

impl ProcessTable {
    /// Makes an empty table. `keep_env` keeps environment variables of what is exec'd.
    pub fn new(limits: Limits, keep_env: bool) -> Self {
        ProcessTable {
            store: Store::default(),
            images: Images::default(),
            described: Described::default(),
            launchd: of_pid(1),
            clock: Clock::new(),
            limits,
            keep_ended: KEPT_BEYOND_WINDOW,
            keep_env,
            counts: Counts::default(),
        }
    }

    /// Sets the largest window of the rules, in nanoseconds.
    pub fn set_largest_window(&mut self, window: i64) {
        self.keep_ended = window.max(0).saturating_add(KEPT_BEYOND_WINDOW);
    }

    /// Gives users and groups their names from now on.
    pub fn set_accounts(&mut self, accounts: Box<dyn Accounts>) {
        self.images.accounts = accounts;
    }

    /// Returns what the table has had to do.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how many processes are kept.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Returns how many install sessions of a host have a running process, and the package of the one that began last.
    pub fn running_sessions(&self, host: HostRef<'_>) -> (usize, Option<Arc<Package>>) {
        let mut sessions: BTreeMap<&str, (i64, &Arc<Package>)> = BTreeMap::new();
        for instance in self.store.running_of_sessions().filter(|instance| instance.host == host.number) {
            if let Some(package) = &instance.package {
                let begun = sessions.entry(&package.session).or_insert((instance.begun, package));
                // The process that began it knows its package best, and is the oldest as long as it runs.
                if instance.begun < begun.0 {
                    *begun = (instance.begun, package);
                }
            }
        }
        let last = sessions.values().max_by_key(|(begun, _)| *begun).map(|(_, package)| (*package).clone());
        (sessions.len(), last)
    }

    /// Returns whether no process is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes of images are kept, each image counted once.
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// Moves the table's clock by one event, whatever its kind; processes that ended long before it go.
    pub fn advance(&mut self, order: i64) {
        if self.clock.observe(order) {
            let limit = self.clock.now().saturating_sub(self.keep_ended);
            self.counts.expired += self.store.expire(|ended| ended < limit);
        }
    }

    /// Takes a fork: `child` is a copy of `process`'s image.
    pub fn fork(&mut self, host: HostRef<'_>, process: &Image<'_>, child: &Image<'_>, at: At) -> Seen {
        let (parent_id, _) = self.observed(host, process, at);
        let parent = self.version_of(parent_id, process.token.pidversion, at.order);
        // A child whose start is not known is told from an earlier process of its pid by its pidversion.
        let known = self
            .find(host, child)
            .filter(|id| child.start.is_some() || self.store.get(*id).of(child.token.pidversion).is_some());
        let id = match known {
            Some(id) => id,
            None => self.enter(host, child, at, Some(parent.clone())),
        };
        if self.store.get(id).forker.is_none() {
            self.adopt(id, &parent);
        }
        let index = self.ensure(host, id, child, at);
        // One that is entered now has what no message repeats of its parent's image; one that was known may not.
        let own = &self.store.get(id).versions[index].process;
        let invocation = &parent.process.invocation;
        if own.args_count().is_none() && (own.invocation.is_some() || invocation.is_some()) {
            let invocation = invocation.clone();
            self.store.update(id, |instance| {
                let version = &mut instance.versions[index];
                let mut copy = Process::clone(&version.process);
                copy.invocation = invocation;
                version.set(sealed(copy));
            });
        }
        let version = &self.store.get(id).versions[index];
        let (process, effective_parent) = (version.process.clone(), version.effective_parent.clone());
        self.enforce();
        Seen { process, parent: Some(parent.process), effective_parent, ended: false, called: 0 }
    }

    /// Takes an exec: `process` is the image that `exec.target` replaces.
    pub fn exec(&mut self, host: HostRef<'_>, process: &Image<'_>, exec: &Exec<'_>, at: At) -> Seen {
        let target = &exec.target;
        let known =
            self.find(host, target).filter(|id| self.store.get(*id).of(target.token.pidversion).is_some());
        let id = match known {
            // The image was seen before its exec: a late line. What it replaced is older still.
            Some(id) => id,
            // A malformed message may name two processes; the new image counts.
            None if process.token.pid == target.token.pid => self.observed(host, process, at).0,
            None => self.observed(host, target, at).0,
        };
        let parent = self.resolve(host, target.parent, target.ppid, at.order, Some(id));
        let effective_parent = self.effective(host, target, at.order);
        let mut image = self.images.exec(exec, self.keep_env);
        image.previous_executable = image::text(&process.executable).map(Arc::from);
        self.refine(id, &image);
        let instance = self.store.get(id);
        identify(&mut image, instance, parent.as_ref());
        let process = self.store.sealed(image);
        let version = Version::of_message(at.order, target, process, parent, effective_parent);
        let seen = seen(&version, false);
        self.store.put(id, version, MAX_IMAGES);
        self.enforce();
        seen
    }

    /// Takes an exit.
    pub fn exit(&mut self, host: HostRef<'_>, process: &Image<'_>, at: At) -> Seen {
        let (id, seen) = self.seen_now(host, process, at);
        self.store.end(id, at.order);
        self.enforce();
        Seen { ended: true, ..seen }
    }

    /// Takes a process that ran before messages came, as the system lists it: `image` with no parent token, and `args`
    /// if they are known to be that image's. What messages have told already stays; only arguments, which no message of
    /// a running process repeats, are filled in. To be called parents first. Returns whether the process was new.
    pub fn already_running(
        &mut self,
        host: HostRef<'_>,
        image: &Image<'_>,
        args: Option<&[Cow<'_, str>]>,
        at: At,
    ) -> bool {
        let known = self.find(host, image);
        let id = known.unwrap_or_else(|| self.enter(host, image, at, None));
        let instance = self.store.get(id);
        // It has exec'd since it was listed: what the list says is over.
        let listed = instance.of(image.token.pidversion).filter(|_| instance.ended.is_none());
        if let (Some(index), Some(args)) = (listed, args)
            && instance.versions[index].process.args_count().is_none()
        {
            let mut copy = Process::clone(&instance.versions[index].process);
            let invocation = InvocationParts { args: image::arguments(args), ..InvocationParts::default() };
            copy.invocation = Some(Arc::new(invocation.into()));
            // Arguments say which script of which package a session's first process runs.
            self.refine(id, &copy);
            copy.package = self.store.get(id).package.clone();
            self.store.update(id, |instance| instance.versions[index].set(sealed(copy)));
        }
        self.enforce();
        known.is_none()
    }

    /// Takes any other message of `process`.
    pub fn other(&mut self, host: HostRef<'_>, process: &Image<'_>, at: At) -> Seen {
        let (_, seen) = self.seen_now(host, process, at);
        self.enforce();
        seen
    }

    /// Returns what a message's own process is at the message, and where it lies; entered if it is new.
    fn seen_now(&mut self, host: HostRef<'_>, process: &Image<'_>, at: At) -> (u32, Seen) {
        let (id, index) = self.observed(host, process, at);
        let parent = self.resolve(host, process.parent, process.ppid, at.order, Some(id));
        let seen = seen(&self.store.get(id).versions[index], false);
        (id, Seen { parent: parent.map(|parent| parent.process), ..seen })
    }

    /// Returns the process that had `pid` at `time` (on the clock that orders events): of all that had it the
    /// one that began last up to `time + slack`, with its image then. `slack` is how much later than it says
    /// the time may have been, in nanoseconds: a time written to the millisecond means any time within it.
    pub fn at(&mut self, host: HostRef<'_>, pid: u32, time: i64, slack: i64) -> Option<Seen> {
        let time = time.saturating_add(slack);
        let id = self.store.begun_by(host.number, pid, time)?;
        Some(self.seen_at(id, time))
    }

    /// Returns the process of a pid and a start, with its image at `time`. Of one that is not known, no more than that is
    /// known: its entity id is the one that it will have.
    pub fn started(&mut self, host: HostRef<'_>, pid: u32, start: i64, time: i64) -> Seen {
        let ids = self.store.by_pid(host.number, pid);
        if let Some(id) = ids.iter().rev().copied().find(|id| self.store.get(*id).start == Some(start)) {
            return self.seen_at(id, time);
        }
        let (entity_id, start) = (entity_id(host.id, pid, start), Some(start));
        let process = sealed(Process { pid, start, entity_id, ..Process::default() });
        Seen { process, parent: None, effective_parent: None, ended: false, called: 0 }
    }

    /// Returns the process of an entity id, with its image at `time`.
    pub fn entity(&mut self, host: HostRef<'_>, entity_id: &str, time: i64, slack: i64) -> Option<Seen> {
        let id = self.store.by_entity(host.number, entity_id)?;
        Some(self.seen_at(id, time.saturating_add(slack)))
    }

    fn seen_at(&mut self, id: u32, time: i64) -> Seen {
        self.store.touch(id);
        let instance = self.store.get(id);
        seen(instance.at(time), instance.ended.is_some_and(|ended| ended < time))
    }

    /// Returns the process of a message's image, entered if it is new, and the place of its image, noted if that is.
    fn observed(&mut self, host: HostRef<'_>, image: &Image<'_>, at: At) -> (u32, usize) {
        match self.find(host, image) {
            Some(id) => (id, self.ensure(host, id, image, at)),
            None => {
                self.counts.first_seen_alive += 1;
                (self.enter(host, image, at, None), 0)
            }
        }
    }

    fn find(&self, host: HostRef<'_>, image: &Image<'_>) -> Option<u32> {
        let token = image.token;
        let same_start = |id: &u32| match (self.store.get(*id).start, image.start) {
            (Some(known), Some(start)) => known == start,
            // A document need not say when its process started; it did before it was first seen.
            (None, Some(_)) => self.store.get(*id).ended.is_none(),
            (_, None) => true,
        };
        if let Some(id) = self.store.by_token(host.number, token.pid, token.pidversion).filter(same_start) {
            return Some(id);
        }
        let ids = self.store.by_pid(host.number, token.pid);
        if image.start.is_some() {
            return ids.iter().rev().copied().find(same_start);
        }
        let last = *ids.last()?;
        let instance = self.store.get(last);
        let follows = instance.versions[0].process.pidversion.is_none_or(|first| first <= token.pidversion);
        (instance.ended.is_none() && follows).then_some(last)
    }

    /// Enters a process from the image that a message shows. Its forker is given, or else is what the message
    /// says of its original parent.
    fn enter(&mut self, host: HostRef<'_>, image: &Image<'_>, at: At, forker: Option<Parent>) -> u32 {
        // The start is on the wall clock; how long before the event it was carries it over.
        let age = image.start.map_or(0, |start| at.time.saturating_sub(start).max(0));
        let begun = at.order.saturating_sub(age);
        let original = image.original_ppid.or(image.ppid);
        let lineage = forker.clone().or_else(|| match image.parent {
            Some(named) if original.is_none_or(|pid| pid == named.pid) => {
                self.resolve(host, Some(named), None, begun, None)
            }
            _ => original.and_then(|pid| self.living(host, pid, None, begun)),
        });
        let parent = match &forker {
            Some(forker) => Some(forker.clone()),
            None => self.resolve(host, image.parent, image.ppid, at.order, None),
        };
        let id = entity_id(host.id, image.token.pid, image.start.unwrap_or(at.time));
        let mut instance = Instance {
            host: host.number,
            pid: image.token.pid,
            start: image.start,
            begun,
            ended: None,
            versions: SmallVec::new(),
            ancestry: ancestry(lineage.as_ref()),
            package: lineage.as_ref().and_then(|parent| inherited(parent, &id)),
            entity_id: id,
            forker,
        };
        let mut process = self.images.bare(image);
        process.invocation = instance.forker.as_ref().and_then(|forker| forker.process.invocation.clone());
        identify(&mut process, &instance, parent.as_ref());
        let effective_parent = self.effective(host, image, at.order);
        instance.versions.push(Version::of_message(begun, image, sealed(process), parent, effective_parent));
        self.store.insert(instance)
    }

    /// Notes an image of a known process if it is new: its exec was not seen, or is yet to come. Returns its
    /// place among the process's images.
    fn ensure(&mut self, host: HostRef<'_>, id: u32, image: &Image<'_>, at: At) -> usize {
        let instance = self.store.get(id);
        let Some(index) = instance.of(image.token.pidversion) else {
            let parent = self.resolve(host, image.parent, image.ppid, at.order, Some(id));
            let effective_parent = self.effective(host, image, at.order);
            let mut process = self.images.bare(image);
            identify(&mut process, self.store.get(id), parent.as_ref());
            let version = Version::of_message(at.order, image, sealed(process), parent, effective_parent);
            self.store.put(id, version, MAX_IMAGES);
            // Where more images are kept than may be, the oldest goes, which may be this one.
            return self.store.get(id).of(image.token.pidversion).unwrap_or(0);
        };
        // setuid changes the token without an exec.
        let changed = instance.versions[index].token.is_some_and(|token| token != image.token);
        if !changed {
            self.store.touch(id);
            return index;
        }
        let user = self.images.user(&image.token);
        self.store.update(id, |instance| {
            let version = &mut instance.versions[index];
            version.token = Some(image.token);
            let mut process = Process::clone(&version.process);
            process.user = Some(user);
            version.set(sealed(process));
        });
        index
    }

    /// Gives a process that was seen before its fork the lineage that the fork tells.
    fn adopt(&mut self, id: u32, forker: &Parent) {
        let instance = self.store.get(id);
        // A session that it has begun already, and refined, is the one that it would begin now.
        let begun = instance.package.clone().filter(|package| *package.session == *instance.entity_id);
        let package = match forker.is_installer_host {
            true => begun.or_else(|| inherited(forker, &instance.entity_id)),
            false => forker.process.package.clone(),
        };
        let ancestry = ancestry(Some(forker));
        self.store.update(id, |instance| {
            for version in &mut instance.versions {
                version.set(sealed(Process {
                    ancestry: ancestry.clone().unwrap_or_default(),
                    package: package.clone(),
                    ..Process::clone(&version.process)
                }));
            }
            instance.ancestry = ancestry;
            instance.package = package;
            instance.forker = Some(forker.clone());
        });
    }

    /// Refines the session that a process began by what it turns out to run.
    fn refine(&mut self, id: u32, image: &Process) {
        let instance = self.store.get(id);
        let refined = match &instance.package {
            Some(session) if *session.session == *instance.entity_id => package::refine(session, image),
            _ => None,
        };
        if let Some(refined) = refined {
            self.store.update(id, |instance| instance.package = Some(Arc::new(refined)));
        }
    }

    fn effective(&mut self, host: HostRef<'_>, image: &Image<'_>, order: i64) -> Option<Rc<Process>> {
        let named = image.responsible.filter(|named| named.pid != image.token.pid)?;
        self.resolve(host, Some(named), None, order, None).map(|parent| parent.process)
    }

    /// Returns the image that a message names. If the table does not know it, then what the fork message said of
    /// the parent of `child`, if that has the same pid; else the process that has the pid at the time; else
    /// no more than the pid.
    fn resolve(
        &mut self,
        host: HostRef<'_>,
        named: Option<ImageId>,
        pid: Option<u32>,
        order: i64,
        child: Option<u32>,
    ) -> Option<Parent> {
        let Some(named) = named else {
            let pid = pid?;
            return Some(self.living(host, pid, None, order).unwrap_or_else(|| self.only_pid(pid)));
        };
        if let Some(id) = self.store.by_token(host.number, named.pid, named.pidversion) {
            self.store.touch(id);
            return Some(self.version_of(id, named.pidversion, order));
        }
        let forker = child.and_then(|id| self.store.get(id).forker.clone());
        if let Some(forker) = forker.filter(|forker| forker.process.pid == named.pid) {
            // It may have exec'd since.
            let id = self.store.by_entity(host.number, &forker.process.entity_id);
            let newest =
                id.and_then(|id| self.store.get(id).up_to(named.pidversion, order)).map(Parent::from);
            return Some(newest.unwrap_or(forker));
        }
        Some(
            self.living(host, named.pid, Some(named.pidversion), order)
                .unwrap_or_else(|| self.only_pid(named.pid)),
        )
    }

    /// Returns the image of the process that has `pid` and is alive at the time; where a pidversion is given,
    /// only if that can be an image of it.
    fn living(&mut self, host: HostRef<'_>, pid: u32, pidversion: Option<u32>, order: i64) -> Option<Parent> {
        let id = self.store.begun_by(host.number, pid, order)?;
        let instance = self.store.get(id);
        if instance.ended.is_some_and(|ended| ended < order) {
            return None;
        }
        let version = match pidversion {
            Some(pidversion) => instance.up_to(pidversion, order)?,
            None => instance.at(order),
        };
        let parent = Parent::from(version);
        self.store.touch(id);
        Some(parent)
    }

    /// A process of which only the pid is known.
    fn only_pid(&self, pid: u32) -> Parent {
        if pid == 1 { self.launchd.clone() } else { of_pid(pid) }
    }

    fn version_of(&self, id: u32, pidversion: u32, order: i64) -> Parent {
        let instance = self.store.get(id);
        match instance.of(pidversion) {
            Some(index) => Parent::from(&instance.versions[index]),
            None => Parent::from(instance.at(order)),
        }
    }

    fn enforce(&mut self) {
        while self.store.len() > self.limits.processes || self.store.bytes() > self.limits.bytes {
            self.store.evict();
            self.counts.evicted += 1;
        }
    }
}

impl From<&Version> for Parent {
    fn from(version: &Version) -> Self {
        Parent { process: version.process.clone(), is_installer_host: version.is_installer_host }
    }
}

fn seen(version: &Version, ended: bool) -> Seen {
    Seen {
        process: version.process.clone(),
        parent: version.parent.clone(),
        effective_parent: version.effective_parent.clone(),
        ended,
        called: version.called,
    }
}

/// Gives an image what it has of its process.
fn identify(image: &mut Process, instance: &Instance, parent: Option<&Parent>) {
    if !image.entity_id.is_shared_with(&instance.entity_id) {
        image.entity_id = instance.entity_id.clone();
    }
    image.start = instance.start;
    if instance.ancestry.is_some() || !image.ancestry.is_empty() {
        image.ancestry = instance.ancestry.clone().unwrap_or_default();
    }
    image.package = instance.package.clone();
    if let Some(Parent { process: parent, .. }) = parent {
        image.parent_pid = Some(parent.pid);
        image.parent_entity_id = (!parent.entity_id.is_empty()).then(|| parent.entity_id.clone());
    }
}

fn ancestry(parent: Option<&Parent>) -> Option<Arc<[Scalar]>> {
    match parent {
        Some(Parent { process, .. }) if !process.entity_id.is_empty() => {
            let parent = std::iter::once(Scalar::from(&*process.entity_id));
            Some(parent.chain(process.ancestry.iter().take(MAX_ANCESTRY - 1).cloned()).collect())
        }
        _ => None,
    }
}

/// The install session of a child: a new one below a host, else its parent's.
fn inherited(parent: &Parent, child: &EntityId) -> Option<Arc<Package>> {
    match parent.is_installer_host {
        true => Some(Arc::new(package::begin(&parent.process, child))),
        false => parent.process.package.clone(),
    }
}

/// What is known of a process by its pid alone. Pid 1 is always launchd.
fn of_pid(pid: u32) -> Parent {
    let launchd = |text: &'static str| (pid == 1).then_some(Cow::Borrowed(text));
    let (executable, name) = (launchd("/sbin/launchd"), launchd("launchd"));
    let description = DescriptionParts { executable, name, ..DescriptionParts::default() };
    let process = Process { pid, description: description.into(), ..Process::default() };
    Parent { process: sealed(process), is_installer_host: false }
}

fn sealed(mut process: Process) -> Rc<Process> {
    process.weight = image::weight(&process);
    Rc::new(process)
}

#[cfg(test)]
mod tests;
