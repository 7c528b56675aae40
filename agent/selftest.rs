//! An end-to-end probe: a harmless package of our own is installed, its script connects to a listener of our own on this
//! Mac, and the alert of that has to arrive. So everything between Apple's installer and the sinks is tried at once.
//!
//! The package's identifier holds a number that is used once. No exception applies to packages of that identifier
//! (`agent/exception.rs`), so that a silent sensor is never taken for an excepted one.

mod listener;
mod package;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value as Json, json};

use self::listener::Listener;
use self::package::{Folder, Running};
use crate::alert_log::{AlertLog, Entry, Item, Kind};
use crate::digest::hexadecimal;
use crate::identity;

/// How often everything is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long the installer may go on after it was given up on: what it began it should end.
const GRACE: Duration = Duration::from_secs(20);

/// How often unified logging is asked: each time a program is started for it.
const LOG_INTERVAL: Duration = Duration::from_secs(2);

/// What a probe needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The programs of the Mac.
    pub programs: Programs,
    /// The folder in which a temporary one is made: root's own, or with the sticky bit.
    pub temporary: PathBuf,
    /// The alert file.
    pub alerts: PathBuf,
    /// Whether the sensor writes to unified logging.
    pub unified_log: bool,
    /// How long to wait, from the start of the installation on.
    pub wait: Duration,
}

/// Where the programs are that a probe runs. All of them are part of macOS.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Makes a package.
    pub pkgbuild: PathBuf,
    /// Installs it.
    pub installer: PathBuf,
    /// Forgets that it was installed.
    pub pkgutil: PathBuf,
    /// Reads unified logging.
    pub log: PathBuf,
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The number that is used once.
    pub nonce: String,
    /// How long after the start of the installation the package's script connected; none if it never did.
    pub connected: Option<Duration>,
    /// What became of the alert in each sink.
    pub sinks: Vec<Sighting>,
}

/// What became of the alert in a sink.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// The sink.
    pub sink: &'static str,
    /// Whether it is switched on.
    pub enabled: bool,
    /// How long after the connection it was there; none if it was not.
    pub latency: Option<Duration>,
    /// The alert's `event.id`.
    pub event_id: Option<String>,
    /// The name of the rule.
    pub rule: Option<String>,
}

/// Why there was no probe.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    /// Something could not be made or run.
    #[error("{0}")]
    CannotRun(String),
    /// Somebody ended it. What was made is removed.
    #[error("interrupted; what it had made is removed")]
    Interrupted,
}

impl Programs {
    /// Returns where macOS has them.
    pub fn system() -> Self {
        let at = PathBuf::from;
        Programs {
            pkgbuild: at("/usr/bin/pkgbuild"),
            installer: at("/usr/sbin/installer"),
            pkgutil: at("/usr/sbin/pkgutil"),
            log: at("/usr/bin/log"),
        }
    }

    /// Takes programs of the same names in a folder in their place.
    pub fn in_folder(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name);
        Programs {
            pkgbuild: at("pkgbuild"),
            installer: at("installer"),
            pkgutil: at("pkgutil"),
            log: at("log"),
        }
    }
}

impl Outcome {
    /// Whether the alert arrived in every sink that is switched on.
    pub fn is_seen(&self) -> bool {
        self.sinks.iter().all(|sighting| !sighting.enabled || sighting.latency.is_some())
    }

    /// Returns the one next step, where the alert did not arrive.
    pub fn next(&self) -> Option<&'static str> {
        let missed = |sink: &str| {
            self.sinks
                .iter()
                .any(|sighting| sighting.sink == sink && sighting.enabled && sighting.latency.is_none())
        };
        if missed("alert_file") {
            Some(
                "`sudo vedette doctor` says what keeps the sensor; if nothing does, `vedette rules list` shows whether \
                  the built-in rule for install scripts is loaded or replaced",
            )
        } else if missed("unified_log") {
            Some("the alert file has it; `sudo log show --last 5m` says whether unified logging works at all")
        } else {
            None
        }
    }

    /// Returns it as a document.
    pub fn document(&self) -> Json {
        let milliseconds = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        let sinks: Vec<Json> = self
            .sinks
            .iter()
            .map(|sighting| {
                json!({
                    "sink": sighting.sink,
                    "enabled": sighting.enabled,
                    "seen": sighting.latency.is_some(),
                    "latency_ms": milliseconds(sighting.latency),
                    "event_id": sighting.event_id,
                    "rule": sighting.rule,
                })
            })
            .collect();
        json!({
            "status": if self.is_seen() { "seen" } else { "not_seen" },
            "nonce": self.nonce,
            "package": identity::selftest_id(&self.nonce),
            "connected_ms": milliseconds(self.connected),
            "sinks": sinks,
            "next": self.next(),
        })
    }
}

/// Makes the number that is used once: 16 hexadecimal digits.
///
/// # Errors
/// The system gives no random bytes.
pub fn nonce() -> io::Result<String> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hexadecimal(&bytes))
}

/// Builds and installs the package and waits for its alert. Whatever comes of it, what was made is removed.
///
/// # Errors
/// The package cannot be built or installed, or `stop` was set.
pub fn run(setup: &Setup, nonce: &str, stop: &AtomicBool) -> Result<Outcome, SelftestError> {
    let cannot = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| SelftestError::CannotRun(format!("{what}: {error}"))
    };
    let listener = Listener::bind(nonce).map_err(cannot("no port of this Mac can be listened on"))?;
    let folder = Folder::make(&setup.temporary, nonce, listener.port())
        .map_err(cannot("the package's folder cannot be made"))?;
    folder.build(&setup.programs.pkgbuild).map_err(SelftestError::CannotRun)?;
    let started = Instant::now();
    let installer = folder.install(&setup.programs).map_err(SelftestError::CannotRun)?;
    let mut probe = Probe {
        setup,
        nonce,
        listener,
        installer,
        log: AlertLog::new(&setup.alerts),
        started,
        connected: None,
        alert: None,
        logged: None,
        asked: None,
    };
    let result = probe.watch(stop);
    probe.installer.end(GRACE);
    result
}

struct Probe<'a> {
    setup: &'a Setup,
    nonce: &'a str,
    listener: Listener,
    installer: Running<'a>,
    log: AlertLog,
    started: Instant,
    /// When the script connected, on both clocks.
    connected: Option<(Instant, SystemTime)>,
    alert: Option<Found>,
    /// When unified logging says that it got the alert.
    logged: Option<Duration>,
    /// When it was last asked.
    asked: Option<Instant>,
}

/// The alert in the alert file.
struct Found {
    at: Instant,
    event_id: String,
    rule: Option<String>,
}

impl Probe<'_> {
    fn watch(&mut self, stop: &AtomicBool) -> Result<Outcome, SelftestError> {
        while self.started.elapsed() < self.setup.wait {
            if stop.load(Relaxed) {
                return Err(SelftestError::Interrupted);
            }
            if self.connected.is_none() && self.listener.was_reached() {
                self.connected = Some((Instant::now(), SystemTime::now()));
            }
            if let Some(reason) = self.installer.failure() {
                return Err(SelftestError::CannotRun(reason));
            }
            self.look();
            if self.alert.is_some() && (self.logged.is_some() || !self.setup.unified_log) {
                break;
            }
            std::thread::sleep(INTERVAL);
        }
        if self.connected.is_none() {
            let reason = "the package's script did not connect to this program: see /var/log/install.log, and whether a \
                          firewall of this Mac holds up connections to itself";
            return Err(SelftestError::CannotRun(reason.to_owned()));
        }
        Ok(self.outcome())
    }

    /// Looks for the alert in the file, then in unified logging.
    fn look(&mut self) {
        if self.alert.is_none() {
            let nonce = memchr::memmem::Finder::new(self.nonce);
            let mut found = None;
            // A file that cannot be read now may be there the next time; that it never is, is the result.
            let _ = self.log.look(&mut |item| {
                if let Item::Line(line) = item
                    && nonce.find(line.bytes).is_some()
                    && let Ok(entry) = Entry::parse(line.bytes)
                    && entry.kind == Kind::Alert
                {
                    let rule = crate::readable::get(&entry.document, "rule.name").and_then(Json::as_str);
                    found =
                        Some(Found { at: Instant::now(), event_id: entry.id, rule: rule.map(str::to_owned) });
                }
                std::ops::ControlFlow::Continue(())
            });
            self.alert = found;
        }
        let due = self.asked.is_none_or(|asked| asked.elapsed() >= LOG_INTERVAL);
        if let (Some(alert), Some((_, connected)), true, true, None) =
            (&self.alert, self.connected, self.setup.unified_log, due, self.logged)
        {
            self.logged = package::logged(&self.setup.programs.log, &alert.event_id)
                .map(|time| time.duration_since(connected).unwrap_or_default());
            self.asked = Some(Instant::now());
        }
    }

    fn outcome(&self) -> Outcome {
        let connected = self.connected.map(|(at, _)| at);
        let event_id = self.alert.as_ref().map(|alert| alert.event_id.clone());
        let rule = self.alert.as_ref().and_then(|alert| alert.rule.clone());
        let latency = |at: Instant| connected.map(|connected| at.saturating_duration_since(connected));
        let file = self.alert.as_ref().and_then(|alert| latency(alert.at));
        let sighting = |sink, enabled, latency| Sighting {
            sink,
            enabled,
            latency,
            event_id: event_id.clone(),
            rule: rule.clone(),
        };
        Outcome {
            nonce: self.nonce.to_owned(),
            connected: connected.map(|at| at.duration_since(self.started)),
            sinks: vec![
                sighting("alert_file", true, file),
                sighting("unified_log", self.setup.unified_log, self.logged),
            ],
        }
    }
}
