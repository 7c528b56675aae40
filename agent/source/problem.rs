//! What can be wrong with a recording, said so that a person can act on it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::alert::is_deceptive;

/// The longest reason that is kept, in bytes: a decoder's own message can quote megabytes of input.
const MAX_REASON: usize = 400;

/// A file that cannot be read at all. Displays what is wrong with which file, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {reason}", Escaped(file))]
pub struct SourceError {
    file: String,
    reason: String,
}

impl SourceError {
    pub(crate) fn new(file: &Path, reason: impl Into<String>) -> Self {
        SourceError { file: file.display().to_string(), reason: reason.into() }
    }
}

/// Why a line is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Escaped(.0))]
pub struct LineError(String);

impl LineError {
    /// Makes one from a reason, of which at most about 400 bytes are kept.
    pub fn new(reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if reason.len() > MAX_REASON {
            // Both ends: what was found comes first, what was expected and where come last.
            let head = floor_char_boundary(&reason, MAX_REASON / 2);
            let tail = floor_char_boundary(&reason, reason.len() - MAX_REASON / 2);
            reason.replace_range(head..tail, " … ");
        }
        LineError(reason)
    }

    /// Makes one from what serde_json says about the single line `source`, with the key path `path` where
    /// one is known.
    pub(crate) fn json(what: &str, path: &str, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let text = text.strip_suffix(&place).unwrap_or(&text);
        let separator = if path.is_empty() { "" } else { ": " };
        LineError::new(format!("{what}: {path}{separator}{text} (column {})", error.column()))
    }
}

impl From<String> for LineError {
    fn from(reason: String) -> Self {
        LineError::new(reason)
    }
}

/// A line of a file, or the rest of a file, that could not be read. Displays exactly `FILE:LINE: reason`,
/// with control characters escaped: a recording must not be able to write to a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {reason}", Escaped(file))]
pub struct Problem {
    /// The file as it was named; `-` is standard input.
    pub file: Arc<str>,
    /// The line's number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: LineError,
}

/// Displays text with what would move a cursor, end a line or reorder text written as `\u{1b}`.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_deceptive) {
            let (plain, special) = rest.split_at(at);
            out.write_str(plain)?;
            let character = special.chars().next().expect("find gave its place");
            write!(out, "{}", character.escape_default())?;
            rest = &special[character.len_utf8()..];
        }
        out.write_str(rest)
    }
}

fn floor_char_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_file_line_reason() {
        let problem =
            Problem { file: "events.ndjson".into(), line: 7, reason: LineError::new("no \"time\"") };
        assert_eq!(problem.to_string(), "events.ndjson:7: no \"time\"");
    }

    #[test]
    fn nothing_read_can_write_to_a_terminal() {
        let problem = Problem {
            file: "a\nb".into(),
            line: 1,
            reason: LineError::new("\u{1b}[2J\r\n\0\u{9b}31m\u{202e}é\u{2028}"),
        };
        assert_eq!(problem.to_string(), "a\\nb:1: \\u{1b}[2J\\r\\n\\u{0}\\u{9b}31m\\u{202e}é\\u{2028}");
    }

    #[test]
    fn a_long_reason_keeps_both_its_ends() {
        let reason = LineError::new(format!("found {} instead of a number", "é".repeat(1 << 20))).to_string();
        assert!(reason.len() < 450, "{} bytes", reason.len());
        assert!(reason.starts_with("found é"), "{reason}");
        assert!(reason.contains(" … "), "{reason}");
        assert!(reason.ends_with("instead of a number"), "{reason}");
    }
}
