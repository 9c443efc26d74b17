//! Exit status, and errors with hints.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use attestry::crypto::{DecryptError, KeyError};
use attestry::error::{InvalidHashKey, InvalidQuery, InvalidUrl};
use attestry::evidence::EvidenceError;
use attestry::file::BackupError;
use attestry::{AuditError, OpenError, StorageError};

use crate::text::{escaped, stderr_line};

/// Exit status of a command that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// 0: success.
    Success,
    /// 1: an entry was not found, or problems were found.
    Problems,
    /// 128 plus the number of the signal that ended an import.
    Interrupted(u8),
}

impl Status {
    pub(crate) fn success_if(no_problems: bool) -> Self {
        if no_problems { Self::Success } else { Self::Problems }
    }
}

impl Status {
    /// The worse of both.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Success { other } else { self }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Success => Self::SUCCESS,
            Status::Problems => Self::from(1),
            Status::Interrupted(signal) => Self::from(128 + signal),
        }
    }
}

/// An error that ends the command. Its message includes all causes.
#[derive(Debug)]
pub(crate) struct Failure(Box<Details>);

#[derive(Debug)]
struct Details {
    message: String,
    hint: Option<String>,
    /// 0 for a closed standard output, as in `attestry list | head -1`: not reported as an error.
    exit: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Details { message: message.into(), hint: None, exit: 2 }))
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.message += &format!(": {}", with_sources(&*cause.into()));
        self
    }

    /// The message, with all causes.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Adds what to do next.
    pub(crate) fn hint(self, text: impl Into<String>) -> Self {
        self.hint_if_known(Some(text))
    }

    fn hint_if_known(mut self, hint: Option<impl Into<String>>) -> Self {
        self.0.hint = hint.map(Into::into);
        self
    }

    /// Sets exit status 1: the store has a problem, the command has not failed.
    fn into_problem(mut self) -> Self {
        self.0.exit = 1;
        self
    }

    /// A failed write to standard output.
    pub(crate) fn stdout(error: io::Error) -> Self {
        let closed = error.kind() == io::ErrorKind::BrokenPipe;
        let mut failure = Self::new("cannot write to standard output").caused_by(error);
        if closed {
            failure.0.exit = 0;
        }
        failure
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.0.exit == 0
    }

    /// Prints the error to standard error and returns the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.is_broken_pipe() {
            stderr_line(format_args!("error: {}", escaped(&self.0.message)));
            if let Some(hint) = &self.0.hint {
                stderr_line(format_args!("hint: {hint}"));
            }
        }
        ExitCode::from(self.0.exit)
    }
}

/// The messages of `error` and its sources on one line.
pub(crate) fn with_sources(error: &(impl Error + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// A failure with the messages of `error` and its sources.
fn failure(error: &impl Error) -> Failure {
    Failure::new(with_sources(error))
}

impl From<InvalidQuery> for Failure {
    fn from(error: InvalidQuery) -> Self {
        failure(&error)
    }
}

const REBUILD_TREE: &str =
    "`attestry tree rebuild` repairs it from the leaf hashes and the lines; see its --help";

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let hint = match &error {
            StorageError::Io {
                action: "remove" | "erase lines of" | "compact", source, ..
            } if is_refused(source) => Some(
                "its entries stay, and recording continues; make the file and its folder writable \
                     (`lsattr` shows an immutable file, `findmnt` a mounted one), and repeat the command",
            ),
            StorageError::Io { source, .. } => hint_for_io(source),
            StorageError::Locked { .. } => Some(
                "retry once the other process has finished; list, get, count, stats and check need no lock",
            ),
            StorageError::Corrupt(_) => Some("`attestry check` reports every corrupt record"),
            StorageError::Remote { retryable: true, .. } => {
                Some("retry the command; entries that were acknowledged are stored")
            }
            StorageError::Other { .. } => of_evidence(&error).and_then(evidence_hint),
            _ => None,
        };
        failure(&error).hint_if_known(hint)
    }
}

/// The error of the evidence that stopped a change of the store.
fn of_evidence(error: &StorageError) -> Option<&EvidenceError> {
    error.source().and_then(|source| source.downcast_ref())
}

/// Whether the system does not let the file be changed.
fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ResourceBusy};
    matches!(error.kind(), CrossesDevices | PermissionDenied | ResourceBusy)
}

fn hint_for_io(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{
        AlreadyExists, NotADirectory, NotFound, PermissionDenied, QuotaExceeded,
        ReadOnlyFilesystem, StorageFull,
    };
    if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) {
        return Some("a store keeps two files open per segment; raise the limit with `ulimit -n`");
    }
    match error.kind() {
        NotFound => Some(
            "`attestry log` and `attestry import` create a store if its parent folder exists; \
             select another store with --store PATH or ATTESTRY_STORE",
        ),
        AlreadyExists | NotADirectory => {
            Some("a store is a folder; select one with --store PATH or ATTESTRY_STORE")
        }
        PermissionDenied | ReadOnlyFilesystem => Some(
            "check the permissions, or select another store with --store PATH or ATTESTRY_STORE",
        ),
        StorageFull | QuotaExceeded => {
            Some("free disk space and retry; entries that were acknowledged are stored")
        }
        _ => None,
    }
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        let hint = evidence_hint(&error);
        match error {
            EvidenceError::Storage(error) => error.into(),
            EvidenceError::Disagrees { .. }
            | EvidenceError::NotAnExtension { .. }
            | EvidenceError::UnsignedRecord { .. }
            | EvidenceError::ForgedRecord { .. } => {
                failure(&error).hint_if_known(hint).into_problem()
            }
            error => failure(&error).hint_if_known(hint),
        }
    }
}

/// What to do about an error of the evidence.
fn evidence_hint(error: &EvidenceError) -> Option<&'static str> {
    match error {
        EvidenceError::Storage(_) => None,
        EvidenceError::NotKept { .. } => Some(
            "a new store keeps evidence with --signing-key; over existing entries it begins \
                     with `attestry --signing-key FILE tree begin`",
        ),
        EvidenceError::NotSigned { .. } | EvidenceError::NoCheckpoint { .. } => {
            Some("sign one with `attestry --signing-key FILE checkpoint`")
        }
        EvidenceError::Disagrees { .. } => Some("`attestry verify` reports what was changed"),
        EvidenceError::Damaged { .. } => Some(REBUILD_TREE),
        EvidenceError::OtherTree { .. } => Some(
            "was another store copied into this folder? Move its segments and checkpoints away; \
                 `attestry verify` says which lines are not of this tree",
        ),
        EvidenceError::NotInTree { .. } => {
            Some("a command that writes adds it, such as `attestry --signing-key FILE checkpoint`")
        }
        EvidenceError::NotBegun { .. } => Some(
            "if it never kept evidence, begin with `attestry --signing-key FILE tree begin`; \
                 otherwise restore its folder .attestry from a backup",
        ),
        EvidenceError::NoErasureKey { .. } => Some(
            "pass --signing-key FILE, or --erasure-key FILE with a key that \
                 `attestry tree allow-erasure` has authorised",
        ),
        EvidenceError::NotAnErasureKey { .. } => {
            Some("authorise it with `attestry --signing-key FILE tree allow-erasure FILE.pub`")
        }
        EvidenceError::KeyNotInForce { .. } => {
            Some("pass the key that has replaced it with --signing-key FILE")
        }
        EvidenceError::NotAnExtension { .. } => Some(
            "compare the store with a checkpoint that was kept elsewhere (`attestry verify \
                 --since-checkpoint`); `attestry tree accept --reason` signs it as it is. A second store \
                 needs its own key",
        ),
        EvidenceError::NotRemembered { .. } => Some(
            "if the store is yours, `attestry --signing-key FILE tree begin` signs it as it is",
        ),
        EvidenceError::UnsignedRecord { .. } | EvidenceError::ForgedRecord { .. } => Some(
            "`attestry erasures` lists the records; `attestry tree accept --reason` signs them as \
                 they are",
        ),
        _ => None,
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Storage(error) => error.into(),
            OpenError::Url(InvalidUrl::NotCompiledIn { feature: "s3" }) => {
                Self::new("this build does not support S3 stores")
                    .hint("build it with `cargo build --release -p attestry-cli --features s3`")
            }
            other => failure(&other),
        }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Storage(error) => error.into(),
            AuditError::NoEncryption => Self::new("the content is encrypted")
                .hint("pass its key with --key-file FILE or ATTESTRY_KEY"),
            AuditError::Decrypt(DecryptError::NotAuthentic) => failure(&error).hint(
                "pass the key that encrypted it; a key file may contain several keys, one per line",
            ),
            AuditError::LargeCleanup { .. } => failure(&error).hint(
                "check the clock of this machine (`date`) and the retention; --dry-run counts what has \
                 expired, --yes erases it",
            ),
            AuditError::Altered { .. } | AuditError::HashMismatch { .. } => {
                failure(&error).into_problem()
            }
            other => failure(&other),
        }
    }
}

impl From<attestry::evidence::KeyError> for Failure {
    fn from(error: attestry::evidence::KeyError) -> Self {
        use attestry::evidence::KeyError;
        let hint = match error {
            KeyError::AlreadyExists { .. } => Some("pass another file name with --out"),
            KeyError::Unwritable { .. } => None,
            _ => Some("`attestry key generate --signing --out FILE` creates a signing key"),
        };
        failure(&error).hint_if_known(hint)
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let hint = match error {
            BackupError::Storage(error) => return error.into(),
            BackupError::Exists { .. } => "pass the name of a new folder",
            BackupError::Incomplete { .. } => "if no backup is running, remove that folder",
            BackupError::InsideStore { .. } => "pass a folder outside the store",
            _ => return failure(&error),
        };
        failure(&error).hint(hint)
    }
}

impl From<InvalidHashKey> for Failure {
    fn from(error: InvalidHashKey) -> Self {
        let hint = match error {
            InvalidHashKey::TooShort { .. } => {
                Some("`attestry key generate --out FILE` creates a random one")
            }
            _ => None,
        };
        failure(&error).hint_if_known(hint)
    }
}

#[cfg(feature = "serve")]
impl From<attestry_serve::ServeError> for Failure {
    fn from(error: attestry_serve::ServeError) -> Self {
        use attestry_serve::ServeError;
        let hint = match error {
            ServeError::Tokens { .. } => {
                Some("`attestry token new --tokens FILE` creates the file; see its --help")
            }
            ServeError::Listen { .. } => {
                Some("another process may listen there; choose another address with --listen")
            }
            _ => None,
        };
        failure(&error).hint_if_known(hint)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let hint = match error {
            KeyError::AlreadyExists { .. } => Some("pass another file name with --out"),
            KeyError::Unwritable { .. } => None,
            _ => Some("`attestry key generate --out FILE` creates a key file"),
        };
        failure(&error).hint_if_known(hint)
    }
}
