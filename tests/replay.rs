//! Recordings and the alerts that they give, as data: `tests/data/{replay,bad,fleet}/<case>/`.
//!
//! `case.toml` says what is expected, written by hand; `alerts.ndjson` holds the alerts themselves and is
//! written anew by `UPDATE_EXPECT=1 cargo test --test replay`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vedette::alert::AlertKind;
use vedette::detector::RuleSet;
use vedette::replay::{self, Options, Output};
use vedette::rule;
use vedette::source::Lines;

/// What a case expects.
#[derive(Deserialize)]
struct Case {
    /// How many alerts each rule gives.
    alerts: BTreeMap<String, u64>,
    /// How many documents of what came after an alert.
    enrichments: u64,
    /// How many lines cannot be read.
    skipped: u64,
}

#[test]
fn recordings_alert_as_their_cases_say() {
    check("replay", 50);
}

#[test]
fn bad_input_loses_nothing_else() {
    check("bad", 8);
}

#[test]
fn what_a_fleet_installs_alerts_as_is_known() {
    check("fleet", 20);
}

/// Runs all cases of a folder, of which there are at least `least`.
fn check(folder: &str, least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let mut cases: Vec<PathBuf> = fs::read_dir(&root)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("case.toml").exists())
        .collect();
    cases.sort();
    assert!(cases.len() >= least, "{} cases in {}", cases.len(), root.display());
    let rules = RuleSet::load(rule::builtin());
    assert_eq!(rules.findings, []);
    let wrong: Vec<String> = cases.iter().filter_map(|case| run(case, &rules).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(folder: &Path, rules: &RuleSet) -> Result<(), String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let case: Case = toml::from_str(&fs::read_to_string(folder.join("case.toml")).expect("a case"))
        .map_err(|error| format!("{name}: case.toml: {error}"))?;
    let files = recordings(folder).iter().map(|path| Lines::open(path).expect("a recording")).collect();
    let mut lines = String::new();
    let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
    let mut enrichments = 0;
    let mut problems = Vec::new();
    let (summary, _) = replay::run(rules, files, &Options::default(), |output| {
        match output {
            Output::Alert(alert) => {
                lines.push_str(alert.line());
                lines.push('\n');
                match alert.kind {
                    AlertKind::Alert => *alerts.entry(alert.rule.id.clone()).or_default() += 1,
                    AlertKind::Enrichment => enrichments += 1,
                    AlertKind::Summary => panic!("a replay leaves nothing out"),
                }
            }
            Output::Problem(problem) => problems.push(problem.to_string()),
        }
        ControlFlow::<Infallible>::Continue(())
    });
    let expected: BTreeMap<String, u64> = case.alerts.into_iter().filter(|(_, count)| *count > 0).collect();
    if (alerts.clone(), enrichments, problems.len() as u64)
        != (expected.clone(), case.enrichments, case.skipped)
    {
        return Err(format!(
            "{name}: expected {expected:?}, {} enrichments, {} skipped; got {alerts:?}, {enrichments}, {problems:?}",
            case.enrichments, case.skipped
        ));
    }
    assert_eq!(summary.read.problems, case.skipped, "{name}");
    assert_eq!(with_threads(folder, rules), (lines.clone(), problems), "{name}: with several threads");
    let path = folder.join("alerts.ndjson");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &lines).expect("a writable case");
        return Ok(());
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    match lines.lines().zip(golden.lines().chain(std::iter::repeat(""))).find(|(a, b)| a != b) {
        Some((actual, golden)) => {
            Err(format!("{name}: alerts.ndjson differs\n  now  {actual}\n  then {golden}"))
        }
        None if lines.len() != golden.len() => {
            Err(format!("{name}: alerts.ndjson has more alerts than there are"))
        }
        None => Ok(()),
    }
}

/// The alerts and the problems of a case whose lines are decoded by several threads.
fn with_threads(folder: &Path, rules: &RuleSet) -> (String, Vec<String>) {
    let files = recordings(folder).iter().map(|path| Lines::open(path).expect("a recording")).collect();
    let (mut lines, mut problems) = (String::new(), Vec::new());
    replay::run(rules, files, &Options { jobs: 2, ..Options::default() }, |output| {
        match output {
            Output::Alert(alert) => {
                lines.push_str(alert.line());
                lines.push('\n');
            }
            Output::Problem(problem) => problems.push(problem.to_string()),
        }
        ControlFlow::<Infallible>::Continue(())
    });
    (lines, problems)
}

/// The recordings of a case: `events.ndjson` first, then the others by name.
fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a case")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "ndjson") && !path.ends_with("alerts.ndjson"))
        .collect();
    files.sort_by_key(|path| (!path.ends_with("events.ndjson"), path.clone()));
    files
}
