//! What is odd about a query, though it runs.

use super::{Compiler, describe, kind_text};
use crate::ast::{Expr, ExprKind, Literal, Sequence, Term};
use crate::diagnostic::{Diagnostic, Span};
use crate::predicate::{Node, NodeKind, Operand};
use crate::schema::Kind;
use crate::wildcard::Wildcard;

/// Lints.
impl Compiler<'_> {
    /// A constant of another type than the field's is never equal to it.
    pub(super) fn check_types(&mut self, operand: &Operand, other: &Expr) {
        let (Some(kind), ExprKind::Literal(literal)) = (self.kind(operand), &other.kind) else { return };
        let fits = match (kind, literal) {
            (_, Literal::Null) | (Kind::Any, _) => true,
            (Kind::Text | Kind::Ip | Kind::Date, literal) => matches!(literal, Literal::Str(_)),
            (Kind::Number, literal) => matches!(literal, Literal::Int(_) | Literal::Float(_)),
            (Kind::Boolean, literal) => matches!(literal, Literal::Bool(_)),
        };
        if !fits {
            let message =
                format!("the field is {}, so it never equals {}", kind_text(kind), describe(literal));
            self.warn(other.span, message);
        }
    }

    pub(super) fn check_equal_text(&mut self, text: &str, span: Span, operator: &str) {
        if text.contains('*') {
            self.diagnostics.push(
                Diagnostic::warning(
                    span,
                    format!("`*` is no wildcard for `{operator}`: it stands for itself"),
                )
                .with_hint("for a wildcard write `like` or `:`"),
            );
        }
    }

    /// An entry that an earlier pattern matches already adds nothing.
    pub(super) fn check_shadowed(&mut self, wildcards: &[Wildcard], texts: &[(&str, Span)]) {
        if texts.len() > 256 {
            return;
        }
        for (index, (text, span)) in texts.iter().enumerate() {
            let earlier = (0..index).find(|earlier| {
                texts[*earlier].0 == *text
                    || wildcards[index].exact().is_some_and(|e| wildcards[*earlier].matches(e))
            });
            if let Some(earlier) = earlier {
                self.warn(*span, format!("{:?} matches this already", texts[earlier].0));
            }
        }
    }
}

/// Sequences that cannot complete.
impl Compiler<'_> {
    /// An event that satisfies `until` as well takes away the partial that it has just made or moved on, unless
    /// it was the last term's.
    pub(super) fn check_until(&mut self, sequence: &Sequence) {
        let Some(until) = &sequence.until else { return };
        let same = |term: &Term| {
            term.by.iter().map(|key| &key.path).eq(until.by.iter().map(|key| &key.path))
                && term.filter.to_string() == until.filter.to_string()
        };
        let Some(last) = sequence.terms.iter().rposition(|term| !term.missing) else { return };
        for term in sequence.terms[..last].iter().filter(|term| !term.missing && same(term)) {
            self.warn(term.span, "`until` ends what this term begins, so the sequence never completes");
        }
    }

    /// Join keys of different types are never equal.
    pub(super) fn check_key_kinds(&mut self, terms: &[Term]) {
        let Some(first) = terms.iter().find(|term| !term.missing) else { return };
        for term in terms.iter().filter(|term| !term.missing) {
            for (key, other) in term.by.iter().zip(&first.by) {
                let (kind, expected) = (self.path_kind(&key.path), self.path_kind(&other.path));
                if joins_as(kind).zip(joins_as(expected)).is_some_and(|(a, b)| a != b) {
                    let message = format!(
                        "`{}` is {} and `{}` {}: they are never equal, so nothing is ever joined",
                        key.path,
                        kind_text(kind),
                        other.path,
                        kind_text(expected)
                    );
                    self.warn(key.span, message);
                }
            }
        }
    }

    fn path_kind(&self, path: &str) -> Kind {
        self.schema.id(path).map_or(Kind::Any, |id| self.schema.kind(id))
    }
}

/// Texts, addresses and times are all strings.
fn joins_as(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::Any => None,
        Kind::Text | Kind::Ip | Kind::Date => Some(Kind::Text),
        kind => Some(kind),
    }
}

impl Node {
    /// Returns whether the condition is constant and false.
    pub(super) fn is_never(&self) -> bool {
        match &self.kind {
            NodeKind::Constant(value) => !value,
            NodeKind::And(nodes) => nodes.iter().any(Node::is_never),
            NodeKind::Or(nodes) => nodes.iter().all(Node::is_never),
            NodeKind::Not(node) => matches!(node.kind, NodeKind::Constant(true)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, Program};
    use crate::schema::{Kind, Schema};

    #[test]
    fn join_keys_that_are_never_equal() {
        let mut schema = Schema::new();
        schema.intern_as("pid", Kind::Number);
        schema.intern_as("id", Kind::Text);
        schema.intern_as("ip", Kind::Ip);
        let mut warnings = |query: &str| {
            let program = Program::new(query, &mut schema, &Options::default()).expect("a query");
            program.warnings().iter().map(|warning| warning.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            warnings("sequence [a where true] by pid [b where true] by id"),
            ["`id` is text and `pid` a number: they are never equal, so nothing is ever joined"]
        );
        assert!(warnings("sequence [a where true] by id [b where true] by ip").is_empty());
        assert!(warnings("sequence [a where true] by id [b where true] by other").is_empty());
    }
}
