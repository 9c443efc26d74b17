//! Types and parsers of option values.

use std::time::Duration;

use attestry::{Phase, metadata};
use attestry_genai::Format;
use clap::ValueEnum;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::times::TimeText;

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

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outcome {
    Completed,
    Failed,
    #[value(name = "cut_off")]
    CutOff,
    Abandoned,
    Blocked,
}

impl Outcome {
    /// The value of `attestry.outcome`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Completed => metadata::OUTCOME_COMPLETED,
            Self::Failed => metadata::OUTCOME_FAILED,
            Self::CutOff => metadata::OUTCOME_CUT_OFF,
            Self::Abandoned => metadata::OUTCOME_ABANDONED,
            Self::Blocked => metadata::OUTCOME_BLOCKED,
        }
    }
}

/// Which entries of calls a command selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CallPhase {
    Latest,
    All,
    Start,
    End,
    Open,
}

impl From<CallPhase> for Phase {
    fn from(phase: CallPhase) -> Self {
        match phase {
            CallPhase::Latest => Self::Latest,
            CallPhase::All => Self::All,
            CallPhase::Start => Self::Start,
            CallPhase::End => Self::End,
            CallPhase::Open => Self::Open,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ListFormat {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchFormat {
    Text,
    Json,
    Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

/// The format of the records to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceFormat {
    /// Recognised by the first record of each file
    Auto,
    /// Interactions, and entries of `export`
    Attestry,
    Litellm,
    Langfuse,
    OpenaiBatch,
    Bedrock,
    Langsmith,
    AzureApim,
    Otlp,
}

impl SourceFormat {
    /// `None` if it is to be recognised.
    pub(crate) fn format(self) -> Option<Format> {
        Some(match self {
            Self::Auto => return None,
            Self::Attestry => Format::Attestry,
            Self::Litellm => Format::LiteLlm,
            Self::Langfuse => Format::Langfuse,
            Self::OpenaiBatch => Format::OpenAiBatch,
            Self::Bedrock => Format::Bedrock,
            Self::Langsmith => Format::LangSmith,
            Self::AzureApim => Format::AzureApim,
            Self::Otlp => Format::Otlp,
        })
    }
}

/// `KEY=VALUE`, with JSON or text as the value.
pub(super) fn metadata(text: &str) -> Result<(String, Value), String> {
    let (key, value) = key_and_value(text)?;
    if serde_json::from_str::<IgnoredAny>(value).is_err() {
        return Ok((key, value.into()));
    }
    // As in a record, so that the same values are refused.
    let object = format!("{{{}:{value}}}", Value::from(key.as_str()));
    let mut object = metadata::from_json(&object).map_err(|error| error.to_string())?;
    let value = object.remove(&key).unwrap_or_default();
    Ok((key, value))
}

/// A time span, such as `30s`, `10m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(TimeText::Ago(span)) if text != "now" => Ok(span),
        _ => Err("expected a time span such as 30s, 10m, 1h or 1d".to_owned()),
    }
}

/// `KEY=TEXT`.
pub(super) fn metadata_text(text: &str) -> Result<(String, Value), String> {
    let (key, value) = key_and_value(text)?;
    Ok((key, value.into()))
}

fn key_and_value(text: &str) -> Result<(String, &str), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or("expected KEY=VALUE, such as user=42 or tags='[\"a\", \"b\"]'")?;
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_value_is_json_or_text() {
        assert_eq!(metadata("n=5").unwrap(), ("n".into(), 5.into()));
        assert_eq!(metadata("s=\"5\"").unwrap(), ("s".into(), "5".into()));
        assert_eq!(metadata("s=a=b").unwrap(), ("s".into(), "a=b".into()));
        assert_eq!(metadata_text("n=5").unwrap(), ("n".into(), "5".into()));
        assert!(metadata("n=18446744073709551616").unwrap_err().contains("metadata.n: an integer"));
        assert!(metadata(r#"n={"a":1,"a":2}"#).unwrap_err().contains("`a` occurs twice"));
        assert!(metadata("alone").is_err());
        assert!(metadata("=x").is_err());
    }
}
