mod loss;

use std::convert::Infallible;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value as Json;

use super::*;
use crate::config::{Bytes, Config};
use crate::replay::{self, Options, Output};
use crate::rule;
use crate::source::{Decoder, Item, Lines, Merge};
use crate::{alert, normaliser as n};

const SECOND: i64 = 1_000_000_000;

/// A clock of which nothing but its steps counts.
pub(super) const START: Now = Now { wall: 1_790_000_000 * SECOND, tick: 5 * SECOND, continuous: 7 * SECOND };

pub(super) fn config(folder: &Path) -> Config {
    let mut config = Config::default();
    config.alerts.file = folder.join("logs/alerts.ndjson");
    config.health.file = folder.join("logs/health.ndjson");
    config.telemetry.file = folder.join("logs/telemetry.ndjson");
    config.status.file = folder.join("status/status.json");
    config.unified_log.enabled = false;
    config
}

pub(super) fn start(config: &Config, now: Now) -> Sensor {
    let (settings, problems) = Settings::new(config, Trust::Own);
    assert_eq!(problems, Vec::<String>::new());
    let rules = RuleSet::load(rule::builtin());
    let host = Host { id: "mac-1".into(), name: Some("mac".into()), ..Host::default() };
    Sensor::start(Setup { host, rules, settings, configuration: status::Configuration::default(), now })
        .expect("a thread")
}

pub(super) fn temporary() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().canonicalize().expect("a path");
    (folder, path)
}

pub(super) fn documents(path: &Path) -> Vec<Json> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a document")).collect()
}

pub(super) fn status_of(config: &Config) -> Status {
    match fs::read_to_string(&config.status.file) {
        Ok(text) => serde_json::from_str(&text).expect("a status"),
        Err(_) => Status::default(),
    }
}

/// Shows a sensor the messages and documents of a recording, each with its time for a tick.
fn show(sensor: &mut Sensor, recordings: &[PathBuf]) {
    show_each(sensor, recordings, |_| {});
}

/// The same, and does something before each.
fn show_each(sensor: &mut Sensor, recordings: &[PathBuf], mut before: impl FnMut(&mut Sensor)) {
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
            before(sensor);
            sensor.observe(position.index as u32, observation);
        }
        ControlFlow::<Infallible>::Continue(())
    });
}

fn replayed(recordings: &[PathBuf]) -> Vec<Json> {
    let rules = RuleSet::load(rule::builtin());
    let files = recordings.iter().map(|path| Lines::open(path).expect("a recording")).collect();
    let mut alerts = Vec::new();
    let options = Options { host_id: "mac-1".into(), ..Options::default() };
    replay::run(&rules, files, &options, |output| {
        match output {
            Output::Alert(alert) => alerts.push(Json::Object(alert.document().clone())),
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
        // A flow stamped to the millisecond, before its process's exec: a live one has a finer clock.
        if !files.is_empty() && name != "flow-in-the-same-millisecond" {
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

fn only_ids_in_tree(document: &mut Json) {
    let tree = document.pointer_mut("/vedette/process_tree").and_then(Json::as_array_mut);
    for node in tree.into_iter().flatten().filter_map(Json::as_object_mut) {
        node.retain(|key, _| key == "entity_id" || key == "relation");
    }
}

#[test]
fn live_equals_replay_and_telemetry_replays_to_the_same_alerts() {
    let (mut alerts, mut rotated, mut wrong) = (0, 0, Vec::new());
    for (name, recordings) in cases() {
        let (_folder, folder) = temporary();
        let mut config = config(&folder);
        config.telemetry.enabled = true;
        config.telemetry.rotate_bytes = Bytes(16 << 10);
        config.telemetry.keep = 100_000;
        config.alerts.per_minute = 1000;
        let mut sensor = start(&config, START);
        show(&mut sensor, &recordings);
        assert_eq!(sensor.stop(START, "the test ends"), 0);
        let mut live = documents(&config.alerts.file);
        let mut recorded = replayed(&recordings);
        let telemetry = parts(&config.telemetry.file);
        rotated += telemetry.len() - 1;
        let mut again = replayed(&telemetry);
        // Lines that are late are lost to a live sensor, whose messages are not; a recording's gaps are no events. What a
        // recording says itself was lost is tests/replay.rs's to compare.
        for documents in [&mut live, &mut recorded, &mut again] {
            documents.retain(|document| document["event"]["action"] != "events_lost");
        }
        alerts += live.len();
        for documents in [&mut live, &mut recorded, &mut again] {
            documents.iter_mut().for_each(comparable);
        }
        if live != recorded {
            wrong.push(format!("{name}: live and replay\n{}", first_difference(&live, &recorded)));
        }
        // A process that began before the sensor is known to a recording by its children's documents only: by its id.
        for documents in [&mut live, &mut again] {
            documents.iter_mut().for_each(only_ids_in_tree);
        }
        if live != again {
            wrong.push(format!("{name}: live and telemetry\n{}", first_difference(&live, &again)));
        }
    }
    assert!(wrong.is_empty(), "{} differ: {}", wrong.len(), wrong.join("\n"));
    assert!(alerts > 30 && rotated > 30, "too few to say anything: {alerts} alerts, {rotated} rotations");
}

/// A file and its older parts, compressed or not, the oldest first: events of the same time keep the order of files.
fn parts(file: &Path) -> Vec<PathBuf> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = fs::read_dir(file.parent().expect("a folder")).expect("the folder");
    let mut parts: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    // A compression that the end cut short is begun anew by the next start; its plain part is still there.
    parts.retain(|part| {
        let own = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        own.starts_with(&name) && !own.ends_with(".part")
    });
    parts.sort_by_key(|part| {
        let end = part.to_string_lossy().into_owned();
        let number =
            end.trim_end_matches(".gz").rsplit('.').next().and_then(|number| number.parse::<u32>().ok());
        std::cmp::Reverse(number.unwrap_or(0))
    });
    parts
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

/// What the health file says, as `event.action`.
fn actions(config: &Config) -> Vec<String> {
    documents(&config.health.file)
        .iter()
        .map(|document| {
            assert_eq!(document["event"]["kind"], "state");
            assert!(document["message"].as_str().is_some_and(|text| !text.is_empty()));
            document["event"]["action"].as_str().expect("an action").to_owned()
        })
        .collect()
}

fn after(seconds: i64) -> Now {
    let Now { wall, tick, continuous } = START;
    Now {
        wall: wall + seconds * SECOND,
        tick: tick + seconds * SECOND,
        continuous: continuous + seconds * SECOND,
    }
}

/// Ticks once a second, as a source does.
fn pass(sensor: &mut Sensor, seconds: std::ops::RangeInclusive<i64>) {
    for second in seconds {
        sensor.tick(after(second));
    }
}

#[test]
fn a_start_heartbeats_and_a_stop() {
    let (_folder, folder) = temporary();
    let mut config = config(&folder);
    config.health.heartbeat = Duration::from_secs(60);
    let mut sensor = start(&config, START);
    pass(&mut sensor, 1..=130);
    assert_eq!(sensor.stop(after(131), "SIGTERM"), 0);
    assert_eq!(actions(&config), ["start", "heartbeat", "heartbeat", "stop"]);
    let builtin = rule::builtin().len();
    let beat = &documents(&config.health.file)[1]["vedette"]["health"];
    assert_eq!(
        (&beat["uptime_s"], &beat["state"], &beat["rules"]["loaded"]),
        (&60.into(), &"running".into(), &builtin.into())
    );
    let status = status_of(&config);
    assert_eq!(
        (status.state, status.pid, status.rules.loaded),
        (State::Stopped, std::process::id(), builtin)
    );
    assert_eq!(status.rules.hash.len(), 64);
    assert_eq!((status.files["health"].delivered, status.files["health"].waiting), (4, 0));
    assert_eq!(status.files["health"].path, config.health.file.display().to_string());
    assert_eq!((status.host_id.as_str(), status.problems.len()), ("mac-1", 0));
    // The next one finds nothing to complain of.
    start(&config, after(140)).stop(after(141), "SIGTERM");
    assert_eq!(actions(&config)[4..], ["start", "stop"]);
}

#[test]
fn a_kill_is_a_blind_window_of_the_next_start() {
    let (_folder, folder) = temporary();
    let config = config(&folder);
    let mut sensor = start(&config, START);
    pass(&mut sensor, 1..=25);
    // Killed: what the thread has written stays, nothing more is said.
    while status_of(&config).timestamp < timestamp::format(after(20).wall) {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(sensor);
    let sensor = start(&config, after(100));
    sensor.stop(after(101), "SIGTERM");
    assert_eq!(actions(&config), ["start", "start", "blind_window", "stop"]);
    let blind = &documents(&config.health.file)[2]["vedette"]["health"];
    assert_eq!(blind["from"], timestamp::format(after(20).wall));
    assert_eq!(blind["to"], timestamp::format(after(100).wall));
    assert_eq!(status_of(&config).blind_windows.len(), 1);
}

#[test]
fn a_stop_is_blind_a_sleep_is_not_and_a_set_clock_is_told() {
    let (_folder, folder) = temporary();
    let config = config(&folder);
    let mut sensor = start(&config, START);
    pass(&mut sensor, 1..=3);
    // SIGSTOP for 60 s: the Mac was awake.
    sensor.tick(after(63));
    // Asleep for an hour: only the clock that counts sleep, and the wall clock, went on.
    let Now { wall, tick, continuous } = after(64);
    let hour = 3600 * SECOND;
    sensor.tick(Now { wall: wall + hour, tick, continuous: continuous + hour });
    // Set back by an hour, within a second.
    let Now { wall, tick, continuous } = after(65);
    sensor.tick(Now { wall, tick, continuous: continuous + hour });
    sensor.stop(Now { wall, tick, continuous: continuous + hour }, "SIGTERM");
    assert_eq!(actions(&config), ["start", "blind_window", "clock_step", "stop"]);
    let health = documents(&config.health.file);
    let message = |at: usize| health[at]["message"].as_str().expect("a message").to_owned();
    assert!(message(1).ends_with("the sensor was stopped, or did not get to run"), "{}", message(1));
    assert!(message(2).starts_with("the clock was set by -3600.000 s"), "{}", message(2));
}

#[test]
fn an_alert_file_that_cannot_be_written_is_told_and_caught_up_with() {
    let (_folder, folder) = temporary();
    let mut config = config(&folder);
    config.alerts.file = folder.join("other/alerts.ndjson");
    fs::write(folder.join("other"), "in the way").expect("a file");
    let mut sensor = start(&config, START);
    let (_, recordings) = cases().into_iter().find(|(name, _)| name == "array-tokens").expect("the case");
    show(&mut sensor, &recordings);
    let wait_for = |sensor: &mut Sensor, second: i64, state: State| {
        for _ in 0..60_000 {
            sensor.tick(after(second));
            if status_of(&config).state == state {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the state is {:?}", status_of(&config).state);
    };
    wait_for(&mut sensor, 1, State::Degraded);
    let problem = status_of(&config).problems["alert file"].clone();
    assert!(problem.contains("this is a link or no folder"), "{problem}");
    fs::remove_file(folder.join("other")).expect("it is removed");
    wait_for(&mut sensor, 2, State::Running);
    assert_eq!(sensor.stop(after(3), "SIGTERM"), 0);
    assert!(!documents(&config.alerts.file).is_empty());
    assert_eq!(actions(&config), ["start", "degraded", "recovered", "stop"]);
}

#[test]
fn telemetry_holds_what_the_filter_selects() {
    let (_folder, folder) = temporary();
    let text = "telemetry.enabled = true\ntelemetry.filter = 'network where destination.port == 443'\n";
    let file = folder.join("config.toml");
    fs::write(&file, text).expect("a file");
    let place = |path: PathBuf| crate::config::Place { path, installed: false };
    let paths = crate::config::Paths { file: place(file), managed: place(folder.join("none")) };
    let loaded = crate::config::load(&paths);
    assert!(!loaded.has_errors(), "{:?}", loaded.findings);
    let mut config = config(&folder);
    config.telemetry.enabled = loaded.config.telemetry.enabled;
    config.telemetry.filter = loaded.config.telemetry.filter;
    let mut sensor = start(&config, START);
    for (_, recordings) in cases().into_iter().filter(|(name, _)| name == "array-tokens") {
        show(&mut sensor, &recordings);
    }
    sensor.stop(START, "the test ends");
    let written = documents(&config.telemetry.file);
    assert!(!written.is_empty());
    for event in written {
        assert_eq!(
            (&event["event"]["category"][0], &event["destination"]["port"]),
            (&"network".into(), &443.into())
        );
    }
}

#[test]
fn a_noisy_rule_spends_its_budget_and_the_rest_is_counted() {
    let (_folder, folder) = temporary();
    let mut config = config(&folder);
    config.alerts.per_minute = 1;
    let mut sensor = start(&config, START);
    let mut recordings: Vec<_> = cases().into_iter().filter(|(name, _)| name == "two-packages").collect();
    let (_, recordings) = recordings.pop().expect("the case");
    show(&mut sensor, &recordings);
    let counts = sensor.detector.counts().clone();
    let left_out = sensor.detector.left_out();
    sensor.stop(START, "the test ends");
    let said = documents(&config.alerts.file);
    let summaries: u64 = said.iter().filter_map(|d| d["vedette"]["left_out"]["count"].as_u64()).sum();
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert!(left_out > 0 && summaries == left_out, "{summaries} told of {left_out}");
    assert_eq!(status_of(&config).events.alerts_left_out, left_out);
}

/// Ten thousand reloads under load, between sets that share the built-in rules: the same alerts, nothing left behind.
#[test]
fn reloads_lose_no_sequence_and_leave_nothing_behind() {
    let extra = "[rule]\nrule_id = \"extra\"\nname = \"extra\"\nquery = '''\nsequence by process.pid with maxspan=1m\n\
                 [process where event.action == \"exec\"] [process where event.action == \"end\" and process.pid < 0]\n'''\n";
    let set = |with_extra: bool| {
        let mut files = rule::builtin();
        if with_extra {
            let content = rule::parse(Path::new("extra.toml"), extra, "local");
            files.push(rule::RuleFile { path: "extra.toml".into(), content });
            // And in another order.
            files.reverse();
        }
        RuleSet::load(files)
    };
    let sets = [set(false), set(true)];
    let cases: Vec<_> = cases()
        .into_iter()
        .filter(|(name, _)| name == "two-packages" || name == "consumed-pending")
        .collect();
    let (mut reloads, mut alerts) = (0, 0);
    while reloads < 10_000 {
        for (name, recordings) in &cases {
            let (_folder, folder) = temporary();
            let mut config = config(&folder);
            config.alerts.per_minute = 1000;
            let mut sensor = start(&config, START);
            show_each(&mut sensor, recordings, |sensor| {
                for _ in 0..20 {
                    sensor.reload(&sets[reloads % 2], &[]);
                    reloads += 1;
                }
            });
            assert_eq!(sensor.detector.rules(), sets[(reloads + 1) % 2].rules.len());
            let partials = sensor.detector.status().partials;
            assert!(partials < 200, "{partials} partials wait");
            sensor.stop(START, "the test ends");
            let mut live = documents(&config.alerts.file);
            let mut recorded = replayed(recordings);
            alerts += live.len();
            for documents in [&mut live, &mut recorded] {
                documents.iter_mut().for_each(comparable);
                documents.retain(|document| document["event"]["kind"] == "alert");
                // Which of two rules speaks first about one event is their order.
                documents.sort_by_key(|document| document["event"]["id"].to_string());
            }
            assert_eq!(live, recorded, "{name}");
        }
    }
    assert!(alerts > 10, "{alerts}");
}

/// What rules cost stands in the status, over reloads too; an exception's work is told of the rule that it was done to.
#[test]
fn the_status_says_what_each_rule_has_done() {
    const RULE: &str = "99239e7d-b0d4-46e3-8609-acafcf99f68c";
    let exception = "[[exceptions]]\nid = \"all\"\nrules = [\"99239e7d-b0d4-46e3-8609-acafcf99f68c\"]\n\
                     condition = 'network where true'\nowner = \"o\"\nreason = \"r\"\nexpires = 2099-01-01\n";
    let excepted = crate::exception::parse(Path::new("e.toml"), exception).exceptions;
    assert_eq!(excepted.len(), 1);
    let excepting = RuleSet::load_over(crate::schema::schema(), rule::builtin(), excepted);
    let (_folder, folder) = temporary();
    let config = config(&folder);
    let recording =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay/silver-sparrow/events.ndjson");
    let mut sensor = start(&config, START);
    for _ in 0..300 {
        show(&mut sensor, std::slice::from_ref(&recording));
    }
    sensor.reload(&excepting, &[]);
    show(&mut sensor, std::slice::from_ref(&recording));
    let events = sensor.detector.status().events;
    sensor.stop(START, "the test ends");
    let cost = status_of(&config).rules.costs.remove(RULE).expect("its cost");
    assert_eq!(cost.name, "Installer package starts a shell, and a download tool connects out");
    assert!(cost.evaluations > 0 && cost.evaluations <= events, "{cost:?} of {events} events");
    // The same recording again matches again, and its alert is not written again.
    assert_eq!((cost.matches, cost.alerts), (300, 1), "{cost:?}");
    assert!(cost.excepted > 0 && cost.time_ns > 0, "{cost:?}");
}

/// A configuration that is read anew is told with hash and owner; what is wrong in it and in rules is told with its place,
/// and both recover.
#[test]
fn what_a_look_at_the_files_has_found_is_told() {
    let (_folder, folder) = temporary();
    let config = config(&folder);
    let mut sensor = start(&config, START);
    let file = |hash: &str| LoadedFile { path: "config.toml".into(), sha256: hash.into(), owner: Some(0) };
    let wrong = vec!["config.toml:3:8: error: `alerts.keep` takes a whole number".to_owned()];
    let content = || {
        let rules = RuleSet::load(rule::builtin());
        let files = vec![LoadedFile { path: "a.toml".into(), sha256: "ab".into(), owner: Some(501) }];
        Changed::Content(Box::new(crate::content::Content { rules, files, problems: Vec::new() }))
    };
    sensor.configured(vec![file("1")], &[]);
    let refused = (1..=5).map(|line| format!("b.toml:{line}:1: error: no")).collect();
    sensor.take(Look {
        configuration: vec![file("2")],
        wrong: wrong.clone(),
        found: Changed::Refused(refused),
    });
    assert_eq!(sensor.problems["configuration"], wrong[0]);
    assert!(
        sensor.problems["rules"].starts_with("b.toml:1:1: error: no; b.toml:2:1"),
        "{:?}",
        sensor.problems
    );
    assert!(sensor.problems["rules"].ends_with("; and 2 more"), "{:?}", sensor.problems);
    assert_eq!(sensor.detector.rules(), rule::builtin().len(), "what ran goes on");
    sensor.take(Look { configuration: vec![file("3")], wrong: Vec::new(), found: content() });
    // The same configuration again is not told again.
    sensor.take(Look { configuration: vec![file("3")], wrong: Vec::new(), found: content() });
    assert!(sensor.problems.is_empty());
    sensor.stop(START, "the test ends");
    let told: Vec<(String, Json)> = documents(&config.health.file)
        .into_iter()
        .map(|document| {
            (
                document["event"]["action"].as_str().unwrap_or_default().to_owned(),
                document["vedette"]["health"].clone(),
            )
        })
        .filter(|(action, _)| action.ends_with("_loaded"))
        .collect();
    let hashes: Vec<String> = told
        .iter()
        .map(|(action, facts)| {
            let file = &facts["files"][0];
            format!("{action} {} {} {}", file["path"], file["sha256"], file["owner"])
        })
        .collect();
    assert_eq!(
        hashes,
        [
            "configuration_loaded \"config.toml\" \"1\" 0",
            "configuration_loaded \"config.toml\" \"2\" 0",
            "configuration_loaded \"config.toml\" \"3\" 0",
            "rules_loaded \"a.toml\" \"ab\" 501",
            "rules_loaded \"a.toml\" \"ab\" 501",
        ]
    );
}
