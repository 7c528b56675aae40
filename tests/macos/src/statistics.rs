//! The kernel control `com.apple.network.statistics` (xnu, bsd/net/ntstat.h and ntstat.c).
//!
//! Models: ADD_ALL_SRCS and GET_UPDATE with their answers, in parts of 100 sources; updates of TCP and UDP sockets in the
//! layouts of Darwin 22 and of 23 to 25; the event of a connection that is made, which Darwin 22 does not have; the last
//! update of a socket and its removal; several messages in a datagram. The control is one end of a pair of sockets, so
//! what the program sends and receives is what is written here. Not: userland's providers, filters, descriptions, counts of
//! packets; a kernel that runs out of room, which a scenario says.

use crate::libsystem::{monotonic, ticks};
use crate::scenario::{self, scenario};
use crate::started::unique;
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// `NSTAT_MAX_MSG_SIZE`: messages are put together up to here.
const DATAGRAM: usize = 4096;

/// `QUERY_CONTINUATION_SRC_COUNT`: how many sources one answer has.
const PART: usize = 100;

// `NSTAT_PROVIDER_*`, of sockets.
const TCP_KERNEL: u32 = 2;
const UDP_KERNEL: u32 = 4;

// `NSTAT_MSG_TYPE_*`.
const SUCCESS: u32 = 0;
const ERROR: u32 = 1;
const ADD_ALL_SRCS: u32 = 1002;
const GET_UPDATE: u32 = 1007;
const SRC_REMOVED: u32 = 10_002;
const SRC_UPDATE: u32 = 10_006;

// `NSTAT_MSG_HDR_FLAG_*`.
const CONTINUATION: u16 = 2;
const CLOSING: u16 = 4;

// `NSTAT_EVENT_SRC_*`.
const OUTBOUND: u64 = 0x2000;
const DISCARDED: u64 = 0x8000_0000;

/// The kernel's side.
#[derive(Default)]
struct Kernel {
    /// Its end of the pair; none before the program has opened the control.
    end: Option<c_int>,
    /// The events that each provider's sources were asked with.
    watched: BTreeMap<u32, u64>,
    sources: BTreeMap<u64, Source>,
    next: u64,
    /// Context of the poll that goes on, and the last source that it told.
    polled: (u64, u64),
}

#[derive(Clone)]
struct Source {
    provider: u32,
    pid: u32,
    unique: u64,
    start: u64,
    local_port: u16,
    to: SocketAddr,
    bytes: [u64; 2],
}

static KERNEL: Mutex<Kernel> = Mutex::new(Kernel {
    end: None,
    watched: BTreeMap::new(),
    sources: BTreeMap::new(),
    next: 0,
    polled: (0, 0),
});

fn kernel() -> std::sync::MutexGuard<'static, Kernel> {
    KERNEL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the control: the program's end of a pair of sockets.
pub(crate) fn open() -> c_int {
    let mut pair = [0; 2];
    // SAFETY: `pair` has room for both.
    if unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, pair.as_mut_ptr()) } != 0 {
        return -1;
    }
    let end = pair[1];
    kernel().end = Some(end);
    let thread = std::thread::Builder::new().name("kernel".to_owned());
    thread.spawn(move || serve(end)).expect("a thread");
    pair[0]
}

/// Whether the Mac has the control.
pub(crate) fn exists() -> bool {
    scenario().network.statistics.is_some()
}

/// Whether the program has asked for the sources of sockets.
pub(crate) fn is_watched() -> bool {
    [TCP_KERNEL, UDP_KERNEL].iter().all(|provider| kernel().watched.contains_key(provider))
}

/// Reads requests until the program closes its end.
fn serve(end: c_int) {
    let mut request = [0u8; 256];
    loop {
        // SAFETY: the buffer has room for what is announced.
        let length = unsafe { libc::recv(end, request.as_mut_ptr().cast(), request.len(), 0) };
        if length <= 0 {
            return;
        }
        kernel().answer(&request[..length as usize]);
    }
}

/// Tells what happens to a connection, as the scenario says.
pub(crate) fn tell(message: &scenario::Message) {
    if let Some(datagram) = &message.datagram {
        return kernel().put(&bytes(datagram));
    }
    let connection = message.connection.clone().expect("what statistics tell has a connection");
    let (pid, unique, now) = (message.process.pid, unique(message.process.pid), ticks(monotonic()));
    let happens = move || {
        let mut kernel = kernel();
        for _ in 0..=connection.more {
            kernel.happens(&connection, pid, unique, now);
        }
    };
    match message.connection.as_ref().map_or(0, |connection| connection.told_after_ms) {
        0 => happens(),
        after => {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(after));
                happens();
            });
        }
    }
}

/// Tells of the connections that a probe's process is about to make.
pub(crate) fn probed(probe: u32, pid: u32, connections: &[scenario::Connection]) {
    let answer = scenario().network.of_statistics(probe);
    let now = ticks(monotonic());
    for connection in connections {
        if let Some(pid) = answer.tells(!connection.udp, connection.to, pid) {
            kernel().happens(connection, pid, unique(pid), now);
        }
    }
}

impl Kernel {
    fn answer(&mut self, request: &[u8]) {
        let number = |at: usize| u64::from_ne_bytes(request[at..at + 8].try_into().expect("8 bytes"));
        let context = number(0);
        match number(8) as u32 {
            ADD_ALL_SRCS if request.len() == 56 => {
                let provider = number(32) as u32;
                if matches!(provider, TCP_KERNEL | UDP_KERNEL) {
                    // Without it the kernel sends no events.
                    assert!(number(16) & 0x10_0000 != 0, "NSTAT_FILTER_SUPPRESS_SRC_ADDED");
                    self.watched.insert(provider, number(24));
                    self.send(&[header(context, SUCCESS, 0, &[])]);
                } else {
                    // No such provider, as on a kernel without userland's network stack: ENOENT.
                    self.send(&[header(context, ERROR, 0, &[2u32.to_ne_bytes(), [0; 4]].concat())]);
                }
            }
            GET_UPDATE if request.len() == 24 && number(16) == u64::MAX => {
                let from = if self.polled.0 == context { self.polled.1 } else { 0 };
                let part: Vec<(u64, Source)> = self
                    .sources
                    .range(from + 1..)
                    .filter(|(_, source)| self.watched.contains_key(&source.provider))
                    .take(PART)
                    .map(|(number, source)| (*number, source.clone()))
                    .collect();
                let more = part.len() == PART;
                self.polled = if more { (context, part[PART - 1].0) } else { (0, 0) };
                let mut messages: Vec<_> =
                    part.iter().map(|(number, source)| source.update(*number, 0, 0)).collect();
                messages.push(header(context, SUCCESS, if more { CONTINUATION } else { 0 }, &[]));
                self.send(&messages);
            }
            kind => panic!("a request of type {kind} and {} bytes", request.len()),
        }
    }

    /// A connection begins or ends, at a time in ticks.
    fn happens(&mut self, connection: &scenario::Connection, pid: u32, unique: u64, now: u64) {
        let provider = if connection.udp { UDP_KERNEL } else { TCP_KERNEL };
        let dropped = if connection.dropped_before { DISCARDED } else { 0 };
        if let Some(bytes) = connection.ends {
            let of = |source: &Source| source.pid == pid && source.to == connection.to;
            let found = self.sources.iter().find(|(_, source)| of(source)).map(|(number, _)| *number);
            let number = found
                .unwrap_or_else(|| self.add(provider, pid, unique, now, connection.to, connection.more > 0));
            let Some(mut source) = self.sources.remove(&number) else { return };
            source.bytes = bytes;
            let removed = header(0, SRC_REMOVED, 0, &number.to_ne_bytes());
            self.send(&[source.update(number, dropped, CLOSING), removed]);
            return;
        }
        let number = self.add(provider, pid, unique, now, connection.to, connection.more > 0);
        let events = self.watched.get(&provider).copied().unwrap_or(0);
        if events & OUTBOUND != 0 && provider == TCP_KERNEL && darwin() > 22 {
            self.send(&[self.sources[&number].update(number, OUTBOUND | dropped, 0)]);
        }
    }

    fn add(&mut self, provider: u32, pid: u32, unique: u64, start: u64, to: SocketAddr, many: bool) -> u64 {
        self.next += 1;
        // The one that event 154's stand-in gives, unless there are many.
        let local_port = if many { 50_000 + (self.next % 10_000) as u16 } else { 50_000 };
        let source = Source { provider, pid, unique, start, local_port, to, bytes: [0; 2] };
        self.sources.insert(self.next, source);
        self.next
    }

    /// Sends messages, as many in a datagram as there is room for. It waits where the program does not read.
    fn send(&self, messages: &[Vec<u8>]) {
        let mut datagrams: Vec<Vec<u8>> = vec![Vec::new()];
        for message in messages {
            if datagrams.last().is_some_and(|last| last.len() + message.len() > DATAGRAM) {
                datagrams.push(Vec::new());
            }
            datagrams.last_mut().expect("there is one").extend(message);
        }
        for datagram in datagrams {
            self.put(&datagram);
        }
    }

    fn put(&self, datagram: &[u8]) {
        let Some(end) = self.end else { return };
        // SAFETY: the bytes are there. A program that has closed its end wants nothing more.
        unsafe { libc::send(end, datagram.as_ptr().cast(), datagram.len(), libc::MSG_NOSIGNAL) };
    }
}

impl Source {
    /// `nstat_msg_src_update`, member after member.
    fn update(&self, number: u64, events: u64, flags: u16) -> Vec<u8> {
        let mut body = Vec::new();
        let mut put = |bytes: &[u8]| body.extend_from_slice(bytes);
        put(&number.to_ne_bytes());
        put(&events.to_ne_bytes());
        // nstat_counts: packets and bytes received, packets and bytes sent, six more of 8 bytes, eight of 4.
        let [sent, received] = self.bytes;
        for count in [0, received, 0, sent] {
            put(&count.to_ne_bytes());
        }
        put(&[0; 6 * 8 + 8 * 4]);
        put(&self.provider.to_ne_bytes());
        put(&[0; 4]);
        put(&self.descriptor());
        if scenario().network.longer {
            put(&[0; 8]);
        }
        header(0, SRC_UPDATE, flags, &body)
    }

    fn descriptor(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |more: &[u8]| bytes.extend_from_slice(more);
        // upid, eupid, start_timestamp, timestamp.
        for number in [self.unique, self.unique, self.start, ticks(monotonic())] {
            put(&number.to_ne_bytes());
        }
        let local = if self.to.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" };
        let local = SocketAddr::new(local.parse().expect("an address"), self.local_port);
        if self.provider == TCP_KERNEL {
            // Two transfer sizes, the bitmap of activity, ifindex; state 4 is ESTABLISHED; nine numbers.
            put(&[0; 16 + 24 + 4]);
            put(&4u32.to_ne_bytes());
            put(&[0; 9 * 4]);
            put(&self.pid.to_ne_bytes());
            put(&self.pid.to_ne_bytes());
            put(&address(local));
            put(&address(self.to));
            // cc_algo, pname.
            put(&[0; 16 + 64]);
        } else {
            put(&[0; 24]);
            put(&address(local));
            put(&address(self.to));
            // ifindex and three numbers.
            put(&[0; 4 * 4]);
            put(&self.pid.to_ne_bytes());
            put(&[0; 64]);
            put(&self.pid.to_ne_bytes());
        }
        // uuid, euuid, vuuid, fuuid; persona_id and uid.
        put(&[0; 4 * 16]);
        let new = darwin() > 22;
        if new {
            put(&[0xff; 8]);
        }
        if self.provider == TCP_KERNEL {
            // connstatus
            put(&[0; 4]);
        }
        // ifnet_properties: NSTAT_SOURCE_IS_OUTBOUND came with Darwin 23.
        put(&(if new { 0x0800_0000u32 } else { 0 }).to_ne_bytes());
        put(&[0; 4]);
        bytes
    }
}

/// Reads hexadecimal digits.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(|pair| byte(pair).expect("hexadecimal digits")).collect()
}

/// The first number of `kern.osrelease`.
fn darwin() -> u32 {
    scenario().system[1].split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `nstat_msg_hdr`, and what follows it.
fn header(context: u64, kind: u32, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = 16 + body.len() as u16;
    [&context.to_ne_bytes()[..], &kind.to_ne_bytes(), &length.to_ne_bytes(), &flags.to_ne_bytes(), body]
        .concat()
}

/// `struct sockaddr_in` or `sockaddr_in6`, in the 28 bytes of their union.
fn address(address: SocketAddr) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes[..2].copy_from_slice(&[16, 2]);
            bytes[4..8].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes[..2].copy_from_slice(&[28, 30]);
            bytes[8..24].copy_from_slice(&ip.octets());
        }
    }
    bytes
}
