//! Entries written by Attestry, read and changed by Python, and read by Attestry again.

use std::collections::HashMap;
use std::fs;

use serde_json::{Map, Value, json};

use super::{Content, Shared, ensure, ensure_equal};
use crate::cmd::Result;

const INTERACTIONS: usize = 240;

const TEXTS: [(&str, &str); 6] = [
    ("Which form do I need to move house?", "Form 12, within two weeks."),
    ("Übersetze: „Żółta łódź“", "yellow boat 🚤"),
    ("", ""),
    ("quote \" and back\\slash", "tab\t, bell \u{7}, delete \u{7f}, separator \u{2028}\r\n"),
    ("漢字とかな", "👩‍👩‍👧 and 𝄞"),
    ("NaN", "Infinity"),
];

/// Defaults of fields that the interaction omits.
fn defaults() -> Value {
    json!({
        "provider": null, "model": null, "conversation_id": null, "safety_passed": true,
        "detectors_triggered": [], "block_reason": null, "alerts": [], "latency_ms": 0.0,
        "input_tokens": null, "output_tokens": null, "metadata": {},
    })
}

pub(super) fn check(shared: &Shared<'_>) -> Result<String> {
    let attestry = &shared.attestry;
    if let Some(key_file) = shared.key_file() {
        attestry.done(&["key", "generate", "--out", &key_file.to_string_lossy()])?;
    }
    let interactions: Vec<Value> = (0..INTERACTIONS).map(interaction).collect();
    let ids = import(shared, "interactions.jsonl", &interactions)?;
    let mut left = read(shared, &[])?;
    ensure_recorded(shared, &interactions, &ids, &left)?;

    let gone = [ids[0].as_str(), &ids[INTERACTIONS / 2], &ids[INTERACTIONS - 1]];
    let mut arguments = vec![shared.store().into_os_string()];
    arguments.extend(gone.iter().map(Into::into));
    let deleted = shared.python.script("delete_entries.py", arguments)?;
    ensure_equal("what Python deleted", &json!([true, true, true]), &deleted)?;
    for id in gone {
        attestry.ensure_absent(id)?;
        left.remove(id);
    }
    ensure_equal("count after Python deleted", &left.len(), &attestry.count()?)?;
    attestry.done(&["check"])?;
    for line in attestry.list()? {
        let entry: Value = serde_json::from_str(&line)?;
        let id = entry["id"].as_str().ok_or("an entry without an id is listed")?;
        let known = left.get(id).ok_or_else(|| format!("{id} is listed and should be gone"))?;
        ensure_equal("the line", &Some(line.as_str()), &known["line"].as_str())?;
    }

    // Recording continues in the store that Python rewrote.
    let more: Vec<Value> = (INTERACTIONS..INTERACTIONS + 5).map(interaction).collect();
    let ids = import(shared, "more.jsonl", &more)?;
    let found = read(shared, &gone)?;
    ensure_equal("Python's count in the end", &(left.len() + more.len()), &found.len())?;
    ensure_recorded(shared, &more, &ids, &found)?;
    Ok(format!("{INTERACTIONS} entries of ours counted, read, verified, deleted from by Python"))
}

/// The `number`-th interaction to import; each field is missing in some.
fn interaction(number: usize) -> Value {
    let (input, output) = TEXTS[number % TEXTS.len()];
    let every = |n: usize| number.is_multiple_of(n);
    let mut given = Map::new();
    let mut put = |wanted: bool, name: &str, value: Value| {
        if wanted {
            given.insert(name.to_owned(), value);
        }
    };
    put(true, "input", format!("{number}: {input}").into());
    put(true, "output", if number == 77 { "x".repeat(1 << 20).into() } else { output.into() });
    // Unordered, some equal, some without a fraction.
    let (minute, micros) = (number * 7 % 60, if every(5) { 0 } else { number / 3 });
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    put(number % 10 != 9, "timestamp", format!("2026-01-28T09:{minute:02}:00{fraction}Z").into());
    put(every(2), "provider", ["openai", "anthropic", "自前"][number % 3].into());
    put(every(3), "model", "größtes-modell".into());
    put(!every(4), "conversation_id", format!("c-{}", number / 8).into());
    put(number % 6 == 5, "safety_passed", false.into());
    put(number % 6 == 5, "detectors_triggered", json!(["pii", "émoji-🦀"]));
    put(number % 12 == 5, "block_reason", "said \"no\"".into());
    put(number % 7 == 5, "alerts", json!(["first", "zweitens"]));
    put(number % 3 != 1, "latency_ms", (number as f64 * 0.1).into());
    put(number % 2 == 1, "input_tokens", number.into());
    put(number % 2 == 1, "output_tokens", (number * 3).into());
    let metadata = json!({
        "z": number, "a": {"nested": [[1.5, {"größe": null}], true]}, "tiny": 1e-7, "huge": 1e16,
        "unsigned": u64::MAX, "negative": i64::MIN,
    });
    put(number % 3 != 2, "metadata", metadata);
    Value::Object(given)
}

/// Imports the interactions and returns their ids in order.
fn import(shared: &Shared<'_>, name: &str, interactions: &[Value]) -> Result<Vec<String>> {
    let file = shared.folder.join(name);
    let lines: Vec<String> = interactions.iter().map(Value::to_string).collect();
    fs::write(&file, lines.join("\n") + "\n")?;
    let file = file.to_string_lossy();
    let mut arguments = vec!["import", &file];
    if shared.content != Content::Hash {
        arguments.push("--store-content");
    }
    let printed = shared.attestry.done(&arguments)?;
    let ids: Vec<String> = printed.lines().map(str::to_owned).collect();
    ensure_equal("the number of ids printed", &interactions.len(), &ids.len())?;
    Ok(ids)
}

/// All entries that Python finds in the store, by id.
fn read(shared: &Shared<'_>, gone: &[&str]) -> Result<HashMap<String, Value>> {
    let mut arguments = shared.python_arguments();
    for id in gone {
        arguments.extend(["--absent".into(), id.into()]);
    }
    let found = shared.python.script("read_store.py", arguments)?;
    let entries = found["entries"].as_array().ok_or("no entries")?;
    ensure_equal("Python's count", &found["count"].as_u64(), &Some(entries.len() as u64))?;
    let id = |entry: &Value| entry["entry"]["id"].as_str().unwrap_or_default().to_owned();
    let by_id: HashMap<String, Value> = entries.iter().map(|e| (id(e), e.clone())).collect();
    ensure_equal("the number of ids", &entries.len(), &by_id.len())?;
    Ok(by_id)
}

/// Checks that Python `found` each interaction under its id with all its fields.
fn ensure_recorded(
    shared: &Shared<'_>,
    interactions: &[Value],
    ids: &[String],
    found: &HashMap<String, Value>,
) -> Result {
    let name = if interactions.len() == INTERACTIONS { "interactions.jsonl" } else { "more.jsonl" };
    let hashes = shared.python.script("hash_interactions.py", [shared.folder.join(name)])?;
    for (number, (given, id)) in interactions.iter().zip(ids).enumerate() {
        let entry = found.get(id).ok_or_else(|| format!("Python does not find {id}"))?;
        ensure_as_given(shared.content, given, &hashes[number], entry)
            .map_err(|error| format!("interaction {number}, entry {id}: {error}"))?;
    }
    Ok(())
}

fn ensure_as_given(content: Content, given: &Value, hashes: &Value, found: &Value) -> Result {
    let entry = &found["entry"];
    for flag in ["read_is_same", "line_is_pythons", "hashes_match"] {
        ensure(found[flag] == true, || format!("{flag} is {}", found[flag]))?;
    }
    for (index, side) in ["input", "output"].into_iter().enumerate() {
        ensure_equal(&format!("{side}_hash"), &hashes[index], &entry[format!("{side}_hash")])?;
        let text = if content == Content::Hash { &Value::Null } else { &given[side] };
        ensure_equal(side, text, &found[side])?;
        let stored = &entry[format!("{side}_content")];
        let hidden = content == Content::Encrypted && stored == &given[side];
        ensure(!hidden, || format!("{side} is stored unencrypted"))?;
    }
    if let Some(timestamp) = given["timestamp"].as_str() {
        let expected = Value::from(timestamp.trim_end_matches('Z'));
        ensure_equal("timestamp", &expected, &entry["timestamp"])?;
    }
    for (name, default) in defaults().as_object().into_iter().flatten() {
        ensure_equal(name, given.get(name).unwrap_or(default), &entry[name])?;
    }
    Ok(())
}
