//! The tokens of a line of JSON, passed over one by one.

use super::marks::Marks;
use crate::observation::Form;

/// A line, and how far it was read.
pub(super) struct Text<'s> {
    marks: &'s Marks,
    pub(super) bytes: &'s [u8],
    pub(super) at: usize,
}

impl<'s> Text<'s> {
    /// Begins with a line, of which `marks` are.
    pub(super) fn new(marks: &'s Marks, bytes: &'s [u8]) -> Self {
        Text { marks, bytes, at: 0 }
    }

    /// Passes over text, whose first quotation mark was taken, and the one that ends it.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Option<Form> {
        let end = self.marks.next(self.at)?;
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Some(Form::Text);
        }
        self.escaped_text()
    }

    fn escaped_text(&mut self) -> Option<Form> {
        loop {
            self.at = self.marks.next(self.at)?;
            match self.next()? {
                b'"' => return Some(Form::Escaped),
                b'\\' => self.escape()?,
                _ => return None,
            }
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
    pub(super) fn bare(&mut self) -> Option<Option<Form>> {
        match self.next()? {
            first @ (b'-' | b'0'..=b'9') => self.number(first).map(Some),
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
        while let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let others = other_than_digits(u64::from_le_bytes(*eight));
            if others != 0 {
                self.at += others.trailing_zeros() as usize / 8;
                return self.at - start;
            }
            self.at += 8;
        }
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

/// Returns what is zero in each of eight bytes that is a digit, up to the first that is none.
fn other_than_digits(bytes: u64) -> u64 {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROES: u64 = 0x3030_3030_3030_3030;
    // A digit's high half is 3, and still is with 6 added to it.
    let high = (bytes & HIGH) ^ ZEROES;
    let carried = (bytes.wrapping_add(0x0606_0606_0606_0606) & HIGH) ^ ZEROES;
    high | carried
}
