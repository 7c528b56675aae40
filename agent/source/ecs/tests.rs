use std::collections::BTreeMap;

use eql::Schema;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::observation::{Excerpt, Selection, Texts};
use crate::schema::FIELDS;

const PATHS: [&str; 10] = [
    "event.category",
    "event.type",
    "process.pid",
    "process.name",
    "process.parent.name",
    "process.args",
    "process",
    "destination.port",
    "score",
    "@timestamp",
];

fn schema() -> Schema {
    let mut schema = Schema::new();
    for path in PATHS {
        schema.intern(path);
    }
    schema
}

fn recording() -> Wanted {
    Wanted::recording(schema().paths())
}

fn document(line: &str) -> Document {
    decode(line, &mut recording(), &mut Found::default()).unwrap().unwrap()
}

/// Decodes `rest` in a document with a timestamp; one text per field, in the order of the schema.
fn fields_of(rest: &str) -> Vec<String> {
    let document = document(&format!(r#"{{"@timestamp":"2026-11-24T08:00:00Z",{rest}}}"#));
    let schema = schema();
    let fields = document.values.fields().filter(|id| schema.path(*id) != "@timestamp");
    fields.map(|id| format!("{} {}", schema.path(id), text(document.get(id)))).collect()
}

fn text(value: eql::Value<'_>) -> String {
    match value {
        eql::Value::Missing => "missing".to_owned(),
        eql::Value::Bool(value) => value.to_string(),
        eql::Value::Int(value) => value.to_string(),
        eql::Value::Float(value) => format!("{value:?}"),
        eql::Value::Str(value) => format!("{value:?}"),
        eql::Value::List(many) => {
            let texts: Vec<String> = many.iter().map(|scalar| text(scalar.into())).collect();
            format!("[{}]", texts.join(", "))
        }
    }
}

fn failure(line: &str) -> String {
    decode(line, &mut recording(), &mut Found::default()).unwrap_err().to_string()
}

#[test]
fn nested_dotted_and_mixed_keys_are_the_same() {
    let expected = ["process.pid 7", r#"process.parent.name "sh""#];
    for rest in [
        r#""process":{"pid":7,"parent":{"name":"sh"}}"#,
        r#""process.pid":7,"process.parent.name":"sh""#,
        r#""process":{"parent.name":"sh","pid":7}"#,
        r#""process.parent":{"name":"sh"},"process":{"pid":7,"hash":{"pid":8}}"#,
        r#""process.parent":{"name.":"x","name":"sh"},"process":[{"pid":7}],"process..pid":9"#,
    ] {
        assert_eq!(fields_of(rest), expected, "{rest}");
    }
}

#[test]
fn values_have_their_types() {
    for (value, expected) in [
        ("true", "true"),
        ("-3", "-3"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9.223372036854776e18"),
        ("-9223372036854775809", "-9.223372036854776e18"),
        ("1e3", "1000.0"),
        ("0.5", "0.5"),
        (r#""7""#, r#""7""#),
        (r#""\u00e9\n""#, r#""é\n""#),
        ("[1,\"a\",null,true]", r#"[1, "a", true]"#),
        ("[[1],[[2]],3]", "[1, 2, 3]"),
        ("[7]", "7"),
        ("[null,7]", "7"),
    ] {
        assert_eq!(fields_of(&format!(r#""score":{value}"#)), [format!("score {expected}")], "{value}");
    }
    for nothing in ["null", "[]", "[null,[]]", "{}", r#"{"x":1}"#] {
        assert!(fields_of(&format!(r#""score":{nothing}"#)).is_empty(), "{nothing}");
    }
}

#[test]
fn objects_in_arrays_and_repeated_keys_are_flattened() {
    for (rest, expected) in [
        (
            r#""process":[{"pid":1},{"pid":2,"name":"a"},{"name":"b"}]"#,
            vec!["process.pid [1, 2]", r#"process.name ["a", "b"]"#],
        ),
        (r#""process.pid":1,"process":{"pid":[2,3]}"#, vec!["process.pid [1, 2, 3]"]),
        (r#""score":1,"score":2"#, vec!["score [1, 2]"]),
        (r#""process":["whole",{"pid":1}]"#, vec!["process.pid 1", r#"process "whole""#]),
        // The object holds nothing, and its key is no value of the array.
        (r#""process":[{"pid":null},"a","b"]"#, vec![r#"process ["a", "b"]"#]),
    ] {
        assert_eq!(fields_of(rest), expected, "{rest}");
    }
}

#[test]
fn a_document_keeps_its_line_time_and_tick() {
    let line = r#"{"@timestamp":"2026-11-24T08:00:00.5Z","vedette":{"tick":123},"score":1}"#;
    let document = document(line);
    assert_eq!((document.line(), document.time, document.tick), (line, 1_795_507_200_500_000_000, Some(123)));
    let id = schema().id("score").unwrap();
    assert_eq!(document.get(id), eql::Value::Int(1));
    assert_eq!(document.get(schema().id("process.pid").unwrap()), eql::Value::Missing);
}

#[test]
fn times_are_rfc_3339_or_milliseconds() {
    for (value, nanos) in [
        (r#""2026-11-24T09:00:00+01:00""#, 1_795_507_200_000_000_000),
        ("1795507200000", 1_795_507_200_000_000_000),
        ("1795507200000.25", 1_795_507_200_000_250_000),
        (r#""1795507200000""#, 1_795_507_200_000_000_000),
        (r#"["2026-11-24T08:00:00Z"]"#, 1_795_507_200_000_000_000),
        ("[null,1,2]", 1_000_000),
        ("0", 0),
        ("-1", -1_000_000),
    ] {
        assert_eq!(document(&format!(r#"{{"@timestamp":{value}}}"#)).time, nanos, "{value}");
    }
    for (value, reason) in [
        (
            r#""0001-01-01T00:00:00Z""#,
            r#"@timestamp: "0001-01-01T00:00:00Z" is a time outside the years 1677 to 2262"#,
        ),
        (r#""9999-12-31T23:59:59Z""#, "outside the years"),
        ("292277026596000", "@timestamp: 292277026596000 is a time outside the years"),
        ("99999999999999999999", "outside the years"),
        ("1e300", "outside the years"),
        (r#""now""#, r#"@timestamp: "now" is not a time"#),
        ("true", "@timestamp: true is not a time"),
        ("null", "no @timestamp"),
        ("[]", "no @timestamp"),
        (r#"{"x":1}"#, "no @timestamp"),
    ] {
        let error = failure(&format!(r#"{{"@timestamp":{value}}}"#));
        assert!(error.contains(reason), "{reason} is not in: {error}");
    }
    assert!(
        failure(r#"{"message":"hello"}"#)
            .contains("no @timestamp; expected an RFC 3339 time or milliseconds")
    );
}

#[test]
fn alerts_states_and_enrichments_are_told_apart() {
    let decode = |kind: &str, wanted: &mut Wanted| {
        let line = format!(r#"{{"@timestamp":0,"event":{{"kind":{kind}}}}}"#);
        decode(&line, wanted, &mut Found::default()).unwrap().err()
    };
    for (kind, expected) in [
        (r#""alert""#, Some(NotEvaluated::Alert)),
        (r#"["alert"]"#, Some(NotEvaluated::Alert)),
        (r#""state""#, Some(NotEvaluated::State)),
        (r#""enrichment""#, Some(NotEvaluated::Enrichment)),
        (r#""event""#, None),
        (r#""Alert""#, None),
        ("1", None),
    ] {
        assert_eq!(decode(kind, &mut recording()), expected, "{kind}");
        assert_eq!(decode(kind, &mut Wanted::raw("@timestamp", [])), None, "{kind}");
        if let Some(found) = expected {
            assert!(kind.contains(found.as_str()));
        }
    }
    // They need no time.
    let line = r#"{"event.kind":"state"}"#;
    assert_eq!(
        super::decode(line, &mut recording(), &mut Found::default()).unwrap().err(),
        Some(NotEvaluated::State)
    );
}

#[test]
fn a_raw_document_has_the_time_that_is_named() {
    let mut wanted = Wanted::raw("log.when", schema().paths());
    let mut found = Found::default();
    let line = r#"{"log":{"when":"5"},"@timestamp":"text","vedette.tick":"text","score":2}"#;
    let document = decode(line, &mut wanted, &mut found).unwrap().unwrap();
    assert_eq!((document.time, document.tick), (5_000_000, None));
    assert_eq!(document.values.fields().count(), 2);
    let error = decode(r#"{"@timestamp":1}"#, &mut wanted, &mut found).unwrap_err().to_string();
    assert!(error.contains("no log.when"), "{error}");
}

#[test]
fn what_was_found_before_is_forgotten() {
    let mut wanted = recording();
    let mut found = Found::default();
    decode(r#"{"@timestamp":1,"score":1,"vedette.tick":1,"event.kind":"alert"}"#, &mut wanted, &mut found)
        .unwrap()
        .unwrap_err();
    decode(r#"{"@timestamp":1,"score":1,"vedette.tick":1,"process":{"pid":}"#, &mut wanted, &mut found)
        .unwrap_err();
    let document = decode(r#"{"@timestamp":2}"#, &mut wanted, &mut found).unwrap().unwrap();
    assert_eq!((document.time, document.tick, document.values.fields().count()), (2_000_000, None, 1));
    decode(r#"{"score":1}"#, &mut wanted, &mut found).unwrap_err();
}

#[test]
fn bad_documents_are_refused() {
    for (line, reason) in [
        ("", "EOF while parsing"),
        ("\0\0\0", "expected value"),
        ("[]", "expected a JSON object"),
        ("7", "expected a JSON object"),
        (r#"{"@timestamp":0"#, "EOF while parsing an object"),
        (r#"{"@timestamp":0} x"#, "trailing characters"),
        (r#"{"@timestamp":0,"score":1e999}"#, "number out of range"),
        (r#"{"@timestamp":0,"score":"\ud800"}"#, "hex escape"),
        (r#"{"@timestamp":0,"vedette":{"tick":1.5}}"#, "vedette.tick: expected a whole number"),
        (r#"{"@timestamp":0,"vedette":{"tick":"1"}}"#, "vedette.tick: expected a whole number"),
    ] {
        let error = failure(line);
        assert!(error.contains(reason), "{reason} is not in: {error}");
        assert!(error.starts_with("document: ") && error.contains("(column "), "{error}");
    }
    // Nobody reads these.
    assert_eq!(fields_of(r#""x":1e999,"y":"\ud800","score":1"#), ["score 1"]);
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(fields_of(&format!(r#""unwanted":{deep},"score":1"#)), ["score 1"]);
    assert!(failure(&format!(r#"{{"@timestamp":0,"score":{deep}}}"#)).contains("recursion limit"));
    assert!(failure(&r#"{"process":"#.repeat(100_000)).contains("EOF"));
    let dotted = vec!["process"; 100_000].join(".");
    assert_eq!(fields_of(&format!(r#""{dotted}":1,"score":1"#)), ["score 1"]);
}

#[test]
fn how_many_texts_a_list_has_is_seen_where_lines_are_alike_but_for_that() {
    let mut lists = [
        r#"["a"]"#,
        r#"["a","b"]"#,
        r#"["a","b","c"]"#,
        r#"[null,"a"]"#,
        r#"[null,"a","b"]"#,
        r#"[null,"a","b","c","d"]"#,
        r#"["a","\n","b","c"]"#,
        r#"["a","b","\n","c"]"#,
        r#"[{"x":1},"a"]"#,
        r#"[{"x":1},"a","b"]"#,
        r#"[{"x":1},"a","b","c","d"]"#,
        r#"[["a","b"],"c","d","e"]"#,
        r#"["a",["b","c","d"],{"x":["y","z"]},"e","f","g"]"#,
    ]
    .map(str::to_owned)
    .to_vec();
    // More than lines of one shape have.
    for one in ["7", "\"\\n\"", "{\"x\":7}", "\"a\""] {
        lists.push(format!("[{}]", vec![one; 1000].join(",")));
    }
    let mut wanted = recording();
    // Often enough that what comes again is passed over at one stroke.
    for turn in 0..100 {
        for list in &lists {
            let line = format!(r#"{{"@timestamp":{TIME},"process":{{"args":{list},"pid":{turn}}}}}"#);
            assert!(decode_by_steps(&line, &mut wanted, &mut Found::default()).is_some(), "{line}");
            agree(&line, &mut wanted).unwrap();
        }
    }
}

/// A document as a list of entries, so that it can be written with or without dots.
#[derive(Clone, Debug)]
enum Json {
    Scalar(Value),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

fn json() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| Value::from(number)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof!["[abc]", "event", "process", "parent", "name", "pid", "args"];
    scalar.prop_map(Json::Scalar).prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(Json::Object),
        ]
    })
}

/// Writes a document; `dots` says for each object that is alone under its key whether the two become one
/// dotted key.
fn write(json: &Json, dots: &mut impl FnMut() -> bool, out: &mut String) {
    match json {
        Json::Scalar(value) => out.push_str(&value.to_string()),
        Json::List(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, dots, out);
            }
            out.push(']');
        }
        Json::Object(entries) => {
            out.push('{');
            write_entries("", entries, dots, out);
            if out.ends_with(',') {
                out.pop();
            }
            out.push('}');
        }
    }
}

fn write_entries(
    prefix: &str,
    entries: &[(String, Json)],
    dots: &mut impl FnMut() -> bool,
    out: &mut String,
) {
    for (key, value) in entries {
        let key = format!("{prefix}{key}");
        match value {
            Json::Object(inner) if !inner.is_empty() && dots() => {
                write_entries(&format!("{key}."), inner, dots, out);
            }
            _ => {
                out.push_str(&format!("{}:", Value::from(key)));
                write(value, dots, out);
                out.push(',');
            }
        }
    }
}

/// The plain way to say what a document's fields are.
fn flatten(path: &str, json: &Json, into: &mut BTreeMap<String, Vec<Value>>) {
    match json {
        Json::Scalar(Value::Null) => {}
        Json::Scalar(value) => into.entry(path.to_owned()).or_default().push(value.clone()),
        Json::List(list) => list.iter().for_each(|item| flatten(path, item, into)),
        Json::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, into);
            }
        }
    }
}

fn expected(value: &Value) -> Scalar {
    match value {
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Scalar::Int(number),
            None => Scalar::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => Scalar::from(text.as_str()),
        other => panic!("{other} is no scalar"),
    }
}

/// With the type, and with the sign of zero.
fn text_of(value: eql::Value<'_>) -> String {
    format!("{value:?}")
}

/// Pieces of documents: whole entries and values more often than what breaks them.
fn fragment() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "event",
        "category",
        "event.category",
        "kind",
        "process",
        "pid",
        "name",
        "parent",
        "parent.name",
        "args",
        "score",
        "@timestamp",
        "vedette.tick",
        "x",
        "na\\u006de",
        "",
        ".",
        "process.",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "0",
            "-0",
            "7",
            "-7",
            "01",
            "1.",
            ".5",
            "1.5",
            "1e3",
            "1E+3",
            "1e",
            "-",
            "1e999",
            "123456789012345678",
            "1234567890123456789",
            "9223372036854775808",
            "-9223372036854775809",
            "0.1",
            "true",
            "false",
            "null",
            "nul",
            "\"\"",
            "\"a\"",
            "\"alert\"",
            "\"caf\u{e9} sh\"",
            "\"2026-11-24T08:00:00Z\"",
            "\"a\\n\\u00e9\"",
            "\"\\ud800\"",
            "\"\\ud83d\\ude00\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a\tb\"",
            "\"eight by\"",
            "\"seven b\\\"",
            "\"long enough for words\\/\"",
        ])
        .prop_map(str::to_owned),
        "\"\\PC{0,20}\"",
    ];
    prop_oneof![
        4 => (key.clone(), value.clone()).prop_map(|(key, value)| format!("\"{key}\":{value},")),
        2 => (key.clone(), value.clone()).prop_map(|(key, value)| format!("\"{key}\" : {value} ")),
        2 => (key.clone(), prop::collection::vec(value.clone(), 0..4))
            .prop_map(|(key, values)| format!("\"{key}\":[{}],", values.join(" ,"))),
        2 => (key.clone(), key, value.clone()).prop_map(|(one, two, value)| format!("\"{one}\":{{\"{two}\":{value}}},")),
        2 => value,
        2 => prop::sample::select(vec!["{", "}", "[", "]", ",", ":", " ", "\"", "\t", "{}", "[]"]).prop_map(str::to_owned),
    ]
}

/// A time as documents have it that are read by steps.
const TIME: &str = r#""2026-11-24T08:00:00Z""#;

/// A text of fragments, and lines of which it is a part.
fn lines_of(fragments: &[String], picks: &[prop::sample::Index]) -> [String; 3] {
    let text: String = picks.iter().map(|pick| &*fragments[pick.index(fragments.len())]).collect();
    let entries = text.trim_end_matches(',');
    let plain = format!("{{\"@timestamp\":{TIME},{entries}}}");
    let nested = format!("{{\"process\":{entries},\"@timestamp\":{TIME}}}");
    [text, plain, nested]
}

/// What one pass takes, serde_json takes too, and finds the same in it.
fn agree(line: &str, wanted: &mut Wanted) -> Result<(), TestCaseError> {
    let mut found = Found::default();
    let Some(values) = decode_by_steps(line, wanted, &mut found) else { return Ok(()) };
    let mut other = Found::default();
    let expected = decode_by_serde(line, wanted, &mut other)
        .map_err(|error| TestCaseError::fail(format!("{line}: {error}")))?;
    prop_assert_eq!((found.time, found.tick, found.kind), (other.time, other.tick, other.kind), "{}", line);
    prop_assert!(values.fields().eq(expected.fields()), "{}", line);
    for id in expected.fields() {
        let (one, other) = (values.get(id), expected.get(id));
        prop_assert_eq!(text_of(one), text_of(other), "{}", line);
    }
    // In the memory of another one.
    let (mut excerpt, before) = (Excerpt::default(), "{\"a\":[\"\\n\",7],\"b\":\"x\"}");
    let before = decode_by_steps(before, wanted, &mut Found::default());
    let mut texts = Texts::default();
    before.into_iter().for_each(|before| _ = excerpt.renew(&before, &EVERY_OTHER, &mut texts));
    if !excerpt.renew(&values, &EVERY_OTHER, &mut texts) {
        return Ok(());
    }
    prop_assert!(excerpt.is_of(&values, &EVERY_OTHER), "{}", line);
    let kept = excerpt.values();
    for id in expected.fields() {
        let expected = if EVERY_OTHER.has(id) { values.get(id) } else { eql::Value::Missing };
        prop_assert_eq!(text_of(kept.get(id)), text_of(expected), "{}", line);
    }
    Ok(())
}

/// Some of the fields of any schema.
static EVERY_OTHER: Selection = {
    let mut fields = [false; FIELDS.len()];
    let mut field = 0;
    while field < fields.len() {
        fields[field] = field % 2 == 0;
        field += 1;
    }
    Selection::new(0, fields)
};

proptest! {
    #[test]
    fn every_way_of_writing_gives_the_fields_of_the_plain_flattener(
        entries in prop::collection::vec(("[abc]|event|process", json()), 0..5),
        choices in prop::collection::vec(any::<bool>(), 1..32),
    ) {
        let mut flat = BTreeMap::new();
        let document = Json::Object(entries);
        flatten("", &document, &mut flat);

        // Every field is wanted, and some that do not occur.
        let mut schema = Schema::new();
        schema.intern("process.parent.none");
        for path in flat.keys() {
            schema.intern(path);
        }
        let mut wanted = Wanted::raw("time", schema.paths());

        let mut choice = choices.iter().cycle();
        for dots in [&mut (|| false) as &mut dyn FnMut() -> bool, &mut || true, &mut || *choice.next().unwrap()] {
            let mut line = String::new();
            write(&document, &mut &mut *dots, &mut line);
            let line = line.replacen('{', if line == "{}" { r#"{"time":1"# } else { r#"{"time":1,"# }, 1);

            let decoded = decode(&line, &mut wanted, &mut Found::default()).unwrap().unwrap();
            prop_assert!(decoded.values.fields().is_sorted());
            let found: BTreeMap<_, _> = decoded.values.fields().map(|id| {
                let values = match decoded.get(id) {
                    eql::Value::List(many) => many.to_vec(),
                    single => single.to_scalar().into_iter().collect(),
                };
                (schema.path(id).to_owned(), values)
            }).collect();
            let flat: BTreeMap<_, Vec<_>> =
                flat.iter().map(|(path, values)| (path.clone(), values.iter().map(expected).collect())).collect();
            prop_assert_eq!(found, flat, "{}", line);
        }
    }

    /// What one pass takes, serde_json takes too, and finds the same in it.
    #[test]
    fn steps_and_serde_agree(
        fragments in prop::collection::vec(fragment(), 1..24),
        lines in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..40), 1..4),
    ) {
        let mut wanted = recording();
        for picks in lines {
            for line in lines_of(&fragments, &picks) {
                agree(&line, &mut wanted)?;
            }
        }
    }

    /// The same where lines come again and again and little in them changes, which is then compared at one stroke.
    #[test]
    fn steps_and_serde_agree_on_what_comes_again(
        documents in prop::collection::vec(prop::collection::vec(("[abc]|event|process", json()), 1..6), 1..4),
        order in prop::collection::vec((any::<prop::sample::Index>(), 1..120usize), 1..6),
    ) {
        let mut schema = Schema::new();
        let mut flat = BTreeMap::new();
        let objects: Vec<Json> = documents.into_iter().map(Json::Object).collect();
        objects.iter().for_each(|document| flatten("", document, &mut flat));
        flat.keys().for_each(|path| _ = schema.intern(path));
        schema.intern("changes");
        let mut wanted = Wanted::raw("time", schema.paths());
        for (index, times) in order {
            let first = index.index(objects.len());
            for turn in 0..times {
                // Now and then another comes between, and a value that changes is seldom, often or always the same.
                let document = &objects[(first + usize::from(turn % 7 == 6)) % objects.len()];
                let mut line = String::new();
                write(document, &mut || false, &mut line);
                let changing = [turn, turn % 2, turn / 50][first % 3];
                let line = line.replacen('{', &format!("{{\"time\":{TIME},\"changes\":{changing},"), 1);
                agree(&line, &mut wanted)?;
            }
        }
    }

    #[test]
    fn any_text_is_answered(line in "\\PC{0,40}") {
        let _ = decode(&line, &mut recording(), &mut Found::default());
    }
}
