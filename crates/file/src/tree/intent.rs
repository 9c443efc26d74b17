//! Signatures of intent logs.
//!
//! A forged intent log would make the next process that opens the store erase what an attacker names, and
//! sign the record of it. So the intent log has a signature of the key that signs the record.

use std::path::Path;

use attestry_evidence::{LogKeys, Record, SignedRecord, Statement};

use super::error::{EvidenceError, Result};
use super::keys::Eraser;
use crate::observer::IntentCheck;

/// The signature of an intent log with this SHA-256 in hexadecimal: one line.
pub(super) fn sign(sha256: &str, eraser: &Eraser) -> Result<String> {
    let statement = Statement::EraseIntent { sha256: sha256.to_owned() };
    let record = SignedRecord::sign(&eraser.origin, &statement, &[&eraser.key])?;
    Ok(Record::from(record).to_line())
}

/// Checks the signature of an intent log: by the keys of the log in a tree of that size, or without them by
/// the key of this process.
pub(super) fn check(
    path: &Path,
    (sha256, signature): (&str, Option<&str>),
    eraser: &Eraser,
    keys: Option<(LogKeys, u64)>,
) -> Result<IntentCheck> {
    let forged = |reason: String| Ok(IntentCheck::Forged(reason));
    let Some(signature) = signature else { return forged("it is not signed".to_owned()) };
    let record = match Record::from_line(signature) {
        Ok(Record::Signed(record)) => record,
        _ => return forged("its signature is malformed".to_owned()),
    };
    if *record.statement() != (Statement::EraseIntent { sha256: sha256.to_owned() }) {
        return forged("its signature is of something else".to_owned());
    }
    if record.origin() == eraser.origin && record.is_signed_by(&eraser.key.public()) {
        return Ok(IntentCheck::Authentic);
    }
    match keys {
        Some((keys, size)) => match keys.check(size, &record) {
            Ok(_) => Ok(IntentCheck::Authentic),
            Err(error) => forged(error.to_string()),
        },
        None => {
            let (path, signers) = (path.to_path_buf(), record.signers());
            Err(EvidenceError::OtherEraser { path, signers })
        }
    }
}
