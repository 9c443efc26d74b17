//! Retries with exponential backoff and full jitter (see "Exponential Backoff And Jitter", AWS
//! Architecture Blog). One budget covers a request from the first byte sent to the last byte of the body.
//!
//! The SDK's own retries are disabled. They end when the response begins, so a body that breaks off is not
//! retried. They do not retry a `ConditionalRequestConflict`, nor single keys of a `DeleteObjects`. For a
//! server that throttles until the timeout they report the timeout.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use attestry_core::event;
use attestry_core::metrics::StorageCounters;
use tokio::time::Instant;

use crate::error::RequestError;

/// Upper bound of the first backoff; doubles with each retry.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The retry budget of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    pub(crate) max_retries: u32,
    /// From the start of the first attempt to the end of the last.
    pub(crate) timeout: Duration,
}

impl RetryPolicy {
    /// Starts the clock for one request.
    pub(crate) fn start(self, counters: &Arc<StorageCounters>) -> RetryState {
        let now = Instant::now();
        // `checked_add` fails for times beyond the clock's range; a century stands for "no limit".
        let century = Duration::from_secs(100 * 365 * 86_400);
        let deadline = now.checked_add(self.timeout).unwrap_or_else(|| now + century);
        RetryState {
            retries_left: self.max_retries,
            deadline,
            max_backoff: INITIAL_BACKOFF,
            last_error: None,
            counters: Arc::clone(counters),
        }
    }
}

/// What is left of the retry budget of one request.
#[derive(Debug)]
pub(crate) struct RetryState {
    retries_left: u32,
    deadline: Instant,
    max_backoff: Duration,
    last_error: Option<RequestError>,
    counters: Arc<StorageCounters>,
}

impl RetryState {
    /// Sends the request until it succeeds, fails with a permanent error, or the budget is spent.
    ///
    /// If the deadline passes during an attempt, the error is that of the attempt before it: it says why
    /// S3 refused, and a timeout does not.
    pub(crate) async fn run<T, Request>(
        &mut self,
        mut request: impl FnMut() -> Request,
    ) -> Result<T, RequestError>
    where
        Request: Future<Output = Result<T, RequestError>>,
    {
        loop {
            match tokio::time::timeout_at(self.deadline, request()).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => self.backoff(error).await?,
                Err(_) => {
                    return Err(self.last_error.take().unwrap_or_else(RequestError::timed_out));
                }
            }
        }
    }

    /// Sleeps before the next attempt. Returns `error` if it is permanent or the budget is spent.
    pub(crate) async fn backoff(&mut self, error: RequestError) -> Result<(), RequestError> {
        let pause = self.max_backoff.mul_f64(random());
        let is_spent = self.retries_left == 0 || Instant::now() + pause >= self.deadline;
        if is_spent || !error.kind().is_retryable() {
            return Err(error);
        }
        event!(
            WARN,
            kind = ?error.kind(),
            pause_ms = pause.as_millis() as u64,
            retries_left = self.retries_left - 1,
            "request retried"
        );
        self.last_error = Some(error);
        self.retries_left -= 1;
        self.counters.retried();
        self.max_backoff = (self.max_backoff * 2).min(MAX_BACKOFF);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// A uniformly distributed number in `[0, 1)`.
fn random() -> f64 {
    // Each `RandomState` is seeded differently.
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    #[allow(clippy::cast_precision_loss)] // 53 bits are exact
    let fraction = bits as f64 / (1_u64 << 53) as f64;
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RequestErrorKind;
    use std::cell::Cell;
    use std::future::{pending, ready};

    fn error(code: &str) -> RequestError {
        RequestError::service(code, "injected")
    }

    const MANY_RETRIES: RetryPolicy =
        RetryPolicy { max_retries: 1_000_000, timeout: Duration::from_secs(60) };

    #[tokio::test(start_paused = true)]
    async fn retries_up_to_max_retries() {
        let attempts = Cell::new(0);
        let succeed_on_fourth = || {
            attempts.set(attempts.get() + 1);
            ready(if attempts.get() < 4 { Err(error("InternalError")) } else { Ok(attempts.get()) })
        };
        let limited =
            |max_retries| RetryPolicy { max_retries, ..MANY_RETRIES }.start(&Arc::default());
        assert_eq!(limited(3).run(succeed_on_fourth).await.unwrap(), 4);
        attempts.set(0);
        let refused = limited(2).run(succeed_on_fourth).await.unwrap_err();
        assert_eq!((refused.kind(), attempts.get()), (RequestErrorKind::Server, 3));
        attempts.set(0);
        limited(0).run(succeed_on_fourth).await.unwrap_err();
        assert_eq!(attempts.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn permanent_errors_are_not_retried() {
        let attempts = Cell::new(0);
        let denied = || {
            attempts.set(attempts.get() + 1);
            ready(Err::<(), _>(error("AccessDenied")))
        };
        MANY_RETRIES.start(&Arc::default()).run(denied).await.unwrap_err();
        assert_eq!(attempts.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_grows_and_ends_within_the_timeout() {
        let (start, attempts) = (Instant::now(), Cell::new(0));
        let throttled = || {
            attempts.set(attempts.get() + 1);
            ready(Err::<(), _>(error("SlowDown")))
        };
        let refused = MANY_RETRIES.start(&Arc::default()).run(throttled).await.unwrap_err();
        assert_eq!(refused.kind(), RequestErrorKind::Throttled);
        assert!(start.elapsed() <= MANY_RETRIES.timeout);
        // Six retries until the cap is reached, then one in 2.5 s on average.
        assert!((12..90).contains(&attempts.get()), "{}", attempts.get());
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_of_a_retry_reports_the_earlier_error() {
        let (start, attempts) = (Instant::now(), Cell::new(0));
        let throttled_then_silent = async || {
            attempts.set(attempts.get() + 1);
            if attempts.get() > 2 {
                pending::<()>().await;
            }
            Err::<(), _>(error("SlowDown"))
        };
        let refused =
            MANY_RETRIES.start(&Arc::default()).run(throttled_then_silent).await.unwrap_err();
        assert_eq!(refused.kind(), RequestErrorKind::Throttled);
        assert_eq!((attempts.get(), start.elapsed().as_secs()), (3, 60));
        let silent =
            MANY_RETRIES.start(&Arc::default()).run(pending::<Result<(), _>>).await.unwrap_err();
        assert_eq!(silent.kind(), RequestErrorKind::TimedOut);
    }

    #[test]
    fn jitter_is_uniform() {
        let samples: Vec<f64> = (0..1_000).map(|_| random()).collect();
        assert!(samples.iter().all(|sample| (0.0..1.0).contains(sample)));
        let mean = samples.iter().sum::<f64>() / 1_000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
