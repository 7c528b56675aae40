//! A time that people give: so long ago, or a date and a time of day.

use crate::timestamp;

/// From when on alerts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// So many nanoseconds ago.
    Ago(i64),
    /// At this time, in nanoseconds since 1970.
    At(i64),
}

/// What is accepted, for who gave something else.
const ACCEPTED: &str = "expected a number of seconds, minutes, hours, days or weeks (90s, 15m, 1h, 2d, 1w) or a time \
                        such as 2026-11-24T08:00:00Z or 2026-11-24T09:00:00+01:00";

impl Since {
    /// Parses a duration or an RFC 3339 time.
    ///
    /// # Errors
    /// It is neither, or too far away to be counted in nanoseconds; the text says what is accepted.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.contains(['T', 't', ':']) {
            return timestamp::parse(text).map(Since::At).map_err(|error| format!("{error}; {ACCEPTED}"));
        }
        let unit = text.chars().next_back().and_then(|unit| match unit {
            's' => Some(1),
            'm' => Some(60),
            'h' => Some(3_600),
            'd' => Some(86_400),
            'w' => Some(604_800),
            _ => None,
        });
        let unit: i64 = unit.ok_or(ACCEPTED)?;
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ACCEPTED.to_owned());
        }
        let nanos = digits.parse::<i64>().ok().and_then(|n| n.checked_mul(unit)?.checked_mul(1_000_000_000));
        nanos.map(Since::Ago).ok_or_else(|| format!("that is more than 292 years; {ACCEPTED}"))
    }

    /// Returns the time in nanoseconds since 1970.
    pub(super) fn from(self, now: i64) -> i64 {
        match self {
            Since::Ago(nanos) => now.saturating_sub(nanos),
            Since::At(time) => time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_time() {
        for (text, expected) in [
            ("90s", Since::Ago(90_000_000_000)),
            ("0s", Since::Ago(0)),
            ("15m", Since::Ago(900_000_000_000)),
            ("1h", Since::Ago(3_600_000_000_000)),
            ("2d", Since::Ago(172_800_000_000_000)),
            ("1w", Since::Ago(604_800_000_000_000)),
            ("1970-01-01T00:00:01Z", Since::At(1_000_000_000)),
            ("1970-01-01T01:00:01+01:00", Since::At(1_000_000_000)),
        ] {
            assert_eq!(Since::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_what_is() {
        for text in [
            "",
            "s",
            "1",
            "-1h",
            "+1h",
            "1 h",
            "1.5h",
            "1y",
            "1é",
            "yesterday",
            "1h30m",
            "2026-13-24T08:00:00Z",
        ] {
            let error = Since::parse(text).expect_err(text);
            assert!(error.contains("90s, 15m, 1h, 2d, 1w"), "{text}: {error}");
        }
        assert!(Since::parse("99999999999w").expect_err("far").starts_with("that is more than 292 years"));
        assert!(Since::parse("99999999999999999999s").expect_err("far").starts_with("that is more than"));
    }

    #[test]
    fn long_ago_is_the_beginning() {
        assert_eq!(Since::Ago(i64::MAX).from(i64::MIN + 5), i64::MIN);
        assert_eq!(Since::Ago(5).from(7), 2);
    }
}
