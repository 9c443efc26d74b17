use serde_json::{Value, json};

use super::*;

fn convert(value: &Value) -> Option<Value> {
    messages_from_json(value.clone()).map(|messages| messages.to_value())
}

#[test]
fn openai_messages_become_parts() {
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
        ]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"x\": 1}"}}
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "assistant", "content": "A cat.", "refusal": null, "annotations": [1]}
    ]);
    let expected = json!([
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "name": "ann", "parts": [
            {"type": "text", "content": "What is this?"},
            {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="}
        ]},
        {"role": "assistant", "parts": [
            {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"x": 1}}
        ]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a cat"}]},
        {"role": "assistant", "annotations": [1], "parts": [{"type": "text", "content": "A cat."}]}
    ]);
    assert_eq!(convert(&messages), Some(expected.clone()));
    assert_eq!(convert(&expected), Some(expected), "the schema itself is kept");
}

/// One call of a tool and its result, in the form of each API.
#[test]
fn calls_of_tools_are_the_same_in_every_api() {
    let call = json!([{"role": "assistant", "parts": [
        {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"x": 1}}]}]);
    for form in [
        json!([{"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": "{\"x\":1}"}}]}]),
        json!([{"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"x": 1}}]}]),
        json!([{"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "look", "input": {"x": 1}}}]}]),
        json!([{"role": "assistant", "content": [{"functionCall": {"id": "c1", "name": "look", "args": {"x": 1}}}]}]),
        json!([{"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "look", "input": {"x": 1}}]}]),
        json!([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": "{\"x\": 1}"}]}]),
        json!([{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"],
            "kwargs": {"content": "", "tool_calls": [{"id": "c1", "name": "look", "args": {"x": 1}, "type": "tool_call"}]}}]),
    ] {
        let mut converted = convert(&form).unwrap();
        // LangChain has an empty text beside.
        converted[0]["parts"].as_array_mut().unwrap().retain(|part| part["content"] != "");
        assert_eq!(converted, call, "{form}");
    }
    let result = json!([{"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a cat"}]}]);
    for form in [
        json!([{"role": "tool", "tool_call_id": "c1", "content": "a cat"}]),
        json!([{"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "a cat"}]}]),
        json!([{"role": "tool", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "a cat"}]}]}]),
        json!([{"role": "tool", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "a cat"}]}}]}]),
        json!([{"role": "tool", "content": [
            {"type": "tool-result", "toolCallId": "c1", "output": "a cat"}]}]),
    ] {
        assert_eq!(convert(&form), Some(result.clone()), "{form}");
    }
}

#[test]
fn fields_without_a_place_stay_with_their_part() {
    let message = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "redacted_thinking", "data": "x"},
        "b",
        7
    ]});
    let expected = json!([
        {"type": "reasoning", "content": "Hm.", "signature": "s"},
        {"type": "text", "content": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "attestry.other", "value": {"type": "redacted_thinking", "data": "x"}},
        {"type": "text", "content": "b"},
        {"type": "attestry.other", "value": 7}
    ]);
    assert_eq!(convert(&message).unwrap()[0]["parts"], expected);
}

#[test]
fn a_field_with_the_name_of_a_part_keeps_the_block_whole() {
    let block = json!({"type": "text", "text": "a", "content": "b"});
    let message = convert(&json!({"role": "user", "content": [block.clone()]})).unwrap();
    assert_eq!(message[0]["parts"][0], json!({"type": "attestry.other", "value": block}));
}

#[test]
fn other_values_are_no_messages() {
    for value in [
        json!([]),
        json!([1]),
        json!({"a": 1}),
        json!({"role": "user"}),
        json!([{"role": 1}]),
        json!("text"),
    ] {
        assert_eq!(convert(&value), None, "{value}");
    }
}

#[test]
fn items_of_one_answer_are_one_message() {
    let list = json!([
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look."}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{\"x\":1}", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
        {"role": "assistant", "content": "A cat."},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    ]);
    let Value::Array(list) = list else { unreachable!() };
    let expected = json!([
        {"role": "user", "parts": [{"type": "text", "content": "Look."}]},
        {"role": "assistant", "parts": [
            {"type": "reasoning", "content": "Hm."},
            {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"x": 1}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a cat"}]},
        {"role": "assistant", "parts": [
            {"type": "text", "content": "A cat."},
            {"type": "attestry.other", "value": {"type": "web_search_call", "id": "ws_1", "status": "completed"}}]}
    ]);
    assert_eq!(items(list).to_value(), expected);
}
