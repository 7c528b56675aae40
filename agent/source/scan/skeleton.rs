//! What stands between the values of lines: keys, braces, colons, commas.
//!
//! A *stretch* is what stands between two values, with the quotation marks. What it may be depends only on which objects
//! and arrays are open, and that is all that is known of a line so far; so a stretch that was checked once need not be
//! checked again behind the same open objects and arrays. It is enough that the bytes are the same.
//!
//! Where a value often comes behind a stretch, a longer stretch is kept beside it that goes on through that value and what
//! follows it; so what is the same in most of a producer's lines is compared at one stroke, and what a line is about
//! (its action, its category) says early what the rest of it will be.

use rustc_hash::FxHashMap;
use wide::u8x16;

use crate::observation::Form;

/// How many stretches are kept, and how long one may be. They come from whoever made the line.
const MAX_STRETCHES: usize = 2048;
const MAX_LENGTH: usize = 1024;

/// How many stretches are tried that came after another.
const TRIED: usize = 8;

/// How many values that come behind a stretch are watched at once and how many times, how many of them are counted, and
/// how often one must have come, at least, to be one that often comes.
const WATCHED: u8 = 48;
const MAX_ROUNDS: u8 = 3;
const COUNTED: usize = 3;
const OFTEN: u8 = 10;

/// How long a value may be that a stretch goes on through.
const MAX_VALUE: usize = 128;

/// What stands between two texts of an array, where nothing is for the eye.
pub(super) const COMMA: &[u8; 2] = b",\"";

/// No stretch.
const NONE: u32 = u32::MAX;

/// The node of a value that is not wanted.
pub(super) const NOT_WANTED: u32 = u32::MAX;

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

/// The value behind a stretch.
#[derive(Clone, Copy, Debug)]
pub(super) struct After {
    /// Its node, if it is wanted.
    pub(super) wanted: Option<u32>,
    /// Whether a wanted path leads beyond it, which is not wanted itself.
    pub(super) is_passed: bool,
}

/// What is done once the value behind a stretch was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Go,
    /// The value is compared with others that came there.
    Watch,
    /// The stretch stands between two texts of an array and is nothing but their comma, so there may be more of them.
    Texts,
}

/// What is wanted of a stretch itself. Places count from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    /// A key, an object's bracket, or a value that is always the same, and its node.
    Value { node: u32, start: i16, end: i16, form: Form },
    /// An array of a wanted node begins: its bracket's place.
    Opens(i16),
    /// It ends: the place behind its bracket, and the wanted node.
    Closes(i16, u32),
    /// There is an object in all arrays that are open, which are then no lists.
    Mixed,
}

/// What is known of a stretch; what is always asked comes first.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Stretch {
    /// Its first bytes, and which of 16 they are.
    head: u8x16,
    mask: u8x16,
    pub(super) length: u32,
    /// What is most likely to come after it.
    pub(super) likely: u32,
    /// The node of the value that follows; [`NOT_WANTED`] if it is not. (As an `Option` it takes more steps.)
    pub(super) wanted: u32,
    /// Whether a wanted path leads beyond that value, which is not wanted itself.
    pub(super) is_passed: bool,
    pub(super) next: Next,
    /// Whether there is more than its first bytes.
    is_long: bool,
    pub(super) then: Then,
    text: Box<[u8]>,
    /// What is wanted of it, in its order.
    pub(super) inner: Box<[Inner]>,
    /// What is open behind it.
    open: u32,
    /// What came after it, the most likely first.
    after: [u32; TRIED],
    /// While it is watched: values that came behind it, how many were seen, and how often that began anew.
    values: Vec<Counted>,
    seen: u8,
    rounds: u8,
}

/// A value that came behind a stretch, which ends with its quotation mark if it is text, and what followed it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    value: Box<[u8]>,
    form: Option<Form>,
    next: u32,
    /// How often it came, less the times when others came that are not counted.
    count: u8,
}

/// The stretches that came by.
#[derive(Clone, Debug)]
pub(super) struct Skeletons {
    /// How often everything was forgotten: the numbers of stretches meant others before.
    pub(super) forgotten: u64,
    /// The first stands for the beginning of a line.
    stretches: Vec<Stretch>,
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
            forgotten: 0,
            stretches: vec![Stretch::new(b"", Next::Bare, None, &[], 0)],
            numbers: FxHashMap::default(),
            open: vec![Box::default()],
            open_numbers: FxHashMap::default(),
        }
    }
}

impl Skeletons {
    /// Returns what is known of a stretch.
    #[inline(always)]
    pub(super) fn stretch(&self, number: u32) -> &Stretch {
        &self.stretches[number as usize]
    }

    /// Returns what is known of a stretch, if there is one of that number.
    #[inline(always)]
    pub(super) fn get(&self, number: u32) -> Option<&Stretch> {
        self.stretches.get(number as usize)
    }

    /// Returns the number of a stretch that came after another before, was not the most likely one to do so, and is what
    /// `bytes` begin with.
    pub(super) fn find_less_likely(&mut self, previous: u32, bytes: &[u8]) -> Option<u32> {
        let after = &self.stretch(previous).after[1..];
        let begins = |number: &u32| self.get(*number).is_some_and(|own| own.begins(bytes));
        let at = 1 + after.iter().position(begins)?;
        let own = &mut self.stretches[previous as usize];
        own.after.swap(at, at - 1);
        own.likely = own.after[0];
        Some(own.after[at - 1])
    }

    /// Returns the number of the stretch that most likely comes after one.
    pub(super) fn likely(&self, stretch: u32) -> u32 {
        self.stretches[stretch as usize].likely
    }

    /// Returns what is open behind a stretch.
    pub(super) fn open(&self, stretch: u32) -> &[Open] {
        &self.open[self.stretch(stretch).open as usize]
    }

    /// Keeps `text`, which came after `previous`. Returns `false` if it is too long, or where there is no room, and then
    /// everything is forgotten.
    pub(super) fn keep(
        &mut self,
        previous: u32,
        text: &[u8],
        next: Next,
        value: After,
        inner: &[Inner],
        open: &[Open],
    ) -> bool {
        if text.len() > MAX_LENGTH {
            return false;
        }
        if self.stretches.len() == MAX_STRETCHES {
            *self = Skeletons { forgotten: self.forgotten + 1, ..Skeletons::default() };
            return false;
        }
        let before = self.stretch(previous).open;
        let number = match self.numbers.get(&(before, text.into())) {
            Some(number) => *number,
            None => {
                let in_array = open.last().is_some_and(|open| open.array);
                let mut stretch = Stretch::new(text, next, value.wanted, inner, self.number_of(open));
                stretch.is_passed = value.is_passed;
                if in_array && next == Next::Text && text == COMMA {
                    stretch.then = Then::Texts;
                }
                self.add(before, stretch)
            }
        };
        self.follow(previous, number);
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

    /// Adds a stretch that may come where `before` is open.
    fn add(&mut self, before: u32, stretch: Stretch) -> u32 {
        let number = self.stretches.len() as u32;
        self.numbers.insert((before, stretch.text.clone()), number);
        self.stretches.push(stretch);
        number
    }

    /// Makes a stretch the most likely one to come after `previous`.
    fn follow(&mut self, previous: u32, number: u32) {
        let own = &mut self.stretches[previous as usize];
        let last = own.after.iter().position(|after| *after == number).unwrap_or(TRIED - 1);
        own.after[..=last].rotate_right(1);
        own.after[0] = number;
        own.likely = number;
    }

    /// Counts `value`, which came behind a watched stretch that came after `previous`, and which `next` followed; `form` is
    /// how it is written, `None` if it is `null`. Text ends with its quotation mark.
    ///
    /// Values that come often are found as Misra and Gries do ("Finding repeated elements", 1982).
    #[cold]
    #[inline(never)]
    pub(super) fn watch(&mut self, previous: u32, number: u32, value: &[u8], form: Option<Form>, next: u32) {
        let stretch = &mut self.stretches[number as usize];
        let is_plain = matches!(form, Some(Form::Text | Form::Integer | Form::Boolean(_)) | None);
        let is_same = |own: &&mut Counted| *own.value == *value && own.next == next;
        if let Some(own) = stretch.values.iter_mut().find(is_same) {
            own.count += 1;
        } else if stretch.values.len() == COUNTED || !is_plain || value.len() > MAX_VALUE {
            stretch.values.iter_mut().for_each(|own| own.count -= 1);
            stretch.values.retain(|own| own.count > 0);
        } else {
            stretch.values.push(Counted { value: value.into(), form, next, count: 1 });
        }
        stretch.seen += 1;
        if stretch.seen < WATCHED {
            return;
        }
        let mut often = stretch.begin_anew();
        often.retain(|own| own.count >= OFTEN);
        often.sort_by_key(|own| own.count);
        stretch.rounds += 1;
        if often.is_empty() || stretch.rounds == MAX_ROUNDS {
            stretch.then = Then::Go;
        }
        let lengthened: Vec<u32> =
            often.into_iter().filter_map(|value| self.lengthened(previous, number, value)).collect();
        for longer in lengthened {
            self.follow(previous, longer);
        }
    }

    /// Returns the number of a longer stretch than one that came after `previous`: with a value that often comes behind
    /// it, what follows, and all further values that hardly change.
    fn lengthened(&mut self, previous: u32, number: u32, value: Counted) -> Option<u32> {
        let (mut text, mut inner) = (self.stretch(number).text.to_vec(), self.stretch(number).inner.to_vec());
        let (mut last, mut value) = (number, Some(value));
        while let Some(own) = value.take() {
            let (stretch, next) = (self.stretch(last), self.stretch(own.next));
            let start = text.len() as i16;
            let end = start + own.value.len() as i16;
            if text.len() + own.value.len() + next.text.len() > MAX_LENGTH {
                break;
            }
            if let (node, Some(form)) = (stretch.wanted, own.form)
                && node != NOT_WANTED
            {
                let quote = i16::from(stretch.next == Next::Text);
                inner.push(Inner::Value { node, start, end: end - quote, form });
            }
            text.extend_from_slice(&own.value);
            text.extend_from_slice(&next.text);
            inner.extend(next.inner.iter().map(|own| own.moved(end)));
            last = own.next;
            if next.then == Then::Watch {
                value = self.stretches[last as usize].hardly_changes();
            }
        }
        if last == number || self.stretches.len() == MAX_STRETCHES {
            return None;
        }
        let before = self.stretch(previous).open;
        if let Some(longer) = self.numbers.get(&(before, text.as_slice().into())) {
            return Some(*longer);
        }
        let stretch = self.stretch(last);
        let longer = Stretch {
            likely: stretch.likely,
            after: stretch.after,
            // What comes behind it may be always the same, though it is not behind what it ends with.
            then: if stretch.then == Then::Go && stretch.next != Next::End {
                Then::Watch
            } else {
                stretch.then
            },
            is_passed: stretch.is_passed,
            wanted: stretch.wanted,
            ..Stretch::new(&text, stretch.next, None, &inner, stretch.open)
        };
        Some(self.add(before, longer))
    }
}

impl Inner {
    /// Returns the same, `by` bytes further on.
    fn moved(self, by: i16) -> Self {
        match self {
            Inner::Value { node, start, end, form } => {
                Inner::Value { node, start: start + by, end: end + by, form }
            }
            Inner::Opens(at) => Inner::Opens(at + by),
            Inner::Closes(at, node) => Inner::Closes(at + by, node),
            Inner::Mixed => Inner::Mixed,
        }
    }
}

impl Stretch {
    fn new(text: &[u8], next: Next, wanted: Option<u32>, inner: &[Inner], open: u32) -> Self {
        let length = text.len().min(16);
        let (mut head, mut mask) = ([0; 16], [0; 16]);
        head[..length].copy_from_slice(&text[..length]);
        mask[..length].fill(u8::MAX);
        Stretch {
            head: u8x16::new(head),
            mask: u8x16::new(mask),
            length: text.len() as u32,
            likely: NONE,
            wanted: wanted.unwrap_or(NOT_WANTED),
            is_passed: false,
            next,
            is_long: text.len() > 16,
            then: if next == Next::End { Then::Go } else { Then::Watch },
            text: text.into(),
            inner: inner.into(),
            open,
            after: [NONE; TRIED],
            values: Vec::new(),
            seen: 0,
            rounds: 0,
        }
    }

    /// Returns whether `bytes` begin with it, and what comes behind may come there.
    #[inline(always)]
    pub(super) fn begins(&self, bytes: &[u8]) -> bool {
        let Some(head) = bytes.first_chunk() else { return self.begins_short(bytes) };
        (u8x16::new(*head) & self.mask).simd_eq(self.head).to_bitmask() == 0xffff
            && (!self.is_long || bytes.starts_with(&self.text))
            && (self.next == Next::Text || self.is_followed(bytes))
    }

    /// Does what [`begins`](Self::begins) does, of what ends a line.
    #[cold]
    #[inline(never)]
    fn begins_short(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(&self.text) && (self.next == Next::Text || self.is_followed(bytes))
    }

    /// Returns whether what comes behind it, with which `bytes` begin, may come there. What comes may be text, an object or
    /// an array, and then more belongs to the stretch.
    #[inline(always)]
    fn is_followed(&self, bytes: &[u8]) -> bool {
        match bytes.get(self.length as usize) {
            Some(byte) => self.next == Next::Bare && begins_bare(*byte),
            None => self.next == Next::End,
        }
    }

    /// Returns the values that were counted, and forgets them.
    fn begin_anew(&mut self) -> Vec<Counted> {
        self.seen = 0;
        std::mem::take(&mut self.values)
    }

    /// Returns the value that comes behind it in all but a few lines, if there is one, and forgets it.
    fn hardly_changes(&mut self) -> Option<Counted> {
        let most = self.values.iter().max_by_key(|own| own.count)?;
        if most.count < OFTEN || most.count < self.seen - self.seen / 8 {
            return None;
        }
        let next = most.next;
        self.begin_anew().into_iter().find(|own| own.next == next)
    }
}

/// Returns whether a number, `true`, `false` or `null` may begin with it.
pub(super) fn begins_bare(byte: u8) -> bool {
    matches!(byte, b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}
