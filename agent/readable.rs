//! Alerts for people: what was installed, who ran what, what it connected to.
//!
//! Everything that comes from an event was written by whoever is suspected: what is not a visible character is
//! shown as `\u{…}`, so that nothing can forge a line or move a terminal's cursor.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

use crate::alert::{Alert, AlertKind, is_deceptive};

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are used.
    pub colour: bool,
    /// The width of a line in characters; what is longer is cut.
    pub width: usize,
}

/// Returns the readable form of an alert or an enrichment: several lines, an empty one last.
pub fn alert(alert: &Alert, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    let document = &alert.document;
    match alert.kind {
        AlertKind::Alert => page.alert(alert, document),
        AlertKind::Enrichment => page.enrichment(alert, document),
        AlertKind::Summary => page.summary(alert, document),
    }
    page.text.push('\n');
    page.text
}

/// Returns text with everything but visible characters escaped.
pub fn visible(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => result.push_str("\\n"),
            '\t' => result.push_str("\\t"),
            '\r' => result.push_str("\\r"),
            c if is_deceptive(c) => {
                let _ = write!(result, "\\u{{{:x}}}", c as u32);
            }
            c => result.push(c),
        }
    }
    result
}

/// The most characters of one name among others in a line: a longer one would push them out of it.
const MAX_NAME: usize = 36;

/// The most characters of an address: as many as IPv6 has.
const MAX_ADDRESS: usize = 39;

/// The most bytes of one value that are looked at.
const MAX_TEXT: usize = 1024;

/// How many generations of a process tree are drawn as steps; what is deeper stands on the last one.
const MAX_INDENT: usize = 8;

struct Page {
    text: String,
    style: Style,
}

#[derive(Clone, Copy)]
enum Colour {
    Bold,
    Dim,
    Red,
    Yellow,
}

impl Page {
    fn alert(&mut self, alert: &Alert, document: &Map<String, Json>) {
        let severity = alert.rule.severity.text();
        let colour = if alert.document["event"]["severity"].as_i64() >= Some(47) {
            Colour::Red
        } else {
            Colour::Yellow
        };
        self.title(&severity.to_uppercase(), colour, &alert.rule.name);
        self.row("time", &text(document.get("@timestamp")));
        let host = [get(document, "host.name"), get(document, "host.id")];
        self.row("host", &host.into_iter().flatten().next().map(|v| text(Some(v))).unwrap_or_default());
        self.package(document);
        self.connection(document);
        self.tree(document);
        self.matched(document);
        if get(document, "vedette.gap").and_then(Json::as_bool) == Some(true) {
            self.row("loss", "events were lost inside this window: there may be more to it");
        }
        let relation = match get(document, "vedette.relation").and_then(Json::as_str) {
            Some("descendant") => "all of it in one install session",
            _ => "joined by the rule's keys only: the processes need not be related",
        };
        self.row("relation", relation);
        for check in alert.rule.note.iter().flat_map(|note| steps(note)).take(3) {
            self.wrapped("check", &check);
        }
        self.row("rule", &format!("{} (version {})", alert.rule.id, alert.rule.version));
        self.row("event.id", &alert.id);
    }

    fn enrichment(&mut self, alert: &Alert, document: &Map<String, Json>) {
        self.title("MORE", Colour::Yellow, &format!("after: {}", alert.rule.name));
        self.row("follows", &alert.id);
        for event in get(document, "vedette.related").and_then(Json::as_array).into_iter().flatten() {
            self.row("event", &summary(event));
        }
        match get(document, "vedette.related_dropped").and_then(Json::as_u64) {
            Some(dropped) if dropped > 0 => self.row("", &format!("and {dropped} more")),
            _ => {}
        }
    }

    fn summary(&mut self, alert: &Alert, document: &Map<String, Json>) {
        let count = text(get(document, "vedette.left_out.count"));
        self.title("LEFT OUT", Colour::Yellow, &format!("{count} more alerts: {}", alert.rule.name));
        self.row("from", &text(get(document, "vedette.left_out.from")));
        self.row("to", &text(get(document, "vedette.left_out.to")));
        let executables = get(document, "vedette.left_out.executables").and_then(Json::as_array);
        for (index, executable) in executables.into_iter().flatten().enumerate() {
            self.row(if index == 0 { "by" } else { "" }, &text(Some(executable)));
        }
        self.row("follows", &alert.id);
    }

    /// What it is in a word, and its name.
    fn title(&mut self, word: &str, colour: Colour, name: &str) {
        let room = self.style.width.saturating_sub(word.len() + 2).max(20);
        let name = self.paint(&shorten(&visible(name), room), Colour::Bold);
        let word = self.paint(word, colour);
        let _ = writeln!(self.text, "{word}  {name}");
    }

    fn package(&mut self, document: &Map<String, Json>) {
        let events = get(document, "vedette.events").and_then(Json::as_array);
        let package = get(document, "vedette.package")
            .or_else(|| events.into_iter().flatten().find_map(|event| event.get("vedette")?.get("package")));
        let Some(package) = package else { return };
        let claimed: Vec<&str> =
            package["claimed"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for (label, key) in [("package", "identifier"), ("", "path"), ("", "script")] {
            if let Some(value) = package.get(key) {
                // Before the value, which may be as long as its maker likes.
                let mark = if claimed.contains(&key) { " (claimed)" } else { "" };
                self.row(label, &format!("{key}{mark} {}", text(Some(value))));
            }
        }
        self.row(
            if package.get("identifier").is_some() { "" } else { "package" },
            &format!("run by {}", text(package.get("host"))),
        );
    }

    fn connection(&mut self, document: &Map<String, Json>) {
        let events = get(document, "vedette.events").and_then(Json::as_array);
        let flows = events.into_iter().flatten().filter(|event| event.get("destination").is_some());
        for flow in flows {
            self.row("connected", &destination(flow));
        }
    }

    fn tree(&mut self, document: &Map<String, Json>) {
        let nodes = get(document, "vedette.process_tree").and_then(Json::as_array);
        let mut depth = 0;
        for (index, node) in nodes.into_iter().flatten().enumerate() {
            let responsible = node["relation"] == "responsible";
            let branch = match depth.min(MAX_INDENT) {
                0 => String::new(),
                depth => format!("{}└ ", "  ".repeat(depth - 1)),
            };
            let pid = node.get("pid").map_or("?".to_owned(), |pid| pid.to_string());
            let command = ["command_line", "executable", "name"]
                .iter()
                .find_map(|key| node.get(*key))
                .map(|v| text(Some(v)));
            let user = node["user"].get("name").or_else(|| node["user"].get("id"));
            let user =
                user.map_or(String::new(), |user| format!(" as {}", shorten(&text(Some(user)), MAX_NAME)));
            let name = shorten(&text(node.get("name")), MAX_NAME);
            let what = command.unwrap_or_else(|| "a process of which no more is known".to_owned());
            let note = if responsible { " (responsible)" } else { "" };
            let line = if name.is_empty() || what.starts_with(&name) {
                format!("{branch}{pid}{user}{note}  {what}")
            } else {
                format!("{branch}{pid}{user}{note}  {name}: {what}")
            };
            self.row(if index == 0 { "processes" } else { "" }, &line);
            depth += usize::from(!responsible);
        }
    }

    fn matched(&mut self, document: &Map<String, Json>) {
        let events = get(document, "vedette.events").and_then(Json::as_array);
        for (index, event) in events.into_iter().flatten().enumerate() {
            let line = if event.is_null() { "(nothing of this kind)".to_owned() } else { summary(event) };
            self.row(if index == 0 { "matched" } else { "" }, &line);
        }
    }

    /// A label and what it says. Most values are visible text by now; to make it sure costs nothing.
    fn row(&mut self, label: &str, value: &str) {
        let room = self.style.width.saturating_sub(12).max(20);
        let shown = shorten(&visible(value), room);
        let label = self.paint(&format!("{label:<10}"), Colour::Dim);
        let _ = writeln!(self.text, "  {label}{shown}");
    }

    /// A row that goes on in the next lines.
    fn wrapped(&mut self, label: &str, value: &str) {
        let room = self.style.width.saturating_sub(12).max(20);
        let mut line = String::new();
        let mut label = label;
        for word in value.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                self.row(label, &std::mem::take(&mut line));
                label = "";
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.row(label, &line);
    }

    fn paint(&self, text: &str, colour: Colour) -> String {
        if !self.style.colour {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Bold => "1",
            Colour::Dim => "2",
            Colour::Red => "1;31",
            Colour::Yellow => "1;33",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// An event in one line.
fn summary(event: &Json) -> String {
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
        _ if at("destination").is_some() => format!("{name} connected to {}", destination(event)),
        action => format!("{name} {}", action.map(visible).unwrap_or_default()),
    };
    format!("{time}  {what}")
}

fn destination(event: &Json) -> String {
    let destination = &event["destination"];
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
fn shorten(text: &str, room: usize) -> String {
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
fn steps(note: &str) -> Vec<String> {
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

fn get<'j>(document: &'j Map<String, Json>, path: &str) -> Option<&'j Json> {
    let mut keys = path.split('.');
    let mut value = document.get(keys.next()?)?;
    for key in keys {
        value = value.get(key)?;
    }
    Some(value)
}

/// A JSON value as visible text, as much of it as a page could show: arguments can be megabytes.
fn text(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) if text.len() > MAX_TEXT => {
            visible(&text[..text.floor_char_boundary(MAX_TEXT)]) + "…"
        }
        Some(Json::String(text)) => visible(text),
        Some(other) => visible(&other.to_string()),
    }
}
