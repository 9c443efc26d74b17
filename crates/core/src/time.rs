//! Timestamps of microsecond precision, in the text form of the Python package.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A point in time in UTC, to the microsecond, from year 1 to year 9999.
///
/// The text form is that of Python's `datetime.utcnow().isoformat()`: without an offset, with six
/// fractional digits, or none if the microseconds are zero. Parsing also accepts `Z`, ` UTC` or an
/// offset, a space instead of the `T`, a comma before the fraction, fewer or more digits (truncated to
/// microseconds), and a date alone, which means its first instant. A text without an offset is UTC.
///
/// Arithmetic with [`Duration`] truncates it to microseconds, and comes
/// [checked](Self::checked_add) and [saturating](Self::saturating_add):
///
/// ```
/// use attestry_core::Timestamp;
///
/// let t: Timestamp = "2026-01-28T10:15:00.000123+01:00".parse()?;
/// assert_eq!(t.to_string(), "2026-01-28T09:15:00.000123");
/// assert_eq!("2026-01-28".parse::<Timestamp>()?.to_string(), "2026-01-28T00:00:00");
/// let hour = std::time::Duration::from_secs(3_600);
/// assert_eq!(t.saturating_sub(hour).to_string(), "2026-01-28T08:15:00.000123");
/// assert_eq!(Timestamp::MAX.checked_add(hour), None);
/// # Ok::<(), attestry_core::ParseTimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const MICROS_PER_DAY: i64 = 86_400_000_000;
const MIN_MICROS: i64 = -62_135_596_800_000_000;
const MAX_MICROS: i64 = 253_402_300_799_999_999;

/// Why a text or a number is not a valid [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseTimestampError {
    /// The text has no known form.
    #[error(
        "{text:?} is not a time; write it like 2026-01-28T09:15:00.000123 or 2026-01-28T09:15:00Z"
    )]
    Malformed {
        /// The text, truncated to 64 characters.
        text: String,
    },
    /// The time is before year 1 or after year 9999.
    #[error("the time is outside the years 1 to 9999")]
    OutOfRange,
}

impl Timestamp {
    /// The earliest timestamp: `0001-01-01T00:00:00`.
    pub const MIN: Self = Self(MIN_MICROS);
    /// The latest timestamp: `9999-12-31T23:59:59.999999`.
    pub const MAX: Self = Self(MAX_MICROS);
    /// `1970-01-01T00:00:00`.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The current time of the system clock, truncated to microseconds.
    #[must_use]
    pub fn now() -> Self {
        let micros = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(MAX_MICROS),
            // Rounds towards the past, as after 1970.
            Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1_000))
                .map_or(MIN_MICROS, |micros| -micros),
        };
        Self(micros.clamp(MIN_MICROS, MAX_MICROS))
    }

    /// The timestamp `micros` microseconds after the Unix epoch (before it, if negative).
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

    /// Microseconds since the Unix epoch; negative before it.
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        self.0
    }

    /// This timestamp plus `duration`, or `None` after [`Timestamp::MAX`].
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let micros = self.0.checked_add(i64::try_from(duration.as_micros()).ok()?)?;
        Self::from_unix_micros(micros).ok()
    }

    /// This timestamp minus `duration`, or `None` before [`Timestamp::MIN`].
    #[must_use]
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        let micros = self.0.checked_sub(i64::try_from(duration.as_micros()).ok()?)?;
        Self::from_unix_micros(micros).ok()
    }

    /// This timestamp plus `duration`, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        self.checked_add(duration).unwrap_or(Self::MAX)
    }

    /// This timestamp minus `duration`, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        self.checked_sub(duration).unwrap_or(Self::MIN)
    }

    /// This timestamp minus `days` of 24 hours, at least [`Timestamp::MIN`].
    ///
    /// ```
    /// use attestry_core::Timestamp;
    /// let t: Timestamp = "2024-03-01T12:00:00".parse()?;
    /// assert_eq!(t.saturating_sub_days(1).to_string(), "2024-02-29T12:00:00");
    /// # Ok::<(), attestry_core::ParseTimestampError>(())
    /// ```
    #[must_use]
    pub fn saturating_sub_days(self, days: u32) -> Self {
        self.saturating_sub(Duration::from_secs(u64::from(days) * 86_400))
    }

    /// The UTC day as year, month (1 to 12) and day of the month (1 to 31).
    #[must_use]
    pub fn date(self) -> (i32, u32, u32) {
        let date = self.naive().date();
        (date.year(), date.month(), date.day())
    }

    /// The last microsecond of this timestamp's UTC day.
    #[must_use]
    pub fn end_of_day(self) -> Self {
        Self(self.0.div_euclid(MICROS_PER_DAY) * MICROS_PER_DAY + MICROS_PER_DAY - 1)
    }

    fn naive(self) -> NaiveDateTime {
        // In chrono's range by construction; the fallback avoids a panic.
        DateTime::from_timestamp_micros(self.0).unwrap_or_default().naive_utc()
    }

    /// Writes the text form into `buffer` and returns the used part.
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

/// Fast path for the form in stored lines: `YYYY-MM-DDTHH:MM:SS` with an optional fraction of six digits.
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

/// Other ISO 8601 forms, those that Python's `fromisoformat` and RFC 3339 share; ` UTC` at the end, as
/// BigQuery writes it, and a comma before the fraction, as Python's logging does.
fn parse_lenient(text: &str) -> Option<NaiveDateTime> {
    let text =
        text.strip_suffix(" UTC").map_or(Cow::Borrowed(text), |time| format!("{time}Z").into());
    let text = if text.contains(',') { text.replacen(',', ".", 1).into() } else { text };
    let text = &*text;
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.naive_utc());
    }
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f%#z",
        "%Y-%m-%d %H:%M:%S%.f%#z",
        "%Y-%m-%dT%H:%M%#z",
        "%Y-%m-%d %H:%M%#z",
    ] {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Some(time.naive_utc());
        }
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
    {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time);
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let time =
            parse_stored(text.as_bytes()).or_else(|| parse_lenient(text)).ok_or_else(|| {
                ParseTimestampError::Malformed { text: text.chars().take(64).collect() }
            })?;
        // chrono represents a leap second (":60") as a second of more than 10^9 nanoseconds.
        Self::from_unix_micros(time.and_utc().timestamp_micros())
    }
}

impl TryFrom<DateTime<Utc>> for Timestamp {
    type Error = ParseTimestampError;

    /// Truncates to microseconds.
    fn try_from(time: DateTime<Utc>) -> Result<Self, ParseTimestampError> {
        Self::from_unix_micros(time.timestamp_micros())
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = ParseTimestampError;

    /// Truncates to microseconds.
    fn try_from(time: SystemTime) -> Result<Self, ParseTimestampError> {
        Self::try_from(DateTime::<Utc>::from(time))
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
                    // The text may be content in the wrong field, and errors go to logs.
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
    fn parses_common_forms_as_utc() {
        for (text, time) in [
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
            ("2026-01-28 09:15:00.123 UTC", "2026-01-28T09:15:00.123000"),
            ("2026-01-28 09:15:00,123", "2026-01-28T09:15:00.123000"),
            ("2026-01-28T09:15:00,5+01:00", "2026-01-28T08:15:00.500000"),
            ("2026-01-28T09:15", "2026-01-28T09:15:00"),
            ("2026-01-28", "2026-01-28T00:00:00"),
            ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
            ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999"),
        ] {
            assert_eq!(parse(text), time, "{text}");
        }
    }

    #[test]
    fn parse_errors_name_the_cause() {
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-01-28T25:00:00",
            "2026-1-28T09:15:00x",
            "20260128",
            "2026-01-28, 09:15",
            "2026-01-28T09:15:00,123.456",
            "2026-01-28T09:15:00 UTC+1",
            " UTC",
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
        for duration in [Duration::from_micros(1), Duration::MAX] {
            assert_eq!(Timestamp::MAX.checked_add(duration), None);
            assert_eq!(Timestamp::MIN.checked_sub(duration), None);
            assert_eq!(Timestamp::MAX.saturating_add(duration), Timestamp::MAX);
            assert_eq!(Timestamp::MIN.saturating_sub(duration), Timestamp::MIN);
        }
        let whole = Duration::from_micros(MAX_MICROS.abs_diff(MIN_MICROS));
        assert_eq!(Timestamp::MIN.checked_add(whole), Some(Timestamp::MAX));
        assert_eq!(Timestamp::MAX.checked_sub(whole), Some(Timestamp::MIN));
        let truncated = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_nanos(1_999));
        assert_eq!(truncated.unix_micros(), 1);
        assert_eq!(
            "1969-12-31T10:00:00".parse::<Timestamp>().unwrap().end_of_day().unix_micros(),
            -1
        );
    }

    proptest! {
        #[test]
        fn text_is_parsed_back(micros in MIN_MICROS..=MAX_MICROS) {
            let t = Timestamp(micros);
            prop_assert_eq!(t.to_string().parse::<Timestamp>(), Ok(t));
            let by_chrono = DateTime::<Utc>::from(t).format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
            prop_assert_eq!(by_chrono.trim_end_matches(".000000"), t.to_string());
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Timestamp>();
        }

        #[test]
        fn text_order_is_time_order(a in 0..MAX_MICROS, b in 0..MAX_MICROS) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            let text = |t: Timestamp| t.to_string() + if t.0 % 1_000_000 == 0 { ".000000" } else { "" };
            prop_assert_eq!(a.cmp(&b), text(a).cmp(&text(b)));
        }
    }
}
