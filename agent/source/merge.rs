//! Merges recordings by their events' times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::ahead::{self, Ahead};
use super::{Decoded, Decoder, LineError, Lines, NotEvaluated, Problem};
use crate::observation::{MessageEvent, Observation};

/// How many names of event kinds are counted one by one; they come from the recording, so they are bounded.
const MAX_KINDS: usize = 256;

/// Reads files as one stream: next is the earliest of the files' next events, ties in the order of the
/// files, then of their lines. A file that is not in the order of time keeps its own order.
pub struct Merge {
    decoder: Decoder,
    files: Vec<File>,
    counters: Counters,
}

/// One thing that came out of a file.
#[derive(Debug)]
pub enum Item<'a> {
    /// An event.
    Observation(Observation<'a>, Position<'a>),
    /// A document that is no event.
    NotEvaluated(NotEvaluated, Position<'a>),
    /// Something that could not be read.
    Problem(Problem),
}

/// Where an event was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// The file's place among those that are merged, from 0.
    pub index: usize,
    /// The file as it was named.
    pub file: &'a str,
    /// The line's number, from 1.
    pub line: u64,
}

/// What was read so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines that are not blank, those that could not be read included.
    pub lines: u64,
    /// Events handed out.
    pub events: u64,
    /// Documents that are no events.
    pub not_evaluated: u64,
    /// Problems: lines that were skipped, and files that broke off.
    pub problems: u64,
    /// ECS documents handed out.
    pub documents: u64,
    /// Eslogger messages handed out, by the kind of event (`exec`, `open`), in the order in which the kinds
    /// came up; at most 256 kinds are told apart.
    pub messages: Vec<(Box<str>, u64)>,
    /// Eslogger messages handed out of any further kind.
    pub more: u64,
}

struct File {
    name: Arc<str>,
    input: Input,
    /// The next event with its line's number, where it was read and others come first.
    head: Option<(u64, Observation<'static>)>,
}

/// Where a file's entries come from.
enum Input {
    /// Lines that are decoded when they are asked for.
    Lines(Lines),
    /// Lines that other threads decode ahead.
    Ahead(Ahead),
}

/// What a line that is not blank holds.
pub(super) enum Entry<'a> {
    Observation(Observation<'a>),
    NotEvaluated(NotEvaluated),
    Problem(Problem),
}

impl Merge {
    /// Merges `files`, decoding their lines with `decoder`.
    pub fn new(decoder: Decoder, files: Vec<Lines>) -> Self {
        let files = files.into_iter().map(|lines| {
            let name = Arc::clone(lines.name());
            File { name, input: Input::Lines(lines), head: None }
        });
        Merge { decoder, files: files.collect(), counters: Counters::default() }
    }

    /// Merges `files` as [`new`](Self::new) does, with their lines decoded ahead by as many threads as `threads` says, or
    /// one for each file if that is less. What comes out, and in which order, is the same.
    pub fn ahead(decoder: Decoder, files: Vec<Lines>, threads: usize) -> Self {
        let names: Vec<Arc<str>> = files.iter().map(|lines| Arc::clone(lines.name())).collect();
        let inputs = ahead::decode(&decoder, files, threads);
        let files = names.into_iter().zip(inputs).map(|(name, input)| File {
            name,
            input: Input::Ahead(input),
            head: None,
        });
        Merge { files: files.collect(), decoder, counters: Counters::default() }
    }

    /// Returns what was read so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Reads everything, handing each item to `each` until it breaks.
    ///
    /// Problems and documents that are no events come when they are met, which may be before an earlier
    /// event of another file.
    pub fn try_for_each<B>(&mut self, mut each: impl FnMut(Item<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        let mut heads = BinaryHeap::with_capacity(self.files.len());
        for file in 0..self.files.len() {
            // Nothing is handed out before every file's first event is known; the last file's is compared
            // at once, and so a single file is streamed.
            let limit = if file + 1 == self.files.len() { first(&heads) } else { Some((i64::MIN, 0)) };
            if let Some(time) = self.stream(file, limit, &mut each)? {
                heads.push(Reverse((time, file)));
            }
        }
        while let Some(Reverse((_, file))) = heads.pop() {
            self.take_head(file, &mut each)?;
            if let Some(time) = self.stream(file, first(&heads), &mut each)? {
                heads.push(Reverse((time, file)));
            }
        }
        ControlFlow::Continue(())
    }

    /// Hands out the events of `file` that come before `limit`, and returns the time of the first that does
    /// not: it is the file's head now. `None` at the end of the file.
    fn stream<B>(
        &mut self,
        index: usize,
        limit: Option<(i64, usize)>,
        each: &mut impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B, Option<i64>> {
        let File { name, input, head } = &mut self.files[index];
        while let Some((line, entry)) = input.next(&mut self.decoder) {
            self.counters.lines += 1;
            let position = Position { index, file: name, line };
            match entry {
                Entry::Observation(observation) => {
                    let time = observation.time();
                    if limit.is_some_and(|limit| (time, index) >= limit) {
                        *head = Some((line, observation.into_owned()));
                        return ControlFlow::Continue(Some(time));
                    }
                    self.counters.count(&observation);
                    each(Item::Observation(observation, position))?;
                }
                Entry::NotEvaluated(kind) => {
                    self.counters.not_evaluated += 1;
                    each(Item::NotEvaluated(kind, position))?;
                }
                Entry::Problem(problem) => {
                    self.counters.problems += 1;
                    each(Item::Problem(problem))?;
                }
            }
        }
        ControlFlow::Continue(None)
    }

    /// Hands out the head of a file.
    fn take_head<B>(
        &mut self,
        index: usize,
        each: &mut impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let File { name, head, .. } = &mut self.files[index];
        let Some((line, observation)) = head.take() else { return ControlFlow::Continue(()) };
        self.counters.count(&observation);
        each(Item::Observation(observation, Position { index, file: name, line }))
    }
}

impl Input {
    fn next(&mut self, decoder: &mut Decoder) -> Option<(u64, Entry<'_>)> {
        match self {
            Input::Lines(lines) => Entry::next(lines, decoder),
            Input::Ahead(ahead) => ahead.next(decoder),
        }
    }
}

impl<'a> Entry<'a> {
    /// Decodes the next line that is not blank, and returns its number with what it holds; `None` at the end of the file.
    pub(super) fn next(lines: &'a mut Lines, decoder: &mut Decoder) -> Option<(u64, Self)> {
        let advanced = lines.advance()?;
        let lines: &'a Lines = lines;
        let line = match advanced.and_then(|()| lines.line()) {
            Ok(line) => line,
            Err(problem) => return Some((problem.line, Entry::Problem(problem))),
        };
        Some((line.number, Entry::of(decoder.decode(line.text), lines.name(), line.number)))
    }

    /// Returns what a line holds that was decoded.
    pub(super) fn of(decoded: Result<Decoded<'a>, LineError>, file: &Arc<str>, line: u64) -> Self {
        match decoded {
            Ok(decoded) => decoded.into(),
            Err(reason) => Entry::Problem(Problem { file: Arc::clone(file), line, reason }),
        }
    }

    /// Returns it with all that it borrowed copied.
    pub(super) fn into_owned(self) -> Entry<'static> {
        match self {
            Entry::Observation(observation) => Entry::Observation(observation.into_owned()),
            Entry::NotEvaluated(kind) => Entry::NotEvaluated(kind),
            Entry::Problem(problem) => Entry::Problem(problem),
        }
    }
}

impl<'a> From<Decoded<'a>> for Entry<'a> {
    fn from(decoded: Decoded<'a>) -> Self {
        match decoded {
            Decoded::Observation(observation) => Entry::Observation(observation),
            Decoded::NotEvaluated(kind) => Entry::NotEvaluated(kind),
        }
    }
}

/// Returns time and file of the earliest head.
fn first(heads: &BinaryHeap<Reverse<(i64, usize)>>) -> Option<(i64, usize)> {
    heads.peek().map(|Reverse(head)| *head)
}

impl Counters {
    fn count(&mut self, observation: &Observation<'_>) {
        self.events += 1;
        let kind = match observation {
            Observation::Document(_) => {
                self.documents += 1;
                return;
            }
            Observation::Message(message) => match &message.event {
                MessageEvent::Exec(_) => "exec",
                MessageEvent::Fork { .. } => "fork",
                MessageEvent::Exit { .. } => "exit",
                MessageEvent::Connect(_) => "connect",
                MessageEvent::Other(name) => name,
            },
        };
        if let Some((_, count)) = self.messages.iter_mut().find(|(name, _)| **name == *kind) {
            *count += 1;
        } else if self.messages.len() < MAX_KINDS {
            self.messages.push((kind.into(), 1));
        } else {
            self.more += 1;
        }
    }
}

#[cfg(test)]
mod tests;
