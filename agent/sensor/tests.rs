use std::convert::Infallible;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::*;
use crate::config::Config;
use crate::replay::{self, Options, Output};
use crate::rule::{self, Content};
use crate::source::{Decoder, Item, Lines, Merge};
use crate::{alert, normaliser as n};

const SECOND: i64 = 1_000_000_000;

/// A clock of which nothing but its steps counts.
const START: Now = Now { wall: 1_790_000_000 * SECOND, tick: 5 * SECOND, continuous: 7 * SECOND };

fn config(folder: &Path) -> Config {
    let mut config = Config::default();
    config.alerts.file = folder.join("logs/alerts.ndjson");
    config.health.file = folder.join("logs/health.ndjson");
    config.telemetry.file = folder.join("logs/telemetry.ndjson");
    config.status.file = folder.join("status/status.json");
    config.unified_log.enabled = false;
    config
}

fn start(config: &Config, now: Now) -> Sensor {
    let (settings, problems) = Settings::new(config, Trust::Own);
    assert_eq!(problems, Vec::<String>::new());
    let rules = RuleSet::load(rule::builtin());
    let host = Host { id: "mac-1".into(), name: Some("mac".into()), ..Host::default() };
    Sensor::start(Setup { host, rules, settings, configuration: status::Configuration::default(), now })
        .expect("a thread")
}

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().canonicalize().expect("a path");
    (folder, path)
}

fn documents(path: &Path) -> Vec<Json> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a document")).collect()
}

fn status_of(config: &Config) -> Status {
    let text = fs::read_to_string(&config.status.file).expect("a status");
    serde_json::from_str(&text).expect("a status")
}

/// Shows a sensor the messages and documents of a recording, each with its time for a tick.
fn show(sensor: &mut Sensor, recordings: &[PathBuf]) {
    let rules = RuleSet::load(rule::builtin());
    let mut ids: Vec<_> = n::wanted().into_iter().map(|(_, id)| id).collect();
    ids.extend(alert::READ);
    ids.extend(rules.rules.iter().flat_map(|loaded| loaded.program.fields()));
    let wanted = ids.iter().map(|id| (*id, rules.schema.path(*id)));
    let files = recordings.iter().map(|path| Lines::open(path).expect("a recording")).collect();
    let mut merge = Merge::new(Decoder::recording(wanted, false), files);
    let _ = merge.try_for_each(|item| {
        if let Item::Observation(mut observation, position) = item {
            match &mut observation {
                Observation::Message(message) => message.tick = Some(message.time),
                Observation::Document(document) => document.tick = Some(document.time),
            }
            sensor.observe(position.index as u32, observation);
        }
        ControlFlow::<Infallible>::Continue(())
    });
}

fn replayed(recordings: &[PathBuf]) -> Vec<Json> {
    let rules = RuleSet::load(rule::builtin());
    let files = recordings.iter().map(|path| Lines::open(path).expect("a recording")).collect();
    let mut alerts = Vec::new();
    let options = Options { host_id: "mac-1".into() };
    replay::run(&rules, files, &options, |output| {
        match output {
            Output::Alert(alert) => alerts.push(Json::Object(alert.document.clone())),
            Output::Problem(problem) => panic!("{problem}"),
        }
        ControlFlow::<Infallible>::Continue(())
    });
    alerts
}

/// Every recording of the replay tests that has one host, as (its name, its files).
fn cases() -> Vec<(String, Vec<PathBuf>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay");
    let mut cases = Vec::new();
    for entry in fs::read_dir(&root).expect("the folder of cases") {
        let folder = entry.expect("an entry").path();
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| {
                path.extension().is_some_and(|e| e == "ndjson") && !path.ends_with("alerts.ndjson")
            })
            .collect();
        files.sort_by_key(|path| (!path.ends_with("events.ndjson"), path.clone()));
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !files.is_empty() {
            cases.push((name, files));
        }
    }
    cases.sort();
    cases
}

/// Leaves out what a recording cannot know: ticks, and what the sensor knows of its host.
fn comparable(document: &mut Json) {
    match document {
        Json::Object(object) => {
            object.remove("tick");
            if let Some(Json::Object(host)) = object.get_mut("host") {
                host.retain(|key, _| key == "id" || key == "os");
            }
            object.values_mut().for_each(comparable);
            object.retain(|_, value| !value.as_object().is_some_and(serde_json::Map::is_empty));
        }
        Json::Array(items) => items.iter_mut().for_each(comparable),
        _ => {}
    }
}

#[test]
fn live_equals_replay_and_telemetry_replays_to_the_same_alerts() {
    let (mut alerts, mut wrong) = (0, Vec::new());
    for (name, recordings) in cases() {
        let (_folder, folder) = temporary();
        let mut config = config(&folder);
        config.telemetry.enabled = true;
        config.alerts.per_minute = 1000;
        let mut sensor = start(&config, START);
        show(&mut sensor, &recordings);
        assert_eq!(sensor.stop(START, "the test ends"), 0);
        let mut live = documents(&config.alerts.file);
        let mut recorded = replayed(&recordings);
        let mut again = replayed(std::slice::from_ref(&config.telemetry.file));
        alerts += live.len();
        for documents in [&mut live, &mut recorded, &mut again] {
            documents.iter_mut().for_each(comparable);
        }
        if live != recorded {
            wrong.push(format!("{name}: live and replay\n{}", first_difference(&live, &recorded)));
        }
        if live != again {
            wrong.push(format!("{name}: live and telemetry\n{}", first_difference(&live, &again)));
        }
    }
    assert!(wrong.is_empty(), "{} differ: {}", wrong.len(), wrong.join("\n"));
    assert!(alerts > 30, "too few alerts to say anything: {alerts}");
}

fn first_difference(a: &[Json], b: &[Json]) -> String {
    let lines = |documents: &[Json]| {
        let text: Vec<String> =
            documents.iter().map(|d| serde_json::to_string_pretty(d).expect("a document")).collect();
        text.join("\n")
    };
    let (a, b) = (lines(a), lines(b));
    let at = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| text.lines().skip(at.saturating_sub(6)).take(12).collect::<Vec<_>>().join("\n");
    format!("--- {} documents\n{}\n--- {} documents\n{}", a.len(), around(&a), b.len(), around(&b))
}
