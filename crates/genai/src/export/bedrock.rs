//! Model invocation logs of Amazon Bedrock.

use attestry_core::metadata;
use serde_json::Value;

use crate::error::RecordError;
use crate::format::Format;
use crate::json::Fields;
use crate::provider::{Api, failed_with, request, response};
use crate::record::CallRecord;
use crate::stream::Fold;

pub(super) fn decode(mut fields: Fields) -> Result<CallRecord, RecordError> {
    let mut record = CallRecord::new(Format::Bedrock.name());
    if fields.text("schemaType").as_deref() != Some("ModelInvocationLog") {
        return Err(RecordError::format(
            Format::Bedrock,
            "`schemaType` is not \"ModelInvocationLog\"",
        ));
    }
    record.provider = Some("aws.bedrock".to_owned());
    let model = fields.text("modelId");
    record.started = fields.time("timestamp");
    let operation = fields.text("operation").unwrap_or_default();
    let api =
        if operation.starts_with("Converse") { Api::BedrockConverse } else { Api::BedrockInvoke };
    record.set("aws.bedrock.operation", Some(operation.as_str()));
    let mut input = fields.fields("input");
    record.set(metadata::OPERATION, Some(api.operation()));
    if let Some(body) = input.take("inputBodyJson") {
        request(api, &mut record, body);
    }
    let mut output = fields.fields("output");
    match output.take("outputBodyJson") {
        // The events of a stream.
        Some(Value::Array(events)) => folded(api, &mut record, events),
        Some(body) => response(api, &mut record, body),
        None => {}
    }
    // The log's own counts are there for every model.
    let (read, written) =
        (input.integer("cacheReadInputTokenCount"), input.integer("cacheWriteInputTokenCount"));
    let counted = input.integer("inputTokenCount");
    let sum =
        counted.map(|n| n.saturating_add(read.unwrap_or(0)).saturating_add(written.unwrap_or(0)));
    record.input_tokens = record.input_tokens.or(sum);
    let counted = output.integer("outputTokenCount");
    record.output_tokens = record.output_tokens.or(counted);
    record.set(metadata::CACHE_READ_TOKENS, read.filter(|n| *n > 0));
    record.set(metadata::CACHE_WRITE_TOKENS, written.filter(|n| *n > 0));
    if let Some(model) = model {
        record.model = Some(model);
    }
    if let Some(code) = fields.text("errorCode") {
        record.failed(code);
    }
    record.set_text("aws.request_id", &mut fields, "requestId");
    record.own_id = record.metadata_text("aws.request_id").map(str::to_owned);
    record.set_text("cloud.account.id", &mut fields, "accountId");
    record.set_text("cloud.region", &mut fields, "region");
    let mut identity = fields.fields("identity");
    record.set_text(metadata::USER, &mut identity, "arn");
    fields.put_rest("identity", identity);
    fields.take("schemaVersion");
    for (key, mut part, kind) in
        [("input", input, "inputContentType"), ("output", output, "outputContentType")]
    {
        part.take(kind);
        fields.put_rest(key, part);
    }
    record.keep_rest(fields);
    Ok(record)
}

fn folded(api: Api, record: &mut CallRecord, events: Vec<Value>) {
    let mut fold = Fold::new(api, usize::MAX);
    events.into_iter().for_each(|event| fold.event(event));
    let folded = fold.finish();
    record.set(metadata::STREAM, Some(true));
    response(api, record, folded.body);
    match folded.error {
        Some(error) => failed_with(record, error),
        None if !folded.is_complete => {
            record.set(metadata::OUTCOME, Some(metadata::OUTCOME_CUT_OFF))
        }
        None => {}
    }
}
