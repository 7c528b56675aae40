//! What a source holds, whatever it is written in: TOML, or a property list.

use std::io::Cursor;

use eql::{Diagnostic, Span};
use plist::stream::{BinaryReader, Event, XmlReader};
use toml::de::{DeTable, DeValue};

/// A value and where it stands in its text; in a property list nowhere.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) span: Span,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Boolean(bool),
    Integer(i64),
    Text(String),
    List(Vec<Node>),
    Table(Table),
    /// What no key takes: its kind, with an article.
    Other(&'static str),
}

/// The entries of a table in the order of the text.
pub(super) type Table = Vec<Entry>;

/// A name in a table and what it is given.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) value: Node,
}

/// How deep a property list may nest; ours have a table in a table, and a list in it.
const MAX_DEPTH: usize = 8;

/// How many values a property list may hold: a binary one of a few bytes can name the same object many times.
const MAX_VALUES: usize = 10_000;

/// How many bytes of text a property list may hold, for the same reason.
const MAX_TEXT: usize = 4 << 20;

/// Reads TOML.
///
/// # Errors
/// It is not TOML; the first reason, and where.
pub(super) fn from_toml(text: &str) -> Result<Table, Diagnostic> {
    let parsed = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(Span::new(0, 0), |span| Span::new(span.start, span.end));
        let message = error.message().lines().next().unwrap_or("this is not TOML");
        Diagnostic::error(at, format!("this is not TOML: {message}"))
            .with_hint("nothing of this file counts until it can be read as a whole")
    })?;
    Ok(toml_table(parsed.into_inner()))
}

fn toml_table(table: DeTable<'_>) -> Table {
    let mut entries: Table = table
        .into_iter()
        .map(|(name, value)| Entry {
            span: Span::new(name.span().start, name.span().end),
            name: name.into_inner().into_owned(),
            value: toml_node(value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.span.start);
    entries
}

/// How deep it nests is bounded by the parser.
fn toml_node(value: toml::Spanned<DeValue<'_>>) -> Node {
    let span = Span::new(value.span().start, value.span().end);
    let content = match value.into_inner() {
        DeValue::Boolean(value) => Content::Boolean(value),
        DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
            Ok(value) => Content::Integer(value),
            Err(_) => Content::Other("an integer of more than 64 bits"),
        },
        DeValue::String(text) => Content::Text(text.into_owned()),
        DeValue::Array(items) => Content::List(items.into_iter().map(toml_node).collect()),
        DeValue::Table(table) => Content::Table(toml_table(table)),
        DeValue::Float(_) => Content::Other("a number with a fraction"),
        DeValue::Datetime(_) => Content::Other("a date"),
    };
    Node { content, span }
}

/// Reads a property list, XML or binary, whose root is a dictionary.
///
/// # Errors
/// It is none, or larger than ours need to be; the reason in a sentence.
pub(super) fn from_plist(bytes: &[u8]) -> Result<Table, String> {
    let broken = |error: plist::Error| format!("this is not a property list: {error}");
    let root = if bytes.starts_with(b"bplist") {
        plist_root(BinaryReader::new(Cursor::new(bytes)).map(|event| event.map_err(broken)))
    } else {
        plist_root(XmlReader::new(bytes).map(|event| event.map_err(broken)))
    }?;
    match root {
        Content::Table(table) => Ok(table),
        _ => Err("the property list is not a dictionary at its root".into()),
    }
}

/// A collection that is not complete.
enum Open {
    List(Vec<Node>),
    Table(Table, Option<String>),
}

/// Builds the root without recursion: nothing that is read decides how deep the stack goes.
fn plist_root(events: impl Iterator<Item = Result<Event<'static>, String>>) -> Result<Content, String> {
    let mut open: Vec<Open> = Vec::new();
    let (mut values, mut text_bytes) = (0usize, 0usize);
    for event in events {
        values += 1;
        if values > MAX_VALUES {
            return Err(format!("the property list holds more than {MAX_VALUES} values"));
        }
        let content = match event? {
            Event::StartArray(_) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::StartDictionary(_) => {
                open.push(Open::Table(Vec::new(), None));
                None
            }
            Event::EndCollection => match open.pop() {
                Some(Open::List(items)) => Some(Content::List(items)),
                Some(Open::Table(table, None)) => Some(Content::Table(table)),
                _ => return Err("this is not a property list: a key has no value".into()),
            },
            Event::Boolean(value) => Some(Content::Boolean(value)),
            Event::Integer(value) => Some(
                value.as_signed().map_or(Content::Other("an integer of more than 64 bits"), Content::Integer),
            ),
            Event::String(text) => {
                text_bytes += text.len();
                if text_bytes > MAX_TEXT {
                    return Err(format!("the property list holds more than {} MiB of text", MAX_TEXT >> 20));
                }
                Some(Content::Text(text.into_owned()))
            }
            Event::Real(_) => Some(Content::Other("a number with a fraction")),
            Event::Date(_) => Some(Content::Other("a date")),
            Event::Data(_) => Some(Content::Other("data")),
            Event::Uid(_) => Some(Content::Other("a uid")),
            // The library may learn more kinds.
            _ => Some(Content::Other("a value of an unknown kind")),
        };
        if open.len() > MAX_DEPTH {
            return Err(format!("the property list nests deeper than {MAX_DEPTH} levels"));
        }
        let Some(content) = content else { continue };
        match open.last_mut() {
            None => return Ok(content),
            Some(Open::List(items)) => items.push(nowhere(content)),
            Some(Open::Table(table, name)) => match (name.take(), content) {
                (None, Content::Text(text)) => *name = Some(text),
                (None, _) => return Err("this is not a property list: a key is not text".into()),
                (Some(name), content) => {
                    table.push(Entry { name, span: Span::default(), value: nowhere(content) });
                }
            },
        }
    }
    Err("this is not a property list: it is empty or cut off".into())
}

fn nowhere(content: Content) -> Node {
    Node { content, span: Span::default() }
}
