//! What is odd about a query, though it runs.

use super::{Compiler, describe, kind_text};
use crate::ast::{Expr, ExprKind, Literal};
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
