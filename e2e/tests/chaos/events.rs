//! What happens to the world, by chance.

use kaedama_sandbox::storage::array::{Code, StorageError};
use kaedama_sandbox::storage::fabric::{Fault, Operation};
use kaedama_shared::api::DRAction;
use serde_json::json;

use crate::bed::Bed;
use crate::rng::Rng;
use crate::watch::is_primary_on;

#[derive(Clone, Copy, Debug)]
enum Event {
    Power,
    Link,
    Replication,
    Store,
    Hub,
    Failover,
    Relocate,
    Clear,
    Prefer,
    Fault,
    Fence,
}

/// One event.
pub async fn happen(bed: &mut Bed, rng: &mut Rng) -> anyhow::Result<()> {
    let weights = [
        (14, Event::Power),
        (10, Event::Link),
        (if bed.metro { 0 } else { 8 }, Event::Replication),
        (10, Event::Store),
        (6, Event::Hub),
        (14, Event::Failover),
        (14, Event::Relocate),
        (5, Event::Clear),
        (5, Event::Prefer),
        (if bed.metro { 3 } else { 10 }, Event::Fault),
        (if bed.metro { 18 } else { 0 }, Event::Fence),
    ];
    let clusters = bed.world.clusters().to_vec();
    let cluster = rng.pick(&clusters).clone();
    let apps = bed.apps.clone();
    let app = rng.pick(&apps);
    match rng.weighted(&weights) {
        Event::Power if bed.down.contains(&cluster) => bed.revive(&cluster),
        // Rarely both at once.
        Event::Power if bed.down.is_empty() || rng.percent(10) => bed.kill(&cluster),
        Event::Power => bed.revive(&bed.other(&cluster)),
        Event::Link => bed.link(&cluster, bed.cut.contains(&cluster)),
        Event::Replication => {
            bed.replication(bed.replication_cut);
            Ok(())
        }
        // The store of a cluster that is down is down with it.
        Event::Store if bed.down.contains(&cluster) => Ok(()),
        Event::Store => {
            bed.store(&cluster, bed.dark.contains(&cluster));
            Ok(())
        }
        Event::Hub => {
            bed.note("the hub operator starts anew");
            bed.world.restart_hub();
            Ok(())
        }
        Event::Failover => bed.order(app, DRAction::Failover, &cluster).await,
        Event::Relocate => bed.order(app, DRAction::Relocate, &cluster).await,
        Event::Clear => bed.edit(app, json!({ "action": null })).await,
        Event::Prefer => bed.edit(app, json!({ "preferredCluster": cluster })).await,
        Event::Fault => {
            fault(bed, rng);
            Ok(())
        }
        Event::Fence => fence(bed, &cluster).await,
    }
}

/// An admin says that a cluster is fenced when it is dead, and takes that back when nothing there would write.
async fn fence(bed: &mut Bed, cluster: &str) -> anyhow::Result<()> {
    if !bed.fenced.contains(cluster) {
        return if bed.down.contains(cluster) { bed.fence(cluster, true).await } else { Ok(()) };
    }
    unfence_if_safe(bed, cluster).await
}

/// Takes a fence back, unless an application there would write beside its successor.
pub async fn unfence_if_safe(bed: &mut Bed, cluster: &str) -> anyhow::Result<()> {
    let other = bed.other(cluster);
    for app in bed.apps.clone() {
        if is_primary_on(bed, cluster, &app).await? && is_primary_on(bed, &other, &app).await? {
            return Ok(());
        }
    }
    bed.fence(cluster, false).await
}

fn fault(bed: &mut Bed, rng: &mut Rng) {
    use Operation::{CreateVolume, Demote, Disable, Enable, Info, Promote, Resync};
    let operation = *rng.pick(&[CreateVolume, Demote, Disable, Enable, Info, Promote, Promote, Resync]);
    let cluster = rng.pick(bed.world.clusters()).clone();
    let code = *rng.pick(&[Code::Unavailable, Code::Internal]);
    let fault = Fault {
        array: rng.percent(50).then(|| bed.array(&cluster)),
        operation,
        error: StorageError::new(code, "injected"),
        times: u32::try_from(rng.within(1, 4)).unwrap_or(1),
        after: rng.percent(40),
    };
    bed.note(format!("storage fault {fault:?}"));
    bed.world.fabric().inject(fault);
}
