//! The payload of Endpoint Security's event 154, an IP connection that was attempted.
//!
//! `ES_EVENT_TYPE_RESERVED_6` in Apple's list of event types: a number without a documented structure. What is read here
//! was worked out from four messages that Objective-See printed (blog 0x86, on macOS 26.4), and is believed only on a Mac
//! where a [probe](super::probe) has shown it. `message->event` begins with a pointer to:
//!
//! | offset | what |
//! | --- | --- |
//! | 0x00 | u32: the local end's family, 2 (`AF_INET`) or 30 (`AF_INET6`) of `<sys/socket.h>`; 0 before it has one |
//! | 0x04 | 16 bytes: its address, in network order; of IPv4 the first 4 |
//! | 0x14 | u16: its port |
//! | 0x18 | u32: the remote end's family |
//! | 0x1c | 16 bytes: its address |
//! | 0x2c | u16: its port |
//! | 0x34 | u32: the IP protocol, 6 or 17 |
//! | 0x38 | u32: 1 in each message of a connection from the Mac |
//! | 0x40 | `es_string_token_t`: the name that was asked for: length, pointer |
//!
//! In the printed messages the port of one kind of connection stands in the processor's order and that of another in the
//! network's. So no order is assumed: the probe tells it, for each transport.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::connection::{self, Connection, Direction, End, MAX_DOMAIN, Transport};
use super::{Malformed, array, u16_at, u32_at, u64_at};

/// The event's number in `es_event_type_t`.
pub const EVENT: u32 = 154;

/// How many bytes are read, and no more: what follows belongs to other messages.
pub const PAYLOAD: usize = 0x50;

/// `AF_INET` of `<sys/socket.h>`.
const AF_INET: u32 = 2;

/// `AF_INET6` of `<sys/socket.h>`, on Apple's systems.
const AF_INET6: u32 = 30;

/// The payload, with its ports as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The local end's address, where it has one.
    pub local: Option<IpAddr>,
    /// The remote end's.
    pub remote: IpAddr,
    /// The local port, in whatever order.
    pub local_port: u16,
    /// The remote port, in whatever order.
    pub remote_port: u16,
    /// The protocol above IP.
    pub transport: Transport,
    /// Whether the connection is known to be one from this Mac.
    pub outbound: bool,
    /// How long the name is, and where: an address to be read only once the layout is proven.
    pub name: Option<(usize, u64)>,
}

/// In which order a port's bytes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortOrder {
    /// The processor's.
    Native,
    /// The network's.
    Network,
}

/// The order of the ports that a probe has shown, for each transport; none where it has shown none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortOrders {
    /// Of TCP.
    pub tcp: Option<PortOrder>,
    /// Of UDP.
    pub udp: Option<PortOrder>,
}

impl Payload {
    /// Reads a payload.
    ///
    /// # Errors
    /// A family or a protocol that there is not: the layout is another.
    pub fn decode(bytes: &[u8; PAYLOAD]) -> Result<Self, Malformed> {
        let protocol = u32_at(bytes, 0x34);
        let protocol = u8::try_from(protocol)
            .map_err(|_| Malformed::Number { what: "the IP protocol", found: protocol.into() })?;
        let remote = address(bytes, 0x18, "the remote end's family")?
            .ok_or(Malformed::Number { what: "the remote end's family", found: 0 })?;
        let length = u64_at(bytes, 0x40);
        let name = usize::try_from(length).ok().filter(|length| (1..=MAX_DOMAIN).contains(length));
        let pointer = u64_at(bytes, 0x48);
        Ok(Payload {
            local: address(bytes, 0x00, "the local end's family")?,
            remote,
            local_port: u16_at(bytes, 0x14),
            remote_port: u16_at(bytes, 0x2c),
            transport: Transport::of(protocol),
            outbound: u32_at(bytes, 0x38) == 1,
            name: name.filter(|_| pointer != 0).map(|length| (length, pointer)),
        })
    }

    /// Returns the connection. A port is left out where no probe has shown how to read it: of another transport, and
    /// of what is not known to be a connection from this Mac.
    pub fn connection(&self, orders: PortOrders, name: Option<&[u8]>) -> Connection {
        let order = orders.of(self.transport).filter(|_| self.outbound);
        let port = |raw| order.map(|order| order.read(raw)).filter(|port| *port != 0);
        Connection {
            transport: self.transport,
            direction: self.outbound.then_some(Direction::Egress),
            local: self.local.and_then(|ip| End::new(ip, port(self.local_port))),
            remote: End::new(self.remote, port(self.remote_port)),
            domain: name.and_then(connection::domain),
        }
    }
}

impl PortOrder {
    /// Returns the port that is meant by two bytes, read in the processor's order.
    pub fn read(self, raw: u16) -> u16 {
        match self {
            PortOrder::Native => raw,
            PortOrder::Network => u16::from_be(raw),
        }
    }

    /// Returns the order in which `raw` means `port`; none if it means another in both.
    pub fn between(raw: u16, port: u16) -> Option<Self> {
        [PortOrder::Native, PortOrder::Network].into_iter().find(|order| order.read(raw) == port)
    }
}

impl PortOrders {
    /// Returns what was shown for a transport.
    pub fn of(self, transport: Transport) -> Option<PortOrder> {
        match transport {
            Transport::Tcp => self.tcp,
            Transport::Udp => self.udp,
            Transport::Other(_) => None,
        }
    }
}

/// Reads a family and the address behind it; `None` for family 0.
fn address(bytes: &[u8; PAYLOAD], at: usize, what: &'static str) -> Result<Option<IpAddr>, Malformed> {
    match u32_at(bytes, at) {
        0 => Ok(None),
        AF_INET => Ok(Some(Ipv4Addr::from(array::<4>(bytes, at + 4)).into())),
        AF_INET6 => Ok(Some(Ipv6Addr::from(array::<16>(bytes, at + 4)).into())),
        other => Err(Malformed::Number { what, found: other.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A payload from `curl https://example.com`, laid out by the table above.
    fn payload(remote: IpAddr, port: [u8; 2], protocol: u32, direction: u32) -> [u8; PAYLOAD] {
        let mut bytes = [0; PAYLOAD];
        let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
        let end = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => (2u32, v4.octets().to_vec()),
            IpAddr::V6(v6) => (30, v6.octets().to_vec()),
        };
        let local = if remote.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" };
        for (at, ip) in [(0x00, local.parse().expect("an address")), (0x18, remote)] {
            let (family, octets) = end(ip);
            put(at, &family.to_ne_bytes());
            put(at + 4, &octets);
        }
        put(0x14, &50000u16.to_ne_bytes());
        put(0x2c, &port);
        put(0x34, &protocol.to_ne_bytes());
        put(0x38, &direction.to_ne_bytes());
        put(0x40, &11u64.to_ne_bytes());
        put(0x48, &0x1234u64.to_ne_bytes());
        bytes
    }

    const ORDERS: PortOrders = PortOrders { tcp: Some(PortOrder::Native), udp: Some(PortOrder::Network) };

    #[test]
    fn both_families_and_both_orders() {
        for (remote, port, protocol, transport) in [
            ("198.51.100.7", 443u16.to_ne_bytes(), 6, Transport::Tcp),
            ("2001:db8::7", 443u16.to_ne_bytes(), 6, Transport::Tcp),
            ("198.51.100.7", 443u16.to_be_bytes(), 17, Transport::Udp),
        ] {
            let remote: IpAddr = remote.parse().expect("an address");
            let payload = Payload::decode(&payload(remote, port, protocol, 1)).expect("the layout's");
            assert_eq!(payload.name, Some((11, 0x1234)));
            let connection = payload.connection(ORDERS, Some(b"example.com"));
            assert_eq!((connection.transport, connection.direction), (transport, Some(Direction::Egress)));
            assert_eq!(connection.remote, Some(End { ip: remote, port: Some(443) }));
            assert_eq!(connection.domain.as_deref(), Some("example.com"));
        }
    }

    #[test]
    fn a_port_that_no_probe_has_shown_is_left_out() {
        let remote: IpAddr = "198.51.100.7".parse().expect("an address");
        for (orders, direction) in [(PortOrders { tcp: None, ..ORDERS }, 1), (ORDERS, 0), (ORDERS, 7)] {
            let payload = Payload::decode(&payload(remote, [1, 0xbb], 6, direction)).expect("the layout's");
            let connection = payload.connection(orders, None);
            assert_eq!(connection.remote, Some(End { ip: remote, port: None }), "{orders:?} {direction}");
            assert_eq!(connection.direction.is_some(), direction == 1);
        }
    }

    #[test]
    fn the_order_of_a_port_shows_in_a_known_one() {
        let raw = u16::from_ne_bytes([0x12, 0x34]);
        assert_eq!(
            PortOrder::between(raw, 0x1234),
            Some(if cfg!(target_endian = "big") { PortOrder::Native } else { PortOrder::Network })
        );
        assert_eq!(PortOrder::between(raw, raw), Some(PortOrder::Native));
        assert_eq!(PortOrder::between(raw, 0x1235), None);
    }

    #[test]
    fn what_is_not_this_layout_is_an_error_and_no_pointer_is_made_of_it() {
        let good = payload("198.51.100.7".parse().expect("an address"), [0, 80], 6, 1);
        for (at, value, names) in [
            (0x00, 3u32, "local"),
            (0x18, 0, "remote"),
            (0x18, 0xffff_ffff, "remote"),
            (0x34, 256, "protocol"),
        ] {
            let mut bytes = good;
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            let error = Payload::decode(&bytes).expect_err("it is another").to_string();
            assert!(error.contains(names) && error.contains(&value.to_string()), "{error}");
        }
        for (length, pointer) in [(0u64, 1u64), (5, 0), (255, 1), (u64::MAX, 1)] {
            let mut bytes = good;
            bytes[0x40..0x48].copy_from_slice(&length.to_ne_bytes());
            bytes[0x48..].copy_from_slice(&pointer.to_ne_bytes());
            assert_eq!(Payload::decode(&bytes).expect("the layout's").name, None, "{length} {pointer}");
        }
        assert_eq!(
            Payload::decode(&[0xff; PAYLOAD]).map(|_| ()).expect_err("nonsense").to_string(),
            "the IP protocol: 4294967295 has no meaning here"
        );
    }
}
