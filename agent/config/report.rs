//! A loaded configuration, shown to people and to programs.

use std::fmt::Write;

use serde_json::{Map, Value as Json, json};

use super::{Finding, KEYS, Loaded, Origin, Source, State};
use crate::readable::{Style, visible};

/// Returns the sources, then a line for each key: its path, where its value comes from, the value as one would write it
/// in TOML, cut to the page's width.
pub fn text(loaded: &Loaded, style: Style) -> String {
    let mut text = String::new();
    for source in &loaded.sources {
        let state = match source.state {
            State::Read => {
                source.owner.map_or("read".into(), |owner| format!("read, of the user with uid {owner}"))
            }
            State::Absent => "there is none".into(),
            State::Ignored => "ignored: this Mac is managed".into(),
            State::Unusable => "cannot be used".into(),
        };
        let path = visible(&source.path.display().to_string());
        let _ = writeln!(text, "{:<9}  {path}: {state}", word(source.origin));
    }
    text.push('\n');
    let room = KEYS.iter().map(|key| key.path.len()).max().unwrap_or(0);
    for key in KEYS {
        let origin = loaded.origin(key);
        let dim = style.colour && origin == Origin::Default;
        let (start, end) = if dim { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
        let value =
            cut(&visible(&key.value(&loaded.config).to_string()), style.width.saturating_sub(room + 13));
        let _ = writeln!(text, "{start}{:<room$}  {:<9}  {value}{end}", key.path, word(origin));
    }
    text
}

/// Returns one object: `status` (`ok` or `error`), `locked`, `sources`, `findings`, and `settings` with `value` and
/// `origin` for each key. A value is what one would write in TOML, so a size is `"16 MiB"`.
pub fn json(loaded: &Loaded) -> Json {
    let settings: Map<String, Json> = KEYS
        .iter()
        .map(|key| {
            let value = serde_json::to_value(key.value(&loaded.config)).unwrap_or(Json::Null);
            (key.path.to_owned(), json!({ "value": value, "origin": word(loaded.origin(key)) }))
        })
        .collect();
    json!({
        "status": if loaded.has_errors() { "error" } else { "ok" },
        "locked": loaded.locked,
        "sources": loaded.sources.iter().map(source_json).collect::<Vec<_>>(),
        "findings": loaded.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "settings": settings,
    })
}

fn source_json(source: &Source) -> Json {
    let state = match source.state {
        State::Read => "read",
        State::Absent => "absent",
        State::Ignored => "ignored",
        State::Unusable => "unusable",
    };
    json!({
        "origin": word(source.origin),
        "path": source.path.display().to_string(),
        "state": state,
        "sha256": source.sha256,
        "owner": source.owner,
    })
}

fn finding_json(finding: &Finding) -> Json {
    json!({
        "level": finding.level.to_string(),
        "path": finding.path.display().to_string(),
        "line": finding.position.map(|position| position.line),
        "column": finding.position.map(|position| position.column),
        "key": finding.key,
        "message": finding.message,
        "hint": finding.hint,
    })
}

fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::Default => "default",
        Origin::File => "file",
        Origin::Managed => "managed",
        Origin::LastGood => "last good",
    }
}

fn cut(text: &str, room: usize) -> String {
    match text.char_indices().nth(room) {
        Some(_) => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}
