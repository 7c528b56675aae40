//! `vedette run` with an Endpoint Security that is told scenarios: what it reports and writes.

use super::{Setup, root};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What a run of the sensor left behind.
struct Run {
    /// Of the process: 0.
    status: Option<i32>,
    /// status.json, as text.
    told: String,
    /// alerts.ndjson.
    alerts: String,
    /// What went to unified logging, a line each.
    log: String,
    /// The last line of Endpoint Security's own report.
    report: String,
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
    let id = run.alerts.split_once(r#""id":""#).and_then(|(_, rest)| rest.split_once('"')).expect("an id").0;
    assert!(!id.is_empty() && run.alerts.contains("https://example.com/payload"), "{}", run.alerts);
    let logged = run.log.lines().filter(|line| line.starts_with("error dev.vedette.sensor alert ")).count();
    assert_eq!(logged, 1, "{}", run.log);
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

/// Runs the sensor until Endpoint Security's report says `until`, then ends it with SIGTERM.
fn live(setup: &Setup, scenario: &str, until: &str) -> Run {
    let mac = tempfile::tempdir().expect("a temporary folder");
    let rules = mac.path().join("Library/Application Support/Vedette/rules");
    fs::create_dir_all(&rules).expect("the Mac's folders");
    fs::create_dir_all(mac.path().join("Library/Logs")).expect("the Mac's folders");
    fs::write(rules.join("curl.toml"), RULE).expect("a rule");
    let (log, report) = (mac.path().join("log"), mac.path().join("report"));
    let mut child = setup
        .darwin(&["run"])
        .env("MACOS_ABI_ROOT", mac.path())
        .env("MACOS_ABI_LOG", &log)
        .env("MACOS_ABI_ES_REPORT", &report)
        .env("MACOS_ABI_SCENARIO", root().join("tests/macos/scenarios").join(scenario))
        .spawn()
        .expect("the loader starts");
    // As long as it takes: what hangs is for the test runner to end.
    while !read(&report).contains(until) && child.try_wait().expect("a child of ours").is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(ended.is_ok_and(|status| status.success()), "the sensor ended by itself: {}", read(&log));
    Run {
        status: child.wait().expect("a child of ours").code(),
        told: read(&mac.path().join("Library/Application Support/Vedette/status.json")),
        alerts: read(&mac.path().join("Library/Logs/Vedette/alerts.ndjson")),
        log: read(&log),
        report: read(&report).lines().last().unwrap_or_default().to_owned(),
    }
}

/// What a file holds; nothing where there is none yet.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
