//! What a test's words become: the messages that a Mac would have sent.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::file::{self, Tests};
use super::recording;
use crate::detector::RuleSet;
use crate::rule::{Content, RuleFile};
use crate::rule_test::{MAX_RECORDING, Outcome, check_inline, run};

fn read(text: &str) -> Tests {
    file::beside(Path::new("r.tests.toml"), text)
}

/// The lines of the only test with these events.
fn lines(events: &str) -> Vec<Json> {
    lines_with("", events)
}

fn lines_with(processes: &str, events: &str) -> Vec<Json> {
    let text = format!("{processes}\n[[tests]]\nname = \"n\"\nmust = \"not alert\"\nevents = [{events}]\n");
    let tests = read(&text);
    assert_eq!(tests.findings, [], "{text}");
    let recording = recording::record(&tests.tests[0].scenario).expect("it was recorded before");
    recording.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn path(image: &Json) -> &str {
    image["executable"]["path"].as_str().expect("a path")
}

#[test]
fn a_fork_copies_its_parents_image_and_an_exec_replaces_it() {
    let lines =
        lines(r#"{ exec = "bash", user = 501, parent = "Installer" }, { exec = "curl", in = "bash" }"#);
    // launchd forks, Installer; Installer forks, bash; curl.
    assert_eq!(lines.len(), 5);
    let child = &lines[2]["event"]["fork"]["child"];
    assert!(path(child).ends_with("/Installer"), "{child}");
    assert_eq!(child["audit_token"]["euid"], 0, "the user changes with the exec");
    let exec = &lines[3];
    assert!(
        path(&exec["process"]).ends_with("/Installer")
            && path(&exec["event"]["exec"]["target"]) == "/bin/bash"
    );
    assert_eq!(exec["event"]["exec"]["target"]["audit_token"]["euid"], 501);
    let pid = |image: &Json| image["audit_token"]["pid"].as_u64();
    let version = |image: &Json| image["audit_token"]["pidversion"].as_u64();
    let (bash, curl) = (&exec["event"]["exec"]["target"], &lines[4]["event"]["exec"]["target"]);
    assert_eq!(lines[4]["process"], *bash, "the old image is the one before");
    assert_eq!(pid(bash), pid(curl));
    assert!(version(child) < version(bash) && version(bash) < version(curl));
    assert_eq!(curl["parent_audit_token"], lines[2]["process"]["audit_token"]);
    assert_eq!(curl["start_time"], child["start_time"], "an exec does not change when it was forked");
}

#[test]
fn an_exec_in_place_keeps_the_parent_that_the_process_has() {
    let processes = "[processes]\ncurl = { path = \"/usr/bin/curl\", parent = \"Terminal\" }";
    let lines = lines_with(processes, r#"{ exec = "bash" }, { exec = "curl", in = "bash" }"#);
    assert_eq!(lines.len(), 3, "Terminal has no part in it");
    assert_eq!(lines[2]["event"]["exec"]["target"]["ppid"], 1);
}

#[test]
fn each_process_has_a_pid_and_a_start_of_its_own() {
    let lines = lines(
        r#"{ exec = "bash" }, { exec = "zsh", after = "1s" }, { exit = "bash" }, { exec = "curl", reuses = "bash", after = "1s" }"#,
    );
    let image = |at: usize| &lines[at]["event"]["exec"]["target"];
    let (bash, zsh, curl) = (image(1), image(3), image(6));
    assert_ne!(bash["audit_token"]["pid"], zsh["audit_token"]["pid"]);
    assert_eq!(bash["audit_token"]["pid"], curl["audit_token"]["pid"]);
    assert_ne!(bash["audit_token"]["pidversion"], curl["audit_token"]["pidversion"]);
    assert_eq!(bash["start_time"], "2026-01-01T00:00:00.000Z");
    assert_eq!(curl["start_time"], "2026-01-01T00:00:02.000Z");
}

#[test]
fn a_child_of_an_ended_parent_is_launchds() {
    let lines =
        lines(r#"{ fork = "bash", as = "child" }, { exit = "bash" }, { exec = "curl", in = "child" }"#);
    let curl = &lines[4]["event"]["exec"]["target"];
    assert_eq!((&curl["ppid"], &curl["parent_audit_token"]["pid"]), (&1.into(), &1.into()));
    assert_eq!(curl["original_ppid"], lines[1]["event"]["exec"]["target"]["audit_token"]["pid"]);
}

#[test]
fn a_process_answers_for_what_it_starts_unless_launchd_starts_it() {
    let lines = lines(
        r#"{ exec = "zsh", parent = "Terminal" }, { exec = "bash", parent = "package_script_service" },
           { exec = "curl", responsible = "Terminal", parent = "installd" }"#,
    );
    let responsible = |at: usize| &lines[at]["event"]["exec"]["target"]["responsible_audit_token"]["pid"];
    let (terminal, zsh, service, bash, curl) = (1, 3, 5, 7, 11);
    assert_eq!(responsible(terminal), responsible(zsh));
    assert_eq!(responsible(service), responsible(bash));
    assert_ne!(responsible(service), responsible(terminal));
    assert_eq!(responsible(curl), responsible(terminal));
}

#[test]
fn an_install_script_is_run_as_packagekit_runs_it() {
    let lines = lines(r#"{ exec = "zsh", package = "com.example.tool", script = "preinstall" }"#);
    let exec = &lines[1]["event"]["exec"];
    assert_eq!(exec["args"][0], "/bin/zsh");
    assert_eq!(exec["args"][1], "/tmp/PKInstallSandbox.q7RkTw/Scripts/com.example.tool.Zc4vLe/preinstall");
    assert_eq!(exec["script"]["path"], format!("/private{}", exec["args"][1].as_str().expect("a path")));
}

#[test]
fn signatures_are_apples_on_the_sealed_volume_and_said_elsewhere() {
    let lines = lines_with(
        "[processes]\nagent = { path = \"/opt/a/agentd\", team_id = \"EXAMPLE123\" }\nad-hoc = { path = \"/opt/b\", signing_id = \"b\" }",
        r#"{ exec = "curl" }, { exec = "agent" }, { exec = "ad-hoc" }, { exec = "/opt/none" }, { exec = "zsh", platform = false }"#,
    );
    let signed = |at: usize| {
        let image = &lines[at]["event"]["exec"]["target"];
        let text = |key: &str| image[key].as_str().unwrap_or_default().to_owned();
        (
            text("signing_id"),
            text("team_id"),
            image["is_platform_binary"] == true,
            image["codesigning_flags"] != 0,
        )
    };
    let expected =
        |id: &str, team: &str, platform, signed| (id.to_owned(), team.to_owned(), platform, signed);
    assert_eq!(signed(1), expected("com.apple.curl", "", true, true));
    assert_eq!(signed(3), expected("agentd", "EXAMPLE123", false, true));
    assert_eq!(signed(5), expected("b", "", false, true));
    assert_eq!(signed(7), expected("", "", false, false));
    assert_eq!(signed(9), expected("com.apple.zsh", "", false, true));
}

#[test]
fn what_is_lost_leaves_a_gap_in_the_messages_numbers() {
    let numbers = |events: &str| -> Vec<u64> {
        lines(events).iter().filter_map(|line| line["global_seq_num"].as_u64()).collect()
    };
    let events = |lost: &str| {
        format!(
            r#"{{ exec = "bash" }}, {{ connect = "bash" }}, {{ exec = "zsh"{lost} }}, {{ exit = "zsh" }}"#
        )
    };
    assert_eq!(numbers(&events("")), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&events(", lost = true")), [1, 2, 5]);
}

#[test]
fn other_macs_are_told_of_in_documents() {
    let lines = lines(
        r#"{ exec = "bash", host = "mac-2", user = 501 }, { exec = "curl", parent = "bash" }, { connect = "curl" }, { exit = "curl" }"#,
    );
    assert!(lines.iter().all(|line| line["host"]["id"] == "mac-2"), "{lines:?}");
    let curl = &lines[3];
    assert_eq!((&curl["event"]["action"], &curl["process"]["name"]), (&"exec".into(), &"curl".into()));
    assert_eq!((&curl["user"]["id"], &curl["process"]["parent"]["name"]), (&"501".into(), &"bash".into()));
    assert_eq!(curl["process"]["parent"]["entity_id"], lines[1]["process"]["entity_id"]);
    assert_eq!(lines[4]["process"], serde_json::json!({ "pid": curl["process"]["pid"] }));
    assert_eq!(lines[5]["event"]["type"], serde_json::json!(["end"]));
}

#[test]
fn a_line_of_the_tests_own_is_numbered_and_keeps_what_it_says() {
    let lines = lines(
        r#"{ raw = '{"event":{"category":"file","sequence":7},"a":18446744073709551615}', after = "1s" },
           { raw = '{"event.sequence":7,"event.category":"file","@timestamp":"2026-02-01T00:00:00Z"}' },
           { exec = "bash" }"#,
    );
    assert_eq!(lines[0]["@timestamp"], "2026-01-01T00:00:01.000Z");
    assert_eq!(lines[0]["a"], u64::MAX);
    assert_ne!(lines[0]["event"]["sequence"], 7);
    assert_ne!(lines[0]["event"]["sequence"], lines[1]["event.sequence"]);
    assert_eq!(lines[2]["time"], "2026-02-01T00:00:00.000Z", "what comes then comes with it");
}

#[test]
fn a_small_file_cannot_ask_for_endless_events() {
    let mut text = format!("[processes.big]\npath = \"/opt/big\"\nargs = [\"{}\"]\n", "x".repeat(1 << 19));
    text.push_str("[[tests]]\nname = \"n\"\nmust = \"not alert\"\nevents = [\n");
    for number in 0..100 {
        text.push_str(&format!("{{ exec = \"big\", as = \"{number}\" }},\n"));
    }
    text.push(']');
    let messages: Vec<String> = read(&text).findings.into_iter().map(|found| found.message).collect();
    assert_eq!(messages, ["the events of one test come to more than 16 MiB"]);
    assert_eq!(MAX_RECORDING, 16 << 20);
}

#[test]
fn of_many_mistakes_so_many_are_told_and_the_rest_counted() {
    let messages: Vec<String> =
        read(&"[[tests]]\n".repeat(150)).findings.into_iter().map(|found| found.message).collect();
    assert_eq!(messages.len(), 101);
    assert_eq!(messages[100], "50 more tests of this file are wrong");
    let messages: Vec<String> =
        read(&"[[tests]]\n".repeat(1001)).findings.into_iter().map(|found| found.message).collect();
    assert_eq!(messages, ["there are more than 1000 tests in this file"]);
}

#[test]
fn what_is_not_a_test_in_a_rules_file_is_left_alone() {
    let path = Path::new("r.toml");
    assert_eq!(check_inline(path, "[processes]\nx = 1\n[rule]\n"), []);
    assert_eq!(check_inline(path, "[[tests]\n"), [], "the rule says so");
    let found = check_inline(path, "tests = 1\n");
    assert_eq!(found.iter().map(|found| found.position.to_string()).collect::<Vec<_>>(), ["1:9"]);
}

/// Something of what a hand or a program may have written into a test.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"bash\"".to_owned()),
        Just("\"curl\"".to_owned()),
        Just("\"child\"".to_owned()),
        Just("\"launchd\"".to_owned()),
        Just("\"1s\"".to_owned()),
        Just("\"/\"".to_owned()),
        Just("[]".to_owned()),
        Just("{ event = [] }".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        ".{0,8}".prop_map(|text| toml::Value::String(text).to_string()),
    ]
}

fn entry() -> impl Strategy<Value = String> {
    const KEYS: &[&str] = &[
        "exec",
        "fork",
        "exit",
        "connect",
        "disconnect",
        "raw",
        "as",
        "in",
        "parent",
        "responsible",
        "user",
        "args",
        "package",
        "script",
        "reuses",
        "host",
        "at",
        "after",
        "since",
        "label",
        "lost",
        "to",
        "port",
        "domain",
        "with",
        "code",
    ];
    proptest::collection::btree_map(prop::sample::select(KEYS), value(), 1..4).prop_map(|keys| {
        let keys: Vec<String> = keys.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", keys.join(", "))
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_a_test_or_a_finding(entries in proptest::collection::vec(entry(), 0..6)) {
        let text = format!("[[tests]]\nname = \"n\"\nmust = \"alert\"\nevents = [{}]\n", entries.join(", "));
        let tests = read(&text);
        prop_assert_eq!(tests.tests.len() + tests.findings.len(), 1);
        let rule = "[rule]\nid = \"i\"\nname = \"n\"\nquery = \"any where true\"\n";
        let content = crate::rule::parse(Path::new("r.toml"), rule, "local");
        prop_assert!(matches!(content, Content::Rule(_)));
        let rules = RuleSet::load(vec![RuleFile { path: "r.toml".into(), content }]);
        for test in &tests.tests {
            let outcome = run(&rules, test);
            // Any event is an alert; without one, or with a line that is no event, there is none.
            if !test.scenario.events.is_empty() {
                let failed = matches!(outcome, Outcome::Failed(_));
                let lost = text.contains("lost = true") || text.contains("raw =");
                prop_assert!(!failed || lost, "{outcome:?}");
            }
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "(\\[\\[tests\\]\\]|\\[processes\\]|name|must|events|=|\"|\\[|\\{|\\}|\\]|,|\n|.){0,40}") {
        read(&text);
        check_inline(Path::new("r.toml"), &text);
    }
}
