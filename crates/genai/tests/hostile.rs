//! Hostile input: no panic, and time and memory linear in its size.

#![allow(clippy::unwrap_used)]

use attestry_genai::{Api, Exchange, Format, Joiner, UnmappedTexts, decode, messages_from_json};
use serde_json::{Value, json};

fn span(attributes: &Value) -> String {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "spanId": "00f067aa0ba902b7", "startTimeUnixNano": "1", "attributes": attributes}]}]}]})
    .to_string()
}

#[test]
fn an_attribute_of_100_megabytes_is_recorded() {
    let text = "x".repeat(100 << 20);
    let attributes = json!([{"key": "gen_ai.system", "value": {"stringValue": "openai"}},
        {"key": "gen_ai.input.messages", "value": {"stringValue": format!("[{{\"role\":\"user\",\"parts\":[{{\"type\":\"text\",\"content\":\"{text}\"}}]}}]")}},
        {"key": "long.label", "value": {"stringValue": &text[..1 << 20]}}]);
    let mut records = decode(Format::Otlp, span(&attributes).as_bytes()).unwrap().records;
    let interaction = records.remove(0).into_interaction(UnmappedTexts::Hash);
    assert!(interaction.input().len() > 100 << 20);
    assert!(format!("{interaction:?}").len() < 1000);
}

#[test]
fn attributes_by_the_hundred_thousand_take_linear_time() {
    let attribute = |n: usize| json!({"key": format!("gen_ai.prompt.{n}.content"), "value": {"stringValue": "a"}});
    let attributes: Vec<Value> = (0..100_000).map(attribute).collect();
    let records = decode(Format::Otlp, span(&attributes.into()).as_bytes()).unwrap().records;
    let interaction = records[0].clone().into_interaction(UnmappedTexts::Hash);
    assert!(interaction.input().len() > 100_000 * 40);
    let same: Vec<Value> =
        (0..100_000).map(|n| json!({"key": "gen_ai.system", "value": {"intValue": n}})).collect();
    let records = decode(Format::Otlp, span(&same.into()).as_bytes()).unwrap().records;
    assert_eq!(records.len(), 1);
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let record = format!(
        r#"{{"call_type": "completion", "startTime": 1, "a": {deep}, "messages": {deep}}}"#
    );
    let mut records = decode(Format::LiteLlm, record.as_bytes()).unwrap().records;
    let interaction = records.remove(0).into_interaction(UnmappedTexts::Keep);
    let logger =
        attestry_logger::AuditLogger::builder(attestry_memory::MemoryStorage::new()).build();
    assert!(logger.prepare(interaction).is_ok(), "metadata is not too deep");
    let deeper = format!(r#"{{"call_type": "completion", "a": {}"#, "[".repeat(1_000_000));
    assert!(decode(Format::LiteLlm, deeper.as_bytes()).is_err());
    let name = vec!["a"; 100_000].join(".");
    let attributes = json!([{"key": format!("llm.input_messages.{name}"), "value": {"stringValue": "x"}},
        {"key": "openinference.span.kind", "value": {"stringValue": "LLM"}}]);
    assert!(decode(Format::Otlp, span(&attributes).as_bytes()).is_ok());
}

/// Each field of a record with a value of each type.
#[test]
fn wrong_types_are_no_panic() {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("[1"),
        json!([]),
        json!([null]),
        json!([[[]]]),
        json!({}),
        json!({"role": 1, "content": {"a": []}}),
    ];
    let records = [
        (
            Format::LiteLlm,
            json!({"call_type": "c", "startTime": 1, "endTime": 2, "messages": 1, "response": 1, "metadata": 1, "guardrail_information": 1, "status_fields": 1, "error_information": 1, "model_parameters": 1, "api_base": 1, "status": 1, "id": 1}),
        ),
        (
            Format::Langfuse,
            json!({"id": "1", "type": 1, "input": 1, "output": 1, "usage_details": 1, "model_parameters": 1, "start_time": 1, "end_time": 1, "trace_id": 1, "latency": 1}),
        ),
        (
            Format::OpenAiBatch,
            json!({"custom_id": "1", "url": 1, "body": 1, "response": 1, "error": 1}),
        ),
        (
            Format::Bedrock,
            json!({"schemaType": "ModelInvocationLog", "operation": "Converse", "input": {"inputBodyJson": 1}, "output": {"outputBodyJson": 1}, "identity": 1, "timestamp": 1}),
        ),
        (
            Format::LangSmith,
            json!({"id": "1", "run_type": "llm", "inputs": 1, "outputs": 1, "extra": 1, "start_time": 1, "error": 1}),
        ),
        (
            Format::AzureApim,
            json!({"CorrelationId": "1", "SequenceNumber": 1, "RequestMessages": 1, "ResponseMessages": 1, "properties": 1}),
        ),
    ];
    let mut decoded = 0;
    for (format, record) in &records {
        for key in record.as_object().unwrap().keys() {
            for value in &values {
                let mut record = record.clone();
                record[key] = value.clone();
                if let Ok(found) = decode(*format, record.to_string().as_bytes()) {
                    let mut joiner = Joiner::new(usize::MAX);
                    found.records.into_iter().for_each(|record| drop(joiner.push(record)));
                    joiner
                        .finish()
                        .into_iter()
                        .for_each(|call| drop(call.into_interaction(UnmappedTexts::Hash)));
                    decoded += 1;
                }
            }
        }
    }
    assert!(decoded > 400, "{decoded}");
}

#[test]
fn bodies_and_streams_of_wrong_types_are_no_panic() {
    let values = [
        json!(null),
        json!(1),
        json!("x"),
        json!([1]),
        json!([[]]),
        json!({}),
        json!({"content": 1}),
        json!([{"index": 7_u64 << 60, "delta": 1}]),
    ];
    let keys = [
        "choices",
        "message",
        "content",
        "output",
        "response",
        "type",
        "usage",
        "error",
        "candidates",
        "delta",
        "index",
        "item",
        "messageStart",
        "contentBlockDelta",
        "content_block",
        "messages",
        "input",
        "contents",
        "system",
        "prompt",
    ];
    let apis = [
        Api::OpenAiChat,
        Api::OpenAiResponses,
        Api::OpenAiCompletions,
        Api::OpenAiEmbeddings,
        Api::AnthropicMessages,
        Api::Gemini,
        Api::OllamaChat,
        Api::OllamaGenerate,
        Api::BedrockConverse,
        Api::BedrockInvoke,
    ];
    let kinds = [
        "",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "message_delta",
        "response.output_text.delta",
        "response.output_item.added",
        "response.completed",
    ];
    for api in apis {
        for key in keys {
            for value in &values {
                let mut body = json!({});
                body[key] = value.clone();
                let mut exchange = Exchange::new(api);
                exchange.request(body.to_string().as_bytes());
                exchange.response(body.to_string().as_bytes());
                exchange.response(value.to_string().as_bytes());
                for kind in kinds {
                    body["type"] = kind.into();
                    exchange.push(format!("data: {body}\n\ndata: {value}\n\n").as_bytes());
                }
                drop(exchange.finish().into_interaction(UnmappedTexts::Hash));
            }
        }
    }
}

#[test]
fn ever_new_indexes_are_bounded() {
    let mut exchange = Exchange::new(Api::OpenAiChat);
    for index in 0..20_000_u64 {
        let chunk = json!({"choices": [{"index": index, "delta": {"tool_calls": [{"index": index, "function": {"arguments": "x"}}]}}]});
        exchange.push(format!("data: {chunk}\n\n").as_bytes());
    }
    let interaction = exchange.finish().into_interaction(UnmappedTexts::Hash);
    assert!(interaction.output().len() < 1 << 20);
}

#[test]
fn messages_of_any_value_are_no_panic() {
    for value in [
        json!([{"role": "user", "content": [null, 1, "a", {"type": 1}, {"type": "text"}, {"type": "image_url", "image_url": 1}, {"toolUse": 1}]}]),
        json!({"lc": 1, "kwargs": {}}),
        json!([{"role": "tool", "content": null, "tool_calls": [1, {}, {"function": 1}]}]),
    ] {
        let messages = messages_from_json(value.clone()).unwrap();
        assert!(!messages.canonical().is_empty(), "{value}");
    }
}
