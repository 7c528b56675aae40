//! What goes wrong around the sensor, and inside it: disks, folders, panics.

use super::Setup;
use super::sensor::{ALERTS, HEALTH, Mac, RULES, Run, rule};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;

/// SIGABRT, the same number on both systems.
const ABORTED: Option<i32> = Some(6);

#[test]
fn alerts_outlast_a_full_disk() {
    let Some(setup) = Setup::from_environment("a full disk") else { return };
    let mac = Mac::with_curl_rule();
    let mut sensor = mac.start(&setup, "disk-full.toml");
    sensor.wait_for(ALERTS, "https://example.com/before");
    sensor.let_go_on("the-first-is-written");
    // Neither the health file nor the status can be written: unified logging tells it.
    sensor.wait_for("log", "health alert file: ");
    assert!(!mac.read(ALERTS).contains("https://example.com/meanwhile"));
    sensor.let_go_on("the-disk-is-told-of");
    sensor.wait_for(ALERTS, "https://example.com/meanwhile");
    sensor.wait_for(HEALTH, r#""action":"recovered""#);
    let run = sensor.end();
    assert_eq!(run.alerted(), ["https://example.com/before", "https://example.com/meanwhile"]);
    let about =
        |action| run.told(action).iter().any(|told| told["vedette"]["health"]["what"] == "alert file");
    assert!(about("degraded") && about("recovered"), "{:?}", run.health);
    assert_eq!(run.status["files"]["alerts"]["lost"], 0);
}

#[test]
fn an_alert_folder_that_is_removed_is_made_again() {
    let Some(setup) = Setup::from_environment("a missing alert folder") else { return };
    let mac = Mac::with_curl_rule();
    let mut sensor = mac.start(&setup, "two-alerts.toml");
    sensor.wait_for(ALERTS, "https://example.com/first");
    fs::remove_dir_all(mac.path("Library/Logs/Vedette")).expect("the folder");
    sensor.let_go_on("the-test-has-done-it");
    sensor.wait_for(ALERTS, "https://example.com/second");
    let run = sensor.end();
    assert_eq!(run.alerted(), ["https://example.com/second"], "{}", run.log);
    let mode = fs::metadata(mac.path("Library/Logs/Vedette")).expect("the folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(run.status["files"]["alerts"]["replaced"], 1);
}

#[test]
fn what_stands_in_the_alert_files_place_is_moved_aside() {
    let Some(setup) = Setup::from_environment("a link in the alert file's place") else { return };
    let mac = Mac::with_curl_rule();
    fs::create_dir_all(mac.path("Library/Logs/Vedette")).expect("the Mac's folders");
    mac.write("victim", "precious");
    symlink(mac.path("victim"), mac.path(ALERTS)).expect("a link");
    let run = mac.run(&setup, "install-chain.toml");
    assert_eq!(run.alerts.len(), 1, "{}", run.log);
    assert_eq!(mac.read("victim"), "precious");
    assert!(mac.path("Library/Logs/Vedette/alerts.ndjson.untrusted").is_symlink());
}

#[test]
fn three_panics_in_a_row_lead_to_safe_mode_until_the_rules_are_others() {
    let Some(setup) = Setup::from_environment("panics") else { return };
    let mac = Mac::with_curl_rule();
    for panics in 1..=3 {
        let mut sensor = mac.start(&setup, "panic.toml");
        sensor.wait_until(HEALTH, |health| health.matches(r#""action":"rules_loaded""#).count() == panics);
        sensor.let_go_on("the-start-is-told");
        let run = sensor.wait();
        assert_eq!(run.ended.signal(), ABORTED, "{}", run.log);
        // The reason is where people look: in unified logging and in the health file.
        assert!(
            run.log
                .lines()
                .any(|line| line.starts_with("fault dev.vedette.sensor sensor panic on the thread "))
        );
        assert_eq!(run.told("panic").len(), panics, "{:?}", run.health);
        assert!(run.told("safe_mode").is_empty());
        fs::remove_file(mac.path("the-start-is-told")).expect("it is there");
    }
    let careful = mac.run(&setup, "install-chain.toml");
    assert_eq!(careful.told("safe_mode").len(), 1, "{:?}", careful.health);
    assert!(careful.told("safe_mode")[0].to_string().contains("it panicked 3 times within 5 minutes"));
    assert_eq!(own_rule_runs(&careful), None, "the Mac's own rule does not run");
    // Each end without a stop is a blind window; the last one before a run is told by it.
    assert_eq!(careful.told("blind_window").len(), 3);

    mac.write(&format!("{RULES}/own.toml"), &rule(1, "own", "process where process.name == \"curl\""));
    let again = mac.run(&setup, "install-chain.toml");
    assert_eq!(again.told("safe_mode").len(), 1, "no more than before");
    assert_eq!(own_rule_runs(&again), Some(2), "curl's start and end");
}

/// How often the Mac's own rule alerted, if it did.
fn own_rule_runs(run: &Run) -> Option<u64> {
    run.status["rules"]["alerts"]["00000000-0000-4000-8000-000000000001"].as_u64()
}
