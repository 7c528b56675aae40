use eql::Schema;

use super::*;
use crate::observation::MessageEvent;

const PROCESS: &str = r#"{"audit_token":[0,0,0,0,0,7,0,8],"executable":{"path":"/bin/sh"}}"#;

fn recording() -> Decoder {
    let mut schema = Schema::new();
    schema.intern("process.args");
    Decoder::recording(schema.paths(), false)
}

/// Names the form that `line` was read as, or the reason why it was not.
fn form(line: &str) -> String {
    match recording().decode(line) {
        Ok(Decoded::Observation(Observation::Message(message))) => match message.event {
            MessageEvent::Other(name) => format!("eslogger {name}"),
            _ => "eslogger".to_owned(),
        },
        Ok(Decoded::Observation(Observation::Document(_))) => "ecs".to_owned(),
        Ok(Decoded::NotEvaluated(kind)) => kind.as_str().to_owned(),
        Err(reason) => reason.to_string(),
    }
}

#[test]
fn lines_are_told_apart_one_by_one() {
    let time = r#""time":"2026-11-24T08:00:00.000000000Z""#;
    let message = |event: &str| {
        format!(r#"{{{time},"event_type":1,"mach_time":2,"process":{PROCESS},"event":{{{event}}}}}"#)
    };
    for (line, expected) in [
        (message(r#""exit":{"stat":0}"#), "eslogger"),
        (message(r#""open":{}"#), "eslogger open"),
        (r#"{"@timestamp":0,"process":{"args":["a"]}}"#.to_owned(), "ecs"),
        (r#" {"process.pid":1,"@timestamp":"2026-11-24T08:00:00Z"}"#.to_owned(), "ecs"),
        (r#"{"@timestamp":0,"event":{"kind":"alert"}}"#.to_owned(), "alert"),
        // Arguments that are the other form's keys.
        (
            r#"{"@timestamp":0,"process":{"args":["event_type","mach_time"]},"event":{},"event_type":"x"}"#
                .to_owned(),
            "ecs",
        ),
        (
            message(&format!(
                r#""exec":{{"target":{PROCESS},"args":["sh","@timestamp","{{\"@timestamp\":1}}"]}}"#
            )),
            "eslogger",
        ),
        (message(r#""exit":{"@timestamp":0,"stat":1}"#), "eslogger"),
        // What a log shipper makes of a message.
        (
            message(r#""exit":{"stat":0}"#).replacen('{', r#"{"@timestamp":"2026-11-24T08:00:01Z","#, 1),
            "eslogger",
        ),
    ] {
        assert_eq!(form(&line), expected, "{line}");
    }
}

#[test]
fn a_line_of_neither_form_is_told_what_was_expected() {
    for (line, reason) in [
        ("not json", "not JSON: "),
        ("\0", "not JSON: "),
        (r#"{"a":"#, "not JSON: "),
        ("{\"a\":1}}", "not JSON: trailing characters (column 8)"),
        ("[1]", "not a JSON object; expected an eslogger message or an ECS document"),
        ("7", "not a JSON object"),
        (
            "{}",
            "neither an eslogger message (it would have event_type, process and event) nor an ECS document",
        ),
        (r#"{"x":"@timestamp","y":"event_type"}"#, "neither an eslogger message"),
        (r#"{"x":["@timestamp"]}"#, "document: no @timestamp"),
        (r#"{"event_type":9,"process":{},"event":{}}"#, "eslogger message: process"),
        (r#"{"event_type":9,"process":{"audit_token":["#, "eslogger message: "),
        (r#"{"mach_time":9,"process":{"#, "eslogger message: "),
    ] {
        let found = form(line);
        assert!(found.starts_with(reason), "{line}: {found}");
    }
}

#[test]
fn a_raw_decoder_reads_any_schema() {
    let mut schema = Schema::new();
    schema.intern("kind");
    let mut decoder = Decoder::raw("when", schema.paths());
    for line in [
        r#"{"when":1,"kind":"x","event":{"kind":"alert"}}"#,
        r#"{"when":1,"kind":"x","event_type":9,"mach_time":1,"process":{},"event":{}}"#,
    ] {
        let Ok(Decoded::Observation(Observation::Document(document))) = decoder.decode(line) else {
            panic!("{line}")
        };
        assert_eq!((document.time, document.values.fields().count()), (1_000_000, 1));
    }
    assert!(decoder.decode(r#"{"@timestamp":1}"#).unwrap_err().to_string().contains("no when"));
}
