//! Live equals replay: what the live sensor is told, recorded as eslogger would, gives the same alerts.

use super::Setup;
use super::sensor::{HOST, Mac, RULES};
use serde_json::Value;

/// Fields that the live sensor knows and a recording does not, and why. Every other field is the same.
const LIVE_ONLY: &[(&str, &str)] = &[
    ("vedette.tick", "eslogger writes mach_time in ticks of a unit that no line names"),
    ("host.name", "a recording does not say which Mac it is of; --host-id gives its id only"),
    ("host.hostname", "as host.name"),
    ("host.architecture", "as host.name"),
    ("host.os.version", "as host.name"),
    ("host.os.full", "as host.name"),
    ("host.os.kernel", "as host.name"),
    ("host.ip", "as host.name"),
    ("host.mac", "as host.name"),
    ("user.name", "names of accounts are asked of the Mac; a recording has ids only, but for root's"),
    ("user.Ext.real.name", "as user.name"),
    ("group.name", "as user.name"),
    ("group.Ext.real.name", "as user.name"),
];

#[test]
fn the_live_sensor_and_a_replay_of_what_it_was_told_give_the_same_alerts() {
    let Some(setup) = Setup::from_environment("live equals replay") else { return };
    // Losses are events that only a live sensor makes: a recording may have been filtered.
    let query = "process where true";
    for (scenario, expected) in
        [("install-chain.toml", 5), ("odd-messages.toml", 4), ("lost-between.toml", 2)]
    {
        let mac = Mac::new(query);
        let recording = mac.path("recording.ndjson");
        let mut sensor = mac.start_with(&setup, scenario, &[("MACOS_ABI_ESLOGGER", &recording)]);
        sensor.wait_for("report", "told all");
        let run = sensor.end();
        let rule = mac.path(RULES).join("own.toml");
        let arguments = ["replay", "--json", "--strict", "--no-builtin", "--host-id", HOST, "--rules"];
        let output =
            setup.linux(&arguments).arg(rule).arg(recording).output().expect("the Linux binary starts");
        assert!(output.status.success(), "{scenario}: {}", super::shown(&output));
        let replayed = String::from_utf8(output.stdout).expect("UTF-8");
        let mut replayed: Vec<Value> =
            replayed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let mut live: Vec<Value> =
            run.alerts.into_iter().filter(|alert| alert["rule"]["name"] == "own").collect();
        assert_eq!((live.len(), replayed.len()), (expected, expected), "{scenario}: {}", run.log);
        // They are there in the live alerts, or the list says too much.
        assert!(
            live.iter().all(
                |alert| alert.pointer("/vedette/tick").is_some() && alert.pointer("/host/name").is_some()
            )
        );
        live.iter_mut().chain(&mut replayed).for_each(|alert| leave_out_live_only(alert, ""));
        for (live, replayed) in live.iter().zip(&replayed) {
            assert_eq!(live, replayed, "{scenario}");
        }
    }
}

/// Takes the fields out that only a live sensor knows, of an alert and of the events and processes within it.
fn leave_out_live_only(value: &mut Value, path: &str) {
    match value {
        Value::Object(object) => {
            object.retain(|key, value| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if path == "vedette.events" {
                    // Each is a document of its own.
                    value
                        .as_array_mut()
                        .into_iter()
                        .flatten()
                        .for_each(|event| leave_out_live_only(event, ""));
                    return true;
                }
                leave_out_live_only(value, &path);
                let emptied = value.as_object().is_some_and(serde_json::Map::is_empty);
                !emptied && !is_live_only(&path)
            });
        }
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out_live_only(item, path)),
        _ => {}
    }
}

fn is_live_only(path: &str) -> bool {
    // In the process tree, a node's user.
    let path = path.strip_prefix("vedette.process_tree.").unwrap_or(path);
    LIVE_ONLY.iter().any(|(field, _)| *field == path)
}
