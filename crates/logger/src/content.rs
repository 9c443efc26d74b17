//! The content policy: what an entry stores of its content, and the way back to plain text that is
//! checked against its hash.

use attestry_core::AuditEntry;

use crate::policy::Policy;
use crate::{AuditError, ContentField};

/// The content of an entry as plain text, checked against the entry's hashes; returned by
/// [`decrypt_entry`](crate::AuditLogger::decrypt_entry).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Content {
    /// The input, or `None` if only its hash was stored.
    pub input: Option<String>,
    /// The output, or `None` if only its hash was stored.
    pub output: Option<String>,
    /// What the input is: one of the `CONTENT_…` values of [`metadata`](attestry_core::metadata);
    /// `None` for text.
    pub input_kind: Option<String>,
    /// What the output is.
    pub output_kind: Option<String>,
}

/// Shows sizes instead of text.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = |text: &Option<String>| text.as_ref().map(String::len);
        f.debug_struct("Content")
            .field("input_bytes", &size(&self.input))
            .field("output_bytes", &size(&self.output))
            .finish()
    }
}

/// Whether texts match the hashes of an entry; returned by
/// [`verify_content`](crate::AuditLogger::verify_content).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ContentMatch {
    /// Whether the input matches.
    pub input: bool,
    /// Whether the output matches.
    pub output: bool,
}

impl ContentMatch {
    /// Whether input and output both match.
    #[must_use]
    pub fn both(self) -> bool {
        self.input && self.output
    }
}

impl Policy {
    /// The stored form of `content`, if content is stored, and its hash.
    pub(crate) fn prepare(&self, content: &str) -> (Option<String>, String) {
        let stored = self.store_content.then(|| self.encrypt(content));
        (stored, self.content_hash.hash(content))
    }

    /// As [`prepare`](Self::prepare), with the hash alone.
    pub(crate) fn prepare_hash(&self, content: &str) -> (Option<String>, String) {
        (None, self.content_hash.hash(content))
    }

    #[cfg(feature = "encryption")]
    fn encrypt(&self, content: &str) -> String {
        self.encryption
            .as_ref()
            .map_or_else(|| content.to_owned(), |manager| manager.encrypt(content))
    }

    #[cfg(not(feature = "encryption"))]
    fn encrypt(&self, content: &str) -> String {
        content.to_owned()
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn decrypt(&self, content: &str) -> Result<String, AuditError> {
        let manager = self.encryption.as_ref().ok_or(AuditError::NoEncryption)?;
        Ok(manager.decrypt(content)?)
    }

    #[cfg(not(feature = "encryption"))]
    pub(crate) fn decrypt(&self, _content: &str) -> Result<String, AuditError> {
        Err(AuditError::NoEncryption)
    }

    /// Both contents of `entry` as plain text, checked against their hashes.
    pub(crate) fn decrypt_entry(&self, entry: &AuditEntry) -> Result<Content, AuditError> {
        let input = self.decrypt_field(entry, ContentField::Input);
        let output = self.decrypt_field(entry, ContentField::Output);
        match (input, output) {
            (Ok(input), Ok(output)) => {
                let (input_kind, output_kind) = entry.content_kinds();
                let [input_kind, output_kind] =
                    [input_kind, output_kind].map(|kind| kind.map(str::to_owned));
                Ok(Content { input, output, input_kind, output_kind })
            }
            // Both were encrypted with the same key: if one authenticates, the key is right.
            (Err(error), Ok(Some(_))) => Err(alteration_of(error, entry, ContentField::Input)),
            (Ok(Some(_)), Err(error)) => Err(alteration_of(error, entry, ContentField::Output)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    fn decrypt_field(
        &self,
        entry: &AuditEntry,
        field: ContentField,
    ) -> Result<Option<String>, AuditError> {
        let (stored, hash) = match field {
            ContentField::Input => (&entry.input_content, &entry.input_hash),
            ContentField::Output => (&entry.output_content, &entry.output_hash),
        };
        let Some(stored) = stored else { return Ok(None) };
        let matches = |text: &str| {
            let id = || entry.id.clone();
            self.content_hash.matches(hash, text).ok_or_else(|| AuditError::NoHashKey { id: id() })
        };
        // A store may hold plain and encrypted content; plain content matches its hash directly.
        if matches(stored)? {
            return Ok(Some(stored.clone()));
        }
        if !is_encrypted(stored) {
            return Err(AuditError::HashMismatch { id: entry.id.clone(), field });
        }
        let text = self.decrypt(stored)?;
        if matches(&text)? {
            Ok(Some(text))
        } else {
            Err(AuditError::HashMismatch { id: entry.id.clone(), field })
        }
    }

    /// Whether `input` and `output` match the hashes of `entry`.
    pub(crate) fn verify(
        &self,
        entry: &AuditEntry,
        input: &str,
        output: &str,
    ) -> Result<ContentMatch, AuditError> {
        let check = |hash: &str, text: &str| {
            let no_key = || AuditError::NoHashKey { id: entry.id.clone() };
            self.content_hash.matches(hash, text).ok_or_else(no_key)
        };
        Ok(ContentMatch {
            input: check(&entry.input_hash, input)?,
            output: check(&entry.output_hash, output)?,
        })
    }
}

#[cfg(feature = "encryption")]
fn alteration_of(error: AuditError, entry: &AuditEntry, field: ContentField) -> AuditError {
    match error {
        AuditError::Decrypt(source @ attestry_crypto::DecryptError::NotAuthentic) => {
            AuditError::Altered { id: entry.id.clone(), field, source }
        }
        other => other,
    }
}

#[cfg(not(feature = "encryption"))]
fn alteration_of(error: AuditError, _: &AuditEntry, _: ContentField) -> AuditError {
    error
}

/// Whether `stored` is base64 of a text that begins like every Fernet token, `gAAAA`. Works without
/// the feature `encryption` too, so that encrypted content is not reported as altered plain text.
fn is_encrypted(stored: &str) -> bool {
    stored.starts_with("Z0FBQUFB")
}
