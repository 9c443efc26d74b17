//! Runs a verification, and puts it on record: in the access log, in the log, and as the latest one.

use std::sync::Arc;
use std::time::Instant;

use attestry::{ErrorChain, Timestamp};
use serde_json::json;
use tokio::sync::watch;

use crate::access_log::{Action, LongAccess};
use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::state::AppState;
use crate::verification::{Latest, Permit, Progress};

/// Metadata of an access: how many problems were found.
const PROBLEMS: &str = "attestry.access.problems";

/// A verification that has begun and is on record.
pub(crate) struct Running {
    access: LongAccess,
    permit: Permit,
}

impl Running {
    /// Records that a verification begins, unless another one runs.
    pub(crate) async fn begin(
        state: &AppState,
        caller: &Caller,
        request: &str,
    ) -> Result<Self, Problem> {
        let permit = state.verifications.try_begin().ok_or_else(|| {
            Problem::unavailable("a verification is running already; wait for it")
        })?;
        let access = state.begin_access(caller, Action::Verify, request).await?;
        Ok(Self { access, permit })
    }

    /// Verifies the store, and records the result, also that it failed. `progress` gets how far it is.
    ///
    /// # Errors
    ///
    /// The result cannot be recorded.
    pub(crate) async fn run(
        mut self,
        state: &AppState,
        progress: watch::Sender<Progress>,
    ) -> Result<Result<Arc<Latest>, Problem>, Problem> {
        let verifications = &state.verifications;
        let started = Instant::now();
        let verified = verifications.verify(&state.logger, progress).await;
        let (seconds, at) = (started.elapsed().as_secs_f64(), Timestamp::now());
        let (problems, report) = match &verified {
            Ok(result) => {
                (Some(result.problems.len() as u64 + result.problems_unlisted), json!(result))
            }
            Err(error) => (None, json!({ "error": ErrorChain(error).to_string() })),
        };
        match problems {
            Some(0) => tracing::info!(seconds, "verification found no problems"),
            Some(problems) => tracing::error!(problems, seconds, "verification found problems"),
            None => tracing::error!(reason = %report["error"], "verification failed"),
        }
        let latest = Arc::new(Latest { at, seconds, problems, report });
        verifications.set_latest(&latest);
        match verified {
            Ok(result) => {
                self.access.set_count(result.lines);
                self.access.set(PROBLEMS, problems.unwrap_or_default());
                self.access.finish().await?;
            }
            Err(error) => {
                self.access.fail("verification_failed").await;
                return Ok(Err(error.into()));
            }
        }
        drop(self.permit);
        Ok(Ok(latest))
    }
}
