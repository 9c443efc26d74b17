//! From a line of the input to the entry that is stored, on the worker threads.

use std::borrow::Cow;

use attestry::line::MAX_LINE_BYTES;
use attestry::{AuditEntry, AuditLogger, EntryId, Timestamp, hash_content, line};

use crate::chunks::Chunk;
use crate::commands;
use crate::errors::with_sources;
use crate::record::{self, Record, oddity};

/// How lines become entries.
pub(super) struct Preparer {
    pub(super) logger: AuditLogger,
    /// Whether a record without an id gets one that is computed from it.
    pub(super) derive_ids: bool,
    pub(super) allow_odd: bool,
    /// Whether refused lines are kept.
    pub(super) keep_refused: bool,
}

/// Consecutive lines.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) lines: Vec<Line>,
    /// The entries of the lines that are not refused.
    pub(super) entries: Vec<AuditEntry>,
}

/// What became of a line.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) outcome: Result<Origin, Refused>,
}

/// What an entry does not say about its record.
pub(super) struct Origin {
    pub(super) id: IdOrigin,
    /// Whether the record has no time of its own.
    pub(super) dated_now: bool,
}

/// Where the id of an entry comes from.
pub(super) enum IdOrigin {
    /// From the record.
    Given,
    /// Computed from the record, which has this SHA-256; so far as if it were the first of its kind.
    Derived(Box<str>),
    /// Just created.
    New,
}

/// A refused line.
pub(super) struct Refused {
    pub(super) reason: String,
    /// The line as it came, if refused lines are kept and it is not too long.
    pub(super) text: Option<Box<[u8]>>,
}

impl Preparer {
    /// Prepares the lines of `chunk`.
    pub(super) fn prepare(&self, chunk: &Chunk) -> Prepared {
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
                Err((reason, line)) => {
                    let text = line.filter(|_| self.keep_refused).map(Box::from);
                    Err(Refused { reason, text })
                }
            };
            prepared.lines.push(Line { number, outcome });
        }
        prepared
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
        if let Some(oddity) = oddity(&entry, now).filter(|_| !self.allow_odd) {
            return Err(format!("{oddity}; --allow-odd records it"));
        }
        // An entry that is too long would fail its whole batch. Escaping makes text at most three times
        // as long, encryption at most twice, so only long lines need the check.
        if line.len() > MAX_LINE_BYTES / 4 {
            line::encode(&entry).map_err(|error| error.to_string())?;
        }
        Ok((entry, origin))
    }
}

/// A line as text. Checking it first is five times as fast as the conversion alone.
fn text_of(line: &[u8]) -> Cow<'_, str> {
    str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed)
}
