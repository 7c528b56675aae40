//! `vedette rules`.

mod exceptions;
mod explain;
mod test;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use eql::ast::{Body, Comparison, EventFilter, Expr, ExprKind, Literal};
use eql::{Level, Program, ProgramKind};
use serde_json::{Value as Json, json};

use super::output;
use crate::alert::json_line;
use crate::detector::{RuleSet, compile, findings};
use crate::exception::{self, Exception};
use crate::readable::visible;
use crate::rule::{self, Content, Finding, Rule, RuleFile};
use crate::rule_test;
use crate::schema::{self, EVENT_KINDS, Known};

/// What `vedette rules` does.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the rules that would be loaded
    List(List),
    /// Load and lint rule files, folders recursively
    Check(Check),
    /// Run the tests that rules bring along, or lie beside them
    Test(test::Arguments),
    /// Say why a rule did or did not fire on recordings, and what came near
    Explain(explain::Explain),
}

/// Which rules are loaded.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Also load rules from this file or folder; a rule with a built-in one's id replaces it
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Do not load the built-in rules
    #[arg(long)]
    no_builtin: bool,
    /// Use the exceptions in this file or folder
    #[arg(long, value_name = "PATH")]
    exceptions: Vec<PathBuf>,
}

impl Selection {
    /// Loads the built-in rules and those of the paths, later ones in the place of earlier ones with their id.
    pub(super) fn load(&self) -> anyhow::Result<RuleSet> {
        let mut files = if self.no_builtin { Vec::new() } else { rule::builtin() };
        for path in &self.rules {
            files.extend(rule::load(path).map_err(anyhow::Error::msg)?);
        }
        let (exceptions, findings) = load_exceptions(&self.exceptions)?;
        let mut rules = RuleSet::load_over(schema::schema(), files, exceptions);
        rules.findings.extend(findings);
        Ok(rules)
    }
}

/// Loads exceptions, and says what is wrong with others.
fn load_exceptions(paths: &[PathBuf]) -> anyhow::Result<(Vec<Exception>, Vec<Finding>)> {
    let (mut exceptions, mut findings) = (Vec::new(), Vec::new());
    for path in paths {
        for file in exception::load(path).map_err(anyhow::Error::msg)? {
            exceptions.extend(file.exceptions);
            findings.extend(file.findings);
        }
    }
    Ok((exceptions, findings))
}

/// What `vedette rules list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Write NDJSON even to a terminal
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// What `vedette rules check` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Write NDJSON even to a terminal
    #[arg(long)]
    json: bool,
    /// Check these exception files or folders too: what is wrong, expired, or has never been hit
    #[arg(long, value_name = "PATH")]
    exceptions: Vec<PathBuf>,
    /// The status of the sensor that tells how often exceptions are hit, if it is not the one that the configuration
    /// names
    #[arg(long, value_name = "FILE", requires = "exceptions")]
    status: Option<PathBuf>,
    /// Rule files or folders
    #[arg(required_unless_present = "exceptions", value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Runs `vedette rules`.
///
/// # Errors
/// A path cannot be read, or standard output cannot be written.
pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list(arguments),
        Command::Check(arguments) => check(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
    }
}

fn list(arguments: &List) -> anyhow::Result<ExitCode> {
    let rules = arguments.selection.load()?;
    let mut output = std::io::stdout().lock();
    let style = output::style(arguments.json);
    for loaded in &rules.rules {
        let Rule { id, name, version, ruleset, severity, risk_score, path, actions, .. } = &*loaded.rule;
        match style {
            None => {
                let line = json!({
                    "id": id, "name": name, "version": version, "ruleset": ruleset,
                    "severity": severity.text(), "risk_score": risk_score,
                    "kind": kind(&loaded.program), "path": path.display().to_string(), "actions": actions,
                });
                writeln!(output, "{}", json_line(&line))?;
            }
            Some(_) => writeln!(
                output,
                "{:<8}  {:<8}  {:<36}  {}",
                severity.text(),
                kind(&loaded.program),
                visible(id),
                visible(name)
            )?,
        }
    }
    for finding in &rules.findings {
        output::say(format_args!("{}", finding.rendered));
    }
    Ok(if crate::detector::has_errors(&rules.findings) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// What `check` says about one file.
struct Report {
    path: PathBuf,
    id: Option<String>,
    name: Option<String>,
    kind: Option<&'static str>,
    status: Status,
    reason: Option<String>,
    findings: Vec<Finding>,
    not_observed: Vec<String>,
    actions: Vec<String>,
    /// Whether the rule loads, and only tests in its file are wrong.
    broken_tests: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    Error,
    Skipped,
}

fn check(arguments: &Check) -> anyhow::Result<ExitCode> {
    let mut reports = Vec::new();
    for path in &arguments.paths {
        let texts = rule::texts(path, "rules").map_err(anyhow::Error::msg)?;
        reports.extend(texts.into_iter().map(|(path, text)| match text {
            Ok(text) => {
                let content = rule::parse(&path, &text, &rule::ruleset_of(&path));
                let mut report = report(RuleFile { content, path });
                report.add_tests(rule_test::check_inline(&report.path, &text));
                report
            }
            Err(finding) => report(RuleFile { path, content: Content::Broken(*finding) }),
        }));
    }
    mark_duplicates(&mut reports);
    let excepting = exceptions::check(&arguments.exceptions, arguments.status.as_deref())?;
    let mut output = std::io::stdout().lock();
    let style = output::style(arguments.json);
    for report in &reports {
        match style {
            None => writeln!(output, "{}", json_line(&report.to_json()))?,
            Some(_) => report.write(&mut output)?,
        }
    }
    for report in &excepting {
        report.write(&mut output, style.is_some())?;
    }
    let count = |status: Status| reports.iter().filter(|report| report.status == status).count();
    let warnings: usize = reports
        .iter()
        .flat_map(|report| &report.findings)
        .filter(|finding| finding.level == Level::Warning)
        .count();
    let broken_tests = reports.iter().filter(|report| report.broken_tests).count();
    let and_tests = match broken_tests {
        0 => String::new(),
        count => format!("; tests in {count} files are wrong"),
    };
    output::say(format_args!(
        "{} rules load, {} do not, {} skipped; {warnings} warnings{and_tests}\n",
        count(Status::Ok) + broken_tests,
        count(Status::Error) - broken_tests,
        count(Status::Skipped)
    ));
    exceptions::summarise(&excepting);
    let failed = count(Status::Error) > 0 || excepting.iter().any(exceptions::Report::failed);
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn report(file: RuleFile) -> Report {
    let mut report = Report {
        path: file.path,
        id: None,
        name: None,
        kind: None,
        status: Status::Ok,
        reason: None,
        findings: Vec::new(),
        not_observed: Vec::new(),
        actions: Vec::new(),
        broken_tests: false,
    };
    match file.content {
        Content::Skipped { id, name, reason } => {
            report.id = id;
            report.name = name;
            report.status = Status::Skipped;
            report.reason = Some(reason);
        }
        Content::Broken(finding) => report.fail(vec![finding]),
        Content::Rule(rule) => {
            report.id = Some(rule.id.clone());
            report.name = Some(rule.name.clone());
            report.actions = rule.actions.clone();
            let mut schema = schema::schema();
            match compile(&rule, &mut schema) {
                Err(diagnostics) => report.fail(findings(&rule, &diagnostics)),
                Ok(program) => {
                    report.kind = Some(kind(&program));
                    report.findings = findings(&rule, &warnings(&rule, &program));
                    report.not_observed = not_observed(&rule, &program, &schema);
                    report.reason =
                        program.needs_end().map(|reason| format!("it runs in `hunt` only: {reason}"));
                    let known = |finding: &mut Finding| explain_field(finding, &rule);
                    report.findings.iter_mut().for_each(known);
                }
            }
        }
    }
    report
}

/// The engine's warnings, and those about what the sensor's fields can hold; one for a place.
fn warnings(rule: &Rule, program: &Program) -> Vec<eql::Diagnostic> {
    let mut warnings = program.warnings().to_vec();
    for found in eql::parse(&rule.query).map(|query| rule::lint(&query)).unwrap_or_default() {
        if !warnings.iter().any(|other| other.span == found.span && other.message == found.message) {
            warnings.push(found);
        }
    }
    warnings.sort_by_key(|warning| warning.span.start);
    warnings
}

/// A field that ECS has and the sensor does not is no misspelling: the finding says why it is not observed.
fn explain_field(finding: &mut Finding, rule: &Rule) {
    let Some(path) = finding.message.strip_prefix("no source gives the field `") else { return };
    let path = path.trim_end_matches('`').to_owned();
    if let Known::NotObserved(unobserved) = schema::lookup(&path) {
        finding.message = format!("the sensor does not observe `{path}`: {}", unobserved.why);
        finding.hint = None;
        finding.rendered =
            format!("{}:{}: warning: {}\n", visible_path(&rule.path), finding.position, finding.message);
    }
}

/// What a rule needs that no source of any build provides: event kinds in the order of the query, then fields.
/// A kind is a category (`file`), or an action of one that is observed (`process:process_open`).
fn not_observed(rule: &Rule, program: &Program, schema: &eql::Schema) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    let filters = match eql::parse(&rule.query).map(|query| query.body) {
        Ok(Body::Event(filter)) => vec![filter],
        Ok(Body::Sequence(sequence)) => sequence.terms.into_iter().map(|term| term.filter).collect(),
        Ok(Body::Sample(sample)) => sample.terms.into_iter().map(|term| term.filter).collect(),
        Err(_) => Vec::new(),
    };
    for kind in filters.iter().filter_map(unobserved_kind) {
        if !missing.contains(&kind) {
            missing.push(kind);
        }
    }
    let fields = program.fields().iter().map(|id| schema.path(*id));
    missing
        .extend(fields.filter(|path| !matches!(schema::lookup(path), Known::Observed(_))).map(str::to_owned));
    missing
}

/// Returns the kind of event that a term asks for, if no source provides it.
fn unobserved_kind(filter: &EventFilter) -> Option<String> {
    let known: Vec<&str> = match &filter.category {
        None => EVENT_KINDS.iter().flat_map(|(_, actions)| *actions).copied().collect(),
        Some(category) => match EVENT_KINDS.iter().find(|(name, _)| name == category) {
            Some((_, actions)) => actions.to_vec(),
            None => return Some(category.clone()),
        },
    };
    let asked = asked_actions(&filter.condition)?;
    let category = filter.category.as_deref().unwrap_or("any");
    let none = !asked.iter().any(|action| known.contains(&action.as_str()));
    none.then(|| format!("{category}:{}", asked.join("|")))
}

/// Returns the values that a condition allows `event.action` to have, if it names them.
fn asked_actions(condition: &Expr) -> Option<Vec<String>> {
    let is_action =
        |expr: &Expr| matches!(&expr.kind, ExprKind::Field(field) if field.path == "event.action");
    let text = |expr: &Expr| match &expr.kind {
        ExprKind::Literal(Literal::Str(text)) => Some(text.clone()),
        _ => None,
    };
    match &condition.kind {
        ExprKind::And(operands) => operands.iter().find_map(asked_actions),
        ExprKind::Compare { operator: Comparison::Equal, left, right } if is_action(left) => {
            text(right).map(|action| vec![action])
        }
        ExprKind::In { value, negated: false, insensitive: false, list } if is_action(value) => {
            list.iter().map(text).collect()
        }
        _ => None,
    }
}

fn kind(program: &Program) -> &'static str {
    match program.kind() {
        ProgramKind::Event => "event",
        ProgramKind::Sequence => "sequence",
        ProgramKind::Sample => "sample",
    }
}

fn mark_duplicates(reports: &mut [Report]) {
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    for report in reports.iter_mut().filter(|report| report.status != Status::Skipped) {
        let Some(id) = report.id.clone() else { continue };
        match seen.get(&id) {
            None => {
                seen.insert(id, report.path.clone());
            }
            Some(first) => {
                let message = format!("{} has the id {id:?} too; only the later one runs", first.display());
                let diagnostic = eql::Diagnostic::warning(eql::Span::new(0, 0), message);
                report.findings.push(Finding::new(&report.path, eql::Position::START, "", &diagnostic));
            }
        }
    }
}

impl Report {
    /// Takes what is wrong with the tests in a rule's file. The rule itself loads, for a test takes no rule away.
    fn add_tests(&mut self, findings: Vec<Finding>) {
        if self.status == Status::Ok && !findings.is_empty() {
            self.status = Status::Error;
            self.broken_tests = true;
            self.reason = findings.first().map(|found| found.message.clone());
            self.findings.extend(findings);
        }
    }

    fn fail(&mut self, findings: Vec<Finding>) {
        self.status = Status::Error;
        self.reason =
            findings.iter().find(|finding| finding.level == Level::Error).map(|f| f.message.clone());
        self.findings = findings;
    }

    fn to_json(&self) -> Json {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Error => "error",
            Status::Skipped => "skipped",
        };
        let first = self.findings.iter().find(|finding| finding.level == Level::Error);
        let diagnostics: Vec<Json> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "level": finding.level.to_string(),
                    "message": finding.message,
                    "line": finding.position.line,
                    "column": finding.position.column,
                    "hint": finding.hint,
                })
            })
            .collect();
        json!({
            "path": self.path.display().to_string(),
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "status": status,
            "reason": self.reason,
            "line": first.map(|finding| finding.position.line),
            "column": first.map(|finding| finding.position.column),
            "diagnostics": diagnostics,
            "not_observed": self.not_observed,
        })
    }

    fn write(&self, output: &mut impl Write) -> std::io::Result<()> {
        let word = match self.status {
            Status::Ok => "ok",
            Status::Error => "ERROR",
            Status::Skipped => "skipped",
        };
        writeln!(output, "{word:<8} {}", visible_path(&self.path))?;
        if let (Status::Skipped | Status::Ok, Some(reason)) = (self.status, &self.reason) {
            writeln!(output, "         {}", visible(reason))?;
        }
        for finding in &self.findings {
            write!(output, "{}", finding.rendered)?;
        }
        if !self.not_observed.is_empty() {
            writeln!(output, "         not observed: {}", visible(&self.not_observed.join(", ")))?;
        }
        if !self.actions.is_empty() {
            let actions = visible(&self.actions.join(", "));
            writeln!(output, "         asks for, but the sensor only observes: {actions}")?;
        }
        Ok(())
    }
}

fn visible_path(path: &Path) -> String {
    visible(&path.display().to_string())
}
