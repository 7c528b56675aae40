//! Event queries that are asked of each record together.

use crate::compile::{Filter, Plan, Program};
use crate::index::{Candidates, Index};
use crate::predicate::Context;
use crate::record::Record;

/// Any number of event queries, of which an index names those that a record may satisfy.
///
/// It decides as [`Program::matches`] does, at the cost of the few queries that the record may satisfy.
#[derive(Debug, Default)]
pub struct Filters {
    /// Each with the number of its program.
    filters: Vec<(usize, Filter)>,
    index: Index,
    /// A bit for each filter.
    all: Vec<u64>,
    found: Candidates,
}

impl Filters {
    /// Gathers event queries; they are numbered as they come, from 0. A sequence or a sample matches no record.
    pub fn new<'p>(programs: impl IntoIterator<Item = &'p Program>) -> Self {
        let filters: Vec<(usize, Filter)> = programs
            .into_iter()
            .enumerate()
            .filter_map(|(number, program)| match &program.plan {
                Plan::Event(filter) => Some((number, filter.clone())),
                Plan::Sequence(_) | Plan::Sample(_) => None,
            })
            .collect();
        Filters {
            index: Index::new(filters.iter().map(|(_, filter)| filter)),
            all: vec![u64::MAX; filters.len().div_ceil(64)],
            found: Candidates::default(),
            filters,
        }
    }

    /// Calls `each` with the number of each query that `record` matches, in order.
    pub fn matching<R: Record>(&mut self, record: &R, mut each: impl FnMut(usize)) {
        if self.filters.is_empty() {
            return;
        }
        self.index.find(record, &mut self.found);
        let mut from = 0;
        while let Some(at) = self.found.next(from, &self.all) {
            let (number, filter) = &self.filters[at];
            if filter.holds(&Context { record, bound: &[], related: &|_, _| false }) {
                each(*number);
            }
            from = at + 1;
        }
    }
}
