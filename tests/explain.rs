//! `vedette rules explain` as data: `tests/data/explain/<case>/case.toml` says what the page must say; the page for people
//! (`page.txt`) and the document (`explanation.json`) are written anew by `UPDATE_EXPECT=1 cargo test --test explain`.

use std::convert::Infallible;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use vedette::explain::report::Explanation;
use vedette::explain::{MAX_CLOSEST, MAX_SILENCES, explain};
use vedette::readable::{self, Style};
use vedette::replay::Options;
use vedette::rule::{self, Content, Rule};
use vedette::source::Lines;
use vedette::{alert, exception};

#[derive(Deserialize)]
struct Case {
    /// The id of a built-in rule, or a file of the case.
    rule: String,
    /// A case of `tests/data/replay`; without one the case has events of its own.
    recording: Option<String>,
    /// A case of `tests/data/exceptions`, or a file of the case.
    exceptions: Option<String>,
    fired: u64,
    says: Vec<String>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn rule(folder: &Path, name: &str) -> Arc<Rule> {
    let files = match name.ends_with(".toml") {
        true => rule::load(&folder.join(name)).expect("a rule"),
        false => rule::builtin(),
    };
    let found = files.into_iter().find_map(|file| match file.content {
        Content::Rule(rule) if name.ends_with(".toml") || rule.id == name => Some(*rule),
        _ => None,
    });
    let mut rule = found.unwrap_or_else(|| panic!("{name}: no such rule"));
    if let Ok(path) = rule.path.strip_prefix(folder) {
        rule.path = path.to_owned();
    }
    Arc::new(rule)
}

fn explained(folder: &Path, case: &Case) -> Explanation {
    let events = match &case.recording {
        Some(recording) => data().join("replay").join(recording).join("events.ndjson"),
        None => folder.join("events.ndjson"),
    };
    let exceptions = case.exceptions.iter().flat_map(|name| {
        let shared = data().join("exceptions").join(name).join("exceptions.toml");
        let path = if name.ends_with(".toml") { folder.join(name) } else { shared };
        exception::load(&path).expect("exceptions")
    });
    let exceptions = exceptions.flat_map(|file| file.exceptions).collect();
    let files = vec![Lines::open(&events).expect("a recording")];
    let rule = rule(folder, &case.rule);
    let (explanation, _, _) = explain(&rule, exceptions, files, &Options::default(), |problem| {
        assert!(problem.to_string().is_empty(), "{problem}");
        ControlFlow::<Infallible>::Continue(())
    })
    .unwrap_or_else(|found| panic!("{}: {found:?}", folder.display()));
    explanation
}

#[test]
fn explanations_say_what_their_cases_ask_for() {
    let mut folders: Vec<PathBuf> = fs::read_dir(data().join("explain"))
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 18, "{} cases", folders.len());
    for folder in folders {
        let name = folder.display();
        let text = fs::read_to_string(folder.join("case.toml")).expect("a case");
        let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let explanation = explained(&folder, &case);
        let page = readable::explanation(&explanation, Style { colour: false, width: 100 });
        let document = serde_json::to_string_pretty(&explanation).expect("a document") + "\n";
        for (file, actual) in [("page.txt", &page), ("explanation.json", &document)] {
            let path = folder.join(file);
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                fs::write(&path, actual).expect("a writable folder");
            }
            assert_eq!(*actual, fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        }
        assert_eq!(explanation.fired, case.fired, "{name}");
        for said in &case.says {
            // A line break may stand where a space does.
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&page).contains(&words(said)), "{name} does not say: {said}\n{page}");
        }
    }
}

#[test]
fn pages_fit_and_nothing_in_them_acts_on_a_terminal() {
    for folder in ["hostile-text", "fired", "one-condition-fails"] {
        let folder = data().join("explain").join(folder);
        let case = toml::from_str(&fs::read_to_string(folder.join("case.toml")).expect("a case"));
        let explanation = explained(&folder, &case.expect("a case"));
        for width in [60, 100, 200] {
            for line in readable::explanation(&explanation, Style { colour: false, width }).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert!(!line.chars().any(alert::is_deceptive), "{line:?}");
            }
        }
    }
}

/// A long stream in which everything nearly matches: what is kept is bounded, and the nearest of it is found.
#[test]
fn a_long_stream_is_held_in_bounds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.ndjson");
    let query = "sequence by process.pid with maxspan=1s\n[process where process.name == \"a\"] \
                 [process where process.name == \"b\" and process.args_count > 1000000]";
    fs::write(
        folder.path().join("rule.toml"),
        format!("[rule]\nrule_id = \"r\"\nname = \"r\"\nquery = '''{query}'''\n"),
    )
    .expect("a writable folder");
    let long = "x".repeat(100_000);
    let mut text = String::new();
    for index in 0..2_000 {
        let (second, name, late) =
            (index / 100, ["a", "b"][index % 2], usize::from(index == 1001) * 1_000_000);
        let pid = index / 2;
        text.push_str(&format!(
            "{{\"@timestamp\":\"2026-11-24T08:00:{second:02}.{:03}Z\",\"event\":{{\"category\":\"process\"}},\
             \"process\":{{\"name\":\"{name}\",\"pid\":{pid},\"args_count\":{},\"command_line\":\"{long}\"}}}}\n",
            index % 100,
            index + late
        ));
    }
    fs::write(&path, text).expect("a writable folder");
    let case =
        Case { rule: "rule.toml".into(), recording: None, exceptions: None, fired: 1, says: Vec::new() };
    let explanation = explained(folder.path(), &case);
    assert_eq!((explanation.fired, explanation.events), (1, 2_000));
    assert_eq!(explanation.silences.len(), MAX_SILENCES);
    assert!(explanation.terms.iter().all(|term| term.closest.len() <= MAX_CLOSEST));
    let document = serde_json::to_string(&explanation).expect("a document");
    assert!(document.len() < 64 << 10, "{} bytes", document.len());
}
