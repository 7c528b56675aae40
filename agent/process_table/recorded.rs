//! Recorded process documents as a source of the table.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::store::{Instance, Version};
use super::{
    At, HostRef, MAX_IMAGES, Parent, ProcessTable, Seen, ancestry, entity_id, identify, inherited, sealed,
    seen,
};
use crate::event::{Lazy, Process, Reader};
use crate::observation::Document;

/// What a recorded process document says.
#[derive(Debug)]
pub struct Recorded<'d> {
    /// What happened.
    pub change: Change,
    /// The process; `entity_id` is empty where the document has none, and what it does not say is left out.
    pub process: Process,
    /// Whether it says which arguments the process has.
    pub has_args: bool,
    /// Whether the process is an installer host.
    pub is_installer_host: bool,
    /// The parent, as far as the document describes it.
    pub parent: Option<Another<'d>>,
    /// The responsible process, as far as the document describes it.
    pub effective_parent: Option<Another<'d>>,
}

/// Another process of which a document says something.
#[derive(Debug)]
pub struct Another<'d> {
    /// `pid`, else 0.
    pub pid: u32,
    /// `entity_id`.
    pub entity_id: Option<Cow<'d, str>>,
    /// `executable`.
    pub executable: Option<Cow<'d, str>>,
    /// `name`.
    pub name: Option<Cow<'d, str>>,
    /// The document.
    pub document: &'d Document,
    /// What it says of it.
    pub reader: &'static Reader,
    /// Whether it is an installer host, by what the document says.
    pub is_host: fn(&Document) -> bool,
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

impl Process {
    /// Returns whether this image may be what a document calls by these: a name or an executable that the
    /// document leaves out is no contradiction.
    pub fn agrees(&self, executable: Option<&str>, name: Option<&str>) -> bool {
        let same = |own: Option<Cow<'_, str>>, other: Option<&str>| match (own, other) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        same(self.description.executable(), executable) && same(self.description.name(), name)
    }

    fn agrees_with(&self, other: &Process) -> bool {
        self.agrees(other.description.executable().as_deref(), other.description.name().as_deref())
    }
}

impl ProcessTable {
    /// Takes a process document. What it says of ids and lineage is kept; what it does not say comes from the
    /// table. `slack` is as in [`ProcessTable::at`].
    pub fn record(&mut self, host: HostRef<'_>, recorded: Recorded<'_>, at: At, slack: i64) -> Seen {
        let Recorded { change, mut process, has_args, is_installer_host, parent, effective_parent } =
            recorded;
        let found = self.find_recorded(host, change, &process, at.order.saturating_add(slack));
        let parent = self.recorded_parent(host, parent, at.order);
        let effective_parent = self.recorded_parent(host, effective_parent, at.order);
        let id = match found {
            Some(id) => id,
            None => self.enter_recorded(host, change, &process, parent.as_ref(), at),
        };
        if let (Change::Fork, Some(forker), None) = (change, &parent, &self.store.get(id).forker)
            && process.ancestry.is_empty()
        {
            self.adopt(id, forker);
        }
        let instance = self.store.get(id);
        let current = instance.newest_by(at.order.saturating_add(slack));
        let kept = current.filter(|current| {
            matches!(change, Change::End | Change::None) && current.process.agrees_with(&process)
        });
        let result = match kept {
            Some(current) => Seen {
                parent: parent.map(|parent| parent.process).or_else(|| current.parent.clone()),
                ..seen(current, change == Change::End)
            },
            None => {
                if let (Change::Exec, Some(old)) = (change, current)
                    && process.previous_executable.is_none()
                {
                    process.previous_executable = old.process.description.executable().map(Arc::from);
                }
                if let (Change::Fork, Some(parent)) = (change, &parent)
                    && !has_args
                    && parent.process.agrees_with(&process)
                {
                    process.invocation = parent.process.invocation.clone();
                }
                let from = if change == Change::Fork { instance.begun.max(at.order) } else { at.order };
                self.refine(id, &process);
                let own_parent = (process.parent_pid, process.parent_entity_id.take());
                let own_start = process.start;
                identify(&mut process, self.store.get(id), parent.as_ref());
                process.start = process.start.or(own_start);
                process.parent_pid = own_parent.0.or(process.parent_pid);
                process.parent_entity_id = own_parent.1.or(process.parent_entity_id);
                let version = Version {
                    from,
                    token: None,
                    process: sealed(process),
                    parent: parent.map(|parent| parent.process),
                    effective_parent: effective_parent.map(|parent| parent.process),
                    is_installer_host,
                };
                let result = seen(&version, change == Change::End);
                self.store.put(id, version, MAX_IMAGES);
                result
            }
        };
        if change == Change::End {
            self.store.update(id, |instance| instance.ended = Some(at.order));
        }
        self.enforce();
        result
    }

    fn find_recorded(&self, host: HostRef<'_>, change: Change, process: &Process, order: i64) -> Option<u32> {
        if !process.entity_id.is_empty()
            && let Some(id) = self.store.by_entity(host.number, &process.entity_id)
        {
            return Some(id);
        }
        if let Some(pidversion) = process.pidversion
            && let Some(id) = self.store.by_token(host.number, process.pid, pidversion)
        {
            return Some(id);
        }
        if process.start.is_some() {
            let ids = self.store.by_pid(host.number, process.pid);
            return ids.iter().rev().copied().find(|id| self.store.get(*id).start == process.start);
        }
        if !process.entity_id.is_empty() || change == Change::Fork {
            return None;
        }
        // No more than a pid. It goes on as the process that has it, unless its parent is another: who keeps
        // its pid keeps its parent, or falls to launchd.
        let id = self.store.begun_by(host.number, process.pid, order)?;
        let instance = self.store.get(id);
        let known = instance.at(order).process.parent_pid;
        let other_parent = match (known, process.parent_pid) {
            (Some(known), Some(parent)) => known != parent && parent != 1,
            _ => false,
        };
        let alive = instance.ended.is_none_or(|ended| ended >= order);
        ((alive || change == Change::End) && !other_parent).then_some(id)
    }

    fn enter_recorded(
        &mut self,
        host: HostRef<'_>,
        change: Change,
        process: &Process,
        parent: Option<&Parent>,
        at: At,
    ) -> u32 {
        if change != Change::Fork {
            self.counts.first_seen_alive += 1;
        }
        let id = match process.entity_id.is_empty() {
            true => entity_id(host.id, process.pid, process.start.unwrap_or(at.time)),
            false => process.entity_id.clone(),
        };
        let age = process.start.map_or(0, |start| at.time.saturating_sub(start).max(0));
        let own_ancestry = Some(process.ancestry.clone()).filter(|own| !own.is_empty());
        self.store.insert(Instance {
            host: host.number,
            pid: process.pid,
            start: process.start,
            begun: at.order.saturating_sub(age),
            ended: None,
            versions: SmallVec::new(),
            ancestry: own_ancestry.unwrap_or_else(|| ancestry(parent)),
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
        parent: Option<Another<'_>>,
        order: i64,
    ) -> Option<Parent> {
        let parent = parent?;
        if let Some(entity_id) = &parent.entity_id {
            if let Some(id) = self.store.by_entity(host.number, entity_id) {
                self.store.touch(id);
                return Some(Parent::from(self.store.get(id).at(order)));
            }
        } else if let Some(living) = self.living(host, parent.pid, None, order)
            && living.process.agrees(parent.executable.as_deref(), parent.name.as_deref())
        {
            return Some(living);
        }
        let process = Process {
            pid: parent.pid,
            entity_id: parent.entity_id.map(Arc::from).unwrap_or_default(),
            description: Lazy::new(parent.document, parent.reader),
            ..Process::default()
        };
        Some(Parent { process: sealed(process), is_installer_host: (parent.is_host)(parent.document) })
    }
}
