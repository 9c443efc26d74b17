use std::collections::BTreeMap;

use attestry::stats::{Percentile, Statistics};
use attestry::{AuditEntry, EntryId, Phase, create_entry_id, hash_content, metadata};

use super::cell::{Dimension, Outcome};
use super::time::HOUR;
use super::*;

/// Numbers that look random, the same ones in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn entry(time: i64, random: &mut Random) -> AuditEntry {
    let hash = hash_content("");
    let mut entry = AuditEntry::new(create_entry_id(), time::timestamp(time), hash.clone(), hash);
    entry.model = (random.below(5) > 0).then(|| format!("model-{}", random.below(4)));
    entry.provider = Some(format!("provider-{}", random.below(2)));
    entry.safety_passed = random.below(7) > 0;
    entry.latency_ms = 0.5 + random.below(100_000) as f64 / 7.0;
    entry.input_tokens = Some(random.below(1_000) as i64);
    entry.output_tokens = (random.below(3) > 0).then(|| random.below(1_000) as i64);
    if random.below(4) == 0 {
        entry.detectors_triggered = vec![format!("detector-{}", random.below(2))];
    }
    if random.below(3) > 0 {
        entry.metadata.insert(metadata::USER.into(), format!("u-{}", random.below(6)).into());
    }
    if let Some(outcome) = Outcome::ALL.get(random.below(20) as usize) {
        entry.metadata.insert(metadata::OUTCOME.into(), outcome.value().into());
    }
    entry
}

/// A start entry at `time`, and its end after `length`, unless it has none.
fn call(time: i64, length: Option<i64>, random: &mut Random) -> Vec<AuditEntry> {
    let mut start = entry(time, random);
    start.metadata.insert(metadata::PHASE.into(), metadata::PHASE_START.into());
    start.metadata.remove(metadata::OUTCOME);
    start.output_tokens = None;
    start.latency_ms = 0.0;
    let end = length.map(|length| {
        let mut end = entry(time + length, random);
        end.metadata.insert(metadata::PHASE.into(), metadata::PHASE_END.into());
        end.metadata.insert(metadata::CALL.into(), start.id.as_str().into());
        end
    });
    [Some(start), end].into_iter().flatten().collect()
}

/// Entries of `days` up to now, in the order of time; some are younger than what is settled.
fn entries(days: i64, random: &mut Random) -> Vec<AuditEntry> {
    let now = Timestamp::now().unix_micros();
    let mut all = Vec::new();
    for _ in 0..150 {
        let age = match random.below(4) {
            0 => random.below(200_000_000) as i64,
            _ => random.below((days * time::DAY) as u64) as i64,
        };
        let at = now - age;
        match random.below(4) {
            0 => {
                let length = (random.below(3) > 0).then(|| random.below(2 * HOUR as u64) as i64);
                // Ends in the future would not be shown as of the last days.
                all.extend(call(at, length.filter(|length| at + length < now), random));
            }
            _ => all.push(entry(at, random)),
        }
    }
    all.sort_by_key(|entry| entry.timestamp);
    all
}

/// The figures, once the store was read to its end after this call.
async fn current(overview: &Overview, logger: &AuditLogger, wanted: Wanted) -> Figures {
    let mut unexplained = None;
    loop {
        overview.update(logger, &mut unexplained).await.unwrap();
        // Until nothing is to be counted again.
        if !overview.is_stale.load(Ordering::Relaxed) {
            return overview.lock().figures(wanted, Timestamp::now());
        }
    }
}

async fn found(logger: &AuditLogger, query: Query) -> Vec<AuditEntry> {
    logger.query(query).map(|entry| entry.unwrap()).collect().await
}

/// Compares figures with those of the entries that a link to them would list.
async fn check(logger: &AuditLogger, figures: &Figures) {
    let of =
        |range: Range| Query::new().since(range.since()).until(range.until()).phase(Phase::Latest);
    let all = found(logger, of(figures.range)).await;
    let mut statistics = Statistics::new([]);
    all.iter().for_each(|entry| statistics.add(entry));
    let (expected, summary) = (statistics.total(), &figures.total.summary);
    assert_eq!(summary.entries, expected.entries);
    assert_eq!(summary.span, expected.span);
    assert_eq!(summary.safety_failed, expected.safety_failed);
    assert_eq!(summary.input_tokens, expected.input_tokens);
    assert_eq!(summary.output_tokens, expected.output_tokens);
    for percentile in Percentile::USUAL {
        let (one, other) = (&summary.latency, &expected.latency);
        assert_eq!(one.percentile(percentile), other.percentile(percentile));
    }
    let open = found(logger, of(figures.range).phase(Phase::Open)).await;
    assert_eq!(figures.open, open.len() as u64);
    for outcome in Outcome::ALL {
        let query = of(figures.range).metadata_equals(metadata::OUTCOME, outcome.value());
        let count = found(logger, query).await.len() as u64;
        assert_eq!(figures.total.outcome(outcome), count, "{outcome:?}");
    }
    for dimension in Dimension::ALL {
        let names = figures.total.names(dimension);
        assert_eq!(names.left_out, 0);
        for (name, count) in names.top(usize::MAX) {
            let query = match dimension {
                Dimension::Model => of(figures.range).model(&*name),
                Dimension::Provider => of(figures.range).provider(&*name),
                Dimension::User => of(figures.range).metadata_equals(metadata::USER, &*name),
                Dimension::Detector => of(figures.range).detector(&*name),
            };
            assert_eq!(found(logger, query).await.len() as u64, count, "{dimension:?} {name}");
        }
    }
    let mut points = 0;
    for (range, cell) in &figures.points {
        assert_eq!(found(logger, of(*range)).await.len() as u64, cell.summary.entries);
        points += cell.summary.entries;
    }
    assert_eq!(points, summary.entries);
}

async fn store() -> AuditLogger {
    attestry::open_url("memory:").await.unwrap()
}

async fn write(logger: &AuditLogger, entries: &[AuditEntry]) {
    logger.storage().write_batch(entries).await.unwrap();
}

#[tokio::test]
async fn figures_are_those_of_the_entries_of_random_stores() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let logger = store().await;
        let overview = Overview::default();
        let days = [1, 20, 60][seed as usize % 3];
        let (first, second) = (entries(days, &mut random), entries(days, &mut random));
        for part in [&first, &second] {
            // Also of times that were counted before.
            write(&logger, part).await;
            for wanted in [
                Wanted::All,
                Wanted::Last(Duration::from_secs(3600)),
                Wanted::Last(Duration::from_secs(7 * 86_400)),
                Wanted::Last(Duration::from_secs(90 * 86_400)),
            ] {
                let figures = current(&overview, &logger, wanted).await;
                assert!(figures.is_complete());
                check(&logger, &figures).await;
            }
        }
    }
}

#[tokio::test]
async fn entries_are_counted_again_after_an_erasure() {
    let (mut random, logger, overview) = (Random(1), store().await, Overview::default());
    let now = Timestamp::now().unix_micros();
    let call = call(now - 5 * HOUR, Some(HOUR), &mut random);
    let others: Vec<_> = (0..9).map(|n| entry(now - n * HOUR, &mut random)).collect();
    write(&logger, &call).await;
    write(&logger, &others).await;
    let before = current(&overview, &logger, Wanted::All).await;
    assert_eq!((before.total.summary.entries, before.open), (10, 0));
    // The call has no end any more.
    logger.storage().delete(&call[1].id).await.unwrap();
    let after = current(&overview, &logger, Wanted::All).await;
    assert_eq!((after.total.summary.entries, after.open), (10, 1));
    check(&logger, &after).await;
    // An erasure that the number of entries does not show, because another entry came.
    logger.storage().delete(&others[8].id).await.unwrap();
    write(&logger, &[entry(now - 8 * HOUR, &mut random)]).await;
    overview.forget();
    check(&logger, &current(&overview, &logger, Wanted::All).await).await;
    // Nor are names kept that no entry has.
    let mut named = entry(now - 3 * HOUR, &mut random);
    named.model = Some("erased".to_owned());
    write(&logger, std::slice::from_ref(&named)).await;
    current(&overview, &logger, Wanted::All).await;
    assert!(overview.lock().names.has(Dimension::Model, "erased"));
    logger.storage().delete(&named.id).await.unwrap();
    current(&overview, &logger, Wanted::All).await;
    assert!(!overview.lock().names.has(Dimension::Model, "erased"));
}

#[tokio::test]
async fn entry_that_comes_late_is_counted() {
    let (mut random, logger, overview) = (Random(2), store().await, Overview::default());
    let now = Timestamp::now().unix_micros();
    write(&logger, &[entry(now - HOUR, &mut random)]).await;
    current(&overview, &logger, Wanted::All).await;
    for age in [90 * time::DAY, 2 * HOUR, HOUR, 60_000_000, 0] {
        write(&logger, &[entry(now - age, &mut random)]).await;
        let figures = current(&overview, &logger, Wanted::All).await;
        check(&logger, &figures).await;
    }
    assert_eq!(current(&overview, &logger, Wanted::All).await.total.summary.entries, 6);
}

/// In a file store, a line that cannot be read is no entry, but the number of records includes it.
#[tokio::test]
async fn record_that_cannot_be_read_does_not_have_everything_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(3);
    let old = Timestamp::now().unix_micros() - HOUR;
    {
        let logger = attestry::open(folder.path()).await.unwrap();
        write(&logger, &[entry(old, &mut random), entry(old + 1, &mut random)]).await;
        logger.close().await.unwrap();
    }
    let segment = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let segment = segment.unwrap();
    let mut lines = std::fs::read_to_string(&segment).unwrap();
    lines.push_str("{\"broken\": 1}\n");
    std::fs::write(&segment, lines).unwrap();
    let logger = attestry::open(folder.path()).await.unwrap();
    let overview = Overview::default();
    let figures = current(&overview, &logger, Wanted::All).await;
    assert_eq!((figures.total.summary.entries, figures.unreadable), (2, 1));
    let counted = |overview: &Overview| overview.lock().settled.as_ref().map(|s| s.part.read);
    assert_eq!(counted(&overview), Some(2));
    let mut unexplained = None;
    overview.update(&logger, &mut unexplained).await.unwrap();
    assert!(!overview.is_stale.load(Ordering::Relaxed) && unexplained.is_none());
    assert_eq!(counted(&overview), Some(2));
}

#[tokio::test]
async fn figures_are_had_while_the_store_is_read_and_from_a_running_server() {
    let (mut random, logger, overview) = (Random(4), store().await, Overview::default());
    write(&logger, &entries(3, &mut random)).await;
    let nothing = overview.lock().figures(Wanted::All, Timestamp::now());
    assert!(!nothing.is_complete());
    assert_eq!(nothing.total.summary.entries, 0);
    let (stop, shutdown) = watch::channel(false);
    let wanted = async {
        loop {
            let figures = overview.figures(Wanted::All).await;
            if figures.is_complete() {
                stop.send_replace(true);
                return figures;
            }
        }
    };
    let (figures, ()) = tokio::join!(wanted, overview.run(&logger, shutdown));
    check(&logger, &figures).await;
}

#[test]
fn calls_of_one_start_and_end_are_matched_in_both_orders() {
    let mut random = Random(5);
    let now = Timestamp::now();
    let calls: Vec<AuditEntry> = (0..50)
        .flat_map(|n| call(n * HOUR, (n % 3 > 0).then_some(HOUR / 2), &mut random))
        .collect();
    let starts: BTreeMap<EntryId, Timestamp> =
        calls.iter().map(|entry| (entry.id.clone(), entry.timestamp)).collect();
    let (mut forwards, mut backwards) = (Part::new(now), Part::new(now));
    let mut names = Names::default();
    calls.iter().for_each(|entry| forwards.add(entry.clone(), &mut names));
    calls.iter().rev().for_each(|entry| backwards.add(entry.clone(), &mut names));
    for part in [forwards, backwards] {
        let open = part.open_starts();
        assert_eq!(open.len(), 17);
        assert!(open.iter().all(|start| starts.get(&start.id) == Some(&start.timestamp)));
    }
}
