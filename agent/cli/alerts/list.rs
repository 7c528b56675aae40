//! `vedette alerts list`: the alerts that there are, and with `--follow` those that come.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::{self, IsTerminal, Write};
use std::ops::{Bound, ControlFlow};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{ListArguments, line_out};
use crate::alert_log::{AlertLog, Entry, INTERVAL, Item, Kind, Line};
use crate::cli::output;
use crate::readable::{self, Row, Style, visible};
use crate::source::Problem;

/// How many alerts are remembered, to know which of them an enrichment follows: some 100 bytes each, the
/// longest ids 600.
const MAX_REMEMBERED: usize = 100_000;

/// Lists alerts. An interrupt ends `--follow` as it ends any command: nothing is held back that could be lost.
pub(super) fn run(arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let mut log = AlertLog::new(&arguments.file.path());
    if !arguments.follow {
        arguments.file.require(&log)?;
    }
    let mut list = List::new(arguments);
    list.look(&mut log)?;
    list.caught_up()?;
    if !arguments.follow {
        list.summarise();
        return Ok(ExitCode::SUCCESS);
    }
    let mut last_error = String::new();
    while wait() {
        match list.look(&mut log) {
            Ok(()) => last_error.clear(),
            Err(error) if error.is::<io::Error>() => return Err(error),
            // It may pass, as when a volume is away. Once is enough to know.
            Err(error) => {
                let error = visible(&error.to_string());
                if error != last_error {
                    output::say(format_args!("vedette: {error}; trying again\n"));
                    last_error = error;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits between two looks. Returns whether standard output still has a reader.
fn wait() -> bool {
    let begun = Instant::now();
    let stdout = io::stdout();
    let mut output = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let polled = poll(&mut output, PollTimeout::try_from(INTERVAL).unwrap_or(PollTimeout::ZERO));
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    if polled.is_ok() && output[0].revents().is_some_and(|events| events.intersects(gone)) {
        return false;
    }
    // A system may not poll this kind of output, and then answers at once.
    std::thread::sleep(INTERVAL.saturating_sub(begun.elapsed()));
    true
}

struct List<'a> {
    arguments: &'a ListArguments,
    /// The readable form, unless NDJSON is wanted.
    style: Option<Style>,
    to_terminal: bool,
    /// In nanoseconds since 1970; nothing from before the start where it is followed from now.
    since: Option<i64>,
    is_caught_up: bool,
    remembered: BTreeMap<Arc<str>, Remembered>,
    /// The same, in the order of the file.
    order: VecDeque<Arc<str>>,
    hosts: BTreeSet<String>,
    /// What is shown once everything is read: only then it is known how long ids must be.
    rows: Vec<Listed>,
    /// Where the alerts are in `rows`.
    places: HashMap<Arc<str>, usize>,
    shown: u64,
    problems: u64,
    failed: Option<io::Error>,
}

/// What an enrichment is judged by: the alert that it follows.
#[derive(Clone, Copy)]
struct Remembered {
    is_wanted: bool,
    is_shown: bool,
}

/// An alert with what followed it; only that, where the alert itself is not shown.
struct Listed {
    id: Arc<str>,
    alert: Option<Row>,
    more: Vec<Row>,
}

impl<'a> List<'a> {
    fn new(arguments: &'a ListArguments) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        List {
            arguments,
            style: output::style(arguments.json),
            to_terminal: io::stdout().is_terminal(),
            since: arguments.since.map(|since| since.from(now)),
            is_caught_up: false,
            remembered: BTreeMap::new(),
            order: VecDeque::new(),
            hosts: BTreeSet::new(),
            rows: Vec::new(),
            places: HashMap::new(),
            shown: 0,
            problems: 0,
            failed: None,
        }
    }

    fn look(&mut self, log: &mut AlertLog) -> anyhow::Result<()> {
        let looked = log.look(&mut |item| match self.take(item) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        });
        match self.failed.take() {
            Some(error) => Err(error.into()),
            None => looked.map(drop).map_err(Into::into),
        }
    }

    fn take(&mut self, item: Item<'_>) -> io::Result<()> {
        match item {
            Item::Line(line) => match Entry::parse(line.bytes) {
                Ok(entry) => return self.entry(&line, &entry),
                Err(reason) => {
                    let file = line.file.to_string_lossy().into();
                    self.problem(&Problem { file, line: line.number, reason });
                }
            },
            Item::Problem(problem) => self.problem(&problem),
            Item::Gap(gap) => output::say(format_args!("vedette: {}\n", visible(&gap.to_string()))),
        }
        Ok(())
    }

    fn problem(&mut self, problem: &Problem) {
        self.problems += 1;
        output::say(format_args!("{problem}\n"));
    }

    fn entry(&mut self, line: &Line<'_>, entry: &Entry) -> io::Result<()> {
        let is_in_time = if self.is_caught_up {
            true
        } else {
            match self.since {
                // What does not say when it was is not hidden.
                Some(since) => entry.time.is_none_or(|time| time >= since),
                None => !self.arguments.follow,
            }
        };
        let is_shown = match entry.kind {
            Kind::Alert => {
                let is_wanted = self.is_wanted(entry);
                let is_shown = is_wanted && is_in_time;
                self.remember(&entry.id, Remembered { is_wanted, is_shown });
                is_shown
            }
            Kind::Enrichment => match self.remembered.get(entry.id.as_str()) {
                Some(alert) => alert.is_wanted && (alert.is_shown || is_in_time),
                // Its alert is in a file that is gone: it can be of any rule.
                None => self.arguments.rule.is_empty() && self.arguments.severity.is_none() && is_in_time,
            },
        };
        if !is_shown {
            return Ok(());
        }
        self.shown += 1;
        let Some(style) = self.style else {
            return write(&line_out(line.bytes, self.to_terminal));
        };
        let row = match entry.kind {
            Kind::Alert => Row::new(entry.time, &entry.document),
            Kind::Enrichment => Row::more(entry.time, &entry.document),
        };
        if !row.host().is_empty() && self.hosts.len() < 2 {
            self.hosts.insert(row.host().to_owned());
        }
        if self.is_caught_up {
            let (id, with_host) = (self.short(&entry.id), self.hosts.len() > 1);
            return write(
                match entry.kind {
                    Kind::Alert => readable::row(&row, &id, with_host, style),
                    Kind::Enrichment => readable::more(&row, &id, style),
                }
                .as_bytes(),
            );
        }
        self.list(entry, row);
        Ok(())
    }

    /// Keeps a row; an enrichment's with its alert.
    fn list(&mut self, entry: &Entry, row: Row) {
        let id: Arc<str> = entry.id.as_str().into();
        match (entry.kind, self.places.get(&id)) {
            (Kind::Enrichment, Some(at)) => self.rows[*at].more.push(row),
            (Kind::Enrichment, None) => self.rows.push(Listed { id, alert: None, more: vec![row] }),
            (Kind::Alert, _) => {
                self.places.insert(Arc::clone(&id), self.rows.len());
                self.rows.push(Listed { id, alert: Some(row), more: Vec::new() });
            }
        }
    }

    /// Shows what there was when the list began. What comes from here on is shown at once.
    fn caught_up(&mut self) -> io::Result<()> {
        self.is_caught_up = true;
        self.places = HashMap::new();
        let rows = std::mem::take(&mut self.rows);
        let Some(style) = self.style else { return Ok(()) };
        if rows.is_empty() && !self.arguments.follow {
            return Ok(());
        }
        let mut page = readable::header(style);
        let with_host = self.hosts.len() > 1;
        for Listed { id, alert, more } in rows {
            let id = self.short(&id);
            page.extend(alert.map(|row| readable::row(&row, &id, with_host, style)));
            page.extend(more.iter().map(|row| readable::more(row, &id, style)));
            if page.len() > PAGE {
                write(page.as_bytes())?;
                page.clear();
            }
        }
        write(page.as_bytes())
    }

    /// Says on standard error what standard output does not: that there is nothing, and what is missing.
    fn summarise(&self) {
        let file = visible(&self.arguments.file.path().to_string_lossy());
        if self.shown == 0 && self.remembered.is_empty() {
            output::say(format_args!("no alerts in {file} and its rotations\n"));
        } else if self.shown == 0 {
            let count = self.remembered.len();
            output::say(format_args!(
                "no such alerts: {count} in {file} and its rotations, of which none is selected\n"
            ));
        }
        if self.problems > 0 {
            output::say(format_args!("{} lines skipped\n", self.problems));
        }
    }

    fn is_wanted(&self, entry: &Entry) -> bool {
        let ListArguments { rule, severity, .. } = self.arguments;
        (rule.is_empty() || rule.iter().any(|rule| entry.is_of_rule(rule)))
            // What does not say how bad it is is not hidden.
            && severity.is_none_or(|least| entry.severity().is_none_or(|severity| severity >= least))
    }

    fn remember(&mut self, id: &str, alert: Remembered) {
        let id: Arc<str> = id.into();
        if self.remembered.insert(Arc::clone(&id), alert).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.remembered.remove(&oldest);
        }
    }

    /// Returns as much of an id as `show` needs.
    fn short(&self, id: &str) -> String {
        let before = self.remembered.range::<str, _>((Bound::Unbounded, Bound::Excluded(id))).next_back();
        let after = self.remembered.range::<str, _>((Bound::Excluded(id), Bound::Unbounded)).next();
        readable::short_id(id, before.into_iter().chain(after).map(|(id, _)| &**id))
    }
}

/// How much of a list is written at once, in bytes.
const PAGE: usize = 64 << 10;

/// Writes to standard output, at once.
fn write(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(bytes)?;
    output.flush()
}
