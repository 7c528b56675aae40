//! What the `log` facade takes, into unified logging: the subsystem's categories are the facade's targets.
//!
//! `os_log` may wait for other processes. Alerts come from a thread that may; whatever else is logged is handed to one,
//! and left out, counted, where that cannot follow.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use log::{Level, LevelFilter, Log, Metadata, Record};
use oslog::OsLog;

use crate::identity;

/// The categories; what has another target goes to the last.
const CATEGORIES: [&str; 3] = ["alert", "health", SENSOR];

/// The category of what the sensor says to its developers.
const SENSOR: &str = "sensor";

/// The category whose records come from a thread that may wait.
const ALERT: usize = 0;

/// How many lines may wait.
const QUEUE: usize = 256;

/// How long a flush waits for the lines that wait.
const FLUSH: Duration = Duration::from_secs(1);

struct Logger {
    logs: &'static Logs,
    sender: Sender<Order>,
    left_out: AtomicU64,
}

/// One log object for each category, made once.
struct Logs([OsLog; CATEGORIES.len()]);

enum Order {
    Write(usize, Level, String),
    Flush(Sender<()>),
}

/// Installs the logger. To be called once, before any other thread runs.
///
/// # Errors
/// The system gives no thread.
pub(super) fn install() -> io::Result<()> {
    let subsystem = identity::subsystem();
    let logs: &'static Logs = Box::leak(Box::new(Logs(CATEGORIES.map(|name| OsLog::new(&subsystem, name)))));
    let (sender, orders) = bounded(QUEUE);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        for order in orders {
            match order {
                Order::Write(category, level, text) => logs.write(category, level, &text),
                Order::Flush(done) => drop(done),
            }
        }
    })?;
    let logger = Logger { logs, sender, left_out: AtomicU64::new(0) };
    // Only a second call fails, and then the first logger is there.
    if log::set_logger(Box::leak(Box::new(logger))).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    Ok(())
}

/// Writes a line at once, from whatever thread: for a process that is about to end.
pub(super) fn write_now(text: &str) {
    OsLog::new(&identity::subsystem(), SENSOR).fault(text);
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let category = CATEGORIES.iter().position(|name| *name == record.target());
        let category = category.unwrap_or(CATEGORIES.len() - 1);
        let text = record.args().to_string();
        if category == ALERT {
            return self.logs.write(category, record.level(), &text);
        }
        let left_out = self.left_out.swap(0, Relaxed);
        let text = if left_out > 0 { format!("{text} ({left_out} lines left out before)") } else { text };
        if self.sender.try_send(Order::Write(category, record.level(), text)).is_err() {
            self.left_out.fetch_add(left_out + 1, Relaxed);
        }
    }

    fn flush(&self) {
        let (done, wait) = bounded(0);
        if self.sender.send_timeout(Order::Flush(done), FLUSH).is_ok() {
            // It ends by the thread dropping the other end.
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

impl Logs {
    /// Information is written at the default level: macOS keeps nothing below it on disk.
    fn write(&self, category: usize, level: Level, text: &str) {
        let log = &self.0[category];
        match level {
            Level::Error | Level::Warn => log.error(text),
            Level::Info => log.default(text),
            Level::Debug | Level::Trace => log.debug(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[ignore = "needs a Mac: it asks unified logging for what it holds"]
    fn an_alerts_line_is_read_back_from_unified_logging() {
        install().expect("a thread");
        let line = format!("read back {}", std::process::id());
        log::error!(target: CATEGORIES[ALERT], "{line}");
        let predicate = format!(r#"subsystem == "{}" AND category == "alert""#, identity::subsystem());
        let shown = (0..30).any(|_| {
            std::thread::sleep(Duration::from_secs(1));
            let show = Command::new("/usr/bin/log")
                .args(["show", "--last", "2m", "--style", "ndjson", "--predicate", &predicate])
                .output();
            String::from_utf8_lossy(&show.expect("log runs").stdout).contains(&line)
        });
        assert!(shown, "`log show` did not show it within 30 s");
    }
}
