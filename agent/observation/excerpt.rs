//! What is kept of a document for as long as its process is known: some fields, without the rest of the line.

use std::ops::Range;
use std::sync::Arc;

use eql::FieldId;
use smallvec::SmallVec;

use super::place::{Form, Place};
use super::values::{Layout, Values};
use crate::schema::FIELDS;

/// Values of some fields of a document, as they are written there.
///
/// Thousands are kept, one for each process, and of most nothing is ever read: so they are small, and what is read of one
/// is made anew each time.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// What was written, one value behind the other, and what stood between those that lay close together.
    text: String,
    spans: SmallVec<[Span; 14]>,
    layout: Arc<Layout>,
}

/// A [`Place`] in a short text.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u16,
    end: u16,
    form: Form,
}

impl Default for Span {
    fn default() -> Self {
        Span { start: 0, end: 0, form: Form::Made }
    }
}

/// How long the text of an excerpt is at most, in bytes.
const MAX_TEXT: u32 = 8 << 10;

/// Memory of texts that are not needed any more, for those that come: by what it holds, so that a text takes no more than
/// it needs, whichever was there before it.
#[derive(Debug, Default)]
pub struct Texts {
    /// The first is of those that hold up to [`ROUNDED`] bytes, and so on.
    spare: [Vec<String>; SIZES],
}

/// What the capacity of a text is a multiple of, in bytes, so that the memory of one does for many others.
const ROUNDED: usize = 128;

/// How many sizes of memory are kept, and how many pieces of each; what is longer, as few texts are, goes.
const SIZES: usize = 16;
const MAX_SPARE: usize = 32;

/// How many bytes may stand between two values that are copied together: some bytes cost less than one copy more.
const GAP: u32 = 32;

/// Some of the sensor's fields.
#[derive(Debug)]
pub struct Selection {
    /// Which of all selections it is.
    pub(super) number: usize,
    fields: [bool; FIELDS.len()],
}

/// How many selections there are.
pub(super) const SELECTIONS: usize = 3;

/// What a selection chooses of a layout: which places, and what their layout is then.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) layout: Arc<Layout>,
    pub(super) places: Box<[u16]>,
}

impl Selection {
    /// Makes the selection of a number, below 3, that no other has: the fields of which `fields` says so.
    pub const fn new(number: usize, fields: [bool; FIELDS.len()]) -> Self {
        assert!(number < SELECTIONS, "one more selection than a layout has room for");
        Selection { number, fields }
    }

    /// Returns whether a field is one of them.
    pub fn has(&self, field: FieldId) -> bool {
        self.fields.get(field.index()) == Some(&true)
    }
}

impl Excerpt {
    /// Takes the values of some fields of a document, in the place of what was taken before, with memory of `texts`; returns
    /// `false`, with nothing taken, if they are long, or stand nowhere.
    pub fn renew(&mut self, values: &Values, selection: &Selection, texts: &mut Texts) -> bool {
        self.text.clear();
        let Some((layout, places)) = values.places() else { return false };
        let (line, chosen) = (values.line(), layout.chosen(selection));
        self.spans.resize(chosen.places.len(), Span::default());
        // What is copied together, how much that is, and what must be added to the places of the last.
        let mut runs: SmallVec<[Range<u32>; 8]> = SmallVec::new();
        let (mut run, mut length, mut moved) = (0..0, 0, 0u32);
        for (span, index) in self.spans.iter_mut().zip(&chosen.places) {
            let place = &places[usize::from(*index)];
            let (start, end) = written(place);
            if start.wrapping_sub(run.end) > GAP {
                length += run.end - run.start;
                runs.push(run);
                run = start..end;
                moved = length.wrapping_sub(start);
            }
            run.end = end;
            if end.wrapping_add(moved) > MAX_TEXT {
                return false;
            }
            let [start, end] = [place.start, place.end].map(|at| at.wrapping_add(moved) as u16);
            *span = Span { start, end, form: place.form };
        }
        length += run.end - run.start;
        texts.exchange(&mut self.text, length as usize);
        for run in runs.into_iter().chain([run]) {
            self.text.push_str(line.get(run.start as usize..run.end as usize).unwrap_or_default());
        }
        if !Arc::ptr_eq(&self.layout, &chosen.layout) {
            self.layout = Arc::clone(&chosen.layout);
        }
        true
    }

    /// Returns whether it is the excerpt of the same fields of `values`.
    pub fn is_of(&self, values: &Values, selection: &Selection) -> bool {
        let Some((layout, places)) = values.places() else { return false };
        let chosen = layout.chosen(selection);
        let (own, line) = (self.text.as_bytes(), values.line().as_bytes());
        let is_same = |(span, place): (&Span, &u16)| {
            let place = &places[usize::from(*place)];
            let written = place.start as usize..place.end as usize;
            span.form == place.form
                && own.get(usize::from(span.start)..usize::from(span.end)) == line.get(written)
        };
        (Arc::ptr_eq(&self.layout, &chosen.layout) || self.layout == chosen.layout)
            && self.spans.iter().zip(&chosen.places).all(is_same)
    }

    /// Returns whether a field has a value.
    #[inline]
    pub fn has(&self, field: FieldId) -> bool {
        self.layout.has(field)
    }

    /// Returns the one text of a field, if it has no more and is written without escapes.
    #[inline]
    pub fn plain(&self, field: FieldId) -> Option<&str> {
        let span = self.spans.get(self.layout.place(field)?)?;
        (span.form == Form::Text).then(|| span.place().text(&self.text))
    }

    /// Returns the values, to be read in any way.
    pub fn values(&self) -> Values {
        let places: Vec<Place> = self.spans.iter().map(Span::place).collect();
        Values::at(&self.text, Arc::clone(&self.layout), places)
    }

    /// Returns about how many bytes it takes beside itself.
    pub fn size(&self) -> usize {
        let spans = if self.spans.spilled() { self.spans.len() * size_of::<Span>() } else { 0 };
        self.text.capacity() + spans + 2 * ALLOCATION
    }

    /// Reads all memory that it takes; what is returned means nothing.
    pub(crate) fn read_through(&self) -> usize {
        let text = self.text.as_bytes().iter().step_by(64).fold(0, |sum, byte| sum + usize::from(*byte));
        text + self.spans.last().map_or(0, |span| usize::from(span.end))
    }
}

impl Texts {
    /// Puts memory for so many bytes in the place of that of a text, which is empty; that is kept.
    fn exchange(&mut self, text: &mut String, length: usize) {
        let rounded = length.next_multiple_of(ROUNDED);
        if text.capacity() == rounded {
            return;
        }
        let spare = size_of_memory(rounded).and_then(|size| self.spare[size].pop());
        let old = std::mem::replace(text, spare.unwrap_or_else(|| String::with_capacity(rounded)));
        if let Some(size) = size_of_memory(old.capacity())
            && self.spare[size].len() < MAX_SPARE
        {
            self.spare[size].push(old);
        }
    }
}

/// Returns which of the sizes that are kept memory for so many bytes is of.
fn size_of_memory(capacity: usize) -> Option<usize> {
    (capacity / ROUNDED).checked_sub(1).filter(|size| *size < SIZES && capacity.is_multiple_of(ROUNDED))
}

/// About how many bytes a piece of memory takes beside what is in it.
const ALLOCATION: usize = 16;

impl Span {
    fn place(&self) -> Place {
        Place { node: 0, start: self.start.into(), end: self.end.into(), form: self.form }
    }
}

/// Returns where all of a value is written: text with escapes is read with its quotation marks.
fn written(place: &Place) -> (u32, u32) {
    let quote = u32::from(place.form == Form::Escaped);
    (place.start - quote, place.end + quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_no_more_memory_than_it_needs_whatever_was_there_before() {
        let (mut texts, mut text) = (Texts::default(), String::new());
        let longest = MAX_TEXT as usize;
        for length in (0..longest).chain((0..longest).rev()).step_by(97) {
            texts.exchange(&mut text, length);
            assert_eq!(text.capacity(), length.next_multiple_of(ROUNDED), "{length}");
            text.extend(std::iter::repeat_n('x', length));
            assert_eq!(text.capacity(), length.next_multiple_of(ROUNDED), "{length}");
            text.clear();
        }
    }

    #[test]
    fn what_is_kept_is_used_again_and_bounded() {
        let mut texts = Texts::default();
        for length in (1..=SIZES * ROUNDED).step_by(ROUNDED) {
            let mut own: Vec<String> = vec![String::new(); 2 * MAX_SPARE];
            own.iter_mut().for_each(|text| texts.exchange(text, length));
            own.iter_mut().for_each(|text| texts.exchange(text, 0));
        }
        let kept = texts.spare.each_ref().map(Vec::len);
        assert_eq!(kept, [MAX_SPARE; SIZES]);
        let mut text = String::new();
        texts.exchange(&mut text, 1);
        assert_eq!(texts.spare[0].len(), MAX_SPARE - 1);
    }
}
