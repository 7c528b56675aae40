//! Tests as they are written: `[[tests]]` and `[processes]`, in a rule's own TOML or in `NAME.tests.toml` beside it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eql::{Diagnostic, Position, Span};

use super::MAX_RECORDING;
use super::event::{self, Definition, Scenario};
use super::recording::{self, Recording};
use super::table::{self, Placed, Table};
use crate::rule::Finding;

/// One test: what happens, and what must come of it.
#[derive(Clone, Debug)]
pub struct Test {
    /// What it shows; no other test of the file is called so.
    pub name: String,
    /// Why, where the verdict may surprise.
    pub why: Option<String>,
    /// The verdict.
    pub must: Must,
    /// How many alerts there must be, where it is said.
    pub alerts: Option<u64>,
    /// The events of each alert by their labels, in the order of the alerts, where it is said.
    pub matches: Option<Vec<Vec<String>>>,
    /// The events by their labels that are written after alerts as enrichment, where it is said.
    pub followed: Option<Vec<String>>,
    /// The file.
    pub path: PathBuf,
    /// Where it stands in the file.
    pub position: Position,
    /// The file's text.
    pub(super) source: Arc<str>,
    pub(super) scenario: Scenario,
}

/// What must come of a test's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// At least one alert.
    Alert,
    /// No alert.
    NotAlert,
}

impl Must {
    /// Returns it as it is written.
    pub fn text(self) -> &'static str {
        match self {
            Must::Alert => "alert",
            Must::NotAlert => "not alert",
        }
    }
}

/// What came of reading a file: what is wrong with one test does not lose the others.
#[derive(Debug, Default)]
pub(super) struct Tests {
    pub(super) tests: Vec<Test>,
    pub(super) findings: Vec<Finding>,
}

/// How many tests a file may hold: finding the line of each takes a look at the whole file.
const MAX_TESTS: usize = 1000;

/// How many mistakes of a file are told.
const MAX_FINDINGS: usize = 100;

const TEST: &[&str] = &["name", "why", "must", "alerts", "matches", "followed", "forks", "events"];

/// Reads the tests in a rule's own file, of which all else is the rule's. A file that is no TOML has none: the rule
/// says so.
pub(super) fn inline(path: &Path, text: &str) -> Tests {
    match table::parse(text) {
        Ok(table) if table.place("tests").is_some() => read(path, text, table, false),
        _ => Tests::default(),
    }
}

/// Reads a file of tests.
pub(super) fn beside(path: &Path, text: &str) -> Tests {
    match table::parse(text) {
        Ok(table) => read(path, text, table, true),
        Err(diagnostic) => Tests { findings: vec![found(path, text, &diagnostic)], ..Tests::default() },
    }
}

fn found(path: &Path, text: &str, diagnostic: &Diagnostic) -> Finding {
    Finding::new(path, Position::START, text, diagnostic)
}

/// Reads all tests of a file; `whole` says that there is nothing else in it.
fn read(path: &Path, text: &str, mut table: Table<'_>, whole: bool) -> Tests {
    let mut tests = Tests::default();
    let mut wrong = |diagnostic: Diagnostic| tests.findings.push(found(path, text, &diagnostic));
    let processes = match event::processes(&mut table) {
        Ok(processes) => Arc::new(processes),
        Err(diagnostic) => {
            // Its processes are missing, so nothing true can be said of the tests.
            wrong(diagnostic);
            return tests;
        }
    };
    let listed = match table.tables("tests") {
        Ok(Some(listed)) => listed,
        Ok(None) => {
            wrong(
                Diagnostic::error(Span::default(), "there is no test in this file")
                    .with_hint("a test begins with [[tests]]"),
            );
            return tests;
        }
        Err(diagnostic) => {
            wrong(diagnostic);
            return tests;
        }
    };
    if let Some(Err(diagnostic)) = whole.then(|| table.finish("a file of tests", &["processes", "tests"])) {
        wrong(diagnostic);
    }
    if listed.value.len() > MAX_TESTS {
        let message = format!("there are more than {MAX_TESTS} tests in this file");
        wrong(Diagnostic::error(listed.span, message).with_hint("put some beside a rule of their own"));
        return tests;
    }
    let source: Arc<str> = text.into();
    let mut names = HashSet::new();
    let mut left = MAX_RECORDING;
    let mut untold = 0;
    for table in listed.value {
        let span = table.span;
        let test = test(path, &source, table, &processes).and_then(|(test, size)| {
            if !names.insert(test.name.clone()) {
                let message = format!("another test of this file is called {:?} too", test.name);
                return Err(Diagnostic::error(span, message));
            }
            left = left.checked_sub(size).ok_or_else(|| {
                let message = format!("the tests of this file come to more than {} MiB", MAX_RECORDING >> 20);
                Diagnostic::error(span, message).with_hint("put some into a rule file of their own")
            })?;
            Ok(test)
        });
        match test {
            Ok(test) => tests.tests.push(test),
            Err(_) if tests.findings.len() >= MAX_FINDINGS => untold += 1,
            Err(diagnostic) => tests.findings.push(found(path, text, &diagnostic)),
        }
    }
    if untold > 0 {
        let diagnostic =
            Diagnostic::error(listed.span, format!("{untold} more tests of this file are wrong"));
        tests.findings.push(found(path, text, &diagnostic));
    }
    tests
}

/// Reads one test; returns it with the size of its recording, in bytes.
fn test(
    path: &Path,
    source: &Arc<str>,
    mut table: Table<'_>,
    processes: &Arc<BTreeMap<String, Definition>>,
) -> Result<(Test, usize), Diagnostic> {
    let span = table.span;
    let missing =
        |what: &str, hint: &str| Diagnostic::error(span, format!("the test has no {what}")).with_hint(hint);
    let name = table.text("name")?.ok_or_else(|| missing("name", "add `name = \"…\"`: what it shows"))?;
    let why = table.text("why")?.map(|why| why.value);
    let verdict = table
        .text("must")?
        .ok_or_else(|| missing("verdict", "add `must = \"alert\"` or `must = \"not alert\"`"))?;
    let must = [Must::Alert, Must::NotAlert].into_iter().find(|must| must.text() == verdict.value);
    let must = must.ok_or_else(|| {
        let message = format!("{:?} is no verdict", verdict.value);
        Diagnostic::error(verdict.span, message).with_hint("use \"alert\" or \"not alert\"")
    })?;
    let (alerts, matches) = (table.number("alerts", u32::MAX)?, table.lists("matches")?);
    let followed = table.texts("followed")?;
    let forks = table.flag("forks")?.is_none_or(|forks| forks.value);
    let events =
        table.tables("events")?.ok_or_else(|| missing("events", "add `events = [{ exec = \"…\" }]`"))?;
    let events = events.value.into_iter().map(event::happening).collect::<Result<Vec<_>, _>>()?;
    table.finish("a test", TEST)?;
    let scenario = Scenario { processes: processes.clone(), events, forks };
    let recording = recording::record(&scenario)?;
    check_expected(must, alerts.as_ref(), matches.as_ref(), followed.as_ref(), &recording)?;
    let test = Test {
        name: name.value,
        why,
        must,
        alerts: alerts.map(|alerts| u64::from(alerts.value)),
        matches: matches.map(|matches| matches.value),
        followed: followed.map(|followed| followed.value),
        path: path.to_owned(),
        position: Position::of(span.start, source),
        source: source.clone(),
        scenario,
    };
    Ok((test, recording.text.len()))
}

/// Says what in the expectation contradicts itself, or names what does not happen.
fn check_expected(
    must: Must,
    alerts: Option<&Placed<u32>>,
    matches: Option<&Placed<Vec<Vec<String>>>>,
    followed: Option<&Placed<Vec<String>>>,
    recording: &Recording,
) -> Result<(), Diagnostic> {
    let count = alerts.map(|alerts| (alerts.value as usize, alerts.span));
    for (count, span) in
        [count, matches.map(|matches| (matches.value.len(), matches.span))].into_iter().flatten()
    {
        match must {
            Must::Alert if count == 0 => {
                return Err(Diagnostic::error(span, "a test that must alert has at least one alert"));
            }
            Must::NotAlert => {
                return Err(Diagnostic::error(span, "a test that must not alert has no alerts to speak of"));
            }
            Must::Alert => {}
        }
    }
    if let (Some((count, span)), Some(matches)) = (count, matches)
        && count != matches.value.len()
    {
        let message = format!("`alerts` says {count}, and `matches` lists {}", matches.value.len());
        return Err(Diagnostic::error(span, message).with_hint("`matches` alone is enough"));
    }
    let matched = matches.iter().flat_map(|list| list.value.iter().flatten().map(|label| (label, list.span)));
    let after = followed.iter().flat_map(|list| list.value.iter().map(|label| (label, list.span)));
    for (label, span) in matched.chain(after) {
        match recording.labelled(label).take(2).count() {
            1 => {}
            0 => {
                let labels: Vec<&str> = recording.lines.iter().map(|line| line.label.as_str()).collect();
                let message = format!("no event of this test is called {label:?}");
                return Err(
                    Diagnostic::error(span, message).with_hint(format!("there are: {}", shown(&labels)))
                );
            }
            _ => {
                let message = format!("more than one event of this test is called {label:?}");
                return Err(Diagnostic::error(span, message).with_hint("give one of them a `label`"));
            }
        }
    }
    Ok(())
}

/// The first of some labels, for a hint.
fn shown(labels: &[&str]) -> String {
    let mut text = labels.iter().take(12).copied().collect::<Vec<_>>().join(", ");
    if labels.len() > 12 {
        text.push_str(", …");
    }
    text
}
