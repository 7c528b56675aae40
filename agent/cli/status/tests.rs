use std::fs;
use std::time::Duration;

use super::*;
use crate::sink::LaneStatus;
use crate::status::{BlindWindow, Configuration, Events, File, Memory, Rules, Source};

fn at(text: &str) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(timestamp::parse(text).expect("a time") as u64)
}

fn cost(name: &str, alerts: u64, time_ms: u64) -> RuleCost {
    RuleCost {
        name: name.into(),
        evaluations: 1_292_513,
        matches: alerts + 1,
        alerts,
        excepted: 1,
        time_ns: time_ms * 1_000_000,
    }
}

fn running() -> Status {
    let lane = LaneStatus { delivered: 3, ..LaneStatus::default() };
    Status {
        timestamp: "2026-11-24T09:15:02.250Z".into(),
        version: "0.1.0".into(),
        pid: 412,
        state: State::Running,
        started: "2026-11-23T07:58:44.120Z".into(),
        host_id: "6E2F0B9A-3B1C-5D7E-9C40-0F5B6B1E7A11".into(),
        host_name: Some("mac-0417".into()),
        rules: Rules {
            loaded: 2,
            failed: 0,
            blind: Vec::new(),
            hash: "4f1c9e0b7d2a".repeat(6).chars().take(64).collect(),
            alerts: [
                ("99239e7d-b0d4-46e3-8609-acafcf99f68c".into(), 1),
                ("5b1d4f0e-6c3a-4d0f-9f63-2a1be7c5c1d8".into(), 2),
            ]
            .into(),
            costs: [
                (
                    "99239e7d-b0d4-46e3-8609-acafcf99f68c".into(),
                    cost("Installer package starts a shell", 1, 412),
                ),
                ("5b1d4f0e-6c3a-4d0f-9f63-2a1be7c5c1d8".into(), cost("Process connects out", 2, 137)),
                ("not-yet-timed".into(), cost("A new rule", 0, 0)),
            ]
            .into(),
        },
        sources: [
            (
                "endpoint_security".into(),
                Source { state: "running".into(), received: 1_204_411, ..Source::default() },
            ),
            (
                "network".into(),
                Source {
                    state: "running".into(),
                    message: Some("ntstat, proven at start".into()),
                    received: 88_102,
                    ..Source::default()
                },
            ),
        ]
        .into(),
        events: Events { evaluated: 1_292_513, late: 4, alerts: 3, ..Events::default() },
        memory: Memory { processes: 1_408, partials: 12, partial_bytes: 48 << 10, ..Memory::default() },
        files: [("alerts".into(), File::new("/Library/Logs/Vedette/alerts.ndjson".into(), lane))].into(),
        configuration: Configuration {
            locked: true,
            errors: 0,
            files: vec!["/Library/Managed Preferences/dev.vedette.sensor.plist".into()],
        },
        ..Status::default()
    }
}

fn degraded() -> Status {
    let mut status = running();
    status.state = State::Degraded;
    let why = "/Library/Logs/Vedette/alerts.ndjson: No space left on device (os error 28)";
    status.problems.insert("alert file".into(), why.into());
    status.rules.failed = 1;
    status.events.missing = 1200;
    status.events.alerts_left_out = 4120;
    status.memory.processes_evicted = 3;
    status.memory.partials_evicted = 7;
    let source = status.sources.get_mut("endpoint_security").expect("the source");
    source.dropped = [("fork".into(), 118), ("exit".into(), 90)].into();
    let lane = LaneStatus {
        delivered: 3,
        waiting: 61,
        refused: 2,
        replaced: 1,
        error: Some(why.into()),
        ..LaneStatus::default()
    };
    status.files.insert("alerts".into(), File::new("/Library/Logs/Vedette/alerts.ndjson".into(), lane));
    status.configuration = Configuration { locked: false, errors: 2, files: Vec::new() };
    status.blind_windows.push(BlindWindow {
        from: "2026-11-24T08:00:00.000Z".into(),
        to: "2026-11-24T08:02:10.000Z".into(),
        why: "the sensor was stopped, or did not get to run".into(),
    });
    status
}

/// The pages of the README and of the night: `tests/data/status/*.txt`, written anew by `UPDATE_EXPECT=1`.
#[test]
fn pages() {
    let hostile = Status {
        version: "1\u{1b}[2J\n".into(),
        host_name: Some("\u{202e}mac".into()),
        rules: Rules { costs: [("r".into(), cost("\u{1b}]0;forged\u{7}", 1, 1))].into(), ..Rules::default() },
        problems: [("a\nb".into(), "x".repeat(300))].into(),
        ..running()
    };
    for (name, status, now) in [
        ("running", running(), "2026-11-24T09:15:06.000Z"),
        ("degraded", degraded(), "2026-11-24T09:15:06.000Z"),
        ("silent", running(), "2026-11-24T12:00:00.000Z"),
        ("stopped", Status { state: State::Stopped, ..running() }, "2026-11-24T12:00:00.000Z"),
        ("from-the-future", running(), "2026-11-24T07:00:00.000Z"),
        ("hostile", hostile, "2026-11-24T09:15:06.000Z"),
    ] {
        let seen = Seen::new(status, at(now));
        let page = page(&seen, Style { colour: false, width: 80 });
        assert!(!page.contains(|c: char| c != '\n' && crate::alert::is_deceptive(c)), "{page}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/status/{name}.txt"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &page).expect("a writable folder");
        }
        assert_eq!(page, fs::read_to_string(&path).unwrap_or_default(), "{name}");
        assert_eq!(seen.works(), name == "running" || name == "hostile");
    }
}

#[test]
fn for_programs() {
    let seen = Seen::new(degraded(), at("2026-11-24T09:15:06.000Z"));
    let json = seen.to_json().expect("JSON");
    assert_eq!((&json["state"], &json["age_s"]), (&"degraded".into(), &3.into()));
    let silent = Seen::new(running(), at("2026-11-24T12:00:00.000Z")).to_json().expect("JSON");
    assert_eq!((&silent["state"], &silent["age_s"]), (&"silent".into(), &9897.into()));
    let mut text = Vec::new();
    plist::to_writer_xml(&mut text, &output::without_nulls(json)).expect("memory");
    let text = String::from_utf8(text).expect("XML is text");
    assert!(text.contains("<key>state</key>\n\t<string>degraded</string>"), "{text}");
    let read: Status = plist::from_bytes(text.as_bytes()).expect("it reads back");
    assert_eq!(read.problems, degraded().problems);
}
