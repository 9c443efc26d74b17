//! Types and parsers of option values.

use attestry::Timestamp;
use attestry::error::ParseTimestampError;
use clap::ValueEnum;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Safety {
    Passed,
    Failed,
}

impl Safety {
    pub(crate) fn passed(self) -> bool {
        self == Self::Passed
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ListFormat {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    Table,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

/// A timestamp; a date alone means the end of that day.
pub(super) fn until(text: &str) -> Result<Timestamp, ParseTimestampError> {
    let timestamp: Timestamp = text.parse()?;
    let date_alone = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    Ok(if date_alone { timestamp.end_of_day() } else { timestamp })
}

/// `KEY=VALUE`.
pub(super) fn metadata(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or("expected KEY=VALUE, such as user=42 or tags='[\"a\", \"b\"]'")?;
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn until_date_means_end_of_day() {
        assert_eq!(until("2026-01-28").unwrap().to_string(), "2026-01-28T23:59:59.999999");
        assert_eq!(until("2026-01-28T00:00").unwrap().to_string(), "2026-01-28T00:00:00");
    }

    #[test]
    fn metadata_value_is_json_or_text() {
        assert_eq!(metadata("n=5").unwrap(), ("n".into(), 5.into()));
        assert_eq!(metadata("s=\"5\"").unwrap(), ("s".into(), "5".into()));
        assert_eq!(metadata("s=a=b").unwrap(), ("s".into(), "a=b".into()));
        assert!(metadata("alone").is_err());
        assert!(metadata("=x").is_err());
    }
}
