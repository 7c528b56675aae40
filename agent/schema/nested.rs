//! A nested document while it is put together and until it is written as one line of JSON.
//!
//! What a recorded line says stays where it stands there: most of a document is copied once, from its line into the
//! alert's. Of entries with the same key, dotted ones and whatever else must be looked at closely, `source::to_json` makes
//! the document.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

/// An object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object<'l> {
    /// By key, each once, in the order of their bytes.
    entries: Vec<(Cow<'l, str>, Node<'l>)>,
}

/// A value of an [`Object`].
#[derive(Clone, Debug)]
pub(crate) enum Node<'l> {
    /// Anything but an object, as it is written without blanks; what is nothing is `null`.
    Written(Cow<'l, str>),
    /// An array that is put together, or that has nothing in it.
    Array(Vec<Node<'l>>),
    /// An object.
    Object(Object<'l>),
}

/// How deep objects may lie in each other in a line that is [read](Object::read).
const MAX_DEPTH: usize = 32;

impl<'l> Object<'l> {
    /// Reads a line that is an object; `None` if it is none, or not one that can be taken as it stands.
    pub(crate) fn read(line: &'l str) -> Option<Self> {
        let mut reader = Reader { line, at: 0 };
        reader.skip_blanks();
        let object = reader.object(0)?;
        reader.skip_blanks();
        (reader.at == line.len()).then_some(object)
    }

    /// Puts what `value` makes at a path unless something is there: null and the array of nothing else are nothing, as they
    /// are to a rule.
    pub(crate) fn fill(&mut self, path: &'static str, value: impl FnOnce() -> Node<'l>) {
        // As bytes, for most parts of paths are shorter than what a search in text is made for.
        match path.bytes().position(|byte| byte == b'.').map(|at| (&path[..at], &path[at + 1..])) {
            Some((first, rest)) => {
                let inner = self.entry(first);
                if inner.is_nothing() {
                    *inner = Node::Object(Object::default());
                }
                if let Node::Object(inner) = inner {
                    inner.fill(rest, value);
                }
            }
            None => {
                let slot = self.entry(path);
                if slot.is_nothing() {
                    *slot = value();
                }
            }
        }
    }

    /// Puts a value under a key, whatever was there.
    pub(crate) fn put(&mut self, key: &'static str, value: Node<'l>) {
        *self.entry(key) = value;
    }

    /// Takes out what is under a key.
    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|(own, _)| own != key);
    }

    /// Returns the object under a key; whatever else is there, a recorded document may hold anything, is replaced.
    pub(crate) fn object(&mut self, key: &'static str) -> &mut Object<'l> {
        let entry = self.entry(key);
        if !matches!(entry, Node::Object(_)) {
            *entry = Node::Object(Object::default());
        }
        match entry {
            Node::Object(object) => object,
            _ => unreachable!("made an object just now"),
        }
    }

    /// Puts a value under a key if there is nothing, not even null.
    pub(crate) fn put_if_absent(&mut self, key: &'static str, value: impl FnOnce() -> Node<'l>) {
        if let Err(at) = self.place(key) {
            self.entries.insert(at, (Cow::Borrowed(key), value()));
        }
    }

    /// Returns the document as serde_json has it.
    pub(crate) fn into_json(self) -> Map<String, Json> {
        self.entries.into_iter().map(|(key, value)| (key.into_owned(), value.into_json())).collect()
    }

    /// Appends it as JSON without blanks.
    pub(crate) fn write(&self, out: &mut String) {
        out.push('{');
        for (number, (key, value)) in self.entries.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            write_text(key, out);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(own, _)| (**own).cmp(key))
    }

    fn entry(&mut self, key: &'static str) -> &mut Node<'l> {
        let at = self.place(key).unwrap_or_else(|at| {
            self.entries.insert(at, (Cow::Borrowed(key), Node::NULL));
            at
        });
        &mut self.entries[at].1
    }
}

impl From<Map<String, Json>> for Object<'_> {
    fn from(map: Map<String, Json>) -> Self {
        let mut entries: Vec<_> =
            map.into_iter().map(|(key, value)| (Cow::Owned(key), value.into())).collect();
        // A map has them in order already, unless somebody asks serde_json for another one.
        entries.sort_by(|(one, _): &(Cow<'_, str>, Node<'_>), (other, _)| one.cmp(other));
        Object { entries }
    }
}

impl From<Json> for Node<'_> {
    fn from(json: Json) -> Self {
        match json {
            Json::Object(map) => Node::Object(map.into()),
            Json::Array(items) => items.into_iter().map(Node::from).collect(),
            Json::String(text) => Node::text(&text),
            other => Node::Written(other.to_string().into()),
        }
    }
}

impl<'l> FromIterator<Node<'l>> for Node<'l> {
    fn from_iter<I: IntoIterator<Item = Node<'l>>>(items: I) -> Self {
        Node::Array(items.into_iter().collect())
    }
}

impl Node<'_> {
    pub(crate) const NULL: Self = Node::Written(Cow::Borrowed("null"));

    /// Makes one of text.
    pub(crate) fn text(text: &str) -> Self {
        let mut written = String::with_capacity(text.len() + 2);
        write_text(text, &mut written);
        Node::Written(written.into())
    }

    fn is_nothing(&self) -> bool {
        let is_null = |node: &Node<'_>| matches!(node, Node::Written(text) if text == "null");
        match self {
            Node::Array(items) => items.iter().all(is_null),
            node => is_null(node),
        }
    }

    fn into_json(self) -> Json {
        match self {
            Node::Written(text) => serde_json::from_str(&text).expect("what was read or written as JSON"),
            Node::Array(items) => items.into_iter().map(Node::into_json).collect(),
            Node::Object(object) => Json::Object(object.into_json()),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Node::Written(text) => out.push_str(text),
            Node::Array(items) => {
                out.push('[');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Node::Object(object) => object.write(out),
        }
    }
}

/// Whether a byte of text must be escaped in JSON.
fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Returns where the first [special](is_special) byte stands.
fn first_special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Sets the highest bit of the first byte that is below another, and of none before it.
    let below = |word: u64, byte: u8| word.wrapping_sub(ONES * u64::from(byte)) & !word & (ONES << 7);
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let of = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let special = below(word, b' ') | of(b'"') | of(b'\\');
        if special != 0 {
            return Some(8 * at + special.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| is_special(*byte)).map(|at| 8 * words.len() + at)
}

/// Appends text as JSON.
fn write_text(text: &str, out: &mut String) {
    if text.bytes().fold(false, |any, byte| any | is_special(byte)) {
        out.push_str(&Json::from(text).to_string());
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}

/// Reads a line from `at` on. What it does not take it may have read in part.
struct Reader<'l> {
    line: &'l str,
    at: usize,
}

impl<'l> Reader<'l> {
    fn object(&mut self, depth: usize) -> Option<Object<'l>> {
        if depth == MAX_DEPTH || !self.take(b'{') {
            return None;
        }
        let mut entries: Vec<(Cow<'l, str>, Node<'l>)> = Vec::with_capacity(8);
        self.skip_blanks();
        if self.take(b'}') {
            return Some(Object { entries });
        }
        loop {
            self.skip_blanks();
            let (key, is_plain) = self.text()?;
            let key = &key[1..key.len() - 1];
            if !is_plain || key.contains('.') {
                return None;
            }
            self.skip_blanks();
            if !self.take(b':') {
                return None;
            }
            self.skip_blanks();
            let value = match self.peek()? {
                b'{' => Node::Object(self.object(depth + 1)?),
                b'[' => self.array()?,
                _ => Node::Written(self.single()?),
            };
            entries.push((Cow::Borrowed(key), value));
            self.skip_blanks();
            if !self.take(b',') {
                break;
            }
        }
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let twice = entries.windows(2).any(|two| two[0].0 == two[1].0);
        (self.take(b'}') && !twice).then_some(Object { entries })
    }

    /// Reads an array of texts, numbers, truths and nulls.
    fn array(&mut self) -> Option<Node<'l>> {
        let mut items = Vec::new();
        self.take(b'[');
        self.skip_blanks();
        if self.take(b']') {
            return Some(Node::Array(items));
        }
        loop {
            self.skip_blanks();
            items.push(Node::Written(self.single()?));
            self.skip_blanks();
            if !self.take(b',') {
                break;
            }
        }
        self.take(b']').then_some(Node::Array(items))
    }

    /// Reads a text, number, truth or null.
    fn single(&mut self) -> Option<Cow<'l, str>> {
        match self.peek()? {
            b'"' => match self.text()? {
                (text, true) => Some(Cow::Borrowed(text)),
                (text, false) => {
                    let text: String = serde_json::from_str(text).ok()?;
                    Some(Json::from(text).to_string().into())
                }
            },
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &'static str) -> Option<Cow<'l, str>> {
        let is_there = self.line.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is_there.then_some(Cow::Borrowed(word))
    }

    fn number(&mut self) -> Option<Cow<'l, str>> {
        let rest = &self.line.as_bytes()[self.at..];
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        let length = rest.iter().take_while(is_part).count();
        let text = self.line.get(self.at..self.at + length)?;
        self.at += length;
        let digits = text.as_bytes();
        let is_whole = matches!(digits, [b'0'] | [b'1'..=b'9', ..])
            && length <= 18
            && digits.iter().all(u8::is_ascii_digit);
        if is_whole {
            return Some(Cow::Borrowed(text));
        }
        let number: serde_json::Number = serde_json::from_str(text).ok()?;
        Some(number.to_string().into())
    }

    /// Reads a text; returns it with its quotation marks, and whether it stands for itself.
    fn text(&mut self) -> Option<(&'l str, bool)> {
        let start = self.at;
        if !self.take(b'"') {
            return None;
        }
        let bytes = self.line.as_bytes();
        let mut is_plain = true;
        loop {
            let rest = bytes.get(self.at..)?;
            self.at += first_special(rest)? + 1;
            match bytes[self.at - 1] {
                b'"' => return Some((self.line.get(start..self.at)?, is_plain)),
                b'\\' => {
                    is_plain = false;
                    self.at += 1;
                }
                _ => return None,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::parse_nested;

    fn written(object: &Object<'_>) -> String {
        let mut line = String::new();
        object.write(&mut line);
        line
    }

    /// Checks that a line is taken as it is read otherwise; returns whether it is taken.
    fn check(line: &str) -> bool {
        let expected = parse_nested(line).ok().map(Json::Object);
        let Some(object) = Object::read(line) else { return false };
        let expected = expected.unwrap_or_else(|| panic!("{line} is no document"));
        assert_eq!(written(&object), expected.to_string(), "{line}");
        assert_eq!(Json::Object(object.into_json()), expected, "{line}");
        true
    }

    #[test]
    fn a_line_is_taken_as_it_is_read_otherwise() {
        for line in [
            r#"{}"#,
            r#" { "b" : [ 1 , "x" , null , true ] , "a" : { "c" : -0.0 , "B" : false } } "#,
            r#"{"n":[0,-1,1.50,1e3,18446744073709551615,123456789012345678901234],"e":[],"":{}}"#,
            r#"{"a":"\u00e9\n\"\\","é":"é\/","f":"\ud83d\ude00"}"#,
        ] {
            assert!(check(line), "{line}");
        }
        for line in [
            r#""#,
            r#"[]"#,
            r#"{"a":1"#,
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":-}"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":nul}"#,
            r#"{"a.b":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"\u0061":1}"#,
            r#"{"a":[{"b":1}]}"#,
            "{\"a\":\"\n\"}",
        ] {
            assert!(!check(line), "{line}");
        }
        assert!(!check(&format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100))));
    }

    #[test]
    fn what_is_nothing_is_filled_and_nothing_else() {
        for (line, expected) in [
            (r#"{}"#, r#"{"a":{"b":1},"c":1}"#),
            (r#"{"a":null,"c":[null,null]}"#, r#"{"a":{"b":1},"c":1}"#),
            (r#"{"a":{"b":[],"x":2},"c":false}"#, r#"{"a":{"b":1,"x":2},"c":false}"#),
            (r#"{"a":"text","c":[0]}"#, r#"{"a":"text","c":[0]}"#),
            (r#"{"a":[],"c":{}}"#, r#"{"a":{"b":1},"c":{}}"#),
        ] {
            let mut object = Object::read(line).expect("an object");
            object.fill("a.b", || Node::Written("1".into()));
            object.fill("c", || Node::Written("1".into()));
            assert_eq!(written(&object), expected, "{line}");
        }
    }

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for before in 0..20 {
                let mut bytes = vec![b'a'; before];
                bytes.extend([byte, b'"', b'!', 0xff, 0x1f, b'\\', 0x80, b' ']);
                for end in before..=bytes.len() {
                    let first = bytes[..end].iter().position(|byte| is_special(*byte));
                    assert_eq!(first_special(&bytes[..end]), first, "{byte} {before} {end}");
                }
            }
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            any::<f64>().prop_map(|value| format!("{value:?}")),
            "[-+0-9.eE]{1,6}",
            r#""[a-c\u{e9} .]{0,6}""#,
            any::<String>().prop_map(|text| Json::from(text).to_string()),
            r#""[a\\"u0]{0,4}""#,
        ];
        let text = r#"[abc.]{0,2}"#;
        leaf.prop_recursive(4, 40, 6, move |inner| {
            let blank = "[ \t]{0,1}";
            let list =
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(",")));
            let entries = prop::collection::vec((text, blank, inner), 0..5);
            let object = entries.prop_map(|entries| {
                let entries =
                    entries.iter().map(|(key, blank, value)| format!("{blank}\"{key}\":{blank}{value}"));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            });
            prop_oneof![list, object.clone(), object]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_read_alike(line in json()) {
            check(&line);
        }
    }
}
