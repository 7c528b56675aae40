//! Which parts of a text are secret.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder, RegexSet};

use super::words::{commands, is_secret_name, secrets};

/// Patterns that tell a secret by what stands around it; the group `s` is the secret, and where there is a group `n` it must
/// be the name of one. None of them matches a text without one of [`TELLING`].
const CONTEXTS: &[&str] = &[
    // The userinfo of a URL: after the colon; for the web, where there is none, all of it.
    r#"(?i)\b[a-z][a-z0-9+.-]*://[^\s/?#@:'"]*:(?P<s>[^\s/?#'"]+)@"#,
    r#"(?i)\bhttps?://(?P<s>[^\s/?#@:'"]{8,})@"#,
    // Parameters of a URL or a form.
    r#"(?:^|[?&;#\s'"])(?P<n>[A-Za-z][A-Za-z0-9_.-]{1,63})=(?P<s>[^\s&#;'"]+)"#,
    r#"[?&](?P<n>key|sig|sid|code)=(?P<s>[^\s&#;'"]{8,})"#,
    // Header fields.
    r#"(?i)\bauthorization\s*[:=]\s*(?:(?:basic|bearer|token|negotiate|apikey|aws4-hmac-sha256)\s+)?(?P<s>[^\s'"]+)"#,
    r#"(?i)\b(?:set-)?cookie\s*:\s*(?P<s>[^\s'";]+(?:;\s*[^\s'";=]+=[^\s'";]+)*)"#,
    r#"(?i)(?P<n>\b(?:x|private|api)-[a-z0-9-]{2,40})\s*:\s*(?P<s>[^\s'"]+)"#,
    // Members of JSON objects, quotes escaped or not.
    r#"\\?"(?P<n>[A-Za-z_][A-Za-z0-9_.-]{1,63})\\?"\s*:\s*\\?"(?P<s>[^"\\]+)"#,
    // AppleScript: do shell script … password "…".
    r#"(?i)\bpassword\s+\\?"(?P<s>[^"\\]+)"#,
    // echo … | sudo -S.
    r#"\b(?:echo|printf)\s+(?:-[a-z]+\s+)*(?:"(?P<s>[^"]+)"|'(?P<s2>[^']+)'|(?P<s3>[^\s|'"]+))\s*\|\s*(?:\S*/)?sudo\s+(?:-\S+\s+)*-[A-Za-z]*S"#,
];

/// What one of stands in each secret of [`FORMS`]: to look for these takes a fraction of the time.
const MARKERS: &str = "A[KSBC][IC]A|gh[pousr]_|github_pat_|gl[a-z]{2,3}-|xox|hooks\\.slack|AIza|ya29|k_(?:live|test)_|sk-|npm_|dop_|eyJ|PRIVATE";

/// See [`CONTEXTS`].
const TELLING: [char; 4] = ['=', ':', '"', '|'];

/// Patterns that tell a secret by its own form, whatever stands around it: those that the makers of tokens publish.
const FORMS: &[&str] = &[
    r"\b(?P<s>(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})\b",
    r"\b(?P<s>gh[pousr]_[A-Za-z0-9]{36,255})\b",
    r"\b(?P<s>github_pat_[A-Za-z0-9_]{22,255})\b",
    r"\b(?P<s>gl(?:pat|dt|rt|cbt|ptt|ft|oas)-[A-Za-z0-9_-]{20,})",
    r"\b(?P<s>xox[abeoprs]-[A-Za-z0-9-]{10,})",
    r"\bhooks\.slack\.com/services/(?P<s>[A-Za-z0-9/]{20,})",
    r"\b(?P<s>AIza[A-Za-z0-9_-]{35})",
    r"\b(?P<s>ya29\.[A-Za-z0-9_-]{20,})",
    r"\b(?P<s>[sr]k_(?:live|test)_[A-Za-z0-9]{16,})\b",
    r"\b(?P<s>sk-[A-Za-z0-9_-]{20,})",
    r"\b(?P<s>npm_[A-Za-z0-9]{36})\b",
    r"\b(?P<s>dop_v1_[a-f0-9]{64})\b",
    r"\b(?P<s>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<s>.+?)(?:-----END|$)",
];

/// No token of a known form is shorter, in bytes.
const SHORTEST_FORM: usize = 15;

/// The most bytes of a pattern of an administrator.
pub const MAX_PATTERN: usize = 1024;

/// How large such a pattern may become when it is compiled, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// How deep a command may stand in a word of another: `sh -c "sh -c '…'"`.
const MAX_NESTING: usize = 3;

/// What is looked for: beside what is built in, the patterns of an administrator.
#[derive(Debug)]
pub(super) struct Patterns(Vec<Regex>);

/// Patterns that are tried together first, for most texts match none of them.
struct Group {
    all: RegexSet,
    each: Vec<Regex>,
}

impl Group {
    fn new(patterns: &[&str]) -> Self {
        let compiled = "they are constants that a test compiles";
        let each = patterns.iter().map(|text| Regex::new(text).expect(compiled)).collect();
        Group { all: RegexSet::new(patterns).expect(compiled), each }
    }

    fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        if !self.all.is_match(text) {
            return;
        }
        for index in self.all.matches(text) {
            for captures in self.each[index].captures_iter(text) {
                let is_name = captures.name("n").is_none_or(|name| {
                    is_secret_name(name.as_str()) || matches!(name.as_str(), "key" | "sig" | "sid" | "code")
                });
                let secret = ["s", "s2", "s3"].iter().find_map(|group| captures.name(group));
                found.extend(secret.filter(|_| is_name).map(|secret| secret.range()));
            }
        }
    }
}

static BY_CONTEXT: LazyLock<Group> = LazyLock::new(|| Group::new(CONTEXTS));
static MARKER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(MARKERS).expect("they are constants that a test compiles"));
static BY_FORM: LazyLock<Group> = LazyLock::new(|| Group::new(FORMS));

/// Compiles a pattern of an administrator: a regular expression, whose first group, or the whole of it where it has none,
/// is secret.
///
/// # Errors
/// It is too long, too large, or no regular expression, in one line.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("it has {} bytes; at most {MAX_PATTERN} are allowed", pattern.len()));
    }
    let compiled = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
    let compiled = compiled.map_err(|error| {
        let text = error.to_string();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it does not compile");
        last.trim().trim_start_matches("error: ").to_owned()
    })?;
    match compiled.is_match("") {
        true => Err("it matches nothing at all, and so everywhere".to_owned()),
        false => Ok(compiled),
    }
}

impl Patterns {
    pub(super) fn new(more: Vec<Regex>) -> Self {
        Patterns(more)
    }

    /// Returns where secrets stand in a text, in no order, possibly one over another.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = self.find_by_form(text);
        if text.contains(TELLING) {
            BY_CONTEXT.find(text, &mut found);
        }
        nested(text, 0, 0, &mut found);
        found
    }

    /// Returns where secrets stand that are told by their own form alone.
    pub(super) fn find_by_form(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if text.len() >= SHORTEST_FORM && MARKER.is_match(text) {
            BY_FORM.find(text, &mut found);
        }
        for regex in &self.0 {
            for captures in regex.captures_iter(text) {
                found.extend(captures.get(1).or_else(|| captures.get(0)).map(|secret| secret.range()));
            }
        }
        found
    }
}

/// Finds secrets by the options that they belong to, in each command that stands in a text.
fn nested(text: &str, start: usize, depth: usize, found: &mut Vec<Range<usize>>) {
    // Most texts are no commands.
    if !text.contains(['-', '=', ' ']) {
        return;
    }
    for places in commands(text) {
        let words: Vec<&str> = places.iter().map(|place| &text[place.clone()]).collect();
        for (word, range) in secrets(&words) {
            let at = start + places[word].start;
            let range = unquoted(words[word], range);
            found.push(at + range.start..at + range.end);
        }
        for (word, place) in words.iter().zip(&places) {
            if depth < MAX_NESTING && word.len() < text.len() && word.contains(char::is_whitespace) {
                nested(word, start + place.start, depth + 1, found);
            }
        }
    }
}

/// A value without the quotes around it: `NAME="a b"`.
fn unquoted(word: &str, range: Range<usize>) -> Range<usize> {
    let value = &word[range.clone()];
    for quote in ['"', '\''] {
        if value.len() > 2 && value.starts_with(quote) && value.ends_with(quote) {
            return range.start + 1..range.end - 1;
        }
    }
    range
}

/// Finds secrets in the arguments of a process: where the words are known, and not only the text that joins them.
pub(super) fn in_arguments(arguments: &[&str]) -> Vec<(usize, Range<usize>)> {
    secrets(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that is passed over unread must be one in which nothing would be found.
    #[test]
    fn what_is_passed_over_would_not_match() {
        for text in [
            "x y password z",
            "echo hunter2 sudo -S",
            "a".repeat(100).as_str(),
            "https//me@h?token",
            "xoxb-01234567",
        ] {
            let mut found = Vec::new();
            if !text.contains(TELLING) {
                BY_CONTEXT.find(text, &mut found);
            }
            if text.len() < SHORTEST_FORM {
                BY_FORM.find(text, &mut found);
            }
            assert!(found.is_empty(), "{text}: {found:?}");
        }
        for pattern in CONTEXTS {
            // Each asks for one of these, outside of a class of characters that it excludes.
            let asked = pattern.replace("[^", "").contains(['=', ':', '"', '|']);
            assert!(asked, "{pattern}");
        }
    }
}
