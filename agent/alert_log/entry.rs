//! What a line of the alert file says: an alert, or the enrichment of one.

use serde_json::{Map, Value as Json};

use crate::readable;
use crate::rule::Severity;
use crate::source::LineError;
use crate::timestamp;

/// The longest `event.id`, in bytes: those that the sensor makes have 32.
const MAX_ID: usize = 256;

/// A line of the alert file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// `event.id` of an alert; for an enrichment that of the alert which it follows.
    pub id: String,
    /// `@timestamp` in nanoseconds since 1970; `None` where it is missing or no time.
    pub time: Option<i64>,
    /// The whole document.
    pub document: Map<String, Json>,
}

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A rule matched (`event.kind: alert`).
    Alert,
    /// More came after a match (`event.kind: enrichment`).
    Enrichment,
}

impl Entry {
    /// Parses a line.
    ///
    /// # Errors
    /// It is no JSON object, or neither an alert nor an enrichment, or does not say of which alert.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        let document: Map<String, Json> =
            serde_json::from_slice(line).map_err(|error| LineError::json("not an alert", "", &error))?;
        let text = |path: &str| readable::get(&document, path).and_then(Json::as_str);
        let (kind, path) = match text("event.kind") {
            Some("alert") => (Kind::Alert, "event.id"),
            Some("enrichment") => (Kind::Enrichment, "vedette.follows"),
            Some(kind) => {
                return Err(LineError::new(format!("not an alert: its event.kind is {kind:?}")));
            }
            None => return Err(LineError::new("not an alert: it has no event.kind")),
        };
        let id = match text(path) {
            Some(id) if !id.is_empty() && id.len() <= MAX_ID => id.to_owned(),
            Some(_) => {
                return Err(LineError::new(format!("its {path} does not have 1 to {MAX_ID} bytes")));
            }
            None => return Err(LineError::new(format!("it has no text in {path}"))),
        };
        let time = match document.get("@timestamp") {
            Some(Json::String(text)) => timestamp::parse_value(text).ok(),
            Some(Json::Number(number)) => timestamp::parse_value(&number.to_string()).ok(),
            _ => None,
        };
        Ok(Entry { kind, id, time, document })
    }

    /// Returns how bad the alert is; `None` where it does not say.
    pub fn severity(&self) -> Option<Severity> {
        readable::severity(&self.document)
    }

    /// Whether the alert is of the rule `wanted`: its `rule.id`, or part of its `rule.name` in any case.
    pub fn is_of_rule(&self, wanted: &str) -> bool {
        let text = |path| readable::get(&self.document, path).and_then(Json::as_str);
        text("rule.id") == Some(wanted)
            || text("rule.name").is_some_and(|name| name.to_lowercase().contains(&wanted.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &[u8]) -> String {
        Entry::parse(line).expect_err("no alert").to_string()
    }

    #[test]
    fn what_is_no_alert_says_why() {
        assert!(refused(b"not json").starts_with("not an alert: expected ident"));
        assert!(refused(b"[]").contains("expected a map"));
        assert!(
            refused(b"{\"event\":{\"kind\":\"alert\xff\"}}").starts_with("not an alert: invalid unicode")
        );
        assert!(refused(&b"{\"a\":".repeat(10_000)).contains("recursion limit"));
        for (line, expected) in [
            ("{}", "not an alert: it has no event.kind"),
            (r#"{"event":"alert"}"#, "not an alert: it has no event.kind"),
            (r#"{"event":{"kind":["alert"]}}"#, "not an alert: it has no event.kind"),
            (r#"{"event":{"kind":"state"}}"#, r#"not an alert: its event.kind is "state""#),
            (r#"{"event":{"kind":"alert"}}"#, "it has no text in event.id"),
            (r#"{"event":{"kind":"alert","id":7}}"#, "it has no text in event.id"),
            (r#"{"event":{"kind":"alert","id":""}}"#, "its event.id does not have 1 to 256 bytes"),
            (r#"{"event":{"kind":"enrichment","id":"a"}}"#, "it has no text in vedette.follows"),
        ] {
            assert_eq!(refused(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn other_types_than_expected_are_missing_values() {
        let line = br#"{"@timestamp":{},"event":{"kind":"alert","id":"a1","severity":"high"},"rule":[1]}"#;
        let entry = Entry::parse(line).expect("an alert");
        assert_eq!((entry.kind, entry.id.as_str(), entry.time), (Kind::Alert, "a1", None));
        assert_eq!(entry.severity(), None);
        assert!(!entry.is_of_rule(""));
    }

    #[test]
    fn a_rule_is_its_id_or_part_of_its_name() {
        let line = br#"{"@timestamp":5,"event":{"kind":"alert","id":"a1","severity":73},"rule":{"id":"R-1","name":"Shell Starts"}}"#;
        let entry = Entry::parse(line).expect("an alert");
        assert_eq!((entry.time, entry.severity()), (Some(5_000_000), Some(Severity::High)));
        for (wanted, expected) in
            [("R-1", true), ("r-1", false), ("shell", true), ("starts", true), ("curl", false)]
        {
            assert_eq!(entry.is_of_rule(wanted), expected, "{wanted}");
        }
    }
}
