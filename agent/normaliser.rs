//! Turns what sources saw into events: the process table, the host, and what recorded documents leave out.

mod document;
mod loss;
mod nature;
mod sequence;
mod shared;

use std::borrow::Cow;
use std::cell::RefMut;
use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;

use eql::FieldId;

use crate::event::{Action, Attribute, Attribution, Event, Fields, Host, Process, Who};
use crate::observation::{Document, Flow, Image, Message, MessageEvent, Observation, Owner};
use crate::process_table::{Accounts, At, HostRef, Limits, ProcessTable, Recorded, Seen};
use crate::schema::FIELDS;
use document::Category;
use loss::Losses;
use nature::Natures;
use sequence::Sequences;
use shared::{Due, Shared};

pub(crate) use document::COPIED;
pub use sequence::{Gap, MAX_GAPS};

/// `host.id` of a recording that has none and is given none.
pub const RECORDED_HOST: &str = "recorded-host";

/// How many hosts of a recording are kept apart at once; of more, the one first seen is forgotten.
pub const MAX_HOSTS: usize = 1024;

/// Turns observations into events, in the order in which they come.
#[derive(Debug)]
pub struct Normaliser {
    table: Rc<Shared>,
    /// The same, for events to ask.
    attribution: Rc<dyn Attribute>,
    hosts: Hosts,
    natures: Natures,
    sequences: Sequences,
    /// Whether losses become events: not those of a recording.
    losses: Option<Losses>,
    ticks: bool,
    /// The event that was made last of a message or a document, for its memory and for what the table is to be told of it.
    last: Option<Event>,
    counts: Counts,
}

/// What a [`Normaliser`] is told.
#[derive(Debug, Default)]
pub struct Options {
    /// The host of whatever does not name its own; an empty id stands for [`RECORDED_HOST`].
    pub host: Host,
    /// Whether `process.env_vars` are kept.
    pub env_vars: bool,
    /// Whether every event has a tick, so that ticks order them and measure windows; else `@timestamp` does.
    pub ticks: bool,
    /// Whether losses become events: see [`Normaliser::loss_by`].
    pub losses: bool,
    /// The largest window of the rules, in nanoseconds: ended processes are kept for it and a minute.
    pub largest_window: i64,
    /// The process table's bounds.
    pub limits: Limits,
}

/// What has come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Observations that became events.
    pub events: u64,
    /// Messages of kinds that are not evaluated.
    pub other_messages: u64,
    /// Documents that are alerts or belong to one, and so are not evaluated.
    pub alerts: u64,
}

impl Normaliser {
    /// Makes a normaliser that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        let mut table = ProcessTable::new(options.limits, options.env_vars);
        table.set_largest_window(options.largest_window);
        let table = Rc::new(Shared::new(table));
        Normaliser {
            attribution: table.clone(),
            table,
            hosts: Hosts::new(options.host),
            natures: Natures::default(),
            sequences: Sequences::default(),
            losses: options.losses.then(Losses::default),
            ticks: options.ticks,
            last: None,
            counts: Counts::default(),
        }
    }

    /// Turns an observation into an event; `None` for what is only counted: messages of other kinds, alerts.
    ///
    /// `stream` tells sources apart that count their messages by themselves: each file of a replay is one.
    pub fn normalise(&mut self, stream: u32, observation: Observation<'_>) -> Option<Event> {
        let event = match observation {
            Observation::Message(message) => self.message(stream, &message),
            Observation::Document(document) => self.document(document),
        };
        self.counts.events += u64::from(event.is_some());
        event
    }

    /// Turns a flow into an event, with the process that it is of.
    pub fn flow(&mut self, flow: Flow) -> Event {
        self.counts.events += 1;
        let at = self.at(flow.time, flow.tick);
        let mut table = self.table.settled(self.last.as_ref());
        table.advance(at.order);
        let host = self.hosts.own();
        let own = host.host_ref();
        let found = match flow.owner {
            Owner::Process { pid, start } => {
                Some((table.started(own, pid, start, at.order), Attribution::Named))
            }
            Owner::Pid { pid, began } => table.at(own, pid, began, 0).map(|seen| {
                let attribution = if seen.ended { Attribution::PidAfterExit } else { Attribution::Pid };
                (seen, attribution)
            }),
        };
        let who = found.map(|(seen, attribution)| named(seen, Some(attribution))).unwrap_or_default();
        let fields = Fields {
            tick: flow.tick,
            action: if flow.ended { Action::DisconnectReceived } else { Action::ConnectionAttempted },
            network: Some(Box::new(flow.network)),
            ..Fields::of(host.described.clone(), flow.time, at.order)
        };
        Event::new(fields, who)
    }

    /// Returns the event of a loss that is to be told by a time on the clock that orders events, before whatever happened
    /// then; none where losses do not become events.
    pub fn loss_by(&mut self, order: i64) -> Option<Event> {
        let (at, loss, busiest) = self.losses.as_mut()?.due(order)?;
        let host = self.hosts.own();
        let mut table = self.table.settled(self.last.as_ref());
        let seen = busiest.and_then(|id| table.entity(host.host_ref(), &id, at.order, 0));
        let who = Who { process: seen.map(|seen| of_no_session(seen.process)), ..Who::default() };
        let fields = Fields {
            tick: self.ticks.then_some(at.order),
            action: Action::EventsLost,
            loss: Some(Box::new(loss)),
            ..Fields::of(host.described.clone(), at.time, at.order)
        };
        Some(Event::new(fields, who))
    }

    /// Sets the largest window of the rules, in nanoseconds; it changes when rules are loaded.
    pub fn set_largest_window(&mut self, window: i64) {
        self.table.settled(self.last.as_ref()).set_largest_window(window);
    }

    /// Takes a process of this host that ran before messages came, listed at the time `at`; see
    /// [`ProcessTable::already_running`].
    pub fn already_running(&mut self, image: &Image<'_>, args: Option<&[Cow<'_, str>]>, at: At) -> bool {
        let host = self.hosts.own();
        self.table.settled(self.last.as_ref()).already_running(host.host_ref(), image, args, at)
    }

    /// Gives users and groups their names from now on.
    pub fn set_accounts(&mut self, accounts: Box<dyn Accounts>) {
        self.table.settled(self.last.as_ref()).set_accounts(accounts);
    }

    /// Returns the image that the process of an entity id had at `time` (on the clock that orders events).
    pub fn process(&mut self, host_id: &str, entity_id: &str, time: i64) -> Option<Rc<Process>> {
        let entry = self.hosts.by_id.get(host_id)?;
        let host = HostRef { number: entry.number, id: host_id };
        let mut table = self.table.settled(self.last.as_ref());
        table.entity(host, entity_id, time, 0).map(|seen| seen.process)
    }

    /// Returns the process table, to be asked for its counts.
    pub fn table(&self) -> impl Deref<Target = ProcessTable> {
        RefMut::map(self.table.settled(self.last.as_ref()), DerefMut::deref_mut)
    }

    /// Returns what has come by.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the gaps in the sequence numbers: where messages did not come.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.sequences.gaps()
    }

    /// Returns whether messages were lost between two times (on the clock that orders events), as far as the
    /// sequence numbers tell.
    pub fn gap_within(&self, from: i64, to: i64) -> bool {
        self.gaps().any(|gap| gap.from < to && from < gap.to)
    }

    fn message(&mut self, stream: u32, message: &Message<'_>) -> Option<Event> {
        let at = self.at(message.time, message.tick);
        let mut table = self.table.settled(self.last.as_ref());
        table.advance(at.order);
        let (seq_num, global_seq_num) = (message.seq_num, message.global_seq_num);
        let missing = self.sequences.observe(stream, message.event_type, seq_num, global_seq_num, at.order);
        let host = self.hosts.own();
        let own = host.host_ref();
        let process = &message.process;
        let (mut exit, mut network) = (None, None);
        let (action, seen) = match &message.event {
            MessageEvent::Exec(exec) => (Action::Exec, table.exec(own, process, exec, at)),
            MessageEvent::Fork { child } => (Action::Fork, table.fork(own, process, child, at)),
            MessageEvent::Exit { status } => {
                exit = Some(exit_code(*status));
                (Action::End, table.exit(own, process, at))
            }
            MessageEvent::Connect(connection) => {
                network = Some(connection.clone());
                (Action::ConnectionAttempted, table.other(own, process, at))
            }
            MessageEvent::Other(_) => {
                table.other(own, process, at);
                self.counts.other_messages += 1;
                return None;
            }
        };
        if let Some(losses) = &mut self.losses {
            losses.count(&seen.effective_parent.as_ref().unwrap_or(&seen.process).entity_id, at.order);
            if missing > 0 {
                losses.lost(missing, at, || table.running_sessions(own));
            }
        }
        drop(table);
        let who = named(seen, network.is_some().then_some(Attribution::Named));
        let fields = Fields {
            tick: message.tick,
            action,
            sequence: message.global_seq_num,
            exit_code: exit,
            network,
            ..Fields::of(host.described.clone(), at.time, at.order)
        };
        Some(Event::renewed(&mut self.last, fields, who))
    }

    fn document(&mut self, document: Document) -> Option<Event> {
        let nature = self.natures.of(&document.values);
        if nature.is_alert.unwrap_or_else(|| document::is_alert(&document.values)) {
            self.counts.alerts += 1;
            return None;
        }
        let at = At { time: document.time, order: order(self.ticks, document.time, document.tick) };
        let slack = if self.ticks { 0 } else { slack(document.time) };
        let mut table = self.table.settled(self.last.as_ref());
        table.advance(at.order);
        let host = match nature.host {
            Some(number) if number == self.hosts.last.number => &self.hosts.last,
            _ => self.hosts.of(document::host_id(&document.values)),
        };
        nature.host = nature.shares_host.then_some(host.number);
        let described = if nature.names_os { &host.elsewhere } else { &host.described };
        let category = nature.category.unwrap_or_else(|| document::category(&document.values));
        let who = match category {
            Category::Process | Category::Network => {
                table.owe(Due { host: host.number, at, slack, category, change: nature.change });
                drop(table);
                let document = (document, at.order);
                return Some(Event::of_document(&mut self.last, document, described, &self.attribution));
            }
            Category::Loss => {
                let process = document::recorded(&document.values, nature.change).map(busiest);
                Who { process, ..Who::default() }
            }
            Category::Other => Who::default(),
        };
        drop(table);
        let fields = Fields::of_document(document, described.clone(), at.order);
        Some(Event::renewed(&mut self.last, fields, who))
    }

    fn at(&self, time: i64, tick: Option<i64>) -> At {
        At { time, order: order(self.ticks, time, tick) }
    }
}

/// Returns when something happened, on the clock that orders events.
fn order(ticks: bool, time: i64, tick: Option<i64>) -> i64 {
    tick.filter(|_| ticks).unwrap_or(time)
}

/// Returns the fields that the normaliser and the process table themselves read from documents, for a source
/// to extract.
pub fn wanted() -> Vec<(&'static str, FieldId)> {
    document::READ.iter().map(|id| (FIELDS[id.index()].path, *id)).collect()
}

/// Returns the process of a flow, as it was at the flow's time: the one that the document names, else the one
/// that had its pid. Where the document says something else of it than the table, there is none.
fn attribute(
    table: &mut ProcessTable,
    host: HostRef<'_>,
    document: &Document,
    at: At,
    slack: i64,
) -> Option<(Seen, Attribution)> {
    let named = document::named_process(&document.values);
    let agrees = |seen: &Seen| {
        seen.agrees(named.executable, named.name) && named.pid.is_none_or(|pid| pid == seen.process.pid)
    };
    if let Some(seen) = named.entity_id.and_then(|id| table.entity(host, id, at.order, slack)) {
        return agrees(&seen).then_some((seen, Attribution::Named));
    }
    let seen = table.at(host, named.pid?, at.order, slack).filter(agrees)?;
    // Another process than the one that the document's own sensor means, unless it numbers them another way.
    if named.entity_id.is_some() && seen.process.pidversion.is_none() {
        return None;
    }
    let attribution = if seen.ended { Attribution::PidAfterExit } else { Attribution::Pid };
    Some((seen, attribution))
}

/// The busiest process of a recorded loss.
fn busiest(recorded: Recorded<'_>) -> Rc<Process> {
    of_no_session(Rc::new(recorded.into_process()))
}

/// Whose an event is that the table has seen.
fn named(seen: Seen, attribution: Option<Attribution>) -> Who {
    let Seen { process, parent, effective_parent, .. } = seen;
    Who { process: Some(process), parent, effective_parent, attribution }
}

/// A process of which it is not said to which install session it belongs: a loss's is that which ran.
fn of_no_session(process: Rc<Process>) -> Rc<Process> {
    match process.package {
        Some(_) => Rc::new(Process { package: None, ..Process::clone(&process) }),
        None => process,
    }
}

/// Returns how much later than it says a time may have been: what its last digits leave open.
fn slack(time: i64) -> i64 {
    match time {
        time if time % 1_000_000 == 0 => 999_999,
        time if time % 1_000 == 0 => 999,
        _ => 0,
    }
}

/// Returns the exit code of a wait status (wait(2)): what the process returned, or 128 and the number of the
/// signal that ended it, as shells have it.
fn exit_code(status: i32) -> i64 {
    match status & 0x7f {
        0 => i64::from(status >> 8 & 0xff),
        signal => 128 + i64::from(signal),
    }
}

/// The hosts of a recording: one that has no name, and those that documents name.
#[derive(Debug)]
struct Hosts {
    own: HostEntry,
    /// The one that was asked for last, as it mostly is again.
    last: HostEntry,
    by_id: HashMap<Arc<str>, HostEntry>,
    /// In the order in which they came; the own one is not among them.
    order: VecDeque<Arc<str>>,
    next: u32,
}

#[derive(Clone, Debug)]
struct HostEntry {
    number: u32,
    described: Arc<Host>,
    /// The same host where a document says itself which operating system it has.
    elsewhere: Arc<Host>,
}

impl HostEntry {
    fn new(number: u32, host: Host) -> Self {
        let elsewhere = Host { id: host.id.clone(), os_recorded: true, ..Host::default() };
        HostEntry { number, described: Arc::new(host), elsewhere: Arc::new(elsewhere) }
    }

    fn host_ref(&self) -> HostRef<'_> {
        HostRef { number: self.number, id: &self.described.id }
    }
}

impl Hosts {
    fn new(mut host: Host) -> Self {
        if host.id.is_empty() {
            host.id = RECORDED_HOST.into();
        }
        let own = HostEntry::new(0, host);
        Hosts {
            by_id: HashMap::from([(own.described.id.clone(), own.clone())]),
            last: own.clone(),
            own,
            order: VecDeque::new(),
            next: 1,
        }
    }

    fn own(&self) -> &HostEntry {
        &self.own
    }

    fn of(&mut self, id: Option<&str>) -> &HostEntry {
        let Some(id) = id else { return &self.own };
        if *self.last.described.id == *id {
            return &self.last;
        }
        if let Some(entry) = self.by_id.get(id) {
            self.last = entry.clone();
            return &self.last;
        }
        if self.order.len() >= MAX_HOSTS
            && let Some(first) = self.order.pop_front()
        {
            self.by_id.remove(&first);
        }
        let id: Arc<str> = id.into();
        let entry = HostEntry::new(self.next, Host { id: id.clone(), ..Host::default() });
        self.next = self.next.wrapping_add(1);
        self.order.push_back(id.clone());
        self.by_id.insert(id, entry.clone());
        self.last = entry;
        &self.last
    }
}

#[cfg(test)]
mod tests;
