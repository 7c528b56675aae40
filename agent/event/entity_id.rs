//! A process's entity id.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

/// `process.entity_id`, or nothing. Who has it shares it.
///
/// A recording names another process every few lines, and each id is kept as long as the process is known; so the memory
/// of one that nobody has any longer serves for the next, and most ids lie in it themselves.
#[derive(Clone, Default)]
pub struct EntityId(Option<Rc<Text>>);

#[derive(Clone)]
enum Text {
    /// Bytes of valid UTF-8, of so many.
    Short(u8, [u8; SHORT]),
    Long(String),
}

/// How long an id is at most that lies in itself. The sensor's own has 32 bytes.
const SHORT: usize = 46;

/// How long the memory of another is at most that is used again.
const LONG: usize = 128;

impl EntityId {
    /// Becomes another id, in its own memory if nobody shares it.
    pub fn renew(&mut self, id: &str) {
        match self.0.as_mut().and_then(Rc::get_mut) {
            Some(text) if !id.is_empty() => text.renew(id),
            _ => *self = id.into(),
        }
    }

    /// Returns its text in bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self.0.as_deref() {
            None => &[],
            Some(Text::Short(length, bytes)) => &bytes[..usize::from(*length)],
            Some(Text::Long(text)) => text.as_bytes(),
        }
    }

    /// Returns how many bytes its text has.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether it is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether two are the same because they are shared, without a look at them.
    #[inline]
    pub fn is_shared_with(&self, other: &EntityId) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(other)) => Rc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        }
    }
}

impl Text {
    fn new(id: &str) -> Self {
        let mut text = Text::Short(0, [0; SHORT]);
        text.renew(id);
        text
    }

    fn renew(&mut self, id: &str) {
        match self {
            Text::Short(length, bytes) if id.len() <= SHORT => {
                *length = id.len() as u8;
                bytes[..id.len()].copy_from_slice(id.as_bytes());
            }
            Text::Long(text) if (id.len()..=LONG).contains(&text.capacity()) => {
                text.clear();
                text.push_str(id);
            }
            _ => *self = Text::Long(id.to_owned()),
        }
    }
}

impl From<&str> for EntityId {
    fn from(id: &str) -> Self {
        EntityId((!id.is_empty()).then(|| Rc::new(Text::new(id))))
    }
}

impl Deref for EntityId {
    type Target = str;

    fn deref(&self) -> &str {
        match self.0.as_deref() {
            None => "",
            Some(Text::Short(..)) => str::from_utf8(self.as_bytes()).expect("it was text when it was taken"),
            Some(Text::Long(text)) => text,
        }
    }
}

impl PartialEq for EntityId {
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other) || self.as_bytes() == other.as_bytes()
    }
}

impl Eq for EntityId {}

impl PartialOrd for EntityId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntityId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for EntityId {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.as_bytes().hash(hasher);
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_it_was_made_of_whatever_was_there_before() {
        let ids = ["", "a", "6f1ed002ab5595859014ebf0951522d9", "\u{e9}\u{1f980}"].map(str::to_owned);
        let long = [SHORT - 1, SHORT, SHORT + 1, 200].map(|length| "x".repeat(length));
        let ids: Vec<String> = ids.into_iter().chain(long).collect();
        for (before, after) in ids.iter().flat_map(|one| ids.iter().map(move |other| (one, other))) {
            let mut id = EntityId::from(&**before);
            id.renew(after);
            assert_eq!(&*id, after, "after {before}");
            assert_eq!(id, EntityId::from(&**after));
            assert_eq!(id == EntityId::from(&**before), before == after);
        }
    }

    #[test]
    fn who_shares_an_id_keeps_it() {
        let mut id = EntityId::from("one");
        let shared = id.clone();
        id.renew("two");
        assert_eq!((&*id, &*shared), ("two", "one"));
    }
}
