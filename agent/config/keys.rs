//! The table of keys: the only list. The typed [`Config`], what is read, the documented file and the reference come
//! from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use eql::Diagnostic;
use toml::Value;

use super::document::Node;
use super::setting::{Bounds, Bytes, Filter, NetworkSource, Patterns, Setting};
use crate::identity::{FOLDER, LOGS};

/// One key.
pub struct Key {
    /// `section.name`, as in TOML and, nested or with the dot, in managed preferences.
    pub path: &'static str,
    /// When a change counts.
    pub change: Change,
    /// A value that one might write, in TOML.
    pub example: &'static str,
    description: &'static str,
    pub(super) takes: fn() -> String,
    pub(super) set: fn(&mut Config, &Node) -> Result<Vec<Diagnostic>, Rejection>,
    pub(super) copy: fn(&mut Config, &Config),
    pub(super) show: fn(&Config) -> Value,
}

/// A part of the configuration.
pub struct Section {
    /// The name of its table.
    pub name: &'static str,
    description: &'static str,
}

/// When a changed value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Within some seconds: a running sensor looks again and again.
    Reload,
    /// When the sensor starts again.
    Restart,
}

/// Why a value was not taken; the configuration is as it was.
pub(super) enum Rejection {
    /// It is of another type or out of bounds: what was found.
    Found(String),
    /// Its form is right and its content is not.
    Content(Vec<Diagnostic>),
}

/// Any number: the type has no bounds.
const ANY: Bounds = Bounds { least: 0, most: u64::MAX };

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;

/// How large a file may grow before it is rotated.
const SIZE: Bounds = Bounds { least: 64 * KIB, most: 4 * GIB };

/// How long a file may be written before it is rotated.
const AGE: Bounds = Bounds { least: MINUTE, most: YEAR };

/// How many rotated files there may be.
const COUNT: Bounds = Bounds { least: 1, most: 1000 };

/// A rule in a list of texts.
const EXAMPLE_RULE: &str = r#"['''
[rule]
rule_id = "7f0e9c1c-8d1b-4b5e-9c55-2f1b1d3c0a11"
name = "curl runs"
query = 'process where process.name == "curl"'
''']"#;

/// Sections with rows of `name: type [bounds] = default, change, example`.
macro_rules! keys {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $struct:ident {$(
            $(#[doc = $text:literal])+
            $name:ident: $type:ty [$bounds:expr] = $default:expr, $change:ident, $example:expr;
        )+}
    )+) => {
        /// The sensor's configuration: a value for each key.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {
            $($(#[doc = $about])+ pub $section: $struct,)+
        }

        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $struct {
                $($(#[doc = $text])+ pub $name: $type,)+
            }

            impl Default for $struct {
                fn default() -> Self {
                    $struct { $($name: $default,)+ }
                }
            }
        )+

        /// The sections, in the order of documentation.
        pub static SECTIONS: &[Section] = &[
            $(Section { name: stringify!($section), description: concat!($($about, "\n"),+) },)+
        ];

        /// The keys, section by section.
        pub static KEYS: &[Key] = &[$($(Key {
            path: concat!(stringify!($section), ".", stringify!($name)),
            change: Change::$change,
            example: $example,
            description: concat!($($text, "\n"),+),
            takes: || <$type as Setting>::takes($bounds),
            set: |config, node| {
                let value = <$type as Setting>::read(node, $bounds).map_err(Rejection::Found)?;
                let diagnostics = value.check();
                if diagnostics.iter().any(|diagnostic| diagnostic.level == eql::Level::Error) {
                    return Err(Rejection::Content(diagnostics));
                }
                config.$section.$name = value;
                Ok(diagnostics)
            },
            copy: |to, from| Clone::clone_from(&mut to.$section.$name, &from.$section.$name),
            show: |config| Setting::show(&config.$section.$name),
        },)+)+];
    };
}

keys! {
    /// Alerts. The file is the record of them.
    alerts: Alerts {
        /// The file to which alerts are appended, one JSON document a line. Rotated files stand beside it, with `.1`,
        /// `.2` and so on after their names, the newest first.
        file: PathBuf [ANY] = Path::new(LOGS).join("alerts.ndjson"), Restart, "\"/Library/Logs/Example/alerts.ndjson\"";
        /// How large the file may grow before it is rotated.
        rotate_bytes: Bytes [SIZE] = Bytes(16 * MIB), Restart, "\"64 MiB\"";
        /// How old the file may become before it is rotated.
        rotate_age: Option<Duration> [AGE] = Some(Duration::from_secs(7 * DAY)), Restart, "\"24h\"";
        /// How many rotated files are kept; the oldest is deleted for a new one.
        keep: u32 [COUNT] = 10, Restart, "30";
        /// Whether rotated files are compressed with gzip. `vedette alerts` reads them either way.
        compress: bool [ANY] = true, Restart, "false";
        /// The group whose members may read the files. Without one only root may.
        group: Option<String> [ANY] = None, Restart, "\"_telegraf\"";
        /// How many alerts one rule may give in a minute. Of further ones only the number is told, by one document when
        /// the minute is over.
        per_minute: u32 [Bounds { least: 1, most: 1_000_000 }] = 60, Restart, "600";
    }

    /// Health: what the sensor says about itself, from its start to events that it lost.
    health: Health {
        /// The file to which health documents are appended.
        file: PathBuf [ANY] = Path::new(LOGS).join("health.ndjson"), Restart, "\"/Library/Logs/Example/health.ndjson\"";
        /// How large the file may grow before it is rotated.
        rotate_bytes: Bytes [SIZE] = Bytes(4 * MIB), Restart, "\"16 MiB\"";
        /// How many rotated files are kept.
        keep: u32 [COUNT] = 5, Restart, "10";
        /// How often a heartbeat is written, with version, rule-set hash and counters.
        heartbeat: Duration [Bounds { least: 10, most: DAY }] = Duration::from_secs(5 * MINUTE), Restart, "\"1m\"";
    }

    /// What `vedette status` shows.
    status: Status {
        /// The file in which the sensor's state stands. Everyone may read it; it holds no command lines.
        file: PathBuf [ANY] = Path::new(FOLDER).join("status.json"), Restart, "\"/var/db/example/vedette.json\"";
    }

    /// Telemetry: the events themselves, for hunting and to be replayed. Off unless it is turned on, for command lines can
    /// hold secrets.
    telemetry: Telemetry {
        /// Whether events are written.
        enabled: bool [ANY] = false, Restart, "true";
        /// Which events are written.
        filter: Filter [ANY] = Filter::default(), Restart, "'process where event.action == \"exec\"'";
        /// The file to which events are appended; `vedette replay` reads it.
        file: PathBuf [ANY] = Path::new(LOGS).join("telemetry.ndjson"), Restart, "\"/Volumes/Data/telemetry.ndjson\"";
        /// How large the file may grow before it is rotated.
        rotate_bytes: Bytes [SIZE] = Bytes(64 * MIB), Restart, "268435456";
        /// How old the file may become before it is rotated.
        rotate_age: Option<Duration> [AGE] = Some(Duration::from_secs(DAY)), Restart, "\"off\"";
        /// How many rotated files are kept.
        keep: u32 [COUNT] = 10, Restart, "48";
        /// Whether rotated files are compressed with gzip. `vedette replay` reads them either way.
        compress: bool [ANY] = true, Restart, "false";
    }

    /// Network connections.
    network: Network {
        /// Where connections come from: Endpoint Security (`es`), the kernel's network statistics (`ntstat`), the best that
        /// the Mac has (`auto`), or nowhere. Without connections a rule that needs them never matches.
        source: NetworkSource [ANY] = NetworkSource::Auto, Restart, "\"ntstat\"";
    }

    /// Rules. One with the id of an earlier one takes its place: first the built-in ones, then the folder, then inline.
    rules: Rules {
        /// Whether the built-in rules run.
        builtin: bool [ANY] = true, Reload, "false";
        /// The folder of your own rules, `*.toml` in it and in the folders below. Where a Mac is managed it is read only if
        /// the managed preferences name it.
        folder: PathBuf [ANY] = Path::new(FOLDER).join("rules"), Reload, "\"/usr/local/etc/vedette/rules\"";
        /// Rules as text, each what a file of the folder would hold. Made for managed preferences, which bring no files.
        inline: Vec<String> [ANY] = Vec::new(), Reload, EXAMPLE_RULE;
    }

    /// Exceptions: what is known and shall not alert.
    exceptions: Exceptions {
        /// The folder of exceptions, `*.toml` in it and in the folders below. Where a Mac is managed it is read only if the
        /// managed preferences name it.
        folder: PathBuf [ANY] = Path::new(FOLDER).join("exceptions"), Reload, "\"/usr/local/etc/vedette/exceptions\"";
        /// Exceptions as text, each what a file of the folder would hold.
        inline: Vec<String> [ANY] = Vec::new(), Reload, "[]";
    }

    /// What events carry.
    events: Events {
        /// Whether `process.env_vars` is kept. Environments hold secrets more often than command lines do, and alerts go
        /// where others read them.
        environment: bool [ANY] = false, Restart, "true";
    }

    /// Redaction: before anything is written, credentials are replaced by marks with a salted hash. See docs/redaction.md.
    redaction: Redaction {
        /// Whether credentials are replaced in alerts, health, telemetry and unified logging. Rules see events as they are.
        enabled: bool [ANY] = true, Restart, "false";
        /// Further patterns: the first group, or the whole match where a pattern has none, is replaced too.
        patterns: Patterns [ANY] = Patterns::default(), Restart, "['EXAMPLE-([A-Z0-9]{20})']";
        /// How much of a command line is written, where redaction is on. What is cut is marked by
        /// `command_line_truncated`.
        command_line: Bytes [Bounds { least: 256, most: 32 * KIB }] = Bytes(32 * KIB), Restart, "\"4 KiB\"";
    }

    /// Apple's unified logging.
    unified_log: UnifiedLog {
        /// Whether each alert is also written as one public line to unified logging, at most 10 a second.
        enabled: bool [ANY] = true, Restart, "false";
    }
}

impl Key {
    /// Returns the key of a path.
    pub fn find(path: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// Returns what the key takes, as a phrase.
    pub fn takes(&self) -> String {
        (self.takes)()
    }

    /// Returns the key's value in a configuration, as one would write it in TOML.
    pub fn value(&self, config: &Config) -> Value {
        (self.show)(config)
    }

    /// Returns its description: a paragraph in Markdown, in one line.
    pub fn description(&self) -> String {
        one_line(self.description)
    }

    /// Returns the section's and its own name.
    pub fn names(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').unwrap_or(("", self.path))
    }
}

impl Section {
    /// Returns its description, in one line.
    pub fn description(&self) -> String {
        one_line(self.description)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
