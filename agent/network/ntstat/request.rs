//! What is asked of the kernel.

use super::{CONTINUATION, HEADER, Provider};

/// All that give TCP and UDP. `CONN_USERLAND` and `UDP_SUBFLOW` need an entitlement of Apple's.
pub const PROVIDERS: [Provider; 5] = [
    Provider::TcpKernel,
    Provider::TcpUserland,
    Provider::UdpKernel,
    Provider::UdpUserland,
    Provider::QuicUserland,
];

// `NSTAT_MSG_TYPE_*`.
const ADD_ALL_SRCS: u32 = 1002;
const GET_UPDATE: u32 = 1007;

/// `NSTAT_FILTER_SUPPRESS_SRC_ADDED`, which also says that the client takes updates: without it no event is sent
/// (`nstat_client_handle_add_all`, `nstat_client_send_event`). No bit of an interface is set: all of them.
const SUPPRESS_SRC_ADDED: u64 = 0x10_0000;

/// `NSTAT_SRC_REF_ALL`.
const ALL: u64 = u64::MAX;

/// Returns `nstat_msg_add_all_srcs`: all sources of a provider, and an event for each connection that is being made.
/// The answer has the provider's number as its context.
pub fn add_all_sources(provider: Provider) -> [u8; 56] {
    let mut message = [0; 56];
    header(&mut message, provider.number().into(), ADD_ALL_SRCS, 0);
    message[16..24].copy_from_slice(&SUPPRESS_SRC_ADDED.to_ne_bytes());
    message[24..32].copy_from_slice(&super::FLOW_STATE_OUTBOUND.to_ne_bytes());
    message[32..36].copy_from_slice(&provider.number().to_ne_bytes());
    message
}

/// Returns `nstat_msg_query_src_req`: an update of every source, or the next of them if the answer to the same context
/// said that it continues.
pub fn get_update(context: u64) -> [u8; 24] {
    let mut message = [0; 24];
    header(&mut message, context, GET_UPDATE, CONTINUATION);
    message[16..24].copy_from_slice(&ALL.to_ne_bytes());
    message
}

fn header(message: &mut [u8], context: u64, kind: u32, flags: u16) {
    // The longest request has 56 bytes.
    let length = message.len() as u16;
    let header = &mut message[..HEADER];
    header[..8].copy_from_slice(&context.to_ne_bytes());
    header[8..12].copy_from_slice(&kind.to_ne_bytes());
    header[12..14].copy_from_slice(&length.to_ne_bytes());
    header[14..].copy_from_slice(&flags.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{u16_at, u32_at, u64_at};

    #[test]
    fn requests_are_as_the_kernel_reads_them() {
        for provider in PROVIDERS {
            let message = add_all_sources(provider);
            assert_eq!((u64_at(&message, 0), u32_at(&message, 8)), (provider.number().into(), 1002));
            assert_eq!((u16_at(&message, 12), u16_at(&message, 14)), (56, 0));
            assert_eq!((u64_at(&message, 16), u64_at(&message, 24)), (0x10_0000, 0x2000));
            assert_eq!((u32_at(&message, 32), &message[36..]), (provider.number(), &[0; 20][..]));
        }
        let message = get_update(77);
        assert_eq!((u64_at(&message, 0), u32_at(&message, 8)), (77, 1007));
        assert_eq!((u16_at(&message, 12), u16_at(&message, 14), u64_at(&message, 16)), (24, 2, u64::MAX));
    }
}
