//! Files of a version that is not known yet.

use std::fs;
use std::path::Path;

use crate::common::{entries, entry, folder, open, open_read_only};
use attestry_core::{ErrorChain, StorageBackend, StorageError, hash_content};
use attestry_file::{FileStorage, UnfinishedTask, UnknownVersion};

async fn stored() -> (tempfile::TempDir, std::path::PathBuf) {
    let (guard, path) = folder();
    let storage = open(&path).await;
    storage.write_batch(&entries(0..3)).await.unwrap();
    storage.close().await.unwrap();
    (guard, path)
}

#[track_caller]
fn assert_unknown<T: std::fmt::Debug>(result: Result<T, StorageError>, file: &Path, version: &str) {
    let error = result.unwrap_err();
    let StorageError::Io { path, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(path, file);
    let unknown: &UnknownVersion = source.get_ref().unwrap().downcast_ref().unwrap();
    assert_eq!(unknown.found, version);
    assert!(ErrorChain(&error).to_string().contains("use the version of Attestry that wrote it"));
}

#[tokio::test]
async fn unknown_intent_log_stands_and_blocks_no_append() {
    let (_guard, path) = stored().await;
    let journal = path.join(".attestry/erasures.journal");
    let document = r#"{"version":2,"erase":"everything"}"#;
    let later = format!("{document}\n{}\n", hash_content(document));
    for content in [later.as_str(), "{\"version\":\"next\"}\nanother checksum\n"] {
        fs::write(&journal, content).unwrap();
        let storage = open(&path).await;
        for report in [storage.recovery(), open_read_only(&path).await.recovery()] {
            let [unfinished] = &report.unfinished[..] else { panic!("not reported") };
            assert_eq!(
                (&unfinished.path, unfinished.task),
                (&journal, UnfinishedTask::EraseUnknown)
            );
            assert!(unfinished.to_string().contains("it has version "), "{unfinished}");
        }
        let id = format!("new{}", content.len());
        storage.write(&entry(&id, 10)).await.unwrap();
        storage.append(&[entry(&format!("{id}b"), 11)]).await.unwrap();
        let version = if content == later { "2" } else { "\"next\"" };
        assert_unknown(storage.delete(&entry(&id, 10).id).await, &journal, version);
        assert_unknown(storage.compact().await, &journal, version);
        storage.close().await.unwrap();
        assert_eq!(fs::read_to_string(&journal).unwrap(), content);
    }
    fs::write(&journal, "").unwrap();
    let storage = open(&path).await;
    assert!(storage.recovery().is_clean());
    assert_eq!(storage.count().await.unwrap(), 3 + 4);
}

#[tokio::test]
async fn unknown_epochs_are_an_error() {
    let (_guard, path) = stored().await;
    let epochs = path.join(".attestry/generation");
    let before = fs::read(&epochs).unwrap();
    let later = b"attestry-generation/v2 1 2 3\n";
    fs::write(&epochs, later).unwrap();
    for read_only in [false, true] {
        let opened = FileStorage::builder(&path).read_only(read_only).open().await;
        let result = match opened {
            Ok(storage) => storage.count().await.map(drop),
            Err(error) => Err(error),
        };
        assert_unknown(result, &epochs, "attestry-generation/v2");
    }
    assert_eq!(fs::read(&epochs).unwrap(), later);
    fs::write(&epochs, before).unwrap();
    assert_eq!(open(&path).await.count().await.unwrap(), 3);
}

#[cfg(feature = "evidence")]
#[tokio::test]
async fn unknown_tree_is_an_error() {
    use crate::common::evidence::adopting;
    let (_guard, path) = stored().await;
    let storage = adopting(FileStorage::builder(&path)).open().await.unwrap();
    storage.close().await.unwrap();
    let head = path.join(".attestry/tree/head");
    let text = String::from_utf8_lossy(&fs::read(&head).unwrap()).into_owned();
    let later = text.replace("attestry-tree/v2", "attestry-tree/v9");
    fs::write(&head, &later).unwrap();
    assert_unknown(FileStorage::builder(&path).open().await, &head, "attestry-tree/v9");
    let verified = open_read_only(&path).await.verify(attestry_file::VerifyOptions::new()).await;
    let error = verified.unwrap_err();
    assert!(ErrorChain(&error).to_string().contains("version attestry-tree/v9"), "{error}");
    assert_eq!(fs::read_to_string(&head).unwrap(), later);
}
