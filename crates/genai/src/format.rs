//! The formats, and how to tell them apart.

use std::fmt;
use std::str::FromStr;

/// A format of records of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Interactions and entries of Attestry and of the Python package.
    Attestry,
    /// LiteLLM: logged calls (S3 objects) and rows of `LiteLLM_SpendLogs`.
    LiteLlm,
    /// Langfuse: exported observations, with or without their traces.
    Langfuse,
    /// Input, output and error files of OpenAI's Batch API, joined by `custom_id`.
    OpenAiBatch,
    /// Model invocation logs of Amazon Bedrock.
    Bedrock,
    /// LangSmith: exported runs.
    LangSmith,
    /// `ApiManagementGatewayLlmLog` of Azure API Management, chunks joined by sequence number.
    AzureApim,
    /// OTLP/JSON of traces and logs, as the file exporter of the OpenTelemetry Collector writes it.
    Otlp,
}

/// The name of no [`Format`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownFormat;

impl Format {
    /// All formats.
    pub const ALL: &'static [Self] = &[
        Self::Attestry,
        Self::LiteLlm,
        Self::Langfuse,
        Self::OpenAiBatch,
        Self::Bedrock,
        Self::LangSmith,
        Self::AzureApim,
        Self::Otlp,
    ];

    /// Its name, which is also the value of `attestry.source`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attestry => "attestry",
            Self::LiteLlm => "litellm",
            Self::Langfuse => "langfuse",
            Self::OpenAiBatch => "openai-batch",
            Self::Bedrock => "bedrock",
            Self::LangSmith => "langsmith",
            Self::AzureApim => "azure-apim",
            Self::Otlp => "otlp",
        }
    }

    /// Whether one call may be spread over several records, which a [`Joiner`](crate::Joiner) joins.
    #[must_use]
    pub const fn is_joined(self) -> bool {
        matches!(self, Self::OpenAiBatch | Self::AzureApim | Self::Otlp)
    }

    /// The format of a record that begins with `start`: the record itself, or as much of it as is at hand. `None` if
    /// it is no JSON object, or of no known format.
    ///
    /// ```
    /// use attestry_genai::Format;
    ///
    /// let start = br#"{"resourceSpans": [{"resource": {"attributes": ["#;
    /// assert_eq!(Format::detect(start), Some(Format::Otlp));
    /// assert_eq!(Format::detect(br#"{"input": "2+2?"}"#), Some(Format::Attestry));
    /// assert_eq!(Format::detect(b"id,name"), None);
    /// ```
    #[must_use]
    pub fn detect(start: &[u8]) -> Option<Self> {
        let keys = top_level_keys(start)?;
        let has = |key: &str| keys.iter().any(|known| known == key);
        let has_all = |all: &[&str]| all.iter().all(|key| has(key));
        let rules = [
            (
                Self::Otlp,
                has("resourceSpans")
                    || has("resourceLogs")
                    || has("resource_spans")
                    || has("resource_logs"),
            ),
            (Self::Bedrock, has_all(&["schemaType", "modelId"])),
            (
                Self::OpenAiBatch,
                has("custom_id")
                    && (has_all(&["method", "url"]) || has_all(&["response", "error"])),
            ),
            (
                Self::AzureApim,
                has("CorrelationId") && (has("SequenceNumber") || has("RequestMessages"))
                    || has_all(&["category", "properties", "correlationId"]),
            ),
            (Self::LangSmith, has("run_type") || has("runs")),
            (Self::LiteLlm, has("call_type") && (has("startTime") || has("request_id"))),
            (Self::Langfuse, is_langfuse(&has)),
            (Self::Attestry, has("input") || has("input_hash")),
        ];
        rules.into_iter().find(|(_, holds)| *holds).map(|(format, _)| format)
    }
}

/// Observations have no field of their own that is always there: groups of fields can be left out of an export.
fn is_langfuse(has: &impl Fn(&str) -> bool) -> bool {
    let has_ids = has("trace_id") || has("traceId");
    has_ids
        && has("type")
        && (has("start_time") || has("startTime"))
        && [
            "provided_model_name",
            "usage_details",
            "usageDetails",
            "model_parameters",
            "modelParameters",
            "level",
            "project_id",
        ]
        .into_iter()
        .any(has)
}

/// The keys of the object that `json` begins with, as far as it goes. `None` if it begins with none.
fn top_level_keys(json: &[u8]) -> Option<Vec<String>> {
    let mut bytes = json.iter().enumerate().skip_while(|(_, byte)| byte.is_ascii_whitespace());
    if bytes.next()?.1 != &b'{' {
        return None;
    }
    let mut keys = Vec::new();
    let (mut depth, mut string_start, mut is_escaped) = (1_u32, None, false);
    let mut is_key = true;
    for (offset, byte) in bytes {
        if let Some(start) = string_start {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    if depth == 1 && is_key {
                        keys.push(String::from_utf8_lossy(&json[start..offset]).into_owned());
                    }
                    string_start = None;
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => string_start = Some(offset + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => break,
            b'}' | b']' => depth -= 1,
            b':' if depth == 1 => is_key = false,
            b',' if depth == 1 => is_key = true,
            _ => {}
        }
    }
    Some(keys)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.iter().copied().find(|format| format.name() == name).ok_or(UnknownFormat)
    }
}

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown format; expected one of")?;
        Format::ALL.iter().try_for_each(|format| write!(f, " {format}"))
    }
}

impl std::error::Error for UnknownFormat {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised_by_their_keys() {
        for (start, expected) in [
            (r#"{"resourceLogs":["#, Some(Format::Otlp)),
            (
                r#" {"schemaType":"ModelInvocationLog","a":{"x":["}"]},"modelId":"m""#,
                Some(Format::Bedrock),
            ),
            (
                r#"{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{}}"#,
                Some(Format::OpenAiBatch),
            ),
            (r#"{"id":"b","custom_id":"1","response":{},"error":null}"#, Some(Format::OpenAiBatch)),
            (
                r#"{"id":"1","call_type":"acompletion","startTime":1.5,"messages":"#,
                Some(Format::LiteLlm),
            ),
            (r#"{"request_id":"1","call_type":"acompletion","spend":0}"#, Some(Format::LiteLlm)),
            (
                r#"{"id":"1","trace_id":"t","type":"GENERATION","start_time":"x","level":"DEFAULT"}"#,
                Some(Format::Langfuse),
            ),
            (r#"{"id":"1","run_type":"llm","inputs":{}}"#, Some(Format::LangSmith)),
            (r#"{"CorrelationId":"1","SequenceNumber":0}"#, Some(Format::AzureApim)),
            (r#"{"input":{"call_type":1},"output":"b"}"#, Some(Format::Attestry)),
            (r#"{"a":{"resourceSpans":1},"b":"resourceLogs"}"#, None),
            ("{", None),
            ("[1]", None),
            ("", None),
        ] {
            assert_eq!(Format::detect(start.as_bytes()), expected, "{start}");
        }
    }

    #[test]
    fn names_are_parsed() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(*format));
        }
        assert!("csv".parse::<Format>().unwrap_err().to_string().contains("litellm"));
    }
}
