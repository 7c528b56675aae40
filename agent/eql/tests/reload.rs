//! Programs exchanged while they wait: what goes on and what ends.

mod support;

use eql::{Engine, EngineOptions, Outcome, Program, Reloaded};
use serde_json::json;
use support::{Event, options, schema};

/// A rule with an old and a new text; events before and after the exchange.
struct Case {
    old: &'static str,
    new: &'static str,
    before: &'static [(i64, &'static str, i64)],
    after: &'static [(i64, &'static str, i64)],
    kept: usize,
    dropped: usize,
    /// How many matches there are afterwards.
    found: usize,
}

const FIRST: &str = "sequence by k with maxspan=10ms [a where v == 1] [b where v == 2] [c where v == 3]";

#[test]
fn partials_go_on_as_far_as_their_terms_are_the_same() {
    let cases = [
        // The same text, spaced differently.
        Case {
            old: FIRST,
            new: "sequence by k with maxspan = 10ms [a where v==1] [b where v==2]   [c where v==3]",
            before: &[(0, "a", 1), (1, "b", 2)],
            after: &[(2, "c", 3)],
            kept: 1,
            dropped: 0,
            found: 1,
        },
        // The last term changed: both earlier ones hold.
        Case {
            old: FIRST,
            new: "sequence by k with maxspan=10ms [a where v == 1] [b where v == 2] [c where v == 4]",
            before: &[(0, "a", 1), (1, "b", 2)],
            after: &[(2, "c", 3), (3, "c", 4)],
            kept: 1,
            dropped: 0,
            found: 1,
        },
        // The middle term changed: what had satisfied it is no longer what is asked for; what waits for it goes on.
        Case {
            old: FIRST,
            new: "sequence by k with maxspan=10ms [a where v == 1] [b where v == 5] [c where v == 3]",
            before: &[(0, "a", 1), (1, "b", 2), (2, "a", 1)],
            after: &[(3, "b", 5), (4, "c", 3)],
            kept: 1,
            dropped: 1,
            found: 1,
        },
        // A longer window counts for what waits already, and a shorter one too.
        Case {
            old: FIRST,
            new: "sequence by k with maxspan=50ms [a where v == 1] [b where v == 2] [c where v == 3]",
            before: &[(0, "a", 1), (1, "b", 2)],
            after: &[(40, "c", 3)],
            kept: 1,
            dropped: 0,
            found: 1,
        },
        Case {
            old: FIRST,
            new: "sequence by k with maxspan=2ms [a where v == 1] [b where v == 2] [c where v == 3]",
            before: &[(0, "a", 1), (1, "b", 2)],
            after: &[(4, "c", 3)],
            kept: 1,
            dropped: 0,
            found: 0,
        },
        // Other keys: nothing is the same.
        Case {
            old: FIRST,
            new: "sequence by v with maxspan=10ms [a where v == 1] [b where v == 2] [c where v == 3]",
            before: &[(0, "a", 1), (1, "b", 2)],
            after: &[(2, "c", 3)],
            kept: 0,
            dropped: 1,
            found: 0,
        },
        // A term less: what had reached the end of the new one does not fire out of nothing.
        Case {
            old: FIRST,
            new: "sequence by k with maxspan=10ms [a where v == 1] [b where v == 2]",
            before: &[(0, "a", 1), (1, "b", 2), (2, "a", 1)],
            after: &[(3, "b", 2)],
            kept: 1,
            dropped: 1,
            found: 1,
        },
        // From a sequence to an event.
        Case {
            old: FIRST,
            new: "c where v == 3",
            before: &[(0, "a", 1)],
            after: &[(1, "c", 3)],
            kept: 0,
            dropped: 1,
            found: 1,
        },
        // What a missing term has seen is remembered.
        Case {
            old: "sequence by k with maxspan=10ms ![a where v == 1] [b where v == 2] [c where v == 3]",
            new: "sequence by k with maxspan=10ms ![a where v == 1] [b where v == 2] [c where v == 4]",
            before: &[(0, "a", 1), (1, "b", 2)],
            after: &[(2, "c", 4)],
            kept: 1,
            dropped: 0,
            found: 0,
        },
        // Runs that have been counted go on being counted.
        Case {
            old: "sequence by k with maxspan=10ms [a where v == 1] with runs=3 [c where v == 3]",
            new: "sequence by k with maxspan=10ms [a where v == 1] with runs=3 [c where v == 4]",
            before: &[(0, "a", 1), (1, "a", 1)],
            after: &[(2, "a", 1), (3, "c", 4)],
            kept: 2,
            dropped: 0,
            found: 1,
        },
    ];
    for (number, case) in cases.iter().enumerate() {
        let mut schema = schema();
        let mut program = |text: &str| Program::new(text, &mut schema, &options()).expect("a query");
        // Another program stands before and after it, so that numbers change.
        let other = program("sequence by k [x where true] [y where true]");
        let (old, new) = (program(case.old), program(case.new));
        let mut engine = Engine::new(EngineOptions { follow: true, ..EngineOptions::default() });
        engine.add(old);
        engine.add(other.clone());
        let mut out = Vec::new();
        let event = |(time, category, v): (i64, &str, i64)| {
            Event::new(
                json!({ "id": 1, "@timestamp": time, "event_type": category, "k": "x", "v": v }),
                &schema,
            )
        };
        for before in case.before {
            engine.push(&event(*before), &mut out);
        }
        engine.push(&event((0, "x", 0)), &mut out);
        assert!(out.is_empty(), "case {number}");
        let reloaded = engine.reload(vec![(Some(1), other), (Some(0), new)], &mut out);
        assert_eq!(reloaded, Reloaded { kept: case.kept + 1, dropped: case.dropped }, "case {number}");
        assert_eq!(engine.status().partials, case.kept + 1, "case {number}");
        for after in case.after {
            engine.push(&event(*after), &mut out);
        }
        engine.push(&event((9, "y", 0)), &mut out);
        let of = |program: usize| {
            out.iter()
                .filter(|outcome| matches!(outcome, Outcome::Match(found) if found.program == program))
                .count()
        };
        assert_eq!((of(0), of(1)), (1, case.found), "case {number}");
    }
}

#[test]
fn a_program_that_goes_ends_what_it_holds_and_gives_out_what_it_has_gathered() {
    let mut schema = schema();
    let text = "sequence by k with maxspan=100ms [a where true] [b where true]";
    let program = Program::new(text, &mut schema, &options()).expect("a query");
    let mut engine = Engine::new(EngineOptions { follow: true, ..EngineOptions::default() });
    engine.add(program);
    let mut out = Vec::new();
    for (time, category) in [(0, "a"), (1, "b"), (2, "b"), (3, "a")] {
        let document = json!({ "id": time, "@timestamp": time, "event_type": category, "k": "x" });
        engine.push(&Event::new(document, &schema), &mut out);
    }
    assert_eq!(out.len(), 1);
    let reloaded = engine.reload(Vec::new(), &mut out);
    assert_eq!(reloaded, Reloaded { kept: 0, dropped: 1 });
    assert!(matches!(&out[1], Outcome::Followed { program: 0, events, .. } if events.len() == 1), "{out:?}");
    assert_eq!((engine.status().partials, engine.status().partial_bytes), (0, 0));
}
