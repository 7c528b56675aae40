//! Lines that one thread decodes for another.
//!
//! What one thread allocates and another frees makes both wait for each other, and so does whatever lies here and there: each
//! core has to fetch it from the other's cache, a few bytes at a time. So what goes between threads is a few pieces of memory
//! in which the lines' texts lie one behind the other, as do their marks, and of messages the numbers, which are most of the
//! work. The thread that wanted the lines makes documents and messages of that, and gives the memory back to be used again.

use std::ops::Range;
use std::sync::Arc;

use super::places::{self, Numbers};
use super::{Found, NotEvaluated, Shape, ShapeForm, Wanted, scan, take_roles};
use crate::observation::{Document, Observation, Reused};

/// How much memory is kept for the next lines, in bytes.
const MAX_KEPT: usize = 1 << 20;

/// What lines that are handed over together hold.
#[derive(Debug, Default)]
pub(in crate::source) struct Notes {
    text: String,
    marks: Vec<u32>,
    shapes: Vec<Arc<Shape>>,
    messages: Vec<Numbers>,
}

/// A line that was decoded for another thread: where it lies, and what is known of it.
#[derive(Debug)]
pub(in crate::source) struct Note {
    line: Range<usize>,
    marks: Range<usize>,
    shape: usize,
    holds: Holds,
}

#[derive(Debug)]
enum Holds {
    /// A document, its time and its tick.
    Document(i64, Option<i64>),
    /// A message, and which of the numbers are its.
    Message(usize),
}

/// Reads a line as [`read`](super::read) does, but only notes in `notes` what is made of it; returns of what kind a document
/// is that is no event.
pub(in crate::source) fn note(
    line: &str,
    wanted: &mut Wanted,
    found: &mut Found,
    notes: &mut Notes,
) -> Option<Result<Note, NotEvaluated>> {
    let (shape, is_doubtful) = scan(line, wanted, found)?;
    let holds = match &shape.form {
        ShapeForm::Document { layout, roles } => {
            take_roles(line, layout, roles, found, is_doubtful)?;
            if let Some(kind) = found.kind {
                return Some(Err(kind));
            }
            Holds::Document(found.time?, found.tick)
        }
        ShapeForm::Message(slots) => {
            notes.messages.push(places::numbers(line, &found.marks, slots, &mut found.day)?);
            Holds::Message(notes.messages.len() - 1)
        }
        ShapeForm::Unclear => return None,
    };
    Some(Ok(notes.note(line, shape, &found.marks, holds)))
}

impl Notes {
    /// Makes what a note is of, which must be one of these; a document in the memory of `reused`. `None` where serde_json must
    /// decide what it is.
    pub(in crate::source) fn read<'n>(&'n self, note: &Note, reused: &mut Reused) -> Option<Observation<'n>> {
        let (line, marks) = (self.line(note), &self.marks[note.marks.clone()]);
        match (&self.shapes[note.shape].form, &note.holds) {
            (ShapeForm::Document { layout, .. }, Holds::Document(time, tick)) => {
                let values = reused.at(line, layout, marks);
                Some(Observation::Document(Document { time: *time, tick: *tick, values }))
            }
            (ShapeForm::Message(slots), Holds::Message(numbers)) => {
                let message = places::message(line, marks, slots, &self.messages[*numbers])?;
                Some(Observation::Message(Box::new(message)))
            }
            _ => None,
        }
    }

    /// Returns the line of a note.
    pub(in crate::source) fn line(&self, note: &Note) -> &str {
        &self.text[note.line.clone()]
    }

    /// Reads a line's memory, so that it is near; what is returned means nothing.
    pub(in crate::source) fn read_through(&self, note: &Note) -> usize {
        self.text.as_bytes()[note.line.clone()]
            .iter()
            .step_by(64)
            .fold(0, |sum, byte| sum ^ usize::from(*byte))
    }

    /// Begins anew, with the memory of what was handed back.
    pub(in crate::source) fn clear(&mut self) {
        if self.text.capacity() + self.marks.capacity() * size_of::<u32>() > MAX_KEPT {
            *self = Notes::default();
        }
        self.text.clear();
        self.marks.clear();
        self.shapes.clear();
        self.messages.clear();
    }

    fn note(&mut self, line: &str, shape: &Arc<Shape>, marks: &[u32], holds: Holds) -> Note {
        let known = self.shapes.iter().rposition(|known| Arc::ptr_eq(known, shape));
        let note = Note {
            line: self.text.len()..self.text.len() + line.len(),
            marks: self.marks.len()..self.marks.len() + marks.len(),
            shape: known.unwrap_or(self.shapes.len()),
            holds,
        };
        if known.is_none() {
            self.shapes.push(Arc::clone(shape));
        }
        self.text.push_str(line);
        self.marks.extend_from_slice(marks);
        note
    }
}
