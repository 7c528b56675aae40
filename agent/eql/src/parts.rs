//! Texts that values contain, or begin with: all of them are looked for in one pass.
//!
//! Of each text a few bytes are looked for that few others have; where they stand, the text is compared. That is the
//! Wu-Manber way of multiple string matching, which suits texts that hardly ever occur. Of a value only every second or
//! fourth place is looked at where the texts are long enough to have that many such windows, one behind the other: one of
//! them stands at a place that is looked at.

use std::collections::{BTreeMap, HashMap};

use crate::bits::{Bits, Set};
use crate::table::Table;

/// How many bytes a text has at least. A shorter one would say too little of a value that contains it.
pub(crate) const LEAST_PART: usize = 3;

/// How many bytes of a text are looked for.
const WINDOW: usize = LEAST_PART;

/// How many bytes of a text are compared. Text that an attacker made may have the window at each of its bytes; it shall
/// not cost a comparison of any length each time.
const COMPARED: usize = 32;

/// How many hashes a [`Filter`] tells apart for each window that is looked for: one in so many others hits by chance.
const ROOM: usize = 64;

/// How far it may be from one place that is looked at to the next, in bytes.
pub(crate) const STRIDES: [usize; 3] = [1, 2, 4];

/// A search for texts in one pass.
#[derive(Debug)]
pub(crate) struct Search {
    /// One of [`STRIDES`].
    stride: usize,
    filter: Filter,
    /// By the [`key`] of one of their windows.
    texts: Table<Box<[Part]>>,
}

/// Texts that values begin with.
#[derive(Debug)]
pub(crate) struct Heads {
    /// By the [`key`] of their first window.
    texts: Table<Box<[Head]>>,
}

/// A text that values begin with. Many begin alike, and paths with what most values begin with.
#[derive(Debug)]
struct Head {
    /// Which of its first word is its own.
    own: u64,
    part: Part,
}

/// A text, as far as it is compared.
#[derive(Debug)]
struct Part {
    text: Box<[u8]>,
    /// Where its window begins.
    first: usize,
    /// The [first word](first_word) of it, which hardly any other has.
    word: u64,
    found: Set,
}

/// A bit for each hash of a window: whether one of the texts has such a window.
#[derive(Debug)]
struct Filter {
    /// A power of two of words.
    words: Box<[u64]>,
    /// How far a window is shifted, mixed, to be a hash.
    shift: u32,
}

impl Search {
    /// Returns the longest stride at which a text is found: it has as many windows as that.
    pub(crate) fn stride_of(text: &str) -> usize {
        let windows = text.len() + 1 - WINDOW;
        STRIDES.into_iter().rfind(|stride| *stride <= windows).unwrap_or(1)
    }

    /// Takes folded texts of [`LEAST_PART`] bytes at least, and of a stride, each with what is found with it.
    pub(crate) fn new<'t>(stride: usize, texts: impl Iterator<Item = (&'t str, Set)> + Clone) -> Self {
        let mut popularity: HashMap<u32, usize> = HashMap::new();
        for (text, _) in texts.clone() {
            windows(text.as_bytes()).for_each(|window| *popularity.entry(window).or_default() += 1);
        }
        let mut filter = Filter::new(stride * texts.clone().count());
        let mut parts = ByWindow::default();
        for (text, found) in texts {
            let bytes = text.as_bytes();
            let of_text: Vec<u32> = windows(bytes).collect();
            let shared = |windows: &[u32]| windows.iter().map(|window| popularity[window]).sum::<usize>();
            // Of equally rare ones the last: texts that are paths begin alike, in values too.
            let (chosen, _) = (0..)
                .zip(of_text.windows(stride))
                .min_by_key(|(first, windows)| (shared(windows), usize::MAX - first))
                .expect("a text has as many windows as its stride");
            let from = (chosen + stride - 1 + WINDOW).saturating_sub(COMPARED);
            for (first, window) in of_text.iter().enumerate().skip(chosen).take(stride) {
                filter.add(*window);
                parts.add(*window, Part::new(&bytes[from..], first - from, found.clone()));
            }
        }
        Search { stride, filter, texts: parts.into_table() }
    }

    /// Adds what is found with each text that `value` contains, and may add more. `value` is folded, except for ASCII
    /// letters.
    pub(crate) fn find(&self, value: &[u8], hits: &mut impl Bits) {
        match self.stride {
            4 => self.find_at::<4>(value, hits),
            2 => self.find_at::<2>(value, hits),
            _ => self.find_at::<1>(value, hits),
        }
    }

    fn find_at<const STRIDE: usize>(&self, value: &[u8], hits: &mut impl Bits) {
        let mut first = 0;
        // Four windows at a time, for that takes half the instructions.
        while let Some(bytes) = value.get(first..first + 3 * STRIDE + 4) {
            let four = [0, 1, 2, 3].map(|at| {
                let bytes = &bytes[at * STRIDE..at * STRIDE + 4];
                u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & WINDOW_BITS | CASE
            });
            let any = four.iter().fold(false, |any, window| any | self.filter.has(*window));
            if any {
                for (at, window) in
                    four.into_iter().enumerate().filter(|(_, window)| self.filter.has(*window))
                {
                    self.compare(value, first + at * STRIDE, window, hits);
                }
            }
            first += 4 * STRIDE;
        }
        while let Some(bytes) = value.get(first..first + WINDOW) {
            let window = window(bytes);
            if self.filter.has(window) {
                self.compare(value, first, window, hits);
            }
            first += STRIDE;
        }
    }

    #[cold]
    fn compare(&self, value: &[u8], first: usize, window: u32, hits: &mut impl Bits) {
        for part in self.texts.get(key(window)).into_iter().flatten() {
            if first.checked_sub(part.first).is_some_and(|from| part.stands_at(from, value)) {
                part.found.add_to(hits);
            }
        }
    }
}

impl Heads {
    /// Takes folded texts of [`LEAST_PART`] bytes at least, each with what is found with it.
    pub(crate) fn new(texts: impl Iterator<Item = (Box<str>, Set)>) -> Self {
        let mut heads = ByWindow::default();
        for (text, found) in texts {
            let bytes = text.as_bytes();
            let own = u64::MAX >> (8 * 8usize.saturating_sub(bytes.len()));
            heads.add(window(bytes), Head { own, part: Part::new(bytes, 0, found) });
        }
        Heads { texts: heads.into_table() }
    }

    /// Adds what is found with each text that `value` begins with, and may add more. `value` is folded, except for ASCII
    /// letters.
    #[inline]
    pub(crate) fn find(&self, value: &[u8], hits: &mut impl Bits) {
        let Some(bytes) = value.get(..WINDOW) else { return };
        let Some(heads) = self.texts.get(key(window(bytes))) else { return };
        let first = first_word(value);
        for Head { own, part } in heads {
            if (first ^ part.word) & own == 0 && part.stands_at(0, value) {
                part.found.add_to(hits);
            }
        }
    }
}

impl Part {
    /// Takes a text, of which as much is compared as shall be.
    fn new(text: &[u8], first: usize, found: Set) -> Self {
        let text = &text[..text.len().min(COMPARED)];
        Part { text: text.into(), first, word: first_word(text), found }
    }

    fn stands_at(&self, from: usize, value: &[u8]) -> bool {
        let text = value.get(from..from + self.text.len());
        text.is_some_and(|text| first_word(text) == self.word && text.eq_ignore_ascii_case(&self.text))
    }
}

/// Texts by window, while they are gathered.
struct ByWindow<T>(BTreeMap<u32, Vec<T>>);

impl<T> Default for ByWindow<T> {
    fn default() -> Self {
        ByWindow(BTreeMap::new())
    }
}

impl<T> ByWindow<T> {
    fn add(&mut self, window: u32, text: T) {
        self.0.entry(window).or_default().push(text);
    }

    fn into_table(self) -> Table<Box<[T]>> {
        Table::new(self.0.into_iter().map(|(window, texts)| (key(window), texts.into())).collect())
    }
}

/// The first bytes of a text, with the case made alike as in a window; of a shorter text something follows.
#[inline]
fn first_word(text: &[u8]) -> u64 {
    let word = match text.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    word | u64::from_ne_bytes([0x20; 8])
}

impl Filter {
    /// Makes one for so many windows.
    fn new(windows: usize) -> Self {
        // A window has 24 bits to tell it by.
        let room = (windows * ROOM).next_power_of_two().clamp(1 << 10, 1 << 20);
        Filter { words: vec![0; room / 64].into(), shift: u32::BITS - room.trailing_zeros() }
    }

    fn add(&mut self, window: u32) {
        let hash = self.hash(window);
        self.words[hash / 64] |= 1 << (hash % 64);
    }

    #[inline(always)]
    fn has(&self, window: u32) -> bool {
        let hash = self.hash(window);
        self.words[(hash / 64) & (self.words.len() - 1)] >> (hash % 64) & 1 == 1
    }

    #[inline(always)]
    fn hash(&self, window: u32) -> usize {
        (window.wrapping_mul(0x9e37_79b1) >> self.shift) as usize
    }
}

/// The bytes of a window.
const WINDOW_BITS: u32 = 0xff_ffff;
/// A bit that is set in every lower-case letter makes the case alike, and a few other characters.
const CASE: u32 = 0x20_2020;

#[inline]
fn window(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) | CASE
}

/// The windows of a text, in order.
fn windows(text: &[u8]) -> impl Iterator<Item = u32> {
    text.windows(WINDOW).map(window)
}

/// A number for each window, whose bits are all mixed.
fn key(window: u32) -> u64 {
    u64::from(window).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bits::Wide;
    use crate::fold::folded;

    /// Which texts are found in a value.
    fn found(texts: &[String], value: &str) -> Vec<bool> {
        let folded_texts: Vec<Box<str>> = texts.iter().map(|text| folded(text).into()).collect();
        let value = if value.is_ascii() { value.into() } else { folded(value) };
        let mut hits = Wide::empty(texts.len());
        for stride in STRIDES {
            let of_stride = (0..).zip(&folded_texts).filter(|(_, text)| Search::stride_of(text) == stride);
            let search = Search::new(stride, of_stride.map(|(at, text)| (&**text, Set::new(vec![at]))));
            search.find(value.as_bytes(), &mut hits);
        }
        has(&hits, texts.len())
    }

    /// Which texts a value is found to begin with.
    fn found_first(texts: &[String], value: &str) -> Vec<bool> {
        let heads = Heads::new((0..).zip(texts).map(|(at, text)| (folded(text).into(), Set::new(vec![at]))));
        let value = if value.is_ascii() { value.into() } else { folded(value) };
        let mut hits = Wide::empty(texts.len());
        heads.find(value.as_bytes(), &mut hits);
        has(&hits, texts.len())
    }

    fn has(bits: &Wide, count: usize) -> Vec<bool> {
        let mut has = vec![false; count];
        bits.for_each(|number| has[number as usize] = true);
        has
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
            for (text, found) in texts.iter().zip(found_first(&texts, &value)) {
                let begins = folded(&value).starts_with(&*folded(text));
                prop_assert!(found || !begins, "{} begins {}", value, text);
                prop_assert!(begins || !found || folded(text).len() > COMPARED, "{} does not begin {}", value, text);
            }
        }
    }
}
