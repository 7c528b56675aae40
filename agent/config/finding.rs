//! What is wrong with a configuration, and where.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use eql::{Diagnostic, Level, Position};

use crate::readable::visible;

/// Something about a source of configuration. All of its text is visible characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Where in the file. A property list has no lines that a person wrote.
    pub position: Option<Position>,
    /// An error: what the file says does not count. A warning: it counts, or there was nothing to count.
    pub level: Level,
    /// The key that it is about, if it is about one that exists.
    pub key: Option<&'static str>,
    /// What, and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The same as a compiler prints it, where there is a position with the line and a caret; several lines.
    pub rendered: String,
}

/// How many findings one loading gives; a file can be wrong in as many places as it has bytes.
const MAX_FINDINGS: usize = 100;

/// The longest message or hint, in characters.
const MAX_MESSAGE: usize = 400;

impl Finding {
    /// Makes a finding about a file as a whole, or about a place in it whose text is no longer at hand.
    pub(super) fn new(
        path: &Path,
        position: Option<Position>,
        level: Level,
        message: &str,
        hint: Option<&str>,
    ) -> Self {
        let message = shown(message);
        let hint = hint.map(shown);
        let mut rendered = visible(&path.display().to_string());
        if let Some(position) = position {
            let _ = write!(rendered, ":{position}");
        }
        let _ = writeln!(rendered, ": {level}: {message}");
        if let Some(hint) = &hint {
            let _ = writeln!(rendered, "  = {hint}");
        }
        Finding { path: path.to_owned(), position, level, key: None, message, hint, rendered }
    }

    /// Makes a finding of a diagnostic about `text`, which begins at `origin` in the file.
    pub(super) fn in_text(path: &Path, origin: Position, text: &str, diagnostic: &Diagnostic) -> Self {
        let mut diagnostic = diagnostic.clone();
        diagnostic.message = shown(&diagnostic.message);
        diagnostic.hint = diagnostic.hint.as_deref().map(shown);
        let rendered = diagnostic.render(&visible(&path.display().to_string()), origin, text);
        Finding {
            path: path.to_owned(),
            position: Some(Position::of(diagnostic.span.start, text).after(origin)),
            level: diagnostic.level,
            key: None,
            message: diagnostic.message,
            hint: diagnostic.hint,
            rendered,
        }
    }

    /// Says which key it is about.
    pub(super) fn about(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }
}

/// Adds a finding; of too many only the number is told, by the last one.
pub(super) fn push(findings: &mut Vec<Finding>, left_out: &mut usize, finding: Finding) {
    if findings.len() < MAX_FINDINGS {
        findings.push(finding);
    } else {
        *left_out += 1;
    }
}

/// Text of bounded length that is seen and does nothing else.
fn shown(text: &str) -> String {
    let mut visible = visible(text.get(..text.floor_char_boundary(4 * MAX_MESSAGE)).unwrap_or(text));
    if let Some((end, _)) = visible.char_indices().nth(MAX_MESSAGE) {
        visible.truncate(end);
        visible.push('…');
    }
    visible
}
