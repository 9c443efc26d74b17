//! What lawfully differs between tree and segments is no problem, and what does not is called by its name: lines
//! of the Python package, files that were renamed, lines that were moved, and copies taken while the store was
//! written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::evidence::{key, policy, with_evidence};
use crate::common::{entries, entry, folder, line_of, names, open_read_only, segments_in_order};
use attestry_core::{ErrorChain, StorageBackend};
use attestry_evidence::SigningKey;
use attestry_file::{
    EvidenceOptions, FileStorage, ObservationKind, ProblemKind, Verification, VerifyOptions,
};

async fn verify(path: &Path) -> Verification {
    open_read_only(path).await.verify(VerifyOptions::new().policy(policy())).await.unwrap()
}

#[track_caller]
fn kinds(found: &Verification) -> Vec<ProblemKind> {
    found.problems.iter().map(|problem| problem.kind).collect()
}

/// A closed store of several segments with this number of entries and a checkpoint.
async fn store(count: i64) -> (tempfile::TempDir, PathBuf) {
    let (guard, path) = folder();
    let builder = with_evidence(FileStorage::builder(&path).rotation_size_bytes(1_400));
    let storage = builder.open().await.unwrap();
    storage.append(&entries(0..count)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    (guard, path)
}

fn append(path: &Path, ids: std::ops::Range<i64>) {
    let mut content = fs::read(path).unwrap_or_default();
    entries(ids).iter().for_each(|entry| content.extend(line_of(entry)));
    fs::write(path, content).unwrap();
}

/// What the Python package does when its file is full.
fn rotate(path: &Path) {
    let active = segments_in_order(path).pop().unwrap();
    let day = active.file_name().unwrap().to_str().unwrap()[6..14].to_owned();
    let number = (1..).find(|number| !path.join(format!("audit_{day}_{number:03}.jsonl")).exists());
    fs::rename(&active, path.join(format!("audit_{day}_{:03}.jsonl", number.unwrap()))).unwrap();
    append(&active, 0..0);
}

/// On a copy that is never opened for writing.
#[tokio::test]
async fn lines_of_the_python_package_are_not_covered() {
    for rotations in 0..4 {
        let (_guard, path) = store(8).await;
        let active = segments_in_order(&path).pop().unwrap();
        let mut expected = 0;
        for rotation in 0..rotations {
            // Before and after it, and not at all.
            append(&active, 100 + rotation * 10..100 + rotation * 10 + rotation);
            expected += rotation as u64;
            rotate(&path);
        }
        append(&active, 200..203);
        append(&path.join("audit_29990101.jsonl"), 300..302);
        append(&path.join("audit_29990102_001.jsonl"), 400..401);
        let found = verify(&path).await;
        assert!(found.is_clean(), "{rotations} rotations: {:#?}", found.problems);
        assert_eq!((found.lines, found.not_covered), (8, expected + 6), "{rotations}");
        assert_eq!(found.observed(ObservationKind::NotCovered), expected + 6);
        assert_eq!(found.observed(ObservationKind::CopiedWhileWriting), 0);
        // The next opening adds them.
        with_evidence(FileStorage::builder(&path)).open().await.unwrap().close().await.unwrap();
        let found = verify(&path).await;
        assert!(found.is_clean(), "{:#?}", found.problems);
        assert_eq!((found.lines, found.not_covered), (8 + expected + 6, 0));
    }
}

/// The package writes to the file of today only.
#[tokio::test]
async fn lines_in_an_older_file_are_inserted() {
    let (_guard, path) = store(8).await;
    append(&path.join("audit_20200101.jsonl"), 100..102);
    let sealed = segments_in_order(&path).remove(0);
    append(&sealed, 200..201);
    let found = verify(&path).await;
    assert_eq!(kinds(&found), [ProblemKind::Inserted; 3], "{:#?}", found.problems);
    assert_eq!(found.not_covered, 0);
}

#[tokio::test]
async fn renamed_segment_is_called_renamed() {
    let (_guard, path) = store(12).await;
    let segments = segments_in_order(&path);
    assert!(segments.len() >= 4, "{:?}", names(&segments));
    for (from, to) in [
        (&segments[0], path.join("audit_20200101.jsonl")),
        (&segments[1], path.join("audit_20200101_007.jsonl")),
        (&segments[1], path.join("audit_29990101.jsonl")),
        (&segments[segments.len() - 1], path.join("audit_29990101_001.jsonl")),
    ] {
        fs::rename(from, &to).unwrap();
        let found = verify(&path).await;
        assert_eq!(kinds(&found), [ProblemKind::Renamed], "{:#?}", found.problems);
        let problem = &found.problems[0];
        assert_eq!(problem.path.as_ref(), Some(&to));
        assert!(
            problem.reason.contains(names(std::slice::from_ref(from))[0].as_str()),
            "{problem}"
        );
        assert_eq!(found.lines, 12);
        fs::rename(&to, from).unwrap();
    }
    // Two that have changed their names.
    let other = path.join("other");
    fs::rename(&segments[0], &other).unwrap();
    fs::rename(&segments[1], &segments[0]).unwrap();
    fs::rename(&other, &segments[1]).unwrap();
    let found = verify(&path).await;
    assert_eq!(kinds(&found), [ProblemKind::Renamed; 2], "{:#?}", found.problems);
}

#[tokio::test]
async fn line_in_another_segment_is_called_moved() {
    let (_guard, path) = store(12).await;
    let segments = segments_in_order(&path);
    let read = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    };
    let (first, second) = (read(&segments[0]), read(&segments[1]));
    // From the middle of one to the middle and to the end of another.
    for at in [1, second.len()] {
        let (mut from, mut to) = (first.clone(), second.clone());
        let line = from.remove(1);
        to.insert(at, line);
        fs::write(&segments[0], from.concat()).unwrap();
        fs::write(&segments[1], to.concat()).unwrap();
        let found = verify(&path).await;
        assert_eq!(kinds(&found), [ProblemKind::Moved], "{:#?}", found.problems);
        let problem = &found.problems[0];
        assert_eq!((problem.path.as_ref(), problem.leaf), (Some(&segments[1]), Some(1)));
        assert_eq!(problem.id.as_deref(), Some("e00001"));
    }
    // Two lines that have changed places.
    let (mut one, mut other) = (first.clone(), second.clone());
    std::mem::swap(&mut one[1], &mut other[1]);
    fs::write(&segments[0], one.concat()).unwrap();
    fs::write(&segments[1], other.concat()).unwrap();
    let found = verify(&path).await;
    assert_eq!(kinds(&found), [ProblemKind::Moved; 2], "{:#?}", found.problems);
    // One that is lost is altered.
    let mut other = second.clone();
    other[1] = first[1].clone();
    fs::write(&segments[0], first.concat()).unwrap();
    fs::write(&segments[1], other.concat()).unwrap();
    let found = verify(&path).await;
    assert_eq!(kinds(&found), [ProblemKind::Altered], "{:#?}", found.problems);
    // One that is lost, and the line in its place is missing in its own.
    let mut from = first.clone();
    from.remove(1);
    fs::write(&segments[0], from.concat()).unwrap();
    let found = verify(&path).await;
    let mut kinds = kinds(&found);
    kinds.sort_unstable_by_key(|kind| format!("{kind:?}"));
    assert_eq!(kinds, [ProblemKind::Altered, ProblemKind::Missing], "{:#?}", found.problems);
}

/// Copies the files of `.attestry`, or of one of its folders, or the segments, as `cp -a` does.
fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(from.join(&folder)).unwrap() {
            let name = folder.join(item.unwrap().file_name());
            if from.join(&name).is_dir() {
                folders.push(name);
            } else if wanted(name.to_str().unwrap()) {
                fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
                fs::copy(from.join(&name), to.join(&name)).unwrap();
            }
        }
    }
}

fn is_private(name: &str) -> bool {
    name.starts_with(".attestry")
}

/// What happens between the two halves of a copy.
async fn go_on(path: &Path, count: i64) {
    let builder = with_evidence(FileStorage::builder(path).rotation_size_bytes(1_500));
    let storage = builder.open().await.unwrap();
    storage.append(&entries(500..500 + count)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
}

#[tokio::test]
async fn copy_of_the_private_files_first_verifies() {
    for count in 1..8 {
        let (guard, path) = store(8).await;
        let to = guard.path().join("copy");
        copy(&path, &to, is_private);
        go_on(&path, count).await;
        copy(&path, &to, |name| !is_private(name));
        let found = verify(&to).await;
        assert!(found.is_clean(), "{count}: {:#?}", found.problems);
        assert_eq!((found.lines, found.not_covered), (8, count as u64));
        with_evidence(FileStorage::builder(&to)).open().await.unwrap().close().await.unwrap();
        let found = verify(&to).await;
        assert!(found.is_clean() && found.lines == 8 + count as u64, "{:#?}", found.problems);
    }
}

/// The lines of later checkpoints are in the segments, and prove that the tree is only older.
#[tokio::test]
async fn copy_with_checkpoints_after_the_tree_verifies_and_says_so() {
    for count in 1..8 {
        let (guard, path) = store(8).await;
        let to = guard.path().join("copy");
        copy(&path, &to, |name| name.starts_with(".attestry/tree"));
        go_on(&path, count).await;
        copy(&path, &to, |name| !name.starts_with(".attestry/tree"));
        let found = verify(&to).await;
        assert!(found.is_clean(), "{count}: {:#?}", found.problems);
        assert_eq!(found.observed(ObservationKind::CopiedWhileWriting), 1);
        // Not if a line differs that the checkpoint covers.
        let last = segments_in_order(&to).pop().unwrap();
        let text = fs::read_to_string(&last).unwrap().replacen("e0050", "e0059", 1);
        fs::write(&last, text).unwrap();
        let found = verify(&to).await;
        assert_eq!(kinds(&found), [ProblemKind::Checkpoint], "{count}: {:#?}", found.problems);
        assert!(found.problems[0].reason.contains("a copy that was taken while"), "{found:?}");
    }
}

#[tokio::test]
async fn copy_of_the_segments_first_names_itself() {
    for count in 1..8 {
        let (guard, path) = store(8).await;
        let to = guard.path().join("copy");
        copy(&path, &to, |name| !is_private(name));
        go_on(&path, count).await;
        copy(&path, &to, is_private);
        let found = verify(&to).await;
        assert!(!found.is_clean());
        for problem in &found.problems {
            assert_eq!(problem.kind, ProblemKind::Missing, "{count}: {:#?}", found.problems);
            assert!(problem.reason.contains("a copy that was taken while"), "{count}: {problem}");
        }
        assert_eq!(found.lines, 8, "{count}");
    }
}

#[tokio::test]
async fn copy_with_a_newer_head_names_itself() {
    for older in ["tiles.0", "places"] {
        let (guard, path) = store(8).await;
        let to = guard.path().join("copy");
        copy(&path, &to, |name| name.ends_with(older));
        go_on(&path, 20).await;
        copy(&path, &to, |name| !name.ends_with(older));
        let storage = open_read_only(&to).await;
        let error = storage.verify(VerifyOptions::new().policy(policy())).await.unwrap_err();
        let error = ErrorChain(&error).to_string();
        assert!(error.contains("while the store was written"), "{older}: {error}");
    }
}

#[tokio::test]
async fn sealed_segment_without_its_last_line_break_is_unterminated() {
    let (_guard, path) = store(12).await;
    let sealed = segments_in_order(&path).remove(0);
    let text = fs::read_to_string(&sealed).unwrap();
    fs::write(&sealed, text.trim_end()).unwrap();
    let found = verify(&path).await;
    assert_eq!(found.observed(ObservationKind::Unterminated), 1);
    // The active one is being written.
    fs::write(&sealed, &text).unwrap();
    let active = segments_in_order(&path).pop().unwrap();
    let torn = [fs::read(&active).unwrap(), b"{\"id\": \"x".to_vec()].concat();
    fs::write(&active, torn).unwrap();
    let found = verify(&path).await;
    assert!(found.is_clean() && found.observations.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn checkpoint_of_another_origin_is_observed() {
    let (_guard, path) = store(3).await;
    assert_eq!(verify(&path).await.observed(ObservationKind::ForeignCheckpoint), 0);
    let other = SigningKey::from_seed("example.com/other", &[9; 32]).unwrap();
    let options = EvidenceOptions::new(other.clone());
    let storage = FileStorage::builder(&path).evidence(options).open().await.unwrap();
    storage.append(&[entry("more", 7)]).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    let found = verify(&path).await;
    assert_eq!(found.observed(ObservationKind::ForeignCheckpoint), 1);
    assert_eq!(found.observed(ObservationKind::Unsigned), 1, "{:?}", found.observations);
    // To the other log, that of this one is foreign.
    let options = VerifyOptions::new().policy(attestry_evidence::Policy::new(other.public()));
    let found = open_read_only(&path).await.verify(options).await.unwrap();
    assert_eq!(found.observed(ObservationKind::ForeignCheckpoint), 1);
    assert_ne!(key().name(), other.name());
}
