//! `cidrMatch`: IP addresses and networks.

use std::net::IpAddr;

/// A network such as `10.0.0.0/8`; an address alone is a network of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    v6: bool,
    base: u128,
    mask: u128,
}

impl Network {
    /// Parses a network. Bits beyond the prefix are ignored: `10.6.48.157/8` is `10.0.0.0/8`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                if prefix.is_empty() || prefix.len() > 3 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                (address, Some(prefix.parse::<u32>().ok()?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (v6, bits) = number(address);
        let width = if v6 { 128 } else { 32 };
        let prefix = prefix.unwrap_or(width);
        if prefix > width {
            return None;
        }
        let all = if v6 { u128::MAX } else { u128::from(u32::MAX) };
        let mask = all & !all.checked_shr(prefix).unwrap_or(0);
        Some(Network { v6, base: bits & mask, mask })
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (v6, bits) = number(address);
        v6 == self.v6 && bits & self.mask == self.base
    }
}

/// An IPv4 address written as an IPv6 one (`::ffff:10.0.0.1`) is that IPv4 address, as in Elasticsearch.
fn number(address: IpAddr) -> (bool, u128) {
    match address.to_canonical() {
        IpAddr::V4(address) => (false, u128::from(u32::from(address))),
        IpAddr::V6(address) => (true, u128::from(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, address, expected) in [
            ("10.6.48.157/8", "10.1.2.3", true),
            ("10.6.48.157/8", "11.1.2.3", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::1", "::1", true),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "::1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("192.0.2.1/32", "192.0.2.1", true),
            ("::/0", "2001:db8::1", true),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{network:?} {address}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "x"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
