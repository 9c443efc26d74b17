//! A witness and a timestamp authority that fail at random while workers are killed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use attestry_anchor::{
    AnchorStatus, Backoff, Dispatcher, DispatcherBuilder, HttpClient, TimestampAuthority,
    TimestampRoots, Witness, Witnesses, verify_timestamp,
};
use attestry_core::StorageBackend;
use attestry_evidence::{LogKey, Policy, SigningKey};
use attestry_file::{FileStorage, VerifyOptions};

use crate::evidence;
use crate::outcome::{Result, Stop, chain, failed};
use crate::rng::Rng;

// Those of the tests of `attestry-anchor`.
#[allow(dead_code, clippy::unwrap_used)]
#[path = "../../../crates/anchor/tests/support/server.rs"]
mod server;
#[allow(dead_code, clippy::unwrap_used)]
#[path = "../../../crates/anchor/tests/support/tsa.rs"]
mod tsa;
#[allow(dead_code, clippy::unwrap_used)]
#[path = "../../../crates/anchor/tests/support/witness.rs"]
mod witness;

use server::{Request, Response, Server};
use tsa::{Authority, Keys};
use witness::TestWitness;

/// For the witness, which knows the key of the log.
fn log_key() -> LogKey {
    SigningKey::from_seed("torture.example/audit", &[7; 32]).expect("a valid name").public()
}

/// The anchors of one store.
pub(crate) struct Servers {
    witness: TestWitness,
    /// Requests that contradict what the witness has cosigned, or are not understood.
    refused: Arc<AtomicUsize>,
    authority: Arc<Authority>,
    stamping: Server,
    seed: u64,
}

impl Servers {
    pub(crate) fn start(seed: u64) -> Self {
        let authority = Arc::new(Authority::new(Keys::P384));
        let witness = TestWitness::start("torture.example/witness");
        let servers = Self {
            witness,
            refused: Arc::default(),
            authority,
            stamping: Server::start(|_| Response::Close),
            seed,
        };
        servers.fail();
        servers
    }

    /// What a worker needs to reach them.
    pub(crate) fn arguments(&self) -> Vec<String> {
        vec![self.witness.url_and_key(), self.stamping.url()]
    }

    /// The number of requests answered by both.
    pub(crate) fn requests(&self) -> usize {
        self.witness.server.requests() + self.stamping.requests()
    }

    /// Half of all requests fail from now on.
    fn fail(&self) {
        let (witness, refused) = (self.witness.clone(), Arc::clone(&self.refused));
        let mut rng = Rng::derive(self.seed, 31);
        self.witness
            .server
            .now(move |request| faulty(&mut rng, || judged(witness.answer(request), &refused)));
        let (authority, mut rng) = (Arc::clone(&self.authority), Rng::derive(self.seed, 32));
        self.stamping.now(move |request| faulty(&mut rng, || authority.answer(request)));
    }

    fn heal(&self) {
        let (witness, refused) = (self.witness.clone(), Arc::clone(&self.refused));
        self.witness.server.now(move |request: &Request| judged(witness.answer(request), &refused));
        let authority = Arc::clone(&self.authority);
        self.stamping.now(move |request| authority.answer(request));
    }

    /// After a round, with no worker running: both get the latest checkpoint of the store, and everything that
    /// they ever signed holds.
    pub(crate) fn check(&self, folder: &Path) -> Result {
        self.heal();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let checked = runtime.block_on(self.check_store(folder));
        self.fail();
        checked.map_err(|stop| stop.within("anchors"))
    }

    async fn check_store(&self, folder: &Path) -> Result {
        let builder = FileStorage::builder(folder).rotation_size_bytes(1 << 20);
        let store = Arc::new(evidence::enable(builder, |_| ())?.open().await?);
        store.checkpoint().await?;
        let dispatcher = dispatcher(&self.arguments(), &store)?;
        for anchor in dispatcher.close(Duration::from_secs(30)).await {
            let AnchorStatus { anchor, pending, last_error, contradiction, .. } = anchor;
            if pending || contradiction {
                return failed(format!("{anchor} does not get the checkpoint: {last_error:?}"));
            }
        }
        let refused = self.refused.load(Ordering::SeqCst);
        if refused > 0 {
            return failed(format!("the witness refused {refused} requests"));
        }
        let witness: Witness = self.witness.client();
        let policy = Policy::new(log_key()).with_witnesses([witness.key().clone()], 1)?;
        let mut options = VerifyOptions::new().policy(policy);
        let pem = std::fs::read(self.authority.path("ca.pem"))?;
        let (roots, stamped) = (TimestampRoots::from_pem(&pem)?, Policy::new(log_key()));
        for path in store.timestamps().await? {
            let stored = store.read_timestamp(&path).await?;
            let note = stored.checkpoint.as_str();
            verify_timestamp(&stored.reply, note.as_bytes(), &roots)?;
            options = options.against(&stamped.open(note)?);
        }
        let found = store.verify(options).await?;
        if let Some(problem) = found.problems.first() {
            return failed(format!("a cosigned or stamped checkpoint does not hold: {problem}"));
        }
        store.close().await?;
        Ok(())
    }
}

/// Counts replies that say that a checkpoint contradicts an earlier one, or that a request is wrong.
fn judged(response: Response, refused: &AtomicUsize) -> Response {
    if let Response::Reply { status: 400 | 403 | 422, .. } = response {
        refused.fetch_add(1, Ordering::SeqCst);
    }
    response
}

/// A reply, or one of the ways in which there is none. The request may have been carried out all the same.
fn faulty(rng: &mut Rng, answer: impl FnOnce() -> Response) -> Response {
    match rng.below(12) {
        0 => Response::Close,
        1 => Response::new(503, "text/plain", "try later"),
        2 => Response::new(200, "text/plain", "not a reply"),
        3 => Response::Hang,
        4 | 5 => {
            answer();
            Response::Close
        }
        _ => answer(),
    }
}

/// Hands the checkpoints of a worker's store over to a witness and an authority.
pub(crate) fn dispatcher(arguments: &[String], store: &Arc<FileStorage>) -> Result<Dispatcher> {
    let [witness, authority] = arguments else { return failed("a witness and an authority") };
    let failure = |error: &dyn std::error::Error| Stop::Failed(chain(error));
    let http = HttpClient::new()?;
    let witness: Witness = witness.parse().map_err(|error| failure(&error))?;
    let store: Arc<dyn StorageBackend> = Arc::clone(store) as _;
    Ok(builder()
        .anchor(Witnesses::new(log_key(), [witness], 1, http.clone())?)
        .anchor_every(Duration::from_millis(200), TimestampAuthority::new(authority, http)?)
        .start(store)?)
}

fn builder() -> DispatcherBuilder {
    let millis = Duration::from_millis;
    Dispatcher::builder()
        .poll_interval(millis(5))
        .timeout(millis(1_000))
        .backoff(Backoff::new(millis(2), millis(50)))
}
