//! UUIDs that follow from a name: version 8 as RFC 9562, appendix B.2, makes it with SHA-256. Version 5 would be the same
//! with SHA-1, which nothing else here needs.

use sha2::{Digest, Sha256};

/// The name space of domain names (RFC 9562, section 6.6): identifiers are domain names the other way round.
const DNS: [u8; 16] =
    [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];

/// Returns the UUID of a name, in capitals as Apple writes them.
pub(super) fn of(name: &str) -> String {
    let hash = Sha256::new().chain_update(DNS).chain_update(name).finalize();
    let mut bytes: [u8; 16] = std::array::from_fn(|index| hash[index]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = |part: &[u8]| crate::digest::hexadecimal(part).to_uppercase();
    let [a, b, c, d, e] = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(text);
    format!("{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(super::of("www.example.com"), "5C146B14-3C52-8AFD-938A-375D0DF1FBF6");
    }
}
