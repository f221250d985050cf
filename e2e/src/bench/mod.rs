//! The benchmark: a world in this process, applications in it, and every action run on all of them at the same time.
//!
//! Real time, storage that answers at once, nothing cut short: leader election is on, the operators run as they do in
//! production. Each operator has a runtime of its own, so that the processor time of its threads can be told apart.
//!
//! | module | what lives there |
//! |---|---|
//! | [`Args`] | what can be asked for |
//! | `phases` | one world and its applications through all actions |
//! | `timeline` | watches that note when each application reached what |
//! | `requests` | API requests, by whom and of what sort |
//! | `usage` | memory and processor time, from `/proc` |
//! | `report` | the figures, and how they stand to the targets |
//! | `table` | the figures as text |

mod phases;
mod report;
mod requests;
mod table;
mod timeline;
mod usage;

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures protection, failover, relocation and rest, for several numbers of applications.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
pub struct Args {
    /// Numbers of applications, a world for each.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    pub apps: Vec<usize>,
    /// Claims of each application.
    #[arg(long, default_value_t = 3)]
    pub claims: usize,
    /// Seconds at rest over which requests are counted.
    #[arg(long, default_value_t = 20)]
    pub rest: u64,
    /// Seconds between two synchronisations of the storage. Longer than the run, none of its news falls into a figure.
    #[arg(long, default_value_t = 3600)]
    pub sync_every: u64,
    /// How the figures are written.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Lists the requests of each action by agent, verb, resource and answer.
    #[arg(long)]
    pub detail: bool,
}

/// How the figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables.
    Text,
    /// One JSON document.
    Json,
}

/// Runs all sizes and writes the report to standard output; progress goes to standard error.
///
/// # Errors
/// A world could not be started, an action did not end, or the report could not be written.
pub fn main(args: &Args) -> anyhow::Result<()> {
    let runtime = |name: &str| {
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_name(name).worker_threads(2).build()
    };
    let (world, hub, spoke) = (runtime(usage::WORLD)?, runtime(usage::HUB)?, runtime(usage::SPOKE)?);
    let runtimes = kaedama_sandbox::world::options::Runtimes {
        hub: Some(hub.handle().clone()),
        spoke: Some(spoke.handle().clone()),
    };
    let mut sizes = Vec::new();
    for &apps in &args.apps {
        let plan = phases::Plan {
            apps,
            claims: args.claims,
            rest: Duration::from_secs(args.rest),
            sync_every: Duration::from_secs(args.sync_every),
            runtimes: runtimes.clone(),
        };
        sizes.push(world.block_on(async move { world_task(plan).await })?);
    }
    let report = report::Report::new(args.claims, sizes);
    match args.output {
        Output::Text => print!("{}", table::text(&report, args.detail)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    for runtime in [hub, spoke, world] {
        runtime.shutdown_background();
    }
    Ok(())
}

/// On a worker thread, where its processor time is counted, and not on the main thread.
async fn world_task(plan: phases::Plan) -> anyhow::Result<report::Size> {
    tokio::spawn(phases::run(plan)).await?
}
