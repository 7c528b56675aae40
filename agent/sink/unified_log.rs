//! Alerts in unified logging: one public line for each, with the alert's `event.id`; the file is the record.
//!
//! The line goes through the `log` facade at level error with the target `alert`. On a Mac `oslog` will take
//! it to the subsystem's category of that name; elsewhere whatever logger is installed gets it, and without
//! one nothing happens.

use std::time::{Duration, Instant};

use super::{Sink, SinkError};
use crate::alert::{Alert, AlertKind};
use crate::detector::Withheld;
use crate::readable::visible;

/// The longest line, in bytes.
pub(super) const MAX_LINE: usize = 1024;

/// How many lines may be written in one second; of more only the number is told.
pub(super) const MAX_PER_SECOND: u32 = 10;

/// Writes alerts to unified logging.
#[derive(Debug, Default)]
pub struct UnifiedLogSink {
    second: Option<Instant>,
    /// Lines written in this second, and how many were left out before: of alerts, and of alerts withheld.
    alerts: Budget,
    withheld: Budget,
}

#[derive(Debug, Default)]
struct Budget {
    written: u32,
    left_out: u64,
}

impl UnifiedLogSink {
    /// Makes a sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes one line about an alert that an exception withheld, so that it can be looked for.
    pub fn withheld(&mut self, withheld: &Withheld) {
        for line in self.lines_of(withheld, Instant::now()) {
            log::warn!(target: "alert", "{line}");
        }
    }

    /// Returns the lines to write for an alert at `now`.
    fn lines(&mut self, alert: &Alert, now: Instant) -> Vec<String> {
        let mut lines = self.pass(now);
        if alert.kind == AlertKind::Alert && self.alerts.admits() {
            lines.push(line(alert));
        }
        lines
    }

    /// Returns the lines to write for an alert that was withheld.
    fn lines_of(&mut self, withheld: &Withheld, now: Instant) -> Vec<String> {
        let mut lines = self.pass(now);
        if self.withheld.admits() {
            let Withheld { exception, rule, id } = withheld;
            let (by, owner) = (&exception.id, &exception.owner);
            lines.push(bounded(&format!("{id} withheld by the exception {by} of {owner}: {}", rule.name)));
        }
        lines
    }

    /// Begins a second, if one has passed, and returns what is to be said of the last.
    fn pass(&mut self, now: Instant) -> Vec<String> {
        if self.second.is_some_and(|second| now.duration_since(second) < Duration::from_secs(1)) {
            return Vec::new();
        }
        self.second = Some(now);
        (self.alerts.written, self.withheld.written) = (0, 0);
        self.count()
    }

    fn count(&mut self) -> Vec<String> {
        let alerts = std::mem::take(&mut self.alerts.left_out);
        let withheld = std::mem::take(&mut self.withheld.left_out);
        let mut lines = Vec::new();
        if alerts > 0 {
            lines.push(format!("{alerts} more alerts in one second; see the alert file"));
        }
        if withheld > 0 {
            lines
                .push(format!("{withheld} more alerts withheld by exceptions in one second; see the status"));
        }
        lines
    }
}

impl Budget {
    /// Returns whether one more line may be written; if not, it is counted.
    fn admits(&mut self) -> bool {
        let admits = self.written < MAX_PER_SECOND;
        self.written += u32::from(admits);
        self.left_out += u64::from(!admits);
        admits
    }
}

impl Sink for UnifiedLogSink {
    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError> {
        // Where there is no unified logging, nothing is put into words for it.
        if !log::log_enabled!(target: "alert", log::Level::Error) {
            return Ok(());
        }
        for line in self.lines(alert, Instant::now()) {
            log::error!(target: "alert", "{line}");
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        for line in self.count() {
            log::error!(target: "alert", "{line}");
        }
        Ok(())
    }
}

/// `event.id severity rule: pid N user N to IP EXECUTABLE`, cut to what unified logging keeps. The executable
/// comes last: its maker chose how long it is and what it looks like.
fn line(alert: &Alert) -> String {
    let text = |pointer: &[&str]| {
        let mut value = alert.document().get(pointer[0]);
        for key in &pointer[1..] {
            value = value.and_then(|value| value.get(key));
        }
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    };
    let full = format!(
        "{} {} {}: pid {} user {} to {} {}",
        alert.id,
        alert.rule.severity.text(),
        alert.rule.name,
        text(&["process", "pid"]),
        text(&["user", "id"]),
        text(&["destination", "ip"]),
        text(&["process", "executable"]),
    );
    bounded(&full)
}

/// Visible text of at most the length that unified logging keeps.
fn bounded(text: &str) -> String {
    let mut line = visible(text);
    line.truncate(line.floor_char_boundary(MAX_LINE));
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::rule::{Content, builtin};

    fn alert(executable: &str) -> Alert {
        let rule = builtin().into_iter().find_map(|file| match file.content {
            Content::Rule(rule) => Some(Arc::new(*rule)),
            _ => None,
        });
        let document = json!({ "process": { "executable": executable, "pid": 7 }, "user": { "id": "0" }, "destination": { "ip": "203.0.113.9" } });
        let serde_json::Value::Object(document) = document else { unreachable!("an object") };
        Alert::new("id-1".into(), AlertKind::Alert, rule.expect("a built-in rule"), document)
    }

    #[test]
    fn a_line_is_short_visible_and_names_the_alert() {
        let mut sink = UnifiedLogSink::new();
        let hostile = format!("/tmp/a\nMay 1 forged\u{1b}[2J\u{202e}{}", "x".repeat(1 << 20));
        let lines = sink.lines(&alert(&hostile), Instant::now());
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("id-1 medium ") && lines[0].len() <= MAX_LINE);
        assert!(lines[0].contains(": pid 7 user 0 to 203.0.113.9 /tmp/a\\n"), "{}", lines[0]);
        assert!(!lines[0].contains(['\n', '\u{1b}', '\u{202e}']));
    }

    #[test]
    fn more_than_ten_in_a_second_are_counted() {
        let mut sink = UnifiedLogSink::new();
        let start = Instant::now();
        let lines: usize = (0..15).map(|_| sink.lines(&alert("x"), start).len()).sum();
        assert_eq!(lines, 10);
        let next = sink.lines(&alert("x"), start + Duration::from_secs(1));
        assert_eq!(next.len(), 2);
        assert!(next[0].starts_with("5 more alerts"));
        assert!(sink.count().is_empty());
    }

    #[test]
    fn alerts_withheld_have_lines_and_a_budget_of_their_own() {
        let text = "[[exceptions]]\nid = \"m\u{eb}\u{202e}\"\nrules = [\"*\"]\ncondition = 'any where true'\non = \"alert\"\n\
                    owner = \"o\"\nreason = \"r\"\nexpires = 2030-01-01\n";
        let exception = crate::exception::parse(std::path::Path::new("e.toml"), text).exceptions.remove(0);
        let withheld = Withheld { exception: Arc::new(exception), rule: alert("x").rule, id: "id-2".into() };
        let mut sink = UnifiedLogSink::new();
        let start = Instant::now();
        let lines = sink.lines_of(&withheld, start);
        let name = &withheld.rule.name;
        assert_eq!(lines, [format!("id-2 withheld by the exception më\\u{{202e}} of o: {name}")]);
        let more: usize = (0..30).map(|_| sink.lines_of(&withheld, start).len()).sum();
        assert_eq!(more, 9);
        // A flood of them hides no alert.
        assert_eq!(sink.lines(&alert("x"), start).len(), 1);
        assert_eq!(sink.count(), ["21 more alerts withheld by exceptions in one second; see the status"]);
    }
}
