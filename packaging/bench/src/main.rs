//! `cargo xtask bench`: what Vedette costs, beside others, over generated recordings.
//!
//! Everything is run on one core, one after the other, several rounds; what is counted is processor time. A program
//! that does not find what was planted has no figure: the run fails.

mod contenders;
mod corpus;
mod floors;
mod measure;
mod rules;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};

use crate::contenders::{Contender, Contents};
use crate::corpus::Form;
use crate::floors::Floor;
use crate::rules::Order;

/// What Vedette costs, beside others, over generated recordings.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure everything and print a table
    Compare(Compare),
    /// Write a recording to standard output
    Corpus {
        /// What it is written as
        form: Form,
        /// How many lines
        lines: u64,
    },
    /// Do what any reader has to do, and print how many lines there were
    Floor {
        /// Which part of the work
        floor: Floor,
        /// The recording
        file: PathBuf,
    },
    /// Run a command and print what it cost
    Measured {
        /// The command
        #[arg(last = true)]
        command: Vec<String>,
    },
}

#[derive(Args)]
struct Compare {
    /// The program to measure
    #[arg(long)]
    vedette: PathBuf,
    /// Where recordings and rules are made
    #[arg(long)]
    folder: PathBuf,
    /// How many lines of ECS; of eslogger a quarter
    #[arg(long, default_value_t = 200_000)]
    lines: u64,
    /// How often everything is run
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The core to run on
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// A Python that may have the packages eql and duckdb
    #[arg(long, default_value = "python3")]
    python: String,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Compare(options) => compare(&options),
        Task::Corpus { form, lines } => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            corpus::write(form, lines, &mut out).and_then(|_| out.flush()).map_err(Into::into)
        }
        Task::Floor { floor, file } => floors::run(floor, &file).map(|lines| println!("{lines}")),
        Task::Measured { command } => measure::measured(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Compare) -> anyhow::Result<()> {
    fs::create_dir_all(&options.folder).context("cannot make the folder")?;
    let own = std::env::current_exe().context("cannot find this program")?;
    let ecs = Recording::make(&options.folder, Form::Ecs, options.lines)?;
    let eslogger = Recording::make(&options.folder, Form::Eslogger, options.lines / 4)?;
    let with_rules = |others: usize, order: Order, recording: &Recording| -> anyhow::Result<Contender> {
        let folder = options.folder.join(format!("rules-{others}-{order:?}").to_lowercase());
        rules::write(&folder, others, order).context("cannot write rules")?;
        let order = if others == 0 { String::new() } else { format!(", {order:?} first").to_lowercase() };
        let count = if others == 0 { "1 rule".to_owned() } else { format!("{} rules", others + 1) };
        let name = format!("vedette, {count}{order}");
        let files = std::slice::from_ref(&recording.path);
        Ok(contenders::vedette(name, &options.vedette, &folder, files, 1))
    };
    let mut on_ecs = contenders::floors(&own, &ecs.path);
    on_ecs.push(with_rules(0, Order::Action, &ecs)?);
    for others in [99, 999] {
        for order in [Order::Action, Order::Name] {
            on_ecs.push(with_rules(others, order, &ecs)?);
        }
    }
    let (peers, missing) = contenders::peers(&options.python, &ecs.path);
    on_ecs.extend(peers);
    let mut on_eslogger = contenders::floors(&own, &eslogger.path);
    on_eslogger.push(with_rules(0, Order::Action, &eslogger)?);
    on_eslogger.push(with_rules(999, Order::Action, &eslogger)?);
    table("ECS documents", &ecs, &on_ecs, options)?;
    table("eslogger's messages", &eslogger, &on_eslogger, options)?;
    let mut unmeasured = missing;
    // A peer with a query language of its own, whose build takes long; its place in the table is kept by name.
    unmeasured
        .push("rsigma 0.23 (cargo install rsigma --version 0.23.0 --locked): no adapter yet".to_owned());
    println!("\nNot measured: {}.", unmeasured.join("; "));
    Ok(())
}

struct Recording {
    path: PathBuf,
    bytes: u64,
    contents: Contents,
}

impl Recording {
    fn make(folder: &Path, form: Form, lines: u64) -> anyhow::Result<Self> {
        let path = folder.join(format!("{form:?}-{lines}.ndjson").to_lowercase());
        let mut out = BufWriter::new(File::create(&path).context("cannot write a recording")?);
        let planted =
            corpus::write(form, lines, &mut out).and_then(|planted| out.flush().map(|()| planted))?;
        let bytes = fs::metadata(&path)?.len();
        Ok(Recording { path, bytes, contents: Contents { lines, planted } })
    }
}

/// Runs all contenders, round by round, and prints a row for each.
fn table(
    title: &str,
    recording: &Recording,
    contenders: &[Contender],
    options: &Compare,
) -> anyhow::Result<()> {
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    let mut memory = vec![0; contenders.len()];
    for _ in 0..options.rounds {
        for (at, contender) in contenders.iter().enumerate() {
            let run = measure::run(options.core, &contender.command)?;
            if let Err(reason) = contender.task.check(&run.output, recording.contents) {
                bail!("{}: {reason}", contender.name);
            }
            seconds[at].push(run.seconds);
            memory[at] = memory[at].max(run.memory);
        }
    }
    let Contents { lines, planted } = recording.contents;
    println!(
        "\n{title}: {lines} lines, {} bytes a line, {planted} planted\n",
        recording.bytes / lines.max(1)
    );
    println!("| what | seconds, {} runs | events a second | MB a second | memory |", options.rounds);
    println!("| --- | --- | --- | --- | --- |");
    for (at, contender) in contenders.iter().enumerate() {
        seconds[at].sort_by(f64::total_cmp);
        let (least, median) = (seconds[at][0], seconds[at][seconds[at].len() / 2]);
        let most = seconds[at].last().copied().unwrap_or(median);
        println!(
            "| {} | {least:.2} to {most:.2} | {:.0} | {:.0} | {} MB |",
            contender.name,
            lines as f64 / median,
            recording.bytes as f64 / median / 1e6,
            memory[at] / 1024
        );
    }
    Ok(())
}
