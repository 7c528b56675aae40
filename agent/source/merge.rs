//! Merges recordings by their events' times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::{Decoded, Decoder, Lines, NotEvaluated, Problem};
use crate::observation::{Document, MessageEvent, Observation};

/// How many names of event kinds are counted one by one; they come from the recording, so they are bounded.
const MAX_KINDS: usize = 256;

/// Reads files as one stream: next is the earliest of the files' next events, ties in the order of the
/// files, then of their lines. A file that is not in the order of time keeps its own order.
pub struct Merge {
    decoder: Decoder,
    files: Vec<Head>,
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

/// A file, and what is known of its next event.
struct Head {
    lines: Lines,
    next: Next,
}

enum Next {
    /// The line was decoded to learn the event's time; the message borrows from it, so it is decoded again
    /// when its turn comes. Within a run of events from one file this does not happen.
    Message,
    /// The document owns what it holds.
    Document(Document),
}

impl Merge {
    /// Merges `files`, decoding their lines with `decoder`.
    pub fn new(decoder: Decoder, files: Vec<Lines>) -> Self {
        let files = files.into_iter().map(|lines| Head { lines, next: Next::Message }).collect();
        Merge { decoder, files, counters: Counters::default() }
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
        file: usize,
        limit: Option<(i64, usize)>,
        each: &mut impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B, Option<i64>> {
        let Head { lines, next } = &mut self.files[file];
        while let Some(advanced) = lines.advance() {
            self.counters.lines += 1;
            let line = match advanced.and_then(|()| lines.line()) {
                Ok(line) => line,
                Err(problem) => {
                    self.counters.problems += 1;
                    each(Item::Problem(problem))?;
                    continue;
                }
            };
            let position = Position { index: file, file: lines.name(), line: line.number };
            match self.decoder.decode(line.text) {
                Ok(Decoded::Observation(observation)) => {
                    let time = observation.time();
                    if limit.is_none_or(|limit| (time, file) < limit) {
                        self.counters.count(&observation);
                        each(Item::Observation(observation, position))?;
                    } else {
                        *next = match observation {
                            Observation::Document(document) => Next::Document(document),
                            Observation::Message(_) => Next::Message,
                        };
                        return ControlFlow::Continue(Some(time));
                    }
                }
                Ok(Decoded::NotEvaluated(kind)) => {
                    self.counters.not_evaluated += 1;
                    each(Item::NotEvaluated(kind, position))?;
                }
                Err(reason) => {
                    self.counters.problems += 1;
                    each(Item::Problem(lines.problem(reason)))?;
                }
            }
        }
        ControlFlow::Continue(None)
    }

    /// Hands out the head of `file`.
    fn take_head<B>(
        &mut self,
        file: usize,
        each: &mut impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Head { lines, next } = &mut self.files[file];
        // Both were found good when the line became the head.
        let Ok(line) = lines.line() else { return ControlFlow::Continue(()) };
        let position = Position { index: file, file: lines.name(), line: line.number };
        let observation = match std::mem::replace(next, Next::Message) {
            Next::Document(document) => Observation::Document(document),
            Next::Message => match self.decoder.decode(line.text) {
                Ok(Decoded::Observation(observation)) => observation,
                _ => return ControlFlow::Continue(()),
            },
        };
        self.counters.count(&observation);
        each(Item::Observation(observation, position))
    }
}

/// Returns time and file of the earliest head.
pub(super) fn first(heads: &BinaryHeap<Reverse<(i64, usize)>>) -> Option<(i64, usize)> {
    heads.peek().map(|Reverse(head)| *head)
}

impl Counters {
    pub(super) fn count(&mut self, observation: &Observation<'_>) {
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
