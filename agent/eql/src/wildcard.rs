//! Wildcard patterns: `*` is any number of characters, `?` is one. Nothing escapes them.

use std::borrow::Cow;

use memchr::memmem;

use crate::fold::{eq_folded, fold, folded, folded_if};

/// A compiled pattern.
///
/// Patterns of one literal between stars, nearly all that rules use, compare bytes; the rest go piece by
/// piece, each at the leftmost place that is left. Both are linear in the text for a given pattern.
#[derive(Clone, Debug)]
pub(crate) struct Wildcard {
    /// Whether both sides are folded; the pattern already is.
    insensitive: bool,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<memmem::Finder<'static>>),
    Pieces { anchored_start: bool, anchored_end: bool, pieces: Box<[Piece]> },
}

/// What stands between two stars.
#[derive(Clone, Debug)]
enum Piece {
    Literal(Box<memmem::Finder<'static>>),
    /// `None` is `?`.
    Characters(Box<[Option<char>]>),
}

impl Wildcard {
    pub(crate) fn new(pattern: &str, insensitive: bool) -> Self {
        let pattern = folded_if(pattern, insensitive);
        let has_question = pattern.contains('?');
        let anchored_start = !pattern.starts_with('*');
        let anchored_end = !pattern.ends_with('*');
        let parts: Vec<&str> = pattern.split('*').filter(|part| !part.is_empty()).collect();
        let stars = pattern.contains('*');
        let shape = match (&parts[..], has_question) {
            ([], _) if stars => Shape::Any,
            ([], _) => Shape::Exact("".into()),
            ([part], false) => match (anchored_start, anchored_end) {
                (true, true) if !stars => Shape::Exact((*part).into()),
                (true, false) => Shape::Prefix((*part).into()),
                (false, true) => Shape::Suffix((*part).into()),
                _ => Shape::Contains(Box::new(memmem::Finder::new(part).into_owned())),
            },
            _ => Shape::Pieces {
                anchored_start,
                anchored_end,
                pieces: parts
                    .iter()
                    .map(|part| {
                        if part.contains('?') {
                            Piece::Characters(part.chars().map(|c| (c != '?').then_some(c)).collect())
                        } else {
                            Piece::Literal(Box::new(memmem::Finder::new(part).into_owned()))
                        }
                    })
                    .collect(),
            },
        };
        Wildcard { insensitive, shape }
    }

    /// A pattern in which `*` and `?` stand for themselves.
    pub(crate) fn literal(text: &str, insensitive: bool, place: Place) -> Self {
        let text: Box<str> = folded_if(text, insensitive).into();
        let shape = match place {
            Place::Start => Shape::Prefix(text),
            Place::End => Shape::Suffix(text),
            Place::Anywhere => Shape::Contains(Box::new(memmem::Finder::new(text.as_bytes()).into_owned())),
        };
        Wildcard { insensitive, shape }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match &self.shape {
            Shape::Any => true,
            Shape::Exact(literal) if self.insensitive => eq_folded(text, literal),
            Shape::Exact(literal) => text == &**literal,
            Shape::Prefix(literal) if self.insensitive => starts_folded(text, literal),
            Shape::Prefix(literal) => text.starts_with(&**literal),
            Shape::Suffix(literal) if self.insensitive => ends_folded(text, literal),
            Shape::Suffix(literal) => text.ends_with(&**literal),
            Shape::Contains(finder) => finder.find(folded_if(text, self.insensitive).as_bytes()).is_some(),
            Shape::Pieces { anchored_start, anchored_end, pieces } => {
                // Folding first keeps the search for a literal linear, whatever the text repeats.
                pieces_match(&folded_if(text, self.insensitive), *anchored_start, *anchored_end, pieces)
            }
        }
    }

    /// Returns what every text that matches has; folded if insensitive.
    pub(crate) fn needed(&self) -> Needed<'_> {
        match &self.shape {
            Shape::Any => Needed::Part(Cow::Borrowed("")),
            Shape::Exact(text) => Needed::Whole(text),
            Shape::Prefix(text) => Needed::Head(text),
            Shape::Suffix(text) => Needed::Part(Cow::Borrowed(text)),
            Shape::Contains(finder) => Needed::Part(Cow::Borrowed(needle(finder))),
            Shape::Pieces { pieces, .. } => {
                let longest = pieces.iter().map(Piece::longest_text).max_by_key(|text| text.len());
                Needed::Part(longest.unwrap_or_default())
            }
        }
    }

    /// Returns the one text that matches, if the pattern has no wildcard; folded if insensitive.
    pub(crate) fn exact(&self) -> Option<&str> {
        match &self.shape {
            Shape::Exact(literal) => Some(literal),
            _ => None,
        }
    }
}

/// What a text must have to match a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Needed<'p> {
    /// It must be this.
    Whole(&'p str),
    /// It must begin with this, which may be nothing.
    Head(&'p str),
    /// It must contain this, which may be nothing.
    Part(Cow<'p, str>),
}

/// The text that a finder was made of.
fn needle<'f>(finder: &'f memmem::Finder<'static>) -> &'f str {
    std::str::from_utf8(finder.needle()).unwrap_or("")
}

/// Where a literal must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    End,
    Anywhere,
}

fn starts_folded(text: &str, literal: &str) -> bool {
    if let (Some(head), true) = (text.as_bytes().get(..literal.len()), literal.is_ascii())
        && head.is_ascii()
    {
        return head.eq_ignore_ascii_case(literal.as_bytes());
    }
    let mut characters = text.chars().map(fold);
    literal.chars().all(|c| characters.next() == Some(c))
}

fn ends_folded(text: &str, literal: &str) -> bool {
    if literal.is_ascii() && text.len() >= literal.len() {
        let tail = &text.as_bytes()[text.len() - literal.len()..];
        if tail.is_ascii() {
            return tail.eq_ignore_ascii_case(literal.as_bytes());
        }
    }
    let mut characters = text.chars().rev().map(fold);
    literal.chars().rev().all(|c| characters.next() == Some(c))
}

fn pieces_match(text: &str, anchored_start: bool, anchored_end: bool, pieces: &[Piece]) -> bool {
    let mut rest = text;
    let mut pieces = pieces;
    if anchored_start && let [first, others @ ..] = pieces {
        let Some(after) = first.at_start(rest) else { return false };
        if others.is_empty() && anchored_end {
            // One piece anchored at both ends has no star: it is the whole text.
            return after.is_empty();
        }
        rest = after;
        pieces = others;
    }
    if anchored_end && let [others @ .., last] = pieces {
        let Some(before) = last.at_end(rest) else { return false };
        rest = before;
        pieces = others;
    }
    for piece in pieces {
        let Some(after) = piece.find(rest) else { return false };
        rest = after;
    }
    true
}

impl Piece {
    /// Returns the longest text without a `?` in it.
    fn longest_text(&self) -> Cow<'_, str> {
        match self {
            Piece::Literal(finder) => Cow::Borrowed(needle(finder)),
            Piece::Characters(pattern) => {
                let runs = pattern.split(Option::is_none).map(|run| run.iter().flatten().collect::<String>());
                Cow::Owned(runs.max_by_key(String::len).unwrap_or_default())
            }
        }
    }

    /// Returns what follows the piece at the start of `text`.
    fn at_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(finder) => {
                let literal = finder.needle();
                text.as_bytes().starts_with(literal).then(|| &text[literal.len()..])
            }
            Piece::Characters(pattern) => {
                let mut characters = text.chars();
                for expected in pattern {
                    let c = characters.next()?;
                    if expected.is_some_and(|expected| expected != c) {
                        return None;
                    }
                }
                Some(characters.as_str())
            }
        }
    }

    /// Returns what stands before the piece at the end of `text`.
    fn at_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(finder) => {
                let literal = finder.needle();
                text.as_bytes().ends_with(literal).then(|| &text[..text.len() - literal.len()])
            }
            Piece::Characters(pattern) => {
                let mut characters = text.chars();
                for expected in pattern.iter().rev() {
                    let c = characters.next_back()?;
                    if expected.is_some_and(|expected| expected != c) {
                        return None;
                    }
                }
                Some(characters.as_str())
            }
        }
    }

    /// Returns what follows the leftmost place of the piece in `text`.
    fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(finder) => {
                finder.find(text.as_bytes()).map(|at| &text[at + finder.needle().len()..])
            }
            Piece::Characters(_) => {
                let mut rest = text;
                loop {
                    if let Some(after) = self.at_start(rest) {
                        return Some(after);
                    }
                    let mut characters = rest.chars();
                    characters.next()?;
                    rest = characters.as_str();
                }
            }
        }
    }
}

/// Which of several places is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occurrence {
    First,
    Last,
}

/// Returns where `needle` begins and ends in `text`, in bytes, looked for from byte `from` on; both are folded
/// to compare if `insensitive`.
pub(crate) fn find_from(
    text: &str,
    needle: &str,
    from: usize,
    insensitive: bool,
    occurrence: Occurrence,
) -> Option<(usize, usize)> {
    let find = |text: &str, needle: &str| match occurrence {
        Occurrence::First => text.find(needle),
        Occurrence::Last => text.rfind(needle),
    };
    if !insensitive {
        return find(&text[from..], needle).map(|at| (from + at, from + at + needle.len()));
    }
    // Folding may change how many bytes a character has, so positions are counted in characters.
    let needle = folded(needle);
    let hay: String = text[from..].chars().map(fold).collect();
    let skip = hay[..find(&hay, &needle)?].chars().count();
    let length = needle.chars().count();
    let mut boundaries =
        text[from..].char_indices().map(|(at, _)| from + at).chain(std::iter::once(text.len())).skip(skip);
    let start = boundaries.next()?;
    let end = if length == 0 { start } else { boundaries.nth(length - 1)? };
    Some((start, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shapes() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "a\n/b", true),
            ("?", "é", true),
            ("?", "", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*b*", "abc", true),
            ("a*c", "abc", true),
            ("a*a", "a", false),
            ("a?c*e?", "abcdef", true),
            ("a*?", "a", false),
            ("*??*", "ab", true),
            ("a\\*", "a\\b", true),
            ("*.tar.*", "x.tar.gz", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(Wildcard::new(pattern, false).matches(text), expected, "{pattern} {text}");
        }
        assert!(Wildcard::new("ÄB*", true).matches("äbC"));
        assert!(Wildcard::new("*Ä?b", true).matches("xäYB"));
        assert!(!Wildcard::new("A", false).matches("a"));
        assert!(Wildcard::literal("a*", true, Place::Start).matches("A*b"));
        assert!(!Wildcard::literal("a*", false, Place::Start).matches("ab"));
    }

    #[test]
    fn a_pattern_made_to_blow_up_stays_linear() {
        // Miri interprets every step.
        let text = "a".repeat(if cfg!(miri) { 1 << 8 } else { 1 << 20 });
        for pattern in ["*a*a*a*a*a*a*a*a*b", "a*a*a*a*a*a*ab*", "*?a?a?a?b"] {
            assert!(!Wildcard::new(pattern, true).matches(&text));
        }
        let half = format!("*{}b*", "a".repeat(text.len() / 256));
        assert!(!Wildcard::new(&half, true).matches(&text));
    }

    /// The definition, with nothing clever.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|at| naive(rest, &text[at..])),
            ['?', rest @ ..] => !text.is_empty() && naive(rest, &text[1..]),
            [c, rest @ ..] => text.first().is_some_and(|t| fold(*t) == fold(*c)) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[abAé*?]{0,8}", text in "[abBÉé]{0,10}") {
            let expected =
                naive(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Wildcard::new(&pattern, true).matches(&text), expected);
        }

        #[test]
        fn places_agree_with_std(text in "[abé]{0,12}", needle in "[abé]{0,3}") {
            let expected = text.find(&needle).map(|at| (at, at + needle.len()));
            prop_assert_eq!(find_from(&text, &needle, 0, true, Occurrence::First), expected);
            let expected = text.rfind(&needle).map(|at| (at, at + needle.len()));
            prop_assert_eq!(find_from(&text, &needle, 0, true, Occurrence::Last), expected);
        }
    }
}
