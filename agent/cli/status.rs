//! `vedette status`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, bail};

use super::output;
use crate::config::{self, Paths};
use crate::readable::{Style, visible};
use crate::status::{RuleCost, STALE, State, Status};
use crate::timestamp;

/// What `vedette status` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write JSON even to a terminal
    #[arg(long, conflicts_with = "plist")]
    json: bool,
    /// Write a property list, for an inventory
    #[arg(long)]
    plist: bool,
    /// The sensor's status file, if it is not the one that the configuration names
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The most that is read of a status file.
const MAX_FILE: u64 = 4 << 20;

/// Shows what the running sensor does. The exit code is 0 if it works, 1 if it does not.
///
/// # Errors
/// The status cannot be read, or standard output cannot be written.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = path(arguments.file.as_deref());
    let Some(status) = read(&path)? else {
        if arguments.plist || output::style(arguments.json).is_none() {
            let absent = serde_json::json!({ "state": "never_started", "file": path.display().to_string() });
            output::machine(&absent, arguments.plist)?;
        }
        output::say(format_args!(
            "{}: there is no status, so the sensor has never run here; `vedette doctor` says what keeps it\n",
            visible(&path.display().to_string())
        ));
        return Ok(ExitCode::from(1));
    };
    let seen = Seen::new(status, SystemTime::now());
    match output::style(arguments.json) {
        Some(style) if !arguments.plist => {
            std::io::stdout().lock().write_all(page(&seen, style).as_bytes())?;
        }
        _ => output::machine(&seen.to_json()?, arguments.plist)?,
    }
    Ok(if seen.works() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Returns the status file that was named, else the one that the configuration names.
pub(super) fn path(named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| config::load(&Paths::standard()).config.status.file, Path::to_owned)
}

/// Reads a status, if there is one.
///
/// # Errors
/// It cannot be read, or is none.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<Status>> {
    let shown = || format!("{}: the status cannot be read", visible(&path.display().to_string()));
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(shown)?,
    };
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).with_context(shown)?;
    if text.len() as u64 > MAX_FILE {
        bail!("{}: it is larger than {} MiB: this is no status", shown(), MAX_FILE >> 20);
    }
    serde_json::from_str(&text).map(Some).with_context(shown)
}

/// A status, and how old it is.
pub(super) struct Seen {
    status: Status,
    /// In seconds; `None` where the clock or the file makes no sense.
    age: Option<u64>,
}

impl Seen {
    pub(super) fn new(status: Status, now: SystemTime) -> Self {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        let written = timestamp::parse(&status.timestamp).ok();
        // Some seconds ahead is how clocks are; more is no age.
        let age =
            written.and_then(|written| u64::try_from((now - written).saturating_add(5_000_000_000)).ok());
        Seen { status, age: age.map(|age| (age / 1_000_000_000).saturating_sub(5)) }
    }

    fn is_stale(&self) -> bool {
        self.age.is_none_or(|age| age > STALE)
    }

    fn works(&self) -> bool {
        self.status.state == State::Running && !self.is_stale()
    }

    /// The state in a word; of a sensor that said that it runs and then nothing more, that it is silent.
    fn state(&self) -> &'static str {
        match self.status.state {
            State::Stopped => State::Stopped.text(),
            _ if self.is_stale() => "silent",
            state => state.text(),
        }
    }

    fn to_json(&self) -> anyhow::Result<serde_json::Value> {
        let mut document = serde_json::to_value(&self.status)?;
        document["state"] = self.state().replace(' ', "_").into();
        document["age_s"] = self.age.into();
        Ok(document)
    }
}

/// The page for people.
pub(super) fn page(seen: &Seen, style: Style) -> String {
    let Seen { status, age } = seen;
    let mut page = Page { text: String::new(), style };
    let code = if seen.works() { "1;32" } else { "1;31" };
    let state = if style.colour {
        format!("\u{1b}[{code}m{}\u{1b}[0m", seen.state())
    } else {
        seen.state().to_owned()
    };
    let host = status.host_name.as_deref().unwrap_or(&status.host_id);
    let _ = writeln!(page.text, "Vedette {} on {}: {state}", visible(&status.version), visible(host));
    let written = match age {
        Some(age) => format!("{} ago, by process {}", duration(*age), status.pid),
        None => format!("at {}, which is no time in the past; by process {}", status.timestamp, status.pid),
    };
    page.row("written", &written);
    page.row("started", &status.started);
    for (what, why) in &status.problems {
        page.row("problem", &format!("{what}: {why}"));
    }
    let rules = &status.rules;
    let failed =
        if rules.failed > 0 { format!(", {} could not be loaded", rules.failed) } else { String::new() };
    page.row(
        "rules",
        &format!("{} loaded{failed}; set {}", rules.loaded, rules.hash.get(..12).unwrap_or_default()),
    );
    for (index, (rule, count)) in rules.alerts.iter().enumerate() {
        page.row(if index == 0 { "alerts" } else { "" }, &format!("{count} of {rule}"));
    }
    if status.events.alerts_left_out > 0 {
        let left_out = format!("{} more, beyond the budget of their rules", status.events.alerts_left_out);
        page.row("", &left_out);
    }
    for (index, (exception, hits)) in status.exceptions.iter().enumerate() {
        page.row(if index == 0 { "excepted" } else { "" }, &format!("{hits} by {exception}"));
    }
    costs(&mut page, &rules.costs);
    for (name, source) in &status.sources {
        let dropped: u64 = source.dropped.values().sum();
        let dropped = if dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
        let message = source.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        page.row(
            "source",
            &format!("{name} {}, {} received{dropped}{message}", source.state, source.received),
        );
    }
    let events = &status.events;
    let missing = if events.missing > 0 { format!(", {} never came", events.missing) } else { String::new() };
    page.row("events", &format!("{} evaluated, {} late{missing}", events.evaluated, events.late));
    let memory = &status.memory;
    page.row("processes", &evicted(&format!("{} known", memory.processes), memory.processes_evicted));
    let partials = format!("{} waiting, {} KiB", memory.partials, memory.partial_bytes >> 10);
    page.row("partials", &evicted(&partials, memory.partials_evicted));
    for (name, file) in &status.files {
        let mut line = format!("{name}: {} written to {}", file.delivered, file.path);
        for (count, what) in [
            (file.waiting as u64, "waiting for the disk"),
            (file.lost, "lost because too many waited"),
            (file.replaced, "times removed or exchanged by someone else"),
        ] {
            if count > 0 {
                let _ = write!(line, ", {count} {what}");
            }
        }
        page.row("file", &line);
    }
    let configuration = &status.configuration;
    let locked = if configuration.locked { ", managed: local files do not count" } else { "" };
    let errors = match configuration.errors {
        0 => String::new(),
        count => format!(", {count} errors: `vedette run --check-config` shows them"),
    };
    let files = match configuration.files.as_slice() {
        [] => "defaults".to_owned(),
        files => files.join(", "),
    };
    page.row("config", &format!("{files}{locked}{errors}"));
    for window in &status.blind_windows {
        page.row("blind", &format!("{} to {}: {}", window.from, window.to, window.why));
    }
    page.text
}

/// How many of the dearest rules are shown; `--json` has all.
const DEAREST: usize = 3;

/// The rules that take the most time.
fn costs(page: &mut Page, costs: &BTreeMap<String, RuleCost>) {
    let total: u64 = costs.values().fold(0, |total, cost| total.saturating_add(cost.time_ns));
    let mut dearest: Vec<&RuleCost> = costs.values().filter(|cost| cost.time_ns > 0).collect();
    dearest.sort_by_key(|cost| std::cmp::Reverse(cost.time_ns));
    for (index, cost) in dearest.into_iter().take(DEAREST).enumerate() {
        let seconds = cost.time_ns as f64 / 1e9;
        let share = cost.time_ns as f64 / total as f64 * 100.0;
        let each = cost.time_ns / cost.evaluations.max(1);
        let line = format!(
            "{seconds:.2} s ({share:.0}% of all rules), {each} ns an event: {}; {} matches, {} excepted",
            cost.name, cost.matches, cost.excepted
        );
        page.row(if index == 0 { "dearest" } else { "" }, &line);
    }
}

fn evicted(text: &str, evicted: u64) -> String {
    if evicted > 0 { format!("{text}, {evicted} dropped for want of room") } else { text.to_owned() }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    /// A label and what it says, over as many lines as that takes. The status is a file that others could have
    /// written, too.
    fn row(&mut self, label: &str, value: &str) {
        let room = self.style.width.saturating_sub(12).max(20);
        let mut line = String::new();
        let mut label = label;
        for word in visible(value).split(' ') {
            if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                self.line(std::mem::take(&mut label), &std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(label, &line);
    }

    fn line(&mut self, label: &str, text: &str) {
        let label = format!("{label:<10}");
        let label = if self.style.colour { format!("\u{1b}[2m{label}\u{1b}[0m") } else { label };
        let _ = writeln!(self.text, "  {label}{text}");
    }
}

#[cfg(test)]
mod tests;
