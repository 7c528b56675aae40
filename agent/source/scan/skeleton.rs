//! What stands between the values of lines: keys, braces, colons, commas.
//!
//! A *stretch* is what stands between two values, with the quotation marks. What it may be depends only on which objects
//! and arrays are open, and that is all that is known of a line so far; so a stretch that was checked once need not be
//! checked again behind the same open objects and arrays. It is enough that the bytes are the same.

use rustc_hash::FxHashMap;

/// How many stretches are kept, and how long one may be. They come from whoever made the line.
const MAX_STRETCHES: usize = 2048;
const MAX_LENGTH: usize = 512;

/// How many stretches are tried that came after another.
const TRIED: usize = 4;

/// No stretch.
const NONE: u32 = u32::MAX;

/// An object or array that is open, and the node of what is in it, if a wanted path leads there or beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Open {
    pub(super) array: bool,
    pub(super) node: Option<u32>,
}

/// What follows a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Text: the quotation mark belongs to the stretch.
    Text,
    /// A number, `true`, `false` or `null`, as far as its first byte says.
    Bare,
    /// The end of the line.
    End,
}

/// What is wanted of a stretch itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    /// A key: its first byte and the one behind its last, and the node that it is the value of.
    Key(u32, u32, u32),
    /// An object begins: its bracket's place, and the node of which that is the place.
    Object(u32, u32),
    /// An array of a wanted node begins: its bracket's place.
    Opens(u32),
    /// It ends: the place behind its bracket, and the wanted node.
    Closes(u32, u32),
}

/// What is known of a stretch.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// Its first bytes, and which of 16 they are.
    head: u128,
    mask: u128,
    pub(super) length: u32,
    /// What is most likely to come after it.
    likely: u32,
    /// The node of the value that follows, if it is wanted.
    pub(super) wanted: Option<u32>,
    pub(super) next: Next,
    /// Whether there is more than its first bytes.
    is_long: bool,
    /// Whether something is wanted of the stretch itself.
    pub(super) has_inner: bool,
}

/// What is less often asked of a stretch.
#[derive(Clone, Debug)]
struct Rest {
    text: Box<[u8]>,
    inner: Box<[Inner]>,
    /// What is open behind it.
    open: u32,
    /// What came after it, the most likely first.
    after: [u32; TRIED],
}

/// The stretches that came by.
#[derive(Clone, Debug)]
pub(super) struct Skeletons {
    /// The first stands for the beginning of a line.
    stretches: Vec<Stretch>,
    rests: Vec<Rest>,
    numbers: FxHashMap<(u32, Box<[u8]>), u32>,
    /// What may be open; nothing at first.
    open: Vec<Box<[Open]>>,
    open_numbers: FxHashMap<Box<[Open]>, u32>,
}

/// The number of the stretch that is no more than the beginning of a line.
pub(super) const BEGINNING: u32 = 0;

impl Default for Skeletons {
    fn default() -> Self {
        Skeletons {
            stretches: vec![Stretch::new(b"", Next::Bare, None, false)],
            rests: vec![Rest::new(b"", &[], 0)],
            numbers: FxHashMap::default(),
            open: vec![Box::default()],
            open_numbers: FxHashMap::default(),
        }
    }
}

impl Skeletons {
    /// Returns a stretch that came after another before and is what `bytes` begin with, and its number.
    #[inline]
    pub(super) fn find(&mut self, previous: u32, likely: u32, bytes: &[u8]) -> Option<(u32, &Stretch)> {
        let is_likely = match self.stretches.get(likely as usize) {
            Some(own) => own.begins(bytes) && (!own.is_long || self.is_whole(likely, bytes)),
            None => false,
        };
        let number = if is_likely { likely } else { self.find_less_likely(previous, bytes)? };
        self.stretches.get(number as usize).map(|stretch| (number, stretch))
    }

    /// Returns whether `bytes`, which begin as a stretch does, go on as it does.
    fn is_whole(&self, number: u32, bytes: &[u8]) -> bool {
        bytes[16..].starts_with(&self.rests[number as usize].text[16..])
    }

    #[cold]
    fn find_less_likely(&mut self, previous: u32, bytes: &[u8]) -> Option<u32> {
        let after = self.rests[previous as usize].after;
        let begins = |number: &u32| {
            self.stretches.get(*number as usize).is_some_and(|own| own.begins(bytes))
                && bytes.starts_with(&self.rests[*number as usize].text)
        };
        let at = 1 + after[1..].iter().position(begins)?;
        let own = &mut self.rests[previous as usize].after;
        own.swap(at, at - 1);
        self.stretches[previous as usize].likely = own[0];
        Some(after[at])
    }

    /// Returns the number of the stretch that most likely comes after one.
    pub(super) fn likely(&self, stretch: u32) -> u32 {
        self.stretches[stretch as usize].likely
    }

    /// Returns what is wanted of a stretch itself, in its order.
    pub(super) fn inner(&self, stretch: u32) -> &[Inner] {
        &self.rests[stretch as usize].inner
    }

    /// Returns what is open behind a stretch.
    pub(super) fn open(&self, stretch: u32) -> &[Open] {
        &self.open[self.rests[stretch as usize].open as usize]
    }

    /// Keeps `text`, which came after `previous`. Returns `false` if it is too long, or where there is no room, and then
    /// everything is forgotten.
    pub(super) fn keep(
        &mut self,
        previous: u32,
        text: &[u8],
        next: Next,
        wanted: Option<u32>,
        inner: &[Inner],
        open: &[Open],
    ) -> bool {
        if text.len() > MAX_LENGTH {
            return false;
        }
        if self.stretches.len() == MAX_STRETCHES {
            *self = Skeletons::default();
            return false;
        }
        let before = self.rests[previous as usize].open;
        let number = match self.numbers.get(&(before, text.into())) {
            Some(number) => *number,
            None => {
                let open = self.number_of(open);
                let number = self.stretches.len() as u32;
                self.stretches.push(Stretch::new(text, next, wanted, !inner.is_empty()));
                self.rests.push(Rest::new(text, inner, open));
                self.numbers.insert((before, text.into()), number);
                number
            }
        };
        let after = &mut self.rests[previous as usize].after;
        after.rotate_right(1);
        after[0] = number;
        self.stretches[previous as usize].likely = number;
        true
    }

    fn number_of(&mut self, open: &[Open]) -> u32 {
        if let Some(number) = self.open_numbers.get(open) {
            return *number;
        }
        let number = self.open.len() as u32;
        self.open.push(open.into());
        self.open_numbers.insert(open.into(), number);
        number
    }
}

impl Rest {
    fn new(text: &[u8], inner: &[Inner], open: u32) -> Self {
        Rest { text: text.into(), inner: inner.into(), open, after: [NONE; TRIED] }
    }
}

impl Stretch {
    fn new(text: &[u8], next: Next, wanted: Option<u32>, has_inner: bool) -> Self {
        let length = text.len().min(16);
        let mut head = [0; 16];
        head[..length].copy_from_slice(&text[..length]);
        Stretch {
            head: u128::from_le_bytes(head),
            mask: u128::MAX.checked_shr(128 - 8 * length as u32).unwrap_or(0),
            length: text.len() as u32,
            likely: NONE,
            wanted,
            next,
            is_long: text.len() > 16,
            has_inner,
        }
    }

    /// Returns the number of the stretch that most likely comes after it.
    pub(super) fn likely(&self) -> u32 {
        self.likely
    }

    /// Returns whether `bytes` begin with its first bytes, and what comes behind all of them may come there.
    #[inline]
    fn begins(&self, bytes: &[u8]) -> bool {
        let head = match bytes.first_chunk() {
            Some(head) => u128::from_le_bytes(*head),
            None => short(bytes),
        };
        head & self.mask == self.head
            && match (self.next, bytes.get(self.length as usize)) {
                (Next::Text, _) | (Next::End, None) => true,
                // What comes may be text, an object or an array, and then more belongs to the stretch.
                (Next::Bare, Some(byte)) => begins_bare(*byte),
                (Next::End, Some(_)) | (Next::Bare, None) => false,
            }
            && bytes.len() >= self.length as usize
    }
}

/// Returns fewer than 16 bytes as if zeroes followed. What ends a line is short.
#[cold]
fn short(bytes: &[u8]) -> u128 {
    let mut head = [0; 16];
    head[..bytes.len()].copy_from_slice(bytes);
    u128::from_le_bytes(head)
}

/// Returns whether a number, `true`, `false` or `null` may begin with it.
pub(super) fn begins_bare(byte: u8) -> bool {
    matches!(byte, b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}
