//! The part of the parser that reads expressions.

use super::{KEYWORDS, Parser};
use crate::ast::{Arithmetic, Comparison, Expr, ExprKind, Field, Literal, MatchOperator, Pattern, Relation};
use crate::diagnostic::Diagnostic;
use crate::token::{Punct, TokenKind};

/// Expressions, from the loosest binding to the tightest.
impl Parser<'_> {
    pub(super) fn expression(&mut self, end: &[&str]) -> Option<Expr> {
        if self.depth >= self.limits.depth {
            let span = self.span();
            let message = format!("expressions nest deeper than {} here", self.limits.depth);
            self.report(Diagnostic::error(span, message));
            // What follows is left unread: the rest of a hostile query is not worth a second error.
            self.at = self.tokens.len() - 1;
            return None;
        }
        self.depth += 1;
        let result = self.or(end);
        self.depth -= 1;
        result
    }

    fn or(&mut self, end: &[&str]) -> Option<Expr> {
        let first = self.and(end)?;
        self.chain(first, "or", ExprKind::Or, |parser| parser.and(end))
    }

    fn and(&mut self, end: &[&str]) -> Option<Expr> {
        let first = self.not(end)?;
        self.chain(first, "and", ExprKind::And, |parser| parser.not(end))
    }

    fn chain(
        &mut self,
        first: Expr,
        word: &str,
        make: fn(Vec<Expr>) -> ExprKind,
        mut operand: impl FnMut(&mut Self) -> Option<Expr>,
    ) -> Option<Expr> {
        if self.word() != Some(word) {
            return Some(first);
        }
        let start = first.span;
        let mut operands = vec![first];
        while self.eat_word(word) {
            operands.push(operand(self)?);
        }
        Some(Expr { kind: make(operands), span: start.to(self.previous()) })
    }

    fn not(&mut self, end: &[&str]) -> Option<Expr> {
        let start = self.span();
        let mut count = 0usize;
        while self.eat_word("not") {
            count += 1;
        }
        if count + self.depth > self.limits.depth {
            let message = format!("`not` nests deeper than {} here", self.limits.depth);
            self.report(Diagnostic::error(start, message));
            return None;
        }
        let mut expr = match self.relation(end) {
            Some(relation) => relation?,
            None => self.comparison()?,
        };
        for _ in 0..count {
            let span = start.to(expr.span);
            expr = Expr { kind: ExprKind::Not(Box::new(expr)), span };
        }
        Some(expr)
    }

    /// `descendant of […]`; the outer `None` means that there is none here.
    fn relation(&mut self, _end: &[&str]) -> Option<Option<Expr>> {
        if !matches!(self.peek_at(1), TokenKind::Word(of) if of == "of") {
            return None;
        }
        let relation = match self.word()? {
            "descendant" => Relation::Descendant,
            "child" => Relation::Child,
            "event" => Relation::Event,
            _ => return None,
        };
        let start = self.span();
        self.next();
        self.next();
        if !self.eat(Punct::OpenBracket) {
            self.expected("`[`");
            return Some(None);
        }
        self.depth += 1;
        let filter = if self.depth < self.limits.depth {
            self.event_filter(&["]"])
        } else {
            self.expression(&[]).and(None)
        };
        self.depth -= 1;
        let Some(filter) = filter else { return Some(None) };
        if !self.eat(Punct::CloseBracket) {
            self.expected("`]`");
            return Some(None);
        }
        let kind = ExprKind::Relation { relation, filter: Box::new(filter) };
        Some(Some(Expr { kind, span: start.to(self.previous()) }))
    }

    fn comparison(&mut self) -> Option<Expr> {
        let left = self.sum()?;
        let TokenKind::Punct(punct) = *self.peek() else { return Some(left) };
        let operator = match punct {
            Punct::DoubleEquals => Comparison::Equal,
            Punct::NotEquals => Comparison::NotEqual,
            Punct::Less => Comparison::Less,
            Punct::LessEquals => Comparison::LessOrEqual,
            Punct::Greater => Comparison::Greater,
            Punct::GreaterEquals => Comparison::GreaterOrEqual,
            Punct::Equals => {
                let span = self.span();
                self.report(
                    Diagnostic::error(span, "`=` is not an operator").with_hint("equality is written `==`"),
                );
                Comparison::Equal
            }
            _ => return Some(left),
        };
        self.next();
        let right = self.sum()?;
        if let TokenKind::Punct(
            Punct::DoubleEquals
            | Punct::NotEquals
            | Punct::Less
            | Punct::LessEquals
            | Punct::Greater
            | Punct::GreaterEquals,
        ) = self.peek()
        {
            let span = self.span();
            self.report(
                Diagnostic::error(span, "comparisons do not chain")
                    .with_hint("write two comparisons joined by `and`"),
            );
            return None;
        }
        let span = left.span.to(right.span);
        Some(Expr {
            kind: ExprKind::Compare { operator, left: Box::new(left), right: Box::new(right) },
            span,
        })
    }

    fn sum(&mut self) -> Option<Expr> {
        self.arithmetic(Self::product, |punct| match punct {
            Punct::Plus => Some(Arithmetic::Add),
            Punct::Minus => Some(Arithmetic::Subtract),
            _ => None,
        })
    }

    fn product(&mut self) -> Option<Expr> {
        self.arithmetic(Self::unary, |punct| match punct {
            Punct::Star => Some(Arithmetic::Multiply),
            Punct::Slash => Some(Arithmetic::Divide),
            Punct::Percent => Some(Arithmetic::Modulo),
            _ => None,
        })
    }

    fn arithmetic(
        &mut self,
        operand: fn(&mut Self) -> Option<Expr>,
        operator: fn(Punct) -> Option<Arithmetic>,
    ) -> Option<Expr> {
        let mut left = operand(self)?;
        let mut count = 0;
        while let TokenKind::Punct(punct) = *self.peek()
            && let Some(operator) = operator(punct)
        {
            // The tree of `1 + 1 + …` leans to the left as deep as it is long.
            count += 1;
            if count > self.limits.depth {
                let span = self.span();
                let message = format!("this is longer than {} operations", self.limits.depth);
                self.report(Diagnostic::error(span, message));
                return None;
            }
            self.next();
            let right = operand(self)?;
            let span = left.span.to(right.span);
            let kind = ExprKind::Arithmetic { operator, left: Box::new(left), right: Box::new(right) };
            left = Expr { kind, span };
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Expr> {
        let start = self.span();
        if self.eat(Punct::Minus) {
            if let TokenKind::Int(_) | TokenKind::Float(_) = self.peek() {
                let literal = self.literal().map(negate);
                let span = start.to(self.previous());
                return self.predicate(Expr { kind: ExprKind::Literal(literal?), span });
            }
            self.depth += 1;
            let operand = if self.depth > self.limits.depth { self.expression(&[]) } else { self.unary() };
            self.depth -= 1;
            let operand = operand?;
            let span = start.to(operand.span);
            return Some(Expr { kind: ExprKind::Negate(Box::new(operand)), span });
        }
        if self.eat(Punct::Plus) {
            if matches!(self.peek(), TokenKind::Punct(Punct::Plus)) {
                self.expected("a value after `+`");
                return None;
            }
            return self.unary();
        }
        let primary = self.primary()?;
        self.predicate(primary)
    }

    /// `in (…)`, `: …`, `like …`, `regex …` after a value.
    fn predicate(&mut self, value: Expr) -> Option<Expr> {
        let start = self.at;
        let negated = self.eat_word("not");
        enum Kind {
            In(bool),
            Match(MatchOperator),
        }
        let kind = match self.peek() {
            TokenKind::Word(word) if word == "in" => Kind::In(false),
            TokenKind::Tilde(word) if word == "in" => Kind::In(true),
            TokenKind::Punct(Punct::Colon) => Kind::Match(MatchOperator::Colon),
            TokenKind::Word(word) if word == "like" => Kind::Match(MatchOperator::Like),
            TokenKind::Tilde(word) if word == "like" => Kind::Match(MatchOperator::LikeInsensitive),
            TokenKind::Word(word) if word == "regex" => Kind::Match(MatchOperator::Regex),
            TokenKind::Tilde(word) if word == "regex" => Kind::Match(MatchOperator::RegexInsensitive),
            _ => {
                self.at = start;
                return Some(value);
            }
        };
        self.next();
        let kind = match kind {
            Kind::In(insensitive) => {
                if !self.eat(Punct::OpenParen) {
                    self.expected("`(`: the list of `in` stands in parentheses");
                    return None;
                }
                let list = self.list(|parser| parser.expression(&[",", ")"]))?;
                ExprKind::In { value: Box::new(value.clone()), negated, insensitive, list }
            }
            Kind::Match(operator) => {
                let patterns = if self.eat(Punct::OpenParen) {
                    self.list(Self::pattern)?
                } else {
                    vec![self.pattern()?]
                };
                ExprKind::Match { value: Box::new(value.clone()), negated, operator, patterns }
            }
        };
        Some(Expr { kind, span: value.span.to(self.previous()) })
    }

    fn pattern(&mut self) -> Option<Pattern> {
        let start = self.span();
        let minus = self.eat(Punct::Minus);
        match self.literal() {
            Some(literal) => {
                let literal = if minus { negate(literal) } else { literal };
                Some(Pattern { literal, span: start.to(self.previous()) })
            }
            None => {
                self.expected("a constant: what a value is matched with does not depend on the event");
                None
            }
        }
    }

    /// The entries up to `)`, which is consumed.
    fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        let mut good = true;
        loop {
            if self.peek() == &TokenKind::Punct(Punct::CloseParen) {
                let message =
                    if list.is_empty() { "this list is empty" } else { "nothing follows this comma" };
                let span = self.span();
                self.report(Diagnostic::error(span, message));
                self.next();
                return None;
            }
            match entry(self) {
                Some(entry) => list.push(entry),
                None => {
                    good = false;
                    if !self.recover_in_list() {
                        return None;
                    }
                }
            }
            if list.len() > self.limits.list {
                let span = self.span();
                let message = format!("this list has more than {} entries", self.limits.list);
                self.report(Diagnostic::error(span, message));
                self.at = self.tokens.len() - 1;
                return None;
            }
            if self.eat(Punct::Comma) {
                continue;
            }
            if self.eat(Punct::CloseParen) {
                return good.then_some(list);
            }
            self.expected("`,` or `)`");
            return None;
        }
    }

    fn primary(&mut self) -> Option<Expr> {
        let start = self.span();
        if let Some(literal) = self.literal() {
            return Some(Expr { kind: ExprKind::Literal(literal), span: start });
        }
        if self.eat(Punct::OpenParen) {
            let inner = self.expression(&[")"])?;
            if !self.eat(Punct::CloseParen) {
                self.expected("`)`");
                return None;
            }
            // The parentheses belong to the span, so that a clause is shown as it was written.
            return Some(Expr { kind: inner.kind, span: start.to(self.previous()) });
        }
        if let (TokenKind::Word(name) | TokenKind::Tilde(name), TokenKind::Punct(Punct::OpenParen)) =
            (self.peek().clone(), self.peek_at(1).clone())
        {
            let insensitive = matches!(self.peek(), TokenKind::Tilde(_));
            self.next();
            self.next();
            let arguments = if self.eat(Punct::CloseParen) {
                Vec::new()
            } else {
                self.list(|parser| parser.expression(&[",", ")"]))?
            };
            let kind = ExprKind::Call { name, insensitive, arguments };
            return Some(Expr { kind, span: start.to(self.previous()) });
        }
        match self.field() {
            Some(field) => Some(Expr { kind: ExprKind::Field(field), span: start.to(self.previous()) }),
            None => {
                self.expected("a value: a field, a constant, a function or `(`");
                None
            }
        }
    }

    fn literal(&mut self) -> Option<Literal> {
        let literal = match self.peek() {
            TokenKind::Str(text) => Literal::Str(text.clone()),
            TokenKind::Int(number) => Literal::Int(*number),
            TokenKind::Float(number) => Literal::Float(*number),
            TokenKind::Word(word) => match word.as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                _ => return None,
            },
            _ => return None,
        };
        self.next();
        Some(literal)
    }

    /// `a.b.c`, each segment plain or in backticks, a `?` before it, `[n]` after a segment.
    pub(super) fn field(&mut self) -> Option<Field> {
        let start = self.at;
        let optional = self.eat(Punct::Question);
        let mut path = match self.peek() {
            TokenKind::Word(word) if !KEYWORDS.contains(&word.as_str()) => word.clone(),
            TokenKind::Quoted(word) => word.clone(),
            _ => {
                self.at = start;
                return None;
            }
        };
        self.next();
        loop {
            if self.peek() == &TokenKind::Punct(Punct::Dot) {
                self.next();
                match self.peek() {
                    // After a dot a keyword is a segment like any other.
                    TokenKind::Word(word) | TokenKind::Quoted(word) => {
                        path.push('.');
                        path.push_str(word);
                        self.next();
                    }
                    _ => {
                        self.expected("the next part of a field's name after `.`");
                        return None;
                    }
                }
            } else if self.peek() == &TokenKind::Punct(Punct::OpenBracket)
                && let TokenKind::Int(index) = *self.peek_at(1)
                && self.peek_at(2) == &TokenKind::Punct(Punct::CloseBracket)
            {
                path.push_str(&format!("[{index}]"));
                self.at += 3;
            } else {
                return Some(Field { path, optional });
            }
        }
    }
}

fn negate(literal: Literal) -> Literal {
    match literal {
        Literal::Int(number) => Literal::Int(number.wrapping_neg()),
        Literal::Float(number) => Literal::Float(-number),
        other => other,
    }
}
