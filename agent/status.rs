//! `status.json`: what the running sensor does, rewritten as a whole every few seconds.
//!
//! Everyone may read it, so it holds no command lines and no paths of processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detector::Cost;
use crate::rule::Rule;
use crate::sink::LaneStatus;

/// How often the sensor rewrites it, in seconds.
pub const INTERVAL: u64 = 10;

/// From which age on, in seconds, its writer is taken to be gone.
pub const STALE: u64 = 60;

/// What the sensor does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// When it was written, RFC 3339.
    #[serde(rename = "@timestamp")]
    pub timestamp: String,
    /// The sensor's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Whether it works.
    pub state: State,
    /// What does not work, and why, by what it is about.
    pub problems: BTreeMap<String, String>,
    /// When it started, RFC 3339.
    pub started: String,
    /// `host.id`.
    pub host_id: String,
    /// `host.name`.
    pub host_name: Option<String>,
    /// The rules.
    pub rules: Rules,
    /// How often each exception has done something since the start, by its id.
    pub exceptions: BTreeMap<String, u64>,
    /// Where events come from, by name.
    pub sources: BTreeMap<String, Source>,
    /// What has come by since the start.
    pub events: Events,
    /// What the sensor holds in memory.
    pub memory: Memory,
    /// The files that it writes, by what they hold.
    pub files: BTreeMap<String, File>,
    /// The configuration.
    pub configuration: Configuration,
    /// When nothing was seen: the last ten.
    pub blind_windows: Vec<BlindWindow>,
}

/// Whether the sensor works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All of it.
    Running,
    /// Something does not: see the problems.
    Degraded,
    /// Built-in rules and documented sources only, after panics.
    SafeMode,
    /// It ended of its own accord.
    #[default]
    Stopped,
}

/// The loaded rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// How many run.
    pub loaded: usize,
    /// How many could not be loaded.
    pub failed: usize,
    /// SHA-256 over all of them: the same on every Mac that runs the same rules.
    pub hash: String,
    /// Ids of those that cannot match because no source sees what they wait for.
    pub blind: Vec<String>,
    /// Alerts since the start, by rule id.
    pub alerts: BTreeMap<String, u64>,
    /// What each loaded rule has done and cost since the start, by its id.
    pub costs: BTreeMap<String, RuleCost>,
}

/// What a rule has done and cost since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleCost {
    /// Its name.
    pub name: String,
    /// Events that it was evaluated for.
    pub evaluations: u64,
    /// Matches, whether an alert came of them or not.
    pub matches: u64,
    /// Alerts.
    pub alerts: u64,
    /// Events that exceptions took from it, and alerts that they withheld.
    pub excepted: u64,
    /// Time spent on it in nanoseconds, estimated from one event in 251.
    pub time_ns: u64,
}

/// A source of events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// `starting`, `waiting`, `running`, `off`.
    pub state: String,
    /// What a person should know or do.
    pub message: Option<String>,
    /// What keeps it, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Events received.
    pub received: u64,
    /// Events dropped because the sensor was too slow, by kind.
    pub dropped: BTreeMap<String, u64>,
    /// Messages that did not come, by kind, by their kind's own numbers.
    pub missing: BTreeMap<String, u64>,
    /// Messages that did not come, by the numbers that count all kinds.
    pub missing_in_all: u64,
}

/// What keeps a source from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The program is not signed with Apple's entitlement.
    NotEntitled,
    /// It lacks Full Disk Access.
    NotPermitted,
    /// It does not run as root.
    NotPrivileged,
    /// macOS serves no more clients.
    TooManyClients,
    /// Something else, which the message says; or what a newer sensor knows.
    #[serde(other)]
    Other,
}

/// What has come by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Events shown to the rules.
    pub evaluated: u64,
    /// Of those, older than the one before.
    pub late: u64,
    /// Of those, losses: events that the sensor itself made of messages that did not come.
    pub losses: u64,
    /// Alerts.
    pub alerts: u64,
    /// Alerts beyond their rules' budgets, told in a number only.
    pub alerts_left_out: u64,
    /// Messages that did not come, by Endpoint Security's own numbers.
    pub missing: u64,
}

/// What the sensor holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Processes in the table.
    pub processes: usize,
    /// Processes dropped for want of room.
    pub processes_evicted: u64,
    /// Partial matches that wait.
    pub partials: usize,
    /// Their bytes.
    pub partial_bytes: usize,
    /// Partial matches dropped for want of room: each may have been an alert.
    pub partials_evicted: u64,
}

/// A file that the sensor writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct File {
    /// Where it is.
    pub path: String,
    /// Documents written and synced.
    pub delivered: u64,
    /// Documents that wait for the disk.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// Documents lost because too many waited.
    pub lost: u64,
    /// How often someone else removed or exchanged it.
    pub replaced: u64,
    /// Why nothing can be written at the moment.
    pub error: Option<String>,
}

/// Which configuration is in use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// Whether managed preferences lock out local configuration.
    pub locked: bool,
    /// How many things were found wrong in it.
    pub errors: usize,
    /// The files that it was read from.
    pub files: Vec<String>,
}

/// A time in which nothing was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlindWindow {
    /// RFC 3339.
    pub from: String,
    /// RFC 3339.
    pub to: String,
    /// Why.
    pub why: String,
}

impl RuleCost {
    /// Makes it from what a detector says of a rule.
    pub fn new(rule: &Rule, cost: Cost) -> Self {
        RuleCost {
            name: rule.name.clone(),
            evaluations: cost.evaluations,
            matches: cost.matches,
            alerts: cost.alerts,
            excepted: cost.excepted,
            time_ns: u64::try_from(cost.time.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

impl File {
    /// Makes it from what a lane says.
    pub fn new(path: String, lane: LaneStatus) -> Self {
        File {
            path,
            delivered: lane.delivered,
            waiting: lane.waiting,
            waiting_bytes: lane.waiting_bytes,
            lost: lane.refused,
            replaced: lane.replaced,
            error: lane.error,
        }
    }
}

impl State {
    /// Returns it as `status` shows it.
    pub fn text(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Degraded => "degraded",
            State::SafeMode => "safe mode",
            State::Stopped => "stopped",
        }
    }
}
