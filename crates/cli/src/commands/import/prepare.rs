//! From a line of the input to the entry that is stored, on the worker threads.

use std::borrow::Cow;

use attestry::line::MAX_LINE_BYTES;
use attestry::{AuditEntry, AuditLogger, EntryId, Timestamp, hash_content, line};
use attestry_genai::{CallRecord, Format, UnknownSpans, UnmappedTexts, decode_with};

use crate::chunks::Chunk;
use crate::commands;
use crate::errors::with_sources;
use crate::record::{self, Record, oddity};

/// How lines become entries.
pub(in crate::commands) struct Preparer {
    pub(in crate::commands) logger: AuditLogger,
    /// Whether a record without an id gets one that is computed from it.
    pub(in crate::commands) derive_ids: bool,
    pub(in crate::commands) allow_odd: bool,
    /// Whether refused lines are kept.
    pub(in crate::commands) keep_refused: bool,
    /// The format of all inputs, if it is not recognised for each.
    pub(in crate::commands) format: Option<Format>,
    /// What becomes of texts of other formats that may be content.
    pub(in crate::commands) unmapped_texts: UnmappedTexts,
    pub(in crate::commands) unknown_spans: UnknownSpans,
}

/// Consecutive lines.
#[derive(Default)]
pub(in crate::commands) struct Prepared {
    pub(in crate::commands) lines: Vec<Line>,
    /// The entries of the lines that are not refused.
    pub(in crate::commands) entries: Vec<AuditEntry>,
    /// Calls, or parts of them, that are still to be joined.
    pub(in crate::commands) records: Vec<CallRecord>,
    /// The number of spans and log records that are no calls.
    pub(in crate::commands) ignored: u64,
}

/// What became of a line.
pub(in crate::commands) struct Line {
    pub(in crate::commands) number: u64,
    pub(in crate::commands) outcome: Result<Origin, Refused>,
}

/// What an entry does not say about its record.
pub(in crate::commands) struct Origin {
    pub(in crate::commands) id: IdOrigin,
    /// Whether the record has no time of its own.
    pub(in crate::commands) dated_now: bool,
}

/// Where the id of an entry comes from.
pub(in crate::commands) enum IdOrigin {
    /// From the record.
    Given,
    /// Computed from the record, which has this SHA-256; so far as if it were the first of its kind.
    Derived(Box<str>),
    /// Just created.
    New,
}

/// A refused line.
pub(in crate::commands) struct Refused {
    pub(in crate::commands) reason: String,
    /// The line as it came, if refused lines are kept and it is not too long.
    pub(in crate::commands) text: Option<Box<[u8]>>,
}

impl Preparer {
    /// Prepares the lines of `chunk`, whose format was `detected`.
    pub(in crate::commands) fn prepare(&self, chunk: &Chunk, detected: Option<Format>) -> Prepared {
        match self.format.or(detected) {
            None | Some(Format::Attestry) => self.prepare_own(chunk),
            Some(format) => self.prepare_calls(format, chunk),
        }
    }

    fn prepare_own(&self, chunk: &Chunk) -> Prepared {
        let now = Timestamp::now();
        let mut prepared = Prepared::default();
        for (number, line) in chunk.lines() {
            let entry = line
                .map_err(|length| (commands::too_long(length), None))
                .and_then(|line| self.entry(line, now).map_err(|reason| (reason, Some(line))));
            let outcome = match entry {
                Ok((entry, origin)) => {
                    prepared.entries.push(entry);
                    Ok(origin)
                }
                Err((reason, line)) => Err(self.refused(reason, line)),
            };
            prepared.lines.push(Line { number, outcome });
        }
        prepared
    }

    /// Lines of another program's format, each of which may have several calls or none.
    fn prepare_calls(&self, format: Format, chunk: &Chunk) -> Prepared {
        let now = Timestamp::now();
        let mut prepared = Prepared::default();
        for (number, line) in chunk.lines() {
            let decoded =
                line.map_err(|length| (commands::too_long(length), None)).and_then(|line| {
                    match decode_with(format, line, self.unknown_spans) {
                        Ok(decoded) => Ok((line, decoded)),
                        Err(error) => Err((with_sources(&error), Some(line))),
                    }
                });
            let (line, decoded) = match decoded {
                Ok(decoded) => decoded,
                Err((reason, line)) => {
                    let outcome = Err(self.refused(reason, line));
                    prepared.lines.push(Line { number, outcome });
                    continue;
                }
            };
            prepared.ignored += decoded.ignored;
            let hash = hash_content(&text_of(line));
            for record in decoded.records {
                let record = record.source_sha256(&*hash).at_position(number);
                match format.is_joined() {
                    true => prepared.records.push(record),
                    false => self.add_call(record, now, &mut prepared),
                }
            }
        }
        prepared
    }

    /// Adds the entry of a call that is complete.
    pub(in crate::commands) fn add_call(
        &self,
        record: CallRecord,
        now: Timestamp,
        prepared: &mut Prepared,
    ) {
        let number = record.position().unwrap_or(0);
        let mut interaction = record.into_interaction(self.unmapped_texts);
        if !self.derive_ids {
            interaction = interaction.id(None);
        }
        let id = if interaction.given_id().is_some() { IdOrigin::Given } else { IdOrigin::New };
        let dated_now = interaction.given_timestamp().is_none();
        let size = interaction.input().len() + interaction.output().len();
        let entry = self.logger.prepare(interaction).map_err(|error| with_sources(&error));
        let entry = entry.and_then(|entry| self.accepted(entry, now, size));
        let outcome = match entry {
            Ok(entry) => {
                prepared.entries.push(entry);
                Ok(Origin { id, dated_now })
            }
            Err(reason) => Err(self.refused(reason, None)),
        };
        prepared.lines.push(Line { number, outcome });
    }

    fn refused(&self, reason: String, line: Option<&[u8]>) -> Refused {
        Refused { reason, text: line.filter(|_| self.keep_refused).map(Box::from) }
    }

    fn entry(&self, line: &[u8], now: Timestamp) -> Result<(AuditEntry, Origin), String> {
        let (entry, origin) = match record::decode(line)? {
            Record::Entry(entry) => {
                entry.validate().map_err(|error| with_sources(&error))?;
                (entry, Origin { id: IdOrigin::Given, dated_now: false })
            }
            Record::Interaction(mut interaction) => {
                let id = if interaction.given_id().is_some() {
                    IdOrigin::Given
                } else if self.derive_ids {
                    let hash = hash_content(&text_of(line));
                    interaction = interaction.id(EntryId::for_record(&hash, 0));
                    IdOrigin::Derived(hash.into())
                } else {
                    IdOrigin::New
                };
                let dated_now = interaction.given_timestamp().is_none();
                let entry = self.logger.prepare(interaction);
                (entry.map_err(|error| with_sources(&error))?, Origin { id, dated_now })
            }
        };
        Ok((self.accepted(entry, now, line.len())?, origin))
    }

    /// `entry`, unless it is most likely wrong or too long. It was made of a record of `size` bytes.
    fn accepted(
        &self,
        entry: AuditEntry,
        now: Timestamp,
        size: usize,
    ) -> Result<AuditEntry, String> {
        if let Some(oddity) = oddity(&entry, now).filter(|_| !self.allow_odd) {
            return Err(format!("{oddity}; --allow-odd records it"));
        }
        // An entry that is too long would fail its whole batch. Escaping makes text at most three times
        // as long, encryption at most twice, so only long lines need the check.
        if size > MAX_LINE_BYTES / 4 {
            line::encode(&entry).map_err(|error| error.to_string())?;
        }
        Ok(entry)
    }
}

/// A line as text. Checking it first is five times as fast as the conversion alone.
fn text_of(line: &[u8]) -> Cow<'_, str> {
    str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed)
}
