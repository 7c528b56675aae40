//! Printing a query so that it parses to the same tree.

use std::fmt::{self, Display, Formatter};

use crate::ast::{Body, EventFilter, Expr, ExprKind, JoinKey, Literal, PipeKind, Query, Term};
use crate::parse::KEYWORDS;
use crate::token::{word_part, word_start};

/// The text nests deeper than the tree by the parentheses that make it plain: a query at the limit of depth
/// may print as one beyond it.
impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Event(filter) => filter.fmt(f)?,
            Body::Sequence(sequence) => {
                f.write_str("sequence")?;
                by(f, &sequence.by)?;
                if let Some(maxspan) = sequence.maxspan {
                    write!(f, " with maxspan={}", duration(maxspan))?;
                }
                for term in &sequence.terms {
                    write!(f, "\n  {term}")?;
                }
                if let Some(until) = &sequence.until {
                    write!(f, "\nuntil {until}")?;
                }
            }
            Body::Sample(sample) => {
                f.write_str("sample")?;
                by(f, &sample.by)?;
                for term in &sample.terms {
                    write!(f, "\n  {term}")?;
                }
            }
        }
        for pipe in &self.pipes {
            let name = match pipe.kind {
                PipeKind::Head => "head",
                PipeKind::Tail => "tail",
            };
            write!(f, "\n| {name} {}", pipe.count)?;
        }
        Ok(())
    }
}

impl Display for EventFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.category {
            None => f.write_str("any")?,
            Some(name) => string(f, name)?,
        }
        write!(f, " where {}", self.condition)
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", if self.missing { "!" } else { "" }, self.filter)?;
        by(f, &self.by)?;
        if self.runs != 1 {
            write!(f, " with runs={}", self.runs)?;
        }
        if let Some(alias) = &self.alias {
            write!(f, " as {alias}")?;
        }
        Ok(())
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Literal(literal) => literal.fmt(f),
            ExprKind::Field(path) => field(f, &path.path, path.optional),
            ExprKind::Call { name, insensitive, arguments } => {
                write!(f, "{name}{}(", tilde(*insensitive))?;
                commas(f, arguments)?;
                f.write_str(")")
            }
            ExprKind::Not(inner) => {
                f.write_str("not ")?;
                match &inner.kind {
                    ExprKind::Not(_) | ExprKind::Relation { .. } => inner.fmt(f),
                    _ => nested(f, inner),
                }
            }
            ExprKind::And(operands) => joined(f, operands, " and "),
            ExprKind::Or(operands) => joined(f, operands, " or "),
            ExprKind::Compare { operator, left, right } => {
                nested(f, left)?;
                write!(f, " {} ", operator.text())?;
                nested(f, right)
            }
            ExprKind::Arithmetic { operator, left, right } => {
                nested(f, left)?;
                write!(f, " {} ", operator.text())?;
                nested(f, right)
            }
            ExprKind::Negate(inner) => match &inner.kind {
                ExprKind::Field(_) | ExprKind::Call { .. } | ExprKind::Negate(_) => write!(f, "-{inner}"),
                // `-1` is a constant, and `-(1)` is not.
                _ => write!(f, "-({inner})"),
            },
            ExprKind::In { value, negated, insensitive, list } => {
                nested(f, value)?;
                write!(f, "{} in{} (", if *negated { " not" } else { "" }, tilde(*insensitive))?;
                commas(f, list)?;
                f.write_str(")")
            }
            ExprKind::Match { value, negated, operator, patterns } => {
                nested(f, value)?;
                write!(f, "{} {} (", if *negated { " not" } else { "" }, operator.text())?;
                for (index, pattern) in patterns.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    pattern.literal.fmt(f)?;
                }
                f.write_str(")")
            }
            ExprKind::Relation { relation, filter } => write!(f, "{} of [{filter}]", relation.text()),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Bool(value) => value.fmt(f),
            Literal::Int(number) => number.fmt(f),
            // `{:?}` keeps the fraction, `1.0`, and so the type.
            Literal::Float(number) => write!(f, "{number:?}"),
            Literal::Str(text) => string(f, text),
        }
    }
}

/// Puts whatever does not stand alone into parentheses.
fn nested(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Field(_) | ExprKind::Call { .. } => expr.fmt(f),
        _ => write!(f, "({expr})"),
    }
}

fn joined(f: &mut Formatter<'_>, operands: &[Expr], word: &str) -> fmt::Result {
    for (index, operand) in operands.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        nested(f, operand)?;
    }
    Ok(())
}

fn commas(f: &mut Formatter<'_>, list: &[Expr]) -> fmt::Result {
    for (index, entry) in list.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        entry.fmt(f)?;
    }
    Ok(())
}

fn by(f: &mut Formatter<'_>, keys: &[JoinKey]) -> fmt::Result {
    for (index, key) in keys.iter().enumerate() {
        f.write_str(if index == 0 { " by " } else { ", " })?;
        field(f, &key.path, key.optional)?;
    }
    Ok(())
}

fn field(f: &mut Formatter<'_>, path: &str, optional: bool) -> fmt::Result {
    if optional {
        f.write_str("?")?;
    }
    let plain = !path.is_empty()
        && path.split('.').enumerate().all(|(index, segment)| {
            let (name, index_part) = segment.find('[').map_or((segment, ""), |at| segment.split_at(at));
            let indices = index_part.split_inclusive(']').all(|index_part| {
                let digits = index_part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                digits.is_some_and(|digits| digits.parse::<i64>().is_ok_and(|n| n.to_string() == *digits))
            });
            name.starts_with(word_start)
                && name.chars().all(word_part)
                && indices
                && !(index == 0 && KEYWORDS.contains(&name))
        });
    if plain { f.write_str(path) } else { write!(f, "`{}`", path.replace('`', "``")) }
}

fn tilde(insensitive: bool) -> &'static str {
    if insensitive { "~" } else { "" }
}

fn string(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{{{:02x}}}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

fn duration(nanoseconds: i64) -> String {
    const UNITS: [(&str, i64); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("micros", 1_000),
        ("nanos", 1),
    ];
    let (unit, size) = UNITS.into_iter().find(|(_, size)| nanoseconds % size == 0).unwrap_or(("nanos", 1));
    format!("{}{unit}", nanoseconds / size)
}
