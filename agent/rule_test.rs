//! Rule tests: events that a rule must alert on, and events that it must not, beside the rule itself.
//!
//! A test says in a few words what happens; that becomes a recording, and the recording goes the way of every other
//! one: decoder, normaliser, process table, detector. docs/rules.md says how tests are written.
//!
//! ```toml
//! [[tests]]
//! name = "a shell, and curl at the end of the window"
//! must = "alert"
//! matches = [["bash", "curl connects"]]
//! events = [
//!     { exec = "bash", parent = "package_script_service" },
//!     { exec = "curl", parent = "bash" },
//!     { connect = "curl", after = "30s", since = "bash" },
//! ]
//! ```

mod event;
mod file;
mod junit;
mod outcome;
mod program;
mod recording;
mod table;

use std::path::{Path, PathBuf};

use eql::{Diagnostic, Position, Span};

use crate::rule::{self, BUILTIN, Content, Finding, RuleFile};

pub use file::{Must, Test};
pub use junit::{Tested, junit};
pub use outcome::{Failure, Outcome, run};

/// When a test begins that says nothing of it: 2026-01-01T00:00:00Z in nanoseconds since 1970.
const BEGIN: i64 = 1_767_225_600_000_000_000;

/// The most bytes of events in one test, and of those of one file together.
const MAX_RECORDING: usize = 16 << 20;

/// A rule file and its tests.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The rule; a file that could not be read as one has no tests.
    pub rule: RuleFile,
    /// The tests that can be run: those in the rule's file, then those beside it.
    pub tests: Vec<Test>,
    /// What is wrong with tests, and in which file.
    pub findings: Vec<(PathBuf, Finding)>,
}

/// Reads a rule file, or all of a folder and the folders in it, each with its tests. The file of tests may be named
/// instead of its rule's.
///
/// # Errors
/// The path itself cannot be read, in one sentence.
pub fn load(path: &Path) -> Result<Vec<Suite>, String> {
    let rule = rule::rule_of(path).filter(|_| path.is_file());
    let mut suites = Vec::new();
    for (path, text) in rule::texts(rule.as_deref().unwrap_or(path), "rules")? {
        suites.push(match text {
            Ok(text) => Suite::read(&path, &text, &rule::ruleset_of(&path), rule::tests_of(&path)),
            Err(finding) => Suite::without_tests(&path, Content::Broken(*finding)),
        });
    }
    for stray in rule::strays(path)? {
        let message = "these tests are of no rule: beside NAME.tests.toml there must be NAME.toml";
        let diagnostic = Diagnostic::error(Span::default(), message);
        let finding = Finding::new(&stray, Position::START, "", &diagnostic);
        suites.push(Suite::without_tests(&stray, Content::Broken(finding)));
    }
    Ok(suites)
}

/// Returns the built-in rules with their tests.
pub fn builtin() -> Vec<Suite> {
    BUILTIN
        .iter()
        .map(|builtin| {
            let path = Path::new(builtin.path);
            let tests = path.with_extension("tests.toml");
            Suite::read(path, builtin.text, "vedette", Some((tests, Ok(builtin.tests.to_owned()))))
        })
        .collect()
}

/// Returns what is wrong with the tests in a rule's own file.
pub fn check_inline(path: &Path, text: &str) -> Vec<Finding> {
    file::inline(path, text).findings
}

impl Suite {
    /// Returns whether there is a test that must alert and one that must not.
    pub fn has_both_kinds(&self) -> bool {
        [Must::Alert, Must::NotAlert].iter().all(|kind| self.tests.iter().any(|test| test.must == *kind))
    }

    /// Reads a rule, and its tests if it can be one.
    fn read(path: &Path, text: &str, ruleset: &str, beside: Option<rule::FileText>) -> Self {
        let mut suite = Suite::without_tests(path, rule::parse(path, text, ruleset));
        if matches!(suite.rule.content, Content::Rule(_)) {
            suite.add(path, file::inline(path, text));
            match beside {
                Some((path, Ok(text))) => suite.add(&path, file::beside(&path, &text)),
                Some((path, Err(finding))) => suite.findings.push((path, *finding)),
                None => {}
            }
        }
        suite
    }

    fn without_tests(path: &Path, content: Content) -> Self {
        let rule = RuleFile { path: path.to_owned(), content };
        Suite { rule, tests: Vec::new(), findings: Vec::new() }
    }

    fn add(&mut self, path: &Path, read: file::Tests) {
        self.tests.extend(read.tests);
        self.findings.extend(read.findings.into_iter().map(|finding| (path.to_owned(), finding)));
    }
}

#[cfg(test)]
mod tests;
