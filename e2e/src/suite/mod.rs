//! The scenarios on real clusters: a test program of its own, because clusters are brought up and ended one after the
//! other, and because what was used of the operators' rights is known when all have run.
//!
//! | module | what lives there |
//! |---|---|
//! | [`rights`] | rights used, denied, and never used |
//! | [`programs`] | the operators' programs |

pub mod programs;
pub mod rights;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;

use kaedama_sandbox::world::ground::Parts;

use crate::real::{CONTROLLERS, Operators, Options, Real};
use crate::start::on_real_ground;
use rights::Used;

/// The longest that a scenario may take.
const LONGEST: Duration = Duration::from_secs(900);

/// The variable that names what the sandbox stands in for on real clusters, beside what it always does (registration,
/// ManagedClusterView, storage, applications): `ocm` for the work agents and the placement controller, `binder` for what
/// binds claims and volumes. Only `binder` where it is not set.
pub const STAND_INS: &str = "KAEDAMA_STAND_INS";

/// The controller that the sandbox's binder stands in for.
const BINDER: &str = "persistentvolume-binder-controller";

/// What is real, by [`STAND_INS`].
pub(crate) fn parts() -> anyhow::Result<Parts> {
    let chosen = std::env::var(STAND_INS).unwrap_or_else(|_| "binder".to_owned());
    let mut parts = Parts { work_agents: true, placement: true, binder: true, protection: true, ..Parts::default() };
    for name in chosen.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "ocm" => (parts.work_agents, parts.placement) = (false, false),
            "binder" => parts.binder = false,
            other => anyhow::bail!("{STAND_INS} names {other}; there are ocm and binder"),
        }
    }
    Ok(parts)
}

/// So many scenarios tell which rights nobody needs.
const MANY: usize = 12;

/// What a scenario does.
pub type Body = fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;

/// A scenario, and whether it can be told on real clusters.
pub struct Scenario {
    /// Module and name.
    pub name: &'static str,
    /// What it does.
    pub body: Body,
    /// Why it cannot be told there.
    pub not_real: Option<&'static str>,
    /// It runs also when no other is asked for by name: the few that say most.
    pub core: bool,
}

/// What was asked for, in the words of Rust's own test programs, so that `cargo test` can hand them on.
#[derive(Debug, Default)]
struct Wanted {
    filters: Vec<String>,
    exact: bool,
    all: bool,
    list: bool,
    /// How many scenarios are told at a time.
    threads: usize,
}

impl Wanted {
    fn from(arguments: impl Iterator<Item = String>) -> Self {
        // They wait more than they work.
        let mut wanted = Self { threads: 2, ..Self::default() };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => wanted.exact = true,
                "--include-ignored" | "--ignored" => wanted.all = true,
                "--list" => wanted.list = true,
                "--test-threads" => wanted.threads = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1).max(1),
                "--format" | "--color" | "--skip" => drop(arguments.next()),
                other if other.starts_with('-') => {}
                _ => wanted.filters.push(argument),
            }
        }
        wanted
    }

    fn runs(&self, scenario: &Scenario) -> bool {
        if self.filters.is_empty() {
            return self.all || scenario.core;
        }
        let fits = |filter: &String| match self.exact {
            true => scenario.name == filter,
            false => scenario.name.contains(filter.as_str()),
        };
        self.filters.iter().any(fits)
    }
}

/// The main function of the test program. `keeper` is the binary `real`.
#[must_use]
pub fn main(keeper: &str, scenarios: &[Scenario]) -> ExitCode {
    let wanted = Wanted::from(std::env::args().skip(1));
    if wanted.list {
        for scenario in scenarios.iter().filter(|scenario| scenario.not_real.is_none()) {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    let missing = Options::new(keeper).and_then(|options| {
        let operators = Operators { hub: PathBuf::new(), spoke: PathBuf::new(), deploy: PathBuf::new() };
        let options = Options { operators: Some(operators), ..options };
        options.programs.require(&options.needed())
    });
    if let Err(missing) = missing {
        let ci = std::env::var("CI").as_deref() == Ok("true");
        eprintln!("{}: no scenario ran on real clusters: {missing}", if ci { "FAILED" } else { "SKIPPED" });
        return if ci { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    // Where and what is enough: the way there is always the same.
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    match run(keeper, scenarios, &wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What came of a scenario, and how long it took.
struct Outcome {
    name: &'static str,
    took: Duration,
    logs: PathBuf,
    used: Used,
    /// What bring-up took; or why it failed.
    passed: anyhow::Result<Duration>,
}

/// Runs what is wanted; whether all of it passed.
fn run(keeper: &str, scenarios: &[Scenario], wanted: &Wanted) -> anyhow::Result<bool> {
    for (scenario, why) in scenarios.iter().filter_map(|scenario| Some((scenario, scenario.not_real?))) {
        println!("NOT ON REAL CLUSTERS: {}: {why}", scenario.name);
    }
    let chosen: Vec<&Scenario> = scenarios.iter().filter(|s| s.not_real.is_none() && wanted.runs(s)).collect();
    if chosen.is_empty() {
        return Ok(true);
    }
    let operators = programs::operators()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("real-scenarios");
    let began = Instant::now();
    let (mut used, mut failed) = (Used::default(), Vec::new());
    let next = AtomicUsize::new(0);
    let (done, outcomes) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads {
            let (chosen, operators, folder, next, done) = (&chosen, &operators, &folder, &next, done.clone());
            scope.spawn(move || {
                while let Some(scenario) = chosen.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let logs = folder.join(scenario.name.replace("::", "."));
                    // Nobody hears it only when the receiving side has failed, and then all ends.
                    let _ = done.send(one(keeper, scenario, operators, logs));
                }
            });
        }
        drop(done);
        for (at, outcome) in outcomes.into_iter().enumerate() {
            let (of, seconds) = (chosen.len(), outcome.took.as_secs_f64());
            print!("[{}/{of}] {} ... ", at + 1, outcome.name);
            match outcome.passed {
                Ok(up) => {
                    println!("ok in {seconds:.1} s, bring-up {:.1} s of it", up.as_secs_f64());
                    // Only those of failures are worth the room.
                    let _ = std::fs::remove_dir_all(&outcome.logs);
                }
                Err(why) => {
                    println!("FAILED after {seconds:.1} s: {why:#}\n    its logs: {}", outcome.logs.display());
                    failed.push(outcome.name);
                }
            }
            used.add(outcome.used);
        }
    });
    let unused = used.unused(&operators.deploy)?;
    // Of a few it would say nothing.
    if chosen.len() >= MANY {
        for right in &unused {
            println!("GRANTED, NEVER USED: {right}");
        }
    }
    println!(
        "real clusters: {} passed, {} failed {failed:?}, in {:.0} s; rights granted and not used: {}",
        chosen.len() - failed.len(),
        failed.len(),
        began.elapsed().as_secs_f64(),
        unused.len()
    );
    Ok(failed.is_empty())
}

/// One scenario on clusters, and on a runtime, of its own.
fn one(keeper: &str, scenario: &Scenario, operators: &Operators, logs: PathBuf) -> Outcome {
    let began = Instant::now();
    let mut used = Used::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let passed = match runtime {
        Ok(runtime) => runtime.block_on(told(keeper, scenario, operators, &logs, &mut used)),
        Err(error) => Err(error.into()),
    };
    Outcome { name: scenario.name, took: began.elapsed(), logs, used, passed }
}

/// Clusters with these parts, and with operators as processes; for a world of the sandbox to stand on.
pub(crate) fn options(keeper: &Path, parts: Parts, operators: &Operators, logs: &Path) -> anyhow::Result<Options> {
    let controllers = CONTROLLERS.iter().filter(|name| parts.binder || **name != BINDER);
    Ok(Options {
        operators: Some(operators.clone()),
        ocm: parts.work_agents,
        // The sandbox joins the clusters: their leases end with its links.
        registration: false,
        s3_tls: true,
        controllers: controllers.map(|name| (*name).to_owned()).collect(),
        logs: Some(logs.to_owned()),
        ..Options::new(keeper)?
    })
}

/// Tells a scenario. What bring-up took.
async fn told(
    keeper: &str,
    scenario: &Scenario,
    operators: &Operators,
    logs: &Path,
    used: &mut Used,
) -> anyhow::Result<Duration> {
    let _ = std::fs::remove_dir_all(logs);
    let parts = parts()?;
    let options = options(Path::new(keeper), parts, operators, logs)?;
    let began = Instant::now();
    let real = Arc::new(Real::start(options).await?);
    let up = began.elapsed();
    let body = on_real_ground(real.clone(), parts, tokio::time::timeout(LONGEST, (scenario.body)()));
    let outcome = AssertUnwindSafe(body).catch_unwind().await;
    let denied = used.read(&real)?;
    match outcome {
        Ok(Ok(done)) => done?,
        Ok(Err(_)) => anyhow::bail!("it was not done after {} s", LONGEST.as_secs()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            anyhow::bail!("{}", text.unwrap_or_else(|| "it panicked".to_owned()));
        }
    }
    anyhow::ensure!(denied.is_empty(), "rights are missing in deploy/: {denied:#?}");
    Ok(up)
}
