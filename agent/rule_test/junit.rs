//! The report that continuous integration reads: JUnit's XML.

use std::fmt::Write;

use super::{Outcome, Test};
use crate::rule::Finding;

/// One rule's file in a report.
#[derive(Debug)]
pub struct Tested<'a> {
    /// The rule's file, as it is shown.
    pub name: &'a str,
    /// The tests that ran, and what came of each.
    pub tests: Vec<(&'a Test, &'a Outcome)>,
    /// What else is wrong: a rule that does not load, a test that cannot be read.
    pub findings: Vec<&'a Finding>,
}

/// Returns the report: a `testsuite` for each rule, a `testcase` for each test. A test that cannot be read has no name,
/// so it is a case that is called by its place.
///
/// The elements and attributes are those that Jenkins, GitLab and GitHub's actions read in common.
pub fn junit(tested: &[Tested<'_>]) -> String {
    let mut suites = String::new();
    let mut all = [0; 3];
    for Tested { name, tests, findings } in tested {
        if tests.is_empty() && findings.is_empty() {
            continue;
        }
        let mut cases = String::new();
        let mut counts = [tests.len() + findings.len(), 0, findings.len()];
        for (test, outcome) in tests {
            let _ = write!(cases, "    <testcase classname={} name={}", quoted(name), quoted(&test.name));
            match outcome {
                Outcome::Passed => cases.push_str("/>\n"),
                Outcome::Failed(failure) => {
                    counts[1] += 1;
                    let message = format!("expected {}, came {}", failure.expected, failure.came);
                    let mut body = place(test);
                    for line in test.why.iter().chain(&failure.nearest) {
                        let _ = write!(body, "\n{line}");
                    }
                    element(&mut cases, "failure", &message, &body);
                }
                Outcome::Broken(finding) => {
                    counts[2] += 1;
                    element(&mut cases, "error", &finding.message, &finding.rendered);
                }
            }
        }
        for finding in findings {
            let case = format!("line {}, column {}", finding.position.line, finding.position.column);
            let _ = write!(cases, "    <testcase classname={} name={}", quoted(name), quoted(&case));
            element(&mut cases, "error", &finding.message, &finding.rendered);
        }
        let [count, failures, errors] = counts;
        let _ = writeln!(
            suites,
            "  <testsuite name={} tests=\"{count}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\">\n{cases}  </testsuite>",
            quoted(name)
        );
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [count, failures, errors] = all;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"vedette rules test\" tests=\"{count}\" \
         failures=\"{failures}\" errors=\"{errors}\">\n{suites}</testsuites>\n"
    )
}

fn place(test: &Test) -> String {
    format!("{}:{}", test.path.display(), test.position)
}

fn element(cases: &mut String, name: &str, message: &str, body: &str) {
    let body = body.trim_end().lines().map(escaped).collect::<Vec<_>>().join("\n");
    let _ = writeln!(cases, ">\n      <{name} message={}>{body}</{name}>\n    </testcase>", quoted(message));
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Text as XML 1.0 can hold it: what it cannot (<https://www.w3.org/TR/xml/#charsets>), and what an attribute would
/// lose, is written as `\u{1b}`, as on a terminal.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if crate::alert::is_deceptive(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "{}", c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}
