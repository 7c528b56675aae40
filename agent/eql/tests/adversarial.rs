//! Input chosen to cost much: state stays within its bound, and nothing is quadratic.
//!
//! No test measures time; a quadratic step here would take hours instead of seconds. Miri, which interprets every
//! step, would take days, so these are left out there.

#![cfg(not(miri))]

use std::sync::Arc;

use eql::{Engine, EngineOptions, FieldId, Options, Outcome, Program, Record, Scalar, Schema, Value};

/// An event with a category and one field, `k`.
#[derive(Clone)]
struct Event {
    time: i64,
    category: &'static str,
    key: Arc<[Scalar]>,
}

impl Record for Event {
    fn time(&self) -> i64 {
        self.time
    }

    fn category(&self) -> Value<'_> {
        Value::Str(self.category)
    }

    fn get(&self, _: FieldId) -> Value<'_> {
        Value::List(&self.key)
    }

    fn weight(&self) -> usize {
        200
    }

    fn protected(&self) -> bool {
        self.category == "kept"
    }
}

fn event(time: i64, category: &'static str, key: i64) -> Event {
    Event { time, category, key: [Scalar::Int(key)].into() }
}

fn engine(queries: &[&str], partial_bytes: usize) -> Engine<Event> {
    let mut schema = Schema::new();
    let mut engine = Engine::new(EngineOptions { partial_bytes, follow: true });
    for query in queries {
        engine.add(Program::new(query, &mut schema, &Options::default()).unwrap());
    }
    engine
}

fn matches(outcomes: &[Outcome<Event>]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Match(_))).count()
}

#[test]
fn a_million_keys_stay_within_the_bound() {
    let limit = 1 << 20;
    let mut engine = engine(&["sequence by k with maxspan=1h [a where true] [b where true]"], limit);
    let mut out = Vec::new();
    for key in 0..1_000_000 {
        engine.push(&event(key, "a", key), &mut out);
        assert!(engine.status().partial_bytes <= limit + 1024);
    }
    let status = engine.status();
    assert_eq!(status.partials as u64 + status.evicted, 1_000_000);
    // The newest are there, the oldest are gone.
    engine.push(&event(1_000_000, "b", 999_999), &mut out);
    engine.push(&event(1_000_000, "b", 0), &mut out);
    assert_eq!(matches(&out), 1);
}

#[test]
fn protected_partials_go_last() {
    let query = "sequence by k with maxspan=1h [any where true] [b where true]";
    let mut engine = engine(&[query], 100_000);
    let mut out = Vec::new();
    engine.push(&event(0, "kept", -1), &mut out);
    for key in 0..100_000 {
        engine.push(&event(key, "a", key), &mut out);
    }
    assert!(engine.status().evicted > 90_000);
    engine.push(&event(100_000, "b", -1), &mut out);
    assert_eq!(matches(&out), 1);
}

#[test]
fn partials_that_never_complete_expire() {
    let mut engine = engine(&["sequence by k with maxspan=1micros [a where true] [b where true]"], 16 << 20);
    let mut out = Vec::new();
    for key in 0..200_000 {
        engine.push(&event(key * 100, "a", key), &mut out);
    }
    let status = engine.status();
    assert!(status.partials < 100, "{status:?}");
    assert_eq!(status.evicted, 0);
}

#[test]
fn overwritten_partials_leave_nothing_behind() {
    let mut engine = engine(&["sequence by k with maxspan=1d [a where true] [b where true]"], 16 << 20);
    let mut out = Vec::new();
    for time in 0..1_000_000 {
        engine.push(&event(time, "a", time % 2), &mut out);
    }
    assert_eq!(engine.status().partials, 2);
}

#[test]
fn one_time_for_all_events() {
    let queries = [
        "sequence by k with maxspan=1s [a where true] ![b where true] [a where true]",
        "sequence with maxspan=1s ![b where true] [a where true] ![b where true]",
        "sequence by k with maxspan=1s [a where true] [a where true] until [b where true]",
        "sequence by k with maxspan=1s [a where true] with runs=10 [b where true]",
    ];
    let mut engine = engine(&queries, 16 << 20);
    let mut out = Vec::new();
    for number in 0..300_000 {
        engine.push(&event(5, if number % 3 == 0 { "b" } else { "a" }, number % 7), &mut out);
        out.clear();
    }
    engine.finish(&mut out);
    assert!(engine.status().partials < 200);
}

#[test]
fn a_far_future_event_expires_nothing() {
    let mut engine = engine(&["sequence by k with maxspan=30s [a where true] [b where true]"], 16 << 20);
    let mut out = Vec::new();
    engine.push(&event(1_000, "a", 1), &mut out);
    for _ in 0..10 {
        engine.push(&event(i64::MAX, "a", 2), &mut out);
        engine.push(&event(i64::MIN, "a", 3), &mut out);
    }
    engine.push(&event(2_000, "b", 1), &mut out);
    assert_eq!(matches(&out), 1);
}

#[test]
fn a_late_event_counts_at_its_own_time() {
    let mut engine = engine(&["sequence by k with maxspan=30s [a where true] [b where true]"], 16 << 20);
    let mut out = Vec::new();
    engine.push(&event(10, "a", 1), &mut out);
    // Older than the partial's last event: it neither completes nor uses it up.
    engine.push(&event(9, "b", 1), &mut out);
    assert_eq!(matches(&out), 0);
    // Older than the partial that waits: it does not replace it.
    engine.push(&event(5, "a", 1), &mut out);
    engine.push(&event(11, "b", 1), &mut out);
    let Some(Outcome::Match(found)) = out.first() else { panic!("{}", out.len()) };
    assert_eq!(found.events[0].as_ref().unwrap().time, 10);
    assert_eq!(engine.status().late, 2);
}

#[test]
fn keys_of_many_values_are_cut_off_and_counted() {
    let many: Arc<[Scalar]> = (0..5_000).map(Scalar::Int).collect();
    let mut engine = engine(&["sequence by k, l, m [a where true] [b where true]"], 16 << 20);
    let mut out = Vec::new();
    engine.push(&Event { time: 1, category: "a", key: many }, &mut out);
    assert_eq!(engine.status().keys_left_out, 1);
    assert!(engine.status().partials <= 1024);
}

#[test]
fn events_after_a_match_are_gathered_until_its_window_closes() {
    let mut engine = engine(&["sequence by k with maxspan=30nanos [a where true] [b where true]"], 16 << 20);
    let mut out = Vec::new();
    for (time, category) in [(1, "a"), (2, "b"), (3, "b"), (32, "b"), (33, "b")] {
        engine.push(&event(time, category, 1), &mut out);
    }
    for time in 0..64 {
        engine.push(&event(100 + time, "c", 1), &mut out);
    }
    assert_eq!(matches(&out), 1);
    let followed = out.iter().find_map(|outcome| match outcome {
        Outcome::Followed { serial, events, .. } => {
            Some((*serial, events.iter().map(|e| e.time).collect::<Vec<_>>()))
        }
        Outcome::Match(_) => None,
    });
    assert_eq!(followed, Some((1, vec![3, 32])));
}

#[test]
fn hostile_rules_are_refused_with_a_reason() {
    let mut schema = Schema::new();
    let deep = format!("any where {}a == 1{}", "(".repeat(100_000), ")".repeat(100_000));
    let nots = format!("any where {}a == 1", "not ".repeat(100_000));
    let minus = format!("any where {}a == 1", "- ".repeat(100_000));
    let plus = format!("any where a == 1{}", " + 1".repeat(20_000));
    let list = format!("any where a in (1{})", ", 1".repeat(10_000));
    let brackets = format!("sequence {}", "[".repeat(50_000));
    let relations = format!("any where {}a == 1", "descendant of [any where ".repeat(5_000));
    let terms = format!("sequence {}", "[a where true] with runs=100 ".repeat(5));
    let huge = format!("any where a == \"{}\"", "x".repeat(1 << 20));
    let regex = "any where a regex \"((a{100}){100}){100}\"".to_owned();
    let pattern = format!("any where a like \"{}\"", "*a".repeat(10_000));
    for query in [deep, nots, minus, plus, list, brackets, relations, terms, huge, regex, pattern] {
        let diagnostics = Program::new(&query, &mut schema, &Options::default()).unwrap_err();
        assert!(!diagnostics.is_empty() && diagnostics.len() <= 50, "{}", &query[..40]);
    }
}

#[test]
fn what_waits_and_what_follows_is_bounded_in_bytes() {
    let queries = [
        "sequence by k with maxspan=1d [a where true] [b where true] ![c where true]",
        "sequence by k with maxspan=1d ![c where true] [a where true] [b where true]",
        "sequence by k with maxspan=1d [a where true] [b where true]",
    ];
    let mut engine = engine(&queries, 16 << 20);
    let mut out = Vec::new();
    let key: Arc<str> = "k".repeat(10_000).into();
    let mut matched = 0;
    for number in 0..3_000 {
        let key: Arc<[Scalar]> = [Scalar::from(&*format!("{number}{key}"))].into();
        for category in ["c", "a", "b", "b"] {
            let event = Event { time: number, category, key: key.clone() };
            engine.push(&event, &mut out);
        }
        matched += matches(&out);
        out.clear();
    }
    // Some 30 MB of keys have come by for each of the three, and 4 MB of each are kept.
    let status = engine.status();
    assert!(status.evicted > 2_000, "{status:?}");
    assert!(matched >= 3_000, "{matched}");
    engine.finish(&mut out);
    assert!(matches(&out) < 1_000, "{}", matches(&out));
}

#[test]
fn a_relation_forgets_its_oldest_processes() {
    let mut schema = Schema::new();
    let lineage = eql::Lineage { entity: "e".to_owned(), parent: "e".to_owned(), ancestry: "e".to_owned() };
    let options = Options { lineage: Some(lineage), ..Options::default() };
    let query = "b where event of [a where true]";
    let program = Program::new(query, &mut schema, &options).unwrap();
    let mut engine = Engine::new(EngineOptions::default());
    engine.add(program);
    let mut out = Vec::new();
    for entity in 0..1_000_000 {
        engine.push(&event(entity, "a", entity), &mut out);
    }
    engine.push(&event(1, "b", 0), &mut out);
    engine.push(&event(1, "b", 999_999), &mut out);
    assert_eq!(matches(&out), 1);
}

/// Found by fuzzing: combinations of a field of several values with itself.
#[test]
fn combinations_of_several_values_are_bounded() {
    let sum = format!("any where k{} == 1", " - k".repeat(100));
    let call = format!("any where {}k{} == \"x\"", "concat(k, ".repeat(60), ")".repeat(60));
    let mut engine = engine(&[&sum, &call], 16 << 20);
    let mut out = Vec::new();
    let key: Arc<[Scalar]> = [1, 2, 3].map(Scalar::Int).into();
    engine.push(&Event { time: 1, category: "a", key }, &mut out);
    assert!(out.len() <= 2);
    // All values of one field are looked at, however many.
    let mut engine = self::engine(&["any where k + 1 == 10000"], 16 << 20);
    let key: Arc<[Scalar]> = (0..10_000).map(Scalar::Int).collect();
    engine.push(&Event { time: 1, category: "a", key }, &mut out);
    assert!(!out.is_empty());
}
