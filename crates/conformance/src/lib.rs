//! One behaviour suite that every Attestry storage backend must pass, ours or yours.
//!
//! Each promise that [`StorageBackend`] makes is an async function here, a *case*: it gets an empty
//! backend and panics where the promise is broken. Add this crate to the development dependencies
//! of your backend and write, in a file under `tests/`:
//!
//! ```
//! # mod backend {
//! #     pub struct MyBackend;
//! #     impl MyBackend { pub async fn open(_: &std::path::Path) -> attestry_conformance::example::Five { Default::default() } }
//! # }
//! # use backend::MyBackend;
//! use attestry_conformance::Fresh;
//!
//! async fn fresh() -> Fresh {
//!     let folder = std::env::temp_dir(); // better: a new one, as the crate `tempfile` makes it
//!     Fresh::with_guard(MyBackend::open(&folder).await, folder)
//! }
//!
//! attestry_conformance::suite!(fresh().await);
//! # fn main() {}
//! ```
//!
//! Every case becomes a test with a name, such as `ranges::both_ends_are_inclusive`, on a runtime
//! of its own with several threads. [`run_all`] does the same from one function, and [`cases`] lists
//! them for a harness of your own. [`model::check`] holds the backend against a simple model in
//! random sequences of operations, as many as you like.
//!
//! All cases together write some 7,500 entries, 2,000 of them one by one, and make about 20,000
//! reads: where a write takes a millisecond, they take five seconds one after the other.
#![allow(clippy::missing_panics_doc)] // Panicking is how a case fails.

mod check;
mod list;
mod sample;

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

/// The backend under test, as the cases use it: shared between tasks.
pub type Store = Arc<dyn StorageBackend>;

/// A backend that holds nothing yet, with whatever must outlive it.
#[derive(Debug)]
pub struct Fresh {
    store: Store,
    // Dropped behind the backend: fields go in the order they stand in.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Fresh {
    /// A backend that needs nothing else.
    #[must_use]
    pub fn new(backend: impl StorageBackend + 'static) -> Self {
        Self { store: Arc::new(backend), _guard: None }
    }

    /// A backend with a guard, such as its temporary folder, that is dropped once the backend is.
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

/// One promise with a name.
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

    /// Such as `ranges::both_ends_are_inclusive`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs it on an empty backend; panics where the promise is broken, or when the case takes
    /// longer than five minutes. Needs a tokio runtime with time, and with several threads to
    /// bring out races.
    pub async fn run(&self, store: Store) {
        within_patience((self.run)(store)).await;
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// Every case, in the order in which failures are best read.
#[must_use]
pub fn cases() -> Vec<Case> {
    list::cases()
}

/// Runs every case, each on a backend that `fresh` makes, and then the [model](model::check).
///
/// ```
/// # use attestry_conformance::{Fresh, example::Five as MyBackend};
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// attestry_conformance::run_all(async || Fresh::new(MyBackend::default())).await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// At the end, naming all cases that failed and why.
pub async fn run_all(fresh: impl AsyncFn() -> Fresh) {
    let mut failed = Vec::new();
    for case in cases() {
        let fresh = fresh().await;
        if let Err(panic) = AssertUnwindSafe(case.run(fresh.store())).catch_unwind().await {
            failed.push(format!("{}: {}", case.name, check::panic_text(&*panic)));
        }
    }
    if let Err(panic) =
        AssertUnwindSafe(model::check(model::DEFAULT_CASES, &fresh)).catch_unwind().await
    {
        failed.push(format!("model: {}", check::panic_text(&*panic)));
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// Runs one case (or the model) as a test: what [`suite!`] expands to.
#[doc(hidden)]
pub fn run_as_test(run: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be started");
    let result = runtime.block_on(AssertUnwindSafe(within_patience(run())).catch_unwind());
    // What the case left behind must not keep a failed test from ending.
    runtime.shutdown_timeout(Duration::from_secs(10));
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

async fn within_patience<T>(run: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(300);
    let Ok(done) = tokio::time::timeout(patience, run).await else {
        panic!("the case did not end within {patience:?}; a call hangs, or the backend is too slow")
    };
    done
}
