//! Records for tests: NDJSON documents with nested or dotted keys.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use eql::{
    Diagnostic, Engine, EngineOptions, FieldId, Lineage, Options, Outcome, Program, Record, Scalar, Schema,
    Value,
};

/// A document, its time (`@timestamp`, milliseconds), its category (`event_type`) and the fields of a schema.
#[derive(Clone, Debug)]
pub(crate) struct Event(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    document: serde_json::Value,
    time: i64,
    category: Vec<Scalar>,
    fields: Vec<Vec<Scalar>>,
    likeness: u64,
}

/// The field of the category, the first of each schema.
const CATEGORY: FieldId = FieldId(0);

/// Returns a schema for documents.
#[allow(dead_code, reason = "not every test that shares this module needs it")]
pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new();
    assert_eq!(schema.intern("event_type"), CATEGORY);
    schema
}

impl Event {
    pub(crate) fn new(document: serde_json::Value, schema: &Schema) -> Self {
        let time = document["@timestamp"].as_i64().unwrap_or(0).saturating_mul(1_000_000);
        let category = scalars(find(&document, "event_type"));
        let fields: Vec<Vec<Scalar>> =
            schema.paths().map(|(_, path)| scalars(find(&document, path))).collect();
        // Every other field is shared with documents that have the same there.
        let mut hasher = DefaultHasher::new();
        fields.iter().step_by(2).for_each(|field| format!("{field:?}").hash(&mut hasher));
        Event(Arc::new(Inner { document, time, category, fields, likeness: hasher.finish() }))
    }

    pub(crate) fn id(&self) -> i64 {
        self.0.document["id"].as_i64().unwrap_or(-2)
    }
}

impl Record for Event {
    fn time(&self) -> i64 {
        self.0.time
    }

    fn category(&self) -> Value<'_> {
        Value::List(&self.0.category)
    }

    fn get(&self, field: FieldId) -> Value<'_> {
        match self.0.fields.get(field.index()).map(Vec::as_slice) {
            None | Some([]) => Value::Missing,
            Some([single]) => Value::from(single),
            Some(several) => Value::List(several),
        }
    }

    fn category_field() -> Option<FieldId> {
        Some(CATEGORY)
    }

    fn is_list(field: FieldId) -> bool {
        field.index() % 3 == 1
    }

    fn likeness(&self) -> Option<u64> {
        Some(self.0.likeness)
    }

    fn is_shared(&self, field: FieldId) -> bool {
        field.index().is_multiple_of(2)
    }

    fn weight(&self) -> usize {
        256
    }
}

/// Options with a process tree as these documents have it.
#[allow(dead_code, reason = "not every test that shares this module needs it")]
pub(crate) fn options() -> Options {
    let lineage =
        Lineage { entity: "entity".to_owned(), parent: "parent".to_owned(), ancestry: "ancestry".to_owned() };
    Options { lineage: Some(lineage), ..Options::default() }
}

/// Runs a query over documents and returns the ids of each match, -1 in the slot of a missing event.
#[allow(dead_code, reason = "not every test that shares this module needs it")]
pub(crate) fn hunt(query: &str, documents: &[serde_json::Value]) -> Result<Vec<Vec<i64>>, Vec<Diagnostic>> {
    let mut schema = schema();
    let program = Program::new(query, &mut schema, &options())?;
    let mut engine = Engine::new(EngineOptions::default());
    engine.add(program);
    let mut outcomes = Vec::new();
    for document in documents {
        engine.push(&Event::new(document.clone(), &schema), &mut outcomes);
    }
    engine.finish(&mut outcomes);
    Ok(outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Match(found) => {
                Some(found.events.iter().map(|event| event.as_ref().map_or(-1, Event::id)).collect())
            }
            Outcome::Followed { .. } => None,
        })
        .collect())
}

/// Returns for each document whether it satisfies an event query, which is asked of it alone.
#[allow(dead_code, reason = "not every test that shares this module needs it")]
pub(crate) fn matching(query: &str, documents: &[serde_json::Value]) -> Result<Vec<bool>, Vec<Diagnostic>> {
    let mut schema = schema();
    let program = Program::new(query, &mut schema, &options())?;
    let events = documents.iter().map(|document| Event::new(document.clone(), &schema));
    Ok(events.map(|event| program.matches(&event)).collect())
}

/// Runs queries side by side and exchanges them for themselves, in the opposite order, before the events at `moments`;
/// returns what each found, sorted.
#[allow(dead_code, reason = "not every test that shares this module needs it")]
pub(crate) fn hunt_reloading(
    queries: &[String],
    documents: &[serde_json::Value],
    moments: &[usize],
) -> Result<Vec<(usize, Vec<i64>)>, Vec<Diagnostic>> {
    let mut schema = schema();
    let programs: Result<Vec<Program>, _> =
        queries.iter().map(|query| Program::new(query, &mut schema, &options())).collect();
    let programs = programs?;
    let mut engine = Engine::new(EngineOptions { follow: true, ..EngineOptions::default() });
    programs.iter().for_each(|program| {
        engine.add(program.clone());
    });
    // Which query each of the engine's programs is.
    let mut order: Vec<usize> = (0..queries.len()).collect();
    let mut found = Vec::new();
    let mut outcomes = Vec::new();
    let mut take = |outcomes: &mut Vec<Outcome<Event>>, order: &[usize]| {
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::Match(found_one) => {
                    let ids =
                        found_one.events.iter().map(|event| event.as_ref().map_or(-1, Event::id)).collect();
                    found.push((order[found_one.program], ids));
                }
                Outcome::Followed { program, events, .. } => {
                    let ids = events.iter().map(|event| -10 - event.id()).collect();
                    found.push((order[program], ids));
                }
            }
        }
    };
    for (index, document) in documents.iter().enumerate() {
        for _ in moments.iter().filter(|moment| **moment == index) {
            let next: Vec<_> = order
                .iter()
                .enumerate()
                .rev()
                .map(|(old, query)| (Some(old), programs[*query].clone()))
                .collect();
            engine.reload(next, &mut outcomes);
            take(&mut outcomes, &order);
            order.reverse();
        }
        engine.push(&Event::new(document.clone(), &schema), &mut outcomes);
        take(&mut outcomes, &order);
    }
    engine.finish(&mut outcomes);
    take(&mut outcomes, &order);
    found.sort();
    Ok(found)
}

fn find<'v>(value: &'v serde_json::Value, path: &str) -> Option<&'v serde_json::Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(at, _)| find(value.get(&path[..at])?, &path[at + 1..]))
}

fn scalars(value: Option<&serde_json::Value>) -> Vec<Scalar> {
    match value {
        None | Some(serde_json::Value::Null | serde_json::Value::Object(_)) => Vec::new(),
        Some(serde_json::Value::Bool(value)) => vec![Scalar::Bool(*value)],
        Some(serde_json::Value::Number(number)) => match number.as_i64() {
            Some(number) => vec![Scalar::Int(number)],
            None => number.as_f64().map(Scalar::Float).into_iter().collect(),
        },
        Some(serde_json::Value::String(text)) => vec![Scalar::from(text.as_str())],
        Some(serde_json::Value::Array(values)) => {
            values.iter().flat_map(|value| scalars(Some(value))).collect()
        }
    }
}
