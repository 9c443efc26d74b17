//! From `--store` and `--key-file` to a logger.

use std::path::Path;

use attestry::evidence::SigningKey;
use attestry::{
    AuditLogger, EncryptionManager, EvidenceOptions, FileStorage, KeyError, OpenOptions,
};

use crate::args::{RecordArgs, StoreArgs};
use crate::errors::{Failure, one_line};
use crate::progress;
use crate::text::{complain, escaped};

/// The variable that holds the key itself. Read here and not by clap, so that no help text and no
/// error message can show it.
const KEY_VARIABLE: &str = "ATTESTRY_KEY";

enum Place<'a> {
    Folder(&'a Path),
    Url(&'a str),
}

/// What the logger needs besides its store.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) encryption: Option<EncryptionManager>,
    pub(crate) store_content: bool,
    pub(crate) retention_days: Option<u32>,
    /// What is put on record about erasures.
    pub(crate) erasures: Erasures,
}

/// Why and in whose name entries are erased.
#[derive(Default)]
pub(crate) struct Erasures {
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
}

impl From<RecordArgs> for Erasures {
    fn from(args: RecordArgs) -> Self {
        let user = || ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        Self { by: args.by.or_else(user), reason: args.reason }
    }
}

impl StoreArgs {
    /// The keys to encrypt and decrypt with, if any are given.
    pub(crate) fn encryption(&self) -> Result<Option<EncryptionManager>, Failure> {
        let keys = match &self.key_file {
            Some(path) => EncryptionManager::from_file(path),
            None => EncryptionManager::from_env(KEY_VARIABLE),
        };
        match keys {
            Ok(keys) => Ok(Some(keys)),
            Err(KeyError::NotSet { .. }) => Ok(None),
            // An empty variable is an error too: content that was to be encrypted must not be
            // stored plain for the lack of a key.
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the store for reading. Nothing is created, locked or repaired.
    pub(crate) async fn open_reader(&self, settings: Settings) -> Result<AuditLogger, Failure> {
        self.must_exist()?;
        self.open(settings, true).await
    }

    /// Opens the store for writing, and makes it where there is none.
    pub(crate) async fn open_writer(&self, settings: Settings) -> Result<AuditLogger, Failure> {
        if let Place::Folder(path) = self.place()? {
            must_not_be_a_file(path)?;
        }
        self.open(settings, false).await
    }

    /// Opens a store for writing that must be there already: to delete from a misspelt one must
    /// not create it.
    pub(crate) async fn open_existing(&self, settings: Settings) -> Result<AuditLogger, Failure> {
        self.open_reader(Settings::default()).await?.close().await?;
        self.open(settings, false).await
    }

    /// Opens the store of files itself for reading, for what only such a store can do.
    pub(crate) async fn open_files(&self) -> Result<FileStorage, Failure> {
        self.must_exist()?;
        let open = self.prepare(Settings::default(), true)?;
        Ok(open.file_storage().await?)
    }

    /// The same for writing, with evidence where a signing key is given. It must be there already.
    pub(crate) async fn open_files_to_write(&self) -> Result<FileStorage, Failure> {
        self.must_exist()?;
        let open = self.prepare(Settings::default(), false)?;
        Ok(open.file_storage().await?)
    }

    /// The key that signs checkpoints, if one is given.
    pub(crate) fn signing_key(&self) -> Result<Option<SigningKey>, Failure> {
        self.signing_key.as_deref().map(crate::trust::signing_key).transpose()
    }

    async fn open(&self, settings: Settings, read_only: bool) -> Result<AuditLogger, Failure> {
        Ok(self.prepare(settings, read_only)?.await?)
    }

    fn prepare(&self, settings: Settings, read_only: bool) -> Result<OpenOptions, Failure> {
        let mut open = match self.place()? {
            Place::Folder(path) => attestry::open(path),
            Place::Url(url) => attestry::open_url(url),
        }
        .read_only(read_only)
        .store_content(settings.store_content)
        .on_indexing(progress::of_indexing())
        .on_recovery(|report| {
            let report = report.to_string();
            report.lines().for_each(|line| complain(format_args!("{}", escaped(line))));
        });
        if let Some(manager) = settings.encryption {
            open = open.encryption(manager);
        }
        if let Some(days) = settings.retention_days {
            open = open.retention_days(days);
        }
        if !read_only {
            if let Some(name) = settings.erasures.by {
                open = open.erased_by(name);
            }
            if let Some(reason) = settings.erasures.reason {
                open = open.erase_reason(reason);
            }
            if let Some(key) = self.signing_key()? {
                // A checkpoint at the end; what is due before is signed on the way.
                open = open.evidence(EvidenceOptions::new(key).on_checkpoint(|signed| {
                    if let Err(error) = signed {
                        complain(format_args!("no checkpoint was signed: {}", one_line(error)));
                    }
                }));
            }
        }
        Ok(open)
    }

    fn place(&self) -> Result<Place<'_>, Failure> {
        if self.store.is_empty() {
            return Err(Failure::new("the store is the empty text")
                .hint("name a folder with --store PATH or ATTESTRY_STORE"));
        }
        Ok(match self.store.to_str() {
            Some(text) if is_url(text) => Place::Url(text),
            _ => Place::Folder(Path::new(&self.store)),
        })
    }

    fn must_exist(&self) -> Result<(), Failure> {
        let Place::Folder(path) = self.place()? else { return Ok(()) };
        must_not_be_a_file(path)?;
        match path.try_exists() {
            Ok(false) => Err(Failure::new(format!("there is no store at {}", path.display()))
                .hint(
                    "`attestry log` or `attestry import` creates it; \
                     or name another with --store PATH or ATTESTRY_STORE",
                )),
            // What else may be wrong, opening it will tell.
            _ => Ok(()),
        }
    }
}

fn must_not_be_a_file(path: &Path) -> Result<(), Failure> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => {
            Err(Failure::new(format!("{} is a file, and a store is a folder", path.display()))
                .hint("name a folder with --store PATH or ATTESTRY_STORE"))
        }
        _ => Ok(()),
    }
}

/// Whether `text` is meant as a URL: it begins with a scheme that is known, or with any and `//`.
/// A path that looks like one can be written `./memory:`.
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
    fn urls_are_told_from_paths() {
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
