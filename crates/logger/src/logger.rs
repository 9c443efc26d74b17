//! The logger.

use std::sync::Arc;

use attestry_core::{
    AppendFuture, AuditEntry, EntryId, EntryStream, Query, StorageBackend, StorageError, Timestamp,
};

use crate::metrics::{LoggerCounters, LoggerMetrics};
use crate::policy::Policy;
use crate::recorder::Recorder;
use crate::{AuditError, Content, ContentMatch, FailurePolicy, Interaction, Page, scan};

/// Records interactions with AI systems and retrieves them.
///
/// Cloning is cheap; clones share the storage. All methods may be called from many tasks at once.
#[derive(Debug, Clone)]
pub struct AuditLogger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Arc<dyn StorageBackend>,
    policy: Policy,
    recorder: Arc<Recorder>,
    counters: LoggerCounters,
}

impl AuditLogger {
    pub(crate) fn from_parts(storage: Arc<dyn StorageBackend>, policy: Policy) -> Self {
        let (recorder, counters) = (Arc::default(), LoggerCounters::default());
        Self(Arc::new(Inner { storage, policy, recorder, counters }))
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.0.recorder
    }

    pub(crate) fn counters(&self) -> &LoggerCounters {
        &self.0.counters
    }

    /// The backend itself. A call through the `Arc` would box the future twice.
    pub(crate) fn backend(&self) -> &dyn StorageBackend {
        &*self.0.storage
    }

    /// Records one interaction and returns the id of its entry once the storage backend has stored
    /// it.
    ///
    /// ```
    /// # use attestry_logger::{AuditLogger, Interaction};
    /// # async fn example(logger: AuditLogger) -> Result<(), attestry_logger::AuditError> {
    /// let id = logger
    ///     .log(Interaction::new("How do I ...?", "I cannot help with that.")
    ///         .provider("openai")
    ///         .safety_passed(false)
    ///         .detectors_triggered(["self-harm"])
    ///         .block_reason("policy 4.2"))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`] if the entry is invalid or could not be stored. With
    /// [`FailurePolicy::FailOpen`] a failure of the storage is passed to the handler instead.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entry is either stored whole or not at all, and its id is unknown;
    /// set one with [`Interaction::id`] to look it up or retry.
    pub async fn log(&self, interaction: Interaction<'_>) -> Result<EntryId, AuditError> {
        let (id, append) = match self.begin(interaction) {
            Ok(begun) => begun,
            Err(refused) => return self.counters().count(1, Err(refused)),
        };
        let stored = append.await;
        self.counters().count(1, stored)?;
        Ok(id)
    }

    /// The id of the new entry and the future that stores it. Not `async`, so that the entry is freed
    /// before the future is polled: memory that a pending call keeps is no longer in the processor's
    /// cache when the call is resumed after hundreds of others.
    fn begin(
        &self,
        interaction: Interaction<'_>,
    ) -> Result<(EntryId, AppendFuture<'_>), AuditError> {
        let caller_chose_id = interaction.id.is_some();
        let entry = self.prepare(interaction)?;
        if caller_chose_id || matches!(self.0.policy.failure_policy, FailurePolicy::FailOpen(_)) {
            let id = entry.id.clone();
            return Ok((id, Box::pin(async move { self.store(&entry, caller_chose_id).await })));
        }
        let append = self.backend().append(std::slice::from_ref(&entry));
        Ok((into_id(entry), append))
    }

    /// Stores an entry that is needed until it is stored.
    pub(crate) async fn store(
        &self,
        entry: &AuditEntry,
        caller_chose_id: bool,
    ) -> Result<(), StorageError> {
        let entries = std::slice::from_ref(entry);
        let stored = if caller_chose_id {
            self.backend().write(entry).await.map(drop)
        } else {
            self.backend().append(entries).await
        };
        self.apply_failure_policy(stored, entries)
    }

    /// Applies the failure policy to the result of storing `entries`.
    pub(crate) fn apply_failure_policy(
        &self,
        stored: Result<(), StorageError>,
        entries: &[AuditEntry],
    ) -> Result<(), StorageError> {
        let Err(error) = stored else { return Ok(()) };
        self.policy().handle_failure(error, entries, self.counters())
    }

    /// Records a batch of interactions and returns their ids in the same order. Much cheaper than
    /// single calls.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log). All interactions are validated before any is stored; after a failure of
    /// the storage some may have been stored.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, each entry is either stored whole or not at all.
    pub async fn log_batch<'a>(
        &self,
        interactions: impl IntoIterator<Item = Interaction<'a>, IntoIter: Send> + Send,
    ) -> Result<Vec<EntryId>, AuditError> {
        let mut caller_chose_id = false;
        let mut entries = Vec::new();
        let mut interactions = interactions.into_iter();
        while let Some(interaction) = interactions.next() {
            caller_chose_id |= interaction.id.is_some();
            match self.prepare(interaction) {
                Ok(entry) => entries.push(entry),
                Err(refused) => {
                    let batch = entries.len() + 1 + interactions.count();
                    return self.counters().count(batch, Err(refused));
                }
            }
        }
        let stored = if caller_chose_id {
            self.backend().write_batch(&entries).await
        } else {
            self.backend().append(&entries).await
        };
        let stored = self.apply_failure_policy(stored, &entries);
        self.counters().count(entries.len(), stored)?;
        Ok(entries.into_iter().map(|entry| entry.id).collect())
    }

    /// The entry that [`log`](Self::log) would store: with an id, a timestamp, hashes, and the content
    /// as the content policy stores it. Pure computation, for callers that prepare entries on other
    /// threads and store them with [`StorageBackend::append`].
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`] with [`StorageError::InvalidEntry`].
    pub fn prepare(&self, interaction: Interaction<'_>) -> Result<AuditEntry, AuditError> {
        let policy = &self.0.policy;
        let input = policy.prepare(&interaction.input);
        let output = policy.prepare(&interaction.output);
        self.entry(interaction, input, output)
    }

    /// As [`prepare`](Self::prepare), with the hashes of input and output and without the texts, also if this logger
    /// stores content: for an interaction whose content does not fit an entry.
    ///
    /// ```
    /// # use attestry_logger::{AuditLogger, Interaction};
    /// # fn example(logger: &AuditLogger) -> Result<(), attestry_logger::AuditError> {
    /// let entry = logger.prepare_without_content(Interaction::new("2+2?", "4"))?;
    /// assert_eq!(entry.input_content, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As `prepare`, but not for the length of the content.
    pub fn prepare_without_content(
        &self,
        interaction: Interaction<'_>,
    ) -> Result<AuditEntry, AuditError> {
        let policy = &self.0.policy;
        let input = policy.prepare_hash(&interaction.input);
        let output = policy.prepare_hash(&interaction.output);
        self.entry(interaction, input, output)
    }

    /// The entry of an interaction whose content is prepared already.
    pub(crate) fn entry(
        &self,
        interaction: Interaction<'_>,
        (input_content, input_hash): (Option<String>, String),
        (output_content, output_hash): (Option<String>, String),
    ) -> Result<AuditEntry, AuditError> {
        let entry = AuditEntry {
            id: interaction.id.unwrap_or_else(|| self.0.policy.id_scheme.create()),
            timestamp: interaction.timestamp.unwrap_or_else(Timestamp::now),
            input_hash,
            output_hash,
            input_content,
            output_content,
            provider: interaction.provider,
            model: interaction.model,
            conversation_id: interaction.conversation_id,
            safety_passed: interaction.safety_passed,
            detectors_triggered: interaction.detectors_triggered,
            block_reason: interaction.block_reason,
            alerts: interaction.alerts,
            latency_ms: interaction.latency_ms,
            input_tokens: interaction.input_tokens,
            output_tokens: interaction.output_tokens,
            metadata: interaction.metadata,
        };
        entry.validate()?;
        Ok(entry)
    }

    /// Whether content is stored as plain text, so that texts that may be content are no secret in metadata either.
    #[must_use]
    pub fn stores_plain_content(&self) -> bool {
        self.0.policy.stores_plain_content()
    }

    /// A logger that stores content in `storage` whatever this one stores, encrypted if this one has an encryption
    /// manager: for what must be kept for a while before it can be logged, as parts of interactions. Content is hashed
    /// as by this one; the other settings are the defaults.
    ///
    /// ```
    /// # use attestry_logger::{AuditLogger, Interaction};
    /// # use attestry_memory::MemoryStorage;
    /// # async fn example(logger: AuditLogger) -> Result<(), attestry_logger::AuditError> {
    /// let spool = logger.content_spool(MemoryStorage::new());
    /// let id = spool.log(Interaction::new("a part", "")).await?;
    /// let part = spool.get_entry(&id).await?.expect("just stored");
    /// assert_eq!(spool.decrypt_entry(&part)?.input.as_deref(), Some("a part"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn content_spool(&self, storage: impl StorageBackend + 'static) -> Self {
        Self::from_parts(Arc::new(storage), self.0.policy.for_spool())
    }

    /// The entry with this id, or `None`. Its content is returned as stored; see
    /// [`decrypt_entry`](Self::decrypt_entry).
    ///
    /// # Errors
    ///
    /// [`AuditError::InvalidId`] if a text is not a valid id; [`AuditError::Storage`].
    pub async fn get_entry<I>(&self, id: I) -> Result<Option<AuditEntry>, AuditError>
    where
        I: TryInto<EntryId> + Send,
        AuditError: From<I::Error>,
    {
        let id = id.try_into()?;
        Ok(self.backend().read(&id).await?)
    }

    /// All entries from `start` to `end`, both inclusive, oldest first.
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`], with [`StorageError::InvalidQuery`] if `start` is after `end`, and
    /// with [`StorageError::Corrupt`] if a record of the range cannot be read; [`query`](Self::query)
    /// yields the others.
    pub async fn get_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, AuditError> {
        Ok(self.backend().list_entries(start, end).await?)
    }

    /// Streams the entries that `query` selects. The stream keeps the storage alive and may outlive
    /// the logger: a response body or a task can own it.
    ///
    /// A record that cannot be read is yielded as [`StorageError::Corrupt`], and the stream continues
    /// after it. Do not end the loop at such an error, or one corrupt record hides all entries after
    /// it:
    ///
    /// ```
    /// # use attestry_core::{Query, StorageError};
    /// # async fn example(logger: attestry_logger::AuditLogger) -> Result<(), attestry_logger::AuditError> {
    /// use futures_util::StreamExt;
    ///
    /// let mut found = logger.query(Query::new().provider("openai"));
    /// while let Some(result) = found.next().await {
    ///     match result {
    ///         Ok(entry) => println!("{} {}", entry.timestamp, entry.id),
    ///         Err(StorageError::Corrupt(record)) => eprintln!("{record}"),
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// See [`StorageBackend::scan`] for concurrent changes, and [`page`](Self::page) for one page.
    #[must_use]
    pub fn query(&self, query: Query) -> EntryStream<'static> {
        scan::owned(Arc::clone(&self.0.storage), query)
    }

    /// Reads one page of the entries that `query` selects: at most as many as its limit, and whether
    /// more follow. Unreadable records are reported in the page and do not end it. Without a limit the
    /// page holds the whole result in memory.
    ///
    /// ```
    /// # use attestry_core::Query;
    /// # async fn example(logger: attestry_logger::AuditLogger) -> Result<(), attestry_logger::AuditError> {
    /// let query = Query::new().safety_passed(false).limit(100);
    /// let mut page = logger.page(query.clone()).await?;
    /// while let Some(cursor) = page.next {
    ///     page = logger.page(query.clone().after(cursor)).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`], with [`StorageError::InvalidQuery`] if the query contradicts itself.
    pub async fn page(&self, query: Query) -> Result<Page, AuditError> {
        Ok(Page::read(self.backend(), query).await?)
    }

    /// The number of stored entries, of which a call may have two; see [`Phase`](attestry_core::Phase). Records that cannot be read are counted.
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`].
    pub async fn count(&self) -> Result<u64, AuditError> {
        Ok(self.backend().count().await?)
    }

    /// Decrypts stored content of an entry.
    ///
    /// # Errors
    ///
    /// [`AuditError::NoEncryption`] without an encryption manager (the specification's
    /// `ValueError`), `AuditError::Decrypt` if it is not authentic (its `InvalidToken`).
    pub fn decrypt_content(&self, encrypted_content: &str) -> Result<String, AuditError> {
        self.0.policy.decrypt(encrypted_content)
    }

    /// Both contents of `entry` as plain text, each checked against the entry's hash, whether it was
    /// stored plain or encrypted.
    ///
    /// # Errors
    ///
    /// [`AuditError::NoEncryption`], `AuditError::Decrypt`, `AuditError::Altered`,
    /// [`AuditError::HashMismatch`], [`AuditError::NoHashKey`].
    pub fn decrypt_entry(&self, entry: &AuditEntry) -> Result<Content, AuditError> {
        self.0.policy.decrypt_entry(entry)
    }

    /// Whether `input` and `output` match the hashes of `entry`. Needs no stored content.
    ///
    /// # Errors
    ///
    /// [`AuditError::NoHashKey`] if the hashes are keyed and the logger has no hash key.
    pub fn verify_content(
        &self,
        entry: &AuditEntry,
        input: &str,
        output: &str,
    ) -> Result<ContentMatch, AuditError> {
        self.0.policy.verify(entry, input, output)
    }

    /// Returns once everything recorded so far is on stable storage, also the end entries of calls that were dropped.
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`]: the storage failed, or the end entry of a dropped call could not be stored.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let drained = self.0.recorder.drain().await;
        self.backend().flush().await?;
        drained
    }

    /// Finishes pending operations and closes the storage, for all clones of this logger. Waits for the
    /// end entries of calls that were dropped; a [`Call`](crate::Call) that is still open cannot be
    /// ended afterwards.
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`]: the storage could not be closed, or the end entry of a dropped call could
    /// not be stored.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the storage may be closed or not. No entry is lost; calling it again
    /// resumes.
    pub async fn close(&self) -> Result<(), AuditError> {
        let drained = self.0.recorder.drain().await;
        self.backend().close().await?;
        drained
    }

    /// The storage backend.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn StorageBackend> {
        &self.0.storage
    }

    /// What this logger, its clones and their storage have done so far, in numbers. Cheap enough to be
    /// called every second, and never waits for the storage.
    ///
    /// ```
    /// use attestry_logger::{AuditLogger, Interaction};
    /// use attestry_memory::MemoryStorage;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let logger = AuditLogger::builder(MemoryStorage::new()).build();
    /// let id = logger.log(Interaction::new("What is 2+2?", "4")).await?;
    /// assert!(logger.log(Interaction::new("What is 2+2?", "5").id(id)).await.is_err(), "the id is taken");
    ///
    /// let metrics = logger.metrics();
    /// assert_eq!((metrics.entries, metrics.refused), (1, 1));
    /// println!("{}", serde_json::to_string(&metrics)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> LoggerMetrics {
        self.counters().snapshot(self.backend().metrics())
    }

    /// The encryption manager, if one is configured.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn encryption(&self) -> Option<&attestry_crypto::EncryptionManager> {
        self.0.policy.encryption.as_ref()
    }

    /// Whether the content itself is stored.
    #[must_use]
    pub fn store_content(&self) -> bool {
        self.0.policy.store_content
    }

    /// The retention period in days.
    #[must_use]
    pub fn retention_days(&self) -> u32 {
        self.0.policy.retention_days
    }
}

/// Keeps the id and frees the rest of the entry.
fn into_id(entry: AuditEntry) -> EntryId {
    entry.id
}
