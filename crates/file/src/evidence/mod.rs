//! The public API of the feature `evidence`: methods of the store, and of its builder.

mod builder;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use attestry_core::{EntryId, StorageError};
use attestry_evidence::{
    ConsistencyProof, Hash, LogKey, OpenedCheckpoint, Policy, SignedCheckpoint, SigningKey, Tile,
};

use crate::fs::layout::Folder;
use crate::observer::EraseReason;
use crate::storage::FileStorage;
use crate::tree::{
    AnchorRecord, CheckpointReader, Comparison, EntryProof, Erasures, EvidenceError,
    RecordedErasure, StoredTimestamp, TileExport, TreeObserver, Verification, VerifyOptions,
    anchor_records, compare, erasures, prove, read_tile, tile_export, timestamps, verify,
};
use crate::writer::Job;

/// With the feature `evidence`.
impl FileStorage {
    /// Signs a checkpoint of all acknowledged entries, or returns the latest one if the tree has not
    /// grown since. Keep the returned signed note outside the store.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NoSigningKey`], [`EvidenceError::NotBegun`]; [`EvidenceError::Disagrees`] if the tree
    /// contradicts an earlier checkpoint, [`EvidenceError::NotAnExtension`] or
    /// [`EvidenceError::NotRemembered`] if it is not what the signer remembers;
    /// [`EvidenceError::UnsignedRecord`] or [`EvidenceError::ForgedRecord`] if entries were erased without a
    /// key; [`EvidenceError::KeyNotInForce`]; [`EvidenceError::Storage`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel the request.
    pub async fn checkpoint(&self) -> Result<SignedCheckpoint, EvidenceError> {
        self.with_tree(TreeObserver::checkpoint).await
    }

    /// Authorises `key` to sign erasures of this log, from now on until it is [ended](Self::end_key): a signed
    /// record in the tree. Returns a checkpoint that covers it.
    ///
    /// # Errors
    ///
    /// Those of [`checkpoint`](Self::checkpoint).
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel the request.
    pub async fn authorize_erasure_key(
        &self,
        key: LogKey,
    ) -> Result<SignedCheckpoint, EvidenceError> {
        self.with_tree(move |tree| tree.authorize_erasure_key(key)).await
    }

    /// Replaces the key that signs the log by `new`, which has the same name: a record in the tree that both
    /// keys sign. Returns the first checkpoint of the new key. This store signs with it from now on; other
    /// processes must be restarted with it.
    ///
    /// Verifiers that know one of the keys follow that record to the other.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::OtherOrigin`] if the names differ; those of [`checkpoint`](Self::checkpoint).
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel the request.
    pub async fn replace_key(&self, new: SigningKey) -> Result<SignedCheckpoint, EvidenceError> {
        self.with_tree(move |tree| tree.replace_key(&new)).await
    }

    /// States that signatures of `key` count up to a tree of `size` leaves only, by default up to now: of a
    /// former key of the log that was compromised, or of an erasure key. The key of this store cannot end
    /// itself; [replace](Self::replace_key) it first. Returns a checkpoint that covers the record.
    ///
    /// # Errors
    ///
    /// Those of [`checkpoint`](Self::checkpoint); [`EvidenceError::Statement`] if a text is longer than 1,024
    /// bytes.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel the request.
    pub async fn end_key(
        &self,
        key: LogKey,
        size: Option<u64>,
        reason: &str,
        by: &str,
    ) -> Result<SignedCheckpoint, EvidenceError> {
        let why = (reason.to_owned(), by.to_owned());
        self.with_tree(move |tree| tree.end_key(key, size, why)).await
    }

    /// Signs the tree although it contradicts what the signer remembers, or has records that are not
    /// authentic. The reason becomes a signed record in the tree. Compare the tree with checkpoints that were
    /// kept elsewhere first: they stay contradicted.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Disagrees`] if the tree contradicts a stored checkpoint; the others of
    /// [`checkpoint`](Self::checkpoint).
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel the request.
    pub async fn accept_tree(
        &self,
        reason: &str,
        by: &str,
    ) -> Result<SignedCheckpoint, EvidenceError> {
        let why = (reason.to_owned(), by.to_owned());
        self.with_tree(move |tree| tree.accept(why)).await
    }

    /// The latest checkpoint, signed by this or another process. Signs nothing.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`], [`EvidenceError::Storage`].
    pub async fn latest_checkpoint(&self) -> Result<Option<SignedCheckpoint>, EvidenceError> {
        self.read_blocking(|catalog| prove::latest_checkpoint(catalog.folder())).await
    }

    /// Stores a checkpoint of this store with the cosignatures of witnesses. It must satisfy `policy`, and
    /// its tree must be a prefix of the store's.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Checkpoint`] if the policy is not satisfied, [`EvidenceError::Disagrees`] if it is
    /// of another tree, [`EvidenceError::Storage`]. Nothing is stored then.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel the request.
    pub async fn store_cosigned_checkpoint(
        &self,
        checkpoint: &SignedCheckpoint,
        policy: Policy,
    ) -> Result<(), EvidenceError> {
        let checkpoint = checkpoint.clone();
        self.with_tree(move |tree| tree.store_cosigned(&checkpoint, &policy)).await
    }

    /// The line of an entry with the proof that it is in the log; `None` if no entry has this id. The
    /// proof ends in the latest checkpoint, or in a cosigned one if one covers the entry.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotSigned`] if no checkpoint covers it yet, [`EvidenceError::NotInTree`],
    /// [`EvidenceError::Disagrees`], [`EvidenceError::Storage`].
    pub async fn inclusion_proof(&self, id: &EntryId) -> Result<Option<EntryProof>, EvidenceError> {
        self.inclusion_proofs(std::slice::from_ref(id)).await?.pop().unwrap_or(Ok(None))
    }

    /// [`inclusion_proof`](Self::inclusion_proof) for several ids, in their order, reading the tree once.
    ///
    /// # Errors
    ///
    /// For each id as [`inclusion_proof`](Self::inclusion_proof). For all of them,
    /// [`EvidenceError::NotKept`], [`EvidenceError::Damaged`] or [`EvidenceError::Storage`].
    pub async fn inclusion_proofs(
        &self,
        ids: &[EntryId],
    ) -> Result<Vec<Result<Option<EntryProof>, EvidenceError>>, EvidenceError> {
        let ids = ids.to_vec();
        self.read_blocking(move |catalog| prove::inclusion(catalog, &ids)).await
    }

    /// The proof that the log has only grown since `older`.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Disagrees`] if it has not, [`EvidenceError::NoCheckpoint`],
    /// [`EvidenceError::Storage`].
    pub async fn consistency_proof(
        &self,
        older: &OpenedCheckpoint,
    ) -> Result<ConsistencyProof, EvidenceError> {
        let older = older.clone();
        self.read_blocking(move |catalog| prove::consistency(catalog.folder(), &older)).await
    }

    /// The proof that `checkpoint`, a signed one of this store, extends the tree of its first `old` leaves:
    /// what a witness that has cosigned `old` leaves asks for.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Disagrees`] if the tree is smaller than `old` or `checkpoint`, or does not match
    /// it; [`EvidenceError::Storage`].
    pub async fn growth_proof(
        &self,
        old: u64,
        checkpoint: &SignedCheckpoint,
    ) -> Result<ConsistencyProof, EvidenceError> {
        let checkpoint = checkpoint.clone();
        self.read_blocking(move |catalog| prove::growth(catalog.folder(), old, &checkpoint)).await
    }

    /// Reads the latest checkpoint again and again, at the cost of listing a folder.
    #[must_use]
    pub fn checkpoint_reader(&self) -> CheckpointReader {
        CheckpointReader::new(self.catalog.folder())
    }

    /// The records of what was handed over to anchors, by any process, in the order of their names. A
    /// writer to the folder can change them.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Storage`].
    pub async fn anchor_records(&self) -> Result<Vec<AnchorRecord>, EvidenceError> {
        self.read_blocking(|catalog| anchor_records::read_all(catalog.folder())).await
    }

    /// Replaces the record of an anchor. A newer checkpoint in the stored record stays.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Storage`], also if the store was opened read-only.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel it.
    pub async fn store_anchor_record(&self, record: &AnchorRecord) -> Result<(), EvidenceError> {
        self.writer()?;
        let record = record.clone();
        self.read_blocking(move |catalog| anchor_records::write(catalog.folder(), record)).await
    }

    /// Stores the reply of a timestamp authority (RFC 3161) to `checkpoint` beside it, and returns its
    /// path. `authority` becomes part of the file name. Nothing is verified.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Storage`], also if the store was opened read-only.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel it.
    pub async fn store_timestamp(
        &self,
        checkpoint: &SignedCheckpoint,
        authority: &str,
        reply: &[u8],
    ) -> Result<PathBuf, EvidenceError> {
        self.writer()?;
        let (checkpoint, authority) = (checkpoint.clone(), authority.to_owned());
        let reply = reply.to_vec();
        let write =
            move |folder: &Folder| timestamps::write(folder, &checkpoint, &authority, &reply);
        self.read_blocking(move |catalog| write(catalog.folder())).await
    }

    /// The files with replies of timestamp authorities, in the order of the sizes of their checkpoints.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Storage`].
    pub async fn timestamps(&self) -> Result<Vec<PathBuf>, EvidenceError> {
        self.read_blocking(|catalog| timestamps::list(catalog.folder())).await
    }

    /// A timestamp from a file of [`timestamps`](Self::timestamps). Nothing of it is verified.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Damaged`] if the file is longer than 1 MiB or no checkpoint is beside it;
    /// [`EvidenceError::Storage`].
    pub async fn read_timestamp(&self, path: &Path) -> Result<StoredTimestamp, EvidenceError> {
        let path = path.to_path_buf();
        self.read_blocking(move |_| timestamps::read(path)).await
    }

    /// Writes the latest checkpoint and the tiles of its tree to `folder` in the layout of C2SP tlog-tiles
    /// (`checkpoint`, `tile/0/x001/234`, `tile/0/x001/235.p/17`), so that any static web server can serve
    /// them to clients of that format. A later call adds what is new. A client that reads meanwhile finds
    /// all tiles of the checkpoint that it read. Partial tiles are removed when their full tile is there.
    ///
    /// The tiles consist of hashes; entry bundles, which would publish the entries, are not written.
    ///
    /// ```
    /// # async fn example(store: attestry_file::FileStorage) -> Result<(), Box<dyn std::error::Error>> {
    /// let export = store.export_tiles("/var/www/audit").await?;
    /// println!("{} of {} leaves are new", export.leaves - export.leaves_before, export.leaves);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NoCheckpoint`]; [`EvidenceError::OtherTree`] if the checkpoint in `folder` is not an
    /// earlier one of this log; [`EvidenceError::Disagrees`] or [`EvidenceError::Damaged`] if the stored
    /// hashes do not match the latest checkpoint; [`EvidenceError::Storage`]. The checkpoint in `folder` is
    /// unchanged then.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel it.
    pub async fn export_tiles(
        &self,
        folder: impl AsRef<Path>,
    ) -> Result<TileExport, EvidenceError> {
        let to = folder.as_ref().to_path_buf();
        self.read_blocking(move |catalog| tile_export::export(catalog.folder(), &to)).await
    }

    /// A tile of the Merkle tree, as C2SP tlog-tiles has it: its hashes, 32 bytes each. `None` if the tree has not
    /// so many leaves yet.
    ///
    /// ```
    /// # async fn example(store: attestry_file::FileStorage) -> Result<(), Box<dyn std::error::Error>> {
    /// let tile = store.read_tile("tile/0/000.p/17".parse()?).await?;
    /// assert!(tile.is_none_or(|hashes| hashes.len() == 17 * 32));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`], [`EvidenceError::Damaged`], [`EvidenceError::Storage`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn read_tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, EvidenceError> {
        self.read_blocking(move |catalog| read_tile::read_tile(catalog.folder(), tile)).await
    }

    /// How two checkpoints of this log relate, by the leaf hashes of the store: has the log grown from the
    /// smaller to the greater, or was it forked? Both must satisfy `policy`.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Checkpoint`] if one does not; [`EvidenceError::NotKept`],
    /// [`EvidenceError::Damaged`], [`EvidenceError::Storage`].
    pub async fn compare(
        &self,
        one: &SignedCheckpoint,
        other: &SignedCheckpoint,
        policy: Policy,
    ) -> Result<Comparison, EvidenceError> {
        let (one, other) = (policy.open(one)?, policy.open(other)?);
        self.read_blocking(move |catalog| {
            compare::compare(catalog.folder(), one.checkpoint(), other.checkpoint(), &policy)
        })
        .await
    }

    /// Compares the whole store with what was logged, and reports every difference. Runs beside writers;
    /// if there are problems, it verifies once more with writers locked out.
    ///
    /// Without a checkpoint, the tree itself is trusted. Verification proves something only against one:
    /// a stored checkpoint, with the key in the [policy](VerifyOptions::policy), or better one that was
    /// kept outside the store ([`VerifyOptions::against`]).
    ///
    /// Memory is bounded except for erasure records (about 300 bytes each), checkpoints (about 150 bytes
    /// each), and the leaf hashes of segments that were tampered with.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`], [`EvidenceError::Damaged`] if the tree cannot be read,
    /// [`EvidenceError::Storage`]. Differences are not errors but
    /// [problems](Verification::problems).
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not stop the verification.
    pub async fn verify(&self, options: VerifyOptions) -> Result<Verification, EvidenceError> {
        self.read_blocking(move |catalog| verify::run(catalog.folder(), &options)).await
    }

    /// Which of `lines` are on record as erased: lines that a caller kept, such as an export, given by
    /// their [`line_hash`](attestry_evidence::line_hash).
    ///
    /// ```
    /// # use std::collections::HashSet;
    /// # use attestry_evidence::line_hash;
    /// # async fn example(store: attestry_file::FileStorage, exported: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let lines: HashSet<_> =
    ///     exported.lines().map(|line| line_hash(line.as_bytes())).collect::<Result<_, _>>()?;
    /// for erasure in store.erasures_of(lines).await?.found.values() {
    ///     println!("erased at {} by {}: {}", erasure.at, erasure.by, erasure.reason);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`], [`EvidenceError::Damaged`] if the tree cannot be read,
    /// [`EvidenceError::Storage`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn erasures_of(&self, lines: HashSet<Hash>) -> Result<Erasures, EvidenceError> {
        self.read_blocking(move |catalog| erasures::of(catalog.folder(), &lines)).await
    }

    /// All erasure records, in the order of the tree. With a policy, their signatures are verified, by its
    /// key and those that the records of the log lead to. Whether the records are in the tree, and fit what is
    /// gone, is for [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`], [`EvidenceError::Damaged`], [`EvidenceError::Storage`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn erasure_records(
        &self,
        policy: Option<Policy>,
    ) -> Result<Vec<RecordedErasure>, EvidenceError> {
        Ok(self.newest_erasure_records(policy, usize::MAX).await?.0)
    }

    /// The last `limit` erasure records, in the order of the tree, and the number of all of them. No other signatures are
    /// verified; see [`erasure_records`](Self::erasure_records).
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`], [`EvidenceError::Damaged`], [`EvidenceError::Storage`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn newest_erasure_records(
        &self,
        policy: Option<Policy>,
        limit: usize,
    ) -> Result<(Vec<RecordedErasure>, usize), EvidenceError> {
        self.read_blocking(move |catalog| {
            erasures::newest(catalog.folder(), policy.as_ref(), limit)
        })
        .await
    }

    /// Deletes an entry like [`delete`](attestry_core::StorageBackend::delete), with the reason and the
    /// name that the erasure record states.
    ///
    /// # Errors
    ///
    /// [`StorageError`], also if a text is longer than 1,024 bytes.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel the deletion.
    pub async fn delete_because(
        &self,
        id: &EntryId,
        reason: &str,
        by: &str,
    ) -> Result<bool, StorageError> {
        self.delete_with_reason(id, EraseReason::new(reason.to_owned(), by.to_owned())?).await
    }

    /// Runs `request` on the writer thread, with the store lock held and all appended lines synced.
    async fn with_tree<T: Send + 'static>(
        &self,
        request: impl FnOnce(&mut TreeObserver) -> Result<T, EvidenceError> + Send + 'static,
    ) -> Result<T, EvidenceError> {
        let path = self.path().to_path_buf();
        let job = |responder: tokio::sync::oneshot::Sender<_>| {
            Job::observer(move |observer| {
                let tree = observer.map(TreeObserver::from_any).map_err(EvidenceError::from);
                let tree = tree.and_then(|tree| tree.ok_or(EvidenceError::NotKept { path }));
                drop(responder.send(tree.and_then(request)));
            })
        };
        self.writer()?.submit(job).await
    }
}
