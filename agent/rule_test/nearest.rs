//! Why a test's events make no alert: which of them meet which term of the rule.

use std::path::PathBuf;

use eql::Position;
use eql::ast::{Body, EventFilter, JoinKey, Term};
use serde_json::Value as Json;

use super::BEGIN;
use super::outcome::{lines_of, replayed};
use super::recording::Recording;
use crate::alert::AlertKind;
use crate::detector::RuleSet;
use crate::replay::Output;
use crate::rule::{Content, Rule, RuleFile};

/// The most events that are named for a term.
const MAX_NAMED: usize = 5;

/// Says of each term of the only rule which events meet it, when, and with which values of its keys; nothing of a term
/// that says nothing without those before it.
pub(super) fn nearest(rules: &RuleSet, recording: &Recording) -> Vec<String> {
    let [loaded] = rules.rules.as_slice() else { return Vec::new() };
    let Ok(query) = eql::parse(&loaded.rule.query) else { return Vec::new() };
    let mut said = Vec::new();
    let (shared, terms, maxspan): (&[JoinKey], &[Term], _) = match &query.body {
        Body::Event(filter) => {
            return meets(&loaded.rule, "the rule", filter, &[], recording).into_iter().collect();
        }
        Body::Sequence(sequence) => (&sequence.by, &sequence.terms, sequence.maxspan),
        Body::Sample(sample) => (&sample.by, &sample.terms, None),
    };
    for (index, term) in terms.iter().enumerate() {
        let keys: Vec<&str> = shared.iter().chain(&term.by).map(|key| key.path.as_str()).collect();
        let missing = if term.missing { ", which must be missing," } else { "" };
        let name = format!("term {}{missing}", index + 1);
        said.extend(meets(&loaded.rule, &name, &term.filter, &keys, recording));
    }
    if let Some(maxspan) = maxspan {
        said.push(format!("maxspan is {}", seconds(maxspan)));
    }
    said
}

/// Runs a term as a rule of its own.
fn meets(
    rule: &Rule,
    what: &str,
    filter: &EventFilter,
    keys: &[&str],
    recording: &Recording,
) -> Option<String> {
    let term = Rule { query: filter.to_string(), query_position: Position::START, ..rule.clone() };
    let file = RuleFile { path: PathBuf::new(), content: Content::Rule(Box::new(term)) };
    let rules = RuleSet::load(vec![file]);
    if rules.rules.is_empty() {
        return None;
    }
    let mut met = Vec::new();
    let mut more = 0;
    replayed(&rules, recording, |output| match output {
        Output::Alert(alert) if alert.kind == AlertKind::Alert => {
            if met.len() == MAX_NAMED {
                more += 1;
                return;
            }
            let events = &alert.document["vedette"]["events"];
            let Some(line) = lines_of(events, recording).into_iter().next() else { return };
            let mut text = format!("{} (at {}", line.label, seconds(line.time.saturating_sub(BEGIN)));
            for key in keys {
                text.push_str(&format!(", {key} {}", value(&events[0], key)));
            }
            text.push(')');
            met.push(text);
        }
        _ => {}
    });
    let listed = if met.is_empty() { "no event".to_owned() } else { met.join(", ") };
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{what} is met by {listed}{more}"))
}

fn value(event: &Json, path: &str) -> String {
    match event.pointer(&format!("/{}", path.replace('.', "/"))) {
        None | Some(Json::Null) => "unknown".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Nanoseconds as seconds, without zeros that say nothing.
fn seconds(nanoseconds: i64) -> String {
    let text = format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds.unsigned_abs() % 1_000_000_000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} s")
}
