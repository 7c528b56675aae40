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
    /// Who asks for no more than that there is a value.
    present: B,
    /// What is found by values, by their fingerprints.
    equal: Option<Lookup<B, Table<Set>>>,
    /// Whether that is all that anybody asks for.
    only_equal: bool,
    /// By how values begin.
    heads: Option<Lookup<B, Heads>>,
    /// By parts of values, with each stride by itself.
    searches: [Option<Lookup<B, Search>>; STRIDES.len()],
}

/// One way in which values are looked up.
#[derive(Debug)]
struct Lookup<B, T> {
    /// Who asks for it.
    asking: B,
    by: T,
}

impl<B: Bits, T> Lookup<B, T> {
    /// Returns it if one of those that are left asks for it.
    #[inline]
    fn asked<'l>(this: &'l Option<Self>, left: &B) -> Option<&'l T> {
        this.as_ref().filter(|lookup| lookup.asking.meets(left)).map(|lookup| &lookup.by)
    }
}

impl<B: Bits> FieldLookup<B> {
    /// Returns who asks for anything here.
    #[inline]
    pub(crate) fn asking(&self) -> &B {
        &self.asking
    }

    /// Adds to `hits` who finds in the field's values what it asks for, of those that are left.
    #[inline]
    pub(crate) fn find<R: Record>(&self, record: &R, left: &B, hits: &mut B) {
        match &self.equal {
            // Of most fields nobody asks anything else.
            Some(Lookup { by: equal, .. }) if self.only_equal => {
                record.any(self.field, |value| {
                    let found = fingerprint(value).and_then(|fingerprint| equal.get(fingerprint));
                    found.into_iter().for_each(|found| found.add_to(hits));
                    false
                });
            }
            _ => self.find_in_all_ways(record, left, hits),
        }
    }

    fn find_in_all_ways<R: Record>(&self, record: &R, left: &B, hits: &mut B) {
        let equal = Lookup::asked(&self.equal, left);
        let heads = Lookup::asked(&self.heads, left);
        let searches = self.searches.each_ref().map(|search| Lookup::asked(search, left));
        let in_text = heads.is_some() || searches.iter().any(Option::is_some);
        let mut is_present = false;
        record.any(self.field, |value| {
            is_present = true;
            let fingerprint = match value {
                Value::Str(text) => {
                    let ascii = ascii_fingerprint(text.as_bytes());
                    // A character that is not ASCII may fold to one that is: the Kelvin sign is a k.
                    let folded = if ascii.is_some() { None } else { Some(folded(text)) };
                    let bytes = folded.as_deref().unwrap_or(text).as_bytes();
                    if in_text {
                        heads.into_iter().for_each(|heads| heads.find(bytes, hits));
                        searches.iter().flatten().for_each(|search| search.find(bytes, hits));
                    }
                    ascii.or_else(|| Some(folded_fingerprint(bytes)))
                }
                other => fingerprint(other),
            };
            if let Some(found) = fingerprint.and_then(|fingerprint| equal?.get(fingerprint)) {
                found.add_to(hits);
            }
            false
        });
        if is_present {
            hits.add(&self.present);
        }
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
        let equal = (!self.equal.is_empty()).then(|| Lookup {
            asking: B::of(self.equal.values().flatten(), room),
            by: Table::new(
                self.equal.into_iter().map(|(number, asking)| (number, Set::new(asking))).collect(),
            ),
        });
        let heads = (!self.heads.is_empty()).then(|| Lookup {
            asking: B::of(self.heads.values().flatten(), room),
            by: Heads::new(self.heads.into_iter().map(|(text, asking)| (text, Set::new(asking)))),
        });
        let searches = STRIDES.map(|stride| {
            let texts = self.parts.iter().filter(|(text, _)| Search::stride_of(text) == stride);
            texts.clone().next().map(|_| Lookup {
                asking: B::of(texts.clone().flat_map(|(_, asking)| asking), room),
                by: Search::new(stride, texts.map(|(text, asking)| (&**text, Set::new(asking.clone())))),
            })
        });
        FieldLookup {
            field: self.field,
            asking: B::of(self.asking.iter(), room),
            present: B::of(self.present.iter(), room),
            only_equal: equal.is_some()
                && self.present.is_empty()
                && heads.is_none()
                && searches.iter().all(Option::is_none),
            equal,
            heads,
            searches,
        }
    }
}
