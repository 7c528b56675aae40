//! Compiled conditions and their evaluation.
//!
//! A leaf (a comparison, a list, a pattern, a boolean function) whose operand is null is false; `and`,
//! `or` and `not` above leaves have two values. Inside an operand null propagates, so that
//! `null == (exit_code > -1)` can be asked. Leaves hold if any value of a multi-valued field does.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use regex::Regex;

use crate::ast::{Arithmetic, Comparison};
use crate::compile::Clause;
use crate::diagnostic::Span;
use crate::fold::{eq_folded, folded};
use crate::function::{Computed, Function, calculate, many};
use crate::network::Network;
use crate::record::Record;
use crate::schema::FieldId;
use crate::value::Value;
use crate::wildcard::Wildcard;

/// A condition, with the span of the query that it was compiled from.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Constant(bool),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    /// `x == null`
    IsNull(Operand),
    /// `x == "a"`, `x in ("a", "b")`
    Texts(Operand, TextSet),
    /// `x like "…"`, and the functions that ask for a constant text at a place.
    Wildcards(Operand, Box<[Wildcard]>),
    Regexes(Operand, Box<[Regex]>),
    Networks(Operand, Box<[Network]>),
    Compare {
        operator: Comparison,
        left: Operand,
        right: Operand,
        /// Both sides are `?field`: two that are missing are `null == null`, which is true.
        optional: bool,
    },
    In {
        value: Operand,
        list: Box<[Operand]>,
        insensitive: bool,
    },
    /// A boolean field or function by itself.
    Truth(Operand),
    /// `descendant of […]` and the like: an index into the program's relations.
    Relation(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Constant(Computed<'static>),
    Field {
        /// The step of the partial whose event is read; the current event if absent.
        step: Option<usize>,
        id: FieldId,
    },
    Negate(Box<Operand>),
    Arithmetic(Arithmetic, Box<Operand>, Box<Operand>),
    Call(Function, bool, Box<[Operand]>),
    /// A condition as a value: true, false or null.
    Condition(Box<Node>),
}

/// What a condition is evaluated against.
pub(crate) struct Context<'c, R> {
    pub(crate) record: &'c R,
    /// The events of the partial that the record would extend, for aliases.
    pub(crate) bound: &'c [R],
    /// For each relation of the program, whether the record has it.
    pub(crate) related: &'c dyn Fn(usize, &R) -> bool,
}

impl Node {
    /// Returns whether the condition holds.
    pub(crate) fn holds<R: Record>(&self, context: &Context<'_, R>) -> bool {
        match &self.kind {
            NodeKind::And(nodes) => nodes.iter().all(|node| node.holds(context)),
            NodeKind::Or(nodes) => nodes.iter().any(|node| node.holds(context)),
            NodeKind::Not(node) => !node.holds(context),
            _ => self.leaf(context) == Some(true),
        }
    }

    /// Evaluates the conditions that `and` joins, each by itself.
    pub(crate) fn clauses<R: Record>(&self, context: &Context<'_, R>, found: &mut Vec<Clause>) {
        match &self.kind {
            NodeKind::And(nodes) => nodes.iter().for_each(|node| node.clauses(context, found)),
            _ => found.push(Clause { span: self.span, holds: self.holds(context) }),
        }
    }

    /// Returns the condition's value with null as a third one.
    fn truth<R: Record>(&self, context: &Context<'_, R>) -> Option<bool> {
        let fold = |nodes: &[Node], decisive: bool| {
            let mut result = Some(!decisive);
            for node in nodes {
                match node.truth(context) {
                    Some(value) if value == decisive => return Some(decisive),
                    None => result = None,
                    Some(_) => {}
                }
            }
            result
        };
        match &self.kind {
            NodeKind::And(nodes) => fold(nodes, false),
            NodeKind::Or(nodes) => fold(nodes, true),
            NodeKind::Not(node) => node.truth(context).map(|value| !value),
            _ => self.leaf(context),
        }
    }

    fn leaf<R: Record>(&self, context: &Context<'_, R>) -> Option<bool> {
        match &self.kind {
            NodeKind::Constant(value) => Some(*value),
            NodeKind::IsNull(operand) => Some(operand.is_null(context)),
            NodeKind::Texts(operand, set) => operand.any_text(context, |text| set.contains(text)),
            NodeKind::Wildcards(operand, patterns) => {
                operand.any_text(context, |text| patterns.iter().any(|pattern| pattern.matches(text)))
            }
            NodeKind::Regexes(operand, regexes) => {
                operand.any_text(context, |text| regexes.iter().any(|regex| regex.is_match(text)))
            }
            NodeKind::Networks(operand, networks) => operand.any_text(context, |text| {
                text.parse::<IpAddr>()
                    .is_ok_and(|address| networks.iter().any(|network| network.contains(address)))
            }),
            NodeKind::Compare { operator, left, right, optional } => {
                let (left, right) = (left.value(context), right.value(context));
                if *optional && left == Computed::Null && right == Computed::Null {
                    return Some(*operator == Comparison::Equal);
                }
                left.any(|left| right.any(|right| compare(*operator, left, right)) == Some(true))
                    .filter(|_| right != Computed::Null)
            }
            NodeKind::In { value, list, insensitive } => {
                let value = value.value(context);
                let in_list = |value: &Computed<'_>| {
                    list.iter().any(|entry| {
                        entry.value(context).any(|entry| value.equals(entry, *insensitive)) == Some(true)
                    })
                };
                value.any(in_list)
            }
            NodeKind::Truth(operand) => operand.value(context).any(|value| *value == Computed::Bool(true)),
            NodeKind::Relation(index) => Some((context.related)(*index, context.record)),
            NodeKind::And(_) | NodeKind::Or(_) | NodeKind::Not(_) => self.truth(context),
        }
    }
}

fn compare(operator: Comparison, left: &Computed<'_>, right: &Computed<'_>) -> bool {
    let Some(ordering) = left.compare(right) else { return false };
    match operator {
        Comparison::Equal => ordering == Ordering::Equal,
        Comparison::NotEqual => ordering != Ordering::Equal,
        Comparison::Less => ordering == Ordering::Less,
        Comparison::LessOrEqual => ordering != Ordering::Greater,
        Comparison::Greater => ordering == Ordering::Greater,
        Comparison::GreaterOrEqual => ordering != Ordering::Less,
    }
}

impl Operand {
    /// Returns whether the step of an earlier event is read.
    pub(crate) fn reads_alias(&self) -> bool {
        match self {
            Operand::Constant(_) => false,
            Operand::Field { step, .. } => step.is_some(),
            Operand::Negate(inner) => inner.reads_alias(),
            Operand::Arithmetic(_, left, right) => left.reads_alias() || right.reads_alias(),
            Operand::Call(_, _, arguments) => arguments.iter().any(Operand::reads_alias),
            Operand::Condition(node) => node.reads_alias(),
        }
    }

    fn field<'c, R: Record>(&self, context: &Context<'c, R>) -> Option<Value<'c>> {
        match self {
            Operand::Field { step: None, id } => Some(context.record.get(*id)),
            Operand::Field { step: Some(step), id } => {
                Some(context.bound.get(*step).map_or(Value::Missing, |record| record.get(*id)))
            }
            _ => None,
        }
    }

    fn is_null<R: Record>(&self, context: &Context<'_, R>) -> bool {
        match self.field(context) {
            Some(value) => value.is_missing(),
            None => self.value(context) == Computed::Null,
        }
    }

    /// Returns whether any value is a text that satisfies `test`; `None` if there is no value.
    fn any_text<R: Record>(
        &self,
        context: &Context<'_, R>,
        mut test: impl FnMut(&str) -> bool,
    ) -> Option<bool> {
        let (record, id) = match self {
            Operand::Field { step: None, id } => (context.record, id),
            Operand::Field { step: Some(step), id } => (context.bound.get(*step)?, id),
            _ => return self.value(context).any(|value| value.text().is_some_and(&mut test)),
        };
        let mut is_present = false;
        let holds = record.any(*id, |value| {
            is_present = true;
            value.as_str().is_some_and(&mut test)
        });
        is_present.then_some(holds)
    }

    fn value<'c, R: Record>(&'c self, context: &Context<'c, R>) -> Computed<'c> {
        match self {
            Operand::Constant(constant) => constant.clone(),
            Operand::Field { .. } => self.field(context).map_or(Computed::Null, computed),
            Operand::Negate(inner) => {
                calculate(Arithmetic::Multiply, &inner.value(context), &Computed::Int(-1))
            }
            Operand::Arithmetic(operator, left, right) => {
                calculate(*operator, &left.value(context), &right.value(context))
            }
            Operand::Call(function, insensitive, arguments) => {
                let arguments = arguments.iter().map(|argument| argument.value(context)).collect();
                function.apply(arguments, *insensitive)
            }
            Operand::Condition(node) => node.truth(context).map_or(Computed::Null, Computed::Bool),
        }
    }
}

impl Node {
    /// Returns whether the condition reads an earlier event through an alias.
    pub(crate) fn reads_alias(&self) -> bool {
        match &self.kind {
            NodeKind::Constant(_) | NodeKind::Relation(_) => false,
            NodeKind::And(nodes) | NodeKind::Or(nodes) => nodes.iter().any(Node::reads_alias),
            NodeKind::Not(node) => node.reads_alias(),
            NodeKind::IsNull(operand)
            | NodeKind::Texts(operand, _)
            | NodeKind::Wildcards(operand, _)
            | NodeKind::Regexes(operand, _)
            | NodeKind::Networks(operand, _)
            | NodeKind::Truth(operand) => operand.reads_alias(),
            NodeKind::Compare { left, right, .. } => left.reads_alias() || right.reads_alias(),
            NodeKind::In { value, list, .. } => value.reads_alias() || list.iter().any(Operand::reads_alias),
        }
    }
}

fn computed(value: Value<'_>) -> Computed<'_> {
    match value {
        Value::Missing => Computed::Null,
        Value::Bool(value) => Computed::Bool(value),
        Value::Int(number) => Computed::Int(number),
        Value::Float(number) => Computed::Float(number),
        Value::Str(text) => Computed::Str(Cow::Borrowed(text)),
        Value::List(values) => many(values.iter().map(|value| computed(Value::from(value))), usize::MAX),
    }
}

/// A set of constant texts.
#[derive(Clone, Debug)]
pub(crate) struct TextSet {
    insensitive: bool,
    /// Sorted, folded if insensitive.
    texts: Box<[Box<str>]>,
}

impl TextSet {
    pub(crate) fn new<'t>(texts: impl Iterator<Item = &'t str>, insensitive: bool) -> Self {
        let mut texts: Vec<Box<str>> =
            texts.map(|text| if insensitive { folded(text).into() } else { text.into() }).collect();
        texts.sort();
        texts.dedup();
        TextSet { insensitive, texts: texts.into() }
    }

    /// Returns the texts; folded if case does not matter.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }

    fn contains(&self, text: &str) -> bool {
        // A few are compared one by one, which mostly ends at the length.
        if self.texts.len() <= 8 {
            return match self.insensitive {
                false => self.texts.iter().any(|own| **own == *text),
                true => self.texts.iter().any(|own| eq_folded(text, own)),
            };
        }
        let text = if self.insensitive { folded(text) } else { Cow::Borrowed(text) };
        self.texts.binary_search_by(|own| (**own).cmp(&*text)).is_ok()
    }
}
