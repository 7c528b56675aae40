//! What is found out once for all documents of one layout.

use super::document::{self, Category};
use crate::observation::Values;
use crate::process_table::Change;

/// What a document is, as far as all documents of its layout are the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nature {
    /// Whether it is an alert, or belongs to one.
    pub(super) is_alert: Option<bool>,
    pub(super) category: Option<Category>,
    /// What happened to its process.
    pub(super) change: Option<Change>,
    /// Whether it says which operating system it comes from.
    pub(super) names_os: bool,
    /// Whether all are of one host.
    pub(super) shares_host: bool,
    /// The number of that host, once it is known.
    pub(super) host: Option<u32>,
}

/// What is known of a few layouts, each at the one place where it may be, with its number.
#[derive(Debug)]
pub(super) struct Natures(Box<[(u64, Nature)]>);

/// How many layouts are known; a power of two.
const PLACES: usize = 64;

impl Default for Natures {
    fn default() -> Self {
        Natures(vec![(0, Nature::default()); PLACES].into())
    }
}

impl Natures {
    /// Returns the nature of a document.
    #[inline]
    pub(super) fn of(&mut self, document: &Values) -> &mut Nature {
        let number = document.layout_number();
        let (known, nature) = &mut self.0[number as usize % PLACES];
        if *known != number {
            (*known, *nature) = (number, Nature::of(document));
        }
        nature
    }
}

impl Nature {
    /// Finds out what a document shares with all of its layout.
    #[cold]
    fn of(document: &Values) -> Self {
        let shares = |fields: &[_]| fields.iter().all(|field| document.is_shared_or_missing(*field));
        Nature {
            is_alert: shares(&[document::EVENT_KIND]).then(|| document::is_alert(document)),
            category: shares(&[document::EVENT_CATEGORY]).then(|| document::category(document)),
            change: shares(&[document::EVENT_ACTION, document::EVENT_TYPE])
                .then(|| document::change(document)),
            names_os: document::names_os(document),
            shares_host: shares(&[document::HOST_ID]),
            host: None,
        }
    }
}
