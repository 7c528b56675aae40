//! The live pipeline: what a source sees, through the same normaliser and detector as a recording, to the files.
//!
//! It knows no operating system. Whoever has a source owns a [`Sensor`] on one thread, shows it what is seen, and tells
//! it the time at least once a second.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use eql::Reloaded;
use serde_json::json;

use crate::alert::{Alert, AlertKind, json_line};
use crate::content::{Changed, Look};
use crate::detector::{Detector, RuleSet, Withheld};
use crate::event::{Event, Host};
use crate::health::{Health, LoadedFile};
use crate::normaliser::{self, Normaliser};
use crate::observation::{Flow, Observation};
use crate::readable::visible;
use crate::redaction::Secrets;
use crate::sink::{
    self, Delivered, Delivery, Lane, LaneOptions, LaneStart, Readers, Rotation, Sink, Trust, UnifiedLogSink,
};
use crate::status::{self, BlindWindow, RuleCost, State, Status};
use crate::timestamp;

mod connections;
mod settings;
#[cfg(test)]
mod tests;

use connections::Connections;
pub use settings::{Settings, Telemetry};

/// What a sensor is started with.
pub struct Setup {
    /// The Mac that it runs on.
    pub host: Host,
    /// The rules.
    pub rules: RuleSet,
    /// What the configuration says.
    pub settings: Settings,
    /// What `status` is to say of the configuration.
    pub configuration: status::Configuration,
    /// The time.
    pub now: Now,
}

/// What three clocks say, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, since 1970.
    pub wall: i64,
    /// A monotonic clock that stands still while the Mac sleeps: the one that events' ticks are of.
    pub tick: i64,
    /// A monotonic clock that goes on while the Mac sleeps.
    pub continuous: i64,
}

/// The live pipeline.
pub struct Sensor {
    normaliser: Normaliser,
    detector: Detector,
    host: Host,
    settings: Settings,
    telemetry: Option<Telemetry>,
    delivery: Delivery,
    unified_log: Option<UnifiedLog>,
    status: Status,
    now: Now,
    started: Now,
    heartbeat: i64,
    status_written: i64,
    problems: BTreeMap<&'static str, String>,
    safe_mode: bool,
    /// The configuration files that were read last.
    configuration: Vec<LoadedFile>,
    connections: Connections,
    blind: VecDeque<BlindWindow>,
    /// What was told of losses, and when.
    told: Losses,
    told_at: i64,
    alerts: Vec<Alert>,
}

/// How late the time may come without that being a stop, in nanoseconds.
const LATE: i64 = 5_000_000_000;

/// A step of the wall clock that is told, in nanoseconds.
const STEP: i64 = 2_000_000_000;

/// Losses are told at most once in this many nanoseconds.
const TELL_EVERY: i64 = 60_000_000_000;

/// How far a source may be behind, in nanoseconds: a loss is not told before events that may still come.
const BEHIND: i64 = 1_000_000_000;

/// How many sentences about what is wrong are told as one.
const MAX_TOLD: usize = 3;

/// How many blind windows the status keeps.
const MAX_BLIND: usize = 10;

/// How long the files may take to be written at the end.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// How many alerts may wait for unified logging, which may block.
const UNIFIED_LOG_QUEUE: usize = 256;

/// How many documents may wait for a disk, in bytes.
const SPOOLS: [(Lane, usize); 3] =
    [(Lane::Alerts, 32 << 20), (Lane::Health, 4 << 20), (Lane::Telemetry, 16 << 20)];

/// How long telemetry may stay unsynced: it is no record, and a sync for each event would be dear.
const TELEMETRY_SYNC: Duration = Duration::from_secs(1);

impl Sensor {
    /// Starts a sensor: opens its files, tells that it runs, and whether the one before it ended of its own accord.
    ///
    /// # Errors
    /// The system gives no thread. A file that cannot be written is no error: what is to go there waits.
    pub fn start(setup: Setup) -> io::Result<Self> {
        Self::start_noting(setup, None)
    }

    /// Starts a sensor like [`start`](Self::start), and calls `delivered` for each alert that is written and synced.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start_noting(setup: Setup, delivered: Option<Delivered>) -> io::Result<Self> {
        let Setup { host, rules, mut settings, configuration, now } = setup;
        let before = settings.previous_status();
        let telemetry = settings.telemetry.take();
        let lanes = lanes(&settings, telemetry.as_ref());
        let delivery = Delivery::start(lanes, delivered)?;
        let unified_log = settings.unified_log.then(UnifiedLog::start).transpose()?;
        let normaliser = Normaliser::new(normaliser::Options {
            host: host.clone(),
            env_vars: settings.environment,
            ticks: true,
            losses: true,
            largest_window: rules.largest_window(),
            ..normaliser::Options::default()
        });
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: timestamp::format(now.wall),
            host_id: host.id.to_string(),
            host_name: host.name.as_deref().map(str::to_owned),
            rules: status::Rules {
                loaded: rules.rules.len(),
                failed: rules.failed,
                hash: rules.hash(),
                ..status::Rules::default()
            },
            configuration,
            ..Status::default()
        };
        let mut sensor = Sensor {
            normaliser,
            detector: Detector::new(&rules)
                .with_budget(settings.alerts_per_minute)
                .with_timing()
                .with_redactor(settings.redactor.clone()),
            host,
            settings,
            telemetry,
            delivery,
            unified_log,
            status,
            now,
            started: now,
            heartbeat: now.tick,
            status_written: i64::MIN,
            problems: BTreeMap::new(),
            safe_mode: false,
            configuration: Vec::new(),
            connections: Connections::new(&rules),
            blind: VecDeque::new(),
            told: Losses::default(),
            told_at: i64::MIN,
            alerts: Vec::new(),
        };
        sensor.report(&Health::start(std::process::id()));
        if let Some(before) = before.filter(|before| before.state != State::Stopped) {
            sensor.unclean(&before);
        }
        if rules.failed > 0 {
            sensor.degrade("rules", format!("{} rules could not be loaded", rules.failed));
        }
        sensor.write_status(sensor.state());
        Ok(sensor)
    }

    /// Shows the sensor something that a source saw; `stream` tells apart sources that count their messages.
    pub fn observe(&mut self, stream: u32, observation: Observation<'_>) {
        if let Some(event) = self.normaliser.normalise(stream, observation) {
            self.evaluate_loss(event.order);
            self.evaluate(&event);
        }
    }

    /// Shows the sensor a connection that begins or ends, from a source whose messages are not Endpoint Security's.
    pub fn observe_flow(&mut self, flow: Flow) {
        let event = self.normaliser.flow(flow);
        self.evaluate(&event);
    }

    /// Tells the sensor the time, at least once a second: windows close, files are put aside, the status is written.
    pub fn tick(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.now, now);
        let (awake, passed) = (now.tick - before.tick, now.continuous - before.continuous);
        if awake > LATE {
            let why = "the sensor was stopped, or did not get to run";
            self.blind(now.wall.saturating_sub(awake), now.wall, why);
        }
        let step = (now.wall - before.wall) - passed;
        if step.abs() > STEP {
            self.report(&Health::clock_step(step));
        }
        self.evaluate_loss(now.tick.saturating_sub(BEHIND));
        self.detector.advance(now.tick, &mut self.normaliser, &mut self.alerts);
        self.deliver();
        self.watch_files();
        self.tell_losses(false);
        if now.tick - self.heartbeat >= nanos(self.settings.heartbeat) {
            self.heartbeat = now.tick;
            self.report(&Health::heartbeat(self.pulse()));
        }
        if now.tick - self.status_written >= nanos(Duration::from_secs(status::INTERVAL)) {
            self.write_status(self.state());
        }
    }

    /// Writes a health document.
    pub fn report(&mut self, health: &Health) {
        let mut document = health.document(self.now.wall, &self.host);
        let mut message = health.message.clone();
        if let Some(redactor) = &self.settings.redactor {
            redactor.document(&mut document, Secrets::default());
            message = redactor.text(&message);
        }
        log::info!(target: "health", "{}", visible(&message));
        self.delivery.send(Lane::Health, None, json_line(&document));
    }

    /// Says that something does not work, under a name that [`recover`](Self::recover) takes. The same again is not
    /// told again.
    pub fn degrade(&mut self, what: &'static str, why: String) {
        if self.problems.get(what) != Some(&why) {
            self.report(&Health::degraded(what, &why));
            self.problems.insert(what, why);
            self.write_status(self.state());
        }
    }

    /// Says what is wrong with something, in sentences of which the first few are told; nothing where there are none.
    pub fn degrade_by(&mut self, what: &'static str, wrong: &[String]) {
        for sentence in wrong {
            log::warn!(target: "sensor", "{what}: {}", visible(sentence));
        }
        let told: Vec<String> = wrong.iter().take(MAX_TOLD).map(|sentence| visible(sentence)).collect();
        let mut why = told.join("; ");
        let more = wrong.len().saturating_sub(MAX_TOLD);
        if more > 0 {
            why.push_str(&format!("; and {more} more"));
        }
        if !wrong.is_empty() {
            self.degrade(what, why);
        }
    }

    /// Says that something works again.
    pub fn recover(&mut self, what: &'static str) {
        if self.problems.remove(what).is_some() {
            self.report(&Health::recovered(what));
            self.write_status(self.state());
        }
    }

    /// Says that it runs in [safe mode](crate::safe_mode), and why.
    pub fn enter_safe_mode(&mut self, why: &str) {
        self.safe_mode = true;
        self.report(&Health::safe_mode(why));
        self.write_status(self.state());
    }

    /// Returns whether it runs in [safe mode](crate::safe_mode).
    pub fn is_in_safe_mode(&self) -> bool {
        self.safe_mode
    }

    /// Tells of a time, between two wall times, in which nothing was seen.
    pub fn blind(&mut self, from: i64, to: i64, why: &str) {
        self.report(&Health::blind(from, to, why));
        self.blind.push_back(BlindWindow {
            from: timestamp::format(from),
            to: timestamp::format(to),
            why: why.to_owned(),
        });
        if self.blind.len() > MAX_BLIND {
            self.blind.pop_front();
        }
    }

    /// Exchanges rules and exceptions; what rules wait for goes on as far as their terms are the same. Tells which files
    /// they come from.
    pub fn reload(&mut self, rules: &RuleSet, files: &[LoadedFile]) -> Reloaded {
        let reloaded = self.detector.reload(rules, &mut self.normaliser, &mut self.alerts);
        self.deliver();
        self.status.rules.loaded = rules.rules.len();
        self.status.rules.failed = rules.failed;
        self.status.rules.hash = rules.hash();
        self.report(&Health::loaded("rules", files));
        self.take_rules(rules);
        self.write_status(self.state());
        reloaded
    }

    /// Takes over what a look at the files has found: rules and exceptions, if all of them can be used, and what is to be
    /// said of the configuration.
    pub fn take(&mut self, look: Look) {
        if look.configuration != self.configuration || look.wrong.len() != self.status.configuration.errors {
            self.configured(look.configuration, &look.wrong);
        }
        match look.found {
            Changed::Content(content) => {
                let Reloaded { kept, dropped } = self.reload(&content.rules, &content.files);
                log::info!(target: "sensor", "rules loaded anew; {kept} partial matches go on, {dropped} ended");
                self.recover("rules");
            }
            Changed::Refused(problems) => self.degrade_by("rules", &problems),
        }
    }

    /// Tells which configuration files were read, and what is wrong in them.
    pub fn configured(&mut self, files: Vec<LoadedFile>, wrong: &[String]) {
        self.report(&Health::loaded("configuration", &files));
        self.status.configuration.errors = wrong.len();
        self.status.configuration.files = files.iter().map(|file| file.path.clone()).collect();
        self.configuration = files;
        match wrong {
            [] => self.recover("configuration"),
            _ => self.degrade_by("configuration", wrong),
        }
    }

    /// Returns what the status says of a source.
    pub fn source(&mut self, name: &str) -> &mut status::Source {
        self.status.sources.entry(name.to_owned()).or_default()
    }

    /// Returns the normaliser, for a source that knows processes which it has not seen start.
    pub fn normaliser(&mut self) -> &mut Normaliser {
        &mut self.normaliser
    }

    /// Ends the sensor: what waits is written, within some seconds. Returns how many documents could not be.
    pub fn stop(mut self, now: Now, why: &str) -> usize {
        self.now = now;
        self.evaluate_loss(i64::MAX);
        self.detector.finish(&mut self.normaliser, &mut self.alerts);
        self.deliver();
        self.tell_losses(true);
        self.report(&Health::stop(why));
        // The last status is to say what became of it all.
        self.delivery.settle(STOP_WITHIN / 2);
        self.write_status(State::Stopped);
        if let Some(unified_log) = self.unified_log.take() {
            unified_log.stop();
        }
        self.delivery.stop(STOP_WITHIN / 2)
    }

    fn evaluate(&mut self, event: &Event) {
        self.record(event);
        self.detector.push(event, &mut self.normaliser, &mut self.alerts);
        self.deliver();
    }

    /// Evaluates the event of a loss that is to be told by a time on the clock of ticks.
    fn evaluate_loss(&mut self, by: i64) {
        if let Some(loss) = self.normaliser.loss_by(by) {
            self.status.events.losses += 1;
            self.evaluate(&loss);
        }
    }

    /// Writes an event to telemetry, if it is wanted there.
    fn record(&mut self, event: &Event) {
        if let Some(telemetry) = &mut self.telemetry
            && telemetry.wants(event)
        {
            let mut document = crate::schema::render(event);
            if let Some(redactor) = &self.settings.redactor {
                redactor.document(&mut document, Secrets::default());
            }
            self.delivery.send(Lane::Telemetry, None, json_line(&document));
        }
    }

    fn deliver(&mut self) {
        for withheld in self.detector.take_withheld() {
            if let Some(unified_log) = &mut self.unified_log {
                unified_log.send(Line::Withheld(withheld));
            }
        }
        for alert in self.alerts.drain(..) {
            if alert.kind == AlertKind::Alert {
                self.status.events.alerts += 1;
            }
            if let Some(unified_log) = &mut self.unified_log {
                unified_log.send(Line::Alert(Box::new(alert.clone())));
            }
            self.delivery.send(Lane::Alerts, Some(sink::key_of(&alert)), alert.line().to_owned());
        }
    }

    /// The sensor before this one did not end of its own accord.
    fn unclean(&mut self, before: &Status) {
        let from = timestamp::parse(&before.timestamp).unwrap_or(self.now.wall).min(self.now.wall);
        let why =
            format!("the sensor that ran as process {} was killed, or the Mac lost its power", before.pid);
        self.blind(from, self.now.wall, &why);
    }

    fn watch_files(&mut self) {
        for (lane, what) in
            [(Lane::Alerts, "alert file"), (Lane::Health, "health file"), (Lane::Telemetry, "telemetry file")]
        {
            match self.delivery.status(lane).error {
                Some(error) => self.degrade(what, error),
                None => self.recover(what),
            }
        }
    }

    fn tell_losses(&mut self, at_once: bool) {
        let losses = self.losses();
        if losses == self.told || (!at_once && self.now.tick.saturating_sub(self.told_at) < TELL_EVERY) {
            return;
        }
        let lost = losses.since(&self.told);
        self.told = losses;
        self.told_at = self.now.tick;
        self.report(&Health::loss(&lost));
    }

    fn losses(&self) -> Losses {
        let dropped = self.status.sources.values().flat_map(|source| source.dropped.values()).sum();
        let refused = |lane| self.delivery.status(lane).refused;
        Losses {
            missing: self.missing(),
            dropped,
            partials: self.detector.status().evicted,
            processes: self.normaliser.table().counts().evicted,
            alerts: refused(Lane::Alerts),
            telemetry: refused(Lane::Telemetry),
        }
    }

    /// Messages that did not come, as the sources counted them before any queue: the normaliser's own gaps hold what a
    /// queue dropped too.
    fn missing(&self) -> u64 {
        self.status.sources.values().map(|source| source.missing_in_all).sum()
    }

    /// What a heartbeat says.
    fn pulse(&self) -> serde_json::Value {
        let engine = self.detector.status();
        let losses = self.losses();
        json!({
            "state": self.state(),
            "uptime_s": (self.now.continuous - self.started.continuous) / 1_000_000_000,
            "rules": { "loaded": self.status.rules.loaded, "hash": self.status.rules.hash },
            "sources": self.status.sources,
            "events": engine.events,
            "alerts": self.status.events.alerts,
            "alerts_left_out": self.detector.left_out(),
            "lost": losses.since(&Losses::default()).into_iter().collect::<BTreeMap<_, _>>(),
        })
    }

    fn state(&self) -> State {
        match self.safe_mode {
            true => State::SafeMode,
            false if self.problems.is_empty() => State::Running,
            false => State::Degraded,
        }
    }

    fn write_status(&mut self, state: State) {
        self.status_written = self.now.tick;
        let engine = self.detector.status();
        let table = self.normaliser.table();
        let missing = self.missing();
        let status = &mut self.status;
        status.timestamp = timestamp::format(self.now.wall);
        status.state = state;
        status.problems = self.problems.iter().map(|(what, why)| ((*what).to_owned(), why.clone())).collect();
        status.rules.alerts = self.detector.counts().iter().map(|(id, count)| (id.clone(), *count)).collect();
        status.rules.costs = self
            .detector
            .costs()
            .into_iter()
            .map(|(rule, cost)| (rule.id.clone(), RuleCost::new(rule, cost)))
            .collect();
        status.exceptions = self.detector.hits();
        status.events.evaluated = engine.events;
        status.events.late = engine.late;
        status.events.alerts_left_out = self.detector.left_out();
        status.events.missing = missing;
        status.memory = status::Memory {
            processes: table.len(),
            processes_evicted: table.counts().evicted,
            partials: engine.partials,
            partial_bytes: engine.partial_bytes,
            partials_evicted: engine.evicted,
        };
        let mut file = |name: &str, lane, options: &LaneOptions| {
            let path = options.path.display().to_string();
            status.files.insert(name.to_owned(), status::File::new(path, self.delivery.status(lane)));
        };
        file("alerts", Lane::Alerts, &self.settings.alerts);
        file("health", Lane::Health, &self.settings.health);
        if let Some(telemetry) = &self.telemetry {
            file("telemetry", Lane::Telemetry, &telemetry.options);
        }
        status.blind_windows = self.blind.iter().cloned().collect();
        let text = json_line(status) + "\n";
        self.delivery.replace(self.settings.status.clone(), self.settings.trust, text);
    }
}

/// What did not get through since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Losses {
    missing: u64,
    dropped: u64,
    partials: u64,
    processes: u64,
    alerts: u64,
    telemetry: u64,
}

impl Losses {
    /// What is more than `before`, by name.
    fn since(&self, before: &Losses) -> Vec<(&'static str, u64)> {
        [
            ("messages_missing", self.missing, before.missing),
            ("messages_dropped", self.dropped, before.dropped),
            ("partials_evicted", self.partials, before.partials),
            ("processes_evicted", self.processes, before.processes),
            ("alerts_refused", self.alerts, before.alerts),
            ("telemetry_refused", self.telemetry, before.telemetry),
        ]
        .into_iter()
        .filter_map(|(what, now, before)| Some((what, now.checked_sub(before).filter(|more| *more > 0)?)))
        .collect()
    }
}

/// What gets a line in unified logging.
enum Line {
    Alert(Box<Alert>),
    Withheld(Withheld),
}

/// Unified logging, from a thread that may block: `os_log` waits for other processes.
struct UnifiedLog {
    sender: SyncSender<Line>,
    thread: JoinHandle<()>,
    /// Alerts for which there was no room; told with the next that finds some.
    left_out: u64,
}

impl UnifiedLog {
    fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel::<Line>(UNIFIED_LOG_QUEUE);
        let thread = std::thread::Builder::new().name("unified-log".into()).spawn(move || {
            let mut sink = UnifiedLogSink::new();
            for line in receiver {
                match line {
                    // It has no way to fail.
                    Line::Alert(alert) => drop(sink.deliver(&alert)),
                    Line::Withheld(withheld) => sink.withheld(&withheld),
                }
            }
            let _ = sink.flush();
        })?;
        Ok(UnifiedLog { sender, thread, left_out: 0 })
    }

    fn send(&mut self, line: Line) {
        if self.sender.try_send(line).is_err() {
            self.left_out += 1;
        }
    }

    fn stop(self) {
        if self.left_out > 0 {
            log::warn!(target: "sensor", "{} alerts did not get to unified logging; see the file", self.left_out);
        }
        drop(self.sender);
        let _ = self.thread.join();
    }
}

fn lanes(settings: &Settings, telemetry: Option<&Telemetry>) -> Vec<LaneStart<sink::Folder>> {
    let mut lanes = vec![
        LaneStart::new(Lane::Alerts, settings.alerts.clone()),
        LaneStart::new(Lane::Health, settings.health.clone()),
    ];
    lanes.extend(telemetry.map(|telemetry| LaneStart::new(Lane::Telemetry, telemetry.options.clone())));
    lanes
}

fn spool(lane: Lane) -> usize {
    SPOOLS.iter().find(|(name, _)| *name == lane).map_or(0, |(_, bytes)| *bytes)
}

fn lane_options(
    lane: Lane,
    path: PathBuf,
    rotation: Rotation,
    readers: Readers,
    trust: Trust,
) -> LaneOptions {
    let sync_after = if lane == Lane::Telemetry { TELEMETRY_SYNC } else { Duration::ZERO };
    LaneOptions { path, rotation, readers, trust, spool: spool(lane), sync_after }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
