//! A call of a model that is on record from its start.
//!
//! [`AuditLogger::start`] stores an entry before the model is called, and the [`Call`] stores another
//! one when the call ends, in any way: a record of what was asked exists even if the process is killed.

#[cfg(feature = "messages")]
mod message_output;
mod open_calls;
mod output;
#[cfg(feature = "messages")]
mod parts;
mod tee;

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::time::Instant;

use attestry_core::{AuditEntry, EntryId, event, metadata};

#[cfg(not(feature = "messages"))]
use self::output::Output;
#[cfg(feature = "messages")]
use self::parts::Output;
pub use self::tee::Tee;
use crate::{AuditError, AuditLogger, Interaction};

/// Whether [`AuditLogger::start_with`] stores an entry at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StartRecord {
    /// Store a start entry before returning, so that the call is on record whatever happens.
    #[default]
    Store,
    /// Store only the end entry. A call of a process that is killed leaves no record.
    Skip,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Completed,
    Failed { error_type: String },
    CutOff,
    Abandoned,
}

impl Outcome {
    /// Its value in metadata.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => metadata::OUTCOME_COMPLETED,
            Self::Failed { .. } => metadata::OUTCOME_FAILED,
            Self::CutOff => metadata::OUTCOME_CUT_OFF,
            Self::Abandoned => metadata::OUTCOME_ABANDONED,
        }
    }
}

/// A call that has started and not ended; returned by [`AuditLogger::start`].
///
/// It ends with [`finish`](Self::finish), [`fail`](Self::fail) or [`cut_off`](Self::cut_off), each of
/// which stores the end entry and returns its id. Dropping it without one of them stores the end entry
/// too, with the outcome `abandoned` and the output so far: a request handler whose client disconnects
/// is dropped at an `.await`, and needs no code for that.
///
/// # Dropping
///
/// Dropping never blocks and works in any context: in a runtime, outside, during a panic, and while a
/// runtime shuts down. A thread stores the end entry; [`AuditLogger::close`] waits for it and returns
/// its failure. A process that ends before that leaves the start entry alone.
pub struct Call(Option<Box<Open>>);

/// The state of an open call.
struct Open {
    logger: AuditLogger,
    /// The id of the start entry, if one was stored.
    start: Option<EntryId>,
    started: Instant,
    /// What becomes the end entry. Until then it has the start's id, time and output.
    entry: AuditEntry,
    /// The id of the end entry, if the caller chose it.
    id: Option<EntryId>,
    output: Output,
}

impl AuditLogger {
    /// Records that a call of a model starts, and returns the open call. The start entry is durable
    /// when this returns: call the model after that.
    ///
    /// The start entry is what [`log`](Self::log) would store with an empty output, and has the
    /// metadata `attestry.phase` = `start`. The end entry is what `log` would store of the whole call,
    /// with `attestry.phase` = `end` and `attestry.call` = the id of the start entry. Its timestamp is
    /// that of the start plus the elapsed time, and its latency is the elapsed time unless it is set.
    ///
    /// ```
    /// use attestry_core::metadata;
    /// use attestry_logger::{AuditLogger, Interaction};
    /// use attestry_memory::MemoryStorage;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let logger = AuditLogger::builder(MemoryStorage::new()).build();
    /// let question = Interaction::new("What is 2+2?", "").provider("openai").model("gpt-4");
    /// let mut call = logger.start(question).await?;
    /// for token in ["The answer", " is 4."] {
    ///     call.push(token);
    /// }
    /// call.set(|fields| fields.output_tokens(6));
    /// let id = call.finish().await?;
    ///
    /// let entry = logger.get_entry(&id).await?.expect("just stored");
    /// assert!(logger.verify_content(&entry, "What is 2+2?", "The answer is 4.")?.both());
    /// assert_eq!(entry.metadata[metadata::PHASE], metadata::PHASE_END);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// An output of `interaction` is the output so far. Its id, if set, is that of the start entry.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log): a call that cannot be recorded should not be made.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the start entry is either stored or not; no end entry is stored.
    pub async fn start(&self, interaction: Interaction<'_>) -> Result<Call, AuditError> {
        self.start_with(interaction, StartRecord::Store).await
    }

    /// [`start`](Self::start), with the choice whether to store a start entry. Without one the end entry
    /// has neither phase nor call in its metadata: it is as [`log`](Self::log) would store it, and the
    /// id of `interaction` is its id.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start). With [`StartRecord::Skip`] nothing is stored yet.
    ///
    /// # Cancel safety
    ///
    /// As [`start`](Self::start).
    pub async fn start_with(
        &self,
        mut interaction: Interaction<'_>,
        record: StartRecord,
    ) -> Result<Call, AuditError> {
        let started = Instant::now();
        let known = mem::take(&mut interaction.output);
        let output = Output::new(self.policy(), &interaction.metadata, &known);
        let input = self.policy().prepare(&mem::take(&mut interaction.input));
        let mut id = interaction.id.clone();
        if record == StartRecord::Store {
            let phase = metadata::PHASE_START.into();
            interaction.metadata.insert(metadata::PHASE.into(), phase);
        }
        let entry = match self.entry(interaction, input, self.policy().prepare("")) {
            Ok(entry) => entry,
            Err(refused) => return self.counters().count(1, Err(refused)),
        };
        let mut start = None;
        if record == StartRecord::Store {
            let stored = self.store(&entry, id.take().is_some()).await;
            self.counters().count(1, stored)?;
            start = Some(entry.id.clone());
        }
        self.counters().call_started();
        let logger = self.clone();
        Ok(Call(Some(Box::new(Open { logger, start, started, entry, id, output }))))
    }
}

impl Call {
    /// The id of the start entry; `None` with [`StartRecord::Skip`].
    #[must_use]
    pub fn id(&self) -> Option<&EntryId> {
        self.0.as_ref()?.start.as_ref()
    }

    /// Appends text to the output.
    ///
    /// Memory is bounded: content after
    /// [`max_content_bytes`](crate::AuditLoggerBuilder::max_content_bytes) is hashed and counted, not
    /// kept. If the logger stores only hashes, at most 4 KiB are kept until the call ends, so that
    /// a part can follow.
    pub fn push(&mut self, text: &str) {
        if let Some(open) = &mut self.0 {
            open.output.push(text);
        }
    }

    /// Appends a part to the output, such as a tool call: the output becomes one message of the role
    /// `assistant` in [canonical form](crate::messages::Messages::canonical), and the metadata
    /// `attestry.content` or `attestry.content.output` says so.
    ///
    /// Consecutive texts are joined, whether they come by [`push`](Self::push) or as parts, and so is
    /// reasoning: a streamed answer becomes the parts that it would have been as a whole. A call that
    /// starts with an [interaction of messages](Interaction::from_messages) has such an output also if
    /// only text is pushed. Why the model stopped is known last, so it is no field of the message:
    /// [set](Self::set) [`finish_reasons`](Interaction::finish_reasons).
    ///
    /// Memory is bounded as with [`push`](Self::push). Of an output that is stored in part, a text may be
    /// incomplete; what is stored are messages all the same.
    ///
    /// ```
    /// use attestry_logger::messages::{Message, Messages, Part};
    /// use attestry_logger::{AuditLogger, Interaction};
    /// use attestry_memory::MemoryStorage;
    /// use serde_json::json;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let logger = AuditLogger::builder(MemoryStorage::new()).store_content(true).build();
    /// let mut call = logger.start(Interaction::new("What is the weather?", "")).await?;
    /// call.push("I will ");
    /// call.push("look.");
    /// call.push_part(&Part::tool_call("c1", "weather", json!({"city": "Berlin"})));
    /// let id = call.finish().await?;
    ///
    /// let entry = logger.get_entry(&id).await?.expect("just stored");
    /// let (_, output) = logger.decrypt_entry(&entry)?.messages()?;
    /// let parts = [Part::text("I will look."), Part::tool_call("c1", "weather", json!({"city": "Berlin"}))];
    /// assert_eq!(output, Some(Messages(vec![Message::new("assistant", parts)])));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "messages")]
    pub fn push_part(&mut self, part: &crate::messages::Part) {
        if let Some(open) = &mut self.0 {
            open.output.push_part(open.logger.policy(), part);
        }
    }

    /// Sets fields of the end entry that are known only during or after the call, such as tokens,
    /// detectors or metadata.
    ///
    /// The fields given to [`start`](AuditLogger::start) are set already. Input, output and timestamp
    /// cannot be changed.
    pub fn set(&mut self, change: impl FnOnce(Interaction<'static>) -> Interaction<'static>) {
        if let Some(open) = &mut self.0 {
            let fields = open.take_fields();
            open.set_fields(change(fields));
        }
    }

    /// Ends the call: the model answered. Returns the id of the end entry once it is stored.
    ///
    /// # Errors
    ///
    /// As [`log`](AuditLogger::log). The end entry is then not stored, or with an unknown result.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped after its first poll, the end entry is stored as if the call had been
    /// dropped, but with the outcome of this method. If it was never polled, the outcome is
    /// `abandoned`.
    pub async fn finish(self) -> Result<EntryId, AuditError> {
        self.end(Outcome::Completed).await
    }

    /// Ends the call: it failed. `error_type` is a short, stable name without content, such as
    /// `timeout` or `429`; it becomes the metadata `error.type`.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    ///
    /// # Cancel safety
    ///
    /// As [`finish`](Self::finish).
    pub async fn fail(self, error_type: impl Into<String> + Send) -> Result<EntryId, AuditError> {
        let error_type = error_type.into();
        self.end(Outcome::Failed { error_type }).await
    }

    /// Ends the call: the output ended before its end.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    ///
    /// # Cancel safety
    ///
    /// As [`finish`](Self::finish).
    pub async fn cut_off(self) -> Result<EntryId, AuditError> {
        self.end(Outcome::CutOff).await
    }

    async fn end(mut self, outcome: Outcome) -> Result<EntryId, AuditError> {
        let Some(open) = self.0.take() else { unreachable!("taken only here and when dropped") };
        let logger = open.logger.clone();
        let caller_chose_id = open.id.is_some();
        let entry = match open.into_entry(outcome) {
            Ok(entry) => entry,
            Err(refused) => return logger.counters().count(1, Err(refused)),
        };
        let mut unstored = Unstored { entry: Some(entry), logger };
        let stored = match &unstored.entry {
            Some(entry) if caller_chose_id => {
                unstored.logger.storage().write(entry).await.map(drop)
            }
            entry => unstored.logger.storage().append(entry.as_slice()).await,
        };
        let Some(entry) = unstored.entry.take() else {
            unreachable!("taken only here and when dropped")
        };
        let stored = unstored.logger.apply_failure_policy(stored, std::slice::from_ref(&entry));
        unstored.logger.counters().count(1, stored)?;
        Ok(entry.id)
    }
}

/// An end entry that is being stored. Dropping it stores the entry in the background.
struct Unstored {
    entry: Option<AuditEntry>,
    logger: AuditLogger,
}

impl Drop for Unstored {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            store_later(&self.logger, entry);
        }
    }
}

/// Stores an end entry in the background.
fn store_later(logger: &AuditLogger, entry: AuditEntry) {
    let recorder = logger.recorder();
    let logger = logger.clone();
    recorder.clone().run(Box::pin(async move {
        // Idempotent, as an append is not: the entry may have been stored before its call was dropped.
        let stored = logger.storage().write(&entry).await.map(drop);
        let stored = logger.apply_failure_policy(stored, std::slice::from_ref(&entry));
        logger.counters().count(1, stored)
    }));
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let logger = open.logger.clone();
            match open.into_entry(Outcome::Abandoned) {
                Ok(entry) => store_later(&logger, entry),
                Err(error) => {
                    let counted = logger.counters().count(1, Err::<(), _>(error));
                    counted.unwrap_or_else(|error| logger.recorder().fail(error));
                }
            }
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = self.0.as_ref().map(|open| open.output.bytes());
        f.debug_struct("Call").field("id", &self.id()).field("output_bytes", &output).finish()
    }
}

impl Open {
    /// The end entry.
    fn into_entry(self, outcome: Outcome) -> Result<AuditEntry, AuditError> {
        let Self { logger, start, started, mut entry, id, output } = self;
        logger.counters().call_ended();
        event!(DEBUG, outcome = outcome.as_str(), "call ended");
        let elapsed = started.elapsed();
        entry.id = id.unwrap_or_else(|| logger.policy().id_scheme.create());
        entry.timestamp = entry.timestamp.saturating_add(elapsed);
        if entry.latency_ms == 0.0 {
            entry.latency_ms = elapsed.as_secs_f64() * 1e3;
        }
        let mut set = |key: &str, value: &str| entry.metadata.insert(key.into(), value.into());
        if let Some(start) = start {
            set(metadata::PHASE, metadata::PHASE_END);
            set(metadata::CALL, start.as_str());
        }
        if outcome != Outcome::Completed {
            set(metadata::OUTCOME, outcome.as_str());
        }
        if let Outcome::Failed { error_type } = outcome {
            set(metadata::ERROR_TYPE, &error_type);
        }
        let stored = output.finish(logger.policy(), &mut entry.metadata);
        (entry.output_content, entry.output_hash) = stored;
        entry.validate()?;
        Ok(entry)
    }

    /// Takes out the fields that can be changed, with empty input and output.
    fn take_fields(&mut self) -> Interaction<'static> {
        let entry = &mut self.entry;
        Interaction {
            input: Cow::Borrowed(""),
            output: Cow::Borrowed(""),
            provider: entry.provider.take(),
            model: entry.model.take(),
            conversation_id: entry.conversation_id.take(),
            safety_passed: entry.safety_passed,
            detectors_triggered: mem::take(&mut entry.detectors_triggered),
            block_reason: entry.block_reason.take(),
            alerts: mem::take(&mut entry.alerts),
            latency_ms: entry.latency_ms,
            input_tokens: entry.input_tokens,
            output_tokens: entry.output_tokens,
            metadata: mem::take(&mut entry.metadata),
            timestamp: None,
            id: self.id.take(),
        }
    }

    fn set_fields(&mut self, fields: Interaction<'static>) {
        let entry = &mut self.entry;
        self.id = fields.id;
        entry.provider = fields.provider;
        entry.model = fields.model;
        entry.conversation_id = fields.conversation_id;
        entry.safety_passed = fields.safety_passed;
        entry.detectors_triggered = fields.detectors_triggered;
        entry.block_reason = fields.block_reason;
        entry.alerts = fields.alerts;
        entry.latency_ms = fields.latency_ms;
        entry.input_tokens = fields.input_tokens;
        entry.output_tokens = fields.output_tokens;
        entry.metadata = fields.metadata;
    }
}
