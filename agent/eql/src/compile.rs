//! The checker and compiler: a syntax tree to a [`Program`] over field ids.

mod condition;
mod lint;
mod operand;

use crate::ast::{
    Body, EventFilter, Expr, ExprKind, JoinKey, Literal, Pipe, PipeKind, Query, Relation, Sample, Sequence,
    Term,
};
use crate::diagnostic::{Diagnostic, Level, Span};
use crate::parse::{Limits, parse_within};
use crate::predicate::{Context, Node};
use crate::record::Record;
use crate::schema::{FieldId, Kind, Schema};

/// A query that is ready to run in an [`Engine`](crate::Engine).
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) plan: Plan,
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) relations: Vec<RelationPlan>,
    pub(crate) lineage: Option<Lineage<FieldId>>,
    fields: Vec<FieldId>,
    categories: Vec<Option<String>>,
    keys: Vec<String>,
    warnings: Vec<Diagnostic>,
    /// The whole query as it is printed.
    pub(crate) text: Box<str>,
}

/// What kind of query a [`Program`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// Each event by itself.
    Event,
    /// Events in order.
    Sequence,
    /// Events in any order; runs only over finite input.
    Sample,
}

/// How a query is compiled.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What a query may at most be.
    pub limits: Limits,
    /// How many paths at the beginning of the schema are those that records can have. A query that reads
    /// another one is warned about. `None`: any path may exist.
    pub known_fields: Option<usize>,
    /// The fields that make up the process tree; without them `descendant of` is refused.
    pub lineage: Option<Lineage<String>>,
}

/// The fields by which `descendant of`, `child of` and `event of` follow the process tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage<F> {
    /// What identifies the event's process, over exec.
    pub entity: F,
    /// The identity of its parent.
    pub parent: F,
    /// The identities of all its known ancestors.
    pub ancestry: F,
}

/// One of the conditions that a term joins by `and`, evaluated for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Where the condition stands in the query.
    pub span: Span,
    /// Whether the event satisfies it.
    pub holds: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Event(Filter),
    Sequence(SequencePlan),
    Sample(SamplePlan),
}

#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// `None` for `any`.
    pub(crate) category: Option<Box<str>>,
    pub(crate) condition: Node,
}

#[derive(Clone, Debug)]
pub(crate) struct SequencePlan {
    pub(crate) maxspan: Option<i64>,
    pub(crate) terms: Vec<TermPlan>,
    /// The positive terms in order, a term with runs as often as it must occur: indices into `terms`.
    pub(crate) steps: Vec<usize>,
    pub(crate) missing: Vec<MissingPlan>,
    pub(crate) until: Option<TermPlan>,
    /// Whether a term reads an earlier event through an alias.
    pub(crate) aliases: bool,
    /// The terms as text, each with the keys that all of them share: what makes a term the same in another program.
    pub(crate) texts: Vec<Box<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct MissingPlan {
    pub(crate) term: usize,
    /// How many steps stand before it.
    pub(crate) after: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct SamplePlan {
    pub(crate) terms: Vec<TermPlan>,
}

#[derive(Clone, Debug)]
pub(crate) struct TermPlan {
    pub(crate) filter: Filter,
    pub(crate) keys: Box<[KeyPlan]>,
    pub(crate) reads_alias: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyPlan {
    pub(crate) field: FieldId,
    pub(crate) optional: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct RelationPlan {
    pub(crate) relation: Relation,
    pub(crate) filter: Filter,
}

impl Program {
    /// Parses and compiles a query. Paths that `schema` does not have are added to it.
    ///
    /// # Errors
    /// Everything that was found wrong, warnings included, in the order of the text.
    pub fn new(text: &str, schema: &mut Schema, options: &Options) -> Result<Self, Vec<Diagnostic>> {
        Self::compile(&parse_within(text, &options.limits)?, schema, options)
    }

    /// Compiles a parsed query. Paths that `schema` does not have are added to it.
    ///
    /// # Errors
    /// Everything that was found wrong, warnings included, in the order of the text.
    pub fn compile(query: &Query, schema: &mut Schema, options: &Options) -> Result<Self, Vec<Diagnostic>> {
        let mut compiler = Compiler {
            schema,
            options,
            diagnostics: Vec::new(),
            fields: Vec::new(),
            categories: Vec::new(),
            relations: Vec::new(),
            aliases: Vec::new(),
        };
        let mut keys = Vec::new();
        let plan = match &query.body {
            Body::Event(filter) => Plan::Event(compiler.filter(filter)),
            Body::Sequence(sequence) => {
                let first = sequence.terms.iter().find(|term| !term.missing);
                keys.extend(sequence.by.iter().chain(first.iter().flat_map(|term| &term.by)));
                Plan::Sequence(compiler.sequence(sequence))
            }
            Body::Sample(sample) => {
                keys.extend(sample.by.iter().chain(sample.terms.first().iter().flat_map(|term| &term.by)));
                Plan::Sample(compiler.sample(sample))
            }
        };
        let lineage = match &options.lineage {
            Some(lineage) if !compiler.relations.is_empty() => Some(Lineage {
                entity: compiler.intern(&lineage.entity),
                parent: compiler.intern(&lineage.parent),
                ancestry: compiler.intern(&lineage.ancestry),
            }),
            _ => None,
        };
        let Compiler { mut diagnostics, mut fields, categories, relations, .. } = compiler;
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        if diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error) {
            return Err(diagnostics);
        }
        fields.sort();
        fields.dedup();
        Ok(Program {
            plan,
            pipes: query.pipes.clone(),
            relations,
            lineage,
            fields,
            categories,
            keys: keys.into_iter().map(|key| key.path.clone()).collect(),
            warnings: diagnostics,
            text: query.to_string().into(),
        })
    }

    /// Returns what kind of query this is.
    pub fn kind(&self) -> ProgramKind {
        match self.plan {
            Plan::Event(_) => ProgramKind::Event,
            Plan::Sequence(_) => ProgramKind::Sequence,
            Plan::Sample(_) => ProgramKind::Sample,
        }
    }

    /// Returns the fields that the query reads, sorted, join keys included.
    pub fn fields(&self) -> &[FieldId] {
        &self.fields
    }

    /// Returns the event categories of its terms, in order; `None` is `any`.
    pub fn categories(&self) -> &[Option<String>] {
        &self.categories
    }

    /// Returns the paths of the join keys, as the first term that is not missing names them.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Returns the longest time from the first event of a match to its last, in nanoseconds.
    pub fn maxspan(&self) -> Option<i64> {
        match &self.plan {
            Plan::Sequence(sequence) => sequence.maxspan,
            _ => None,
        }
    }

    /// Returns what is odd about the query, though it runs.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Evaluates one term of the query clause by clause, in the order of the text.
    ///
    /// `term` counts all terms of a sequence or sample, missing ones too; an event query has one. `bound` are
    /// the earlier events of the match, a record for each step, for conditions that read an alias. A term
    /// that does not exist has no clauses.
    pub fn clauses<R: Record>(&self, term: usize, record: &R, bound: &[R]) -> Vec<Clause> {
        let filter = match &self.plan {
            Plan::Event(filter) => (term == 0).then_some(filter),
            Plan::Sequence(sequence) => sequence.terms.get(term).map(|term| &term.filter),
            Plan::Sample(sample) => sample.terms.get(term).map(|term| &term.filter),
        };
        // What `descendant of` refers to is known only to a running engine.
        let context = Context { record, bound, related: &|_, _| false };
        let mut clauses = Vec::new();
        if let Some(filter) = filter {
            filter.condition.clauses(&context, &mut clauses);
        }
        clauses
    }

    /// Returns whether a record matches an event query. Of a sequence or a sample no single record is a match, and what
    /// `descendant of` refers to is known only to a running engine.
    pub fn matches<R: Record>(&self, record: &R) -> bool {
        match &self.plan {
            Plan::Event(filter) => filter.holds(&Context { record, bound: &[], related: &|_, _| false }),
            _ => false,
        }
    }

    /// Makes the program's terms count as those of another query when an engine is [reloaded](crate::Engine::reload):
    /// what has been added to them, such as exceptions, makes no other terms of them. A query with another number of
    /// terms changes nothing.
    #[must_use]
    pub fn identified_as(mut self, query: &Query) -> Self {
        match (&mut self.plan, &query.body) {
            (Plan::Sequence(plan), Body::Sequence(sequence)) if plan.texts.len() == sequence.terms.len() => {
                plan.texts = sequence.terms.iter().map(|term| term_text(&sequence.by, term)).collect();
                self.text = query.to_string().into();
            }
            (Plan::Event(_), Body::Event(_)) => self.text = query.to_string().into(),
            _ => {}
        }
        self
    }

    /// Returns why the query cannot run on a stream that does not end, if it cannot.
    pub fn needs_end(&self) -> Option<&'static str> {
        if matches!(self.plan, Plan::Sample(_)) {
            return Some(
                "a sample looks at all events at once, and a live stream has no end; write a sequence",
            );
        }
        self.pipes
            .iter()
            .any(|pipe| pipe.kind == PipeKind::Tail)
            .then_some("`tail` asks for the last results, and a live stream has no last one; leave it out")
    }
}

struct Compiler<'a> {
    schema: &'a mut Schema,
    options: &'a Options,
    diagnostics: Vec<Diagnostic>,
    fields: Vec<FieldId>,
    categories: Vec<Option<String>>,
    relations: Vec<RelationPlan>,
    /// The aliases of the terms before this one, each with its step.
    aliases: Vec<(String, usize)>,
}

/// Sequences, samples and their terms.
impl Compiler<'_> {
    fn sequence(&mut self, sequence: &Sequence) -> SequencePlan {
        let mut plan = SequencePlan {
            maxspan: sequence.maxspan,
            terms: Vec::new(),
            steps: Vec::new(),
            missing: Vec::new(),
            until: None,
            aliases: false,
            texts: Vec::new(),
        };
        for term in &sequence.terms {
            plan.texts.push(term_text(&sequence.by, term));
            let compiled = self.term(&sequence.by, term);
            if term.missing && compiled.reads_alias {
                self.error(term.span, "a missing event cannot be compared with an earlier one by its alias");
            }
            if compiled.filter.condition.is_never() && !term.missing {
                self.warn(term.span, "this term is never true, so the sequence never completes");
            }
            plan.aliases |= compiled.reads_alias;
            if term.missing {
                plan.missing.push(MissingPlan { term: plan.terms.len(), after: plan.steps.len() });
            } else {
                plan.steps.extend(std::iter::repeat_n(plan.terms.len(), term.runs));
                if let Some(alias) = &term.alias {
                    self.alias(alias, plan.steps.len() - 1, term.span);
                }
            }
            plan.terms.push(compiled);
        }
        self.same_key_count(&sequence.terms, sequence.until.as_deref());
        if plan.steps.is_empty() {
            self.error(sequence.span, "a sequence needs at least one event that is not missing");
        }
        if !plan.missing.is_empty() && sequence.maxspan.is_none() {
            self.diagnostics.push(
                Diagnostic::error(sequence.span, "a sequence with a missing event needs a maxspan")
                    .with_hint("without one nothing says how long to wait: write `with maxspan=…`"),
            );
        }
        if let Some(until) = &sequence.until {
            let compiled = self.term(&sequence.by, until);
            if compiled.reads_alias {
                self.error(until.span, "`until` cannot be compared with an earlier event by its alias");
            }
            plan.until = Some(compiled);
        }
        self.check_until(sequence);
        self.check_key_kinds(&sequence.terms);
        plan
    }

    fn sample(&mut self, sample: &Sample) -> SamplePlan {
        let terms = sample.terms.iter().map(|term| self.term(&sample.by, term)).collect();
        self.same_key_count(&sample.terms, None);
        self.check_key_kinds(&sample.terms);
        SamplePlan { terms }
    }

    fn term(&mut self, shared: &[JoinKey], term: &Term) -> TermPlan {
        let filter = self.filter(&term.filter);
        let keys = shared.iter().chain(&term.by);
        let keys = keys
            .map(|key| KeyPlan { field: self.path(&key.path, key.span), optional: key.optional })
            .collect();
        TermPlan { reads_alias: filter.condition.reads_alias(), filter, keys }
    }

    fn same_key_count(&mut self, terms: &[Term], until: Option<&Term>) {
        let Some(first) = terms.first() else { return };
        for term in terms.iter().skip(1).chain(until) {
            if term.by.len() != first.by.len() {
                let message = format!(
                    "this term joins by {} {} of its own, the first one by {}",
                    term.by.len(),
                    if term.by.len() == 1 { "field" } else { "fields" },
                    first.by.len()
                );
                self.diagnostics
                    .push(Diagnostic::error(term.span, message).with_hint("give every term as many keys"));
            }
        }
    }

    fn alias(&mut self, alias: &str, step: usize, span: Span) {
        if self.aliases.iter().any(|(name, _)| name == alias) {
            self.error(span, format!("two terms are named `{alias}`"));
        }
        self.aliases.push((alias.to_owned(), step));
    }

    fn filter(&mut self, filter: &EventFilter) -> Filter {
        self.categories.push(filter.category.clone());
        let condition = self.condition(&filter.condition);
        Filter { category: filter.category.as_deref().map(Into::into), condition }
    }
}

/// A term and the keys that all terms share, as text.
fn term_text(shared: &[JoinKey], term: &Term) -> Box<str> {
    let keys: Vec<String> =
        shared.iter().map(|key| format!("{}{}", if key.optional { "?" } else { "" }, key.path)).collect();
    format!("{} {term}", keys.join(",")).into()
}

impl Compiler<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(span, message));
    }

    fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warning(span, message));
    }
}

fn describe(literal: &Literal) -> &'static str {
    match literal {
        Literal::Null => "`null`",
        Literal::Bool(_) => "a boolean",
        Literal::Int(_) | Literal::Float(_) => "a number",
        Literal::Str(_) => "a string",
    }
}

fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Any => "anything",
        Kind::Text => "text",
        Kind::Number => "a number",
        Kind::Boolean => "a boolean",
        Kind::Ip => "an IP address",
        Kind::Date => "a time",
    }
}

fn quote(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Field(field) => format!("`{}`", field.path),
        _ => "this".to_owned(),
    }
}
