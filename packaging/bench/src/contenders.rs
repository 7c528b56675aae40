//! Who is measured: what each is run as, and what it must find.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

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
    /// The seed rule, by Vedette: its alerts among lines of NDJSON. Other rules may alert too.
    Alerts,
    /// The seed rule, by rsigma: its results among lines of NDJSON.
    Correlations,
    /// The seed rule: the time of each sequence's last event, a line each.
    Times,
    /// The first term of the seed rule: how many events, as a number.
    Filter,
    /// Every line, as a number.
    Lines,
    /// That it ends well.
    Nothing,
}

/// What a recording holds.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) lines: u64,
    /// The times of the planted attacks' last events, in milliseconds.
    pub(crate) planted: Vec<String>,
}

impl Task {
    /// Returns what is wrong with an output, if anything is.
    pub(crate) fn check(self, output: &str, contents: &Contents) -> Result<(), String> {
        let times = match self {
            Task::Filter => return count(output, contents.planted.len() as u64),
            Task::Lines => return count(output, contents.lines),
            Task::Nothing => return Ok(()),
            Task::Times => output.lines().map(milliseconds).collect(),
            Task::Alerts => of_each(output, |document| {
                let is_seed =
                    document["event"]["kind"] == "alert" && document["rule"]["id"] == rules::SEED_ID;
                is_seed.then(|| text(&document["@timestamp"]))
            })?,
            Task::Correlations => of_each(output, correlated)?,
        };
        let (found, expected): (BTreeSet<&String>, BTreeSet<&String>) =
            (times.iter().collect(), contents.planted.iter().collect());
        if found == expected && times.len() == contents.planted.len() {
            return Ok(());
        }
        let (missed, more) = (expected.difference(&found).count(), found.difference(&expected).count());
        Err(format!(
            "{} matches, {} are planted: {missed} missed, {more} of other times",
            times.len(),
            contents.planted.len()
        ))
    }
}

/// Vedette with the rules of some folders and no others.
pub(crate) fn vedette(
    name: String,
    binary: &Path,
    rules: &[&Path],
    files: &[PathBuf],
    jobs: usize,
) -> Contender {
    let mut command = words(&[&shown(binary), "replay", "--json", "--no-builtin"]);
    for folder in rules {
        command.extend(words(&["--rules", &shown(folder)]));
    }
    if jobs > 1 {
        command.extend(words(&["--jobs", &jobs.to_string()]));
    }
    command.extend(files.iter().map(|file| shown(file)));
    Contender { name, command, task: Task::Alerts }
}

impl Contender {
    /// A program for each of the files that this one reads, all at once: what the machine can do at most. Nobody looks at
    /// what they find.
    pub(crate) fn for_each(mut self, name: &str, files: &[PathBuf]) -> Self {
        self.command.truncate(self.command.len() - files.len());
        let quoted: Vec<String> = self.command.iter().map(|word| format!("'{word}'")).collect();
        let one = |file: &PathBuf| format!("{} '{}' > /dev/null & ", quoted.join(" "), file.display());
        let all: String = files.iter().map(one).collect();
        self.command = words(&["sh", "-c", &format!("{all}wait")]);
        Contender { name: name.to_owned(), task: Task::Nothing, ..self }
    }
}

/// The floors.
pub(crate) fn floors(own: &Path, recording: &Path) -> Vec<Contender> {
    let floor = |name: &str, floor: Floor| {
        let value =
            clap::ValueEnum::to_possible_value(&floor).map_or_else(String::new, |v| v.get_name().to_owned());
        Contender {
            name: name.to_owned(),
            command: words(&[&shown(own), "floor", &value, &shown(recording)]),
            task: Task::Lines,
        }
    };
    vec![
        floor("floor: split lines", Floor::Split),
        floor("floor: serde_json skips all", Floor::SerdeSkip),
        floor(SONIC, Floor::SonicDom),
    ]
}

/// The floor that is to be beaten.
pub(crate) const SONIC: &str = "floor: sonic-rs to a DOM";
/// The peers that run the seed rule itself.
pub(crate) const EQL: &str = "PyPI eql";
pub(crate) const RSIGMA: &str = "rsigma";

/// Other programs on an ECS recording, those that are installed, with their versions; and how to install the others.
pub(crate) struct Peers {
    pub(crate) found: Vec<Contender>,
    pub(crate) versions: Vec<String>,
    pub(crate) missing: Vec<String>,
}

/// Looks for other programs; `sigma` is a file of the seed rule in Sigma.
pub(crate) fn peers(python: &str, rsigma: &str, sigma: &Path, recording: &Path) -> Peers {
    let file = shown(recording);
    let script = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/python_peer.py"));
    let filter = format!(
        "SET threads=1; SELECT count(*) FROM read_json('{file}', format='newline_delimited', columns={{event: \
         'STRUCT(action VARCHAR)', process: 'STRUCT(name VARCHAR, parent STRUCT(name VARCHAR))'}}) WHERE event.action = \
         'exec' AND process.name IN ('bash','sh','zsh') AND process.parent.name = 'package_script_service'"
    );
    let duckdb = format!("import duckdb\nprint(duckdb.execute(\"\"\"{filter}\"\"\").fetchone()[0])");
    let count = r#"reduce inputs as $e (0; if ($e.event.action == "exec" and ($e.process.name | IN("bash","sh","zsh")) and $e.process.parent.name == "package_script_service") then . + 1 else . end)"#;
    let version = |package: &str| {
        let text = format!("import importlib.metadata as m, {package}; print(m.version('{package}'))");
        output(&[python, "-c", &text])
    };
    let all = [
        (
            EQL,
            words(&[python, &script, &file, rules::SEED]),
            Task::Times,
            version("eql"),
            "pip install eql==1.0.1",
        ),
        (
            RSIGMA,
            words(&[
                rsigma,
                "engine",
                "eval",
                "--rules",
                &shown(sigma),
                "--event",
                &format!("@{file}"),
                "--input-format",
                "json",
                // As a sequence does: what has matched is not matched again.
                "--action",
                "reset",
                "--no-detections",
                // It keeps the events of what matched, as Vedette does.
                "--correlation-event-mode",
                "full",
            ]),
            Task::Correlations,
            output(&[rsigma, "--version"]),
            "cargo install rsigma --version 0.23.0 --locked; some 16 minutes",
        ),
        (
            "DuckDB, first term only",
            words(&[python, "-c", &duckdb]),
            Task::Filter,
            version("duckdb"),
            "pip install duckdb",
        ),
        (
            "jq, first term only",
            words(&["jq", "-n", count, &file]),
            Task::Filter,
            output(&["jq", "--version"]),
            "apt install jq",
        ),
    ];
    let mut peers = Peers { found: Vec::new(), versions: Vec::new(), missing: Vec::new() };
    for (name, command, task, installed, how) in all {
        let program = name.split(',').next().unwrap_or(name);
        match installed {
            Some(version) => {
                // jq and rsigma say their name again, rsigma also what it was built with.
                let version = version
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .trim_start_matches(program)
                    .trim_start_matches(['-', ' ']);
                peers.versions.push(format!("{program} {version}"));
                peers.found.push(Contender { name: name.to_owned(), command, task });
            }
            None => peers.missing.push(format!("{program} is not installed ({how})")),
        }
    }
    peers
}

/// Runs a command and returns what it wrote, trimmed, if it is there and ends well.
pub(crate) fn output(command: &[&str]) -> Option<String> {
    let output = Command::new(command[0]).args(&command[1..]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn count(output: &str, expected: u64) -> Result<(), String> {
    let found = output.trim();
    if found == expected.to_string() { Ok(()) } else { Err(format!("found {found} of {expected}")) }
}

/// Reads lines of NDJSON, and returns the time of each in which `time` finds one.
fn of_each(output: &str, time: impl Fn(&Value) -> Option<String>) -> Result<Vec<String>, String> {
    let mut times = Vec::new();
    for line in output.lines() {
        let document: Value = serde_json::from_str(line).map_err(|error| format!("no NDJSON: {error}"))?;
        times.extend(time(&document).map(|time| milliseconds(&time)));
    }
    Ok(times)
}

/// A time of RFC 3339 as recordings have it, up to the milliseconds.
fn milliseconds(time: &str) -> String {
    let time = time.trim();
    format!("{}Z", time.get(..23).unwrap_or(time))
}

/// The time of a result's last event, where it is one of a correlation.
fn correlated(result: &Value) -> Option<String> {
    result.get("correlation_type")?;
    Some(text(&result["events"].as_array()?.last()?["@timestamp"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
