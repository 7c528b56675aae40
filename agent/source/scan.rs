//! One pass over a line of JSON, which checks it and notes by which steps: where each wanted value lies follows from these.
//!
//! It takes what nearly all lines are, and leaves the rest to serde_json: what is no JSON, escapes in keys, objects
//! and arrays in each other more than 32 deep. So it need not say what is wrong with a line, and may refuse one that
//! is right; what it accepts, serde_json accepts.
//!
//! Lines of one producer differ in their values, hardly in what stands between them, which is compared as a whole with
//! what came before ([`skeleton`]). Values are passed over sixteen bytes at once ([`text`]). What is wanted of a line is
//! found out once for all lines of the same steps ([`steps`]).

mod skeleton;
mod steps;
mod text;

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::observation::Form;
use skeleton::{After, BEGINNING, Inner, NOT_WANTED, Next, Open, Skeletons, Then, begins_bare};
pub(super) use steps::Step;
use text::Text;

/// How deep objects and arrays may lie in each other.
const MAX_DEPTH: usize = 32;

/// Wanted paths, as a tree of their segments.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    /// The root is the first.
    nodes: Vec<Node>,
    skeletons: Skeletons,
}

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
        Paths { nodes: vec![Node::default()], skeletons: Skeletons::default() }
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
        let key = self.add();
        self.nodes[node as usize].first_key = Some(key);
        key
    }

    /// Returns the number of a node whose value is nothing but a place, where there is an object at `path`.
    pub(super) fn want_object(&mut self, path: &str) -> u32 {
        let node = self.make(path);
        let object = self.add();
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
                    let child = self.add();
                    self.nodes[at as usize].children.insert(segment.into(), child);
                    child
                }
            };
        }
        at
    }

    fn add(&mut self) -> u32 {
        self.nodes.push(Node::default());
        self.nodes.len() as u32 - 1
    }

    /// Returns the node that `key`, one segment or several, leads to from `node`.
    pub(super) fn descend(&self, node: u32, key: &str) -> Option<u32> {
        descend(&self.nodes, node, key)
    }

    /// Makes `steps` those by which `line`, an object of less than 4 GiB, is passed over; `None` where serde_json must
    /// decide. What is returned is whether some of its values have to be looked at
    /// ([`Place::is_readable`](crate::observation::Place::is_readable)).
    pub(super) fn scan(&mut self, line: &str, steps: &mut Vec<Step>) -> Option<bool> {
        steps.clear();
        let mut scan = Scan {
            text: Text::new(line.as_bytes()),
            line,
            nodes: &self.nodes,
            skeletons: &mut self.skeletons,
            steps,
        };
        scan.line().map(|()| scan.text.is_doubtful)
    }

    /// Returns how often everything was forgotten; steps noted before mean nothing then.
    pub(super) fn forgotten(&self) -> u64 {
        self.skeletons.forgotten
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
    steps: &'s mut Vec<Step>,
}

/// A stretch that is to be passed over for the first time.
struct Unknown {
    open: Vec<Open>,
    inner: Vec<Inner>,
    next: Next,
    /// The node of the value that follows.
    node: Option<u32>,
}

impl Scan<'_> {
    /// Goes from stretch to stretch. What is rare is left to functions that are not made part of it: of what each line
    /// passes a dozen times, a few steps more or less are felt.
    fn line(&mut self) -> Option<()> {
        let bytes = self.text.bytes;
        let (mut previous, mut likely) = (BEGINNING, self.skeletons.likely(BEGINNING));
        let mut at = 0;
        loop {
            let rest = bytes.get(at..)?;
            let (number, stretch) = match self.skeletons.get(likely) {
                Some(stretch) if stretch.begins(rest) => (likely, stretch),
                _ => {
                    let number = self.less_likely(previous, at)?;
                    (number, self.skeletons.stretch(number))
                }
            };
            self.steps.push(Step::new(number, at));
            let start = at + stretch.length as usize;
            let usual = match stretch.next {
                Next::Text => text::plain(bytes, start).map(|end| end + 1),
                Next::Bare => text::whole_number(bytes, start),
                Next::End => return Some(()),
            };
            let then = stretch.then;
            let before = previous;
            (previous, likely) = (number, stretch.likely);
            at = match usual {
                Some(behind) => behind,
                None => self.value(number, start)?,
            };
            match then {
                Then::Go => {}
                Then::Texts => at = self.further_texts(at),
                Then::Watch => {
                    self.watch(before, number, start..at)?;
                    likely = self.skeletons.likely(number);
                }
            }
        }
    }

    /// Returns the stretch at `at`, which is not the most likely one to come after `previous`. One that did not come there
    /// before is read now, and kept.
    #[cold]
    #[inline(never)]
    fn less_likely(&mut self, previous: u32, at: usize) -> Option<u32> {
        let rest = self.text.bytes.get(at..)?;
        if let Some(number) = self.skeletons.find_less_likely(previous, rest) {
            return Some(number);
        }
        self.text.at = at;
        self.learn(previous)?;
        // It is the most likely one now. Where it is not, nothing is lost but speed.
        let number = self.skeletons.likely(previous);
        self.skeletons.get(number)?.begins(rest).then_some(number)
    }

    /// Passes over the value at `start` behind a stretch, be it as it may. Returns where what comes behind it begins.
    #[inline(never)]
    fn value(&mut self, stretch: u32, start: usize) -> Option<usize> {
        let stretch = self.skeletons.stretch(stretch);
        let (form, behind) = self.text.value(start, stretch.next == Next::Text)?;
        // Nobody will look at it, but serde_json would.
        if stretch.is_passed && matches!(form, Some(Form::Escaped | Form::Number)) {
            return None;
        }
        if stretch.wanted != NOT_WANTED
            && let Some(step) = self.steps.last_mut()
        {
            step.set_form(form);
        }
        Some(behind)
    }

    /// Has the value at `value` compared with others that came behind the same stretch, which came after `previous`.
    #[cold]
    #[inline(never)]
    fn watch(&mut self, previous: u32, stretch: u32, value: Range<usize>) -> Option<()> {
        let is_text = self.skeletons.stretch(stretch).next == Next::Text;
        let (form, ..) = self.text.value(value.start, is_text)?;
        let (likely, rest) = (self.skeletons.likely(stretch), self.text.bytes.get(value.end..)?);
        let next = match self.skeletons.get(likely) {
            Some(next) if next.begins(rest) => likely,
            _ => self.less_likely(stretch, value.end)?,
        };
        self.skeletons.watch(previous, stretch, &self.text.bytes[value], form, next);
        Some(())
    }

    /// Passes over what follows a text of an array, from `at` on, as long as it is nothing but a comma and a text without
    /// escapes. Returns where something else follows.
    #[inline(never)]
    fn further_texts(&mut self, mut at: usize) -> usize {
        let bytes = self.text.bytes;
        while let Some((_, behind)) = text::further(bytes, at) {
            at = behind;
        }
        at
    }

    /// Reads a stretch that did not come after `previous` before, and keeps it, so that it will be found.
    #[cold]
    fn learn(&mut self, previous: u32) -> Option<()> {
        let start = self.text.at;
        let open = self.skeletons.open(previous).to_vec();
        let mut unknown = Unknown { open, inner: Vec::new(), next: Next::End, node: None };
        self.stretch(&mut unknown)?;
        let Unknown { open, inner, next, node } = unknown;
        let text = &self.text.bytes[start..self.text.at];
        let wanted = self.wanted(node);
        let value = After { wanted, is_passed: wanted.is_none() && node.is_some() };
        self.text.at = start;
        self.skeletons.keep(previous, text, next, value, &inner, &open).then_some(())
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
        if !array && unknown.open.iter().any(|open| open.array && self.wanted(open.node).is_some()) {
            unknown.inner.push(Inner::Mixed);
        }
        if let Some(object) = node.and_then(|node| self.nodes[node as usize].object).filter(|_| !array) {
            let at = within(start, self.text.at)?;
            unknown.inner.push(Inner::Value { node: object, start: at, end: at, form: Form::Text });
        }
        if array && self.wanted(node).is_some() {
            unknown.inner.push(Inner::Opens(within(start, self.text.at)?));
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
                    let (start, end) = (within(start, key.start)?, within(start, key.end)?);
                    unknown.inner.push(Inner::Value { node, start, end, form: Form::Text });
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
                        unknown.inner.push(Inner::Closes(within(start, self.text.at)?, node));
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

/// Returns how far a place is behind the beginning of a stretch, unless that is too long to be kept.
fn within(start: usize, at: usize) -> Option<i16> {
    i16::try_from(at - start).ok()
}
