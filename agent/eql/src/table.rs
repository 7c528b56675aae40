//! What is looked up by a number that is a hash already.

/// A table that never changes, made for lookups that find nothing: these mostly end at the first slot.
///
/// Who sends events cannot add to it, so nobody can make its slots collide.
#[derive(Debug)]
pub(crate) struct Table<T> {
    /// The number of each slot, or [`EMPTY`]; a power of two of slots, of which at most half are taken.
    numbers: Box<[u64]>,
    /// What stands under the number of each slot.
    values: Box<[Option<T>]>,
    /// How far a number is shifted to be a slot's.
    shift: u32,
}

const EMPTY: u64 = 0;

impl<T> Table<T> {
    /// Makes a table of values under numbers whose bits are mixed; none comes twice.
    pub(crate) fn new(entries: Vec<(u64, T)>) -> Self {
        let slots = (2 * entries.len()).next_power_of_two().max(2);
        let mut table = Table {
            numbers: vec![EMPTY; slots].into(),
            values: std::iter::repeat_with(|| None).take(slots).collect(),
            shift: u64::BITS - slots.trailing_zeros(),
        };
        for (number, value) in entries {
            let number = taken(number);
            let at = table.slot(number);
            table.numbers[at] = number;
            table.values[at] = Some(value);
        }
        table
    }

    /// Returns what stands under `number`.
    #[inline]
    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.values[self.slot(taken(number))].as_ref()
    }

    /// Returns the slot of a number, or the empty one that it would take.
    #[inline]
    fn slot(&self, number: u64) -> usize {
        let last = self.numbers.len() - 1;
        let mut at = (number >> self.shift) as usize & last;
        while self.numbers[at] != number && self.numbers[at] != EMPTY {
            at = (at + 1) & last;
        }
        at
    }
}

/// The number by which one is kept: it is not [`EMPTY`].
fn taken(number: u64) -> u64 {
    number.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_it_holds_and_nothing_else() {
        for count in [0, 1, 2, 3, 100] {
            // The last ones all begin at the last slot, and go on at the first.
            let number =
                |at: u64| if at < 50 { at.wrapping_mul(0x9e37_79b9_7f4a_7c15) } else { u64::MAX - at };
            let table = Table::new((0..count).map(|at| (number(at), at)).collect());
            for at in 0..200 {
                assert_eq!(table.get(number(at)).copied(), (at < count).then_some(at), "{at} of {count}");
            }
        }
    }
}
