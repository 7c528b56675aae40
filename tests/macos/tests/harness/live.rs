//! `vedette run` with an Endpoint Security that is told scenarios: what it reports and writes.

use super::{Setup, root};
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

/// What a run of the sensor left behind.
struct Run {
    /// Of the process: 0.
    status: Option<i32>,
    /// status.json, as text.
    told: String,
    /// alerts.ndjson.
    alerts: String,
    /// health.ndjson.
    health: String,
    /// What went to unified logging, a line each.
    log: String,
    /// The last line of Endpoint Security's own report.
    report: String,
    /// The Mac's files.
    mac: tempfile::TempDir,
}

/// A rule for the tests: built-in ones need connections, which no live source tells of yet.
const RULE: &str = r#"
[rule]
rule_id = "00000000-0000-4000-8000-000000000001"
name = "curl runs"
description = "For tests."
severity = "medium"
risk_score = 47
version = 1
type = "eql"
language = "eql"
query = 'process where event.type == "start" and process.name == "curl"'
"#;

#[test]
fn an_install_chain_is_evaluated_alerts_once_and_every_message_is_released() {
    let Some(setup) = Setup::from_environment("the live install chain") else { return };
    let run = live(&setup, "install-chain.toml", "told all");
    assert_eq!(run.status, Some(0), "{}", run.log);
    assert_eq!(run.report, "delivered 5 alive 0");
    assert!(
        run.told.contains(r#""received":5,"dropped":{},"missing":{},"missing_in_all":0"#),
        "{}",
        run.told
    );
    assert!(run.told.contains(r#""evaluated":5"#), "{}", run.told);
    assert_eq!(run.alerts.lines().count(), 1, "{}{}", run.alerts, run.log);
    assert!(run.alerts.contains("https://example.com/payload"), "{}", run.alerts);
    // The line in unified logging begins with the same event.id as the document in the file has.
    let logged: Vec<&str> =
        run.log.lines().filter_map(|line| line.strip_prefix("error dev.vedette.sensor alert ")).collect();
    let [line] = logged[..] else { panic!("one line: {}", run.log) };
    let id = line.split(' ').next().unwrap_or_default();
    assert_eq!(id.len(), 32, "{line}");
    assert!(run.alerts.contains(&format!(r#""id":"{id}""#)), "{}{}", run.alerts, run.log);
}

#[test]
fn a_stop_is_a_blind_window() {
    let Some(setup) = Setup::from_environment("SIGSTOP and SIGCONT") else { return };
    let run = live_and(&setup, "install-chain.toml", "told all", |sensor, mac| {
        sensor.signal("STOP");
        // More than the five seconds that count as late.
        std::thread::sleep(Duration::from_secs(7));
        sensor.signal("CONT");
        wait_for(&mac.join(HEALTH), r#""action":"blind_window""#);
    });
    assert_eq!(run.status, Some(0), "{}", run.log);
    assert!(run.health.contains("the sensor was stopped, or did not get to run"), "{}", run.health);
    assert!(run.told.contains(r#""blind_windows":[{"#), "{}", run.told);
}

#[test]
fn a_rule_that_is_added_runs_and_a_broken_one_takes_nothing_away() {
    let Some(setup) = Setup::from_environment("a reload") else { return };
    let run = live_and(&setup, "install-chain.toml", "told all", |_, mac| {
        let rules = mac.join(RULES);
        let second = RULE.replace("000000000001", "000000000002");
        fs::write(rules.join("second.toml"), &second).expect("a rule");
        let status = mac.join("Library/Application Support/Vedette/status.json");
        wait_for(&status, r#""loaded":4"#);
        fs::write(rules.join("second.toml"), second.replace("==", "=")).expect("a broken rule");
        wait_for(&status, "second.toml:");
    });
    assert_eq!(run.status, Some(0), "{}", run.log);
    assert!(run.told.contains(r#""loaded":4"#), "{}", run.told);
    assert_eq!(run.health.matches(r#""action":"rules_loaded""#).count(), 2, "{}", run.health);
    assert!(run.health.contains("error: `=` is not an operator"), "{}", run.health);
}

#[test]
fn what_stands_in_the_alert_files_place_is_moved_aside() {
    let Some(setup) = Setup::from_environment("a link in the alert file's place") else { return };
    let mac = tempfile::tempdir().expect("a temporary folder");
    let logs = mac.path().join("Library/Logs/Vedette");
    fs::create_dir_all(&logs).expect("the Mac's folders");
    let victim = mac.path().join("victim");
    fs::write(&victim, "precious").expect("a file");
    std::os::unix::fs::symlink(&victim, logs.join("alerts.ndjson")).expect("a link");
    let run = live_in(&setup, mac, "install-chain.toml", "told all", |_, _| {});
    assert_eq!((run.status, run.alerts.lines().count()), (Some(0), 1), "{}", run.log);
    assert_eq!(fs::read_to_string(run.mac.path().join("victim")).expect("it is there"), "precious");
    assert!(run.mac.path().join("Library/Logs/Vedette/alerts.ndjson.untrusted").is_symlink());
}

#[test]
fn odd_messages_are_taken_and_gaps_are_counted() {
    let Some(setup) = Setup::from_environment("odd live messages") else { return };
    let run = live(&setup, "odd-messages.toml", "told all");
    assert_eq!(run.status, Some(0), "{}", run.log);
    assert_eq!(run.report, "delivered 5 alive 0");
    assert!(run.told.contains(r#""missing":{"exec":3},"missing_in_all":3"#), "{}", run.told);
}

#[test]
fn a_client_that_is_refused_is_a_sentence_and_no_end() {
    let Some(setup) = Setup::from_environment("refused clients") else { return };
    for (scenario, word) in [
        ("not-entitled.toml", "entitlement"),
        ("not-permitted.toml", "Full Disk Access"),
        ("not-privileged.toml", "root"),
        ("too-many-clients.toml", "too many programs"),
    ] {
        let run = live(&setup, scenario, "refused");
        assert_eq!(run.status, Some(0), "{scenario}: {}", run.log);
        assert!(run.told.contains(word), "{scenario}: {}", run.told);
    }
}

/// Where the health file and the rules are on the Mac.
const HEALTH: &str = "Library/Logs/Vedette/health.ndjson";
const RULES: &str = "Library/Application Support/Vedette/rules";

/// A sensor that runs.
struct Sensor(Child);

impl Sensor {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the sensor ended by itself");
    }
}

/// Runs the sensor until Endpoint Security's report says `until`, then ends it with SIGTERM.
fn live(setup: &Setup, scenario: &str, until: &str) -> Run {
    live_and(setup, scenario, until, |_, _| {})
}

/// The same, and does something in between.
fn live_and(setup: &Setup, scenario: &str, until: &str, between: impl FnOnce(&Sensor, &Path)) -> Run {
    live_in(setup, tempfile::tempdir().expect("a temporary folder"), scenario, until, between)
}

/// The same, on a Mac that has a past.
fn live_in(
    setup: &Setup,
    mac: tempfile::TempDir,
    scenario: &str,
    until: &str,
    between: impl FnOnce(&Sensor, &Path),
) -> Run {
    let rules = mac.path().join(RULES);
    fs::create_dir_all(&rules).expect("the Mac's folders");
    fs::create_dir_all(mac.path().join("Library/Logs")).expect("the Mac's folders");
    fs::write(rules.join("curl.toml"), RULE).expect("a rule");
    let (log, report) = (mac.path().join("log"), mac.path().join("report"));
    let child = setup
        .darwin(&["run"])
        .env("MACOS_ABI_ROOT", mac.path())
        .env("MACOS_ABI_LOG", &log)
        .env("MACOS_ABI_ES_REPORT", &report)
        .env("MACOS_ABI_SCENARIO", root().join("tests/macos/scenarios").join(scenario))
        .spawn()
        .expect("the loader starts");
    let mut sensor = Sensor(child);
    // As long as it takes: what hangs is for the test runner to end.
    while !read(&report).contains(until) && sensor.0.try_wait().expect("a child of ours").is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    between(&sensor, mac.path());
    sensor.signal("TERM");
    Run {
        status: sensor.0.wait().expect("a child of ours").code(),
        told: read(&mac.path().join("Library/Application Support/Vedette/status.json")),
        alerts: read(&mac.path().join("Library/Logs/Vedette/alerts.ndjson")),
        health: read(&mac.path().join(HEALTH)),
        log: read(&log),
        report: read(&report).lines().last().unwrap_or_default().to_owned(),
        mac,
    }
}

/// Waits until a file says something.
fn wait_for(path: &Path, text: &str) {
    while !read(path).contains(text) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a file holds; nothing where there is none yet.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
