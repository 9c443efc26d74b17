//! Sparse files of any length, absurd numbers and overlapping records: each is an error that names the file, or a
//! problem, in bounded memory and time. A failure of these tests is an abort, or takes hours.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::common::evidence::{key, policy, with_evidence};
use crate::common::{self, entries, folder, only_segment, open_read_only};
use attestry_core::{EntryId, ErrorChain, StorageBackend, Timestamp, hash_content};
use attestry_evidence::{ErasureRecord, Hash, Record, Tree};
use attestry_file::{
    EvidenceOptions, FileStorage, NotRegularFile, ProblemKind, SignerMemory, Verification,
    VerifyOptions,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Four tebibytes, which `ext4` permits.
const LENGTH: u64 = 1 << 42;

/// A store of three entries with a checkpoint.
async fn store() -> (tempfile::TempDir, PathBuf) {
    let (guard, path) = folder();
    let storage = with_evidence(FileStorage::builder(&path)).open().await.unwrap();
    storage.write_batch(&entries(0..3)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    (guard, path)
}

/// The file gets this length, without occupying room.
fn lengthen(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    file.set_len(LENGTH).unwrap();
    assert!(std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap()) < 1_000);
}

/// Replaces the number at `word` of the tree head in all slots.
fn set_head(path: &Path, word: usize, number: u64) {
    let path = path.join(".attestry/tree/head");
    let head = fs::read(&path).unwrap();
    let slots = head.chunks(512).map(|slot| {
        let text = str::from_utf8(slot).unwrap().split('\n').next().unwrap();
        let mut words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        words.pop();
        if words.len() > word {
            words[word] = number.to_string();
        }
        let text = words.join(" ");
        let mut slot = format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes())).into_bytes();
        slot.resize(512, b' ');
        slot
    });
    fs::write(path, slots.collect::<Vec<_>>().concat()).unwrap();
}

const SIZE: usize = 2;
const MAP_LEN: usize = 3;
const RECORDS_LEN: usize = 4;

async fn verify(path: &Path) -> Result<Verification, String> {
    let chain = |error: &(dyn std::error::Error + 'static)| ErrorChain(error).to_string();
    let storage = FileStorage::builder(path).read_only(true).open().await;
    let storage = storage.map_err(|error| chain(&error))?;
    storage.verify(VerifyOptions::new().policy(policy())).await.map_err(|error| chain(&error))
}

/// Verifying and opening for writing fail with an error that has `name` and `reason`.
#[track_caller]
fn assert_names(verified: Result<Verification, String>, name: &str, reason: &str) {
    let error = verified.unwrap_err();
    assert!(error.contains(name) && error.contains(reason), "{name}: {error}");
}

async fn open_error(path: &Path) -> String {
    let opened = with_evidence(FileStorage::builder(path)).open().await;
    ErrorChain(&opened.unwrap_err()).to_string()
}

#[tokio::test]
async fn absurd_lengths_in_the_tree_head_are_damage() {
    for (word, name) in [(MAP_LEN, "places"), (RECORDS_LEN, "erasures")] {
        for number in [1 << 20, LENGTH, u64::MAX] {
            let (_guard, path) = store().await;
            set_head(&path, word, number);
            assert_names(verify(&path).await, name, "is damaged");
            // The file has that length, too.
            lengthen(&path.join(".attestry/tree").join(name));
            assert_names(verify(&path).await, name, "is damaged");
        }
    }
    for number in [1 << 20, LENGTH / 32, Tree::MAX_SIZE, u64::MAX] {
        let (_guard, path) = store().await;
        set_head(&path, SIZE, number);
        assert_names(verify(&path).await, "tree", "is damaged");
        assert!(open_error(&path).await.contains("is damaged"));
        lengthen(&path.join(".attestry/tree/tiles.0"));
        assert_names(verify(&path).await, "tree", "is damaged");
        assert!(FileStorage::builder(&path).rebuild_tree().await.is_err());
    }
}

#[tokio::test]
async fn leaves_of_the_segment_map_must_ascend() {
    let (_guard, path) = store().await;
    let places = path.join(".attestry/tree/places");
    let name = only_segment(&path).file_name().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(&places).unwrap();
    let text = format!("{text}run 2 {name}\nrun 1 audit_20200101.jsonl\n");
    fs::write(&places, &text).unwrap();
    set_head(&path, MAP_LEN, text.len() as u64);
    assert_names(verify(&path).await, "places", "is invalid");
}

#[tokio::test]
async fn sparse_files_of_checkpoints_are_problems_or_errors() {
    let (_guard, path) = store().await;
    let checkpoints = path.join(".attestry/checkpoints");
    let existing = fs::read_dir(&checkpoints).unwrap().next().unwrap().unwrap().path();
    for file in
        [existing.clone(), checkpoints.join("20990101"), checkpoints.join("20990101.cosigned")]
    {
        let before = fs::read(&file).ok();
        lengthen(&file);
        let problems = verify(&path).await.unwrap().problems;
        let of_file = problems.iter().filter(|problem| problem.path.as_ref() == Some(&file));
        assert!(of_file.count() == 1, "{problems:?}");
        let error = open_error(&path).await;
        assert!(error.contains(file.to_str().unwrap()), "{error}");
        let storage = open_read_only(&path).await;
        if file.extension().is_none() {
            let error = ErrorChain(&storage.latest_checkpoint().await.unwrap_err()).to_string();
            assert!(error.contains(file.to_str().unwrap()), "{error}");
        }
        match before {
            Some(before) => fs::write(&file, before).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
    }
    assert!(verify(&path).await.unwrap().is_clean());
}

#[tokio::test]
async fn many_checkpoints_are_read_from_the_end() {
    let (_guard, path) = store().await;
    let file = fs::read_dir(path.join(".attestry/checkpoints")).unwrap().next().unwrap();
    let file = file.unwrap().path();
    let note = fs::read_to_string(&file).unwrap();
    fs::write(&file, note.repeat(5_000)).unwrap();
    let found = verify(&path).await.unwrap();
    assert!(found.is_clean() && found.checkpoints == 5_000, "{found:?}");
    // The last one is torn.
    let torn = [note.repeat(5_000).as_bytes(), &note.as_bytes()[..50]].concat();
    fs::write(&file, torn).unwrap();
    let storage = with_evidence(FileStorage::builder(&path)).open().await.unwrap();
    storage.write_batch(&entries(3..5)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    let found = verify(&path).await.unwrap();
    assert!(found.is_clean() && found.checkpoints == 5_001, "{found:?}");
}

#[tokio::test]
async fn sparse_segments_are_refused() {
    let (_guard, path) = store().await;
    let sealed = path.join("audit_20200101.jsonl");
    for segment in [only_segment(&path), sealed] {
        let before = fs::read(&segment).ok();
        lengthen(&segment);
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert_names(verify(&path).await, name, "never written");
        let error = open_error(&path).await;
        assert!(error.contains(name) && error.contains("never written"), "{error}");
        assert!(!path.join(".attestry/quarantine").exists(), "nothing was copied");
        match before {
            Some(before) => fs::write(&segment, before).unwrap(),
            None => fs::remove_file(&segment).unwrap(),
        }
    }
    // A power cut leaves holes that are not large.
    let segment = only_segment(&path);
    let length = fs::metadata(&segment).unwrap().len();
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(length + (1 << 20)).unwrap();
    let storage = with_evidence(FileStorage::builder(&path)).open().await.unwrap();
    assert_eq!(storage.recovery().torn_tails.len(), 1);
    assert_eq!(storage.count().await.unwrap(), 3);
}

#[tokio::test]
async fn sparse_intent_log_and_memory_are_errors() {
    let (guard, path) = store().await;
    let journal = path.join(".attestry/erasures.journal");
    lengthen(&journal);
    let error = ErrorChain(&FileStorage::builder(&path).open().await.unwrap_err()).to_string();
    assert!(error.contains("erasures.journal") && error.contains("bytes"), "{error}");
    fs::write(&journal, "").unwrap();
    let memory = guard.path().join("memory");
    lengthen(&memory);
    let options = EvidenceOptions::new(key()).memory(SignerMemory::at(&memory));
    let storage = FileStorage::builder(&path).evidence(options).open().await.unwrap();
    let broken = storage.recovery().evidence_broken.unwrap();
    assert!(broken.contains(memory.to_str().unwrap()), "{broken}");
    storage.close().await.unwrap();
}

/// A planted intent log without evidence needs no signature; its lines are read into memory.
#[tokio::test]
async fn intent_log_with_absurd_lines_is_void() {
    let (_guard, path) = folder();
    let storage = common::open(&path).await;
    storage.write_batch(&entries(0..3)).await.unwrap();
    storage.close().await.unwrap();
    let segment = only_segment(&path);
    let before = fs::read(&segment).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let line = |length| format!(r#"{{"segment":"{name}","offset":0,"length":{length}}}"#);
    for lines in [vec![line(u64::MAX)], vec![line(100); 100_000]] {
        let document = format!(r#"{{"version":1,"erase":[{}]}}"#, lines.join(","));
        let text = format!("{document}\n{}\n", hash_content(&document));
        fs::write(path.join(".attestry/erasures.journal"), text).unwrap();
        let storage = common::open(&path).await;
        assert_eq!(storage.count().await.unwrap(), 3);
        storage.close().await.unwrap();
        assert!(fs::read(&segment).unwrap() == before);
    }
}

/// Each record would be compared with all leaves.
#[tokio::test]
async fn overlapping_erasure_records_do_not_multiply() {
    const LEAVES: u64 = 5_000;
    let (_guard, path) = folder();
    let storage = with_evidence(FileStorage::builder(&path)).open().await.unwrap();
    storage.write_batch(&entries(0..LEAVES as i64)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    let record = |number: u64| {
        let at = Timestamp::UNIX_EPOCH;
        let hash = Hash::from_bytes([7; 32]);
        let reason = number.to_string();
        let record = ErasureRecord::new(number % 100, LEAVES - 200, hash, at, reason, "").unwrap();
        format!("{} {}\n", LEAVES + number, Record::from(record).to_line())
    };
    let text: String = (0..LEAVES).map(record).collect();
    fs::write(path.join(".attestry/tree/erasures"), &text).unwrap();
    set_head(&path, RECORDS_LEN, text.len() as u64);
    let found = verify(&path).await.unwrap();
    assert!(found.problems.iter().any(|problem| problem.kind == ProblemKind::FalseRecord));
    assert!(found.problems.len() as u64 + found.problems_unlisted >= LEAVES, "{found:?}");
    let storage = open_read_only(&path).await;
    let all = storage.erasure_records(Some(policy())).await.unwrap();
    assert_eq!(all.len() as u64, LEAVES);
    let (newest, total) = storage.newest_erasure_records(Some(policy()), 3).await.unwrap();
    assert_eq!((&newest[..], total), (&all[all.len() - 3..], all.len()));
    let lines = [Hash::from_bytes([9; 32])].into();
    assert!(storage.erasures_of(lines).await.unwrap().found.is_empty());
}

/// A name for each of these exists only in `places`.
#[tokio::test]
async fn many_segments_in_the_map_do_not_multiply() {
    let (_guard, path) = store().await;
    let places = path.join(".attestry/tree/places");
    let mut text = fs::read_to_string(&places).unwrap();
    let day = only_segment(&path).file_name().unwrap().to_str().unwrap()[6..14].to_owned();
    for number in 1..50_000 {
        text.push_str(&format!("covered audit_{day}_{number:03}.jsonl 1\n"));
    }
    fs::write(&places, &text).unwrap();
    set_head(&path, MAP_LEN, text.len() as u64);
    for number in 300_000..300_100 {
        fs::write(path.join(format!("audit_{day}_{number}.jsonl")), "{}\n").unwrap();
    }
    let found = verify(&path).await.unwrap();
    assert_eq!(found.problems.len(), 100, "{found:?}");
    let proof =
        open_read_only(&path).await.inclusion_proof(&EntryId::new_unchecked("e00001")).await;
    assert!(proof.unwrap().is_some());
    drop(with_evidence(FileStorage::builder(&path)).open().await.unwrap());
}

type Make = fn(&Path);

/// Each file and folder in `.attestry` that evidence uses.
#[tokio::test]
async fn special_files_of_the_evidence_are_named() {
    let makes: [(NotRegularFile, Make); 3] = [
        (NotRegularFile::SymbolicLink, |path| symlink("/dev/zero", path).unwrap()),
        (NotRegularFile::SymbolicLink, |path| symlink("nowhere", path).unwrap()),
        (NotRegularFile::Fifo, |path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }),
    ];
    let names = [
        "checkpoints/20990101",
        "checkpoints/20990101.cosigned",
        "timestamps/00000000000000000003-aa.a.tsr",
        "timestamps/00000000000000000003-aa.checkpoint",
        "anchors/a.json",
        "quarantine/audit_20260128.jsonl.7.0.torn",
        "quarantine/checkpoints.20260128.7.0.torn",
    ];
    for name in names {
        for (kind, make) in &makes {
            let (_guard, path) = store().await;
            let file = path.join(".attestry").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            make(&file);
            let storage = open_read_only(&path).await;
            let error = match name.split('/').next().unwrap() {
                "checkpoints" => verify(&path).await.map(drop).unwrap_err(),
                "timestamps" => {
                    if name.ends_with("checkpoint") {
                        fs::write(file.with_extension("a.tsr"), "reply").unwrap();
                    } else {
                        let note = fs::read_dir(path.join(".attestry/checkpoints")).unwrap();
                        let note = note.map(|item| item.unwrap().path()).next().unwrap();
                        let stem = "00000000000000000003-aa.checkpoint";
                        fs::copy(note, file.with_file_name(stem)).unwrap();
                    }
                    let listed = storage.timestamps().await.unwrap();
                    let read = storage.read_timestamp(&listed[0]).await;
                    ErrorChain(&read.unwrap_err()).to_string()
                }
                "anchors" => ErrorChain(&storage.anchor_records().await.unwrap_err()).to_string(),
                _ => ErrorChain(&storage.quarantine().await.unwrap_err()).to_string(),
            };
            let expected = kind.to_string();
            assert!(error.contains(&expected), "{name} {kind:?}: {error}");
            assert!(error.contains(file.to_str().unwrap()), "{name}: {error}");
        }
    }
}
