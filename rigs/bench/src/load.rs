//! Open-loop load: each call is made when due, whether or not earlier calls have returned, and its latency counts from
//! then. Queueing is therefore part of the latency (no coordinated omission).

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{Barrier, mpsc};

use crate::Result;
use crate::rng::Rng;
use crate::stats::micros;

/// The results of the calls.
#[derive(Debug)]
pub(crate) struct Outcome<T> {
    /// Microseconds from the due time to the result, per call.
    pub(crate) latencies: Vec<f64>,
    /// Microseconds from the start of the call to the result, per call.
    pub(crate) within: Vec<f64>,
    /// The results.
    pub(crate) answers: Vec<T>,
    /// From the first due time to the last result.
    pub(crate) took: Duration,
}

/// Makes one call for each time in `due` (ascending) from `tasks` tasks in turn.
///
/// A separate thread dispatches the calls. It wakes up about 60 µs late and dispatches all that are due; a timer of the
/// runtime would be up to a millisecond late.
pub(crate) fn offer<T, C, F>(
    runtime: &Runtime,
    tasks: usize,
    due: Vec<Duration>,
    call: C,
) -> Result<Outcome<T>>
where
    T: Send + 'static,
    C: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let call = Arc::new(call);
    let count = due.len();
    let ready = Arc::new(Barrier::new(tasks + 1));
    let (senders, running): (Vec<_>, Vec<_>) = (0..tasks)
        .map(|_| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (call, ready) = (Arc::clone(&call), Arc::clone(&ready));
            (sender, runtime.spawn(work(receiver, call, count.div_ceil(tasks), ready)))
        })
        .unzip();
    runtime.block_on(ready.wait());
    let start = Instant::now();
    let dispatcher = std::thread::spawn(move || {
        for (number, due) in due.into_iter().enumerate() {
            let at = start + due;
            let wait = at.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            // A failed task has stopped receiving; its error is returned below.
            let _ = senders[number % tasks].send((number, at));
        }
    });
    let mut outcome = Outcome {
        latencies: Vec::with_capacity(count),
        within: Vec::with_capacity(count),
        answers: Vec::with_capacity(count),
        took: Duration::ZERO,
    };
    for task in running {
        for Done { at, begun, done, answer } in runtime.block_on(task)?? {
            outcome.latencies.push(micros(done.saturating_duration_since(at)));
            outcome.within.push(micros(done - begun));
            outcome.took = outcome.took.max(done.saturating_duration_since(start));
            outcome.answers.extend(answer);
        }
    }
    dispatcher.join().map_err(|_| "the thread that hands out calls panicked")?;
    if outcome.answers.len() == count {
        Ok(outcome)
    } else {
        Err(format!("{} calls of {count} were answered", outcome.answers.len()).into())
    }
}

/// One call.
struct Done<T> {
    /// Due time.
    at: Instant,
    /// Start of the call.
    begun: Instant,
    /// Time and value of the result.
    done: Instant,
    answer: Option<T>,
}

async fn work<T, C, F>(
    mut calls: mpsc::UnboundedReceiver<(usize, Instant)>,
    call: Arc<C>,
    most: usize,
    ready: Arc<Barrier>,
) -> Result<Vec<Done<T>>>
where
    C: Fn(usize) -> F,
    F: Future<Output = Result<T>>,
{
    // Touched in advance: the lists of all tasks would grow at the same time, and page faults cost more than a call.
    let mut done = Vec::new();
    let now = Instant::now();
    done.resize_with(most, || Done { at: now, begun: now, done: now, answer: None });
    done.clear();
    ready.wait().await;
    while let Some((number, at)) = calls.recv().await {
        let begun = Instant::now();
        let answer = Some(call(number).await?);
        done.push(Done { at, begun, done: Instant::now(), answer });
    }
    Ok(done)
}

/// Due times of `count` calls with exponential gaps (a Poisson process) at a mean rate.
#[allow(clippy::cast_precision_loss)] // 53 random bits suffice
pub(crate) fn at_random(per_second: f64, count: usize, rng: &mut Rng) -> Vec<Duration> {
    let mut at = 0.0;
    (0..count)
        .map(|_| {
            let uniform = ((rng.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            at -= uniform.ln() / per_second;
            Duration::from_secs_f64(at)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_due_times_ascend_at_the_given_rate() {
        let due = at_random(10_000.0, 20_000, &mut Rng::new(3));
        assert!(due.is_sorted());
        let seconds = due.last().unwrap().as_secs_f64();
        assert!((1.9..2.1).contains(&seconds), "{seconds} s");
    }

    #[test]
    fn latency_counts_from_the_due_time() {
        let runtime = crate::rig::runtime().unwrap();
        let due = vec![Duration::ZERO; 3];
        let outcome = offer(&runtime, 1, due, |number| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(number)
        })
        .unwrap();
        assert_eq!(outcome.answers.len(), 3);
        assert!(outcome.latencies[2] >= 60_000.0, "{:?}", outcome.latencies);
        assert!(outcome.took >= Duration::from_millis(60));
    }

    #[test]
    fn a_failed_call_is_an_error() {
        let runtime = crate::rig::runtime().unwrap();
        let failing = |_| async { Err::<(), _>("no".into()) };
        assert!(offer(&runtime, 2, vec![Duration::ZERO; 5], failing).is_err());
    }
}
