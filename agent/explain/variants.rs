//! A rule's query, and queries made of it that show how far it came.
//!
//! An engine says only what matches. So the query is given to it in several forms at once: as it is, without exceptions,
//! with only its first terms, without its missing terms, and with a missing term as one that must occur. What each of them
//! finds is exactly what the engine's own state is, whatever the language may do.

use std::sync::Arc;

use eql::ast::{Body, EventFilter, Expr, ExprKind, Field, Query, Sequence, Term};
use eql::{Diagnostic, Engine, EngineOptions, Position, Program, Schema, Span};

use crate::detector::query_options;
use crate::event::Event;
use crate::exception::{self, Exception, On, Selected};
use crate::rule::Rule;

/// What a program of [`Variants::engine`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// The query without exceptions, by which terms are judged.
    Plain,
    /// The query's first so many steps.
    Prefix(usize),
    /// The query without its missing terms.
    Complete,
    /// The query as it runs.
    Rule,
    /// The query with the missing term of this index as one that must occur.
    Seen(usize),
}

/// A term of the query: `until` is the last one, if there is one.
#[derive(Clone, Debug)]
pub(super) struct TermPlan {
    pub(super) filter: EventFilter,
    pub(super) role: Role,
    /// The paths of its join keys, shared ones first.
    pub(super) keys: Vec<String>,
    /// Whether it reads an earlier event by an alias, so that it can only be judged with one.
    pub(super) reads_alias: bool,
}

/// An exception on events, and for each term that it covers what an event must be.
pub(super) struct Excepting {
    pub(super) exception: Arc<Exception>,
    terms: Vec<(usize, Program)>,
}

/// What a term is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Occurs,
    Missing,
    Until,
}

/// A rule's query in its variants.
pub(super) struct Variants {
    pub(super) engine: Engine<Event>,
    /// What the engine's programs are, in its order.
    pub(super) variants: Vec<Variant>,
    pub(super) schema: Schema,
    pub(super) terms: Vec<TermPlan>,
    /// The term of each step: a term with runs is several steps.
    pub(super) steps: Vec<usize>,
    /// The aliases of steps.
    aliases: Vec<(String, usize)>,
    pub(super) maxspan: Option<i64>,
    /// The exceptions on events.
    pub(super) excepting: Vec<Excepting>,
    /// Exceptions on alerts.
    pub(super) withholding: Vec<(Arc<Exception>, Program)>,
}

impl Variants {
    /// Compiles the variants of a rule's query.
    ///
    /// # Errors
    /// The query does not compile, or cannot run on a stream.
    pub(super) fn new(rule: &Rule, exceptions: &Selected) -> Result<Self, Vec<Diagnostic>> {
        let mut schema = crate::schema::schema();
        let plain = eql::parse(&rule.query)?;
        let program = Program::compile(&plain, &mut schema, &query_options())?;
        if let Some(reason) = program.needs_end() {
            return Err(vec![Diagnostic::error(Span::new(0, rule.query.len()), reason)]);
        }
        let mut excepted = plain.clone();
        exception::except(&mut excepted, rule, exceptions);
        let (terms, steps, aliases, maxspan) = layout(&plain);
        let mut queries = vec![(Variant::Plain, plain.clone())];
        if let Body::Sequence(sequence) = &excepted.body {
            queries.extend((1..steps.len()).map(|count| (Variant::Prefix(count), prefix(sequence, count))));
            let missing: Vec<usize> =
                (0..sequence.terms.len()).filter(|index| sequence.terms[*index].missing).collect();
            if !missing.is_empty() {
                queries.push((Variant::Complete, prefix(sequence, steps.len())));
            }
            queries.push((Variant::Rule, excepted.clone()));
            queries.extend(missing.into_iter().map(|index| (Variant::Seen(index), seen(sequence, index))));
        } else {
            queries.push((Variant::Rule, excepted.clone()));
        }
        let mut engine = Engine::new(EngineOptions::default());
        let mut variants = Vec::new();
        for (variant, query) in queries {
            engine.add(Program::compile(&query, &mut schema, &query_options())?);
            variants.push(variant);
        }
        let mut result = Variants {
            engine,
            variants,
            schema,
            terms,
            steps,
            aliases,
            maxspan,
            excepting: Vec::new(),
            withholding: Vec::new(),
        };
        result.except(rule, &plain, exceptions)?;
        Ok(result)
    }

    fn except(&mut self, rule: &Rule, plain: &Query, exceptions: &Selected) -> Result<(), Vec<Diagnostic>> {
        for (exception, filter) in exceptions.iter().filter(|(own, _)| own.scope.covers(&rule.id)) {
            let mut effect = |on: On| {
                let own = Exception { on, ..(**exception).clone() };
                exception::effect(plain, &own, filter, &mut self.schema)
            };
            match exception.on {
                On::Alert => self.withholding.push((exception.clone(), effect(On::Alert)?)),
                On::Event(only) => {
                    let mut programs = Vec::new();
                    for (index, term) in self.terms.iter().enumerate() {
                        if term.role == Role::Occurs && only.is_none_or(|only| only == index + 1) {
                            programs.push((index, effect(On::Event(Some(index + 1)))?));
                        }
                    }
                    self.excepting.push(Excepting { exception: exception.clone(), terms: programs });
                }
            }
        }
        Ok(())
    }

    /// Returns the exception that takes an event from a term, if one does.
    pub(super) fn taker(&self, term: usize, event: &Event) -> Option<usize> {
        self.excepting
            .iter()
            .position(|own| own.terms.iter().any(|(own, program)| *own == term && program.matches(event)))
    }

    /// Returns the fields that are read of recorded documents.
    pub(super) fn fields(&self, rule: &Rule) -> Vec<eql::FieldId> {
        let mut schema = self.schema.clone();
        let own = Program::new(&rule.query, &mut schema, &query_options());
        let mut fields: Vec<eql::FieldId> =
            own.iter().flat_map(|program| program.fields()).copied().collect();
        let excepting = self.excepting.iter().flat_map(|own| own.terms.iter().map(|(_, program)| program));
        let withholding = self.withholding.iter().map(|(_, program)| program);
        fields.extend(excepting.chain(withholding).flat_map(|program| program.fields()).copied());
        fields
    }

    /// Returns the fields that a condition of a term reads, as they stand in the query, each once: the step of an
    /// earlier event if it is read by an alias, and the path.
    pub(super) fn read_by(&self, term: usize, clause: Span) -> Vec<(&str, Option<usize>, &str)> {
        let mut found: Vec<(&str, Option<usize>, &str)> = Vec::new();
        let Some(expr) = self.terms.get(term).and_then(|term| at(&term.filter.condition, clause)) else {
            return found;
        };
        let mut fields = Vec::new();
        collect(expr, &mut fields);
        for field in fields {
            let aliased = field.path.split_once('.').and_then(|(name, rest)| {
                self.aliases.iter().find(|(alias, _)| alias == name).map(|(_, step)| (*step, rest))
            });
            let own = match aliased {
                Some((step, rest)) => (&*field.path, Some(step), rest),
                None => (&*field.path, None, &*field.path),
            };
            if !found.contains(&own) {
                found.push(own);
            }
        }
        found
    }
}

/// Where a part of a rule's query stands in its file.
pub(super) fn position(rule: &Rule, span: Span) -> Position {
    Position::of(span.start, &rule.query).after(rule.query_position)
}

type Layout = (Vec<TermPlan>, Vec<usize>, Vec<(String, usize)>, Option<i64>);

fn layout(query: &Query) -> Layout {
    let plan = |filter: &EventFilter, role, keys: Vec<String>, aliases: &[(String, usize)]| {
        let mut fields = Vec::new();
        collect(&filter.condition, &mut fields);
        let is_alias = |path: &str| {
            path.split_once('.').is_some_and(|(name, _)| aliases.iter().any(|(alias, _)| alias == name))
        };
        let reads_alias = fields.iter().any(|field| is_alias(&field.path));
        TermPlan { filter: filter.clone(), role, keys, reads_alias }
    };
    let sequence = match &query.body {
        Body::Event(filter) => {
            return (vec![plan(filter, Role::Occurs, Vec::new(), &[])], vec![0], Vec::new(), None);
        }
        Body::Sequence(sequence) => sequence,
        // Refused before.
        Body::Sample(_) => return (Vec::new(), Vec::new(), Vec::new(), None),
    };
    let keys = |term: &Term| sequence.by.iter().chain(&term.by).map(|key| key.path.clone()).collect();
    let (mut terms, mut steps, mut aliases) = (Vec::new(), Vec::new(), Vec::new());
    for (index, term) in sequence.terms.iter().enumerate() {
        let role = if term.missing { Role::Missing } else { Role::Occurs };
        terms.push(plan(&term.filter, role, keys(term), &aliases));
        if !term.missing {
            steps.extend(std::iter::repeat_n(index, term.runs));
            aliases.extend(term.alias.clone().map(|alias| (alias, steps.len() - 1)));
        }
    }
    if let Some(until) = &sequence.until {
        terms.push(plan(&until.filter, Role::Until, keys(until), &[]));
    }
    (terms, steps, aliases, sequence.maxspan)
}

/// A sequence's first `count` steps, without missing terms.
fn prefix(sequence: &Sequence, count: usize) -> Query {
    let mut left = count;
    let mut terms = Vec::new();
    for term in sequence.terms.iter().filter(|term| !term.missing) {
        let runs = term.runs.min(left);
        if runs == 0 {
            break;
        }
        left -= runs;
        terms.push(Term { runs, ..term.clone() });
    }
    whole(Sequence { terms, ..sequence.clone() })
}

/// A sequence of which one missing term must occur, and the others need not be missing.
fn seen(sequence: &Sequence, index: usize) -> Query {
    let terms = sequence.terms.iter().enumerate().filter(|(own, term)| *own == index || !term.missing);
    let terms = terms.map(|(_, term)| Term { missing: false, ..term.clone() }).collect();
    whole(Sequence { terms, ..sequence.clone() })
}

fn whole(sequence: Sequence) -> Query {
    Query { body: Body::Sequence(sequence), pipes: Vec::new() }
}

/// The part of a condition that stands at a place.
fn at(expr: &Expr, span: Span) -> Option<&Expr> {
    match &expr.kind {
        ExprKind::And(operands) => operands.iter().find_map(|operand| at(operand, span)),
        _ => (expr.span == span).then_some(expr),
    }
}

/// The fields that an expression reads of the event itself or of an earlier one.
fn collect<'e>(expr: &'e Expr, fields: &mut Vec<&'e Field>) {
    match &expr.kind {
        ExprKind::Field(field) => fields.push(field),
        ExprKind::Literal(_) | ExprKind::Relation { .. } => {}
        ExprKind::Not(inner) | ExprKind::Negate(inner) => collect(inner, fields),
        ExprKind::And(list) | ExprKind::Or(list) | ExprKind::Call { arguments: list, .. } => {
            list.iter().for_each(|own| collect(own, fields));
        }
        ExprKind::Compare { left, right, .. } | ExprKind::Arithmetic { left, right, .. } => {
            collect(left, fields);
            collect(right, fields);
        }
        ExprKind::In { value, list, .. } => {
            collect(value, fields);
            list.iter().for_each(|own| collect(own, fields));
        }
        ExprKind::Match { value, .. } => collect(value, fields),
    }
}
