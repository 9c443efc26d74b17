//! What real clients sent (`cargo xtask capture`) becomes the entries that are beside it.
//!
//! `ATTESTRY_BLESS=1` writes the expected entries again, for review.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use attestry_core::{AuditEntry, Timestamp};
use attestry_genai::{Api, CallRecord, Exchange, Format, Joiner, UnmappedTexts, decode};
use attestry_logger::AuditLogger;
use attestry_memory::MemoryStorage;
use serde_json::{Value, json};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut folders: Vec<_> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(end));
    files.sort();
    files
}

fn entry(record: CallRecord) -> AuditEntry {
    let logger = AuditLogger::builder(MemoryStorage::new()).store_content(true).build();
    let mut interaction = record.into_interaction(UnmappedTexts::Hash);
    if interaction.given_timestamp().is_none() {
        interaction = interaction.timestamp(Timestamp::UNIX_EPOCH);
    }
    logger.prepare(interaction).unwrap()
}

/// As it is reviewed: contents as JSON.
fn shown(entry: &AuditEntry, has_id: bool) -> Value {
    let mut value = serde_json::to_value(entry).unwrap();
    for key in ["input_content", "output_content"] {
        let text = value[key].as_str().unwrap_or_default();
        value[key] = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    }
    if !has_id {
        value["id"] = "(new)".into();
    }
    value
}

fn exchanged(folder: &Path, request: &Path) -> CallRecord {
    let name =
        request.file_name().unwrap().to_str().unwrap().trim_end_matches(".request.json").to_owned();
    let api = match name.split('_').next().unwrap() {
        "chat" => Api::OpenAiChat,
        "responses" => Api::OpenAiResponses,
        "completions" => Api::OpenAiCompletions,
        "messages" => Api::AnthropicMessages,
        other => panic!("no API for {other}"),
    };
    let mut exchange = Exchange::new(api);
    exchange.request(&fs::read(request).unwrap());
    exchange.status(200);
    let whole = folder.join(format!("{name}.response.json"));
    if whole.exists() {
        exchange.response(&fs::read(whole).unwrap());
    } else {
        let stream = fs::read(folder.join(format!("{name}.response.sse"))).unwrap();
        stream.chunks(7).for_each(|bytes| exchange.push(bytes));
    }
    exchange.finish()
}

fn decoded(file: &Path) -> Vec<CallRecord> {
    let text = fs::read_to_string(file).unwrap();
    let mut joiner = Joiner::new(usize::MAX);
    for line in text.lines() {
        let format = Format::detect(line.as_bytes()).unwrap();
        for record in decode(format, line.as_bytes()).unwrap().records {
            assert!(joiner.push(record).is_empty());
        }
    }
    joiner.finish()
}

#[test]
fn fixtures_become_the_reviewed_entries() {
    let mut count = 0;
    for folder in folders() {
        let mut entries = Vec::new();
        for request in files(&folder, ".request.json") {
            let record = exchanged(&folder, &request);
            let name = request.file_name().unwrap().to_string_lossy().into_owned();
            entries.push(
                json!({"of": name, "entry": shown(&entry(record.clone()), record.id().is_some())}),
            );
        }
        for file in files(&folder, ".jsonl") {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            for record in decoded(&file) {
                let has_id = record.id().is_some();
                entries.push(json!({"of": name, "entry": shown(&entry(record), has_id)}));
            }
        }
        count += entries.len();
        let found = format!("{:#}\n", Value::from(entries));
        let path = folder.join("entries.json");
        if std::env::var_os("ATTESTRY_BLESS").is_some() {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        assert!(found == expected, "{} differs:\n{found}", path.display());
    }
    assert!(count >= 20, "{count} entries");
}

/// Whole and streamed calls of one question have the same input, whatever the client and the dialect.
#[test]
fn one_question_has_one_hash() {
    let mut inputs = std::collections::BTreeMap::new();
    for folder in folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for file in files(&folder, ".jsonl") {
            for record in decoded(&file) {
                let entry = entry(record);
                if entry.metadata.get("attestry.missing").is_none()
                    && entry.metadata["gen_ai.operation.name"] == "chat"
                {
                    inputs.entry(entry.input_hash).or_insert_with(Vec::new).push(name.clone());
                }
            }
        }
        for request in files(&folder, ".request.json") {
            let record = exchanged(&folder, &request);
            if !request.to_string_lossy().contains("completions") {
                inputs.entry(entry(record).input_hash).or_insert_with(Vec::new).push(name.clone());
            }
        }
    }
    assert_eq!(inputs.len(), 1, "{inputs:#?}");
}
