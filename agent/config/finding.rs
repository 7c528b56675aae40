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
        Self::drawn(path, &path.display().to_string(), origin, text, diagnostic)
    }

    /// Makes a finding of a diagnostic about the value of a key, whose place in the file is not known.
    pub(super) fn in_value(path: &Path, key: &'static str, text: &str, diagnostic: &Diagnostic) -> Self {
        let name = format!("{}: {key}", path.display());
        Finding { position: None, ..Self::drawn(path, &name, Position::START, text, diagnostic) }
    }

    fn drawn(path: &Path, name: &str, origin: Position, text: &str, diagnostic: &Diagnostic) -> Self {
        let mut diagnostic = diagnostic.clone();
        diagnostic.message = shown(&diagnostic.message);
        diagnostic.hint = diagnostic.hint.as_deref().map(shown);
        let rendered = diagnostic.render(&visible(name), origin, text);
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

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    left_out: usize,
    /// Whether one that was left out is an error: that is not lost.
    error_left_out: bool,
}

impl Findings {
    /// Adds a finding. Of too many only the number is told, and they are not made: each looks for its place in the text.
    pub(super) fn add(&mut self, level: Level, finding: impl FnOnce() -> Finding) {
        if self.list.len() < MAX_FINDINGS {
            self.list.push(finding());
        } else {
            self.left_out += 1;
            self.error_left_out |= level == Level::Error;
        }
    }

    /// Returns them all; the last one says how many about `path` were left out.
    pub(super) fn into_list(mut self, path: &Path) -> Vec<Finding> {
        if self.left_out > 0 {
            let message = format!("there is more of this: {} findings are left out", self.left_out);
            let level = if self.error_left_out { Level::Error } else { Level::Warning };
            self.list.push(Finding::new(path, None, level, &message, None));
        }
        self.list
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
