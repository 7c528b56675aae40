//! A small evaluator of code requirements in their text form, written apart from the code that writes them: identifier,
//! `anchor apple generic`, certificate fields, `and`, `or`, parentheses. Apple's root is stood in for by the test's own,
//! told by its name; that certificates are signed by one another is not verified, only that they name one another.

use vedette::code_signature::CodeSignature;

/// The common name of the root that stands in for Apple's.
const ROOT: &str = "Stand-in for Apple Root CA";

/// Whether a program with this signature satisfies a requirement.
pub(crate) fn satisfies(signature: &CodeSignature, requirement: &str) -> bool {
    let chain = chain(&signature.cms);
    let mut parser = Parser { rest: tokens(requirement), signature, chain: &chain };
    let result = parser.or();
    assert!(parser.rest.is_empty(), "what is left of {requirement}: {:?}", parser.rest);
    result
}

struct Certificate {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    names: Vec<(String, String)>,
    extensions: Vec<String>,
}

struct Parser<'a> {
    /// The last token is the next one.
    rest: Vec<String>,
    signature: &'a CodeSignature,
    chain: &'a [Certificate],
}

impl Parser<'_> {
    fn or(&mut self) -> bool {
        let mut result = self.and();
        while self.take("or") {
            result |= self.and();
        }
        result
    }

    fn and(&mut self) -> bool {
        let mut result = self.part();
        while self.take("and") {
            result &= self.part();
        }
        result
    }

    fn part(&mut self) -> bool {
        match self.next().as_str() {
            "(" => {
                let result = self.or();
                assert!(self.take(")"));
                result
            }
            "identifier" => self.next() == format!("\"{}", self.signature.identifier),
            "anchor" => {
                assert!(self.take("apple") && self.take("generic"));
                let root = self.chain.last();
                root.is_some_and(|root| {
                    root.names.iter().any(|(kind, name)| kind == "2.5.4.3" && name == ROOT)
                })
            }
            "certificate" => {
                let place = self.next();
                assert!(self.take("["));
                let field = self.next();
                assert!(self.take("]"));
                let wanted = self.take("=").then(|| self.next());
                let place = if place == "leaf" { 0 } else { place.parse().expect("a place") };
                let Some(certificate) = self.chain.get::<usize>(place) else { return false };
                match (field.strip_prefix("field."), wanted) {
                    (Some(oid), None) => certificate.extensions.iter().any(|own| own == oid),
                    (None, Some(wanted)) => {
                        assert_eq!(field, "subject.OU");
                        let unit = certificate.names.iter().find(|(kind, _)| kind == "2.5.4.11");
                        unit.is_some_and(|(_, name)| format!("\"{name}") == wanted)
                    }
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other} is in no requirement of ours"),
        }
    }

    fn next(&mut self) -> String {
        self.rest.pop().expect("a token")
    }

    fn take(&mut self, token: &str) -> bool {
        let next = self.rest.last().is_some_and(|next| next == token);
        if next {
            self.rest.pop();
        }
        next
    }
}

/// Words, signs, and texts, which begin with a quote; the first one comes last.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let end = rest[1..].find('"').expect("its end") + 1;
                tokens.push(rest[..end].to_owned());
                end + 1
            }
            '/' => rest.find("*/").expect("the comment's end") + 2,
            '(' | ')' | '[' | ']' | '=' => {
                tokens.push(first.to_string());
                1
            }
            _ => {
                let end = rest.find([' ', '(', ')', '[', ']', '=']).unwrap_or(rest.len());
                tokens.push(rest[..end].to_owned());
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    tokens.reverse();
    tokens
}

/// The certificates of a CMS message (RFC 5652), the leaf first, each followed by its issuer.
fn chain(cms: &[u8]) -> Vec<Certificate> {
    if cms.is_empty() {
        return Vec::new();
    }
    let message = children(&children(cms)[0].1);
    let signed = children(&message[1].1);
    let certificates = children(&signed[0].1).into_iter().find(|(tag, _)| *tag == 0xa0);
    let mut all: Vec<Certificate> = certificates
        .map(|(_, list)| children(&list))
        .unwrap_or_default()
        .iter()
        .map(|(_, der)| certificate(der))
        .collect();
    let is_leaf = |one: &Certificate| {
        !all.iter().any(|other| other.issuer == one.subject && other.subject != one.subject)
    };
    let Some(leaf) = all.iter().position(is_leaf) else { return Vec::new() };
    let mut chain = vec![all.swap_remove(leaf)];
    while let Some(next) =
        all.iter().position(|other| chain.last().is_some_and(|last| last.issuer == other.subject))
    {
        chain.push(all.swap_remove(next));
    }
    chain
}

fn certificate(der: &[u8]) -> Certificate {
    let to_be_signed = children(&children(der)[0].1);
    // version, serial number, algorithm, issuer, validity, subject, key, and the extensions under [3].
    let (issuer, subject) = (to_be_signed[3].1.clone(), to_be_signed[5].1.clone());
    let mut names = Vec::new();
    for (_, set) in children(&subject) {
        for (_, pair) in children(&set) {
            let pair = children(&pair);
            names.push((oid(&pair[0].1), String::from_utf8_lossy(&pair[1].1).into_owned()));
        }
    }
    let extensions = to_be_signed.iter().find(|(tag, _)| *tag == 0xa3).map(|(_, list)| children(list));
    let extensions = extensions.map(|list| children(&list[0].1)).unwrap_or_default();
    let extensions = extensions.iter().map(|(_, extension)| oid(&children(extension)[0].1)).collect();
    Certificate { subject, issuer, names, extensions }
}

/// The values of DER one after the other: tag and content.
fn children(der: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut values = Vec::new();
    let mut rest = der;
    while rest.len() >= 2 && rest[0] != 0 {
        let (tag, short) = (rest[0], usize::from(rest[1]));
        let (header, length) = if short < 0x80 {
            (2, short)
        } else {
            let bytes = &rest[2..2 + (short & 0x7f)];
            (2 + bytes.len(), bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        };
        values.push((tag, rest[header..header + length].to_vec()));
        rest = &rest[header + length..];
    }
    values
}

fn oid(der: &[u8]) -> String {
    let mut numbers: Vec<u64> = vec![u64::from(der[0] / 40), u64::from(der[0] % 40)];
    let mut number = 0;
    for byte in &der[1..] {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        }
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}
