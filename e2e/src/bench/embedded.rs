//! The sandbox's world: everything in this process.

use kaedama_sandbox::world::options::Runtimes;
use kaedama_sandbox::world::{Options, Replication, World};
use kaedama_shared::clock::Clock;
use tokio::time::Instant;

use super::meter::Meter;
use super::phases::{self, Plan, Stage};
use super::report::Size;
use super::usage;

/// What a world is made of, wherever it stands: as in production, except for how often the storage ships.
pub(super) fn options(plan: &Plan) -> Options {
    let replication = Replication::Regional { interval: "1h".to_owned(), every: plan.sync_every };
    Options { replication, ..Options::regional(Clock::system()) }
}

/// One size in a world of its own.
pub(super) async fn measure(plan: Plan, runtimes: Runtimes) -> anyhow::Result<Size> {
    usage::reset_peak();
    let began = Instant::now();
    let world = World::start(Options { runtimes, ..options(&plan) }).await?;
    let stage = Stage { name: "sandbox", world, meter: Meter::Embedded, up: began.elapsed() };
    phases::run(&plan, stage).await
}
