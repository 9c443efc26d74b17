use attestry_core::metadata;
use serde_json::{Value, json};

use super::{decode_json, decode_plain_json};
use crate::record::Content;
use crate::{CallRecord, Decoded, Format, Joiner, UnknownSpans, decode, decode_with};

/// OTLP/JSON of one span.
fn span(id: &str, attributes: Value, more: Value) -> Value {
    let mut span = json!({"traceId": "4BF92F3577B34DA6A3CE929D0E0E4736", "spanId": id, "name": "chat", "kind": 3,
        "startTimeUnixNano": "1769591700000123456", "endTimeUnixNano": 1_769_591_701_500_123_456_u64,
        "attributes": pairs(attributes), "status": {}});
    if let (Value::Object(span), Value::Object(more)) = (&mut span, more) {
        span.extend(more);
    }
    json!({"resourceSpans": [{"resource": {"attributes": pairs(json!({"service.name": "shop", "host.name": "h"}))},
        "scopeSpans": [{"scope": {"name": "scope", "version": "1"}, "spans": [span]}]}]})
}

fn log(event: &str, span: &str, time: u64, body: &Value, attributes: Value) -> Value {
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": time.to_string(), "eventName": event,
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": span, "body": any(body), "attributes": pairs(attributes)}]}]}]})
}

fn pairs(attributes: Value) -> Value {
    let Value::Object(attributes) = attributes else { return json!([]) };
    attributes.into_iter().map(|(key, value)| json!({"key": key, "value": any(&value)})).collect()
}

fn any(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::String(text) => json!({ "stringValue": text }),
        Value::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any).collect::<Vec<_>>()}})
        }
        Value::Object(fields) => {
            let values: Vec<Value> = fields
                .iter()
                .map(|(key, value)| json!({"key": key, "value": any(value)}))
                .collect();
            json!({"kvlistValue": {"values": values}})
        }
    }
}

fn records(batch: &Value) -> Vec<CallRecord> {
    decode(Format::Otlp, batch.to_string().as_bytes()).unwrap().records
}

fn one(batch: &Value) -> CallRecord {
    let mut records = records(batch);
    assert_eq!(records.len(), 1, "{batch}");
    let mut record = records.remove(0);
    record.assemble();
    record
}

fn json(content: Option<&Content>) -> Value {
    match content {
        None => Value::Null,
        Some(Content::Text(text)) => text.as_str().into(),
        Some(Content::Json(value)) => value.clone(),
        Some(Content::Messages(messages)) => messages.to_value(),
    }
}

const SPAN: &str = "00f067aa0ba902b7";

fn input() -> Value {
    json!([{"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "2+2?"}]}])
}

fn output() -> Value {
    json!([{"role": "assistant", "finish_reason": "stop", "parts": [{"type": "text", "content": "4"}]}])
}

fn base() -> Value {
    json!({"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4",
        "gen_ai.response.model": "gpt-4-0613", "gen_ai.response.id": "chatcmpl-1", "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 1, "user.id": "u-1", "gen_ai.conversation.id": "s-1",
        "my.label": "blue"})
}

fn with(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

/// One call in every dialect gives one content, and so one hash.
#[test]
fn every_dialect_has_the_same_content() {
    let instructions = json!([{"type": "text", "content": "Be brief."}]);
    let user = json!([{"role": "user", "parts": [{"type": "text", "content": "2+2?"}]}]);
    let chat =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]);
    let attributes = [
        with(
            base(),
            json!({"gen_ai.system_instructions": instructions.to_string(), "gen_ai.input.messages": user.to_string(), "gen_ai.output.messages": output().to_string()}),
        ),
        with(
            base(),
            json!({"gen_ai.system_instructions": instructions, "gen_ai.input.messages": user, "gen_ai.output.messages": output()}),
        ),
        with(
            base(),
            json!({"gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "Be brief.", "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "2+2?",
            "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "4", "gen_ai.completion.0.finish_reason": "stop"}),
        ),
        json!({"ai.operationId": "ai.generateText.doGenerate", "ai.prompt.messages": chat.to_string(), "ai.response.text": "4", "ai.response.finishReason": "stop",
            "ai.model.provider": "openai.chat", "ai.model.id": "gpt-4", "ai.response.model": "gpt-4-0613", "ai.response.id": "chatcmpl-1",
            "ai.usage.inputTokens": 5, "ai.usage.outputTokens": 1, "ai.telemetry.metadata.userId": "u-1", "ai.telemetry.metadata.sessionId": "s-1"}),
    ];
    for attributes in attributes {
        let record = one(&span(SPAN, attributes.clone(), json!({})));
        assert_eq!(json(record.input.as_ref()), input(), "{attributes}");
        assert_eq!(json(record.output.as_ref()), output(), "{attributes}");
        assert_eq!(
            (record.provider(), record.model(), record.tokens()),
            (Some("openai"), Some("gpt-4-0613"), (Some(5), Some(1)))
        );
        assert_eq!(record.metadata[metadata::REQUEST_MODEL], "gpt-4");
        assert_eq!(
            (record.response_id(), record.conversation_id.as_deref()),
            (Some("chatcmpl-1"), Some("s-1"))
        );
        assert_eq!(record.metadata[metadata::USER], "u-1");
        assert_eq!(record.metadata[metadata::SERVICE_NAME], "shop");
        assert_eq!(record.metadata[metadata::FINISH_REASONS], json!(["stop"]));
        assert_eq!(record.span(), Some(("4bf92f3577b34da6a3ce929d0e0e4736", SPAN)));
        assert_eq!(record.started().unwrap().to_string(), "2026-01-28T09:15:00.000123");
        assert_eq!(record.latency_ms, Some(1500.0));
        assert_eq!(record.other["resource"], json!({"host.name": "h"}));
    }
}

#[test]
fn openinference_messages_and_tools() {
    let record = one(&span(
        SPAN,
        json!({"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "gpt-4-0613",
        "llm.invocation_parameters": "{\"model\": \"gpt-4\", \"temperature\": 0.5}", "llm.token_count.prompt": 5, "llm.token_count.completion": 1,
        "llm.token_count.total": 6, "session.id": "s-1", "user.id": "u-1", "input.mime_type": "application/json",
        "input.value": "{\"messages\": []}", "output.value": "{\"id\": \"chatcmpl-1\", \"model\": \"gpt-4-0613\", \"choices\": [{\"finish_reason\": \"stop\"}]}",
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "Be brief.",
        "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": "2+2?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "add",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{\"a\": 2}"}),
        json!({}),
    ));
    assert_eq!(json(record.input.as_ref()), input());
    assert_eq!(
        json(record.output.as_ref()),
        json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 2}}]}])
    );
    assert_eq!(
        (record.provider(), record.model(), record.tokens()),
        (Some("openai"), Some("gpt-4-0613"), (Some(5), Some(1)))
    );
    assert_eq!(record.response_id(), Some("chatcmpl-1"));
    assert_eq!(record.metadata[metadata::TEMPERATURE], 0.5);
    let tool = one(&span(
        SPAN,
        json!({"openinference.span.kind": "TOOL", "tool.name": "add", "input.value": "{\"a\":2}", "output.value": "4"}),
        json!({"parentSpanId": "00f067aa0ba902b8"}),
    ));
    assert_eq!(
        (json(tool.input.as_ref()), json(tool.output.as_ref())),
        (json!({"a": 2}), json!("4"))
    );
    assert_eq!(tool.metadata[metadata::OPERATION], "execute_tool");
    assert_eq!(tool.spans.first().unwrap().parent.as_deref(), Some("00f067aa0ba902b8"));
}

#[test]
fn one_event_for_each_message_is_joined_with_its_span() {
    let batches = [
        span(SPAN, base(), json!({})),
        log(
            "gen_ai.system.message",
            SPAN,
            1_769_591_700_000_200_000,
            &json!({"content": "Be brief."}),
            json!({"gen_ai.system": "openai"}),
        ),
        log(
            "gen_ai.user.message",
            SPAN,
            1_769_591_700_000_300_000,
            &json!({"content": "2+2?"}),
            json!({}),
        ),
        log(
            "gen_ai.choice",
            SPAN,
            1_769_591_701_000_000_000,
            &json!({"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "4"}}),
            json!({}),
        ),
    ];
    let mut orders =
        vec![vec![0, 1, 2, 3], vec![3, 2, 1, 0], vec![2, 0, 3, 1], vec![0, 1, 2, 3, 0, 1, 2, 3]];
    let mut joined = Vec::new();
    for order in &mut orders {
        let mut joiner = Joiner::new(usize::MAX);
        order
            .iter()
            .flat_map(|index| records(&batches[*index]))
            .for_each(|record| drop(joiner.push(record)));
        let mut calls = joiner.finish();
        assert_eq!(calls.len(), 1);
        let mut call = calls.remove(0);
        let id = call.id();
        call.assemble();
        assert_eq!(json(call.input.as_ref()), input());
        assert_eq!(json(call.output.as_ref()), output());
        joined.push((id, call));
    }
    assert!(joined.iter().all(|call| *call == joined[0]), "the order does not matter");
}

#[test]
fn the_event_with_all_of_a_call_is_a_call_without_its_span() {
    let details =
        with(base(), json!({"gen_ai.input.messages": input(), "gen_ai.output.messages": output()}));
    let event = log(
        "gen_ai.client.inference.operation.details",
        SPAN,
        1_769_591_700_000_000_000,
        &Value::Null,
        details,
    );
    let record = one(&event);
    assert_eq!((json(record.input.as_ref()), json(record.output.as_ref())), (input(), output()));
    assert_eq!(record.started().unwrap().to_string(), "2026-01-28T09:15:00");
}

#[test]
fn two_instrumentations_of_one_call_are_one_call() {
    let outer = span(SPAN, with(base(), json!({"gen_ai.input.messages": input()})), json!({}));
    let inner = span(
        "00f067aa0ba902b8",
        with(base(), json!({"gen_ai.output.messages": output()})),
        json!({"parentSpanId": SPAN, "startTimeUnixNano": "1769591700100000000"}),
    );
    let mut elsewhere = span("00f067aa0ba902b9", base(), json!({}));
    elsewhere["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] =
        json!("5bf92f3577b34da6a3ce929d0e0e4736");
    let later = span(
        "00f067aa0ba902c0",
        base(),
        json!({"startTimeUnixNano": "1769599999000000000", "endTimeUnixNano": "1769599999500000000"}),
    );
    let mut joiner = Joiner::new(usize::MAX);
    for batch in [&inner, &elsewhere, &later, &outer] {
        records(batch).into_iter().for_each(|record| drop(joiner.push(record)));
    }
    let calls = joiner.finish();
    assert_eq!(calls.len(), 2, "the same id two hours later is another call");
    assert_eq!(calls[0].spans.len(), 3);
    assert_eq!(calls[0].span().unwrap().1, SPAN, "the span that started first");
    assert_eq!(
        (json(calls[0].input.as_ref()), json(calls[0].output.as_ref())),
        (input(), output())
    );
}

#[test]
fn errors_limits_and_unknown_spans() {
    let cut = &input().to_string()[..40];
    let failed = one(&span(
        SPAN,
        with(
            base(),
            json!({"gen_ai.input.messages": cut, "error.type": "timeout", "attestry.outcome": 5, "gen_ai.request.max_tokens": "many"}),
        ),
        json!({"status": {"code": 2, "message": "took too long"}, "droppedAttributesCount": 3}),
    ));
    assert_eq!(failed.metadata[metadata::ERROR_TYPE], "timeout");
    assert_eq!(failed.metadata[metadata::OUTCOME], metadata::OUTCOME_FAILED);
    assert_eq!(json(failed.input.as_ref()), json!(cut));
    assert_eq!(failed.truncated.iter().copied().collect::<Vec<_>>(), ["attributes", "input"]);
    assert_eq!(failed.other["gen_ai.request.max_tokens"], "many");
    assert_eq!(failed.other["attestry.outcome"], 5);
    assert_eq!(failed.other["status"], "took too long");
    let database = span(SPAN, json!({"db.system": "postgresql"}), json!({}));
    let decoded = decode(Format::Otlp, database.to_string().as_bytes()).unwrap();
    assert_eq!((decoded.records.len(), decoded.ignored), (0, 1));
}

#[test]
fn unknown_spans_and_logs_are_kept_if_asked() {
    let keep = |batch: &Value| {
        let batch = batch.to_string();
        let decoded = decode_with(Format::Otlp, batch.as_bytes(), UnknownSpans::Keep).unwrap();
        assert_eq!(decoded.ignored, 0);
        decoded.records
    };
    let attributes =
        json!({"db.system": "postgresql", "user.id": "u-1", "db.statement": "SELECT 1"});
    let database = keep(&span(SPAN, attributes, json!({"name": "SELECT"}))).remove(0);
    assert_eq!(database.metadata[metadata::OPERATION], "span");
    assert_eq!(database.metadata[metadata::USER], "u-1");
    assert_eq!(database.metadata["db.system"], "postgresql");
    assert_eq!(database.span().map(|(_, span)| span), Some(SPAN));
    // Two logs of one span, one of them without a name, are entries of their own.
    let log = |body: &str, time: &str, name: Option<&str>| {
        json!({"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": SPAN, "timeUnixNano": time,
            "eventName": name, "body": {"stringValue": body}})
    };
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        log("query took 2 s", "1769591700000000000", None),
        log("query took 3 s", "1769591700000000000", Some("slow")),
        log("2+2?", "1769591700000000000", Some("gen_ai.user.message"))]}]}]});
    let records = keep(&logs);
    let operations: Vec<_> =
        records.iter().map(|record| record.metadata.get(metadata::OPERATION)).collect();
    assert_eq!(operations, [Some(&json!("log")), Some(&json!("log")), None]);
    assert_eq!(records[0].other["body"], "query took 2 s");
    assert_eq!(records[1].other["event.name"], "slow");
    assert_eq!(records[0].metadata[metadata::SPAN_ID], SPAN);
    let ids: std::collections::BTreeSet<_> = records.iter().map(|record| record.id()).collect();
    assert_eq!(ids.len(), 3);
    let counted = decode(Format::Otlp, logs.to_string().as_bytes()).unwrap();
    assert_eq!((counted.records.len(), counted.ignored), (1, 2));
}

#[test]
fn ids_in_base64_and_names_as_in_the_protocol() {
    let batch = json!({"resource_spans": [{"scope_spans": [{"spans": [{"trace_id": "S/kvNXezTaajzpKdDg5HNg==", "span_id": "APBnqgupArc=",
        "start_time_unix_nano": 1_769_591_700_000_000_000_u64, "end_time_unix_nano": "1769591701000000000",
        "attributes": [{"key": "gen_ai.system", "value": {"string_value": "OpenAI"}}, {"key": "gen_ai.system", "value": {"stringValue": "Other"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"int_value": 7}}]}]}]}]});
    let record = one(&batch);
    assert_eq!(record.span(), Some(("4bf92f3577b34da6a3ce929d0e0e4736", SPAN)));
    assert_eq!((record.provider(), record.tokens()), (Some("openai"), (Some(7), None)));
    assert_eq!(record.other["duplicate_attributes"], json!([{"gen_ai.system": "Other"}]));
}

#[test]
fn agents_and_steps_of_the_vercel_sdk_are_entries_of_their_own() {
    let outer = one(&span(
        SPAN,
        json!({"ai.operationId": "ai.generateText", "ai.prompt": "{\"system\":\"Be brief.\",\"prompt\":\"2+2?\"}", "ai.response.text": "4", "ai.response.finishReason": "stop"}),
        json!({}),
    ));
    assert_eq!(outer.metadata[metadata::OPERATION], "invoke_agent");
    assert_eq!((json(outer.input.as_ref()), json(outer.output.as_ref())), (input(), output()));
    let tool = one(&span(
        SPAN,
        json!({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "add", "ai.toolCall.id": "c1", "ai.toolCall.args": "{\"a\":2}", "ai.toolCall.result": "4"}),
        json!({}),
    ));
    assert_eq!(tool.metadata[metadata::TOOL_CALL_ID], "c1");
    assert_eq!(json(tool.input.as_ref()), json!({"a": 2}));
    let task = one(&span(
        SPAN,
        json!({"traceloop.span.kind": "agent", "traceloop.entity.name": "planner", "traceloop.entity.input": "{\"a\":1}", "traceloop.association.properties.session_id": "s-9"}),
        json!({}),
    ));
    assert_eq!(task.metadata[metadata::AGENT_NAME], "planner");
    assert_eq!(task.conversation_id.as_deref(), Some("s-9"));
}

/// Found by fuzzing: they were taken for one call, or had one id.
#[test]
fn spans_and_events_without_ids_stay_apart() {
    let mut invalid = span("0000000000000000", base(), json!({}));
    let spans = &mut invalid["resourceSpans"][0]["scopeSpans"][0]["spans"];
    let mut other = spans[0].clone();
    other["startTimeUnixNano"] = json!("1769591800000000000");
    other["attributes"] = pairs(json!({"gen_ai.system": "anthropic"}));
    spans.as_array_mut().unwrap().push(other);
    let mut events = log(
        "gen_ai.user.message",
        "",
        1_769_591_700_000_200_000,
        &json!({"content": "a"}),
        json!({}),
    );
    let records_of = &mut events["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    let again = records_of[0].clone();
    records_of.as_array_mut().unwrap().push(again);
    for batch in [invalid, events] {
        let mut joiner = Joiner::new(usize::MAX);
        for _ in 0..2 {
            for record in records(&batch) {
                joiner.push(record.source_sha256("line"));
            }
        }
        let calls = joiner.finish();
        assert_eq!(calls.len(), 2, "{batch}");
        assert_ne!(calls[0].id(), calls[1].id());
    }
}

/// What is decoded without values between, and by the general way.
fn both_ways(json: &Value) -> (Option<Decoded>, Option<Decoded>) {
    let plain = decode_plain_json(json.to_string().as_bytes(), UnknownSpans::Keep);
    (plain, decode_json(json.clone(), UnknownSpans::Keep).ok())
}

fn of_span(span: &Value) -> Value {
    json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
        "schemaUrl": "https://a", "scopeSpans": [{"scope": {"name": "n", "version": "1"}, "spans": [span]},
        {"schemaUrl": "https://b", "spans": [span]}]}]})
}

#[test]
fn plain_json_gives_the_same_records() {
    let values = json!([
        {"key": "gen_ai.system", "value": {"stringValue": "openai"}}, {"key": "i", "value": {"intValue": "-5"}},
        {"key": "i", "value": {"intValue": "6"}}, {"key": "x", "value": {"intValue": "much"}},
        {"key": "d", "value": {"doubleValue": 0.5}}, {"key": "e", "value": {"doubleValue": 5}},
        {"key": "b", "value": {"boolValue": true}}, {"key": "y", "value": {"bytesValue": "aGk="}},
        {"key": "n", "value": {}}, {"key": "m"}, {"key": "", "value": {"stringValue": "no key"}},
        {"key": "gen_ai.input.messages", "value": {"arrayValue": {"values": [{"kvlistValue": {"values": [
            {"key": "role", "value": {"stringValue": "user"}}, {"key": "content", "value": {"stringValue": "2+2?"}},
            {"key": "role", "value": {"stringValue": "tool"}}]}}]}}}
    ]);
    for span in [
        json!({}),
        json!({"traceId": "4BF92F3577B34DA6A3CE929D0E0E4736", "spanId": "APBnqgupArc=", "parentSpanId": "0000000000000000",
            "name": "a \"name\"", "kind": 3, "flags": 256, "startTimeUnixNano": "1769591700000000000",
            "endTimeUnixNano": "1769591701000000000", "attributes": values, "droppedAttributesCount": 2,
            "status": {"code": 2, "message": "no"},
            "events": [{"name": "exception", "timeUnixNano": "5", "attributes": values}]}),
        json!({"startTimeUnixNano": "-1", "endTimeUnixNano": "soon", "status": {}, "events": []}),
    ] {
        let (plain, general) = both_ways(&of_span(&span));
        assert!(plain.is_some() && plain == general, "{span}");
    }
}

#[test]
fn json_that_is_not_plain_is_left_to_the_general_way() {
    let attribute = |value: Value| json!({"attributes": [{"key": "a", "value": value}]});
    for span in [
        json!({"startTimeUnixNano": 5}),
        json!({"status": {"code": "STATUS_CODE_ERROR"}}),
        json!(["4bf92f3577b34da6a3ce929d0e0e4736"]),
        json!({"status": [2, "no"]}),
        json!({"attributes": [["a", {"stringValue": "b"}]]}),
        json!({"name": null}),
        json!({"trace_id": "a"}),
        attribute(json!({"intValue": 5})),
        attribute(json!({"stringValue": null, "intValue": "5"})),
        attribute(json!({"doubleValue": 1e300})),
        attribute(json!({"doubleValue": "NaN"})),
        attribute(json!("text")),
    ] {
        let (plain, general) = both_ways(&of_span(&span));
        assert!(plain.is_none() && general.is_some(), "{span}");
    }
    for json in [json!({}), json!({"resourceLogs": []})] {
        assert!(both_ways(&json).0.is_none());
    }
    let repeated = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","name":"b"}]}]}]}"#;
    assert!(decode_plain_json(repeated, UnknownSpans::Keep).is_none());
}
