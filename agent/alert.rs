//! Alerts: one ECS document for a match, and one for what followed it.

use std::fmt::Write;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use eql::{FieldId, Record, Scalar, Value};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::event::{Event, Process};
use crate::rule::Rule;
use crate::schema::{Node, Object};
use crate::{schema, timestamp};

/// A document that a sink delivers: an alert or an enrichment of one.
#[derive(Clone, Debug)]
pub struct Alert {
    /// `event.id` of an alert; for an enrichment that of the alert which it follows.
    pub id: String,
    /// What the document is.
    pub kind: AlertKind,
    /// The rule.
    pub rule: Arc<Rule>,
    /// The whole document as [`json_line`] has it, for that is all that most are wanted for.
    line: String,
    /// The same, once somebody has asked for it.
    document: OnceLock<Map<String, Json>>,
}

/// What an [`Alert`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertKind {
    /// A rule matched (`event.kind: alert`).
    Alert,
    /// More came after a match (`event.kind: enrichment`).
    Enrichment,
    /// How many alerts of a rule were left out (`event.kind: enrichment`, `vedette.left_out`).
    Summary,
}

/// What an alert is made of.
pub struct Matched<'a> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// The matched events in order; `None` in the slot of a missing one.
    pub events: &'a [Option<Event>],
    /// The join keys: each field's path and value, `None` for null.
    pub join_keys: &'a [(String, Option<Scalar>)],
    /// Whether events were lost between the first and the last.
    pub gap: bool,
    /// Returns the image that a process had, by its entity id, as the table knows it.
    pub process: &'a mut dyn FnMut(&str) -> Option<Rc<Process>>,
}

/// The fields of events that an alert's identity is made of.
pub const READ: [FieldId; 6] = [
    schema::id("event.category"),
    schema::id("event.action"),
    schema::id("process.entity_id"),
    schema::id("destination.ip"),
    schema::id("destination.port"),
    schema::id("destination.domain"),
];

/// The version of ECS that documents of the sensor's own follow.
const ECS_VERSION: &str = "9.0.0";

/// How many ancestors a process tree shows; of more, the farthest are left out.
const MAX_TREE: usize = 32;

/// Makes the alert for a match. A match without any event, which no rule gives, makes none.
pub fn alert(matched: Matched<'_>) -> Option<Alert> {
    let Matched { rule, events, join_keys, gap, process } = matched;
    let present: Vec<&Event> = events.iter().flatten().collect();
    let last = *present.last()?;
    let id = id(rule, join_keys, &present);
    let nested: Vec<Option<Object<'_>>> =
        events.iter().map(|event| event.as_ref().map(schema::nested)).collect();
    let mut document = nested.iter().flatten().last()?.clone();
    let tree = process_tree(last, process);
    document.put("@timestamp", Node::text(&timestamp::format(last.time)));
    document.object("ecs").put_if_absent("version", || Node::text(ECS_VERSION));
    let event = document.object("event");
    event.put("kind", Node::text("alert"));
    event.put("id", Node::text(&id));
    event.put("severity", Json::from(rule.severity.number()).into());
    event.put("risk_score", Json::from(rule.risk_score).into());
    event.put("module", Node::text("vedette"));
    event.put("dataset", Node::text("vedette.alert"));
    document.put("rule", rule_object(rule).into());
    // What a recorded document says under `threat` is not what this rule says.
    document.remove("threat");
    if !rule.threat.is_empty() {
        document.put("threat", Json::from(rule.threat.clone()).into());
    }
    let keys =
        join_keys.iter().map(|(field, value)| json!({ "field": field, "value": json_of(value.as_ref()) }));
    let vedette = document.object("vedette");
    vedette.put("join_keys", keys.map(Node::from).collect());
    vedette.put("events", nested.into_iter().map(|event| event.map_or(Node::NULL, Node::Object)).collect());
    vedette.put("process_tree", tree.into_iter().map(Node::from).collect());
    vedette.put("relation", Node::text(relation(&present)));
    vedette.put("gap", Json::from(gap).into());
    let line = line(&document);
    Some(Alert { id, kind: AlertKind::Alert, rule: rule.clone(), line, document: OnceLock::new() })
}

/// Makes the document of the events that satisfied a rule's last term after it had matched.
///
/// `follows` is the alert's `event.id`; `dropped` counts events beyond those kept.
pub fn enrichment(rule: &Arc<Rule>, follows: &str, events: &[Event], dropped: u64) -> Option<Alert> {
    let last = events.last()?;
    let own = own_document(
        last.time,
        "enrichment",
        json!({
            "host": { "id": last.get(schema::id("host.id")).as_str() },
            "vedette": {
                "follows": follows,
                "related_dropped": dropped,
            },
        }),
    );
    let mut document = Object::from(own);
    let related = events.iter().map(|event| Node::Object(schema::nested(event)));
    document.object("vedette").put("related", related.collect());
    let (id, line) = (follows.to_owned(), line(&document));
    Some(Alert { id, kind: AlertKind::Enrichment, rule: rule.clone(), line, document: OnceLock::new() })
}

/// Makes a document that the sensor says of its own accord: `@timestamp`, `ecs.version`, `event.kind`, `event.module`
/// and `event.dataset`, and the objects of `rest`, which must be one.
pub fn own_document(time: i64, kind: &str, rest: Json) -> Map<String, Json> {
    let dataset = if kind == "state" { "vedette.health" } else { "vedette.alert" };
    let mut document = Map::new();
    document.insert("@timestamp".into(), timestamp::format(time).into());
    object(&mut document, "ecs").insert("version".into(), ECS_VERSION.into());
    let event = object(&mut document, "event");
    event.insert("kind".into(), kind.into());
    event.insert("module".into(), "vedette".into());
    event.insert("dataset".into(), dataset.into());
    if let Json::Object(rest) = rest {
        for (key, value) in rest {
            match value {
                Json::Object(inner) => object(&mut document, &key).extend(inner),
                value => {
                    document.insert(key, value);
                }
            }
        }
    }
    document
}

impl Alert {
    /// Makes one of its document.
    pub fn new(id: String, kind: AlertKind, rule: Arc<Rule>, document: Map<String, Json>) -> Self {
        Alert { id, kind, rule, line: json_line(&document), document: document.into() }
    }

    /// Returns the whole document.
    pub fn document(&self) -> &Map<String, Json> {
        self.document.get_or_init(|| serde_json::from_str(&self.line).expect("JSON that was written here"))
    }

    /// Returns the document as one line of JSON, without a line break: [`json_line`].
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Changes the document.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Map<String, Json>)) {
        self.document();
        if let Some(document) = self.document.get_mut() {
            change(document);
            self.line = json_line(document);
        }
    }
}

/// Returns a document as [`json_line`] does.
fn line(document: &Object<'_>) -> String {
    let mut line = String::with_capacity(USUAL_LINE);
    document.write(&mut line);
    escaped(line)
}

/// How many bytes most alerts have at most.
const USUAL_LINE: usize = 8 << 10;

/// Returns a document as one line of JSON, without a line break.
///
/// Beyond what JSON asks for, whatever a terminal or a reader of lines could take for more than a character
/// is escaped: DEL and C1 controls, line separators, bidirectional and invisible marks. All of them can only
/// stand in strings, so the line says the same.
pub fn json_line(document: &impl Serialize) -> String {
    escaped(serde_json::to_string(document).expect("a document has texts for keys, and no writer to fail"))
}

/// Escapes in JSON without line breaks what [`json_line`] does.
pub(crate) fn escaped(json: String) -> String {
    // Of ASCII a serializer leaves nothing but DEL that needs it, and most documents are no more than that.
    let may_deceive = |byte: u8| !(b' '..0x7f).contains(&byte);
    if !json.bytes().fold(false, |any, byte| any | may_deceive(byte)) {
        return json;
    }
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        if is_deceptive(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line
}

/// Whether a character acts on a terminal or on how text is read, instead of being seen.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `event.id`: the same for the same match, whoever finds it and when.
pub(crate) fn id(rule: &Rule, join_keys: &[(String, Option<Scalar>)], events: &[&Event]) -> String {
    let mut hash = Sha256::new();
    // Each part ends with a byte that UTF-8 does not have, so that no two lists of parts read alike.
    let mut part = |text: &str| {
        hash.update(text.as_bytes());
        hash.update([0xff]);
    };
    part(&rule.id);
    part(&rule.version);
    for (field, value) in join_keys {
        part(field);
        part(&json_of(value.as_ref()).to_string());
    }
    for event in events {
        part(&event.time.to_string());
        for field in READ {
            part(&schema::json(event.get(field)).to_string());
        }
    }
    let digest = hash.finalize();
    digest.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn rule_object(rule: &Rule) -> Json {
    let mut object = json!({
        "id": rule.id,
        "name": rule.name,
        "version": rule.version,
        "description": rule.description,
        "ruleset": rule.ruleset,
    });
    if let Some(reference) = rule.references.first() {
        object["reference"] = reference.clone().into();
    }
    object
}

/// `descendant` where all matched processes share one install session.
fn relation(events: &[&Event]) -> &'static str {
    let session = |event: &&Event| event.process()?.package.as_ref().map(|p| p.session.clone());
    let mut sessions = events.iter().map(session);
    let first = sessions.next().flatten();
    match first {
        Some(first) if sessions.all(|session| session.as_ref() == Some(&first)) => "descendant",
        _ => "key_only",
    }
}

/// The process of an event with its ancestors, the root first, before them the responsible process.
fn process_tree(event: &Event, lookup: &mut dyn FnMut(&str) -> Option<Rc<Process>>) -> Vec<Json> {
    let Some(process) = event.process() else { return Vec::new() };
    let mut ancestors: Vec<Rc<Process>> = Vec::new();
    for (index, entity) in process.ancestry.iter().take(MAX_TREE).enumerate() {
        let Some(entity) = entity.as_str() else { continue };
        let own_parent = event.parent().cloned().filter(|parent| index == 0 && *parent.entity_id == *entity);
        let found = own_parent
            .or_else(|| lookup(entity))
            .unwrap_or_else(|| Rc::new(Process { entity_id: entity.into(), ..Process::default() }));
        ancestors.push(found);
    }
    if ancestors.is_empty() {
        ancestors.extend(event.parent().cloned());
    }
    let responsible = event
        .effective_parent()
        .into_iter()
        .filter(|responsible| !ancestors.iter().any(|ancestor| ancestor.entity_id == responsible.entity_id))
        .map(|process| (process, "responsible"));
    responsible
        .chain(ancestors.iter().rev().map(|process| (process, "ancestor")))
        .chain(std::iter::once((process, "self")))
        .map(|(process, relation)| tree_node(process, relation))
        .collect()
}

fn tree_node(process: &Process, relation: &str) -> Json {
    let mut node = Map::new();
    node.insert("relation".into(), relation.into());
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            node.insert(key.into(), value);
        }
    };
    put("entity_id", Some(&*process.entity_id).filter(|id| !id.is_empty()).map(Json::from));
    // A process of which nothing but its id is known has no pid either.
    put("pid", Some(process.pid).filter(|pid| *pid != 0 || process.executable().is_some()).map(Json::from));
    put("name", process.name().map(Json::from));
    put("executable", process.executable().map(Json::from));
    put("command_line", process.command_line().map(Json::from));
    put("command_line_truncated", process.command_line_truncated().then(|| true.into()));
    put(
        "user",
        process.user.as_ref().map(|user| match &user.name {
            Some(name) => json!({ "id": &*user.id, "name": &**name }),
            None => json!({ "id": &*user.id }),
        }),
    );
    Json::Object(node)
}

fn object<'m>(document: &'m mut Map<String, Json>, key: &str) -> &'m mut Map<String, Json> {
    let entry = document.entry(key).or_insert_with(|| Json::Object(Map::new()));
    if !entry.is_object() {
        // A recorded document may hold anything under the name.
        *entry = Json::Object(Map::new());
    }
    match entry {
        Json::Object(object) => object,
        _ => unreachable!("made an object just now"),
    }
}

fn json_of(value: Option<&Scalar>) -> Json {
    value.map_or(Json::Null, |value| schema::json(Value::from(value)))
}
