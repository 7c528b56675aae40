//! The values of a document's wanted fields, read from its text when they are first asked for.

use std::sync::OnceLock;

use eql::{FieldId, Scalar, Value};

/// Values by field. Text and numbers are read where they stand in the document's line; what does not stand there as it
/// is meant, text with escapes and lists, is made at its first read and kept.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// A bit for each of the first 128 fields: whether it has a value.
    present: u128,
    /// One for each field that has a value, by field.
    places: Box<[ValuePlace]>,
    /// The values of fields that have several, in their order.
    several: Box<[ValuePlace]>,
    /// By the index of its field's place.
    made: Box<[(u32, OnceLock<Made>)]>,
}

/// Where a value stands in a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValuePlace {
    /// The field.
    pub(crate) field: FieldId,
    /// The first byte; of text, behind the quotation mark.
    pub(crate) start: u32,
    /// The byte behind the last.
    pub(crate) end: u32,
    /// How it is written.
    pub(crate) form: ValueForm,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueForm {
    /// Text that stands for itself.
    Text,
    /// Text with escapes.
    Escaped,
    /// A whole number that `i64` holds.
    Integer,
    /// Any other number.
    Number,
    /// `true` or `false`.
    Boolean(bool),
    /// There are several: the bytes are places among the several values.
    Several,
    /// It stands nowhere, or was read already.
    Made,
}

#[derive(Clone, Debug)]
enum Made {
    One(Scalar),
    List(Box<[Scalar]>),
}

impl Values {
    /// Takes places of values, in the order of the line. All of them must be readable there.
    pub(crate) fn at(places: &mut [ValuePlace]) -> Self {
        // The values of a field mostly follow each other. Where they do not, they are made to.
        let values = Self::in_runs(places);
        if values.places.is_sorted_by(|one, next| one.field < next.field) {
            return values;
        }
        places.sort_unstable_by_key(|place| (place.field, place.start));
        Self::in_runs(places)
    }

    /// Takes places whose values of one field follow each other; fields that come again are out of order.
    fn in_runs(places: &[ValuePlace]) -> Self {
        let mut values =
            Values { present: 0, places: Box::default(), several: Box::default(), made: Box::default() };
        let mut single = Vec::with_capacity(places.len());
        let mut several = Vec::new();
        let mut by_rank = true;
        for run in places.chunk_by(|one, next| one.field == next.field) {
            let field = run[0].field;
            by_rank &= field.0 < 128 && values.present & bit(field) == 0;
            values.present |= bit(field);
            if let [place] = run {
                single.push(*place);
                continue;
            }
            let start = several.len() as u32;
            several.extend_from_slice(run);
            single.push(ValuePlace { field, start, end: several.len() as u32, form: ValueForm::Several });
        }
        if by_rank {
            // Each goes where its rank among the fields says: no comparisons.
            let mut ranked = single.clone();
            for place in &single {
                ranked[values.rank(place.field)] = *place;
            }
            single = ranked;
        }
        let is_made =
            |(_, place): &(usize, &ValuePlace)| matches!(place.form, ValueForm::Escaped | ValueForm::Several);
        values.made =
            single.iter().enumerate().filter(is_made).map(|(at, _)| (at as u32, OnceLock::new())).collect();
        values.places = single.into();
        values.several = several.into();
        values
    }

    /// Takes values that stand nowhere; several of one field keep their order.
    pub(crate) fn of(values: &mut Vec<(FieldId, Scalar)>) -> Self {
        values.sort_by_key(|(field, _)| *field);
        let mut places = Vec::with_capacity(values.len());
        let mut made = Vec::with_capacity(values.len());
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
            made.push((places.len() as u32, OnceLock::from(value)));
            places.push(ValuePlace { field, start: 0, end: 0, form: ValueForm::Made });
        }
        let present = places.iter().fold(0, |all, place: &ValuePlace| all | bit(place.field));
        Values { present, places: places.into(), several: Box::default(), made: made.into() }
    }

    /// Returns the value of `field` in `line`, which the places are of.
    pub(crate) fn get<'d>(&'d self, field: FieldId, line: &'d str) -> Value<'d> {
        let at = if field.0 < 128 {
            if self.present & bit(field) == 0 {
                return Value::Missing;
            }
            self.rank(field)
        } else {
            match self.places.binary_search_by_key(&field, |place| place.field) {
                Ok(at) => at,
                Err(_) => return Value::Missing,
            }
        };
        let Some(place) = self.places.get(at) else { return Value::Missing };
        match place.form {
            ValueForm::Text => Value::Str(place.text(line)),
            ValueForm::Boolean(value) => Value::Bool(value),
            ValueForm::Integer | ValueForm::Number => place.number(line),
            ValueForm::Escaped | ValueForm::Several | ValueForm::Made => match self.made(at, line) {
                Some(Made::One(scalar)) => Value::from(scalar),
                Some(Made::List(list)) => Value::List(list),
                None => Value::Missing,
            },
        }
    }

    /// How many of the fields before `field`, one of the first 128, have a value.
    fn rank(&self, field: FieldId) -> usize {
        (self.present & (bit(field) - 1)).count_ones() as usize
    }

    /// Returns the fields that have a value, in order.
    pub fn fields(&self) -> impl Iterator<Item = FieldId> {
        self.places.iter().map(|place| place.field)
    }

    /// Returns about how many bytes they take, made ones as if they were.
    pub(crate) fn weight(&self) -> usize {
        let made = |place: &ValuePlace| size_of::<Scalar>() + 16 + (place.end - place.start) as usize;
        size_of_val(&*self.places) + size_of_val(&*self.made) + self.several.iter().map(made).sum::<usize>()
    }

    /// Returns what is made of a field's place.
    fn made(&self, at: usize, line: &str) -> Option<&Made> {
        let own = self.made.binary_search_by_key(&(at as u32), |(at, _)| *at).ok()?;
        let place = &self.places[at];
        Some(self.made[own].1.get_or_init(|| match place.form {
            ValueForm::Several => {
                let values = self.several.get(place.start as usize..place.end as usize).unwrap_or_default();
                Made::List(values.iter().filter_map(|value| value.scalar(line)).collect())
            }
            _ => place.scalar(line).map_or_else(|| Made::List(Box::default()), Made::One),
        }))
    }
}

/// The bit of one of the first 128 fields; none for others.
fn bit(field: FieldId) -> u128 {
    1u128.checked_shl(field.0).unwrap_or(0)
}

impl ValuePlace {
    fn text<'l>(&self, line: &'l str) -> &'l str {
        line.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    fn number(&self, line: &str) -> Value<'static> {
        let text = self.text(line);
        if self.form == ValueForm::Integer {
            return text.parse().map_or(Value::Missing, Value::Int);
        }
        number(text).unwrap_or_default()
    }

    fn scalar(&self, line: &str) -> Option<Scalar> {
        match self.form {
            ValueForm::Text => Some(Scalar::from(self.text(line))),
            ValueForm::Escaped => {
                let quoted = line.get((self.start as usize).checked_sub(1)?..=self.end as usize)?;
                unescaped(quoted).map(|text| Scalar::from(text.as_str()))
            }
            ValueForm::Integer | ValueForm::Number => self.number(line).to_scalar(),
            ValueForm::Boolean(value) => Some(Scalar::Bool(value)),
            ValueForm::Several | ValueForm::Made => None,
        }
    }
}

/// Reads JSON's text, in its quotation marks; `None` if it is none, such as half a surrogate pair.
pub(crate) fn unescaped(quoted: &str) -> Option<String> {
    serde_json::from_str(quoted).ok()
}

/// Reads JSON's number, as a float where it is no `i64`; `None` if it is beyond the range of floats.
pub(crate) fn number(text: &str) -> Option<Value<'static>> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::Float))
}
