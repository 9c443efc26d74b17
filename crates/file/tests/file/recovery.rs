//! States that a crash or another program leaves behind, and what opening the folder makes of them.

use std::fs;

use crate::common::{all, entries, entry, folder, line_of, only_segment, open, open_read_only};
use attestry_core::{Query, StorageBackend, StorageError, hash_content};
use futures_util::StreamExt;

#[tokio::test]
async fn torn_write_is_quarantined_or_completed() {
    let earlier = entries(0..2);
    let last = entry("last", 9);
    let line = line_of(&last);
    for cut in 1..=line.len() {
        let (_guard, path) = folder();
        fs::create_dir(&path).unwrap();
        let whole: Vec<u8> = earlier.iter().flat_map(line_of).collect();
        let text = [&whole, &line[..cut]].concat();
        fs::write(path.join("audit_20260128.jsonl"), &text).unwrap();

        let storage = open(&path).await;
        let report = storage.recovery().clone();
        let complete = cut >= line.len() - 1;
        let mut expected = earlier.clone();
        expected.extend(complete.then(|| last.clone()));
        assert_eq!(all(&storage).await.unwrap(), expected, "cut at {cut}");
        if cut == line.len() {
            assert!(report.is_clean(), "{report}");
        } else {
            let torn = &report.torn_tails[0];
            assert_eq!((torn.offset, torn.length), (whole.len() as u64, cut as u64));
            assert_eq!(torn.quarantined.is_none(), complete);
            if let Some(quarantined) = &torn.quarantined {
                assert_eq!(fs::read(quarantined).unwrap(), &line[..cut], "the bytes are kept");
                assert!(report.to_string().contains(quarantined.to_str().unwrap()));
            }
        }
        // The next write starts a line of its own.
        storage.write(&entry("next", 10)).await.unwrap();
        expected.push(entry("next", 10));
        assert_eq!(all(&storage).await.unwrap(), expected, "cut at {cut}");
        storage.close().await.unwrap();
        assert!(open(&path).await.recovery().is_clean());
    }
}

#[tokio::test]
async fn torn_tail_of_any_segment_hides_no_other_line() {
    let (_guard, path) = folder();
    fs::create_dir(&path).unwrap();
    for (name, id) in [
        ("audit_20260127.jsonl", "a"),
        ("audit_20260128_001.jsonl", "b"),
        ("audit_20260128.jsonl", "c"),
    ] {
        let text = [line_of(&entry(id, 1)), b"{\"id\": \"to".to_vec()].concat();
        fs::write(path.join(name), text).unwrap();
    }
    let storage = open(&path).await;
    assert_eq!(storage.recovery().torn_tails.len(), 3);
    assert_eq!(all(&storage).await.unwrap(), ["a", "b", "c"].map(|id| entry(id, 1)));
}

#[tokio::test]
async fn read_only_open_changes_nothing_and_reports_torn_tail() {
    let (_guard, path) = folder();
    fs::create_dir(&path).unwrap();
    let text = [line_of(&entry("a", 1)), b"{\"id\": \"to".to_vec()].concat();
    fs::write(path.join("audit_20260128.jsonl"), &text).unwrap();

    let storage = open_read_only(&path).await;
    assert_eq!(storage.read(&entry("a", 1).id).await.unwrap(), Some(entry("a", 1)));
    assert_eq!(storage.count().await.unwrap(), 1);
    let error = all(&storage).await.unwrap_err();
    assert!(error.to_string().contains("audit_20260128.jsonl at byte"), "{error}");
    for refused in [
        storage.write(&entry("b", 1)).await.map(drop),
        storage.delete(&entry("a", 1).id).await.map(drop),
        storage.delete_at_or_before(entry("a", 1).timestamp).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StorageError::ReadOnly { .. })));
    }
    storage.close().await.unwrap();
    let left: Vec<_> = fs::read_dir(&path).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(left, ["audit_20260128.jsonl"]);
    assert_eq!(fs::read(path.join("audit_20260128.jsonl")).unwrap(), text);
}

#[tokio::test]
async fn corrupt_line_is_located_and_hides_no_other() {
    let (_guard, path) = folder();
    fs::create_dir(&path).unwrap();
    let (first, last) = (entry("a", 1), entry("z", 2));
    let bad = b"{\"id\": \"bad\", \"alerts\": \"confidential\"}\n";
    let text = [line_of(&first), b"  \n".to_vec(), bad.to_vec(), line_of(&last)].concat();
    fs::write(path.join("audit_20260128.jsonl"), text).unwrap();
    let offset = line_of(&first).len() + 3;

    let storage = open(&path).await;
    assert!(storage.recovery().is_clean(), "a complete corrupt line stays in place");
    let found: Vec<_> = storage.scan(Query::new()).collect().await;
    let entries: Vec<_> = found.iter().filter_map(|found| found.as_ref().ok()).collect();
    assert_eq!(entries, [&first, &last]);
    let errors: Vec<_> = found.iter().filter_map(|found| found.as_ref().err()).collect();
    let [StorageError::Corrupt(record)] = &errors[..] else { panic!("{errors:?}") };
    assert!(record.location.ends_with("audit_20260128.jsonl"));
    assert_eq!(record.offset, Some(offset as u64));
    assert!(!record.to_string().contains("confidential"), "{record}");

    assert!(matches!(all(&storage).await, Err(StorageError::Corrupt(_))));
    assert_eq!(storage.count().await.unwrap(), 3, "a corrupt line counts as a record");
    assert_eq!(storage.read(&last.id).await.unwrap(), Some(last));
    // An id in a corrupt line is not reported absent and cannot be written again.
    let id = "bad".parse().unwrap();
    assert!(matches!(storage.read(&id).await, Err(StorageError::Corrupt(_))));
    assert!(matches!(storage.write(&entry("bad", 1)).await, Err(StorageError::Corrupt(_))));
    assert_eq!(storage.read(&"none".parse().unwrap()).await.unwrap(), None);
    // Expiry keeps lines without a readable timestamp.
    assert_eq!(storage.delete_at_or_before(attestry_core::Timestamp::MAX).await.unwrap(), 2);
    assert_eq!(storage.count().await.unwrap(), 1);
    assert!(only_segment(&path).exists());
}

/// The intent log of an interrupted erasure of the lines at `(offset, length)`.
fn intent_log(lines: &[(usize, usize)]) -> String {
    let lines: Vec<_> = lines
        .iter()
        .map(|(offset, length)| {
            format!(r#"{{"segment":"audit_20260128.jsonl","offset":{offset},"length":{length}}}"#)
        })
        .collect();
    let document = format!(r#"{{"version":1,"erase":[{}]}}"#, lines.join(","));
    format!("{document}\n{}\n", hash_content(&document))
}

#[tokio::test]
async fn interrupted_erasure_is_finished_or_never_started() {
    let written = entries(0..3);
    let lines: Vec<_> = written.iter().map(line_of).collect();
    let (offset, length) = (lines[0].len(), lines[1].len() - 1);
    let whole = intent_log(&[(offset, length)]);

    // A torn intent log: nothing was overwritten yet.
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        let (_guard, path) = folder();
        fs::create_dir_all(path.join(".attestry")).unwrap();
        fs::write(path.join("audit_20260128.jsonl"), lines.concat()).unwrap();
        fs::write(path.join(".attestry/erasures.journal"), &whole[..cut]).unwrap();
        let storage = open(&path).await;
        assert!(storage.recovery().is_clean(), "intent log cut to {cut} bytes");
        assert_eq!(all(&storage).await.unwrap(), written);
    }
    // A complete intent log: any part of the line may be overwritten.
    for overwritten in 0..=length {
        let (_guard, path) = folder();
        fs::create_dir_all(path.join(".attestry")).unwrap();
        let mut text = lines.concat();
        text[offset..offset + overwritten].fill(b' ');
        fs::write(path.join("audit_20260128.jsonl"), &text).unwrap();
        fs::write(path.join(".attestry/erasures.journal"), &whole).unwrap();

        // A reader before recovery sees the entry or not, but no corrupt line.
        let seen = all(&open_read_only(&path).await).await.unwrap();
        assert!(
            seen == written || seen == [written[0].clone(), written[2].clone()],
            "{overwritten}"
        );

        let storage = open(&path).await;
        assert_eq!(storage.recovery().erasures_finished, 1);
        assert_eq!(all(&storage).await.unwrap(), [written[0].clone(), written[2].clone()]);
        let text = fs::read(path.join("audit_20260128.jsonl")).unwrap();
        assert_eq!(text[offset..offset + length], vec![b' '; length], "the bytes are gone");
        storage.close().await.unwrap();
        assert!(open(&path).await.recovery().is_clean());
    }
}

/// A read concurrent with the overwrite of a line on two pages may return the old first page.
#[tokio::test]
async fn line_with_blank_end_is_being_erased() {
    let written = entries(0..3);
    let lines: Vec<_> = written.iter().map(line_of).collect();
    let (offset, length) = (lines[0].len(), lines[1].len() - 1);
    for intact in 0..length {
        let (_guard, path) = folder();
        fs::create_dir_all(path.join(".attestry")).unwrap();
        let mut text = lines.concat();
        text[offset + intact..offset + length].fill(b' ');
        fs::write(path.join("audit_20260128.jsonl"), &text).unwrap();
        fs::write(path.join(".attestry/erasures.journal"), intent_log(&[(offset, length)]))
            .unwrap();
        let seen = all(&open_read_only(&path).await).await.unwrap();
        assert_eq!(seen, [written[0].clone(), written[2].clone()], "{intact}");
    }
}

/// The other process died during an erasure. Later writes are not part of it.
#[tokio::test]
async fn interrupted_erasure_keeps_a_later_rewrite() {
    let (_guard, path) = folder();
    let written = entries(0..3);
    let lines: Vec<_> = written.iter().map(line_of).collect();
    fs::create_dir_all(path.join(".attestry")).unwrap();
    fs::write(path.join("audit_20260128.jsonl"), lines.concat()).unwrap();
    let storage = open(&path).await;
    let pending = intent_log(&[(0, lines[0].len() - 1)]);
    fs::write(path.join(".attestry/erasures.journal"), pending).unwrap();
    storage.write(&written[0]).await.unwrap();
    storage.delete(&written[2].id).await.unwrap();
    storage.close().await.unwrap();
    assert_eq!(all(&open(&path).await).await.unwrap(), written[..2]);
}

#[tokio::test]
async fn id_in_a_corrupt_line_is_not_reported_absent() {
    let (_guard, path) = folder();
    fs::create_dir_all(&path).unwrap();
    let id = "日本 😀";
    let line = String::from_utf8(line_of(&entry(id, 0))).unwrap();
    assert!(line.is_ascii());
    for broken in [line.replacen("}", "", 1), format!("{{\"id\": \"{id}\"\n")] {
        fs::write(path.join("audit_20260128.jsonl"), broken).unwrap();
        let storage = open(&path).await;
        let refused = storage.read(&id.parse().unwrap()).await;
        assert!(matches!(refused, Err(StorageError::Corrupt(_))), "{refused:?}");
        assert!(storage.write(&entry(id, 1)).await.is_err());
        assert_eq!(storage.read(&"日".parse().unwrap()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn erasure_of_a_removed_segment_is_complete() {
    let (_guard, path) = folder();
    fs::create_dir_all(path.join(".attestry")).unwrap();
    fs::write(path.join(".attestry/erasures.journal"), intent_log(&[(0, 10)])).unwrap();
    assert_eq!(open(&path).await.recovery().erasures_finished, 1);
}

#[tokio::test]
async fn losing_the_private_folder_loses_no_entry() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.write_batch(&entries(0..5)).await.unwrap();
    storage.close().await.unwrap();
    fs::remove_dir_all(path.join(".attestry")).unwrap();
    assert_eq!(all(&open_read_only(&path).await).await.unwrap(), entries(0..5));
    assert_eq!(all(&open(&path).await).await.unwrap(), entries(0..5));
}

#[tokio::test]
async fn appends_of_other_programs_are_seen_and_kept_apart() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.write(&entry("a", 1)).await.unwrap();
    let segment = only_segment(&path);
    let append = |bytes: &[u8]| {
        use std::io::Write;
        fs::OpenOptions::new().append(true).open(&segment).unwrap().write_all(bytes).unwrap();
    };
    append(&line_of(&entry("theirs", 2)));
    assert_eq!(all(&storage).await.unwrap().len(), 2);
    let theirs = line_of(&entry("unfinished", 3));
    append(&theirs[..theirs.len() - 1]);
    storage.write(&entry("b", 4)).await.unwrap();
    let ids: Vec<_> =
        all(&storage).await.unwrap().into_iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(ids, ["a", "theirs", "unfinished", "b"]);

    // The Python package deletes by rewriting the file.
    let lines = fs::read(&segment).unwrap();
    let without_a = &lines[line_of(&entry("a", 1)).len()..];
    fs::write(&segment, without_a).unwrap();
    assert_eq!(storage.read(&entry("a", 1).id).await.unwrap(), None);
    storage.write(&entry("c", 5)).await.unwrap();
    let ids: Vec<_> =
        all(&storage).await.unwrap().into_iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(ids, ["theirs", "unfinished", "b", "c"]);
}

#[tokio::test]
async fn lines_in_place_of_dropped_blanks_are_seen() {
    for survivors in [1, 0] {
        let (_guard, path) = folder();
        let storage = open(&path).await;
        let ours: Vec<_> = (0..survivors + 2).map(|n| entry(&format!("ours-{n}"), n)).collect();
        storage.write_batch(&ours).await.unwrap();
        let (kept, erased) = ours.split_at(survivors as usize);
        for entry in erased {
            assert!(storage.delete(&entry.id).await.unwrap());
        }
        assert_eq!(all(&storage).await.unwrap(), kept);

        // The Python package drops blank lines when it rewrites a file.
        let theirs: Vec<_> = (10..16).map(|n| entry(&format!("theirs-{n}"), n)).collect();
        let expected: Vec<_> = kept.iter().chain(&theirs).cloned().collect();
        let lines: Vec<u8> = expected.iter().flat_map(line_of).collect();
        fs::write(only_segment(&path), lines).unwrap();
        assert_eq!(all(&storage).await.unwrap(), expected);
        assert_eq!(storage.count().await.unwrap(), expected.len() as u64);
        for entry in &theirs {
            assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
        }
    }
}
