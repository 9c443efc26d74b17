//! `attestry search`: finds the entries that contain a text.

use attestry::{AuditEntry, AuditError, AuditLogger, Order, Query};
use futures_util::StreamExt;
use serde_json::Value;

use crate::args::{SearchArgs, SearchFormat, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::{Stdout, decrypted, encoded_line};
use crate::store::Settings;
use crate::text::{counted, escaped, stderr_line};
use crate::times::Zone;

/// Characters shown before and after a match.
const CONTEXT: usize = 40;

pub(super) async fn run(
    args: SearchArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let text = Query::new().text_contains(&args.text);
    text.validate()?;
    let order = if args.desc { Order::Descending } else { Order::Ascending };
    let query = args.selection.query()?.phase(args.phase.phase.into()).order(order);
    let settings = Settings { encryption: store.encryption()?, ..Settings::default() };
    let logger = store.open_reader(settings).await?;
    let mut entries = logger.query(query);
    // The limit counts matches, which only the decrypted entry shows.
    let mut left = args.limit.unwrap_or(usize::MAX);
    let (mut status, mut unsearched) = (Status::Success, 0);
    while left > 0 {
        let Some(record) = entries.next().await else { break };
        let Some(entry) = super::readable(record, &mut status)? else { continue };
        let (entry, outcome) = searchable(&logger, entry)?;
        match outcome {
            Outcome::Searched => {}
            Outcome::Encrypted => unsearched += 1,
            Outcome::Problem => status = Status::Problems,
        }
        if text.matches(&entry) {
            left -= 1;
            print(&entry, &args, out)?;
        }
    }
    drop(entries);
    if unsearched > 0 {
        let entries = counted(unsearched, "entry is", "entries are");
        stderr_line(format_args!(
            "{entries} encrypted with a key that is not given; their content was not searched"
        ));
    }
    logger.close().await?;
    Ok(status)
}

enum Outcome {
    Searched,
    Encrypted,
    Problem,
}

/// `entry` with its content as plain text, or without content that cannot be read.
fn searchable(logger: &AuditLogger, entry: AuditEntry) -> Result<(AuditEntry, Outcome), Failure> {
    let error = match decrypted(logger, entry.clone()) {
        Ok(entry) => return Ok((entry, Outcome::Searched)),
        Err(error) => error,
    };
    match error {
        // The content is plain, and its hash cannot be checked.
        AuditError::NoHashKey { .. } => Ok((entry, Outcome::Searched)),
        AuditError::HashMismatch { .. } => {
            super::undecrypted(&entry.id, error)?;
            Ok((entry, Outcome::Problem))
        }
        AuditError::NoEncryption | AuditError::Decrypt(_) => {
            let hidden = AuditEntry { input_content: None, output_content: None, ..entry };
            Ok((hidden, Outcome::Encrypted))
        }
        error => {
            super::undecrypted(&entry.id, error)?;
            let hidden = AuditEntry { input_content: None, output_content: None, ..entry };
            Ok((hidden, Outcome::Problem))
        }
    }
}

fn print(entry: &AuditEntry, args: &SearchArgs, out: &mut Stdout) -> Result<(), Failure> {
    match args.format {
        SearchFormat::Json => out.bytes(&encoded_line(entry)),
        SearchFormat::Id => out.line(format_args!("{}", escaped(entry.id.as_str()))),
        SearchFormat::Text => {
            out.line(format_args!("{}", escaped(&heading(entry, &args.selection.zone.tz))))?;
            for (field, text) in texts(entry) {
                if let Some(snippet) = snippet(&text, &args.text) {
                    out.line(format_args!("    {}: {}", escaped(&field), escaped(&snippet)))?;
                }
            }
            Ok(())
        }
    }
}

fn heading(entry: &AuditEntry, zone: &Zone) -> String {
    let mut heading = format!("{}  {}", zone.show(entry.timestamp), entry.id);
    for part in [&entry.provider, &entry.model].into_iter().flatten() {
        heading += &format!("  {part}");
    }
    if let Some(conversation) = &entry.conversation_id {
        heading += &format!("  conversation {conversation}");
    }
    heading
}

/// The texts of an entry with the names of their fields. Of content that is JSON, its strings.
fn texts(entry: &AuditEntry) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for (name, content) in [("input", &entry.input_content), ("output", &entry.output_content)] {
        let Some(content) = content else { continue };
        let is_json = content.trim_start().starts_with(['[', '{', '"']);
        match is_json.then(|| serde_json::from_str::<Value>(content)) {
            Some(Ok(value)) => strings(name, &value, &mut texts),
            _ => texts.push((name.to_owned(), content.clone())),
        }
    }
    texts.extend(entry.block_reason.iter().map(|text| ("blocked".to_owned(), text.clone())));
    texts.extend(entry.alerts.iter().map(|text| ("alert".to_owned(), text.clone())));
    entry.metadata.iter().for_each(|(key, value)| strings(key, value, &mut texts));
    texts
}

fn strings(name: &str, value: &Value, texts: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => texts.push((name.to_owned(), text.clone())),
        Value::Array(values) => values.iter().for_each(|value| strings(name, value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| strings(name, value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The first match in `text` with its surroundings.
fn snippet(text: &str, wanted: &str) -> Option<String> {
    let at = text.find(wanted)?;
    let (before, after) = (&text[..at], &text[at + wanted.len()..]);
    let start = before.char_indices().rev().nth(CONTEXT - 1).map_or(0, |(index, _)| index);
    let end = after.char_indices().nth(CONTEXT).map_or(after.len(), |(index, _)| index);
    let (cut_before, cut_after) = (start > 0, end < after.len());
    let ellipsis = |cut: bool| if cut { "…" } else { "" };
    Some(format!(
        "{}{}{wanted}{}{}",
        ellipsis(cut_before),
        &before[start..],
        &after[..end],
        ellipsis(cut_after)
    ))
}

#[cfg(test)]
mod tests {
    use super::snippet;

    #[test]
    fn snippet_shows_the_surroundings() {
        assert_eq!(snippet("a wörd here", "wörd").unwrap(), "a wörd here");
        let long = format!("{}wörd{}", "é".repeat(50), "ü".repeat(41));
        let expected = format!("…{}wörd{}…", "é".repeat(40), "ü".repeat(40));
        assert_eq!(snippet(&long, "wörd").unwrap(), expected);
        assert_eq!(snippet("word", "wörd"), None);
    }
}
