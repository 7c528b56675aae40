//! Connections: each source's proof, what is evaluated of each, and what the Mac is told where none works.

use super::Setup;
use super::sensor::{ALERTS, HEALTH, Mac, Run, Sensor};
use serde_json::Value;

/// Files of the Mac's, below its root.
const CONFIGURATION: &str = "Library/Application Support/Vedette/config.toml";
const NOTES: &str = "Library/Application Support/Vedette/network.json";
const TELEMETRY: &str = "Library/Logs/Vedette/telemetry.ndjson";

/// Told in health once a source is believed, and once none is.
const CHOSEN: &str = r#""action":"source_chosen""#;
const NONE: &str = "no connections are seen";

/// A Mac that writes telemetry, with more in its configuration and no rules but those that are built in.
fn mac(more: &str) -> Mac {
    let mac = Mac::new("process where false");
    mac.write(CONFIGURATION, &format!("[telemetry]\nenabled = true\n{more}"));
    mac
}

/// What telemetry says of connections: action, destination, process's name, attribution, source.
fn flows(mac: &Mac) -> Vec<[String; 5]> {
    let lines = mac.read(TELEMETRY);
    let documents = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    documents
        .filter(|document| document["event"]["category"][0] == "network")
        // The probe's own connections end after it has been judged.
        .filter(|document| {
            document["destination"]["ip"].as_str().is_some_and(|ip| ip.starts_with("203.0.113."))
        })
        .map(|document| {
            [
                &document["event"]["action"],
                &document["destination"]["ip"],
                &document["process"]["name"],
                &document["vedette"]["attribution"],
                &document["vedette"]["source"],
            ]
            .map(|field| field.as_str().unwrap_or("-").to_owned())
        })
        .collect()
}

/// Waits until telemetry tells of so many connections that begin.
fn wait_for_flows(sensor: &mut Sensor<'_>, count: usize) {
    let begins = |line: &&str| line.contains("connection_attempted") && line.contains("203.0.113.");
    sensor.wait_until(TELEMETRY, |told| told.lines().filter(begins).count() >= count);
}

fn network(run: &Run) -> &Value {
    &run.status["sources"]["network"]
}

fn message(run: &Run) -> &str {
    network(run)["message"].as_str().unwrap_or_default()
}

#[test]
fn an_install_chain_with_its_connection_alerts_once_with_each_source() {
    let Some(setup) = Setup::from_environment("the install chain with its connection") else { return };
    for (scenario, source, attribution) in [
        ("network-es.toml", "es", "named"),
        ("network-statistics.toml", "ntstat", "named"),
        ("network-at-close.toml", "ntstat", "pid"),
    ] {
        let mac = mac("");
        let mut sensor = mac.start(&setup, scenario);
        sensor.wait_for(HEALTH, CHOSEN);
        wait_for_flows(&mut sensor, 1);
        let run = sensor.end();
        // Of each of the two rules on installs one, and its line in unified logging.
        let mut rules: Vec<_> = run.alerts.iter().map(|alert| alert["rule"]["id"].as_str()).collect();
        rules.sort();
        let session = "5b1d4f0e-6c3a-4d0f-9f63-2a1be7c5c1d8";
        assert_eq!(rules, [Some(session), Some("99239e7d-b0d4-46e3-8609-acafcf99f68c")], "{scenario}");
        for alert in &run.alerts {
            assert_eq!(alert["destination"]["ip"], "203.0.113.80");
            assert_eq!(alert["vedette"]["relation"], "descendant");
            let id = alert["event"]["id"].as_str().expect("an id");
            let line = format!("error dev.vedette.sensor alert {id} ");
            assert_eq!(run.log.lines().filter(|logged| logged.starts_with(&line)).count(), 1, "{}", run.log);
        }
        let flows = flows(&mac);
        let began = ["connection_attempted", "203.0.113.80", "curl", attribution, source];
        assert_eq!(flows[0], began, "{scenario}");
        if source == "ntstat" {
            // It ends as what began, whoever has the pid by then.
            assert_eq!(flows[1], ["disconnect_received", "203.0.113.80", "curl", attribution, source]);
        }
        assert_eq!(flows.len(), if source == "es" { 1 } else { 2 }, "{flows:?}");
        assert_eq!(network(&run)["state"], "running", "{scenario}");
        assert!(message(&run).starts_with(&format!("{source}, proven at start")), "{}", message(&run));
        assert_eq!(network(&run)["received"], 1);
    }
}

#[test]
fn an_end_says_how_much_was_carried_and_a_name_is_told_where_it_is_known() {
    let Some(setup) = Setup::from_environment("bytes and names") else { return };
    for (scenario, field, value) in [
        ("network-es.toml", "/destination/domain", Value::from("example.com")),
        ("network-statistics.toml", "/destination/bytes", Value::from(20_000)),
        ("network-statistics.toml", "/source/bytes", Value::from(100)),
        ("network-statistics.toml", "/network/direction", Value::from("egress")),
    ] {
        let mac = mac("");
        let mut sensor = mac.start(&setup, scenario);
        sensor.wait_for(HEALTH, CHOSEN);
        wait_for_flows(&mut sensor, 1);
        sensor.end();
        let telemetry = mac.read(TELEMETRY);
        let last = telemetry.lines().rfind(|line| line.contains("203.0.113.80")).expect("a flow");
        let document: Value = serde_json::from_str(last).expect("JSON");
        assert_eq!(document.pointer(field), Some(&value), "{scenario} {field}");
    }
}

#[test]
fn a_source_that_does_not_prove_itself_is_not_used_and_the_blind_rules_are_named() {
    let Some(setup) = Setup::from_environment("sources that fail") else { return };
    for (scenario, says) in [
        ("network-wrong.toml", "is told to be of process"),
        ("network-silent.toml", "it told of none"),
        ("network-longer.toml", "where the layout of this macOS has"),
        // The kernel control does not exist.
        ("install-chain.toml", "the kernel does not give its network statistics"),
    ] {
        let mac = mac("");
        let mut sensor = mac.start(&setup, scenario);
        sensor.wait_for(HEALTH, NONE);
        let run = sensor.end();
        assert!(message(&run).contains(says), "{scenario}: {}", message(&run));
        assert_eq!(network(&run)["state"], "off");
        assert_eq!(run.status["rules"]["blind"].as_array().map(Vec::len), Some(2), "{}", run.status["rules"]);
        let problem = run.status["problems"]["network"].as_str().unwrap_or_default();
        assert!(problem.contains("blind without them: "), "{problem}");
        assert!(run.told("source_chosen").is_empty());
        // It is taken back at an orderly end.
        assert_eq!(mac.read(NOTES), "{}");
    }
}

#[test]
fn a_source_that_tells_only_of_some_kinds_is_used_and_the_other_beside_it() {
    let Some(setup) = Setup::from_environment("two sources") else { return };
    let mac = mac("");
    let mut sensor = mac.start(&setup, "network-both.toml");
    sensor.wait_for(HEALTH, CHOSEN);
    sensor.let_go_on("go on");
    wait_for_flows(&mut sensor, 3);
    let run = sensor.end();
    assert!(message(&run).starts_with("es and ntstat, proven at start"), "{}", message(&run));
    let mut told: Vec<_> =
        flows(&mac).into_iter().map(|[action, ip, _, _, source]| [action, ip, source]).collect();
    told.sort();
    assert_eq!(
        told,
        [
            // Both told of it: one record, of the source that knows more.
            ["connection_attempted", "203.0.113.1", "es"],
            ["connection_attempted", "203.0.113.2", "es"],
            ["connection_attempted", "203.0.113.3", "ntstat"],
            ["disconnect_received", "203.0.113.1", "ntstat"],
        ]
    );
    // Only one of them is wanted: what it was silent of is said.
    mac.write(CONFIGURATION, "[network]\nsource = \"es\"\n");
    let mut sensor = mac.start(&setup, "network-both.toml");
    let before = mac.read(HEALTH).matches(CHOSEN).count();
    sensor.wait_until(HEALTH, |told| told.matches(CHOSEN).count() > before);
    let run = sensor.end();
    let silent =
        "es, proven at start; it was not told of connections over TCP and IPv6, UDP and IPv4, UDP and IPv6";
    assert_eq!(message(&run), silent);
}

#[test]
fn a_flow_finds_its_process_before_its_exec_is_delivered_after_its_exit_and_when_its_pid_is_used_again() {
    let Some(setup) = Setup::from_environment("flows out of order") else { return };
    let mac = mac("");
    let mut sensor = mac.start(&setup, "network-early-and-late.toml");
    sensor.wait_for(HEALTH, CHOSEN);
    sensor.let_go_on("go on");
    wait_for_flows(&mut sensor, 3);
    sensor.end();
    let mut told: Vec<_> =
        flows(&mac).into_iter().map(|[_, ip, name, attribution, _]| [ip, name, attribution]).collect();
    // Each is told by a thread of its own; which comes first is the machine's doing.
    told.sort();
    assert_eq!(
        told,
        [
            ["203.0.113.1", "curl", "named"],
            ["203.0.113.2", "curl", "named"],
            ["203.0.113.3", "curl", "named"],
        ]
    );
}

#[test]
fn a_note_that_is_found_keeps_the_source_off_on_that_build() {
    let Some(setup) = Setup::from_environment("the armed note") else { return };
    let mac = mac("");
    let mut sensor = mac.start(&setup, "network-statistics.toml");
    sensor.wait_for(HEALTH, CHOSEN);
    assert!(mac.read(NOTES).contains(r#""ntstat":{"build":"23F79""#), "{}", mac.read(NOTES));
    // The Mac goes down.
    sensor.signal("KILL");
    sensor.wait();
    let mut sensor = mac.start(&setup, "network-statistics.toml");
    sensor.wait_for(HEALTH, NONE);
    let run = sensor.end();
    assert!(message(&run).contains("23F79") && message(&run).contains("network.json"), "{}", message(&run));
    // Nor does it forget that at an orderly end.
    assert!(mac.read(NOTES).contains("armed"), "{}", mac.read(NOTES));
    // On another build it is tried.
    mac.write(NOTES, &mac.read(NOTES).replace("23F79", "23E224"));
    let mut sensor = mac.start(&setup, "network-statistics.toml");
    let before = mac.read(HEALTH).matches(CHOSEN).count();
    sensor.wait_until(HEALTH, |told| told.matches(CHOSEN).count() > before);
    sensor.end();
}

/// No more come at once than the queue has room for, and the next burst begins once the last connection of the one before
/// was evaluated. So whatever the machine's speed the sensor can take each, and has to. Against a clock, a machine may be
/// too slow: what ten thousand a second come to there is a figure that `cargo xtask macos bench` prints.
#[test]
fn of_seventy_thousand_connections_that_begin_and_end_in_bursts_none_is_dropped() {
    let Some(setup) = Setup::from_environment("bursts of connections") else { return };
    let mac = Mac::new(
        r#"network where event.action == "connection_attempted" and destination.ip == "203.0.113.99""#,
    );
    let mut sensor = mac.start(&setup, "network-bursts.toml");
    sensor.wait_for(HEALTH, CHOSEN);
    for burst in 0..5 {
        sensor.let_go_on(&format!("burst {burst}"));
        sensor.wait_until(ALERTS, |told| told.lines().count() > burst);
    }
    let run = sensor.end();
    assert_eq!(network(&run)["dropped"], serde_json::json!({}), "{}", network(&run));
    assert_eq!(network(&run)["missing"], serde_json::json!({}), "{}", network(&run));
    // Each of the seven thousand begins and ends, and one more begins.
    assert_eq!(network(&run)["received"], 5 * 7_001);
    assert_eq!(run.evaluated(), 5 * (2 * 7_000 + 1));
}

#[test]
fn what_the_kernel_says_it_dropped_is_a_loss() {
    let Some(setup) = Setup::from_environment("the discard flag") else { return };
    let mac = mac("");
    let mut sensor = mac.start(&setup, "network-dropped.toml");
    sensor.wait_for(HEALTH, CHOSEN);
    sensor.let_go_on("go on");
    wait_for_flows(&mut sensor, 1);
    let run = sensor.end();
    assert_eq!(network(&run)["missing"]["discarded"], 1, "{}", network(&run));
    assert_eq!(run.told("loss")[0]["vedette"]["health"]["messages_missing"], 1);
}

#[test]
fn what_the_kernel_sends_that_nobody_can_read_costs_itself_and_is_counted() {
    let Some(setup) = Setup::from_environment("odd datagrams") else { return };
    let mac = mac("");
    let mut sensor = mac.start(&setup, "network-odd-datagrams.toml");
    sensor.wait_for(HEALTH, CHOSEN);
    sensor.let_go_on("go on");
    wait_for_flows(&mut sensor, 2);
    let run = sensor.end();
    let told: Vec<_> = flows(&mac).into_iter().map(|[action, ip, ..]| [action, ip]).collect();
    assert_eq!(told, [["connection_attempted", "203.0.113.1"], ["connection_attempted", "203.0.113.2"]]);
    assert_eq!(network(&run)["dropped"], serde_json::json!({ "malformed": 7 }), "{}", network(&run));
    // The first of them is told.
    let lines =
        run.log.lines().filter(|line| line.contains("the kernel's network statistics: a header: 1 bytes"));
    assert_eq!(lines.count(), 1, "{}", run.log);
}

#[test]
fn a_source_that_goes_silent_is_tried_out_again_and_believed_no_more() {
    let Some(setup) = Setup::from_environment("sources that go silent") else { return };
    let silent = "its probe failed: of 4 connections that were made, it told of none";
    // There is another.
    let mac = mac("");
    let mut sensor = mac.start(&setup, "network-es-goes-silent.toml");
    sensor.wait_for(HEALTH, CHOSEN);
    sensor.let_go_on("go on");
    sensor.wait_until(HEALTH, |told| told.matches(CHOSEN).count() == 2);
    let run = sensor.end();
    assert_eq!(message(&run), format!("ntstat, proven at start; es: {silent}"));
    assert_eq!(run.status["rules"]["blind"], serde_json::json!([]));
    // It did no harm in the two minutes for which a note stood.
    assert!(mac.read(NOTES).contains(r#""state":"survived""#), "{}", mac.read(NOTES));
    // There is none.
    let mac = self::mac("");
    let mut sensor = mac.start(&setup, "network-statistics-go-silent.toml");
    sensor.wait_for(HEALTH, CHOSEN);
    sensor.let_go_on("go on");
    sensor.wait_for(HEALTH, NONE);
    let run = sensor.end();
    assert!(message(&run).contains(&format!("ntstat: {silent}")), "{}", message(&run));
    assert_eq!(network(&run)["state"], "off");
    assert_eq!(run.status["rules"]["blind"].as_array().map(Vec::len), Some(2), "{}", run.status["rules"]);
}

#[test]
fn what_a_probe_that_failed_was_told_is_in_the_log() {
    let Some(setup) = Setup::from_environment("raw messages in the log") else { return };
    let mac = mac("");
    let mut sensor = mac.start(&setup, "network-wrong.toml");
    sensor.wait_for(HEALTH, NONE);
    let run = sensor.end();
    for (source, digits) in [("es", [160].as_slice()), ("ntstat", &[512, 480])] {
        let of = format!("{source}: its probe was told, from byte ");
        let parts: Vec<_> =
            run.log.lines().filter_map(|line| line.split_once(&of)?.1.split_once(": ")).collect();
        let lengths: Vec<usize> = parts.iter().map(|(_, bytes)| bytes.len()).collect();
        assert!(lengths.starts_with(digits), "{source}: {}", run.log);
    }
}

#[test]
fn where_the_configuration_wants_none_nothing_is_tried() {
    let Some(setup) = Setup::from_environment("no source wanted") else { return };
    let mac = mac("[network]\nsource = \"off\"\n");
    let run = mac.run(&setup, "network-silent.toml");
    assert_eq!(network(&run)["state"], "off");
    assert!(message(&run).contains("network.source"), "{}", message(&run));
    assert_eq!((&run.status["problems"]["network"], mac.read(NOTES).as_str()), (&Value::Null, ""));
}
