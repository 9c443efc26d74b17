//! Streams of Amazon Bedrock in binary messages, framed by the code of the AWS SDK.

mod common;

use attestry_core::metadata;
use attestry_genai::{Api, CallRecord, Exchange};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::recorded;
use serde_json::{Value, json};

/// A message as the AWS SDK frames it.
fn message(headers: &[(&str, &str)], payload: &Value) -> Vec<u8> {
    let headers = headers.iter().map(|(name, value)| {
        let value = HeaderValue::String(value.to_string().into());
        Header::new(name.to_string(), value)
    });
    let headers = [
        Header::new(":date", HeaderValue::Int64(1)),
        Header::new(":flag", HeaderValue::Bool(true)),
        Header::new(":id", HeaderValue::Uuid(7)),
    ]
    .into_iter()
    .chain(headers)
    .collect();
    let message = Message::new_from_parts(headers, payload.to_string().into_bytes());
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).expect("a message in memory");
    bytes
}

fn event(name: &str, payload: &Value) -> Vec<u8> {
    message(&[(":event-type", name), (":message-type", "event")], payload)
}

/// A chunk of InvokeModelWithResponseStream.
fn invoked(payload: &Value) -> Vec<u8> {
    event("chunk", &json!({"bytes": STANDARD.encode(payload.to_string()), "p": "abcdef"}))
}

fn bedrock(api: Api, bytes: &[u8], chunk: usize) -> CallRecord {
    let mut exchange = Exchange::new(api);
    exchange.request(
        br#"{"modelId": "m", "messages": [{"role": "user", "content": [{"text": "2+2?"}]}]}"#,
    );
    exchange.status(200);
    bytes.chunks(chunk).for_each(|bytes| exchange.push(bytes));
    exchange.finish()
}

#[test]
fn bedrock_streams_in_binary_messages() {
    let converse: Vec<u8> = [
        event("messageStart", &json!({"role": "assistant", "p": "ab"})),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "It is"}, "p": "abc"})),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": " 4."}, "p": "a"})),
        event("contentBlockStop", &json!({"contentBlockIndex": 0, "p": "a"})),
        event("messageStop", &json!({"stopReason": "end_turn", "p": "abcd"})),
        event("metadata", &json!({"usage": {"inputTokens": 5, "outputTokens": 3}, "metrics": {"latencyMs": 250}, "p": "a"})),
    ]
    .concat();
    let whole = bedrock(Api::BedrockConverse, &converse, converse.len());
    assert_eq!(whole.tokens(), (Some(5), Some(3)));
    for chunk in [1, 7, 11, 12, 13, 100] {
        assert_eq!(
            bedrock(Api::BedrockConverse, &converse, chunk),
            whole,
            "{chunk} bytes at a time"
        );
    }
    let (_, output, metadata) = recorded(whole);
    let text = json!([{"type": "text", "content": "It is 4."}]);
    assert_eq!(output, json!([{"role": "assistant", "finish_reason": "end_turn", "parts": text}]));
    assert!(metadata.get(metadata::OUTCOME).is_none(), "{metadata}");
    assert!(!metadata.to_string().contains("\"p\""), "padding is no data: {metadata}");

    let claude: Vec<u8> = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "4"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 2}}),
    ]
    .iter()
    .flat_map(invoked)
    .collect();
    let record = bedrock(Api::BedrockInvoke, &claude, 50);
    assert_eq!((record.tokens(), record.response_id()), ((Some(5), Some(2)), Some("msg_1")));
    assert_eq!(recorded(record).1[0]["parts"][0]["content"], "4");

    for (first, last) in [
        (
            json!({"outputText": "It is", "index": 0, "totalOutputTextTokenCount": null, "completionReason": null, "inputTextTokenCount": 5}),
            json!({"outputText": " 4.", "index": 0, "totalOutputTextTokenCount": 3, "completionReason": "FINISH", "inputTextTokenCount": null}),
        ),
        (
            json!({"generation": "It is", "prompt_token_count": 5, "generation_token_count": 1, "stop_reason": null}),
            json!({"generation": " 4.", "prompt_token_count": null, "generation_token_count": 3, "stop_reason": "stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 3}}),
        ),
    ] {
        let record = bedrock(Api::BedrockInvoke, &[invoked(&first), invoked(&last)].concat(), 9);
        assert_eq!(record.tokens(), (Some(5), Some(3)), "{first}");
        let (_, output, metadata) = recorded(record);
        assert_eq!(output, "It is 4.", "{first}");
        assert!(metadata.get(metadata::OUTCOME).is_none(), "{metadata}");
    }
}

#[test]
fn damaged_and_failed_binary_streams_are_recorded() {
    let start =
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "It is"}}));
    let outcome = |bytes: &[u8]| {
        let (_, output, metadata) = recorded(bedrock(Api::BedrockConverse, bytes, 10));
        assert_eq!(output[0]["parts"][0]["content"], "It is");
        (metadata[metadata::OUTCOME].clone(), metadata[metadata::ERROR_TYPE].clone(), metadata)
    };
    let exception_headers =
        [(":exception-type", "throttlingException"), (":message-type", "exception")];
    let exception = message(&exception_headers, &json!({"message": "slow down"}));
    let (result, error, _) = outcome(&[start.clone(), exception].concat());
    assert_eq!((result, error), (json!("failed"), json!("throttlingException")));
    for body in [json!("slow down"), json!([]), json!(1), Value::Null] {
        let (result, error, _) =
            outcome(&[start.clone(), message(&exception_headers, &body)].concat());
        assert_eq!((result, error), (json!("failed"), json!("throttlingException")), "{body}");
    }
    let error = [(":error-code", "500"), (":error-message", "broken"), (":message-type", "error")];
    let (result, error, _) = outcome(&[start.clone(), message(&error, &Value::Null)].concat());
    assert_eq!((result, error), (json!("failed"), json!("500")));
    // Cut in a message.
    let (result, _, metadata) = outcome(&[start.clone(), start[..20].to_vec()].concat());
    assert_eq!((result, &metadata["attestry.lossy"]), (json!("cut_off"), &json!(["output"])));
    // Each byte of the second message changed.
    for at in 0..start.len() {
        let mut changed = start.clone();
        changed[at] ^= 0x40;
        let (result, _, metadata) = outcome(&[start.clone(), changed].concat());
        assert_eq!(result, json!("cut_off"), "byte {at}");
        assert_eq!(metadata["attestry.lossy"], json!(["output"]), "byte {at}");
    }
}

#[test]
fn binary_messages_beyond_the_limit_are_skipped() {
    let delta = |text: &str| {
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": text}}))
    };
    let stop = event("messageStop", &json!({"stopReason": "end_turn"}));
    let bytes = [delta("a"), delta(&"x".repeat(5000)), delta("b"), stop].concat();
    let mut exchange = Exchange::new(Api::BedrockConverse).max_bytes(1000);
    bytes.chunks(33).for_each(|bytes| exchange.push(bytes));
    let (_, output, metadata) = recorded(exchange.finish());
    assert_eq!(output[0]["parts"][0]["content"], "ab");
    assert_eq!(metadata["attestry.truncated"], json!(["output"]));
}
