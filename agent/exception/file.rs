//! Exception files: `[[exceptions]]` in TOML.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use eql::{Diagnostic, Position, Span};
use serde::Deserialize;
use toml::Spanned;

use super::{Exception, On, Scope};
use crate::rule::{self, Finding};
use crate::timestamp;

/// A file and what came of reading it: what is wrong with one exception does not lose the others.
#[derive(Clone, Debug)]
pub struct ExceptionFile {
    /// The file.
    pub path: PathBuf,
    /// The exceptions that can be used.
    pub exceptions: Vec<Exception>,
    /// What was found wrong.
    pub findings: Vec<Finding>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    exceptions: Vec<Spanned<RawException>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawException {
    id: Spanned<String>,
    rules: Spanned<Vec<String>>,
    #[serde(default)]
    on: Option<Spanned<String>>,
    #[serde(default)]
    term: Option<Spanned<i64>>,
    condition: Spanned<String>,
    owner: Spanned<String>,
    reason: Spanned<String>,
    expires: Spanned<toml::value::Datetime>,
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// Reads an exception file, or all of a folder and the folders in it.
///
/// # Errors
/// The path itself cannot be read, in one sentence.
pub fn load(path: &Path) -> Result<Vec<ExceptionFile>, String> {
    let mut seen = HashSet::new();
    let mut files: Vec<ExceptionFile> = rule::texts(path, "exceptions")?
        .into_iter()
        .map(|(path, text)| match text {
            Ok(text) => parse(&path, &text),
            Err(finding) => ExceptionFile { path, exceptions: Vec::new(), findings: vec![*finding] },
        })
        .collect();
    for file in &mut files {
        let path = file.path.clone();
        file.exceptions.retain(|exception| {
            let new = seen.insert(exception.id.clone());
            if !new {
                let message =
                    format!("another exception is called {:?} too; this one is left out", exception.id);
                let diagnostic = Diagnostic::error(Span::new(0, 0), message);
                file.findings.push(Finding::new(&path, exception.condition_position, "", &diagnostic));
            }
            new
        });
    }
    Ok(files)
}

/// Parses an exception file.
pub fn parse(path: &Path, text: &str) -> ExceptionFile {
    let mut file = ExceptionFile { path: path.to_owned(), exceptions: Vec::new(), findings: Vec::new() };
    let raw: RawFile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().lines().next().unwrap_or("this is not TOML").to_owned();
            let diagnostic = Diagnostic::error(Span::new(at, at), message);
            file.findings.push(Finding::new(path, Position::START, text, &diagnostic));
            return file;
        }
    };
    for raw in raw.exceptions {
        match raw.into_inner().read(path, text) {
            Ok(exception) => file.exceptions.push(exception),
            Err(finding) => file.findings.push(*finding),
        }
    }
    file
}

impl RawException {
    fn read(self, path: &Path, text: &str) -> Result<Exception, Box<Finding>> {
        let wrong = |at: usize, message: String, hint: &str| {
            let diagnostic = Diagnostic::error(Span::new(at, at), message).with_hint(hint);
            Err(Box::new(Finding::new(path, Position::START, text, &diagnostic)))
        };
        for (value, what, hint) in [
            (&self.id, "id", "give it a name that says what it is for"),
            (&self.owner, "owner", "name the person or the team that answers for it"),
            (&self.reason, "reason", "say why it is there, for whoever reviews it in a year"),
        ] {
            if value.get_ref().trim().is_empty() {
                return wrong(value.span().start, format!("an exception needs its {what}"), hint);
            }
        }
        let rules = self.rules.get_ref();
        let scope = match rules.as_slice() {
            [] => {
                return wrong(
                    self.rules.span().start,
                    "an exception for no rule does nothing".into(),
                    "list the ids of the rules that it is for",
                );
            }
            [all] if all == "*" => Scope::All,
            ids => Scope::Rules(ids.to_vec()),
        };
        let term = match &self.term {
            None => None,
            Some(term) => match usize::try_from(*term.get_ref()) {
                Ok(number) if number > 0 => Some(number),
                _ => {
                    let message = "terms are numbered from 1".to_owned();
                    return wrong(term.span().start, message, "leave it out for all terms");
                }
            },
        };
        let on = match self.on.as_ref().map(|on| (on.get_ref().as_str(), on.span().start)) {
            None | Some(("event", _)) => On::Event(term),
            Some(("alert", at)) if term.is_some() => {
                let message = "an exception on the alert has no term".to_owned();
                return wrong(at, message, "take `term` out, or write `on = \"event\"`");
            }
            Some(("alert", _)) => On::Alert,
            Some((other, at)) => {
                return wrong(
                    at,
                    format!("{other:?} is nothing that an exception can be on"),
                    "use event or alert",
                );
            }
        };
        let date = self.expires.get_ref();
        // A date alone means to its end.
        let expires = match (date.date, date.time, date.offset) {
            (Some(date), None, None) => timestamp::parse(&format!("{date}T23:59:59.999Z")),
            (Some(_), Some(_), Some(_)) => timestamp::parse(&date.to_string()),
            _ => {
                let message = "this is no moment: a time without a date, or without a zone".to_owned();
                return wrong(self.expires.span().start, message, "write 2027-06-30 or 2027-06-30T12:00:00Z");
            }
        };
        let Ok(expires) = expires else {
            let message = format!("{date} is out of range");
            return wrong(self.expires.span().start, message, "write a date such as 2027-06-30");
        };
        let condition_position = Position::of(rule::content_start(text, self.condition.span().start), text);
        let exception = Exception {
            id: self.id.into_inner(),
            scope,
            on,
            condition: self.condition.into_inner(),
            condition_position,
            owner: self.owner.into_inner(),
            reason: self.reason.into_inner(),
            expires,
            enabled: self.enabled,
            path: path.to_owned(),
        };
        match exception.filter() {
            Ok(_) => Ok(exception),
            Err(diagnostics) => {
                let worst = diagnostics.iter().find(|found| found.level == eql::Level::Error);
                let found = worst
                    .or(diagnostics.first())
                    .cloned()
                    .unwrap_or_else(|| Diagnostic::error(Span::new(0, 0), "the condition does not compile"));
                Err(Box::new(Finding::new(path, condition_position, &exception.condition, &found)))
            }
        }
    }
}
