//! What is kept of a document for as long as its process is known: some fields, without the rest of the line.

use std::ops::Range;
use std::sync::Arc;

use eql::FieldId;
use smallvec::SmallVec;

use super::place::{Form, Offset, Spot};
use super::values::{Layout, Values};
use crate::schema::FIELDS;

/// Values of some fields of a document, as they are written there.
///
/// Thousands are kept, one for each process, and of most nothing is ever read: so they are small, and what is read of one
/// is made anew each time.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// Pieces of the line, one behind the other.
    text: String,
    /// Where each piece begins, and the line's marks that are in it.
    marks: Marks,
    layout: Arc<Layout>,
}

type Marks = SmallVec<[u16; 16]>;

/// How long the text of an excerpt is at most, in bytes.
const MAX_TEXT: usize = 8 << 10;

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
const GAP: i16 = 32;

/// Some of the sensor's fields.
#[derive(Debug)]
pub struct Selection {
    /// Which of all selections it is.
    pub(super) number: usize,
    fields: [bool; FIELDS.len()],
}

/// How many selections there are.
pub(super) const SELECTIONS: usize = 3;

/// What a selection chooses of a layout: the pieces of a line in which it stands, and where it stands in these.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Whether it is not too much for an excerpt.
    is_kept: bool,
    pieces: Vec<Piece>,
    /// How many marks an excerpt has.
    marks: usize,
    layout: Arc<Layout>,
}

/// A piece of a line, and the marks in it.
#[derive(Debug)]
struct Piece {
    start: Offset,
    end: Offset,
    /// Those after its beginning's.
    marks: Range<u16>,
}

impl Chosen {
    /// Takes what was chosen, in the order in which it stands in the line.
    pub(super) fn new(values: &[(FieldId, Spot)]) -> Self {
        // What has more marks than that is no excerpt.
        Self::of(values).unwrap_or_default()
    }

    fn of(values: &[(FieldId, Spot)]) -> Option<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut kept = Vec::new();
        // The number of the piece's first mark in the excerpt, and that of the next piece.
        let (mut first, mut next) = (0u16, 0u16);
        for (field, spot) in values {
            let (start, end) = written(spot);
            let gap = |last: &Piece| (last.end.mark == start.mark).then(|| start.by - last.end.by);
            match pieces.last_mut() {
                Some(last) if gap(last).is_some_and(|gap| (0..=GAP).contains(&gap)) => last.end = end,
                _ => {
                    first = next;
                    pieces.push(Piece { start, end, marks: start.mark + 1..start.mark + 1 });
                }
            }
            let piece = pieces.last_mut()?;
            piece.marks.end = end.mark.checked_add(1)?;
            next = first.checked_add(1)?.checked_add(end.mark.checked_sub(piece.start.mark)?)?;
            let begin = piece.start;
            let moved = |at: Offset| Offset {
                mark: first + (at.mark - begin.mark),
                by: if at.mark == begin.mark { at.by - begin.by } else { at.by },
            };
            let spot = Spot { start: moved(spot.start), end: moved(spot.end), form: spot.form };
            kept.push((Some(*field), spot));
        }
        Some(Chosen { is_kept: true, pieces, marks: next.into(), layout: Arc::new(Layout::new(kept)) })
    }

    /// Returns the pieces of a line, by its marks.
    fn pieces(&self, marks: &[u32]) -> impl Iterator<Item = Range<usize>> {
        self.pieces.iter().map(|piece| piece.start.at(marks) as usize..piece.end.at(marks) as usize)
    }

    /// Makes `own` the marks of an excerpt of the line that has these.
    fn put_marks(&self, marks: &[u32], own: &mut Marks) {
        // All are written now; mostly there are as many as before.
        if own.len() != self.marks {
            own.resize(self.marks, 0);
        }
        let (mut length, mut rest) = (0u32, &mut own[..]);
        for piece in &self.pieces {
            let moved = length.wrapping_sub(piece.start.at(marks));
            let inner = marks.get(usize::from(piece.marks.start)..usize::from(piece.marks.end));
            let inner = inner.unwrap_or_default();
            let Some((own, others)) = rest.split_at_mut_checked(1 + inner.len()) else { return };
            own[0] = length as u16;
            for (own, mark) in own[1..].iter_mut().zip(inner) {
                *own = mark.wrapping_add(moved) as u16;
            }
            (length, rest) = (piece.end.at(marks).wrapping_add(moved), others);
        }
    }
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
        let Some((layout, marks)) = values.marks() else { return false };
        let (line, chosen) = (values.line(), layout.chosen(selection));
        let length = chosen.pieces(marks).map(|piece| piece.len()).fold(0, usize::saturating_add);
        if length > MAX_TEXT || !chosen.is_kept {
            return false;
        }
        chosen.put_marks(marks, &mut self.marks);
        texts.exchange(&mut self.text, length);
        for piece in chosen.pieces(marks) {
            self.text.push_str(line.get(piece).unwrap_or_default());
        }
        if !Arc::ptr_eq(&self.layout, &chosen.layout) {
            self.layout = Arc::clone(&chosen.layout);
        }
        true
    }

    /// Returns whether it is the excerpt of the same fields of `values`.
    pub fn is_of(&self, values: &Values, selection: &Selection) -> bool {
        let Some((layout, marks)) = values.marks() else { return false };
        let chosen = layout.chosen(selection);
        let (mut own, line) = (self.text.as_bytes(), values.line().as_bytes());
        let is_next = |piece: Range<usize>| {
            let rest = line.get(piece).and_then(|piece| own.strip_prefix(piece));
            rest.map(|rest| own = rest).is_some()
        };
        if !(Arc::ptr_eq(&self.layout, &chosen.layout) || self.layout == chosen.layout)
            || !chosen.pieces(marks).all(is_next)
        {
            return false;
        }
        let mut marks_then = Marks::new();
        chosen.put_marks(marks, &mut marks_then);
        self.marks == marks_then
    }

    /// Returns whether a field has a value.
    #[inline]
    pub fn has(&self, field: FieldId) -> bool {
        self.layout.has(field)
    }

    /// Returns the one text of a field, if it has no more and is written without escapes.
    #[inline]
    pub fn plain(&self, field: FieldId) -> Option<&str> {
        let spot = self.layout.only(field)?;
        (spot.form == Form::Text).then(|| spot.place(&self.marks).text(&self.text))
    }

    /// Returns the values, to be read in any way.
    pub fn values(&self) -> Values {
        let marks = self.marks.iter().copied().map(u32::from).collect();
        Values::at(&self.text, Arc::clone(&self.layout), marks)
    }

    /// Returns about how many bytes it takes beside itself.
    pub fn size(&self) -> usize {
        let marks = if self.marks.spilled() { size_of_val(&*self.marks) } else { 0 };
        self.text.capacity() + marks + 2 * ALLOCATION
    }

    /// Reads all memory that it takes; what is returned means nothing.
    pub(crate) fn read_through(&self) -> usize {
        let text = self.text.as_bytes().iter().step_by(64).fold(0, |sum, byte| sum + usize::from(*byte));
        text + self.marks.last().map_or(0, |mark| usize::from(*mark))
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

/// Returns where all of a value is written: text with escapes is read with its quotation marks.
fn written(spot: &Spot) -> (Offset, Offset) {
    let quote = i16::from(spot.form == Form::Escaped);
    let Spot { start, end, .. } = *spot;
    (Offset { by: start.by - quote, ..start }, Offset { by: end.by + quote, ..end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_no_more_memory_than_it_needs_whatever_was_there_before() {
        let (mut texts, mut text) = (Texts::default(), String::new());
        for length in (0..MAX_TEXT).chain((0..MAX_TEXT).rev()).step_by(97) {
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
