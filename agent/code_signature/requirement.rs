//! Code requirements: what a program must be for macOS to grant it something.
//!
//! The binary form is that of Security's `requirement.h` (`opIdent` and so on), the text that which `csreq` reads and
//! Apple describes in *Code Signing Requirement Language*.

use std::fmt::{self, Write as _};

use super::number;

/// `CSMAGIC_REQUIREMENT`, and the only form there is, an expression in prefix notation.
const MAGIC: u32 = 0xfade_0c00;
const EXPRESSION: u32 = 1;

/// How deep an expression may nest, and of how many parts it may be.
const MAX_DEPTH: usize = 64;
const MAX_PARTS: usize = 1024;

/// Marks an intermediate certificate as one of Apple's for Developer IDs, and a leaf as a Developer ID Application.
const DEVELOPER_ID_INTERMEDIATE: &str = "1.2.840.113635.100.6.2.6";
const DEVELOPER_ID_APPLICATION: &str = "1.2.840.113635.100.6.1.13";

/// An expression, of the kinds that designated requirements are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// `identifier "…"`.
    Identifier(String),
    /// `anchor apple`: Apple's own software.
    AnchorApple,
    /// `anchor apple generic`: signed with a certificate that leads to Apple's root.
    AnchorAppleGeneric,
    /// `certificate leaf = H"…"`: SHA-1 of a certificate.
    CertificateHash(Certificate, Vec<u8>),
    /// `cdhash H"…"`: one very build.
    CodeDirectoryHash(Vec<u8>),
    /// `certificate leaf[subject.OU] = "…"`, or `[field.…]`, which only has to exist.
    CertificateField(Certificate, String, Match),
    /// `not …`.
    Not(Box<Requirement>),
    /// `… and …`.
    And(Box<Requirement>, Box<Requirement>),
    /// `… or …`.
    Or(Box<Requirement>, Box<Requirement>),
}

/// A certificate by its place in the chain: 0 the leaf, -1 the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate(pub i32);

/// What is asked of a certificate's field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is there.
    Exists,
    /// It is this text.
    Equals(String),
}

impl Requirement {
    /// Returns what every version of a program is that a team signs with its Developer ID, as `codesign` makes it by
    /// default.
    pub fn developer_id(identifier: &str, team: &str) -> Self {
        let field = |certificate, field: &str, wanted| {
            Requirement::CertificateField(Certificate(certificate), field.to_owned(), wanted)
        };
        [
            Requirement::AnchorAppleGeneric,
            field(1, &format!("field.{DEVELOPER_ID_INTERMEDIATE}"), Match::Exists),
            field(0, &format!("field.{DEVELOPER_ID_APPLICATION}"), Match::Exists),
            field(0, "subject.OU", Match::Equals(team.to_owned())),
        ]
        .into_iter()
        .fold(Requirement::Identifier(identifier.to_owned()), |all, next| {
            Requirement::And(Box::new(all), Box::new(next))
        })
    }

    /// Whether nothing can satisfy it that has not something of which `asks` says that it asks for it.
    pub fn always_asks(&self, asks: &dyn Fn(&Requirement) -> bool) -> bool {
        match self {
            Requirement::And(left, right) => left.always_asks(asks) || right.always_asks(asks),
            Requirement::Or(left, right) => left.always_asks(asks) && right.always_asks(asks),
            Requirement::Not(_) => false,
            leaf => asks(leaf),
        }
    }

    /// Whether it is one for a program of that identifier and team, in any version, and for no other: the identifier,
    /// Apple's root and the team are asked for, whichever way it is satisfied, and no single build is.
    pub fn is_for(&self, identifier: &str, team: &str) -> bool {
        let one_build = |part: &Requirement| matches!(part, Requirement::CodeDirectoryHash(_));
        self.always_asks(&|part| matches!(part, Requirement::Identifier(own) if own == identifier))
            && self.always_asks(&|part| matches!(part, Requirement::AnchorAppleGeneric))
            && self.always_asks(&|part| {
                matches!(part, Requirement::CertificateField(Certificate(0), field, Match::Equals(value))
                    if field == "subject.OU" && value == team)
            })
            && !self.any(&one_build)
    }

    fn any(&self, holds: &dyn Fn(&Requirement) -> bool) -> bool {
        match self {
            Requirement::And(left, right) | Requirement::Or(left, right) => {
                left.any(holds) || right.any(holds)
            }
            Requirement::Not(inner) => inner.any(holds),
            leaf => holds(leaf),
        }
    }

    /// Reads a requirement's blob.
    ///
    /// # Errors
    /// It is not in order, or of a kind that designated requirements are not; why.
    pub fn from_blob(blob: &[u8]) -> Result<Self, String> {
        let header = (number(blob, 0), number(blob, 8)) == (Some(MAGIC), Some(EXPRESSION));
        let mut reader = Reader { rest: blob.get(12..).unwrap_or_default(), parts: 0 };
        let read = if header { reader.expression(MAX_DEPTH) } else { Err(Reader::broken()) };
        read.and_then(|read| if reader.rest.is_empty() { Ok(read) } else { Err(Reader::broken()) })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |part: &Requirement| matches!(part, Requirement::Or(..));
        let pair = |part: &Requirement| matches!(part, Requirement::Or(..) | Requirement::And(..));
        let side = |out: &mut fmt::Formatter<'_>, part: &Requirement, apart: bool| {
            if apart { write!(out, "({part})") } else { write!(out, "{part}") }
        };
        match self {
            Requirement::Identifier(id) => write!(out, "identifier {}", Quoted(id)),
            Requirement::AnchorApple => out.write_str("anchor apple"),
            Requirement::AnchorAppleGeneric => out.write_str("anchor apple generic"),
            Requirement::CertificateHash(certificate, hash) => {
                write!(out, "certificate {certificate} = H\"{}\"", crate::digest::hexadecimal(hash))
            }
            Requirement::CodeDirectoryHash(hash) => {
                write!(out, "cdhash H\"{}\"", crate::digest::hexadecimal(hash))
            }
            Requirement::CertificateField(certificate, field, Match::Exists) => {
                write!(out, "certificate {certificate}[{field}] /* exists */")
            }
            Requirement::CertificateField(certificate, field, Match::Equals(value)) => {
                write!(out, "certificate {certificate}[{field}] = {}", Quoted(value))
            }
            Requirement::Not(inner) => {
                out.write_str("! ")?;
                side(out, inner, pair(inner))
            }
            Requirement::And(left, right) => {
                side(out, left, or(left))?;
                out.write_str(" and ")?;
                side(out, right, pair(right))
            }
            Requirement::Or(left, right) => {
                side(out, left, false)?;
                out.write_str(" or ")?;
                side(out, right, or(right))
            }
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => out.write_str("leaf"),
            -1 => out.write_str("root"),
            place => write!(out, "{place}"),
        }
    }
}

/// A text as it stands in a requirement: always in quotes, for a team that begins with a digit needs them.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_char('"')?;
        for character in self.0.chars() {
            if matches!(character, '"' | '\\') {
                out.write_char('\\')?;
            }
            out.write_char(character)?;
        }
        out.write_char('"')
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    parts: usize,
}

impl Reader<'_> {
    fn broken() -> String {
        "the designated requirement of the code signature is not in order; sign the program anew".to_owned()
    }

    fn expression(&mut self, depth: usize) -> Result<Requirement, String> {
        self.parts += 1;
        if depth == 0 || self.parts > MAX_PARTS {
            return Err(Self::broken());
        }
        let code = self.number()?;
        match code {
            2 => Ok(Requirement::Identifier(self.text()?)),
            3 => Ok(Requirement::AnchorApple),
            4 => Ok(Requirement::CertificateHash(self.certificate()?, self.data()?)),
            6 => self.two(depth, Requirement::And),
            7 => self.two(depth, Requirement::Or),
            8 => Ok(Requirement::CodeDirectoryHash(self.data()?)),
            9 => Ok(Requirement::Not(Box::new(self.expression(depth - 1)?))),
            11 => {
                let (certificate, field) = (self.certificate()?, self.text()?);
                Ok(Requirement::CertificateField(certificate, field, self.wanted()?))
            }
            14 => {
                let certificate = self.certificate()?;
                let field = format!("field.{}", dotted(&self.data()?).ok_or_else(Self::broken)?);
                Ok(Requirement::CertificateField(certificate, field, self.wanted()?))
            }
            15 => Ok(Requirement::AnchorAppleGeneric),
            other => Err(format!(
                "the designated requirement holds operation {other}, which `codesign` does not put there by itself; \
                 name the team with --team-id instead of the program"
            )),
        }
    }

    fn two(
        &mut self,
        depth: usize,
        make: fn(Box<Requirement>, Box<Requirement>) -> Requirement,
    ) -> Result<Requirement, String> {
        let left = Box::new(self.expression(depth - 1)?);
        Ok(make(left, Box::new(self.expression(depth - 1)?)))
    }

    fn wanted(&mut self) -> Result<Match, String> {
        match self.number()? {
            0 => Ok(Match::Exists),
            1 => Ok(Match::Equals(self.text()?)),
            _ => Err(Self::broken()),
        }
    }

    fn certificate(&mut self) -> Result<Certificate, String> {
        Ok(Certificate(self.number()?.cast_signed()))
    }

    /// Text that can stand in a requirement's own text.
    fn text(&mut self) -> Result<String, String> {
        let text = String::from_utf8(self.data()?).map_err(|_| Self::broken())?;
        if text.chars().any(crate::alert::is_deceptive) { Err(Self::broken()) } else { Ok(text) }
    }

    /// A length, so many bytes, and zeros up to a multiple of four.
    fn data(&mut self) -> Result<Vec<u8>, String> {
        let length = self.number()? as usize;
        let padded = length.checked_next_multiple_of(4).filter(|padded| *padded <= self.rest.len());
        let (data, rest) = self.rest.split_at(padded.ok_or_else(Self::broken)?);
        self.rest = rest;
        Ok(data[..length].to_vec())
    }

    fn number(&mut self) -> Result<u32, String> {
        let read = number(self.rest, 0).ok_or_else(Self::broken)?;
        self.rest = &self.rest[4..];
        Ok(read)
    }
}

/// Writes an object identifier as numbers with dots, from its DER (X.690, 8.19).
fn dotted(der: &[u8]) -> Option<String> {
    let mut numbers = Vec::new();
    let mut number = 0u64;
    for byte in der {
        number = number.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.extend([first, number - 40 * first]);
            } else {
                numbers.push(number);
            }
            number = 0;
        }
    }
    let ended = der.last().is_some_and(|byte| byte & 0x80 == 0);
    ended.then(|| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}
