//! Properties that hold for any query and any events.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use eql::ast::{Body, Expr, ExprKind, JoinKey, Literal, Query, Sequence, Term};
use eql::parse;
use proptest::prelude::*;
use serde_json::{Value, json};

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 2000 }, ..ProptestConfig::default() })]

    /// A query that parses prints as a query that parses to the same tree, spans aside.
    #[test]
    fn print_and_parse(query in query()) {
        let tree = parse(&query).map_err(|d| TestCaseError::fail(format!("{query}: {d:?}")))?;
        let printed = tree.to_string();
        let again = parse(&printed).map_err(|d| TestCaseError::fail(format!("{printed}: {d:?}")))?;
        prop_assert_eq!(without_spans(&tree), without_spans(&again), "{}\n{}", query, printed);
    }

    /// Nothing that is read makes the parser panic, and what it reports lies in the text.
    #[test]
    fn any_text(words in prop::collection::vec(prop_oneof![
        "[a-z@?.]{1,4}", "[\"'`\\\\*/|!&\u{e9}\n]{1,3}", "[0-9.e]{1,5}",
        Just("sequence".to_owned()), Just("where".to_owned()), Just("[".to_owned()), Just("]".to_owned()),
        Just("by".to_owned()), Just("in (".to_owned()), Just("not".to_owned()), Just("== \"a\"".to_owned()),
        Just("with maxspan=1s".to_owned()), Just("![".to_owned()), Just("any where".to_owned()),
    ], 0..30)) {
        let text = words.join(" ");
        if let Err(diagnostics) = parse(&text) {
            prop_assert!(!diagnostics.is_empty());
            for diagnostic in diagnostics {
                prop_assert!(diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end <= text.len());
                diagnostic.render("q", eql::Position::START, &text);
            }
        }
    }

    /// The engine finds on a stream what the definition gives for the whole list of events.
    #[test]
    fn streaming_and_batch((query, events) in (sequence(), events())) {
        let tree = parse(&query).map_err(|d| TestCaseError::fail(format!("{query}: {d:?}")))?;
        let Body::Sequence(sequence) = &tree.body else { unreachable!("{query}") };
        let mut expected = batch(sequence, &events);
        let mut actual = support::hunt(&query, &events)
            .map_err(|d| TestCaseError::fail(format!("{query}: {d:?}")))?;
        // Keys of one event have no order among themselves.
        expected.sort();
        actual.sort();
        prop_assert_eq!(actual, expected, "{}", query);
    }

    /// A term that the index leaves out is one that the event does not satisfy: sequences over any conditions, side
    /// by side, find what they find where each term is a mark that only a full scan can see.
    #[test]
    fn index_and_full_scan(
        (conditions, sequences, documents) in (
            prop::collection::vec(condition(), 1..8),
            prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 1..4), any::<bool>()), 1..12),
            prop::collection::vec(document(), 0..12),
        )
    ) {
        let failed = |query: &str, reason: &dyn std::fmt::Debug| TestCaseError::fail(format!("{query}: {reason:?}"));
        let mut marked = documents.clone();
        for (number, condition) in conditions.iter().enumerate() {
            let holding = support::matching(condition, &documents).map_err(|d| failed(condition, &d))?;
            for (document, holds) in marked.iter_mut().zip(holding) {
                document[format!("mark{number}")] = json!(i64::from(holds));
            }
        }
        let query = |terms: &[usize], until: bool, term: &dyn Fn(usize) -> String| {
            if let ([only], false) = (terms, until) {
                return term(*only);
            }
            let listed: String = terms.iter().map(|number| format!("[{}] ", term(*number))).collect();
            let until = if until { format!("until [{}]", term(terms[0] / 2)) } else { String::new() };
            format!("sequence with maxspan=9ms {listed}{until}")
        };
        let mut indexed = Vec::new();
        let mut scanned = Vec::new();
        for (terms, until) in &sequences {
            let terms: Vec<usize> = terms.iter().map(|index| index.index(conditions.len())).collect();
            indexed.push(query(&terms, *until, &|number| conditions[number].clone()));
            scanned.push(query(&terms, *until, &|number| format!("any where mark{number} + 0 == 1")));
        }
        let actual = support::hunt_reloading(&indexed, &marked, &[]).map_err(|d| failed(&indexed.join("; "), &d))?;
        let mut expected = Vec::new();
        for (number, query) in scanned.iter().enumerate() {
            let found = support::hunt_reloading(std::slice::from_ref(query), &marked, &[]).map_err(|d| failed(query, &d))?;
            expected.extend(found.into_iter().map(|(_, ids)| (number, ids)));
        }
        expected.sort();
        prop_assert_eq!(actual, expected, "{:?}", indexed);
    }

    /// A relation is known from the event on that makes it so, whatever the index looks up: what a query with one finds is
    /// what remembering each process finds, in an event query and in a sequence alike.
    #[test]
    fn relations_and_full_scan(
        (own, other, documents) in (condition(), condition(), prop::collection::vec(document(), 0..12)),
        word in prop::sample::select(vec!["and", "or"]),
        relation in prop::sample::select(vec!["descendant", "child", "event"]),
    ) {
        let failed = |query: &str, reason: &dyn std::fmt::Debug| TestCaseError::fail(format!("{query}: {reason:?}"));
        let (category, condition) = own.split_once(" where ").expect("an event query");
        let query = format!("{category} where ({condition}) {word} {relation} of [{other}]");
        let holding = |query: &str| support::matching(query, &documents).map_err(|d| failed(query, &d));
        let (own, meant, of_category) = (holding(&own)?, holding(&other)?, holding(&format!("{category} where true"))?);
        let mut known: BTreeSet<String> = BTreeSet::new();
        let mut expected = Vec::new();
        for (at, document) in documents.iter().enumerate() {
            let texts = |field: &str| -> Vec<String> {
                let listed = match &document[field] {
                    Value::Array(values) => values.clone(),
                    single => vec![single.clone()],
                };
                listed.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            };
            if meant[at] {
                known.extend(texts("entity").into_iter().next());
            }
            let fields: &[&str] = match relation {
                "event" => &["entity"],
                "child" => &["parent"],
                _ => &["parent", "ancestry"],
            };
            let related = fields.iter().flat_map(|field| texts(field)).any(|entity| known.contains(&entity));
            let holds = if word == "and" { own[at] && related } else { own[at] || related };
            if of_category[at] && holds {
                expected.push(vec![document["id"].as_i64().unwrap_or(-2)]);
            }
        }
        for query in [query.clone(), format!("sequence with maxspan=9ms [{query}] until [any where false]")] {
            let actual = support::hunt(&query, &documents).map_err(|d| failed(&query, &d))?;
            prop_assert_eq!(&actual, &expected, "{}", query);
        }
    }

    /// Programs that are exchanged for the same ones, in another order and at any moments, find the same.
    #[test]
    fn reloading_changes_nothing(
        queries in prop::collection::vec(sequence(), 1..4),
        events in events(),
        moments in prop::collection::vec(0..25usize, 0..4),
    ) {
        let without = support::hunt_reloading(&queries, &events, &[])
            .map_err(|d| TestCaseError::fail(format!("{queries:?}: {d:?}")))?;
        let with = support::hunt_reloading(&queries, &events, &moments)
            .map_err(|d| TestCaseError::fail(format!("{queries:?}: {d:?}")))?;
        prop_assert_eq!(with, without, "{:?} at {:?}", queries, moments);
    }
}

/// Queries of every form, spaced and nested at random.
fn query() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        Just("a"),
        Just("process.name"),
        Just("?b.c"),
        Just("`odd field`.x"),
        Just("`a[b`.`c[-1]`"),
        Just("@timestamp"),
        Just("x.by.any"),
        Just("a.b[0].c"),
    ];
    let constant = prop_oneof![
        "[ -~]{0,6}".prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
        any::<i32>().prop_map(|number| number.to_string()),
        (-1e6..1e6f64).prop_map(|number| format!("{number:?}")),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"\"\"a\\d\"b\"\"\"".to_owned()),
        Just("\"\\u{1F600}\\t\"".to_owned()),
    ];
    let value = prop_oneof![field.clone().prop_map(str::to_owned), constant.clone()];
    let expression = value.prop_recursive(4, 24, 4, move |inner| {
        let constants = prop::collection::vec(constant.clone(), 1..4).prop_map(|list| list.join(", "));
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]), inner.clone())
                .prop_map(|(a, operator, b)| format!("(({a}) {operator} ({b}))")),
            (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%"]), inner.clone())
                .prop_map(|(a, operator, b)| format!("({a}) {operator} ({b})")),
            (inner.clone(), prop::sample::select(vec!["and", "or"]), inner.clone(), inner.clone())
                .prop_map(|(a, word, b, c)| format!("(({a}) {word} ({b}) {word} not ({c}))")),
            (inner.clone(), any::<bool>(), prop::sample::select(vec!["in", "in~"]), constants.clone())
                .prop_map(|(a, not, word, list)| format!(
                    "(({a}) {}{word} ({list}))",
                    if not { "not " } else { "" }
                )),
            (inner.clone(), prop::sample::select(vec![":", "like", "like~", "regex", "regex~"]), constants)
                .prop_map(|(a, word, list)| format!("(({a}) {word} ({list}))")),
            inner.clone().prop_map(|a| format!("-({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("startsWith~({a}, {b})")),
            inner.prop_map(|a| format!("(descendant of [process where ({a})])")),
        ]
    });
    let filter = (prop::sample::select(vec!["process", "any", "\"two words\""]), expression)
        .prop_map(|(category, condition)| format!("{category} where ({condition})"));
    let by = prop_oneof![
        Just(String::new()),
        prop::collection::vec(field, 1..3).prop_map(|keys| format!(" by {}", keys.join(", ")))
    ];
    let term = (any::<bool>(), filter.clone(), by.clone(), 1..4usize, any::<bool>()).prop_map(
        |(missing, filter, by, runs, alias)| match (missing, runs, alias) {
            (true, _, _) => format!("![{filter}]{by}"),
            (false, 1, true) => format!("[{filter}]{by} as event0"),
            (false, 1, false) => format!("[{filter}]{by}"),
            (false, runs, _) => format!("[{filter}]{by} with runs={runs}"),
        },
    );
    let maxspan = prop_oneof![
        Just(""),
        Just(" with maxspan=90s"),
        Just(" with maxspan=1.5h"),
        Just(" with maxspan=7ms")
    ];
    let sequence = (by, maxspan, prop::collection::vec(term, 1..4), prop::option::of(filter.clone()))
        .prop_map(|(by, maxspan, terms, until)| {
            let until = until.map_or(String::new(), |until| format!(" until [{until}]"));
            format!("sequence{by}{maxspan} {}{until}", terms.join(" "))
        });
    let pipes = prop_oneof![Just(""), Just(" | head 3"), Just(" | head 10 | tail 2")];
    (prop_oneof![filter, sequence], pipes).prop_map(|(body, pipes)| format!("{body}{pipes}"))
}

/// The tree in a form that shows everything but where it stood.
fn without_spans(query: &Query) -> String {
    let text = format!("{query:?}");
    let mut result = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("Span {") {
        result.push_str(&rest[..at]);
        rest = rest[at..].split_once('}').map_or("", |(_, rest)| rest);
    }
    result + rest
}

/// Sequences over the categories a, b and c, keyed by k, l or nothing.
fn sequence() -> impl Strategy<Value = String> {
    let filter =
        (prop::sample::select(vec!["a", "b", "c", "any"]), 0..4i64).prop_map(|(category, v)| match v {
            0 => format!("{category} where true"),
            v => format!("{category} where v == {v}"),
        });
    let term =
        (filter.clone(), 0..8usize, 1..3usize).prop_map(|(filter, missing, runs)| match (missing, runs) {
            (0, _) => format!("![{filter}]"),
            (_, 1) => format!("[{filter}]"),
            (_, runs) => format!("[{filter}] with runs={runs}"),
        });
    let by = prop::sample::select(vec!["", " by k", " by ?k", " by k, l"]);
    (by, 1..8u32, filter.clone(), prop::collection::vec(term, 0..3), 0..4usize, filter).prop_map(
        |(by, maxspan, first, terms, until, last)| {
            let until = if until == 0 { format!(" until [{last}]") } else { String::new() };
            format!("sequence{by} with maxspan={maxspan}ms [{first}] {}{until}", terms.join(" "))
        },
    )
}

/// Conditions of every kind that an index may look at, over fields that have few values.
fn condition() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec![
        "curl",
        "CURL",
        "\u{212a}url",
        "kurl",
        "caf\u{e9}",
        "CAF\u{c9}",
        "/bin/sh",
        "/BIN/",
        "a b",
        "",
        "9",
        "bin",
        "\u{212a}",
    ]);
    let list = prop::collection::vec(text.clone().prop_map(|text| format!("{text:?}")), 1..4)
        .prop_map(|texts| texts.join(", "));
    let pattern =
        (text.clone(), prop::sample::select(vec!["*{}", "{}*", "*{}*", "{}?*", "*{}*{}*", "?{}", "*"]))
            .prop_map(|(text, form)| format!("{:?}", form.replace("{}", text)));
    let patterns = prop::collection::vec(pattern, 1..4).prop_map(|patterns| patterns.join(", "));
    let field = prop::sample::select(vec!["name", "parent", "args", "?line", "n"]);
    let number = prop::sample::select(vec!["0", "-1", "9", "9.0", "9007199254740993", "1e3"]);
    let leaf = prop_oneof![
        3 => (field.clone(), text.clone()).prop_map(|(field, text)| format!("{field} == {text:?}")),
        2 => (field.clone(), prop::sample::select(vec!["in", "in~", "not in"]), list)
            .prop_map(|(field, word, list)| format!("{field} {word} ({list})")),
        3 => (field.clone(), prop::sample::select(vec![":", "like", "like~", "not like~"]), patterns)
            .prop_map(|(field, word, list)| format!("{field} {word} ({list})").replace(": (", ":(")),
        1 => (field.clone(), text.clone()).prop_map(|(field, text)| format!("startsWith~({field}, {text:?})")),
        1 => (field.clone(), text.clone()).prop_map(|(field, text)| format!("stringContains({field}, {text:?})")),
        1 => field.clone().prop_map(|field| format!("{field} regex~ \"[ck]url.*\"")),
        1 => (field.clone(), prop::sample::select(vec!["==", "!="])).prop_map(|(f, o)| format!("{f} {o} null")),
        2 => (prop::sample::select(vec!["==", "!=", "<", ">="]), number.clone(), any::<bool>()).prop_map(
            |(operator, number, turned)| match turned {
                true => format!("{number} {operator} n"),
                false => format!("n {operator} {number}"),
            }
        ),
        1 => (number, text).prop_map(|(number, text)| format!("n in ({number}, {text:?})")),
        1 => Just("name == parent".to_owned()),
        1 => Just("flag == true".to_owned()),
        1 => Just("flag".to_owned()),
        1 => Just("length(name) > 3".to_owned()),
        1 => prop::sample::select(vec!["event_type == \"process\"", "event_type : (\"NET*\", \"Process\")"])
            .prop_map(str::to_owned),
        1 => Just("true".to_owned()),
        1 => Just("false".to_owned()),
    ];
    let expression = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|list| format!("({})", list.join(" and "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|list| format!("({})", list.join(" or "))),
            inner.prop_map(|inner| format!("not ({inner})")),
        ]
    });
    (prop::sample::select(vec!["process", "network", "any"]), expression)
        .prop_map(|(category, expression)| format!("{category} where {expression}"))
}

/// A document with the fields that [`condition`] asks for, each missing, single or a list.
fn document() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec![
        "curl",
        "Curl",
        "\u{212a}URL",
        "KURL",
        "caf\u{e9}",
        "caf\u{c9}",
        "/bin/sh",
        "x/bin/y",
        "a b",
        "",
        "9",
        "xcurlxcurl",
    ])
    .prop_map(Value::from);
    let number = prop_oneof![
        prop::sample::select(vec![json!(0), json!(-0.0), json!(-1), json!(9), json!(9.0), json!(1000)]),
        Just(json!(9_007_199_254_740_992i64)),
        Just(json!("9")),
    ];
    let optional = |value: BoxedStrategy<Value>| {
        prop_oneof![
            1 => Just(Value::Null),
            3 => value.clone(),
            1 => prop::collection::vec(value, 0..3).prop_map(Value::from),
        ]
    };
    // As a parent may be called.
    let process = prop::sample::select(vec!["curl", "Curl", "/bin/sh", "9"]).prop_map(Value::from);
    let category = prop_oneof![
        4 => prop::sample::select(vec![json!("process"), json!("network"), json!("file"), json!("PROCESS")]),
        1 => Just(json!(["process", "network"])),
        1 => Just(Value::Null),
    ];
    let fields = (
        optional(text.clone().boxed()),
        optional(text.clone().boxed()),
        optional(text.clone().boxed()),
        optional(prop_oneof![text, number.clone()].boxed()),
        optional(number.boxed()),
        optional(any::<bool>().prop_map(Value::from).boxed()),
        optional(process.clone().boxed()),
        prop::collection::vec(process, 0..3),
    );
    (category, fields, 0..1000i64, 0..3i64).prop_map(
        |(category, (name, parent, args, line, n, flag, entity, ancestry), id, time)| {
            json!({
                "id": id, "@timestamp": time, "event_type": category, "entity": entity, "ancestry": ancestry,
                "name": name, "parent": parent, "args": args, "line": line, "n": n, "flag": flag,
            })
        },
    )
}

/// Events in the order of their times, with equal times, missing keys and keys of several values.
fn events() -> impl Strategy<Value = Vec<Value>> {
    let key = prop_oneof![
        3 => Just(json!("x")),
        2 => Just(json!("y")),
        1 => Just(json!(["x", "y"])),
        1 => Just(Value::Null)
    ];
    let event = (0..3i64, prop::sample::select(vec!["a", "b", "c"]), key.clone(), key, 1..4i64);
    prop::collection::vec(event, 0..25).prop_map(|events| {
        let mut time = 0;
        let documents = events.into_iter().enumerate().map(|(id, (gap, category, k, l, v))| {
            time += gap;
            json!({ "id": id, "@timestamp": time, "event_type": category, "k": k, "l": l, "v": v })
        });
        documents.collect()
    })
}

/// A partial: the numbers of its events.
type Partial = Option<Vec<usize>>;

/// What a sequence gives for a finite list of events, by definition and with nothing clever.
///
/// For each key, what waits after step `s` once the events up to `i` were seen is a function of what waited
/// before `i`: the new partial, if the event satisfies `s` and the step before it had one within maxspan;
/// nothing, if the event satisfied the step after and so used it; else what it was. `until` leaves nothing.
fn batch(sequence: &Sequence, events: &[Value]) -> Vec<Vec<i64>> {
    let steps: Vec<&Term> =
        sequence.terms.iter().filter(|t| !t.missing).flat_map(|t| std::iter::repeat_n(t, t.runs)).collect();
    let maxspan = sequence.maxspan.map_or(i64::MAX, |n| n / 1_000_000);
    let time = |i: usize| events[i]["@timestamp"].as_i64().unwrap_or(0);
    let all_keys: BTreeSet<String> =
        events.iter().flat_map(|event| event_keys(&sequence.by, event)).collect();
    let mut found: BTreeMap<(usize, String), Vec<i64>> = BTreeMap::new();
    for key in &all_keys {
        let satisfies = |i: usize, term: &Term| {
            holds(term, &events[i]) && event_keys(&sequence.by, &events[i]).contains(key)
        };
        let mut waiting: Vec<Partial> = vec![None; steps.len()];
        for i in 0..events.len() {
            let mut next = waiting.clone();
            for s in 0..steps.len() {
                let extended: Partial = match s {
                    0 => Some(vec![i]),
                    _ => waiting[s - 1].clone().map(|mut partial| {
                        partial.push(i);
                        partial
                    }),
                };
                let in_time = |partial: &Vec<usize>| time(i) - time(partial[0]) <= maxspan;
                let used = s + 1 < steps.len() && satisfies(i, steps[s + 1]) && waiting[s].is_some();
                next[s] = match extended.filter(|_| satisfies(i, steps[s])).filter(in_time) {
                    Some(partial) => Some(partial),
                    None if used => None,
                    None => waiting[s].clone(),
                };
            }
            if let Some(partial) = next[steps.len() - 1].take()
                && accepted(sequence, &partial, key, events, maxspan)
            {
                found.insert((i, key.clone()), slots(sequence, &partial));
            }
            if sequence.until.as_ref().is_some_and(|until| satisfies(i, until)) {
                next.fill(None);
            }
            waiting = next;
        }
    }
    found.into_values().collect()
}

/// Whether the missing terms of a sequence are missing, by the times of all events of the key.
fn accepted(sequence: &Sequence, partial: &[usize], key: &str, events: &[Value], maxspan: i64) -> bool {
    let time = |i: usize| events[i]["@timestamp"].as_i64().unwrap_or(0);
    let (first, last) = (time(partial[0]), time(partial[partial.len() - 1]));
    let mut step = 0;
    let (mut leading, mut trailing) = (None, None);
    let (mut leads, mut trails) = (false, false);
    for term in &sequence.terms {
        if !term.missing {
            step += term.runs;
            continue;
        }
        let hits: Vec<i64> = (0..events.len())
            .filter(|i| {
                holds(term, &events[*i]) && event_keys(&sequence.by, &events[*i]).iter().any(|k| k == key)
            })
            .map(time)
            .collect();
        if step == 0 {
            leads = true;
            leading = leading.max(hits.iter().copied().filter(|t| *t < first).max());
        } else if step == partial.len() {
            trails = true;
            let hit = hits.iter().copied().filter(|t| *t > last).min();
            trailing = match (trailing, hit) {
                (Some(a), Some(b)) => Some(i64::min(a, b)),
                (a, b) => a.or(b),
            };
        } else if hits.iter().any(|t| time(partial[step - 1]) < *t && *t < time(partial[step])) {
            return false;
        }
    }
    match (leads, trails) {
        (false, false) => true,
        (true, false) => leading.is_none_or(|leading| last - leading > maxspan),
        (false, true) => trailing.is_none_or(|trailing| trailing - first > maxspan),
        (true, true) => match (leading, trailing) {
            (Some(leading), Some(trailing)) => trailing - leading > maxspan,
            _ => true,
        },
    }
}

fn slots(sequence: &Sequence, partial: &[usize]) -> Vec<i64> {
    let mut events = partial.iter();
    let mut slots = Vec::new();
    for term in &sequence.terms {
        for _ in 0..term.runs {
            slots.push(if term.missing { -1 } else { events.next().map_or(-2, |i| *i as i64) });
        }
    }
    slots
}

/// The keys of an event, each as text.
fn event_keys(by: &[JoinKey], event: &Value) -> Vec<String> {
    let mut keys = vec![String::new()];
    for key in by {
        let values: Vec<String> = match &event[&key.path] {
            Value::Null if key.optional => vec!["null".into()],
            Value::Null => return Vec::new(),
            Value::Array(values) => values.iter().map(Value::to_string).collect(),
            value => vec![value.to_string()],
        };
        keys = keys.iter().flat_map(|key| values.iter().map(move |value| format!("{key} {value}"))).collect();
    }
    keys
}

fn holds(term: &Term, event: &Value) -> bool {
    let category = term.filter.category.as_ref().is_none_or(|name| event["event_type"] == **name);
    category
        && match &term.filter.condition.kind {
            ExprKind::Literal(Literal::Bool(value)) => *value,
            ExprKind::Compare { right, .. } => matches!(
                &**right,
                Expr { kind: ExprKind::Literal(Literal::Int(number)), .. } if event["v"] == *number
            ),
            other => unreachable!("{other:?}"),
        }
}
