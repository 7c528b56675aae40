//! Case folding: how `~` and `:` compare text.

use std::borrow::Cow;

/// Returns the character that stands for both cases of `c`: ASCII and simple Unicode lower case.
pub(crate) fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

/// Returns the text with every character folded.
pub(crate) fn folded(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else if text.is_ascii() {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Owned(text.chars().map(fold).collect())
    }
}

/// Returns whether `text`, folded, is `folded`, which is folded already.
pub(crate) fn eq_folded(text: &str, folded: &str) -> bool {
    if text.is_ascii() && folded.is_ascii() {
        return text.eq_ignore_ascii_case(folded);
    }
    text.chars().map(fold).eq(folded.chars())
}

/// Returns `text` folded if `insensitive`, else as it is.
pub(crate) fn folded_if(text: &str, insensitive: bool) -> Cow<'_, str> {
    if insensitive { folded(text) } else { Cow::Borrowed(text) }
}
