//! What an engine says of single terms, and what it counts.

mod support;

use eql::{Engine, EngineOptions, Outcome, Program, Scalar, Schema};
use serde_json::json;
use support::{Event, options, schema};

fn engine(query: &str, schema: &mut Schema) -> Engine<Event> {
    let mut engine = Engine::new(EngineOptions::default());
    engine.add(Program::new(query, schema, &options()).expect(query));
    engine
}

#[test]
fn a_term_is_judged_clause_by_clause() {
    let mut schema = schema();
    let query = "sequence by k, ?o with maxspan=10ms \
                 [a where v == 1 and (n == \"x\" or n == \"y\")] ![b where true] [c where v > 2] until [d where v == 9]";
    let engine = engine(query, &mut schema);
    let judge =
        |term: usize, document: serde_json::Value| engine.judge(0, term, &Event::new(document, &schema), &[]);
    let first = judge(0, json!({ "event_type": "a", "v": 1, "n": "z", "k": "left" })).expect("a term");
    let texts: Vec<(&str, bool)> = first
        .clauses
        .iter()
        .map(|clause| (&query[clause.span.start..clause.span.end], clause.holds))
        .collect();
    assert_eq!(texts, [("v == 1", true), ("(n == \"x\" or n == \"y\")", false)]);
    assert_eq!(first.keys, [vec![Some(Scalar::from("left")), None]]);
    assert!(first.of_category && !first.holds() && first.failed() == 1);
    // Another category, and no key where one must be.
    let other = judge(2, json!({ "event_type": "a", "v": 3 })).expect("a term");
    assert!(!other.of_category && !other.holds() && other.failed() == 0 && other.keys.is_empty());
    // `until` comes after the terms, and then there is nothing.
    assert!(judge(3, json!({ "event_type": "d", "v": 9, "k": 1 })).expect("until").holds());
    assert_eq!(judge(4, json!({})), None);
    assert_eq!(engine.judge(1, 0, &Event::new(json!({}), &schema), &[]), None);
}

#[test]
fn a_term_reads_the_events_before_it_and_the_process_tree() {
    let mut schema = schema();
    let mut engine = engine("any where descendant of [a where v == 1]", &mut schema);
    engine.add(
        Program::new("sequence [a where true] as first [b where v == first.v]", &mut schema, &options())
            .expect("a query"),
    );
    let event = |document| Event::new(document, &schema);
    let parent = event(json!({ "event_type": "a", "v": 1, "entity": "p" }));
    let child = event(json!({ "event_type": "b", "v": 1, "entity": "c", "parent": "p" }));
    let holds = |engine: &Engine<Event>, program: usize, term: usize, bound: &[Event]| {
        engine.judge(program, term, &child, bound).expect("a term").holds()
    };
    assert!(!holds(&engine, 0, 0, &[]));
    engine.push(&parent, &mut Vec::new());
    assert!(holds(&engine, 0, 0, &[]));
    assert!(holds(&engine, 1, 1, std::slice::from_ref(&parent)) && !holds(&engine, 1, 1, &[]));
}

#[test]
fn evaluations_and_matches_are_counted_for_each_program() {
    let mut schema = schema();
    let mut engine = engine("a where v == 1", &mut schema);
    engine.add(Program::new("any where true | head 1", &mut schema, &options()).expect("a query"));
    let mut out: Vec<Outcome<Event>> = Vec::new();
    let mut done = Vec::new();
    for v in [1, 2, 1] {
        let event = Event::new(json!({ "event_type": "a", "v": v }), &schema);
        engine.push_noting(&event, &mut out, |program| done.push(program));
    }
    let (first, second) = (engine.counts(0), engine.counts(1));
    assert_eq!((first.matches, second.matches), (2, 1));
    // What needs no look is not evaluated: after `head`, and where the index says that no term is satisfied.
    assert_eq!((first.evaluations, second.evaluations), (2, 1));
    assert_eq!(done, [0, 1, 0]);
    assert_eq!(engine.counts(2).evaluations, 0);
}
