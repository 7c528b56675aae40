//! From the kernel's updates of sources to connections that begin and end.

use std::collections::BTreeMap;

use super::{Message, Role, Update};
use crate::network::connection::{Bytes, Connection};

/// How many open connections are kept. Of more, the oldest is forgotten, and would be taken for a new one.
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
    /// before it did, is not told as something new.
    pub fn new(since: u64) -> Self {
        Tracker { open: BTreeMap::new(), since, counts: Counts::default() }
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
        if !self.open.contains_key(&update.source) && is_connection(update) {
            // The kernel says when a connection is made; of others only when their socket was, which a program that
            // fetches something does just before.
            let at = if update.connecting { descriptor.timestamp } else { descriptor.start };
            let open = Open {
                unique_pid: descriptor.unique_pid,
                pid: descriptor.pid,
                began: at,
                connection: descriptor.connection.clone(),
            };
            if update.connecting || descriptor.start >= self.since {
                changes.push(Change { what: What::Began, at: Some(at), open: open.clone() });
            }
            self.open.insert(update.source, open);
            if self.open.len() > MAX_SOURCES {
                self.open.pop_first();
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

/// Whether a source has another end: a listening or a fresh socket has none, nor has one for datagrams to anyone.
fn is_connection(update: &Update) -> bool {
    let descriptor = &update.descriptor;
    let listens = descriptor.role == Some(Role::Listener) || descriptor.state == Some(LISTEN);
    let fresh = descriptor.state == Some(CLOSED) && !update.closing && !update.connecting;
    let other_end = descriptor.connection.remote.is_some_and(|end| end.port.is_some());
    other_end && !listens && !fresh
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::connection::{End, Transport};
    use crate::network::ntstat::{Descriptor, Provider};
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
        let all = (0..MAX_SOURCES as u64 + 10).map(|source| message(update(source))).collect();
        assert_eq!(changes(&mut tracker, all).len(), MAX_SOURCES + 10);
        assert_eq!((tracker.open.len(), tracker.counts().forgotten), (MAX_SOURCES, 10));
        assert!(tracker.open.contains_key(&(MAX_SOURCES as u64)));
    }
}
