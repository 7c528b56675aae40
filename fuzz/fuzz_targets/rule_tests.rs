//! Any bytes as the tests beside a rule give tests that run, and findings of bounded length that only show.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use vedette::alert::is_deceptive;
use vedette::detector::RuleSet;
use vedette::rule_test::{self, Outcome, Tested};

const RULE: &str = "[rule]
rule_id = \"f\"
name = \"f\"
query = 'sequence by user.id with maxspan=1m [process where event.action == \"exec\"] [any where true]'
";

fuzz_target!(|data: &[u8]| {
    let folder = std::env::temp_dir().join(format!("vedette-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("r.toml"), RULE).unwrap();
    fs::write(folder.join("r.tests.toml"), data).unwrap();
    let suites = rule_test::load(&folder).unwrap();
    assert_eq!(suites.len(), 1);
    let suite = &suites[0];
    let rules = RuleSet::load(vec![suite.rule.clone()]);
    let outcomes: Vec<Outcome> = suite.tests.iter().map(|test| rule_test::run(&rules, test)).collect();
    let broken = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Broken(finding) => Some(finding),
        _ => None,
    });
    assert!(suite.findings.len() < 110);
    for finding in suite.findings.iter().map(|(_, finding)| finding).chain(broken) {
        assert!(finding.rendered.chars().all(|c| c == '\n' || !is_deceptive(c)), "{finding:?}");
    }
    let findings = suite.findings.iter().map(|(_, finding)| finding).collect();
    let report = rule_test::junit(&[Tested {
        name: "r",
        tests: suite.tests.iter().zip(&outcomes).collect(),
        findings,
    }]);
    assert!(report.chars().all(|c| c == '\n' || !is_deceptive(c)));
});
