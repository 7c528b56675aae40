//! Runs a test, and says what came of it.

use std::convert::Infallible;
use std::io::Cursor;
use std::ops::ControlFlow;

use eql::{Diagnostic, Position};
use serde_json::Value as Json;

use super::file::{Must, Test};
use super::recording::{self, Recording};
use crate::alert::AlertKind;
use crate::detector::RuleSet;
use crate::explain::explain;
use crate::readable;
use crate::replay::{self, Options, Output};
use crate::rule::Finding;
use crate::source::{Lines, Problem};

/// What came of a test.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// What was expected.
    Passed,
    /// Something else.
    Failed(Failure),
    /// It could not be run: a line that it brings is no event.
    Broken(Finding),
}

/// What was expected, and what came instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the test says must come, in words.
    pub expected: String,
    /// What came, in words.
    pub came: String,
    /// The events of each alert that came, by their labels.
    pub alerts: Vec<Vec<String>>,
    /// The events that were written after alerts, by their labels.
    pub followed: Vec<String>,
    /// Where an alert was missing: what came nearest to it and what kept it, a sentence each.
    pub nearest: Vec<String>,
}

/// What a rule said of a recording: the labels of events.
#[derive(Debug, Default)]
struct Said {
    alerts: Vec<Vec<String>>,
    followed: Vec<String>,
}

/// Runs a test over rules, usually the one that it is of, with their exceptions.
pub fn run(rules: &RuleSet, test: &Test) -> Outcome {
    let broken = |diagnostic: &Diagnostic| {
        Outcome::Broken(Finding::new(&test.path, Position::START, &test.source, diagnostic))
    };
    // It was recorded when the test was read, so this gives what it gave then.
    let recording = match recording::record(&test.scenario) {
        Ok(recording) => recording,
        Err(diagnostic) => return broken(&diagnostic),
    };
    let said = match replay_of(rules, &recording) {
        Ok(said) => said,
        Err(diagnostic) => return broken(&diagnostic),
    };
    if holds(test, &said) {
        return Outcome::Passed;
    }
    let lacking = test.must == Must::Alert && said.alerts.len() < wanted(test);
    Outcome::Failed(Failure {
        expected: expected(test),
        came: came(&said),
        nearest: if lacking { nearest(rules, &recording) } else { Vec::new() },
        alerts: said.alerts,
        followed: said.followed,
    })
}

/// How many alerts there must be at least.
fn wanted(test: &Test) -> usize {
    let listed = test.matches.as_ref().map(Vec::len);
    listed.or(test.alerts.map(|count| count as usize)).unwrap_or(1)
}

fn holds(test: &Test, said: &Said) -> bool {
    let count = said.alerts.len() as u64;
    let verdict = match test.must {
        Must::Alert => count > 0,
        Must::NotAlert => count == 0,
    };
    verdict
        && test.alerts.is_none_or(|alerts| alerts == count)
        && test.matches.as_ref().is_none_or(|matches| *matches == said.alerts)
        && test.followed.as_ref().is_none_or(|followed| *followed == said.followed)
}

/// Replays a recording and tells its events by their labels.
fn replay_of(rules: &RuleSet, recording: &Recording) -> Result<Said, Diagnostic> {
    let mut said = Said::default();
    let mut problem = None;
    replay::run(rules, vec![lines(recording)], &Options::default(), |output| {
        match output {
            Output::Alert(alert) => {
                let vedette = &alert.document()["vedette"];
                match alert.kind {
                    AlertKind::Alert => said.alerts.push(labels(&vedette["events"], recording)),
                    AlertKind::Enrichment => said.followed.extend(labels(&vedette["related"], recording)),
                    // Only a budget makes one, and a replay has none.
                    AlertKind::Summary => {}
                }
            }
            Output::Problem(found) => {
                let line = found.line.checked_sub(1).and_then(|at| recording.lines.get(at as usize));
                let span = line.map(|line| line.span).unwrap_or_default();
                let message = format!("this is no event: {}", found.reason);
                problem.get_or_insert(Diagnostic::error(span, message));
            }
        }
        ControlFlow::<Infallible>::Continue(())
    });
    problem.map_or(Ok(said), Err)
}

/// Says of a rule that should have alerted what came nearest.
fn nearest(rules: &RuleSet, recording: &Recording) -> Vec<String> {
    let [loaded] = rules.rules.as_slice() else { return Vec::new() };
    let each = |_: &Problem| ControlFlow::<Infallible>::Continue(());
    let exceptions = rules.exceptions.iter().map(|own| (*own.exception).clone()).collect();
    match explain(&loaded.rule, exceptions, vec![lines(recording)], &Options::default(), each) {
        Ok((explanation, ..)) => readable::nearest(&explanation),
        // It compiled when it was loaded.
        Err(_) => Vec::new(),
    }
}

fn lines(recording: &Recording) -> Lines {
    Lines::from_reader("test", Cursor::new(recording.text.clone().into_bytes()))
}

/// The labels of an alert's events; the slot of a missing event is left out.
fn labels(events: &Json, recording: &Recording) -> Vec<String> {
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    let numbers = events.iter().filter_map(|event| event["event"]["sequence"].as_u64());
    numbers.filter_map(|number| recording.numbered(number)).map(|line| line.label.clone()).collect()
}

fn expected(test: &Test) -> String {
    let mut text = match (test.must, &test.matches, test.alerts) {
        (Must::NotAlert, ..) => "no alert".to_owned(),
        (_, Some(matches), _) => alerts(matches),
        (_, None, Some(1)) => "1 alert".to_owned(),
        (_, None, Some(count)) => format!("{count} alerts"),
        (_, None, None) => "an alert".to_owned(),
    };
    if let Some(followed) = &test.followed {
        text.push_str(&followed_by(followed));
    }
    text
}

fn came(said: &Said) -> String {
    let followed = if said.followed.is_empty() { String::new() } else { followed_by(&said.followed) };
    alerts(&said.alerts) + &followed
}

/// `2 alerts: bash, curl connects; bash, payload`.
fn alerts(alerts: &[Vec<String>]) -> String {
    let listed: Vec<String> = alerts.iter().take(10).map(|events| events.join(", ")).collect();
    let more = if alerts.len() > listed.len() { "; …" } else { "" };
    match alerts.len() {
        0 => "no alert".to_owned(),
        1 => format!("1 alert: {}", listed.join("")),
        count => format!("{count} alerts: {}{more}", listed.join("; ")),
    }
}

fn followed_by(labels: &[String]) -> String {
    if labels.is_empty() {
        ", followed by nothing".to_owned()
    } else {
        format!(", followed by {}", labels.join(", "))
    }
}
