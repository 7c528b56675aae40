//! Compiling conditions.

use super::{Compiler, RelationPlan, describe, kind_text, quote};
use crate::ast::{Comparison, EventFilter, Expr, ExprKind, Literal, MatchOperator, Pattern, Relation};
use crate::diagnostic::{Diagnostic, Span};
use crate::function::{Computed, Function, find};
use crate::network::Network;
use crate::predicate::{Node, NodeKind, Operand, TextSet};
use crate::regular;
use crate::schema::Kind;
use crate::wildcard::{Place, Wildcard};

/// Conditions.
impl Compiler<'_> {
    pub(super) fn condition(&mut self, expr: &Expr) -> Node {
        let kind = match &expr.kind {
            ExprKind::Literal(Literal::Bool(value)) => NodeKind::Constant(*value),
            ExprKind::Literal(Literal::Null) => NodeKind::Constant(false),
            ExprKind::Literal(literal) => {
                let message = format!("expected a condition, found {}", describe(literal));
                self.error(expr.span, message);
                NodeKind::Constant(false)
            }
            ExprKind::Not(inner) => NodeKind::Not(Box::new(self.condition(inner))),
            ExprKind::And(operands) => NodeKind::And(operands.iter().map(|o| self.condition(o)).collect()),
            ExprKind::Or(operands) => NodeKind::Or(operands.iter().map(|o| self.condition(o)).collect()),
            ExprKind::Compare { operator, left, right } => self.comparison(*operator, left, right, expr.span),
            ExprKind::In { value, negated, insensitive, list } => {
                let kind = self.list(value, list, *insensitive);
                negate_if(*negated, kind, expr.span)
            }
            ExprKind::Match { value, negated, operator, patterns } => {
                let kind = self.patterns(value, *operator, patterns);
                negate_if(*negated, kind, expr.span)
            }
            ExprKind::Relation { relation, filter } => self.relation(*relation, filter, expr.span),
            ExprKind::Call { name, insensitive, arguments } => {
                self.boolean_call(name, *insensitive, arguments, expr)
            }
            ExprKind::Field(_) => {
                let operand = self.operand(expr);
                if let Some(kind @ (Kind::Text | Kind::Number | Kind::Ip | Kind::Date)) = self.kind(&operand)
                {
                    let message =
                        format!("{} is {}, so by itself it is never true", quote(expr), kind_text(kind));
                    self.warn(expr.span, message);
                }
                NodeKind::Truth(operand)
            }
            ExprKind::Arithmetic { .. } | ExprKind::Negate(_) => {
                self.error(expr.span, "expected a condition, found a number");
                NodeKind::Constant(false)
            }
        };
        Node { kind, span: expr.span }
    }

    fn comparison(&mut self, operator: Comparison, left: &Expr, right: &Expr, span: Span) -> NodeKind {
        if let (Comparison::Equal | Comparison::NotEqual, Some(side)) = (operator, null_side(left, right)) {
            let operand = self.operand(side);
            return negate_if(operator == Comparison::NotEqual, NodeKind::IsNull(operand), span);
        }
        let (a, b) = (self.operand(left), self.operand(right));
        self.check_types(&a, right);
        self.check_types(&b, left);
        let text = match (&a, &b) {
            (field @ Operand::Field { .. }, Operand::Constant(Computed::Str(text)))
            | (Operand::Constant(Computed::Str(text)), field @ Operand::Field { .. }) => Some((field, text)),
            _ => None,
        };
        let equality = matches!(operator, Comparison::Equal | Comparison::NotEqual);
        if let (true, Some((field, text))) = (equality, text) {
            let literal = if matches!(right.kind, ExprKind::Literal(_)) { right } else { left };
            self.check_equal_text(text, literal.span, operator.text());
            let kind = NodeKind::Texts(field.clone(), TextSet::new([&**text].into_iter(), false));
            return negate_if(operator == Comparison::NotEqual, kind, span);
        }
        let optional = is_optional(left) && is_optional(right);
        // `!=` is the negation of `==`, so that it holds where a side is missing.
        let not_equal = operator == Comparison::NotEqual;
        let operator = if not_equal { Comparison::Equal } else { operator };
        negate_if(not_equal, NodeKind::Compare { operator, left: a, right: b, optional }, span)
    }

    fn list(&mut self, value: &Expr, list: &[Expr], insensitive: bool) -> NodeKind {
        let operand = self.operand(value);
        let mut seen: Vec<&Literal> = Vec::new();
        for entry in list {
            if let ExprKind::Literal(literal) = &entry.kind {
                if *literal == Literal::Null {
                    self.diagnostics.push(
                        Diagnostic::warning(entry.span, "`null` in a list never matches")
                            .with_hint("a missing field is asked for with `field == null`"),
                    );
                } else if list.len() <= 256 && seen.contains(&literal) {
                    self.warn(entry.span, "this entry stands in the list already");
                }
                seen.push(literal);
                if let Literal::Str(text) = literal {
                    self.check_equal_text(text, entry.span, if insensitive { "in~" } else { "in" });
                }
            }
            self.check_types(&operand, entry);
        }
        let texts: Option<Vec<&str>> = list
            .iter()
            .map(|entry| match &entry.kind {
                ExprKind::Literal(Literal::Str(text)) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        match texts {
            Some(texts) => NodeKind::Texts(operand, TextSet::new(texts.into_iter(), insensitive)),
            None => NodeKind::In {
                value: operand,
                list: list.iter().map(|entry| self.operand(entry)).collect(),
                insensitive,
            },
        }
    }

    fn patterns(&mut self, value: &Expr, operator: MatchOperator, patterns: &[Pattern]) -> NodeKind {
        let operand = self.operand(value);
        if let Some(kind @ (Kind::Number | Kind::Boolean)) = self.kind(&operand) {
            let message =
                format!("{} is {}; `{}` matches text only", quote(value), kind_text(kind), operator.text());
            self.diagnostics
                .push(Diagnostic::warning(value.span, message).with_hint("compare with `==` or `in`"));
        }
        let mut texts = Vec::new();
        for pattern in patterns {
            match &pattern.literal {
                Literal::Str(text) if text.len() > self.options.limits.pattern => {
                    let message = format!(
                        "this pattern has {} bytes; at most {} are allowed",
                        text.len(),
                        self.options.limits.pattern
                    );
                    self.error(pattern.span, message);
                }
                Literal::Str(text) => texts.push((text.as_str(), pattern.span)),
                other => {
                    let message =
                        format!("expected a string for `{}`, found {}", operator.text(), describe(other));
                    self.diagnostics.push(
                        Diagnostic::error(pattern.span, message).with_hint("compare with `==` or `in`"),
                    );
                }
            }
        }
        let insensitive = !matches!(operator, MatchOperator::Like | MatchOperator::Regex);
        if matches!(operator, MatchOperator::Regex | MatchOperator::RegexInsensitive) {
            let mut regexes = Vec::new();
            for (text, span) in texts {
                match regular::compile(text, insensitive, self.options.limits.regex) {
                    Ok(regex) => regexes.push(regex),
                    Err(message) => self.error(span, message),
                }
            }
            return NodeKind::Regexes(operand, regexes.into());
        }
        let wildcards: Vec<Wildcard> =
            texts.iter().map(|(text, _)| Wildcard::new(text, insensitive)).collect();
        self.check_shadowed(&wildcards, &texts);
        // Without a wildcard anywhere it is a list.
        let exact: Option<Vec<&str>> = wildcards.iter().map(Wildcard::exact).collect();
        match exact {
            Some(texts) => NodeKind::Texts(operand, TextSet::new(texts.into_iter(), insensitive)),
            None => NodeKind::Wildcards(operand, wildcards.into()),
        }
    }

    fn boolean_call(&mut self, name: &str, insensitive: bool, arguments: &[Expr], expr: &Expr) -> NodeKind {
        let operand = self.operand(expr);
        let Some(signature) = find(name) else { return NodeKind::Constant(false) };
        if !signature.boolean {
            let message = format!("`{}` gives a value, not a condition", signature.name);
            self.diagnostics.push(
                Diagnostic::error(expr.span, message)
                    .with_hint(format!("compare it: `{} == …`", signature.usage)),
            );
            return NodeKind::Constant(false);
        }
        let place = match signature.function {
            Function::StartsWith => Some(Place::Start),
            Function::EndsWith => Some(Place::End),
            Function::StringContains => Some(Place::Anywhere),
            _ => None,
        };
        let Operand::Call(_, _, compiled) = operand else { return NodeKind::Constant(false) };
        match (place, &compiled[..]) {
            (Some(place), [value, Operand::Constant(Computed::Str(text))])
                if !matches!(value, Operand::Constant(_)) =>
            {
                NodeKind::Wildcards(value.clone(), [Wildcard::literal(text, insensitive, place)].into())
            }
            (None, [value, rest @ ..])
                if rest.iter().all(|o| matches!(o, Operand::Constant(Computed::Str(_)))) =>
            {
                let mut networks = Vec::new();
                for (constant, argument) in rest.iter().zip(arguments.iter().skip(1)) {
                    let Operand::Constant(Computed::Str(text)) = constant else { continue };
                    match Network::parse(text) {
                        Some(network) => networks.push(network),
                        None => self.diagnostics.push(
                            Diagnostic::error(
                                argument.span,
                                format!("{text:?} is not a network or an IP address"),
                            )
                            .with_hint("write `10.0.0.0/8`, `fe80::/10` or a single address"),
                        ),
                    }
                }
                NodeKind::Networks(value.clone(), networks.into())
            }
            _ => NodeKind::Truth(Operand::Call(signature.function, insensitive, compiled)),
        }
    }

    fn relation(&mut self, relation: Relation, filter: &EventFilter, span: Span) -> NodeKind {
        if self.options.lineage.is_none() {
            let message =
                format!("`{} of` needs a process tree, and these events have none", relation.text());
            self.error(span, message);
        }
        let filter = self.filter(filter);
        if filter.condition.reads_alias() {
            self.error(
                span,
                format!("the events of `{} of` cannot be compared by an alias", relation.text()),
            );
        }
        self.relations.push(RelationPlan { relation, filter });
        NodeKind::Relation(self.relations.len() - 1)
    }
}

fn negate_if(negated: bool, kind: NodeKind, span: Span) -> NodeKind {
    if negated { NodeKind::Not(Box::new(Node { kind, span })) } else { kind }
}

fn null_side<'e>(left: &'e Expr, right: &'e Expr) -> Option<&'e Expr> {
    let is_null = |expr: &Expr| matches!(expr.kind, ExprKind::Literal(Literal::Null));
    if is_null(right) {
        Some(left)
    } else if is_null(left) {
        Some(right)
    } else {
        None
    }
}

fn is_optional(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Field(field) if field.optional)
}
