//! Properties of every text in a format of `attestry-evidence` and of every proof. The fuzz targets of
//! `rigs/fuzz/` search for counterexamples; the tests in `main.rs` replay the corpus.
//!
//! There is one small log, whose key has signed nothing else: every statement that verifies must be true.
#![allow(clippy::missing_panics_doc)] // a violated property panics

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use attestry_core::Timestamp;
use attestry_evidence::proof::{consistency, inclusion, verify_consistency, verify_inclusion};
use attestry_evidence::{
    Checkpoint, ConsistencyProof, Hash, InclusionProof, LogKey, LogKeys, MemoryTiles, Policy,
    Record, SignedCheckpoint, SignedRecord, SigningKey, Statement, Tile, Tree, WitnessKey,
    leaf_hash,
};

/// The number of leaves in the log. Some of its trees are complete, others not.
const LEAVES: u64 = 21;

/// The witness that cosigned in the corpus: the key of the seed `[9; 32]`.
pub const WITNESS: &str =
    "example.com/witness+c1a50443+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";

/// The log, its key and what its tree was at each size.
pub struct Log {
    /// The key of the log.
    pub key: SigningKey,
    /// Accepts the log's key, and cosignatures of [`WITNESS`].
    pub policy: Policy,
    /// The tiles of the whole log.
    pub tiles: MemoryTiles,
    /// The leaf hashes.
    pub leaves: Vec<Hash>,
    /// The roots, by the size of the tree.
    pub roots: Vec<Hash>,
}

/// The log of which proofs are made.
pub static LOG: LazyLock<Log> = LazyLock::new(|| {
    let key = SigningKey::from_seed("example.com/log", &[7; 32]).expect("the name is valid");
    let witness = WITNESS.parse().expect("the key is valid");
    let policy = Policy::new(key.public()).with_witnesses([witness], 0).expect("one of one");
    let leaves: Vec<Hash> = (0..LEAVES).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect();
    let mut tiles = MemoryTiles::new();
    let mut roots = vec![tiles.tree().root()];
    for leaf in &leaves {
        tiles.push(*leaf);
        roots.push(tiles.tree().root());
    }
    Log { key, policy, tiles, leaves, roots }
});

/// The one record that the key of the log has signed.
pub static RECORD: LazyLock<SignedRecord> = LazyLock::new(|| {
    let statement = Statement::Adopted { leaves: 5, at: Timestamp::UNIX_EPOCH };
    SignedRecord::sign("example.com/log", &statement, &[&LOG.key]).expect("the statement is valid")
});

/// Parses `bytes` in every format. What parses prints as the same text; a note that opens states what
/// was signed, and a proof that verifies is true.
pub fn note(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    round_trips::<Checkpoint>(text);
    round_trips::<SignedCheckpoint>(text);
    round_trips::<Hash>(text);
    round_trips::<Tile>(text);
    round_trips::<LogKey>(text);
    round_trips::<WitnessKey>(text);
    if let Ok(key) = text.parse::<SigningKey>() {
        assert_eq!(*key.expose_secret(), text);
    }
    if let Ok(record) = Record::from_line(text) {
        assert_eq!(record.to_line(), text.strip_suffix('\n').unwrap_or(text));
        assert!(record.erasure().is_none_or(|erasure| erasure.leaf() < erasure.end()));
    }
    if let Ok(record) = SignedRecord::from_note(text) {
        assert_eq!(record.note(), text);
        assert!(!record.signers().is_empty());
        let authentic = LogKeys::new(LOG.key.public()).check(7, &record).is_ok();
        assert!(!authentic || record.statement() == RECORD.statement());
    }
    opens_only_what_was_signed(text);
    if let Some(proof) = round_trips::<InclusionProof>(text) {
        includes_only_the_leaf(&proof);
    }
    if let Some(proof) = round_trips::<ConsistencyProof>(text) {
        extends_only_true_checkpoints(&proof);
    }
}

fn round_trips<T: FromStr + Display>(text: &str) -> Option<T> {
    let read: T = text.parse().ok()?;
    assert_eq!(read.to_string(), text, "the text is not canonical");
    Some(read)
}

/// The root of the log's tree of this size, if it had that size.
#[must_use]
pub fn root(size: u64) -> Option<Hash> {
    LOG.roots.get(usize::try_from(size).ok()?).copied()
}

fn opens_only_what_was_signed(text: &str) {
    let policy = &LOG.policy;
    let opened = policy.open(text);
    if let Ok(opened) = &opened {
        let checkpoint = opened.checkpoint();
        assert_eq!(root(checkpoint.size()), Some(checkpoint.root()), "this was never signed");
        assert!(text.starts_with(&format!("{checkpoint}\n")));
    }
    // Treats the lines after the first signature as the response of a witness.
    let Some(note) = text.find("\n\n— ") else { return };
    let end = text[note + 2..].find('\n').map_or(text.len(), |end| note + 2 + end + 1);
    let (note, response) = text.split_at(end);
    let Ok(all) = policy.add_cosignatures(note, response) else { return };
    assert!(all.as_str().starts_with(note));
    if let Ok(before) = policy.open(note) {
        let after = policy.open(&all).expect("cosignatures are only added");
        assert_eq!(after.checkpoint(), before.checkpoint());
        assert!(after.cosignatures().starts_with(before.cosignatures()));
    }
}

fn includes_only_the_leaf(proof: &InclusionProof) {
    for (number, leaf) in (0..).zip(&LOG.leaves) {
        if let Ok(opened) = proof.verify(*leaf, &LOG.policy) {
            assert_eq!(number, proof.index());
            assert!(proof.index() < opened.checkpoint().size());
        } else if number == proof.index() {
            return; // the proof is valid for no leaf
        }
    }
}

fn extends_only_true_checkpoints(proof: &ConsistencyProof) {
    let older = |root| Checkpoint::new("example.com/log", proof.old_size(), root);
    if let Ok(forged) = older(leaf_hash(b"not in the log")) {
        proof.verify(&forged, &LOG.policy).expect_err("history was changed");
    }
    if let Some(Ok(older)) = root(proof.old_size()).map(older)
        && let Ok(newer) = proof.verify(&older, &LOG.policy)
    {
        assert!(older.size() <= newer.checkpoint().size());
    }
}

/// Makes a proof of `bytes`: the leaf, the size, the older size, another leaf, and a hash per further byte;
/// without further bytes, the true proof. Only the true proof verifies, and only for the true leaf.
pub fn proof(bytes: &[u8]) {
    never_panics(bytes);
    let Some((&[index, size, old, other], path)) = bytes.split_first_chunk() else { return };
    let Log { tiles, leaves, roots, .. } = &*LOG;
    let size = u64::from(size) % LEAVES + 1;
    let (index, old) = (u64::from(index) % size, u64::from(old) % (size + 1));
    let other = usize::from(other) % leaves.len();
    let at = |number: u64| usize::try_from(number).expect("a small number");
    let true_path = inclusion(index, size, &mut &*tiles).expect("the log has the leaf");
    let chosen = |true_path: &[Hash]| -> Vec<Hash> {
        let known: Vec<Hash> = true_path.iter().chain(leaves).chain(roots).copied().collect();
        path.iter().map(|&byte| known[usize::from(byte) % known.len()]).collect()
    };

    let leaf = leaves[at(index)];
    let holds = |leaf, path: &[Hash]| verify_inclusion(leaf, index, size, path, roots[at(size)]);
    holds(leaf, &true_path).expect("the true path");
    let path_given = if path.is_empty() { true_path.clone() } else { chosen(&true_path) };
    let is_true = path_given == true_path && leaves[other] == leaf;
    assert_eq!(holds(leaves[other], &path_given).is_ok(), is_true);

    let true_path = consistency(old, size, &mut &*tiles).expect("the log grew");
    let holds = |older, path: &[Hash]| verify_consistency(old, older, size, roots[at(size)], path);
    holds(roots[at(old)], &true_path).expect("the true path");
    let path_given = if path.is_empty() { true_path.clone() } else { chosen(&true_path) };
    let is_true = path_given == true_path && roots[other] == roots[at(old)];
    assert_eq!(holds(roots[other], &path_given).is_ok(), is_true);
}

/// Arbitrary numbers and hashes give a result.
fn never_panics(bytes: &[u8]) {
    let Some((numbers, rest)) = bytes.split_first_chunk::<16>() else { return };
    let (index, size) = numbers.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let (index, size) = (number(index), number(size));
    let path: Vec<Hash> = rest.as_chunks().0.iter().map(|hash| Hash::from_bytes(*hash)).collect();
    let root = LOG.tiles.tree().root();
    let _ = verify_inclusion(leaf_hash(b""), index, size, &path, root);
    let _ = verify_consistency(index, root, size, root, &path);
    let size = size.min(Tree::MAX_SIZE);
    if let Some(tile) = Tile::holding((index % 9) as u8, index, size) {
        assert_eq!(tile.to_string().parse(), Ok(tile));
    }
}
