//! `attestry show`: prints a conversation, or one entry, as readable turns.

mod messages;
mod page;

use attestry::{AuditEntry, AuditError, AuditLogger, EntryId, Phase, Query};
use serde_json::Value;

use self::messages::Message;
use self::page::Page;
use crate::args::{ShowArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::{Stdout, decrypted};
use crate::store::Settings;
use crate::suggestions;
use crate::text::{counted, stderr_line};
use crate::times::Zone;

pub(super) async fn run(
    args: ShowArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let settings = Settings { encryption: store.encryption()?, ..Settings::default() };
    let logger = store.open_reader(settings).await?;
    let zone = &args.zone.tz;
    let page = Page::new(args.width);
    let mut turns = Turns { logger: &logger, zone, page, number: 0, history: Vec::new() };
    let mut status = Status::Success;
    for name in &args.names {
        let entry = match EntryId::new(name) {
            Ok(id) => logger.get_entry::<EntryId>(id).await?,
            Err(_) => None,
        };
        turns.history.clear();
        turns.number = 0;
        if let Some(entry) = entry {
            status = status.and(turns.print(&entry, out)?);
            continue;
        }
        let query = Query::new().conversation_id(name).phase(Phase::Latest);
        let mut problems = Status::Success;
        let read = super::for_each(logger.query(query.clone()), |entry| {
            if turns.number == 0 {
                turns.page.title(&format!("Conversation {name}"), out)?;
            }
            problems = problems.and(turns.print(entry, out)?);
            Ok(())
        })
        .await?;
        status = status.and(read).and(problems);
        if turns.number == 0 {
            stderr_line(format_args!("there is no conversation or entry {name:?}"));
            suggestions::print(&logger, &query).await?;
            status = Status::Problems;
        }
    }
    logger.close().await?;
    Ok(status)
}

/// Prints the entries of a conversation, one after the other.
struct Turns<'a> {
    logger: &'a AuditLogger,
    zone: &'a Zone,
    page: Page,
    number: u64,
    /// The messages of the previous entry: a chat sends them again with the next one.
    history: Vec<Message>,
}

impl Turns<'_> {
    fn print(&mut self, entry: &AuditEntry, out: &mut Stdout) -> Result<Status, Failure> {
        self.number += 1;
        let page = &self.page;
        page.heading(&self.heading(entry), out)?;
        for (label, text) in facts(entry) {
            page.fact(label, &text, out)?;
        }
        let (entry, reason, status) = match decrypted(self.logger, entry.clone()) {
            Ok(entry) => (entry, None, Status::Success),
            Err(AuditError::NoEncryption) => {
                (entry.clone(), Some("encrypted; give its key with --key-file"), Status::Success)
            }
            Err(error @ AuditError::HashMismatch { .. }) => {
                let status = super::undecrypted(&entry.id, error)?;
                page.fact("WARNING", "the content does not match its hash", out)?;
                (entry.clone(), None, status)
            }
            Err(error @ AuditError::NoHashKey { .. }) => {
                super::undecrypted(&entry.id, error)?;
                (entry.clone(), None, Status::Success)
            }
            Err(error) => {
                let status = super::undecrypted(&entry.id, error)?;
                (entry.clone(), Some("cannot be decrypted with the given keys"), status)
            }
        };
        let mut messages = Vec::new();
        for (label, content, hash) in [
            ("input", &entry.input_content, &entry.input_hash),
            ("output", &entry.output_content, &entry.output_hash),
        ] {
            match (content, reason) {
                (None, _) => page.note(label, &format!("not stored; hash {hash}"), out)?,
                (Some(_), Some(reason)) => page.note(label, reason, out)?,
                (Some(content), None) => messages.extend(messages::parse(label, content)),
            }
        }
        let same = messages.iter().zip(&self.history).take_while(|(a, b)| a == b).count();
        if same > 0 {
            let earlier = counted(same as u64, "message", "messages");
            page.note("input", &format!("{earlier} as before"), out)?;
        }
        for message in &messages[same..] {
            page.message(message, out)?;
        }
        self.history = messages;
        Ok(status)
    }

    fn heading(&self, entry: &AuditEntry) -> String {
        let mut parts = vec![self.number.to_string(), self.zone.show(entry.timestamp).to_string()];
        parts.extend([&entry.provider, &entry.model].into_iter().flatten().cloned());
        if entry.latency_ms > 0.0 {
            parts.push(format!("{:.1} ms", entry.latency_ms));
        }
        if let (Some(input), Some(output)) = (entry.input_tokens, entry.output_tokens) {
            parts.push(format!("{input}/{output} tokens"));
        }
        parts.join("  ")
    }
}

/// What is known of an entry besides its heading and its content.
fn facts(entry: &AuditEntry) -> Vec<(&'static str, String)> {
    let mut facts = vec![("id", entry.id.to_string())];
    if !entry.safety_passed || !entry.detectors_triggered.is_empty() {
        let outcome = if entry.safety_passed { "passed" } else { "FAILED" };
        let detectors = entry.detectors_triggered.join(", ");
        facts.push(("safety", format!("{outcome} {detectors}")));
    }
    facts.extend(entry.block_reason.iter().map(|reason| ("blocked", reason.clone())));
    facts.extend(entry.alerts.iter().map(|alert| ("alert", alert.clone())));
    let metadata = entry.metadata.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key}={text}"),
        value => format!("{key}={value}"),
    });
    let metadata = metadata.collect::<Vec<_>>().join("  ");
    if !metadata.is_empty() {
        facts.push(("metadata", metadata));
    }
    facts
}
