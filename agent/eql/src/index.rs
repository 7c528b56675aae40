//! Which terms an event may satisfy: all terms of all programs at once, by what their conditions need.
//!
//! Terms are kept apart by the event category that they name, and each category's are sieved by the event's fields. Where
//! all of them ask for few fields, these are asked of events of any category, which costs less than to ask for it. The
//! index may name a term that the event does not satisfy; it never leaves one out that it does.

use std::collections::HashMap;

use crate::choice::{Shares, WORTH_A_GATE, choose};
use crate::compile::Filter;
use crate::likeness::Likenesses;
use crate::record::Record;
use crate::schema::FieldId;
use crate::sieve::Sieve;
use crate::table::Table;
use crate::witness::{Alternative, Clause, Test, alternatives, text_fingerprint};

/// An index over terms, by number, some of which count now.
#[derive(Debug, Default)]
pub(crate) struct Index {
    categories: Vec<Category>,
    terms: Vec<Term>,
    /// The place of what may hold in events of any category.
    of_any: Option<usize>,
    /// The places of the others, if there are any, by the [fingerprints](text_fingerprint) of their names.
    by_name: Option<Table<usize>>,
    /// The places of what may hold in the current record.
    places: Vec<usize>,
    /// These of records that are alike, if they share their categories.
    shared: Likenesses<Option<Box<[usize]>>>,
}

/// What may hold in the events of one category, or in those of any.
#[derive(Debug)]
struct Category {
    sieve: Sieve,
    /// The term of each alternative in the sieve.
    terms: Vec<u32>,
}

/// A term's alternatives. One that never holds has none.
#[derive(Debug)]
struct Term {
    alternatives: Box<[Owned]>,
    /// Whether any of them needs a relation.
    needs_relations: bool,
    /// What was said last of whether it counts.
    counts: bool,
}

/// An alternative of a term.
#[derive(Debug)]
struct Owned {
    /// Its category and its number there, or several.
    places: Vec<(usize, u32)>,
    /// The relations of the program that it needs.
    relations: Vec<usize>,
}

/// The terms that an event may satisfy, in order.
#[derive(Debug, Default)]
pub(crate) struct Candidates(Vec<u32>);

impl Index {
    /// Makes an index of terms, whose numbers are their places. None of them counts yet.
    pub(crate) fn new<'f, R: Record>(filters: impl Iterator<Item = &'f Filter>) -> Self {
        let mut of_filters: Vec<(Option<u64>, Vec<Alternative>)> = filters
            .map(|filter| (filter.category.as_deref().map(text_fingerprint), alternatives(&filter.condition)))
            .collect();
        let mut shares = Shares::new::<R>();
        of_filters.iter().for_each(|(_, own)| shares.count(own));
        let mut of_any_category = None;
        if let Some(field) = R::category_field() {
            let joined: Vec<(Option<u64>, Vec<Alternative>)> =
                of_filters.iter().map(|(name, own)| (None, with_category(own, *name, field))).collect();
            let choice = choose::<R>(&all_of(&of_filters), &shares);
            if choice.deciding < WORTH_A_GATE {
                of_any_category = Some(choice.and_last(field, &all_of(&joined)));
                of_filters = joined;
            }
        }
        let mut index = Index::default();
        let mut gathered: Vec<Gathered<'_>> = Vec::new();
        let mut at: HashMap<Option<u64>, usize> = HashMap::new();
        for (term, (name, own)) in (0..).zip(&of_filters) {
            let owned = own.iter().map(|own| {
                let names = match name {
                    None if of_any_category.is_some() => vec![None],
                    None => own.categories(R::category_field()).unwrap_or_else(|| vec![None]),
                    named => vec![*named],
                };
                let places = names.into_iter().map(|name| {
                    let category = *at.entry(name).or_insert_with(|| {
                        gathered.push(Gathered { terms: Vec::new(), alternatives: Vec::new() });
                        gathered.len() - 1
                    });
                    let Gathered { terms, alternatives, .. } = &mut gathered[category];
                    terms.push(term);
                    alternatives.push(own);
                    (category, alternatives.len() as u32 - 1)
                });
                Owned { places: places.collect(), relations: own.relations.clone() }
            });
            let alternatives = owned.collect();
            let needs_relations = own.iter().any(|own| !own.relations.is_empty());
            index.terms.push(Term { alternatives, needs_relations, counts: false });
        }
        index.of_any = at.remove(&None);
        let named: Vec<(u64, usize)> = at.into_iter().filter_map(|(name, at)| Some((name?, at))).collect();
        index.by_name = (!named.is_empty()).then(|| Table::new(named));
        let category = |gathered: Gathered<'_>| Category {
            sieve: Sieve::new(
                of_any_category.take().unwrap_or_else(|| choose::<R>(&gathered.alternatives, &shares)),
            ),
            terms: gathered.terms,
        };
        index.categories = gathered.into_iter().map(category).collect();
        index
    }

    /// Says whether a term counts: one that does not is not found. `related` says of a relation of its program whether an
    /// event can have it.
    pub(crate) fn set_counting(&mut self, term: usize, counts: bool, related: impl Fn(usize) -> bool) {
        let term = &mut self.terms[term];
        // It is said again and again, and seldom anything new.
        if counts == term.counts && !term.needs_relations {
            return;
        }
        term.counts = counts;
        for Owned { places, relations } in &term.alternatives {
            let counts = counts && relations.iter().all(|relation| related(*relation));
            for (category, number) in places {
                self.categories[*category].sieve.set_counting(*number, counts);
            }
        }
    }

    /// Finds the terms that count and that `record` may satisfy.
    pub(crate) fn find<R: Record>(&mut self, record: &R, found: &mut Candidates) {
        let Index { categories, of_any, by_name, places, shared, .. } = self;
        let (of_any, by_name) = (*of_any, by_name.as_ref());
        let find_places = |places: &mut Vec<usize>| {
            places.clear();
            places.extend(of_any);
            if let Some(by_name) = by_name {
                record.any_category(|value| {
                    let name = value.as_str().map(text_fingerprint);
                    places.extend(name.and_then(|name| by_name.get(name)));
                    false
                });
            }
        };
        let shared = record.likeness().and_then(|likeness| {
            shared.of(likeness, || {
                R::category_field().filter(|field| record.is_shared(*field)).map(|_| {
                    find_places(places);
                    places.as_slice().into()
                })
            })
        });
        let places = match shared.and_then(Option::as_deref) {
            Some(shared) => shared,
            None => {
                find_places(places);
                &**places
            }
        };
        found.0.clear();
        for place in places {
            let Category { sieve, terms } = &mut categories[*place];
            sieve.find(record, |number| {
                let term = terms[number as usize];
                // A term's alternatives follow each other.
                if found.0.last() != Some(&term) {
                    found.0.push(term);
                }
            });
        }
        if places.len() > 1 {
            found.0.sort_unstable();
            // A record may be of two categories, or name one twice.
            found.0.dedup();
        }
    }
}

/// Returns the alternatives of all terms, in order.
fn all_of(terms: &[(Option<u64>, Vec<Alternative>)]) -> Vec<&Alternative> {
    terms.iter().flat_map(|(_, own)| own).collect()
}

/// Returns alternatives that ask for their category as for any other field.
fn with_category(alternatives: &[Alternative], name: Option<u64>, field: FieldId) -> Vec<Alternative> {
    let with = |own: &Alternative| {
        let mut own = own.clone();
        if let Some(name) = name {
            own.clauses.retain(|clause| clause.field != field);
            own.clauses.push(Clause { field, tests: vec![Test::Equal(name)] });
        }
        own
    };
    alternatives.iter().map(with).collect()
}

/// A category while its alternatives are gathered, each with its term.
struct Gathered<'a> {
    terms: Vec<u32>,
    alternatives: Vec<&'a Alternative>,
}

impl Alternative {
    /// Returns the categories, by name, of which one must be an event's that satisfies this, if it says so.
    fn categories(&self, category_field: Option<FieldId>) -> Option<Vec<Option<u64>>> {
        let clause = self.clauses.iter().find(|clause| Some(clause.field) == category_field)?;
        let name = |test: &Test| match test {
            Test::Equal(fingerprint) => Some(Some(*fingerprint)),
            _ => None,
        };
        clause.tests.iter().map(name).collect()
    }
}

impl Candidates {
    /// Returns whether a term is among them.
    pub(crate) fn has(&self, term: usize) -> bool {
        self.0.binary_search(&(term as u32)).is_ok()
    }

    /// Returns the first from `from` on.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let at = self.0.partition_point(|term| (*term as usize) < from);
        self.0.get(at).map(|term| *term as usize)
    }

    /// Returns all of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|term| *term as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Options, Plan, Program};
    use crate::schema::Schema;
    use crate::value::Value;

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
        let mut index = Index::new::<Event>(programs.iter().map(|program| match &program.plan {
            Plan::Event(filter) => filter,
            _ => unreachable!("event queries"),
        }));
        (0..programs.len()).for_each(|term| index.set_counting(term, true, |_| true));
        let mut found = Candidates::default();
        index.find(&Event(event), &mut found);
        found.0.len()
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
        for (form, most) in [("*--part{}x*", 2), ("--part{}x*", 1), ("*--part{}x", 2), ("--part{}x?*a*", 2)] {
            let queries = (0..1000).map(|number| {
                let pattern = form.replace("{}", &number.to_string());
                format!("process where action == \"exec\" and line like~ \"{pattern}\"")
            });
            assert_eq!(candidates(queries, ["exec", "sh", "--PART17x --part4x"]), most, "{form}");
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
