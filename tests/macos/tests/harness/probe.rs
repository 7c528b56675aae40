//! `vedette doctor --probe-network` of the Mach-O, on a Mac that is healthy otherwise: what it finds of each source, what it
//! shows, and how it exits.

use super::doctor::{Recording, is_root};
use super::{Setup, root, shown};
use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Where the notes of sources in use are, below the Mac's root.
const NOTES: &str = "Library/Application Support/Vedette/network.json";

/// A healthy Mac's disk; none where the tests do not run as root, as the probe has to.
fn healthy() -> Option<tempfile::TempDir> {
    if !is_root() {
        eprintln!("macos-abi: the probe of network sources did not run: only root may");
        return None;
    }
    let mac = tempfile::tempdir().expect("a temporary folder");
    Recording::read(&root().join("tests/data/doctor/healthy")).lay_out(mac.path());
    Some(mac)
}

fn scenario(name: &str) -> PathBuf {
    root().join("tests/macos/scenarios").join(name)
}

fn doctor(setup: &Setup, mac: &Path, name: &str, format: &str) -> Output {
    let mut command = setup.darwin(&["doctor", "--probe-network", format]);
    command.env("MACOS_ABI_ROOT", mac).env("MACOS_ABI_SCENARIO", scenario(name));
    command.output().expect("it runs")
}

/// The check of an id.
fn check<'a>(document: &'a Json, id: &str) -> &'a Json {
    let all = document["checks"].as_array().expect("checks");
    all.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id}: {document}"))
}

fn text<'a>(check: &'a Json, key: &str) -> &'a str {
    check[key].as_str().unwrap_or_default()
}

/// The lines of evidence that begin with a word, without it.
fn evidence<'a>(check: &'a Json, word: &'a str) -> Vec<&'a str> {
    let lines = check["evidence"].as_array().into_iter().flatten().filter_map(Json::as_str);
    lines.filter_map(|line| line.strip_prefix(word)).collect()
}

#[test]
fn each_source_is_tried_and_one_that_is_believed_is_enough() {
    let Some(setup) = Setup::from_environment("the probe of network sources") else { return };
    let Some(mac) = healthy() else { return };
    let all = "it told of all 4 connections as they were";
    let (old, none) = ("from macOS 26.4 on", "it told of none");
    for (name, es, ntstat, code) in [
        ("network-es.toml", ("pass", all), ("warn", "the kernel does not give its network statistics"), 0),
        ("network-statistics.toml", ("warn", old), ("pass", all), 0),
        ("network-at-close.toml", ("warn", old), ("pass", all), 0),
        (
            "network-both.toml",
            ("warn", "silent of TCP and IPv6, UDP and IPv4, UDP and IPv6"),
            ("pass", all),
            0,
        ),
        ("network-not-entitled.toml", ("warn", "not tried: "), ("pass", all), 0),
        ("network-wrong.toml", ("fail", "is told to be of process"), ("fail", "is told to be of process"), 1),
        ("network-silent.toml", ("fail", none), ("fail", none), 1),
        ("network-longer.toml", ("fail", none), ("fail", "where the layout of this macOS has"), 1),
        ("install-chain.toml", ("fail", old), ("fail", "does not give its network statistics"), 1),
    ] {
        let output = doctor(&setup, mac.path(), name, "--json");
        let document: Json =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(&output)));
        for (id, (status, says)) in [("probe_es", es), ("probe_ntstat", ntstat)] {
            let check = check(&document, id);
            assert!(check["status"] == status && text(check, "found").contains(says), "{name}: {check}");
            assert_eq!(text(check, "next").is_empty(), status == "pass", "{name}: {check}");
        }
        assert_eq!(output.status.code(), Some(code), "{name}: {}", shown(&output));
        // What was noted is taken back.
        let notes = fs::read_to_string(mac.path().join(NOTES)).unwrap_or_default();
        assert!(["", "{}"].contains(&notes.as_str()), "{name}: {notes}");
    }
}

#[test]
fn what_was_made_and_the_messages_that_told_of_it_are_shown() {
    let Some(setup) = Setup::from_environment("what a probe shows") else { return };
    let Some(mac) = healthy() else { return };
    for (name, id, lengths) in [
        ("network-es.toml", "probe_es", [80, 80]),
        // Updates of UDP and TCP sockets, of each layout.
        ("network-statistics.toml", "probe_ntstat", [432, 496]),
        ("network-at-close.toml", "probe_ntstat", [424, 488]),
    ] {
        let output = doctor(&setup, mac.path(), name, "--json");
        let document: Json =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(&output)));
        let check = check(&document, id);
        let raw: Vec<Vec<u8>> = evidence(check, "raw ").into_iter().map(bytes).collect();
        assert_eq!(raw.len(), 4, "{name}: {check}");
        assert!(raw.iter().all(|raw| lengths.contains(&raw.len())), "{name}: {check}");
        for kind in ["TCP and IPv4 to ", "TCP and IPv6 to ", "UDP and IPv4 to ", "UDP and IPv6 to "] {
            let made = evidence(check, kind);
            let [made] = made[..] else { panic!("{name}: {check}") };
            let port: u16 = made
                .strip_suffix(": told")
                .and_then(|address| address.rsplit_once(':')?.1.parse().ok())
                .unwrap_or_else(|| panic!("{name}: {check}"));
            let has = |raw: &Vec<u8>| {
                raw.windows(2)
                    .any(|two| [port.to_be_bytes(), port.to_le_bytes()].iter().any(|port| port == two))
            };
            assert!(raw.iter().any(has), "{name}: {made}: {check}");
        }
    }
    // Each of what is told wrongly is said, by each source, and a property list has the same.
    let output = doctor(&setup, mac.path(), "network-wrong.toml", "--plist");
    let page = String::from_utf8_lossy(&output.stdout);
    assert_eq!(page.matches("<string>raw ").count(), 8, "{page}");
    assert_eq!(page.matches("<string>wrong: the connection to ").count(), 8, "{page}");
}

#[test]
fn a_note_that_something_went_down_outlives_the_probe() {
    let Some(setup) = Setup::from_environment("a note and the probe") else { return };
    let Some(mac) = healthy() else { return };
    let note = r#"{"ntstat":{"build":"23F79","at":"2026-11-24T08:00:00.000000000Z","state":"armed"}}"#;
    fs::write(mac.path().join(NOTES), note).expect("a file of the Mac's");
    let output = doctor(&setup, mac.path(), "network-statistics.toml", "--json");
    let document: Json =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(&output)));
    let check = check(&document, "probe_ntstat");
    assert!(
        text(check, "found").contains("23F79") && text(check, "found").contains("network.json"),
        "{check}"
    );
    assert!(evidence(check, "raw ").is_empty(), "{check}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(mac.path().join(NOTES)).expect("the notes"), note);
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(|pair| byte(pair).expect("hexadecimal digits")).collect()
}
