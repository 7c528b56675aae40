//! Exceptions as data: `tests/data/exceptions/<case>/` with a recording of `tests/data/replay`, and
//! `tests/data/exceptions/bad/` with what is said of files that are wrong (`UPDATE_EXPECT=1` writes that anew).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vedette::alert::AlertKind;
use vedette::detector::RuleSet;
use vedette::replay::{self, Options, Output};
use vedette::source::Lines;
use vedette::{exception, rule, schema};

#[derive(Deserialize)]
struct Case {
    recording: String,
    alerts: BTreeMap<String, u64>,
    enrichments: u64,
    hits: BTreeMap<String, u64>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[test]
fn exceptions_take_what_they_say_and_no_more() {
    let mut cases = 0;
    for entry in fs::read_dir(data().join("exceptions")).expect("the folder of cases") {
        let folder = entry.expect("an entry").path();
        let Ok(text) = fs::read_to_string(folder.join("case.toml")) else { continue };
        let name = folder.display();
        let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut exceptions = Vec::new();
        for file in exception::load(&folder.join("exceptions.toml")).expect("it can be read") {
            assert_eq!(file.findings, [], "{name}");
            exceptions.extend(file.exceptions);
        }
        let rules = RuleSet::load_over(schema::schema(), rule::builtin(), exceptions);
        assert_eq!(rules.findings, [], "{name}");
        let recording = data().join("replay").join(&case.recording).join("events.ndjson");
        let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
        let mut enrichments = 0;
        let files = vec![Lines::open(&recording).expect("a recording")];
        let (summary, _) = replay::run(&rules, files, &Options::default(), |output| {
            match output {
                Output::Alert(alert) if alert.kind == AlertKind::Alert => {
                    *alerts.entry(alert.rule.id.clone()).or_default() += 1;
                }
                Output::Alert(_) => enrichments += 1,
                Output::Problem(problem) => panic!("{problem}"),
            }
            ControlFlow::<Infallible>::Continue(())
        });
        let expected: BTreeMap<_, _> = case.alerts.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!((alerts, enrichments), (expected, case.enrichments), "{name}");
        assert_eq!(summary.exceptions, case.hits, "{name}");
        cases += 1;
    }
    assert!(cases >= 14, "{cases} cases");
}

#[test]
fn what_is_wrong_and_where() {
    let folder = data().join("exceptions/bad");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(paths.len() >= 14);
    for path in paths {
        let mut said = String::new();
        for file in exception::load(&path).expect("it can be read") {
            assert!(!file.findings.is_empty(), "{}", path.display());
            let _ = writeln!(said, "{} can be used", file.exceptions.len());
            let prefix = format!("{}/", folder.display());
            file.findings.iter().for_each(|found| said.push_str(&found.rendered.replace(&prefix, "")));
        }
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said}");
        let expected = path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expected, &said).expect("a writable folder");
        }
        assert_eq!(said, fs::read_to_string(&expected).unwrap_or_default(), "{}", path.display());
    }
}

/// The example of docs/exceptions.md is an exception.
#[test]
fn the_documented_example_loads() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/exceptions.md");
    let text = fs::read_to_string(page).expect("the page");
    let example =
        text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let file = exception::parse(Path::new("example.toml"), example);
    assert_eq!(file.findings, []);
    assert_eq!(file.exceptions.len(), 1);
}

/// What comes with Vedette for the agents that manage Macs: it loads, and it is switched off.
#[test]
fn suggestions_load_and_are_switched_off() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/exceptions");
    let mut count = 0;
    for file in exception::load(&folder).expect("it can be read") {
        assert_eq!(file.findings, []);
        for exception in file.exceptions {
            assert!(!exception.enabled, "{}", exception.id);
            let signed = ["team_id", "signing_id"].iter().all(|field| exception.condition.contains(field));
            assert!(signed, "{}: by signature, not by path alone", exception.id);
            count += 1;
        }
    }
    assert!(count >= 4, "{count} suggestions");
}

#[test]
fn no_exception_hides_a_self_test() {
    let recording = data().join("replay/root-postinstall/events.ndjson");
    let recorded = fs::read_to_string(recording).expect("a recording");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let alerts = |package: &str, on: &str| {
        let events = folder.path().join("events.ndjson");
        // As `vedette selftest` does it: its own package, and a connection that does not leave the Mac.
        let text = recorded.replace("com.example.tool", package).replace("203.0.113.10", "127.0.0.1");
        assert_ne!(text, recorded);
        fs::write(&events, text).expect("a writable folder");
        let file = folder.path().join("all.toml");
        let exception = format!(
            "[[exceptions]]\nid = \"all\"\nrules = [\"*\"]\non = \"{on}\"\ncondition = 'any where true'\n\
             owner = \"x\"\nreason = \"x\"\nexpires = 2099-12-31\n"
        );
        fs::write(&file, exception).expect("a writable folder");
        let files = exception::load(&file).expect("it can be read");
        let exceptions = files.into_iter().flat_map(|file| file.exceptions).collect();
        let rules = RuleSet::load_over(schema::schema(), rule::builtin(), exceptions);
        assert_eq!(rules.findings, []);
        let mut ids = Vec::new();
        let lines = vec![Lines::open(&events).expect("a recording")];
        replay::run(&rules, lines, &Options::default(), |output| {
            if let Output::Alert(alert) = output {
                ids.push(alert.rule.id.clone());
            }
            ControlFlow::<Infallible>::Continue(())
        });
        ids
    };
    for on in ["event", "alert"] {
        assert_eq!(alerts("com.example.else", on), Vec::<String>::new(), "{on}");
        let own = vedette::identity::selftest_id("0123456789abcdef");
        assert_eq!(alerts(&own, on), ["99239e7d-b0d4-46e3-8609-acafcf99f68c"], "{on}");
    }
}
