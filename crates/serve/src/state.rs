//! What all requests share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use attestry::AuditLogger;
use tokio::sync::Semaphore;

use crate::access_log::{AccessLog, Action, LongAccess};
use crate::anchors::Anchors;
use crate::counter::Counter;
use crate::http::problem::Problem;
use crate::inbox::Inbox;
use crate::open_calls::OpenCalls;
use crate::options::{Limits, ServerOptions};
use crate::otlp::receiver::Otlp;
use crate::overview::Overview;
use crate::security::caller::Caller;
use crate::security::failures::Failures;
use crate::security::sessions::Sessions;
use crate::security::tokens::Tokens;
use crate::signing::Signing;
use crate::verification::Verifications;

/// After a failed write the server is not ready for so long. Then it is again, so that a write can show
/// whether the cause has gone.
const UNREADY: Duration = Duration::from_secs(10);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) logger: AuditLogger,
    access: Option<AccessLog>,
    tokens: RwLock<Option<Arc<Tokens>>>,
    pub(crate) public_tree: bool,
    limits: Limits,
    pub(crate) requests: Semaphore,
    pub(crate) calls: OpenCalls,
    pub(crate) recorded_entries: Counter,
    pub(crate) refused_requests: Counter,
    pub(crate) failed_authentications: Counter,
    pub(crate) failures: Failures,
    /// What receives telemetry; `None` without a folder for its inbox.
    pub(crate) otlp: Option<Arc<Otlp>>,
    pub(crate) sessions: Sessions,
    pub(crate) exposure: Exposure,
    pub(crate) verifications: Verifications,
    pub(crate) signing: Signing,
    pub(crate) overview: Overview,
    pub(crate) anchors: Anchors,
    pub(crate) cleanups: Cleanups,
    failed_write: Mutex<Option<FailedWrite>>,
}

/// What the scheduled clean-ups have done.
#[derive(Debug, Default)]
pub(crate) struct Cleanups {
    pub(crate) entries: Counter,
    pub(crate) access_entries: Counter,
    pub(crate) failures: Counter,
}

/// How browsers reach the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exposure {
    pub(crate) tls: bool,
    /// Tells the cookies of two servers on one host apart.
    pub(crate) port: u16,
    /// Whether only names of this host are expected, because every client may do everything.
    pub(crate) local_names_only: bool,
}

#[derive(Debug)]
struct FailedWrite {
    at: Instant,
    reason: String,
}

impl AppState {
    pub(crate) fn new(
        logger: AuditLogger,
        access: Option<AccessLog>,
        tokens: Option<Tokens>,
        options: &ServerOptions,
        address: SocketAddr,
        inbox: Option<Inbox>,
    ) -> Self {
        let limits = options.limits;
        // With a token for one log-in, all other requests need one, too.
        let once = options.one_time_login.clone();
        let tokens = tokens.or_else(|| once.as_ref().map(|_| Tokens::default()));
        let exposure = Exposure {
            tls: options.tls.is_some(),
            port: address.port(),
            local_names_only: tokens.is_none() && address.ip().is_loopback() && !options.insecure,
        };
        Self {
            logger,
            access,
            tokens: RwLock::new(tokens.map(Arc::new)),
            public_tree: options.public_tree,
            limits,
            requests: Semaphore::new(limits.requests),
            calls: OpenCalls::new(limits.open_calls, limits.idle_call),
            recorded_entries: Counter::default(),
            refused_requests: Counter::default(),
            failed_authentications: Counter::default(),
            failures: Failures::default(),
            otlp: inbox.map(|inbox| Arc::new(Otlp::new(inbox, limits))),
            sessions: Sessions::new(once),
            exposure,
            verifications: Verifications::new(options.policy.clone()),
            signing: Signing::default(),
            overview: Overview::default(),
            anchors: Anchors::default(),
            cleanups: Cleanups::default(),
            failed_write: Mutex::new(None),
        }
    }

    /// The store of the access log, if there is one.
    pub(crate) fn access_log(&self) -> Option<&AuditLogger> {
        self.access.as_ref().map(AccessLog::logger)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The tokens; `None` if none are configured.
    pub(crate) fn tokens(&self) -> Option<Arc<Tokens>> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace_tokens(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tokens));
    }

    /// Records an access that is over, if there is an access log.
    pub(crate) async fn record_access(
        &self,
        caller: &Caller,
        action: Action,
        request: &str,
        count: Option<u64>,
    ) -> Result<(), Problem> {
        match &self.access {
            Some(access) => access.record(caller, action, request, count).await,
            None => Ok(()),
        }
    }

    /// Records that an access begins, if there is an access log.
    pub(crate) async fn begin_access(
        &self,
        caller: &Caller,
        action: Action,
        request: &str,
    ) -> Result<LongAccess, Problem> {
        match &self.access {
            Some(access) => access.begin(caller, action, request).await,
            None => Ok(LongAccess::unrecorded()),
        }
    }

    /// Notes the result of a write, for [`not_ready`](Self::not_ready).
    pub(crate) fn note_write<T>(&self, result: Result<T, Problem>) -> Result<T, Problem> {
        let mut failed = self.failed_write.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(_) => *failed = None,
            Err(problem) if problem.status().is_server_error() && !problem.is_overload() => {
                let reason = problem.text().to_owned();
                *failed = Some(FailedWrite { at: Instant::now(), reason });
            }
            Err(_) => {}
        }
        drop(failed);
        result
    }

    /// Why the server should get no requests now.
    pub(crate) fn not_ready(&self) -> Option<String> {
        let failed = self.failed_write.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failed.as_ref()?;
        (failed.at.elapsed() < UNREADY).then(|| failed.reason.clone())
    }

    /// Closes the stores. Open calls are stored as abandoned, and calls of which parts may be missing as they are.
    pub(crate) async fn close(&self) -> Result<(), attestry::AuditError> {
        self.calls.abandon_all();
        let failures = self.failures.take();
        if failures > 0 {
            let server = Caller::of_server();
            // The stores are closed also if it cannot be recorded.
            let action = Action::FailedAuthentication;
            let _ = self.record_access(&server, action, "", Some(failures)).await;
        }
        let emptied = match &self.otlp {
            Some(otlp) => otlp.inbox.close().await,
            None => Ok(()),
        };
        // After the last entry, and while checkpoints can be read.
        self.anchors.close(&self.logger).await;
        let closed = self.logger.close().await.and(emptied);
        match &self.access {
            Some(access) => closed.and(access.close().await),
            None => closed,
        }
    }
}
