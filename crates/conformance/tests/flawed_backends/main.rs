//! Each backend here breaks one promise, and the cases that test the promise must fail.
#![allow(clippy::unwrap_used)] // also outside of test functions

mod backend;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use attestry_conformance::{Fresh, cases, model};
use backend::{Flaw, Flawed};
use futures_util::FutureExt;

/// Those of the named cases that fail on a backend with this flaw.
async fn failures(flaw: Flaw, named: &[&str]) -> BTreeSet<&'static str> {
    let mut failed = BTreeSet::new();
    for case in cases() {
        if !named.contains(&case.name()) {
            continue;
        }
        let fresh = Fresh::new(Flawed::new(flaw));
        let run = case.run(fresh.store());
        if AssertUnwindSafe(run).catch_unwind().await.is_err() {
            failed.insert(case.name());
        }
    }
    failed
}

macro_rules! caught {
    ($($flaw:ident => [$($case:literal),+ $(,)?];)+) => {
        const EXPECTED: &[(Flaw, &[&str])] = &[$((Flaw::$flaw, &[$($case),+])),+];
    };
}

caught! {
    Replaces => ["immutability::conflicting_rewrite_is_rejected", "immutability::conflict_in_any_field_is_detected"];
    IgnoresDifferences => ["immutability::conflicting_rewrite_is_rejected", "immutability::conflict_within_batch_is_rejected"];
    RefusesEqualRewrites => ["immutability::equal_rewrite_succeeds", "immutability::equal_rewrite_succeeds_later", "immutability::batch_retry_is_idempotent", "writing::write_returns_the_id"];
    MovesEqualRewrites => ["immutability::equal_rewrite_keeps_its_position"];
    ComparesOnlyContent => ["immutability::conflict_in_any_field_is_detected"];
    IdsUniquePerDay => ["immutability::ids_are_unique_across_days", "concurrency::one_conflicting_writer_wins"];
    ExclusiveStart => ["ranges::both_ends_are_inclusive", "ranges::ends_are_exact_to_the_microsecond"];
    ExclusiveEnd => ["ranges::both_ends_are_inclusive", "deleting::cutoff_is_inclusive"];
    ReversesTies => ["ranges::ties_keep_write_order", "ranges::ties_keep_write_order_across_batches"];
    SortsTiesById => ["ranges::ties_keep_write_order", "concurrency::each_writer_keeps_its_order"];
    SortsByWriteOrder => ["ranges::order_is_by_timestamp"];
    InvertedRangeIsEmpty => ["ranges::inverted_range_is_rejected", "scanning::inverted_range_yields_one_error"];
    ValidatesAfterWriting => ["writing::invalid_entries_are_rejected", "writing::invalid_entry_in_batch_is_rejected"];
    ValidatesNothing => ["writing::invalid_entries_are_rejected"];
    ChecksConflictsWithoutLock => ["concurrency::one_conflicting_writer_wins", "concurrency::equal_writers_all_succeed"];
    WritesInTwoSteps => ["cancellation::cancelled_write_is_atomic", "cancellation::cancelled_batch_is_atomic_per_entry"];
    RoundsToMilliseconds => ["writing::full_entry_round_trips", "ranges::both_ends_are_inclusive"];
    IgnoresCase => ["reading::ids_match_exactly", "content::all_valid_ids_round_trip"];
    DropsNul => ["content::all_text_round_trips", "content::large_content_round_trips"];
    SplitsLines => ["content::line_breaks_do_not_split_entries"];
    EmptyTextBecomesNull => ["content::empty_text_is_not_null"];
    CountsDeleted => ["deleting::deleted_entry_is_not_returned"];
    DeleteReturnsFalse => ["deleting::deleted_entry_is_not_returned", "concurrency::concurrent_deletes_remove_the_entry"];
    DeletesPrefixes => ["reading::ids_match_exactly", "content::all_valid_ids_round_trip"];
    CutoffExclusive => ["deleting::cutoff_is_inclusive", "deleting::cutoff_compares_entry_timestamps"];
    CutoffByWriteOrder => ["deleting::cutoff_is_inclusive"];
    BatchSkipsLast => ["writing::batch_stores_all_entries"];
    BatchReplaces => ["immutability::conflicting_rewrite_in_batch_is_rejected", "immutability::conflict_within_batch_is_rejected"];
    AppendDuplicates => ["writing::append_is_lazy_and_stores_all_entries"];
    AppendIsEager => ["writing::append_is_lazy_and_stores_all_entries"];
    WriteNewReplaces => ["immutability::write_new_keeps_stored_entries", "immutability::write_new_stores_only_absent_ids"];
    WriteNewCountsPresent => ["immutability::write_new_stores_only_absent_ids", "concurrency::one_writer_of_a_new_id_wins"];
    LimitBeforeFilter => ["scanning::limit_counts_matching_entries", "scanning::filters_combine_with_and"];
    IgnoresCursor => ["scanning::pages_join_to_the_full_result", "scanning::cursor_and_range_combine"];
    DeletedCursorSkipsTies => ["scanning::deleted_cursor_resumes_at_its_timestamp", "scanning::mismatched_cursor_acts_as_deleted"];
    DescendingKeepsTieOrder => ["scanning::descending_reverses_ascending"];
    StopsAfterFirstPage => ["scanning::long_scan_is_complete"];
    DetectorMatchesPrefix => ["scanning::each_filter_selects_matching_entries"];
    IgnoresPhase => ["calls::latest_phase_is_one_entry_a_call", "calls::deleting_an_end_opens_the_call", "calls::many_calls_are_selected_exactly"];
    FindsNoEnds => ["calls::latest_phase_is_one_entry_a_call", "calls::ends_outside_of_the_selection_count", "calls::pages_of_calls_add_up"];
    DebugShowsContent => ["lifecycle::debug_hides_content"];
    SecondCloseFails => ["lifecycle::close_is_idempotent"];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_flaw_is_caught_by_its_cases() {
    for (flaw, named) in EXPECTED {
        let expected: BTreeSet<_> = named.iter().copied().collect();
        assert_eq!(failures(*flaw, named).await, expected, "{flaw:?}");
    }
}

/// Otherwise the failures above would not be caused by the flaws.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn backend_without_flaws_passes() {
    attestry_conformance::run_all(async || Fresh::new(Flawed::new(Flaw::None))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn model_detects_flaws() {
    for flaw in [
        Flaw::Replaces,
        Flaw::IgnoresPhase,
        Flaw::FindsNoEnds,
        Flaw::MovesEqualRewrites,
        Flaw::ExclusiveEnd,
        Flaw::ReversesTies,
        Flaw::DescendingKeepsTieOrder,
        Flaw::DeletedCursorSkipsTies,
        Flaw::CutoffExclusive,
        Flaw::BatchReplaces,
        Flaw::AppendDuplicates,
        Flaw::LimitBeforeFilter,
    ] {
        // Ends with the first sequence that shows the flaw, which takes some hundreds. They are random, so a
        // smaller limit is reached now and then.
        let check = model::check(50_000, async || Fresh::new(Flawed::new(flaw)));
        let outcome = AssertUnwindSafe(check).catch_unwind().await;
        let Err(panic) = outcome else { panic!("the model does not detect {flaw:?}") };
        let message = panic.downcast_ref::<String>().expect("a panic message");
        assert!(message.contains("disagrees with the model"), "{flaw:?}: {message}");
        let operations = message.lines().skip_while(|line| !line.starts_with("after")).count() - 1;
        assert!((1..=8).contains(&operations), "{flaw:?} was not shrunk: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn run_all_names_failed_cases() {
    let all = attestry_conformance::run_all(async || Fresh::new(Flawed::new(Flaw::ExclusiveEnd)));
    let panic = AssertUnwindSafe(all).catch_unwind().await.expect_err("cases fail");
    let message = panic.downcast_ref::<String>().expect("a panic message");
    assert!(message.contains("ranges::both_ends_are_inclusive: "), "{message}");
    assert!(message.contains("\nmodel: "), "{message}");
    assert!(!message.contains("debug_hides_content"), "{message}");
}

/// A write that blocks on an open scan fails the case after its timeout.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn blocked_writer_fails_the_case() {
    let name = "scanning::open_scan_does_not_block_writers";
    assert_eq!(failures(Flaw::ScanBlocksWrites, &[name]).await, BTreeSet::from([name]));
    assert!(failures(Flaw::None, &[name]).await.is_empty());
}
