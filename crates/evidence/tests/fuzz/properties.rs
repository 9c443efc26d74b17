//! What must hold of any text read in one of this crate's formats, and of any proof. The fuzz
//! targets of `rigs/fuzz/` look for bytes of which it does not; the tests here replay those that were
//! found, and the ones they started from.
//!
//! There is one small log, whose key nobody has signed anything else with: whatever is believed of
//! it must be true.
#![allow(clippy::missing_panics_doc)] // panicking is what a property is for

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::proof::{consistency, inclusion, verify_consistency, verify_inclusion};
use crate::{
    Checkpoint, ConsistencyProof, ErasureRecord, Hash, InclusionProof, LogKey, MemoryTiles, Policy,
    SigningKey, Tile, Tree, WitnessKey, leaf_hash,
};

/// How many leaves the log has. Some of its trees are whole, some ragged.
const LEAVES: u64 = 21;

/// The witness that has cosigned in the corpus: the key of the seed `[9; 32]`.
const WITNESS: &str = "example.com/witness+c1a50443+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";

struct Log {
    key: SigningKey,
    policy: Policy,
    tiles: MemoryTiles,
    leaves: Vec<Hash>,
    /// By the size of the tree.
    roots: Vec<Hash>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let key = SigningKey::from_seed("example.com/log", &[7; 32]).expect("the name is a good one");
    let witness = WITNESS.parse().expect("the key is a good one");
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

/// Reads `bytes` in every format there is. What is read is printed as it was; a signed note says
/// what was signed, and a proof proves what is so.
pub fn note(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    printed::<Checkpoint>(text);
    printed::<Hash>(text);
    printed::<Tile>(text);
    printed::<LogKey>(text);
    printed::<WitnessKey>(text);
    if let Ok(key) = text.parse::<SigningKey>() {
        assert_eq!(*key.expose_secret(), text);
    }
    if let Ok(record) = ErasureRecord::from_line(text) {
        assert_eq!(record.to_line(), text.strip_suffix('\n').unwrap_or(text));
        assert!(record.leaf() < record.end());
    }
    signed(text);
    if let Some(proof) = printed::<InclusionProof>(text) {
        included(&proof);
    }
    if let Some(proof) = printed::<ConsistencyProof>(text) {
        grown(&proof);
    }
}

fn printed<T: FromStr + Display>(text: &str) -> Option<T> {
    let read: T = text.parse().ok()?;
    assert_eq!(read.to_string(), text, "there is one text of it");
    Some(read)
}

/// The root of the log's tree of this size, if it ever had that.
fn root(size: u64) -> Option<Hash> {
    LOG.roots.get(usize::try_from(size).ok()?).copied()
}

fn signed(text: &str) {
    let policy = &LOG.policy;
    let opened = policy.open(text);
    if let Ok(opened) = &opened {
        let checkpoint = opened.checkpoint();
        assert_eq!(root(checkpoint.size()), Some(checkpoint.root()), "it was never signed");
        assert!(text.starts_with(&format!("{checkpoint}\n")));
    }
    // The lines behind the first signature, as if a witness had answered with them.
    let Some(note) = text.find("\n\n— ") else { return };
    let end = text[note + 2..].find('\n').map_or(text.len(), |end| note + 2 + end + 1);
    let (note, answer) = text.split_at(end);
    let Ok(all) = policy.add_cosignatures(note, answer) else { return };
    assert!(all.starts_with(note));
    if let Ok(before) = policy.open(note) {
        let after = policy.open(&all).expect("cosignatures take nothing away");
        assert_eq!(after.checkpoint(), before.checkpoint());
        assert!(after.cosignatures().starts_with(before.cosignatures()));
    }
}

fn included(proof: &InclusionProof) {
    for (number, leaf) in (0..).zip(&LOG.leaves) {
        if let Ok(opened) = proof.verify(*leaf, &LOG.policy) {
            assert_eq!(number, proof.index());
            assert!(proof.index() < opened.checkpoint().size());
        } else if number == proof.index() {
            return; // it holds for none
        }
    }
}

fn grown(proof: &ConsistencyProof) {
    let older = |root| Checkpoint::new("example.com/log", proof.old_size(), root);
    if let Ok(false_one) = older(leaf_hash(b"none of the log's")) {
        proof.verify(&false_one, &LOG.policy).expect_err("history was changed");
    }
    if let Some(Ok(older)) = root(proof.old_size()).map(older)
        && let Ok(newer) = proof.verify(&older, &LOG.policy)
    {
        assert!(older.size() <= newer.checkpoint().size());
    }
}

/// Makes a proof of `bytes`: three bytes say of which leaf, in which tree and grown out of which,
/// a fourth which leaf is to be proven by it, and each one more a hash of it. With none it is the
/// true one. Only the true one holds, and that for the true leaf.
pub fn proof(bytes: &[u8]) {
    anywhere(bytes);
    let Some((&[index, size, old, other], path)) = bytes.split_first_chunk() else { return };
    let Log { tiles, leaves, roots, .. } = &*LOG;
    let size = u64::from(size) % LEAVES + 1;
    let (index, old) = (u64::from(index) % size, u64::from(old) % (size + 1));
    let other = usize::from(other) % leaves.len();
    let at = |number: u64| usize::try_from(number).expect("a small number");
    let true_path = inclusion(index, size, &mut &*tiles).expect("it has the leaf");
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

    let true_path = consistency(old, size, &mut &*tiles).expect("it grew");
    let holds = |older, path: &[Hash]| verify_consistency(old, older, size, roots[at(size)], path);
    holds(roots[at(old)], &true_path).expect("the true path");
    let path_given = if path.is_empty() { true_path.clone() } else { chosen(&true_path) };
    let is_true = path_given == true_path && roots[other] == roots[at(old)];
    assert_eq!(holds(roots[other], &path_given).is_ok(), is_true);
}

/// Numbers and hashes of any kind lead to an answer.
fn anywhere(bytes: &[u8]) {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ed25519_dalek::Signer;

    use super::*;

    fn corpus(target: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rigs/fuzz/corpus").join(target)
    }

    fn holds_for_the_corpus_of(target: &str, property: fn(&[u8])) {
        let files = fs::read_dir(corpus(target)).unwrap().map(|item| item.unwrap().path());
        let inputs: Vec<_> = files.map(|path| fs::read(path).unwrap()).collect();
        assert!(inputs.len() > 8, "the corpus is in rigs/fuzz/corpus");
        for input in &inputs {
            (0..=input.len()).for_each(|cut| property(&input[..cut]));
        }
    }

    #[test]
    fn texts() {
        holds_for_the_corpus_of("note", note);
    }

    #[test]
    fn proofs() {
        holds_for_the_corpus_of("proof", proof);
    }

    fn cosigned(note: &str) -> String {
        let secret = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
        let key: WitnessKey = WITNESS.parse().unwrap();
        let (text, _) = note.split_once("\n\n").unwrap();
        let signed = format!("cosignature/v1\ntime 1769904000\n{text}\n");
        let id = WITNESS.split('+').nth(1).and_then(|id| u32::from_str_radix(id, 16).ok());
        let signature = secret.sign(signed.as_bytes()).to_bytes();
        let mut material = id.unwrap().to_be_bytes().to_vec();
        material.extend_from_slice(&1_769_904_000_u64.to_be_bytes());
        material.extend_from_slice(&signature);
        format!("{note}— {} {}\n", key.name(), STANDARD.encode(material))
    }

    /// The whole texts that the corpus begins with. What was found is added to them by hand.
    #[test]
    fn the_corpus_has_what_it_begins_with() {
        let at = |size: u64| LOG.key.sign(size, root(size).unwrap());
        let old = |old, new| consistency(old, new, &mut &LOG.tiles).unwrap();
        let path = |index, size| inclusion(index, size, &mut &LOG.tiles).unwrap();
        let inclusion = InclusionProof::new(5, path(5, 21), at(21));
        let record = ErasureRecord::new(
            2,
            3,
            ErasureRecord::range_hash(LOG.leaves[2..5].iter().copied()),
            "2026-01-28T09:15:00.000123".parse().unwrap(),
            "why\n\"so\" ✓",
            "who",
        );
        let texts = [
            ("checkpoint", Checkpoint::new("o", 21, root(21).unwrap()).unwrap().to_string()),
            ("checkpoint-with-extensions", format!("o\n21\n{}\none\nand two\n", root(21).unwrap())),
            ("signed-empty", at(0)),
            ("signed", at(21)),
            ("cosigned", cosigned(&at(21))),
            ("inclusion", inclusion.to_string()),
            ("inclusion-with-extra", inclusion.with_extra(b"more".to_vec()).to_string()),
            ("inclusion-of-one", InclusionProof::new(0, path(0, 1), at(1)).to_string()),
            ("growth", ConsistencyProof::new(6, old(6, 21), cosigned(&at(21))).to_string()),
            ("growth-from-nothing", ConsistencyProof::new(0, old(0, 21), at(21)).to_string()),
            ("erasure", record.unwrap().to_line()),
            ("tile", "tile/0/x001/x234/067.p/17".to_owned()),
            ("hash", root(21).unwrap().to_string()),
            ("key", LOG.key.public().to_string()),
            ("key-of-witness", WITNESS.to_owned()),
            ("key-secret", LOG.key.expose_secret().to_string()),
        ];
        for (name, text) in texts {
            let path = corpus("note").join(name);
            if std::env::var_os("ATTESTRY_WRITE_CORPUS").is_some() {
                fs::write(&path, &text).unwrap();
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
        }
        let opened = LOG.policy.open(&cosigned(&at(21))).unwrap();
        assert_eq!(opened.cosignatures().len(), 1, "the witness is a true one");
    }
}
