//! Where partial matches are kept: bounded in bytes, the least recently advanced out first.

use std::ops::Deref;

use crate::key::Key;
use crate::record::Record;

/// A sequence that has begun and is not complete.
#[derive(Debug)]
pub(crate) struct Partial<R> {
    /// The sequence's index in the engine.
    pub(crate) sequence: usize,
    /// The step that its last event satisfied.
    pub(crate) stage: usize,
    pub(crate) key: Key,
    pub(crate) events: Events<R>,
    /// The time of the first event.
    pub(crate) first: i64,
    /// The time of the last event.
    pub(crate) last: i64,
}

/// The events of a partial, in order, at least one. Most partials never have more, which takes no memory elsewhere.
#[derive(Debug)]
pub(crate) enum Events<R> {
    One([R; 1]),
    Several(Vec<R>),
}

impl<R> Events<R> {
    /// Returns one more event and those before it.
    pub(crate) fn and(self, event: R) -> Vec<R> {
        match self {
            Events::One([first]) => vec![first, event],
            Events::Several(mut events) => {
                events.push(event);
                events
            }
        }
    }

    fn push(&mut self, event: R) {
        let events = std::mem::replace(self, Events::Several(Vec::new()));
        *self = Events::Several(events.and(event));
    }
}

impl<R> Deref for Events<R> {
    type Target = [R];

    fn deref(&self) -> &[R] {
        match self {
            Events::One(event) => event,
            Events::Several(events) => events,
        }
    }
}

/// Names a partial in a [`Store`]; a partial keeps its id while it advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartialId {
    slot: u32,
    generation: u32,
}

/// All partials of an engine.
#[derive(Debug)]
pub(crate) struct Store<R> {
    slots: Vec<Slot<R>>,
    free: Vec<u32>,
    /// The ordinary ones and the protected ones, each from the least recently advanced on.
    lists: [List; 2],
    bytes: usize,
    count: usize,
    limit: usize,
}

#[derive(Debug)]
struct Slot<R> {
    generation: u32,
    partial: Option<Partial<R>>,
    bytes: usize,
    list: usize,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

const NONE: u32 = u32::MAX;

impl<R: Record> Store<R> {
    /// Makes a store that holds at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let empty = List { head: NONE, tail: NONE };
        Store { slots: Vec::new(), free: Vec::new(), lists: [empty; 2], bytes: 0, count: 0, limit }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_over_limit(&self) -> bool {
        self.bytes > self.limit
    }

    pub(crate) fn get(&self, id: PartialId) -> Option<&Partial<R>> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.generation == id.generation { slot.partial.as_ref() } else { None }
    }

    pub(crate) fn insert(&mut self, partial: Partial<R>) -> PartialId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                partial: None,
                bytes: 0,
                list: 0,
                previous: NONE,
                next: NONE,
            });
            (self.slots.len() - 1) as u32
        });
        let bytes = size_of::<Slot<R>>()
            + 64
            + partial.key.size()
            + partial.events.iter().map(|event| event.weight() + size_of::<R>()).sum::<usize>();
        let entry = &mut self.slots[slot as usize];
        entry.list = usize::from(partial.events.iter().any(R::protected));
        entry.bytes = bytes;
        entry.partial = Some(partial);
        let generation = entry.generation;
        self.bytes += bytes;
        self.count += 1;
        self.link(slot);
        PartialId { slot, generation }
    }

    /// Adds an event to a partial, which has satisfied `stage` with it.
    pub(crate) fn advance(&mut self, id: PartialId, stage: usize, event: R) {
        self.unlink(id.slot);
        let entry = &mut self.slots[id.slot as usize];
        if let Some(partial) = &mut entry.partial {
            let bytes = event.weight() + size_of::<R>();
            entry.bytes += bytes;
            self.bytes += bytes;
            entry.list |= usize::from(event.protected());
            partial.stage = stage;
            partial.last = event.time();
            partial.events.push(event);
        }
        self.link(id.slot);
    }

    /// Gives a partial another sequence, the one of `index`.
    pub(crate) fn hand_over(&mut self, id: PartialId, index: usize) {
        let Some(slot) = self.slots.get_mut(id.slot as usize) else { return };
        if let (true, Some(partial)) = (slot.generation == id.generation, &mut slot.partial) {
            partial.sequence = index;
        }
    }

    pub(crate) fn remove(&mut self, id: PartialId) -> Option<Partial<R>> {
        self.get(id)?;
        self.unlink(id.slot);
        let entry = &mut self.slots[id.slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        self.bytes -= entry.bytes;
        self.count -= 1;
        self.free.push(id.slot);
        entry.partial.take()
    }

    /// Returns the partial that should go first when memory runs out.
    pub(crate) fn oldest(&self) -> Option<PartialId> {
        let slot = self.lists.iter().map(|list| list.head).find(|head| *head != NONE)?;
        Some(PartialId { slot, generation: self.slots[slot as usize].generation })
    }

    fn link(&mut self, slot: u32) {
        let list = self.slots[slot as usize].list;
        let tail = std::mem::replace(&mut self.lists[list].tail, slot);
        match tail {
            NONE => self.lists[list].head = slot,
            tail => self.slots[tail as usize].next = slot,
        }
        self.slots[slot as usize].previous = tail;
        self.slots[slot as usize].next = NONE;
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { list, previous, next, .. } = self.slots[slot as usize];
        match previous {
            NONE => self.lists[list].head = next,
            previous => self.slots[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[list].tail = previous,
            next => self.slots[next as usize].previous = previous,
        }
    }
}
