//! The probe's sockets, and its process: the program itself, with a subcommand that no list of commands shows.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Kind, Target};
use crate::network::connection::Transport;

/// The subcommand.
pub const SUBCOMMAND: &str = "probe-connect";

/// How often a port is asked for until it is one that reads differently in each order of its bytes.
const TRIES: usize = 16;

/// How long a connection over loopback may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How long the process lives at most: if its sensor is gone, nobody ends it.
const LIVES: Duration = Duration::from_secs(20);

/// The most connections that the process makes.
const MAX_TARGETS: usize = 8;

/// The sensor's own ports, open as long as the probe runs. What reaches them waits in the kernel and is never read.
#[derive(Debug)]
pub struct Ports {
    targets: Vec<Target>,
    _listeners: Vec<TcpListener>,
    _sockets: Vec<UdpSocket>,
}

/// The probe's process. It ends when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
}

impl Ports {
    /// Opens a port of each kind. A kind that this Mac does not have, such as IPv6 where that is off, is left out.
    ///
    /// # Errors
    /// There is no port of any kind.
    pub fn open() -> io::Result<Self> {
        let (mut targets, mut listeners, mut sockets) = (Vec::new(), Vec::new(), Vec::new());
        let mut why = None;
        for kind in Kind::ALL {
            let opened = match kind.transport() {
                Transport::Tcp => telling(kind, TcpListener::bind, TcpListener::local_addr)
                    .map(|(listener, address)| (listeners.push(listener), address).1),
                _ => telling(kind, UdpSocket::bind, UdpSocket::local_addr)
                    .map(|(socket, address)| (sockets.push(socket), address).1),
            };
            match opened {
                Ok(address) => targets.push(Target { kind, address }),
                Err(error) => why = Some(error),
            }
        }
        match why {
            Some(error) if targets.is_empty() => Err(error),
            _ => Ok(Ports { targets, _listeners: listeners, _sockets: sockets }),
        }
    }

    /// Returns where the process is to connect to.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }
}

impl Child {
    /// Starts the process from a program, which is the sensor's own.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Path, targets: &[Target]) -> io::Result<Self> {
        let process = Command::new(program)
            .arg(SUBCOMMAND)
            .args(targets.iter().map(Target::argument))
            // It lives until this end of it is closed.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Child { process })
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        // Killed, it is gone in no time.
        let _ = self.process.wait();
    }
}

/// Whether the program was started as the probe's process: the extension takes no other argument.
pub fn is_wanted(first: Option<&OsStr>) -> bool {
    first.is_some_and(|first| first == SUBCOMMAND)
}

/// Makes the connections, one after the other, and keeps them until standard input ends, or for 20 seconds. What fails
/// is left out: the sensor sees that it was not told of it.
///
/// # Errors
/// A target is none: only loopback addresses are, as `tcp:127.0.0.1:5000` or `udp:[::1]:5000`, and at most 8.
pub fn connect(targets: &[String]) -> Result<(), String> {
    let targets: Vec<_> = targets.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    if targets.len() > MAX_TARGETS {
        return Err(format!("{} targets, where at most {MAX_TARGETS} are taken", targets.len()));
    }
    let mut open: (Vec<TcpStream>, Vec<UdpSocket>) = Default::default();
    for (transport, address) in targets {
        match transport {
            Transport::Tcp => open.0.extend(TcpStream::connect_timeout(&address, CONNECT_WITHIN)),
            _ => open.1.extend(datagram(address)),
        }
    }
    let stdin = io::stdin();
    let mut files = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut files, PollTimeout::try_from(LIVES).unwrap_or(PollTimeout::MAX));
    drop(open);
    Ok(())
}

/// A UDP socket with another end, to which one byte is sent.
fn datagram(address: SocketAddr) -> io::Result<UdpSocket> {
    let own: IpAddr = if address.is_ipv4() { Kind::Udp4.loopback() } else { Kind::Udp6.loopback() };
    let socket = UdpSocket::bind((own, 0))?;
    socket.connect(address)?;
    socket.send(&[0])?;
    Ok(socket)
}

/// Opens a port of which the two bytes differ: in another order it is another port.
fn telling<T>(
    kind: Kind,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
    address: impl Fn(&T) -> io::Result<SocketAddr>,
) -> io::Result<(T, SocketAddr)> {
    let mut alike = Vec::new();
    for _ in 0..TRIES {
        let socket = bind(SocketAddr::new(kind.loopback(), 0))?;
        let at = address(&socket)?;
        if at.port().swap_bytes() != at.port() {
            return Ok((socket, at));
        }
        // Kept, so that the next is another.
        alike.push(socket);
    }
    Err(io::Error::other("every port that the system gives reads alike in both orders of its bytes"))
}

impl Target {
    fn argument(&self) -> String {
        let transport = if self.kind.transport() == Transport::Tcp { "tcp" } else { "udp" };
        format!("{transport}:{}", self.address)
    }
}

fn parse(text: &str) -> Result<(Transport, SocketAddr), String> {
    let wrong = || format!("`{}` is no target: tcp:127.0.0.1:5000", crate::readable::visible(text));
    let (transport, address) = text.split_once(':').ok_or_else(wrong)?;
    let transport = match transport {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => return Err(wrong()),
    };
    let address: SocketAddr = address.parse().map_err(|_| wrong())?;
    if !address.ip().is_loopback() {
        return Err(wrong());
    }
    Ok((transport, address))
}
