//! From the kernel's updates of sources to connections that begin and end.

use std::collections::BTreeMap;

use super::{Message, Provider, Role, Update};
use crate::network::connection::{Bytes, Connection};

/// How many open connections are kept, some 10 MiB. Of more the oldest are forgotten: their ends are not told, nor is what
/// connects a socket of before them.
pub const MAX_SOURCES: usize = 65_536;

/// `TCPS_CLOSED` of bsd/netinet/tcp_fsm.h.
const CLOSED: u32 = 0;

/// `TCPS_LISTEN` of the same.
const LISTEN: u32 = 1;

/// Follows sources.
#[derive(Debug)]
pub struct Tracker {
    /// By their numbers, which only grow.
    open: BTreeMap<u64, Open>,
    since: u64,
    /// When the last poll was asked that was answered to its end.
    polled: Option<u64>,
    /// The highest number that was forgotten: what a poll tells of up to it was told before.
    forgotten: u64,
    counts: Counts,
}

/// What has come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that the kernel says it dropped; how many each time, it does not say.
    pub discarded: u64,
    /// Connections forgotten because there were too many.
    pub forgotten: u64,
}

/// A connection that begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happens.
    pub what: What,
    /// When, in ticks of `mach_continuous_time`; `None` for now.
    pub at: Option<u64>,
    /// Which one, and whose.
    pub open: Open,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It begins.
    Began,
    /// It ends, having carried so much, if that is known.
    Ended(Option<Bytes>),
}

/// A connection, and the process that had its socket when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The process's number that is never used again.
    pub unique_pid: u64,
    /// Its id.
    pub pid: u32,
    /// When the connection began, in ticks of `mach_continuous_time`.
    pub began: u64,
    /// The two ends.
    pub connection: Connection,
}

impl Tracker {
    /// Makes a tracker of a control that was opened at a time, in ticks of `mach_continuous_time`: what a socket made
    /// before it and connected by the first poll, is not told as something new.
    pub fn new(since: u64) -> Self {
        Tracker { open: BTreeMap::new(), since, polled: None, forgotten: 0, counts: Counts::default() }
    }

    /// Notes that a poll, asked at a time in ticks of `mach_continuous_time`, was answered to its end: what is told as a
    /// connection from now on and was not by then, was connected since.
    pub fn polled(&mut self, asked: u64) {
        self.polled = Some(asked);
    }

    /// Takes a message; appends what it means for connections.
    pub fn take(&mut self, message: &Message, changes: &mut Vec<Change>) {
        match message {
            Message::Update(update) => self.update(update, changes),
            Message::Removed { source, dropped } => {
                self.counts.discarded += u64::from(*dropped);
                changes.extend(self.open.remove(source).map(|open| Change {
                    what: What::Ended(None),
                    at: None,
                    open,
                }));
            }
            Message::Success { .. } | Message::Error { .. } | Message::Other(_) => {}
        }
    }

    /// Returns what has come by.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn update(&mut self, update: &Update, changes: &mut Vec<Change>) {
        self.counts.discarded += u64::from(update.discarded);
        let descriptor = &update.descriptor;
        let new = update.source > self.forgotten && !self.open.contains_key(&update.source);
        if new && is_connection(update) {
            // The kernel says when a connection is made; of others only when their socket was, which a program that
            // fetches something does just before, and a daemon long before.
            let at = match update.connecting {
                true => descriptor.timestamp,
                false => descriptor.start.max(self.polled.unwrap_or(0)),
            };
            let open = Open {
                unique_pid: descriptor.unique_pid,
                pid: descriptor.pid,
                began: at,
                connection: descriptor.connection.clone(),
            };
            if update.connecting || at >= self.since {
                changes.push(Change { what: What::Began, at: Some(at), open: open.clone() });
            }
            self.open.insert(update.source, open);
            if self.open.len() > MAX_SOURCES
                && let Some((number, _)) = self.open.pop_first()
            {
                self.forgotten = self.forgotten.max(number);
                self.counts.forgotten += 1;
            }
        }
        if update.closing
            && let Some(open) = self.open.remove(&update.source)
        {
            let (what, at) = (What::Ended(Some(update.bytes)), Some(descriptor.timestamp));
            changes.push(Change { what, at, open });
        }
    }
}

/// Whether a source has another end: a listening or a fresh socket has none, nor has one for datagrams to anyone. Whether
/// userland's network stack fills in the state is not known; what it tells of has another end because it connects.
fn is_connection(update: &Update) -> bool {
    let descriptor = &update.descriptor;
    let state = descriptor.state.filter(|_| descriptor.provider == Provider::TcpKernel);
    let listens = descriptor.role == Some(Role::Listener) || state == Some(LISTEN);
    let fresh = state == Some(CLOSED) && !update.closing && !update.connecting;
    let other_end = descriptor.connection.remote.is_some_and(|end| end.port.is_some());
    other_end && !listens && !fresh
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::connection::{End, Transport};
    use crate::network::ntstat::Descriptor;
    use std::net::SocketAddr;

    /// What Darwin calls a connection that stands.
    const ESTABLISHED: u32 = 4;

    fn update(source: u64) -> Update {
        let remote: SocketAddr = "198.51.100.7:443".parse().expect("an address");
        Update {
            source,
            connecting: false,
            closing: false,
            discarded: false,
            bytes: Bytes { sent: 10, received: 20 },
            descriptor: Descriptor {
                provider: Provider::TcpKernel,
                unique_pid: 9,
                pid: 500,
                start: 1_000,
                timestamp: 2_000,
                connection: Connection {
                    transport: Transport::Tcp,
                    direction: None,
                    local: None,
                    remote: Some(End::from(remote)),
                    domain: None,
                },
                role: None,
                state: Some(ESTABLISHED),
            },
        }
    }

    fn changes(tracker: &mut Tracker, messages: Vec<Message>) -> Vec<(What, Option<u64>)> {
        let mut changes = Vec::new();
        for message in &messages {
            tracker.take(message, &mut changes);
        }
        changes.into_iter().map(|change| (change.what, change.at)).collect()
    }

    fn message(update: Update) -> Message {
        Message::Update(Box::new(update))
    }

    const ENDED: What = What::Ended(Some(Bytes { sent: 10, received: 20 }));

    #[test]
    fn a_connection_begins_once_and_ends_once() {
        let connecting = Update { connecting: true, ..update(1) };
        let closing = Update { closing: true, ..update(1) };
        let removed = Message::Removed { source: 1, dropped: false };
        let all = vec![message(connecting), message(update(1)), message(closing), removed];
        let told = changes(&mut Tracker::new(0), all);
        // When it is made is when the kernel says so, not when the socket was.
        assert_eq!(told, [(What::Began, Some(2_000)), (ENDED, Some(2_000))]);
    }

    #[test]
    fn one_that_is_first_seen_at_its_end_began_with_its_socket() {
        let told = changes(&mut Tracker::new(0), vec![message(Update { closing: true, ..update(1) })]);
        assert_eq!(told, [(What::Began, Some(1_000)), (ENDED, Some(2_000))]);
    }

    #[test]
    fn what_was_there_before_only_ends() {
        let mut tracker = Tracker::new(1_001);
        assert_eq!(changes(&mut tracker, vec![message(update(1))]), []);
        let told = changes(&mut tracker, vec![message(Update { closing: true, ..update(1) })]);
        assert_eq!(told, [(ENDED, Some(2_000))]);
        // A socket from before that connects now is new.
        let told = changes(&mut tracker, vec![message(Update { connecting: true, ..update(2) })]);
        assert_eq!(told, [(What::Began, Some(2_000))]);
    }

    #[test]
    fn a_connection_began_no_earlier_than_the_last_poll_that_did_not_tell_of_it() {
        let mut tracker = Tracker::new(1_001);
        // One that the first poll tells of was there before, as was its socket.
        assert_eq!(changes(&mut tracker, vec![message(update(1))]), []);
        tracker.polled(1_500);
        let told = changes(&mut tracker, vec![message(update(1)), message(update(2))]);
        assert_eq!(told, [(What::Began, Some(1_500))]);
        let told = changes(&mut tracker, vec![message(Update { closing: true, ..update(3) })]);
        assert_eq!(told, [(What::Began, Some(1_500)), (ENDED, Some(2_000))]);
        // A socket that was made since.
        tracker.polled(500);
        assert_eq!(changes(&mut tracker, vec![message(update(4))]), []);
        let mut newer = update(5);
        newer.descriptor.start = 1_700;
        assert_eq!(changes(&mut tracker, vec![message(newer)]), [(What::Began, Some(1_700))]);
    }

    #[test]
    fn userlands_sources_need_no_state() {
        for provider in [Provider::TcpUserland, Provider::QuicUserland, Provider::TcpKernel] {
            let mut update = update(1);
            (update.descriptor.provider, update.descriptor.state) = (provider, Some(CLOSED));
            let told = changes(&mut Tracker::new(0), vec![message(update)]);
            assert_eq!(told.len(), usize::from(provider != Provider::TcpKernel), "{provider:?}");
        }
    }

    #[test]
    fn what_has_no_other_end_is_no_connection() {
        let odd = |change: fn(&mut Update)| {
            let mut update = update(1);
            change(&mut update);
            message(update)
        };
        let messages = vec![
            odd(|update| update.descriptor.state = Some(LISTEN)),
            odd(|update| update.descriptor.state = Some(CLOSED)),
            odd(|update| update.descriptor.role = Some(Role::Listener)),
            odd(|update| update.descriptor.connection.remote = None),
            odd(|update| {
                if let Some(remote) = &mut update.descriptor.connection.remote {
                    remote.port = None;
                }
            }),
            Message::Other(10_001),
            Message::Success { context: 1, continues: false },
        ];
        assert_eq!(changes(&mut Tracker::new(0), messages), []);
    }

    #[test]
    fn what_the_kernel_dropped_is_counted() {
        let mut tracker = Tracker::new(0);
        let told = changes(
            &mut tracker,
            vec![
                message(Update { discarded: true, ..update(1) }),
                Message::Removed { source: 1, dropped: true },
                Message::Removed { source: 2, dropped: true },
            ],
        );
        assert_eq!(told, [(What::Began, Some(1_000)), (What::Ended(None), None)]);
        assert_eq!(tracker.counts(), Counts { discarded: 3, forgotten: 0 });
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut tracker = Tracker::new(0);
        let all = || (1..=MAX_SOURCES as u64 + 10).map(|source| message(update(source))).collect();
        assert_eq!(changes(&mut tracker, all()).len(), MAX_SOURCES + 10);
        assert_eq!((tracker.open.len(), tracker.counts().forgotten), (MAX_SOURCES, 10));
        assert!(tracker.open.contains_key(&(MAX_SOURCES as u64)));
        // The next polls tell of all of them again: nothing begins twice.
        for _ in 0..2 {
            assert_eq!(changes(&mut tracker, all()), []);
        }
        assert_eq!(tracker.counts().forgotten, 10);
    }
}
