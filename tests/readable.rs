//! The form of alerts for people, as golden files: `tests/data/readable/<case>.txt`, from the recordings of the
//! cases of the same name in `tests/data/replay`. `UPDATE_EXPECT=1 cargo test --test readable` writes them.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;

use vedette::detector::RuleSet;
use vedette::readable::{self, Style};
use vedette::replay::{self, Options, Output};
use vedette::rule;
use vedette::source::Lines;

const CASES: [&str; 5] =
    ["silver-sparrow", "root-postinstall", "one-shell-two-flows", "hostile-text", "own-losses"];

fn page(case: &str, style: Style) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay");
    let rules = RuleSet::load(rule::builtin());
    let files = vec![Lines::open(&root.join(case).join("events.ndjson")).expect("a recording")];
    let mut page = String::new();
    replay::run(&rules, files, &Options::default(), |output| {
        if let Output::Alert(alert) = output {
            page.push_str(&readable::alert(alert, style));
        }
        ControlFlow::<Infallible>::Continue(())
    });
    page
}

#[test]
fn pages_are_as_they_were() {
    for case in CASES {
        let actual = page(case, Style { colour: false, width: 100 });
        assert!(!actual.is_empty(), "{case} does not alert");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/readable/{case}.txt"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
            std::fs::write(&path, &actual).expect("a writable file");
        }
        assert_eq!(actual, std::fs::read_to_string(&path).unwrap_or_default(), "{case}");
    }
}

#[test]
fn nothing_that_acts_on_a_terminal_comes_through() {
    for case in CASES {
        for width in [60, 100, 200] {
            let text = page(case, Style { colour: false, width });
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{case} {width}: {line}");
                assert!(!line.chars().any(vedette::alert::is_deceptive), "{case}: {line:?}");
            }
            // Colours come and go, the text stays.
            let coloured = page(case, Style { colour: true, width });
            let mut plain = String::new();
            let mut rest = coloured.as_str();
            while let Some((before, after)) = rest.split_once("\u{1b}[") {
                plain.push_str(before);
                rest = after.split_once('m').map_or("", |(_, rest)| rest);
            }
            assert_eq!(plain + rest, text, "{case}");
        }
    }
}
