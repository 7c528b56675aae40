//! What in a rule's query can never match, going by what the sensor's fields can hold.
//!
//! The language's own lints (types, `null`, duplicates, patterns that shadow others) are the engine's; it knows
//! no field. This knows them, and nothing else.

use std::collections::HashSet;

use eql::ast::{Body, Comparison, EventFilter, Expr, ExprKind, Literal, MatchOperator, Pattern, Query};
use eql::{Diagnostic, Span};

use crate::schema::{self, EVENT_KINDS, Known};

/// Returns warnings for values that a field never has, and for terms that are never true because of them.
///
/// Only what holds for every event of every source is said: nothing about fields that a recording may bring
/// along, and nothing about a term whose category no source provides, for which `not_observed` speaks.
pub fn lint(query: &Query) -> Vec<Diagnostic> {
    let mut lint = Lint { found: Vec::new() };
    match &query.body {
        Body::Event(filter) => lint.term(filter, "this rule never matches"),
        Body::Sequence(sequence) => {
            for term in &sequence.terms {
                let consequence = if term.missing {
                    "there is never such an event, so that it is missing says nothing"
                } else {
                    "this term is never true, so the sequence never completes"
                };
                lint.term(&term.filter, consequence);
            }
            if let Some(until) = &sequence.until {
                lint.term(&until.filter, "`until` is never true, so it ends nothing");
            }
        }
        Body::Sample(sample) => {
            for term in &sample.terms {
                lint.term(&term.filter, "this term is never true, so the sample is never complete");
            }
        }
    }
    lint.found.sort_by_key(|diagnostic| diagnostic.span.start);
    lint.found
}

/// What the text of a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The last component of a path: no `/` in it.
    Name,
    /// An absolute path.
    Path,
    /// One of a few words.
    Words(&'static [&'static str]),
}

const CATEGORIES: &[&str] = &["process", "network"];
const TYPES: &[&str] = &["start", "end"];

fn shape(path: &str) -> Option<Shape> {
    let Known::Observed(spec) = schema::lookup(path) else { return None };
    let owner = path.rsplit_once('.').map_or("", |(owner, _)| owner);
    let of_process = owner.split('.').any(|part| part.eq_ignore_ascii_case("process"))
        || owner.starts_with("Effective_process");
    match spec.path {
        "event.category" => Some(Shape::Words(CATEGORIES)),
        "event.type" => Some(Shape::Words(TYPES)),
        path if of_process && path.ends_with(".name") => Some(Shape::Name),
        path if of_process && path.ends_with(".executable") => Some(Shape::Path),
        _ => None,
    }
}

struct Lint {
    found: Vec<Diagnostic>,
}

/// Whether a condition may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Possible,
    Never,
}

impl Lint {
    fn term(&mut self, filter: &EventFilter, consequence: &str) {
        let observed = match &filter.category {
            None => true,
            Some(category) => EVENT_KINDS.iter().any(|(name, _)| name == category),
        };
        if !observed {
            return;
        }
        if self.condition(&filter.condition) == Verdict::Never {
            self.found.push(Diagnostic::warning(filter.span, consequence));
        } else if let Some(message) = contradiction(&filter.condition) {
            self.found.push(Diagnostic::warning(filter.span, format!("{message}: {consequence}")));
        }
    }

    /// A value is reported whether the condition around it is negated or not: it was meant to match something.
    fn condition(&mut self, expr: &Expr) -> Verdict {
        match &expr.kind {
            ExprKind::Not(inner) => {
                self.condition(inner);
                Verdict::Possible
            }
            ExprKind::And(operands) => {
                let verdicts: Vec<Verdict> = operands.iter().map(|operand| self.condition(operand)).collect();
                all_or(verdicts.contains(&Verdict::Never))
            }
            ExprKind::Or(operands) => {
                let verdicts: Vec<Verdict> = operands.iter().map(|operand| self.condition(operand)).collect();
                all_or(!verdicts.contains(&Verdict::Possible))
            }
            ExprKind::Compare { operator: Comparison::Equal, left, right } => {
                let (Some(path), Some(text)) = (field(left), text(right)) else { return Verdict::Possible };
                self.values(path, false, &[(text, right.span, Written::Exact)])
            }
            ExprKind::In { value, negated, insensitive, list } => {
                let texts: Option<Vec<_>> =
                    list.iter().map(|entry| Some((text(entry)?, entry.span, Written::Exact))).collect();
                let (Some(path), Some(texts)) = (field(value), texts) else { return Verdict::Possible };
                let verdict = self.values(path, *insensitive, &texts);
                if *negated { Verdict::Possible } else { verdict }
            }
            ExprKind::Match { value, negated, operator, patterns } => {
                let insensitive = match operator {
                    MatchOperator::Like => false,
                    MatchOperator::Colon | MatchOperator::LikeInsensitive => true,
                    MatchOperator::Regex | MatchOperator::RegexInsensitive => return Verdict::Possible,
                };
                let pattern = |pattern: &'_ Pattern| match &pattern.literal {
                    Literal::Str(text) => Some((text.clone(), pattern.span)),
                    _ => None,
                };
                let texts: Option<Vec<_>> = patterns.iter().map(pattern).collect();
                let (Some(path), Some(texts)) = (field(value), texts) else { return Verdict::Possible };
                let texts: Vec<_> =
                    texts.iter().map(|(text, span)| (text.as_str(), *span, Written::Pattern)).collect();
                let verdict = self.values(path, insensitive, &texts);
                if *negated { Verdict::Possible } else { verdict }
            }
            ExprKind::Relation { filter, .. } => {
                self.term(filter, "there is never such an event, so nothing is ever related to one");
                Verdict::Possible
            }
            _ => Verdict::Possible,
        }
    }

    fn values(&mut self, path: &str, insensitive: bool, values: &[(&str, Span, Written)]) -> Verdict {
        let Some(shape) = shape(path) else { return Verdict::Possible };
        let mut possible = false;
        for (text, span, written) in values {
            match shape.impossible(text, insensitive, *written) {
                None => possible = true,
                Some(why) => {
                    let message = format!("this never matches: `{path}` {why}");
                    self.found.push(Diagnostic::warning(*span, message));
                }
            }
        }
        all_or(!possible)
    }
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Exact,
    /// With `*` and `?`.
    Pattern,
}

impl Shape {
    /// Returns why no value of this shape can equal or match `text`, if none can.
    fn impossible(self, text: &str, insensitive: bool, written: Written) -> Option<String> {
        let wild = |c: char| written == Written::Pattern && matches!(c, '*' | '?');
        match self {
            Shape::Name => text.contains('/').then(|| {
                "is the last part of a path, without a `/`; the whole one is in `executable`".into()
            }),
            Shape::Path => {
                let relative = text.chars().next().is_none_or(|first| first != '/' && !wild(first));
                relative.then(|| "is an absolute path, which begins with `/`".into())
            }
            Shape::Words(words) => {
                let known = text.contains(wild)
                    || words.iter().any(|word| {
                        if insensitive { word.eq_ignore_ascii_case(text) } else { *word == text }
                    });
                (!known).then(|| format!("is one of {}", words.join(", ")))
            }
        }
    }
}

/// Returns what a condition asks of one field twice, in ways that exclude each other.
///
/// Only fields that hold one value: an array may equal both. `event.category` and `event.type` are arrays.
fn contradiction(condition: &Expr) -> Option<String> {
    let ExprKind::And(operands) = &condition.kind else { return None };
    let mut allowed: Vec<(&str, HashSet<&str>)> = Vec::new();
    for operand in operands {
        let (path, values): (_, HashSet<&str>) = match &operand.kind {
            ExprKind::Compare { operator: Comparison::Equal, left, right } => {
                match (field(left), text(right)) {
                    (Some(path), Some(text)) => (path, HashSet::from([text])),
                    _ => continue,
                }
            }
            ExprKind::In { value, negated: false, insensitive: false, list } => {
                match (field(value), list.iter().map(text).collect()) {
                    (Some(path), Some(values)) => (path, values),
                    _ => continue,
                }
            }
            _ => continue,
        };
        let Known::Observed(spec) = schema::lookup(path) else { continue };
        if spec.array {
            continue;
        }
        match allowed.iter_mut().find(|(known, _)| *known == path) {
            None => allowed.push((path, values)),
            Some((_, earlier)) => {
                earlier.retain(|value| values.contains(value));
                if earlier.is_empty() {
                    return Some(format!("`{path}` has one value, and two different ones are asked for"));
                }
            }
        }
    }
    None
}

fn all_or(never: bool) -> Verdict {
    if never { Verdict::Never } else { Verdict::Possible }
}

fn field(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Field(field) => Some(&field.path),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Literal(Literal::Str(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(query: &str) -> Vec<String> {
        let query = eql::parse(query).expect("a query");
        lint(&query).into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn values_that_a_field_never_has() {
        let name = "this never matches: `process.name` is the last part of a path, without a `/`; the whole one is \
                    in `executable`";
        let path =
            "this never matches: `process.parent.executable` is an absolute path, which begins with `/`";
        let kind = "this never matches: `event.type` is one of start, end";
        let never = "this rule never matches";
        for (query, expected) in [
            (r#"process where process.name == "/bin/sh""#, &[never, name][..]),
            (r#"process where process.name in~ ("sh", "/bin/sh")"#, &[name]),
            (r#"process where not process.name like ("*/sh", "x")"#, &[name]),
            (r#"process where process.name not in ("/bin/sh")"#, &[name]),
            (r#"process where process.parent.executable : ("sh", "*sh", "?sh", "/bin/sh")"#, &[path]),
            (r#"process where process.parent.executable == "*sh""#, &[never, path]),
            (r#"process where event.type in ("start", "process_started")"#, &[kind]),
            (r#"process where event.type : "START" and process.pid == 1"#, &[]),
            (r#"process where event.type == "START" and process.pid == 1"#, &[never, kind]),
            (r#"process where event.type == "a" or process.pid == 1"#, &[kind]),
            (r#"process where process.name regex "/.*" and process.args == "/x""#, &[]),
            (r#"file where event.type == "creation" and process.name == "/x""#, &[]),
            (r#"any where host.name == "/x" and user.name : "a/b""#, &[]),
        ] {
            let mut found = said(query);
            found.sort();
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn sequences_that_never_complete() {
        let incomplete = "this term is never true, so the sequence never completes";
        let found = said(
            r#"sequence by process.pid [process where event.type == "creation"] [network where true] until [process where event.type == "x"]"#,
        );
        assert!(found.contains(&incomplete.to_owned()), "{found:?}");
        assert!(found.contains(&"`until` is never true, so it ends nothing".to_owned()), "{found:?}");
        let found = said(
            r#"sequence by process.pid with maxspan=1s [process where true] ![process where process.name == "a/b"]"#,
        );
        assert!(found.iter().any(|text| text.starts_with("there is never such an event")), "{found:?}");
    }

    #[test]
    fn values_that_exclude_each_other() {
        let found = said(r#"process where event.action == "exec" and event.action in ("fork", "end")"#);
        assert_eq!(
            found,
            ["`event.action` has one value, and two different ones are asked for: this rule never matches"]
        );
        // An array may hold both; alternatives exclude nothing.
        for fine in [
            r#"process where process.args == "-c" and process.args == "-x""#,
            r#"process where event.action == "exec" and event.action in ("exec", "end")"#,
            r#"process where event.action == "exec" or event.action == "end""#,
        ] {
            assert!(said(fine).is_empty(), "{fine}");
        }
    }
}
