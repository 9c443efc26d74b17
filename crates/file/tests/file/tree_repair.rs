//! A damaged tree, one that was mixed from two copies, and one that was merged with another store.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::evidence::{adopting, key, verify, with_evidence};
use crate::common::{self, all, entries, entry, folder};
use attestry_core::StorageBackend;
use attestry_evidence::SignedCheckpoint;
use attestry_file::{EvidenceError, FileStorage, FileStorageBuilder};

fn builder(path: &Path) -> FileStorageBuilder {
    with_evidence(FileStorage::builder(path).rotation_size_bytes(40_000))
}

/// A store of several segments with erased entries, and a checkpoint after each part of it.
async fn store(path: &Path) -> Vec<SignedCheckpoint> {
    let storage = builder(path).open().await.unwrap();
    let entries = entries(0..600);
    let mut checkpoints = Vec::new();
    for part in entries.chunks(150) {
        storage.append(part).await.unwrap();
        checkpoints.push(storage.checkpoint().await.unwrap());
        storage.delete(&part[7].id).await.unwrap();
    }
    // The first segments go as a whole.
    storage.delete_at_or_before(entries[130].timestamp).await.unwrap();
    storage.append(&common::entries(600..620)).await.unwrap();
    checkpoints.push(storage.checkpoint().await.unwrap());
    storage.append(&common::entries(620..640)).await.unwrap();
    storage.close().await.unwrap();
    checkpoints
}

fn tree(path: &Path) -> PathBuf {
    path.join(".attestry/tree")
}

fn flip_byte(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The store works, keeps its evidence, and all checkpoints still hold.
async fn assert_sound(path: &Path, checkpoints: &[SignedCheckpoint]) {
    let storage = builder(path).open().await.unwrap();
    storage.append(&[entry("next", 5_000)]).await.unwrap();
    storage.delete(&entry("e00601", 0).id).await.unwrap();
    storage.checkpoint().await.unwrap();
    let found = verify(&storage, checkpoints).await;
    assert!(found.is_clean(), "{:?}", found.problems);
    assert_eq!(found.not_covered, 0);
    assert_eq!(found.lines, all(&storage).await.unwrap().len() as u64);
    storage.close().await.unwrap();
}

/// Changes the folder of the tree.
type Damage = fn(&Path);

#[tokio::test]
async fn rebuilt_tree_matches_every_checkpoint() {
    let damages: [(&str, Damage); 9] = [
        ("no damage", |_| ()),
        ("upper level", |tree| flip_byte(&tree.join("tiles.1"), 3)),
        ("no upper level", |tree| fs::remove_file(tree.join("tiles.1")).unwrap()),
        ("places: garbage", |tree| fs::write(tree.join("places"), "garbage").unwrap()),
        ("places: gone", |tree| fs::remove_file(tree.join("places")).unwrap()),
        ("places: cut", |tree| {
            let places = fs::read(tree.join("places")).unwrap();
            fs::write(tree.join("places"), &places[..places.len() / 2]).unwrap();
        }),
        ("head: garbage", |tree| fs::write(tree.join("head"), "garbage").unwrap()),
        ("head: gone", |tree| fs::remove_file(tree.join("head")).unwrap()),
        ("erasures: garbage behind", |tree| {
            let mut erasures = fs::read(tree.join("erasures")).unwrap();
            erasures.extend_from_slice(b"garbage\n");
            fs::write(tree.join("erasures"), erasures).unwrap();
            fs::write(tree.join("head"), "garbage").unwrap();
        }),
    ];
    for (name, damage) in damages {
        let (_temporary, path) = folder();
        let checkpoints = store(&path).await;
        damage(&tree(&path));
        let rebuilt = builder(&path).rebuild_tree().await;
        let rebuilt = rebuilt.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(rebuilt.checkpoint.is_some_and(|size| size <= rebuilt.leaves), "{name}");
        assert_sound(&path, &checkpoints).await;
        // Again, of a tree that is sound.
        let again = builder(&path).rebuild_tree().await.unwrap();
        assert!(again.leaves > rebuilt.leaves, "{name}");
        assert_sound(&path, &checkpoints).await;
    }
}

#[tokio::test]
async fn rebuild_refuses_damaged_leaf_hashes() {
    let damages: [Damage; 2] = [
        |tree| flip_byte(&tree.join("tiles.0"), 77),
        |tree| {
            let hashes = fs::read(tree.join("tiles.0")).unwrap();
            fs::write(tree.join("tiles.0"), &hashes[..hashes.len() / 2]).unwrap();
        },
    ];
    for damage in damages {
        let (_temporary, path) = folder();
        store(&path).await;
        damage(&tree(&path));
        let before = fs::read(tree(&path).join("head")).unwrap();
        let error = builder(&path).rebuild_tree().await.unwrap_err();
        assert!(matches!(error, EvidenceError::Disagrees { .. } | EvidenceError::Damaged { .. }));
        assert!(fs::read(tree(&path).join("head")).unwrap() == before, "nothing is changed");
        // What is left: a new tree.
        let moved = builder(&path).set_tree_aside().await.unwrap();
        assert_eq!(moved.len(), 2);
        assert!(moved.iter().all(|path| path.is_dir()));
        let storage = adopting(FileStorage::builder(&path)).open().await.unwrap();
        storage.checkpoint().await.unwrap();
        let found = verify(&storage, &[]).await;
        assert!(found.is_clean(), "{:?}", found.problems);
        assert_eq!(found.adopted.unwrap().leaves, found.lines);
        storage.close().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_upper_level_is_repaired_before_signing() {
    let (_temporary, path) = folder();
    let checkpoints = store(&path).await;
    flip_byte(&tree(&path).join("tiles.1"), 3);
    assert_sound(&path, &checkpoints).await;
}

#[tokio::test]
async fn nothing_is_signed_beside_a_checkpoint_of_another_store() {
    let (_temporary, path) = folder();
    store(&path).await;
    let (_other, other) = folder();
    let storage = builder(&other).open().await.unwrap();
    storage.append(&common::entries(700..705)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    // As of an earlier day.
    let foreign =
        fs::read_dir(other.join(".attestry/checkpoints")).unwrap().next().unwrap().unwrap();
    let copied = path.join(".attestry/checkpoints/20200101");
    fs::copy(foreign.path(), &copied).unwrap();

    let storage = builder(&path).open().await.unwrap();
    storage.append(&[entry("next", 5_000)]).await.unwrap();
    let error = storage.checkpoint().await.unwrap_err();
    assert!(matches!(error, EvidenceError::OtherTree { size: 5, .. }), "{error}");
    for named in [&copied, &tree(&path)] {
        assert!(error.to_string().contains(named.to_str().unwrap()), "{error}");
    }
    // Once it is gone, signing goes on. Those of another key do not matter.
    let note = fs::read_to_string(&copied).unwrap().replace(key().name(), "example.com/other");
    fs::write(&copied, note).unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
}

/// A copy made by size and time, to the second, must not miss a changed head.
#[tokio::test]
async fn size_of_the_head_changes_when_it_is_persisted() {
    let (_temporary, path) = folder();
    let mut sizes = Vec::new();
    for number in 0..20 {
        let storage = builder(&path).open().await.unwrap();
        storage.append(&[entry(&format!("e{number}"), number)]).await.unwrap();
        storage.close().await.unwrap();
        sizes.push(fs::metadata(tree(&path).join("head")).unwrap().len());
    }
    assert!(sizes.windows(2).all(|pair| pair[0] != pair[1]), "{sizes:?}");
}
