//! Shared by all measurements: runtime, folder, texts and store.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::args::Args;
use crate::peers::receivers::Receiver;
use crate::report::grouped;
use crate::stats::Figure;
use crate::store::Store;
use crate::workload::Workload;
use crate::{Result, remove};

/// The default rotation size.
const ROTATION: u64 = 100 << 20;

/// Segments of a store of ten million entries; smaller stores get as many.
const SEGMENTS: u64 = 50;

/// See the module.
pub(crate) struct Rig {
    runtime: Runtime,
    dir: PathBuf,
    pub(crate) workload: Arc<Workload>,
    pub(crate) rounds: usize,
    pub(crate) sizes: Vec<u64>,
    pub(crate) python: Option<(PathBuf, PathBuf)>,
    /// The `attestry` program.
    pub(crate) attestry: Option<PathBuf>,
    /// Other receivers of OTLP.
    pub(crate) receivers: Vec<Receiver>,
    /// Limits of the machine measured in this run, by name.
    limits: HashMap<&'static str, Figure>,
    store: Option<Store>,
}

impl Rig {
    /// Sets up with these arguments; the folder must exist.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let runtime = runtime()?;
        let default: &[u64] =
            if args.full { &[100_000, 1_000_000, 10_000_000] } else { &[20_000, 200_000] };
        let sizes = args.entries.clone().unwrap_or_else(|| default.to_vec());
        Ok(Self {
            runtime,
            dir: args.dir.clone(),
            workload: Workload::new(),
            rounds: usize::try_from(args.rounds)?,
            sizes,
            python: args.python.clone().zip(args.attestry.clone()),
            attestry: args.attestry.clone(),
            receivers: [
                args.phoenix.clone().map(Receiver::phoenix),
                args.mlflow.clone().map(Receiver::mlflow),
            ]
            .into_iter()
            .flatten()
            .collect(),
            limits: HashMap::new(),
            store: None,
        })
    }

    /// Records limits for later rows.
    pub(crate) fn set_limit(&mut self, name: &'static str, figure: Figure) {
        self.limits.insert(name, figure);
    }

    /// A limit, if measured in this run.
    pub(crate) fn limit(&self, name: &str) -> Option<&Figure> {
        self.limits.get(name)
    }

    /// The runtime.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A path in the folder of this run.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join("run").join(name)
    }

    /// Runs `work` on a thread of the runtime, as a service would.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = self.runtime.spawn(work);
        self.runtime.block_on(task)?
    }

    /// Entries in the common store.
    pub(crate) fn entries(&self) -> u64 {
        self.sizes.iter().copied().max().unwrap_or(200_000)
    }

    /// The common store. A small one has small segments, so that the number of segments is the same.
    pub(crate) fn store(&mut self) -> Result<&mut Store> {
        let entries = self.entries();
        self.store_of(entries, self.rotation_of(entries))
    }

    /// The rotation size of a store of this size.
    pub(crate) fn rotation_of(&self, entries: u64) -> u64 {
        match entries {
            9_000_000.. => ROTATION,
            _ => (entries * 500 / SEGMENTS).clamp(256 << 10, ROTATION),
        }
    }

    /// A store of this size with segments of the default size.
    pub(crate) fn plain_store(&mut self, entries: u64) -> Result<&mut Store> {
        self.store_of(entries, ROTATION)
    }

    /// Another such store in a folder of this name.
    pub(crate) fn another_store(&self, name: &str, entries: u64) -> Result<Store> {
        self.make_store(&self.path(name), entries, ROTATION)
    }

    fn make_store(&self, path: &Path, entries: u64, rotation: u64) -> Result<Store> {
        eprintln!("  making a store of {} entries", grouped(entries));
        let store = Store::make(path.to_path_buf(), entries, rotation, &self.workload)?;
        self.runtime.block_on(store.settle())?;
        Ok(store)
    }

    fn store_of(&mut self, entries: u64, rotation: u64) -> Result<&mut Store> {
        let fits = |store: &Store| store.entries == entries && store.rotation == rotation;
        if !self.store.as_ref().is_some_and(fits) {
            self.forget_store()?;
            let path = self.path("store");
            self.store = Some(self.make_store(&path, entries, rotation)?);
        }
        self.store.as_mut().ok_or_else(|| "there is no store".into())
    }

    /// Removes the common store; the next use creates a new one.
    pub(crate) fn forget_store(&mut self) -> Result<()> {
        match self.store.take() {
            Some(store) => remove(&store.path),
            None => Ok(()),
        }
    }

    /// An unused path in the folder of this run.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        remove(&path)?;
        Ok(path)
    }
}

/// The program `attestry` with a store, whatever the environment names.
pub(crate) fn on_store(attestry: &Path, store: &Path) -> Command {
    let mut command = Command::new(attestry);
    for name in ["ATTESTRY_STORE", "ATTESTRY_KEY", "ATTESTRY_KEY_FILE"] {
        command.env_remove(name);
    }
    command.arg("--store").arg(store);
    command
}

/// Two threads on every machine, so that figures are comparable.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
