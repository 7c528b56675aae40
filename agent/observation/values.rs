//! The values of a document's wanted fields, read from its text when they are first asked for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use eql::{FieldId, Scalar, Value};

use super::excerpt::{Chosen, SELECTIONS, Selection};
use super::place::{Form, Place, Spot};

/// A document's line, and values by field. Text and numbers are read where they stand in the line; what does not stand
/// there as it is meant, text with escapes and lists, is made at its first read and kept.
#[derive(Clone, Debug, Default)]
pub struct Values {
    line: String,
    layout: Arc<Layout>,
    /// Of the line, for the layout's spots.
    marks: Vec<u32>,
    /// What was made, by the slots of the layout.
    made: OnceLock<MadeBySlot>,
}

/// Where in documents that are alike values stand, and of which field each is. Documents of one producer share a few
/// layouts.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// No other layout has it, nor will have.
    number: u64,
    /// For each field, up to the last that has a value: its spot, or [`SEVERAL`] and an entry of `several`.
    slots: Box<[u16]>,
    spots: Box<[Spot]>,
    /// Which of the spots are of values that do not stand in the line as they are meant.
    made: Box<[u16]>,
    /// The spots of fields that have more than one.
    several: Box<[Box<[u16]>]>,
    /// What selections of fields choose of it, once that was asked.
    chosen: [OnceLock<Chosen>; SELECTIONS],
}

impl PartialEq for Layout {
    fn eq(&self, other: &Self) -> bool {
        self.slots == other.slots && self.spots == other.spots && self.several == other.several
    }
}

/// How many layouts there were.
static LAYOUTS: AtomicU64 = AtomicU64::new(1);

/// The slot of a field without a value.
const NOWHERE: u16 = u16::MAX;

/// Set in the slot of a field that has several spots.
const SEVERAL: u16 = 0x8000;

/// How many spots a layout tells apart.
pub(crate) const MAX_SPOTS: usize = 0x7fff;

type MadeBySlot = Box<[(u16, OnceLock<Made>)]>;

#[derive(Clone, Debug)]
enum Made {
    One(Scalar),
    List(Box<[Scalar]>),
}

impl Layout {
    /// Makes a layout of spots, at most [`MAX_SPOTS`], each with its field; one may be of none.
    pub(crate) fn new(values: impl IntoIterator<Item = (Option<FieldId>, Spot)>) -> Self {
        let mut slots = Vec::new();
        let mut spots = Vec::new();
        let mut several: Vec<Vec<u16>> = Vec::new();
        for (at, (field, spot)) in (0..SEVERAL).zip(values) {
            spots.push(spot);
            let Some(field) = field else { continue };
            let field = field.0 as usize;
            if field >= slots.len() {
                slots.resize(field + 1, NOWHERE);
            }
            match slots[field] {
                NOWHERE => slots[field] = at,
                slot if slot & SEVERAL != 0 => several[usize::from(slot & !SEVERAL)].push(at),
                first => {
                    slots[field] = SEVERAL | several.len() as u16;
                    several.push(vec![first, at]);
                }
            }
        }
        let several = several.into_iter().map(Box::from).collect();
        let number = LAYOUTS.fetch_add(1, Ordering::Relaxed);
        let is_made = |(_, spot): &(u16, &Spot)| spot.form.is_made();
        let made = (0..).zip(&spots).filter(is_made).map(|(at, _)| at).collect();
        Layout { number, slots: slots.into(), spots: spots.into(), made, several, chosen: Default::default() }
    }

    /// Returns all spots, in the order in which they were given.
    pub(crate) fn spots(&self) -> &[Spot] {
        &self.spots
    }

    /// Returns the spots of the fields that `selection` is of, with a layout of no more than these.
    pub(super) fn chosen(&self, selection: &Selection) -> &Chosen {
        self.chosen[selection.number].get_or_init(|| {
            let mut fields: Vec<(u16, FieldId)> = Vec::new();
            for field in (0..).map(FieldId).take(self.slots.len()).filter(|field| selection.has(*field)) {
                match self.slot(field) {
                    NOWHERE => {}
                    slot if slot & SEVERAL != 0 => {
                        fields.extend(self.several(slot).iter().map(|spot| (*spot, field)));
                    }
                    spot => fields.push((spot, field)),
                }
            }
            fields.sort_by_key(|(spot, _)| *spot);
            let spots = fields.iter().map(|(spot, field)| (*field, self.spots[usize::from(*spot)]));
            Chosen::new(&spots.collect::<Vec<_>>())
        })
    }

    /// Returns the one spot of a field; `None` if it has none, or several.
    #[inline]
    pub(super) fn only(&self, field: FieldId) -> Option<&Spot> {
        let slot = self.slot(field);
        if slot & SEVERAL == 0 { self.spots.get(usize::from(slot)) } else { None }
    }

    /// Returns whether a field has a value.
    #[inline]
    pub(super) fn has(&self, field: FieldId) -> bool {
        self.slot(field) != NOWHERE
    }

    #[inline]
    fn slot(&self, field: FieldId) -> u16 {
        self.slots.get(field.0 as usize).copied().unwrap_or(NOWHERE)
    }

    fn several(&self, slot: u16) -> &[u16] {
        self.several.get(usize::from(slot & !SEVERAL)).map_or(&[], |spots| spots)
    }
}

impl Values {
    /// Takes values of a line with its marks, all of which must be readable there.
    pub(crate) fn at(line: &str, layout: Arc<Layout>, marks: Vec<u32>) -> Self {
        Values { line: line.to_owned(), layout, marks, made: OnceLock::new() }
    }

    /// Puts others, taken as [`at`](Self::at) does, in the place of `values`; in their memory, as long as nobody keeps them.
    pub(crate) fn renew(values: &mut Arc<Values>, line: &str, layout: &Arc<Layout>, marks: &[u32]) {
        match Arc::get_mut(values) {
            Some(own) if own.capacity() <= MAX_REUSED => {
                own.line.clear();
                own.line.push_str(line);
                own.marks.clear();
                own.marks.extend_from_slice(marks);
                own.made.take();
                if !Arc::ptr_eq(&own.layout, layout) {
                    own.layout = Arc::clone(layout);
                }
            }
            _ => *values = Arc::new(Values::at(line, Arc::clone(layout), marks.to_vec())),
        }
    }

    /// Returns how much memory [`renew`](Self::renew) would use again, in bytes.
    fn capacity(&self) -> usize {
        size_of::<Self>() + self.line.capacity() + self.marks.capacity() * size_of::<u32>()
    }

    /// Takes values of `line` that stand nowhere; several of one field keep their order.
    pub(crate) fn of(line: &str, values: &mut Vec<(FieldId, Scalar)>) -> Self {
        values.sort_by_key(|(field, _)| *field);
        let mut fields = Vec::new();
        let mut made = Vec::new();
        let mut rest = values.drain(..).peekable();
        while let Some((field, first)) = rest.next() {
            let is_same = |next: &(FieldId, Scalar)| next.0 == field;
            let value = match rest.next_if(is_same) {
                None => Made::One(first),
                Some((_, second)) => {
                    let mut list = vec![first, second];
                    list.extend(std::iter::from_fn(|| rest.next_if(is_same)).map(|(_, scalar)| scalar));
                    Made::List(list.into())
                }
            };
            made.push((fields.len() as u16, OnceLock::from(value)));
            fields.push((Some(field), Spot::NOWHERE));
        }
        Values {
            line: line.to_owned(),
            layout: Arc::new(Layout::new(fields)),
            marks: Vec::new(),
            made: OnceLock::from(made.into_boxed_slice()),
        }
    }

    /// Returns the line as it was read, valid UTF-8, without its newline.
    #[inline]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Returns the value of `field`.
    #[inline]
    pub fn get(&self, field: FieldId) -> Value<'_> {
        // Most of what is asked for is not there.
        match self.layout.slot(field) {
            NOWHERE => Value::Missing,
            slot => self.in_slot(slot),
        }
    }

    /// Returns the one text of `field`, if it has no more and is written without escapes.
    #[inline]
    pub fn plain(&self, field: FieldId) -> Option<&str> {
        let spot = self.layout.only(field)?;
        (spot.form == Form::Text).then(|| self.place(spot).text(&self.line))
    }

    /// Returns the one value of `field`, if it has no more and that is plain text or a truth.
    #[inline]
    pub(crate) fn single(&self, field: FieldId) -> Option<Value<'_>> {
        let spot = self.layout.only(field)?;
        match spot.form {
            Form::Text => Some(Value::Str(self.place(spot).text(&self.line))),
            Form::Boolean(value) => Some(Value::Bool(value)),
            _ => None,
        }
    }

    /// Returns the one number of `field`, if it has no more and that is a whole one of at most 18 digits.
    #[inline]
    pub fn whole(&self, field: FieldId) -> Option<i64> {
        let spot = self.layout.only(field)?;
        (spot.form == Form::Integer).then(|| self.place(spot).integer(&self.line))
    }

    #[inline]
    fn place(&self, spot: &Spot) -> Place {
        spot.place(&self.marks)
    }

    #[inline]
    fn in_slot(&self, slot: u16) -> Value<'_> {
        match self.layout.spots.get(usize::from(slot)) {
            Some(spot) if spot.form == Form::Text => Value::Str(self.place(spot).text(&self.line)),
            Some(spot) if !spot.form.is_made() => self.place(spot).plain(&self.line),
            _ => self.read_made(slot),
        }
    }

    /// Returns whether a single value of `field` satisfies `test`; `None` if there is none. Of a list no copy is made,
    /// unless there are escapes in it.
    #[inline]
    pub(crate) fn any(&self, field: FieldId, mut test: impl FnMut(Value<'_>) -> bool) -> Option<bool> {
        let slot = self.layout.slot(field);
        match self.layout.spots.get(usize::from(slot)) {
            // Most of what is asked for is text, or is not there.
            Some(spot) if spot.form == Form::Text => {
                Some(test(Value::Str(self.place(spot).text(&self.line))))
            }
            Some(spot) if spot.form == Form::List => {
                let mut is_present = false;
                let holds = self.place(spot).any_element(&self.line, |value| {
                    is_present = true;
                    test(value)
                });
                is_present.then_some(holds)
            }
            None if slot == NOWHERE => None,
            _ => {
                let value = self.in_slot(slot);
                if value.is_missing() { None } else { Some(value.any(test)) }
            }
        }
    }

    /// Returns whether `field` has a value.
    #[inline]
    pub fn has(&self, field: FieldId) -> bool {
        self.layout.has(field)
    }

    /// Returns a number that no other layout has, nor will have.
    #[inline]
    pub(crate) fn layout_number(&self) -> u64 {
        self.layout.number
    }

    /// Returns whether `field` has a value, and the same one in all documents of this layout: it is part of what these have in
    /// common.
    pub(crate) fn is_shared(&self, field: FieldId) -> bool {
        self.has(field) && self.is_shared_or_missing(field)
    }

    /// Returns whether `field` has the same value in all documents of this layout, or in none of them one.
    pub(crate) fn is_shared_or_missing(&self, field: FieldId) -> bool {
        let is_within = |spot: &Spot| spot.form != Form::Made && spot.start.mark == spot.end.mark;
        match self.layout.slot(field) {
            NOWHERE => true,
            slot if slot & SEVERAL != 0 => {
                let spots = self.layout.several(slot).iter();
                spots.filter_map(|spot| self.layout.spots.get(usize::from(*spot))).all(is_within)
            }
            slot => self.layout.spots.get(usize::from(slot)).is_some_and(is_within),
        }
    }

    /// Returns the layout, and the marks of the line; `None` if the values stand nowhere.
    pub(super) fn marks(&self) -> Option<(&Layout, &[u32])> {
        let stands = |spot: &Spot| spot.form != Form::Made;
        self.layout.spots.first().is_none_or(stands).then_some((&self.layout, &self.marks))
    }

    /// Returns the fields that have a value, in order.
    pub fn fields(&self) -> impl Iterator<Item = FieldId> {
        let slots = self.layout.slots.iter().enumerate();
        slots.filter(|(_, slot)| **slot != NOWHERE).map(|(field, _)| FieldId(field as u32))
    }

    /// Returns about how many bytes they take with their line and layout, made ones as if they were.
    pub(crate) fn weight(&self) -> usize {
        let Layout { slots, spots, several, made, .. } = &*self.layout;
        let size = |at: &u16| {
            let spot = &spots[usize::from(*at)];
            let place = self.place(spot);
            let elements = match spot.form {
                Form::List | Form::DoubtfulList => place.elements(&self.line).count(),
                _ => 0,
            };
            place.text(&self.line).len() + elements * (size_of::<Scalar>() + 16)
        };
        let of_several = several.iter().map(|spots| spots.len()).sum::<usize>();
        self.line.len()
            + size_of_val(&*self.marks)
            + size_of_val(&**slots)
            + size_of_val(&**spots)
            + of_several * (size_of::<Scalar>() + 16)
            + made.iter().map(size).sum::<usize>()
    }

    /// Returns what is made of a field, which is made now if it was not yet.
    #[inline(never)]
    fn read_made(&self, slot: u16) -> Value<'_> {
        let made = self.made.get_or_init(|| {
            let single = self.layout.made.iter().copied();
            let several = (SEVERAL..).zip(&self.layout.several).map(|(slot, _)| slot);
            single.chain(several).map(|slot| (slot, OnceLock::new())).collect()
        });
        let Ok(at) = made.binary_search_by_key(&slot, |(slot, _)| *slot) else { return Value::Missing };
        match made[at].1.get_or_init(|| self.make(slot)) {
            Made::One(scalar) => Value::from(scalar),
            Made::List(list) => Value::List(list),
        }
    }

    fn make(&self, slot: u16) -> Made {
        let spots = match slot & SEVERAL {
            0 => std::slice::from_ref(&slot),
            _ => self.layout.several(slot),
        };
        let mut scalars = Vec::new();
        for spot in spots.iter().filter_map(|spot| self.layout.spots.get(usize::from(*spot))) {
            self.place(spot).read(&self.line, &mut scalars);
        }
        match <[Scalar; 1]>::try_from(scalars) {
            Ok([scalar]) => Made::One(scalar),
            Err(scalars) => Made::List(scalars.into()),
        }
    }
}

/// Memory for the values of one document after the other: as long as nobody keeps them, the next ones take the place of
/// those before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reused {
    /// Of a few layouts, so that documents of different ones that take turns find their own.
    values: [Arc<Values>; 8],
    /// Which was taken last: that document may be kept until the next has become an event.
    last: usize,
    /// Those that somebody keeps, or did: mostly they are let go in the order in which they came.
    kept: VecDeque<Arc<Values>>,
}

/// Of how many documents that somebody keeps the memory is used again, and how large it may be, in bytes.
const MAX_KEPT: usize = 1024;
const MAX_KEPT_BYTES: usize = 4 << 10;

/// How large the memory of a line and its marks may be, in bytes, to be used for the next.
const MAX_REUSED: usize = 64 << 10;

impl Reused {
    /// Takes values as [`Values::renew`] does.
    pub(crate) fn at(&mut self, line: &str, layout: &Arc<Layout>, marks: &[u32]) -> Arc<Values> {
        let is_own = |own: &Arc<Values>| Arc::ptr_eq(&own.layout, layout);
        let own = (0..self.values.len()).find(|at| *at != self.last && is_own(&self.values[*at]));
        self.last = own.unwrap_or((self.last + 1) % self.values.len());
        if Arc::strong_count(&self.values[self.last]) > 1 {
            self.exchange();
        }
        let values = &mut self.values[self.last];
        Values::renew(values, line, layout, marks);
        Arc::clone(values)
    }

    /// Puts memory that nobody has in the place of that which was taken last, which somebody keeps.
    #[inline(never)]
    fn exchange(&mut self) {
        let is_free = self.kept.front().is_some_and(|oldest| Arc::strong_count(oldest) == 1);
        let spare = if is_free { self.kept.pop_front() } else { None }.unwrap_or_default();
        // One that is kept for long does not stand in the way of the others for ever.
        if !is_free && self.kept.len() == MAX_KEPT {
            self.kept.rotate_left(1);
        }
        let kept = std::mem::replace(&mut self.values[self.last], spare);
        if self.kept.len() < MAX_KEPT && kept.capacity() <= MAX_KEPT_BYTES {
            self.kept.push_back(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document without values.
    fn at(reused: &mut Reused, layout: &Arc<Layout>, line: &str) -> Arc<Values> {
        reused.at(line, layout, &[])
    }

    #[test]
    fn what_somebody_keeps_stays_as_it_is_and_its_memory_serves_again_once_nobody_does() {
        let (mut reused, layout) = (Reused::default(), Arc::new(Layout::default()));
        let line = |number: usize| format!("line {number}");
        let mut addresses = std::collections::HashSet::new();
        let mut kept: VecDeque<(usize, Arc<Values>)> = VecDeque::new();
        for number in 0..20_000 {
            let values = at(&mut reused, &layout, &line(number));
            assert_eq!(values.line(), line(number));
            addresses.insert(Arc::as_ptr(&values).addr());
            // Every third is kept for a while, and a few for long.
            if number % 3 == 0 {
                kept.push_back((number, values));
            }
            while kept.len() > 300 {
                let (number, values) = kept.pop_front().unwrap();
                assert_eq!(values.line(), line(number));
                if number % 1000 == 0 {
                    kept.push_back((number, values));
                }
            }
        }
        assert!(addresses.len() < 2 * MAX_KEPT, "{}", addresses.len());
        assert!(reused.kept.len() <= MAX_KEPT);
    }
}
