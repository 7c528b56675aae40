//! Runs an EQL query over NDJSON from standard input: a line of output for each match.
//!
//! ```text
//! echo '{"@timestamp":1,"event_type":"process","pid":7}' |
//!   cargo run --example hunt -- 'process where pid == 7'
//! ```
//! Events have `@timestamp` in milliseconds and their category in `event_type`.

use std::io::BufRead;
use std::sync::Arc;

use eql::{
    Engine, EngineOptions, FieldId, Options, Outcome, Position, Program, Record, Scalar, Schema, Value,
};

/// A record is the event's text and the values of the fields that the query reads.
#[derive(Clone)]
struct Event(Arc<(serde_json::Value, Vec<Vec<Scalar>>)>);

impl Record for Event {
    fn time(&self) -> i64 {
        self.0.0["@timestamp"].as_i64().unwrap_or(0).saturating_mul(1_000_000)
    }

    fn category(&self) -> Value<'_> {
        Value::from(self.0.0["event_type"].as_str())
    }

    fn get(&self, field: FieldId) -> Value<'_> {
        self.0.1.get(field.index()).map_or(Value::Missing, |values| Value::List(values))
    }

    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let query = std::env::args().nth(1).ok_or("usage: hunt QUERY < EVENTS")?;
    let mut schema = Schema::new();
    let program = match Program::new(&query, &mut schema, &Options::default()) {
        Ok(program) => program,
        Err(diagnostics) => {
            for diagnostic in diagnostics {
                eprint!("{}", diagnostic.render("query", Position::START, &query));
            }
            std::process::exit(1);
        }
    };
    let mut engine = Engine::new(EngineOptions::default());
    engine.add(program);
    let mut outcomes = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let event: serde_json::Value = serde_json::from_str(&line?)?;
        let fields = schema.paths().map(|(_, path)| scalars(find(&event, path))).collect();
        engine.push(&Event(Arc::new((event, fields))), &mut outcomes);
    }
    engine.finish(&mut outcomes);
    for outcome in outcomes {
        if let Outcome::Match(found) = outcome {
            let events: Vec<_> = found.events.iter().map(|e| e.as_ref().map(|e| &e.0.0)).collect();
            println!("{}", serde_json::json!({ "events": events }));
        }
    }
    Ok(())
}

/// Finds a path in a document whose keys may be nested or dotted.
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
