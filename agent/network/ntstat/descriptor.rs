//! `nstat_tcp_descriptor` and `nstat_udp_descriptor`: what a source is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Provider;
use crate::network::connection::{Connection, Direction, End, Transport};
use crate::network::{Malformed, array, u32_at, u64_at};

/// Which kernel's structures these are. Between xnu-8792 (macOS 13) and xnu-10002 (macOS 14) `persona_id` and `uid` came
/// into both, behind `fuuid`; nothing that is read before them has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// macOS 13: Darwin 22.
    Darwin22,
    /// macOS 14, 15 and 26: Darwin 23 to 25.
    Darwin23,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Who gave it.
    pub provider: Provider,
    /// `upid`: a number that no other process has as long as the Mac runs, of the process that used it last.
    pub unique_pid: u64,
    /// `pid` of the same.
    pub pid: u32,
    /// `start_timestamp`: when the socket was made, in ticks of `mach_continuous_time` (`nstat_tcp_new_pcb`).
    pub start: u64,
    /// `timestamp`: when this was written, on the same clock (`nstat_tcp_copy_descriptor`).
    pub timestamp: u64,
    /// Its ends.
    pub connection: Connection,
    /// What the socket does, where the kernel says it.
    pub role: Option<Role>,
    /// `state`, of TCP: `TCPS_*` of bsd/netinet/tcp_fsm.h.
    pub state: Option<u32>,
}

/// `NSTAT_SOURCE_IS_*`, in kernels from xnu-10002 (macOS 14) on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It waits for connections.
    Listener,
    /// Its connection was made by the other end.
    Inbound,
    /// Its connection was made by this Mac.
    Outbound,
}

/// Where things stand in a descriptor, and how long it is, in bytes. From the structures with the 28 bytes of a union of
/// `sockaddr_in` and `sockaddr_in6`, the 24 of `activity_bitmap_t` and the 16 of `uuid_t`:
///
/// upid 0, eupid 8, start_timestamp 16, timestamp 24 in both. TCP: rx_ and tx_transfer_size 32, activity_bitmap 48,
/// ifindex 72, state 76, nine numbers, pid 116, epid 120, local 124, remote 152, cc_algo 180, pname 196, four uuids 260,
/// (persona_id, uid 324), connstatus, ifnet_properties. UDP: activity_bitmap 32, local 56, remote 84, ifindex 112, three
/// numbers, pid 128, pname 132, epid 196, four uuids 200, (persona_id, uid 264), ifnet_properties.
struct Places {
    pid: usize,
    local: usize,
    remote: usize,
    state: Option<usize>,
    properties: usize,
    length: usize,
}

/// The length of both structures' persona_id and uid.
const PERSONA_AND_UID: usize = 8;

/// The length of the union of addresses.
const ADDRESS: usize = 28;

// `NSTAT_SOURCE_IS_*`.
const IS_LISTENER: u32 = 0x0200_0000;
const IS_INBOUND: u32 = 0x0400_0000;
const IS_OUTBOUND: u32 = 0x0800_0000;

impl Layout {
    /// Returns the layout of a kernel, by the first number of `kern.osrelease`; none of one that is not known.
    pub fn of(darwin: u32) -> Option<Self> {
        match darwin {
            22 => Some(Layout::Darwin22),
            23..=25 => Some(Layout::Darwin23),
            _ => None,
        }
    }

    /// Returns how long a provider's descriptor is, in bytes.
    pub fn descriptor(self, provider: Provider) -> usize {
        self.places(provider).length
    }

    fn places(self, provider: Provider) -> Places {
        let more = if self == Layout::Darwin22 { 0 } else { PERSONA_AND_UID };
        match provider {
            Provider::UdpKernel | Provider::UdpUserland => Places {
                pid: 128,
                local: 56,
                remote: 84,
                state: None,
                properties: 264 + more,
                length: 272 + more,
            },
            Provider::TcpKernel | Provider::TcpUserland | Provider::QuicUserland => Places {
                pid: 116,
                local: 124,
                remote: 152,
                state: Some(76),
                properties: 328 + more,
                length: 336 + more,
            },
        }
    }
}

impl Descriptor {
    /// Reads a descriptor, as long as [`Layout::descriptor`] says.
    pub(super) fn read(bytes: &[u8], provider: Provider, layout: Layout) -> Result<Self, Malformed> {
        let places = layout.places(provider);
        let properties = u32_at(bytes, places.properties);
        let role = match properties {
            bits if bits & IS_INBOUND != 0 => Some(Role::Inbound),
            bits if bits & IS_LISTENER != 0 => Some(Role::Listener),
            bits if bits & IS_OUTBOUND != 0 => Some(Role::Outbound),
            _ => None,
        };
        let transport = match provider {
            Provider::TcpKernel | Provider::TcpUserland => Transport::Tcp,
            _ => Transport::Udp,
        };
        Ok(Descriptor {
            provider,
            unique_pid: u64_at(bytes, 0),
            pid: u32_at(bytes, places.pid),
            start: u64_at(bytes, 16),
            timestamp: u64_at(bytes, 24),
            connection: Connection {
                transport,
                direction: match role {
                    Some(Role::Inbound) => Some(Direction::Ingress),
                    Some(Role::Outbound) => Some(Direction::Egress),
                    Some(Role::Listener) | None => None,
                },
                local: end(bytes, places.local)?,
                remote: end(bytes, places.remote)?,
                // An extension that needs an entitlement of Apple's.
                domain: None,
            },
            role,
            state: places.state.map(|at| u32_at(bytes, at)),
        })
    }
}

/// Reads `sockaddr_in` (u8 length, u8 family 2, port, address) or `sockaddr_in6` (u8 length, u8 family 30, port, u32 flow
/// information, address); ports and addresses in the network's order. `None` for an end that there is not.
fn end(bytes: &[u8], at: usize) -> Result<Option<End>, Malformed> {
    let [_, family] = array(bytes, at);
    let port = u16::from_be_bytes(array(bytes, at + 2));
    let ip: IpAddr = match family {
        0 => return Ok(None),
        2 => Ipv4Addr::from(array::<4>(bytes, at + 4)).into(),
        30 => Ipv6Addr::from(array::<16>(bytes, at + 8)).into(),
        other => return Err(Malformed::Number { what: "an address's family", found: other.into() }),
    };
    Ok(End::new(ip, (port != 0).then_some(port)))
}

const _: () =
    assert!(124 + ADDRESS == 152 && 152 + ADDRESS == 180 && 56 + ADDRESS == 84 && 84 + ADDRESS == 112);
