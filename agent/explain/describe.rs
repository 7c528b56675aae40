//! Events and conditions as an explanation shows them: bounded, whatever they hold.

use eql::{Clause, Judgement, Record, Scalar, Value as EqlValue};
use serde_json::Value as Json;

use super::report::{Condition, Sight, Step, Term, Value};
use super::variants::{Role, Variants, position};
use crate::event::Event;
use crate::process_table::cut;
use crate::rule::Rule;
use crate::{readable, schema, timestamp};

/// The most bytes of a text that are shown.
const MAX_TEXT: usize = 256;

/// The most values of a field that are shown.
const MAX_VALUES: usize = 8;

/// Returns what tells an event from others.
pub(super) fn sight(event: &Event) -> Sight {
    let text = |path| event.get(path).as_str().map(shortened);
    Sight {
        time: timestamp::format(event.time),
        host_id: text(schema::id("host.id")).unwrap_or_default(),
        entity_id: text(schema::id("process.entity_id")),
        summary: shortened(&readable::summary(&Json::Object(schema::render(event)))),
    }
}

/// Returns an event that satisfied, or might have satisfied, a term after `bound`.
pub(super) fn step(rule: &Rule, variants: &Variants, term: usize, event: &Event, bound: &[Event]) -> Step {
    let judgement = variants.engine.judge(0, term, event, bound).unwrap_or_default();
    Step {
        term: term + 1,
        event: sight(event),
        conditions: conditions(rule, variants, term, &judgement, event, bound),
    }
}

/// Returns a term's conditions with what an event has in the fields that they read.
pub(super) fn conditions(
    rule: &Rule,
    variants: &Variants,
    term: usize,
    judgement: &Judgement,
    event: &Event,
    bound: &[Event],
) -> Vec<Condition> {
    let condition = |Clause { span, holds }: &Clause| {
        let place = position(rule, *span);
        let values = variants.read_by(term, *span).into_iter().map(|(field, step, path)| {
            let record = step.map_or(Some(event), |step| bound.get(step));
            let value = match (record, variants.schema.id(path)) {
                (Some(record), Some(id)) => value(record.get(id)),
                _ => Json::Null,
            };
            Value { field: field.to_owned(), value }
        });
        Condition {
            text: one_line(span.of(&rule.query)),
            line: place.line,
            column: place.column,
            holds: *holds,
            values: values.collect(),
        }
    };
    judgement.clauses.iter().map(condition).collect()
}

/// Returns a term before anything has come.
pub(super) fn term(rule: &Rule, variants: &Variants, index: usize) -> Term {
    let plan = &variants.terms[index];
    let place = position(rule, plan.filter.span);
    Term {
        term: index + 1,
        role: match plan.role {
            Role::Occurs => "occurs",
            Role::Missing => "missing",
            Role::Until => "until",
        },
        text: one_line(plan.filter.span.of(&rule.query)),
        line: place.line,
        column: place.column,
        of_category: 0,
        satisfied: 0,
        excepted: 0,
        closest: Vec::new(),
    }
}

/// Returns join keys by their paths.
pub(super) fn keys(paths: &[String], values: &[Option<Scalar>]) -> Vec<Value> {
    let value = |(field, value): (&String, &Option<Scalar>)| Value {
        field: field.clone(),
        value: key(value.as_ref()),
    };
    paths.iter().zip(values).map(value).collect()
}

/// Returns the value of a join key.
pub(super) fn key(value: Option<&Scalar>) -> Json {
    value.map_or(Json::Null, |scalar| self::value(EqlValue::from(scalar)))
}

fn value(value: EqlValue<'_>) -> Json {
    match value {
        EqlValue::Str(text) => shortened(text).into(),
        EqlValue::List(values) => {
            let shown = values.iter().take(MAX_VALUES).map(|value| self::value(EqlValue::from(value)));
            let more = values.len().saturating_sub(MAX_VALUES);
            shown.chain((more > 0).then(|| Json::from(format!("… and {more} more")))).collect()
        }
        other => schema::json(other),
    }
}

fn shortened(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    format!("{}… ({} bytes)", cut(text, MAX_TEXT), text.len())
}

/// A part of a query in one line, without its comments, shortened.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut rest = text;
    let mut in_text = false;
    while let Some(c) = rest.chars().next() {
        let comment = match (in_text, rest.get(..2)) {
            (false, Some("//")) => Some(rest.find('\n').unwrap_or(rest.len())),
            (false, Some("/*")) => Some(rest.find("*/").map_or(rest.len(), |end| end + 2)),
            (true, Some("\\\"" | "\\\\")) => {
                line.push_str(&rest[..2]);
                rest = &rest[2..];
                continue;
            }
            _ => None,
        };
        if let Some(end) = comment {
            line.push(' ');
            rest = &rest[end..];
            continue;
        }
        in_text ^= c == '"';
        line.push(c);
        rest = &rest[c.len_utf8()..];
    }
    shortened(&line.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_shown_in_one_line_without_comments() {
        for (text, expected) in [
            ("a ==\n   1 // one\n and b", "a == 1 and b"),
            ("u like \"https://*\" /* not\nthis */ or x", "u like \"https://*\" or x"),
            (r#"a == "\" // no" // yes"#, r#"a == "\" // no""#),
            (r#"a == "\\" // yes"#, r#"a == "\\""#),
            ("a /* never closed", "a"),
            ("é//", "é"),
        ] {
            assert_eq!(one_line(text), expected, "{text}");
        }
        assert_eq!(one_line(&"é".repeat(400)), format!("{}… (800 bytes)", "é".repeat(128)));
    }

    #[test]
    fn values_are_bounded() {
        let many: Vec<Scalar> = (0..20).map(Scalar::Int).collect();
        let shown = value(EqlValue::List(&many));
        assert_eq!(shown.as_array().map(Vec::len), Some(9));
        assert_eq!(shown[8], "… and 12 more");
        assert_eq!(value(EqlValue::Missing), Json::Null);
        assert_eq!(value(EqlValue::Str("\u{1b}[2J")), "\u{1b}[2J");
    }
}
