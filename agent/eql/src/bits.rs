//! Sets of alternatives, a bit for each.

use std::fmt::Debug;

/// Some words of a bit set, for they are combined without a loop.
pub(crate) type Block = [u64; 4];

/// How many numbers a block has bits for.
pub(crate) const BLOCK_BITS: usize = 64 * 4;

/// A bit set of numbers below one that is known when it is made. All that are combined are of the same size.
pub(crate) trait Bits: AsRef<[Block]> + AsMut<[Block]> + Clone + Debug {
    /// Makes an empty set that has room for so many numbers.
    fn empty(numbers: usize) -> Self;

    /// Makes a set of numbers that has room for `room`.
    fn of<'n>(numbers: impl Iterator<Item = &'n u32>, room: usize) -> Self {
        let mut bits = Self::empty(room);
        numbers.for_each(|number| bits.put(*number, true));
        bits
    }

    /// Says whether a number is in the set.
    fn put(&mut self, number: u32, is_in: bool) {
        let bit = 1 << (number % 64);
        let word = &mut self.as_mut().as_flattened_mut()[number as usize / 64];
        *word = if is_in { *word | bit } else { *word & !bit };
    }

    /// Becomes what another is.
    #[inline]
    fn copy(&mut self, other: &Self) {
        self.as_mut().copy_from_slice(other.as_ref());
    }

    /// Becomes the set of all numbers that there is room for.
    fn fill(&mut self) {
        self.as_mut().fill([u64::MAX; 4]);
    }

    /// Takes out what another has.
    fn remove(&mut self, other: &Self) {
        for (own, other) in self.as_mut().iter_mut().zip(other.as_ref()) {
            *own = std::array::from_fn(|at| own[at] & !other[at]);
        }
    }

    /// Takes out what another does not have. Returns whether anything is left.
    #[inline]
    fn keep(&mut self, other: &Self) -> bool {
        let mut any = 0;
        for (own, other) in self.as_mut().iter_mut().zip(other.as_ref()) {
            *own = std::array::from_fn(|at| own[at] & other[at]);
            any |= own.iter().fold(0, |any, word| any | word);
        }
        any != 0
    }

    /// Returns whether a number is in both.
    #[inline]
    fn meets(&self, other: &Self) -> bool {
        self.as_ref().iter().zip(other.as_ref()).any(|(own, other)| {
            let words = own.iter().zip(other).fold(0, |both, (own, other)| both | (own & other));
            words != 0
        })
    }

    /// Calls `each` with every number, in order.
    #[inline]
    fn for_each(&self, mut each: impl FnMut(u32)) {
        for (at, word) in (0..).zip(self.as_ref().as_flattened()) {
            let mut rest = *word;
            while rest != 0 {
                each(at * 64 + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
    }
}

/// Of up to [`BLOCK_BITS`] numbers. What is done with it takes no loop and no memory elsewhere.
pub(crate) type Narrow = [Block; 1];

/// Of any numbers.
pub(crate) type Wide = Box<[Block]>;

impl Bits for Narrow {
    fn empty(numbers: usize) -> Self {
        debug_assert!(numbers <= BLOCK_BITS);
        Narrow::default()
    }
}

impl Bits for Wide {
    fn empty(numbers: usize) -> Self {
        vec![Block::default(); numbers.div_ceil(BLOCK_BITS)].into()
    }
}

/// A few numbers: only the words of a bit set that are not empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set(Box<[(u32, u64)]>);

impl Set {
    /// Makes a set of numbers.
    pub(crate) fn new(mut numbers: Vec<u32>) -> Self {
        numbers.sort_unstable();
        let mut words: Vec<(u32, u64)> = Vec::new();
        for number in numbers {
            let bit = 1 << (number % 64);
            match words.last_mut() {
                Some((at, word)) if *at == number / 64 => *word |= bit,
                _ => words.push((number / 64, bit)),
            }
        }
        Set(words.into())
    }

    /// Adds all of it to a bit set.
    #[inline]
    pub(crate) fn add_to(&self, bits: &mut impl Bits) {
        for (at, word) in &self.0 {
            bits.as_mut().as_flattened_mut()[*at as usize] |= word;
        }
    }
}
