//! A fixed list of things, one after the other, whose calls are traced.

use attestry_core::{EntryId, StorageBackend, Timestamp};

use super::Worker;
use crate::notes::Note;
use crate::outcome::Result;
use crate::rng::Rng;
use crate::sample;

/// Writes, erases and expires so that every kind of change to the folder occurs: new segments,
/// rotation, erasing, unlinking, compacting; and opens the store twice.
pub(super) async fn run(worker: &Worker) -> Result {
    let mut rng = Rng::derive(worker.args.seed, 1);
    let mut next = 0;
    for half in 0..2 {
        let storage = worker.open().await?;
        for step in 0..12 {
            let count = [1, 1, 3, 8][rng.below(4)];
            let ids: Vec<String> =
                (next..next + count).map(|n| sample::id(worker.args.number, n)).collect();
            next += count;
            let entries: Vec<_> = ids.iter().map(|id| sample::entry(id)).collect::<Result<_>>()?;
            worker.notes.put(&Note::Write(ids.clone()))?;
            match count {
                1 => drop(storage.write(&entries[0]).await?),
                3 => storage.write_batch(&entries).await?,
                _ => storage.append(&entries).await?,
            }
            worker.notes.put(&Note::Wrote(ids))?;
            if step % 3 == 2 {
                let id = sample::id(worker.args.number, rng.below(next));
                worker.notes.put(&Note::Erase(id.clone()))?;
                storage.delete(&EntryId::from_stored(&id)).await?;
                worker.notes.put(&Note::Erased(id))?;
            }
            if step == 8 {
                let until = match half {
                    0 => sample::timestamp(&sample::id(worker.args.number, next / 2))?,
                    _ => Timestamp::MAX,
                };
                let name = half.to_string();
                worker.notes.put(&Note::Expire(name.clone(), until))?;
                storage.delete_until(until).await?;
                worker.notes.put(&Note::Expired(name))?;
                storage.compact().await?;
            }
        }
        storage.close().await?;
    }
    Ok(())
}
