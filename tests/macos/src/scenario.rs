//! The Mac and what happens on it, as data: `tests/macos/scenarios/*.toml`, of which `MACOS_ABI_SCENARIO` names one.

use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A scenario file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scenario {
    /// What es_new_client returns, by `es_new_client_result_t`'s numbers: one for each call, then 0, success.
    pub(crate) new_client: Vec<u32>,
    /// What the Mac runs: `kern.osproductversion`, `kern.osrelease`, `kern.osversion`.
    pub(crate) system: [String; 3],
    /// Its sources of connections.
    pub(crate) network: Network,
    /// How many nanoseconds a tick of Mach's clocks has, as a fraction: 1/1 on Intel, 125/3 on Apple silicon.
    pub(crate) timebase: [u32; 2],
    /// What runs before the sensor does.
    pub(crate) running: Vec<Running>,
    /// Whether it takes until all messages are told to list what runs.
    pub(crate) listing_waits: bool,
    /// What is delivered, in order.
    pub(crate) messages: Vec<Message>,
    /// How often the whole of it is delivered; 0 is once.
    pub(crate) repeat: u64,
    /// Whether each repetition is about processes of its own: pids from [`FRESH_PIDS`] on are others each time.
    pub(crate) fresh_pids: bool,
    /// How many messages are delivered in a second; 0 is as fast as they are taken.
    pub(crate) per_second: u64,
}

/// From this pid on, they are others in each repetition, if `fresh_pids` is set.
pub(crate) const FRESH_PIDS: u32 = 1000;

impl Default for Scenario {
    fn default() -> Self {
        Self {
            new_client: Vec::new(),
            system: ["13.6.0", "22.6.0", "22G120"].map(str::to_owned),
            network: Network::default(),
            timebase: [1, 1],
            running: Vec::new(),
            listing_waits: false,
            messages: Vec::new(),
            repeat: 0,
            fresh_pids: false,
            per_second: 0,
        }
    }
}

/// The sources of connections.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// What event 154 tells of the probe's connections. Without it the event can be subscribed to and never comes.
    pub(crate) event: Option<Answer>,
    /// What the kernel's statistics tell of them. Without it the kernel control does not exist.
    pub(crate) statistics: Option<Answer>,
    /// What event 154 tells of probes after the Mac's first, if that is something else.
    pub(crate) event_later: Option<Answer>,
    /// What the statistics tell of them.
    pub(crate) statistics_later: Option<Answer>,
    /// Whether the statistics' descriptors are longer than any known layout.
    pub(crate) longer: bool,
}

/// What a source tells of the probe's connections.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Each as it was.
    Right,
    /// Only those over TCP and IPv4.
    Partly,
    /// Each, of another process.
    OtherProcess,
    /// None.
    Silent,
}

impl Answer {
    /// Whether it tells of a connection over TCP or UDP to an address, as being of which process.
    pub(crate) fn tells(self, tcp: bool, to: SocketAddr, pid: u32) -> Option<u32> {
        match self {
            Self::Right => Some(pid),
            Self::Partly => (tcp && to.is_ipv4()).then_some(pid),
            Self::OtherProcess => Some(pid + 1),
            Self::Silent => None,
        }
    }
}

impl Network {
    /// What event 154 tells of the probe of a number, from 0.
    pub(crate) fn of_event(&self, probe: u32) -> Answer {
        self.event_later.filter(|_| probe > 0).or(self.event).unwrap_or(Answer::Silent)
    }

    /// What the statistics tell of it.
    pub(crate) fn of_statistics(&self, probe: u32) -> Answer {
        self.statistics_later.filter(|_| probe > 0).or(self.statistics).unwrap_or(Answer::Silent)
    }
}

/// A connection that a process makes or ends.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    pub(crate) to: SocketAddr,
    /// Over UDP; else TCP.
    #[serde(default)]
    pub(crate) udp: bool,
    /// Event 154: the name that was asked for.
    #[serde(default)]
    pub(crate) name: String,
    /// Statistics: it ends, having sent and received so many bytes.
    pub(crate) ends: Option<[u64; 2]>,
    /// Statistics: how long it takes until the program is told, in milliseconds.
    #[serde(default)]
    pub(crate) told_after_ms: u64,
    /// Statistics: whether the kernel says that it dropped something before.
    #[serde(default)]
    pub(crate) dropped_before: bool,
    /// Statistics: how many more connections like it there are, one source each.
    #[serde(default)]
    pub(crate) more: u32,
}

/// A process that runs already, and with which arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Running {
    pub(crate) process: Process,
    #[serde(default)]
    pub(crate) args: Vec<String>,
}

/// One message, and what happens before it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    /// `exec`, `fork`, `exit`, `connect`, `statistics`, or a number of `es_event_type_t` that the client does not know.
    pub(crate) event: Event,
    /// How long delivery waits before it, in milliseconds.
    #[serde(default)]
    pub(crate) after_ms: u64,
    /// A file in the Mac's root, for which delivery waits before it: a test makes it when it has done its part. `{round}`
    /// in it is the number of the repetition, from 0.
    pub(crate) waits_for: Option<String>,
    /// How much time passes at once before it, on every clock, in milliseconds.
    #[serde(default)]
    pub(crate) passes_ms: u64,
    /// By how much the wall clock is set before it, in milliseconds.
    #[serde(default)]
    pub(crate) clock_step_ms: i64,
    /// Whether the next reading of the wall clock fails. On a Mac it never does; std panics.
    #[serde(default)]
    pub(crate) clock_fails: bool,
    /// Whether the disk is full from it on, or no longer.
    pub(crate) disk_full: Option<bool>,
    /// Of how many repetitions it is told in one, from the first on.
    #[serde(default = "one")]
    pub(crate) every: u32,
    /// Whether it is noted when it is delivered, for measurements.
    #[serde(default)]
    pub(crate) timed: bool,
    /// Whether it is delivered though nobody has subscribed to it.
    #[serde(default)]
    pub(crate) unasked: bool,
    /// How long before its delivery it happened, in milliseconds.
    #[serde(default)]
    pub(crate) happened_before_ms: u64,
    /// The version of its layout.
    #[serde(default = "nine")]
    pub(crate) version: u32,
    /// How many messages of its kind, and of all, are lost before it.
    #[serde(default)]
    pub(crate) lost_before: u64,
    /// Who acted.
    pub(crate) process: Process,
    /// exec: the new image; fork: the child.
    pub(crate) target: Option<Process>,
    /// exec: argv.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// exec: how many bytes an argument has that is appended to `args`.
    #[serde(default)]
    pub(crate) long_argument: usize,
    /// exec: the script that is interpreted.
    pub(crate) script: Option<String>,
    /// exit: as wait(2) gives it.
    #[serde(default)]
    pub(crate) status: i32,
    /// connect, statistics: which.
    pub(crate) connection: Option<Connection>,
    /// statistics, instead: a datagram that the kernel sends, in hexadecimal; spaces mean nothing.
    pub(crate) datagram: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum Event {
    Named(Kind),
    Number(u32),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Exec = 9,
    Fork = 11,
    Exit = 15,
    /// Event 154: an IP connection was attempted.
    Connect = 154,
    /// No event: what the kernel's statistics tell, and Endpoint Security does not.
    Statistics = 0,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            to: SocketAddr::from(([0, 0, 0, 0], 0)),
            udp: false,
            name: String::new(),
            ends: None,
            told_after_ms: 0,
            dropped_before: false,
            more: 0,
        }
    }
}

impl Default for Message {
    fn default() -> Self {
        Self {
            event: Event::Number(0),
            after_ms: 0,
            waits_for: None,
            passes_ms: 0,
            clock_step_ms: 0,
            clock_fails: false,
            disk_full: None,
            every: 1,
            timed: false,
            unasked: false,
            happened_before_ms: 0,
            version: 9,
            lost_before: 0,
            process: Process::default(),
            target: None,
            args: Vec::new(),
            long_argument: 0,
            script: None,
            status: 0,
            connection: None,
            datagram: None,
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            sensor: false,
            pid: 0,
            pidversion: 1,
            ppid: 1,
            parent_pidversion: 1,
            responsible_pid: None,
            responsible_pidversion: 1,
            uid: 0,
            path: String::new(),
            path_truncated: false,
            signing_id: String::new(),
            team_id: String::new(),
            platform: false,
        }
    }
}

impl Message {
    /// A connection of the probe's process.
    pub(crate) fn of_connection(pid: u32, connection: Connection) -> Self {
        let process = Process { pid, path: "/Library/probe".to_owned(), ..Process::default() };
        Self { event: Event::Named(Kind::Connect), process, connection: Some(connection), ..Self::default() }
    }
}

impl Event {
    /// `es_event_type_t`
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Named(kind) => kind as u32,
            Self::Number(number) => number,
        }
    }
}

/// A process as a message names it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    /// It is the sensor itself, with the pid and the user that it has on this machine; `pidversion` 1 is its image.
    #[serde(default)]
    pub(crate) sensor: bool,
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default = "one")]
    pub(crate) pidversion: u32,
    #[serde(default = "one")]
    pub(crate) ppid: u32,
    #[serde(default = "one")]
    pub(crate) parent_pidversion: u32,
    /// Itself, where it is left out.
    pub(crate) responsible_pid: Option<u32>,
    #[serde(default = "one")]
    pub(crate) responsible_pidversion: u32,
    #[serde(default)]
    pub(crate) uid: u32,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) path_truncated: bool,
    #[serde(default)]
    pub(crate) signing_id: String,
    #[serde(default)]
    pub(crate) team_id: String,
    #[serde(default)]
    pub(crate) platform: bool,
}

impl Process {
    /// `codesigning_flags`: CS_VALID, CS_KILL, CS_SIGNED and, of Apple's own, CS_PLATFORM_BINARY.
    pub(crate) fn code_signing_flags(&self) -> u32 {
        0x2000_0201 | if self.platform { 0x0400_0000 } else { 0 }
    }

    /// `cdhash`: another for each pid.
    pub(crate) fn cdhash(&self) -> [u8; 20] {
        [self.pid as u8; 20]
    }
}

fn one() -> u32 {
    1
}

fn nine() -> u32 {
    9
}

/// The scenario; without a file, nothing happens on the Mac.
///
/// # Panics
/// If the file cannot be read: a test that is set up wrongly must not pass.
pub(crate) fn scenario() -> &'static Scenario {
    static SCENARIO: OnceLock<Scenario> = OnceLock::new();
    SCENARIO.get_or_init(|| {
        let Some(path) = std::env::var_os("MACOS_ABI_SCENARIO") else { return Scenario::default() };
        let shown = path.display();
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {shown}: {error}"));
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert!(!scenario.timebase.contains(&0), "{shown}: a timebase of zero");
        scenario
    })
}

/// The folder that stands for the Mac's root: `MACOS_ABI_ROOT`. Without it, the Mac has the host's files.
pub(crate) fn mac_root() -> Option<&'static PathBuf> {
    static ROOT: OnceLock<Option<PathBuf>> = OnceLock::new();
    ROOT.get_or_init(|| std::env::var_os("MACOS_ABI_ROOT").map(PathBuf::from)).as_ref()
}
