//! The time zone of a command's arguments and results: UTC unless an option names another.

use std::fmt;
use std::str::FromStr;

use attestry::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// A time zone: a name of the system's time zone database, `local`, or an offset such as `+02:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "local" {
            return TimeZone::try_system().map(Self).map_err(|error| error.to_string());
        }
        if let Some(offset) = offset(name) {
            return Ok(Self(TimeZone::fixed(offset)));
        }
        TimeZone::get(name).map(Self).map_err(|_| {
            "not a time zone; expected UTC, local, an offset such as +02:00, or a name such as \
             Europe/Berlin that the system knows (in /usr/share/zoneinfo, package tzdata)"
                .to_owned()
        })
    }
}

/// `+02:00` or `-05`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let in_range = (0..=25).contains(&hours) && (0..60).contains(&minutes);
    in_range.then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok())?
}

impl Zone {
    /// The time that clocks of the zone show as `civil`. Where a clock skips it, the time after the
    /// skip; where it shows it twice, the first.
    pub(super) fn timestamp(&self, civil: DateTime) -> Option<Timestamp> {
        let time = self.0.to_timestamp(civil).ok()?;
        Timestamp::from_unix_micros(time.as_microsecond()).ok()
    }

    /// What clocks of the zone show at `time`.
    pub(super) fn civil(&self, time: Timestamp) -> DateTime {
        jiff::Timestamp::from_microsecond(time.unix_micros())
            .map_or(DateTime::ZERO, |time| self.0.to_datetime(time))
    }

    /// The day of `time`, as `2026-01-28`.
    pub(crate) fn day(&self, time: Timestamp) -> String {
        self.civil(time).date().to_string()
    }

    /// `time` in the one format of all results: RFC 3339 with microseconds, such as
    /// `2026-01-28T09:15:00.000000Z`, which pandas and DuckDB parse as a timestamp.
    pub(crate) fn show(&self, time: Timestamp) -> Shown {
        let Ok(instant) = jiff::Timestamp::from_microsecond(time.unix_micros()) else {
            return Shown(time.to_string());
        };
        let civil = self.0.to_datetime(instant);
        let seconds = self.0.to_offset(instant).seconds();
        let offset = if self.0 == TimeZone::UTC {
            "Z".to_owned()
        } else {
            let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        };
        Shown(format!("{civil:.6}{offset}"))
    }
}

/// A time as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Shown(String);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    #[test]
    fn times_have_one_format() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (text, utc, berlin) in [
            (
                "2026-01-28T09:15:00",
                "2026-01-28T09:15:00.000000Z",
                "2026-01-28T10:15:00.000000+01:00",
            ),
            (
                "2026-07-01T22:30:00.5",
                "2026-07-01T22:30:00.500000Z",
                "2026-07-02T00:30:00.500000+02:00",
            ),
            (
                "0001-01-01T00:00:00",
                "0001-01-01T00:00:00.000000Z",
                "0001-01-01T00:53:28.000000+00:53",
            ),
        ] {
            assert_eq!(zone("UTC").show(at(text)).to_string(), utc);
            assert_eq!(zone("Europe/Berlin").show(at(text)).to_string(), berlin);
        }
        assert_eq!(
            zone("-03:30").show(at("2026-01-28")).to_string(),
            "2026-01-27T20:30:00.000000-03:30"
        );
        assert_eq!(zone("+02").day(at("2026-01-28T22:30")), "2026-01-29");
    }

    #[test]
    fn unknown_zones_are_rejected() {
        for name in ["Europe/Atlantis", "", "+99:00", "+1:99", "2"] {
            assert!(name.parse::<Zone>().is_err(), "{name}");
        }
    }
}
