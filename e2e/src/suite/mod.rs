//! The scenarios on real clusters: a test program of its own, because scenarios share clusters, and because what was used
//! of the operators' rights is known when all have run.
//!
//! | module | what lives there |
//! |---|---|
//! | [`rights`] | rights used, denied, and never used |
//! | [`programs`] | the operators' programs |
//! | `bed` | clusters that scenarios are told on, one after the other |
//! | `share` | which scenarios those are |

mod bed;
pub mod programs;
pub mod rights;
mod share;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use futures::FutureExt as _;

use kaedama_sandbox::world::ground::Parts;

use crate::real::{CONTROLLERS, Operators, Options};
use bed::Bed;
use rights::Used;
use share::{Course, Share, courses};
pub(crate) use share::{OWN, TOGETHER};

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
pub type Body = fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

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
        let mut wanted = Self { threads: 3, ..Self::default() };
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

/// What came of a scenario.
struct Outcome {
    name: &'static str,
    took: Duration,
    /// What else it took; or why it failed, and where the logs are.
    passed: Result<Around, (String, PathBuf)>,
}

/// What a scenario took beside itself.
#[derive(Debug, Default)]
struct Around {
    /// To bring clusters up for it; nothing where they were there.
    up: Duration,
    /// To remove what it left.
    down: Duration,
}

/// What a worker tells.
enum News {
    Told(Outcome),
    /// Clusters were ended: the rights that were used on them, and those that were missing.
    Ended(anyhow::Result<(Used, Vec<String>)>),
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
    let courses = courses(&chosen);
    let operators = programs::operators()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("real-scenarios");
    let _ = std::fs::remove_dir_all(&folder);
    let began = Instant::now();
    let (mut used, mut failed, mut told, mut brought_up) = (Used::default(), Vec::new(), 0, 0);
    let place =
        Place { keeper: Path::new(keeper), operators: &operators, folder: &folder, number: AtomicUsize::new(0) };
    let next = AtomicUsize::new(0);
    let (tell, news) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads.min(courses.len()) {
            let (courses, place, next, tell) = (&courses, &place, &next, tell.clone());
            scope.spawn(move || work(courses, next, place, &tell));
        }
        drop(tell);
        for news in news {
            let outcome = match news {
                News::Told(outcome) => outcome,
                News::Ended(Ok((of_these, missing))) => {
                    used.add(of_these);
                    brought_up += 1;
                    if !missing.is_empty() {
                        println!("FAILED: rights are missing in deploy/: {missing:#?}");
                        failed.push("rights");
                    }
                    continue;
                }
                News::Ended(Err(error)) => {
                    println!("FAILED: what the operators used of their rights is not known: {error:#}");
                    failed.push("rights");
                    continue;
                }
            };
            told += 1;
            print!("[{told}/{}] {} ... ", chosen.len(), outcome.name);
            let seconds = outcome.took.as_secs_f64();
            match outcome.passed {
                Ok(Around { up, down }) => {
                    let (up, down) = (up.as_secs_f64(), down.as_secs_f64());
                    println!("ok in {seconds:.1} s; {up:.1} s of it to bring clusters up, {down:.1} s to clean up");
                }
                Err((why, logs)) => {
                    println!("FAILED after {seconds:.1} s: {why}\n    its logs: {}", logs.display());
                    failed.push(outcome.name);
                }
            }
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
        "real clusters, brought up {brought_up} times: {} passed, {} failed {failed:?}, in {:.0} s; rights granted and \
         not used: {}",
        chosen.len() - failed.iter().filter(|name| **name != "rights").count(),
        failed.len(),
        began.elapsed().as_secs_f64(),
        unused.len()
    );
    Ok(failed.is_empty())
}

/// Where clusters are brought up, and with what.
struct Place<'a> {
    keeper: &'a Path,
    operators: &'a Operators,
    folder: &'a Path,
    /// How often it was done.
    number: AtomicUsize,
}

/// Tells scenarios until there are none left, on a runtime of its own, and on the same clusters as long as they are fit.
fn work(courses: &[Course<'_>], next: &AtomicUsize, place: &Place<'_>, tell: &Sender<News>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let mut bed: Option<Bed> = None;
    while let Some(course) = courses.get(next.fetch_add(1, Ordering::SeqCst)) {
        for scenario in &course.scenarios {
            let began = Instant::now();
            let passed = match &runtime {
                Ok(runtime) => runtime.block_on(one(scenario, course.share, &mut bed, place, tell)),
                Err(error) => Err((format!("there is no runtime: {error}"), place.folder.to_owned())),
            };
            // Nobody hears it only when the receiving side has failed, and then all ends.
            let _ = tell.send(News::Told(Outcome { name: scenario.name, took: began.elapsed(), passed }));
        }
    }
    if let (Ok(runtime), Some(bed)) = (&runtime, bed) {
        runtime.block_on(async { bed.end(tell, false) });
    }
}

async fn one(
    scenario: &Scenario,
    share: Share,
    bed: &mut Option<Bed>,
    place: &Place<'_>,
    tell: &Sender<News>,
) -> Result<Around, (String, PathBuf)> {
    if let Some(done) = bed.take_if(|bed| !bed.is_for(share)) {
        done.end(tell, false);
    }
    let mut up = Duration::ZERO;
    let told_on = match bed {
        Some(bed) => bed,
        None => {
            let logs = place.folder.join(format!("clusters-{}", place.number.fetch_add(1, Ordering::SeqCst) + 1));
            let began = Instant::now();
            let new = Bed::start(place.keeper, place.operators, &logs, share).await;
            let new = new.map_err(|error| (format!("{error:#}"), logs))?;
            up = began.elapsed();
            bed.insert(new)
        }
    };
    let told = told_on.tell(scenario).await.map_err(|why| (why, told_on.logs().to_owned()));
    // What a failure left behind is no ground for others.
    if told.is_err()
        && let Some(bed) = bed.take()
    {
        bed.end(tell, true);
    }
    told.map(|down| Around { up, down })
}

/// Runs a scenario to its end; why it failed, where it did.
///
/// # Errors
/// What it says, its panic, or that it took too long.
pub(crate) async fn to_its_end(
    longest: Duration,
    scenario: impl Future<Output = anyhow::Result<()>>,
) -> Result<(), String> {
    match AssertUnwindSafe(tokio::time::timeout(longest, scenario)).catch_unwind().await {
        Ok(Ok(done)) => done.map_err(|error| format!("{error:#}")),
        Ok(Err(_)) => Err(format!("it was not done after {} s", longest.as_secs())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(text.unwrap_or_else(|| "it panicked".to_owned()))
        }
    }
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
