//! Times and periods as arguments: absolute, relative to now, in a time zone.

use std::str::FromStr;
use std::time::Duration;

use attestry::Timestamp;
use attestry::error::ParseTimestampError;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

use super::Zone;

/// A time or period. What it means depends on the time zone and on the current time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeText {
    /// With an offset.
    Instant(Timestamp),
    /// Without an offset.
    Local(DateTime),
    /// This number of days, months or years.
    Period(Date, Unit),
    /// The day this number of days before today.
    DaysAgo(i64),
    /// This long ago.
    Ago(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Day,
    Month,
    Year,
}

const EXPECTED: &str = "expected a time such as 2026-01-28T09:15 or 2026-01-28, a month such as 2026-01, \
                        yesterday, today, now, or an age such as 7d, 12h, 30m or 2w";

impl FromStr for TimeText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => return Ok(Self::Ago(Duration::ZERO)),
            "today" => return Ok(Self::DaysAgo(0)),
            "yesterday" => return Ok(Self::DaysAgo(1)),
            _ => {}
        }
        if let Some(age) = age(text) {
            return Ok(Self::Ago(age));
        }
        if let Some(period) = period(text) {
            return Ok(period);
        }
        let time: Timestamp = text.parse().map_err(|error| match error {
            ParseTimestampError::OutOfRange => error.to_string(),
            _ => EXPECTED.to_owned(),
        })?;
        let clock = text.get("2026-01-28".len()..).unwrap_or_default();
        Ok(if clock.contains(['+', '-', 'Z', 'z', 'U']) {
            Self::Instant(time)
        } else {
            Self::Local(Zone::default().civil(time))
        })
    }
}

/// `7d`: a number and a unit.
/// A duration such as `1h`, as the value of an option.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    age(text).ok_or_else(|| "expected a duration such as 30s, 15m, 12h, 7d or 2w".to_owned())
}

fn age(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_number.then(|| number.parse().ok())??;
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// `2026`, `2026-01` or `2026-01-28`.
fn period(text: &str) -> Option<TimeText> {
    let mut parts =
        text.split('-').map(|part| part.bytes().all(|byte| byte.is_ascii_digit()).then_some(part));
    let year = parts.next()?.filter(|year| year.len() == 4)?.parse().ok()?;
    let mut number = || match parts.next() {
        None => Some(None),
        Some(part) => part.filter(|part| part.len() == 2)?.parse::<i8>().ok().map(Some),
    };
    let (month, day) = (number()?, number()?);
    let unit = match (month, day) {
        (None, _) => Unit::Year,
        (_, None) => Unit::Month,
        _ => Unit::Day,
    };
    if parts.next().is_some() || year < 1 {
        return None;
    }
    Date::new(year, month.unwrap_or(1), day.unwrap_or(1))
        .ok()
        .map(|date| TimeText::Period(date, unit))
}

impl TimeText {
    /// The time, or the beginning of the period.
    pub(crate) fn start(self, zone: &Zone, now: Timestamp) -> Timestamp {
        match self {
            Self::Instant(time) => time,
            Self::Local(time) => zone.timestamp(time).unwrap_or(Timestamp::MIN),
            Self::Ago(age) => now.saturating_sub(age),
            Self::Period(..) | Self::DaysAgo(_) => {
                let (date, _) = self.period(zone, now);
                zone.timestamp(date.at(0, 0, 0, 0)).unwrap_or(Timestamp::MIN)
            }
        }
    }

    /// The time, or the last microsecond of the period.
    pub(crate) fn end(self, zone: &Zone, now: Timestamp) -> Timestamp {
        let (date, unit) = match self {
            Self::Period(..) | Self::DaysAgo(_) => self.period(zone, now),
            Self::Instant(_) | Self::Local(_) | Self::Ago(_) => return self.start(zone, now),
        };
        let length = match unit {
            Unit::Day => 1.day(),
            Unit::Month => 1.month(),
            Unit::Year => 1.year(),
        };
        let next = date.checked_add(length).ok().map(|date| date.at(0, 0, 0, 0));
        next.and_then(|next| zone.timestamp(next))
            .map_or(Timestamp::MAX, |next| next.saturating_sub(Duration::from_micros(1)))
    }

    fn period(self, zone: &Zone, now: Timestamp) -> (Date, Unit) {
        match self {
            Self::Period(date, unit) => (date, unit),
            Self::DaysAgo(days) => {
                let today = zone.civil(now).date();
                (today.saturating_sub(days.days()), Unit::Day)
            }
            Self::Instant(_) | Self::Local(_) | Self::Ago(_) => (zone.civil(now).date(), Unit::Day),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str, zone: &str) -> (String, String) {
        let now = "2026-03-29T12:00:00".parse().unwrap();
        let (zone, time) = (zone.parse().unwrap(), text.parse::<TimeText>().unwrap());
        (time.start(&zone, now).to_string(), time.end(&zone, now).to_string())
    }

    #[test]
    fn periods_have_a_start_and_an_end() {
        for (text, start, end) in [
            ("2026-01-28", "2026-01-28T00:00:00", "2026-01-28T23:59:59.999999"),
            ("2026-02", "2026-02-01T00:00:00", "2026-02-28T23:59:59.999999"),
            ("2024", "2024-01-01T00:00:00", "2024-12-31T23:59:59.999999"),
            ("9999", "9999-01-01T00:00:00", "9999-12-31T23:59:59.999999"),
            ("today", "2026-03-29T00:00:00", "2026-03-29T23:59:59.999999"),
            ("yesterday", "2026-03-28T00:00:00", "2026-03-28T23:59:59.999999"),
        ] {
            assert_eq!(range(text, "UTC"), (start.into(), end.into()), "{text}");
        }
        // A day of 23 hours, because the clock is put forward.
        let berlin = ("2026-03-28T23:00:00".into(), "2026-03-29T21:59:59.999999".into());
        assert_eq!(range("today", "Europe/Berlin"), berlin);
    }

    #[test]
    fn times_are_in_the_zone_unless_they_have_an_offset() {
        for (text, utc, berlin) in [
            ("2026-01-28T09:15", "2026-01-28T09:15:00", "2026-01-28T08:15:00"),
            ("2026-07-28 09:15:00.5", "2026-07-28T09:15:00.500000", "2026-07-28T07:15:00.500000"),
            ("2026-01-28T09:15:00Z", "2026-01-28T09:15:00", "2026-01-28T09:15:00"),
            ("2026-01-28T09:15:00+05:30", "2026-01-28T03:45:00", "2026-01-28T03:45:00"),
            ("7d", "2026-03-22T12:00:00", "2026-03-22T12:00:00"),
            ("90m", "2026-03-29T10:30:00", "2026-03-29T10:30:00"),
            ("now", "2026-03-29T12:00:00", "2026-03-29T12:00:00"),
            ("99999999999w", "0001-01-01T00:00:00", "0001-01-01T00:00:00"),
        ] {
            assert_eq!(range(text, "UTC"), (utc.into(), utc.into()), "{text}");
            assert_eq!(range(text, "Europe/Berlin"), (berlin.into(), berlin.into()), "{text}");
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            "d",
            "7",
            "7x",
            "-7d",
            "+7d",
            "1.5h",
            "tomorrow",
            "2026-13",
            "2026-1",
            "2026-01-28-01",
            "20260128",
            "0000",
            "é",
        ] {
            assert!(text.parse::<TimeText>().is_err(), "{text}");
        }
    }
}
