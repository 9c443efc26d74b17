//! The list of all cases. It stands here once; the macro and [`cases`] both follow it.

use crate::Case;

/// Turns every case into a test, each on a backend of its own.
///
/// Takes an expression that makes a [`Fresh`](crate::Fresh), evaluated once for each test in an
/// async context: it may `.await`. The tests lie in modules named after the topics, so use the
/// macro at most once in a module. Nothing but this crate is needed; each test brings its runtime.
///
/// ```
/// # use attestry_conformance::example::Five as MyBackend;
/// attestry_conformance::suite!(attestry_conformance::Fresh::new(MyBackend::default()));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! suite {
    ($fresh:expr $(,)?) => {
        $crate::__with_cases!(__tests[$fresh]);

        mod model {
            #[allow(unused_imports)] // The expression may name everything in full.
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
                a_new_store_is_empty,
                an_entry_comes_back_as_written,
                a_minimal_entry_comes_back_as_written,
                write_returns_the_id,
                the_count_follows_the_writes,
                a_batch_stores_all,
                an_empty_batch_stores_nothing,
                append_stores_all,
                invalid_entries_are_refused_and_nothing_is_written,
                an_invalid_entry_in_a_batch_is_refused_and_absent,
                the_limits_of_validity_are_accepted,
            }
            reading {
                unknown_ids_are_none,
                ids_that_cannot_be_written_are_none,
                a_similar_id_is_not_taken_for_another,
                all_ways_of_reading_agree,
                what_is_acknowledged_is_seen_at_once,
            }
            immutability {
                an_equal_rewrite_succeeds,
                an_equal_rewrite_keeps_its_place,
                an_equal_rewrite_succeeds_later,
                an_equal_rewrite_in_a_batch_succeeds,
                a_differing_rewrite_is_refused,
                every_field_counts_as_a_difference,
                another_day_is_a_difference,
                a_differing_rewrite_in_a_batch_is_refused,
                two_that_differ_in_one_batch_are_refused,
                two_that_are_equal_in_one_batch_are_one,
                a_batch_may_be_repeated,
            }
            ranges {
                order_is_by_time_however_written,
                ties_come_as_written,
                ties_come_as_written_across_batches,
                both_ends_are_inclusive,
                ends_are_exact_to_the_microsecond,
                an_empty_range_is_empty,
                an_inverted_range_is_refused,
                the_ends_of_time_can_be_stored,
                ranges_across_days,
            }
            scanning {
                an_empty_query_yields_everything,
                an_empty_store_yields_nothing,
                each_filter_selects,
                filters_combine,
                limits_are_kept,
                descending_is_the_exact_reverse,
                an_inverted_range_is_one_error,
                pages_join_to_the_whole,
                filtered_pages_join_to_the_whole,
                a_cursor_and_a_range_both_hold,
                a_deleted_cursor_repeats_its_moment_and_skips_nothing,
                a_cursor_of_another_moment_is_a_deleted_one,
                a_scan_may_be_dropped_early,
                a_long_scan_is_complete,
                a_scan_and_a_writer_do_not_disturb_each_other,
            }
            deleting {
                a_deleted_entry_is_gone_everywhere,
                deleting_an_unknown_id_is_false,
                deleting_ids_that_cannot_be_written_is_false,
                a_deleted_id_may_be_written_again,
                a_deleted_entry_may_be_written_with_other_content,
                the_others_stay_when_one_goes,
                everything_may_be_deleted,
                delete_until_takes_the_cutoff_too,
                delete_until_goes_by_the_entries_time,
                delete_until_on_an_empty_store,
                delete_until_everything,
            }
            content {
                text_of_every_kind,
                empty_text_is_not_absent_text,
                ids_of_every_form,
                metadata_of_every_type,
                metadata_keep_their_order,
                numbers_are_exact,
                a_mebibyte_of_content,
                line_breaks_do_not_split_an_entry,
            }
            concurrency {
                many_writers_store_everything_once,
                each_writer_keeps_its_order,
                of_differing_writers_exactly_one_wins,
                equal_writers_all_succeed,
                readers_see_whole_entries_only,
                deleters_and_writers_do_not_disturb_each_other,
                one_entry_deleted_by_many_is_gone,
                calls_run_on_any_task,
            }
            cancellation {
                a_cancelled_write_leaves_it_whole_or_absent,
                a_cancelled_batch_leaves_each_whole_or_absent,
                a_cancelled_write_does_not_harm_its_neighbours,
                a_cancelled_delete_leaves_it_there_or_gone,
                a_cancelled_delete_until_can_be_repeated,
                cancelled_readers_leave_no_trace,
            }
            lifecycle {
                flush_keeps_everything,
                close_may_be_called_twice,
                debug_shows_no_content,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ([$fresh:expr] $($topic:ident { $($case:ident,)+ })+) => { $(
        mod $topic {
            #[allow(unused_imports)] // The expression may name everything in full.
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
