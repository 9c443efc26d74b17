//! What the server does by itself: the nightly clean-up and scheduled verifications.

use std::sync::Arc;
use std::time::Duration;

use attestry::evidence::{EvidenceError, EvidenceExt as _};
use attestry::{AuditError, AuditLogger, ErrorChain, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::access_log::Action;
use crate::counter::Counter;
use crate::http::problem::Problem;
use crate::options::Maintenance;
use crate::security::caller::Caller;
use crate::state::AppState;
use crate::verify_store::Running;

/// How often the clock is looked at: a sleep until the night would miss that the clock was set.
const TICK: Duration = Duration::from_secs(60);
/// When the first verification begins, after the start.
const FIRST: Duration = Duration::from_secs(600);
/// A verification that cannot begin, because another runs or the access log cannot be written, is tried again.
const RETRY: Duration = Duration::from_secs(60);
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Runs until `shutdown` is true.
///
/// # Cancel safety
///
/// If the future is dropped, a clean-up ends after its current batch, and a verification is recorded as abandoned.
pub(crate) async fn run(
    state: Arc<AppState>,
    maintenance: Maintenance,
    mut shutdown: watch::Receiver<bool>,
) {
    tokio::select! {
        _ = shutdown.wait_for(|down| *down) => {}
        _ = clean_up_daily(&state, maintenance) => {}
        _ = verify_regularly(&state, maintenance.verify_every) => {}
    }
}

/// Never ends.
async fn clean_up_daily(state: &AppState, maintenance: Maintenance) {
    let Maintenance { cleanup_at: at, clean_up: of_store, access_retention_days, .. } = maintenance;
    let access_log = state.access_log().filter(|_| access_retention_days.is_some());
    if access_retention_days.is_some() && access_log.is_none() {
        tracing::warn!("there is no access log to erase expired entries of");
    }
    if !of_store && access_log.is_none() {
        return std::future::pending().await;
    }
    let mut daily = Daily { at, done: None };
    loop {
        if daily.is_due(Timestamp::now()) {
            if of_store {
                clean_up(state, &state.logger, "", &state.cleanups.entries).await;
                state.overview.forget();
            }
            if let Some(log) = access_log {
                clean_up(state, log, "access log: ", &state.cleanups.access_entries).await;
            }
        }
        sleep(TICK).await;
    }
}

/// Never ends.
async fn verify_regularly(state: &AppState, every: Option<Duration>) {
    let Some(every) = every.filter(|every| !every.is_zero()) else {
        return std::future::pending().await;
    };
    if let Err(error) = keeps_evidence(state).await {
        let reason = ErrorChain(&error).to_string();
        tracing::warn!(reason, "scheduled verifications will fail: there is nothing to verify");
    }
    let mut next = Instant::now() + every.min(FIRST);
    loop {
        sleep_until(next).await;
        next = match verify(state).await {
            Ok(()) => Instant::now() + every,
            Err(problem) => {
                tracing::warn!(reason = problem.text(), "scheduled verification did not run");
                Instant::now() + every.min(RETRY)
            }
        };
    }
}

async fn keeps_evidence(state: &AppState) -> Result<(), EvidenceError> {
    state.logger.evidence()?.latest_checkpoint().await.map(drop)
}

/// Fails if it cannot begin or be recorded. What it finds is logged by itself, and so is that it failed: to repeat it
/// soon would read the whole store again and again.
async fn verify(state: &AppState) -> Result<(), Problem> {
    let running = Running::begin(state, &Caller::of_server(), "scheduled").await?;
    running.run(state, watch::channel((0, 0)).0).await.map(drop)
}

/// Erases expired entries of a store. Not without a record in the access log, which names the store.
async fn clean_up(state: &AppState, logger: &AuditLogger, store: &'static str, erased: &Counter) {
    let request = format!("{store}retention of {} days", logger.retention_days());
    let result = match state.begin_access(&Caller::of_server(), Action::Cleanup, &request).await {
        Err(problem) => Err(problem.text().to_owned()),
        Ok(mut access) => match logger.cleanup_expired().await {
            Ok(count) => {
                access.set_count(count);
                access.finish().await.map(|()| count).map_err(|problem| problem.text().to_owned())
            }
            Err(error) => {
                let name = match error {
                    AuditError::LargeCleanup { .. } => "large_cleanup",
                    _ => "cleanup_failed",
                };
                access.fail(name).await;
                Err(ErrorChain(&error).to_string())
            }
        },
    };
    match result {
        Ok(count) => {
            erased.add_many(count);
            tracing::info!(entries = count, "{store}erased expired entries");
        }
        Err(reason) => {
            state.cleanups.failures.add();
            tracing::error!(reason, "{store}expired entries could not be erased");
        }
    }
}

/// Something that is due once a day.
#[derive(Debug)]
struct Daily {
    /// The time after midnight UTC.
    at: Duration,
    /// The day on which it was done last, counted from 1970.
    done: Option<i64>,
}

impl Daily {
    /// Whether it is due, in which case it counts as done. After a start and after a jump of the clock it is made up for.
    fn is_due(&mut self, now: Timestamp) -> bool {
        let micros = now.unix_micros();
        let day = micros.div_euclid(MICROS_PER_DAY);
        let time = u128::try_from(micros.rem_euclid(MICROS_PER_DAY)).unwrap_or_default();
        let is_due = time >= self.at.as_micros() && self.done != Some(day);
        if is_due {
            self.done = Some(day);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::ServerOptions;

    #[tokio::test]
    async fn verification_that_fails_is_recorded_and_not_repeated_soon() {
        let logger = attestry::open_url("memory:").await.unwrap();
        let options = ServerOptions::new(([127, 0, 0, 1], 0).into());
        let address = options.address;
        let state = AppState::new(logger, None, None, &options, address, None);
        assert!(keeps_evidence(&state).await.is_err());
        verify(&state).await.unwrap();
        assert_eq!(state.verifications.latest().unwrap().problems, None);
        // One that cannot begin is tried again soon.
        let _running = state.verifications.try_begin();
        verify(&state).await.unwrap_err();
    }

    #[test]
    fn clean_up_is_due_once_a_day() {
        let mut daily = Daily { at: Duration::from_secs(3 * 3600), done: None };
        let mut is_due = |time: &str| daily.is_due(time.parse().unwrap());
        assert!(!is_due("2026-01-28T02:59:00"));
        assert!(is_due("2026-01-28T03:00:30"));
        assert!(!is_due("2026-01-28T03:01:30"));
        assert!(!is_due("2026-01-29T00:00:30"));
        assert!(is_due("2026-01-29T03:00:30"));
        // The clock jumps: over the time, and back.
        assert!(is_due("2026-01-31T17:00:00"));
        assert!(!is_due("2026-01-31T23:00:00"));
        assert!(!is_due("2026-01-30T02:00:00"));
        assert!(is_due("2026-01-30T03:00:00"));
        assert!(!is_due("2026-01-30T04:00:00"));
    }
}
