//! A test's events as a recording: the lines that eslogger and a network source would have written.

use std::collections::HashMap;

use eql::{Diagnostic, Span};
use serde_json::{Map, Value as Json};

use super::event::{Definition, Happening, Scenario, What, When};
use super::program::{self, Program};
use super::table::Placed;
use super::{BEGIN, MAX_RECORDING};
use crate::timestamp;

mod line;

use line::Process;

/// Lines, and what each is of.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// NDJSON.
    pub(super) text: String,
    /// What each line is of, in the order of the lines.
    pub(super) lines: Vec<Line>,
}

/// What a line is of.
#[derive(Debug)]
pub(super) struct Line {
    /// `event.sequence`, by which the events of an alert are known again.
    pub(super) number: u64,
    /// What the test calls it.
    pub(super) label: String,
    /// Where the event stands in the test's file.
    pub(super) span: Span,
}

/// The place of launchd among the processes.
const LAUNCHD: usize = 0;

/// The number of the first document; those of messages begin with 1.
const DOCUMENTS: u64 = 1 << 32;

/// How many parents that are named in `[processes]` a process may have: more is a circle.
const MAX_CHAIN: usize = 32;

/// Records what happens in a scenario.
///
/// # Errors
/// The first event that cannot happen, and why.
pub(super) fn record(scenario: &Scenario) -> Result<Recording, Diagnostic> {
    let mut mac = Mac {
        scenario,
        recording: Recording::default(),
        processes: vec![Process::launchd()],
        names: HashMap::from([("launchd".to_owned(), LAUNCHD)]),
        labels: HashMap::new(),
        pid: 500,
        pidversion: 1000,
        now: BEGIN,
        messages: 0,
    };
    for happening in &scenario.events {
        mac.happens(happening)?;
        if mac.recording.text.len() > MAX_RECORDING {
            let message = format!("the events of one test come to more than {} MiB", MAX_RECORDING >> 20);
            return Err(Diagnostic::error(happening.span, message));
        }
    }
    Ok(mac.recording)
}

impl Recording {
    /// Returns the lines that a test calls `label`.
    pub(super) fn labelled<'r>(&'r self, label: &'r str) -> impl Iterator<Item = &'r Line> {
        self.lines.iter().filter(move |line| line.label == label)
    }

    /// Returns the line whose event has this `event.sequence`.
    pub(super) fn numbered(&self, number: u64) -> Option<&Line> {
        self.lines.iter().find(|line| line.number == number)
    }
}

/// The Mac on which it happens, and others by their `host`.
struct Mac<'s> {
    scenario: &'s Scenario,
    recording: Recording,
    /// The first is launchd.
    processes: Vec<Process>,
    /// Each process by what the test calls it; one whose image was replaced has several names.
    names: HashMap<String, usize>,
    /// When the last event with a label was.
    labels: HashMap<String, i64>,
    pid: u32,
    pidversion: u32,
    now: i64,
    /// How many messages there were, lost ones too.
    messages: u64,
}

/// What goes for all lines of one event.
#[derive(Clone, Copy)]
struct Writing {
    span: Span,
    lost: bool,
}

impl Mac<'_> {
    fn happens(&mut self, happening: &Happening) -> Result<(), Diagnostic> {
        let Happening { span, what, when, label, lost } = happening;
        self.now = self.moment(when)?;
        let writing = Writing { span: *span, lost: *lost };
        let own = |default: String| label.as_ref().map_or(default, |label| label.value.clone());
        match what {
            What::Exec { program, name, within, reuses, definition: said } => {
                let definition = said.or(self.scenario.processes.get(&program.value));
                let name =
                    name.as_ref().map_or_else(|| called(program, &definition), |name| name.value.clone());
                let image = program_of(program, &definition)?;
                let process = match within {
                    Some(within) => {
                        let needless = [reuses, &said.parent, &said.responsible, &said.host];
                        if let Some(given) = needless.into_iter().flatten().next() {
                            let message =
                                "`in` names a process that is there already: this cannot be chosen any more";
                            return Err(Diagnostic::error(given.span, message));
                        }
                        self.running(within, 0)?
                    }
                    None => self.start(&definition, reuses.as_ref(), &name, &writing, 0)?,
                };
                self.call(&name, process, program.span)?;
                self.exec(process, image, &definition, own(name), &writing);
            }
            What::Fork { parent, name } => {
                let parent = self.running(parent, 0)?;
                let child = self.child_of(parent);
                let child = self.fork(parent, child, own(name.value.clone()), &writing);
                self.call(&name.value, child, name.span)?;
            }
            What::Exit { process, code } => {
                let index = self.running(process, 0)?;
                let line = line::exit(&self.processes, index, self.now, *code);
                self.write(line, own(format!("{} exits", process.value)), &writing);
                self.processes[index].ended = true;
            }
            What::Flow { process, ends, destination, with } => {
                let index = self.mentioned(process, 0)?;
                let line = line::flow(&self.processes[index], self.now, *ends, destination, with);
                let verb = if *ends { "disconnects" } else { "connects" };
                self.write(line, own(format!("{} {verb}", process.value)), &writing);
            }
            What::Raw(raw) => {
                let label = own(format!("line {}", self.recording.lines.len() + 1));
                self.raw(raw, when, label, &writing)?;
            }
        }
        Ok(())
    }

    fn moment(&self, when: &When) -> Result<i64, Diagnostic> {
        let (time, placed) = match when {
            When::Then => return Ok(self.now),
            When::At(at) => (BEGIN.checked_add(at.value), at),
            When::After(after, None) => (self.now.checked_add(after.value), after),
            When::After(after, Some(since)) => match self.labels.get(&since.value) {
                Some(time) => (time.checked_add(after.value), after),
                None => {
                    let message = format!("no event before this one is called {:?}", since.value);
                    let hint =
                        "an exec has its process's name; give the event a `label`, or name another one";
                    return Err(Diagnostic::error(since.span, message).with_hint(hint));
                }
            },
        };
        time.ok_or_else(|| Diagnostic::error(placed.span, "this is after the year 2262"))
    }

    /// Returns a process that has not ended; one that is not there yet starts now.
    fn running(&mut self, name: &Placed<String>, depth: usize) -> Result<usize, Diagnostic> {
        let index = self.mentioned(name, depth)?;
        match self.processes[index].ended {
            false => Ok(index),
            true => Err(Diagnostic::error(name.span, format!("{:?} has ended by then", name.value))),
        }
    }

    /// Returns a process that a test names. One that is not there yet starts at this moment, and so do its parents.
    fn mentioned(&mut self, name: &Placed<String>, depth: usize) -> Result<usize, Diagnostic> {
        if let Some(index) = self.names.get(&name.value) {
            return Ok(*index);
        }
        if depth > MAX_CHAIN {
            let message = format!("the parents of {:?} under [processes] go in a circle", name.value);
            return Err(Diagnostic::error(name.span, message));
        }
        let definition = self.scenario.processes.get(&name.value).cloned().unwrap_or_default();
        let program = program_of(name, &definition)?;
        let called = called(name, &definition);
        let writing = Writing { span: name.span, lost: false };
        let process = self.start(&definition, None, &called, &writing, depth)?;
        self.call(&called, process, name.span)?;
        self.exec(process, program, &definition, called, &writing);
        Ok(process)
    }

    /// Forks the process that an exec then makes something of.
    fn start(
        &mut self,
        definition: &Definition,
        reuses: Option<&Placed<String>>,
        name: &str,
        writing: &Writing,
        depth: usize,
    ) -> Result<usize, Diagnostic> {
        let parent = match &definition.parent {
            Some(parent) => self.running(parent, depth + 1)?,
            None => LAUNCHD,
        };
        let responsible = match &definition.responsible {
            Some(responsible) => Some(self.mentioned(responsible, depth + 1)?),
            None => None,
        };
        let mut child = self.child_of(parent);
        if let Some(reuses) = reuses {
            child.pid = match self.names.get(&reuses.value).map(|index| &self.processes[*index]) {
                Some(process) if process.ended => process.pid,
                _ => {
                    let message = format!("{:?} is no process that has ended by then", reuses.value);
                    return Err(Diagnostic::error(reuses.span, message));
                }
            };
        }
        if let Some(host) = &definition.host {
            if parent != LAUNCHD && child.host.as_ref() != Some(&host.value) {
                let message = "its parent is on another Mac";
                let hint = "leave `host` out: a process is where its parent is";
                return Err(Diagnostic::error(host.span, message).with_hint(hint));
            }
            child.host = Some(host.value.clone());
        }
        // launchd starts a process as the user that it is for.
        if let (LAUNCHD, Some(user)) = (parent, definition.user) {
            child.become_user(user);
        }
        child.responsible = responsible.unwrap_or(child.responsible);
        Ok(self.fork(parent, child, format!("fork of {name}"), writing))
    }

    /// Returns a copy of a process, as fork makes it.
    fn child_of(&mut self, parent: usize) -> Process {
        self.pid += 1;
        self.pidversion += 1;
        let next = self.processes.len();
        self.processes[parent].forked(parent, next, self.pid, self.pidversion, self.now)
    }

    fn fork(&mut self, parent: usize, child: Process, label: String, writing: &Writing) -> usize {
        self.processes.push(child);
        let index = self.processes.len() - 1;
        let line = line::fork(&self.processes, parent, index, self.now);
        let lost = writing.lost || !self.scenario.forks;
        self.write(line, label, &Writing { lost, ..*writing });
        index
    }

    /// Replaces a process's image.
    fn exec(
        &mut self,
        process: usize,
        program: Program,
        definition: &Definition,
        label: String,
        writing: &Writing,
    ) {
        let old = self.processes[process].clone();
        self.pidversion += 1;
        let new = &mut self.processes[process];
        new.program = program;
        new.pidversion = self.pidversion;
        new.user = definition.user.unwrap_or(new.user);
        new.run(definition);
        let line = line::exec(&self.processes, &old, process, self.now);
        self.write(line, label, writing);
    }

    /// Gives a process a name, which no other has.
    fn call(&mut self, name: &str, process: usize, span: Span) -> Result<(), Diagnostic> {
        match self.names.insert(name.to_owned(), process) {
            Some(other) if other != process => {
                let message = format!("there is a process called {name:?} already");
                let hint = "call this one something else: `as = \"…\"`";
                Err(Diagnostic::error(span, message).with_hint(hint))
            }
            _ => Ok(()),
        }
    }

    /// Writes a line that the test itself brings. What it says of its time counts.
    fn raw(
        &mut self,
        raw: &Placed<Map<String, Json>>,
        when: &When,
        label: String,
        writing: &Writing,
    ) -> Result<(), Diagnostic> {
        let mut line = raw.value.clone();
        let message = line.contains_key("event_type") && line.contains_key("process");
        let key = if message && !line.contains_key("@timestamp") { "time" } else { "@timestamp" };
        match (line.get(key), when) {
            (None, _) => {
                line.insert(key.to_owned(), timestamp::format(self.now).into());
            }
            (Some(time), When::Then) => {
                // One that cannot be read is for the decoder to complain of.
                let time = time.as_str().and_then(|time| timestamp::parse(time).ok());
                self.now = time.unwrap_or(self.now);
            }
            (Some(_), _) => {
                let message = format!("this event has its own `{key}`, so `at` and `after` say nothing");
                return Err(Diagnostic::error(raw.span, message));
            }
        }
        self.write(line::Line { json: line, message: key == "time" }, label, writing);
        Ok(())
    }

    /// Writes a line, unless it is lost. Endpoint Security counts what is lost too: a gap in its numbers says so.
    fn write(&mut self, line: line::Line, label: String, writing: &Writing) {
        self.labels.insert(label.clone(), self.now);
        let number = match line.message {
            true => {
                self.messages += 1;
                self.messages
            }
            false => DOCUMENTS + self.recording.lines.len() as u64,
        };
        if !writing.lost {
            self.recording.text.push_str(&line.numbered(number));
            self.recording.text.push('\n');
            self.recording.lines.push(Line { number, label, span: writing.span });
        }
    }
}

/// What an exec's process is called that has no `as`: as the program is named, without its folder.
fn called(program: &Placed<String>, definition: &Definition) -> String {
    let whole = definition.path.is_some();
    if whole { program.value.clone() } else { program::name(&program.value).to_owned() }
}

/// Returns the program that a name or a path stands for, with the signature that is said or the usual one.
fn program_of(name: &Placed<String>, definition: &Definition) -> Result<Program, Diagnostic> {
    let path = definition.path.as_deref().unwrap_or(&name.value);
    let found = if path.contains('/') { Some(program::at(path)) } else { program::named(path) };
    let Some(mut program) = found else {
        let message = format!("no process and no program of macOS is called {path:?}");
        let hint = match program::nearest(path) {
            Some(nearest) => {
                format!("did you mean {nearest:?}? Otherwise give the whole path, here or under [processes]")
            }
            None => "give the whole path, here or under [processes]".to_owned(),
        };
        return Err(Diagnostic::error(name.span, message).with_hint(hint));
    };
    if let Some(platform) = definition.platform {
        program.platform = platform;
    }
    program.team_id.clone_from(&definition.team_id);
    if let Some(id) = &definition.signing_id {
        program.signing_id.clone_from(id);
    } else if program.team_id.is_some() || program.platform {
        program.signing_id = match program.signing_id.is_empty() {
            true => program::name(&program.path).to_owned(),
            false => program.signing_id,
        };
    }
    Ok(program)
}
