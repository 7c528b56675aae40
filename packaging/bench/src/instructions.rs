//! How many instructions an event takes, beside numbers that are committed.
//!
//! A program is run twice under callgrind, over a recording and over one that is longer; what the second takes more,
//! shared out to the lines that it has more, is what an event takes. So starting and loading rules do not count, and
//! other programs on the machine change nothing. Hash tables have other seeds in each run, which moves what loading 1,000
//! rules takes by some millions; hence the longer recordings there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::contenders::{self, Contender, Task, output};
use crate::corpus::{Corpus, Form};
use crate::recording::Recording;
use crate::rules::{self, Order};

/// By how much a count may differ from the committed one: 3 %.
const TOLERANCE: f64 = 0.03;
/// The environment variable that has the numbers written.
const UPDATE: &str = "UPDATE_EXPECT";

/// What is measured with.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program to measure
    #[arg(long)]
    vedette: PathBuf,
    /// Where recordings and rules are made
    #[arg(long)]
    folder: PathBuf,
}

/// The committed numbers, and what they hold for: a compiler makes other instructions in each version.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Committed {
    rustc: String,
    machine: String,
    events: BTreeMap<String, u64>,
}

/// Counts, compares and prints; more instructions than there may be are an error.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.folder).context("cannot make the folder")?;
    let events: BTreeMap<String, u64> = cases(options)?
        .into_iter()
        .map(|case| Ok((case.name.clone(), case.count()?)))
        .collect::<anyhow::Result<_>>()?;
    let rustc = output(&["rustc", "--version"]).context("cannot run rustc")?;
    let counted = Committed { rustc, machine: machine(), events };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml");
    if std::env::var_os(UPDATE).is_some() {
        let text = format!(
            "# Instructions that an event takes, counted by callgrind. `cargo xtask instructions` compares with them, and\n\
             # writes them with {UPDATE}=1.\n{}",
            toml::to_string(&counted)?
        );
        return std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let committed: Committed = toml::from_str(&text).with_context(|| path.display().to_string())?;
    compare(&counted, &committed)
}

fn compare(counted: &Committed, committed: &Committed) -> anyhow::Result<()> {
    println!("| instructions an event | committed | here | |\n| --- | --- | --- | --- |");
    let (mut more, mut fewer) = (0, 0);
    for (name, here) in &counted.events {
        let Some(known) = committed.events.get(name) else {
            println!("| {name} | none | {here} | |");
            fewer += 1;
            continue;
        };
        let change = *here as f64 / (*known).max(1) as f64 - 1.0;
        more += usize::from(change > TOLERANCE);
        fewer += usize::from(change < -TOLERANCE);
        println!("| {name} | {known} | {here} | {:+.1} % |", change * 100.0);
    }
    if (&counted.rustc, &counted.machine) != (&committed.rustc, &committed.machine) {
        println!(
            "\nNot compared: the committed numbers are of {} on {}, these of {} on {}.",
            committed.rustc, committed.machine, counted.rustc, counted.machine
        );
        return Ok(());
    }
    if fewer > 0 {
        println!("\nThere is something to commit: run `{UPDATE}=1 cargo xtask instructions`.");
    }
    if more > 0 {
        bail!(
            "{more} of {} take more than {} % more instructions than was committed. If it is for a good reason, say it in \
             the commit, and write the numbers by `{UPDATE}=1 cargo xtask instructions`; another version of the C library \
             may be one",
            counted.events.len(),
            TOLERANCE * 100.0
        );
    }
    Ok(())
}

/// One thing that is counted, at two lengths.
struct Case {
    name: String,
    runs: [Run; 2],
}

struct Run {
    lines: u64,
    contender: Contender,
    contents: contenders::Contents,
}

impl Case {
    /// Returns the instructions that an event takes.
    fn count(&self) -> anyhow::Result<u64> {
        let [short, long] = &self.runs;
        let (less, more) = (short.instructions()?, long.instructions()?);
        Ok(more.saturating_sub(less) / (long.lines - short.lines).max(1))
    }
}

impl Run {
    /// Runs it under callgrind, checks what it gives and returns all its instructions.
    fn instructions(&self) -> anyhow::Result<u64> {
        let done = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .args(&self.contender.command)
            .output()
            .context("cannot run valgrind; `apt install valgrind`")?;
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        if !done.status.success() {
            bail!("`{}` failed under valgrind: {}", self.contender.command.join(" "), err.trim());
        }
        if let Err(reason) = self.contender.task.check(&out, &self.contents) {
            bail!("{}: {reason}", self.contender.name);
        }
        let collected = err.lines().rev().find_map(|line| line.split_once("Collected :"));
        collected
            .and_then(|(_, number)| number.trim().parse().ok())
            .with_context(|| format!("callgrind did not say what it collected: {}", err.trim()))
    }
}

fn cases(options: &Options) -> anyhow::Result<Vec<Case>> {
    let replay = |name: &str, form: Form, lines: u64, others: usize| -> anyhow::Result<Case> {
        let rules = options.folder.join(format!("counted-rules-{others}"));
        rules::write(&rules, others, Order::Action).context("cannot write rules")?;
        let run = |lines: u64| -> anyhow::Result<Run> {
            let Recording { path, contents, .. } =
                Recording::make(&options.folder, Corpus { form, lines, exits: true })?;
            let contender = contenders::vedette(name.to_owned(), &options.vedette, &[&rules], &[path], 1);
            Ok(Run { lines, contender, contents })
        };
        Ok(Case { name: name.to_owned(), runs: [run(lines)?, run(2 * lines)?] })
    };
    let own = std::env::current_exe().context("cannot find this program")?;
    let lookup = |lines: u64| Run {
        lines,
        contender: Contender {
            name: "lookup".into(),
            command: vec![own.to_string_lossy().into_owned(), "lookup".into(), lines.to_string()],
            task: Task::Nothing,
        },
        contents: contenders::Contents { lines, planted: Vec::new() },
    };
    Ok(vec![
        replay("ECS, 1 rule", Form::Ecs, 10_000, 0)?,
        replay("ECS, 1,000 rules", Form::Ecs, 30_000, 999)?,
        replay("eslogger, 1 rule", Form::Eslogger, 5_000, 0)?,
        Case { name: "looking up 1,000 rules".into(), runs: [lookup(50_000), lookup(100_000)] },
    ])
}

fn machine() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}
