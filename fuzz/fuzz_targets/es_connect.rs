//! Any payload of Endpoint Security's event 154 is an error or a connection, with a name only where one is announced of
//! bounded length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vedette::network::ES;
use vedette::network::connection::MAX_DOMAIN;
use vedette::network::es::{PAYLOAD, Payload, PortOrder, PortOrders};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (bytes, name) = input;
    let Some(payload) = bytes.first_chunk::<PAYLOAD>() else { return };
    let Ok(payload) = Payload::decode(payload) else { return };
    assert!(payload.name.is_none_or(|(length, pointer)| length <= MAX_DOMAIN && pointer != 0));
    let orders = PortOrders { tcp: Some(PortOrder::Native), udp: None };
    let network = payload.connection(orders, Some(name)).network(ES, None);
    assert!(network.destination_domain.is_none_or(|domain| domain.len() <= MAX_DOMAIN));
    assert!(network.transport != Some("udp") || network.destination_port.is_none());
});
