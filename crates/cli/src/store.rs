//! Opens the store that the options name.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use attestry::crypto::{EncryptionManager, KeyError};
use attestry::evidence::{EvidenceOptions, SignerMemory, SigningKey};
use attestry::{AuditLogger, ContentHash, HashKey};

use crate::args::{ErasureArgs, StoreArgs};
use crate::dumps;
use crate::errors::{Failure, Status, with_sources};
use crate::progress;
use crate::text::{escaped, warning};

/// Contains the key itself. Not read by clap, so that no help text or error message can show it.
const KEY_VARIABLE: &str = "ATTESTRY_KEY";

/// Below the folder for the state of the user's programs.
const STATE: &str = "attestry/signed-checkpoints";

enum Location<'a> {
    Folder(&'a Path),
    Url(&'a str),
}

/// Settings of the logger besides its store.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) encryption: Option<EncryptionManager>,
    pub(crate) store_content: bool,
    pub(crate) retention_days: Option<u32>,
    pub(crate) allow_large_cleanup: bool,
    /// Whether a Merkle tree may begin over existing entries.
    pub(crate) adopt: bool,
    /// Contents of erasure records; none without an [`ErasureArgs`].
    pub(crate) erasure: Option<ErasureArgs>,
}

impl StoreArgs {
    /// The keys that encrypt and decrypt content, if any are given.
    pub(crate) fn encryption(&self) -> Result<Option<EncryptionManager>, Failure> {
        dumps::forbid();
        let keys = match &self.key_file {
            Some(path) => EncryptionManager::from_file(path),
            None => EncryptionManager::from_env(KEY_VARIABLE),
        };
        match keys {
            Ok(keys) => Ok(Some(keys)),
            Err(KeyError::NotSet { .. }) => Ok(None),
            // Also if the variable is empty: content must not be stored as plain text because a key
            // is missing by mistake.
            Err(error) => Err(error.into()),
        }
    }

    /// How content is hashed, and compared with hashes.
    pub(crate) fn content_hash(&self) -> Result<ContentHash, Failure> {
        let Some(path) = &self.hash_key_file else { return Ok(ContentHash::Sha256) };
        dumps::forbid();
        Ok(ContentHash::HmacSha256(HashKey::from_file(path)?))
    }

    /// Opens the store read-only: creates, locks and repairs nothing.
    pub(crate) async fn open_reader(&self, settings: Settings) -> Result<AuditLogger, Failure> {
        self.must_exist()?;
        self.open(settings, true).await
    }

    /// Opens the store for writing, and creates it if it does not exist.
    pub(crate) async fn open_writer(&self, settings: Settings) -> Result<AuditLogger, Failure> {
        if let Location::Folder(path) = self.location()? {
            must_not_be_a_file(path)?;
        }
        self.open(settings, false).await
    }

    /// Opens an existing store for writing: `delete` with a misspelt name must not create a store.
    pub(crate) async fn open_existing(&self, settings: Settings) -> Result<AuditLogger, Failure> {
        match self.location()? {
            Location::Folder(_) => self.must_exist()?,
            Location::Url(_) => self.open_reader(Settings::default()).await?.close().await?,
        }
        self.open(settings, false).await
    }

    /// The key that signs checkpoints, if one is given.
    pub(crate) fn signing_key(&self) -> Result<Option<SigningKey>, Failure> {
        self.signing_key.as_deref().map(crate::policy::signing_key).transpose()
    }

    /// The file in which the signer remembers its last checkpoints.
    pub(crate) fn memory(&self) -> Result<SignerMemory, Failure> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = match (&self.state, folder("XDG_STATE_HOME"), folder("HOME")) {
            (Some(path), _, _) => path.clone(),
            (None, Some(state), _) => Path::new(&state).join(STATE),
            (None, None, Some(home)) => Path::new(&home).join(".local/state").join(STATE),
            (None, None, None) => {
                return Err(Failure::new("the signer has no place for its memory")
                    .hint("pass --state FILE, a file outside the store"));
            }
        };
        Ok(SignerMemory::at(path))
    }

    /// Checks what can be checked without the store, besides the keys that encrypt and sign: the other keys, and the
    /// memory of the signer.
    #[cfg(feature = "serve")]
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.location()?;
        self.content_hash()?;
        self.erasure_key()?;
        if self.signing_key.is_some() || self.state.is_some() {
            self.memory()?.check()?;
        }
        Ok(())
    }

    fn erasure_key(&self) -> Result<Option<SigningKey>, Failure> {
        self.erasure_key.as_deref().map(crate::policy::signing_key).transpose()
    }

    /// [`Status::Problems`] if something could not be signed and `--strict` is given.
    pub(crate) fn strict_status(&self) -> Status {
        Status::success_if(!(self.strict && self.unsigned.load(Ordering::Relaxed)))
    }

    async fn open(&self, settings: Settings, read_only: bool) -> Result<AuditLogger, Failure> {
        let (open, is_file_store) = match self.location()? {
            Location::Folder(path) => (attestry::open(path), true),
            Location::Url(url) => (attestry::open_url(url), url.starts_with("file:")),
        };
        let mut open = open
            .read_only(read_only)
            .store_content(settings.store_content)
            .content_hash(self.content_hash()?);
        if is_file_store {
            let unsigned = Arc::clone(&self.unsigned);
            open = open.on_indexing(progress::indexing()).on_recovery(move |report| {
                if report.evidence_broken.is_some() || report.unsigned.is_some() {
                    unsigned.store(true, Ordering::Relaxed);
                }
                let report = report.to_string();
                report.lines().for_each(|line| warning(&escaped(line)));
            });
        }
        if let Some(manager) = settings.encryption {
            open = open.encryption(manager);
        }
        open = open.allow_large_cleanup(settings.allow_large_cleanup);
        if let Some(days) = settings.retention_days {
            open = open.retention_days(days);
        }
        if !read_only {
            if let Some(ErasureArgs { by, reason }) = settings.erasure {
                // Other stores keep no erasure records; only an explicit name is an error there.
                if let Some(name) = by.or_else(|| is_file_store.then(user).flatten()) {
                    open = open.erased_by(name);
                }
                if let Some(reason) = reason {
                    open = open.erase_reason(reason);
                }
            }
            if let Some(key) = self.erasure_key()? {
                open = open.erasure_key(key);
            }
            if let Some(key) = self.signing_key()? {
                let evidence = EvidenceOptions::new(key).adopt_existing(settings.adopt);
                let unsigned = Arc::clone(&self.unsigned);
                // Signs a checkpoint when the store is closed, and in between when one is due.
                open =
                    open.evidence(evidence.memory(self.memory()?).on_checkpoint(move |signed| {
                        if let Err(error) = signed {
                            unsigned.store(true, Ordering::Relaxed);
                            warning(&format!(
                                "warning: cannot sign a checkpoint: {}",
                                with_sources(error)
                            ));
                        }
                    }));
            }
        }
        Ok(open.await?)
    }

    fn location(&self) -> Result<Location<'_>, Failure> {
        if self.store.is_empty() {
            return Err(Failure::new("the store name is empty")
                .hint("select a folder with --store PATH or ATTESTRY_STORE"));
        }
        Ok(match self.store.to_str() {
            Some(text) if is_url(text) => Location::Url(text),
            _ => Location::Folder(Path::new(&self.store)),
        })
    }

    /// The folder of an existing store that is a folder.
    pub(crate) fn existing_folder(&self) -> Result<&Path, Failure> {
        self.must_exist()?;
        match self.location()? {
            Location::Folder(path) => Ok(path),
            Location::Url(url) => Err(Failure::new(format!("{url} is not a folder"))
                .hint("select the folder with --store PATH")),
        }
    }

    fn must_exist(&self) -> Result<(), Failure> {
        let Location::Folder(path) = self.location()? else { return Ok(()) };
        must_not_be_a_file(path)?;
        match path.try_exists() {
            Ok(false) => Err(Failure::new(format!("there is no store at {}", path.display()))
                .hint(
                    "`attestry log` or `attestry import` creates it; \
                     select another store with --store PATH or ATTESTRY_STORE",
                )),
            // Opening the store reports any other error.
            _ => Ok(()),
        }
    }
}

/// The current user.
pub(crate) fn user() -> Option<String> {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok())
}

fn must_not_be_a_file(path: &Path) -> Result<(), Failure> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => {
            Err(Failure::new(format!("{} is a file; a store is a folder", path.display()))
                .hint("select a folder with --store PATH or ATTESTRY_STORE"))
        }
        _ => Ok(()),
    }
}

/// Whether `text` is a URL: a known scheme, or any scheme followed by `//`. A path of this form can
/// be written as `./memory:`.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let known = matches!(scheme, "file" | "memory" | "s3");
    let possible = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    known || (possible && rest.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::is_url;

    #[test]
    fn urls_are_distinguished_from_paths() {
        for url in
            ["file:///a", "file:/a", "memory:", "memory:?max_entries=3", "s3://b/p", "gs://b"]
        {
            assert!(is_url(url), "{url}");
        }
        for path in
            ["./audit", "/var/log/audit", "audit", "a:b", "./memory:", "C:\\audit", "日本://x"]
        {
            assert!(!is_url(path), "{path}");
        }
    }
}
