//! Telemetry for tests, as instrumentations send it.

use serde_json::{Value, json};

/// Nanoseconds since 1970 of the first span.
const START: u64 = 1_769_591_700_000_000_000;

pub(crate) fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

pub(crate) fn messages(role: &str, text: &str) -> String {
    json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
}

/// A call of a model in the conventions of OpenTelemetry, of which parts can be left out.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) input: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) more: Vec<Value>,
}

impl Call {
    pub(crate) fn new(number: u64) -> Self {
        let input = Some(format!("question {number}"));
        Self { number, input, output: Some(format!("answer {number}")), more: Vec::new() }
    }

    pub(crate) fn without_content(self) -> Self {
        Self { input: None, output: None, ..self }
    }

    pub(crate) fn response_id(&self) -> String {
        format!("resp-{}", self.number)
    }

    fn trace(&self) -> String {
        format!("4bf92f3577b34da6{:016x}", self.number + 1)
    }

    fn attributes(&self) -> Vec<Value> {
        let mut attributes = vec![
            attribute("gen_ai.operation.name", "chat"),
            attribute("gen_ai.provider.name", "openai"),
            attribute("gen_ai.request.model", "gpt-4"),
            attribute("gen_ai.response.id", &self.response_id()),
            json!({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}}),
        ];
        for (key, role, text) in [
            ("gen_ai.input.messages", "user", &self.input),
            ("gen_ai.output.messages", "assistant", &self.output),
        ] {
            attributes.extend(text.as_ref().map(|text| attribute(key, &messages(role, text))));
        }
        attributes.extend(self.more.clone());
        attributes
    }

    /// Its span.
    pub(crate) fn span(&self) -> Value {
        json!({"traceId": self.trace(), "spanId": format!("{:016X}", self.number + 1), "name": "chat gpt-4",
            "startTimeUnixNano": (START + self.number * 1_000_000).to_string(),
            "endTimeUnixNano": (START + self.number * 1_000_000 + 500_000).to_string(), "kind": 3, "flags": 256,
            "attributes": self.attributes(), "unknownField": {"a": [1]}})
    }

    /// Its event, a log record.
    pub(crate) fn event(&self) -> Value {
        json!({"traceId": self.trace(), "spanId": format!("{:016x}", self.number + 1),
            "timeUnixNano": (START + self.number * 1_000_000 + 400_000).to_string(),
            "eventName": "gen_ai.client.inference.operation.details", "body": {},
            "attributes": self.attributes()})
    }
}

pub(crate) fn traces(spans: &[Value]) -> Value {
    json!({"resourceSpans": [{"resource": {"attributes": [attribute("service.name", "shop")]},
        "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}]})
}

pub(crate) fn logs(records: &[Value]) -> Value {
    json!({"resourceLogs": [{"resource": {"attributes": [attribute("service.name", "shop")]},
        "scopeLogs": [{"scope": {"name": "test"}, "logRecords": records}]}]})
}

/// A span of something else than a call.
pub(crate) fn other_span() -> Value {
    json!({"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "name": "SELECT",
        "attributes": [attribute("db.system", "postgresql")]})
}
