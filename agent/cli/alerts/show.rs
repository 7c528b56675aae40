//! `vedette alerts show`: all that is known about one alert.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Map, Value as Json};

use super::{ShowArguments, line_out};
use crate::alert_log::{AlertLog, Entry, Item, Kind};
use crate::cli::output;
use crate::readable::{self, Row, Style, Whole, visible};
use crate::rule::{self, Content};
use crate::source::Problem;

/// How many alerts are named where an id may mean several.
const MAX_CANDIDATES: usize = 20;

/// How many enrichments are shown; the sensor writes at most one for an alert.
const MAX_ENRICHMENTS: usize = 8;

/// Shows an alert.
pub(super) fn run(arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let log = AlertLog::new(&arguments.file.path());
    arguments.file.require(&log)?;
    let candidates = find(arguments)?;
    let ids: Vec<&String> = candidates.keys().collect();
    let id = match (candidates.contains_key(&arguments.id), ids.as_slice()) {
        (true, _) => &arguments.id,
        (false, [id]) => *id,
        (false, []) => {
            output::say(format_args!("no alert with the id {} in\n", visible(&arguments.id)));
            let mut files = log.files()?;
            if files.is_empty() {
                files.push(arguments.file.path().into_owned());
            }
            for file in files {
                output::say(format_args!("  {}\n", visible(&file.to_string_lossy())));
            }
            return Ok(ExitCode::from(1));
        }
        (false, _) => {
            output::say(format_args!("{} is the beginning of several ids:\n", visible(&arguments.id)));
            for (id, row) in candidates.iter().take(MAX_CANDIDATES) {
                output::say(format_args!(
                    "{}",
                    readable::row(row, id, true, Style { colour: false, width: 100 })
                ));
            }
            if candidates.len() > MAX_CANDIDATES {
                output::say(format_args!("and more\n"));
            }
            return Ok(ExitCode::from(1));
        }
    };
    let Some(found) = read(arguments, id)? else {
        bail!("{}: the alert was rotated away while it was being read", arguments.file.path().display());
    };
    let mut stdout = io::stdout().lock();
    match output::style(arguments.json) {
        Some(style) => stdout.write_all(found.page(style).as_bytes())?,
        None => {
            for line in &found.lines {
                stdout.write_all(&line_out(line, io::stdout().is_terminal()))?;
            }
        }
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Finds the alerts whose id begins like the one that is asked for, one more than are named.
fn find(arguments: &ShowArguments) -> anyhow::Result<BTreeMap<String, Row>> {
    let mut found = BTreeMap::new();
    look(
        arguments,
        |entry, _, _| {
            let is_meant = entry.id == arguments.id || found.len() <= MAX_CANDIDATES;
            if entry.kind == Kind::Alert && entry.id.starts_with(&arguments.id) && is_meant {
                let row = Row::new(entry.time, &entry.document);
                found.entry(entry.id).or_insert(row);
            }
        },
        |problem| output::say(format_args!("{problem}\n")),
    )?;
    Ok(found)
}

/// An alert with what followed it.
struct Found {
    document: Map<String, Json>,
    /// `FILE:LINE`.
    place: String,
    enrichments: Vec<Map<String, Json>>,
    /// All of them as they stand in the file.
    lines: Vec<Vec<u8>>,
}

/// Reads an alert and its enrichments. It is a second reading, so that the first need not hold documents.
fn read(arguments: &ShowArguments, id: &str) -> anyhow::Result<Option<Found>> {
    let mut found: Option<Found> = None;
    let mut early = Vec::new();
    look(
        arguments,
        |entry, line, place| match (entry.kind, &mut found) {
            _ if entry.id != id => {}
            (Kind::Alert, None) => {
                let lines = vec![line.to_vec()];
                found = Some(Found { document: entry.document, place, enrichments: Vec::new(), lines });
            }
            (Kind::Alert, Some(_)) => {}
            (Kind::Enrichment, Some(found)) if found.enrichments.len() < MAX_ENRICHMENTS => {
                found.enrichments.push(entry.document);
                found.lines.push(line.to_vec());
            }
            (Kind::Enrichment, None) if early.len() < MAX_ENRICHMENTS => {
                early.push((entry.document, line.to_vec()))
            }
            (Kind::Enrichment, _) => {}
        },
        |_| {},
    )?;
    if let Some(found) = &mut found {
        for (document, line) in early {
            found.enrichments.push(document);
            found.lines.push(line);
        }
    }
    Ok(found)
}

/// Reads the whole log once; `take` gets each entry with its line and place.
fn look(
    arguments: &ShowArguments,
    mut take: impl FnMut(Entry, &[u8], String),
    report: impl Fn(&Problem),
) -> anyhow::Result<()> {
    let _ = AlertLog::new(&arguments.file.path()).look(&mut |item| {
        match item {
            Item::Line(line) => match Entry::parse(line.bytes) {
                Ok(entry) => {
                    let place = format!("{}:{}", line.file.display(), line.number);
                    take(entry, line.bytes, place);
                }
                Err(reason) => {
                    report(&Problem { file: line.file.to_string_lossy().into(), line: line.number, reason });
                }
            },
            Item::Problem(problem) => report(&problem),
            Item::Gap(gap) => output::say(format_args!("vedette: {}\n", visible(&gap.to_string()))),
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

impl Found {
    fn page(&self, style: Style) -> String {
        let id = readable::get(&self.document, "rule.id").and_then(Json::as_str);
        let rules = rule::builtin().into_iter().filter_map(|file| match file.content {
            Content::Rule(rule) => Some(*rule),
            _ => None,
        });
        let rule = rules.into_iter().find(|rule| Some(rule.id.as_str()) == id);
        let whole = Whole {
            document: &self.document,
            enrichments: &self.enrichments,
            rule: rule.as_ref(),
            place: &self.place,
        };
        readable::whole(&whole, style)
    }
}
