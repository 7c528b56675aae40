//! What is wrong with a query, and where.

use std::fmt::{self, Write};

/// A range of bytes in a query's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Returns the span from `start` up to and without `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// Returns the smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the text that the span covers.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or("")
    }
}

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The query runs; it probably does not mean what it says.
    Warning,
    /// The query does not run.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Warning => "warning",
            Level::Error => "error",
        })
    }
}

/// One finding about a query: what, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the query can still run.
    pub level: Level,
    /// Where in the query's text.
    pub span: Span,
    /// What is wrong, and what was expected, in one sentence without a final stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Makes an error.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { level: Level::Error, span, message: message.into(), hint: None }
    }

    /// Makes a warning.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { level: Level::Warning, span, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the diagnostic as a compiler prints it: a line `NAME:LINE:COLUMN: level: message`, the
    /// source line and a caret under the span, and the hint.
    ///
    /// `origin` is the position of the query's first byte in the file called `name`.
    pub fn render(&self, name: &str, origin: Position, query: &str) -> String {
        let position = Position::of(self.span.start, query).after(origin);
        let mut text = format!("{name}:{position}: {}: {}\n", self.level, self.message);
        let start = self.span.start.min(query.len());
        let line_start = query[..floor(query, start)].rfind('\n').map_or(0, |at| at + 1);
        let line = query[line_start..].lines().next().unwrap_or("");
        // Long lines are cut to a window around the span, so that a hostile query cannot flood a terminal.
        let before: Vec<char> = query[line_start..floor(query, start)].chars().collect();
        let skip = before.len().saturating_sub(60);
        let shown: String = line.chars().skip(skip).take(120).map(printable).collect();
        let number = position.line.to_string();
        let width = self
            .span
            .of(query)
            .lines()
            .next()
            .unwrap_or("")
            .chars()
            .count()
            .clamp(1, 120 - before.len().min(60));
        let margin = " ".repeat(number.len());
        let _ = writeln!(text, "{margin} |\n{number} | {shown}");
        let _ = writeln!(text, "{margin} | {}{}", " ".repeat(before.len() - skip), "^".repeat(width));
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{margin} = {hint}");
        }
        text
    }
}

/// A place in a text that a person reads: line and column, from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl Position {
    /// The first character of a text.
    pub const START: Position = Position { line: 1, column: 1 };

    /// Returns the position of the byte `offset` in `text`.
    pub fn of(offset: usize, text: &str) -> Self {
        let before = &text[..floor(text, offset.min(text.len()))];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }

    /// Returns this position, which is relative to `origin`, as one of the text that `origin` lies in.
    pub fn after(self, origin: Position) -> Position {
        if self.line == 1 {
            Position { line: origin.line, column: origin.column + self.column - 1 }
        } else {
            Position { line: origin.line + self.line - 1, column: self.column }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Returns the candidate nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit)
        // Public rules name hundreds of fields that nothing is near to.
        .filter(|candidate| least_distance(word, candidate) <= limit)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// What the [`distance`] is at least: each step puts at most one character in and takes one out.
fn least_distance(a: &str, b: &str) -> usize {
    let mut surplus = [0isize; 32];
    let class = |c: char| c as usize % 32;
    a.chars().flat_map(char::to_lowercase).for_each(|c| surplus[class(c)] += 1);
    b.chars().flat_map(char::to_lowercase).for_each(|c| surplus[class(c)] -= 1);
    let more: isize = surplus.iter().filter(|own| **own > 0).sum();
    let less: isize = surplus.iter().filter(|own| **own < 0).sum();
    more.max(-less).unsigned_abs()
}

/// The number of characters to insert, remove, replace or swap with a neighbour, upper and lower case alike.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut two_back = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(previous[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(two_back[j - 2] + 1);
            }
            row.push(best);
        }
        two_back = std::mem::replace(&mut previous, row);
    }
    previous[b.len()]
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// What a character may do to a terminal is replaced: controls, bidirectional marks, zero width.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_the_place() {
        let query = "process where\n  proces.name == \"x\"";
        let at = query.find("proces.name").unwrap();
        let diagnostic = Diagnostic::warning(Span::new(at, at + 11), "no source gives `proces.name`")
            .with_hint("did you mean `process.name`?");
        let expected = "rule.toml:11:3: warning: no source gives `proces.name`\n   |\n11 |   proces.name == \"x\"\n   |   ^^^^^^^^^^^\n   = did you mean `process.name`?\n";
        assert_eq!(diagnostic.render("rule.toml", Position { line: 10, column: 9 }, query), expected);
    }

    #[test]
    fn rendering_survives_any_span_and_text() {
        for query in ["", "é", "a\u{202e}b\u{1b}[31m", &"x".repeat(10_000)] {
            for span in [Span::new(0, 0), Span::new(1, 1), Span::new(9_999, 20_000)] {
                let shown = Diagnostic::error(span, "m").render("f", Position::START, query);
                assert!(shown.len() < 1_000 && !shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
            }
        }
    }

    #[test]
    fn the_nearest_word() {
        let words = ["startsWith", "stringContains", "length"];
        assert_eq!(nearest("startWith", words.into_iter()), Some("startsWith"));
        assert_eq!(nearest("STARTSWITH", words.into_iter()), Some("startsWith"));
        assert_eq!(nearest("lenght", words.into_iter()), Some("length"));
        assert_eq!(nearest("cidrmatch", words.into_iter()), None);
    }

    #[test]
    fn no_two_words_are_nearer_than_their_characters_say() {
        let words =
            ["", "a", "ab", "ba", "length", "lenght", "LENGTHS", "ﬁeld", "field", "feild", "\u{130}x", "xy"];
        for (a, b) in words.iter().flat_map(|a| words.iter().map(move |b| (a, b))) {
            assert!(least_distance(a, b) <= distance(a, b), "{a} {b}");
        }
        assert_eq!((least_distance("length", "lenght"), distance("length", "lenght")), (0, 1));
        assert_eq!((least_distance("abc", "xyz"), least_distance("abc", "abcd")), (3, 1));
    }
}
