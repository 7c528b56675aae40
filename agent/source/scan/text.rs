//! The tokens of a line of JSON, passed over one by one.

use wide::u8x16;

use super::skeleton::COMMA;
use crate::observation::Form;

/// A line, and how far it was read.
pub(super) struct Text<'s> {
    pub(super) bytes: &'s [u8],
    pub(super) at: usize,
    /// Whether it has text with escapes or numbers that may be beyond every range, and so values that may not be readable.
    pub(super) is_doubtful: bool,
}

impl<'s> Text<'s> {
    /// Begins with a line.
    pub(super) fn new(bytes: &'s [u8]) -> Self {
        Text { bytes, at: 0, is_doubtful: false }
    }

    /// Passes over the value at `start`: text, whose first quotation mark is before it, or none. Returns how it is
    /// written, not at all for `null`, and where what comes behind it begins.
    #[inline(never)]
    pub(super) fn value(&mut self, start: usize, is_text: bool) -> Option<(Option<Form>, usize)> {
        self.at = start;
        let form = if is_text { Some(self.text()?) } else { self.bare()? };
        Some((form, self.at))
    }

    /// Passes over text, whose first quotation mark was taken, and the one that ends it.
    pub(super) fn text(&mut self) -> Option<Form> {
        let mut form = Form::Text;
        loop {
            self.at += self.bytes.get(self.at..)?.iter().position(|byte| ends_plain(*byte))?;
            match self.next()? {
                b'"' => return Some(form),
                b'\\' => self.escape()?,
                _ => return None,
            }
            (form, self.is_doubtful) = (Form::Escaped, true);
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.bytes.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// Passes over a number or a word; none of `null`.
    fn bare(&mut self) -> Option<Option<Form>> {
        match self.next()? {
            first @ (b'-' | b'0'..=b'9') => {
                let form = self.number(first)?;
                self.is_doubtful |= form == Form::Number;
                Some(Some(form))
            }
            b't' => self.word(b"rue", Some(Form::Boolean(true))),
            b'f' => self.word(b"alse", Some(Form::Boolean(false))),
            b'n' => self.word(b"ull", None),
            _ => None,
        }
    }

    fn number(&mut self, first: u8) -> Option<Form> {
        let negative = first == b'-';
        let first = if negative { self.next()? } else { first };
        let digits = match first {
            b'0' => 1,
            b'1'..=b'9' => 1 + self.digits(),
            _ => return None,
        };
        let mut form = Form::Integer;
        if digits > 18 || (negative && first == b'0') {
            form = Form::Number;
        }
        if first == b'0' && self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if self.take(b'.').is_some() {
            form = Form::Number;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            form = Form::Number;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        Some(form)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self, rest: &[u8], form: Option<Form>) -> Option<Option<Form>> {
        let found = self.bytes[self.at..].starts_with(rest);
        self.at += rest.len();
        found.then_some(form)
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

/// Returns where the quotation mark is that ends the text at `start`; `None` where there is none, or something before it
/// that does not stand for itself: a backslash, a control character.
#[inline(always)]
pub(super) fn plain(bytes: &[u8], start: usize) -> Option<usize> {
    // With one bit turned round a quotation mark comes behind the control characters, and nothing else between them.
    let (turned, last, backslash) = (u8x16::splat(2), u8x16::splat(b'"' ^ 2), u8x16::splat(b'\\'));
    let (chunks, rest) = bytes.get(start..)?.as_chunks();
    let mut at = start;
    for sixteen in chunks {
        let sixteen = u8x16::new(*sixteen);
        let ends = (sixteen ^ turned).simd_le(last) | sixteen.simd_eq(backslash);
        let ends = ends.to_bitmask();
        if ends != 0 {
            at += ends.trailing_zeros() as usize;
            return (bytes.get(at) == Some(&b'"')).then_some(at);
        }
        at += 16;
    }
    let end = at + rest.iter().position(|byte| ends_plain(*byte))?;
    (bytes[end] == b'"').then_some(end)
}

/// Passes over a further text of an array, with nothing but a comma before it, and nothing in it that does not stand for
/// itself. Returns where it begins, and where what comes behind it does.
#[inline(always)]
pub(super) fn further(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    bytes.get(at..)?.starts_with(COMMA).then_some(())?;
    let start = at + COMMA.len();
    Some((start, plain(bytes, start)? + 1))
}

fn ends_plain(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Returns where the whole number at `start` ends, if it is one of 1 to 15 digits, not negative, and not at the end.
#[inline(always)]
pub(super) fn whole_number(bytes: &[u8], start: usize) -> Option<usize> {
    let sixteen: &[u8; 16] = bytes.get(start..)?.first_chunk()?;
    let is_digit = (u8x16::new(*sixteen) - u8x16::splat(b'0')).simd_le(u8x16::splat(9));
    let digits = is_digit.to_bitmask().trailing_ones() as usize;
    let is_whole = |end: &u8| !matches!(end, b'.' | b'e' | b'E') && (sixteen[0] != b'0' || digits == 1);
    (digits > 0 && sixteen.get(digits).is_some_and(is_whole)).then_some(start + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_ends_at_its_quotation_mark_and_nowhere_behind_what_does_not_stand_for_itself() {
        for length in [0, 1, 15, 16, 17, 33] {
            let text = vec![b'x'; length];
            assert_eq!(plain(&text, 0), None, "{length}: not ended");
            for rest in [0, 1, 20] {
                let line = [&text[..], b"\"", &vec![b'"'; rest]].concat();
                assert_eq!(plain(&line, 0), Some(length), "{length} and {rest}");
                for at in 0..length {
                    for special in 0..=255 {
                        let mut line = line.clone();
                        line[at] = special;
                        let expected = match special {
                            b'"' => Some(at),
                            b'\\' | ..0x20 => None,
                            _ => Some(length),
                        };
                        assert_eq!(plain(&line, 0), expected, "{special} at {at} of {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_whole_number_ends_where_no_more_of_a_number_follows() {
        let end = |text: &str| whole_number(format!("{text}                ").as_bytes(), 0);
        for text in ["0", "7", "10", "123456789012345"] {
            for behind in ["", ",", "}", "x"] {
                assert_eq!(end(&format!("{text}{behind}")), Some(text.len()), "{text}{behind}");
            }
            for behind in [".5", "e1", "E1", "."] {
                assert_eq!(end(&format!("{text}{behind}")), None, "{text}{behind}");
            }
        }
        for none in ["", "-1", "01", "00", "1234567890123456", "true", "/", ":"] {
            assert_eq!(end(none), None, "{none}");
        }
        assert_eq!(whole_number(b"12", 0), None, "nothing is known of what follows");
    }
}
