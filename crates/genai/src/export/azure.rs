//! `ApiManagementGatewayLlmLog` of Azure API Management: long messages are split into several records of one
//! correlation id.

use attestry_core::metadata;

use crate::error::RecordError;
use crate::format::Format;
use crate::json::Fields;
use crate::record::{CallRecord, Piece, Side};

pub(super) fn decode(mut fields: Fields) -> Result<CallRecord, RecordError> {
    // A diagnostic setting that writes to storage wraps the columns.
    if fields.get("properties").is_object() {
        let mut inner = fields.fields("properties");
        for (outer, name) in [
            ("time", "TimeGenerated"),
            ("correlationId", "CorrelationId"),
            ("operationName", "OperationName"),
            ("location", "Region"),
        ] {
            if let Some(value) = fields.take(outer)
                && !has(&inner, name)
            {
                inner.put(name, value);
            }
        }
        inner.put_rest("record", fields);
        fields = inner;
    }
    let mut record = CallRecord::new(Format::AzureApim.name());
    let mut text = |name: &str| take(&mut fields, name);
    let Some(correlation) = text("CorrelationId") else {
        return Err(RecordError::format(Format::AzureApim, "`CorrelationId` is missing"));
    };
    record.provider = Some("azure.ai.openai".to_owned());
    record.set_model(text("DeploymentName"), text("ModelName"));
    record.set(metadata::OPERATION, Some("chat"));
    record.set("azure.operation", text("OperationName"));
    record.set("cloud.region", text("Region"));
    record.set("azure.request_id", text("RequestId"));
    record.set("azure.correlation_id", Some(correlation.as_str()));
    record.own_id = Some(correlation);
    for name in spellings("TimeGenerated") {
        record.started = record.started.or(fields.time(&name));
    }
    for name in spellings("IsStreamCompletion") {
        record.set_boolean(metadata::STREAM, &mut fields, &name);
    }
    let mut integer = |name: &str| spellings(name).iter().find_map(|name| fields.integer(name));
    record.input_tokens = integer("PromptTokens");
    record.output_tokens = integer("CompletionTokens");
    integer("TotalTokens");
    let order = integer("SequenceNumber").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    for (side, name) in [(Side::Input, "RequestMessages"), (Side::Output, "ResponseMessages")] {
        for name in spellings(name) {
            match fields.take(&name) {
                Some(serde_json::Value::String(text)) if text.is_empty() => {}
                Some(serde_json::Value::String(text)) => {
                    record.add_piece(side, order, 0, Piece::Fragment(text))
                }
                Some(value) => record.add_piece(side, order, 0, Piece::Fragment(value.to_string())),
                None => {}
            }
        }
    }
    record.keep_rest(fields);
    Ok(record)
}

/// Column names begin with a capital in tables, and without one in records of storage accounts.
fn spellings(name: &str) -> [String; 2] {
    let lower = name[..1].to_ascii_lowercase() + &name[1..];
    [name.to_owned(), lower]
}

fn has(fields: &Fields, name: &str) -> bool {
    spellings(name).iter().any(|name| fields.has(name))
}

fn take(fields: &mut Fields, name: &str) -> Option<String> {
    spellings(name).iter().find_map(|name| fields.label(name))
}
