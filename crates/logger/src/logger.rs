//! The logger itself.

use std::sync::Arc;

use attestry_core::{
    AppendFuture, AuditEntry, EntryId, EntryStream, Query, StorageBackend, StorageError, Timestamp,
};

use crate::builder::Policy;
use crate::{AuditError, AuditLoggerBuilder, Content, ContentMatch, FailurePolicy, Interaction};

/// Records interactions with AI systems, and finds them again.
///
/// Cloning is cheap; clones share the storage. All methods may be called from many tasks at once.
#[derive(Debug, Clone)]
pub struct AuditLogger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Arc<dyn StorageBackend>,
    policy: Policy,
}

impl AuditLogger {
    /// A builder of a logger on `storage`, with the specification's defaults.
    pub fn builder<S: StorageBackend + 'static>(storage: S) -> AuditLoggerBuilder<S> {
        AuditLoggerBuilder::new(storage)
    }

    pub(crate) fn from_parts(storage: Arc<dyn StorageBackend>, policy: Policy) -> Self {
        Self(Arc::new(Inner { storage, policy }))
    }

    /// The backend itself. A call on the `Arc` around it would go through one more boxed future.
    fn backend(&self) -> &dyn StorageBackend {
        &*self.0.storage
    }

    /// Records one interaction and returns the id of its entry, once the storage backend has
    /// stored it.
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
    /// [`AuditError::Storage`]: the entry is invalid or could not be stored. With
    /// [`FailurePolicy::FailOpen`] a failure of the storage goes to the handler instead.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the entry is either stored whole or not at all, and the id is
    /// not known; set one with [`Interaction::id`] to be able to find out or repeat.
    pub async fn log(&self, interaction: Interaction<'_>) -> Result<EntryId, AuditError> {
        let (id, storing) = self.begin(interaction)?;
        storing.await?;
        Ok(id)
    }

    /// The id of an entry, and what stores it. Not `async`, and the entry is freed here where nobody needs
    /// it any more: what a call holds on to while it waits is out of the processor's cache when it
    /// goes on, as hundreds of others have been at work.
    fn begin(
        &self,
        interaction: Interaction<'_>,
    ) -> Result<(EntryId, AppendFuture<'_>), AuditError> {
        let caller_chose_id = interaction.id.is_some();
        let entry = self.prepare(interaction)?;
        if caller_chose_id || matches!(self.0.policy.failure_policy, FailurePolicy::FailOpen(_)) {
            return Ok((entry.id.clone(), Box::pin(self.store(entry, caller_chose_id))));
        }
        let storing = self.backend().append(std::slice::from_ref(&entry));
        Ok((id_of(entry), storing))
    }

    /// Stores an entry that is needed to its end.
    async fn store(&self, entry: AuditEntry, caller_chose_id: bool) -> Result<(), StorageError> {
        let entries = std::slice::from_ref(&entry);
        let stored = if caller_chose_id {
            self.backend().write(&entry).await.map(drop)
        } else {
            self.backend().append(entries).await
        };
        self.settle(stored, entries)
    }

    /// Records many interactions at once and returns their ids in the same order. Much cheaper
    /// than one call each where the caller has them together, as an import does.
    ///
    /// # Errors
    ///
    /// As [`log`](Self::log). An invalid interaction is found before any is stored; after a
    /// failure of the storage some may have been stored.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, each entry is either stored whole or not at all.
    pub async fn log_batch<'a>(
        &self,
        interactions: impl IntoIterator<Item = Interaction<'a>, IntoIter: Send> + Send,
    ) -> Result<Vec<EntryId>, AuditError> {
        let mut caller_chose_id = false;
        let mut entries = Vec::new();
        for interaction in interactions {
            caller_chose_id |= interaction.id.is_some();
            entries.push(self.prepare(interaction)?);
        }
        let stored = if caller_chose_id {
            self.backend().write_batch(&entries).await
        } else {
            self.backend().append(&entries).await
        };
        self.settle(stored, &entries)?;
        Ok(entries.into_iter().map(|entry| entry.id).collect())
    }

    /// The entry that [`log`](Self::log) would store: hashed, its content kept and encrypted by
    /// the logger's policy, with an id and a time. Pure computation, for callers that prepare
    /// entries on other threads and store them with [`StorageBackend::append`].
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`] with [`StorageError::InvalidEntry`].
    pub fn prepare(&self, interaction: Interaction<'_>) -> Result<AuditEntry, AuditError> {
        let policy = &self.0.policy;
        let (input_content, input_hash) = policy.prepare(&interaction.input);
        let (output_content, output_hash) = policy.prepare(&interaction.output);
        let entry = AuditEntry {
            id: interaction.id.unwrap_or_else(|| policy.id_scheme.create()),
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

    /// Applies the `failure_policy` choice to the outcome of storing `entries`.
    fn settle(
        &self,
        stored: Result<(), StorageError>,
        entries: &[AuditEntry],
    ) -> Result<(), StorageError> {
        let Err(error) = stored else { return Ok(()) };
        let refused =
            matches!(error, StorageError::InvalidEntry(_) | StorageError::AlreadyExists { .. });
        match &self.0.policy.failure_policy {
            FailurePolicy::FailOpen(handler) if !refused => {
                entries.iter().for_each(|entry| handler(entry, &error));
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// The entry with this id, or `None`. Its content is as stored; see
    /// [`decrypt_entry`](Self::decrypt_entry).
    ///
    /// # Errors
    ///
    /// [`AuditError::InvalidId`] when a text is given that cannot be an id;
    /// [`AuditError::Storage`].
    pub async fn get_entry<I>(&self, id: I) -> Result<Option<AuditEntry>, AuditError>
    where
        I: TryInto<EntryId> + Send,
        AuditError: From<I::Error>,
    {
        let id = id.try_into()?;
        Ok(self.backend().read(&id).await?)
    }

    /// All entries from `start` to `end`, both inclusive, in order of time.
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`]; among others [`StorageError::InvalidQuery`] when `start` lies
    /// after `end`.
    pub async fn get_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, AuditError> {
        Ok(self.backend().list_entries(start, end).await?)
    }

    /// The entries that `query` selects, one by one; see [`StorageBackend::scan`].
    #[must_use]
    pub fn query(&self, query: Query) -> EntryStream<'_> {
        self.backend().scan(query)
    }

    /// Deletes every entry that is `retention_days` old or older, and returns how many went.
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`]; some of the entries may have gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, each entry is either there or gone. Calling it again goes on.
    pub async fn cleanup_expired(&self) -> Result<u64, AuditError> {
        Ok(self.backend().delete_at_or_before(self.expiry_cutoff()).await?)
    }

    /// The moment at or before which an entry has expired by now.
    #[must_use]
    pub fn expiry_cutoff(&self) -> Timestamp {
        Timestamp::now().saturating_sub_days(self.0.policy.retention_days)
    }

    /// Decrypts content found in an entry.
    ///
    /// # Errors
    ///
    /// [`AuditError::NoEncryption`] without an encryption manager (the specification's
    /// `ValueError`), `AuditError::Decrypt` when the cipher refuses it (its `InvalidToken`).
    pub fn decrypt_content(&self, encrypted_content: &str) -> Result<String, AuditError> {
        self.0.policy.decrypt(encrypted_content)
    }

    /// Both contents of `entry` as plain text, each checked against the entry's hash. Content
    /// that was stored plain is checked likewise.
    ///
    /// # Errors
    ///
    /// [`AuditError::NoEncryption`], `AuditError::Decrypt`, `AuditError::Altered`,
    /// [`AuditError::HashMismatch`], [`AuditError::NoHashKey`].
    pub fn decrypt_entry(&self, entry: &AuditEntry) -> Result<Content, AuditError> {
        self.0.policy.reveal(entry)
    }

    /// Whether `input` and `output` are what `entry` was made of, by its hashes. Needs no stored
    /// content.
    ///
    /// # Errors
    ///
    /// [`AuditError::NoHashKey`] when the hashes are keyed and the logger has no key.
    pub fn verify_content(
        &self,
        entry: &AuditEntry,
        input: &str,
        output: &str,
    ) -> Result<ContentMatch, AuditError> {
        self.0.policy.verify(entry, input, output)
    }

    /// Returns once everything recorded so far is on stable storage.
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`].
    pub async fn flush(&self) -> Result<(), AuditError> {
        Ok(self.backend().flush().await?)
    }

    /// Finishes and closes the storage, for all clones of this logger.
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`].
    pub async fn close(&self) -> Result<(), AuditError> {
        Ok(self.backend().close().await?)
    }

    /// The storage backend.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn StorageBackend> {
        &self.0.storage
    }

    /// The encryption manager, if there is one.
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

    /// Days that entries are kept.
    #[must_use]
    pub fn retention_days(&self) -> u32 {
        self.0.policy.retention_days
    }
}

/// Keeps the id and frees the rest.
fn id_of(entry: AuditEntry) -> EntryId {
    entry.id
}
