//! Times as nearly all lines of a recording have them, read beside the day of the last one.

use super::{NANOS_PER_MILLI, NANOS_PER_SECOND, TimestampError, parse, parse_value};

/// The day of the last time that was read, which hardly changes from one time to the next.
///
/// What is written as `2026-11-24T08:00:00.123Z` is read with a few steps; all else goes to [`parse`] and
/// [`parse_value`](super::parse_value), which alone say what a time is.
#[derive(Clone, Debug, Default)]
pub struct Day {
    /// As it is written; at first no day is.
    text: [u8; 10],
    /// When it began, nanoseconds since 1970.
    start: i64,
}

impl Day {
    /// Does what [`timestamp::parse`](super::parse) does.
    #[inline]
    pub fn parse(&mut self, text: &str) -> Result<i64, TimestampError> {
        self.usual(text.as_bytes()).map_or_else(|| parse(text), Ok)
    }

    /// Does what [`timestamp::parse_value`](super::parse_value) does.
    #[inline]
    pub fn parse_value(&mut self, text: &str) -> Result<i64, TimestampError> {
        self.usual(text.as_bytes()).map_or_else(|| parse_value(text), Ok)
    }

    /// Reads a time of the usual form; `None` for anything else, be it right or wrong.
    #[inline]
    fn usual(&mut self, text: &[u8]) -> Option<i64> {
        let (date, time) = text.split_first_chunk()?;
        let of_day = of_day(time)?;
        if *date != self.text {
            self.go_to(date)?;
        }
        self.start.checked_add(of_day)
    }

    /// Goes to another day, if it is one of which 64 bits hold the beginning.
    #[cold]
    fn go_to(&mut self, date: &[u8; 10]) -> Option<()> {
        let start = format!("{}T00:00:00Z", str::from_utf8(date).ok()?);
        *self = Day { start: parse(&start).ok()?, text: *date };
        Some(())
    }
}

/// Reads the time of day of `T08:00:00.123Z`, in nanoseconds; no leap second.
#[inline]
fn of_day(time: &[u8]) -> Option<i64> {
    let (minutes, rest) = time.split_first_chunk()?;
    let [_, hour, _, _, minute, _, _, tens] = pairs(digits(*minutes, *b"T00:00:0")?);
    let (second, nanos) = match (rest.len(), time.last_chunk()) {
        // Nearly all have milliseconds.
        (6, Some(seconds)) => {
            let digits = digits(*seconds, *b":00.000Z")?;
            let ([_, second, _, _, tens, ..], [.., ones, _]) = (pairs(digits), digits.to_le_bytes());
            (second, (tens * 10 + i64::from(ones)) * NANOS_PER_MILLI)
        }
        _ => {
            let ([ones @ b'0'..=b'9'], fraction) = rest.split_first_chunk()? else { return None };
            (tens + i64::from(ones - b'0'), i64::from(nanos(fraction)?))
        }
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((hour * 3600 + minute * 60 + second) * NANOS_PER_SECOND + nanos)
}

/// Returns each of eight digits with the one behind it as a number: at most 99, so that none carries into the next.
#[inline]
fn pairs(digits: u64) -> [i64; 8] {
    (digits * 10 + (digits >> 8)).to_le_bytes().map(i64::from)
}

/// Reads `.123Z` as nanoseconds.
#[inline]
fn nanos(fraction: &[u8]) -> Option<u32> {
    let (fraction, b"Z") = fraction.split_last_chunk()? else { return None };
    let Some((b'.', digits)) = fraction.split_first() else { return fraction.is_empty().then_some(0) };
    let unit = *UNITS.get(digits.len())?;
    let mut number = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u32::from(digit);
    }
    (!digits.is_empty()).then_some(number * unit)
}

/// How many nanoseconds the last of so many decimals of a second counts.
const UNITS: [u32; 10] =
    [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// Returns the digits of a text, all at once, that has one wherever `form` has a `0`, and 0 for what else it has; `None` if
/// it has anything else than `form`.
#[inline]
fn digits(text: [u8; 8], form: [u8; 8]) -> Option<u64> {
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    // What a digit, or a byte that is 0, lacks until its highest bit is set by one too many.
    let room = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0x76 } else { 0x7f }));
    let digits = u64::from_le_bytes(text) ^ u64::from_le_bytes(form);
    // The lowest byte that is wrong sees no carry, and so none is overlooked.
    ((digits | digits.wrapping_add(room)) & HIGHEST == 0).then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks that a text is read as if nothing had been before, whatever the day before was.
    fn check(day: &mut Day, text: &str) {
        assert_eq!(day.parse(text), parse(text), "{text:?} after {day:?}");
        assert_eq!(day.parse_value(text), parse_value(text), "{text:?} after {day:?}");
    }

    #[test]
    fn every_byte_of_the_usual_form_counts() {
        for usual in ["2026-11-24T08:31:59Z", "2026-11-24T08:31:59.123Z", "2026-11-24T08:31:59.123456789Z"] {
            check_every_byte(usual);
        }
    }

    fn check_every_byte(usual: &str) {
        let mut day = Day::default();
        assert_eq!(day.usual(usual.as_bytes()), parse(usual).ok());
        for at in 0..usual.len() {
            for byte in 0..=255 {
                let mut changed = usual.as_bytes().to_vec();
                changed[at] = byte;
                match String::from_utf8(changed) {
                    Ok(text) => check(&mut day, &text),
                    Err(changed) => assert_eq!(day.usual(changed.as_bytes()), None, "{byte} at {at}"),
                }
                check(&mut day, usual);
            }
        }
        for length in 0..usual.len() {
            check(&mut day, &usual[..length]);
            check(&mut day, &format!("{}Z", &usual[..length]));
        }
    }

    #[test]
    fn days_at_the_ends_of_what_64_bits_hold_are_read_as_any_other() {
        let mut day = Day::default();
        for date in
            ["0000-01-01", "1677-09-20", "1677-09-21", "1677-09-22", "2262-04-11", "2262-04-12", "9999-12-31"]
        {
            for time in ["00:00:00Z", "00:12:43.145224191Z", "00:12:43.145224192Z", "23:59:59.9Z"] {
                check(&mut day, &format!("{date}T{time}"));
            }
            for time in ["23:47:16.854775807Z", "23:47:16.854775808Z", "23:59:60Z", "24:00:00Z", "00:60:00Z"]
            {
                check(&mut day, &format!("{date}T{time}"));
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_after_each_other_is_read_as_if_it_were_alone(
            texts in prop::collection::vec(
                "(19|20|[0-9]{2})[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?Z?|[-+0-9TtZz:. ]{0,40}",
                1..6,
            ),
            at in 0..32_usize,
            with: char,
        ) {
            let mut day = Day::default();
            for text in texts {
                check(&mut day, &text);
                if text.len() > at {
                    let mut changed = text.clone();
                    changed.replace_range(at..=at, with.encode_utf8(&mut [0; 4]));
                    check(&mut day, &changed);
                    check(&mut day, &text);
                }
            }
        }
    }
}
