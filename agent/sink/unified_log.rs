//! Alerts in unified logging: one public line for each, with the alert's `event.id`; the file is the record.
//!
//! The line goes through the `log` facade at level error with the target `alert`. On a Mac `oslog` will take
//! it to the subsystem's category of that name; elsewhere whatever logger is installed gets it, and without
//! one nothing happens.

use std::time::{Duration, Instant};

use super::{Sink, SinkError};
use crate::alert::{Alert, AlertKind};
use crate::readable::visible;

/// The longest line, in bytes.
pub(super) const MAX_LINE: usize = 1024;

/// How many lines may be written in one second; of more only the number is told.
pub(super) const MAX_PER_SECOND: u32 = 10;

/// Writes alerts to unified logging.
#[derive(Debug, Default)]
pub struct UnifiedLogSink {
    second: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl UnifiedLogSink {
    /// Makes a sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the lines to write for an alert at `now`.
    fn lines(&mut self, alert: &Alert, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        if self.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.written = 0;
            lines.extend(self.count());
        }
        if alert.kind == AlertKind::Alert {
            if self.written < MAX_PER_SECOND {
                self.written += 1;
                lines.push(line(alert));
            } else {
                self.left_out += 1;
            }
        }
        lines
    }

    fn count(&mut self) -> Option<String> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out > 0).then(|| format!("{left_out} more alerts in one second; see the alert file"))
    }
}

impl Sink for UnifiedLogSink {
    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError> {
        for line in self.lines(alert, Instant::now()) {
            log::error!(target: "alert", "{line}");
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        if let Some(line) = self.count() {
            log::error!(target: "alert", "{line}");
        }
        Ok(())
    }
}

/// `event.id severity rule: pid N user N to IP EXECUTABLE`, cut to what unified logging keeps. The executable
/// comes last: its maker chose how long it is and what it looks like.
fn line(alert: &Alert) -> String {
    let text = |pointer: &[&str]| {
        let mut value = alert.document.get(pointer[0]);
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
    let mut line = visible(&full);
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
        Alert { id: "id-1".into(), kind: AlertKind::Alert, rule: rule.expect("a built-in rule"), document }
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
        assert!(sink.count().is_none());
    }
}
