//! The whole of an alert: all that its document says, what followed it, and what to do next.

use serde_json::{Map, Value as Json};

use super::Style;
use super::page::Page;
use super::text::{MAX_NAME, destination, get, lost, shorten, steps, text};
use crate::rule::Rule;
use crate::timestamp;

/// An alert and what is known about it elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// The alert's document.
    pub document: &'a Map<String, Json>,
    /// The documents of the enrichments that follow it, in order.
    pub enrichments: &'a [Map<String, Json>],
    /// The rule, where it is at hand; an alert's document does not carry its note.
    pub rule: Option<&'a Rule>,
    /// Where the alert is: `FILE:LINE`.
    pub place: &'a str,
}

/// Returns the page of an alert, an empty line last. Long values go on in the next lines.
pub fn whole(shown: &Whole<'_>, style: Style) -> String {
    let document = shown.document;
    let mut page = Page::new(style);
    page.is_whole = true;
    page.head(document);
    if let Some(description) = get(document, "rule.description").and_then(Json::as_str) {
        page.wrapped("meaning", &shorten(&description.replace('\n', " "), MAX_PARAGRAPH));
    }
    page.package(document);
    page.connection(document);
    page.loss(document);
    page.joined(document);
    page.gap();
    page.tree(document);
    page.gap();
    page.timeline(document, shown.enrichments);
    page.gap();
    page.next_steps(document, shown.rule);
    page.gap();
    page.threat(document);
    page.references(document, shown.rule);
    page.identity(document);
    page.row("in", shown.place);
    page.finish()
}

/// The most characters of a paragraph.
const MAX_PARAGRAPH: usize = 2000;

/// The most events that a timeline shows; a match has a few, an enrichment up to some hundred.
const MAX_EVENTS: usize = 64;

impl Page {
    pub(super) fn gap(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// The matched events and those that followed, with what passed between them.
    fn timeline(&mut self, document: &Map<String, Json>, enrichments: &[Map<String, Json>]) {
        let list = |document, path| get(document, path).and_then(Json::as_array).into_iter().flatten();
        let matched = list(document, "vedette.events").map(|event| (event, false));
        let related =
            enrichments.iter().flat_map(|more| list(more, "vedette.related")).map(|event| (event, true));
        let events: Vec<(&Json, bool)> = matched.chain(related).collect();
        let mut label = "timeline";
        let mut before: Option<i64> = None;
        let mut followed = false;
        for (event, follows) in events.iter().copied().take(MAX_EVENTS) {
            if follows && !followed {
                self.row(label, "after the alert, for the same keys:");
                label = "";
                followed = true;
            }
            let time =
                event.get("@timestamp").and_then(Json::as_str).and_then(|text| timestamp::parse(text).ok());
            let offset = match (before, time) {
                (Some(before), Some(time)) => offset(before, time),
                _ => String::new(),
            };
            before = time.or(before);
            self.row(label, &format!("{} {offset:>10}  {}", clock(time), happened(event)));
            label = "";
            for (name, value) in details(event) {
                self.hanging("", &format!("    {name:<11}{value}"), 15);
            }
        }
        let dropped: u64 = enrichments
            .iter()
            .filter_map(|more| get(more, "vedette.related_dropped")?.as_u64())
            .fold(0, u64::saturating_add)
            .saturating_add(events.len().saturating_sub(MAX_EVENTS) as u64);
        if dropped > 0 {
            self.row(label, &format!("and {dropped} more events"));
        }
        for left_out in enrichments.iter().filter_map(|more| get(more, "vedette.left_out")) {
            let count = text(left_out.get("count"));
            self.row(
                "left out",
                &format!("{count} more alerts of this rule, until {}", text(left_out.get("to"))),
            );
        }
    }

    /// What the rule's note says; of a rule that is not at hand, where to look.
    fn next_steps(&mut self, document: &Map<String, Json>, rule: Option<&Rule>) {
        let note = rule.and_then(|rule| rule.note.as_deref()).map(steps).unwrap_or_default();
        if note.is_empty() {
            let ruleset = shorten(&text(get(document, "rule.ruleset")), MAX_NAME);
            self.wrapped(
                "check",
                &format!(
                    "The rule is not built in (ruleset {ruleset:?}): its own file says what to check. Is each \
                     process above one that belongs there, and does somebody know the destination?"
                ),
            );
        }
        for step in note {
            self.wrapped("check", &step);
        }
        for (index, honest) in rule.iter().flat_map(|rule| &rule.false_positives).enumerate() {
            self.wrapped(if index == 0 { "or honest" } else { "" }, honest);
        }
    }

    fn threat(&mut self, document: &Map<String, Json>) {
        let threats = match document.get("threat") {
            Some(Json::Array(threats)) => threats.iter().collect(),
            Some(threat) => vec![threat],
            None => Vec::new(),
        };
        for (index, threat) in threats.into_iter().take(MAX_EVENTS).enumerate() {
            let names = |value: Option<&Json>| {
                let (ids, names) = (list(value, "id"), list(value, "name"));
                let pairs = ids.into_iter().enumerate().map(|(at, id)| {
                    let name = names.get(at).map_or("", |name| name);
                    format!("{id} {name}").trim().to_owned()
                });
                pairs.collect::<Vec<_>>()
            };
            let technique = threat.get("technique");
            let techniques =
                [names(technique), names(technique.and_then(|technique| technique.get("subtechnique")))]
                    .concat();
            let mut line = names(threat.get("tactic")).join(", ");
            if !techniques.is_empty() {
                line = format!("{line}: {}", techniques.join(", "));
            }
            self.wrapped(if index == 0 { "ATT&CK" } else { "" }, &shorten(&line, MAX_PARAGRAPH));
        }
    }

    fn references(&mut self, document: &Map<String, Json>, rule: Option<&Rule>) {
        let named = list(get(document, "rule"), "reference");
        let known = rule.map(|rule| rule.references.as_slice()).unwrap_or_default();
        let more = known.iter().filter(|reference| !named.contains(reference));
        for (index, reference) in named.iter().chain(more).enumerate() {
            self.row(if index == 0 { "read" } else { "" }, reference);
        }
    }
}

/// What happened, without what the details say.
fn happened(event: &Json) -> String {
    let at = |path: &str| event.pointer(path);
    if event.is_null() {
        return "(nothing of this kind)".to_owned();
    }
    let name = shorten(&text(at("/process/name")), MAX_NAME);
    match at("/event/action").and_then(Json::as_str) {
        Some("exec") => format!("{} ran {name}", shorten(&text(at("/process/parent/name")), MAX_NAME)),
        Some("events_lost") => lost(event),
        _ if at("/destination").is_some() => format!("{name} connected out"),
        action => format!("{name} {}", shorten(&text(action.map(Json::from).as_ref()), MAX_NAME)),
    }
}

/// The fields of an event that say most about it.
fn details(event: &Json) -> Vec<(&'static str, String)> {
    let at = |path: &str| text(event.pointer(path));
    let mut details = Vec::new();
    if let Some(to) = event.get("destination") {
        details.push(("to", destination(to)));
    }
    details.push(("command", at("/process/command_line")));
    let executable = at("/process/executable");
    let signature = signature(event);
    if !executable.is_empty() {
        details.push((
            "executable",
            if signature.is_empty() { executable } else { format!("{executable}, {signature}") },
        ));
    }
    let user = Some(at("/user/name")).filter(|name| !name.is_empty()).unwrap_or_else(|| at("/user/id"));
    let (pid, folder) = (at("/process/pid"), at("/process/working_directory"));
    let mut process = pid;
    for (word, value) in [("as", user), ("in", folder)] {
        if !value.is_empty() {
            process = format!("{process} {word} {value}");
        }
    }
    details.push(("process", process.trim().to_owned()));
    details.push(("hash", at("/process/hash/sha256")));
    details.retain(|(_, value)| !value.is_empty());
    details
}

/// Who signed the process, and whether the system trusts that.
fn signature(event: &Json) -> String {
    let Some(signature) = event.pointer("/process/code_signature") else { return String::new() };
    if signature["exists"] == false {
        return "not signed".to_owned();
    }
    let id = shorten(&text(signature.get("signing_id")), MAX_NAME);
    let team = shorten(&text(signature.get("team_id")), MAX_NAME);
    let team = if team.is_empty() { team } else { format!(" of team {team}") };
    let trust = if signature["trusted"] == false { " (not trusted)" } else { "" };
    if id.is_empty() && team.is_empty() { String::new() } else { format!("signed {id}{team}{trust}") }
}

/// The texts under a key, whether it holds one or a list.
fn list(value: Option<&Json>, key: &str) -> Vec<String> {
    match value.and_then(|value| value.get(key)) {
        Some(Json::Array(values)) => values.iter().take(MAX_EVENTS).map(|value| text(Some(value))).collect(),
        None | Some(Json::Null) => Vec::new(),
        value => vec![text(value)],
    }
}

/// The time of day in UTC, to the millisecond.
fn clock(time: Option<i64>) -> String {
    time.map_or_else(|| "??:??:??.???".to_owned(), |time| timestamp::format(time)[11..23].to_owned())
}

/// How long after `before` a time is, in seconds to the millisecond.
fn offset(before: i64, time: i64) -> String {
    let millis = (i128::from(time) - i128::from(before)) / 1_000_000;
    let sign = if millis < 0 { '-' } else { '+' };
    let millis = millis.unsigned_abs();
    format!("{sign}{}.{:03} s", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_seconds_in_either_direction() {
        assert_eq!(offset(0, 1_204_999_999), "+1.204 s");
        assert_eq!(offset(2_000_000_000, 0), "-2.000 s");
        assert_eq!(offset(i64::MIN, i64::MAX), "+18446744073.709 s");
        assert_eq!(clock(Some(i64::MIN)), "00:12:43.145");
    }
}
