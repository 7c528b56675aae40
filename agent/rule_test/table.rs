//! A TOML table read key by key: each value knows its place, and what nobody takes is an error.

use eql::{Diagnostic, Span};
use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands in its file.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// The longest text, in bytes; arguments and lines may be longer.
const MAX_TEXT: usize = 1024;

/// The keys of a table that were not taken yet.
#[derive(Debug)]
pub(super) struct Table<'t> {
    pub(super) span: Span,
    entries: Vec<Entry<'t>>,
}

#[derive(Debug)]
struct Entry<'t> {
    name: String,
    span: Span,
    value: Spanned<DeValue<'t>>,
}

/// Reads a file as one table.
pub(super) fn parse(text: &str) -> Result<Table<'_>, Diagnostic> {
    match DeTable::parse(text) {
        Ok(table) => Ok(Table::new(table)),
        Err(error) => {
            let message = error.message().lines().next().unwrap_or_default();
            let at = error.span().map_or(Span::default(), |span| Span::new(span.start, span.end));
            Err(Diagnostic::error(at, format!("this is not TOML: {message}")))
        }
    }
}

impl<'t> Table<'t> {
    fn new(table: Spanned<DeTable<'t>>) -> Self {
        let span = span_of(&table);
        let mut entries: Vec<Entry<'t>> = table
            .into_inner()
            .into_iter()
            .map(|(name, value)| Entry { span: span_of(&name), name: name.into_inner().into_owned(), value })
            .collect();
        entries.sort_by_key(|entry| entry.span.start);
        Table { span, entries }
    }

    /// Whether there is such a key, taken or not yet, and where it stands.
    pub(super) fn place(&self, name: &str) -> Option<Span> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.span)
    }

    /// Takes text that is not blank, and short enough to be shown.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<Placed<String>>, Diagnostic> {
        self.take(name, &format!("text of at most {MAX_TEXT} bytes"), |value| match value {
            DeValue::String(text) if !text.trim().is_empty() && text.len() <= MAX_TEXT => {
                Some(text.into_owned())
            }
            _ => None,
        })
    }

    /// Takes true or false.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<Placed<bool>>, Diagnostic> {
        self.take(name, "true or false", |value| match value {
            DeValue::Boolean(flag) => Some(flag),
            _ => None,
        })
    }

    /// Takes a whole number from 0 to `largest`.
    pub(super) fn number(&mut self, name: &str, largest: u32) -> Result<Option<Placed<u32>>, Diagnostic> {
        self.take(name, &format!("a whole number from 0 to {largest}"), |value| match value {
            DeValue::Integer(number) => {
                u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| *number <= largest)
            }
            _ => None,
        })
    }

    /// Takes a list of texts.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Placed<Vec<String>>>, Diagnostic> {
        self.take(name, "a list of texts", texts)
    }

    /// Takes a list of lists of texts.
    pub(super) fn lists(&mut self, name: &str) -> Result<Option<Placed<Vec<Vec<String>>>>, Diagnostic> {
        self.take(name, "a list of lists of texts, such as [[\"bash\", \"curl connects\"]]", |value| {
            match value {
                DeValue::Array(items) => items.into_iter().map(|item| texts(item.into_inner())).collect(),
                _ => None,
            }
        })
    }

    /// Takes arguments: a list of texts, or one text that is split at its blanks.
    pub(super) fn words(&mut self, name: &str) -> Result<Option<Vec<String>>, Diagnostic> {
        let words = self.take(name, "text, or a list of texts", |value| match value {
            DeValue::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
            other => texts(other),
        })?;
        Ok(words.map(|words| words.value))
    }

    /// Takes tables: an array of them, as `[[name]]` or `name = [{…}]` make it.
    pub(super) fn tables(&mut self, name: &str) -> Result<Option<Placed<Vec<Table<'t>>>>, Diagnostic> {
        self.take(name, &format!("tables: write [[{name}]], or {name} = [{{…}}, {{…}}]"), |value| {
            match value {
                DeValue::Array(items) => items
                    .into_iter()
                    .map(|item| {
                        let span = item.span();
                        match item.into_inner() {
                            DeValue::Table(table) => Some(Table::new(Spanned::new(span, table))),
                            _ => None,
                        }
                    })
                    .collect(),
                _ => None,
            }
        })
    }

    /// Takes a table of tables, in the order of the text: each one's name, where that stands, and the table.
    pub(super) fn named_tables(
        &mut self,
        name: &str,
    ) -> Result<Vec<(Placed<String>, Table<'t>)>, Diagnostic> {
        let taken = self.take(name, "a table of tables", |value| match value {
            DeValue::Table(table) => Table::new(Spanned::new(0..0, table))
                .entries
                .into_iter()
                .map(|Entry { name, span, value }| {
                    let place = value.span();
                    match value.into_inner() {
                        DeValue::Table(table) => {
                            Some((Placed { value: name, span }, Table::new(Spanned::new(place, table))))
                        }
                        _ => None,
                    }
                })
                .collect(),
            _ => None,
        })?;
        Ok(taken.map(|taken| taken.value).unwrap_or_default())
    }

    /// Takes a table, or a text that holds one, as JSON.
    pub(super) fn json(&mut self, name: &str) -> Result<Option<Placed<Map<String, Json>>>, Diagnostic> {
        let Some(entry) = self.remove(name) else { return Ok(None) };
        let span = span_of(&entry.value);
        let value = match entry.value.into_inner() {
            DeValue::Table(table) => json_table(table),
            DeValue::String(line) => match serde_json::from_str(&line) {
                Ok(Json::Object(object)) => object,
                Ok(_) => return Err(Diagnostic::error(span, "this is JSON, but not an object")),
                Err(error) => return Err(Diagnostic::error(span, format!("this is not JSON: {error}"))),
            },
            _ => {
                return Err(Diagnostic::error(
                    span,
                    format!("`{name}` is a table, or a line of JSON as text"),
                ));
            }
        };
        Ok(Some(Placed { value, span }))
    }

    /// Says that all keys should have been taken: one that is left and not `known` is wrong in `what`, an article and a
    /// noun.
    pub(super) fn finish(self, what: &str, known: &[&str]) -> Result<(), Diagnostic> {
        let Some(entry) = self.entries.iter().find(|entry| !known.contains(&entry.name.as_str())) else {
            return Ok(());
        };
        let name: String = entry.name.chars().take(64).collect();
        let message = format!("`{name}` is nothing that {what} has");
        let similar = known.iter().map(|known| (strsim::damerau_levenshtein(&name, known), known));
        let nearest = similar.min().filter(|(distance, known)| *distance <= (known.len() / 3).max(1));
        Err(Diagnostic::error(entry.span, message).with_hint(match nearest {
            Some((_, nearest)) => format!("did you mean `{nearest}`?"),
            None => format!("it may have {}", known.join(", ")),
        }))
    }

    fn take<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(DeValue<'t>) -> Option<T>,
    ) -> Result<Option<Placed<T>>, Diagnostic> {
        let Some(entry) = self.remove(name) else { return Ok(None) };
        let span = span_of(&entry.value);
        match read(entry.value.into_inner()) {
            Some(value) => Ok(Some(Placed { value, span })),
            None => Err(Diagnostic::error(span, format!("`{name}` is {expected}"))),
        }
    }

    fn remove(&mut self, name: &str) -> Option<Entry<'t>> {
        let at = self.entries.iter().position(|entry| entry.name == name)?;
        Some(self.entries.remove(at))
    }
}

fn texts(value: DeValue<'_>) -> Option<Vec<String>> {
    let DeValue::Array(items) = value else { return None };
    items
        .into_iter()
        .map(|item| match item.into_inner() {
            DeValue::String(text) => Some(text.into_owned()),
            _ => None,
        })
        .collect()
}

fn json_table(table: DeTable<'_>) -> Map<String, Json> {
    table
        .into_iter()
        .map(|(name, value)| (name.into_inner().into_owned(), json_value(value.into_inner())))
        .collect()
}

/// How deep it nests is bounded by TOML's parser. A number that JSON has no form for is its text.
fn json_value(value: DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => text.into_owned().into(),
        DeValue::Boolean(value) => value.into(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.into(),
            Err(_) => number.as_str().into(),
        },
        DeValue::Float(number) => {
            match number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
                Some(number) => number.into(),
                None => number.as_str().into(),
            }
        }
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(items) => items.into_iter().map(|item| json_value(item.into_inner())).collect(),
        DeValue::Table(table) => json_table(table).into(),
    }
}

fn span_of<T>(value: &Spanned<T>) -> Span {
    Span::new(value.span().start, value.span().end)
}
