//! Every valid entry is read back unchanged.

use attestry_core::AuditEntry;
use serde_json::{Map, Value, json};

use crate::Store;
use crate::check::{assert_holds, assert_stored, list_all, ok, sorted, write, write_each};
use crate::sample::{entry, full, id};

/// Texts that encoders, database columns, file systems and terminals are known to mishandle.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "\r\n",
        "\t\u{8}\u{c}",
        "\u{1b}[31mred\u{1b}[0m",
        "quote \" backslash \\ slash / both \\\" \\\\",
        "\\u0000 \\ud83d \\n as plain text",
        "{\"id\": \"not-an-entry\"}",
        "null",
        "NaN",
        "'; DROP TABLE entries; --",
        "é e\u{301} ñ ß İ ı",
        "日本語 中文 한국어",
        "שלום مرحبا",
        "\u{202e}backwards\u{202c} \u{200f}\u{200e}",
        "😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪",
        "\u{2028}\u{2029}\u{85}\u{a0}\u{feff}",
        "\u{fffd}\u{fffe}\u{ffff}\u{d7ff}\u{e000}\u{10000}\u{10ffff}",
        "\u{7f}\u{80}\u{9f}",
        " leading and trailing ",
    ]
    .map(String::from)
    .into();
    texts.push((0..=0x24f_u32).filter_map(char::from_u32).collect());
    texts
}

/// Control characters, quotes, escapes and all of Unicode, in every text field.
pub async fn all_text_round_trips(store: Store) {
    let mut entries = Vec::new();
    for (n, text) in (0..).zip(texts()) {
        let some = || Some(text.clone());
        let mut metadata = Map::new();
        metadata.insert(text.clone(), Value::from(text.clone()));
        entries.push(AuditEntry {
            input_hash: text.clone(),
            output_hash: text.clone(),
            input_content: some(),
            output_content: some(),
            provider: some(),
            model: some(),
            conversation_id: some(),
            block_reason: some(),
            detectors_triggered: vec![text.clone(), text.clone()],
            alerts: vec![text.clone()],
            metadata,
            ..full(&format!("text-{n}"), n)
        });
    }
    let half = entries.len() / 2;
    write_each(&store, &entries[..half]).await;
    ok(store.write_batch(&entries[half..]).await, "write_batch");
    assert_holds(&store, &entries, "with all kinds of text").await;
}

/// Empty text is distinct from null, and an empty list from a list of empty texts.
pub async fn empty_text_is_not_null(store: Store) {
    let empty = || Some(String::new());
    let entries = [
        entry("absent", 0),
        AuditEntry {
            input_content: empty(),
            output_content: empty(),
            provider: empty(),
            model: empty(),
            conversation_id: empty(),
            block_reason: empty(),
            ..entry("empty", 1)
        },
        AuditEntry {
            detectors_triggered: vec![String::new()],
            alerts: vec![String::new(), String::new()],
            ..entry("lists", 2)
        },
    ];
    write_each(&store, &entries).await;
    assert_holds(&store, &entries, "with empty and absent text").await;
}

/// Every valid id can be written, read, listed and deleted, and is distinct from all others.
pub async fn all_valid_ids_round_trip(store: Store) {
    let long = "é".repeat(127);
    let names = [
        "a",
        "A",
        "a.",
        ".a",
        "a.b",
        "a b",
        " a",
        "a ",
        "-a",
        "~",
        "%2F",
        "%",
        "a%00b",
        "#?&=+;",
        "a:b",
        "*",
        "[a]",
        "$HOME",
        "`id`",
        "'\"<>|",
        "NUL",
        "con",
        "a.json",
        "index",
        "id",
        "日本",
        "é",
        "e\u{301}",
        "😀",
        "\u{202e}a",
        "\u{feff}",
        "__proto__",
        &long,
    ];
    let entries: Vec<_> = (0..).zip(names).map(|(n, name)| entry(name, n)).collect();
    write_each(&store, &entries).await;
    assert_holds(&store, &entries, "with all kinds of ids").await;
    let (deleted, kept): (Vec<_>, Vec<_>) = (0..).zip(&entries).partition(|(n, _)| n % 2 == 0);
    for (_, entry) in deleted {
        assert!(ok(store.delete(&entry.id).await, "delete"), "deleting {:?}", entry.id);
    }
    let kept: Vec<_> = kept.into_iter().map(|(_, entry)| entry.clone()).collect();
    assert_holds(&store, &kept, "after deleting every second entry").await;
}

fn with_metadata(name: &str, metadata: &Value) -> AuditEntry {
    AuditEntry { metadata: metadata.as_object().cloned().unwrap_or_default(), ..entry(name, 0) }
}

/// Metadata of every JSON type, nested.
pub async fn metadata_types_round_trip(store: Store) {
    let entries = [
        with_metadata("none", &json!({})),
        with_metadata(
            "types",
            &json!({
                "null": null, "true": true, "false": false, "int": 7, "float": 1.0, "text": "t",
                "list": [], "object": {}, "": "an empty key", "a.b": "a dot", "$c": "a dollar",
            }),
        ),
        with_metadata(
            "nested",
            &json!({"a": [[], [[]], {}, [null, {"b": [1, "2", 3.5, {"c": {"d": [true]}}]}]]}),
        ),
        with_metadata(
            "names-of-fields",
            &json!({"id": "x", "timestamp": "y", "input_content": "z", "metadata": {}}),
        ),
    ];
    for entry in &entries {
        write(&store, entry).await;
        assert_stored(&store, entry).await;
    }
    assert_holds(&store, &entries, "with all types of metadata").await;
}

/// Metadata keys keep the caller's order at every level.
pub async fn metadata_keys_keep_their_order(store: Store) {
    let written = with_metadata(
        "order",
        &json!({"z": 1, "a": {"y": 1, "b": [{"x": 1, "c": 2}], "A": 3}, "m": 0, "10": 1, "9": 2}),
    );
    write(&store, &written).await;
    let expected = Value::from(written.metadata.clone()).to_string();
    let read = ok(store.read(&written.id).await, "read");
    for found in read.iter().chain(&list_all(&store).await) {
        assert_eq!(Value::from(found.metadata.clone()).to_string(), expected);
    }
    assert!(read.is_some(), "the entry was written, but read returns None");
}

/// Integers over the full 64-bit range, and floats to the last bit.
pub async fn numbers_round_trip_exactly(store: Store) {
    let mut entries = Vec::new();
    let latencies = [
        0.0,
        0.1,
        0.1 + 0.2,
        1.0 / 3.0,
        1e-7,
        5e-324,
        f64::MIN_POSITIVE,
        f64::EPSILON,
        f64::MAX,
        -1.5,
        1e15,
        1e16,
        1e17,
        123_456_789.123_456_79,
        9_007_199_254_740_993.0,
        0.000_1,
        1e22,
    ];
    for (n, latency_ms) in (0..).zip(latencies) {
        let mut metadata = Map::new();
        metadata.insert("number".into(), Value::from(latency_ms));
        metadata.insert("list".into(), json!([latency_ms, -latency_ms / 3.0]));
        entries.push(AuditEntry { latency_ms, metadata, ..entry(format!("float-{n}"), n) });
    }
    for (n, tokens) in (100..).zip([0, 1, -1, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1]) {
        let mut metadata = Map::new();
        metadata.insert("signed".into(), Value::from(tokens));
        metadata.insert("unsigned".into(), Value::from(u64::MAX - tokens.unsigned_abs() / 3));
        metadata.insert("float".into(), Value::from(1.0));
        metadata.insert("int".into(), Value::from(1));
        entries.push(AuditEntry {
            input_tokens: Some(tokens),
            output_tokens: Some(-(tokens / 2)),
            metadata,
            ..entry(format!("int-{n}"), n)
        });
    }
    write_each(&store, &entries).await;
    assert_holds(&store, &entries, "with exact numbers").await;
}

/// Content of 1 MiB, also of characters that are longer when escaped, between small entries.
pub async fn large_content_round_trips(store: Store) {
    let large = |name: &str, micros, unit: &str| AuditEntry {
        input_content: Some(unit.repeat((1 << 20) / unit.len())),
        output_content: Some(unit.repeat((1 << 19) / unit.len())),
        ..entry(name, micros)
    };
    let entries = [
        entry("before", 0),
        large("plain", 1, "The quick brown fox. "),
        entry("between", 2),
        large("escaped", 3, "\"é\n😀\\"),
        large("zeros", 4, "\0"),
        entry("after", 5),
    ];
    write_each(&store, &entries[..3]).await;
    ok(store.write_batch(&entries[3..]).await, "write_batch");
    write(&store, &entries[1]).await;
    assert_holds(&store, &entries, "with large contents").await;
    assert!(ok(store.delete(&id("escaped")).await, "delete"));
    assert_holds(&store, &[&entries[..3], &entries[4..]].concat(), "after deleting a large entry")
        .await;
}

/// All kinds of line breaks, and content that looks like a stored line, stay within their entry.
pub async fn line_breaks_do_not_split_entries(store: Store) {
    let inner = entry("inner", 0).to_value().to_string();
    let entries: Vec<_> = (0..)
        .zip(["\n", "\r", "\r\n", "\n\n", "\u{2028}", "\u{85}", "\0"])
        .map(|(n, line_break)| AuditEntry {
            input_content: Some(format!("{line_break}{inner}{line_break}{inner}{line_break}")),
            ..entry(format!("broken-{n}"), -n)
        })
        .collect();
    write_each(&store, &entries).await;
    assert_holds(&store, &sorted(&entries), "with line breaks in the content").await;
    assert_eq!(ok(store.read(&id("inner")).await, "read"), None);
}
