//! What is asked of one field: the values of an event's field are looked up for all who ask at once.

use std::collections::{BTreeMap, HashMap};

use crate::bits::{Bits, Set};
use crate::fold::folded;
use crate::parts::{Heads, STRIDES, Search};
use crate::record::Record;
use crate::schema::FieldId;
use crate::table::Table;
use crate::value::Value;
use crate::witness::{Clause, Test, ascii_fingerprint, fingerprint, folded_fingerprint};

/// What alternatives ask of one field.
#[derive(Debug)]
pub(crate) struct FieldLookup<B> {
    field: FieldId,
    /// Who asks for anything here, and so is dropped if it does not find it.
    asking: B,
    /// Who is left where there is no value: whoever does not ask.
    without: B,
    /// Who is left whatever the value is: likewise, and who asks for no more than that there is one.
    with: B,
    /// What is found by values, by their fingerprints.
    equal: Option<Table<Set>>,
    /// What is found in text, if anybody looks for that.
    parts: Option<Parts<B>>,
}

/// How text is looked up, beyond as it is.
#[derive(Debug)]
struct Parts<B> {
    /// By how it begins, and who asks for that.
    heads: Option<(B, Heads)>,
    /// By what it contains, likewise, with each stride by itself.
    searches: Vec<(B, Search)>,
}

impl<B: Bits> FieldLookup<B> {
    /// Returns the field.
    pub(crate) fn field(&self) -> FieldId {
        self.field
    }

    /// Returns whether one of those that are left asks for anything here.
    #[inline]
    pub(crate) fn is_asked(&self, left: &B) -> bool {
        self.asking.meets(left)
    }

    /// Makes `kept` those of all who do not ask, or find in the field's values what they ask for. Of those that are not
    /// left any may be in it.
    #[inline]
    pub(crate) fn find<R: Record>(&self, record: &R, left: &B, kept: &mut B) {
        let parts = self.parts.as_ref().and_then(|parts| parts.asked(left));
        kept.copy(&self.with);
        let is_present = match record.single(self.field) {
            Some(Value::Missing) => false,
            Some(value) => {
                self.find_value(value, &parts, kept);
                true
            }
            None => self.find_any(record, &parts, kept),
        };
        if !is_present {
            kept.copy(&self.without);
        }
    }

    /// Looks up each value; returns whether there is one.
    #[inline(never)]
    fn find_any<R: Record>(&self, record: &R, parts: &Option<AskedParts<'_>>, kept: &mut B) -> bool {
        let mut is_present = false;
        record.any(self.field, |value| {
            is_present = true;
            self.find_value(value, parts, kept);
            false
        });
        is_present
    }

    #[inline(always)]
    fn find_value(&self, value: Value<'_>, parts: &Option<AskedParts<'_>>, kept: &mut B) {
        match value {
            Value::Str(text) => self.find_text(text, parts, kept),
            other => self.find_equal(fingerprint(other), kept),
        }
    }

    #[inline(always)]
    fn find_text(&self, text: &str, parts: &Option<AskedParts<'_>>, kept: &mut B) {
        let bytes = text.as_bytes();
        let (fingerprint, is_ascii) = match self.equal {
            Some(_) => {
                let fingerprint = ascii_fingerprint(bytes);
                (fingerprint, fingerprint.is_some())
            }
            None => (None, text.is_ascii()),
        };
        if !is_ascii {
            return self.find_folded(text, parts, kept);
        }
        self.find_equal(fingerprint, kept);
        if let Some(parts) = parts {
            parts.find(bytes, kept);
        }
    }

    /// A character that is not ASCII may fold to one that is: the Kelvin sign is a k.
    #[cold]
    fn find_folded(&self, text: &str, parts: &Option<AskedParts<'_>>, kept: &mut B) {
        let folded = folded(text);
        self.find_equal(Some(folded_fingerprint(folded.as_bytes())), kept);
        if let Some(parts) = parts {
            parts.find(folded.as_bytes(), kept);
        }
    }

    #[inline]
    fn find_equal(&self, fingerprint: Option<u64>, kept: &mut B) {
        if let (Some(equal), Some(fingerprint)) = (&self.equal, fingerprint)
            && let Some(found) = equal.get(fingerprint)
        {
            found.add_to(kept);
        }
    }
}

impl<B: Bits> Parts<B> {
    /// Returns what one of those that are left asks for, if any does.
    #[inline]
    fn asked(&self, left: &B) -> Option<AskedParts<'_>> {
        let heads = self.heads.as_ref().filter(|(asking, _)| asking.meets(left)).map(|(_, heads)| heads);
        let mut searches = [None; STRIDES.len()];
        let mut any = heads.is_some();
        for (slot, (asking, search)) in searches.iter_mut().zip(&self.searches) {
            if asking.meets(left) {
                *slot = Some(search);
                any = true;
            }
        }
        any.then_some(AskedParts { heads, searches })
    }
}

/// How text is looked up for those that are left.
struct AskedParts<'l> {
    heads: Option<&'l Heads>,
    searches: [Option<&'l Search>; STRIDES.len()],
}

impl AskedParts<'_> {
    /// Adds who finds a part of a text, which is folded except for ASCII letters.
    fn find(&self, text: &[u8], kept: &mut impl Bits) {
        self.heads.into_iter().for_each(|heads| heads.find(text, kept));
        self.searches.iter().flatten().for_each(|search| search.find(text, kept));
    }
}

/// What is asked of a field, while it is gathered: the numbers of who asks.
pub(crate) struct Asked {
    field: FieldId,
    asking: Vec<u32>,
    present: Vec<u32>,
    equal: HashMap<u64, Vec<u32>>,
    heads: BTreeMap<Box<str>, Vec<u32>>,
    parts: BTreeMap<Box<str>, Vec<u32>>,
}

impl Asked {
    /// Begins with a field that nobody has asked for yet.
    pub(crate) fn new(field: FieldId) -> Self {
        Asked {
            field,
            asking: Vec::new(),
            present: Vec::new(),
            equal: HashMap::new(),
            heads: BTreeMap::new(),
            parts: BTreeMap::new(),
        }
    }

    pub(crate) fn field(&self) -> FieldId {
        self.field
    }

    /// Adds the clause of an alternative.
    pub(crate) fn ask(&mut self, clause: Clause, number: u32) {
        self.asking.push(number);
        for test in clause.tests {
            let asking = match test {
                Test::Equal(fingerprint) | Test::Fact(fingerprint) => {
                    self.equal.entry(fingerprint).or_default()
                }
                Test::Begins(text) => self.heads.entry(text).or_default(),
                Test::Contains(text) => self.parts.entry(text).or_default(),
                Test::Present => &mut self.present,
            };
            asking.push(number);
        }
    }

    /// Makes what is looked up, over bit sets with room for so many alternatives.
    pub(crate) fn into_lookup<B: Bits>(self, room: usize) -> FieldLookup<B> {
        let asking = B::of(self.asking.iter(), room);
        let mut without = B::of((0..room as u32).collect::<Vec<_>>().iter(), room);
        let mut with = without.clone();
        without.remove(&asking);
        let mut demanding = asking.clone();
        demanding.remove(&B::of(self.present.iter(), room));
        with.remove(&demanding);
        let equal = self.equal.into_iter().map(|(number, asking)| (number, Set::new(asking)));
        let heads = (!self.heads.is_empty()).then(|| {
            let asking = B::of(self.heads.values().flatten(), room);
            let texts = self.heads.into_iter().map(|(text, asking)| (text, Set::new(asking)));
            (asking, Heads::new(texts))
        });
        let searches = STRIDES.into_iter().filter_map(|stride| {
            let texts = self.parts.iter().filter(|(text, _)| Search::stride_of(text) == stride);
            texts.clone().next().map(|_| {
                let asking = B::of(texts.clone().flat_map(|(_, asking)| asking), room);
                let texts = texts.map(|(text, asking)| (&**text, Set::new(asking.clone())));
                (asking, Search::new(stride, texts))
            })
        });
        let parts = Parts { heads, searches: searches.collect() };
        FieldLookup {
            field: self.field,
            asking,
            without,
            with,
            equal: (equal.len() > 0).then(|| Table::new(equal.collect())),
            parts: (parts.heads.is_some() || !parts.searches.is_empty()).then_some(parts),
        }
    }
}
