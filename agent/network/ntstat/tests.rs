use super::*;
use crate::network::connection::{Connection, Direction, End, Transport};

/// A message with its header.
fn message(kind: u32, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = (HEADER + body.len()) as u16;
    let mut bytes = 5u64.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// A structure of C, member after member, so that the places come from the members and not from the decoder.
#[derive(Default)]
struct Structure(Vec<u8>);

impl Structure {
    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    fn text(self, text: &str, size: usize) -> Self {
        let left = size - text.len();
        let mut this = self;
        this.0.extend(text.bytes());
        this.zeros(left)
    }

    fn v4(mut self, address: [u8; 4], port: u16) -> Self {
        self.0.extend([16, 2]);
        self.0.extend(port.to_be_bytes());
        self.0.extend(address);
        self.zeros(20)
    }

    fn v6(mut self, last: u8, port: u16) -> Self {
        self.0.extend([28, 30]);
        self.0.extend(port.to_be_bytes());
        self.0.extend([0; 4]);
        self.0.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        self.zeros(4)
    }
}

/// `nstat_tcp_descriptor`; persona_id and uid only since macOS 14.
fn tcp(layout: Layout, properties: u32) -> Vec<u8> {
    let head = Structure::default().u64(77).u64(78).u64(1_000).u64(2_000).u64(0).u64(0).zeros(24);
    let numbers = head.u32(4).u32(4).zeros(9 * 4).u32(501).u32(502);
    let ends = numbers.v4([192, 0, 2, 1], 50_000).v4([198, 51, 100, 7], 443);
    let names = ends.text("cubic", 16).text("curl", 64).zeros(4 * 16);
    let owner = if layout == Layout::Darwin22 { names } else { names.u32(0xffff_ffff).u32(0xffff_ffff) };
    owner.zeros(4).u32(properties).zeros(4).0
}

/// `nstat_udp_descriptor`.
fn udp(layout: Layout, properties: u32) -> Vec<u8> {
    let head = Structure::default().u64(77).u64(78).u64(1_000).u64(2_000).zeros(24);
    let ends = head.v6(1, 50_000).v6(7, 53);
    let names = ends.u32(4).zeros(3 * 4).u32(501).text("dig", 64).u32(502).zeros(4 * 16);
    let owner = if layout == Layout::Darwin22 { names } else { names.u32(0xffff_ffff).u32(0xffff_ffff) };
    owner.u32(properties).zeros(4).0
}

fn update(provider: u32, event_flags: u64, descriptor: &[u8]) -> Vec<u8> {
    let counts = Structure::default().u64(3).u64(300).u64(2).u64(200).zeros(6 * 8).zeros(8 * 4);
    let head = Structure::default().u64(9).u64(event_flags).0;
    [head, counts.0, provider.to_ne_bytes().to_vec(), vec![0; 4], descriptor.to_vec()].concat()
}

fn one(datagram: &[u8], layout: Layout) -> Result<Message, Malformed> {
    let mut all = messages(datagram, layout);
    let first = all.next().expect("a message");
    assert_eq!(all.next(), None);
    first
}

const LAYOUTS: [Layout; 2] = [Layout::Darwin22, Layout::Darwin23];

#[test]
fn the_layout_goes_by_the_kernel() {
    let of = [21, 22, 23, 24, 25, 26].map(Layout::of);
    let [older, newer] = LAYOUTS.map(Some);
    assert_eq!(of, [None, older, newer, newer, newer, None]);
}

#[test]
fn tcp_of_each_layout() {
    for layout in LAYOUTS {
        for provider in [2, 3, 8] {
            let body = update(provider, FLOW_STATE_OUTBOUND, &tcp(layout, 0x0800_0004));
            let Message::Update(update) = one(&message(10_006, 0, &body), layout).expect("the layout's")
            else {
                panic!("an update")
            };
            assert_eq!((update.source, update.connecting, update.closing), (9, true, false));
            assert_eq!(update.bytes, Bytes { sent: 200, received: 300 });
            let descriptor = update.descriptor;
            assert_eq!((descriptor.unique_pid, descriptor.pid), (77, 501), "{layout:?}");
            assert_eq!((descriptor.start, descriptor.timestamp, descriptor.state), (1_000, 2_000, Some(4)));
            let end = |ip: &str, port| End::new(ip.parse().expect("an address"), Some(port));
            let transport = if provider == 8 { Transport::Udp } else { Transport::Tcp };
            assert_eq!(
                descriptor.connection,
                Connection {
                    transport,
                    direction: Some(Direction::Egress),
                    local: end("192.0.2.1", 50_000),
                    remote: end("198.51.100.7", 443),
                    domain: None,
                }
            );
        }
    }
}

#[test]
fn udp_of_each_layout() {
    for layout in LAYOUTS {
        for (properties, role) in [
            (0, None),
            (0x0200_0000, Some(Role::Listener)),
            (0x0400_0000, Some(Role::Inbound)),
            (0x0800_0000, Some(Role::Outbound)),
        ] {
            let body = update(4, PREV_EVENT_DISCARDED, &udp(layout, properties));
            let Message::Update(update) =
                one(&message(10_006, CLOSING, &body), layout).expect("the layout's")
            else {
                panic!("an update")
            };
            assert!(update.closing && update.discarded && !update.connecting);
            assert_eq!((update.descriptor.pid, update.descriptor.role), (501, role), "{layout:?}");
            let remote = update.descriptor.connection.remote.expect("an end");
            assert_eq!((remote.ip.to_string(), remote.port), ("2001:db8::7".to_owned(), Some(53)));
        }
    }
}

#[test]
fn several_in_a_datagram() {
    let layout = Layout::Darwin23;
    let datagram = [
        message(10_006, 0, &update(2, 0, &tcp(layout, 0))),
        message(10_006, 0, &update(4, 0, &udp(layout, 0))),
        message(10_002, CLOSED_AFTER_DROP, &9u64.to_ne_bytes()),
        message(0, CONTINUATION, &[]),
        message(1, 0, &Structure::default().u32(13).u32(0).0),
        message(10_001, 0, &[0; 16]),
    ]
    .concat();
    let all: Vec<Message> =
        messages(&datagram, layout).map(|message| message.expect("the layout's")).collect();
    assert!(matches!(all[..2], [Message::Update(_), Message::Update(_)]));
    assert_eq!(
        all[2..],
        [
            Message::Removed { source: 9, dropped: true },
            Message::Success { context: 5, continues: true },
            Message::Error { context: 5, errno: 13 },
            Message::Other(10_001),
        ]
    );
}

#[test]
fn another_layout_shows_in_the_length() {
    for (layout, other) in [(Layout::Darwin22, Layout::Darwin23), (Layout::Darwin23, Layout::Darwin22)] {
        for (provider, descriptor) in [(2, tcp(other, 0)), (4, udp(other, 0))] {
            let error = one(&message(10_006, 0, &update(provider, 0, &descriptor)), layout);
            let error = error.expect_err("it is another").to_string();
            assert!(error.contains("where the layout of this macOS has"), "{error}");
        }
    }
    // Only behind the descriptor of an extended update may stand more.
    let longer = [update(2, 0, &tcp(Layout::Darwin23, 0)), vec![0; 24]].concat();
    assert!(one(&message(10_007, 0, &longer), Layout::Darwin23).is_ok());
    assert!(one(&message(10_006, 0, &longer), Layout::Darwin23).is_err());
}

#[test]
fn hostile_lengths_end_the_datagram_or_the_message_and_nothing_else() {
    let layout = Layout::Darwin23;
    let good = message(10_002, 0, &9u64.to_ne_bytes());
    for length in [0u16, 1, 15] {
        let mut bad = good.clone();
        bad[12..14].copy_from_slice(&length.to_ne_bytes());
        let all: Vec<_> = messages(&[good.clone(), bad, good.clone()].concat(), layout).collect();
        assert!(matches!(all[..], [Ok(Message::Removed { .. }), Err(Malformed::Length { .. })]), "{all:?}");
    }
    let mut beyond = good.clone();
    beyond[12..14].copy_from_slice(&u16::MAX.to_ne_bytes());
    assert!(matches!(one(&beyond, layout), Err(Malformed::Short { .. })));
    for kind in [1, 10_002, 10_006, 10_007] {
        // A message that is too short costs only itself.
        let all: Vec<_> = messages(&[message(kind, 0, &[0; 3]), good.clone()].concat(), layout).collect();
        assert!(
            matches!(all[..], [Err(Malformed::Short { .. }), Ok(Message::Removed { .. })]),
            "{kind}: {all:?}"
        );
    }
    for end in 1..good.len() {
        assert!(one(&good[..end], layout).is_err());
    }
    assert_eq!(messages(&[], layout).count(), 0);
}

#[test]
fn numbers_without_meaning_are_errors() {
    let layout = Layout::Darwin23;
    for provider in [0, 1, 6, 7, 9, 10, u32::MAX] {
        let error = one(&message(10_006, 0, &update(provider, 0, &tcp(layout, 0))), layout);
        assert!(error.expect_err("no such provider").to_string().contains("a provider"));
    }
    let mut descriptor = tcp(layout, 0);
    descriptor[153] = 99;
    let error = one(&message(10_006, 0, &update(2, 0, &descriptor)), layout);
    assert!(error.expect_err("no such family").to_string().contains("family: 99"));
}

/// A datagram of each layout, and one with all that the tracker follows: a connection from its beginning to its end.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (layout, name) in LAYOUTS.into_iter().zip(["darwin22", "darwin23"]) {
        let of = |flags, provider, events, descriptor: &[u8]| {
            message(10_006, flags, &update(provider, events, descriptor))
        };
        let outbound = tcp(layout, 0x0800_0000);
        seeds.push((format!("{name}-tcp"), of(0, 2, FLOW_STATE_OUTBOUND, &outbound)));
        seeds.push((format!("{name}-udp"), of(CLOSING, 4, PREV_EVENT_DISCARDED, &udp(layout, 0))));
        let life = [
            message(1, 0, &Structure::default().u32(2).u32(0).0),
            of(0, 3, FLOW_STATE_OUTBOUND, &outbound),
            of(CLOSING, 3, 0, &outbound),
            message(10_002, CLOSED_AFTER_DROP, &9u64.to_ne_bytes()),
            of(0, 5, 0, &udp(layout, 0x0400_0000)),
            of(0, 8, 0, &outbound),
            message(0, CONTINUATION, &[]),
        ];
        seeds.push((format!("{name}-life"), life.concat()));
    }
    seeds
}

#[test]
fn the_fuzzers_seeds_are_datagrams_of_each_layout() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/ntstat");
    for (name, datagram) in seeds() {
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(&folder).expect("a writable folder");
            std::fs::write(folder.join(&name), &datagram).expect("a writable folder");
        }
        let seed = std::fs::read(folder.join(&name)).expect("a seed");
        assert!(seed == datagram, "{name} is old; UPDATE_EXPECT=1 cargo test --lib ntstat writes it anew");
        let layout = if name.starts_with("darwin22") { Layout::Darwin22 } else { Layout::Darwin23 };
        assert!(messages(&seed, layout).all(|message| message.is_ok()), "{name}");
    }
}
