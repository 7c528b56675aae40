//! The Mac and what happens on it, as data: `tests/macos/scenarios/*.toml`, of which `MACOS_ABI_SCENARIO` names one.

use serde::Deserialize;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A scenario file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scenario {
    /// What es_new_client returns, by `es_new_client_result_t`'s numbers: one for each call, then 0, success.
    pub(crate) new_client: Vec<u32>,
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
    /// `exec`, `fork`, `exit`, or a number of `es_event_type_t` that the client does not know.
    pub(crate) event: Event,
    /// How long delivery waits before it, in milliseconds.
    #[serde(default)]
    pub(crate) after_ms: u64,
    /// A file in the Mac's root, for which delivery waits before it: a test makes it when it has done its part.
    pub(crate) waits_for: Option<String>,
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
