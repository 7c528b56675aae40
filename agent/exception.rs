//! Exceptions: what is known, by whom, why and until when, and shall not alert.
//!
//! An exception on an event takes the event from a rule's terms before the sequence machine sees it, so that it can
//! neither begin nor consume a partial: an allowed download does not hide the next one. One on an alert lets the rule
//! match and withholds the alert. Both are conditions in the language of rules, over the same fields.

mod file;
mod scope;

use std::path::PathBuf;
use std::sync::Arc;

use eql::ast::{Body, Comparison, EventFilter, Expr, ExprKind, Field, Literal, Query, Term};
use eql::{Diagnostic, Position, Program, Schema, Span};

pub use file::{ExceptionFile, load, parse};
pub use scope::{Selected, Standing, select, standing};

use crate::rule::Rule;
use crate::timestamp;

/// An exception.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// What it is called in status and messages; no other one has it.
    pub id: String,
    /// The rules that it is for.
    pub scope: Scope,
    /// What it is on.
    pub on: On,
    /// The condition, an EQL event query.
    pub condition: String,
    /// Where the condition's first character stands in the file.
    pub condition_position: Position,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// The last moment at which it holds, nanoseconds since 1970, by the time of events.
    pub expires: i64,
    /// Whether it holds at all. Suggestions come switched off.
    pub enabled: bool,
    /// The file.
    pub path: PathBuf,
}

/// The rules that an exception is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every rule.
    All,
    /// The rules with these ids.
    Rules(Vec<String>),
}

/// What an exception is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The events of a rule's terms; with a number, from 1, of that term only.
    Event(Option<usize>),
    /// The last event of a match.
    Alert,
}

/// An exception that is in use.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The exception.
    pub exception: Arc<Exception>,
    /// For each rule that it is for, by id: what an event must be for it to have done something.
    pub effects: Vec<(String, Program)>,
}

impl Scope {
    /// Returns whether the rule of an id is in it.
    pub fn covers(&self, rule: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Rules(ids) => ids.iter().any(|id| id == rule),
        }
    }
}

impl Exception {
    /// Returns the condition as a syntax tree that holds until the exception expires. Its category, if it names one, is
    /// part of the condition: it is to be joined to terms of any category.
    ///
    /// # Errors
    /// The condition is no event query, or it cannot be checked over the sensor's fields.
    pub fn filter(&self) -> Result<EventFilter, Vec<Diagnostic>> {
        let query = eql::parse(&self.condition)?;
        let at = Span::new(0, self.condition.len());
        let (Body::Event(mut filter), true) = (query.body, query.pipes.is_empty()) else {
            let message = "an exception's condition is about one event: no sequence, sample or pipe";
            return Err(vec![
                Diagnostic::error(at, message)
                    .with_hint("write `any where …`, `process where …` or `network where …`"),
            ]);
        };
        Program::new(&self.condition, &mut crate::schema::schema(), &crate::detector::query_options())?;
        let until = compare(Comparison::LessOrEqual, "@timestamp", &timestamp::format(self.expires), at);
        filter.condition =
            Expr { kind: ExprKind::And(vec![filter.condition, until, not_of_a_selftest()?]), span: at };
        Ok(filter)
    }
}

/// A condition that the events of `vedette selftest`'s package do not meet: no exception hides them. Whoever gives another
/// package such an identifier gains nothing but alerts.
fn not_of_a_selftest() -> Result<Expr, Vec<Diagnostic>> {
    let pattern = crate::identity::selftest_id("*");
    let query = eql::parse(&format!("any where not vedette.package.identifier like \"{pattern}\""))?;
    let Body::Event(filter) = query.body else { return Err(Vec::new()) };
    Ok(filter.condition)
}

/// Takes what `exceptions` are for out of a rule's query. Only those on events change it.
pub(crate) fn except(query: &mut Query, rule: &Rule, exceptions: &[(Arc<Exception>, EventFilter)]) {
    for (exception, filter) in exceptions {
        let On::Event(only) = exception.on else { continue };
        if !exception.scope.covers(&rule.id) {
            continue;
        }
        for (number, term) in terms(query) {
            if only.is_none_or(|only| only == number)
                && let Some(condition) = condition_for(filter, term)
            {
                let span = term.condition.span;
                let not = Expr { kind: ExprKind::Not(Box::new(respan(condition, span))), span };
                let own = std::mem::replace(
                    &mut term.condition,
                    Expr { kind: ExprKind::Literal(Literal::Bool(true)), span },
                );
                term.condition = Expr { kind: ExprKind::And(vec![own, not]), span };
            }
        }
    }
}

/// Returns, for a rule, what an event must be for an exception to have done something: the exception's condition and
/// that of a term. A term that compares with an earlier event is judged by the exception's condition alone.
pub(crate) fn effect(
    query: &Query,
    exception: &Exception,
    filter: &EventFilter,
    schema: &mut Schema,
) -> Result<Program, Vec<Diagnostic>> {
    let mut query = query.clone();
    let mut alternatives = Vec::new();
    let span = filter.span;
    let only = match exception.on {
        On::Event(only) => only,
        On::Alert => None,
    };
    for (number, term) in terms(&mut query) {
        if only.is_some_and(|only| only != number) {
            continue;
        }
        let Some(condition) = condition_for(filter, term) else { continue };
        let mut all = vec![condition];
        all.extend(
            term.category
                .as_deref()
                .map(|category| compare(Comparison::Equal, "event.category", category, span)),
        );
        if !reads_alias(&term.condition) {
            all.push(term.condition.clone());
        }
        alternatives.push(Expr { kind: ExprKind::And(all), span });
    }
    let condition = match alternatives.len() {
        0 => Expr { kind: ExprKind::Literal(Literal::Bool(false)), span },
        1 => alternatives.swap_remove(0),
        _ => Expr { kind: ExprKind::Or(alternatives), span },
    };
    let effect =
        Query { body: Body::Event(EventFilter { category: None, condition, span }), pipes: Vec::new() };
    Program::compile(&effect, schema, &crate::detector::query_options())
}

/// The terms that must occur, numbered from 1 as they stand in the query, missing ones counted. To take an event from a
/// missing term, or from `until`, would make more alerts, not fewer.
fn terms(query: &mut Query) -> impl Iterator<Item = (usize, &mut EventFilter)> {
    let (single, list): (Option<&mut EventFilter>, &mut [Term]) = match &mut query.body {
        Body::Event(filter) => (Some(filter), &mut []),
        Body::Sequence(sequence) => (None, &mut sequence.terms),
        Body::Sample(sample) => (None, &mut sample.terms),
    };
    let several = list.iter_mut().enumerate().filter(|(_, term)| !term.missing);
    single
        .map(|filter| (1, filter))
        .into_iter()
        .chain(several.map(|(index, term)| (index + 1, &mut term.filter)))
}

/// Returns an exception's condition for the events of a term; none, if no event is of both categories.
fn condition_for(filter: &EventFilter, term: &EventFilter) -> Option<Expr> {
    match (&filter.category, &term.category) {
        (Some(own), Some(other)) if own != other => None,
        (Some(own), None) => {
            let category = compare(Comparison::Equal, "event.category", own, filter.span);
            Some(Expr { kind: ExprKind::And(vec![category, filter.condition.clone()]), span: filter.span })
        }
        _ => Some(filter.condition.clone()),
    }
}

fn compare(operator: Comparison, path: &str, text: &str, span: Span) -> Expr {
    let field = ExprKind::Field(Field { path: path.to_owned(), optional: false });
    let text = ExprKind::Literal(Literal::Str(text.to_owned()));
    let side = |kind| Box::new(Expr { kind, span });
    Expr { kind: ExprKind::Compare { operator, left: side(field), right: side(text) }, span }
}

/// Gives the outermost expression the place of the term that it is joined to: it stands in another file.
fn respan(mut expr: Expr, span: Span) -> Expr {
    expr.span = span;
    expr
}

/// Whether an expression reads an earlier event: the first part of a path is an alias, which only the rule knows, so
/// whatever is no field of the sensor and has a known field behind its first part.
fn reads_alias(expr: &Expr) -> bool {
    let known = |path: &str| !matches!(crate::schema::lookup(path), crate::schema::Known::Unknown);
    match &expr.kind {
        ExprKind::Field(field) => {
            !known(&field.path) && field.path.split_once('.').is_some_and(|(_, rest)| known(rest))
        }
        ExprKind::Literal(_) | ExprKind::Relation { .. } => false,
        ExprKind::Not(inner) | ExprKind::Negate(inner) => reads_alias(inner),
        ExprKind::And(list) | ExprKind::Or(list) | ExprKind::Call { arguments: list, .. } => {
            list.iter().any(reads_alias)
        }
        ExprKind::Compare { left, right, .. } | ExprKind::Arithmetic { left, right, .. } => {
            reads_alias(left) || reads_alias(right)
        }
        ExprKind::In { value, list, .. } => reads_alias(value) || list.iter().any(reads_alias),
        ExprKind::Match { value, .. } => reads_alias(value),
    }
}

#[cfg(test)]
mod tests;
