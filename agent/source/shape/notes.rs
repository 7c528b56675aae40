//! Lines that one thread decodes for another.
//!
//! What one thread allocates and another frees makes both wait for each other, so what goes between threads goes back to be
//! used again: documents, made in the memory of those before; and of messages, which borrow from their lines, where their
//! values stand, and the numbers, which are most of the work.

use std::ops::Range;
use std::sync::Arc;

use super::places::{self, Numbers};
use super::{Found, NotEvaluated, Shape, ShapeForm, Wanted, scan, take_roles};
use crate::observation::{Document, Layout, Message, Values};

/// How much memory is kept for the next lines, in bytes: for documents, and as much for the text of messages.
const MAX_KEPT: usize = 1 << 20;

/// What the lines that are handed over together are made in.
#[derive(Debug, Default)]
pub(in crate::source) struct Notes {
    /// Of this many of them there are documents now.
    documents: usize,
    values: Vec<Arc<Values>>,
    text: String,
    marks: Vec<u32>,
    shapes: Vec<Arc<Shape>>,
    messages: Vec<Numbers>,
}

/// A line that was decoded for another thread.
#[derive(Debug)]
pub(in crate::source) enum Noted {
    /// A document, or of what kind it is if it is no event.
    Document(Result<Document, NotEvaluated>),
    /// A message that [`Notes::message`] makes.
    Message(Note),
}

/// A message's line, and where there is what else is known of it.
#[derive(Debug)]
pub(in crate::source) struct Note {
    line: Range<usize>,
    marks: Range<usize>,
    shape: usize,
    message: usize,
}

/// Reads a line as [`read`](super::read) does, but a document in the memory of `notes`, where it is only noted what a
/// message would be made of.
pub(in crate::source) fn note(
    line: &str,
    wanted: &mut Wanted,
    found: &mut Found,
    notes: &mut Notes,
) -> Option<Noted> {
    let (shape, is_doubtful) = scan(line, wanted, found)?;
    match &shape.form {
        ShapeForm::Document { layout, roles } => {
            take_roles(line, layout, roles, found, is_doubtful)?;
            if let Some(kind) = found.kind {
                return Some(Noted::Document(Err(kind)));
            }
            let (time, tick) = (found.time?, found.tick);
            let values = notes.values(line, layout, &found.marks);
            Some(Noted::Document(Ok(Document { time, tick, values })))
        }
        ShapeForm::Message(slots) => {
            let numbers = places::numbers(line, &found.marks, slots, &mut found.day)?;
            Some(Noted::Message(notes.note(line, shape, &found.marks, numbers)))
        }
        ShapeForm::Unclear => None,
    }
}

impl Notes {
    /// Makes the message of a note, which must be one of these; `None` where serde_json must decide what it is.
    pub(in crate::source) fn message(&self, note: &Note) -> Option<Message<'_>> {
        let marks = &self.marks[note.marks.clone()];
        let ShapeForm::Message(slots) = &self.shapes[note.shape].form else { return None };
        places::message(self.line(note), marks, slots, &self.messages[note.message])
    }

    /// Returns the line of a note.
    pub(in crate::source) fn line(&self, note: &Note) -> &str {
        &self.text[note.line.clone()]
    }

    /// Begins anew, with the memory of what was handed back.
    pub(in crate::source) fn clear(&mut self) {
        if self.text.capacity() + self.marks.capacity() * size_of::<u32>() > MAX_KEPT
            || self.values.iter().map(|values| values.capacity()).sum::<usize>() > MAX_KEPT
        {
            *self = Notes::default();
        }
        self.documents = 0;
        self.text.clear();
        self.marks.clear();
        self.shapes.clear();
        self.messages.clear();
    }

    /// Takes a document's values as [`Values::renew`] does.
    fn values(&mut self, line: &str, layout: &Arc<Layout>, marks: &[u32]) -> Arc<Values> {
        if self.documents == self.values.len() {
            self.values.push(Arc::default());
        }
        let values = &mut self.values[self.documents];
        self.documents += 1;
        Values::renew(values, line, layout, marks);
        Arc::clone(values)
    }

    fn note(&mut self, line: &str, shape: &Arc<Shape>, marks: &[u32], numbers: Numbers) -> Note {
        let known = self.shapes.iter().rposition(|known| Arc::ptr_eq(known, shape));
        let note = Note {
            line: self.text.len()..self.text.len() + line.len(),
            marks: self.marks.len()..self.marks.len() + marks.len(),
            shape: known.unwrap_or(self.shapes.len()),
            message: self.messages.len(),
        };
        if known.is_none() {
            self.shapes.push(Arc::clone(shape));
        }
        self.text.push_str(line);
        self.marks.extend_from_slice(marks);
        self.messages.push(numbers);
        note
    }
}
