//! `vedette rules explain`.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;

use crate::alert::json_line;
use crate::cli::output;
use crate::cli::replay::open;
use crate::detector::findings;
use crate::exception::{self, Exception};
use crate::explain::explain;
use crate::readable::{self, visible};
use crate::replay::Options;
use crate::rule::{self, Content, Finding, Rule, RuleFile};

/// What `vedette rules explain` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Explain {
    /// Write one JSON document even to a terminal
    #[arg(long)]
    json: bool,
    /// Also look for RULE in this file or folder; a rule with a built-in one's id replaces it
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Use the exceptions in this file or folder
    #[arg(long, value_name = "PATH")]
    exceptions: Vec<PathBuf>,
    /// The host of events that do not name theirs
    #[arg(long, value_name = "ID", default_value = "")]
    host_id: String,
    /// Stop at the first line that cannot be read, with exit code 2
    #[arg(long)]
    strict: bool,
    /// The rule: its id, its name, or its file
    rule: String,
    /// Recordings: eslogger's JSON or ECS documents, plain, .gz or .zst; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Says why a rule did or did not fire on recordings.
///
/// # Errors
/// There is no such rule, a path cannot be read, or standard output cannot be written.
pub(super) fn run(arguments: &Explain) -> anyhow::Result<ExitCode> {
    let rule = match find(arguments)? {
        Ok(rule) => Arc::new(*rule),
        Err(finding) => return Ok(refuse(&[finding])),
    };
    let mut exceptions = Vec::new();
    let mut failed = false;
    for path in &arguments.exceptions {
        for file in exception::load(path).map_err(anyhow::Error::msg)? {
            failed |= !file.findings.is_empty();
            file.findings.iter().for_each(|finding| output::say(format_args!("{}", finding.rendered)));
            exceptions.extend::<Vec<Exception>>(file.exceptions);
        }
    }
    let (files, unread) = open(&arguments.files);
    let options = Options { host_id: arguments.host_id.clone(), ..Options::default() };
    let explained = explain(&rule, exceptions, files, &options, |problem| {
        output::say(format_args!("{problem}\n"));
        if arguments.strict { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let (explanation, read, stopped) = match explained {
        Ok(explained) => explained,
        Err(diagnostics) => return Ok(refuse(&findings(&rule, &diagnostics))),
    };
    let mut stdout = std::io::stdout().lock();
    match output::style(arguments.json) {
        None => writeln!(stdout, "{}", json_line(&explanation))?,
        Some(style) => stdout.write_all(readable::explanation(&explanation, style).as_bytes())?,
    }
    output::say(format_args!(
        "{} lines, {} events, {} lines skipped\n",
        read.lines, read.events, read.problems
    ));
    Ok(match (unread || stopped.is_some(), failed) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::from(1),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// A rule that does not load has no explanation but that.
fn refuse(findings: &[Finding]) -> ExitCode {
    findings.iter().for_each(|finding| output::say(format_args!("{}", finding.rendered)));
    ExitCode::from(1)
}

/// Finds the rule: in the file of that path, else by its id, else by its name.
fn find(arguments: &Explain) -> anyhow::Result<Result<Box<Rule>, Finding>> {
    let path = Path::new(&arguments.rule);
    if path.is_file() {
        return in_file(path);
    }
    let mut files = rule::builtin();
    for path in &arguments.rules {
        files.extend(rule::load(path).map_err(anyhow::Error::msg)?);
    }
    let mut rules: Vec<Box<Rule>> = Vec::new();
    for RuleFile { content, .. } in files {
        match content {
            Content::Rule(rule) => {
                rules.retain(|other| other.id != rule.id);
                rules.push(rule);
            }
            Content::Skipped { id, name, reason } => {
                if [id, name].iter().flatten().any(|own| *own == arguments.rule) {
                    bail!("{}: {reason}", arguments.rule);
                }
            }
            // It may be the one that is meant.
            Content::Broken(finding) => output::say(format_args!("{}", finding.rendered)),
        }
    }
    let by = |same: &dyn Fn(&Rule) -> bool| -> Vec<usize> {
        rules.iter().enumerate().filter(|(_, rule)| same(rule)).map(|(index, _)| index).collect()
    };
    let wanted = &arguments.rule;
    let found = Some(by(&|rule| rule.id == *wanted))
        .filter(|found| !found.is_empty())
        .unwrap_or_else(|| by(&|rule| rule.name.eq_ignore_ascii_case(wanted)));
    match found[..] {
        [only] => Ok(Ok(rules.swap_remove(only))),
        [] => bail!("there is no rule {wanted:?}: {}", instead(wanted, &rules)),
        _ => {
            let ids: Vec<&str> = found.iter().map(|index| &*rules[*index].id).collect();
            bail!("{} rules are called {wanted:?}; name one by its id: {}", ids.len(), ids.join(", "))
        }
    }
}

fn in_file(path: &Path) -> anyhow::Result<Result<Box<Rule>, Finding>> {
    let file = rule::load(path).map_err(anyhow::Error::msg)?.into_iter().next();
    match file.map(|file| file.content) {
        Some(Content::Rule(rule)) => Ok(Ok(rule)),
        Some(Content::Broken(finding)) => Ok(Err(finding)),
        Some(Content::Skipped { reason, .. }) => bail!("{}: {reason}", path.display()),
        None => bail!("{}: this file holds no rule", path.display()),
    }
}

/// What may have been meant.
fn instead(wanted: &str, rules: &[Box<Rule>]) -> String {
    let near = |text: &str| strsim::normalized_levenshtein(&wanted.to_lowercase(), &text.to_lowercase());
    let likeness = |rule: &Rule| near(&rule.id).max(near(&rule.name));
    let nearest = rules.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest.filter(|rule| likeness(rule) > 0.5) {
        Some(rule) => format!("did you mean {:?} ({})?", visible(&rule.name), visible(&rule.id)),
        None => "give an id or a name that `vedette rules list` shows, with `--rules PATH` for your own, or a rule file"
            .to_owned(),
    }
}
