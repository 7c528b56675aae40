//! The lexer: a query's text as tokens.

use crate::diagnostic::{Diagnostic, Span};

/// One token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A word: a keyword, a field's segment, a category or a function.
    Word(String),
    /// A word in backticks: never a keyword.
    Quoted(String),
    /// A word followed by `~`: `in~`, `like~`, `endsWith~`.
    Tilde(String),
    Str(String),
    Int(i64),
    Float(f64),
    Punct(Punct),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Punct {
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    /// `![`
    MissingBracket,
    Comma,
    Dot,
    Colon,
    Question,
    Pipe,
    Equals,
    DoubleEquals,
    NotEquals,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
}

impl TokenKind {
    /// Returns the token as an error message names it.
    pub(crate) fn describe(&self) -> String {
        match self {
            TokenKind::Word(word) => format!("`{}`", shorten(word)),
            TokenKind::Quoted(word) => format!("`` `{}` ``", shorten(word)),
            TokenKind::Tilde(word) => format!("`{}~`", shorten(word)),
            TokenKind::Str(text) => format!("the string {:?}", shorten(text)),
            TokenKind::Int(number) => format!("the number {number}"),
            TokenKind::Float(number) => format!("the number {number}"),
            TokenKind::Punct(punct) => format!("`{}`", punct.text()),
            TokenKind::End => "the end of the query".into(),
        }
    }
}

impl Punct {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Punct::OpenParen => "(",
            Punct::CloseParen => ")",
            Punct::OpenBracket => "[",
            Punct::CloseBracket => "]",
            Punct::MissingBracket => "![",
            Punct::Comma => ",",
            Punct::Dot => ".",
            Punct::Colon => ":",
            Punct::Question => "?",
            Punct::Pipe => "|",
            Punct::Equals => "=",
            Punct::DoubleEquals => "==",
            Punct::NotEquals => "!=",
            Punct::Less => "<",
            Punct::LessEquals => "<=",
            Punct::Greater => ">",
            Punct::GreaterEquals => ">=",
            Punct::Plus => "+",
            Punct::Minus => "-",
            Punct::Star => "*",
            Punct::Slash => "/",
            Punct::Percent => "%",
        }
    }
}

/// Splits `text` into tokens, the last of which is `End`. What cannot be read is reported and skipped.
pub(crate) fn tokens(text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), diagnostics: Vec::new() };
    lexer.run();
    (lexer.tokens, lexer.diagnostics)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(c) = self.peek() {
            let start = self.at;
            match c {
                c if c.is_whitespace() => self.at += c.len_utf8(),
                '/' if self.rest().starts_with("//") => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                '/' if self.rest().starts_with("/*") => self.block_comment(),
                '"' => self.string(),
                '\'' => self.single_quoted(),
                '`' => self.backticks(),
                '0'..='9' => self.number(),
                '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) && !self.after_word() => {
                    self.number();
                }
                c if word_start(c) => self.word(),
                _ => match punct(self.rest()) {
                    Some(punct) => {
                        self.at += punct.text().len();
                        self.push(TokenKind::Punct(punct), start);
                    }
                    None => {
                        self.at += c.len_utf8();
                        let mut diagnostic = Diagnostic::error(
                            Span::new(start, self.at),
                            format!("{c:?} does not belong in a query"),
                        );
                        if matches!(c, '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}') {
                            diagnostic =
                                diagnostic.with_hint("write strings in straight double quotes: \"…\"");
                        } else if c == '!' {
                            diagnostic = diagnostic.with_hint("negation is written `not …` or `!=`");
                        } else if c == '&' {
                            diagnostic = diagnostic.with_hint("write `and`");
                        }
                        self.diagnostics.push(diagnostic);
                    }
                },
            }
        }
        // What is missing at the end is missing after the last token, not after the space that follows it.
        let end = self.tokens.last().map_or(0, |token| token.span.end);
        self.tokens.push(Token { kind: TokenKind::End, span: Span::new(end, end) });
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        self.tokens.push(Token { kind, span: Span::new(start, self.at) });
    }

    /// Whether the token before touches this place and could be followed by a field's dot.
    fn after_word(&self) -> bool {
        self.tokens.last().is_some_and(|token| {
            token.span.end == self.at
                && matches!(
                    token.kind,
                    TokenKind::Word(_) | TokenKind::Quoted(_) | TokenKind::Punct(Punct::CloseBracket)
                )
        })
    }

    /// `/* … */`, which may nest.
    fn block_comment(&mut self) {
        let start = self.at;
        let mut depth = 0usize;
        while let Some(c) = self.peek() {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += c.len_utf8();
            }
        }
        self.diagnostics.push(
            Diagnostic::error(Span::new(start, start + 2), "this comment is not closed")
                .with_hint("end it with `*/`"),
        );
    }

    fn string(&mut self) {
        let start = self.at;
        if self.rest().starts_with("\"\"\"") {
            return self.raw_string();
        }
        self.at += 1;
        let mut value = String::new();
        loop {
            let here = self.at;
            match self.peek() {
                None | Some('\n' | '\r') => {
                    self.diagnostics.push(
                        Diagnostic::error(Span::new(start, here), "this string is not closed").with_hint(
                            "a string ends with `\"` on the same line; a line break is written `\\n`",
                        ),
                    );
                    break;
                }
                Some('"') => {
                    self.at += 1;
                    break;
                }
                Some('\\') => {
                    self.at += 1;
                    self.escape(here, &mut value);
                }
                Some(c) => {
                    self.at += c.len_utf8();
                    value.push(c);
                }
            }
        }
        self.push(TokenKind::Str(value), start);
    }

    fn escape(&mut self, start: usize, value: &mut String) {
        let Some(c) = self.peek() else { return };
        if matches!(c, '\n' | '\r') {
            return;
        }
        self.at += c.len_utf8();
        match c {
            'b' => value.push('\u{8}'),
            't' => value.push('\t'),
            'n' => value.push('\n'),
            'f' => value.push('\u{c}'),
            'r' => value.push('\r'),
            '"' | '\'' | '\\' => value.push(c),
            'u' => {
                let digits = self
                    .rest()
                    .strip_prefix('{')
                    .and_then(|rest| rest.split_once('}'))
                    .map(|(digits, _)| digits)
                    .filter(|digits| (2..=8).contains(&digits.len()));
                let character =
                    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
                match (digits, character) {
                    (Some(digits), Some(character)) => {
                        self.at += digits.len() + 2;
                        value.push(character);
                    }
                    _ => self.diagnostics.push(
                        Diagnostic::error(Span::new(start, self.at), "this is not the escape of a character")
                            .with_hint("write `\\u{…}` with 2 to 8 hexadecimal digits"),
                    ),
                }
            }
            other => {
                self.diagnostics.push(
                    Diagnostic::error(
                        Span::new(start, self.at),
                        format!("`\\{}` is not an escape", other.escape_default()),
                    )
                    .with_hint("a backslash itself is written `\\\\`, or use a raw string: \"\"\"…\"\"\""),
                );
                value.push(other);
            }
        }
    }

    /// `"""…"""`: no escapes, one line, may end with up to two quotes of its own.
    fn raw_string(&mut self) {
        let start = self.at;
        self.at += 3;
        let line_end = self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
        let line = &self.rest()[..line_end];
        let Some(close) = line.find("\"\"\"") else {
            self.at += line_end;
            self.diagnostics.push(
                Diagnostic::error(Span::new(start, self.at), "this raw string is not closed")
                    .with_hint("a raw string ends with `\"\"\"` on the same line"),
            );
            return self.push(TokenKind::Str(String::new()), start);
        };
        let own_quotes = line[close + 3..].chars().take(2).take_while(|c| *c == '"').count();
        let value = line[..close + own_quotes].to_owned();
        self.at += close + own_quotes + 3;
        self.push(TokenKind::Str(value), start);
    }

    fn single_quoted(&mut self) {
        let start = self.at;
        let line = self.rest().lines().next().unwrap_or("");
        let length = line[1..].find('\'').map_or(line.len(), |at| at + 2);
        let value = line[1..].split('\'').next().unwrap_or("").to_owned();
        self.at += length;
        self.diagnostics.push(
            Diagnostic::error(Span::new(start, self.at), "single quotes do not make a string")
                .with_hint("write it in double quotes: \"…\""),
        );
        self.push(TokenKind::Str(value), start);
    }

    fn backticks(&mut self) {
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        loop {
            match self.peek() {
                None | Some('\n' | '\r') => {
                    self.diagnostics
                        .push(Diagnostic::error(Span::new(start, self.at), "this backtick is not closed"));
                    break;
                }
                Some('`') if self.rest().starts_with("``") => {
                    self.at += 2;
                    value.push('`');
                }
                Some('`') => {
                    self.at += 1;
                    break;
                }
                Some(c) => {
                    self.at += c.len_utf8();
                    value.push(c);
                }
            }
        }
        self.push(TokenKind::Quoted(value), start);
    }

    fn number(&mut self) {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = start + digits(start);
        let mut whole = true;
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end += 1 + digits(end + 1);
            whole = false;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits((end + 1 + sign).min(bytes.len()));
            if exponent > 0 {
                end += 1 + sign + exponent;
                whole = false;
            }
        }
        self.at = end;
        let text = &self.text[start..end];
        let kind = match (whole, text.parse::<i64>(), text.parse::<f64>()) {
            (true, Ok(number), _) => TokenKind::Int(number),
            (_, _, Ok(number)) if number.is_finite() => TokenKind::Float(number),
            _ => {
                self.diagnostics
                    .push(Diagnostic::error(Span::new(start, end), "this number is too large to be held"));
                TokenKind::Int(0)
            }
        };
        self.push(kind, start);
    }

    fn word(&mut self) {
        let start = self.at;
        self.at += self.rest().find(|c: char| !word_part(c)).unwrap_or(self.rest().len());
        let word = self.text[start..self.at].to_owned();
        if self.rest().starts_with('~') {
            self.at += 1;
            self.push(TokenKind::Tilde(word), start);
        } else {
            self.push(TokenKind::Word(word), start);
        }
    }
}

fn punct(rest: &str) -> Option<Punct> {
    // Longer ones first.
    [
        Punct::MissingBracket,
        Punct::DoubleEquals,
        Punct::NotEquals,
        Punct::LessEquals,
        Punct::GreaterEquals,
        Punct::OpenParen,
        Punct::CloseParen,
        Punct::OpenBracket,
        Punct::CloseBracket,
        Punct::Comma,
        Punct::Dot,
        Punct::Colon,
        Punct::Question,
        Punct::Pipe,
        Punct::Equals,
        Punct::Less,
        Punct::Greater,
        Punct::Plus,
        Punct::Minus,
        Punct::Star,
        Punct::Slash,
        Punct::Percent,
    ]
    .into_iter()
    .find(|punct| rest.starts_with(punct.text()))
}

pub(crate) fn word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == '@'
}

pub(crate) fn word_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '@'
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        let (tokens, diagnostics) = tokens(text);
        assert_eq!(diagnostics, [], "{text}");
        tokens.into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn strings() {
        let text = |text: &str| TokenKind::Str(text.into());
        assert_eq!(kinds(r#""a\\b\"\u{1F600}""#)[0], text("a\\b\"\u{1F600}"));
        assert_eq!(kinds(r#""""a\d"b""""#)[0], text(r#"a\d"b"#));
        assert_eq!(kinds(r#""""a"""""#)[0], text(r#"a""#[..2].into()));
        assert_eq!(kinds(r#""""a""""""#)[0], text(r#"a"""#));
        assert_eq!(kinds("\"\"")[0], text(""));
    }

    #[test]
    fn numbers_and_fields() {
        assert_eq!(
            kinds("1 1.5 1e3 .5")[..4],
            [TokenKind::Int(1), TokenKind::Float(1.5), TokenKind::Float(1000.0), TokenKind::Float(0.5)]
        );
        assert_eq!(kinds("a.5b").len(), 5);
        assert_eq!(kinds("`a``b`")[0], TokenKind::Quoted("a`b".into()));
    }

    #[test]
    fn comments() {
        assert_eq!(kinds("a // b\n/* c /* d */ e */ f").len(), 3);
        assert_eq!(tokens("a /* /* */").1.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_skipped() {
        for (text, count) in
            [("'a'", 1), ("\"a", 1), ("\"\\q\"", 1), ("a ; b", 1), ("\u{201c}", 1), ("\"\\u{zz}\"", 1)]
        {
            let (tokens, diagnostics) = tokens(text);
            assert_eq!(diagnostics.len(), count, "{text}: {diagnostics:?}");
            assert_eq!(tokens.last().unwrap().kind, TokenKind::End);
        }
    }
}
