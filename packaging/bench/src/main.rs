//! `cargo xtask bench`: what Vedette costs, beside others, over generated recordings.
//!
//! Everything is run on one core, one after the other, several rounds; what is counted is processor time. A program
//! that does not find what was planted has no figure: the run fails. `cargo xtask instructions` counts instructions
//! instead, which nobody else on the machine changes.

mod compare;
mod contenders;
mod corpus;
mod floors;
mod instructions;
mod lookup;
mod machine;
mod measure;
mod recording;
mod rules;
mod table;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::corpus::{Corpus, Form};
use crate::floors::Floor;

/// What Vedette costs, beside others, over generated recordings.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure everything, and print it as an entry for BENCHMARKS.md
    Compare(Options),
    /// Count the instructions that an event takes, and compare with what is committed
    Instructions(instructions::Options),
    /// Write a recording to standard output
    Corpus {
        /// What it is written as
        form: Form,
        /// How many lines
        lines: u64,
        /// No process ends in it
        #[arg(long)]
        no_exits: bool,
    },
    /// Do what any reader has to do, and print how many lines there were
    Floor {
        /// Which part of the work
        floor: Floor,
        /// The recording
        file: PathBuf,
    },
    /// Find which of 1,000 rules events may match, and print how many sequences did
    Lookup {
        /// How many events
        events: u64,
    },
    /// Run a command and print what it cost
    Measured {
        /// The command
        #[arg(last = true)]
        command: Vec<String>,
    },
}

/// What is measured, and how often.
#[derive(Args)]
struct Options {
    /// The program to measure
    #[arg(long)]
    vedette: PathBuf,
    /// Where recordings and rules are made
    #[arg(long)]
    folder: PathBuf,
    /// How many lines of ECS; of eslogger a quarter
    #[arg(long, default_value_t = 400_000)]
    lines: u64,
    /// How often everything is run
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The core to run on; `--jobs 2` has one more
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// A folder of rules to load beside the one that finds what is planted
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// A Python that may have the packages eql and duckdb
    #[arg(long, default_value = "python3")]
    python: String,
    /// rsigma 0.23, if it is installed
    #[arg(long, default_value = "rsigma")]
    rsigma: String,
}

impl Options {
    /// The command that measures so, from a clean clone.
    fn command(&self) -> String {
        let Options { lines, rounds, core, .. } = self;
        let rules = if self.rules.is_some() { " --rules DIR" } else { "" };
        format!("cargo xtask bench --lines {lines} --rounds {rounds} --core {core}{rules}")
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Compare(options) => compare::run(&options),
        Task::Instructions(options) => instructions::run(&options),
        Task::Corpus { form, lines, no_exits } => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            let corpus = Corpus { form, lines, exits: !no_exits };
            corpus::write(corpus, &mut out).and_then(|_| out.flush()).map_err(Into::into)
        }
        Task::Floor { floor, file } => floors::run(floor, &file).map(|lines| println!("{lines}")),
        Task::Lookup { events } => lookup::run(events).map(|found| println!("{found}")),
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
