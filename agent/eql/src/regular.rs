//! Regular expressions in Lucene's syntax, on the `regex` crate: linear in the text.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;

/// Compiles a regular expression that matches a whole value; `.` matches line breaks too.
///
/// # Errors
/// What is wrong with it, in one line.
pub(crate) fn compile(pattern: &str, insensitive: bool, size: usize) -> Result<Regex, String> {
    // The flags stand in the pattern, so that it can be read again as it is meant.
    let flags = if insensitive { "si" } else { "s" };
    RegexBuilder::new(&format!("(?{flags})\\A(?:{})\\z", translate(pattern)))
        .size_limit(size)
        .dfa_size_limit(size)
        .nest_limit(100)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("this regular expression takes more than {limit} bytes when compiled")
            }
            other => {
                // The crate's message is a drawing of several lines; its last line says what is wrong.
                let text = other.to_string();
                let reason = text.lines().last().unwrap_or("").trim();
                format!("this is not a regular expression: {}", reason.trim_start_matches("error: "))
            }
        })
}

/// Returns texts of which every text that matches begins with one; `None` where nothing is known.
pub(crate) fn needed(regex: &Regex) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(regex.as_str()).ok()?;
    let prefixes = Extractor::new().extract(&hir);
    let literals = prefixes.literals()?;
    literals.iter().map(|literal| str::from_utf8(literal.as_bytes()).ok().map(str::to_owned)).collect()
}

/// What Lucene takes literally and the `regex` crate does not is escaped.
///
/// Lucene has no anchors (`^` and `$` are characters), no `(?…)` and no set operations in classes.
/// Its optional operators `~ & @ # < "` are taken literally: no public rule uses them as operators.
fn translate(pattern: &str) -> String {
    let mut result = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    let mut class = false;
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                // In Lucene a backslash before any other character is that character.
                Some(next @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => result.extend(['\\', next]),
                Some(next) => literal(&mut result, next),
                None => literal(&mut result, '\\'),
            },
            '[' if class => result.push_str("\\["),
            '[' => {
                class = true;
                result.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    result.push('^');
                }
                // `[]a]` has the bracket as its first member.
                if characters.next_if_eq(&']').is_some() {
                    result.push_str("\\]");
                }
            }
            ']' if class => {
                class = false;
                result.push(']');
            }
            '&' | '~' if class => literal(&mut result, c),
            '-' if class && characters.peek() == Some(&'-') => result.push_str("\\-"),
            '^' | '$' => literal(&mut result, c),
            c => result.push(c),
        }
    }
    result
}

fn literal(result: &mut String, c: char) {
    let mut buffer = [0; 4];
    result.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_values_in_lucene_syntax() {
        for (pattern, text, expected) in [
            ("a.*", "ab\nc", true),
            ("a", "ab", false),
            ("a|b", "b", true),
            ("ab|cd", "abd", false),
            ("^a$", "a", false),
            ("^a$", "^a$", true),
            (r"\/tmp\/[a-z0-9]{3,4}", "/tmp/ab1", true),
            (r"[\w.&&-]+", "a&.-", true),
            (r"[[a]+", "[a", true),
            (r"\_\-\@", "_-@", true),
            (r"[]a]+", "]a", true),
            (r"\d{2}", "12", true),
            ("a@b", "a@b", true),
        ] {
            let regex = compile(pattern, false, 1 << 20).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text), expected, "{pattern} {text}");
        }
        assert!(compile("AB.", true, 1 << 20).unwrap().is_match("abc"));
    }

    #[test]
    fn bad_and_hostile_ones_are_refused_in_one_line() {
        for pattern in ["(", "[a", "a{2", "*", "(a{1000}){1000}", &"(".repeat(10_000)] {
            let error = compile(pattern, false, 1 << 20).unwrap_err();
            assert!(!error.contains('\n') && error.len() < 300, "{error}");
        }
    }
}
