//! The values of a document's wanted fields, read from its text when they are first asked for.

use std::sync::{Arc, OnceLock};

use eql::{FieldId, Scalar, Value};

/// Values by field. Text and numbers are read where they stand in the document's line; what does not stand there as it
/// is meant, text with escapes and lists, is made at its first read and kept.
#[derive(Clone, Debug, Default)]
pub struct Values {
    layout: Arc<Layout>,
    places: Box<[Place]>,
    /// What was made, by the slots of the layout.
    made: OnceLock<MadeBySlot>,
}

/// Which field each place of a document is of. Documents of one producer share a few layouts.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// For each field, up to the last that has a value: its place, or [`SEVERAL`] and an entry of `several`.
    slots: Box<[u16]>,
    /// The places of fields that have more than one.
    several: Box<[Box<[u16]>]>,
}

/// The slot of a field without a value.
const NOWHERE: u16 = u16::MAX;

/// Set in the slot of a field that has several places.
const SEVERAL: u16 = 0x8000;

/// How many places a layout tells apart.
pub(crate) const MAX_PLACES: usize = 0x7fff;

/// Where a value stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The node of its path, in whoever's paths were looked for.
    pub(crate) node: u32,
    /// The first byte; of text, behind the quotation mark.
    pub(crate) start: u32,
    /// The byte behind the last.
    pub(crate) end: u32,
    /// How it is written.
    pub(crate) form: Form,
}

/// How a value is written. `null` is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text that stands for itself.
    Text,
    /// Text with escapes.
    Escaped,
    /// A whole number of at most 18 digits; not `-0`.
    Integer,
    /// Any other number.
    Number,
    /// `true` or `false`.
    Boolean(bool),
    /// An array, in its brackets, of values that are none of objects.
    List,
    /// Such an array in which there are escapes, or numbers that are no [`Form::Integer`].
    DoubtfulList,
    /// It stands nowhere.
    Made,
}

type MadeBySlot = Box<[(u16, OnceLock<Made>)]>;

#[derive(Clone, Debug)]
enum Made {
    One(Scalar),
    List(Box<[Scalar]>),
}

impl Layout {
    /// Makes a layout of the field of each place, in their order; at most [`MAX_PLACES`]. A place may be of none.
    pub(crate) fn new(fields: impl Iterator<Item = Option<FieldId>>) -> Self {
        let mut slots = Vec::new();
        let mut several: Vec<Vec<u16>> = Vec::new();
        for (place, field) in (0..SEVERAL).zip(fields) {
            let Some(field) = field else { continue };
            let field = field.0 as usize;
            if field >= slots.len() {
                slots.resize(field + 1, NOWHERE);
            }
            match slots[field] {
                NOWHERE => slots[field] = place,
                slot if slot & SEVERAL != 0 => several[usize::from(slot & !SEVERAL)].push(place),
                first => {
                    slots[field] = SEVERAL | several.len() as u16;
                    several.push(vec![first, place]);
                }
            }
        }
        Layout { slots: slots.into(), several: several.into_iter().map(Box::from).collect() }
    }

    #[inline]
    fn slot(&self, field: FieldId) -> u16 {
        self.slots.get(field.0 as usize).copied().unwrap_or(NOWHERE)
    }

    fn several(&self, slot: u16) -> &[u16] {
        self.several.get(usize::from(slot & !SEVERAL)).map_or(&[], |places| places)
    }
}

impl Values {
    /// Takes values that stand where `places` say, all of which must be readable there.
    pub(crate) fn at(layout: Arc<Layout>, places: &[Place]) -> Self {
        Values { layout, places: places.into(), made: OnceLock::new() }
    }

    /// Takes values that stand nowhere; several of one field keep their order.
    pub(crate) fn of(values: &mut Vec<(FieldId, Scalar)>) -> Self {
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
            fields.push(Some(field));
        }
        let place = Place { node: 0, start: 0, end: 0, form: Form::Made };
        Values {
            places: vec![place; fields.len()].into(),
            layout: Arc::new(Layout::new(fields.into_iter())),
            made: OnceLock::from(made.into_boxed_slice()),
        }
    }

    /// Returns the value of `field` in `line`, which the places are of.
    #[inline]
    pub(crate) fn get<'d>(&'d self, field: FieldId, line: &'d str) -> Value<'d> {
        // Most of what is asked for is not there.
        match self.layout.slot(field) {
            NOWHERE => Value::Missing,
            slot => self.in_slot(slot, line),
        }
    }

    fn in_slot<'d>(&'d self, slot: u16, line: &'d str) -> Value<'d> {
        let Some(place) = self.places.get(usize::from(slot)) else { return self.read_made(slot, line) };
        match place.form {
            Form::Escaped | Form::List | Form::DoubtfulList | Form::Made => self.read_made(slot, line),
            _ => place.plain(line),
        }
    }

    /// Returns whether a single value of `field` satisfies `test`; `None` if there is none. Of a list no copy is made,
    /// unless there are escapes in it.
    pub(crate) fn any(
        &self,
        field: FieldId,
        line: &str,
        mut test: impl FnMut(Value<'_>) -> bool,
    ) -> Option<bool> {
        let slot = self.layout.slot(field);
        if let Some(place) = self.places.get(usize::from(slot))
            && place.form == Form::List
        {
            let mut elements = place.elements(line).peekable();
            elements.peek()?;
            return Some(elements.any(|element| test(element.plain(line))));
        }
        let value = self.get(field, line);
        if value.is_missing() { None } else { Some(value.any(test)) }
    }

    /// Returns whether `field` has a value.
    #[inline]
    pub(crate) fn has(&self, field: FieldId) -> bool {
        self.layout.slot(field) != NOWHERE
    }

    /// Returns the fields that have a value, in order.
    pub fn fields(&self) -> impl Iterator<Item = FieldId> {
        let slots = self.layout.slots.iter().enumerate();
        slots.filter(|(_, slot)| **slot != NOWHERE).map(|(field, _)| FieldId(field as u32))
    }

    /// Returns how many bytes the places take.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.places)
    }

    /// Returns about how many bytes they take, made ones as if they were; `line` is the one that they stand in.
    pub(crate) fn weight(&self, line: &str) -> usize {
        let list = |place: &Place| match place.form {
            Form::List | Form::DoubtfulList => place.elements(line).count() * (size_of::<Scalar>() + 16),
            _ => 0,
        };
        let text = |place: &Place| match place.form {
            Form::Escaped | Form::List | Form::DoubtfulList => (place.end - place.start) as usize,
            _ => 0,
        };
        let of_several = self.layout.several.iter().map(|places| places.len()).sum::<usize>();
        size_of_val(&*self.places)
            + size_of_val(&*self.layout.slots)
            + of_several * (size_of::<Scalar>() + 16)
            + self.places.iter().map(|place| text(place) + list(place)).sum::<usize>()
    }

    /// Returns what is made of a field, which is made now if it was not yet.
    fn read_made<'d>(&'d self, slot: u16, line: &str) -> Value<'d> {
        let made = self.made.get_or_init(|| {
            let is_made = |place: &Place| {
                matches!(place.form, Form::Escaped | Form::List | Form::DoubtfulList | Form::Made)
            };
            let single = (0..).zip(&self.places).filter(|(_, place)| is_made(place)).map(|(slot, _)| slot);
            let several = (SEVERAL..).zip(&self.layout.several).map(|(slot, _)| slot);
            single.chain(several).map(|slot| (slot, OnceLock::new())).collect()
        });
        let Ok(at) = made.binary_search_by_key(&slot, |(slot, _)| *slot) else { return Value::Missing };
        match made[at].1.get_or_init(|| self.make(slot, line)) {
            Made::One(scalar) => Value::from(scalar),
            Made::List(list) => Value::List(list),
        }
    }

    fn make(&self, slot: u16, line: &str) -> Made {
        let places = match slot & SEVERAL {
            0 => std::slice::from_ref(&slot),
            _ => self.layout.several(slot),
        };
        let mut scalars = Vec::new();
        for place in places.iter().filter_map(|place| self.places.get(usize::from(*place))) {
            place.read(line, &mut scalars);
        }
        match <[Scalar; 1]>::try_from(scalars) {
            Ok([scalar]) => Made::One(scalar),
            Err(scalars) => Made::List(scalars.into()),
        }
    }
}

impl Place {
    /// Returns whether its value can be read: it has no half of a surrogate pair, no number beyond the range of floats.
    pub(crate) fn is_readable(&self, line: &str) -> bool {
        match self.form {
            Form::Escaped => self.unescaped(line).is_some(),
            Form::Number => number(self.text(line)).is_some(),
            Form::DoubtfulList => self.elements(line).all(|element| element.is_readable(line)),
            _ => true,
        }
    }

    /// Returns the same place in a text in which it is `by` bytes further on.
    pub(crate) fn moved(self, by: u32) -> Self {
        Place { start: self.start + by, end: self.end + by, ..self }
    }

    /// Returns the text between its ends.
    pub(crate) fn text<'l>(&self, line: &'l str) -> &'l str {
        line.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Returns its text without escapes; `None` if it is none, such as half a surrogate pair.
    pub(crate) fn unescaped(&self, line: &str) -> Option<String> {
        let quoted = line.get((self.start as usize).checked_sub(1)?..=self.end as usize)?;
        serde_json::from_str(quoted).ok()
    }

    /// Returns the value that stands there as it is meant.
    fn plain<'l>(&self, line: &'l str) -> Value<'l> {
        match self.form {
            Form::Text => Value::Str(self.text(line)),
            Form::Boolean(value) => Value::Bool(value),
            Form::Integer | Form::Number => self.number(line),
            Form::Escaped | Form::List | Form::DoubtfulList | Form::Made => Value::Missing,
        }
    }

    fn number(&self, line: &str) -> Value<'static> {
        match self.form {
            Form::Integer => Value::Int(self.integer(line)),
            _ => number(self.text(line)).unwrap_or_default(),
        }
    }

    /// Returns the value of a [`Form::Integer`].
    pub(crate) fn integer(&self, line: &str) -> i64 {
        let text = self.text(line).as_bytes();
        let (negative, digits) = match text.split_first() {
            Some((b'-', digits)) => (true, digits),
            _ => (false, text),
        };
        let value =
            digits.iter().fold(0i64, |sum, byte| sum.wrapping_mul(10).wrapping_add(i64::from(byte & 0xf)));
        if negative { -value } else { value }
    }

    /// Appends its value, or those of a list.
    fn read(&self, line: &str, values: &mut Vec<Scalar>) {
        match self.form {
            Form::Text => values.push(Scalar::from(self.text(line))),
            Form::Escaped => values.extend(self.unescaped(line).map(|text| Scalar::from(text.as_str()))),
            Form::Integer | Form::Number => values.extend(self.number(line).to_scalar()),
            Form::Boolean(value) => values.push(Scalar::Bool(value)),
            Form::List | Form::DoubtfulList => {
                for element in self.elements(line) {
                    element.read(line, values);
                }
            }
            Form::Made => {}
        }
    }

    /// Returns the places of what is in an array, which is JSON; arrays in it are no more than what they hold.
    pub(crate) fn elements(&self, line: &str) -> impl Iterator<Item = Place> {
        let bytes = line.as_bytes();
        let (mut at, end) = (self.start as usize, (self.end as usize).min(bytes.len()));
        let node = self.node;
        std::iter::from_fn(move || {
            loop {
                let start = at;
                if start >= end {
                    return None;
                }
                at += 1;
                let place = |start: usize, end: usize, form| {
                    Some(Place { node, start: start as u32, end: end as u32, form })
                };
                match bytes[start] {
                    b'"' => {
                        let mut form = Form::Text;
                        loop {
                            at += memchr::memchr2(b'"', b'\\', bytes.get(at..end)?)? + 1;
                            if bytes[at - 1] == b'"' {
                                return place(start + 1, at - 1, form);
                            }
                            form = Form::Escaped;
                            at += 1;
                        }
                    }
                    b't' => {
                        at += 3;
                        return place(start, at, Form::Boolean(true));
                    }
                    b'f' => {
                        at += 4;
                        return place(start, at, Form::Boolean(false));
                    }
                    b'n' => at += 3,
                    b'-' | b'0'..=b'9' => {
                        let is_part =
                            |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                        at += bytes.get(at..end)?.iter().take_while(|byte| is_part(byte)).count();
                        return place(start, at, Form::Number);
                    }
                    _ => {}
                }
            }
        })
    }
}

/// Reads JSON's number, as a float where it is no `i64`; `None` if it is beyond the range of floats.
fn number(text: &str) -> Option<Value<'static>> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::Float))
}
