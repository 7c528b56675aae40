//! `vedette replay`.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::output;
use super::rules::Selection;
use crate::alert::Alert;
use crate::detector::RuleSet;
use crate::process_table::MAX_COMMAND_LINE_BYTES;
use crate::readable::visible;
use crate::redaction::Redactor;
use crate::redaction::salt::Salt;
use crate::replay::{self, Options, Output, Summary};
use crate::sink::{FileSink, Sink, SinkError, StdoutSink, UnifiedLogSink};
use crate::source::Lines;

/// What `vedette replay` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write alerts as NDJSON even to a terminal
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
    /// Also append alerts to this file, those that it holds already excepted
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
    /// The host of events that do not name theirs
    #[arg(long, value_name = "ID", default_value = "")]
    host_id: String,
    /// Replace credentials in alerts by marks with a hash, as the sensor does, under a salt of this run
    #[arg(long)]
    redact: bool,
    /// Redact under the salt that this file holds, so that equal secrets have equal marks from run to run
    #[arg(long, value_name = "FILE")]
    redact_salt: Option<PathBuf>,
    /// Stop at the first line that cannot be read, with exit code 2
    #[arg(long)]
    strict: bool,
    /// Exit with 1 if there was an alert
    #[arg(long)]
    fail_on_alert: bool,
    /// Use this many threads: one detects, all decode lines; what comes out is the same
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Recordings: eslogger's JSON or ECS documents, plain, .gz or .zst; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Why a replay ended early.
enum Stop {
    Sink(SinkError),
    Strict,
}

/// Runs recordings through the rules.
///
/// # Errors
/// The command cannot run: a rule path or the alert file is unusable, a sink fails.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let rules = arguments.selection.load()?;
    let rule_failed = crate::detector::has_errors(&rules.findings);
    for finding in &rules.findings {
        output::say(format_args!("{}", finding.rendered));
    }
    if rules.rules.is_empty() {
        bail!("no rule is loaded, so nothing can be found");
    }
    let mut sinks = Sinks {
        file: arguments.alerts.as_deref().map(FileSink::open).transpose()?,
        log: UnifiedLogSink::new(),
        stdout: Some(StdoutSink::new(std::io::stdout(), output::style(arguments.json))),
    };
    let (files, mut failed) = open(&arguments.files);
    let options = Options {
        host_id: arguments.host_id.clone(),
        redactor: redactor(arguments)?,
        jobs: arguments.jobs.into(),
    };
    let (summary, stop) = replay::run(&rules, files, &options, |output| match output {
        Output::Alert(alert) => match sinks.deliver(alert) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Stop::Sink(error)),
        },
        Output::Problem(problem) => {
            output::say(format_args!("{problem}\n"));
            if arguments.strict { ControlFlow::Break(Stop::Strict) } else { ControlFlow::Continue(()) }
        }
    });
    sinks.flush()?;
    match stop {
        Some(Stop::Sink(error)) => return Err(error.into()),
        Some(Stop::Strict) => failed = true,
        None => {}
    }
    summarise(&rules, &summary);
    Ok(if failed {
        ExitCode::from(2)
    } else if rule_failed || (arguments.fail_on_alert && summary.alerts.values().any(|count| *count > 0)) {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// What replaces credentials, if that is asked for.
fn redactor(arguments: &Arguments) -> anyhow::Result<Option<Arc<Redactor>>> {
    let salt = match &arguments.redact_salt {
        Some(path) => {
            Salt::read(path).with_context(|| format!("{}: the salt cannot be read", path.display()))?
        }
        None if arguments.redact => Salt::random(),
        None => return Ok(None),
    };
    Ok(Some(Arc::new(Redactor::new(salt, &[], MAX_COMMAND_LINE_BYTES))))
}

/// Where alerts go: to the file first, which is the record.
struct Sinks {
    file: Option<FileSink>,
    log: UnifiedLogSink,
    /// `None` once its reader has gone.
    stdout: Option<StdoutSink<std::io::Stdout>>,
}

impl Sink for Sinks {
    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError> {
        if let Some(file) = &mut self.file {
            file.deliver(alert)?;
        }
        self.log.deliver(alert)?;
        match self.stdout.as_mut().map_or(Ok(()), |stdout| stdout.deliver(alert)) {
            // `| head` ends the reading along, not the recording.
            Err(SinkError::Gone) if self.file.is_some() => {
                self.stdout = None;
                Ok(())
            }
            result => result,
        }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.log.flush()?;
        self.file.as_mut().map_or(Ok(()), Sink::flush)
    }
}

/// Opens recordings. One that cannot be opened is reported and does not keep the others from being read.
pub(super) fn open(paths: &[PathBuf]) -> (Vec<Lines>, bool) {
    let mut failed = false;
    let mut files = Vec::new();
    for path in paths {
        match Lines::open(path) {
            Ok(lines) => files.push(lines),
            Err(error) => {
                output::say(format_args!("vedette: {}\n", visible(&error.to_string())));
                failed = true;
            }
        }
    }
    (files, failed)
}

/// Says on standard error what was read and found.
fn summarise(rules: &RuleSet, summary: &Summary) {
    let mut error = std::io::stderr().lock();
    let read = &summary.read;
    let total: u64 = summary.alerts.values().sum();
    let mut line = format!("{} lines, {} events", read.lines, read.events);
    let unused: u64 = read
        .messages
        .iter()
        .filter(|(kind, _)| !matches!(&**kind, "exec" | "fork" | "exit"))
        .map(|(_, n)| n)
        .sum();
    for (count, what) in [
        (unused + read.more, "of kinds that no rule reads yet"),
        (read.not_evaluated, "documents that are no events"),
        (read.problems, "lines skipped"),
        (summary.engine.late, "out of order"),
        (summary.engine.evicted, "partial matches dropped for want of memory"),
        (summary.processes_evicted, "processes dropped for want of memory"),
        (summary.repeated, "repeated matches left out"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    let alerts = if total == 1 { "1 alert".to_owned() } else { format!("{total} alerts") };
    // Nobody may read standard error; that is no reason to fail.
    let _ = writeln!(error, "{line}; {alerts} by {} rules", rules.rules.len());
}
