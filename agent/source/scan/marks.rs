//! The bytes of a line that do not stand for themselves in text.

use wide::u8x16;

/// Quotation marks, backslashes and control characters of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// A bit for each byte, 64 in each; behind the last byte there is a mark too.
    words: Vec<u64>,
}

impl Marks {
    /// Marks the bytes of another line.
    pub(super) fn set(&mut self, bytes: &[u8]) {
        self.words.clear();
        let (blocks, rest) = bytes.as_chunks::<64>();
        self.words.extend(blocks.iter().map(marked));
        // Spaces stand for themselves.
        let mut last = [b' '; 64];
        last[..rest.len()].copy_from_slice(rest);
        self.words.push(marked(&last) | 1 << rest.len());
    }

    /// Returns the first mark at or behind `at`; `None` beyond the line.
    #[inline]
    pub(super) fn next(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let mut marks = *self.words.get(word)? & (u64::MAX << (at % 64));
        while marks == 0 {
            word += 1;
            marks = *self.words.get(word)?;
        }
        Some(word * 64 + marks.trailing_zeros() as usize)
    }
}

/// Returns a bit for each byte that does not stand for itself in text.
fn marked(block: &[u8; 64]) -> u64 {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    block.as_chunks::<16>().0.iter().enumerate().fold(0, |marks, (at, part)| {
        let part = u8x16::new(*part);
        let own = part.simd_eq(quote) | part.simd_eq(backslash) | part.simd_le(control);
        marks | u64::from(own.to_bitmask()) << (16 * at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_stand_for_itself_is_found_wherever_it_lies() {
        let is_mark = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
        for length in [0, 1, 63, 64, 65, 130] {
            for special in 0..=255 {
                for at in 0..length {
                    let mut line = vec![b'x'; length];
                    line[at] = special;
                    let mut marks = Marks::default();
                    marks.set(&line);
                    let expected = if is_mark(special) { at } else { length };
                    assert_eq!(marks.next(0), Some(expected), "{special} at {at} of {length}");
                    assert_eq!(marks.next(at + 1), Some(length));
                    assert_eq!(marks.next(length + 64), None);
                }
            }
        }
    }
}
