use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A part of each type.
fn one_of_each() -> Value {
    json!([{"role": "user", "name": "ann", "finish_reason": "stop", "parts": [
        {"type": "text", "content": "a"},
        {"type": "reasoning", "content": "b"},
        {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"x": [1, 2.5, null]}},
        {"type": "tool_call", "name": "g"},
        {"type": "tool_call_response", "id": "c1", "response": {"y": "z"}},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="},
        {"type": "file", "modality": "audio", "file_id": "f-1"},
        {"type": "uri", "modality": "video", "mime_type": "video/mp4", "uri": "s3://b/k"},
        {"type": "attestry.other", "value": [1]},
    ]}])
}

#[test]
fn each_type_is_read_and_written() {
    let messages = Messages::from_value(one_of_each()).unwrap();
    let message = &messages.0[0];
    let unknown = |part: &&Part| matches!(part.kind, PartKind::Unknown { .. });
    assert_eq!(message.parts.iter().filter(unknown).count(), 0);
    assert!(message.extra.is_empty() && message.parts.iter().all(|part| part.extra.is_empty()));
    assert_eq!(
        (message.name.as_deref(), message.finish_reason.as_deref()),
        (Some("ann"), Some("stop"))
    );
    assert_eq!(messages.to_value(), one_of_each());
    let call = PartKind::ToolCall {
        id: Some("c1".into()),
        name: "f".into(),
        arguments: Some(json!({"x": [1, 2.5, null]})),
    };
    assert_eq!(message.parts[2].kind, call);
}

#[test]
fn unknown_fields_and_types_are_kept() {
    for part in [
        json!({"type": "text", "content": "a", "cache_control": {"type": "ephemeral"}}),
        json!({"type": "text", "content": 5}),
        json!({"type": "text"}),
        json!({"type": "tool_call", "name": "f", "id": null, "arguments": null}),
        json!({"type": "tool_call_response", "id": 7}),
        json!({"type": "blob", "modality": "image", "content": null}),
        json!({"type": "server_tool_call", "name": "search", "content": {"q": "x"}}),
        json!({"type": "attestry.other", "json": "{}"}),
    ] {
        let value = json!([{"role": "user", "parts": [part], "weight": 1, "name": null}]);
        let messages = Messages::from_value(value.clone()).unwrap();
        assert_eq!(messages.to_value(), value);
    }
}

#[test]
fn integers_beyond_53_bits_lose_no_digit() {
    let id = (1_u64 << 53) + 1;
    let mut message = Message::new("assistant", [Part::tool_call("c1", "f", json!({"id": id}))]);
    message.extra.insert("seed".to_owned(), id.into());
    let canonical = Messages(vec![message]).canonical();
    let expected = json!([{"role": "assistant", "parts": [
        {"type": "attestry.other", "json": "{\"arguments\":{\"id\":9007199254740993},\"id\":\"c1\",\"name\":\"f\",\"type\":\"tool_call\"}"},
        {"type": "attestry.other", "json": "{\"seed\":9007199254740993}"},
    ]}]);
    assert_eq!(canonical, canonical_json::to_string(&expected).unwrap());
    assert_eq!(Messages::parse(&canonical).unwrap().canonical(), canonical);
}

#[test]
fn other_values_are_not_messages() {
    for (json, index) in [
        ("{}", None),
        ("\"text\"", None),
        ("[1]", Some(0)),
        (r#"[{"role":"user","parts":[]},{"role":"user"}]"#, Some(1)),
        (r#"[{"role":"user","parts":["text"]}]"#, Some(0)),
        (r#"[{"role":"user","parts":[{"content":"text"}]}]"#, Some(0)),
        (r#"[{"role":5,"parts":[]}]"#, Some(0)),
    ] {
        assert_eq!(Messages::parse(json), Err(InvalidContent::NotMessages { index }), "{json}");
    }
    assert!(matches!(Messages::parse("[").unwrap_err(), InvalidContent::Json(_)));
}

#[test]
fn debug_shows_no_content() {
    let mut messages = Messages::from_value(one_of_each()).unwrap();
    messages.0[0].parts =
        vec![Part::text("secret"), Part::tool_call("id", "secret", "secret".into())];
    messages.0[0].extra.insert("x".to_owned(), "secret".into());
    let shown = format!("{messages:?}");
    assert!(!shown.contains("secret") && shown.contains("tool_call"), "{shown}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            fields("[a-cé\u{e000}\u{1f600}\"]{0,2}", inner).prop_map(Value::from),
        ]
    })
}

fn fields(
    keys: &'static str,
    values: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::hash_map(keys, values, 0..5).prop_map(|fields| fields.into_iter().collect())
}

fn part() -> impl Strategy<Value = Value> {
    let types = "text|reasoning|tool_call|tool_call_response|blob|file|uri|attestry\\.other|x";
    let keys = "content|id|name|arguments|response|modality|mime_type|file_id|uri|value|json|x";
    let text_or_any = prop_oneof![3 => "\\PC{0,4}".prop_map(Value::from), 1 => value()];
    (types, fields(keys, text_or_any)).prop_map(|(kind, mut part)| {
        part.insert("type".to_owned(), kind.into());
        part.into()
    })
}

fn message() -> impl Strategy<Value = Value> {
    let extra = fields("name|finish_reason|x", value());
    (extra, "[a-z]{1,5}", prop::collection::vec(part(), 0..4)).prop_map(
        |(mut message, role, parts)| {
            message.insert("role".to_owned(), role.into());
            message.insert("parts".to_owned(), parts.into());
            message.into()
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_lost_between_text_and_value(list in prop::collection::vec(message(), 0..3)) {
        let value = Value::from(list);
        let canonical = canonical_json::to_string(&value).unwrap();
        let messages = Messages::from_value(value.clone()).unwrap();
        prop_assert_eq!(&messages.to_value(), &value);
        prop_assert_eq!(&messages.canonical(), &canonical);
        prop_assert_eq!(&serde_json_canonicalizer::to_string(&value).unwrap(), &canonical);
        // Numbers may be written differently, but what is parsed back is written the same.
        prop_assert_eq!(Messages::parse(&canonical).unwrap().canonical(), canonical);
    }
}
