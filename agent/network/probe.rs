//! The known-answer probe: a source is believed only once it has told of connections that are known.
//!
//! A short-lived process of its own connects to ports of the sensor's, over loopback: the sensor leaves out what it does
//! itself. What the source tells of that process must have the right family, address, port, protocol and process. A kind
//! of connection that a source never tells of is no fault, but is said; a kind that it tells wrongly is one. Anybody on the
//! Mac can connect to those ports: of another process's connection it is only a fault to be told instead of the probe's.

mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::connection::Transport;
use super::es::{PortOrder, PortOrders};

pub use process::{Child, Ports, SUBCOMMAND, connect, is_wanted};

/// How long a source may take to tell, in nanoseconds.
pub const ANSWER_WITHIN: i64 = 5_000_000_000;

/// How many raw messages are kept to be shown.
const MAX_RAW: usize = 16;

/// How many bytes of each.
const MAX_RAW_BYTES: usize = 1024;

/// How many contradictions are kept.
const MAX_WRONG: usize = 8;

/// A kind of connection that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// A UDP socket with another end, over IPv4.
    Udp4,
    /// The same over IPv6.
    Udp6,
}

/// A connection that the probe's process makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Of which kind.
    pub kind: Kind,
    /// Where to.
    pub address: SocketAddr,
}

/// What a source tells of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// Whose it is.
    pub pid: u32,
    /// The protocol above IP.
    pub transport: Transport,
    /// Where to.
    pub ip: IpAddr,
    /// The remote port.
    pub port: Port,
    /// The bytes that said so, to be shown.
    pub raw: &'a [u8],
}

/// A port as a source tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// It is known how to read it.
    Known(u16),
    /// It is not: two bytes, in the processor's order.
    Raw(u16),
}

/// A probe that runs.
#[derive(Debug)]
pub struct Probe {
    pid: u32,
    targets: Vec<Target>,
    right: BTreeMap<Kind, Option<PortOrder>>,
    wrong: Vec<String>,
    /// Of each kind, the first that was told to be of another process, in a sentence.
    of_others: BTreeMap<Kind, String>,
    raw: Vec<Vec<u8>>,
    until: i64,
}

/// What a probe has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The source tells the truth, and never of these kinds.
    Proven {
        /// Kinds that were tried and not told of.
        silent: Vec<Kind>,
        /// How ports are to be read.
        orders: PortOrders,
    },
    /// It does not, or not enough; why, in a sentence.
    Failed(String),
}

/// What became of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which kind.
    pub kind: Kind,
    /// The connection that was made.
    pub address: SocketAddr,
    /// Whether the source told of it as it was.
    pub told: bool,
}

/// What became of a source, for `vedette doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is believed, and was silent of these kinds.
    Believed(Vec<Kind>),
    /// It is not, and why, in a sentence.
    NotBelieved(String),
    /// This program may not try it: Endpoint Security's events are only for those with its entitlement.
    NotAllowed,
}

/// What `vedette doctor` is told of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// [`ES`](super::ES) or [`NTSTAT`](super::NTSTAT).
    pub source: &'static str,
    /// Whether it is believed.
    pub outcome: Outcome,
    /// The connections that were made; none where the source was not tried.
    pub findings: Vec<Finding>,
    /// What it told wrongly, in sentences.
    pub wrong: Vec<String>,
    /// The first messages that were of the probe, each cut to 1024 bytes: of event 154 the payload, of the statistics
    /// the message.
    pub raw: Vec<Vec<u8>>,
}

/// Tries each source as the sensor would, whatever its configuration says; for `vedette doctor --probe-network`. It takes
/// some seconds. `status` is the path of the status file, beside which the [notes](super::armed) are, so only root can.
/// Where this is no Mac, nothing is tried.
pub fn reports(status: &std::path::Path) -> Vec<Report> {
    #[cfg(target_os = "macos")]
    return crate::macos::probe_network(status);
    #[cfg(not(target_os = "macos"))]
    [super::ES, super::NTSTAT]
        .map(|source| {
            let why = format!("{}: a Mac's status file, and this is no Mac", status.display());
            Report::off(source, why)
        })
        .into()
}

impl Report {
    /// Of a source that was not tried, and why.
    pub fn off(source: &'static str, why: String) -> Self {
        Self::untried(source, Outcome::NotBelieved(why))
    }

    /// Of a source for which nothing was made to be told of.
    pub fn untried(source: &'static str, outcome: Outcome) -> Self {
        Report { source, outcome, findings: Vec::new(), wrong: Vec::new(), raw: Vec::new() }
    }
}

impl Probe {
    /// Begins a probe of which the process is `pid` and connects to `targets`, at a time in nanoseconds.
    pub fn new(pid: u32, targets: Vec<Target>, now: i64) -> Self {
        let until = now.saturating_add(ANSWER_WITHIN);
        let (right, of_others) = (BTreeMap::new(), BTreeMap::new());
        Probe { pid, targets, right, wrong: Vec::new(), of_others, raw: Vec::new(), until }
    }

    /// Takes what the source tells. Returns whether it is of the probe's process.
    pub fn take(&mut self, told: Told<'_>) -> bool {
        let target = self.targets.iter().find(|target| target.is(&told)).copied();
        if told.pid != self.pid && target.is_none() {
            return false;
        }
        if self.raw.len() < MAX_RAW {
            self.raw.push(told.raw[..told.raw.len().min(MAX_RAW_BYTES)].to_vec());
        }
        match target {
            Some(target) if told.pid == self.pid => self.right_kind(target, told.port),
            Some(target) => {
                self.of_others.entry(target.kind).or_insert_with(|| {
                    format!(
                        "the connection to {} over {} is told to be of process {}, and is of {}",
                        target.address, target.kind, told.pid, self.pid
                    )
                });
            }
            None => self.contradict(format!(
                "process {} is told to have connected to {} port {} over {}, and has not",
                told.pid, told.ip, told.port, told.transport
            )),
        }
        told.pid == self.pid
    }

    /// Returns the verdict, once there is one: everything was told, something was told wrongly, or it is `now` so late
    /// that nothing more will be.
    pub fn verdict(&self, now: i64) -> Option<Verdict> {
        if let Some(wrong) = self.wrong.first() {
            return Some(Verdict::Failed(wrong.clone()));
        }
        let silent: Vec<Kind> = self
            .targets
            .iter()
            .map(|target| target.kind)
            .filter(|kind| !self.right.contains_key(kind))
            .collect();
        if !silent.is_empty() && now < self.until {
            return None;
        }
        if let Some(of_another) = silent.iter().find_map(|kind| self.of_others.get(kind)) {
            return Some(Verdict::Failed(of_another.clone()));
        }
        if self.right.keys().all(|kind| kind.transport() != Transport::Tcp) {
            let made = self.targets.len();
            let why = match self.right.len() {
                0 => format!("of {made} connections that were made, it told of none"),
                _ => format!("of {made} connections that were made, it told of none over TCP"),
            };
            return Some(Verdict::Failed(why));
        }
        Some(Verdict::Proven { silent, orders: self.orders() })
    }

    /// Returns the id of the probe's process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns what became of each kind that was tried.
    pub fn findings(&self) -> Vec<Finding> {
        let told = |kind| self.right.contains_key(&kind);
        let finding =
            |target: &Target| Finding { kind: target.kind, address: target.address, told: told(target.kind) };
        self.targets.iter().map(finding).collect()
    }

    /// Returns what was told wrongly, in sentences.
    pub fn wrong(&self) -> Vec<String> {
        let instead = self.of_others.iter().filter(|(kind, _)| !self.right.contains_key(kind));
        self.wrong.iter().chain(instead.map(|(_, sentence)| sentence)).cloned().collect()
    }

    /// Returns the first messages that were of the probe, each cut to 1024 bytes.
    pub fn raw(&self) -> &[Vec<u8>] {
        &self.raw
    }

    fn right_kind(&mut self, target: Target, port: Port) {
        let order = match port {
            Port::Known(_) => None,
            Port::Raw(raw) => PortOrder::between(raw, target.address.port()),
        };
        let others = self.right.iter().filter(|(kind, _)| kind.transport() == target.kind.transport());
        let contradicts = others.map(|(_, other)| *other).any(|other| other != order);
        if contradicts {
            self.contradict(format!(
                "the port's bytes stand in another order over {} than before",
                target.kind
            ));
        }
        self.right.insert(target.kind, order);
    }

    fn contradict(&mut self, what: String) {
        if self.wrong.len() < MAX_WRONG {
            self.wrong.push(what);
        }
    }

    fn orders(&self) -> PortOrders {
        let of = |transport| {
            self.right.iter().find(|(kind, _)| kind.transport() == transport).and_then(|(_, order)| *order)
        };
        PortOrders { tcp: of(Transport::Tcp), udp: of(Transport::Udp) }
    }
}

impl Target {
    /// Whether a source means this connection.
    fn is(&self, told: &Told<'_>) -> bool {
        let port = match told.port {
            Port::Known(port) => port == self.address.port(),
            Port::Raw(raw) => PortOrder::between(raw, self.address.port()).is_some(),
        };
        port && told.transport == self.kind.transport() && told.ip == self.address.ip()
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Tcp4, Kind::Tcp6, Kind::Udp4, Kind::Udp6];

    /// Returns its protocol above IP.
    pub fn transport(self) -> Transport {
        match self {
            Kind::Tcp4 | Kind::Tcp6 => Transport::Tcp,
            Kind::Udp4 | Kind::Udp6 => Transport::Udp,
        }
    }

    /// Returns its loopback address.
    fn loopback(self) -> IpAddr {
        match self {
            Kind::Tcp4 | Kind::Udp4 => std::net::Ipv4Addr::LOCALHOST.into(),
            Kind::Tcp6 | Kind::Udp6 => std::net::Ipv6Addr::LOCALHOST.into(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Tcp4 => "TCP and IPv4",
            Kind::Tcp6 => "TCP and IPv6",
            Kind::Udp4 => "UDP and IPv4",
            Kind::Udp6 => "UDP and IPv6",
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Known(port) => write!(formatter, "{port}"),
            Port::Raw(raw) => write!(formatter, "{raw} or {}", raw.swap_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
