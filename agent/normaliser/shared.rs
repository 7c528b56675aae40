//! The process table, shared with the event that was made last.
//!
//! What a document says for the table is told it when somebody asks whose the document's event is, or else before the
//! next event: so nobody looks a flow's process up where its document says all that rules ask for, and of a process that
//! ends nothing is read but who it is.

use std::cell::{RefCell, RefMut};
use std::ops::{Deref, DerefMut};

use super::document::{self, Category};
use super::{attribute, named};
use crate::event::{Attribute, Event, Fields, Who};
use crate::process_table::{At, Change, HostRef, ProcessTable};

/// The table. Only one thread has it, and its events.
#[derive(Debug)]
pub(super) struct Shared(RefCell<State>);

/// The table, and what it was not told yet.
#[derive(Debug)]
pub(super) struct State {
    table: ProcessTable,
    due: Option<Due>,
}

/// What the table needs to know beside the document of the event that was made last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// The number of its host.
    pub(super) host: u32,
    pub(super) at: At,
    /// As in [`ProcessTable::at`].
    pub(super) slack: i64,
    pub(super) category: Category,
    /// What happened to a process, where that is known already.
    pub(super) change: Option<Change>,
}

impl Shared {
    pub(super) fn new(table: ProcessTable) -> Self {
        Shared(RefCell::new(State { table, due: None }))
    }

    /// Returns the table, which has been told of the event that was made last; if somebody has kept that, it knows now
    /// whose it is.
    pub(super) fn settled(&self, last: Option<&Event>) -> RefMut<'_, State> {
        let mut state = self.0.borrow_mut();
        let Some((due, last)) = state.due.zip(last) else { return state };
        if last.is_kept() {
            drop(state);
            last.who();
            return self.0.borrow_mut();
        }
        state.due = None;
        if due.category == Category::Process
            && let Some(document) = &last.document
            && let Some(recorded) = document::recorded(&document.values, due.change)
        {
            let host = HostRef { number: due.host, id: &last.host.id };
            state.table.learn(host, recorded, due.at, due.slack);
        }
        state
    }
}

impl State {
    /// Notes what is to be told of the event that is made now.
    pub(super) fn owe(&mut self, due: Due) {
        self.due = Some(due);
    }
}

impl Attribute for Shared {
    fn who(&self, event: &Fields) -> Who {
        let mut state = self.0.borrow_mut();
        let (Some(due), Some(document)) = (state.due.take(), &event.document) else { return Who::default() };
        let host = HostRef { number: due.host, id: &event.host.id };
        let table = &mut state.table;
        match due.category {
            Category::Process => document::recorded(&document.values, due.change)
                .map(|recorded| named(table.record(host, recorded, due.at, due.slack), None)),
            Category::Network => attribute(table, host, document, due.at, due.slack)
                .map(|(seen, attribution)| named(seen, Some(attribution))),
            Category::Loss | Category::Other => None,
        }
        .unwrap_or_default()
    }

    fn is_described(&self, event: &Fields) -> bool {
        let Some(document) = &event.document else { return false };
        // What is asked for is the event that was made last.
        match self.0.borrow().due {
            Some(Due { category, change: Some(change), .. }) => {
                category == Category::Process
                    && change == Change::Exec
                    && document::names_pid(&document.values)
            }
            _ => document::is_exec(&document.values),
        }
    }
}

impl Deref for State {
    type Target = ProcessTable;

    fn deref(&self) -> &ProcessTable {
        &self.table
    }
}

impl DerefMut for State {
    fn deref_mut(&mut self) -> &mut ProcessTable {
        &mut self.table
    }
}
