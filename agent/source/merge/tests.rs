use std::io::{self, Cursor, Read};
use std::ops::ControlFlow;

use eql::{FieldId, Value};
use proptest::prelude::*;

use super::*;

fn ecs(time: i64) -> String {
    format!(r#"{{"@timestamp":{time},"event":{{"category":"network"}}}}"#)
}

fn eslogger(time: i64, event: &str) -> String {
    let time = crate::timestamp::format(time * 1_000_000);
    format!(
        r#"{{"time":"{time}","event_type":15,"mach_time":1,"event":{{{event}}},"process":{{"audit_token":[0,0,0,0,0,7,0,8],"executable":{{"path":"/bin/sh"}}}}}}"#
    )
}

fn merge(files: &[String]) -> Merge {
    Merge::new(Decoder::recording([], false), lines(files))
}

fn lines(files: &[String]) -> Vec<Lines> {
    let named = |(at, text): (usize, &String)| {
        Lines::from_reader(&format!("f{at}"), Cursor::new(text.clone().into_bytes()))
    };
    files.iter().enumerate().map(named).collect()
}

/// Merges files of lines: `FILE:LINE TIME` for an event, `FILE:LINE KIND` for another document, `! PROBLEM`.
/// Several threads give the same.
fn merged(files: &[String]) -> (Vec<String>, Counters) {
    let mut merge = merge(files);
    let mut all = Vec::new();
    let flow: ControlFlow<()> = merge.try_for_each(|item| noted(item, &mut all));
    assert_eq!(flow, ControlFlow::Continue(()));
    for threads in [0, 1, 3] {
        let mut parallel = Merge::ahead(Decoder::recording([], false), lines(files), threads);
        let mut others = Vec::new();
        let flow: ControlFlow<()> = parallel.try_for_each(|item| noted(item, &mut others));
        assert_eq!((flow, &others), (ControlFlow::Continue(()), &all));
        assert_eq!(parallel.counters(), merge.counters());
    }
    (all, merge.counters().clone())
}

fn noted(item: Item<'_>, all: &mut Vec<String>) -> ControlFlow<()> {
    all.push(match item {
        Item::Observation(observation, Position { file, line, .. }) => {
            format!("{file}:{line} {}", observation.time() / 1_000_000)
        }
        Item::NotEvaluated(kind, Position { file, line, .. }) => {
            format!("{file}:{line} {}", kind.as_str())
        }
        Item::Problem(problem) => format!("! {problem}"),
    });
    ControlFlow::Continue(())
}

fn file(lines: &[String]) -> String {
    lines.join("\n")
}

#[test]
fn events_come_in_the_order_of_time_ties_in_the_order_of_files() {
    let exit = r#""exit":{"stat":0}"#;
    let files = [
        file(&[eslogger(1, exit), eslogger(5, exit), eslogger(6, exit), eslogger(9, exit)]),
        file(&[ecs(5), ecs(5), ecs(7)]),
        file(&[]),
        file(&[ecs(1), eslogger(5, exit), ecs(10)]),
    ];
    let (all, counters) = merged(&files);
    assert_eq!(
        all,
        ["f0:1 1", "f3:1 1", "f0:2 5", "f1:1 5", "f1:2 5", "f3:2 5", "f0:3 6", "f1:3 7", "f0:4 9", "f3:3 10"]
    );
    assert_eq!((counters.lines, counters.events, counters.documents), (10, 10, 5));
    assert_eq!(counters.messages, [("exit".into(), 5)]);
}

#[test]
fn an_unordered_file_keeps_its_order() {
    let (all, _) = merged(&[file(&[ecs(5), ecs(1), ecs(9)]), file(&[ecs(4), ecs(6), ecs(2)])]);
    assert_eq!(all, ["f1:1 4", "f0:1 5", "f0:2 1", "f1:2 6", "f1:3 2", "f0:3 9"]);
}

#[test]
fn what_is_wrong_is_reported_counted_and_loses_nothing_else() {
    let alert = r#"{"@timestamp":3,"event.kind":"alert"}"#;
    let files = [
        file(&["{".to_owned(), ecs(1), String::new(), "nonsense".to_owned(), ecs(3), "{}".to_owned()]),
        file(&[alert.to_owned(), ecs(2), eslogger(4, r#""open":{}"#), eslogger(5, r#""fork":{}"#)]),
    ];
    let (all, counters) = merged(&files);
    assert_eq!(
        all.iter().filter(|item| !item.starts_with('!')).collect::<Vec<_>>(),
        ["f1:1 alert", "f0:2 1", "f1:2 2", "f0:5 3", "f1:3 4"]
    );
    let problems: Vec<_> = all.iter().filter(|item| item.starts_with('!')).collect();
    assert_eq!(problems.len(), 4, "{problems:?}");
    for (problem, start) in problems.iter().zip(["! f0:1: ", "! f0:4: ", "! f0:6: ", "! f1:4: "]) {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert_eq!(
        counters,
        Counters {
            lines: 9,
            events: 4,
            not_evaluated: 1,
            problems: 4,
            documents: 3,
            messages: vec![("open".into(), 1)],
            more: 0,
        }
    );
}

#[test]
fn reading_stops_when_it_is_told_to() {
    let mut merge = merge(&[file(&[ecs(1), ecs(2), ecs(3)]), file(&[ecs(2), ecs(3)])]);
    let mut seen = 0;
    let flow = merge.try_for_each(|_| {
        seen += 1;
        if seen == 2 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    assert_eq!((flow, seen, merge.counters().events), (ControlFlow::Break("enough"), 2, 2));
}

#[test]
fn kinds_that_a_recording_makes_up_do_not_fill_the_memory() {
    let lines: Vec<_> = (0..1000).map(|at| eslogger(at, &format!(r#""kind{at}":1"#))).collect();
    let (_, counters) = merged(&[file(&lines)]);
    assert_eq!((counters.messages.len(), counters.more, counters.events), (MAX_KINDS, 744, 1000));
}

/// Reads little at a time, so that few lines are decoded at once.
struct Drip(Cursor<Vec<u8>>);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(100);
        self.0.read(&mut buffer[..length])
    }
}

#[test]
fn a_document_that_is_kept_stays_as_it_is() {
    let line = |at: i64| format!(r#"{{"@timestamp":{at},"event":{{"sequence":{at}}}}}"#);
    let file = |first: i64| {
        let text = (0..100).map(|at| line(first + 2 * at)).collect::<Vec<_>>().join("\n");
        Lines::from_reader("f", Drip(Cursor::new(text.into_bytes())))
    };
    let sequence = FieldId(0);
    for threads in [0, 1, 2] {
        let decoder = Decoder::recording([(sequence, "event.sequence")], false);
        let mut merge = Merge::ahead(decoder, vec![file(0), file(1)], threads);
        let mut kept = Vec::new();
        let flow: ControlFlow<()> = merge.try_for_each(|item| {
            if let Item::Observation(Observation::Document(document), _) = item
                && document.time % 3 == 0
            {
                kept.push(document);
            }
            ControlFlow::Continue(())
        });
        assert_eq!((flow, kept.len()), (ControlFlow::Continue(()), 67));
        for document in kept {
            let at = document.time / 1_000_000;
            assert_eq!((document.line(), document.get(sequence)), (&*line(at), Value::Int(at)), "{threads}");
        }
    }
}

proptest! {
    /// The definition, word for word: of all files' next events take the earliest, the first of equals.
    #[test]
    fn merging_is_by_heads(files in prop::collection::vec(prop::collection::vec((0_i64..6, any::<bool>()), 0..6), 0..5)) {
        let mut heads = vec![0; files.len()];
        let mut expected = Vec::new();
        while let Some((time, at)) = (0..files.len())
            .filter_map(|at| files[at].get(heads[at]).map(|(time, _)| (*time, at)))
            .min()
        {
            heads[at] += 1;
            expected.push(format!("f{at}:{} {time}", heads[at]));
        }
        let texts: Vec<_> = files
            .iter()
            .map(|lines| {
                let line = |(time, is_ecs): &(i64, bool)| {
                    if *is_ecs { ecs(*time) } else { eslogger(*time, r#""exit":{"stat":0}"#) }
                };
                lines.iter().map(line).collect::<Vec<_>>().join("\n")
            })
            .collect();
        prop_assert_eq!(merged(&texts).0, expected);
    }
}
