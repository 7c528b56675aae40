//! The syntax tree of a query. [`Query`] prints as a query that parses to the same tree.

use crate::diagnostic::Span;

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What is looked for.
    pub body: Body,
    /// What is done with the results, in order.
    pub pipes: Vec<Pipe>,
}

/// What a query looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Single events: `process where …`.
    Event(EventFilter),
    /// Events that follow each other: `sequence …`.
    Sequence(Sequence),
    /// Events that share keys, in any order: `sample by … […] […]`.
    Sample(Sample),
}

/// `| head 5`, `| tail 5`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipe {
    /// Which.
    pub kind: PipeKind,
    /// How many results pass.
    pub count: usize,
    /// Where.
    pub span: Span,
}

/// The pipes of Elasticsearch's EQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeKind {
    /// The first results.
    Head,
    /// The last results, known only at the end of the input.
    Tail,
}

/// `CATEGORY where CONDITION`.
#[derive(Clone, Debug, PartialEq)]
pub struct EventFilter {
    /// The category; `None` for `any`.
    pub category: Option<String>,
    /// The condition.
    pub condition: Expr,
    /// Where.
    pub span: Span,
}

/// `sequence [by …] [with maxspan=…] […] … [until […]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// The keys that all terms share.
    pub by: Vec<JoinKey>,
    /// The longest time from the first event to the last, inclusive, in nanoseconds.
    pub maxspan: Option<i64>,
    /// The terms, in order.
    pub terms: Vec<Term>,
    /// The term that ends partials of its key.
    pub until: Option<Box<Term>>,
    /// Where the head stands, from `sequence` to before the first term.
    pub span: Span,
}

/// `sample by … […] […]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The keys that all terms share.
    pub by: Vec<JoinKey>,
    /// The terms, in no order.
    pub terms: Vec<Term>,
    /// Where the head stands.
    pub span: Span,
}

/// `[FILTER] [by …] [with runs=N] [as ALIAS]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Whether the term is a missing event, `![…]`.
    pub missing: bool,
    /// Which events.
    pub filter: EventFilter,
    /// The keys of this term, after the shared ones.
    pub by: Vec<JoinKey>,
    /// How many such events in a row; 1 unless `with runs=` is given.
    pub runs: usize,
    /// The name by which later terms read this term's event.
    pub alias: Option<String>,
    /// Where.
    pub span: Span,
}

/// One field of a `by`.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinKey {
    /// The field's path.
    pub path: String,
    /// Whether null is a value that joins (`?field`).
    pub optional: bool,
    /// Where.
    pub span: Span,
}

/// An expression and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// A field of the event, or through an alias of an earlier one.
    Field(Field),
    /// `NAME(…)` or `NAME~(…)`.
    Call {
        /// The name as written.
        name: String,
        /// Whether it was called with `~`.
        insensitive: bool,
        /// The arguments.
        arguments: Vec<Expr>,
    },
    /// `not …`.
    Not(Box<Expr>),
    /// `… and … and …`, two or more.
    And(Vec<Expr>),
    /// `… or … or …`, two or more.
    Or(Vec<Expr>),
    /// `… == …` and its like.
    Compare {
        /// Which comparison.
        operator: Comparison,
        /// The left side.
        left: Box<Expr>,
        /// The right side.
        right: Box<Expr>,
    },
    /// `… + …` and its like.
    Arithmetic {
        /// Which operation.
        operator: Arithmetic,
        /// The left side.
        left: Box<Expr>,
        /// The right side.
        right: Box<Expr>,
    },
    /// `-…`.
    Negate(Box<Expr>),
    /// `… in (…)`, `… in~ (…)`, either with `not` before `in`.
    In {
        /// The value looked for.
        value: Box<Expr>,
        /// Whether `not` stands before `in`.
        negated: bool,
        /// Whether it is `in~`.
        insensitive: bool,
        /// The list.
        list: Vec<Expr>,
    },
    /// `… : …`, `… like …`, `… regex …`, each with one pattern or a list.
    Match {
        /// The value that is matched.
        value: Box<Expr>,
        /// Whether `not` stands before the operator.
        negated: bool,
        /// Which operator.
        operator: MatchOperator,
        /// The patterns.
        patterns: Vec<Pattern>,
    },
    /// `descendant of […]`, `child of […]`, `event of […]`.
    Relation {
        /// Which relation.
        relation: Relation,
        /// The events to which the event is so related.
        filter: Box<EventFilter>,
    },
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A string, unescaped.
    Str(String),
}

/// A field in an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The path: segments joined by dots.
    pub path: String,
    /// Whether it was written `?field`.
    pub optional: bool,
}

/// One pattern of a [`ExprKind::Match`].
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// The constant: a string, unless the query is wrong.
    pub literal: Literal,
    /// Where.
    pub span: Span,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`, towards zero between whole numbers
    Divide,
    /// `%`, with the sign of the left side
    Modulo,
}

/// Operators that match a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOperator {
    /// `:`, the same as `like~`
    Colon,
    /// `like`
    Like,
    /// `like~`
    LikeInsensitive,
    /// `regex`
    Regex,
    /// `regex~`
    RegexInsensitive,
}

/// How a process is related to the process of another event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The other process is an ancestor.
    Descendant,
    /// The other process is the parent.
    Child,
    /// The other process is the same.
    Event,
}

impl Comparison {
    /// Returns the operator as it is written.
    pub fn text(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

impl Arithmetic {
    /// Returns the operator as it is written.
    pub fn text(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Modulo => "%",
        }
    }
}

impl MatchOperator {
    /// Returns the operator as it is written.
    pub fn text(self) -> &'static str {
        match self {
            MatchOperator::Colon => ":",
            MatchOperator::Like => "like",
            MatchOperator::LikeInsensitive => "like~",
            MatchOperator::Regex => "regex",
            MatchOperator::RegexInsensitive => "regex~",
        }
    }
}

impl Relation {
    /// Returns the word before `of`.
    pub fn text(self) -> &'static str {
        match self {
            Relation::Descendant => "descendant",
            Relation::Child => "child",
            Relation::Event => "event",
        }
    }
}
