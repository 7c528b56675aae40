//! The process of the network sources' probe: what it connects to, and how long it lives.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use vedette::network::probe::{Child, Kind, Ports, SUBCOMMAND};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vedette");

#[test]
fn it_connects_to_each_target_and_ends_with_its_input() {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let targets = [
        format!("tcp:{}", tcp.local_addr().expect("an address")),
        // Nobody listens there: the others are connected to all the same.
        format!("tcp:[{}]:1", Ipv6Addr::LOCALHOST),
        format!("udp:{}", udp.local_addr().expect("an address")),
    ];
    let mut child = Command::new(PROGRAM)
        .arg(SUBCOMMAND)
        .args(targets)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let (mut stream, peer) = tcp.accept().expect("a connection");
    assert!(peer.ip().is_loopback());
    let (length, _) = udp.recv_from(&mut [0; 8]).expect("a datagram");
    assert_eq!(length, 1);
    assert!(child.try_wait().expect("a child of ours").is_none(), "it waits for the end of its input");
    drop(child.stdin.take());
    assert!(child.wait().expect("a child of ours").success());
    assert_eq!(stream.read(&mut [0; 8]).expect("the end"), 0);
}

#[test]
fn whoever_has_it_ends_it() {
    let ports = Ports::open().expect("ports over loopback");
    let child = Child::start(Path::new(PROGRAM), ports.targets()).expect("the program starts");
    assert_ne!(child.pid(), std::process::id());
    assert!(ports.targets().iter().any(|target| target.kind == Kind::Tcp4));
    // It does not hang.
    drop(child);
}

#[test]
fn no_one_is_shown_the_subcommand_and_nothing_but_loopback_is_taken() {
    let run =
        |arguments: &[&str]| Command::new(PROGRAM).args(arguments).output().expect("the program starts");
    let help = String::from_utf8_lossy(&run(&["--help"]).stdout).into_owned();
    assert!(help.contains("replay") && !help.contains(SUBCOMMAND), "{help}");
    let refused = run(&[SUBCOMMAND, "tcp:192.0.2.1:80"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`tcp:192.0.2.1:80` is no target"));
}
