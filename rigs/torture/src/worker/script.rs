//! A fixed sequence of calls, which is traced.

use attestry_core::{StorageBackend, Timestamp};

use super::calls::Way;
use super::{Worker, again};
use crate::outcome::Result;
use crate::rng::Rng;
use crate::sample;

/// Causes every kind of change to the folder: new segments, rotation, erasing, unlinking, compacting; repeats writes of
/// present, erased and pending entries; and opens the store twice.
pub(super) async fn run(worker: &Worker) -> Result {
    let number = worker.args.number;
    let mut rng = Rng::derive(worker.args.seed, number as u64);
    let mut next = 0;
    for half in 0..2 {
        let storage = worker.open().await?;
        again::pending_writes(worker, &storage, &mut rng).await?;
        for step in 0..12 {
            let count = [1, 1, 3, 8][rng.below(4)];
            let ids: Vec<String> = (next..next + count).map(|n| sample::id(number, n)).collect();
            next += count;
            let way = if count == 8 { Way::Appended } else { Way::Checked };
            worker.write(&storage, &ids, way).await?;
            if step % 3 == 2 {
                worker.erase(&storage, &sample::id(number, rng.below(next))).await?;
            }
            if step % 4 == 3 {
                again::some(worker, &storage, &mut rng).await?;
            }
            if step == 8 {
                let until = match half {
                    0 => sample::timestamp(&sample::id(number, next / 4))?,
                    _ => Timestamp::MAX,
                };
                worker.expire(&storage, until).await?;
                storage.compact().await?;
            }
        }
        storage.close().await?;
    }
    Ok(())
}
