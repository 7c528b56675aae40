//! What becomes of messages: alerts, in the file and in unified logging; who ran already; clocks.

use super::Setup;
use super::sensor::{ALERTS, HEALTH, Mac, RULES, STATUS, rule};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn an_install_chain_alerts_once_in_the_file_and_in_unified_logging() {
    let Some(setup) = Setup::from_environment("the live install chain") else { return };
    let mac = Mac::with_curl_rule();
    let run = mac.run(&setup, "install-chain.toml");
    assert_eq!((run.delivered, run.evaluated()), (Some(5), 5));
    assert_eq!((&run.source()["dropped"], &run.source()["missing"]), (&json!({}), &json!({})));
    assert_eq!(run.alerted(), ["https://example.com/payload"], "{}", run.log);
    assert_eq!(run.alerts[0]["vedette"]["package"]["host"], "package_script_service");
    // The line in unified logging begins with the same event.id as the document in the file has.
    let logged: Vec<&str> =
        run.log.lines().filter_map(|line| line.strip_prefix("error dev.vedette.sensor alert ")).collect();
    let [line] = logged[..] else { panic!("one line: {}", run.log) };
    let id = line.split(' ').next().unwrap_or_default();
    assert_eq!((id.len(), id), (32, run.alerts[0]["event"]["id"].as_str().expect("an id")));
    // Nobody else reads what it found.
    let mode = |below| fs::metadata(mac.path(below)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("Library/Logs/Vedette"), mode(ALERTS), mode(STATUS)), (0o700, 0o600, 0o644));
}

#[test]
fn the_sensor_leaves_out_its_own_events_and_no_others() {
    let Some(setup) = Setup::from_environment("muting of the sensor's own events") else { return };
    let mac = Mac::new("process where true");
    let mut sensor = mac.start(&setup, "own-events.toml");
    sensor.wait_for("report", "told all");
    let pid = sensor.pid();
    let run = sensor.end();
    let report = mac.read("report");
    let muted: Vec<&str> = report.lines().filter_map(|line| line.strip_prefix("muted ")).collect();
    assert_eq!(muted, [format!("{pid}.1")], "{report}");
    assert_eq!(run.alerted(), ["from its child", "from its pid, and another pidversion"], "{}", run.log);
    // What is left out is no loss.
    assert_eq!((run.delivered, &run.source()["missing"]), (Some(2), &json!({})));
}

#[test]
fn what_ran_before_the_sensor_is_known_with_its_install_session() {
    let Some(setup) = Setup::from_environment("processes that already run") else { return };
    let query =
        r#"process where event.type == "start" and process.name == "curl" and vedette.package.host != null"#;
    let run = Mac::new(query).run(&setup, "already-running.toml");
    assert_eq!(run.alerted(), ["https://example.com/payload"], "{}", run.log);
    let alert = &run.alerts[0];
    let package = &alert["vedette"]["package"];
    assert_eq!(
        (&package["host"], &package["identifier"]),
        (&"package_script_service".into(), &"com.example.tool".into())
    );
    assert_eq!(package["path"], "/Users/tove/Downloads/tool.pkg");
    let tree = alert["vedette"]["process_tree"].as_array().expect("a tree");
    let known: Vec<_> = tree.iter().map(|node| [&node["name"], &node["command_line"]]).collect();
    let script = "/bin/bash /tmp/PKInstallSandbox.Ab12Cd/Scripts/com.example.tool.Ef34Gh/postinstall \
                  /Users/tove/Downloads/tool.pkg /Applications / /";
    let expected = [
        ["launchd", "/sbin/launchd"],
        ["package_script_service", "package_script_service"],
        ["bash", script],
        ["curl", "curl https://example.com/payload"],
    ];
    assert_eq!(known, expected);
    assert!(run.log.contains("4 processes ran already"), "{}", run.log);
}

#[test]
fn who_sets_the_clock_between_a_shell_and_curl_evades_nothing() {
    let Some(setup) = Setup::from_environment("steps of the wall clock") else { return };
    let mac = Mac::with_sequence_rule("30s");
    let mut sensor = mac.start(&setup, "clock-step.toml");
    let steps = |text: &str| text.matches(r#""action":"clock_step""#).count();
    sensor.wait_until(HEALTH, |health| steps(health) == 1);
    sensor.let_go_on("the-step-ahead-is-told");
    sensor.wait_until(HEALTH, |health| steps(health) == 2);
    sensor.wait_for("report", "told all");
    let run = sensor.end();
    assert_eq!(run.alerted(), ["https://example.com/ahead", "https://example.com/back"], "{}", run.log);
    let by = |document: &Value| document["vedette"]["health"]["by_ns"].as_f64().expect("a number");
    let seconds: Vec<f64> = run.told("clock_step").into_iter().map(|told| (by(told) / 1e9).round()).collect();
    assert_eq!(seconds, [31.0, -31.0]);
}

#[test]
fn windows_are_measured_in_seconds_whatever_a_tick_is() {
    let Some(setup) = Setup::from_environment("ticks of Apple silicon") else { return };
    let run = Mac::with_sequence_rule("10s").run(&setup, "apple-silicon.toml");
    assert_eq!(run.alerted(), ["https://example.com/at-once"], "{}", run.log);
}

#[test]
fn odd_messages_are_taken() {
    let Some(setup) = Setup::from_environment("odd live messages") else { return };
    let mac = Mac::new("process where true");
    let run = mac.run(&setup, "odd-messages.toml");
    assert_eq!((run.delivered, run.evaluated(), run.alerts.len()), (Some(5), 4, 4), "{}", run.log);
    let [cut_short, long, hostile] = [1, 2, 3].map(|index| &run.alerts[index]);
    assert_eq!(cut_short["vedette"]["executable_truncated"], true);
    // What is kept of a megabyte is bounded, and said to be cut.
    assert_eq!(long["process"]["args_count"], 1);
    assert_eq!(long["vedette"]["args_truncated"], true);
    assert_eq!(long["process"]["command_line"].as_str().map(str::len), Some(32 << 10));
    assert_eq!(hostile["process"]["args"], json!(["\n{\"event\":{}}", "\0", "\u{1b}[31m"]));
    assert!(!run.log.contains('\u{1b}'), "{}", run.log);
}

#[test]
fn a_rule_that_is_added_runs_and_a_broken_one_takes_nothing_away() {
    let Some(setup) = Setup::from_environment("a reload") else { return };
    let mac = Mac::with_curl_rule();
    let second = rule(2, "second", "process where process.name == \"wget\"");
    let mut sensor = mac.start(&setup, "install-chain.toml");
    sensor.wait_for("report", "told all");
    sensor.wait_for(STATUS, r#""loaded":"#);
    let loaded = |text: &str| serde_json::from_str::<Value>(text).ok()?["rules"]["loaded"].as_u64();
    let before = loaded(&mac.read(STATUS)).expect("a count");
    mac.write(&format!("{RULES}/second.toml"), &second);
    sensor.wait_until(STATUS, |status| loaded(status) == Some(before + 1));
    mac.write(&format!("{RULES}/second.toml"), &second.replace("==", "="));
    sensor.wait_for(STATUS, "second.toml:");
    let run = sensor.end();
    assert_eq!(run.status["rules"]["loaded"], before + 1);
    assert_eq!(run.told("rules_loaded").len(), 2);
    let says = |told: &Value| told.to_string().contains("error: `=` is not an operator");
    assert_eq!(run.told("degraded").into_iter().filter(|told| says(told)).count(), 1, "{:?}", run.health);
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
        let mac = Mac::with_curl_rule();
        let mut sensor = mac.start(&setup, scenario);
        sensor.wait_for("report", "refused");
        sensor.wait_for(HEALTH, r#""action":"degraded""#);
        let run = sensor.end();
        assert_eq!(run.source()["state"], "waiting", "{scenario}");
        let message = run.source()["message"].as_str().unwrap_or_default();
        assert!(message.contains(word), "{scenario}: {message}");
        let line = format!("error dev.vedette.sensor sensor {message}");
        assert_eq!(run.log.lines().filter(|logged| **logged == line).count(), 1, "{scenario}: {}", run.log);
    }
}
