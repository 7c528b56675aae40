//! What `packaging/ship` gives to shippers and to Elasticsearch: the index template is made from the sensor's own table
//! of fields, agrees with ECS, and knows every field of every document that the tests expect.
//!
//! `UPDATE_EXPECT=1 cargo test --test ship` writes the template anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value as Json, json};
use vedette::schema::{FIELDS, Kind};

/// Elasticsearch refuses a whole document for one keyword of more than 32,766 bytes in UTF-8, and a character has at
/// most four. Whoever writes an argument of a megabyte must not get an alert refused by it.
const IGNORE_ABOVE: u32 = 8191;

/// Fields of documents that are not events' own, with their types: agent/alert.rs, agent/health.rs, agent/budget.rs.
const OF_DOCUMENTS: &[(&str, &str)] = &[
    ("event.id", "keyword"),
    ("event.risk_score", "float"),
    ("event.severity", "long"),
    ("message", "match_only_text"),
    ("rule.description", "keyword"),
    ("rule.id", "keyword"),
    ("rule.name", "keyword"),
    ("rule.reference", "keyword"),
    ("rule.ruleset", "keyword"),
    ("rule.version", "keyword"),
    ("threat.framework", "keyword"),
    ("threat.tactic.id", "keyword"),
    ("threat.tactic.name", "keyword"),
    ("threat.tactic.reference", "keyword"),
    ("threat.technique.id", "keyword"),
    ("threat.technique.name", "keyword"),
    ("threat.technique.reference", "keyword"),
    ("threat.technique.subtechnique.id", "keyword"),
    ("threat.technique.subtechnique.name", "keyword"),
    ("threat.technique.subtechnique.reference", "keyword"),
    ("vedette.follows", "keyword"),
    ("vedette.gap", "boolean"),
    ("vedette.join_keys.field", "keyword"),
    ("vedette.join_keys.value", "keyword"),
    ("vedette.related_dropped", "long"),
    ("vedette.relation", "keyword"),
    // Whole events and the like: one field each, however much is in them, so that no document makes new fields.
    ("vedette.events", "flattened"),
    ("vedette.health", "flattened"),
    ("vedette.left_out", "flattened"),
    ("vedette.process_tree", "flattened"),
    ("vedette.related", "flattened"),
];

/// What is not in ECS and stands under Elastic's own names, which Elastic's sensor uses too.
const ELASTICS_OWN: &[&str] = &["Effective_process.", ".Ext."];

#[test]
fn the_index_template_is_made_from_the_table_of_fields() {
    let path = root().join("packaging/ship/elasticsearch/index-template.json");
    let mut text = serde_json::to_string_pretty(&template()).expect("JSON");
    text.push('\n');
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &text).expect("a writable template");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{} is old; UPDATE_EXPECT=1 cargo test --test ship writes it anew",
        path.display()
    );
}

#[test]
fn every_field_is_of_ecs_with_its_type_or_said_not_to_be() {
    let ecs = ecs();
    let mut wrong = Vec::new();
    for field in FIELDS {
        let own =
            field.path.starts_with("vedette.") || ELASTICS_OWN.iter().any(|part| field.path.contains(part));
        match ecs.get(field.path) {
            _ if own => {}
            None => wrong.push(format!("{} is not in ECS", field.path)),
            Some(kind) if !agrees(field.kind, kind) => wrong.push(format!("{} is {kind} in ECS", field.path)),
            Some(_) => {}
        }
    }
    for (path, kind) in OF_DOCUMENTS.iter().filter(|(path, _)| !path.starts_with("vedette.")) {
        if ecs.get(*path).map(String::as_str) != Some(kind) {
            wrong.push(format!("{path} is {:?} in ECS", ecs.get(*path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every leaf of every alert that the recordings give has a place in the template. `hostile-text` and the like are
/// among them.
#[test]
fn every_field_of_an_alert_is_mapped() {
    let mapped: BTreeMap<String, String> = fields();
    let mut missing = BTreeSet::new();
    let mut documents = 0;
    for case in fs::read_dir(root().join("tests/data/replay")).expect("recordings").flatten() {
        let Ok(text) = fs::read_to_string(case.path().join("alerts.ndjson")) else { continue };
        for line in text.lines() {
            let document: Json = serde_json::from_str(line).expect("an alert");
            documents += 1;
            leaves(&document, "", &mapped, &mut missing);
        }
    }
    assert!(documents > 50, "only {documents} alerts were found");
    // A recording may be a document of somebody else's sensor, whose own fields are kept.
    missing.retain(|path| path != "event.outcome");
    assert!(missing.is_empty(), "not in the template: {missing:?}");
}

#[test]
fn configurations_of_other_programs_are_of_their_languages() {
    let folder = root().join("packaging/ship");
    let workflows = "../../.github/workflows";
    let workflows = ["linux.yml", "macos.yml"].map(|name| format!("{workflows}/{name}"));
    let shippers = ["filebeat.yml", "elastic-agent.yml", "fluent-bit.yaml"].map(str::to_owned);
    for name in shippers.iter().chain(&workflows) {
        let text = fs::read_to_string(folder.join(name)).expect(name);
        let events = Parser::new_from_str(&text).collect::<Result<Vec<_>, _>>();
        let events = events.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mapping = events.iter().any(|(event, _)| matches!(event, Event::MappingStart(..)));
        assert!(mapping, "{name} holds nothing");
    }
    let vector = fs::read_to_string(folder.join("vector.toml")).expect("vector.toml");
    let vector: toml::Table = toml::from_str(&vector).expect("TOML");
    let sources = vector["sources"].as_table().expect("sources");
    let sinks = vector["sinks"].as_table().expect("sinks");
    let transforms = vector["transforms"].as_table().expect("transforms");
    for node in transforms.values().chain(sinks.values()) {
        for input in node["inputs"].as_array().expect("inputs") {
            let input = input.as_str().expect("a name");
            assert!(sources.contains_key(input) || transforms.contains_key(input), "{input} is nowhere");
        }
    }
}

/// Each shipper reads the files that the sensor writes, the rotated plain ones too, and no others.
#[test]
fn every_shipper_reads_the_sensors_files() {
    for name in ["vector.toml", "filebeat.yml", "elastic-agent.yml", "fluent-bit.yaml"] {
        let text = fs::read_to_string(root().join("packaging/ship").join(name)).expect(name);
        for file in ["alerts.ndjson", "health.ndjson"] {
            let path = format!("/Library/Logs/Vedette/{file}");
            assert!(text.contains(&path), "{name} does not name {path}");
            assert!(
                text.contains(&format!("{path}.1")),
                "{name} would lose what is rotated away unread: {path}.1"
            );
        }
    }
}

fn template() -> Json {
    let mut properties = Map::new();
    for (path, kind) in fields() {
        let mapping = match kind.as_str() {
            "keyword" => json!({ "type": "keyword", "ignore_above": IGNORE_ABOVE }),
            "flattened" => json!({ "type": "flattened", "ignore_above": IGNORE_ABOVE, "depth_limit": 20 }),
            kind => json!({ "type": kind }),
        };
        insert(&mut properties, &path, mapping);
    }
    json!({
        "index_patterns": ["logs-vedette.*-*"],
        "priority": 500,
        "data_stream": {},
        "_meta": {
            "description": "Alerts, enrichments and health documents of Vedette. Made from its table of fields; see docs/ship.md.",
        },
        "template": {
            "settings": {
                "index": {
                    // One odd value must not get the whole document refused.
                    "mapping": { "ignore_malformed": true, "total_fields": { "limit": 1000 } },
                    "query": { "default_field": ["message", "rule.name", "host.name", "process.name", "process.command_line"] },
                },
            },
            "mappings": {
                // Shippers add fields of their own; what the sensor writes is all below.
                "dynamic": true,
                "date_detection": false,
                "dynamic_templates": [
                    { "texts": { "match_mapping_type": "string", "mapping": { "type": "keyword", "ignore_above": IGNORE_ABOVE } } },
                ],
                "properties": properties,
            },
        },
    })
}

/// Path and Elasticsearch's type of each field, as ECS has it where ECS has it.
fn fields() -> BTreeMap<String, String> {
    let ecs = ecs();
    let own = FIELDS.iter().map(|field| {
        let kind = ecs.get(field.path).cloned().unwrap_or_else(|| name(field.kind).to_owned());
        (field.path.to_owned(), kind)
    });
    own.chain(OF_DOCUMENTS.iter().map(|(path, kind)| ((*path).to_owned(), (*kind).to_owned()))).collect()
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Keyword => "keyword",
        Kind::Long => "long",
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::Ip => "ip",
    }
}

/// Returns whether values of a kind of ours are values of an ECS type.
fn agrees(kind: Kind, ecs: &str) -> bool {
    name(kind) == ecs || kind == Kind::Keyword && matches!(ecs, "wildcard" | "constant_keyword")
}

fn ecs() -> HashMap<String, String> {
    let text =
        fs::read_to_string(root().join("tests/data/ship/ecs-fields.tsv")).expect("the list of ECS fields");
    let rows = text.lines().filter_map(|line| line.split_once('\t'));
    rows.map(|(field, kind)| (field.to_owned(), kind.to_owned())).collect()
}

fn insert(properties: &mut Map<String, Json>, path: &str, mapping: Json) {
    match path.split_once('.') {
        None => {
            properties.insert(path.to_owned(), mapping);
        }
        Some((first, rest)) => {
            let object = properties.entry(first).or_insert_with(|| json!({ "properties": {} }));
            let inner = object["properties"].as_object_mut().expect("no field is both a value and an object");
            insert(inner, rest, mapping);
        }
    }
}

fn leaves(value: &Json, path: &str, mapped: &BTreeMap<String, String>, missing: &mut BTreeSet<String>) {
    if mapped.contains_key(path) {
        return;
    }
    match value {
        Json::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, &path, mapped, missing);
            }
        }
        Json::Array(values) => values.iter().for_each(|value| leaves(value, path, mapped, missing)),
        _ => {
            missing.insert(path.to_owned());
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
