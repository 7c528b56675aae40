//! RFC 3339 times as nanoseconds since 1970, and back.
//!
//! An `i64` of nanoseconds reaches from 1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z;
//! every conversion here is checked against it, because the text comes from whoever made the recording.

mod day;

use std::fmt;

pub use self::day::Day;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_MILLI: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Why a text or number is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The text has another form.
    #[error("not a time of the form 2026-11-24T08:00:00.123Z (RFC 3339)")]
    Form,
    /// A month 13, a 30 February, a minute 61.
    #[error("no such date or time of day")]
    NoSuchTime,
    /// Before 1677 or after 2262.
    #[error("a time outside the years 1677 to 2262")]
    OutOfRange,
}

/// Parses an RFC 3339 time, such as `2026-11-24T08:00:00.5+01:00`, into nanoseconds since 1970.
///
/// `T` and `Z` may be lower case; the fraction has up to nine digits or is left out. A leap second (`:60`)
/// is the first second of the next minute, as POSIX counts.
pub fn parse(text: &str) -> Result<i64, TimestampError> {
    use TimestampError::{Form, NoSuchTime, OutOfRange};

    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(19).ok_or(Form)?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| head[*at] != *byte) || !matches!(head[10], b'T' | b't') {
        return Err(Form);
    }
    let year = number(&head[0..4])?;
    let month = number(&head[5..7])?;
    let day = number(&head[8..10])?;
    let (hour, minute, second) = (number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?);
    let (nanos, zone) = fraction(tail)?;
    let offset = offset_seconds(zone)?;

    if !(1..=12).contains(&month)
        || !(1..=days_in_month(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return Err(NoSuchTime);
    }
    let seconds =
        days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    // The very first second of the range begins before it, so multiply where there is room.
    i64::try_from(i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos))
        .map_err(|_| OutOfRange)
}

/// Parses an RFC 3339 time or, written as decimal digits, milliseconds since 1970 (`1764000000000`,
/// `-1`, `1764000000000.25`), into nanoseconds since 1970.
pub fn parse_value(text: &str) -> Result<i64, TimestampError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) {
        return parse(text);
    }
    // Milliseconds have six decimals of nanoseconds; what is finer is cut off.
    let mut nanos = 0;
    for at in 0..6 {
        nanos = nanos * 10 + decimals.as_bytes().get(at).map_or(0, |byte| i64::from(byte - b'0'));
    }
    let millis: i64 = whole.parse().map_err(|_| TimestampError::OutOfRange)?;
    millis
        .checked_mul(NANOS_PER_MILLI)
        .and_then(|whole| whole.checked_add(nanos))
        .map(|value| if negative { -value } else { value })
        .ok_or(TimestampError::OutOfRange)
}

/// Parses the time of an entry as `log show --style ndjson` writes it, `2026-11-24 08:05:29.894123+0100`, into
/// nanoseconds since 1970; `None` where it is none.
pub fn parse_log(text: &str) -> Option<i64> {
    let (head, zone) = text.split_at_checked(text.len().checked_sub(5)?)?;
    let (hours, minutes) = zone.split_at_checked(3)?;
    parse(&format!("{}{hours}:{minutes}", head.replacen(' ', "T", 1))).ok()
}

/// Converts whole milliseconds since 1970 into nanoseconds.
pub fn from_millis(millis: i64) -> Result<i64, TimestampError> {
    millis.checked_mul(NANOS_PER_MILLI).ok_or(TimestampError::OutOfRange)
}

/// Converts milliseconds since 1970, with a fraction, into nanoseconds.
pub fn from_millis_f64(millis: f64) -> Result<i64, TimestampError> {
    // Beyond this many milliseconds i64 nanoseconds end; NaN fails the comparison too.
    const LIMIT: f64 = (i64::MAX / NANOS_PER_MILLI) as f64;
    if !(-LIMIT..=LIMIT).contains(&millis) {
        return Err(TimestampError::OutOfRange);
    }
    // In two parts: their product in one would have only 53 bits for what may need 63.
    let nanos = (millis.fract() * NANOS_PER_MILLI as f64).round() as i64;
    from_millis(millis.trunc() as i64)?.checked_add(nanos).ok_or(TimestampError::OutOfRange)
}

/// Writes nanoseconds since 1970 as an RFC 3339 time in UTC, as [`Rfc3339`] does.
pub fn format(nanos: i64) -> String {
    Rfc3339(nanos).to_string()
}

/// Displays nanoseconds since 1970 as an RFC 3339 time in UTC with the fewest of 3, 6 or 9 fractional
/// digits that lose nothing: `2026-11-24T08:00:00.000Z`, `2026-11-24T08:00:00.123456Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub i64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(NANOS_PER_SECOND);
        let nanos = self.0.rem_euclid(NANOS_PER_SECOND);
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.")?;
        if nanos % 1_000_000 == 0 {
            write!(out, "{:03}Z", nanos / 1_000_000)
        } else if nanos % 1_000 == 0 {
            write!(out, "{:06}Z", nanos / 1_000)
        } else {
            write!(out, "{nanos:09}Z")
        }
    }
}

fn number(digits: &[u8]) -> Result<i64, TimestampError> {
    digits.iter().try_fold(0, |sum, byte| match byte {
        b'0'..=b'9' => Ok(sum * 10 + i64::from(byte - b'0')),
        _ => Err(TimestampError::Form),
    })
}

/// Splits `.123Z` into nanoseconds and the zone.
fn fraction(tail: &[u8]) -> Result<(i64, &[u8]), TimestampError> {
    let Some(rest) = tail.strip_prefix(b".") else { return Ok((0, tail)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return Err(TimestampError::Form);
    }
    let (digits, zone) = rest.split_at(length);
    Ok((number(digits)? * 10_i64.pow(9 - length as u32), zone))
}

/// Returns how many seconds the zone (`Z`, `+01:00`) is ahead of UTC.
fn offset_seconds(zone: &[u8]) -> Result<i64, TimestampError> {
    match zone {
        b"Z" | b"z" => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return Err(TimestampError::NoSuchTime);
            }
            let seconds = hours * 3600 + minutes * 60;
            Ok(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(TimestampError::Form),
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts the days from 1970-01-01 in the proleptic Gregorian calendar; Howard Hinnant, "chrono-compatible
/// low-level date algorithms": years begin in March, so that the leap day is a year's last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_permitted_form() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("1970-01-01t00:00:00z", 0, 0),
            ("2026-11-24T08:00:00Z", 1_795_507_200, 0),
            ("2026-11-24T09:00:00+01:00", 1_795_507_200, 0),
            ("2026-11-24T02:30:00-05:30", 1_795_507_200, 0),
            ("2026-11-24T08:00:00-00:00", 1_795_507_200, 0),
            ("2026-11-24T08:00:00.5Z", 1_795_507_200, 500_000_000),
            ("2026-11-24T08:00:00.123456789Z", 1_795_507_200, 123_456_789),
            ("2016-12-31T23:59:60Z", 1_483_228_800, 0),
            ("2016-12-31T15:59:60.25-08:00", 1_483_228_800, 250_000_000),
            ("2000-02-29T00:00:00Z", 951_782_400, 0),
            ("1969-12-31T23:59:59.999Z", -1, 999_000_000),
        ] {
            assert_eq!(parse(text), Ok(seconds * NANOS_PER_SECOND + nanos), "{text}");
        }
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "",
            "2026",
            "2026-11-24",
            "2026-11-24 08:00:00Z",
            "2026-11-24T08:00:00",
            "2026-11-24T08:00Z",
            "2026-11-24T08:00:00.Z",
            "2026-11-24T08:00:00.1234567890Z",
            "2026-11-24T08:00:00+0100",
            "2026-11-24T08:00:00+01",
            "2026-11-24T08:00:00ZZ",
            "2026-11-24T08:00:00.5",
            "+026-11-24T08:00:00Z",
            "292277026596-12-04T15:30:07Z",
            "2026-11-24T08:00:0\u{666}Z",
            "2026-11-24T08:00:0é",
        ] {
            assert_eq!(parse(text), Err(TimestampError::Form), "{text}");
        }
    }

    #[test]
    fn refuses_times_that_do_not_exist() {
        for text in [
            "2026-00-24T08:00:00Z",
            "2026-13-24T08:00:00Z",
            "2026-11-00T08:00:00Z",
            "2026-11-31T08:00:00Z",
            "2026-02-29T08:00:00Z",
            "1900-02-29T08:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T08:60:00Z",
            "2026-11-24T08:00:61Z",
            "2026-11-24T08:00:00+24:00",
            "2026-11-24T08:00:00+01:60",
        ] {
            assert_eq!(parse(text), Err(TimestampError::NoSuchTime), "{text}");
        }
    }

    #[test]
    fn holds_exactly_what_64_bits_hold() {
        assert_eq!(parse("1677-09-21T00:12:43.145224192Z"), Ok(i64::MIN));
        assert_eq!(parse("2262-04-11T23:47:16.854775807Z"), Ok(i64::MAX));
        for text in [
            "1677-09-21T00:12:43.145224191Z",
            "2262-04-11T23:47:16.854775808Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(text), Err(TimestampError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn reads_milliseconds() {
        for (text, nanos) in [
            ("0", 0),
            ("1795507200000", 1_795_507_200_000_000_000),
            ("-1", -1_000_000),
            ("1.5", 1_500_000),
            ("-1.0000019", -1_000_001),
        ] {
            assert_eq!(parse_value(text), Ok(nanos), "{text}");
        }
        assert_eq!(parse_value("2026-11-24T08:00:00Z"), Ok(1_795_507_200_000_000_000));
        assert_eq!(parse_value("292277026596000000"), Err(TimestampError::OutOfRange));
        assert_eq!(parse_value("99999999999999999999"), Err(TimestampError::OutOfRange));
        for text in ["", "-", ".", "1.", ".5", "1e3", "0x10", "now", "--1"] {
            assert_eq!(parse_value(text), Err(TimestampError::Form), "{text}");
        }
        assert_eq!(from_millis(i64::MAX), Err(TimestampError::OutOfRange));
        assert_eq!(from_millis_f64(1_795_507_200_000.5), Ok(1_795_507_200_000_500_000));
        assert_eq!(from_millis_f64(-0.25), Ok(-250_000));
        for millis in [f64::NAN, f64::INFINITY, 1e30, -1e30, 9_223_372_036_855.0] {
            assert_eq!(from_millis_f64(millis), Err(TimestampError::OutOfRange), "{millis}");
        }
    }

    #[test]
    fn writes_the_fewest_digits_that_lose_nothing() {
        for (nanos, text) in [
            (1_795_507_200_000_000_000, "2026-11-24T08:00:00.000Z"),
            (1_795_507_200_120_000_000, "2026-11-24T08:00:00.120Z"),
            (1_795_507_200_000_001_000, "2026-11-24T08:00:00.000001Z"),
            (1_795_507_200_000_000_001, "2026-11-24T08:00:00.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
        ] {
            assert_eq!(format(nanos), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos: i64) {
            prop_assert_eq!(parse(&format(nanos)), Ok(nanos));
        }

        #[test]
        fn any_text_is_answered(text in "[-+0-9TtZz:. ]{0,40}") {
            if let Ok(nanos) = parse_value(&text) {
                prop_assert_eq!(parse(&format(nanos)), Ok(nanos));
            }
        }

        #[test]
        fn an_offset_names_the_same_moment(
            minute in -153_700_000_i64..153_700_000,
            offset in -1439_i64..1440,
        ) {
            let local = format((minute + offset) * 60 * NANOS_PER_SECOND);
            let sign = if offset < 0 { '-' } else { '+' };
            let zone = format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
            prop_assert_eq!(parse(&local.replace('Z', &zone)), Ok(minute * 60 * NANOS_PER_SECOND));
        }
    }
}
