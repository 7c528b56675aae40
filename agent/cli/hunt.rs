//! `vedette hunt`.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use eql::{Options, Position, Program, Scalar, Schema, Value};
use serde_json::{Value as Json, json};

use super::output;
use crate::alert::json_line;
use crate::detector::query_options;
use crate::hunt::{self, Order, Output, RawFields};
use crate::readable::visible;
use crate::schema;

/// What `vedette hunt` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write NDJSON even to a terminal
    #[arg(long)]
    json: bool,
    /// Sort all events by time first
    #[arg(long)]
    sort: bool,
    /// Read documents of any schema, their time in this field [default: @timestamp]
    #[arg(long, value_name = "F")]
    timestamp_field: Option<String>,
    /// Read documents of any schema, their category in this field [default: event.category]
    #[arg(long, value_name = "F")]
    event_category_field: Option<String>,
    /// Order events of the same time by this field
    #[arg(long, value_name = "F")]
    tiebreaker_field: Option<String>,
    /// The query, in EQL
    query: String,
    /// NDJSON files, plain, .gz or .zst; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs a query over files.
///
/// # Errors
/// The query is wrong, or standard output cannot be written.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let raw = match (&arguments.timestamp_field, &arguments.event_category_field) {
        (None, None) => None,
        (timestamp, category) => Some(RawFields {
            timestamp: timestamp.clone().unwrap_or_else(|| "@timestamp".into()),
            category: category.clone().unwrap_or_else(|| "event.category".into()),
        }),
    };
    let (mut schema, options) = match raw {
        Some(_) => (Schema::new(), Options { known_fields: None, ..query_options() }),
        None => (schema::schema(), query_options()),
    };
    let program = match Program::new(&arguments.query, &mut schema, &options) {
        Ok(program) => program,
        Err(diagnostics) => {
            for diagnostic in &diagnostics {
                output::say(format_args!(
                    "{}",
                    diagnostic.render("query", Position::START, &arguments.query)
                ));
            }
            bail!("the query does not run");
        }
    };
    for warning in program.warnings() {
        output::say(format_args!("{}", warning.render("query", Position::START, &arguments.query)));
    }
    let key_names = program.keys().to_vec();
    let (files, failed) = super::replay::open(&arguments.files);
    let order = Order { sort: arguments.sort, tiebreaker: arguments.tiebreaker_field.clone() };
    let json = output::style(arguments.json).is_none();
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let mut matches = 0u64;
    let each = |output: Output<'_>| {
        let written = match output {
            Output::Problem(problem) => {
                output::say(format_args!("{problem}\n"));
                Ok(())
            }
            Output::Match { events, keys } => {
                matches += 1;
                if json {
                    let keys: Vec<Json> = keys.iter().map(|key| key_json(key.as_ref())).collect();
                    writeln!(stdout, "{}", json_line(&json!({ "events": events, "join_keys": keys })))
                } else {
                    write_match(&mut stdout, matches, &key_names, &keys, &events)
                }
            }
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    };
    let stopped = match &raw {
        Some(fields) => hunt::documents(program, &mut schema, fields, files, &order, each),
        None => hunt::recordings(program, &mut schema, files, &order, each),
    };
    if let Some(error) = stopped {
        return Err(error.into());
    }
    stdout.flush()?;
    output::say(format_args!("{matches} {}\n", if matches == 1 { "match" } else { "matches" }));
    Ok(if failed { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

fn write_match(
    output: &mut impl Write,
    number: u64,
    names: &[String],
    keys: &[Option<Scalar>],
    events: &[Json],
) -> std::io::Result<()> {
    let keys: Vec<String> = names
        .iter()
        .zip(keys)
        .map(|(name, value)| format!("{name}={}", visible(&key_json(value.as_ref()).to_string())))
        .collect();
    writeln!(output, "match {number}  {}", keys.join(" "))?;
    for event in events {
        writeln!(output, "  {}", visible(&event.to_string()))?;
    }
    Ok(())
}

fn key_json(key: Option<&Scalar>) -> Json {
    key.map_or(Json::Null, |key| schema::json(Value::from(key)))
}
