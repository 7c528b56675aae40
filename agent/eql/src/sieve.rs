//! What the terms of one category ask for, of which each field that an event has leaves less.
//!
//! The fields are looked at in an order that drops much early, and only as long as something that is left asks for
//! them: of most events that is a few fields, however many terms there are. A term that may hold in several ways is
//! several *alternatives*, each by itself.

use crate::bits::{BLOCK_BITS, Bits, Narrow, Wide};
use crate::choice::Choice;
use crate::likeness::Likenesses;
use crate::lookup::{Asked, FieldLookup};
use crate::record::Record;

/// Alternatives of one category.
#[derive(Debug)]
pub(crate) enum Sieve {
    /// So few that a bit set of them needs no loop: few sets of rules have more.
    Narrow(Sifting<Narrow>),
    /// Any number.
    Wide(Sifting<Wide>),
}

impl Sieve {
    /// Makes one of what was chosen; an alternative's number is its place there. None of them counts yet.
    pub(crate) fn new(choice: Choice) -> Self {
        match choice.clauses.len() {
            0..=BLOCK_BITS => Sieve::Narrow(Sifting::new(choice)),
            _ => Sieve::Wide(Sifting::new(choice)),
        }
    }

    /// Says whether an alternative counts.
    pub(crate) fn set_counting(&mut self, number: u32, counts: bool) {
        match self {
            Sieve::Narrow(sifting) => sifting.counting.put(number, counts),
            Sieve::Wide(sifting) => sifting.counting.put(number, counts),
        }
    }

    /// Calls `each` with every alternative that counts and in which `record` may satisfy its term, in order.
    #[inline]
    pub(crate) fn find<R: Record>(&mut self, record: &R, each: impl FnMut(u32)) {
        match self {
            Sieve::Narrow(sifting) => sifting.find(record, each),
            Sieve::Wide(sifting) => sifting.find(record, each),
        }
    }
}

/// What is asked by alternatives, and what an event is looked up with.
#[derive(Debug)]
pub(crate) struct Sifting<B> {
    /// The alternatives that count now.
    counting: B,
    /// In the order in which they are looked at.
    fields: Vec<FieldLookup<B>>,
    /// What records that are alike leave.
    shared: Likenesses<Shared<B>>,
    /// The alternatives that are left of an event, kept from one to the next for its memory.
    left: B,
    /// Those that a field leaves, likewise.
    kept: B,
}

/// What all records that are alike leave, by the fields that they share.
#[derive(Clone, Debug)]
struct Shared<B> {
    kept: B,
    /// A bit for each of the first fields: whether it is one of these.
    fields: u64,
}

impl<B: Bits> Sifting<B> {
    fn new(choice: Choice) -> Self {
        let room = choice.clauses.len();
        let mut fields: Vec<Asked> = choice.fields.iter().map(|field| Asked::new(*field)).collect();
        for (number, clauses) in (0..).zip(choice.clauses) {
            for clause in clauses {
                if let Some(asked) = fields.iter_mut().find(|asked| asked.field() == clause.field) {
                    asked.ask(clause, number);
                }
            }
        }
        let fields = fields.into_iter().map(|asked| asked.into_lookup(room)).collect();
        Sifting {
            counting: B::empty(room),
            fields,
            shared: Likenesses::default(),
            left: B::empty(room),
            kept: B::empty(room),
        }
    }

    #[inline]
    fn find<R: Record>(&mut self, record: &R, each: impl FnMut(u32)) {
        let Sifting { counting, fields, shared, left, kept } = self;
        left.copy(counting);
        let mut looked_up = 0;
        let shared = record
            .likeness()
            .and_then(|likeness| shared.of(likeness, || Shared::new(record, fields, counting)));
        if let Some(shared) = shared {
            if !left.keep(&shared.kept) {
                return;
            }
            looked_up = shared.fields;
        }
        for lookup in &*fields {
            let is_looked_up = looked_up & 1 != 0;
            looked_up >>= 1;
            if !is_looked_up && lookup.is_asked(left) {
                lookup.find(record, left, kept);
                if !left.keep(kept) {
                    return;
                }
            }
        }
        left.for_each(each);
    }
}

impl<B: Bits> Shared<B> {
    /// Looks up the fields that a record shares with all that are like it.
    #[cold]
    fn new<R: Record>(record: &R, fields: &[FieldLookup<B>], any: &B) -> Self {
        let mut all = any.clone();
        all.fill();
        let mut shared = Shared { kept: all.clone(), fields: 0 };
        let mut kept = any.clone();
        for (at, lookup) in (0..u64::BITS).zip(fields) {
            if record.is_shared(lookup.field()) {
                lookup.find(record, &all, &mut kept);
                shared.kept.keep(&kept);
                shared.fields |= 1 << at;
            }
        }
        shared
    }
}
