//! The parser: tokens to a syntax tree.
//!
//! Written by hand: a recursive descent for the query's frame and for expressions. It goes on after an
//! error where it can (at the next term, the next list entry), so that one run reports several.

mod expression;

use crate::ast::{Body, EventFilter, JoinKey, Pipe, PipeKind, Query, Sample, Sequence, Term};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::token::{Punct, Token, TokenKind, tokens};

/// What a query may at most be, so that a hostile rule costs neither the stack nor the memory of who loads it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a query's text.
    pub text: usize,
    /// How deep expressions may nest.
    pub depth: usize,
    /// Entries of one list, arguments of one function.
    pub list: usize,
    /// Terms of a sequence, repetitions by `with runs=` counted.
    pub terms: usize,
    /// Bytes of one pattern or regular expression.
    pub pattern: usize,
    /// Bytes that one compiled regular expression may take.
    pub regex: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { text: 256 << 10, depth: 128, list: 4096, terms: 256, pattern: 8 << 10, regex: 1 << 20 }
    }
}

/// How many diagnostics one query may have before the rest is left out.
const MAX_DIAGNOSTICS: usize = 50;

/// Parses a query within the default [`Limits`].
///
/// # Errors
/// Everything that was found wrong, in the order of the text.
pub fn parse(text: &str) -> Result<Query, Vec<Diagnostic>> {
    parse_within(text, &Limits::default())
}

/// Parses a query within `limits`.
///
/// # Errors
/// Everything that was found wrong, in the order of the text.
pub fn parse_within(text: &str, limits: &Limits) -> Result<Query, Vec<Diagnostic>> {
    if text.len() > limits.text {
        let message = format!("this query has {} bytes; at most {} are allowed", text.len(), limits.text);
        return Err(vec![Diagnostic::error(Span::new(0, 0), message)]);
    }
    let (tokens, diagnostics) = tokens(text);
    let mut parser = Parser { tokens, at: 0, diagnostics, limits, depth: 0 };
    let query = parser.query();
    let mut diagnostics = parser.diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    diagnostics.truncate(MAX_DIAGNOSTICS);
    match query {
        Some(query) if diagnostics.is_empty() => Ok(query),
        _ => Err(diagnostics),
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    diagnostics: Vec<Diagnostic>,
    limits: &'a Limits,
    depth: usize,
}

/// The frame: query, sequence, terms, pipes. `None` means that an error was reported.
impl Parser<'_> {
    fn query(&mut self) -> Option<Query> {
        let body = match self.word() {
            Some("sequence") => Body::Sequence(self.sequence()?),
            Some("sample") => Body::Sample(self.sample()?),
            Some("join") if self.peek_at(1) != &TokenKind::Word("where".into()) => {
                let span = self.span();
                self.report(
                    Diagnostic::error(span, "`join` is not supported")
                        .with_hint("write a `sequence`, or a `sample` where the order does not matter"),
                );
                return None;
            }
            _ => {
                let filter = self.event_filter(&["|"])?;
                Body::Event(filter)
            }
        };
        let mut pipes = Vec::new();
        while self.eat(Punct::Pipe) {
            pipes.extend(self.pipe());
        }
        if self.peek() != &TokenKind::End {
            let expected = match body {
                Body::Event(_) => "`and`, `or`, `|` or the end",
                _ => "`[`, `until`, `|` or the end",
            };
            self.expected(expected);
            return None;
        }
        Some(Query { body, pipes })
    }

    fn sequence(&mut self) -> Option<Sequence> {
        let start = self.next().span;
        let by = self.by();
        let mut maxspan = None;
        if self.eat_word("with") {
            maxspan = self.maxspan();
        }
        if self.word() == Some("by") {
            let span = self.span();
            self.report(
                Diagnostic::error(span, "`by` stands before `with maxspan`")
                    .with_hint("write `sequence by … with maxspan=…`"),
            );
            self.by();
        }
        let span = start.to(self.previous());
        let terms = self.terms("sequence");
        let until = if self.eat_word("until") { self.term().map(Box::new) } else { None };
        if let Some(until) = &until
            && until.missing
        {
            self.report(Diagnostic::error(until.span, "`until` takes an event, not a missing one"));
        }
        if terms.is_empty() {
            return None;
        }
        Some(Sequence { by, maxspan, terms, until, span })
    }

    fn sample(&mut self) -> Option<Sample> {
        let start = self.next().span;
        let by = self.by();
        let span = start.to(self.previous());
        let terms = self.terms("sample");
        if by.is_empty() && terms.first().is_some_and(|term| term.by.is_empty()) {
            self.report(
                Diagnostic::error(span, "a sample needs the keys that its events share")
                    .with_hint("write `sample by FIELD […] […]`"),
            );
        }
        for term in &terms {
            if term.missing || term.runs != 1 || term.alias.is_some() {
                let message = "a sample's term is `[…]` with or without `by`: it has no order in which an event \
                               could be missing, repeated or named";
                self.report(Diagnostic::error(term.span, message));
            }
        }
        if terms.len() == 1 {
            self.report(Diagnostic::error(span, "a sample needs two terms or more"));
        }
        if terms.is_empty() {
            return None;
        }
        Some(Sample { by, terms, span })
    }

    fn terms(&mut self, what: &str) -> Vec<Term> {
        let mut terms = Vec::new();
        let mut seen = 0;
        loop {
            match self.peek() {
                TokenKind::Punct(Punct::OpenBracket | Punct::MissingBracket) => {
                    seen += 1;
                    terms.extend(self.term());
                }
                _ if seen == 0 => {
                    self.expected(&format!("`[`: a {what} is made of terms, `[category where condition]`"));
                    self.recover_to_term();
                    if !matches!(self.peek(), TokenKind::Punct(Punct::OpenBracket | Punct::MissingBracket)) {
                        return Vec::new();
                    }
                    seen = 1;
                }
                _ => break,
            }
        }
        let total: usize = terms.iter().map(|term| term.runs).sum();
        if total > self.limits.terms {
            let span = terms.last().map_or(Span::default(), |term| term.span);
            let message = format!("this {what} has {total} terms, at most {} are allowed", self.limits.terms);
            self.report(Diagnostic::error(span, message));
        }
        terms
    }

    /// `[FILTER]` and what may follow it. After an error the rest of the term is skipped.
    fn term(&mut self) -> Option<Term> {
        let start = self.span();
        let missing = match self.peek() {
            TokenKind::Punct(Punct::OpenBracket) => false,
            TokenKind::Punct(Punct::MissingBracket) => true,
            _ => {
                self.expected("`[`");
                return None;
            }
        };
        self.next();
        let filter = self.event_filter(&["]"]);
        if filter.is_none() {
            self.recover_past_bracket();
        } else if !self.eat(Punct::CloseBracket) {
            self.expected("`and`, `or` or `]`");
            self.recover_past_bracket();
        }
        let mut by = Vec::new();
        let mut runs = 1;
        let mut alias = None;
        loop {
            match self.word() {
                Some("by") if by.is_empty() => by = self.by(),
                Some("with") => runs = self.runs().unwrap_or(1),
                Some("as") => {
                    self.next();
                    match self.peek() {
                        TokenKind::Word(name) => {
                            alias = Some(name.clone());
                            self.next();
                        }
                        _ => self.expected("a name for the term's event"),
                    }
                }
                _ => break,
            }
        }
        let span = start.to(self.previous());
        if missing && (runs != 1 || alias.is_some()) {
            self.report(Diagnostic::error(span, "a missing event has neither `runs` nor a name"));
        }
        Some(Term { missing, filter: filter?, by, runs, alias, span })
    }

    /// `CATEGORY where CONDITION`.
    fn event_filter(&mut self, end: &[&str]) -> Option<EventFilter> {
        let start = self.span();
        let category = match self.peek().clone() {
            TokenKind::Word(word) if word == "any" => {
                self.next();
                None
            }
            TokenKind::Word(word) if word != "where" => {
                self.next();
                Some(word)
            }
            TokenKind::Str(text) | TokenKind::Quoted(text) => {
                self.next();
                Some(text)
            }
            _ => {
                self.expected("an event category, such as `process`, `network` or `any`");
                return None;
            }
        };
        if !self.eat_word("where") {
            let span = self.span();
            self.report(
                Diagnostic::error(
                    span,
                    format!("expected `where` after the event category, found {}", self.peek().describe()),
                )
                .with_hint("for every event of a category write `… where true`"),
            );
            return None;
        }
        let condition = self.expression(end)?;
        Some(EventFilter { category, condition, span: start.to(self.previous()) })
    }

    fn by(&mut self) -> Vec<JoinKey> {
        let mut keys = Vec::new();
        if !self.eat_word("by") {
            return keys;
        }
        loop {
            let start = self.span();
            match self.field() {
                Some(field) => {
                    let span = start.to(self.previous());
                    keys.push(JoinKey { path: field.path, optional: field.optional, span });
                }
                None => {
                    self.expected("a field to join by");
                    break;
                }
            }
            if !self.eat(Punct::Comma) {
                break;
            }
        }
        keys
    }

    /// `maxspan=30s`, after `with`.
    fn maxspan(&mut self) -> Option<i64> {
        if !self.eat_word("maxspan") {
            self.expected("`maxspan`");
            self.recover_to_term();
            return None;
        }
        if !self.eat(Punct::Equals) {
            self.expected("`=`");
        }
        let start = self.span();
        let amount = match self.peek() {
            TokenKind::Int(amount) => *amount as f64,
            TokenKind::Float(amount) => *amount,
            _ => {
                self.expected("a duration such as `30s`");
                self.recover_to_term();
                return None;
            }
        };
        self.next();
        // A unit belongs to the number before it: `30s`, `30 s`.
        let unit = match self.peek() {
            TokenKind::Word(word) if word != "by" => Some(word.clone()),
            _ => None,
        };
        let nanoseconds = match unit.as_deref() {
            Some("micros") => 1e3,
            Some("nanos") => 1.0,
            Some("ms") => 1e6,
            Some("s") => 1e9,
            Some("m") => 60e9,
            Some("h") => 3600e9,
            Some("d") => 86_400e9,
            other => {
                let message = match other {
                    Some(unit) => format!("{unit:?} is not a unit of time"),
                    None => "a duration needs a unit".to_owned(),
                };
                let span = if other.is_some() { self.next().span } else { start };
                self.report(Diagnostic::error(span, message).with_hint("the units are ms, s, m, h and d"));
                return None;
            }
        };
        self.next();
        let span = start.to(self.previous());
        let total = amount * nanoseconds;
        if total < 1.0 || total > i64::MAX as f64 / 4.0 {
            self.report(Diagnostic::error(span, "maxspan must be more than nothing and less than 73 years"));
            return None;
        }
        Some(total as i64)
    }

    /// `with runs=3`.
    fn runs(&mut self) -> Option<usize> {
        self.next();
        if !self.eat_word("runs") {
            self.expected("`runs`");
            return None;
        }
        if !self.eat(Punct::Equals) {
            self.expected("`=`");
        }
        match *self.peek() {
            TokenKind::Int(runs @ 1..=100) => {
                self.next();
                Some(runs as usize)
            }
            TokenKind::Int(_) => {
                let span = self.next().span;
                self.report(Diagnostic::error(span, "`runs` is a number from 1 to 100"));
                None
            }
            _ => {
                self.expected("a number from 1 to 100");
                None
            }
        }
    }

    fn pipe(&mut self) -> Option<Pipe> {
        let start = self.span();
        let kind = match self.peek().clone() {
            TokenKind::Word(word) => {
                self.next();
                match word.as_str() {
                    "head" => PipeKind::Head,
                    "tail" => PipeKind::Tail,
                    other => {
                        let mut diagnostic = Diagnostic::error(
                            start,
                            format!("there is no pipe {other:?}; there are head and tail"),
                        );
                        if let Some(near) = nearest(other, ["head", "tail"].into_iter()) {
                            diagnostic = diagnostic.with_hint(format!("did you mean `{near}`?"));
                        }
                        self.report(diagnostic);
                        self.recover_to_pipe();
                        return None;
                    }
                }
            }
            _ => {
                self.expected("a pipe: `head` or `tail`");
                self.recover_to_pipe();
                return None;
            }
        };
        match *self.peek() {
            TokenKind::Int(count) if count >= 0 => {
                self.next();
                Some(Pipe { kind, count: count as usize, span: start.to(self.previous()) })
            }
            _ => {
                self.expected("how many results");
                self.recover_to_pipe();
                None
            }
        }
    }
}

/// Words that are not fields unless they stand in backticks.
pub(crate) const KEYWORDS: [&str; 18] = [
    "and", "any", "by", "false", "in", "join", "like", "maxspan", "not", "null", "of", "or", "regex",
    "sample", "sequence", "true", "until", "with",
];

/// Reading tokens, reporting, going on after an error.
impl Parser<'_> {
    fn peek(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    fn peek_at(&self, ahead: usize) -> &TokenKind {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].kind
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// The span of the token before.
    fn previous(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    /// The word that stands here, unless it is in backticks.
    fn word(&self) -> Option<&str> {
        match self.peek() {
            TokenKind::Word(word) => Some(word),
            _ => None,
        }
    }

    fn eat(&mut self, punct: Punct) -> bool {
        let here = self.peek() == &TokenKind::Punct(punct);
        if here {
            self.next();
        }
        here
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let here = self.word() == Some(word);
        if here {
            self.next();
        }
        here
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Reports that `what` was expected here, once for each place.
    fn expected(&mut self, what: &str) {
        let span = self.span();
        if self.diagnostics.iter().any(|diagnostic| diagnostic.span == span) {
            return;
        }
        let found = self.peek().describe();
        self.report(Diagnostic::error(span, format!("expected {what}, found {found}")));
    }

    fn recover_to_term(&mut self) {
        self.skip_to(|kind| {
            matches!(kind, TokenKind::Punct(Punct::OpenBracket | Punct::MissingBracket | Punct::Pipe))
        });
    }

    fn recover_to_pipe(&mut self) {
        self.skip_to(|kind| matches!(kind, TokenKind::Punct(Punct::Pipe)));
    }

    fn skip_to(&mut self, stop: impl Fn(&TokenKind) -> bool) {
        while self.peek() != &TokenKind::End && !stop(self.peek()) {
            self.next();
        }
    }

    /// Skips to after the `]` that ends the term.
    fn recover_past_bracket(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.next().kind {
                TokenKind::Punct(Punct::OpenBracket | Punct::MissingBracket) => depth += 1,
                TokenKind::Punct(Punct::CloseBracket) if depth == 0 => return,
                TokenKind::Punct(Punct::CloseBracket) => depth -= 1,
                TokenKind::End => return,
                _ => {}
            }
        }
    }

    /// Skips to the list's next `,` or `)`; returns whether there is one before the term ends.
    fn recover_in_list(&mut self) -> bool {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                TokenKind::Punct(Punct::OpenParen) => depth += 1,
                TokenKind::Punct(Punct::Comma) if depth == 0 => return true,
                TokenKind::Punct(Punct::CloseParen) if depth == 0 => return true,
                TokenKind::Punct(Punct::CloseParen) => depth -= 1,
                TokenKind::Punct(Punct::OpenBracket | Punct::MissingBracket | Punct::CloseBracket)
                | TokenKind::End => return false,
                _ => {}
            }
            self.next();
        }
    }
}
