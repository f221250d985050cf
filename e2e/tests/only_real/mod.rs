//! What can only be told on real clusters: their own programs fail.
//!
//! | module | whose programs |
//! |---|---|
//! | `control_plane` | API server and etcd |
//! | `agents` | Open Cluster Management's work agent, Kaedama's operators |
//! | `stores` | the S3 server |

pub mod agents;
pub mod control_plane;
pub mod stores;

use kaedama_e2e::bytes::audit_at_home;
use kaedama_e2e::objects::decisions;
use kaedama_e2e::start::writes;
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::DRState;

/// The list of them, as that of the other folders.
macro_rules! every {
    ($($each:tt)*) => {
        $($each)*! {
            only_real:
            control_plane {
                an_api_server_that_dies_in_a_relocate_holds_it_up_and_nothing_else,
                every_etcd_is_killed_in_a_relocate_and_nothing_is_lost,
                every_certificate_is_renewed_in_a_relocate_and_nothing_is_lost,
            }
            agents {
                a_work_agent_that_is_away_holds_an_order_up_and_nothing_else,
                an_operator_that_is_killed_at_any_moment_of_a_relocate_finishes_it_without_loss,
                a_standing_still_operator_of_the_hub_does_nothing_twice,
            }
            stores {
                a_store_that_stands_still_in_a_capture_is_named_and_filled_up_later,
                a_store_that_dies_in_a_capture_holds_nothing_that_is_half,
                a_store_whose_disk_is_full_in_a_capture_holds_nothing_that_is_half,
                a_store_that_dies_in_a_restore_holds_it_up_and_nothing_else,
            }
        }
    };
}
pub(crate) use every;

/// A relocate has come to its end on `to`, with every byte, and the application goes on there.
async fn moved(world: &World, app: &App, to: &str) -> anyhow::Result<()> {
    world.completed(app, DRState::Relocated).await?;
    world.protected(app).await?;
    let before = audit_at_home(world, app)?.acknowledged;
    writes(world, app, to, before + 20).await;
    let now = audit_at_home(world, app)?;
    assert!(now.is_clean() && now.cluster == to, "{now:#?}");
    assert!(now.acknowledged > before + 20, "it does not write: {now:#?}");
    assert_eq!(decisions(world, app).await?, [to]);
    Ok(())
}
