//! Figures for BENCHMARKS.md. `cargo xtask macos bench` runs it: release builds of program and harness.

use super::Setup;
use super::sensor::{ALERTS, CONFIGURATION, HEALTH, Mac, STATUS};
use serde_json::{Value, json};

/// Twenty thousand messages a second for thirty seconds, and what that takes.
#[test]
#[ignore = "measures for half a minute; `cargo xtask macos bench` runs it"]
fn at_twenty_thousand_messages_a_second() {
    let Some(setup) = Setup::from_environment("figures") else { return };
    let mac = Mac::with_curl_rule();
    // Each alert is to be written.
    mac.write(CONFIGURATION, "[alerts]\nper_minute = 100000\n");
    let path = mac.path("measured");
    let mut sensor = mac.start_with(&setup, "steady.toml", &[("MACOS_ABI_MEASURE", &path)]);
    sensor.wait_for("report", "told all");
    let run = sensor.end();
    let measured: Value = serde_json::from_str(&mac.read("measured")).expect("what was measured");

    let dropped: u64 = ["exec", "fork", "exit"].iter().map(|kind| run.dropped(kind)).sum();
    let delivered = run.delivered.expect("there was a client");
    assert_eq!(delivered, run.evaluated() + dropped);
    let (latencies, syncs) = latencies(&measured, &mac.read(ALERTS));
    assert_eq!(latencies.len(), run.alerts.len());
    println!("messages delivered {delivered}, dropped {dropped}, alerts {}", run.alerts.len());
    println!("callback of the program:  {}", quantiles(&measured["callback_ns"]));
    println!("callback that does nothing: {}", quantiles(&measured["empty_callback_ns"]));
    let of = |part: fn(&Latency) -> u64| milliseconds(latencies.iter().map(part).collect());
    println!("from an alert's last callback to its synced line: {}", of(|latency| latency.whole));
    println!(
        "  of that, the sensor's, while no sync of the file ran: {}",
        of(|latency| latency.whole - latency.disk)
    );
    println!("  of that, the disk's, while one ran: {}", of(|latency| latency.disk));
    println!("  each sync of the file: {}", milliseconds(syncs));
    let mib = |key: &str| measured["memory_kib"][key].as_u64().expect("a count of KiB") as f64 / 1024.0;
    println!(
        "resident, the sensor: at most {:.1} MiB (image, all of it, {:.1}; heap and stacks {:.1}; its messages {:.1})",
        mib("most"),
        mib("image"),
        mib("heap"),
        mib("messages")
    );
    println!(
        "  not counted as the sensor's: {:.1} MiB of the harness (released messages, measurements) and {:.1} MiB of \
         its executable and libraries",
        mib("harness") - mib("messages"),
        mib("loader")
    );
    println!(
        "  seen in {} looks; all together at most {:.1} MiB",
        measured["memory_kib"]["looks"],
        mib("peak_of_all")
    );
}

/// Ten thousand connections begin and end a second, for three seconds, and how many of them the sensor had no time for.
#[test]
#[ignore = "goes by the clock; `cargo xtask macos bench` runs it"]
fn at_ten_thousand_connections_a_second() {
    let Some(setup) = Setup::from_environment("figures of connections") else { return };
    let mac = Mac::new("process where false");
    let mut sensor = mac.start(&setup, "network-flood.toml");
    sensor.wait_for(HEALTH, r#""action":"source_chosen""#);
    sensor.let_go_on("go on");
    sensor.wait_for("report", "told all");
    // What waits is evaluated before the end.
    let done = |status: &str| {
        let status = serde_json::from_str::<Value>(status).unwrap_or_default();
        let dropped = &status["sources"]["network"]["dropped"]["connection"];
        status["events"]["evaluated"].as_u64().unwrap_or(0) + dropped.as_u64().unwrap_or(0)
    };
    sensor.wait_until(STATUS, |status| done(status) >= 60_000);
    let run = sensor.end();
    let network = &run.status["sources"]["network"];
    let dropped = network["dropped"]["connection"].as_u64().unwrap_or(0);
    // Each begins and ends, and is evaluated or counted.
    assert_eq!(run.evaluated() + dropped, 60_000, "{network}");
    println!("connections that began or ended 60000, dropped {dropped}, evaluated {}", run.evaluated());
}

/// How long an alert took from its message's callback until a sync after its line had returned, in nanoseconds.
struct Latency {
    whole: u64,
    /// What of it the disk took: a sync of the alert file ran, its own or the one before, for which it waited.
    disk: u64,
}

/// For each line of the alert file how long it took, and how long the syncs took.
fn latencies(measured: &Value, alerts: &str) -> (Vec<Latency>, Vec<u64>) {
    let number = |value: &Value| value.as_u64().expect("a number");
    let syncs = measured["syncs"].as_array().expect("a list").iter();
    let syncs: Vec<[u64; 3]> = syncs
        .filter(|sync| sync["file"] == "alerts.ndjson")
        .map(|sync| ["size", "began", "ended"].map(|key| number(&sync[key])))
        .collect();
    let called = measured["timed"].as_array().expect("a list").iter().map(number);
    let mut end = 0;
    let ends = alerts.lines().map(|line| {
        end += line.len() as u64 + 1;
        end
    });
    let latency = |(called, end): (u64, u64)| {
        let [_, _, written] = syncs.iter().find(|[size, ..]| *size >= end).expect("each line is synced");
        let during = |[_, began, ended]: &[u64; 3]| ended.min(written).saturating_sub(*began.max(&called));
        Latency { whole: written - called, disk: syncs.iter().map(during).sum() }
    };
    (called.zip(ends).map(latency).collect(), syncs.iter().map(|[_, began, ended]| ended - began).collect())
}

fn quantiles(quantiles: &Value) -> String {
    let microseconds = |key: &str| quantiles[key].as_f64().unwrap_or(0.0) / 1000.0;
    let [p50, p99, p999, max] = ["p50", "p99", "p999", "max"].map(microseconds);
    format!("p50 {p50:.2} µs, p99 {p99:.2} µs, p99.9 {p999:.2} µs, max {max:.0} µs")
}

fn milliseconds(mut nanoseconds: Vec<u64>) -> String {
    nanoseconds.sort_unstable();
    let last = nanoseconds.len() - 1;
    let at = |per_cent: usize| nanoseconds[(nanoseconds.len() * per_cent / 100).min(last)] as f64 / 1e6;
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", at(50), at(99), at(100))
}

#[test]
fn a_wait_for_the_sync_before_is_the_disks() {
    let sync = |size: u64, began: u64, ended: u64| json!({ "file": "alerts.ndjson", "size": size, "began": began, "ended": ended });
    let other = json!({ "file": "health.ndjson", "size": 100, "began": 0, "ended": 1000 });
    // The second line is told of while the first is synced, and synced 5 after that.
    let measured = json!({ "timed": [10, 120], "syncs": [other, sync(2, 100, 200), sync(4, 205, 305)] });
    let (latencies, syncs) = latencies(&measured, "a\nb\n");
    let parts: Vec<_> = latencies.iter().map(|latency| (latency.whole, latency.disk)).collect();
    assert_eq!((parts, syncs), (vec![(190, 100), (185, 180)], vec![100, 100]));
}
