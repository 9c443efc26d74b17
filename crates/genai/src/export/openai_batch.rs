//! OpenAI Batch API: a line of the input file has the request, a line of the output or error file with the same
//! `custom_id` the response.

use attestry_core::metadata;

use crate::error::RecordError;
use crate::format::Format;
use crate::json::Fields;
use crate::provider::{Api, error_body, request, response};
use crate::record::CallRecord;

pub(super) fn decode(mut fields: Fields) -> Result<CallRecord, RecordError> {
    let mut record = CallRecord::new(Format::OpenAiBatch.name());
    let Some(custom_id) = fields.label("custom_id") else {
        return Err(RecordError::format(Format::OpenAiBatch, "`custom_id` is missing"));
    };
    record.provider = Some("openai".to_owned());
    record.set("openai.batch.custom_id", Some(custom_id.as_str()));
    record.join_key = Some(custom_id);
    if fields.has("url") || fields.has("body") {
        let api = fields.text("url").as_deref().and_then(Api::from_path).unwrap_or(Api::OpenAiChat);
        fields.take("method");
        request(api, &mut record, fields.take("body").unwrap_or_default());
    } else {
        let mut answer = fields.fields("response");
        record.set_integer(metadata::STATUS_CODE, &mut answer, "status_code");
        record.set_text("openai.request_id", &mut answer, "request_id");
        if let Some(body) = answer.take("body") {
            response(api_of(&body), &mut record, body);
        }
        error_body(&mut record, &mut fields);
        record.set_text("openai.batch.request_id", &mut fields, "id");
        fields.put_rest("response", answer);
    }
    record.keep_rest(fields);
    Ok(record)
}

/// The API that a body is the answer of.
fn api_of(body: &serde_json::Value) -> Api {
    match body["object"].as_str() {
        Some("response") => Api::OpenAiResponses,
        Some("text_completion") => Api::OpenAiCompletions,
        Some("list") => Api::OpenAiEmbeddings,
        _ => Api::OpenAiChat,
    }
}
