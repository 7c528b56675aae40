//! What is found out once for all records that are alike.

/// What is known of records by their [likeness](crate::Record::likeness), of a few likenesses. Of one that does not come
/// again nothing is found out: there may be any number of these.
#[derive(Debug)]
pub(crate) struct Likenesses<T>(Box<[Entry<T>]>);

#[derive(Debug)]
struct Entry<T> {
    likeness: Option<u64>,
    known: Option<T>,
    /// How often others came here since this one did.
    others: u8,
}

/// How many likenesses are told apart; a power of two. Each has one place where it may be.
const PLACES: usize = 64;

/// How many others come to a place before one of them takes it.
const PATIENCE: u8 = 8;

impl<T> Default for Likenesses<T> {
    fn default() -> Self {
        let entry = || Entry { likeness: None, known: None, others: PATIENCE };
        Likenesses(std::iter::repeat_with(entry).take(PLACES).collect())
    }
}

impl<T> Likenesses<T> {
    /// Returns what is known of records of this likeness, which `find` finds out when it comes for the second time; `None` if
    /// that is nothing.
    #[inline]
    pub(crate) fn of(&mut self, likeness: u64, find: impl FnOnce() -> T) -> Option<&T> {
        let entry = &mut self.0[likeness as usize % PLACES];
        if entry.likeness != Some(likeness) {
            entry.is_other(likeness);
            return None;
        }
        entry.others = 0;
        if entry.known.is_none() {
            entry.known = Some(find());
        }
        entry.known.as_ref()
    }
}

impl<T> Entry<T> {
    /// Another likeness has come to the place of this one.
    #[cold]
    fn is_other(&mut self, likeness: u64) {
        match self.others.checked_add(1).filter(|others| *others < PATIENCE) {
            Some(others) => self.others = others,
            None => *self = Entry { likeness: Some(likeness), known: None, others: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_known_and_found_out_once() {
        let mut known = Likenesses::default();
        let mut found = 0;
        let mut ask = |likeness: u64| {
            let find = || {
                found += 1;
                likeness
            };
            let known = known.of(likeness, find).copied();
            assert!(known.is_none_or(|known| known == likeness));
            (known.is_some(), found)
        };
        assert_eq!(ask(7), (false, 0));
        assert_eq!(ask(7), (true, 1));
        assert_eq!(ask(7), (true, 1));
        // What never comes again takes nobody's place as long as that one is asked for.
        for other in 1..1000 {
            assert_eq!(ask(7 + other * PLACES as u64), (false, 1));
            assert_eq!(ask(7), (true, 1));
        }
        // Two that take turns: one of them is known.
        let other = 7 + PLACES as u64;
        let turns: Vec<bool> = (0..100).map(|turn| ask(if turn % 2 == 0 { 7 } else { other }).0).collect();
        assert!(turns.iter().filter(|known| **known).count() >= 50, "{turns:?}");
        // One that is gone makes room.
        let again: Vec<bool> = (0..20).map(|_| ask(other).0).collect();
        assert!(again.ends_with(&[true; 10]), "{again:?}");
    }
}
