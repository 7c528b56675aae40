//! Values of a document as text: whatever their type and however long.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

use super::visible;
use crate::rule::Severity;

/// The most characters of one name among others in a line: a longer one would push them out of it.
pub(super) const MAX_NAME: usize = 36;

/// The most characters of an address: as many as IPv6 has.
pub(super) const MAX_ADDRESS: usize = 39;

/// The most bytes of one value that are looked at.
const MAX_TEXT: usize = 1024;

/// An event in one line.
pub(crate) fn summary(event: &Json) -> String {
    let at = |path: &str| event.pointer(&format!("/{}", path.replace('.', "/")));
    let time = text(at("@timestamp"));
    let time = time.split('T').nth(1).unwrap_or(&time).to_owned();
    let name = shorten(&text(at("process.name")), MAX_NAME);
    let what = match at("event.action").and_then(Json::as_str) {
        Some("exec") => {
            let parent = shorten(&text(at("process.parent.name")), MAX_NAME);
            let command = at("process.command_line").or_else(|| at("process.executable"));
            format!("{parent} ran {name}: {}", text(command))
        }
        Some("events_lost") => lost(event),
        _ if at("destination").is_some() => {
            format!("{name} connected to {}", destination(&event["destination"]))
        }
        action => format!("{name} {}", action.map(visible).unwrap_or_default()),
    };
    format!("{time}  {what}")
}

/// How much of what happened was not seen.
pub(super) fn lost(event: &Json) -> String {
    format!("{} messages did not come", text(event.pointer("/vedette/loss/missing")))
}

/// Where an alert happened.
pub(super) fn host(document: &Map<String, Json>) -> String {
    text(get(document, "host.name").or_else(|| get(document, "host.id")))
}

/// Where a flow went: domain, address and port.
pub(super) fn destination(destination: &Json) -> String {
    let mut shown = shorten_start(&text(destination.get("domain").or_else(|| destination.get("address"))));
    let ip = shorten(&text(destination.get("ip")), MAX_ADDRESS);
    if shown.is_empty() {
        shown = ip;
    } else if !ip.is_empty() && ip != shown {
        shown = format!("{shown} ({ip})");
    }
    match destination.get("port") {
        Some(port) => format!("{shown} port {}", shorten(&text(Some(port)), MAX_NAME)),
        None => shown,
    }
}

/// Text of at most `room` characters; of a longer one the beginning.
pub(super) fn shorten(text: &str, room: usize) -> String {
    if text.chars().count() > room {
        text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
    } else {
        text.to_owned()
    }
}

/// Of a long domain the end, which says whose it is.
fn shorten_start(domain: &str) -> String {
    match domain.chars().count().checked_sub(MAX_NAME) {
        Some(excess) if excess > 0 => "…".chars().chain(domain.chars().skip(excess + 1)).collect(),
        _ => domain.to_owned(),
    }
}

/// The list items of a rule's note.
pub(super) fn steps(note: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut open = false;
    for line in note.lines() {
        if let Some(item) = line.strip_prefix("- ") {
            steps.push(item.trim().to_owned());
            open = true;
        } else if let (true, Some(last)) = (open && line.starts_with("  "), steps.last_mut()) {
            let _ = write!(last, " {}", line.trim());
        } else {
            open = false;
        }
    }
    steps.iter().map(|step| visible(step)).collect()
}

/// Returns what a path of keys leads to.
pub(crate) fn get<'j>(document: &'j Map<String, Json>, path: &str) -> Option<&'j Json> {
    let mut keys = path.split('.');
    let mut value = document.get(keys.next()?)?;
    for key in keys {
        value = value.get(key)?;
    }
    Some(value)
}

/// Returns how bad a document says that an alert is, by `event.severity`; `None` where that is no number.
pub(crate) fn severity(document: &Map<String, Json>) -> Option<Severity> {
    let number = get(document, "event.severity")?.as_f64()?;
    let levels = [Severity::Critical, Severity::High, Severity::Medium];
    Some(levels.into_iter().find(|level| number >= level.number() as f64).unwrap_or(Severity::Low))
}

/// A JSON value as visible text, as much of it as a page could show: arguments can be megabytes.
pub(super) fn text(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) if text.len() > MAX_TEXT => {
            visible(&text[..text.floor_char_boundary(MAX_TEXT)]) + "…"
        }
        Some(Json::String(text)) => visible(text),
        Some(other) => visible(&other.to_string()),
    }
}
