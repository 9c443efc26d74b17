//! How a command ends: its exit status, and errors that say what to do next.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use attestry::{
    AuditError, DecryptError, EvidenceError, InvalidQuery, InvalidUrl, KeyError, OpenError,
    StorageError,
};

use crate::text::{complain, escaped};

/// How a command ended that did what it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Done: 0.
    Done,
    /// What was asked for is not there, or problems were found: 1.
    Problems,
    /// Ended by a signal, with everything in order: 128 and its number.
    Interrupted(u8),
}

impl Status {
    /// [`Done`](Self::Done) if nothing was wrong.
    pub(crate) fn done_if(all_well: bool) -> Self {
        if all_well { Self::Done } else { Self::Problems }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Done => Self::SUCCESS,
            Status::Problems => Self::from(1),
            Status::Interrupted(signal) => Self::from(128 + signal),
        }
    }
}

/// Why a command could not do what it should.
#[derive(Debug)]
pub(crate) struct Failure(Box<Kind>);

#[derive(Debug)]
enum Kind {
    /// Nobody reads what is printed any more, as in `attestry list | head -1`. No failure at all.
    BrokenPipe,
    Error {
        message: String,
        source: Option<Box<dyn Error + Send + Sync>>,
        hint: Option<String>,
        exit: u8,
    },
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Kind::Error { message: message.into(), source: None, hint: None, exit: 2 }))
    }

    /// `error` and its causes, without a hint.
    fn from_error(error: &(impl Error + ?Sized)) -> Self {
        // The causes are taken as text: not every error that lends its source can give it away.
        let causes = causes(error.source());
        let failure = Self::new(error.to_string());
        if causes.is_empty() { failure } else { failure.caused_by(causes.join(": ")) }
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if let Kind::Error { source, .. } = &mut *self.0 {
            *source = Some(cause.into());
        }
        self
    }

    /// What to do next.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        if let Kind::Error { hint, .. } = &mut *self.0 {
            *hint = Some(text.into());
        }
        self
    }

    fn hint_if_known(self, hint: Option<&'static str>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The record itself is at fault, not the usage: exit status 1.
    fn into_problem(mut self) -> Self {
        if let Kind::Error { exit, .. } = &mut *self.0 {
            *exit = 1;
        }
        self
    }

    /// Standard output cannot be written to.
    pub(crate) fn stdout(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self(Box::new(Kind::BrokenPipe));
        }
        Self::new("cannot write to the standard output").caused_by(error)
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(*self.0, Kind::BrokenPipe)
    }

    /// Tells the user and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        match &*self.0 {
            Kind::BrokenPipe => ExitCode::SUCCESS,
            Kind::Error { hint, exit, .. } => {
                complain(format_args!("error: {}", escaped(&self.to_string())));
                if let Some(hint) = hint {
                    complain(format_args!("hint: {hint}"));
                }
                ExitCode::from(*exit)
            }
        }
    }
}

/// The message and its causes, joined by colons.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::BrokenPipe => f.write_str("the standard output was closed"),
            Kind::Error { message, source, .. } => {
                f.write_str(message)?;
                let source: Option<&(dyn Error + 'static)> = match source {
                    Some(source) => Some(source.as_ref()),
                    None => None,
                };
                causes(source).iter().try_for_each(|cause| write!(f, ": {cause}"))
            }
        }
    }
}

/// The texts of a chain of errors.
fn causes(first: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = first;
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

/// `error` and its causes on one line, for a report that goes on.
pub(crate) fn one_line(error: &(impl Error + ?Sized)) -> String {
    Failure::from_error(error).to_string()
}

impl From<InvalidQuery> for Failure {
    fn from(error: InvalidQuery) -> Self {
        Self::from_error(&error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let hint = match &error {
            StorageError::Io { source, .. } => hint_for_io(source),
            StorageError::Locked { .. } => {
                Some("list, get, count, stats and check only read, and work meanwhile")
            }
            StorageError::Corrupt(_) => {
                Some("`attestry check` names every record that cannot be read")
            }
            StorageError::Remote { retryable: true, .. } => {
                Some("try again; what was acknowledged before is stored")
            }
            _ => None,
        };
        Self::from_error(&error).hint_if_known(hint)
    }
}

fn hint_for_io(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{
        AlreadyExists, NotADirectory, NotFound, PermissionDenied, QuotaExceeded,
        ReadOnlyFilesystem, StorageFull,
    };
    if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) {
        return Some("a store has two files open for each segment; allow more with `ulimit -n`");
    }
    match error.kind() {
        NotFound => Some(
            "`attestry log` and `attestry import` create a store in a folder that exists; \
             name another with --store PATH or ATTESTRY_STORE",
        ),
        AlreadyExists | NotADirectory => {
            Some("a store is a folder; name one with --store PATH or ATTESTRY_STORE")
        }
        PermissionDenied | ReadOnlyFilesystem => Some(
            "check who may write to it, or name another store with --store PATH or ATTESTRY_STORE",
        ),
        StorageFull | QuotaExceeded => {
            Some("make room and try again; what was acknowledged before is stored")
        }
        _ => None,
    }
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        let hint = match &error {
            EvidenceError::Storage(_) => None,
            EvidenceError::NotKept { .. } => {
                Some("`attestry --signing-key FILE checkpoint` begins it")
            }
            EvidenceError::NotSigned { .. } | EvidenceError::NoCheckpoint { .. } => {
                Some("sign one with `attestry --signing-key FILE checkpoint`")
            }
            EvidenceError::Disagrees { .. } => Some("`attestry verify` names what was changed"),
            EvidenceError::NotInTree { .. } => Some(
                "opening the store for writing takes it in, `attestry checkpoint` for instance",
            ),
            _ => None,
        };
        match error {
            EvidenceError::Storage(error) => error.into(),
            EvidenceError::Disagrees { .. } => {
                Self::from_error(&error).hint_if_known(hint).into_problem()
            }
            error => Self::from_error(&error).hint_if_known(hint),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Storage(error) => error.into(),
            OpenError::Url(InvalidUrl::NotCompiledIn { feature: "s3" }) => {
                Self::new("this program was built without stores on S3")
                    .hint("build it with `cargo build --release -p attestry-cli --features s3`")
            }
            other => Self::from_error(&other),
        }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Storage(error) => error.into(),
            AuditError::NoEncryption => Self::new("the content is encrypted")
                .hint("give its key with --key-file FILE, or in ATTESTRY_KEY"),
            AuditError::Decrypt(DecryptError::NotAuthentic) => Self::from_error(&error).hint(
                "give the key it was encrypted with; a key file may hold several, one per line",
            ),
            AuditError::Altered { .. } | AuditError::HashMismatch { .. } => {
                Self::from_error(&error).into_problem()
            }
            other => Self::from_error(&other),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let hint = match error {
            KeyError::AlreadyExists { .. } => Some("choose another name with --out"),
            KeyError::Unwritable { .. } => None,
            _ => Some("`attestry key generate --out FILE` makes a key file"),
        };
        Self::from_error(&error).hint_if_known(hint)
    }
}
