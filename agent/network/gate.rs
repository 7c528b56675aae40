//! Which source may be tried on which macOS.

use super::ntstat::Layout;

/// The first macOS on which event 154 may be subscribed to. On 26.3.1 and older, a subscription to a number that the
/// kernel does not have panics it (Objective-See's blog 0x86; mended in 26.4).
pub const FIRST_ES: [u32; 3] = [26, 4, 0];

/// The Darwin of [`FIRST_ES`]: the kernel's own word, so that no setting of compatibility can say otherwise.
const FIRST_ES_DARWIN: [u32; 3] = [25, 4, 0];

/// What a Mac says that it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// `kern.osproductversion`: 26.4.
    pub version: String,
    /// `kern.osrelease`: 25.4.0.
    pub darwin: String,
    /// `kern.osversion`: 25E246, which is another for each update.
    pub build: String,
}

/// Allows a subscription to event 154. Only [`es`] makes one, so that nothing else can subscribe.
#[derive(Debug)]
pub struct EventPermit(());

/// Allows event 154, from macOS 26.4 on, if the version and the kernel both say so.
///
/// # Errors
/// Why not, in a sentence.
pub fn es(system: &System) -> Result<EventPermit, String> {
    let new_enough = |text: &str, first| numbers(text).is_some_and(|version| version >= first);
    if new_enough(&system.version, FIRST_ES) && new_enough(&system.darwin, FIRST_ES_DARWIN) {
        return Ok(EventPermit(()));
    }
    Err(format!(
        "Endpoint Security tells of connections from macOS 26.4 on, and this is macOS {} (Darwin {})",
        crate::readable::visible(&system.version),
        crate::readable::visible(&system.darwin)
    ))
}

/// Returns the layout of this kernel's network statistics.
///
/// # Errors
/// It is not known, in a sentence.
pub fn ntstat(system: &System) -> Result<Layout, String> {
    let known = numbers(&system.darwin).and_then(|[major, ..]| Layout::of(major));
    known.ok_or_else(|| {
        format!(
            "the layout of the kernel's network statistics is known for Darwin 22 to 25 (macOS 13 to 26), and this is \
             Darwin {}",
            crate::readable::visible(&system.darwin)
        )
    })
}

/// Reads a version; a part that is left out is 0, and anything else than numbers is no version.
fn numbers(text: &str) -> Option<[u32; 3]> {
    let mut version = [0; 3];
    let mut parts = text.split('.');
    for (index, number) in version.iter_mut().enumerate() {
        match parts.next() {
            Some(part) if part.bytes().all(|byte| byte.is_ascii_digit()) => *number = part.parse().ok()?,
            None if index > 0 => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(version: &str, darwin: &str) -> System {
        System { version: version.into(), darwin: darwin.into(), build: String::new() }
    }

    #[test]
    fn event_154_is_never_subscribed_to_below_26_4() {
        for (version, darwin) in [
            ("26.3.1", "25.3.0"),
            ("26.3", "25.3.0"),
            ("26.3.99", "25.3.9"),
            ("15.7.3", "24.6.0"),
            ("13.0", "22.1.0"),
            // One of the two says otherwise.
            ("26.4", "25.3.0"),
            ("26.3.1", "25.4.0"),
            ("27.0", "24.6.0"),
            // Nothing that is no version is one.
            ("", ""),
            ("26", "25"),
            ("26.4", ""),
            ("", "25.4.0"),
            ("26.4.0.1", "25.4.0"),
            ("26.4b", "25.4.0"),
            ("+26.4", "25.4.0"),
            ("26..4", "25.4.0"),
            ("99999999999.0", "25.4.0"),
            ("\u{1b}[31m26.4", "25.4.0"),
        ] {
            let why = es(&system(version, darwin)).expect_err(version);
            assert!(!why.contains('\u{1b}'), "{why}");
        }
    }

    #[test]
    fn event_154_is_allowed_from_26_4_on() {
        for (version, darwin) in [
            ("26.4", "25.4.0"),
            ("26.4.0", "25.4.0"),
            ("26.4.1", "25.4.1"),
            ("26.10", "25.10.0"),
            ("27.0", "26.0.0"),
        ] {
            assert!(es(&system(version, darwin)).is_ok(), "{version}");
        }
    }

    #[test]
    fn statistics_are_read_where_their_layout_is_known() {
        for (darwin, layout) in [
            ("22.6.0", Some(Layout::Darwin22)),
            ("23.0.0", Some(Layout::Darwin23)),
            ("25.4.0", Some(Layout::Darwin23)),
            ("21.6.0", None),
            ("26.0.0", None),
            ("", None),
            ("22.x", None),
        ] {
            assert_eq!(ntstat(&system("", darwin)).ok(), layout, "{darwin}");
        }
    }
}
