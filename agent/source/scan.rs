//! One pass over a line of JSON, which checks it and notes where each wanted value lies.
//!
//! It takes what nearly all lines are, and leaves the rest to serde_json: what is no JSON, escapes in keys, objects
//! and arrays in each other more than 32 deep. So it need not say what is wrong with a line, and may refuse one that
//! is right; what it accepts, serde_json accepts.
//!
//! Lines of one producer differ in their values, hardly in what stands between them, which is compared as a whole with
//! what came before ([`skeleton`]). Where text ends is read from a bitmap of the line ([`marks`]).

mod marks;
mod skeleton;

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::observation::{Form, Place};
use marks::Marks;
use skeleton::{BEGINNING, Bracket, Next, Open, Skeletons, begins_bare};

/// How deep objects and arrays may lie in each other.
const MAX_DEPTH: usize = 32;

/// Wanted paths, as a tree of their segments.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    /// The root is the first.
    nodes: Vec<Node>,
    marks: Marks,
    skeletons: Skeletons,
    lists: Lists,
}

/// Where arrays begin that are open and whose values are wanted, and how many places there were before.
type Lists = Vec<(u32, usize)>;

#[derive(Clone, Debug, Default)]
struct Node {
    /// The node of each longer path.
    children: FxHashMap<Box<str>, u32>,
    wanted: bool,
    /// The node of the first key of an object here, if that is wanted as if it were text.
    first_key: Option<u32>,
    /// The node of an object here, if it is wanted that there is one.
    object: Option<u32>,
}

impl Default for Paths {
    fn default() -> Self {
        Paths {
            nodes: vec![Node::default()],
            marks: Marks::default(),
            skeletons: Skeletons::default(),
            lists: Vec::new(),
        }
    }
}

impl Paths {
    /// Returns the number of the node of `path`, made if it is new; its values are wanted from now on.
    pub(super) fn want(&mut self, path: &str) -> u32 {
        let node = self.make(path);
        self.nodes[node as usize].wanted = true;
        node
    }

    /// Returns the number of a node whose value is the first key of the object at `path`.
    pub(super) fn want_first_key(&mut self, path: &str) -> u32 {
        let node = self.make(path);
        let key = self.nodes.len() as u32;
        self.nodes.push(Node::default());
        self.nodes[node as usize].first_key = Some(key);
        key
    }

    /// Returns the number of a node whose value is nothing but a place, where there is an object at `path`.
    pub(super) fn want_object(&mut self, path: &str) -> u32 {
        let node = self.make(path);
        let object = self.nodes.len() as u32;
        self.nodes.push(Node::default());
        self.nodes[node as usize].object = Some(object);
        object
    }

    fn make(&mut self, path: &str) -> u32 {
        // What is known of stretches says what is wanted.
        self.skeletons = Skeletons::default();
        let mut at = 0;
        for segment in path.split('.') {
            at = match self.nodes[at as usize].children.get(segment) {
                Some(child) => *child,
                None => {
                    let child = self.nodes.len() as u32;
                    self.nodes.push(Node::default());
                    self.nodes[at as usize].children.insert(segment.into(), child);
                    child
                }
            };
        }
        at
    }

    /// Returns the node that `key`, one segment or several, leads to from `node`.
    pub(super) fn descend(&self, node: u32, key: &str) -> Option<u32> {
        descend(&self.nodes, node, key)
    }

    /// Appends where the wanted values of `line`, an object of less than 4 GiB, lie, in their order; `None` where
    /// serde_json must decide. What is returned is whether some of them have to be looked at
    /// ([`Place::is_readable`]).
    pub(super) fn scan(&mut self, line: &str, found: &mut Vec<Place>) -> Option<bool> {
        self.marks.set(line.as_bytes());
        self.lists.clear();
        let mut scan = Scan {
            text: Text { marks: &self.marks, bytes: line.as_bytes(), at: 0 },
            line,
            nodes: &self.nodes,
            skeletons: &mut self.skeletons,
            found,
            lists: &mut self.lists,
            doubtful: false,
        };
        scan.line().map(|()| scan.doubtful)
    }
}

/// Returns the node that `key`, one segment or several, leads to from `node`.
fn descend(nodes: &[Node], node: u32, key: &str) -> Option<u32> {
    let child = |node: u32, segment: &str| nodes[node as usize].children.get(segment).copied();
    // Most keys are one segment, and most of those are not wanted.
    if let Some(child) = child(node, key) {
        return Some(child);
    }
    let (segment, rest) = key.split_once('.')?;
    rest.split('.').try_fold(child(node, segment)?, child)
}

struct Scan<'s> {
    text: Text<'s>,
    line: &'s str,
    nodes: &'s [Node],
    skeletons: &'s mut Skeletons,
    found: &'s mut Vec<Place>,
    lists: &'s mut Lists,
    doubtful: bool,
}

/// A stretch that is to be passed over for the first time.
struct Unknown {
    open: Vec<Open>,
    brackets: Vec<Bracket>,
    next: Next,
    /// The node of the value that follows.
    node: Option<u32>,
}

impl Scan<'_> {
    fn line(&mut self) -> Option<()> {
        let mut previous = BEGINNING;
        let mut likely = self.skeletons.likely(previous);
        let mut learned = None;
        loop {
            let start = self.text.at;
            let rest = self.text.bytes.get(start..)?;
            let Some((number, stretch)) = self.skeletons.find(previous, likely, rest) else {
                // What was learned is found now; where it is not, nothing is lost but speed.
                if learned.replace(start) == Some(start) {
                    return None;
                }
                self.learn(previous)?;
                likely = self.skeletons.likely(previous);
                continue;
            };
            (previous, likely) = (number, stretch.likely());
            let at = start + stretch.length as usize;
            let (next, wanted) = (stretch.next, stretch.wanted);
            if stretch.has_brackets {
                let brackets = self.skeletons.brackets(number);
                self.doubtful |= note_brackets(brackets, start, self.lists, self.found);
            }
            self.text.at = at;
            let (form, quote) = match next {
                Next::Text => (self.text.text()?, 1),
                Next::Bare => match self.text.bare()? {
                    Some(form) => (form, 0),
                    None => continue,
                },
                Next::End => return Some(()),
            };
            if let Some(node) = wanted {
                self.doubtful |= matches!(form, Form::Escaped | Form::Number);
                let (start, end) = (at as u32, self.text.at as u32 - quote);
                self.found.push(Place { node, start, end, form });
            }
        }
    }

    /// Reads a stretch that did not come after `previous` before, and keeps it, so that it will be found.
    #[cold]
    fn learn(&mut self, previous: u32) -> Option<()> {
        let start = self.text.at;
        let open = self.skeletons.open(previous).to_vec();
        let mut unknown = Unknown { open, brackets: Vec::new(), next: Next::End, node: None };
        self.stretch(&mut unknown)?;
        let Unknown { open, brackets, next, node } = unknown;
        let text = &self.text.bytes[start..self.text.at];
        let wanted = self.wanted(node);
        self.text.at = start;
        self.skeletons.keep(previous, text, next, wanted, &brackets, &open).then_some(())
    }

    /// Passes over what stands before the next value, or to the end of the line.
    fn stretch(&mut self, unknown: &mut Unknown) -> Option<()> {
        let start = self.text.at;
        let at_first = unknown.open.is_empty();
        self.text.skip_space();
        let mut node = match at_first {
            true => self.opened(b'{', Some(0), unknown, start)?,
            false => self.further(unknown, start)?,
        };
        loop {
            self.text.skip_space();
            node = match (node, self.text.peek()) {
                (Before::End, None) => {
                    unknown.next = Next::End;
                    return Some(());
                }
                (Before::End, Some(_)) | (Before::Value(_), None) => return None,
                (Before::Value(node), Some(bracket @ (b'{' | b'['))) => {
                    self.opened(bracket, node, unknown, start)?
                }
                (Before::Value(node), Some(b'"')) => {
                    self.text.at += 1;
                    (unknown.next, unknown.node) = (Next::Text, node);
                    return Some(());
                }
                (Before::Value(node), Some(byte)) => {
                    (unknown.next, unknown.node) = (Next::Bare, node);
                    return begins_bare(byte).then_some(());
                }
            };
        }
    }

    /// Passes over the bracket of an object or array at `node`, and what follows up to the next value.
    fn opened(
        &mut self,
        bracket: u8,
        node: Option<u32>,
        unknown: &mut Unknown,
        start: usize,
    ) -> Option<Before> {
        let array = bracket == b'[';
        if let Some(object) = node.and_then(|node| self.nodes[node as usize].object).filter(|_| !array) {
            let at = (self.text.at - start) as u32;
            unknown.brackets.push(Bracket::Key(at, at, object));
        }
        if array && self.wanted(node).is_some() {
            unknown.brackets.push(Bracket::Opens((self.text.at - start) as u32));
        }
        self.text.take(bracket)?;
        if unknown.open.len() == MAX_DEPTH {
            return None;
        }
        unknown.open.push(Open { array, node });
        self.text.skip_space();
        match (array, self.text.peek()?) {
            (true, b']') | (false, b'}') => self.further(unknown, start),
            (true, _) => Some(Before::Value(node)),
            (false, _) => {
                let (key, before) = self.key(node)?;
                if let Some(node) = node.and_then(|node| self.nodes[node as usize].first_key) {
                    let [from, to] = [key.start, key.end].map(|at| (at - start) as u32);
                    unknown.brackets.push(Bracket::Key(from, to, node));
                }
                Some(before)
            }
        }
    }

    /// Passes over what follows a value up to the next one.
    fn further(&mut self, unknown: &mut Unknown, start: usize) -> Option<Before> {
        loop {
            let Some(Open { array, node }) = unknown.open.last().copied() else { return Some(Before::End) };
            self.text.skip_space();
            match (array, self.text.next()?) {
                (true, b',') => return Some(Before::Value(node)),
                (false, b',') => {
                    self.text.skip_space();
                    return self.key(node).map(|(_, before)| before);
                }
                (true, b']') => {
                    if let Some(node) = self.wanted(node) {
                        unknown.brackets.push(Bracket::Closes((self.text.at - start) as u32, node));
                    }
                }
                (false, b'}') => {}
                _ => return None,
            }
            unknown.open.pop();
        }
    }

    fn wanted(&self, node: Option<u32>) -> Option<u32> {
        node.filter(|node| self.nodes[*node as usize].wanted)
    }

    /// Passes over a key and its colon, and returns where the key is.
    fn key(&mut self, node: Option<u32>) -> Option<(Range<usize>, Before)> {
        self.text.take(b'"')?;
        let start = self.text.at;
        if self.text.text()? == Form::Escaped {
            return None;
        }
        let key = start..self.text.at - 1;
        self.text.skip_space();
        self.text.take(b':')?;
        let child = node.and_then(|node| descend(self.nodes, node, &self.line[key.clone()]));
        Some((key, Before::Value(child)))
    }
}

/// Where a stretch has got to.
#[derive(Clone, Copy)]
enum Before {
    /// Before a value of a node.
    Value(Option<u32>),
    End,
}

/// Puts the places in each array that ends together, unless there are objects in it, and notes wanted keys. Returns
/// whether one of the places has to be looked at.
fn note_brackets(brackets: &[Bracket], start: usize, lists: &mut Lists, found: &mut Vec<Place>) -> bool {
    let mut doubtful = false;
    for bracket in brackets {
        match *bracket {
            Bracket::Key(from, to, node) => {
                let (from, to) = (start as u32 + from, start as u32 + to);
                found.push(Place { node, start: from, end: to, form: Form::Text });
            }
            Bracket::Opens(at) => lists.push((start as u32 + at, found.len())),
            Bracket::Closes(at, node) => {
                let Some((begin, before)) = lists.pop() else { continue };
                let own = &found[before..];
                if own.len() < 2 || own.iter().any(|place| place.node != node) {
                    continue;
                }
                let is_plain =
                    |place: &Place| !matches!(place.form, Form::Escaped | Form::Number | Form::DoubtfulList);
                let form = if own.iter().all(is_plain) { Form::List } else { Form::DoubtfulList };
                doubtful |= form == Form::DoubtfulList;
                found.truncate(before);
                found.push(Place { node, start: begin, end: start as u32 + at, form });
            }
        }
    }
    doubtful
}

/// A line, and how far it was read.
struct Text<'s> {
    marks: &'s Marks,
    bytes: &'s [u8],
    at: usize,
}

impl Text<'_> {
    /// Passes over text, whose first quotation mark was taken, and the one that ends it.
    #[inline(always)]
    fn text(&mut self) -> Option<Form> {
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
    fn bare(&mut self) -> Option<Option<Form>> {
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

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
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
