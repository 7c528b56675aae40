//! `vedette rules test`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value as Json, json};

use super::{Rule, load_exceptions, visible_path};
use crate::alert::json_line;
use crate::cli::output;
use crate::detector::RuleSet;
use crate::exception::Exception;
use crate::readable::visible;
use crate::rule::{Content, Finding};
use crate::rule_test::{self, Failure, Outcome, Suite, Test, Tested};
use crate::schema;

/// What `vedette rules test` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Write NDJSON even to a terminal
    #[arg(long)]
    json: bool,
    /// Also write a report for continuous integration, as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Fail a rule that has no test that must alert, or none that must not
    #[arg(long)]
    both_kinds: bool,
    /// Use the exceptions in this file or folder: a test that must alert and then does not shows what they hide
    #[arg(long, value_name = "PATH")]
    exceptions: Vec<PathBuf>,
    /// Rule files or folders; the built-in rules where there is none
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// A rule's file and what came of its tests.
struct Report {
    suite: Suite,
    results: Vec<Outcome>,
    /// What is wrong beside the tests that ran, and in which file.
    problems: Vec<(PathBuf, Finding)>,
}

/// Runs the rules' own tests: 0 if all pass, 1 if one fails or is no test, or a rule or an exception does not load.
///
/// # Errors
/// A path cannot be read, the report or standard output cannot be written, or there is no test at all.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut suites = Vec::new();
    for path in &arguments.paths {
        suites.extend(rule_test::load(path).map_err(anyhow::Error::msg)?);
    }
    if arguments.paths.is_empty() {
        suites = rule_test::builtin();
    }
    let (exceptions, wrong) = load_exceptions(&arguments.exceptions)?;
    for finding in &wrong {
        output::say(format_args!("{}", finding.rendered));
    }
    let reports: Vec<Report> =
        suites.into_iter().map(|suite| Report::of(suite, &exceptions, arguments.both_kinds)).collect();
    // Before anything is shown: a reader that goes away takes no report with it.
    if let Some(path) = &arguments.junit {
        let names: Vec<String> = reports.iter().map(|report| report.path().display().to_string()).collect();
        let tested: Vec<Tested<'_>> =
            reports.iter().zip(&names).map(|(report, name)| report.tested(name)).collect();
        std::fs::write(path, rule_test::junit(&tested))
            .with_context(|| format!("{}: the report cannot be written", path.display()))?;
    }
    let mut output = std::io::stdout().lock();
    let readable = output::style(arguments.json).is_some();
    for report in &reports {
        if readable {
            report.write(&mut output)?;
        } else {
            for line in report.lines() {
                writeln!(output, "{}", json_line(&line))?;
            }
        }
    }
    let passed = summarise(&reports)?;
    Ok(ExitCode::from(u8::from(!passed || !wrong.is_empty())))
}

/// Says on standard error how many there were, and returns whether all passed.
fn summarise(reports: &[Report]) -> anyhow::Result<bool> {
    let count =
        reports.iter().map(Report::count).fold([0; 3], |sum, own| [0, 1, 2].map(|at| sum[at] + own[at]));
    let untested = reports.iter().filter(|report| report.is_untested()).count();
    if count == [0; 3] {
        bail!("no rule there has a test, so nothing was tested; docs/rules.md says how to write one");
    }
    let mut text = format!("tests: {}", counted(count));
    if untested > 0 {
        text.push_str(&format!("; {untested} rules have none"));
    }
    output::say(format_args!("{text}\n"));
    Ok(count[1] + count[2] == 0)
}

/// What passed, what failed, and what could not be run.
fn counted([passed, failed, broken]: [usize; 3]) -> String {
    let broken = if broken > 0 { format!(", {broken} could not be run") } else { String::new() };
    format!("{passed} passed, {failed} failed{broken}")
}

impl Report {
    /// Runs the tests of a rule, if it loads.
    fn of(suite: Suite, exceptions: &[Exception], both_kinds: bool) -> Self {
        let mut problems = suite.findings.clone();
        let mut results = Vec::new();
        let path = suite.rule.path.clone();
        match &suite.rule.content {
            Content::Skipped { .. } => {}
            Content::Broken(finding) => problems.push((path, finding.clone())),
            Content::Rule(_) => {
                let rules =
                    RuleSet::load_over(schema::schema(), vec![suite.rule.clone()], exceptions.to_vec());
                if rules.failed > 0 {
                    problems.extend(rules.findings.into_iter().map(|finding| (path.clone(), finding)));
                } else {
                    results = suite.tests.iter().map(|test| rule_test::run(&rules, test)).collect();
                }
                if both_kinds && !suite.has_both_kinds() {
                    let message = "the rule needs a test that must alert and one that must not";
                    let diagnostic = eql::Diagnostic::error(eql::Span::default(), message);
                    problems.push((path.clone(), Finding::new(&path, eql::Position::START, "", &diagnostic)));
                }
            }
        }
        Report { suite, results, problems }
    }

    fn path(&self) -> &Path {
        &self.suite.rule.path
    }

    fn rule(&self) -> Option<&Rule> {
        match &self.suite.rule.content {
            Content::Rule(rule) => Some(rule),
            _ => None,
        }
    }

    fn ran(&self) -> impl Iterator<Item = (&Test, &Outcome)> {
        self.suite.tests.iter().zip(&self.results)
    }

    /// How many tests passed and failed, and how many things were wrong with tests or the rule.
    fn count(&self) -> [usize; 3] {
        let count =
            |wanted: fn(&Outcome) -> bool| self.results.iter().filter(|outcome| wanted(outcome)).count();
        let passed = count(|outcome| matches!(outcome, Outcome::Passed));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        [passed, failed, self.results.len() - passed - failed + self.problems.len()]
    }

    fn is_untested(&self) -> bool {
        self.rule().is_some() && self.suite.tests.is_empty() && self.problems.is_empty()
    }

    fn tested<'r>(&'r self, name: &'r str) -> Tested<'r> {
        let findings = self.problems.iter().map(|(_, finding)| finding).collect();
        Tested { name, tests: self.ran().collect(), findings }
    }

    /// A line for each test, each problem, and a rule of which there is nothing else to say.
    fn lines(&self) -> Vec<Json> {
        let mut lines: Vec<Json> =
            self.ran().map(|(test, outcome)| self.line_of_test(test, outcome)).collect();
        lines.extend(self.problems.iter().map(|(path, finding)| {
            let mut line = self.line(path, "error");
            put_finding(&mut line, finding);
            line
        }));
        if let Content::Skipped { reason, .. } = &self.suite.rule.content {
            let mut line = self.line(self.path(), "skipped");
            line["reason"] = reason.as_str().into();
            lines.push(line);
        }
        if self.is_untested() {
            lines.push(self.line(self.path(), "untested"));
        }
        lines
    }

    fn line(&self, path: &Path, status: &str) -> Json {
        let rule = self.rule();
        json!({
            "path": path.display().to_string(), "rule": self.path().display().to_string(),
            "id": rule.map(|rule| &rule.id), "status": status,
        })
    }

    fn line_of_test(&self, test: &Test, outcome: &Outcome) -> Json {
        let status = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "failed",
            Outcome::Broken(_) => "error",
        };
        let mut line = self.line(&test.path, status);
        line["test"] = test.name.as_str().into();
        line["must"] = test.must.text().into();
        line["why"] = test.why.as_deref().into();
        line["line"] = test.position.line.into();
        line["column"] = test.position.column.into();
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed(Failure { expected, came, alerts, followed, nearest }) => {
                line["reason"] = format!("expected {expected}, came {came}").into();
                line["alerts"] = json!(alerts);
                line["followed"] = json!(followed);
                line["nearest"] = json!(nearest);
            }
            Outcome::Broken(finding) => put_finding(&mut line, finding),
        }
        line
    }

    fn write(&self, output: &mut impl Write) -> std::io::Result<()> {
        let path = visible_path(self.path());
        match (&self.suite.rule.content, self.count()) {
            (Content::Skipped { reason, .. }, _) => {
                writeln!(output, "{:<8} {path}\n         {}", "skipped", visible(reason))?;
            }
            (_, [0, 0, 0]) => writeln!(output, "{:<8} {path}", "no tests")?,
            (_, [passed, 0, 0]) => writeln!(output, "{:<8} {path}: {passed} passed", "ok")?,
            (_, count) => writeln!(output, "{:<8} {path}: {}", "FAILED", counted(count))?,
        }
        for (test, outcome) in self.ran() {
            match outcome {
                Outcome::Passed => {}
                Outcome::Failed(failure) => write_failure(output, test, failure)?,
                Outcome::Broken(finding) => write!(output, "{}", finding.rendered)?,
            }
        }
        self.problems.iter().try_for_each(|(_, finding)| write!(output, "{}", finding.rendered))
    }
}

/// A failed test, laid out as a compiler does: the place first.
fn write_failure(output: &mut impl Write, test: &Test, failure: &Failure) -> std::io::Result<()> {
    let Failure { expected, came, nearest, .. } = failure;
    writeln!(output, "{}:{}: failed: {}", visible_path(&test.path), test.position, visible(&test.name))?;
    writeln!(output, "  expected {}", visible(expected))?;
    writeln!(output, "  came     {}", visible(came))?;
    if let Some(why) = &test.why {
        writeln!(output, "  why      {}", visible(why))?;
    }
    nearest.iter().enumerate().try_for_each(|(index, line)| {
        writeln!(output, "  {:<8} {}", if index == 0 { "nearest" } else { "" }, visible(line))
    })
}

fn put_finding(line: &mut Json, finding: &Finding) {
    line["reason"] = finding.message.as_str().into();
    line["hint"] = finding.hint.as_deref().into();
    line["line"] = finding.position.line.into();
    line["column"] = finding.position.column.into();
}
