//! Finding the rules that an event may match, and nothing else: events that are there already, rules of which hardly any
//! matches.

use anyhow::bail;
use eql::{Engine, EngineOptions, FieldId, Options, Program, Record, Schema, Value};

use crate::rules::{self, Order};

/// How many different events there are; they come again and again.
const EVENTS: u64 = 1_000;

/// An event of few fields, by the fields' numbers.
#[derive(Clone)]
struct Event {
    number: u64,
    category: &'static str,
    values: std::rc::Rc<[Option<String>]>,
}

impl Record for Event {
    fn time(&self) -> i64 {
        self.number as i64 * 1_000_000
    }

    fn category(&self) -> Value<'_> {
        Value::Str(self.category)
    }

    fn get(&self, field: FieldId) -> Value<'_> {
        Value::from(self.values.get(field.index()).and_then(Option::as_deref))
    }

    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

/// Shows `events` events to the seed rule and 999 others, and returns how many sequences matched.
pub(crate) fn run(events: u64) -> anyhow::Result<usize> {
    let mut schema = Schema::new();
    let mut engine = Engine::new(EngineOptions::default());
    let generated = (1..1_000).map(|number| rules::generated(number, Order::Action));
    for query in std::iter::once(rules::SEED.to_owned()).chain(generated) {
        match Program::new(&query, &mut schema, &Options::default()) {
            Ok(program) => engine.add(program),
            Err(problems) => bail!("a rule does not compile: {problems:?}: {query}"),
        };
    }
    let mut records: Vec<Event> = (0..EVENTS).map(|number| event(number, &schema)).collect();
    let mut found = Vec::new();
    for number in 0..events {
        let record = &mut records[(number % EVENTS) as usize];
        record.number = number;
        engine.push(record, &mut found);
    }
    Ok(found.len())
}

/// Every third is a connection; one in fifty of the others is what a rule begins with.
fn event(number: u64, schema: &Schema) -> Event {
    let is_flow = number % 3 == 2;
    let name = if number.is_multiple_of(50) { format!("tool-{number}") } else { format!("program-{number}") };
    let value = |path: &str| {
        let text = match path {
            "event.type" => "start",
            "event.action" if is_flow => "connection_attempted",
            "event.action" => "exec",
            "process.name" => &name,
            "process.parent.name" => "zsh",
            "host.id" => "mac-1",
            "user.id" => "501",
            _ => return None,
        };
        Some(text.to_owned())
    };
    let values = schema.paths().map(|(_, path)| value(path)).collect();
    Event { number, category: if is_flow { "network" } else { "process" }, values }
}
