//! Alerts in a list, two lines each: when and how bad, which rule, which process connected to what.

use serde_json::{Map, Value as Json};

use super::Style;
use super::page::{Colour, paint};
use super::text::{MAX_NAME, get, host, severity, shorten, text};
use crate::timestamp;

/// What a list shows of one alert or enrichment: all that is kept of its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    time: Option<i64>,
    severity: Option<crate::rule::Severity>,
    rule: String,
    what: String,
    host: String,
}

impl Row {
    /// Takes a row from an alert's document; `time` is in nanoseconds since 1970.
    pub fn new(time: Option<i64>, document: &Map<String, Json>) -> Self {
        Row {
            time,
            severity: severity(document),
            rule: shorten(&text(get(document, "rule.name")), MAX_ROW),
            what: what(document),
            host: shorten(&host(document), MAX_NAME),
        }
    }

    /// Takes a row from an enrichment's document.
    pub fn more(time: Option<i64>, document: &Map<String, Json>) -> Self {
        if let Some(count) = get(document, "vedette.left_out.count").and_then(Json::as_u64) {
            let what = format!("{count} more alerts of this rule were left out, beyond its budget");
            return Row {
                time,
                severity: None,
                rule: String::new(),
                what,
                host: shorten(&host(document), MAX_NAME),
            };
        }
        let related = get(document, "vedette.related").and_then(Json::as_array);
        let what = related.and_then(|events| events.first()?.as_object()).map(what).unwrap_or_default();
        let dropped = get(document, "vedette.related_dropped").and_then(Json::as_u64).unwrap_or(0);
        let events = (related.map_or(0, Vec::len) as u64).saturating_add(dropped);
        let what = if events > 1 { format!("{what}, and {} more", events - 1) } else { what };
        Row { time, severity: None, rule: String::new(), what, host: shorten(&host(document), MAX_NAME) }
    }

    /// Who did what, and on which host where that is wanted.
    fn place(&self, with_host: bool) -> String {
        if with_host && !self.host.is_empty() {
            format!("{}: {}", self.host, self.what)
        } else {
            self.what.clone()
        }
    }

    /// Returns the alert's host, escaped and shortened.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// The most characters of a line that are kept.
const MAX_ROW: usize = 200;

/// How wide a time is, and an id below it.
const TIME: usize = 19;

/// How wide a severity is.
const SEVERITY: usize = 8;

/// Returns the line above a list.
pub fn header(style: Style) -> String {
    let title = format!("{:<TIME$}  {:<SEVERITY$}  RULE", "TIME (UTC), ID", "SEVERITY");
    paint(&title, Colour::Dim, style) + "\n"
}

/// Returns an alert's two lines. The host is shown where a list is of several.
pub fn row(row: &Row, id: &str, with_host: bool, style: Style) -> String {
    let word = row.severity.map_or("alert".to_owned(), |severity| severity.text().to_owned());
    let severity = paint(&word, Colour::of(row.severity), style) + &" ".repeat(SEVERITY - word.len());
    let rule = paint(&shorten(&row.rule, room(style, SEVERITY + 2)), Colour::Bold, style);
    let id = paint(&shorten(id, TIME), Colour::Dim, style) + &gap(id);
    let what = shorten(&row.place(with_host), room(style, 0));
    format!("{}  {severity}  {rule}\n{id}{what}\n", moment(row.time))
}

/// Returns the line of an enrichment, which names the alert that it follows by `id`; that says the host.
pub fn more(row: &Row, id: &str, style: Style) -> String {
    let id = format!("└ {}", shorten(id, TIME - 2));
    let word = paint("more", Colour::Yellow, style);
    let when = row.time.map_or(String::new(), |time| format!(" at {}", &timestamp::format(time)[11..19]));
    let what = shorten(&format!("{when}: {}", row.what), room(style, 4));
    format!("{}{}{word}{what}\n", paint(&id, Colour::Dim, style), gap(&id))
}

/// Returns the shortest beginning of an id, of 8 characters or more, that none of `others` has, escaped. Of a
/// sorted list the neighbours are enough.
pub fn short_id<'a>(id: &str, others: impl IntoIterator<Item = &'a str>) -> String {
    let length = others.into_iter().map(|other| common(id, other) + 1).max().unwrap_or(0);
    super::visible(&id.chars().take(length.max(SHORT)).collect::<String>())
}

/// The shortest beginning of an id that is shown.
const SHORT: usize = 8;

/// How many characters two texts have in common at their beginning.
fn common(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// How many characters there are behind the time and so many others.
fn room(style: Style, others: usize) -> usize {
    style.width.saturating_sub(TIME + 2 + others).max(20)
}

/// What fills the first column behind an id.
fn gap(id: &str) -> String {
    " ".repeat(TIME.saturating_sub(id.chars().count()) + 2)
}

/// Who did what: the processes and where they connected to.
fn what(document: &Map<String, Json>) -> String {
    let name = |path| shorten(&text(get(document, path)), MAX_NAME);
    let process = name("process.name");
    let parent = name("process.parent.name");
    let chain = match (parent.is_empty(), process.is_empty()) {
        (false, false) => format!("{parent} › {process}"),
        _ => parent + &process,
    };
    let last = || {
        let events = get(document, "vedette.events")?.as_array()?;
        events.iter().rev().find_map(|event| event.get("destination"))
    };
    match document.get("destination").or_else(last) {
        Some(to) => shorten(&format!("{chain} → {}", endpoint(to)), MAX_ROW),
        None => {
            let command = text(get(document, "process.command_line"));
            shorten(&if command.is_empty() { chain } else { format!("{chain}: {command}") }, MAX_ROW)
        }
    }
}

/// Where a flow went, in short: the domain, or else the address, and the port.
fn endpoint(destination: &Json) -> String {
    let value = |key| Some(shorten(&text(destination.get(key)), MAX_NAME)).filter(|text| !text.is_empty());
    let name = value("domain").or_else(|| value("ip")).or_else(|| value("address")).unwrap_or_default();
    match value("port") {
        Some(port) if name.contains(':') => format!("[{name}]:{port}"),
        Some(port) => format!("{name}:{port}"),
        None => name,
    }
}

/// A date and a time of day in UTC, to the second.
fn moment(time: Option<i64>) -> String {
    let text =
        time.map_or_else(|| "no time".to_owned(), |time| timestamp::format(time)[..19].replace('T', " "));
    format!("{text:<TIME$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_as_long_as_it_must_be() {
        for (id, others, expected) in [
            ("0123456789ab", vec!["0123456789cd", "01"], "0123456789a"),
            ("0123456789ab", vec![], "01234567"),
            ("abc", vec!["abcdefgh"], "abc"),
            ("zz\u{1b}[0m", vec!["a"], "zz\\u{1b}[0m"),
        ] {
            assert_eq!(short_id(id, others), expected);
        }
    }
}
