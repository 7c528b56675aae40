//! The types that keys have: what each takes, and how it is written.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use eql::{Diagnostic, Program, ProgramKind, Schema, Span};
use toml::Value;

use super::document::{Content, Node};
use crate::alert::is_deceptive;
use crate::detector::query_options;
use crate::redaction::{self, MAX_PATTERN};

/// A type that a key can have.
pub(super) trait Setting: Clone + PartialEq {
    /// Returns what is taken, as a phrase that follows "takes", for documentation and for errors.
    fn takes(bounds: Bounds) -> String;

    /// Reads a value.
    ///
    /// # Errors
    /// What was found instead of what is taken, as a phrase that follows "not".
    fn read(node: &Node, bounds: Bounds) -> Result<Self, String>;

    /// Returns the value as one would write it in the file.
    fn show(&self) -> Value;

    /// Returns what is wrong inside of a value whose form is right, by place in its text.
    fn check(&self) -> Vec<Diagnostic> {
        Vec::new()
    }
}

/// The smallest and the largest value, in the type's unit: bytes, seconds, or things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) least: u64,
    pub(super) most: u64,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// Which of the sensor's events are meant: an EQL event query, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(String);

/// Regular expressions that tell what is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns(pub Vec<String>);

/// Where network connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkSource {
    /// The best that this version of macOS has.
    Auto,
    /// Endpoint Security.
    EndpointSecurity,
    /// The kernel's network statistics.
    NetworkStatistics,
    /// Nowhere.
    Off,
}

/// The longest path in bytes: `PATH_MAX` of macOS.
const MAX_PATH: usize = 1024;

/// The longest name of a group in bytes; macOS has no longer ones.
const MAX_GROUP: usize = 255;

/// How many texts a list may hold.
const MAX_TEXTS: usize = 1000;

/// Names of units and what one holds; the first name is how it is shown.
type Units = &'static [(&'static str, u64)];

const BYTES: Units = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
];
const SECONDS: Units = &[("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Setting for bool {
    fn takes(_: Bounds) -> String {
        "true or false".into()
    }

    fn read(node: &Node, _: Bounds) -> Result<Self, String> {
        match node.content {
            Content::Boolean(value) => Ok(value),
            _ => Err(found(node)),
        }
    }

    fn show(&self) -> Value {
        Value::Boolean(*self)
    }
}

impl Setting for u32 {
    fn takes(bounds: Bounds) -> String {
        format!("a whole number from {} to {}", bounds.least, bounds.most)
    }

    fn read(node: &Node, bounds: Bounds) -> Result<Self, String> {
        match node.content {
            Content::Integer(value) => {
                within(u64::try_from(value).ok(), bounds).and_then(|value| u32::try_from(value).ok())
            }
            _ => None,
        }
        .ok_or_else(|| found(node))
    }

    fn show(&self) -> Value {
        Value::Integer(i64::from(*self))
    }
}

impl Setting for Bytes {
    fn takes(bounds: Bounds) -> String {
        let shown = |bytes| written(bytes, BYTES, " ");
        format!(
            "a size from {} to {}, as a number of bytes or like \"16 MiB\"",
            shown(bounds.least),
            shown(bounds.most)
        )
    }

    fn read(node: &Node, bounds: Bounds) -> Result<Self, String> {
        let bytes = match &node.content {
            Content::Integer(value) => u64::try_from(*value).ok(),
            Content::Text(text) => quantity(text, BYTES),
            _ => None,
        };
        within(bytes, bounds).map(Bytes).ok_or_else(|| found(node))
    }

    fn show(&self) -> Value {
        Value::String(written(self.0, BYTES, " "))
    }
}

impl Setting for Duration {
    fn takes(bounds: Bounds) -> String {
        let shown = |seconds| written(seconds, SECONDS, "");
        format!("a duration from {} to {}, like \"90s\" or \"24h\"", shown(bounds.least), shown(bounds.most))
    }

    fn read(node: &Node, bounds: Bounds) -> Result<Self, String> {
        let seconds = match &node.content {
            Content::Text(text) => quantity(text, SECONDS),
            _ => None,
        };
        within(seconds, bounds).map(Duration::from_secs).ok_or_else(|| found(node))
    }

    fn show(&self) -> Value {
        Value::String(written(self.as_secs(), SECONDS, ""))
    }
}

/// A duration, or none.
impl Setting for Option<Duration> {
    fn takes(bounds: Bounds) -> String {
        format!("{}, or \"off\"", Duration::takes(bounds))
    }

    fn read(node: &Node, bounds: Bounds) -> Result<Self, String> {
        match &node.content {
            Content::Text(text) if text == "off" => Ok(None),
            _ => Duration::read(node, bounds).map(Some),
        }
    }

    fn show(&self) -> Value {
        self.map_or_else(|| Value::String("off".into()), |duration| duration.show())
    }
}

impl Setting for PathBuf {
    fn takes(_: Bounds) -> String {
        format!("an absolute path without `..`, of at most {MAX_PATH} bytes")
    }

    fn read(node: &Node, _: Bounds) -> Result<Self, String> {
        let Content::Text(text) = &node.content else { return Err(found(node)) };
        let path = Path::new(text);
        let plain = path.components().all(|part| part != Component::ParentDir) && !text.contains('\0');
        if path.is_absolute() && plain && path.file_name().is_some() && text.len() <= MAX_PATH {
            Ok(path.to_owned())
        } else {
            Err(found(node))
        }
    }

    fn show(&self) -> Value {
        Value::String(self.display().to_string())
    }
}

/// The name of a group, or none.
impl Setting for Option<String> {
    fn takes(_: Bounds) -> String {
        "the name of a group, or \"\" for none".into()
    }

    fn read(node: &Node, _: Bounds) -> Result<Self, String> {
        let Content::Text(text) = &node.content else { return Err(found(node)) };
        let fits = text.len() <= MAX_GROUP
            && text.trim() == text
            && !text.contains(|c: char| c == ':' || c == '/' || is_deceptive(c));
        if fits { Ok(Some(text.clone()).filter(|text| !text.is_empty())) } else { Err(found(node)) }
    }

    fn show(&self) -> Value {
        Value::String(self.clone().unwrap_or_default())
    }
}

impl Filter {
    /// Compiles the query over the sensor's fields; `None` where all events are meant.
    ///
    /// # Errors
    /// What is wrong with it, warnings included.
    pub fn compile(&self, schema: &mut Schema) -> Result<Option<Program>, Vec<Diagnostic>> {
        if self.0.trim().is_empty() {
            return Ok(None);
        }
        let program = Program::new(&self.0, schema, &query_options())?;
        let refused = if program.kind() != ProgramKind::Event {
            Some("a filter looks at one event: a sequence or a sample cannot be one")
        } else if eql::parse(&self.0).is_ok_and(|query| !query.pipes.is_empty()) {
            Some("a filter looks at one event: there is nothing that a pipe could count")
        } else {
            None
        };
        match refused {
            None => Ok(Some(program)),
            Some(reason) => Err(vec![
                Diagnostic::error(Span::new(0, self.0.len()), reason)
                    .with_hint("write an event query, like `network where destination.port == 443`"),
            ]),
        }
    }

    /// Returns the query's text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Setting for Filter {
    fn takes(_: Bounds) -> String {
        "an EQL event query over the sensor's events, or \"\" for all".into()
    }

    fn read(node: &Node, _: Bounds) -> Result<Self, String> {
        match &node.content {
            Content::Text(text) => Ok(Filter(text.clone())),
            _ => Err(found(node)),
        }
    }

    fn show(&self) -> Value {
        Value::String(self.0.clone())
    }

    fn check(&self) -> Vec<Diagnostic> {
        match self.compile(&mut crate::schema::schema()) {
            Ok(None) => Vec::new(),
            Ok(Some(program)) => program.warnings().to_vec(),
            Err(diagnostics) => diagnostics,
        }
    }
}

impl NetworkSource {
    const ALL: [NetworkSource; 4] = [
        NetworkSource::Auto,
        NetworkSource::EndpointSecurity,
        NetworkSource::NetworkStatistics,
        NetworkSource::Off,
    ];

    /// Returns the word for it.
    pub fn text(self) -> &'static str {
        match self {
            NetworkSource::Auto => "auto",
            NetworkSource::EndpointSecurity => "es",
            NetworkSource::NetworkStatistics => "ntstat",
            NetworkSource::Off => "off",
        }
    }
}

impl Setting for NetworkSource {
    fn takes(_: Bounds) -> String {
        let words: Vec<String> = Self::ALL.iter().map(|source| format!("{:?}", source.text())).collect();
        format!("one of {}", words.join(", "))
    }

    fn read(node: &Node, _: Bounds) -> Result<Self, String> {
        let Content::Text(text) = &node.content else { return Err(found(node)) };
        Self::ALL.into_iter().find(|source| source.text() == text).ok_or_else(|| found(node))
    }

    fn show(&self) -> Value {
        Value::String(self.text().into())
    }
}

/// How many patterns there may be: each is tried on each text that is written.
const MAX_PATTERNS: usize = 100;

impl Setting for Patterns {
    fn takes(_: Bounds) -> String {
        format!("a list of at most {MAX_PATTERNS} regular expressions of at most {MAX_PATTERN} bytes")
    }

    fn read(node: &Node, bounds: Bounds) -> Result<Self, String> {
        let patterns = <Vec<String>>::read(node, bounds)?;
        if patterns.len() > MAX_PATTERNS {
            return Err(format!("a list of {}", patterns.len()));
        }
        for (index, pattern) in patterns.iter().enumerate() {
            redaction::compile(pattern)
                .map_err(|why| format!("a list whose entry {} does not compile: {why}", index + 1))?;
        }
        Ok(Patterns(patterns))
    }

    fn show(&self) -> Value {
        self.0.show()
    }
}

impl Setting for Vec<String> {
    fn takes(_: Bounds) -> String {
        format!("a list of at most {MAX_TEXTS} texts")
    }

    fn read(node: &Node, _: Bounds) -> Result<Self, String> {
        let Content::List(items) = &node.content else { return Err(found(node)) };
        if items.len() > MAX_TEXTS {
            return Err(format!("a list of {}", items.len()));
        }
        items
            .iter()
            .map(|item| match &item.content {
                Content::Text(text) => Ok(text.clone()),
                _ => Err(format!("a list with {} in it", found(item))),
            })
            .collect()
    }

    fn show(&self) -> Value {
        Value::Array(self.iter().cloned().map(Value::String).collect())
    }
}

/// What was found, with its value where that is short.
fn found(node: &Node) -> String {
    match &node.content {
        Content::Boolean(value) => value.to_string(),
        Content::Integer(value) => value.to_string(),
        Content::Text(text) if text.chars().count() <= 80 => format!("\"{text}\""),
        Content::Text(text) => format!("a text of {} bytes", text.len()),
        Content::List(_) => "a list".into(),
        Content::Table(_) => "a table".into(),
        Content::Other(what) => (*what).into(),
    }
}

fn within(value: Option<u64>, bounds: Bounds) -> Option<u64> {
    value.filter(|value| (bounds.least..=bounds.most).contains(value))
}

/// Reads a whole number and a unit: `16 MiB`, `24h`.
fn quantity(text: &str, units: Units) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

/// Writes a quantity in the largest unit of which it is a whole number.
fn written(quantity: u64, units: Units, space: &str) -> String {
    let unit = units.iter().find(|(_, size)| quantity > 0 && quantity.is_multiple_of(*size));
    let (name, size) = unit.or(units.iter().find(|(_, size)| *size == 1)).unwrap_or(&("", 1));
    format!("{}{space}{name}", quantity / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written() {
        for (text, bytes) in [("16 MiB", 16 << 20), ("16MiB", 16 << 20), ("1 B", 1), ("3 GB", 3_000_000_000)]
        {
            assert_eq!(quantity(text, BYTES), Some(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "16",
            "-1 B",
            "1.5 MiB",
            "16  MiB",
            "16 mib",
            "99999999999999999999 B",
            "18446744073709551615 GiB",
            "1 B ",
            "１ B",
        ] {
            assert_eq!(quantity(text, BYTES), None, "{text}");
        }
        for (seconds, text) in [(0, "0s"), (90, "90s"), (120, "2m"), (86_400, "1d"), (90_000, "25h")] {
            assert_eq!(written(seconds, SECONDS, ""), text);
            assert_eq!(quantity(text, SECONDS), Some(seconds));
        }
        assert_eq!(written(1_000_000, BYTES, " "), "1000000 B");
        assert_eq!(written(16 << 20, BYTES, " "), "16 MiB");
    }
}
