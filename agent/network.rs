//! Connections: what the Mac's network sources say, as values, and how far each is believed.
//!
//! Endpoint Security documents no event for TCP or UDP. Two sources give connections without standing in the data path,
//! both undocumented: Endpoint Security's event 154 ([`es`]) and the kernel's network statistics ([`ntstat`]). Everything
//! that can be decided without a Mac is here and knows no operating system: which source may be tried ([`gate`]), what
//! its bytes mean, whether it has answered for a connection that is known ([`probe`]), whether it took the Mac down
//! before ([`armed`]), and in which order its flows are evaluated ([`reorder`], [`once`]). `agent/macos` reads the
//! pointers and the socket.
//!
//! A further source, such as a content filter, which Apple documents and which stands in the data path, is one more way
//! to make [`Flow`](crate::observation::Flow)s: nothing behind them would change.

pub mod armed;
pub mod connection;
pub mod es;
pub mod gate;
pub mod ntstat;
pub mod once;
pub mod probe;
pub mod reorder;

/// What `vedette.source` says of a flow from Endpoint Security.
pub const ES: &str = "es";

/// What `vedette.source` says of a flow from the kernel's network statistics.
pub const NTSTAT: &str = "ntstat";

/// Why bytes of an undocumented source are not what they should be: it has changed, or this is not its layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than the layout has.
    #[error("{what}: {found} bytes where {expected} are needed")]
    Short {
        /// Of what.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A length that is another than the layout's.
    #[error("{what}: {found} bytes long, where the layout of this macOS has {expected}")]
    Length {
        /// Of what.
        what: &'static str,
        /// How long it should be.
        expected: usize,
        /// How long it says it is.
        found: usize,
    },
    /// A number that means nothing there.
    #[error("{what}: {found} has no meaning here")]
    Number {
        /// Which number.
        what: &'static str,
        /// What it is.
        found: u64,
    },
}

/// Reads numbers at fixed places. Each place is within what the caller has checked the length of.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(array(bytes, at))
}

/// Zeros where there are not as many bytes, so that a wrong bound is a wrong number and no panic.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}
