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
mod visited;

use std::path::Path;
use std::time::Duration;

use crate::start::SHIP_EVERY;
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
    let worlds = Runtimes::new()?;
    // What is not there is told before anything is measured.
    let other = match &which {
        Which::Sandbox => None,
        Which::Real => Some(("real", Ground::Real(real::Setup::find(keeper, args.agent_qps)?))),
        Which::Given(file) => Some(("given", Ground::Given(worlds.wait(visited::Setup::find(file, keeper))??))),
    };
    let mut args = args.clone();
    if matches!(which, Which::Given(_)) {
        // There the storage ships as often as it does for `accept`; the worlds are to be the same.
        args.sync_every = SHIP_EVERY.as_secs();
    }
    let mut reports = vec![WorldReport::new("sandbox", args.claims, worlds.sizes(&args, &Ground::Sandbox)?)];
    if let Some((name, ground)) = other {
        reports.push(WorldReport::new(name, args.claims, worlds.sizes(&args, &ground)?));
    }
    Ok(Report { agent_qps: args.agent_qps, ..Report::new(args.claims, reports) })
}

/// What a world is started on.
enum Ground {
    Sandbox,
    Real(real::Setup),
    Given(visited::Setup),
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

    /// Runs something on the world's runtime, from this thread.
    fn wait<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        let Some([world, ..]) = &self.all else { anyhow::bail!("the runtimes are shut down") };
        Ok(world.block_on(work))
    }

    fn sizes(&self, args: &Args, ground: &Ground) -> anyhow::Result<Vec<Size>> {
        let mut sizes = Vec::new();
        for &apps in &args.apps {
            let plan = phases::Plan {
                apps,
                claims: args.claims,
                rest: Duration::from_secs(args.rest),
                sync_every: Duration::from_secs(args.sync_every),
            };
            let operators = self.operators.clone();
            sizes.push(self.wait(async {
                match ground {
                    // On a worker thread, where its processor time is counted, and not on the main thread.
                    Ground::Sandbox => tokio::spawn(embedded::measure(plan, operators)).await?,
                    Ground::Real(setup) => real::measure(plan, setup).await,
                    Ground::Given(setup) => visited::measure(plan, setup).await,
                }
            })??);
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
