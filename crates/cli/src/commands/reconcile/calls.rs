//! The calls that another record says were made.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attestry::evidence::{Hash, line_hash};
use attestry::{AuditEntry, ContentHash, EntryId, Timestamp, line, metadata};
use attestry_genai::{Format, Joiner, UnknownSpans, UnmappedTexts};
use serde_json::Value;

use crate::commands::import::{JOIN_BYTES, Line, Prepared, Preparer};
use crate::errors::Failure;
use crate::input::Input;
use crate::pipeline;

/// What two records of one call are compared by.
pub(super) struct Here {
    pub(super) id: EntryId,
    pub(super) timestamp: Timestamp,
    /// `None` where the record did not have the content.
    pub(super) input_hash: Option<String>,
    pub(super) output_hash: Option<String>,
    pub(super) model: Option<String>,
    pub(super) input_tokens: Option<i64>,
    pub(super) output_tokens: Option<i64>,
}

impl Here {
    pub(super) fn of(entry: &AuditEntry) -> Self {
        let has = |name: &str| {
            let missing = entry.metadata.get(metadata::MISSING).and_then(Value::as_array);
            !missing.is_some_and(|missing| missing.iter().any(|known| known == name))
        };
        Self {
            id: entry.id.clone(),
            timestamp: entry.timestamp,
            input_hash: has("input").then(|| entry.input_hash.clone()),
            output_hash: has("output").then(|| entry.output_hash.clone()),
            model: entry.model.clone(),
            input_tokens: entry.input_tokens,
            output_tokens: entry.output_tokens,
        }
    }
}

/// A call of the other record.
pub(super) struct Call {
    /// Where it is: `FILE:LINE`.
    pub(super) location: String,
    pub(super) values: Here,
    /// The leaves that its entry would be, had it been imported: with and without content.
    pub(super) leaves: Vec<Hash>,
    /// Whether the record says when the call was made.
    is_dated: bool,
}

/// The calls of all files, about 1 KiB of memory for each.
#[derive(Default)]
pub(super) struct Calls {
    calls: Vec<Option<Call>>,
    /// Calls by entry id, id of the response, and span.
    by_identity: HashMap<String, Vec<usize>>,
    by_contents: HashMap<(String, String), Vec<usize>>,
}

impl Calls {
    /// Reads `paths`. Calls `refused` with the location of each bad line and the reason.
    pub(super) async fn read(
        paths: &[PathBuf],
        format: Option<Format>,
        hash: ContentHash,
        mut refused: impl FnMut(&str, &str) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let preparer = |logger| Preparer {
            logger,
            derive_ids: true,
            allow_odd: true,
            keep_refused: false,
            format,
            unmapped_texts: UnmappedTexts::Hash,
            unknown_spans: UnknownSpans::Count,
        };
        let with_content =
            attestry::open_url("memory:").store_content(true).content_hash(hash).await?;
        let preparer = Arc::new(preparer(with_content));
        let mut joiner = Joiner::new(JOIN_BYTES);
        let mut calls = Self::default();
        let mut name = String::new();
        for path in paths {
            let input = Input::open_records(path)?;
            name.clone_from(&input.name);
            let (work, detected) = (Arc::clone(&preparer), Arc::clone(&input.detected));
            let mut prepared = pipeline::process(input, move |chunk| {
                work.prepare(chunk, detected.get().copied().flatten())
            })?;
            while let Some(chunk) = prepared.next().await {
                let mut output = chunk?.output;
                for record in std::mem::take(&mut output.records) {
                    for call in joiner.push(record) {
                        preparer.add_call(call, Timestamp::UNIX_EPOCH, &mut output);
                    }
                }
                calls.add(&name, output, &mut refused)?;
            }
        }
        let mut output = Prepared::default();
        for call in joiner.finish() {
            preparer.add_call(call, Timestamp::UNIX_EPOCH, &mut output);
        }
        calls.add(&name, output, &mut refused)?;
        Ok(calls)
    }

    fn add(
        &mut self,
        name: &str,
        prepared: Prepared,
        mut refused: impl FnMut(&str, &str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut entries = prepared.entries.into_iter();
        for Line { number, outcome } in prepared.lines {
            let location = format!("{name}:{number}");
            match outcome {
                Err(line) => refused(&location, &line.reason)?,
                Ok(origin) => {
                    if let Some(entry) = entries.next() {
                        self.insert(location, entry, !origin.dated_now);
                    }
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, location: String, entry: AuditEntry, is_dated: bool) {
        let number = self.calls.len();
        for identity in identities(&entry) {
            self.by_identity.entry(identity).or_default().push(number);
        }
        let contents = (entry.input_hash.clone(), entry.output_hash.clone());
        self.by_contents.entry(contents).or_default().push(number);
        let values = Here::of(&entry);
        let leaves = leaves(entry);
        self.calls.push(Some(Call { location, values, leaves, is_dated }));
    }

    /// From the first call to the last; all times, if there are calls without one.
    pub(super) fn time_range(&self) -> Option<(Timestamp, Timestamp)> {
        if self.calls.iter().flatten().any(|call| !call.is_dated) {
            return Some((Timestamp::MIN, Timestamp::MAX));
        }
        let times = || self.calls.iter().flatten().map(|call| call.values.timestamp);
        times().min().zip(times().max())
    }

    /// Takes the call that has the id, the id of the response or the span of `entry`.
    pub(super) fn take_by_identity(&mut self, entry: &AuditEntry) -> Option<Call> {
        for identity in identities(entry) {
            let Some(numbers) = self.by_identity.get_mut(&identity) else { continue };
            // Some providers use ids again: the one that is nearest in time.
            let distance = |number: &usize| {
                let call = self.calls[*number].as_ref();
                call.map_or(i64::MAX, |call| distance(call.values.timestamp, entry.timestamp))
            };
            numbers.sort_by_key(distance);
            if let Some(call) = numbers.iter().find_map(|number| self.calls[*number].take()) {
                return Some(call);
            }
        }
        None
    }

    /// Takes a call with the contents of `entry` whose time is at most `window` away.
    pub(super) fn take_by_contents(&mut self, entry: &Here, window: Duration) -> Option<Call> {
        let contents = (entry.input_hash.clone()?, entry.output_hash.clone()?);
        let numbers = self.by_contents.get(&contents)?;
        let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let near = numbers.iter().find(|number| {
            let call = self.calls[**number].as_ref();
            call.is_some_and(|call| {
                !call.is_dated || distance(call.values.timestamp, entry.timestamp) <= window
            })
        })?;
        self.calls[*near].take()
    }

    /// The calls that no entry was found for, in the order of the files.
    pub(super) fn into_rest(self) -> Vec<Call> {
        self.calls.into_iter().flatten().collect()
    }
}

fn distance(a: Timestamp, b: Timestamp) -> i64 {
    a.unix_micros().abs_diff(b.unix_micros()).try_into().unwrap_or(i64::MAX)
}

/// What identifies the call of an entry, strongest first.
fn identities(entry: &AuditEntry) -> Vec<String> {
    let text =
        |key: &str| entry.metadata.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut identities = vec![format!("id {}", entry.id)];
    identities.extend(text(metadata::RESPONSE_ID).map(|id| format!("response {id}")));
    if let (Some(trace), Some(span)) = (text(metadata::TRACE_ID), text(metadata::SPAN_ID)) {
        identities.push(format!("span {trace} {span}"));
    }
    identities
}

/// The leaves that `entry`, which has content, would be with it and without. None if it is too long to have been recorded.
fn leaves(mut entry: AuditEntry) -> Vec<Hash> {
    let with_content = leaf(&entry);
    entry.input_content = None;
    entry.output_content = None;
    with_content.into_iter().chain(leaf(&entry)).collect()
}

fn leaf(entry: &AuditEntry) -> Option<Hash> {
    line_hash(&line::encode(entry).ok()?).ok()
}
