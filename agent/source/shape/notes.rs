//! Lines of which it is noted where their values stand, to be made into documents and messages by another thread.
//!
//! The numbers of a message, which are most of the work, are read along with it.
//!
//! What one thread allocates and another frees makes both wait for each other, so what goes between threads is a few
//! large pieces of memory, which go back to be used again.

use std::ops::Range;
use std::sync::Arc;

use super::places::{self, Numbers};
use super::{Found, NotEvaluated, Read, Shape, ShapeForm, Wanted, scan, take_roles};
use crate::observation::{Document, Place, Reused};

/// How much memory is kept for the next lines, in bytes of text.
const MAX_KEPT: usize = 1 << 20;

/// Noted lines.
#[derive(Debug, Default)]
pub(in crate::source) struct Notes {
    text: String,
    places: Vec<Place>,
    shapes: Vec<Arc<Shape>>,
    messages: Vec<Numbers>,
}

/// One noted line.
#[derive(Debug)]
pub(in crate::source) struct Note {
    line: Range<usize>,
    places: Range<usize>,
    shape: usize,
    /// A message's place among them.
    message: usize,
    /// A document's time and tick.
    time: i64,
    tick: Option<i64>,
}

/// Reads a line as [`read`](super::read) does, but only notes in `notes` what it would be made of; or returns of what
/// kind a document is that is no event.
pub(in crate::source) fn note(
    line: &str,
    wanted: &mut Wanted,
    found: &mut Found,
    notes: &mut Notes,
) -> Option<Result<Note, NotEvaluated>> {
    let is_doubtful = scan(line, wanted, found)?;
    let shape = wanted.shape(&found.places)?;
    let (time, tick) = match &shape.form {
        ShapeForm::Document => {
            take_roles(line, shape, found, is_doubtful)?;
            if let Some(kind) = found.kind {
                return Some(Err(kind));
            }
            (found.time?, found.tick)
        }
        ShapeForm::Message(slots) => {
            notes.messages.push(places::numbers(line, &found.places, slots, &mut found.day)?);
            (0, None)
        }
        ShapeForm::Unclear => return None,
    };
    let shape = notes.shapes.iter().rposition(|known| Arc::ptr_eq(known, shape)).unwrap_or_else(|| {
        notes.shapes.push(Arc::clone(shape));
        notes.shapes.len() - 1
    });
    let (start, first) = (notes.text.len(), notes.places.len());
    notes.text.push_str(line);
    notes.places.extend_from_slice(&found.places);
    let (line, places) = (start..notes.text.len(), first..notes.places.len());
    let message = notes.messages.len().saturating_sub(1);
    Some(Ok(Note { line, places, shape, message, time, tick }))
}

impl Notes {
    /// Makes what a note says, which must be one of these; `None` where serde_json must decide what it is.
    pub(in crate::source) fn read(&self, note: &Note, reused: &mut Reused) -> Option<Read<'_>> {
        let (line, places) = (self.line(note), &self.places[note.places.clone()]);
        let shape = &self.shapes[note.shape];
        match &shape.form {
            ShapeForm::Document => {
                let values = reused.at(line, &shape.layout, places);
                let document = Document { time: note.time, tick: note.tick, values };
                Some(Read::Document(Ok(document)))
            }
            ShapeForm::Message(slots) => {
                let numbers = self.messages.get(note.message)?;
                let message = places::message(line, places, slots, numbers)?;
                Some(Read::Message(Box::new(message)))
            }
            ShapeForm::Unclear => None,
        }
    }

    /// Returns the line of a note.
    pub(in crate::source) fn line(&self, note: &Note) -> &str {
        &self.text[note.line.clone()]
    }

    /// Forgets all of them.
    pub(in crate::source) fn clear(&mut self) {
        if self.text.capacity() > MAX_KEPT {
            *self = Notes::default();
        }
        self.text.clear();
        self.places.clear();
        self.shapes.clear();
        self.messages.clear();
    }
}
