//! Which terms an event may satisfy: all terms of all programs at once, by what their conditions need.
//!
//! Terms are kept apart by the event category that they name. Of what a term's condition needs, one clause is
//! looked up: a rare one over the whole set of terms, wherever in the condition it stands, and on as few fields
//! as will do. The index may name a term that the event does not satisfy; it never leaves one out that it does.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use aho_corasick::{AhoCorasick, MatchKind};

use crate::choice::{Needs, Shares, choose};
use crate::compile::Filter;
use crate::fold::folded;
use crate::record::Record;
use crate::schema::FieldId;
use crate::value::Value;
use crate::witness::{Test, clauses, fingerprint};

/// A set of terms, by number: only the words of a bit set that are not empty.
type Terms = Box<[(u32, u64)]>;

/// The terms that an event may satisfy, by number.
#[derive(Debug, Default)]
pub(crate) struct Candidates(Vec<u64>);

/// An index over terms.
#[derive(Debug, Default)]
pub(crate) struct Index {
    categories: Vec<(Box<str>, Lookup)>,
    /// The terms that name no category.
    any: Lookup,
    terms: usize,
}

/// The terms of one category.
#[derive(Debug, Default)]
struct Lookup {
    /// Terms of which nothing can be looked up.
    open: Terms,
    fields: Vec<FieldLookup>,
}

#[derive(Debug)]
struct FieldLookup {
    field: FieldId,
    present: Terms,
    equal: HashMap<u64, Terms, BuildHasherDefault<AsItIs>>,
    parts: Option<Parts>,
}

/// Texts that a value may contain.
#[derive(Debug)]
struct Parts {
    automaton: AhoCorasick,
    /// For each of its patterns.
    terms: Vec<Terms>,
}

/// The hash of a fingerprint: it is one already. Who sends events cannot add to the map.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

impl Index {
    /// Makes an index of terms, whose numbers are their places.
    pub(crate) fn new<'f>(filters: impl Iterator<Item = &'f Filter>) -> Self {
        let mut categories: Vec<(Option<&str>, Vec<Needs>)> = Vec::new();
        let mut at: HashMap<Option<&str>, usize> = HashMap::new();
        let mut shares = Shares::default();
        let mut terms = 0;
        for filter in filters {
            let category = filter.category.as_deref();
            let place = *at.entry(category).or_insert(categories.len());
            if place == categories.len() {
                categories.push((category, Vec::new()));
            }
            let needs = Needs { term: terms, clauses: clauses(&filter.condition) };
            shares.count(&needs);
            categories[place].1.push(needs);
            terms += 1;
        }
        let mut index = Index { terms: terms as usize, ..Index::default() };
        for (category, terms) in categories {
            let lookup = Lookup::new(terms, &shares);
            match category {
                Some(category) => index.categories.push((category.into(), lookup)),
                None => index.any = lookup,
            }
        }
        index
    }

    /// Finds the terms that `record` may satisfy.
    pub(crate) fn find<R: Record>(&self, record: &R, found: &mut Candidates) {
        found.0.clear();
        found.0.resize(self.terms.div_ceil(64), 0);
        self.any.find(record, found);
        if self.categories.is_empty() {
            return;
        }
        record.category().any(|value| {
            if let Some(name) = value.as_str()
                && let Some((_, lookup)) = self.categories.iter().find(|(own, _)| **own == *name)
            {
                lookup.find(record, found);
            }
            false
        });
    }
}

impl Candidates {
    /// Returns whether a term is among them.
    pub(crate) fn has(&self, term: usize) -> bool {
        self.0.get(term / 64).is_some_and(|word| word >> (term % 64) & 1 == 1)
    }

    /// Returns the first from `from` on that is also in `others`, a bit set.
    pub(crate) fn next(&self, from: usize, others: &[u64]) -> Option<usize> {
        let mut mask = u64::MAX << (from % 64);
        for (at, (own, other)) in self.0.iter().zip(others).enumerate().skip(from / 64) {
            let both = own & other & mask;
            if both != 0 {
                return Some(at * 64 + both.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }

    fn add(&mut self, terms: &Terms) {
        for (at, word) in terms {
            self.0[*at as usize] |= word;
        }
    }
}

impl Lookup {
    fn new(terms: Vec<Needs>, shares: &Shares) -> Self {
        let mut open = Vec::new();
        let mut fields: Vec<FieldTerms> = Vec::new();
        for (term, chosen) in choose(terms, shares) {
            let Some(clause) = chosen else {
                open.push(term);
                continue;
            };
            for witness in clause {
                let at = fields.iter().position(|own| own.field == witness.field).unwrap_or_else(|| {
                    fields.push(FieldTerms { field: witness.field, ..FieldTerms::default() });
                    fields.len() - 1
                });
                match witness.test {
                    Test::Equal(fingerprint) | Test::Fact(fingerprint) => {
                        fields[at].equal.entry(fingerprint).or_default().push(term)
                    }
                    Test::Contains(text) => fields[at].parts.entry(text).or_default().push(term),
                    Test::Present => fields[at].present.push(term),
                }
            }
        }
        Lookup { open: set(open), fields: fields.into_iter().map(FieldTerms::into_lookup).collect() }
    }

    fn find<R: Record>(&self, record: &R, found: &mut Candidates) {
        found.add(&self.open);
        for lookup in &self.fields {
            let value = record.get(lookup.field);
            if !value.is_missing() {
                found.add(&lookup.present);
                value.any(|value| {
                    lookup.find(value, found);
                    false
                });
            }
        }
    }
}

impl FieldLookup {
    fn find(&self, value: Value<'_>, found: &mut Candidates) {
        if !self.equal.is_empty()
            && let Some(terms) = fingerprint(value).and_then(|fingerprint| self.equal.get(&fingerprint))
        {
            found.add(terms);
        }
        if let (Some(parts), Some(text)) = (&self.parts, value.as_str()) {
            parts.find(text, found);
        }
    }
}

impl Parts {
    fn new(texts: HashMap<Box<str>, Vec<u32>>) -> Option<Self> {
        if texts.is_empty() {
            return None;
        }
        let mut texts: Vec<(Box<str>, Vec<u32>)> = texts.into_iter().collect();
        texts.sort();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(texts.iter().map(|(text, _)| text.as_bytes()))
            .ok()?;
        Some(Parts { automaton, terms: texts.into_iter().map(|(_, terms)| set(terms)).collect() })
    }

    fn find(&self, text: &str, found: &mut Candidates) {
        // A character that is not ASCII may fold to one that is.
        let folded = if text.is_ascii() { None } else { Some(folded(text)) };
        for found_one in self.automaton.find_overlapping_iter(folded.as_deref().unwrap_or(text)) {
            found.add(&self.terms[found_one.pattern().as_usize()]);
        }
    }
}

/// The terms that are looked up by one field, while they are gathered.
#[derive(Default)]
struct FieldTerms {
    field: FieldId,
    present: Vec<u32>,
    equal: HashMap<u64, Vec<u32>>,
    parts: HashMap<Box<str>, Vec<u32>>,
}

impl FieldTerms {
    fn into_lookup(mut self) -> FieldLookup {
        // An automaton of more than 2^31 states cannot be made; then a value is all that is asked for.
        let everything: Vec<u32> = self.parts.values().flatten().copied().collect();
        let parts = Parts::new(self.parts);
        if parts.is_none() {
            self.present.extend(everything);
        }
        FieldLookup {
            field: self.field,
            present: set(self.present),
            equal: self.equal.into_iter().map(|(fingerprint, terms)| (fingerprint, set(terms))).collect(),
            parts,
        }
    }
}

fn set(mut terms: Vec<u32>) -> Terms {
    terms.sort_unstable();
    let mut words: Vec<(u32, u64)> = Vec::new();
    for term in terms {
        let bit = 1 << (term % 64);
        match words.last_mut() {
            Some((at, word)) if *at == term / 64 => *word |= bit,
            _ => words.push((term / 64, bit)),
        }
    }
    words.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Options, Plan, Program};
    use crate::schema::Schema;

    /// A process event: action, name and command line.
    #[derive(Clone)]
    struct Event([&'static str; 3]);

    impl Record for Event {
        fn time(&self) -> i64 {
            0
        }

        fn category(&self) -> Value<'_> {
            Value::Str("process")
        }

        fn get(&self, field: FieldId) -> Value<'_> {
            self.0.get(field.index()).map_or(Value::Missing, |text| Value::Str(text))
        }

        fn weight(&self) -> usize {
            0
        }
    }

    /// How many of the queries' terms an event may satisfy.
    fn candidates(queries: impl Iterator<Item = String>, event: [&'static str; 3]) -> usize {
        let mut schema = Schema::new();
        for path in ["action", "name", "line"] {
            schema.intern(path);
        }
        let programs: Vec<Program> = queries
            .map(|query| Program::new(&query, &mut schema, &Options::default()).expect("a query"))
            .collect();
        let index = Index::new(programs.iter().map(|program| match &program.plan {
            Plan::Event(filter) => filter,
            _ => unreachable!("event queries"),
        }));
        let mut found = Candidates::default();
        index.find(&Event(event), &mut found);
        found.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    #[test]
    fn the_rarest_value_is_looked_up_wherever_it_stands() {
        for form in [
            "process where action == \"exec\" and name == \"tool{}\"",
            "process where name == \"tool{}\" and action == \"exec\"",
            "process where action == \"exec\" and (name in~ (\"TOOL{}\", \"x{}\") or name == \"y{}\")",
            "process where not (action != \"exec\" or name != \"tool{}\")",
            "process where action == \"exec\" and name : \"tool{}\" and line like \"*a*\"",
            "network where action == \"exec\" or name == \"tool{}\"",
        ] {
            let queries = |count: usize| (0..count).map(|number| form.replace("{}", &number.to_string()));
            let most = usize::from(form.starts_with("process"));
            assert_eq!(candidates(queries(1000), ["exec", "tool7", "a"]), most, "{form}");
            assert_eq!(candidates(queries(1000), ["exec", "none", "a"]), 0, "{form}");
        }
    }

    #[test]
    fn parts_of_values_are_looked_up_together() {
        for form in ["*--part{}x*", "--part{}x*", "*--part{}x", "*--part{}x?*a*"] {
            let queries = (0..1000).map(|number| {
                let pattern = form.replace("{}", &number.to_string());
                format!("process where action == \"exec\" and line like~ \"{pattern}\"")
            });
            assert_eq!(candidates(queries, ["exec", "sh", "sh --PART17x --part4x"]), 2, "{form}");
        }
    }

    #[test]
    fn what_cannot_be_looked_up_is_always_a_candidate_and_what_never_holds_never() {
        let open = ["process where not name == \"a\"", "any where true", "process where length(name) == 2"];
        assert_eq!(candidates(open.iter().map(|query| query.to_string()), ["exec", "sh", "sh"]), 3);
        let never = ["process where false and name == \"sh\"", "any where name in (\"a\") and name == null"];
        assert_eq!(candidates(never.iter().map(|query| query.to_string()), ["exec", "sh", "sh"]), 0);
    }
}
