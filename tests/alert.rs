//! Alerts whose every text was written by an attacker, and what identifies an alert.

use std::rc::Rc;
use std::sync::Arc;

use eql::Scalar;
use serde_json::Value as Json;
use vedette::alert::{self, Alert, Matched, is_deceptive};
use vedette::event::{
    Action, ArgsParts, DescriptionParts, Event, Fields, Host, InvocationParts, KeptArgs, Network, Package,
    Process, User, Who,
};
use vedette::readable::{self, Style};
use vedette::rule::{self, Content, Rule};

const HOSTILE: &str = "x\u{1b}[2J\u{1b}]0;t\u{7}\n  event.id  forged\r\0\t\u{7f}\u{9b}31m\u{85}\u{2028}\u{202e}\u{2066}\u{200b}\u{feff}\u{3164}\u{e0041}\"\\";

fn text(text: &str) -> Option<Arc<str>> {
    Some(text.into())
}

fn the_rule() -> Arc<Rule> {
    let rule = rule::builtin().into_iter().find_map(|file| match file.content {
        Content::Rule(rule) => Some(*rule),
        _ => None,
    });
    Arc::new(rule.expect("a built-in rule"))
}

fn process(entity: &str, said: &str) -> Process {
    let args = KeptArgs {
        args: [Scalar::from(said)].into(),
        command_line: Some(said.into()),
        ..KeptArgs::default()
    };
    let invocation = InvocationParts {
        args: ArgsParts::Kept(args),
        working_directory: Some(said.into()),
        script: Some(said.into()),
        ..InvocationParts::default()
    };
    let description = DescriptionParts {
        executable: Some(said.into()),
        name: Some(said.into()),
        tty: Some(said.into()),
        user: Some(Arc::new(User { id: said.into(), name: text(said), ..User::default() })),
        invocation: Some(invocation),
        ..DescriptionParts::default()
    };
    Process {
        pid: 7,
        entity_id: entity.into(),
        description: description.into(),
        package: Some(Arc::new(Package {
            host: said.into(),
            identifier: text(said),
            script: text(said),
            path: text(said),
            claimed: [Scalar::from("path"), Scalar::from(said)].into(),
            session: "s".into(),
            ..Package::default()
        })),
        previous_executable: text(said),
        ..Process::default()
    }
}

/// A flow of a process with a long line of ancestors; every text in it is `said`.
fn flow(said: &str) -> Event {
    let ancestry: Vec<Scalar> = (0..100).map(|n| Scalar::from(format!("{said}{n}").as_str())).collect();
    let who = Who {
        process: Some(Rc::new(Process { ancestry: ancestry.into(), ..process("self", said) })),
        parent: Some(Rc::new(process(&format!("{said}0"), said))),
        effective_parent: Some(Rc::new(process("responsible", said))),
        attribution: None,
    };
    let fields = Fields {
        time: 1_795_507_200_000_000_000,
        action: Action::ConnectionAttempted,
        host: Arc::new(Host { id: said.into(), name: text(said), ..Host::default() }),
        network: Some(Box::new(Network {
            destination_ip: text(said),
            destination_domain: text(said),
            destination_port: Some(443),
            ..Network::default()
        })),
        ..Fields::default()
    };
    Event::new(fields, who)
}

fn alert_of(rule: &Arc<Rule>, said: &str, events: &[Option<Event>]) -> Alert {
    let join_keys = [(said.to_owned(), Some(Scalar::from(said))), ("user.id".to_owned(), None)];
    let mut lookup = |entity: &str| Some(Rc::new(process(entity, said)));
    let matched = Matched { rule, events, join_keys: &join_keys, gap: true, process: &mut lookup };
    alert::alert(matched).expect("an alert")
}

#[test]
fn a_line_is_one_line_and_says_the_same() {
    let event = flow(HOSTILE);
    let alerts = [
        alert_of(&the_rule(), HOSTILE, &[Some(event.clone()), None, Some(event.clone())]),
        alert::enrichment(&the_rule(), "id", &[event], 3).expect("an enrichment"),
    ];
    for alert in alerts {
        let line = alert.line();
        assert!(!line.contains(is_deceptive), "{line}");
        let read: Json = serde_json::from_str(line).expect("the line is JSON");
        assert_eq!(read, Json::Object(alert.document().clone()));
        assert!(line.contains("\\u202e") && line.contains("\\udb40\\udc41"), "{line}");
    }
}

#[test]
fn a_page_has_only_the_lines_that_it_means() {
    let long = HOSTILE.repeat((1 << 20) / HOSTILE.len());
    for said in [HOSTILE, &long, "wide 宽 🐦", ""] {
        let rule = Arc::new(Rule {
            id: said.into(),
            name: said.into(),
            version: said.into(),
            ..(*the_rule()).clone()
        });
        let event = flow(said);
        let alert = alert_of(&rule, said, &[Some(event.clone()), None]);
        let more = alert::enrichment(&rule, said, &[event], 1).expect("an enrichment");
        for width in [60, 100] {
            let style = Style { colour: false, width };
            let page = readable::alert(&alert, style);
            for line in page.lines().chain(readable::alert(&more, style).lines()) {
                assert!(line.chars().count() <= width, "{line}");
                assert!(!line.contains(is_deceptive), "{line:?}");
            }
            let ids: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("  event.id  ")).collect();
            assert_eq!(ids, [alert.id.as_str()], "{page}");
            // What matters stays in its line, however long the rest is.
            assert!(width < 100 || page.contains("port 443"), "{page}");
            assert!(page.contains("path (claimed) "), "{page}");
        }
    }
}

#[test]
fn the_tree_is_bounded_and_the_root_comes_first() {
    let alert = alert_of(&the_rule(), "x", &[Some(flow("x"))]);
    let tree = alert.document()["vedette"]["process_tree"].as_array().expect("a tree");
    let entities: Vec<&str> = tree.iter().filter_map(|node| node["entity_id"].as_str()).collect();
    assert_eq!((entities[0], tree[0]["relation"].as_str()), ("responsible", Some("responsible")));
    assert_eq!(entities[1], "x31");
    assert_eq!(entities[entities.len() - 2..], ["x0", "self"]);
    assert_eq!(tree.len(), 34);
}

#[test]
fn the_id_is_of_what_matched() {
    let rule = the_rule();
    let (a, b) = (flow("a"), flow("b"));
    let id = |rule: &Arc<Rule>, said: &str, events: &[Option<Event>]| alert_of(rule, said, events).id;
    let first = id(&rule, "k", &[Some(a.clone())]);
    assert_eq!(first.len(), 32);
    assert_eq!(first, id(&rule, "k", &[Some(flow("a"))]), "found again");
    let newer = Arc::new(Rule { version: "2".into(), ..(*rule).clone() });
    let renamed = Arc::new(Rule { name: "other".into(), ..(*rule).clone() });
    assert_eq!(first, id(&renamed, "k", &[Some(a.clone())]));
    let others = [
        id(&newer, "k", &[Some(a.clone())]),
        id(&rule, "other", &[Some(a.clone())]),
        id(&rule, "k", &[Some(b.clone())]),
        id(&rule, "k", &[Some(a.clone()), Some(b.clone())]),
        id(&rule, "k", &[Some(b), Some(a)]),
    ];
    for (index, other) in others.iter().enumerate() {
        assert!(*other != first && !others[..index].contains(other), "{index}");
    }
}
