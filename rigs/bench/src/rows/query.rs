//! Queries by user and by conversation, warm, compared with SQLite with an index on the same column; and what the
//! secondary index adds to building index files.

use std::fs;
use std::path::Path;
use std::time::Instant;

use attestry::file::FileStorage;
use attestry::{AuditEntry, AuditLogger, Query, StorageBackend, Timestamp, metadata};
use futures_util::TryStreamExt;

use crate::peers::sqlite::Searched;
use crate::report::{Row, grouped};
use crate::rig::Rig;
use crate::rng::Rng;
use crate::server::Running;
use crate::stats::{Figure, median, micros, quantile, to_f64};
use crate::store::Store;
use crate::workload::Workload;
use crate::{Result, remove};

/// Entries of each user and of each conversation.
const MATCHES: u64 = 100;

/// Queries of a kind in a round.
const IN_ROUND: usize = 100;

/// Requests in a round.
const GETS: usize = 500;

/// Builds of the index files in a round; larger stores are built once.
const BUILDS: u64 = 2_000_000;

/// What the entries are searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    User,
    Conversation,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Conversation => "conversation",
        }
    }

    fn query(self, value: u64) -> Query {
        match self {
            Self::User => Query::new().metadata_equals(metadata::USER, user(value)),
            Self::Conversation => Query::new().conversation_id(conversation(value)),
        }
    }
}

fn user(number: u64) -> String {
    format!("user-{number:07}@example.com")
}

fn conversation(number: u64) -> String {
    format!("conversation-{number:08}")
}

/// The `number`-th of `entries`: those of a conversation follow one another, those of a user are spread over the store.
fn entry(workload: &Workload, entries: u64, number: u64, time: Timestamp) -> Result<AuditEntry> {
    let mut entry = workload.stored(number, time)?;
    entry.conversation_id = Some(conversation(number / MATCHES));
    let user = user(number % (entries / MATCHES));
    entry.metadata.insert(metadata::USER.to_owned(), user.into());
    let trace =
        format!("{:032x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060));
    entry.metadata.insert(metadata::TRACE_ID.to_owned(), trace.into());
    Ok(entry)
}

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (most, least) = (rig.entries(), rig.sizes.first().copied().unwrap_or(rig.entries()));
    let small = measure(rig, least)?;
    let large = if most == least { None } else { Some(measure(rig, most)?) };
    let mut rows = Vec::new();
    for (number, by) in [By::User, By::Conversation].into_iter().enumerate() {
        for (entries, measured) in [(least, Some(&small)), (most, large.as_ref())] {
            let Some(measured) = measured else { continue };
            let Times { ours, theirs } = &measured.queries[number];
            let what = format!("query by {}, {MATCHES} of {}", by.name(), grouped(entries));
            let row = Row::new("query", what, ours.clone())
                .against("SQLite: indexed select + parse", theirs.clone())
                .ratio_at_most(5.0);
            rows.push(row);
        }
        if let Some(large) = &large {
            let what = format!("query by {}, {MATCHES} of {}", by.name(), grouped(most));
            let ours = large.queries[number].ours.clone();
            let small = small.queries[number].ours.clone();
            let flat = Row::new("query", what.clone(), ours.clone())
                .against(format!("of {}", grouped(least)), small)
                .ratio_at_most(3.0);
            rows.extend([Row::new("query", what, ours).under(20_000.0), flat]);
        }
    }
    let measured = large.as_ref().unwrap_or(&small);
    if let Some(over_http) = measured.over_http.clone() {
        let what = format!("GET of a conversation over HTTP, {MATCHES} of {}: p99", grouped(most));
        rows.push(Row::new("query", what, over_http).under(50.0));
    }
    let what =
        format!("index {} entries by time, id and conversation, and by 2 keys", grouped(most));
    rows.push(
        Row::new("query", what, measured.with_keys.clone())
            .against("without the 2 keys", measured.without_keys.clone())
            .ratio_at_most(1.2)
            .note(format!("{:.1} bytes an entry and key", measured.bytes_per_term)),
    );
    Ok(rows)
}

/// Microseconds of the queries by one kind, one median for each round.
struct Times {
    ours: Figure,
    theirs: Figure,
}

struct Measured {
    queries: [Times; 2],
    /// Milliseconds, if there is a program `attestry`.
    over_http: Option<Figure>,
    with_keys: Figure,
    without_keys: Figure,
    bytes_per_term: f64,
}

fn measure(rig: &Rig, entries: u64) -> Result<Measured> {
    let (path, of_sqlite) = (rig.fresh("query")?, rig.fresh("query.sqlite")?);
    eprintln!("  making a store and a SQLite of {} entries", grouped(entries));
    let rotation = rig.rotation_of(entries);
    let workload = &*rig.workload;
    let make = |number, time| entry(workload, entries, number, time);
    let store = Store::make_of(path.clone(), entries, rotation, make)?;
    let (with_keys, without_keys, bytes_per_term) = build_indexes(rig, &store)?;
    rig.runtime().block_on(store.settle())?;
    let made = (0..entries).map(|number| {
        let micros = i64::try_from(number)?;
        let entry = entry(workload, entries, number, Timestamp::from_unix_micros(micros)?)?;
        Ok((user(number % (entries / MATCHES)), entry))
    });
    let mut sqlite = Searched::create(&of_sqlite, made)?;
    let queries = [By::User, By::Conversation].map(|by| compare(rig, &store, &mut sqlite, by));
    let [users, conversations] = queries;
    drop(sqlite);
    remove(&of_sqlite)?;
    let (users, conversations) = (users?, conversations?);
    let attestry = rig.attestry.as_deref();
    let over_http =
        attestry.map(|attestry| over_http(rig, attestry, &path, entries)).transpose()?;
    remove(&path)?;
    let queries = [users, conversations];
    Ok(Measured { queries, over_http, with_keys, without_keys, bytes_per_term })
}

/// The 99th percentile of requests for random conversations, of each round.
fn over_http(rig: &Rig, attestry: &Path, store: &Path, entries: u64) -> Result<Figure> {
    let server = Running::start(attestry, store)?;
    let mut rng = Rng::new(4);
    let mut slowest = Vec::new();
    // The first round warms the caches.
    for round in 0..=rig.rounds {
        let mut took = Vec::with_capacity(GETS);
        for _ in 0..GETS {
            let value = conversation(rng.below(entries / MATCHES));
            let path = format!("/v1/entries?conversation_id={value}&limit={MATCHES}");
            let start = Instant::now();
            let answer = server.get(&path)?;
            took.push(micros(start.elapsed()) / 1e3);
            check(answer.matches("\"timestamp\"").count())?;
        }
        if round > 0 {
            slowest.push(quantile(&took, 0.99));
        }
    }
    Ok(Figure::of(&slowest, "ms"))
}

/// The times of building all index files with and without keys in seconds, and how many bytes each text takes.
fn build_indexes(rig: &Rig, store: &Store) -> Result<(Figure, Figure, f64)> {
    const KEYS: [&str; 2] = [metadata::USER, metadata::TRACE_ID];
    let rounds = if store.entries > BUILDS { 1 } else { rig.rounds };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let (mut bytes_with, mut bytes_without) = (0, 0);
    for _ in 0..rounds {
        for keys in [&KEYS[..], &[]] {
            store.remove_indexes()?;
            let builder = FileStorage::builder(&store.path).rotation_size_bytes(store.rotation);
            let builder = builder.indexed_metadata_keys(keys.iter().copied());
            let took = rig.run(async move {
                let start = Instant::now();
                let storage = builder.open().await?;
                let took = start.elapsed().as_secs_f64();
                storage.close().await?;
                Ok(took)
            })?;
            let bytes = index_bytes(&store.path)?;
            if keys.is_empty() {
                without.push(took);
                bytes_without = bytes;
            } else {
                with.push(took);
                bytes_with = bytes;
            }
        }
    }
    store.remove_indexes()?;
    let terms = store.entries * KEYS.len() as u64;
    let bytes_per_term = to_f64(bytes_with.saturating_sub(bytes_without)) / to_f64(terms);
    Ok((Figure::of(&with, "s"), Figure::of(&without, "s"), bytes_per_term))
}

fn index_bytes(store: &Path) -> Result<u64> {
    let mut bytes = 0;
    for item in fs::read_dir(store.join(".attestry/index"))? {
        bytes += item?.metadata()?.len();
    }
    Ok(bytes)
}

fn compare(rig: &Rig, store: &Store, sqlite: &mut Searched, by: By) -> Result<Times> {
    let (path, rotation) = (store.path.clone(), store.rotation);
    let logger = rig.run(async move {
        Ok(AuditLogger::builder(crate::store::open(&path, rotation).await?).build())
    })?;
    let mut rng = Rng::new(3);
    let values: Vec<u64> = (0..IN_ROUND).map(|_| rng.below(store.entries / MATCHES)).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round warms the caches.
    for round in 0..=rig.rounds {
        let queries = values.iter().map(|&value| by.query(value)).collect();
        let of_logger = rig.run(query_each(logger.clone(), queries))?;
        let mut of_sqlite = Vec::new();
        for &value in &values {
            let start = Instant::now();
            let found = match by {
                By::User => sqlite.by_user(&user(value))?,
                By::Conversation => sqlite.by_conversation(&conversation(value))?,
            };
            of_sqlite.push(micros(start.elapsed()));
            check(found.len())?;
        }
        if round > 0 {
            ours.push(median(&of_logger));
            theirs.push(median(&of_sqlite));
        }
    }
    rig.run(async move { Ok(logger.close().await?) })?;
    Ok(Times { ours: Figure::of(&ours, "µs"), theirs: Figure::of(&theirs, "µs") })
}

/// Microseconds of each query.
async fn query_each(logger: AuditLogger, queries: Vec<Query>) -> Result<Vec<f64>> {
    let mut took = Vec::with_capacity(queries.len());
    for query in queries {
        let start = Instant::now();
        let found: Vec<AuditEntry> = logger.query(query.clone()).try_collect().await?;
        took.push(micros(start.elapsed()));
        check(found.len())?;
        if !found.iter().all(|entry| query.matches(entry)) {
            return Err("another entry was found".into());
        }
    }
    Ok(took)
}

fn check(found: usize) -> Result<()> {
    if found as u64 == MATCHES {
        Ok(())
    } else {
        Err(format!("{found} entries were found, not {MATCHES}").into())
    }
}
