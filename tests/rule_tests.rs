//! `vedette rules test` as people and scripts use it.
//!
//! Each folder of `tests/data/rule_tests` holds rules and tests, right and wrong, and `screen.txt`: what a terminal
//! shows, standard error included, and the exit code. `UPDATE_EXPECT=1 cargo test --test rule_tests` writes it.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};
use quick_xml::XmlVersion;
use quick_xml::events::Event;
use serde_json::Value as Json;
use vedette::rule_test::{self, Outcome};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rule_tests")
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    command.args(["rules", "test"]).args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

/// Runs the command and returns exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = command(folder, arguments).output().expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Returns what a terminal shows, and the exit code.
fn screen(folder: &Path) -> String {
    let size = Winsize { ws_row: 50, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).expect("a pseudo-terminal");
    let mut command = command(folder, &["."]);
    let error = terminal.slave.try_clone().expect("a second handle");
    command.env("TERM", "xterm").stdout(terminal.slave).stderr(error);
    let mut child = command.spawn().expect("the command runs");
    // The command holds the other end, and would keep it open here.
    drop(command);
    let mut master = File::from(terminal.master);
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // Linux tells as an error that the last writer has gone.
    while let Ok(read @ 1..) = master.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
    }
    let code = child.wait().expect("it ends").code().unwrap_or(-1);
    let shown = String::from_utf8(bytes).expect("a screen is UTF-8").replace("\r\n", "\n");
    format!("{shown}exit code {code}\n")
}

#[test]
fn screens_are_as_they_were() {
    let mut cases: Vec<PathBuf> =
        fs::read_dir(data()).expect("the cases").map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    assert!(cases.len() >= 9, "{cases:?}");
    let mut wrong = Vec::new();
    for case in cases {
        let actual = screen(&case);
        let unseen = |c: char| c != '\n' && c.is_control() || c == '\u{202e}' || c == '\u{2028}';
        assert!(!actual.contains(unseen), "{}: {actual:?}", case.display());
        let path = case.join("screen.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &actual).expect("a writable file");
        }
        if actual != fs::read_to_string(&path).unwrap_or_default() {
            wrong.push(format!("{}: now\n{actual}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn programs_get_a_line_for_each_test_and_each_problem() {
    let (code, stdout, _) = run(&data(), &["passing", "failing", "untested/rule.toml"]);
    let lines = lines(&stdout);
    let status: Vec<&str> = lines.iter().map(|line| line["status"].as_str().expect("a status")).collect();
    assert_eq!(code, 1);
    assert_eq!(status, [vec!["passed"; 4], vec!["failed"; 9], vec!["untested"]].concat());
    let late = &lines[4];
    assert_eq!(late["test"], "1 ms late");
    assert_eq!((&late["path"], &late["line"]), (&"failing/rule.tests.toml".into(), &6.into()));
    assert_eq!(late["alerts"], serde_json::json!([]));
    let nearest = "term 2 came 1 ms too late: 5.001 s after the first event, and maxspan is 5 s";
    assert_eq!(late["nearest"][0], nearest);
    let (code, stdout, _) = run(&data(), &["mistakes/rule.tests.toml"]);
    assert_eq!(code, 1);
    let circle = self::lines(&stdout).into_iter().find(|line| line["line"] == 3).expect("the circle");
    assert_eq!((&circle["status"], &circle["column"]), (&"error".into(), &33.into()));
}

#[test]
fn a_report_for_continuous_integration_is_xml_whatever_it_is_about() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.xml");
    let (code, ..) = run(&data(), &["--junit", &report.to_string_lossy(), "."]);
    assert_eq!(code, 1);
    let text = fs::read_to_string(&report).expect("the report");
    let mut reader = quick_xml::Reader::from_str(&text);
    reader.config_mut().check_comments = true;
    let (mut counts, mut said) = ([0u64; 3], [0u64; 3]);
    loop {
        match reader.read_event().expect("it is well-formed") {
            Event::Start(tag) | Event::Empty(tag) => {
                for attribute in tag.attributes() {
                    let attribute = attribute.expect("an attribute");
                    let value = attribute
                        .normalized_value(XmlVersion::Implicit1_0)
                        .expect("only entities that XML knows");
                    assert!(value.chars().all(is_xml), "{value:?}");
                    let number = ["tests", "failures", "errors"]
                        .iter()
                        .position(|name| attribute.key.as_ref() == *name);
                    if let ("testsuites", Some(at)) = (tag.name().as_ref(), number) {
                        said[at] = value.parse().expect("a number");
                    }
                }
                let kind =
                    ["testcase", "failure", "error"].iter().position(|name| tag.name().as_ref() == *name);
                if let Some(at) = kind {
                    counts[at] += 1;
                }
            }
            Event::Text(text) => assert!(text.chars().all(is_xml)),
            Event::GeneralRef(entity) => {
                assert!(["amp", "lt", "gt", "quot"].contains(&&*entity), "{entity:?}")
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(counts, said);
    assert!(counts[0] > 40 && counts[1] > 5 && counts[2] > 30, "{counts:?}");
}

/// <https://www.w3.org/TR/xml/#charsets>
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[test]
fn what_cannot_be_run_is_told_from_what_fails() {
    let folder = data();
    assert_eq!(run(&folder, &["nowhere"]).0, 2);
    assert_eq!(run(&folder, &["untested"]).0, 2);
    assert_eq!(run(&folder, &["--junit", "nowhere/report.xml", "passing"]).0, 2);
    assert_eq!(run(&folder, &["stray/other.tests.toml"]).0, 2, "there is no rule of that name");
    let (code, stdout, _) = run(&folder, &["--both-kinds", "untested", "passing"]);
    let lacking = "the rule needs a test that must alert and one that must not";
    assert_eq!(code, 1);
    assert_eq!(lines(&stdout).iter().filter(|line| line["reason"] == lacking).count(), 1);
}

#[test]
fn built_in_rules_pass_their_own_tests_and_have_both_kinds() {
    for suite in rule_test::builtin() {
        let path = suite.rule.path.display();
        assert!(suite.findings.is_empty(), "{path}: {:?}", suite.findings);
        assert!(suite.has_both_kinds(), "{path}: it needs a test that must alert and one that must not");
        let rules = vedette::detector::RuleSet::load(vec![suite.rule.clone()]);
        for test in &suite.tests {
            let outcome = rule_test::run(&rules, test);
            assert!(
                matches!(outcome, Outcome::Passed),
                "{}:{}: {outcome:?}",
                test.path.display(),
                test.position
            );
        }
    }
    let (code, _, stderr) = run(&data(), &[]);
    assert!(code == 0 && stderr.contains("0 failed"), "{stderr}");
}

/// What an exception hides shows in the tests that it makes fail, and they name it.
#[test]
fn with_exceptions_the_tests_show_what_they_hide() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let failed = |condition: &str| {
        let exception = format!(
            "[[exceptions]]\nid = \"own\"\nrules = [\"99239e7d-b0d4-46e3-8609-acafcf99f68c\"]\nowner = \"o\"\n\
             reason = \"r\"\nexpires = 2027-01-01\ncondition = '{condition}'\n"
        );
        fs::write(folder.path().join("own.toml"), exception).expect("a writable folder");
        let (code, stdout, stderr) = run(folder.path(), &["--exceptions", "own.toml"]);
        let failed: Vec<Json> =
            lines(&stdout).into_iter().filter(|line| line["status"] == "failed").collect();
        (code, failed, stderr)
    };
    let (code, narrow, _) = failed("network where destination.domain == \"agent.example.com\"");
    let names: Vec<&str> = narrow.iter().filter_map(|line| line["test"].as_str()).collect();
    assert_eq!((code, names), (1, vec!["an organisation's own package fetches its agent"]));
    assert_eq!(narrow[0]["nearest"][0], "the exception own took the event of term 2");
    let (_, broad, _) = failed("network where process.name == \"curl\"");
    assert!(broad.iter().any(|line| line["test"] == "a postinstall script runs curl"), "{broad:?}");
    let (code, _, stderr) = failed("network where");
    assert!(code == 1 && stderr.contains("own.toml:7:"), "{stderr}");
}

/// The rule and the tests in docs/rules.md are right as they stand there.
#[test]
fn what_the_document_shows_passes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let text = fs::read_to_string(path).expect("the document");
    let blocks: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|part| part.split("```\n").next()).collect();
    let [rule, tests, processes, window] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
    let windowed = "[rule]\nid = \"w\"\nname = \"w\"\nquery = '''sequence by host.id with maxspan=30s\n\
                    [process where event.action == \"exec\" and process.name == \"bash\"]\n\
                    [network where process.name == \"curl\"]'''\n";
    let session = "[rule]\nid = \"s\"\nname = \"s\"\nquery = 'network where vedette.package.host != null'\n";
    let named = "[[tests]]\nname = \"n\"\nmust = \"alert\"\nevents = [{ connect = \"agent\" }]\n";
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in [
        ("a.toml", (*rule).to_owned()),
        ("a.tests.toml", (*tests).to_owned()),
        ("b.toml", windowed.to_owned()),
        ("b.tests.toml", (*window).to_owned()),
        ("c.toml", format!("{session}{processes}{named}")),
    ] {
        fs::write(folder.path().join(name), text).expect("a writable folder");
    }
    let (code, stdout, stderr) = run(folder.path(), &["--both-kinds", "a.toml", "b.toml"]);
    assert_eq!((code, stderr.as_str()), (0, "tests: 5 passed, 0 failed\n"), "{stdout}");
    let (code, stdout, _) = run(folder.path(), &["c.toml"]);
    assert_eq!(code, 0, "{stdout}");
}

/// A test that could not fail would say nothing: with its verdict turned round, each one does.
#[test]
fn each_test_of_the_built_in_rules_can_fail() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/macos");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for suite in rule_test::builtin() {
        let name = suite.rule.path.file_name().expect("a file").to_string_lossy().into_owned();
        let tests = name.replace(".toml", ".tests.toml");
        fs::copy(rules.join(&name), folder.path().join(&name)).expect("a copy");
        let text = fs::read_to_string(rules.join(&tests)).expect("its tests");
        let turned: String = text
            .lines()
            .map(|line| match line {
                "must = \"alert\"" => "must = \"not alert\"\n".to_owned(),
                "must = \"not alert\"" => "must = \"alert\"\n".to_owned(),
                line if ["alerts =", "matches =", "followed ="].iter().any(|key| line.starts_with(key)) => {
                    String::new()
                }
                line => format!("{line}\n"),
            })
            .collect();
        fs::write(folder.path().join(&tests), turned).expect("a writable folder");
    }
    let (_, stdout, _) = run(folder.path(), &["."]);
    let lines = lines(&stdout);
    let passed: Vec<&Json> = lines.iter().filter(|line| line["status"] != "failed").collect();
    assert!(passed.is_empty() && lines.len() > 80, "{passed:?}");
}
