//! How requests are repeated: all of them in one way, from the first byte sent to the last byte of
//! the answer. The SDK's own retries end where an answer begins, do not know a conflict or an object
//! that cannot be deleted yet, and say of a server that was busy to the end that it was too slow.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::RequestError;

/// At most so long before the first repetition; doubled for each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often and for how long requests are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retries {
    /// Repetitions of one request.
    pub(crate) most: u32,
    /// From the beginning of the first try to the end of the last.
    pub(crate) within: Duration,
}

impl Retries {
    /// For a request that is made now.
    pub(crate) fn begin(self) -> Tries {
        let now = Instant::now();
        // A time beyond what the clock can tell is a century.
        let century = Duration::from_secs(100 * 365 * 86_400);
        let end = now.checked_add(self.within).unwrap_or_else(|| now + century);
        Tries { left: self.most, end, pause: FIRST_PAUSE, last: None }
    }
}

/// What is left of the tries of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    left: u32,
    end: Instant,
    pause: Duration,
    /// What the try before this one failed for.
    last: Option<RequestError>,
}

impl Tries {
    /// Makes the request until it succeeds, fails for a reason that does not pass, or nothing is left.
    pub(crate) async fn run<T, Request>(
        &mut self,
        mut request: impl FnMut() -> Request,
    ) -> Result<T, RequestError>
    where
        Request: Future<Output = Result<T, RequestError>>,
    {
        loop {
            match tokio::time::timeout_at(self.end, request()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => self.again(error).await?,
                Err(_) => return Err(self.last.take().unwrap_or_else(RequestError::timed_out)),
            }
        }
    }

    /// Waits for the moment to make the request again; an error where it is not to be.
    pub(crate) async fn again(&mut self, error: RequestError) -> Result<(), RequestError> {
        let pause = self.pause.mul_f64(random());
        let is_over = self.left == 0 || Instant::now() + pause >= self.end;
        if is_over || !error.kind().is_retryable() {
            return Err(error);
        }
        self.last = Some(error);
        self.left -= 1;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// From 0 to 1, so that those who were refused together do not come back together.
fn random() -> f64 {
    // Each has keys of its own.
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
        RequestError::told(code, "as the test wants it")
    }

    const PLENTY: Retries = Retries { most: 1_000_000, within: Duration::from_secs(60) };

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_as_often_as_was_asked() {
        let tried = Cell::new(0);
        let request = || {
            tried.set(tried.get() + 1);
            ready(if tried.get() < 4 { Err(error("InternalError")) } else { Ok(tried.get()) })
        };
        let few = |most| Retries { most, ..PLENTY };
        assert_eq!(few(3).begin().run(request).await.unwrap(), 4);
        tried.set(0);
        let refused = few(2).begin().run(request).await.unwrap_err();
        assert_eq!((refused.kind(), tried.get()), (RequestErrorKind::Server, 3));
        tried.set(0);
        few(0).begin().run(request).await.unwrap_err();
        assert_eq!(tried.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_tried_once() {
        let tried = Cell::new(0);
        let request = || {
            tried.set(tried.get() + 1);
            ready(Err::<(), _>(error("AccessDenied")))
        };
        PLENTY.begin().run(request).await.unwrap_err();
        assert_eq!(tried.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_all_of_it_ends_in_time() {
        let (start, tried) = (Instant::now(), Cell::new(0));
        let request = || {
            tried.set(tried.get() + 1);
            ready(Err::<(), _>(error("SlowDown")))
        };
        let refused = PLENTY.begin().run(request).await.unwrap_err();
        assert_eq!(refused.kind(), RequestErrorKind::Throttled);
        assert!(start.elapsed() <= PLENTY.within);
        // Six until the longest pause, and then one in two and a half seconds.
        assert!((12..90).contains(&tried.get()), "{}", tried.get());
    }

    /// It did answer, and said why not.
    #[tokio::test(start_paused = true)]
    async fn a_last_try_that_is_not_answered_does_not_hide_what_the_others_failed_for() {
        let (start, tried) = (Instant::now(), Cell::new(0));
        let request = async || {
            tried.set(tried.get() + 1);
            if tried.get() > 2 {
                pending::<()>().await;
            }
            Err::<(), _>(error("SlowDown"))
        };
        let refused = PLENTY.begin().run(request).await.unwrap_err();
        assert_eq!(refused.kind(), RequestErrorKind::Throttled);
        assert_eq!((tried.get(), start.elapsed().as_secs()), (3, 60));
        let silent = PLENTY.begin().run(pending::<Result<(), _>>).await.unwrap_err();
        assert_eq!(silent.kind(), RequestErrorKind::TimedOut);
    }

    #[test]
    fn pauses_differ() {
        let drawn: Vec<f64> = (0..1_000).map(|_| random()).collect();
        assert!(drawn.iter().all(|drawn| (0.0..1.0).contains(drawn)));
        let mean = drawn.iter().sum::<f64>() / 1_000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
