//! Moments in time, to the microsecond, in the form the Python package writes.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A moment in UTC, to the microsecond, from year 1 to year 9999.
///
/// It is written as Python's `datetime.utcnow().isoformat()` writes it: naive, with six
/// fractional digits, or none when the microseconds are zero. It is read from that form and from
/// others that mean one moment: with `Z` or an offset, with a space for the `T`, with fewer or more digits (what is
/// finer than a microsecond is cut off), or a date alone, which means its first instant. A text
/// without an offset is taken as UTC.
///
/// ```
/// use attestry_core::Timestamp;
///
/// let t: Timestamp = "2026-01-28T10:15:00.000123+01:00".parse()?;
/// assert_eq!(t.to_string(), "2026-01-28T09:15:00.000123");
/// assert_eq!("2026-01-28".parse::<Timestamp>()?.to_string(), "2026-01-28T00:00:00");
/// # Ok::<(), attestry_core::ParseTimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const MICROS_PER_DAY: i64 = 86_400_000_000;
const MIN_MICROS: i64 = -62_135_596_800_000_000;
const MAX_MICROS: i64 = 253_402_300_799_999_999;

/// Why a text or a number is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseTimestampError {
    /// The text is not in a form that is understood.
    #[error(
        "{text:?} is not a time; write it like 2026-01-28T09:15:00.000123 or 2026-01-28T09:15:00Z"
    )]
    Malformed {
        /// The text, cut after 64 characters.
        text: String,
    },
    /// The moment lies before year 1 or after year 9999.
    #[error("the time lies outside the years 1 to 9999")]
    OutOfRange,
}

impl Timestamp {
    /// The earliest moment: `0001-01-01T00:00:00`.
    pub const MIN: Self = Self(MIN_MICROS);
    /// The latest moment: `9999-12-31T23:59:59.999999`.
    pub const MAX: Self = Self(MAX_MICROS);
    /// `1970-01-01T00:00:00`.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The present moment by the system's clock, cut to the microsecond.
    #[must_use]
    pub fn now() -> Self {
        let micros = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(MAX_MICROS),
            // Cut as after 1970: towards the past.
            Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1_000))
                .map_or(MIN_MICROS, |micros| -micros),
        };
        Self(micros.clamp(MIN_MICROS, MAX_MICROS))
    }

    /// The moment `micros` microseconds after 1970 began (before, if negative).
    ///
    /// # Errors
    ///
    /// [`ParseTimestampError::OutOfRange`] outside the years 1 to 9999.
    pub fn from_unix_micros(micros: i64) -> Result<Self, ParseTimestampError> {
        if (MIN_MICROS..=MAX_MICROS).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(ParseTimestampError::OutOfRange)
        }
    }

    /// Microseconds since 1970 began; negative before.
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        self.0
    }

    /// This moment less `days` times 24 hours, or [`Timestamp::MIN`] where that lies before it.
    ///
    /// ```
    /// use attestry_core::Timestamp;
    /// let t: Timestamp = "2024-03-01T12:00:00".parse()?;
    /// assert_eq!(t.saturating_sub_days(1).to_string(), "2024-02-29T12:00:00");
    /// # Ok::<(), attestry_core::ParseTimestampError>(())
    /// ```
    #[must_use]
    pub fn saturating_sub_days(self, days: u32) -> Self {
        let span = i64::from(days).saturating_mul(MICROS_PER_DAY);
        Self(self.0.saturating_sub(span).max(MIN_MICROS))
    }

    /// The UTC day as year, month (1 to 12) and day of the month (1 to 31).
    #[must_use]
    pub fn date(self) -> (i32, u32, u32) {
        let date = self.naive().date();
        (date.year(), date.month(), date.day())
    }

    /// The last microsecond of this moment's UTC day; what `--until 2026-01-28` means.
    #[must_use]
    pub fn end_of_day(self) -> Self {
        Self(self.0.div_euclid(MICROS_PER_DAY) * MICROS_PER_DAY + MICROS_PER_DAY - 1)
    }

    fn naive(self) -> NaiveDateTime {
        // In range by construction; the fallback keeps this function total.
        DateTime::from_timestamp_micros(self.0).unwrap_or_default().naive_utc()
    }

    /// Writes the on-disk form into `buffer` and returns the part used.
    fn format(self, buffer: &mut [u8; 26]) -> &str {
        let t = self.naive();
        let micros = t.nanosecond() / 1_000;
        digits(&mut buffer[0..4], t.year().unsigned_abs());
        buffer[4] = b'-';
        digits(&mut buffer[5..7], t.month());
        buffer[7] = b'-';
        digits(&mut buffer[8..10], t.day());
        buffer[10] = b'T';
        digits(&mut buffer[11..13], t.hour());
        buffer[13] = b':';
        digits(&mut buffer[14..16], t.minute());
        buffer[16] = b':';
        digits(&mut buffer[17..19], t.second());
        buffer[19] = b'.';
        digits(&mut buffer[20..26], micros);
        let used = if micros == 0 { 19 } else { 26 };
        std::str::from_utf8(&buffer[..used]).unwrap_or_default()
    }
}

fn digits(out: &mut [u8], mut value: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// `YYYY-MM-DDTHH:MM:SS` with an optional fraction of six digits: what stands in every line.
fn parse_stored(text: &[u8]) -> Option<NaiveDateTime> {
    let number = |range: std::ops::Range<usize>| {
        text[range].iter().try_fold(0u32, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
        })
    };
    let micros = match text.len() {
        19 => 0,
        26 if text[19] == b'.' => number(20..26)?,
        _ => return None,
    };
    let separators = [text[4], text[7], text[10], text[13], text[16]];
    if separators != *b"--T::" {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(number(0..4)?.cast_signed(), number(5..7)?, number(8..10)?)?;
    date.and_hms_micro_opt(number(11..13)?, number(14..16)?, number(17..19)?, micros)
}

/// The other ISO 8601 forms that Python's `fromisoformat` and RFC 3339 share.
fn parse_lenient(text: &str) -> Option<NaiveDateTime> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.naive_utc());
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"] {
        if let Ok(moment) = DateTime::parse_from_str(text, form) {
            return Some(moment.naive_utc());
        }
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
    {
        if let Ok(moment) = NaiveDateTime::parse_from_str(text, form) {
            return Some(moment);
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let moment =
            parse_stored(text.as_bytes()).or_else(|| parse_lenient(text)).ok_or_else(|| {
                ParseTimestampError::Malformed { text: text.chars().take(64).collect() }
            })?;
        // A leap second (":60") is held by chrono as a second of more than 10^9 nanoseconds.
        Self::from_unix_micros(moment.and_utc().timestamp_micros())
    }
}

impl TryFrom<DateTime<Utc>> for Timestamp {
    type Error = ParseTimestampError;

    /// Cuts what is finer than a microsecond.
    fn try_from(moment: DateTime<Utc>) -> Result<Self, ParseTimestampError> {
        Self::from_unix_micros(moment.timestamp_micros())
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = ParseTimestampError;

    /// Cuts what is finer than a microsecond.
    fn try_from(moment: SystemTime) -> Result<Self, ParseTimestampError> {
        Self::try_from(DateTime::<Utc>::from(moment))
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(t: Timestamp) -> Self {
        t.naive().and_utc()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.format(&mut [0; 26]))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.format(&mut [0; 26]))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time in ISO 8601 form")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(|error| match error {
                    // What stands in the place of a time may be anything, and errors go to logs.
                    ParseTimestampError::Malformed { .. } => E::custom("the text is not a time"),
                    ParseTimestampError::OutOfRange => E::custom(error),
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> String {
        text.parse::<Timestamp>().map_or_else(|e| format!("{e:?}"), |t| t.to_string())
    }

    #[test]
    fn reads_every_usual_form_as_utc() {
        for (text, moment) in [
            ("2026-01-28T09:15:00.000123", "2026-01-28T09:15:00.000123"),
            ("2026-01-28T09:15:00", "2026-01-28T09:15:00"),
            ("2026-01-28T09:15:00.000000", "2026-01-28T09:15:00"),
            ("2026-01-28T09:15:00.5", "2026-01-28T09:15:00.500000"),
            ("2026-01-28T09:15:00.123456789", "2026-01-28T09:15:00.123456"),
            ("2026-01-28 09:15:00.000123", "2026-01-28T09:15:00.000123"),
            ("2026-01-28T09:15:00Z", "2026-01-28T09:15:00"),
            ("2026-01-28T09:15:00.1z", "2026-01-28T09:15:00.100000"),
            ("2026-01-28T00:15:00+05:30", "2026-01-27T18:45:00"),
            ("2026-01-28T00:15:00-0800", "2026-01-28T08:15:00"),
            ("2026-01-28T09:15", "2026-01-28T09:15:00"),
            ("2026-01-28", "2026-01-28T00:00:00"),
            ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
            ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999"),
        ] {
            assert_eq!(parse(text), moment, "{text}");
        }
    }

    #[test]
    fn names_what_it_cannot_read() {
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-01-28T25:00:00",
            "2026-1-28T09:15:00x",
            "20260128",
        ] {
            assert!(parse(text).starts_with("Malformed"), "{text:?} gave {}", parse(text));
        }
        for text in
            ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "+10000-01-01T00:00:00"]
        {
            assert_eq!(parse(text), "OutOfRange", "{text:?}");
        }
        assert_eq!(Timestamp::from_unix_micros(i64::MAX), Err(ParseTimestampError::OutOfRange));
    }

    #[test]
    fn arithmetic_stays_in_range() {
        assert_eq!(Timestamp::MIN.saturating_sub_days(u32::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::now().saturating_sub_days(u32::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::MIN.end_of_day().to_string(), "0001-01-01T23:59:59.999999");
        assert_eq!(Timestamp::MAX.end_of_day(), Timestamp::MAX);
        assert_eq!(
            "1969-12-31T10:00:00".parse::<Timestamp>().unwrap().end_of_day().unix_micros(),
            -1
        );
    }

    proptest! {
        #[test]
        fn text_and_back(micros in MIN_MICROS..=MAX_MICROS) {
            let t = Timestamp(micros);
            prop_assert_eq!(t.to_string().parse::<Timestamp>(), Ok(t));
            let by_chrono = DateTime::<Utc>::from(t).format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
            prop_assert_eq!(by_chrono.trim_end_matches(".000000"), t.to_string());
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Timestamp>();
        }

        #[test]
        fn order_of_text_is_order_of_time(a in 0..MAX_MICROS, b in 0..MAX_MICROS) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            let text = |t: Timestamp| t.to_string() + if t.0 % 1_000_000 == 0 { ".000000" } else { "" };
            prop_assert_eq!(a.cmp(&b), text(a).cmp(&text(b)));
        }
    }
}
