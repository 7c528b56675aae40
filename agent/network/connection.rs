//! A connection's two ends, as every source tells it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::event::Network;

/// The longest domain name that is kept, in bytes: RFC 1035's bound, with a dot at the end.
pub const MAX_DOMAIN: usize = 254;

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The protocol above IP.
    pub transport: Transport,
    /// Who began it, where that is known.
    pub direction: Option<Direction>,
    /// This Mac's end.
    pub local: Option<End>,
    /// The other end.
    pub remote: Option<End>,
    /// The name that was asked for, where the source knows it.
    pub domain: Option<Arc<str>>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// Its address; never an IPv4 address in IPv6's clothes.
    pub ip: IpAddr,
    /// Its port, where it is known how to read it.
    pub port: Option<u16>,
}

/// The protocol above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP: 6.
    Tcp,
    /// UDP: 17, and QUIC, which runs on it.
    Udp,
    /// Another, by its number in IANA's list.
    Other(u8),
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// This Mac.
    Egress,
    /// The other end.
    Ingress,
}

/// Bytes that a connection has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From this Mac.
    pub sent: u64,
    /// To this Mac.
    pub received: u64,
}

impl Connection {
    /// Returns the record's fields: `source` is who began the connection, as ECS has it, and this Mac where nobody knows.
    pub fn network(&self, source: &'static str, bytes: Option<Bytes>) -> Network {
        let inbound = self.direction == Some(Direction::Ingress);
        let (from, to) = if inbound { (self.remote, self.local) } else { (self.local, self.remote) };
        let (out, back) = match bytes {
            Some(Bytes { sent, received }) if inbound => (Some(received), Some(sent)),
            Some(Bytes { sent, received }) => (Some(sent), Some(received)),
            None => (None, None),
        };
        let ip = |end: Option<End>| end.map(|end| Arc::from(end.ip.to_string()));
        let family = self.remote.or(self.local).map(|end| if end.ip.is_ipv4() { "ipv4" } else { "ipv6" });
        Network {
            direction: self.direction.map(Direction::as_str),
            transport: self.transport.as_str(),
            kind: family,
            source_ip: ip(from),
            source_port: from.and_then(|end| end.port),
            source_bytes: out,
            destination_ip: ip(to),
            destination_port: to.and_then(|end| end.port),
            // The name is of the other end.
            destination_domain: self.domain.clone().filter(|_| !inbound),
            destination_bytes: back,
            source: Some(source),
        }
    }
}

impl Transport {
    /// Returns the transport of an IP protocol's number.
    pub fn of(protocol: u8) -> Self {
        match protocol {
            6 => Transport::Tcp,
            17 => Transport::Udp,
            other => Transport::Other(other),
        }
    }

    /// Returns the value of `network.transport`, where ECS has one.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Transport::Tcp => Some("tcp"),
            Transport::Udp => Some("udp"),
            Transport::Other(_) => None,
        }
    }
}

impl Direction {
    /// Returns the value of `network.direction`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Egress => "egress",
            Direction::Ingress => "ingress",
        }
    }
}

impl End {
    /// Makes an end; `None` for an address that stands for none.
    pub fn new(ip: IpAddr, port: Option<u16>) -> Option<Self> {
        let ip = ip.to_canonical();
        (!ip.is_unspecified()).then_some(End { ip, port })
    }
}

impl From<SocketAddr> for End {
    fn from(address: SocketAddr) -> Self {
        End { ip: address.ip().to_canonical(), port: Some(address.port()) }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transport::Tcp => formatter.write_str("TCP"),
            Transport::Udp => formatter.write_str("UDP"),
            Transport::Other(number) => write!(formatter, "IP protocol {number}"),
        }
    }
}

/// Returns a domain name from bytes: text that is not UTF-8 or too long is no name.
pub fn domain(bytes: &[u8]) -> Option<Arc<str>> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    (!text.is_empty() && text.len() <= MAX_DOMAIN).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(direction: Option<Direction>) -> Connection {
        Connection {
            transport: Transport::Tcp,
            direction,
            local: Some("192.0.2.1:50000".parse::<SocketAddr>().expect("an address").into()),
            remote: Some("[::ffff:198.51.100.7]:443".parse::<SocketAddr>().expect("an address").into()),
            domain: Some("example.com".into()),
        }
    }

    #[test]
    fn source_is_who_began() {
        let bytes = Some(Bytes { sent: 1, received: 2 });
        let out = connection(Some(Direction::Egress)).network(NAME, bytes);
        assert_eq!((out.source_ip.as_deref(), out.source_port), (Some("192.0.2.1"), Some(50000)));
        assert_eq!((out.destination_ip.as_deref(), out.kind), (Some("198.51.100.7"), Some("ipv4")));
        assert_eq!((out.source_bytes, out.destination_bytes), (Some(1), Some(2)));
        assert_eq!(out.destination_domain.as_deref(), Some("example.com"));
        assert_eq!(connection(None).network(NAME, bytes), Network { direction: None, ..out.clone() });
        let inwards = connection(Some(Direction::Ingress)).network(NAME, bytes);
        assert_eq!((inwards.source_ip, inwards.source_port), (out.destination_ip, Some(443)));
        assert_eq!((inwards.source_bytes, inwards.destination_bytes), (Some(2), Some(1)));
        assert_eq!(inwards.destination_domain, None);
    }

    #[test]
    fn a_name_is_text_of_bounded_length() {
        assert_eq!(domain(b"example.com\0").as_deref(), Some("example.com"));
        for no in [&b""[..], b"\0", b"\xff.com", &[b'a'; MAX_DOMAIN + 1]] {
            assert_eq!(domain(no), None, "{no:?}");
        }
    }

    const NAME: &str = "test";
}
