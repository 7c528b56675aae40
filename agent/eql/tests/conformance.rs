//! Queries and what they give, as data: `tests/cases/NAME.eql` over the events of `NAME.ndjson`.
//!
//! A case is a comment (`-- …`), a query of one line or several, and after `=>` the ids of each match, or the
//! diagnostics. `UPDATE_EXPECT=1 cargo test -p vedette-eql --test conformance` writes what is after `=>`.

mod support;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use eql::{Diagnostic, Position, Program, Schema};

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("tests/cases")
        .map(|entry| entry.expect("an entry of tests/cases").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eql"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "the cases are gone");
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable case file");
        let events = std::fs::read_to_string(file.with_extension("ndjson")).unwrap_or_default();
        let documents: Vec<serde_json::Value> =
            events.lines().map(|line| serde_json::from_str(line).expect("an event in JSON")).collect();
        let actual = run(&text, &documents);
        if actual == text {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, &actual).expect("a writable case file");
        } else {
            let line = actual.lines().zip(text.lines()).find(|(actual, expected)| actual != expected);
            wrong.push(format!("{}: {line:?}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "actual, expected:\n{}", wrong.join("\n"));
}

/// Returns the file with what its queries really give.
fn run(text: &str, documents: &[serde_json::Value]) -> String {
    let mut result = String::new();
    let mut query = String::new();
    let mut expecting = false;
    for line in text.lines().chain([""]) {
        if line.starts_with("=>") || (expecting && line.starts_with("   ")) {
            expecting = true;
            continue;
        }
        if expecting {
            answer(&query, documents, &mut result);
            query.clear();
            expecting = false;
        }
        result.push_str(line);
        result.push('\n');
        if !(line.starts_with("--") || query.is_empty() && line.is_empty()) {
            query.push_str(line);
            query.push('\n');
        }
    }
    result.truncate(result.trim_end().len());
    result.push('\n');
    result
}

fn answer(query: &str, documents: &[serde_json::Value], result: &mut String) {
    let query = query.trim_end();
    let mut lines: Vec<String> = Vec::new();
    let describe = |diagnostic: &Diagnostic| {
        let position = Position::of(diagnostic.span.start, query);
        let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{} {position} {}{hint}", diagnostic.level, diagnostic.message)
    };
    match support::hunt(query, documents) {
        Ok(matches) => {
            let mut ids = String::new();
            for events in matches {
                let _ = write!(ids, "{}{events:?}", if ids.is_empty() { "" } else { " " });
            }
            lines.push(if ids.is_empty() { "nothing".into() } else { ids });
            let program = Program::new(query, &mut Schema::new(), &support::options());
            lines.extend(program.iter().flat_map(|program| program.warnings()).map(describe));
        }
        Err(diagnostics) => lines.extend(diagnostics.iter().map(describe)),
    }
    for (index, line) in lines.iter().enumerate() {
        let _ = writeln!(result, "{} {line}", if index == 0 { "=>" } else { "  " });
    }
}
