//! What becomes of content: stored or not, plain or encrypted, and back again with its hash
//! checked.

use attestry_core::AuditEntry;

use crate::builder::Policy;
use crate::{AuditError, ContentField};

/// The content of an entry as plain text, checked against its hashes; what
/// [`decrypt_entry`](crate::AuditLogger::decrypt_entry) returns.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Content {
    /// The input, or `None` where only its hash was stored.
    pub input: Option<String>,
    /// The output, or `None` where only its hash was stored.
    pub output: Option<String>,
}

/// Shows sizes, not text.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = |text: &Option<String>| text.as_ref().map(String::len);
        f.debug_struct("Content")
            .field("input_bytes", &size(&self.input))
            .field("output_bytes", &size(&self.output))
            .finish()
    }
}

/// Whether given texts are those an entry was made of; what
/// [`verify_content`](crate::AuditLogger::verify_content) returns.
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
    /// What is stored of `content`, and its hash.
    pub(crate) fn prepare(&self, content: &str) -> (Option<String>, String) {
        let stored = self.store_content.then(|| self.encrypt(content));
        (stored, self.content_hash.hash(content))
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

    /// Both contents of `entry` in plain text, checked against their hashes.
    pub(crate) fn reveal(&self, entry: &AuditEntry) -> Result<Content, AuditError> {
        let input = self.reveal_one(entry, ContentField::Input);
        let output = self.reveal_one(entry, ContentField::Output);
        match (input, output) {
            (Ok(input), Ok(output)) => Ok(Content { input, output }),
            // The two were encrypted together: where one authenticates, the key is right.
            (Err(error), Ok(Some(_))) => Err(blame_alteration(error, entry, ContentField::Input)),
            (Ok(Some(_)), Err(error)) => Err(blame_alteration(error, entry, ContentField::Output)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    fn reveal_one(
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
        // The hash tells plain content from encrypted, so a store may hold both.
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

    /// Whether `input` and `output` are what `entry` was made of.
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
fn blame_alteration(error: AuditError, entry: &AuditEntry, field: ContentField) -> AuditError {
    match error {
        AuditError::Decrypt(source @ attestry_crypto::DecryptError::NotAuthentic) => {
            AuditError::Altered { id: entry.id.clone(), field, source }
        }
        other => other,
    }
}

#[cfg(not(feature = "encryption"))]
fn blame_alteration(error: AuditError, _: &AuditEntry, _: ContentField) -> AuditError {
    error
}

/// Base64 of a text that begins like every Fernet token, `gAAAA`. Without the cipher compiled in,
/// such content must still be told from plain text that was altered.
fn is_encrypted(stored: &str) -> bool {
    stored.starts_with("Z0FBQUFB")
}
