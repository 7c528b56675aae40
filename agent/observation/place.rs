//! Where values stand in a line of JSON, and how they are read there.

use eql::{Scalar, Value};

/// Where a value stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first byte; of text, behind the quotation mark.
    pub(crate) start: u32,
    /// The byte behind the last.
    pub(crate) end: u32,
    /// How it is written.
    pub(crate) form: Form,
}

/// Where a value stands in all lines that are alike: the ends of its [`Place`], counted from marks that each line has at
/// places of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The first byte.
    pub(crate) start: Offset,
    /// The byte behind the last.
    pub(crate) end: Offset,
    /// How it is written, in all of the lines.
    pub(crate) form: Form,
}

/// So many bytes behind a mark, or before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    /// Which of the line's marks.
    pub(crate) mark: u16,
    /// How many bytes.
    pub(crate) by: i16,
}

impl Spot {
    /// A value that stands nowhere.
    pub(crate) const NOWHERE: Spot =
        Spot { start: Offset { mark: 0, by: 0 }, end: Offset { mark: 0, by: 0 }, form: Form::Made };

    /// Returns where the value stands in the line that has these marks.
    #[inline]
    pub(crate) fn place<M: Copy + Into<u32>>(&self, marks: &[M]) -> Place {
        Place { start: self.start.at(marks), end: self.end.at(marks), form: self.form }
    }
}

impl Offset {
    /// Returns where it is in the line that has these marks.
    #[inline]
    pub(crate) fn at<M: Copy + Into<u32>>(self, marks: &[M]) -> u32 {
        let mark = marks.get(usize::from(self.mark)).map_or(0, |mark| (*mark).into());
        mark.wrapping_add_signed(self.by.into())
    }
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

impl Form {
    /// Returns whether a value does not stand in the line as it is meant.
    #[inline]
    pub(super) fn is_made(self) -> bool {
        matches!(self, Form::Escaped | Form::List | Form::DoubtfulList | Form::Made)
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

    /// Returns the text between its ends.
    #[inline]
    pub(crate) fn text<'l>(&self, line: &'l str) -> &'l str {
        line.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Returns its text without escapes; `None` if it is none, such as half a surrogate pair.
    pub(crate) fn unescaped(&self, line: &str) -> Option<String> {
        let quoted = line.get((self.start as usize).checked_sub(1)?..=self.end as usize)?;
        serde_json::from_str(quoted).ok()
    }

    /// Returns the value that stands there as it is meant.
    #[inline(never)]
    pub(super) fn plain<'l>(&self, line: &'l str) -> Value<'l> {
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
        let up_to = line.as_bytes().get(..self.end as usize).unwrap_or_default();
        let text = up_to.get(self.start as usize..).unwrap_or_default();
        let (negative, digits) = match text.split_first() {
            Some((b'-', digits)) => (true, digits),
            _ => (false, text),
        };
        let value = match (digits.len(), up_to.last_chunk()) {
            // Most are short, and nearly all have something before them.
            (length @ 1..=8, Some(eight)) => last_digits(*eight, length),
            _ => {
                digits.iter().fold(0i64, |sum, byte| sum.wrapping_mul(10).wrapping_add(i64::from(byte & 0xf)))
            }
        };
        if negative { -value } else { value }
    }

    /// Appends its value, or those of a list.
    pub(super) fn read(&self, line: &str, values: &mut Vec<Scalar>) {
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
        std::iter::from_fn(move || {
            loop {
                let start = at;
                if start >= end {
                    return None;
                }
                at += 1;
                let place = |start: usize, end: usize, form| {
                    Some(Place { start: start as u32, end: end as u32, form })
                };
                match bytes[start] {
                    b'"' => {
                        let mut form = Form::Text;
                        loop {
                            at += end_of_plain(bytes.get(at..)?)? + 1;
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

/// Returns the number that the last bytes are, 1 to 8 of them and all of them digits.
#[inline]
fn last_digits(eight: [u8; 8], length: usize) -> i64 {
    let others = 8 * (8 - length as u32);
    let digits = ((u64::from_le_bytes(eight) & 0x0f0f_0f0f_0f0f_0f0f) >> others) << others;
    // Each with the one behind it, then each of these with the next, and so once more.
    let twos = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    ((fours * 10_000 + (fours >> 32)) & 0xffff_ffff) as i64
}

impl Place {
    /// Returns whether an element of a [`Form::List`] satisfies `test`.
    #[inline]
    pub(super) fn any_element<'l>(&self, line: &'l str, mut test: impl FnMut(Value<'l>) -> bool) -> bool {
        // Most lists are of text only, in which a quotation mark is nothing but the end of one.
        let (mut at, end) = (self.start as usize, (self.end as usize).min(line.len()));
        while let Some(byte) = line.as_bytes()[..end].get(at) {
            at += 1;
            match byte {
                b'[' | b',' | b']' | b' ' => {}
                b'"' => {
                    let rest = &line.as_bytes()[at..end];
                    let length = end_of_text(rest);
                    if test(Value::Str(line.get(at..at + length).unwrap_or_default())) {
                        return true;
                    }
                    at += length + 1;
                }
                _ => {
                    let rest = Place { start: at as u32 - 1, ..*self };
                    return rest.elements(line).any(|element| test(element.plain(line)));
                }
            }
        }
        false
    }
}

/// Returns where the first quotation mark stands, else the length.
#[inline]
fn end_of_text(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let ends = zeros(u64::from_le_bytes(*word) ^ (ONES * u64::from(b'"')));
        if ends != 0 {
            return 8 * at + ends.trailing_zeros() as usize / 8;
        }
    }
    8 * words.len() + rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len())
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// Sets the highest bit of the first byte that is zero, and of none before it.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// Returns where the first quotation mark or backslash stands. Texts in lists are short: they are passed over by words,
/// which takes less than calling a search that is made for long ones.
fn end_of_plain(bytes: &[u8]) -> Option<usize> {
    let of = |byte: u8, word: u64| zeros(word ^ (ONES * u64::from(byte)));
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = of(b'"', word) | of(b'\\', word);
        if ends != 0 {
            return Some(8 * at + ends.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(8 * words.len() + at)
}

/// Reads JSON's number, as a float where it is no `i64`; `None` if it is beyond the range of floats.
fn number(text: &str) -> Option<Value<'static>> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::Float))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_read_wherever_it_stands() {
        let digits = "987654321012345678";
        for number in (1..=18).flat_map(|length| [&digits[..length], &"100000000000000000"[..length], "0"]) {
            for number in [number.to_owned(), format!("-{number}")] {
                for before in ["", "1", "{\"a\":", "{\"a\":[123456789,", "\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}"] {
                    let line = format!("{before}{number},1");
                    let (start, end) = (before.len() as u32, (before.len() + number.len()) as u32);
                    let place = Place { start, end, form: Form::Integer };
                    assert_eq!(place.integer(&line), number.parse::<i64>().unwrap(), "{line}");
                }
            }
        }
    }

    #[test]
    fn plain_text_ends_at_the_first_quote_or_backslash() {
        // The neighbours of both in ASCII, what has their low bits, and what borrows from the byte before it.
        let others =
            ["", "a", "!", "#!#", "[]", "\u{a2}\u{dc}", "\0\u{1}", "0123456789abcdef", "!!!!!!!#######"];
        for text in others.iter().flat_map(|one| others.iter().map(move |other| format!("{one}{other}"))) {
            for ending in ["", "\"", "\\", "\"\\", "!\"", "\"!\\0123456", "\\\"0123456789"] {
                let bytes = [text.as_bytes(), ending.as_bytes()].concat();
                let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'));
                assert_eq!(end_of_plain(&bytes), first, "{text:?} {ending:?}");
                let first = bytes.iter().position(|byte| *byte == b'"');
                assert_eq!(end_of_text(&bytes), first.unwrap_or(bytes.len()), "{text:?} {ending:?}");
            }
        }
    }
}
