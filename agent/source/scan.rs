//! One pass over a line of JSON, which checks it and notes where each wanted value lies.
//!
//! It takes what nearly all lines are, and leaves the rest to serde_json: what is no JSON, escapes in keys, objects
//! and arrays in each other more than 32 deep. So it need not say what is wrong with a line, and may refuse one that
//! is right; what it accepts, serde_json accepts.
//!
//! Lines of one producer have their keys in the same order. For each object the keys that were seen are kept, with
//! the one that came next, which is compared before a key is looked up.

use rustc_hash::FxHashMap;

/// How deep objects and arrays may lie in each other.
const MAX_DEPTH: usize = 32;

/// How many keys of an object are kept, and how long one may be. They come from whoever made the line.
const MAX_SEEN: usize = 64;
const MAX_KEY: usize = 64;

/// Wanted paths, as a tree of their segments.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    /// The root is the first.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// The node of each longer path.
    children: FxHashMap<Box<str>, usize>,
    wanted: bool,
    /// Keys that objects here had.
    seen: Vec<SeenKey>,
    /// The one that came first last time.
    first: usize,
}

#[derive(Clone, Debug)]
struct SeenKey {
    /// The key as it stands in a line, with the quotation mark that ends it and the colon.
    text: Box<[u8]>,
    node: Option<usize>,
    /// The one that came next last time.
    next: usize,
}

/// Where a wanted value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The node of its path.
    pub(super) node: usize,
    pub(super) form: Form,
    /// Of text, what is between the quotation marks.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a value is written as. `null` is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text that stands for itself.
    Text,
    /// Text with escapes.
    Escaped,
    /// At most 18 digits; not `-0`.
    Integer,
    /// Any other number.
    Number,
    Boolean(bool),
}

impl Default for Paths {
    fn default() -> Self {
        Paths { nodes: vec![Node::default()] }
    }
}

impl Paths {
    /// Returns the number of the node of `path`, made if it is new; its values are wanted from now on.
    pub(super) fn want(&mut self, path: &str) -> usize {
        let mut at = 0;
        for segment in path.split('.') {
            at = match self.nodes[at].children.get(segment) {
                Some(child) => *child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(Node::default());
                    self.nodes[at].children.insert(segment.into(), child);
                    child
                }
            };
        }
        self.nodes[at].wanted = true;
        at
    }

    /// Returns the node that `key`, one segment or several, leads to from `node`.
    pub(super) fn descend(&self, node: usize, key: &str) -> Option<usize> {
        // Most keys are one segment, and most of those are not wanted.
        if let Some(child) = self.nodes[node].children.get(key) {
            return Some(*child);
        }
        let (segment, rest) = key.split_once('.')?;
        let child = *self.nodes[node].children.get(segment)?;
        rest.split('.').try_fold(child, |at, segment| self.nodes[at].children.get(segment).copied())
    }

    /// Appends where the wanted values of `line`, an object, lie, in their order; `None` where serde_json must decide.
    pub(super) fn scan(&mut self, line: &str, found: &mut Vec<Place>) -> Option<()> {
        let mut scan = Scan { paths: self, line, bytes: line.as_bytes(), at: 0, found };
        scan.skip_space();
        scan.take(b'{')?;
        scan.object(Some(0), 1)?;
        scan.skip_space();
        (scan.at == scan.bytes.len()).then_some(())
    }

    /// Finds or keeps a key that came in an object of `node`, at `start..end` of the line.
    fn look_up(&mut self, node: usize, key: &str) -> (Option<usize>, Option<usize>) {
        let seen = &self.nodes[node].seen;
        let is_key = |own: &SeenKey| own.text.strip_suffix(b"\":") == Some(key.as_bytes());
        if let Some(at) = seen.iter().position(is_key) {
            return (seen[at].node, Some(at));
        }
        let child = self.descend(node, key);
        let at = seen.len();
        if at == MAX_SEEN || key.len() > MAX_KEY {
            return (child, None);
        }
        let text = [key.as_bytes(), b"\":"].concat().into();
        self.nodes[node].seen.push(SeenKey { text, node: child, next: 0 });
        (child, Some(at))
    }
}

struct Scan<'s> {
    paths: &'s mut Paths,
    line: &'s str,
    bytes: &'s [u8],
    at: usize,
    found: &'s mut Vec<Place>,
}

impl Scan<'_> {
    /// Passes over an object, whose brace was taken.
    fn object(&mut self, node: Option<usize>, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        if self.take(b'}').is_some() {
            return Some(());
        }
        let mut previous = None;
        loop {
            let child = match node {
                Some(node) => self.key(node, &mut previous)?,
                None => {
                    self.take(b'"')?;
                    self.text()?;
                    self.skip_space();
                    self.take(b':')?;
                    None
                }
            };
            self.skip_space();
            self.value(child, depth)?;
            self.skip_space();
            match self.next()? {
                b',' => self.skip_space(),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Passes over a key and its colon, and returns the node that it leads to. `previous` is the key before it.
    fn key(&mut self, node: usize, previous: &mut Option<usize>) -> Option<Option<usize>> {
        self.take(b'"')?;
        let own = &self.paths.nodes[node];
        let expected = match *previous {
            None => own.first,
            Some(previous) => own.seen[previous].next,
        };
        if let Some(seen) = own.seen.get(expected)
            && self.bytes[self.at..].starts_with(&seen.text)
        {
            self.at += seen.text.len();
            *previous = Some(expected);
            return Some(seen.node);
        }
        let start = self.at;
        if self.text()? == Form::Escaped {
            return None;
        }
        let key = &self.line[start..self.at - 1];
        self.skip_space();
        self.take(b':')?;
        let (child, seen) = self.paths.look_up(node, key);
        let own = &mut self.paths.nodes[node];
        if let Some(seen) = seen {
            match *previous {
                None => own.first = seen,
                Some(previous) => own.seen[previous].next = seen,
            }
        }
        *previous = seen;
        Some(child)
    }

    fn value(&mut self, node: Option<usize>, depth: usize) -> Option<()> {
        let start = self.at;
        let (form, start, end) = match self.next()? {
            b'"' => {
                let form = self.text()?;
                (form, start + 1, self.at - 1)
            }
            b'{' => return self.object(node, depth + 1),
            b'[' => return self.array(node, depth + 1),
            b't' => (self.word(b"rue", Form::Boolean(true))?, start, self.at),
            b'f' => (self.word(b"alse", Form::Boolean(false))?, start, self.at),
            b'n' => {
                self.word(b"ull", Form::Text)?;
                return Some(());
            }
            first @ (b'-' | b'0'..=b'9') => (self.number(first)?, start, self.at),
            _ => return None,
        };
        if let Some(node) = node.filter(|node| self.paths.nodes[*node].wanted) {
            self.found.push(Place { node, form, start, end });
        }
        Some(())
    }

    fn array(&mut self, node: Option<usize>, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            self.value(node, depth)?;
            self.skip_space();
            match self.next()? {
                b',' => self.skip_space(),
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Passes over text, whose first quotation mark was taken, and the one that ends it.
    fn text(&mut self) -> Option<Form> {
        let mut form = Form::Text;
        loop {
            self.at += special(&self.bytes[self.at..]);
            match self.next()? {
                b'"' => return Some(form),
                b'\\' => {
                    form = Form::Escaped;
                    self.escape()?;
                }
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
        if first == b'0' && self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        if self.take(b'.').is_some() {
            form = Form::Number;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            form = Form::Number;
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        Some(form)
    }

    fn digits(&mut self) -> usize {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn word(&mut self, rest: &[u8], form: Form) -> Option<Form> {
        let found = self.bytes[self.at..].starts_with(rest);
        self.at += rest.len();
        found.then_some(form)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (*self.bytes.get(self.at)? == byte).then(|| self.at += 1)
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }
}

/// Returns how many bytes come before the first that does not stand for itself in text: a quotation mark, a
/// backslash, a control character.
fn special(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of each byte that is below `limit`; above the first such byte, of others too.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | backslash | below(word, 0x20);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at + bytes[at..].iter().position(is_special).unwrap_or(bytes.len() - at)
}
