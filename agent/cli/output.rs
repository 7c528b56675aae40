//! How output looks: for people on a terminal, for programs otherwise.

use std::fmt;
use std::io::{IsTerminal, Write};

use anyhow::Context;

use crate::alert::json_line;
use crate::readable::Style;

/// The width that is assumed where a terminal does not say its own.
const WIDTH: usize = 100;

/// The narrowest page: an id is shown whole, for it is what one copies.
const MIN_WIDTH: usize = 60;

/// Returns how to write for people, or `None` for NDJSON: where it is asked for or standard output is no
/// terminal.
pub(super) fn style(json: bool) -> Option<Style> {
    let variable = |name: &str| std::env::var(name).ok();
    choose(
        json,
        std::io::stdout().is_terminal(),
        variable("NO_COLOR").as_deref(),
        variable("TERM").as_deref(),
        variable("COLUMNS")
            .or_else(|| terminal_size::terminal_size().map(|(width, _)| width.0.to_string()))
            .as_deref(),
    )
}

/// Writes to standard error. That nobody reads it, as after `2>&1 | head`, is no reason to end: `eprintln!` would
/// panic.
pub(super) fn say(message: fmt::Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(message);
}

/// Writes a document for programs: JSON in a line, or a property list.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn machine(document: &serde_json::Value, plist: bool) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if plist {
        plist::to_writer_xml(&mut stdout, &without_nulls(document.clone())).context("standard output")?;
        writeln!(stdout)?;
    } else {
        writeln!(stdout, "{}", json_line(document))?;
    }
    Ok(())
}

/// A property list has no null.
pub(super) fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(object) => object
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        serde_json::Value::Array(items) => {
            items.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect()
        }
        value => value,
    }
}

fn choose(
    json: bool,
    terminal: bool,
    no_color: Option<&str>,
    term: Option<&str>,
    columns: Option<&str>,
) -> Option<Style> {
    if json || !terminal {
        return None;
    }
    let colour = no_color.is_none_or(str::is_empty) && term != Some("dumb");
    let width = columns.and_then(|columns| columns.parse().ok()).unwrap_or(WIDTH).clamp(MIN_WIDTH, 200);
    Some(Style { colour, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_on_a_terminal() {
        let style = |colour, width| Some(Style { colour, width });
        assert_eq!(choose(true, true, None, None, None), None);
        assert_eq!(choose(false, false, None, None, None), None);
        assert_eq!(choose(false, true, None, Some("xterm"), None), style(true, 100));
        assert_eq!(choose(false, true, Some("1"), None, Some("80")), style(false, 80));
        assert_eq!(choose(false, true, Some(""), None, Some("x")), style(true, 100));
        assert_eq!(choose(false, true, None, Some("dumb"), Some("1")), style(false, 60));
    }
}
