//! A query and events: no panic, and the state stays within its bound.
//!
//! Text at random is seldom a query that runs, so most inputs are a sequence put together from parts.
#![no_main]

use std::fmt::Write;
use std::sync::Arc;

use eql::{Engine, EngineOptions, FieldId, Lineage, Options, Program, Record, Scalar, Schema, Value};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
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

/// A query, as text or in parts: each byte chooses one of a few.
#[derive(Arbitrary, Debug)]
enum Query<'a> {
    Text(&'a str),
    Event(Filter),
    Sequence { shared: u8, maxspan: u8, terms: Vec<Term>, until: Option<Term>, pipe: u8 },
    Sample { shared: u8, terms: Vec<Term> },
}

#[derive(Arbitrary, Debug)]
struct Term {
    missing: bool,
    filter: Filter,
    key: u8,
    runs: u8,
}

#[derive(Arbitrary, Clone, Debug)]
struct Filter {
    category: u8,
    conditions: [u8; 2],
    negated: bool,
    any: bool,
}

impl Query<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        let keys = ["", "by f0 ", "by f1, ?f2 ", "by ?f3 "];
        let terms = |text: &mut String, terms: &[Term], own_keys: bool| {
            for (index, term) in terms.iter().take(6).enumerate() {
                term.write(text, index, own_keys);
            }
        };
        match self {
            Query::Text(query) => text.push_str(query),
            Query::Event(filter) => filter.write(&mut text, 0),
            Query::Sequence { shared, maxspan, terms: list, until, pipe } => {
                let spans = ["", "with maxspan=1s ", "with maxspan=20s ", "with maxspan=3d "];
                let _ = write!(text, "sequence {}{}", choose(&keys, *shared), choose(&spans, *maxspan));
                terms(&mut text, list, shared % 2 == 0);
                if let Some(until) = until {
                    text.push_str(" until ");
                    let until =
                        Term { missing: false, runs: 0, filter: until.filter.clone(), key: until.key };
                    until.write(&mut text, 0, shared % 2 == 0);
                }
                text.push_str(choose(&["", "", " | head 2", " | tail 2"], *pipe));
            }
            Query::Sample { shared, terms: list } => {
                let _ = write!(text, "sample {}", choose(&keys, shared | 1));
                terms(&mut text, list, false);
            }
        }
        text
    }
}

impl Term {
    fn write(&self, text: &mut String, index: usize, own_keys: bool) {
        text.push_str(if self.missing { "![" } else { "[" });
        self.filter.write(text, index);
        text.push(']');
        if own_keys {
            text.push_str(choose(&[" by f0", " by f1", " by ?f2"], self.key));
        }
        if self.runs > 200 {
            let _ = write!(text, " with runs={}", self.runs % 5 + 1);
        } else if self.runs > 150 && !self.missing {
            let _ = write!(text, " as event{index}");
        }
        text.push(' ');
    }
}

impl Filter {
    fn write(&self, text: &mut String, index: usize) {
        text.push_str(choose(&["process", "network", "file", "a", "any"], self.category));
        text.push_str(if self.negated { " where not (" } else { " where (" });
        let [first, second] = self.conditions;
        condition(text, first, index);
        text.push_str(if self.any { " or " } else { " and " });
        condition(text, second, index);
        text.push(')');
    }
}

fn condition(text: &mut String, byte: u8, index: usize) {
    let alias = index.saturating_sub(1);
    let related = ["descendant", "child", "event"][usize::from(byte) % 3];
    let fixed = [
        "true",
        "true",
        "true",
        "f0 == 1",
        "f1 : \"a*b\"",
        "f2 != null",
        "f3 in~ (\"a\", \"BASH\", 3)",
        "f4 > f0",
        "length(f1) + 1 < 5",
        "f2 == 10 / f0",
        "cidrMatch(f1, \"10.0.0.0/8\")",
        "f3 regex~ \"a+|b?\"",
        "f4 like (\"*a*a*b\", \"?\")",
        "?f1 == ?f2",
        "startsWith~(f1, f2)",
        "substring(f3, -1, f0) == \"b\"",
        "between(f1, \"a\", \"b\", true) == f2",
        "number(f3, 16) % f0 == 1",
        "-f0 <= 5.5",
        "indexOf(f1, f2) == 0",
        "concat(f0, f1, f2) : \"*b\"",
        "stringContains(string(f0), \"1\")",
        "f0 == null",
        "endsWith(f2, f1)",
        "modulo(f0, f1) == divide(f2, f3)",
        "add(f0, f1) == subtract(multiply(f2, f3), f4)",
    ];
    let _ = match usize::from(byte) {
        at if at < fixed.len() => write!(text, "{}", fixed[at]),
        at if at < 60 => write!(text, "f{} == event{alias}.f{}", at % 5, at % 3),
        at if at < 80 => write!(text, "{related} of [any where f{} == 1]", at % 5),
        at if at < 100 => write!(text, "concat(event{alias}.f{}, f0) : \"a*\"", at % 5),
        at => write!(text, "f{} == {}", at % 5, ["1", "\"a\"", "true", "\"\"", "2.5"][at / 5 % 5]),
    };
}

fn choose<T: Copy>(from: &[T], byte: u8) -> T {
    from[usize::from(byte) % from.len()]
}

fuzz_target!(|input: (Query<'_>, Vec<[u8; 8]>)| {
    let (query, events) = input;
    let query = &query.text();
    let mut schema = Schema::new();
    let lineage = Lineage { entity: "e".to_owned(), parent: "p".to_owned(), ancestry: "a".to_owned() };
    let options = Options { lineage: Some(lineage), ..Options::default() };
    let Ok(program) = Program::new(query, &mut schema, &options) else { return };
    let mut engine = Engine::new(EngineOptions { partial_bytes: LIMIT, follow: true });
    engine.add(program.clone());
    let mut out = Vec::new();
    for bytes in events.iter().take(500) {
        // Now and then the program is exchanged for itself, or for one with less in it.
        match bytes[2] {
            250.. => {
                engine.reload(vec![(Some(0), program.clone())], &mut out);
            }
            245.. => {
                let kept =
                    text_of_first(query).and_then(|text| Program::new(&text, &mut schema, &options).ok());
                engine.reload(vec![(Some(0), kept.unwrap_or_else(|| program.clone()))], &mut out);
            }
            _ => {}
        }
        engine.push(&event(bytes), &mut out);
        assert!(engine.status().partial_bytes <= LIMIT);
        out.clear();
    }
    engine.finish(&mut out);
});

/// The query without its last term, if it has more than one.
fn text_of_first(query: &str) -> Option<String> {
    let mut tree = eql::parse(query).ok()?;
    if let eql::ast::Body::Sequence(sequence) = &mut tree.body {
        sequence.terms.pop()?;
    }
    Some(tree.to_string())
}

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
