//! Tables of measurements, as Markdown.

use anyhow::{Context, bail};

use crate::contenders::{Contender, Contents};
use crate::measure;

/// What was measured over one recording, a row for each contender.
pub(crate) struct Table {
    rows: Vec<Row>,
    lines: u64,
    bytes: u64,
}

/// One contender's runs, in the order of the rounds.
pub(crate) struct Row {
    pub(crate) name: String,
    /// Seconds of processor time.
    pub(crate) seconds: Vec<f64>,
    /// Seconds that went by.
    pub(crate) wall: Vec<f64>,
    /// The most memory that a run took, in bytes.
    pub(crate) memory: u64,
}

impl Table {
    /// Runs all contenders on `cores`, round by round, so that what disturbs the machine disturbs all of them; `bytes` is
    /// the size of what they read. A run that does not find what there is to find is an error.
    pub(crate) fn measure(
        contenders: &[Contender],
        contents: &Contents,
        bytes: u64,
        rounds: usize,
        cores: &str,
    ) -> anyhow::Result<Self> {
        let new = |contender: &Contender| Row {
            name: contender.name.clone(),
            seconds: Vec::new(),
            wall: Vec::new(),
            memory: 0,
        };
        let mut rows: Vec<Row> = contenders.iter().map(new).collect();
        for round in 1..=rounds {
            for (row, contender) in rows.iter_mut().zip(contenders) {
                eprintln!("bench: round {round} of {rounds}: {}", contender.name);
                let run = measure::run(cores, &contender.command)?;
                if let Err(reason) = contender.task.check(&run.output, contents) {
                    bail!("{}: {reason}; `{}`", contender.name, contender.command.join(" "));
                }
                row.seconds.push(run.seconds);
                row.wall.push(run.wall);
                row.memory = row.memory.max(run.memory);
            }
        }
        Ok(Table { rows, lines: contents.lines, bytes })
    }

    /// Returns a contender's row, by its name.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Prints rates by processor time.
    pub(crate) fn print_rates(&self) {
        let rounds = self.rows.first().map_or(0, |row| row.seconds.len());
        println!("| what | processor seconds, {rounds} runs | events a second | MB a second | memory |");
        println!("| --- | --- | --- | --- | --- |");
        for row in &self.rows {
            let median = median(&row.seconds);
            println!(
                "| {} | {} | {} | {:.0} | {:.0} MB |",
                row.name,
                spread(&row.seconds, 1.0),
                thousands(self.lines as f64 / median),
                self.bytes as f64 / median / 1e6,
                row.memory as f64 / 1e6
            );
        }
    }

    /// Prints the seconds that went by.
    pub(crate) fn print_walls(&self) {
        let rounds = self.rows.first().map_or(0, |row| row.wall.len());
        println!("| what | seconds that went by, {rounds} runs | processor seconds | memory |");
        println!("| --- | --- | --- | --- |");
        for row in &self.rows {
            println!(
                "| {} | {} | {} | {:.0} MB |",
                row.name,
                spread(&row.wall, 1.0),
                spread(&row.seconds, 1.0),
                row.memory as f64 / 1e6
            );
        }
    }

    /// Returns the middle rate of a contender, in bytes of processor time a second.
    pub(crate) fn bytes_a_second(&self, name: &str) -> Option<f64> {
        self.row(name).map(|row| self.bytes as f64 / median(&row.seconds))
    }

    /// Returns how many times as fast the first is as the second: the middle of the ratios of each round.
    pub(crate) fn ratio(&self, one: &str, other: &str) -> Option<f64> {
        let (one, other) = (self.row(one)?, self.row(other)?);
        Some(ratio(&one.seconds, &other.seconds, 0.0, 0.0))
    }
}

/// How many times as fast `one` is as `other`, round by round, without what either takes to start; the middle one.
pub(crate) fn ratio(one: &[f64], other: &[f64], start: f64, other_start: f64) -> f64 {
    let ratios: Vec<f64> = one
        .iter()
        .zip(other)
        .map(|(one, other)| (other - other_start).max(1e-6) / (one - start).max(1e-6))
        .collect();
    median(&ratios)
}

/// The middle one; of an even number the upper of the middle two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// `0.41 to 0.48`, multiplied by `unit`.
pub(crate) fn spread(values: &[f64], unit: f64) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min) * unit;
    let most = values.iter().copied().fold(0.0, f64::max) * unit;
    if unit > 1.0 { format!("{least:.0} to {most:.0}") } else { format!("{least:.2} to {most:.2}") }
}

/// Three digits that count, with commas: `1,040,000`.
pub(crate) fn thousands(number: f64) -> String {
    let unit = 10_f64.powi((number.max(1.0).log10() as i32 - 2).max(0));
    let digits = format!("{:.0}", (number / unit).round() * unit);
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Runs a command once on `cores` and returns the most memory that it took, in bytes, after its output was checked.
pub(crate) fn memory(contender: &Contender, contents: &Contents, cores: &str) -> anyhow::Result<u64> {
    eprintln!("bench: {}", contender.name);
    let run = measure::run(cores, &contender.command)?;
    contender
        .task
        .check(&run.output, contents)
        .map_err(anyhow::Error::msg)
        .with_context(|| contender.name.clone())?;
    Ok(run.memory)
}
