//! Requests and responses of each API, whole and streamed.

mod common;

use attestry_core::metadata;
use attestry_genai::{Api, CallRecord, Exchange, UnmappedTexts};
use attestry_logger::messages::Messages;
use common::recorded;
use serde_json::{Value, json};

fn exchange(api: Api, request: &Value, response: &Value) -> CallRecord {
    let mut exchange = Exchange::new(api);
    exchange.request(request.to_string().as_bytes());
    exchange.status(200);
    exchange.response(response.to_string().as_bytes());
    exchange.finish()
}

fn streamed(api: Api, request: &Value, stream: &str, chunk: usize) -> CallRecord {
    let mut exchange = Exchange::new(api);
    exchange.request(request.to_string().as_bytes());
    exchange.status(200);
    stream.as_bytes().chunks(chunk).for_each(|bytes| exchange.push(bytes));
    exchange.finish()
}

fn sse(events: &[Value]) -> String {
    let mut stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    stream.push_str("data: [DONE]\n\n");
    stream
}

fn named_sse(events: &[Value]) -> String {
    events
        .iter()
        .map(|event| {
            format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
        })
        .collect()
}

#[test]
fn chat_completions_with_tools_are_the_same_streamed() {
    let request = json!({"model": "gpt-4", "temperature": 0.5, "seed": 7, "user": "u-1",
        "messages": [{"role": "user", "content": "Weather in Oslo?"}], "tools": [{"type": "function"}]});
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}});
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}});
    let whole = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1769591700, "model": "gpt-4-0613",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Let me see.", "tool_calls": [call]}, "finish_reason": "tool_calls"}],
        "usage": usage});
    let head = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1769591700, "model": "gpt-4-0613"});
    let chunk = |delta: Value, reason: Value| {
        let mut chunk = head.clone();
        chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
        chunk
    };
    let mut last = head.clone();
    last["choices"] = json!([]);
    last["usage"] = usage.clone();
    let stream = sse(&[
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "Let me"}), Value::Null),
        chunk(json!({"content": " see."}), Value::Null),
        chunk(
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}]}),
            Value::Null,
        ),
        chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"city\":"}}]}),
            Value::Null,
        ),
        chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"Oslo\"}"}}]}),
            Value::Null,
        ),
        chunk(json!({}), json!("tool_calls")),
        last,
    ]);
    let record = exchange(Api::OpenAiChat, &request, &whole);
    assert_eq!(record.tokens(), (Some(12), Some(7)));
    assert_eq!(record.response_id(), Some("chatcmpl-1"));
    let (input, output, metadata) = recorded(record);
    assert_eq!(
        input,
        json!([{"role": "user", "parts": [{"type": "text", "content": "Weather in Oslo?"}]}])
    );
    assert_eq!(
        output,
        json!([{"role": "assistant", "finish_reason": "tool_calls", "parts": [
        {"type": "text", "content": "Let me see."},
        {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Oslo"}}]}])
    );
    assert_eq!(metadata[metadata::REQUEST_MODEL], "gpt-4");
    assert_eq!(metadata[metadata::CACHE_READ_TOKENS], 4);
    assert_eq!(metadata[metadata::REASONING_TOKENS], 2);
    assert_eq!(metadata[metadata::OTHER]["request"]["tools"], json!([{"type": "function"}]));
    assert_eq!(metadata[metadata::SAFETY], metadata::SAFETY_NOT_CHECKED);
    for size in [1, 7, usize::MAX] {
        let mut metadata = metadata.clone();
        metadata[metadata::STREAM] = true.into();
        let folded = recorded(streamed(Api::OpenAiChat, &request, &stream, size));
        assert_eq!(folded, (input.clone(), output.clone(), metadata), "{size} bytes at a time");
    }
}

#[test]
fn anthropic_counts_cached_tokens_apart() {
    let request = json!({"model": "claude", "system": "Be brief.", "max_tokens": 100,
        "messages": [{"role": "user", "content": "2+2?"}]});
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1",
        "content": [{"type": "thinking", "thinking": "Easy.", "signature": "sig"}, {"type": "text", "text": "4"},
            {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": [1]}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output_tokens": 3}});
    let mut start = whole.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"]["output_tokens"] = json!(1);
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stream = named_sse(&[
        json!({"type": "message_start", "message": start}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        delta(0, json!({"type": "thinking_delta", "thinking": "Easy."})),
        delta(0, json!({"type": "signature_delta", "signature": "sig"})),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        delta(1, json!({"type": "text_delta", "text": "4"})),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "add", "input": {}}}),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"a\": "})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "[1]}"})),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ]);
    let record = exchange(Api::AnthropicMessages, &request, &whole);
    assert_eq!(record.tokens(), (Some(105), Some(3)));
    let (input, output, metadata) = recorded(record);
    assert_eq!(
        input[0],
        json!({"role": "system", "parts": [{"type": "text", "content": "Be brief."}]})
    );
    assert_eq!(output[0]["finish_reason"], "tool_use");
    assert_eq!(
        output[0]["parts"][2],
        json!({"type": "tool_call", "id": "t1", "name": "add", "arguments": {"a": [1]}})
    );
    assert_eq!(metadata[metadata::CACHE_READ_TOKENS], 90);
    assert_eq!(metadata[metadata::CACHE_WRITE_TOKENS], 5);
    for size in [1, 11, usize::MAX] {
        let mut metadata = metadata.clone();
        metadata[metadata::STREAM] = true.into();
        let folded = recorded(streamed(Api::AnthropicMessages, &request, &stream, size));
        assert_eq!(folded, (input.clone(), output.clone(), metadata), "{size} bytes at a time");
    }
}

#[test]
fn responses_are_the_same_streamed_and_cut_off() {
    let request = json!({"model": "gpt-5", "instructions": "Be brief.", "input": "2+2?", "previous_response_id": "resp_0"});
    let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "It is 4.", "annotations": []}]});
    let whole = json!({"id": "resp_1", "object": "response", "created_at": 1769591700, "status": "completed", "model": "gpt-5-1",
        "output": [item], "usage": {"input_tokens": 5, "output_tokens": 4, "total_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}});
    let mut created = whole.clone();
    created["status"] = json!("in_progress");
    created["output"] = json!([]);
    created["usage"] = Value::Null;
    let mut events = vec![
        json!({"type": "response.created", "response": created}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "role": "assistant", "content": []}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "It is"}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": " 4."}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": whole}),
    ];
    let (input, output, metadata) = recorded(exchange(Api::OpenAiResponses, &request, &whole));
    assert_eq!(
        output,
        json!([{"role": "assistant", "finish_reason": "completed", "parts": [{"type": "text", "content": "It is 4."}]}])
    );
    assert_eq!(input[0]["role"], "system");
    assert_eq!(metadata[metadata::OTHER]["request"]["previous_response_id"], "resp_0");
    let folded = recorded(streamed(Api::OpenAiResponses, &request, &named_sse(&events), 5));
    assert_eq!((folded.0, folded.1), (input, output));
    events.truncate(3);
    let (_, output, metadata) =
        recorded(streamed(Api::OpenAiResponses, &request, &named_sse(&events), 5));
    assert_eq!(output[0]["parts"][0]["content"], "It is");
    assert_eq!(metadata[metadata::OUTCOME], metadata::OUTCOME_CUT_OFF);
}

#[test]
fn gemini_counts_thoughts_apart_and_streams_in_an_array() {
    let request = json!({"systemInstruction": {"parts": [{"text": "Be brief."}]}, "generationConfig": {"temperature": 0, "topP": 0.9, "maxOutputTokens": 9},
        "contents": [{"role": "user", "parts": [{"text": "2+2?"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}]});
    let usage = json!({"promptTokenCount": 5, "candidatesTokenCount": 1, "thoughtsTokenCount": 7, "totalTokenCount": 13});
    let whole = json!({"responseId": "r1", "modelVersion": "gemini-3", "usageMetadata": usage,
        "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
            {"text": "Easy.", "thought": true}, {"text": "It is 4."}]}}]});
    let chunk = |parts: Value| json!({"responseId": "r1", "modelVersion": "gemini-3", "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}}]});
    let mut last = chunk(json!([{"text": " 4."}]));
    last["candidates"][0]["finishReason"] = json!("STOP");
    last["usageMetadata"] = usage.clone();
    let stream = json!([
        chunk(json!([{"text": "Easy.", "thought": true}])),
        chunk(json!([{"text": "It is"}])),
        last
    ]);
    let record = exchange(Api::Gemini, &request, &whole);
    assert_eq!(record.tokens(), (Some(5), Some(8)));
    let (input, output, metadata) = recorded(record);
    assert_eq!(
        input[1]["parts"][1],
        json!({"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="})
    );
    assert_eq!(
        output,
        json!([{"role": "assistant", "finish_reason": "STOP", "parts": [
        {"type": "reasoning", "content": "Easy."}, {"type": "text", "content": "It is 4."}]}])
    );
    assert_eq!(metadata[metadata::TOP_P], 0.9);
    for stream in [format!("{stream:#}"), sse(stream.as_array().unwrap())] {
        let mut metadata = metadata.clone();
        metadata[metadata::STREAM] = true.into();
        let folded = recorded(streamed(Api::Gemini, &request, &stream, 3));
        assert_eq!(folded, (input.clone(), output.clone(), metadata));
    }
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r2"});
    let (_, _, metadata) = recorded(exchange(Api::Gemini, &request, &blocked));
    assert_eq!(metadata[metadata::OUTCOME], metadata::OUTCOME_BLOCKED);
}

#[test]
fn ollama_streams_lines() {
    let request = json!({"model": "smollm2", "messages": [{"role": "user", "content": "2+2?"}], "options": {"temperature": 0, "seed": 1}});
    let stream = concat!(
        r#"{"model":"smollm2","created_at":"2026-01-28T09:15:00Z","message":{"role":"assistant","content":"It is"},"done":false}"#,
        "\n",
        r#"{"model":"smollm2","created_at":"2026-01-28T09:15:01Z","message":{"role":"assistant","content":" 4."},"done":false}"#,
        "\n",
        r#"{"model":"smollm2","created_at":"2026-01-28T09:15:01Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":1500000000,"prompt_eval_count":5,"eval_count":4}"#,
        "\n",
    );
    let record = streamed(Api::OllamaChat, &request, stream, 13);
    assert_eq!(record.tokens(), (Some(5), Some(4)));
    let (_, output, metadata) = recorded(record);
    assert_eq!(
        output,
        json!([{"role": "assistant", "finish_reason": "stop", "parts": [{"type": "text", "content": "It is 4."}]}])
    );
    assert_eq!(metadata[metadata::SEED], 1);
    assert!(metadata.get(metadata::OUTCOME).is_none());
}

#[test]
fn bedrock_converse_and_invoke() {
    let request = json!({"modelId": "amazon.nova", "system": [{"text": "Be brief."}], "inferenceConfig": {"maxTokens": 5},
        "messages": [{"role": "user", "content": [{"text": "2+2?"}]}]});
    let whole = json!({"output": {"message": {"role": "assistant", "content": [{"text": "4"}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 1, "totalTokens": 16, "cacheReadInputTokens": 10}, "metrics": {"latencyMs": 250}});
    let record = exchange(Api::BedrockConverse, &request, &whole);
    assert_eq!(record.tokens(), (Some(15), Some(1)));
    let (input, output, _) = recorded(record);
    assert_eq!(input[1]["parts"][0]["content"], "2+2?");
    assert_eq!(
        output,
        json!([{"role": "assistant", "finish_reason": "end_turn", "parts": [{"type": "text", "content": "4"}]}])
    );
    let anthropic = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "2+2?"}]});
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [{"type": "text", "text": "4"}], "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 1}});
    let (_, output, _) = recorded(exchange(Api::BedrockInvoke, &anthropic, &answer));
    assert_eq!(output[0]["parts"][0]["content"], "4");
}

#[test]
fn embeddings_and_completions() {
    let request = json!({"model": "e", "input": ["a", "b"]});
    let response = json!({"object": "list", "model": "e-1", "data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 2, "total_tokens": 2}});
    let (input, output, metadata) = recorded(exchange(Api::OpenAiEmbeddings, &request, &response));
    assert_eq!((input, output), (json!(["a", "b"]), json!([{"index": 0, "embedding": [0.5]}])));
    assert_eq!(metadata[metadata::CONTENT], metadata::CONTENT_JSON);
    assert_eq!(metadata[metadata::OPERATION], "embeddings");
    let request = json!({"model": "c", "prompt": "2+2="});
    let stream = sse(&[
        json!({"id": "cmpl-1", "model": "c", "choices": [{"index": 0, "text": " 4", "finish_reason": null}]}),
        json!({"id": "cmpl-1", "model": "c", "choices": [{"index": 0, "text": "!", "finish_reason": "stop"}]}),
    ]);
    let (input, output, _) = recorded(streamed(Api::OpenAiCompletions, &request, &stream, 9));
    assert_eq!((input, output), (json!("2+2="), json!(" 4!")));
}

#[test]
fn errors_before_and_after_a_status_of_200() {
    let request = json!({"model": "gpt-4", "messages": [{"role": "user", "content": "2+2?"}]});
    let mut refused = Exchange::new(Api::OpenAiChat);
    refused.request(request.to_string().as_bytes());
    refused.status(429);
    refused.response(br#"{"error": {"message": "Slow down.", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}"#);
    let (_, output, metadata) = recorded(refused.finish());
    assert_eq!(output, "");
    assert_eq!(metadata[metadata::OUTCOME], metadata::OUTCOME_FAILED);
    assert_eq!(metadata[metadata::ERROR_TYPE], "rate_limit_exceeded");
    assert_eq!(metadata[metadata::STATUS_CODE], 429);
    assert!(metadata.get(metadata::MISSING).is_none());

    let overloaded = named_sse(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "model": "claude", "content": []}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "It"}}),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ]);
    let (_, output, metadata) =
        recorded(streamed(Api::AnthropicMessages, &request, &overloaded, 20));
    assert_eq!(output[0]["parts"][0]["content"], "It");
    assert_eq!(metadata[metadata::OUTCOME], metadata::OUTCOME_FAILED);
    assert_eq!(metadata[metadata::ERROR_TYPE], "overloaded_error");

    let filtered = json!({"error": {"message": "Filtered.", "code": "content_filter"}});
    let record = exchange(Api::OpenAiChat, &request, &filtered);
    let (_, _, metadata) = recorded(record);
    assert_eq!(metadata[metadata::OUTCOME], metadata::OUTCOME_BLOCKED);
}

#[test]
fn long_streams_are_bounded_and_truncated() {
    let request = json!({"model": "gpt-4", "messages": [{"role": "user", "content": "Count."}]});
    let mut exchange = Exchange::new(Api::OpenAiChat).max_bytes(1000);
    exchange.request(request.to_string().as_bytes());
    for _ in 0..1000 {
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": "0123456789"}}]});
        exchange.push(format!("data: {chunk}\n\n").as_bytes());
    }
    exchange.push(b"data: [DONE]\n\n");
    let (_, output, metadata) = recorded(exchange.finish());
    let kept = output[0]["parts"][0]["content"].as_str().unwrap();
    assert!((900..=1000).contains(&kept.len()), "{}", kept.len());
    assert!("0123456789".repeat(100).starts_with(kept));
    assert_eq!(metadata[metadata::TRUNCATED], json!(["output"]));
}

#[test]
fn content_is_canonical() {
    let request = json!({"model": "gpt-4", "messages": [{"role": "user", "content": "2+2?"}]});
    let interaction =
        exchange(Api::OpenAiChat, &request, &json!({})).into_interaction(UnmappedTexts::Hash);
    let messages = Messages::parse(interaction.input()).unwrap();
    assert_eq!(messages.canonical(), interaction.input());
}
