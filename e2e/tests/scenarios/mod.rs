//! What happens to applications in disasters, told in bytes and objects.
//!
//! Each scenario is a whole world: hub, two clusters, storage, stores, and applications that write. It runs in the
//! sandbox in virtual time, and on real clusters.

pub mod definitions;
pub mod disable;
pub mod interrupted;
pub mod links;
pub mod metro;
pub mod moves;
pub mod relocate;
pub mod stores;

/// Every scenario of this folder, handed to a macro. One with a reason cannot be told on real clusters.
macro_rules! every {
    ($($each:tt)*) => {
        $($each)*! {
            scenarios:
            definitions {
                an_installation_of_ramendr_needs_other_images_and_nothing_else,
            }
            disable {
                a_deleted_drplacementcontrol_leaves_the_application_running_with_its_bytes,
                a_deleted_placement_ends_the_protection_in_order,
                an_application_can_be_protected_again,
            }
            interrupted {
                a_hub_that_restarts_in_the_middle_of_a_relocate_finishes_it_without_loss,
                a_hub_that_restarts_in_the_middle_of_a_failover_finishes_it,
                a_source_that_dies_while_it_comes_to_rest_can_be_failed_over,
                a_source_that_dies_with_its_store_while_the_target_is_promoted_can_be_failed_over,
                a_target_that_dies_while_it_is_promoted_leaves_everything_at_the_source,
                a_target_that_dies_before_the_last_sync_arrives_does_not_keep_the_application_from_home,
                a_target_that_dies_right_after_a_relocate_can_be_failed_over_from,
                a_failover_whose_target_dies_is_turned_to_the_cluster_that_came_back,
                a_promotion_that_the_storage_refuses_is_told_in_the_storages_words,
                a_demotion_that_the_storage_refuses_holds_the_relocate_up,
            }
            links {
                a_relocate_waits_for_a_cluster_that_the_hub_cannot_reach,
                a_link_that_breaks_in_the_middle_of_a_relocate_holds_it_up_and_nothing_else,
                a_relocate_waits_for_data_that_cannot_get_across_and_loses_none,
            }
            metro {
                a_failover_waits_for_the_fence_and_loses_nothing,
                a_relocate_to_a_fenced_cluster_is_refused_until_it_is_unfenced,
                a_relocate_there_and_back_loses_nothing,
            }
            moves {
                a_deployed_application_is_protected_in_storage_and_in_both_stores,
                the_time_of_the_last_sync_goes_on_with_the_storage,
                a_failover_from_a_cluster_that_lives_loses_what_was_not_synced_and_comes_home_with_everything,
                a_dead_cluster_costs_what_came_after_the_last_snapshot_and_comes_back_clean,
            }
            relocate {
                a_relocate_while_writing_loses_nothing_in_either_direction,
                ten_relocates_in_a_row_lose_nothing_and_leave_nothing_behind,
                one_application_fails_over_while_another_relocates,
                a_relocate_edited_back_while_it_comes_to_rest_leaves_the_application_at_home,
                a_relocate_asked_for_during_a_failovers_cleanup_is_noted_and_done_later,
            }
            stores {
                a_store_that_is_away_is_named_and_filled_up_when_it_returns,
                a_failover_restores_from_the_store_that_is_left_and_says_which_was_not_read,
                a_failover_without_any_store_waits_and_promotes_nothing,
                a_store_that_dies_or_is_emptied_while_nothing_happens_is_noticed_and_filled = "it takes a quarter of an hour, and objects away from the sandbox's store",
                a_failover_from_stores_that_were_emptied_starts_nothing_until_somebody_says_so = "it takes objects away from the sandbox's store",
            }
        }
    };
}
pub(crate) use every;
