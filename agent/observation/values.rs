//! The values of a document's wanted fields, read from its text when they are first asked for.

use std::sync::OnceLock;

use eql::{FieldId, Scalar, Value};

/// Values by field. Text and numbers are read where they stand in the document's line; what does not stand there as it
/// is meant, text with escapes and lists, is made at its first read and kept.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// By field; several of one field in their order.
    places: Box<[ValuePlace]>,
    /// By the index of the first place of its field.
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
        places.sort_unstable_by_key(|place| (place.field, place.start));
        let is_made = |at: &usize| {
            let place = &places[*at];
            let same = |other: Option<&ValuePlace>| other.is_some_and(|other| other.field == place.field);
            let begins = *at == 0 || !same(places.get(at - 1));
            begins && (place.form == ValueForm::Escaped || same(places.get(at + 1)))
        };
        let made = (0..places.len()).filter(is_made).map(|at| (at as u32, OnceLock::new())).collect();
        Values { places: (&*places).into(), made }
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
        Values { places: places.into(), made: made.into() }
    }

    /// Returns the value of `field` in `line`, which the places are of.
    pub(crate) fn get<'d>(&'d self, field: FieldId, line: &'d str) -> Value<'d> {
        let at = self.places.partition_point(|place| place.field < field);
        let Some(place) = self.places.get(at).filter(|place| place.field == field) else {
            return Value::Missing;
        };
        let single = self.places.get(at + 1).is_none_or(|next| next.field != field);
        match place.form {
            ValueForm::Text if single => Value::Str(place.text(line)),
            ValueForm::Boolean(value) if single => Value::Bool(value),
            ValueForm::Integer | ValueForm::Number if single => place.number(line),
            _ => match self.made(at, line) {
                Some(Made::One(scalar)) => Value::from(scalar),
                Some(Made::List(list)) => Value::List(list),
                None => Value::Missing,
            },
        }
    }

    /// Returns the fields that have a value, in order.
    pub fn fields(&self) -> impl Iterator<Item = FieldId> {
        let mut previous = None;
        self.places
            .iter()
            .map(|place| place.field)
            .filter(move |field| previous.replace(*field) != Some(*field))
    }

    /// Returns about how many bytes they take, made ones as if they were.
    pub(crate) fn weight(&self) -> usize {
        let made = |place: &ValuePlace| size_of::<Scalar>() + (place.end - place.start) as usize;
        size_of_val(&*self.places)
            + size_of_val(&*self.made)
            + if self.made.is_empty() { 0 } else { self.places.iter().map(made).sum() }
    }

    /// Returns what is made of the places from `first` on.
    fn made(&self, first: usize, line: &str) -> Option<&Made> {
        let own = self.made.binary_search_by_key(&(first as u32), |(at, _)| *at).ok()?;
        Some(self.made[own].1.get_or_init(|| {
            let field = self.places[first].field;
            let mut list: Vec<Scalar> = self.places[first..]
                .iter()
                .take_while(|place| place.field == field)
                .filter_map(|place| place.scalar(line))
                .collect();
            match list.len() {
                1 => Made::One(list.remove(0)),
                _ => Made::List(list.into()),
            }
        }))
    }
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
            ValueForm::Made => None,
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
