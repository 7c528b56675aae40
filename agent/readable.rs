//! Alerts for people: what was installed, who ran what, what it connected to.
//!
//! Everything that comes from an event was written by whoever is suspected: what is not a visible character is
//! shown as `\u{…}`, so that nothing can forge a line or move a terminal's cursor.

mod explanation;
mod list;
mod page;
mod text;
mod whole;

use std::fmt::Write;

pub use self::explanation::explanation;
pub(crate) use self::explanation::nearest;
pub use self::list::{Row, header, more, row, short_id};
use self::page::Page;
pub(crate) use self::text::{get, severity, summary};
pub use self::whole::{Whole, whole};
use crate::alert::{Alert, AlertKind, is_deceptive};

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are used.
    pub colour: bool,
    /// The width of a line in characters; what is longer is cut.
    pub width: usize,
}

/// Returns the readable form of an alert or an enrichment: several lines, an empty one last.
pub fn alert(alert: &Alert, style: Style) -> String {
    let mut page = Page::new(style);
    match alert.kind {
        AlertKind::Alert => page.alert(alert.document(), Some(&alert.rule)),
        AlertKind::Enrichment => page.enrichment(alert.document(), &alert.rule.name),
        AlertKind::Summary => page.summary(alert.document(), &alert.rule.name),
    }
    page.finish()
}

/// Returns text with everything but visible characters escaped.
pub fn visible(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => result.push_str("\\n"),
            '\t' => result.push_str("\\t"),
            '\r' => result.push_str("\\r"),
            c if is_deceptive(c) => {
                let _ = write!(result, "\\u{{{:x}}}", c as u32);
            }
            c => result.push(c),
        }
    }
    result
}
