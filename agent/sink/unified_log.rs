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

/// `event.id severity rule: process (pid) user`, cut to what unified logging keeps.
fn line(alert: &Alert) -> String {
    let text = |pointer: &[&str]| {
        let mut value = alert.document.get(pointer[0]);
        for key in &pointer[1..] {
            value = value.and_then(|value| value.get(key));
        }
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    };
    let full = format!(
        "{} {} {}: {} ({}) user {} to {}",
        alert.id,
        alert.rule.severity.text(),
        alert.rule.name,
        text(&["process", "executable"]),
        text(&["process", "pid"]),
        text(&["user", "id"]),
        text(&["destination", "ip"]),
    );
    let mut line = visible(&full);
    line.truncate(line.floor_char_boundary(MAX_LINE));
    line
}
