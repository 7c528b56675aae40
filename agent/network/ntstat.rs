//! The messages of the kernel control `com.apple.network.statistics`.
//!
//! xnu, bsd/net/ntstat.h and ntstat.c; the header is private, and `__NSTAT_REVISION__` is 9 from xnu-7195 (macOS 11) to
//! xnu-12377 (macOS 26). Numbers stand in the processor's order. Every message begins with `nstat_msg_hdr`: u64 context,
//! u32 type, u16 length, u16 flags. A datagram may hold several, each as long as its header says
//! (`nstat_accumulate_msg`).

mod descriptor;
mod request;
pub mod tracker;

use super::connection::Bytes;
use super::{Malformed, u16_at, u32_at, u64_at};

pub use descriptor::{Descriptor, Layout, Role};
pub use request::{PROVIDERS, add_all_sources, get_update};

/// `NET_STAT_CONTROL_NAME`.
pub const CONTROL: &str = "com.apple.network.statistics";

/// The longest datagram: `MAX_NSTAT_MSG_HDR_LENGTH` is 65532, and what is put together has 4096 (`NSTAT_MAX_MSG_SIZE`).
pub const MAX_DATAGRAM: usize = 65_536;

/// The length of `nstat_msg_hdr`.
const HEADER: usize = 16;

/// Where the descriptor begins in `nstat_msg_src_update`: the header, u64 srcref at 16, u64 event flags at 24, the
/// 112 bytes of `nstat_counts` at 32, u32 provider at 144, 4 bytes reserved.
const UPDATE: usize = 152;

/// Where `nstat_counts` has `nstat_rxbytes`; `nstat_rxpackets` stands before it.
const RECEIVED: usize = 32 + 8;

/// Where `nstat_counts` has `nstat_txbytes`.
const SENT: usize = 32 + 24;

// `NSTAT_MSG_TYPE_*`.
const SUCCESS: u32 = 0;
const ERROR: u32 = 1;
const SRC_REMOVED: u32 = 10_002;
const SRC_UPDATE: u32 = 10_006;
/// As an update, with more behind the descriptor: for clients with an entitlement.
const SRC_EXTENDED_UPDATE: u32 = 10_007;

// `NSTAT_MSG_HDR_FLAG_*`.
const CONTINUATION: u16 = 1 << 1;
const CLOSING: u16 = 1 << 2;
const CLOSED_AFTER_DROP: u16 = 1 << 3;

/// `NSTAT_EVENT_SRC_FLOW_STATE_OUTBOUND`: a TCP connection is being made. Sent from xnu-10002 (macOS 14) on.
const FLOW_STATE_OUTBOUND: u64 = 0x2000;

/// `NSTAT_EVENT_SRC_PREV_EVENT_DISCARDED`: there was no room for an event of this source. In headers since 2024.
const PREV_EVENT_DISCARDED: u64 = 0x8000_0000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request was carried out.
    Success {
        /// The request's.
        context: u64,
        /// Only a part of it: the same request brings the next.
        continues: bool,
    },
    /// A request was not carried out.
    Error {
        /// The request's.
        context: u64,
        /// Why, as errno.
        errno: u32,
    },
    /// How a source stands.
    Update(Box<Update>),
    /// A source has gone.
    Removed {
        /// Which one.
        source: u64,
        /// Whether the kernel had no room for its last update.
        dropped: bool,
    },
    /// Of a type that is not used.
    Other(u32),
}

/// `nstat_msg_src_update`: a source, which is a socket or a flow of userland's network stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// `srcref`: names the source as long as the control is open; never used again.
    pub source: u64,
    /// It is just being connected.
    pub connecting: bool,
    /// It has ended.
    pub closing: bool,
    /// The kernel dropped an earlier event of it.
    pub discarded: bool,
    /// What it has carried.
    pub bytes: Bytes,
    /// What it is.
    pub descriptor: Descriptor,
}

/// What gives sources: `nstat_provider_type_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// Sockets: 2.
    TcpKernel,
    /// Of userland's network stack: 3.
    TcpUserland,
    /// Sockets: 4.
    UdpKernel,
    /// Of userland's network stack: 5.
    UdpUserland,
    /// 8. Its descriptor is TCP's.
    QuicUserland,
}

/// Reads the messages of a datagram.
pub fn messages(datagram: &[u8], layout: Layout) -> impl Iterator<Item = Result<Message, Malformed>> {
    split(datagram).map(move |message| read(message?, layout))
}

/// Returns the bytes of each message of a datagram. After one whose length is none there is no next.
pub fn split(datagram: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let whole = std::mem::take(&mut rest);
        if whole.len() < HEADER {
            return Some(Err(Malformed::Short { what: "a header", expected: HEADER, found: whole.len() }));
        }
        let length = usize::from(u16_at(whole, 12));
        if length < HEADER {
            return Some(Err(Malformed::Length { what: "a message", expected: HEADER, found: length }));
        }
        let Some((message, next)) = whole.split_at_checked(length) else {
            return Some(Err(Malformed::Short { what: "a message", expected: length, found: whole.len() }));
        };
        rest = next;
        Some(Ok(message))
    })
}

/// Reads a message, whose length is the one that it says.
///
/// # Errors
/// It is too short for what it is, or of another layout.
pub fn read(message: &[u8], layout: Layout) -> Result<Message, Malformed> {
    if message.len() < HEADER {
        return Err(Malformed::Short { what: "a header", expected: HEADER, found: message.len() });
    }
    let (context, flags) = (u64_at(message, 0), u16_at(message, 14));
    let at_least = |what, expected| match message.len() {
        found if found < expected => Err(Malformed::Short { what, expected, found }),
        _ => Ok(()),
    };
    match u32_at(message, 8) {
        SUCCESS => Ok(Message::Success { context, continues: flags & CONTINUATION != 0 }),
        ERROR => {
            at_least("an error", HEADER + 4)?;
            Ok(Message::Error { context, errno: u32_at(message, HEADER) })
        }
        SRC_REMOVED => {
            at_least("a removal", HEADER + 8)?;
            let (source, dropped) = (u64_at(message, HEADER), flags & CLOSED_AFTER_DROP != 0);
            Ok(Message::Removed { source, dropped })
        }
        kind @ (SRC_UPDATE | SRC_EXTENDED_UPDATE) => {
            at_least("an update", UPDATE)?;
            let provider = Provider::of(u32_at(message, 144))?;
            let (what, expected) = (provider.what(), UPDATE + layout.descriptor(provider));
            let found = message.len();
            // The length is what shows that a layout is another.
            if found < expected || (kind == SRC_UPDATE && found > expected) {
                return Err(Malformed::Length { what, expected, found });
            }
            let event_flags = u64_at(message, 24);
            Ok(Message::Update(Box::new(Update {
                source: u64_at(message, 16),
                connecting: event_flags & FLOW_STATE_OUTBOUND != 0,
                closing: flags & CLOSING != 0,
                discarded: event_flags & PREV_EVENT_DISCARDED != 0,
                bytes: Bytes { sent: u64_at(message, SENT), received: u64_at(message, RECEIVED) },
                descriptor: Descriptor::read(&message[UPDATE..], provider, layout)?,
            })))
        }
        other => Ok(Message::Other(other)),
    }
}

impl Provider {
    fn of(number: u32) -> Result<Self, Malformed> {
        PROVIDERS
            .into_iter()
            .find(|provider| provider.number() == number)
            .ok_or(Malformed::Number { what: "a provider", found: number.into() })
    }

    /// Returns its number.
    pub fn number(self) -> u32 {
        match self {
            Provider::TcpKernel => 2,
            Provider::TcpUserland => 3,
            Provider::UdpKernel => 4,
            Provider::UdpUserland => 5,
            Provider::QuicUserland => 8,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Provider::TcpKernel => "an update of a TCP socket",
            Provider::TcpUserland => "an update of userland's TCP",
            Provider::UdpKernel => "an update of a UDP socket",
            Provider::UdpUserland => "an update of userland's UDP",
            Provider::QuicUserland => "an update of QUIC",
        }
    }
}

#[cfg(test)]
mod tests;
