//! A connection that two sources see is one record.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::connection::{Connection, Direction, Transport};

/// How far apart two sources may tell the same beginning, in nanoseconds: the kernel's statistics may tell it by the
/// next poll, half a second later, with the time at which the socket was made.
pub const APART: i64 = 2_000_000_000;

/// How many beginnings are kept to be compared with.
pub const MAX_KEPT: usize = 16_384;

/// With how many of another source's beginnings of the same kind one is compared, the earliest of them. Where more wait, as
/// of a process that connects to one place a thousand times in a second, one may be told twice.
const MAX_COMPARED: usize = 1024;

/// The beginnings that one source has told and no other yet.
#[derive(Debug, Default)]
pub struct Once {
    /// What waits to be told again, by which end and which source.
    kept: HashMap<Key, Vec<Told>>,
    /// All that were kept, in the order in which they came, to forget them: time, number, and where it is kept.
    order: VecDeque<(i64, u64, Key, &'static str)>,
    next: u64,
    repeated: u64,
}

/// Who connected where. The local port is not part of it: a source may tell of a connection before it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    pid: u32,
    transport: Transport,
    ip: IpAddr,
    port: Option<u16>,
}

/// What one source has told, the earliest first. Apart from what others have, so that a source that tells of many alike is
/// not compared with itself.
#[derive(Debug)]
struct Told {
    source: &'static str,
    kept: VecDeque<Kept>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Which one it is; they only grow.
    number: u64,
    time: i64,
    local_port: Option<u16>,
}

impl Once {
    /// Takes the beginning of a process's connection, at a time on the clock that orders events, in nanoseconds. Returns
    /// whether it is new: not told by another source already.
    pub fn is_new(&mut self, source: &'static str, pid: u32, connection: &Connection, time: i64) -> bool {
        let Some(remote) = connection.remote.filter(|_| connection.direction != Some(Direction::Ingress))
        else {
            // Only outgoing connections are told by two.
            return true;
        };
        self.forget(time);
        let key = Key { pid, transport: connection.transport, ip: remote.ip, port: remote.port };
        let local_port = connection.local.and_then(|end| end.port);
        let same = |kept: &Kept| {
            time.saturating_sub(kept.time).saturating_abs() <= APART
                && (kept.local_port.is_none() || local_port.is_none() || kept.local_port == local_port)
        };
        let told = self.kept.entry(key).or_default();
        for other in told.iter_mut().filter(|told| told.source != source) {
            let mut first = other.kept.iter().take(MAX_COMPARED);
            // One whose port is known to be the same, before one that might be it.
            let exact = first.clone().position(|kept| same(kept) && kept.local_port == local_port);
            if let Some(at) = exact.or_else(|| first.position(same)) {
                other.kept.remove(at);
                self.repeated += 1;
                return false;
            }
        }
        let kept = Kept { number: self.next, time, local_port };
        match told.iter_mut().find(|told| told.source == source) {
            Some(own) => own.kept.push_back(kept),
            None => told.push(Told { source, kept: VecDeque::from([kept]) }),
        }
        self.order.push_back((time, self.next, key, source));
        self.next += 1;
        true
    }

    /// Returns how many were told by a second source.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Forgets what nobody will tell again, and of too many the first.
    fn forget(&mut self, now: i64) {
        while let Some((time, number, key, source)) = self.order.front().copied()
            && (self.order.len() >= MAX_KEPT || now.saturating_sub(time) > 2 * APART)
        {
            self.order.pop_front();
            let Some(told) = self.kept.get_mut(&key) else { continue };
            // Unless it was told again, it is the first of those that are left.
            if let Some(own) = told.iter_mut().find(|told| told.source == source)
                && own.kept.front().is_some_and(|kept| kept.number == number)
            {
                own.kept.pop_front();
            }
            if told.iter().all(|told| told.kept.is_empty()) {
                self.kept.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::connection::End;
    use crate::network::{ES, NTSTAT};
    use std::net::SocketAddr;

    fn to(remote: &str, local_port: Option<u16>) -> Connection {
        let remote: SocketAddr = remote.parse().expect("an address");
        Connection {
            transport: Transport::Tcp,
            direction: Some(Direction::Egress),
            local: local_port.map(|port| End { ip: [192, 0, 2, 1].into(), port: Some(port) }),
            remote: Some(remote.into()),
            domain: None,
        }
    }

    const MS: i64 = 1_000_000;
    const A: &str = "198.51.100.7:443";

    #[test]
    fn what_two_sources_tell_is_told_once_whoever_is_first() {
        for (first, second) in [(ES, NTSTAT), (NTSTAT, ES)] {
            for (one, other) in [(Some(5), Some(5)), (None, Some(5)), (Some(5), None), (None, None)] {
                let mut once = Once::default();
                assert!(once.is_new(first, 1, &to(A, one), 0));
                assert!(!once.is_new(second, 1, &to(A, other), 500 * MS), "{one:?} {other:?}");
                assert_eq!(once.repeated(), 1);
            }
        }
    }

    #[test]
    fn one_source_may_tell_of_many_alike() {
        let mut once = Once::default();
        for _ in 0..3 {
            assert!(once.is_new(ES, 1, &to(A, None), 0));
        }
        let again = [5, 6, 7, 8].map(|port| once.is_new(NTSTAT, 1, &to(A, Some(port)), MS));
        assert_eq!(again, [false, false, false, true]);
    }

    #[test]
    fn what_was_told_again_is_forgotten_with_the_rest() {
        let mut once = Once::default();
        for port in 1..=100 {
            assert!(once.is_new(ES, 1, &to(A, Some(port)), 0));
        }
        for port in (1..=100).step_by(2) {
            assert!(!once.is_new(NTSTAT, 1, &to(A, Some(port)), MS));
        }
        // The other half waits for as long as it may be told.
        assert!(!once.is_new(NTSTAT, 1, &to(A, Some(2)), APART));
        assert!(once.is_new(NTSTAT, 1, &to(A, Some(4)), APART + 1));
        assert!(once.is_new(ES, 2, &to(A, None), 4 * APART));
        assert_eq!((once.order.len(), once.kept.len(), once.repeated()), (1, 1, 51));
    }

    #[test]
    fn what_differs_is_another() {
        let others: [(u32, Connection, i64); 5] = [
            (2, to(A, Some(5)), 0),
            (1, to("198.51.100.8:443", Some(5)), 0),
            (1, to("198.51.100.7:80", Some(5)), 0),
            (1, to(A, Some(6)), 0),
            (1, to(A, Some(5)), APART + 1),
        ];
        for (pid, connection, time) in others {
            let mut once = Once::default();
            assert!(once.is_new(ES, 1, &to(A, Some(5)), 0));
            assert!(once.is_new(NTSTAT, pid, &connection, time), "{connection:?}");
        }
        let inwards = Connection { direction: Some(Direction::Ingress), ..to(A, Some(5)) };
        let mut once = Once::default();
        assert!(once.is_new(ES, 1, &inwards, 0) && once.is_new(NTSTAT, 1, &inwards, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_and_goes_with_time() {
        let mut once = Once::default();
        for port in 0..2 * MAX_KEPT {
            let connection = to(&format!("198.51.100.7:{}", port % 60_000 + 1), None);
            assert!(once.is_new(ES, (port / 60_000) as u32, &connection, 0));
        }
        assert!(once.order.len() <= MAX_KEPT && once.kept.len() <= MAX_KEPT);
        assert!(once.is_new(ES, 1, &to(A, None), 3 * APART));
        assert_eq!((once.order.len(), once.kept.len()), (1, 1));
    }
}
