//! `attestry log`: records one interaction.

use std::path::{Path, PathBuf};

use attestry::line::MAX_LINE_BYTES;
use attestry::{Interaction, Timestamp, metadata};
use serde_json::Map;

use crate::args::{LogArgs, Outcome, StoreArgs};
use crate::errors::{Failure, Status};
use crate::input::{Input, is_stdin};
use crate::output::Stdout;
use crate::record::oddity;
use crate::store::Settings;
use crate::text::{escaped, stderr_line};

pub(super) async fn run(
    mut args: LogArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let from_stdin = |file: &Option<PathBuf>| file.as_deref().is_some_and(is_stdin);
    if from_stdin(&args.input_file) && from_stdin(&args.output_file) {
        return Err(Failure::new("input and output cannot both be read from standard input"));
    }
    let encryption = store.encryption()?;
    let store_content = args.store_content;
    let has_id = args.id.is_some();
    let dated_now = args.timestamp.is_none();
    let anchors = std::mem::take(&mut args.anchors);
    let interaction = interaction(args)?;
    let settings = Settings { encryption, store_content, ..Settings::default() };
    let logger = store.open_writer(settings).await?;
    let anchors = anchors.start(store, &logger)?;
    let entry = logger.prepare(interaction)?;
    if let Some(oddity) = oddity(&entry, Timestamp::now()) {
        return Err(Failure::new(oddity));
    }
    let entries = std::slice::from_ref(&entry);
    let mut status = Status::Success;
    if !has_id {
        logger.storage().append(entries).await?;
    } else if logger.storage().write_new(entries).await? == [false] {
        let stored = logger.storage().read(&entry.id).await?;
        if stored.is_some_and(|stored| !stored.is_same_interaction(&entry, dated_now)) {
            stderr_line(format_args!(
                "warning: another entry with the id {} is stored; it stays",
                escaped(entry.id.as_str())
            ));
            status = Status::Problems;
        }
    }
    out.line(format_args!("{}", entry.id))?;
    out.flush()?;
    // The entry is stored: what fails here is a warning, and repeated by the next command.
    anchors.finish(&logger).await;
    logger.close().await?;
    Ok(status)
}

fn interaction(args: LogArgs) -> Result<Interaction<'static>, Failure> {
    let mut metadata = Map::new();
    for (key, value) in args.metadata.into_iter().chain(args.metadata_text) {
        if metadata.contains_key(&key) {
            return Err(Failure::new(format!("metadata.{key}: the key is given twice")));
        }
        metadata.insert(key, value);
    }
    let has_output = args.output.is_some() || args.output_file.is_some();
    if !has_output && args.outcome == Some(Outcome::Completed) {
        return Err(Failure::new("a completed call has an output")
            .hint("pass it with --output or --output-file"));
    }
    let mut input = text(args.input, args.input_file.as_deref())?;
    let mut output = text(args.output, args.output_file.as_deref())?;
    if args.json {
        let input_kind = canonicalise("input", &mut input)?;
        match has_output.then(|| canonicalise("output", &mut output)).transpose()? {
            Some(output_kind) if output_kind != input_kind => {
                metadata.insert(metadata::CONTENT_INPUT.to_owned(), input_kind.into());
                metadata.insert(metadata::CONTENT_OUTPUT.to_owned(), output_kind.into());
            }
            _ => {
                metadata.insert(metadata::CONTENT.to_owned(), input_kind.into());
            }
        }
    }
    if let Some(outcome) = args.outcome {
        metadata.insert(metadata::OUTCOME.to_owned(), outcome.as_str().into());
    }
    let interaction = Interaction::new(input, output)
        .provider(args.provider)
        .model(args.model)
        .conversation_id(args.conversation_id)
        .safety_passed(args.safety.passed() && !args.safety_failed)
        .detectors_triggered(args.detectors)
        .block_reason(args.block_reason)
        .alerts(args.alerts)
        .latency_ms(args.latency_ms.unwrap_or(0.0))
        .input_tokens(args.input_tokens)
        .output_tokens(args.output_tokens)
        .metadata_map(metadata)
        .timestamp(args.timestamp)
        .id(args.id);
    Ok(interaction)
}

/// Replaces the JSON in `text` by its canonical form. Returns what it is.
fn canonicalise(field: &str, text: &mut String) -> Result<&'static str, Failure> {
    let (canonical, kind) = attestry_genai::canonical_content(text)
        .map_err(|reason| Failure::new(format!("{field}: {reason}")))?;
    *text = canonical;
    Ok(kind)
}

/// The text of an option or of its file.
fn text(given: Option<String>, file: Option<&Path>) -> Result<String, Failure> {
    match file {
        // Limited, because a device can be endless.
        Some(path) => Input::open(path)?.read_text(MAX_LINE_BYTES),
        None => Ok(given.unwrap_or_default()),
    }
}
