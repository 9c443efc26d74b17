//! Tampering with any file of a store is detected, and reported with its place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::evidence::{adopting, policy, with_evidence};
use crate::common::{entries, entry, folder, line_of, open_read_only, segments_in_order};
use attestry_core::{StorageBackend, Timestamp};
use attestry_evidence::{ErasureRecord, SignedCheckpoint, SigningKey, line_hash};
use attestry_file::{
    EvidenceError, EvidenceOptions, EvidenceProblem, FileStorage, ProblemKind, Verification,
    VerifyOptions,
};

const LINES: usize = 8;

/// A small store of several segments with one erased line, and its last checkpoint.
async fn create(path: &Path) -> SignedCheckpoint {
    let storage =
        with_evidence(FileStorage::builder(path).rotation_size_bytes(900)).open().await.unwrap();
    storage.append(&entries(0..LINES as i64)).await.unwrap();
    storage.delete(&entry("e00004", 0).id).await.unwrap();
    let checkpoint = storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    checkpoint
}

async fn try_verify(
    path: &Path,
    external: Option<&SignedCheckpoint>,
) -> Result<Verification, EvidenceError> {
    let mut options = VerifyOptions::new().policy(policy());
    if let Some(external) = external {
        options = options.against(&policy().open(external).unwrap());
    }
    open_read_only(path).await.verify(options).await
}

async fn problems(path: &Path, external: Option<&SignedCheckpoint>) -> Vec<EvidenceProblem> {
    try_verify(path, external).await.unwrap().problems
}

fn kinds(problems: &[EvidenceProblem]) -> Vec<ProblemKind> {
    problems.iter().map(|problem| problem.kind).collect()
}

/// The content of all files.
fn snapshot(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for item in fs::read_dir(path).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    files
}

fn restore(path: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (file, content) in files {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    for file in snapshot(path).keys().filter(|file| !files.contains_key(*file)) {
        fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn any_changed_byte_of_a_segment_is_detected() {
    let (_guard, path) = folder();
    create(&path).await;
    assert_eq!(problems(&path, None).await, []);
    for segment in segments_in_order(&path) {
        let whole = fs::read(&segment).unwrap();
        for at in 0..whole.len() {
            // Sometimes an additional line break.
            let changed_to = if at % 5 == 3 && whole[at] != b'\n' { b'\n' } else { whole[at] ^ 1 };
            let mut changed = whole.clone();
            changed[at] = changed_to;
            fs::write(&segment, &changed).unwrap();
            let found = problems(&path, None).await;
            let near = |offset| offset <= at as u64 + 1 && offset + 600 > at as u64;
            let named = found.iter().any(|problem| {
                problem.path.as_ref() == Some(&segment)
                    && problem.offset.map_or(problem.leaf.is_some(), near)
            });
            // The spaces of an erased line may be split in two.
            let harmless = found.is_empty() && nonblank(&changed) == nonblank(&whole);
            assert!(named || harmless, "byte {at} of {}: {found:#?}", segment.display());
        }
        fs::write(&segment, whole).unwrap();
    }
}

fn nonblank(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    lines.filter(|line| !line.trim_ascii().is_empty()).collect()
}

#[tokio::test]
async fn any_changed_byte_of_the_tree_is_detected_or_harmless() {
    let (_guard, path) = folder();
    let checkpoint = create(&path).await;
    // A changed segment map that proves the same is harmless.
    let proves = |found: &Verification| (found.root, found.lines, found.erased, found.signed);
    let before = try_verify(&path, None).await.unwrap();
    let private = path.join(".attestry");
    let files = snapshot(&private);
    let evidence = files.keys().filter(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with("tiles") || name == "erasures" || name == "places" || name.len() == 8
    });
    for file in evidence {
        let whole = &files[file];
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(file, &changed).unwrap();
            // With and without an external checkpoint.
            for external in [None, Some(&checkpoint)] {
                match try_verify(&path, external).await {
                    Ok(found) => assert!(
                        !found.is_clean()
                            || found.foreign_checkpoints > 0
                            || (file.ends_with("places") && proves(&found) == proves(&before)),
                        "byte {at} of {}: {}",
                        file.display(),
                        String::from_utf8_lossy(&changed)
                    ),
                    Err(EvidenceError::Damaged { path, .. }) => assert_eq!(path, *file),
                    Err(error) => panic!("byte {at} of {}: {error}", file.display()),
                }
            }
        }
        fs::write(file, whole).unwrap();
    }
}

/// Edits the lines of a segment.
fn rewrite(segment: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(segment).unwrap();
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    change(&mut lines);
    fs::write(segment, lines.concat()).unwrap();
}

#[tokio::test]
async fn swapped_removed_and_inserted_lines_are_distinguished() {
    let (_guard, path) = folder();
    create(&path).await;
    let files = snapshot(&path);
    let segment = segments_in_order(&path).remove(0);
    let foreign = || String::from_utf8(line_of(&entry("foreign", 2))).unwrap();

    rewrite(&segment, |lines| lines.swap(0, 1));
    let found = problems(&path, None).await;
    assert_eq!(kinds(&found), [ProblemKind::Moved]);
    assert!(found[0].id.is_some() && found[0].leaf.is_some() && found[0].offset.is_some());
    restore(&path, &files);

    rewrite(&segment, |lines| drop(lines.remove(1)));
    let found = problems(&path, None).await;
    assert_eq!(kinds(&found), [ProblemKind::Missing]);
    assert_eq!((found[0].path.as_ref(), found[0].leaf), (Some(&segment), Some(1)));
    restore(&path, &files);

    rewrite(&segment, |lines| lines.insert(1, foreign()));
    let found = problems(&path, None).await;
    assert_eq!(kinds(&found), [ProblemKind::Inserted]);
    assert_eq!(found[0].id.as_deref(), Some("foreign"));
    restore(&path, &files);

    // At the end of a sealed segment.
    rewrite(&segment, |lines| lines.push(foreign()));
    assert_eq!(kinds(&problems(&path, None).await), [ProblemKind::Inserted]);
    restore(&path, &files);

    rewrite(&segment, |lines| lines[1] = foreign());
    let found = problems(&path, None).await;
    assert_eq!(kinds(&found), [ProblemKind::Altered]);
    assert_eq!(found[0].id.as_deref(), Some("foreign"));
    restore(&path, &files);

    // The line of an erased entry is restored.
    let back = String::from_utf8(line_of(&entry("e00004", 4))).unwrap();
    let segment = segments_in_order(&path)
        .into_iter()
        .find(|segment| fs::read_to_string(segment).unwrap().contains("   \n"))
        .unwrap();
    rewrite(&segment, |lines| {
        let blank = lines.iter().position(|line| line.trim().is_empty()).unwrap();
        lines[blank] = back;
    });
    assert_eq!(kinds(&problems(&path, None).await), [ProblemKind::StillThere]);
    restore(&path, &files);

    // A segment is removed.
    let segment = segments_in_order(&path).remove(1);
    fs::remove_file(&segment).unwrap();
    let found = problems(&path, None).await;
    assert_eq!(kinds(&found), [ProblemKind::Missing]);
    assert_eq!(found[0].path.as_ref(), Some(&segment));
    restore(&path, &files);
    fs::write(path.join("audit_20200101.jsonl"), foreign()).unwrap();
    assert_eq!(kinds(&problems(&path, None).await), [ProblemKind::Inserted]);
    restore(&path, &files);
    assert_eq!(problems(&path, None).await, []);
}

#[tokio::test]
async fn backdated_line_has_a_late_leaf() {
    let (_guard, path) = folder();
    let checkpoint = create(&path).await;
    // Appended to an old segment, and replayed when the store is opened.
    let segment = segments_in_order(&path).remove(0);
    rewrite(&segment, |lines| {
        lines.push(String::from_utf8(line_of(&entry("back-dated", 1))).unwrap());
    });
    let storage =
        with_evidence(FileStorage::builder(&path).rotation_size_bytes(900)).open().await.unwrap();
    storage.checkpoint().await.unwrap();
    let size = policy().open(&checkpoint).unwrap().checkpoint().size();
    let proven = storage.inclusion_proof(&"back-dated".parse().unwrap()).await.unwrap().unwrap();
    assert!(proven.proof.index() >= size, "it did not exist when that was signed");
}

#[tokio::test]
async fn truncated_or_replaced_log_contradicts_its_checkpoints() {
    let (_guard, path) = folder();
    create(&path).await;
    let old = snapshot(&path);
    let storage =
        with_evidence(FileStorage::builder(&path).rotation_size_bytes(900)).open().await.unwrap();
    storage.append(&entries(20..30)).await.unwrap();
    let newer = storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    assert_eq!(problems(&path, Some(&newer)).await, []);
    let new = snapshot(&path);

    // An old copy of everything: only an external checkpoint detects it.
    restore(&path, &old);
    assert_eq!(problems(&path, None).await, []);
    let found = problems(&path, Some(&newer)).await;
    assert_eq!(kinds(&found), [ProblemKind::Checkpoint]);
    assert_eq!(found[0].path, None, "an external checkpoint has no path");

    // The old copy beside the new checkpoints.
    for (file, content) in
        new.iter().filter(|(file, _)| file.to_str().unwrap().contains("/checkpoints/"))
    {
        fs::write(file, content).unwrap();
    }
    assert_eq!(kinds(&problems(&path, None).await), [ProblemKind::Checkpoint]);
    restore(&path, &new);

    // Without the last segment, and with a new tree over the others.
    let last = segments_in_order(&path).pop().unwrap();
    fs::remove_file(last).unwrap();
    fs::remove_dir_all(path.join(".attestry/tree")).unwrap();
    let storage = adopting(FileStorage::builder(&path)).open().await.unwrap();
    storage.close().await.unwrap();
    assert!(kinds(&problems(&path, None).await).contains(&ProblemKind::Checkpoint));
}

#[tokio::test]
async fn tree_signed_with_another_key_is_rejected() {
    for name in ["example.com/audit", "example.com/other"] {
        let (_guard, path) = folder();
        create(&path).await;
        let segment = segments_in_order(&path).remove(0);
        rewrite(&segment, |lines| drop(lines.remove(1)));
        fs::remove_dir_all(path.join(".attestry/tree")).unwrap();
        fs::remove_dir_all(path.join(".attestry/checkpoints")).unwrap();
        let other = SigningKey::from_seed(name, &[8; 32]).unwrap();
        let options = EvidenceOptions::new(other).adopt_existing(true);
        let storage = FileStorage::builder(&path).evidence(options).open().await.unwrap();
        storage.checkpoint().await.unwrap();
        storage.close().await.unwrap();
        let found = problems(&path, None).await;
        assert!(kinds(&found).contains(&ProblemKind::Checkpoint), "{name}: {found:#?}");
    }
}

#[tokio::test]
async fn forged_erasure_record_is_rejected() {
    let (_guard, path) = folder();
    let checkpoint = create(&path).await;
    // A line is blanked, with a record that was never logged.
    let segment = segments_in_order(&path).remove(0);
    let line = fs::read_to_string(&segment).unwrap().lines().nth(1).unwrap().to_owned();
    rewrite(&segment, |lines| lines[1] = " ".repeat(line.len()) + "\n");
    let hash = line_hash(line.as_bytes()).unwrap();
    let at: Timestamp = "2026-01-28".parse().unwrap();
    let record = ErasureRecord::new(1, 1, hash, at, "lawful", "forger").unwrap();
    let tree = path.join(".attestry/tree");
    let mut records = fs::read_to_string(tree.join("erasures")).unwrap();
    let real = records.len();
    records.push_str(&format!("{} {}\n", LINES + 1, record.to_line()));
    fs::write(tree.join("erasures"), &records).unwrap();
    // Behind the valid bytes that the tree head states.
    assert_eq!(kinds(&problems(&path, None).await), [ProblemKind::Missing]);
    // In place of the real record.
    let forged = format!("{LINES} {}\n", record.to_line());
    fs::write(tree.join("erasures"), format!("{forged:real$}")).unwrap();
    match try_verify(&path, Some(&checkpoint)).await {
        Ok(found) => assert!(!found.is_clean()),
        Err(error) => assert!(matches!(error, EvidenceError::Damaged { .. }), "{error}"),
    }
}

/// Reproducible pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// A tree head of arbitrary numbers with a valid checksum.
fn head(dice: &mut Dice) -> Vec<u8> {
    let mut number = || [0, 1, 9, 100, 1 << 40, (1 << 62) - 1, 1 << 62, u64::MAX][dice.below(8)];
    let numbers = [number(), number(), number(), number()];
    let [sequence, size, map_len, records_len] = numbers;
    let covered = number();
    let text = format!(
        "attestry-tree/v2 {sequence} {size} {map_len} {records_len} audit_20260128.jsonl {covered}"
    );
    let mut slot = format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes())).into_bytes();
    slot.resize(512, b' ');
    slot.repeat(3)
}

#[tokio::test]
async fn damaged_tree_files_fail_open_or_are_repaired() {
    let (_guard, path) = folder();
    create(&path).await;
    let private = path.join(".attestry");
    let files = snapshot(&path);
    let evidence: Vec<PathBuf> = files
        .keys()
        .filter(|file| {
            file.starts_with(private.join("tree")) || file.starts_with(private.join("checkpoints"))
        })
        .cloned()
        .collect();
    let mut dice = Dice(7);
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..200 {
        restore(&path, &files);
        let file = &evidence[dice.below(evidence.len())];
        let mut content = files[file].clone();
        match dice.below(6) {
            0 => content.truncate(dice.below(content.len())),
            1 => content.clear(),
            2 => (0..5).for_each(|_| {
                let at = dice.below(content.len());
                content[at] = dice.below(256) as u8;
            }),
            3 => content.extend((0..100).map(|_| b"0 \n\t{run"[dice.below(8)])),
            4 => content.rotate_left(dice.below(files[file].len())),
            _ => {}
        }
        if file.ends_with("head") && dice.below(2) == 0 {
            content = head(&mut dice);
        }
        fs::write(file, content).unwrap();
        let _ = try_verify(&path, None).await;
        match with_evidence(FileStorage::builder(&path)).open().await {
            Ok(storage) => {
                opened += 1;
                let _ = storage.write(&entry("one-more", 3)).await;
                let _ = storage.delete(&entry("e00001", 1).id).await;
                let _ = storage.checkpoint().await;
                let _ = storage.inclusion_proof(&entry("e00002", 2).id).await;
                let _ = storage.close().await;
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("evidence"), "{error}");
            }
        }
        // Only tree files were damaged: all entries are intact.
        let segments = segments_in_order(&path);
        let lines = segments.iter().map(|segment| fs::read_to_string(segment).unwrap());
        assert!(lines.collect::<String>().contains("e00007"));
    }
    assert!(opened > 20 && refused > 20, "{opened} {refused}");
}
