//! The benchmark: a world, applications in it, and every action run on all of them at the same time.
//!
//! Real time, storage that answers at once, nothing cut short: leader election is on, the operators run as they do in
//! production. In the sandbox each operator has a runtime of its own, so that the processor time of its threads can be
//! told apart; on real clusters it is a process of its own.
//!
//! | module | what lives there |
//! |---|---|
//! | [`Args`], [`Which`] | what can be asked for |
//! | [`run`], [`main`] | all worlds and sizes, one after the other |
//! | `embedded`, `real`, `visited` | starting each sort of world |
//! | `phases` | one world and its applications through all actions |
//! | `timeline` | watches that note when each application reached what |
//! | `meter` | what a world costs, asked of whoever counts it there |
//! | `requests`, `audit`, `access`, `tail` | API requests and S3 requests: sorts and agents; from the logs of servers |
//! | `usage` | memory and processor time, from `/proc` |
//! | [`report`] | the figures, and how they stand to the targets |
//! | [`ratio`] | how those of another world stand to the sandbox's |
//! | `table` | the figures as text |

mod access;
mod args;
mod audit;
mod embedded;
mod meter;
mod phases;
pub mod ratio;
mod real;
pub mod report;
pub mod requests;
mod table;
mod tail;
mod timeline;
pub mod usage;

use std::path::Path;
use std::time::Duration;

pub use args::{Args, Output, Unfit, Which};
use report::{Report, Size, WorldReport};

/// Runs everything and writes the report to standard output; progress goes to standard error. `keeper` is a program that
/// holds others: see [`crate::real::keeper`].
///
/// # Errors
/// As [`run`]; or the report could not be written.
pub fn main(args: &Args, keeper: &Path) -> anyhow::Result<()> {
    let report = run(args, keeper)?;
    match args.output {
        Output::Text => print!("{}", text(&report, args.detail)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(())
}

/// The report as tables; with `detail` also the requests of each action.
#[must_use]
pub fn text(report: &Report, detail: bool) -> String {
    table::text(report, detail)
}

/// Runs all sizes in the world that is asked for; where that is not the sandbox, in the sandbox first.
///
/// # Errors
/// [`Unfit`] for what cannot be measured at all: nothing was started then. Otherwise a world could not be started, or an
/// action did not end.
pub fn run(args: &Args, keeper: &Path) -> anyhow::Result<Report> {
    let which = args.which()?;
    let real = match &which {
        Which::Sandbox => None,
        Which::Real => Some(real::Setup::find(keeper)?),
    };
    let worlds = Runtimes::new()?;
    let mut reports = vec![WorldReport::new("sandbox", args.claims, worlds.sizes(args, Ground::Sandbox)?)];
    if let Some(setup) = real {
        reports.push(WorldReport::new("real", args.claims, worlds.sizes(args, Ground::Real(setup))?));
    }
    Ok(Report::new(args.claims, reports))
}

/// What a world is started on.
#[derive(Clone)]
enum Ground {
    Sandbox,
    Real(real::Setup),
}

/// Runtimes with names: those of the operators, and one for everything else.
struct Runtimes {
    /// None after they were shut down.
    all: Option<[tokio::runtime::Runtime; 3]>,
    operators: kaedama_sandbox::world::options::Runtimes,
}

impl Runtimes {
    fn new() -> anyhow::Result<Self> {
        let runtime = |name: &str| {
            tokio::runtime::Builder::new_multi_thread().enable_all().thread_name(name).worker_threads(2).build()
        };
        let [world, hub, spoke] = [runtime(usage::WORLD)?, runtime(usage::HUB)?, runtime(usage::SPOKE)?];
        let operators = kaedama_sandbox::world::options::Runtimes {
            hub: Some(hub.handle().clone()),
            spoke: Some(spoke.handle().clone()),
        };
        Ok(Self { all: Some([world, hub, spoke]), operators })
    }

    fn sizes(&self, args: &Args, ground: Ground) -> anyhow::Result<Vec<Size>> {
        let Some([world, ..]) = &self.all else { anyhow::bail!("the runtimes are shut down") };
        let mut sizes = Vec::new();
        for &apps in &args.apps {
            let plan = phases::Plan {
                apps,
                claims: args.claims,
                rest: Duration::from_secs(args.rest),
                sync_every: Duration::from_secs(args.sync_every),
            };
            let (ground, operators) = (ground.clone(), self.operators.clone());
            // On a worker thread, where its processor time is counted, and not on the main thread.
            let size = world.spawn(async move {
                match ground {
                    Ground::Sandbox => embedded::measure(plan, operators).await,
                    Ground::Real(setup) => real::measure(plan, &setup).await,
                }
            });
            sizes.push(world.block_on(size)??);
        }
        Ok(sizes)
    }
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        // What is left there waits for a world that has ended.
        self.all.take().into_iter().flatten().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}
