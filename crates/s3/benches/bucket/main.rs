//! Measures one operation on a bucket, for `cargo xtask s3 bench`, which starts the server and passes its
//! endpoint and credentials in the environment.
//!
//! ```text
//! cargo bench -p attestry-s3 --bench bucket -- OPERATION BUCKET PREFIX
//! cargo bench -p attestry-s3 --bench bucket -- requests OPERATION BUCKET PREFIX
//! cargo bench -p attestry-s3 --bench bucket -- fill BUCKET PREFIX DAYS ENTRIES_A_DAY
//! cargo bench -p attestry-s3 --bench bucket -- serve DAYS ENTRIES_A_DAY
//! ```
//!
//! `requests` sends only the requests of the operation, without the backend. `serve` runs the server of
//! the tests, a map in memory, and prints its port.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

mod requests;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id, hash_content};
use attestry_s3::S3Storage;

const FIRST_DAY: &str = "2025-01-01T00:00:00";
const DAY_MICROS: i64 = 86_400_000_000;
const WRITES: usize = 2_000;

fn entry(timestamp: Timestamp) -> AuditEntry {
    let mut entry =
        AuditEntry::new(create_entry_id(), timestamp, hash_content("in"), hash_content("out"));
    entry.provider = Some("openai".to_owned());
    entry.model = Some("gpt-4".to_owned());
    entry
}

async fn connect(bucket: &str, prefix: &str) -> Arc<S3Storage> {
    let storage = S3Storage::builder(bucket).prefix(prefix).path_style(true);
    Arc::new(storage.connect().await.unwrap())
}

fn entries_of(day: i64, count: i64) -> Vec<AuditEntry> {
    let first = FIRST_DAY.parse::<Timestamp>().unwrap().unix_micros() + day * DAY_MICROS;
    let micros = (0..count).map(|n| first + n * (DAY_MICROS / count));
    micros.map(|micros| entry(Timestamp::from_unix_micros(micros).unwrap())).collect()
}

async fn fill(storage: &S3Storage, days: i64, a_day: i64) {
    for day in 0..days {
        storage.append(&entries_of(day, a_day)).await.unwrap();
    }
}

/// Prints the port, and serves until the end of standard input.
async fn serve(days: i64, a_day: i64) {
    let server = support::Server::start().await;
    for day in 0..days {
        entries_of(day, a_day).iter().for_each(|entry| server.put_entry(entry));
    }
    println!("{}", server.direct_endpoint().rsplit(':').next().unwrap());
    let input = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    input.await.unwrap().unwrap();
}

/// The time of `operation` on a connected store.
async fn timed(operation: &str, storage: &Arc<S3Storage>) -> Duration {
    let recent = entry(Timestamp::now());
    if operation == "read_recent" {
        storage.append(std::slice::from_ref(&recent)).await.unwrap();
    }
    let start = Instant::now();
    match operation {
        "append" => {
            let writes: Vec<_> = (0..WRITES)
                .map(|_| {
                    let storage = Arc::clone(storage);
                    tokio::spawn(async move { storage.append(&[entry(Timestamp::now())]).await })
                })
                .collect();
            for write in writes {
                write.await.unwrap().unwrap();
            }
        }
        "list" => {
            let found = storage.list_entries(Timestamp::MIN, Timestamp::MAX).await.unwrap();
            assert_eq!(found.len(), 2_000);
        }
        "count" => assert_eq!(storage.count().await.unwrap(), 60_000),
        "read_unknown" => assert_eq!(storage.read(&create_entry_id()).await.unwrap(), None),
        "read_recent" => {
            assert_eq!(storage.read(&recent.id).await.unwrap().as_ref(), Some(&recent));
        }
        "cleanup" => {
            let month_ago = Timestamp::now().unix_micros() - 30 * DAY_MICROS;
            let month_ago = Timestamp::from_unix_micros(month_ago).unwrap();
            assert_eq!(storage.delete_at_or_before(month_ago).await.unwrap(), 2_000);
        }
        other => panic!("unknown operation {other}"),
    }
    start.elapsed()
}

fn print_seconds(time: Duration) {
    println!("{{\"seconds\": {}}}", time.as_secs_f64());
}

#[tokio::main]
async fn main() {
    // Cargo adds flags, such as `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fill", bucket, prefix, days, a_day] => {
            let storage = connect(bucket, prefix).await;
            fill(&storage, days.parse().unwrap(), a_day.parse().unwrap()).await;
            println!("null");
        }
        ["serve", days, a_day] => serve(days.parse().unwrap(), a_day.parse().unwrap()).await,
        ["requests", operation, bucket, prefix] => {
            print_seconds(requests::timed(operation, bucket, prefix).await);
        }
        [operation, bucket, prefix] => {
            let storage = connect(bucket, prefix).await;
            print_seconds(timed(operation, &storage).await);
        }
        _ => println!("skipped: needs a server; run `cargo xtask s3 bench`"),
    }
}
