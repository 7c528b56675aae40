//! Who is measured: what each is run as, and what it must find.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::floors::Floor;
use crate::rules;

/// One program, on one task.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) task: Task,
}

/// What is asked for, and so how the output is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// The seed rule: how many alerts, each a line of NDJSON.
    Alerts,
    /// The seed rule: how many sequences, as a number.
    Sequences,
    /// The first term of the seed rule: how many events, as a number.
    Filter,
    /// Every line, as a number.
    Lines,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents {
    pub(crate) lines: u64,
    pub(crate) planted: u64,
}

impl Task {
    /// Returns what is wrong with an output, if anything is.
    pub(crate) fn check(self, output: &str, contents: Contents) -> Result<(), String> {
        let (found, expected) = match self {
            Task::Alerts => {
                let alerts = output.lines().filter(|line| line.contains(r#""kind":"alert""#)).count();
                (alerts.to_string(), contents.planted)
            }
            Task::Sequences | Task::Filter => (output.trim().to_owned(), contents.planted),
            Task::Lines => (output.trim().to_owned(), contents.lines),
        };
        if found == expected.to_string() { Ok(()) } else { Err(format!("found {found} of {expected}")) }
    }
}

/// Vedette with the rules of a folder and no others.
pub(crate) fn vedette(
    name: String,
    binary: &Path,
    rules: &Path,
    files: &[PathBuf],
    jobs: usize,
) -> Contender {
    let mut command = words(&[&text(binary), "replay", "--json", "--no-builtin", "--rules", &text(rules)]);
    if jobs > 1 {
        command.extend(words(&["--jobs", &jobs.to_string()]));
    }
    command.extend(files.iter().map(|file| text(file)));
    Contender { name, command, task: Task::Alerts }
}

/// The floors.
pub(crate) fn floors(own: &Path, recording: &Path) -> Vec<Contender> {
    let floor = |name: &str, floor: Floor| {
        let value =
            clap::ValueEnum::to_possible_value(&floor).map_or_else(String::new, |v| v.get_name().to_owned());
        Contender {
            name: name.to_owned(),
            command: words(&[&text(own), "floor", &value, &text(recording)]),
            task: Task::Lines,
        }
    };
    vec![
        floor("floor: split lines", Floor::Split),
        floor("floor: serde_json skips all", Floor::SerdeSkip),
        floor("floor: sonic-rs to a DOM", Floor::SonicDom),
    ]
}

/// Other programs on an ECS recording; those that are not installed are returned by name, with how to install them.
pub(crate) fn peers(python: &str, recording: &Path) -> (Vec<Contender>, Vec<String>) {
    let file = text(recording);
    let script = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/python_peer.py"));
    let filter = format!(
        "SET threads=1; SELECT count(*) FROM read_json('{file}', format='newline_delimited', columns={{event: \
         'STRUCT(action VARCHAR)', process: 'STRUCT(name VARCHAR, parent STRUCT(name VARCHAR))'}}) WHERE event.action = \
         'exec' AND process.name IN ('bash','sh','zsh') AND process.parent.name = 'package_script_service'"
    );
    let duckdb = format!("import duckdb\nprint(duckdb.execute(\"\"\"{filter}\"\"\").fetchone()[0])");
    let count = r#"reduce inputs as $e (0; if ($e.event.action == "exec" and ($e.process.name | IN("bash","sh","zsh")) and $e.process.parent.name == "package_script_service") then . + 1 else . end)"#;
    let all = [
        (
            "PyPI eql 1.0.1",
            words(&[python, &script, &file, rules::SEED]),
            Task::Sequences,
            has(&[python, "-c", "import eql"]),
            "pip install eql==1.0.1",
        ),
        (
            "DuckDB, first term",
            words(&[python, "-c", &duckdb]),
            Task::Filter,
            has(&[python, "-c", "import duckdb"]),
            "pip install duckdb",
        ),
        (
            "jq, first term",
            words(&["jq", "-n", count, &file]),
            Task::Filter,
            has(&["jq", "--version"]),
            "apt install jq",
        ),
    ];
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (name, command, task, installed, how) in all {
        match installed {
            true => found.push(Contender { name: name.to_owned(), command, task }),
            false => missing.push(format!("{name} ({how})")),
        }
    }
    (found, missing)
}

fn has(command: &[&str]) -> bool {
    let output = Command::new(command[0]).args(&command[1..]).output();
    output.is_ok_and(|output| output.status.success())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
