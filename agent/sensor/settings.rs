//! What a sensor is told by its configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eql::{Engine, EngineOptions, Outcome, Program};
use nix::unistd::Group;

use super::lane_options;
use crate::config::Config;
use crate::event::Event;
use crate::redaction::Redactor;
use crate::redaction::salt::Salt;
use crate::sink::{Lane, LaneOptions, Readers, Rotation, Trust};
use crate::status::Status;

/// What the sensor does where, from its configuration.
pub struct Settings {
    /// The alert file.
    pub alerts: LaneOptions,
    /// The health file.
    pub health: LaneOptions,
    /// Telemetry, if it is on.
    pub telemetry: Option<Telemetry>,
    /// How many alerts a rule may give in a minute.
    pub alerts_per_minute: u32,
    /// How often a heartbeat is written.
    pub heartbeat: Duration,
    /// The status file.
    pub status: PathBuf,
    /// Whether alerts go to unified logging.
    pub unified_log: bool,
    /// Whether events carry the environment.
    pub environment: bool,
    /// What replaces credentials before anything is written; none where it is switched off.
    pub redactor: Option<Arc<Redactor>>,
    /// How the status file's folder is looked at.
    pub trust: Trust,
}

/// Events to a file.
pub struct Telemetry {
    /// The file.
    pub options: LaneOptions,
    /// Which events; none for all.
    filter: Option<Engine<Event>>,
    outcomes: Vec<Outcome<Event>>,
}

/// The most that is read of a status file.
const MAX_STATUS: u64 = 4 << 20;

impl Settings {
    /// Takes what the configuration says. What cannot be used, such as a group that does not exist, falls back to what
    /// is safe and is returned as a sentence.
    pub fn new(config: &Config, trust: Trust) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let readers = match config.alerts.group.as_deref().map(|name| (name, Group::from_name(name))) {
            None => Readers::Nobody,
            Some((_, Ok(Some(group)))) => Readers::Group(group.gid.as_raw()),
            Some((name, Ok(None))) => {
                problems.push(format!(
                    "alerts.group: there is no group `{name}`, so only root may read the files"
                ));
                Readers::Nobody
            }
            Some((name, Err(error))) => {
                problems.push(format!("alerts.group: the group `{name}` cannot be looked up: {error}"));
                Readers::Nobody
            }
        };
        let options =
            |lane, path: &PathBuf, rotation| lane_options(lane, path.clone(), rotation, readers, trust);
        let telemetry = &config.telemetry;
        let telemetry = telemetry.enabled.then(|| Telemetry {
            options: options(
                Lane::Telemetry,
                &telemetry.file,
                Rotation {
                    bytes: Some(telemetry.rotate_bytes.0),
                    age: telemetry.rotate_age,
                    keep: telemetry.keep,
                    compress: telemetry.compress,
                },
            ),
            // What does not compile has been refused when the configuration was read.
            filter: telemetry.filter.compile(&mut crate::schema::schema()).ok().flatten().map(engine),
            outcomes: Vec::new(),
        });
        let redactor = config.redaction.enabled.then(|| {
            let salt = Salt::beside(&config.status.file, trust).unwrap_or_else(|error| {
                problems.push(format!(
                    "redaction: the salt cannot be kept, so marks of secrets are others after a restart: {error}"
                ));
                Salt::random()
            });
            let command_line = usize::try_from(config.redaction.command_line.0).unwrap_or(usize::MAX);
            Arc::new(Redactor::new(salt, &config.redaction.patterns.0, command_line))
        });
        let settings = Settings {
            alerts: options(
                Lane::Alerts,
                &config.alerts.file,
                Rotation {
                    bytes: Some(config.alerts.rotate_bytes.0),
                    age: config.alerts.rotate_age,
                    keep: config.alerts.keep,
                    compress: config.alerts.compress,
                },
            ),
            health: options(
                Lane::Health,
                &config.health.file,
                Rotation {
                    bytes: Some(config.health.rotate_bytes.0),
                    age: None,
                    keep: config.health.keep,
                    compress: true,
                },
            ),
            telemetry,
            alerts_per_minute: config.alerts.per_minute,
            heartbeat: config.health.heartbeat,
            status: config.status.file.clone(),
            unified_log: config.unified_log.enabled,
            environment: config.events.environment,
            redactor,
            trust,
        };
        (settings, problems)
    }

    /// Returns what the sensor before this one said last.
    pub(super) fn previous_status(&self) -> Option<Status> {
        use std::io::Read;
        let mut text = String::new();
        std::fs::File::open(&self.status).ok()?.take(MAX_STATUS).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

impl Telemetry {
    /// Returns whether an event is to be written.
    pub(super) fn wants(&mut self, event: &Event) -> bool {
        let Some(filter) = &mut self.filter else { return true };
        filter.push(event, &mut self.outcomes);
        let wanted = !self.outcomes.is_empty();
        self.outcomes.clear();
        wanted
    }
}

fn engine(program: Program) -> Engine<Event> {
    let mut engine = Engine::new(EngineOptions::default());
    engine.add(program);
    engine
}
