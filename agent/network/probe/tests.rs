use super::*;

const CHILD: u32 = 700;

fn targets() -> Vec<Target> {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    vec![
        Target { kind: Kind::Tcp4, address: address("127.0.0.1:4660") },
        Target { kind: Kind::Tcp6, address: address("[::1]:4661") },
        Target { kind: Kind::Udp4, address: address("127.0.0.1:4662") },
        Target { kind: Kind::Udp6, address: address("[::1]:4663") },
    ]
}

/// What a source tells of a target, with the port in an order.
fn told(target: Target, order: PortOrder) -> Told<'static> {
    let port = target.address.port();
    let raw = if order == PortOrder::Native { port } else { port.to_be() };
    let (ip, transport) = (target.address.ip(), target.kind.transport());
    Told { pid: CHILD, transport, ip, port: Port::Raw(raw), raw: b"raw" }
}

fn probe(tell: &[Told<'_>]) -> Probe {
    let mut probe = Probe::new(CHILD, targets(), 0);
    for told in tell {
        assert_eq!(probe.take(*told), told.pid == CHILD, "{told:?}");
    }
    probe
}

#[test]
fn all_that_was_made_is_told() {
    use PortOrder::{Native, Network};
    let [tcp4, tcp6, udp4, udp6] = targets()[..] else { panic!("four") };
    let tell = [told(tcp4, Native), told(tcp6, Native), told(udp4, Network), told(udp6, Network)];
    assert_eq!(probe(&tell[..3]).verdict(1), None);
    let probe = probe(&tell);
    let orders = PortOrders { tcp: Some(Native), udp: Some(Network) };
    assert_eq!(probe.verdict(1), Some(Verdict::Proven { silent: vec![], orders }));
    assert!(probe.findings().iter().all(|finding| finding.told));
    assert_eq!(probe.raw().len(), 4);
}

#[test]
fn a_kind_that_is_never_told_of_is_said() {
    let [tcp4, ..] = targets()[..] else { panic!("four") };
    let probe = probe(&[Told { port: Port::Known(4660), ..told(tcp4, PortOrder::Native) }]);
    assert_eq!(probe.verdict(ANSWER_WITHIN - 1), None);
    let silent = vec![Kind::Tcp6, Kind::Udp4, Kind::Udp6];
    assert_eq!(probe.verdict(ANSWER_WITHIN), Some(Verdict::Proven { silent, orders: PortOrders::default() }));
    assert_eq!(probe.findings().iter().filter(|finding| finding.told).count(), 1);
}

#[test]
fn what_is_told_wrongly_ends_it() {
    let [tcp4, tcp6, udp4, _] = targets()[..] else { panic!("four") };
    let right = told(tcp4, PortOrder::Native);
    let other_ip = "198.51.100.7".parse().expect("an address");
    for (wrong, says) in [
        (Told { ip: other_ip, ..right }, "198.51.100.7"),
        (Told { ip: "::1".parse().expect("an address"), ..right }, "::1"),
        (Told { port: Port::Raw(4661), ..right }, "port 4661 or"),
        (Told { port: Port::Known(9), ..right }, "port 9 "),
        (Told { transport: Transport::Udp, ..right }, "over UDP"),
        (Told { transport: Transport::Other(58), ..right }, "IP protocol 58"),
    ] {
        let Some(Verdict::Failed(why)) = probe(&[told(udp4, PortOrder::Native), wrong]).verdict(1) else {
            panic!("{wrong:?} is wrong")
        };
        assert!(why.contains(says), "{why}");
    }
    // Two orders for one transport: neither can be relied on.
    let both = probe(&[right, told(tcp6, PortOrder::Network)]);
    assert!(matches!(both.verdict(1), Some(Verdict::Failed(why)) if why.contains("another order")));
}

#[test]
fn another_process_may_connect_to_its_ports_and_is_not_taken_for_it() {
    let right: Vec<Told<'_>> = targets().into_iter().map(|target| told(target, PortOrder::Native)).collect();
    let others: Vec<Told<'_>> = right.iter().map(|told| Told { pid: CHILD + 1, ..*told }).collect();
    // Before, or after.
    for tell in [[&others[..], &right[..]].concat(), [&right[..], &others[..]].concat()] {
        let probe = probe(&tell);
        assert!(matches!(probe.verdict(1), Some(Verdict::Proven { silent, .. }) if silent.is_empty()));
        assert_eq!(probe.wrong(), [""; 0]);
    }
    // Instead of the probe's own, of one kind or of all.
    for tell in [[&right[1..], &others[..1]].concat(), others.clone()] {
        let probe = probe(&tell);
        assert_eq!(probe.verdict(ANSWER_WITHIN - 1), None);
        let Some(Verdict::Failed(why)) = probe.verdict(ANSWER_WITHIN) else { panic!("{tell:?}") };
        assert!(why.contains("is told to be of process 701") && probe.wrong().contains(&why), "{why}");
    }
}

#[test]
fn silence_is_no_proof_and_udp_alone_is_not_enough() {
    let [_, _, udp4, _] = targets()[..] else { panic!("four") };
    for (tell, says) in [(&[][..], "it told of none"), (&[told(udp4, PortOrder::Native)], "none over TCP")] {
        let Some(Verdict::Failed(why)) = probe(tell).verdict(ANSWER_WITHIN) else { panic!("no proof") };
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn others_connections_are_none_of_its_business() {
    let [tcp4, ..] = targets()[..] else { panic!("four") };
    let mut probe = Probe::new(CHILD, targets(), 0);
    let ip = "198.51.100.7".parse().expect("an address");
    assert!(!probe.take(Told { pid: 1, ip, ..told(tcp4, PortOrder::Native) }));
    assert!(probe.raw().is_empty() && probe.wrong().is_empty());
}

#[test]
fn what_is_kept_to_be_shown_is_bounded() {
    let [tcp4, ..] = targets()[..] else { panic!("four") };
    let long = vec![0; 1 << 20];
    let tell = Told { port: Port::Known(9), raw: &long, ..told(tcp4, PortOrder::Native) };
    let probe = probe(&vec![tell; 100]);
    assert_eq!((probe.raw().len(), probe.wrong().len()), (MAX_RAW, MAX_WRONG));
    assert!(probe.raw().iter().all(|raw| raw.len() == MAX_RAW_BYTES));
}

#[test]
fn ports_read_differently_in_each_order() {
    let ports = Ports::open().expect("a port over loopback");
    assert!(ports.targets().iter().any(|target| target.kind == Kind::Tcp4), "{ports:?}");
    for target in ports.targets() {
        let port = target.address.port();
        assert!(port.swap_bytes() != port && target.address.ip().is_loopback());
    }
}

#[test]
fn the_process_connects_nowhere_else() {
    for text in [
        "",
        "tcp",
        "tcp:",
        "tcp:198.51.100.7:80",
        "udp:[2001:db8::1]:53",
        "raw:127.0.0.1:1",
        "tcp:localhost:1",
        "\u{1b}",
    ] {
        let why = connect(&[text.to_owned()]).expect_err(text);
        assert!(why.contains("is no target") && !why.contains('\u{1b}'), "{why}");
    }
    assert!(connect(&vec!["tcp:127.0.0.1:1".to_owned(); 9]).expect_err("too many").contains("at most 8"));
}
