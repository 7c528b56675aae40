//! The kernel's network statistics as a source: a thread that asks, and passes on what begins and ends.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::clock::Timebase;
use super::kernel_control::{KernelControl, Received};
use super::process;
use crate::network::ntstat::tracker::{Change, Tracker, What};
use crate::network::ntstat::{
    CONTROL, Layout, MAX_DATAGRAM, Message, PROVIDERS, Provider, add_all_sources, get_update, read, split,
};
use crate::observation::Owner;
use crate::sensor::Now;

/// How many connections may wait for the detector.
const QUEUE: usize = 16_384;

/// How often every source is asked for, in nanoseconds: connections of which the kernel sends no event are seen then.
const ASK_EVERY: i64 = 500_000_000;

/// How often it is at least, in nanoseconds: where a Mac has so many sockets that an answer takes long, or has not come to
/// its end. Within the time that a probe has.
const ASK_AT_LAST: i64 = 3_000_000_000;

/// What part of the time may go into answers: one in so many.
const BUSY: i64 = 10;

/// How many datagrams are read without a look at the clock.
const BATCH: usize = 256;

/// How many processes are remembered by their unique numbers.
const MAX_OWNERS: usize = 8192;

/// The source's thread, and what comes from it.
pub(super) struct Ntstat {
    /// Connections that begin and end.
    pub(super) sightings: Receiver<Sighting>,
    /// What becomes of the source.
    pub(super) states: Receiver<State>,
    /// What it has counted.
    pub(super) counters: Arc<Counters>,
    /// Whether each connection comes with the bytes that told of it.
    raw: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    /// So that the queue stays open when the thread ends: who waits for it would otherwise be woken again and again.
    _open: Sender<Sighting>,
}

/// A connection that begins or ends.
pub(super) struct Sighting {
    /// What happens, to which one.
    pub(super) change: Change,
    /// Whose it is.
    pub(super) owner: Owner,
    /// Wall clock, nanoseconds since 1970.
    pub(super) time: i64,
    /// On the clock that orders events, nanoseconds.
    pub(super) tick: i64,
    /// The message, where it is wanted.
    pub(super) raw: Vec<u8>,
}

/// What has become of the source.
pub(super) enum State {
    /// The kernel gives its sources.
    Open,
    /// A message was not of the expected layout: the first of them, in a sentence.
    Malformed(String),
    /// It has ended, and why.
    Failed(String),
}

/// What the thread counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Connections dropped because too many waited.
    pub(super) dropped: AtomicU64,
    /// Times that the kernel said it dropped something.
    pub(super) discarded: AtomicU64,
    /// Messages of another layout.
    pub(super) malformed: AtomicU64,
    /// Open connections forgotten because there were too many.
    pub(super) forgotten: AtomicU64,
}

impl Ntstat {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(layout: Layout, timebase: Timebase) -> io::Result<Self> {
        let (send, sightings) = bounded(QUEUE);
        let (tell, states) = unbounded();
        let counters = Arc::new(Counters::default());
        let (raw, stop) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let mut source = Source {
            layout,
            timebase,
            tracker: Tracker::new(timebase.continuous_ticks()),
            owners: HashMap::new(),
            send: send.clone(),
            tell: tell.clone(),
            counters: counters.clone(),
            lost: 0,
            raw: raw.clone(),
            stop: stop.clone(),
            asked: timebase.continuous_ticks(),
            every: ASK_EVERY,
            answered: false,
        };
        std::thread::Builder::new().name("ntstat".into()).spawn(move || {
            if let Err(why) = source.run() {
                let _ = tell.send(State::Failed(why));
            }
        })?;
        Ok(Ntstat { sightings, states, counters, raw, stop, _open: send })
    }

    /// Says whether each connection is to come with the bytes that told of it.
    pub(super) fn want_raw(&self, wanted: bool) {
        self.raw.store(wanted, Relaxed);
    }
}

impl Drop for Ntstat {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// What the thread holds.
struct Source {
    layout: Layout,
    timebase: Timebase,
    tracker: Tracker,
    /// Starts of processes, by pid and unique number.
    owners: HashMap<(u32, u64), i64>,
    send: Sender<Sighting>,
    tell: Sender<State>,
    counters: Arc<Counters>,
    /// Reads of which the kernel said that there was no room.
    lost: u64,
    raw: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    /// When the poll that is being answered was asked, in ticks of `mach_continuous_time`.
    asked: u64,
    /// How long after it the next is, in nanoseconds.
    every: i64,
    /// Whether the kernel has said of an answer that it was at its end.
    answered: bool,
}

impl Source {
    fn run(&mut self) -> Result<(), String> {
        let control = KernelControl::open(CONTROL).map_err(refused)?;
        for provider in PROVIDERS {
            control.send(&add_all_sources(provider)).map_err(refused)?;
        }
        let _ = self.tell.send(State::Open);
        let mut buffer = vec![0; MAX_DATAGRAM];
        // Providers' numbers are the contexts of the requests above.
        let mut context = 1 << 32;
        while !self.stop.load(Relaxed) {
            if self.since_asked() >= self.every {
                context += 1;
                self.asked = self.timebase.continuous_ticks();
                // Of a kernel that says no end of an answer none is waited for.
                self.every = if self.answered { ASK_AT_LAST } else { ASK_EVERY };
                ask(&control, context)?;
            }
            // No longer, so that it is seen when it is to end.
            let left = self.every.saturating_sub(self.since_asked()).clamp(0, ASK_EVERY);
            control.wait((left / 1_000_000) as u16);
            for _ in 0..BATCH {
                match control.receive(&mut buffer).map_err(refused)? {
                    Received::Nothing => break,
                    Received::Lost => self.lost += 1,
                    Received::Datagram(length) => self.take(&control, &buffer[..length], context)?,
                }
            }
            self.count();
        }
        Ok(())
    }

    fn take(&mut self, control: &KernelControl, datagram: &[u8], context: u64) -> Result<(), String> {
        let mut changes = Vec::new();
        for bytes in split(datagram) {
            let message = match bytes.and_then(|bytes| Ok((bytes, read(bytes, self.layout)?))) {
                Ok((bytes, message)) => {
                    self.tracker.take(&message, &mut changes);
                    self.pass(changes.drain(..), bytes);
                    message
                }
                Err(error) => {
                    if self.counters.malformed.fetch_add(1, Relaxed) == 0 {
                        let _ = self.tell.send(State::Malformed(error.to_string()));
                    }
                    continue;
                }
            };
            match message {
                Message::Success { context: of, continues: false } if of == context => {
                    self.tracker.polled(self.asked);
                    self.answered = true;
                    let took = self.since_asked();
                    self.every = took.saturating_mul(BUSY).clamp(ASK_EVERY, ASK_AT_LAST);
                }
                // Only a part; what is still to come is asked for at once.
                Message::Success { context: of, continues: true } if of == context => {
                    ask(control, context)?;
                }
                Message::Error { context: of, errno } if of == u64::from(Provider::TcpKernel.number()) => {
                    let error = io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0));
                    return Err(format!("the kernel does not give its TCP sockets: {error}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How long ago the last poll was asked, in nanoseconds.
    fn since_asked(&self) -> i64 {
        self.timebase.nanoseconds(self.timebase.continuous_ticks().saturating_sub(self.asked))
    }

    /// Passes on what a message meant.
    fn pass(&mut self, changes: impl Iterator<Item = Change>, bytes: &[u8]) {
        let mut now: Option<Now> = None;
        for change in changes {
            let now = *now.get_or_insert_with(|| self.timebase.now());
            let (time, tick) = match change.at {
                Some(at) => self.timebase.moment(at, &now),
                None => (now.wall, now.tick),
            };
            let (_, began) = self.timebase.moment(change.open.began, &now);
            let owner = self.owner(&change, began);
            let raw = if self.raw.load(Relaxed) { bytes.to_vec() } else { Vec::new() };
            if self.send.try_send(Sighting { change, owner, time, tick, raw }).is_err() {
                self.counters.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    /// Names the process that has a pid and a unique number, if it still runs or was asked for while it did.
    fn owner(&mut self, change: &Change, began: i64) -> Owner {
        let (pid, number) = (change.open.pid, change.open.unique_pid);
        if let Some(start) = self.owners.get(&(pid, number)) {
            return Owner::Process { pid, start: *start };
        }
        // At its end it has been asked for already.
        let unique = (change.what == What::Began).then(|| process::unique(pid)).flatten();
        let Some(unique) = unique.filter(|unique| unique.number == number) else {
            return Owner::Pid { pid, began };
        };
        if self.owners.len() >= MAX_OWNERS {
            self.owners.clear();
        }
        self.owners.insert((pid, number), unique.start);
        Owner::Process { pid, start: unique.start }
    }

    fn count(&self) {
        let counts = self.tracker.counts();
        self.counters.discarded.store(counts.discarded + self.lost, Relaxed);
        self.counters.forgotten.store(counts.forgotten, Relaxed);
    }
}

/// Asks for the next sources of a poll. Where the kernel has no room for the question just now, the next poll asks again.
fn ask(control: &KernelControl, context: u64) -> Result<(), String> {
    match control.send(&get_update(context)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR)) => {
            Ok(())
        }
        asked => asked.map_err(refused),
    }
}

fn refused(error: io::Error) -> String {
    format!("the kernel does not give its network statistics: {error}")
}
