//! The checker and compiler: a syntax tree to a [`Program`] over field ids.

use crate::ast::{
    Body, Comparison, EventFilter, Expr, ExprKind, Field, JoinKey, Literal, MatchOperator, Pattern, Pipe,
    PipeKind, Query, Relation, Sample, Sequence, Term,
};
use crate::diagnostic::{Diagnostic, Level, Span, nearest};
use crate::function::{Computed, FUNCTIONS, Function, find};
use crate::network::Network;
use crate::parse::{Limits, parse_within};
use crate::predicate::{Context, Node, NodeKind, Operand, TextSet};
use crate::record::Record;
use crate::regular;
use crate::schema::{FieldId, Kind, Schema};
use crate::wildcard::{Place, Wildcard};

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
        };
        for term in &sequence.terms {
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
        plan
    }

    fn sample(&mut self, sample: &Sample) -> SamplePlan {
        let terms = sample.terms.iter().map(|term| self.term(&sample.by, term)).collect();
        self.same_key_count(&sample.terms, None);
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

/// Conditions.
impl Compiler<'_> {
    fn condition(&mut self, expr: &Expr) -> Node {
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

/// Values.
impl Compiler<'_> {
    fn operand(&mut self, expr: &Expr) -> Operand {
        match &expr.kind {
            ExprKind::Literal(literal) => Operand::Constant(constant(literal)),
            ExprKind::Field(field) => self.field(field, expr.span),
            ExprKind::Negate(inner) => {
                let operand = self.number(inner);
                Operand::Negate(Box::new(operand))
            }
            ExprKind::Arithmetic { operator, left, right } => {
                let (left, right) = (self.number(left), self.number(right));
                Operand::Arithmetic(*operator, Box::new(left), Box::new(right))
            }
            ExprKind::Call { name, insensitive, arguments } => {
                self.call(name, *insensitive, arguments, expr.span)
            }
            _ => Operand::Condition(Box::new(self.condition(expr))),
        }
    }

    /// An operand of arithmetic, which is not text.
    fn number(&mut self, expr: &Expr) -> Operand {
        if let ExprKind::Literal(literal @ (Literal::Str(_) | Literal::Bool(_))) = &expr.kind {
            let message = format!("expected a number, found {}", describe(literal));
            self.error(expr.span, message);
        }
        self.operand(expr)
    }

    fn field(&mut self, field: &Field, span: Span) -> Operand {
        if let Some((name, rest)) = field.path.split_once('.')
            && let Some((_, step)) = self.aliases.iter().find(|(alias, _)| alias == name)
        {
            let step = *step;
            return Operand::Field { step: Some(step), id: self.path(rest, span) };
        }
        Operand::Field { step: None, id: self.path(&field.path, span) }
    }

    /// Interns a path that a query names, and says so if no record has it.
    fn path(&mut self, path: &str, span: Span) -> FieldId {
        let id = self.intern(path);
        if let Some(known) = self.options.known_fields
            && id.index() >= known
            && !self.diagnostics.iter().any(|diagnostic| diagnostic.span == span)
        {
            let near = nearest(path, self.schema.paths().take(known).map(|(_, path)| path));
            let mut diagnostic = Diagnostic::warning(span, format!("no source gives the field `{path}`"));
            if let Some(near) = near {
                diagnostic = diagnostic.with_hint(format!("did you mean `{near}`?"));
            }
            self.diagnostics.push(diagnostic);
        }
        id
    }

    fn intern(&mut self, path: &str) -> FieldId {
        let id = self.schema.intern(path);
        self.fields.push(id);
        id
    }

    fn call(&mut self, name: &str, insensitive: bool, arguments: &[Expr], span: Span) -> Operand {
        let compiled: Box<[Operand]> = arguments.iter().map(|argument| self.operand(argument)).collect();
        let Some(signature) = find(name) else {
            let mut diagnostic = Diagnostic::error(span, format!("there is no function `{name}`"));
            let instead = match name.to_ascii_lowercase().as_str() {
                "match" => Some("use the operator `regex`: `field regex \"…\"`".to_owned()),
                "wildcard" => Some("use the operator `like`: `field like \"…\"`".to_owned()),
                _ => nearest(name, FUNCTIONS.iter().map(|signature| signature.name))
                    .map(|near| format!("did you mean `{near}`?")),
            };
            if let Some(instead) = instead {
                diagnostic = diagnostic.with_hint(instead);
            }
            self.diagnostics.push(diagnostic);
            return Operand::Constant(Computed::Null);
        };
        let (least, most) = signature.arguments;
        if arguments.len() < least || arguments.len() > most {
            let message = format!(
                "`{}` does not take {} arguments: `{}`",
                signature.name,
                arguments.len(),
                signature.usage
            );
            self.error(span, message);
        }
        if insensitive && !signature.insensitive {
            let message = format!("`{}` has no form with `~`", signature.name);
            self.error(span, message);
        }
        if signature.function == Function::CidrMatch
            && let Some(operand) = compiled.first()
            && let Some(kind @ (Kind::Number | Kind::Boolean)) = self.kind(operand)
        {
            self.warn(arguments[0].span, format!("{} is {}", quote(&arguments[0]), kind_text(kind)));
        }
        Operand::Call(signature.function, insensitive, compiled)
    }

    fn kind(&self, operand: &Operand) -> Option<Kind> {
        match operand {
            Operand::Field { id, .. } => Some(self.schema.kind(*id)).filter(|kind| *kind != Kind::Any),
            _ => None,
        }
    }
}

/// Lints.
impl Compiler<'_> {
    /// A constant of another type than the field's is never equal to it.
    fn check_types(&mut self, operand: &Operand, other: &Expr) {
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

    fn check_equal_text(&mut self, text: &str, span: Span, operator: &str) {
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
    fn check_shadowed(&mut self, wildcards: &[Wildcard], texts: &[(&str, Span)]) {
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

    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(span, message));
    }

    fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warning(span, message));
    }
}

impl Node {
    /// Returns whether the condition is constant and false.
    fn is_never(&self) -> bool {
        match &self.kind {
            NodeKind::Constant(value) => !value,
            NodeKind::And(nodes) => nodes.iter().any(Node::is_never),
            NodeKind::Or(nodes) => nodes.iter().all(Node::is_never),
            NodeKind::Not(node) => matches!(node.kind, NodeKind::Constant(true)),
            _ => false,
        }
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

fn constant(literal: &Literal) -> Computed<'static> {
    match literal {
        Literal::Null => Computed::Null,
        Literal::Bool(value) => Computed::Bool(*value),
        Literal::Int(number) => Computed::Int(*number),
        Literal::Float(number) => Computed::Float(*number),
        Literal::Str(text) => Computed::Str(text.clone().into()),
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
