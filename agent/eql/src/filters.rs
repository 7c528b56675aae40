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
    found: Candidates,
}

impl Filters {
    /// Gathers event queries that are to be asked of records of a type; they are numbered as they come, from 0. A sequence
    /// or a sample matches no record.
    pub fn new<'p, R: Record>(programs: impl IntoIterator<Item = &'p Program>) -> Self {
        let filters: Vec<(usize, Filter)> = programs
            .into_iter()
            .enumerate()
            .filter_map(|(number, program)| match &program.plan {
                Plan::Event(filter) => Some((number, filter.clone())),
                Plan::Sequence(_) | Plan::Sample(_) => None,
            })
            .collect();
        let mut index = Index::new::<R>(filters.iter().map(|(_, filter)| filter));
        (0..filters.len()).for_each(|filter| index.set_counting(filter, true, |_| true));
        Filters { index, found: Candidates::default(), filters }
    }

    /// Calls `each` with the number of each query that `record` matches, in order.
    pub fn matching<R: Record>(&mut self, record: &R, mut each: impl FnMut(usize)) {
        if self.filters.is_empty() {
            return;
        }
        self.index.find(record, &mut self.found);
        for at in self.found.iter() {
            let (number, filter) = &self.filters[at];
            if filter.holds(&Context { record, bound: &[], related: &|_, _| false }) {
                each(*number);
            }
        }
    }
}
