//! Figures for BENCHMARKS.md. `cargo xtask macos bench` runs it: release builds of program and harness.

use super::Setup;
use super::sensor::{ALERTS, CONFIGURATION, Mac};
use serde_json::Value;

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
    println!("from an alert's last callback to its synced line: {}", milliseconds(latencies));
    println!("of that, the sync: {}", milliseconds(syncs));
    let kib = |key: &str| measured[key].as_u64().unwrap_or(0) / 1024;
    let (peak, loader) = (kib("peak_kib"), kib("loader_kib"));
    println!("resident at most {peak} MiB, {loader} MiB of it before the program began (the loader's)");
}

/// For each line of the alert file how long it took from its message's callback until a sync after it had returned, and
/// how long the syncs took, in nanoseconds.
fn latencies(measured: &Value, alerts: &str) -> (Vec<u64>, Vec<u64>) {
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
    let written = |end: u64| syncs.iter().find(|[size, ..]| *size >= end).expect("each line is synced")[2];
    let latencies = called.zip(ends).map(|(called, end)| written(end) - called).collect();
    (latencies, syncs.iter().map(|[_, began, ended]| ended - began).collect())
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
