//! The screens in documents are those that other tests produce: `<!-- screen: NAME -->` and a code block with what is
//! in `tests/data/NAME`, or with some of its lines (`NAME 2-8`). `UPDATE_EXPECT=1 cargo test --test readme` puts them
//! there. So is the table of what a fleet installs, from `tests/data/fleet`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

const MARK: &str = "<!-- screen: ";
const TABLE: &str = "<!-- table: fleet -->\n";
const END: &str = "<!-- end of table -->\n";

// One test: both parts are written into the same document.
#[test]
fn what_is_generated_in_documents_is_what_is_so() {
    let mut screens = 0;
    for document in ["README.md", "docs/rules.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let text = fs::read_to_string(&path).expect("the document");
        let (with_screens, count) = screens_of(&text);
        screens += count;
        let written = with_table(&with_screens);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &written).expect("a writable document");
        } else {
            let update = "UPDATE_EXPECT=1 cargo test --test readme";
            assert!(text == written, "a screen or a table in {document} is old: {update}");
        }
    }
    assert!(screens >= 4, "alerts, alerts show, status and a failed test");
}

/// Returns a document with its screens as they are now, and how many there are.
fn screens_of(text: &str) -> (String, usize) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut parts = text.split(MARK);
    let mut written = parts.next().expect("a beginning").to_owned();
    let mut screens = 0;
    for part in parts {
        let (mark, rest) = part.split_once(" -->\n```text\n").expect("a mark, then a code block");
        let end = rest.find("```\n").expect("the block ends");
        let (name, lines) = mark.split_once(' ').unwrap_or((mark, ""));
        let screen = fs::read_to_string(data.join(name)).expect("the screen");
        let shown = match lines.split_once('-') {
            None => screen,
            Some((first, last)) => {
                let number = |text: &str| text.parse::<usize>().expect("a line's number");
                let (first, last) = (number(first), number(last));
                screen.lines().skip(first - 1).take(last + 1 - first).collect::<Vec<_>>().join("\n")
            }
        };
        written.push_str(&format!("{MARK}{mark} -->\n```text\n{}\n{}", shown.trim_end(), &rest[end..]));
        screens += 1;
    }
    (written, screens)
}

/// Returns a document with the table of what a fleet installs as it is now, if it has one.
fn with_table(text: &str) -> String {
    let Some((before, rest)) = text.split_once(TABLE) else { return text.to_owned() };
    let (_, after) = rest.split_once(END).expect("the table's end");
    format!("{before}{TABLE}{}{END}{after}", table())
}

/// What a case says of itself.
#[derive(Deserialize)]
struct Case {
    title: String,
    description: String,
}

/// A row for each recording in `tests/data/fleet`; `tests/replay.rs` says that its alerts are what is given.
fn table() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fleet");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root).expect("the cases").map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    let mut rows = String::new();
    let mut quiet = 0;
    for path in &cases {
        let case = fs::read_to_string(path.join("case.toml")).expect("a case");
        let case: Case = toml::from_str(&case).expect("a case");
        let alerts = fs::read_to_string(path.join("alerts.ndjson")).expect("its alerts");
        let alerts = alerts_of(&alerts);
        quiet += usize::from(alerts.is_empty());
        let said = if alerts.is_empty() { "nothing".to_owned() } else { alerts.join(", ") };
        let name = path.file_name().expect("a name").to_string_lossy();
        let description = case.description.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            rows,
            "| [{}](../tests/data/fleet/{name}/case.toml) | {said} | {description} |",
            case.title.trim_end_matches('.')
        );
    }
    format!(
        "Of {} installs {quiet} raise nothing.\n\n| install | alerts | what happens, and what tells it from an attack |\n\
         | --- | --- | --- |\n{rows}",
        cases.len()
    )
}

/// `installer rule (key_only), session rule ×2`
fn alerts_of(lines: &str) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines.lines() {
        let alert: Json = serde_json::from_str(line).expect("an alert");
        if alert["event"]["kind"] != "alert" {
            continue;
        }
        let rule = match alert["rule"]["id"].as_str() {
            Some("99239e7d-b0d4-46e3-8609-acafcf99f68c") => "installer rule",
            Some("5b1d4f0e-6c3a-4d0f-9f63-2a1be7c5c1d8") => "session rule",
            _ => alert["rule"]["name"].as_str().expect("a name"),
        };
        let apart = alert["vedette"]["relation"] == "key_only" && rule == "installer rule";
        *counts.entry(format!("{rule}{}", if apart { " (`key_only`)" } else { "" })).or_default() += 1;
    }
    let row = |(rule, count): (String, usize)| if count > 1 { format!("{rule} ×{count}") } else { rule };
    counts.into_iter().map(row).collect()
}
