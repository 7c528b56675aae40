//! Texts that a value may contain: all of them are searched for in one pass.
//!
//! Of each text a few bytes are looked for that few others have; where they stand, the text is compared. That is the
//! Wu-Manber way of multiple string matching, which suits texts that hardly ever occur.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::sieve::{AsItIs, Hits, Set};

/// How many bytes a text has at least. A shorter one would say too little of a value that contains it.
pub(crate) const LEAST_PART: usize = 3;

/// How many bytes of a text are looked for.
const WINDOW: usize = LEAST_PART;

/// How many bytes of a text are compared. Text that an attacker made may have the window at each of its bytes; it shall
/// not cost a comparison of any length each time.
const COMPARED: usize = 32;

/// How many hashes of windows the filter tells apart: where a hundred texts are looked for, one byte in eighty of a value
/// hits by chance. It is 8 KiB for each field that is searched.
const ROOM: usize = 1 << 13;

/// Texts by one of their windows.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Whether a window with a hash is one of the texts'.
    filter: Box<[bool; ROOM]>,
    /// By the window's [`key`].
    texts: HashMap<u64, Box<[Part]>, BuildHasherDefault<AsItIs>>,
}

/// A text, as far as it is compared.
#[derive(Debug)]
struct Part {
    text: Box<[u8]>,
    /// Where its window begins.
    first: usize,
    found: Set,
}

impl Parts {
    /// Takes folded texts of [`LEAST_PART`] bytes at least, each with what is found with it.
    pub(crate) fn new(texts: impl IntoIterator<Item = (Box<str>, Set)>) -> Option<Self> {
        let texts: Vec<(Box<str>, Set)> = texts.into_iter().collect();
        if texts.is_empty() {
            return None;
        }
        let mut popularity: HashMap<u32, usize> = HashMap::new();
        for (text, _) in &texts {
            windows(text.as_bytes()).for_each(|(_, window)| *popularity.entry(window).or_default() += 1);
        }
        let mut filter = Box::new([false; ROOM]);
        let mut by_window: HashMap<u32, Vec<Part>> = HashMap::new();
        for (text, found) in texts {
            let bytes = text.as_bytes();
            // Of equally rare ones the last: texts that are paths begin alike, in values too.
            let (first, window) = windows(bytes)
                .min_by_key(|(first, window)| (popularity[window], usize::MAX - first))
                .expect("a text is as long as a window at least");
            let from = (first + WINDOW).saturating_sub(COMPARED);
            let text = bytes[from..bytes.len().min(from + COMPARED)].into();
            by_window.entry(window).or_default().push(Part { text, first: first - from, found });
            filter[hash(window)] = true;
        }
        let by_window = by_window.into_iter().map(|(window, texts)| (key(window), texts.into()));
        Some(Parts { filter, texts: by_window.collect() })
    }

    /// Adds what is found with each text that `value` contains, and may add more. `value` is folded, except for ASCII
    /// letters.
    pub(crate) fn find(&self, value: &[u8], hits: &mut Hits) {
        // Four windows at a time, for that takes half the instructions.
        let mut first = 0;
        while let Some(bytes) = value.get(first..).and_then(|rest| rest.first_chunk::<8>()) {
            let bytes = u64::from_le_bytes(*bytes) | CASE;
            let window = |at: u32| (bytes >> (8 * at)) as u32 & WINDOW_BITS;
            let [a, b, c, d] = [window(0), window(1), window(2), window(3)];
            if self.filter[hash(a)] | self.filter[hash(b)] | self.filter[hash(c)] | self.filter[hash(d)] {
                for (at, window) in [a, b, c, d].into_iter().enumerate() {
                    self.compare(value, first + at, window, hits);
                }
            }
            first += 4;
        }
        for (at, window) in windows(&value[first..]) {
            if self.filter[hash(window)] {
                self.compare(value, first + at, window, hits);
            }
        }
    }

    #[cold]
    fn compare(&self, value: &[u8], first: usize, window: u32, hits: &mut Hits) {
        for part in self.texts.get(&key(window)).into_iter().flatten() {
            let stands_there = first
                .checked_sub(part.first)
                .and_then(|from| value.get(from..from + part.text.len()))
                .is_some_and(|text| text.eq_ignore_ascii_case(&part.text));
            if stands_there {
                hits.add(&part.found);
            }
        }
    }
}

/// The bytes of a window.
const WINDOW_BITS: u32 = 0xff_ffff;
/// A bit that is set in every lower-case letter makes the case alike, and a few other characters.
const CASE: u64 = 0x2020_2020_2020_2020;

fn hash(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (u32::BITS - ROOM.trailing_zeros())) as usize
}

/// The windows of a text, each with the place where it begins.
fn windows(text: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    let window =
        |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) | (CASE as u32 & WINDOW_BITS);
    text.windows(WINDOW).map(window).enumerate()
}

/// A number for each window, whose bits are all mixed.
fn key(window: u32) -> u64 {
    u64::from(window).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fold::folded;

    /// Which texts are found in a value.
    fn found(texts: &[String], value: &str) -> Vec<bool> {
        let set = |at: usize| -> Set { [(at as u32 / 64, 1 << (at % 64))].into() };
        let parts = Parts::new(texts.iter().enumerate().map(|(at, text)| (folded(text).into(), set(at))));
        let mut hits = Hits::default();
        hits.clear(texts.len().div_ceil(64));
        let value = if value.is_ascii() { value.into() } else { folded(value) };
        parts.expect("texts").find(value.as_bytes(), &mut hits);
        (0..texts.len()).map(|at| hits.has(at)).collect()
    }

    fn contained(texts: &[String], value: &str) -> Vec<bool> {
        texts.iter().map(|text| folded(value).contains(&*folded(text))).collect()
    }

    #[test]
    fn texts_are_found_wherever_they_stand_and_in_any_case() {
        let texts = ["curl", "CURL -o", ".sh", "caf\u{e9}", "/Applications/A.app"].map(str::to_owned);
        for value in [
            "",
            "cu",
            "CURL",
            "xcurl",
            "curlx",
            "a/curl -O/b",
            "a.sh",
            ".SHx",
            "CAF\u{c9}",
            "\u{212a}curl",
            "/applications/a.APP",
            "/Applications/A.ap",
            "1234567curl",
            "12345.sh",
        ] {
            assert_eq!(found(&texts, value), contained(&texts, value), "{value}");
        }
    }

    #[test]
    fn of_a_long_text_a_piece_is_enough() {
        let texts = ["a".repeat(100), format!("{}b", "a".repeat(100)), format!("{}xyz", "a".repeat(100))];
        assert_eq!(found(&texts, &"a".repeat(1000)), [true, false, false]);
        assert_eq!(found(&texts, &"a".repeat(31)), [false; 3]);
        assert!(found(&texts, &texts[2])[2]);
    }

    proptest! {
        #[test]
        fn agrees_with_std(
            texts in prop::collection::vec("[abK\u{212a}\u{c9}/]{3,12}|[ab]{30,40}", 1..80),
            value in "[abkK\u{212a}\u{e9}/]{0,60}",
        ) {
            let texts: Vec<String> = texts.into_iter().filter(|text| folded(text).len() >= LEAST_PART).collect();
            let found = found(&texts, &value);
            for ((text, found), contained) in texts.iter().zip(found).zip(contained(&texts, &value)) {
                prop_assert!(found || !contained, "{} in {}", text, value);
                prop_assert!(contained || !found || folded(text).len() > COMPARED, "{} not in {}", text, value);
            }
        }
    }
}
