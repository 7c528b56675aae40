//! Messages that are not evaluated: each is counted, whoever lost it.

use super::sensor::{ALERTS, CONFIGURATION, HEALTH, HOST, Mac, STATUS};
use super::{Setup, shown};
use serde_json::{Value, json};

#[test]
fn of_a_flood_execs_are_kept_longest_and_the_rest_is_counted() {
    let Some(setup) = Setup::from_environment("a full queue") else { return };
    // Nothing is taken out meanwhile. Of ten thousand forks and execs in turn, the first 6,144 find the queue of 8,192
    // less than three quarters full; then 2,048 execs do, and no fork.
    let (kept_forks, kept_execs) = (3072, 3072 + 2048);
    let mac = Mac::new("process where false");
    let mut sensor = mac.start(&setup, "flood.toml");
    sensor.wait_for("report", "told all");
    // What has waited is evaluated before the end, however slow the machine.
    let evaluated =
        |status: &str| serde_json::from_str::<Value>(status).ok()?["events"]["evaluated"].as_u64();
    sensor.wait_until(STATUS, |status| evaluated(status) >= Some(kept_forks + kept_execs));
    let run = sensor.end();
    assert_eq!(run.delivered, Some(20_000));
    assert_eq!((run.dropped("fork"), run.dropped("exec")), (10_000 - kept_forks, 10_000 - kept_execs));
    assert_eq!(run.evaluated(), kept_forks + kept_execs);
    // What a queue dropped came to the sensor: the kernel lost nothing.
    assert_eq!(run.source()["missing_in_all"], 0);
    let told =
        run.told("loss").into_iter().map(|told| told["vedette"]["health"]["messages_dropped"].as_u64());
    assert_eq!(told.map(Option::unwrap_or_default).sum::<u64>(), 20_000 - kept_forks - kept_execs);
}

#[test]
fn a_flood_of_connections_hides_no_exec() {
    let Some(setup) = Setup::from_environment("a queue full of connections") else { return };
    // Of 4,600 connections and execs in turn, the first 7,168 find the queue of 8,192 less than seven eighths full; then
    // execs do, and no connection.
    let (execs, kept_connections) = (4_600, 7_168 / 2);
    let mac = Mac::new("process where false");
    let mut sensor = mac.start(&setup, "flood-of-connections.toml");
    sensor.wait_for("report", "told all");
    // Each is evaluated before the end, or was dropped.
    let done = |status: &str| {
        let status = serde_json::from_str::<Value>(status).unwrap_or_default();
        let dropped = &status["sources"]["endpoint_security"]["dropped"]["exec"];
        status["events"]["evaluated"].as_u64().unwrap_or(0) + dropped.as_u64().unwrap_or(0)
    };
    sensor.wait_until(STATUS, |status| done(status) >= execs);
    let run = sensor.end();
    assert_eq!((run.dropped("exec"), run.dropped("connect")), (0, execs - kept_connections));
}

#[test]
fn sigterm_in_the_middle_of_a_flood_loses_nothing_uncounted() {
    let Some(setup) = Setup::from_environment("SIGTERM in a flood") else { return };
    let mac = Mac::with_curl_rule();
    let mut sensor = mac.start(&setup, "flood-without-end.toml");
    sensor.wait_for(ALERTS, "https://example.com/flood");
    let run = sensor.end();
    let dropped = ["exec", "fork", "exit", "other"].map(|kind| run.dropped(kind));
    assert_eq!(run.delivered, Some(run.evaluated() + dropped.iter().sum::<u64>()), "{dropped:?}");
    assert_eq!(run.alerted(), ["https://example.com/flood"]);
}

#[test]
fn numbers_that_do_not_come_are_counted_by_kind() {
    let Some(setup) = Setup::from_environment("gaps in the numbers") else { return };
    let run = Mac::with_curl_rule().run(&setup, "odd-messages.toml");
    assert_eq!(run.source()["missing"], json!({ "exec": 3 }));
    assert_eq!((&run.source()["missing_in_all"], &run.status["events"]["missing"]), (&3.into(), &3.into()));
    assert_eq!(run.told("loss")[0]["vedette"]["health"]["messages_missing"], 3);
}

#[test]
fn an_alert_says_that_messages_were_lost_in_its_window() {
    let Some(setup) = Setup::from_environment("a gap in a window") else { return };
    let mac = Mac::with_sequence_rule("30s");
    for (scenario, gap) in [("lost-between.toml", true), ("install-chain.toml", false)] {
        let run = mac.run(&setup, scenario);
        let last = run.alerts.last().expect("an alert");
        assert_eq!(last["vedette"]["gap"], gap, "{scenario}");
    }
}

#[test]
fn a_loss_during_an_install_names_package_and_busiest_process() {
    const RULE: &str = "c5f3a7f2-94d0-4a0b-8a5e-6d2f5a1f0b3c";
    let Some(setup) = Setup::from_environment("a loss during an install") else { return };
    let mac = Mac::new("process where false");
    mac.write(CONFIGURATION, "[telemetry]\nenabled = true\n");
    let run = mac.run(&setup, "lost-during-install.toml");
    let [alert] = &run.alerts[..] else { panic!("one: {:?}", run.alerts) };
    assert_eq!((&alert["rule"]["id"], &alert["vedette"]["gap"]), (&json!(RULE), &json!(true)));
    let loss = &alert["vedette"]["loss"];
    assert_eq!((&loss["missing"], &loss["sessions"]), (&json!(500), &json!(1)));
    // All but one message are of what make is responsible for; how many came by then, the machine's speed says.
    assert_eq!(loss["messages"].as_u64(), loss["of_busiest"].as_u64().map(|of_busiest| of_busiest + 1));
    assert_eq!((&alert["process"]["name"], &alert["user"]["id"]), (&json!("make"), &json!("501")));
    assert_eq!(alert["vedette"]["package"]["identifier"], "com.example.tool");
    // A replay of what the sensor recorded decides as it did.
    let telemetry = mac.path("Library/Logs/Vedette/telemetry.ndjson");
    let replay = setup.linux(&["replay", "--json", "--strict", "--host-id", HOST]).arg(telemetry).output();
    let replay = replay.expect("the Linux binary starts");
    assert!(replay.status.success(), "{}", shown(&replay));
    let replayed: Value = serde_json::from_slice(&replay.stdout).expect("one document");
    assert_eq!(replayed["event"]["id"], alert["event"]["id"]);
    assert_eq!(replayed["vedette"]["loss"], alert["vedette"]["loss"]);
}

#[test]
fn a_stop_is_a_blind_window() {
    let Some(setup) = Setup::from_environment("SIGSTOP and SIGCONT") else { return };
    let mac = Mac::with_curl_rule();
    let mut sensor = mac.start(&setup, "install-chain.toml");
    sensor.wait_for("report", "told all");
    sensor.signal("STOP");
    // More than the five seconds that count as late.
    std::thread::sleep(std::time::Duration::from_secs(7));
    sensor.signal("CONT");
    sensor.wait_for(HEALTH, r#""action":"blind_window""#);
    let run = sensor.end();
    let [told] = run.told("blind_window")[..] else { panic!("one: {:?}", run.health) };
    assert!(told["message"].to_string().contains("the sensor was stopped, or did not get to run"), "{told}");
    assert_eq!(run.status["blind_windows"].as_array().map(Vec::len), Some(1));
}
