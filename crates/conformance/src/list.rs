//! The list of all cases, from which both the macro and [`cases`] are generated.

use crate::Case;

/// Generates a test for every case, each on its own backend.
///
/// Takes an expression of type [`Fresh`](crate::Fresh). It is evaluated once per test, in an async
/// context, so it may `.await`. The tests are in modules named after their topics, so use the macro at
/// most once per module. Each test creates its own runtime.
///
/// ```
/// # use attestry_conformance::example::MinimalBackend as MyBackend;
/// attestry_conformance::suite!(attestry_conformance::Fresh::new(MyBackend::default()));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! suite {
    ($fresh:expr $(,)?) => {
        $crate::__with_cases!(__tests[$fresh]);

        mod model {
            #[allow(unused_imports)] // Not used if the expression has full paths.
            use super::*;

            #[test]
            fn random_operations_agree_with_the_model() {
                $crate::run_as_test(async || {
                    $crate::model::check($crate::model::DEFAULT_CASES, async || $fresh).await;
                });
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __with_cases {
    ($then:ident [$($argument:tt)*]) => {
        $crate::$then! { [$($argument)*]
            writing {
                new_store_is_empty,
                full_entry_round_trips,
                minimal_entry_round_trips,
                write_returns_the_id,
                count_follows_writes,
                batch_stores_all_entries,
                empty_batch_stores_nothing,
                append_is_lazy_and_stores_all_entries,
                invalid_entries_are_rejected,
                invalid_entry_in_batch_is_rejected,
                limit_values_are_accepted,
            }
            reading {
                unknown_ids_read_as_none,
                invalid_ids_read_as_none,
                ids_match_exactly,
                read_list_scan_and_count_agree,
                read_line_returns_the_scanned_line,
                acknowledged_writes_are_visible_at_once,
            }
            immutability {
                equal_rewrite_succeeds,
                equal_rewrite_keeps_its_position,
                equal_rewrite_succeeds_later,
                equal_rewrite_in_batch_succeeds,
                conflicting_rewrite_is_rejected,
                conflict_in_any_field_is_detected,
                ids_are_unique_across_days,
                conflicting_rewrite_in_batch_is_rejected,
                conflict_within_batch_is_rejected,
                duplicates_within_batch_are_stored_once,
                batch_retry_is_idempotent,
                write_new_stores_only_absent_ids,
                write_new_keeps_stored_entries,
            }
            ranges {
                order_is_by_timestamp,
                ties_keep_write_order,
                ties_keep_write_order_across_batches,
                both_ends_are_inclusive,
                ends_are_exact_to_the_microsecond,
                range_without_entries_is_empty,
                inverted_range_is_rejected,
                extreme_timestamps_round_trip,
                ranges_may_span_days,
            }
            scanning {
                empty_query_yields_all_entries,
                empty_store_yields_nothing,
                each_filter_selects_matching_entries,
                filters_combine_with_and,
                conditions_follow_deletions,
                limit_counts_matching_entries,
                descending_reverses_ascending,
                inverted_range_yields_one_error,
                invalid_conditions_yield_one_error,
                pages_join_to_the_full_result,
                filtered_pages_join_to_the_full_result,
                cursor_and_range_combine,
                deleted_cursor_resumes_at_its_timestamp,
                mismatched_cursor_acts_as_deleted,
                scan_may_be_dropped_early,
                long_scan_is_complete,
                open_scan_does_not_block_writers,
            }
            calls {
                latest_phase_is_one_entry_a_call,
                ends_outside_of_the_selection_count,
                pages_of_calls_add_up,
                deleting_an_end_opens_the_call,
                many_calls_are_selected_exactly,
            }
            deleting {
                deleted_entry_is_not_returned,
                deleting_unknown_id_returns_false,
                deleting_invalid_id_returns_false,
                deleted_entry_may_be_written_again,
                deleted_id_may_be_reused,
                delete_keeps_other_entries,
                delete_batch_matches_single_deletes,
                store_is_usable_after_deleting_all,
                cutoff_is_inclusive,
                cutoff_compares_entry_timestamps,
                cutoff_on_empty_store_deletes_nothing,
                maximum_cutoff_deletes_everything,
            }
            content {
                all_text_round_trips,
                empty_text_is_not_null,
                all_valid_ids_round_trip,
                metadata_types_round_trip,
                metadata_keys_keep_their_order,
                numbers_round_trip_exactly,
                large_content_round_trips,
                line_breaks_do_not_split_entries,
            }
            concurrency {
                concurrent_writes_are_stored_once,
                each_writer_keeps_its_order,
                one_conflicting_writer_wins,
                one_writer_of_a_new_id_wins,
                equal_writers_all_succeed,
                readers_see_only_complete_entries,
                deletes_and_writes_do_not_interfere,
                concurrent_deletes_remove_the_entry,
                futures_are_send,
            }
            cancellation {
                cancelled_write_is_atomic,
                cancelled_batch_is_atomic_per_entry,
                cancelled_write_does_not_affect_others,
                cancelled_delete_is_atomic,
                cancelled_delete_at_or_before_can_be_retried,
                cancelled_reads_hold_no_locks,
            }
            lifecycle {
                flush_keeps_all_entries,
                close_is_idempotent,
                metrics_count_entries,
                debug_hides_content,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ([$fresh:expr] $($topic:ident { $($case:ident,)+ })+) => { $(
        mod $topic {
            #[allow(unused_imports)] // Not used if the expression has full paths.
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::run_as_test(async || {
                        let fresh: $crate::Fresh = $fresh;
                        $crate::$topic::$case(fresh.store()).await;
                    });
                }
            )+
        }
    )+ };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ([] $($topic:ident { $($case:ident,)+ })+) => {
        vec![$($(
            $crate::Case::new(
                concat!(stringify!($topic), "::", stringify!($case)),
                |store| Box::pin($crate::$topic::$case(store)),
            ),
        )+)+]
    };
}

pub(crate) fn cases() -> Vec<Case> {
    crate::__with_cases!(__cases [])
}
