//! A query and events, both any: no panic, and the state stays within its bound.
#![no_main]

use std::sync::Arc;

use eql::{Engine, EngineOptions, FieldId, Lineage, Options, Program, Record, Scalar, Schema, Value};
use libfuzzer_sys::fuzz_target;

#[derive(Clone)]
struct Event {
    time: i64,
    category: &'static str,
    values: Arc<[Vec<Scalar>]>,
}

impl Record for Event {
    fn time(&self) -> i64 {
        self.time
    }

    fn category(&self) -> Value<'_> {
        Value::Str(self.category)
    }

    fn get(&self, field: FieldId) -> Value<'_> {
        self.values.get(field.index() % 5).map_or(Value::Missing, |values| match values.as_slice() {
            [] => Value::Missing,
            [single] => Value::from(single),
            several => Value::List(several),
        })
    }

    fn weight(&self) -> usize {
        100
    }
}

const LIMIT: usize = 64 << 10;

fuzz_target!(|input: (&str, Vec<[u8; 8]>)| {
    let (query, events) = input;
    let mut schema = Schema::new();
    let lineage = Lineage { entity: "e".to_owned(), parent: "p".to_owned(), ancestry: "a".to_owned() };
    let options = Options { lineage: Some(lineage), ..Options::default() };
    let Ok(program) = Program::new(query, &mut schema, &options) else { return };
    let mut engine = Engine::new(EngineOptions { partial_bytes: LIMIT, follow: true });
    engine.add(program);
    let mut out = Vec::new();
    for bytes in events.iter().take(500) {
        engine.push(&event(bytes), &mut out);
        assert!(engine.status().partial_bytes <= LIMIT);
        out.clear();
    }
    engine.finish(&mut out);
});

fn event(bytes: &[u8; 8]) -> Event {
    let time = match bytes[0] {
        255 => i64::MAX,
        254 => i64::MIN,
        offset => i64::from(offset) * 1_000_000_000,
    };
    let category = ["process", "network", "file", "a"][usize::from(bytes[1]) % 4];
    let scalar = |byte: u8| match byte % 8 {
        0 => Scalar::Int(i64::from(byte) - 100),
        1 => Scalar::Float(f64::from(byte) / 3.0),
        2 => Scalar::Bool(byte > 100),
        3 => Scalar::from("10.0.0.1"),
        4 => Scalar::from("ÄbC\n"),
        5 => Scalar::Int(i64::MAX),
        6 => Scalar::from(""),
        _ => Scalar::from(["a", "b", "aab", "bash"][usize::from(byte / 8) % 4]),
    };
    let values = bytes[3..].iter().map(|byte| match byte {
        0..60 => vec![],
        60..90 => vec![scalar(*byte), scalar(byte.wrapping_mul(7)), scalar(byte.wrapping_mul(13))],
        byte => vec![scalar(*byte)],
    });
    Event { time, category, values: values.collect() }
}
