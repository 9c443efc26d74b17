//! Storing the calls in records of another format.

use std::collections::BTreeMap;

use attestry::{
    AuditEntry, AuditError, AuditLogger, EntryId, ErrorChain, Interaction, StorageError, metadata,
};
use attestry_genai::{Format, UnmappedTexts};
use pyo3::exceptions::PyValueError;

use crate::failure::Failure;

/// Why records of a batch are refused, without content, by their number in the batch from 0.
pub(crate) type Refused = BTreeMap<usize, String>;

/// How records of another format are recorded.
pub(crate) struct Import {
    format: Format,
    texts: UnmappedTexts,
}

/// A record, and the id of the start entry if it is the end of a call that has one.
pub(crate) type Record = (Vec<u8>, Option<String>);

impl Import {
    /// `ValueError` if there is no format of this name.
    pub(crate) fn new(format: &str, texts: UnmappedTexts) -> Result<Self, Failure> {
        let format = format.parse().map_err(|_| {
            Failure::Python(PyValueError::new_err(format!("unknown format {format:?}")))
        })?;
        Ok(Self { format, texts })
    }

    /// Stores the calls in these records; returns how many were stored, and how many were there already. If some
    /// records cannot be read or stored, the others are stored before it fails.
    pub(crate) async fn store(
        self,
        logger: &AuditLogger,
        records: Vec<Record>,
    ) -> Result<(usize, usize), Failure> {
        let mut refused = Refused::new();
        let mut numbers = Vec::with_capacity(records.len());
        let mut entries = Vec::with_capacity(records.len());
        for (number, (record, call)) in records.iter().enumerate() {
            let interactions = match self.decode(record) {
                Ok(interactions) => interactions,
                Err(reason) => {
                    refused.insert(number, reason);
                    continue;
                }
            };
            for interaction in interactions {
                match logger.prepare(ending(interaction, call.as_deref())) {
                    Ok(entry) => {
                        numbers.push(number);
                        entries.push(entry);
                    }
                    Err(error @ AuditError::Storage(StorageError::InvalidEntry(_))) => {
                        refused.insert(number, ErrorChain(&error).to_string());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let stored = write(logger, &numbers, &entries, &mut refused).await?;
        if !refused.is_empty() {
            return Err(Failure::Refused { refused, records: records.len() });
        }
        let new = stored.iter().filter(|stored| **stored).count();
        Ok((new, stored.len() - new))
    }

    /// Stores the start entry of the call in this record, and returns its id; `None` if no call is in it.
    pub(crate) async fn start(
        self,
        logger: &AuditLogger,
        record: &[u8],
    ) -> Result<Option<EntryId>, Failure> {
        let refuse = |reason| Failure::Python(PyValueError::new_err(reason));
        let mut calls = self.decode(record).map_err(refuse)?;
        let Some(asked) = calls.pop() else { return Ok(None) };
        if !calls.is_empty() {
            return Err(refuse("the record has more than one call".to_owned()));
        }
        // The id that follows from the record is that of the end entry.
        let asked = asked.id(None).metadata(metadata::PHASE, metadata::PHASE_START);
        Ok(Some(logger.log(asked).await?))
    }

    /// The calls in a record, or why it cannot be read.
    fn decode(&self, record: &[u8]) -> Result<Vec<Interaction<'static>>, String> {
        let decoded = attestry_genai::decode(self.format, record);
        let decoded = decoded.map_err(|error| ErrorChain(&error).to_string())?;
        let calls = decoded.records.into_iter();
        Ok(calls.map(|record| record.into_interaction(self.texts)).collect())
    }
}

/// The interaction of an end entry, if the call has a start entry.
fn ending(interaction: Interaction<'static>, call: Option<&str>) -> Interaction<'static> {
    match call {
        None => interaction,
        Some(start) => interaction
            .metadata(metadata::PHASE, metadata::PHASE_END)
            .metadata(metadata::CALL, start),
    }
}

/// Stores the entries, which are from the records of these numbers.
async fn write(
    logger: &AuditLogger,
    numbers: &[usize],
    entries: &[AuditEntry],
    refused: &mut Refused,
) -> Result<Vec<bool>, Failure> {
    match logger.storage().write_new(entries).await {
        // One of them is too large for this store, and nothing is stored.
        Err(StorageError::InvalidEntry(_)) => {}
        written => return Ok(written?),
    }
    let mut stored = Vec::with_capacity(entries.len());
    for (number, entry) in numbers.iter().zip(entries) {
        match logger.storage().write_new(std::slice::from_ref(entry)).await {
            Err(error @ StorageError::InvalidEntry(_)) => {
                refused.insert(*number, ErrorChain(&error).to_string());
            }
            written => stored.extend(written?),
        }
    }
    Ok(stored)
}
