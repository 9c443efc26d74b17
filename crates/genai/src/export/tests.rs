use attestry_core::metadata;
use serde_json::{Value, json};

use super::decode;
use crate::{CallRecord, Format, Joiner};

fn one(format: Format, record: &Value) -> CallRecord {
    assert_eq!(Format::detect(record.to_string().as_bytes()), Some(format), "{record}");
    let mut records = decode(format, record.to_string().as_bytes()).unwrap().records;
    assert_eq!(records.len(), 1);
    records.remove(0)
}

/// Input and output, as JSON.
fn contents(record: &CallRecord) -> (Value, Value) {
    let mut record = record.clone();
    record.assemble();
    let json = |content: Option<super::Content>| match content {
        None => Value::Null,
        Some(super::Content::Text(text)) => text.into(),
        Some(super::Content::Json(value)) => value,
        Some(super::Content::Messages(messages)) => messages.to_value(),
    };
    (json(record.input), json(record.output))
}

fn text_of(messages: &Value) -> &str {
    messages[0]["parts"][0]["content"].as_str().unwrap_or_default()
}

const QUESTION: &str = "2+2?";

fn messages() -> Value {
    json!([{"role": "user", "content": QUESTION}])
}

fn chat_response() -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1769591700, "model": "gpt-4-0613",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}})
}

#[test]
fn litellm_objects() {
    let record = one(
        Format::LiteLlm,
        &json!({
            "id": "chatcmpl-1", "trace_id": "t-1", "call_type": "acompletion", "status": "success",
            "custom_llm_provider": "openai", "model": "gpt-4", "messages": messages(), "response": chat_response(),
            "startTime": 1769591700.5, "endTime": 1769591702.0, "completionStartTime": 1769591701.0, "response_time": 0.5,
            "prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6, "response_cost": 0.001, "end_user": "u-1",
            "request_tags": ["a"], "model_parameters": {"temperature": 0.5, "stream": true},
            "metadata": {"user_api_key_hash": "h", "user_api_key_team_id": "team", "spend_logs_metadata": {"x": 1}},
            "guardrail_information": [{"guardrail_name": "pii", "guardrail_status": "guardrail_intervened"}]
        }),
    );
    let (input, output) = contents(&record);
    assert_eq!((text_of(&input), text_of(&output)), (QUESTION, "4"));
    assert_eq!((record.provider(), record.model()), (Some("openai"), Some("gpt-4-0613")));
    assert_eq!(record.started().unwrap().to_string(), "2026-01-28T09:15:00.500000");
    assert_eq!((record.latency_ms, record.tokens()), (Some(1500.0), (Some(5), Some(1))));
    assert_eq!(record.metadata[metadata::TIME_TO_FIRST_TOKEN], 500.0);
    assert_eq!(record.metadata[metadata::USER], "u-1");
    assert_eq!(record.metadata[metadata::TEMPERATURE], 0.5);
    assert_eq!(record.metadata[metadata::REQUEST_MODEL], "gpt-4");
    assert_eq!(record.metadata["litellm.team.id"], "team");
    assert_eq!(
        (record.safety_passed, record.detectors.first().map(String::as_str)),
        (Some(false), Some("pii"))
    );
    assert_eq!(record.other["metadata"], json!({"spend_logs_metadata": {"x": 1}}));
    assert_eq!(record.other["request_tags"], json!(["a"]));
}

#[test]
fn litellm_rows_without_content_and_failures() {
    let record = one(
        Format::LiteLlm,
        &json!({
            "request_id": "r-1", "call_type": "acompletion", "api_key": "hash", "spend": 0.0, "prompt_tokens": 0,
            "startTime": "2026-01-28T09:15:00.123Z", "endTime": "2026-01-28 09:15:01", "model": "gpt-4",
            "custom_llm_provider": "openai", "messages": {}, "response": "{}", "status": "failure",
            "metadata": "{\"user_api_key_user_id\": \"u-2\", \"error_information\": {\"error_class\": \"x\"}}"
        }),
    );
    assert_eq!(contents(&record), (Value::Null, Value::Null));
    assert_eq!(record.metadata[metadata::OUTCOME], metadata::OUTCOME_FAILED);
    assert_eq!(record.metadata[metadata::USER], "u-2");
    assert_eq!(record.tokens(), (None, None));
}

#[test]
fn ids_that_repeat_are_other_calls_at_another_time() {
    let at = |time: &str| {
        one(
            Format::LiteLlm,
            &json!({"request_id": "1", "call_type": "completion", "startTime": time}),
        )
    };
    let (a, b) = (at("2026-01-28T09:15:00Z"), at("2026-01-28T09:15:00.5Z"));
    assert_ne!(a.id(), b.id());
    assert_eq!(a.id(), at("2026-01-28 09:15:00").id());
}

#[test]
fn langfuse_observations_of_both_spellings() {
    let row = json!({"id": "o-1", "trace_id": "t-1", "type": "GENERATION", "start_time": "2026-01-28 09:15:00.000000",
        "end_time": "2026-01-28 09:15:01.500000", "input": messages().to_string(), "output": "4",
        "provided_model_name": "gpt-4", "model_parameters": "{\"temperature\": 0.5}", "latency": "1.5", "level": "DEFAULT",
        "usage_details": "{\"input\": 5, \"output\": 1, \"total\": 6}", "session_id": "s-1", "user_id": "u-1",
        "status_message": "", "metadata": "{\"a\": \"b\"}"});
    let api = json!({"id": "o-1", "traceId": "t-1", "type": "GENERATION", "startTime": "2026-01-28T09:15:00.000Z",
        "endTime": "2026-01-28T09:15:01.500Z", "input": messages(), "output": "4", "model": "gpt-4",
        "modelParameters": {"temperature": 0.5}, "latency": 1.5, "level": "DEFAULT",
        "usageDetails": {"input": 5, "output": 1, "total": 6}, "sessionId": "s-1", "userId": "u-1", "metadata": "{\"a\": \"b\"}"});
    let (a, b) = (one(Format::Langfuse, &row), one(Format::Langfuse, &api));
    assert_eq!(contents(&a), contents(&b));
    assert_eq!(text_of(&contents(&a).0), QUESTION);
    assert_eq!((a.latency_ms, a.tokens()), (Some(1500.0), (Some(5), Some(1))));
    assert_eq!((a.id(), a.conversation_id.clone()), (b.id(), b.conversation_id.clone()));
    assert_eq!((&a.metadata, &a.other), (&b.metadata, &b.other));
    let tool = one(
        Format::Langfuse,
        &json!({"id": "o-2", "trace_id": "t-1", "type": "TOOL", "start_time": "2026-01-28 09:15:00",
        "level": "ERROR", "name": "look", "status_message": "no"}),
    );
    assert_eq!(tool.metadata[metadata::TOOL_NAME], "look");
    assert_eq!(tool.metadata[metadata::OUTCOME], metadata::OUTCOME_FAILED);
}

#[test]
fn batch_requests_are_joined_with_responses_and_errors() {
    let request = |id: &str| json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4", "messages": messages()}});
    let answer = json!({"id": "batch_req_1", "custom_id": "a", "error": null, "response": {"status_code": 200, "request_id": "r", "body": chat_response()}});
    let error = json!({"id": "batch_req_2", "custom_id": "b", "response": null, "error": {"code": "batch_expired", "message": "Too late."}});
    let lines = [answer, request("a"), request("b"), error, request("c")];
    let mut joiner = Joiner::new(usize::MAX);
    for line in &lines {
        assert!(joiner.push(one(Format::OpenAiBatch, line)).is_empty());
    }
    let calls = joiner.finish();
    assert_eq!(calls.len(), 3);
    let (input, output) = contents(&calls[0]);
    assert_eq!((text_of(&input), text_of(&output)), (QUESTION, "4"));
    assert_eq!(calls[0].metadata[metadata::STATUS_CODE], 200);
    assert_eq!(calls[1].metadata[metadata::ERROR_TYPE], "batch_expired");
    assert_eq!(contents(&calls[2]).1, Value::Null);
}

#[test]
fn bedrock_logs_of_bodies_and_of_streams() {
    let log = |operation: &str, input: Value, output: Value| {
        one(
            Format::Bedrock,
            &json!({
                "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": "2026-01-28T09:15:00Z", "accountId": "1",
                "region": "eu-north-1", "requestId": "r-1", "operation": operation, "modelId": "model", "identity": {"arn": "arn:x"},
                "input": {"inputContentType": "application/json", "inputBodyJson": input, "inputTokenCount": 5},
                "output": {"outputContentType": "application/json", "outputBodyJson": output, "outputTokenCount": 1}
            }),
        )
    };
    let anthropic =
        json!({"anthropic_version": "bedrock-2023-05-31", "messages": messages(), "max_tokens": 5});
    let events = json!([
        {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "model": "claude", "content": [], "usage": {"input_tokens": 5}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "4"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"}
    ]);
    let converse = json!({"messages": [{"role": "user", "content": [{"text": QUESTION}]}]});
    let answer = json!({"output": {"message": {"role": "assistant", "content": [{"text": "4"}]}}, "stopReason": "end_turn"});
    let stream = json!([{"messageStart": {"role": "assistant"}}, {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "4"}}},
        {"messageStop": {"stopReason": "end_turn"}}, {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 1}}}]);
    for record in [
        log("InvokeModelWithResponseStream", anthropic, events),
        log("Converse", converse.clone(), answer),
        log("ConverseStream", converse, stream),
    ] {
        let (input, output) = contents(&record);
        assert_eq!((text_of(&input), text_of(&output)), (QUESTION, "4"), "{record:?}");
        assert_eq!((record.model(), record.tokens()), (Some("model"), (Some(5), Some(1))));
        assert_eq!(record.metadata[metadata::USER], "arn:x");
        assert!(!record.metadata.contains_key(metadata::OUTCOME));
        let rest: Vec<_> = record.other.keys().filter(|key| *key != "request").collect();
        assert!(rest.is_empty(), "{rest:?}");
    }
}

#[test]
fn langsmith_runs() {
    let run = json!({"id": "run-1", "trace_id": "t-1", "parent_run_id": "p-1", "run_type": "llm", "name": "ChatOpenAI",
        "inputs": {"messages": [[{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {"content": QUESTION, "type": "human"}}]]},
        "outputs": {"generations": [[{"text": "4", "message": {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": {"content": "4", "type": "ai"}}}]],
            "llm_output": {"token_usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}}},
        "start_time": "2026-01-28T09:15:00", "end_time": "2026-01-28T09:15:01", "error": null, "status": "success",
        "extra": {"metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4", "thread_id": "s-1"}, "invocation_params": {"temperature": 0.5}}});
    let record = one(Format::LangSmith, &run);
    let (input, output) = contents(&record);
    assert_eq!((text_of(&input), text_of(&output)), (QUESTION, "4"));
    assert_eq!(
        (record.provider(), record.model(), record.tokens()),
        (Some("openai"), Some("gpt-4"), (Some(5), Some(1)))
    );
    assert_eq!(record.conversation_id.as_deref(), Some("s-1"));
    let many = json!({"runs": [run, {"id": "run-2", "run_type": "tool", "name": "look", "inputs": {"x": 1}, "outputs": {"output": "a"}, "error": "no"}]});
    let records = decode(Format::LangSmith, many.to_string().as_bytes()).unwrap().records;
    assert_eq!(records[1].metadata[metadata::TOOL_NAME], "look");
    assert_eq!(records[1].metadata[metadata::OUTCOME], metadata::OUTCOME_FAILED);
}

#[test]
fn azure_chunks_are_joined_in_the_order_of_their_numbers() {
    let request = messages().to_string();
    let (first, second) = request.split_at(9);
    let row = |number: u64, request: &str, response: &str| {
        json!({"TimeGenerated": "2026-01-28T09:15:00Z", "CorrelationId": "c-1",
        "RequestId": "r", "DeploymentName": "d", "ModelName": "gpt-4", "PromptTokens": 5, "CompletionTokens": 1, "TotalTokens": 6,
        "IsStreamCompletion": false, "SequenceNumber": number, "RequestMessages": request, "ResponseMessages": response})
    };
    let mut joiner = Joiner::new(usize::MAX);
    for row in [row(1, second, ""), row(0, first, "[{\"role\":\"assistant\",\"content\":\"4\"}]")] {
        joiner.push(one(Format::AzureApim, &row));
    }
    let calls = joiner.finish();
    assert_eq!(calls.len(), 1);
    let (input, output) = contents(&calls[0]);
    assert_eq!((text_of(&input), text_of(&output)), (QUESTION, "4"));
    assert_eq!((calls[0].model(), calls[0].tokens()), (Some("gpt-4"), (Some(5), Some(1))));
}

/// Found by fuzzing: nanoseconds of the year 9999 have more than 64 bits.
#[test]
fn times_far_from_now_are_recorded() {
    for time in ["9999-12-31 23:59:59", "0001-01-01 00:00:00"] {
        let row = json!({"id": "o", "trace_id": "t", "type": "GENERATION", "start_time": time, "level": "DEFAULT"});
        assert!(one(Format::Langfuse, &row).started().is_some());
        let run = json!({"id": "r", "run_type": "llm", "start_time": time});
        assert!(one(Format::LangSmith, &run).started().is_some());
    }
}

#[test]
fn other_records_are_refused() {
    for format in [
        Format::LiteLlm,
        Format::Langfuse,
        Format::OpenAiBatch,
        Format::Bedrock,
        Format::LangSmith,
        Format::AzureApim,
        Format::Otlp,
        Format::Attestry,
    ] {
        for json in ["{}", "[]", "1", "null", "{\"a\":1,\"a\":2}", ""] {
            assert!(decode(format, json.as_bytes()).is_err(), "{format} {json}");
        }
    }
}
