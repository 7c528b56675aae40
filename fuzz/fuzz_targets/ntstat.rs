//! Any datagram of the kernel's network statistics, in each layout, gives a bounded number of messages, and connections
//! that end no more often than they were told of. The seeds in seeds/ntstat are datagrams of each layout.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vedette::network::NTSTAT;
use vedette::network::ntstat::tracker::{Tracker, What};
use vedette::network::ntstat::{Layout, messages};

fuzz_target!(|datagram: &[u8]| {
    for layout in [Layout::Darwin22, Layout::Darwin23] {
        // Of a control that was opened at 0, each connection's beginning is told.
        for since in [0, 1 << 20] {
            read(datagram, layout, since);
        }
    }
});

fn read(datagram: &[u8], layout: Layout, since: u64) {
    let (mut tracker, mut changes, mut count) = (Tracker::new(since), Vec::new(), 0);
    for message in messages(datagram, layout) {
        count += 1;
        match message {
            Ok(message) => tracker.take(&message, &mut changes),
            Err(error) => assert!(error.to_string().len() < 200),
        }
    }
    // Each message but a broken last one is at least a header long.
    assert!(count <= datagram.len() / 16 + 1);
    assert!(changes.len() <= 2 * count);
    let mut open = 0;
    for change in changes {
        let bytes = match change.what {
            What::Began => None,
            What::Ended(bytes) => bytes,
        };
        open += if change.what == What::Began { 1 } else { -1 };
        assert!(open >= 0 || since > 0);
        let network = change.open.connection.network(NTSTAT, bytes);
        assert!(network.destination_ip.is_some() || network.source_ip.is_some());
    }
}
