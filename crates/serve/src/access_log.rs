//! The access log: a second store with an entry for each read, export, decryption, erasure, verification and failed
//! authentication. It keeps evidence if it gets a key.

use std::path::{Path, PathBuf};

use attestry::evidence::EvidenceOptions;
use attestry::{AuditError, AuditLogger, Call, Interaction, OpenError, StorageError, metadata};
use serde_json::Value;

use crate::error::ServeError;
use crate::http::problem::Problem;
use crate::security::caller::Caller;

/// Field `provider` of its entries.
const PROVIDER: &str = "attestry-serve";
/// Metadata: how many entries.
pub(crate) const COUNT: &str = "attestry.access.count";
/// Metadata: the address of the client.
pub(crate) const ADDRESS: &str = "client.address";

/// What a client did. The name is the field `model` of the entry, so that every client of the store can
/// filter by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    List,
    Export,
    Decrypt,
    Prove,
    Summarise,
    Verify,
    Delete,
    Cleanup,
    LogIn,
    LogOut,
    FailedAuthentication,
    ReloadTokens,
}

impl Action {
    /// All actions.
    pub(crate) const ALL: [Self; 13] = [
        Self::Read,
        Self::List,
        Self::Export,
        Self::Decrypt,
        Self::Prove,
        Self::Summarise,
        Self::Verify,
        Self::Delete,
        Self::Cleanup,
        Self::LogIn,
        Self::LogOut,
        Self::FailedAuthentication,
        Self::ReloadTokens,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Export => "export",
            Self::Decrypt => "decrypt",
            Self::Prove => "prove",
            Self::Summarise => "stats",
            Self::Verify => "verify",
            Self::Delete => "delete",
            Self::Cleanup => "cleanup",
            Self::LogIn => "log-in",
            Self::LogOut => "log-out",
            Self::FailedAuthentication => "failed-authentication",
            Self::ReloadTokens => "reload-tokens",
        }
    }
}

/// The access log of a server.
#[derive(Debug)]
pub(crate) struct AccessLog(AuditLogger);

/// An access that takes long, and is recorded at its start and at its end. Dropped before that, as when the
/// client disconnects, it is recorded as abandoned with the count so far.
pub(crate) struct LongAccess(Option<Call>);

impl AccessLog {
    pub(crate) async fn open(
        path: PathBuf,
        evidence: Option<EvidenceOptions>,
        retention_days: Option<u32>,
    ) -> Result<Self, ServeError> {
        let mut open = attestry::open(&path).store_content(true).on_recovery(|report| {
            tracing::warn!(%report, "access log was repaired");
        });
        if let Some(evidence) = evidence {
            open = open.evidence(evidence);
        }
        if let Some(days) = retention_days {
            open = open.retention_days(days);
        }
        let source = match open.await {
            Ok(logger) => return Ok(Self(logger)),
            Err(OpenError::Storage(error)) => error,
            Err(error) => StorageError::other("cannot open the store", error),
        };
        Err(ServeError::AccessLog { path, source })
    }

    /// Records an access that is over; `request` is what was asked for.
    pub(crate) async fn record(
        &self,
        caller: &Caller,
        action: Action,
        request: &str,
        count: Option<u64>,
    ) -> Result<(), Problem> {
        let mut entry = interaction(caller, action, request);
        if let Some(count) = count {
            entry = entry.metadata(COUNT, count);
        }
        self.0.log(entry).await.map(drop).map_err(unrecorded)
    }

    /// Records that an access begins.
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        action: Action,
        request: &str,
    ) -> Result<LongAccess, Problem> {
        let call = self.0.start(interaction(caller, action, request)).await;
        call.map(|call| LongAccess(Some(call))).map_err(unrecorded)
    }

    /// The store of its entries.
    pub(crate) fn logger(&self) -> &AuditLogger {
        &self.0
    }

    pub(crate) async fn close(&self) -> Result<(), AuditError> {
        self.0.close().await
    }
}

impl LongAccess {
    /// An access that is not recorded.
    pub(crate) fn unrecorded() -> Self {
        Self(None)
    }

    /// Sets how many entries the client got so far.
    pub(crate) fn set_count(&mut self, count: u64) {
        self.set(COUNT, count);
    }

    /// Sets a key of the metadata.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        if let Some(call) = &mut self.0 {
            call.set(|fields| fields.metadata(key, value));
        }
    }

    /// Records that it failed, with a short, stable name of the reason.
    pub(crate) async fn fail(mut self, reason: &str) {
        if let Some(call) = self.0.take() {
            // The failure is what the client is to hear of.
            let _ = call.fail(reason).await;
        }
    }

    pub(crate) async fn finish(mut self) -> Result<(), Problem> {
        match self.0.take() {
            Some(call) => call.finish().await.map(drop).map_err(unrecorded),
            None => Ok(()),
        }
    }
}

/// The folder of the access log of a store in the folder `store`, unless
/// [another](crate::ServerOptions::access_log) is configured.
#[must_use]
pub fn access_log_folder(store: &Path) -> PathBuf {
    store.join(".attestry").join("access")
}

/// The name of the key that signs the access log of a store whose key has the name `name`.
///
/// ```
/// assert_eq!(attestry_serve::access_log_key_name("example.com/audit"), "example.com/audit/access");
/// ```
#[must_use]
pub fn access_log_key_name(name: &str) -> String {
    format!("{name}/access")
}

fn interaction<'a>(caller: &'a Caller, action: Action, request: &'a str) -> Interaction<'a> {
    let address = caller.address.map(|address| Value::from(address.ip().to_string()));
    let entry = Interaction::new(request, "").provider(PROVIDER).model(action.as_str());
    let entry = if caller.name.is_empty() { entry } else { entry.user(caller.name.as_str()) };
    match address {
        Some(address) => entry.metadata(ADDRESS, address),
        None => entry,
    }
    .metadata(metadata::SAFETY, metadata::SAFETY_NOT_CHECKED)
}

/// Access fails closed: what cannot be recorded is not answered.
fn unrecorded(error: AuditError) -> Problem {
    let problem = Problem::from(error);
    Problem::unavailable(format!(
        "the access log cannot be written, so that nothing is returned: {}",
        problem.text()
    ))
}
