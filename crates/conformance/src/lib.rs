//! The conformance suite for Attestry storage backends, and a backend that fails on demand.
//!
//! # Testing a backend
//!
//! Each promise of [`StorageBackend`] is an async function here, a *case*: it gets an empty backend
//! and panics if the promise is broken. Add this crate to the development dependencies of your
//! backend, and write in a file under `tests/`:
//!
//! ```
//! # mod backend {
//! #     pub struct MyBackend;
//! #     impl MyBackend { pub async fn open(_: &std::path::Path) -> attestry_conformance::example::MinimalBackend { Default::default() } }
//! # }
//! # use backend::MyBackend;
//! use attestry_conformance::Fresh;
//!
//! async fn fresh() -> Fresh {
//!     let folder = std::env::temp_dir(); // better: a new folder, with the crate `tempfile`
//!     Fresh::with_guard(MyBackend::open(&folder).await, folder)
//! }
//!
//! attestry_conformance::suite!(fresh().await);
//! # fn main() {}
//! ```
//!
//! Every case becomes a named test, such as `ranges::both_ends_are_inclusive`, on its own
//! multi-threaded runtime. [`run_all`] runs all cases from one function, and [`cases`] lists them for
//! another test harness. [`model::check`] compares the backend with a simple model over random
//! sequences of operations.
//!
//! All cases together write about 8,000 entries, 2,000 of them one at a time, and make about 20,000
//! reads. Run one after the other on a backend whose writes take 1 ms, they take about 5 s.
//!
//! # Testing an application
//!
//! [`FailingBackend`] wraps any backend and fails chosen calls, to test what an application does
//! when an entry cannot be stored.
#![allow(clippy::missing_panics_doc)] // A case fails by panicking.

mod check;
mod failing_backend;
mod list;
mod sample;

pub mod calls;
pub mod cancellation;
pub mod concurrency;
pub mod content;
pub mod deleting;
#[doc(hidden)]
pub mod example;
pub mod immutability;
pub mod lifecycle;
pub mod model;
pub mod ranges;
pub mod reading;
pub mod scanning;
pub mod writing;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use attestry_core::StorageBackend;
use futures_util::FutureExt;

pub use failing_backend::{FailingBackend, Failure, Operation};

/// The backend under test, shared between tasks.
pub type Store = Arc<dyn StorageBackend>;

/// An empty backend, with a guard for the resources it uses.
#[derive(Debug)]
pub struct Fresh {
    store: Store,
    // Declared last, because fields are dropped in declaration order: the guard outlives the backend.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Fresh {
    /// A backend without a guard.
    #[must_use]
    pub fn new(backend: impl StorageBackend + 'static) -> Self {
        Self { store: Arc::new(backend), _guard: None }
    }

    /// A backend with a guard, such as its temporary folder, that is dropped after the backend.
    #[must_use]
    pub fn with_guard(
        backend: impl StorageBackend + 'static,
        guard: impl Any + Send + Sync,
    ) -> Self {
        Self { store: Arc::new(backend), _guard: Some(Box::new(guard)) }
    }

    /// The backend.
    #[must_use]
    pub fn store(&self) -> Store {
        Arc::clone(&self.store)
    }
}

/// A named test of one promise.
pub struct Case {
    name: &'static str,
    run: fn(Store) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Case {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        name: &'static str,
        run: fn(Store) -> Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Self {
        Self { name, run }
    }

    /// The name of the case, such as `ranges::both_ends_are_inclusive`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the case on an empty backend. Panics if the promise is broken, or if the case takes
    /// longer than five minutes. Requires a tokio runtime with time enabled; races are only found on
    /// a multi-threaded one.
    pub async fn run(&self, store: Store) {
        with_timeout((self.run)(store)).await;
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// All cases, the basic ones first: one flaw can fail many cases, and the first is the most specific.
#[must_use]
pub fn cases() -> Vec<Case> {
    list::cases()
}

/// Runs all cases, each on a backend that `fresh` creates, and then the [model](model::check).
///
/// ```
/// # use attestry_conformance::{Fresh, example::MinimalBackend as MyBackend};
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// attestry_conformance::run_all(async || Fresh::new(MyBackend::default())).await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// After all cases have run, with the names of the failed ones and their messages.
pub async fn run_all(fresh: impl AsyncFn() -> Fresh) {
    let mut failed = Vec::new();
    for case in cases() {
        let fresh = fresh().await;
        if let Err(panic) = AssertUnwindSafe(case.run(fresh.store())).catch_unwind().await {
            failed.push(format!("{}: {}", case.name, check::panic_message(&*panic)));
        }
    }
    if let Err(panic) =
        AssertUnwindSafe(model::check(model::DEFAULT_CASES, &fresh)).catch_unwind().await
    {
        failed.push(format!("model: {}", check::panic_message(&*panic)));
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// Runs one case or the model as a test. [`suite!`] expands to calls of it.
#[doc(hidden)]
pub fn run_as_test(run: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("the runtime starts");
    let result = runtime.block_on(AssertUnwindSafe(with_timeout(run())).catch_unwind());
    // Tasks that a failed case left running must not keep the test from ending.
    runtime.shutdown_timeout(Duration::from_secs(10));
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

async fn with_timeout<T>(run: impl Future<Output = T>) -> T {
    const CASE_TIMEOUT: Duration = Duration::from_secs(300);
    let Ok(result) = tokio::time::timeout(CASE_TIMEOUT, run).await else {
        panic!(
            "the case did not end within {CASE_TIMEOUT:?}: a call hangs, or the backend is too slow"
        )
    };
    result
}
