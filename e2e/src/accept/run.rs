//! The run: install what is missing, tell the scenarios, remove what was made, whatever happened.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kaedama_sandbox::world::app::Writers;
use kaedama_sandbox::world::ground::Ground;
use kaedama_sandbox::world::{Options, Replication, World};
use kaedama_shared::clock::Clock;
use kaedama_shared::s3::S3Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Refusal;
use super::check::Checked;
use super::clusters::Sites;
use super::file::{Choice, OpenStore};
use super::find::{self, Traces};
use super::ground::VisitedGround;
use super::mark::{LABEL, PREFIX};
use super::operators::Operators;
use super::report::{Outcome, Report, Told, Verdict};
use super::sweep;
use super::tidy;
use super::told;
use crate::start::{self, Visit, on_a_visit};
use crate::suite::{Scenario, to_its_end};

/// The longest that a scenario may take, and how many intervals of the storage beyond that.
const LONGEST: (Duration, u32) = (Duration::from_secs(1800), 30);

/// Seconds between two renewals of a lease, where the sandbox registers the clusters.
const LEASE_SECONDS: i32 = 5;

/// A name for a run: what its namespaces begin with.
#[must_use]
pub fn new_name() -> String {
    format!("{PREFIX}{:06x}", RandomState::new().hash_one(std::process::id()) & 0xff_ffff)
}

/// What a run is made of.
pub struct Run<'a> {
    /// Its name, of [`new_name`].
    pub name: String,
    /// What was found.
    pub checked: Checked,
    /// The DRPolicy of installed operators.
    pub policy: Option<String>,
    /// What is told, in this order.
    pub scenarios: Vec<&'a Scenario>,
    /// How many of them at a time.
    pub at_once: usize,
    /// This program, which also holds others: see [`crate::real::keeper`].
    pub keeper: PathBuf,
    /// A folder for logs, which is there.
    pub logs: PathBuf,
    /// Cancelled when somebody wants the run to end.
    pub stop: CancellationToken,
    /// Where progress goes.
    pub say: &'a dyn Fn(&str),
}

type Stores = BTreeMap<String, (OpenStore, S3Store)>;

/// Tells the scenarios, and leaves the clusters as they were.
pub async fn run(run: Run<'_>) -> Report {
    let (began, at) = (Instant::now(), Clock::system().now());
    let Run { name, checked, policy, scenarios, at_once, keeper, logs, stop, say } = run;
    let (sites, stores) = (checked.sites.clone(), checked.stores.clone());
    let mut report = Report {
        run: name.clone(),
        verdict: Verdict::Rejected,
        why: None,
        began: at.to_string(),
        seconds: 0.0,
        scenarios: scenarios.iter().map(|scenario| not_begun(scenario)).collect(),
        left_behind: Vec::new(),
        logs: logs.display().to_string(),
    };
    // Kubeconfigs with tokens: gone with this run.
    let private = tempfile::Builder::new().prefix("kaedama-accept-").tempdir();
    let operators = match (&checked.programs, &private) {
        (Some(programs), Ok(private)) => {
            Ok(Some(Arc::new(Operators::new(keeper, programs.clone(), private.path().to_owned(), logs.clone()))))
        }
        (Some(_), Err(error)) => Err(format!("cannot make a temporary folder: {error}; make room, or set TMPDIR")),
        (None, _) => Ok(None),
    };
    let operators = match operators {
        Ok(operators) => operators,
        Err(why) => {
            report.why = Some(why);
            return report;
        }
    };
    let world = tokio::select! {
        world = world(&name, checked, policy, operators.clone()) => world.map(Some),
        () = stop.cancelled() => Ok(None),
    };
    match world {
        Ok(Some(world)) => {
            say(&format!("installed what was missing, in {:.0} s", began.elapsed().as_secs_f64()));
            let held_up = Cell::new(false);
            let one = async |at: usize| {
                let scenario = scenarios[at];
                if stop.is_cancelled() || held_up.get() {
                    return (at, not_begun(scenario), Ok(()));
                }
                say(&format!("[{}/{}] {} ...", at + 1, scenarios.len(), scenario.name));
                let visit = visit(&world, &name, at);
                let told = tell(scenario, &visit, &stop).await;
                say(&line(at, &told));
                let departed = depart(&visit, &sites, stores.values().map(|(_, store)| store)).await;
                if let Err(refusal) = &departed {
                    held_up.set(true);
                    say(&format!("[{}] cleaning up: {refusal}", at + 1));
                }
                (at, told, departed)
            };
            let (alone, together): (Vec<_>, Vec<_>) =
                (0..scenarios.len()).partition(|at| told::breaks_storage(scenarios[*at].name));
            let mut ended = Vec::new();
            for at in alone {
                ended.push(one(at).await);
                if let Err(error) = world.mend() {
                    report.why = Some(error.to_string());
                }
            }
            ended.extend(stream::iter(together).map(&one).buffer_unordered(at_once.max(1)).collect::<Vec<_>>().await);
            for (at, told, departed) in ended {
                report.scenarios[at] = told;
                report.why = report.why.or(departed.err().map(|refusal| refusal.to_string()));
            }
            say("removing what was made");
            if operators.is_some() {
                tidy::policy(&sites, &format!("{LABEL}={name}")).await;
            }
        }
        Ok(None) => say("removing what was made"),
        Err(why) => {
            say(&format!("not installed: {why}"));
            report.why = Some(format!("what the scenarios need could not be installed: {why}; logs: {}", report.logs));
        }
    }
    if let Some(operators) = operators {
        operators.stop().await;
    }
    if let Err(refusal) = remove(&sites, &stores, &name).await {
        say(&format!("not all is removed: {refusal}"));
        report.left_behind.push(refusal.to_string());
    }
    report.left_behind.extend(left(&sites, &stores, &name).await);
    // What was perhaps lost and nobody knows of is not accepted.
    let passed = report.scenarios.iter().all(|told| told.outcome == Outcome::Passed && told.unread() == 0);
    report.verdict = if stop.is_cancelled() {
        Verdict::Interrupted
    } else if passed && report.left_behind.is_empty() && report.why.is_none() {
        Verdict::Accepted
    } else {
        Verdict::Rejected
    };
    report.seconds = began.elapsed().as_secs_f64();
    report
}

/// Installs what is missing, and starts the sandbox's part.
async fn world(
    name: &str,
    checked: Checked,
    policy: Option<String>,
    operators: Option<Arc<Operators>>,
) -> Result<World, String> {
    let clusters = checked.sites.managed().iter().map(|site| site.name.clone()).collect();
    let (interval, writers, every) = (checked.interval.clone(), checked.writers.clone(), checked.ships_every());
    let mut ground = VisitedGround::new(checked.sites, checked.stores, name.to_owned(), checked.parts, operators);
    if writers != Writers::Simulated {
        ground.patience += every * 3;
    }
    let options = Options {
        clusters,
        policy: policy.unwrap_or_else(|| name.to_owned()),
        replication: Replication::Regional { interval, every },
        writers,
        lease_seconds: LEASE_SECONDS,
        ground: Ground::Given(Arc::new(ground)),
        ..Options::regional(Clock::system())
    };
    World::start(options).await.map_err(|error| error.to_string())
}

fn visit(world: &World, run: &str, at: usize) -> Arc<Visit> {
    // Scenarios call clusters by constants; there are two names for each run of this program.
    let name = |at: usize| -> &'static str { world.clusters()[at].clone().leak() };
    Arc::new(Visit::new(world.clone(), [name(0), name(1)], format!("{run}-{:02}", at + 1)))
}

fn not_begun(scenario: &Scenario) -> Told {
    Told {
        name: scenario.name.to_owned(),
        outcome: Outcome::NotBegun,
        seconds: 0.0,
        records_lost: None,
        records_written: None,
        logs_without_end: None,
        why: None,
    }
}

async fn tell(scenario: &Scenario, visit: &Arc<Visit>, stop: &CancellationToken) -> Told {
    let began = Instant::now();
    let longest = LONGEST.0 + start::ships_every(&visit.world) * LONGEST.1;
    // A task of its own: what looks at a store blocks where it is, and must hold up nobody else.
    let body = on_a_visit(visit.clone(), to_its_end(longest, (scenario.body)()));
    let body = AbortOnDropHandle::new(tokio::spawn(body));
    let ended = tokio::select! {
        ended = body => Some(ended.unwrap_or_else(|error| Err(error.to_string()))),
        () = stop.cancelled() => None,
    };
    let (outcome, why) = match ended {
        None => (Outcome::Interrupted, None),
        Some(Ok(())) => (Outcome::Passed, None),
        Some(Err(why)) => (Outcome::Failed, Some(why)),
    };
    let kept = visit.apps().into_iter().filter(|app| visit.world.is_kept(app));
    let audits: Vec<_> = kept.filter_map(|app| visit.world.audit(&app)).collect();
    let sum =
        |of: fn(&kaedama_sandbox::workload::Audit) -> u64| (!audits.is_empty()).then(|| audits.iter().map(of).sum());
    Told {
        name: scenario.name.to_owned(),
        outcome,
        seconds: began.elapsed().as_secs_f64(),
        records_lost: sum(|audit| audit.lost),
        records_written: sum(|audit| audit.acknowledged),
        logs_without_end: sum(|audit| audit.unknown_ends),
        why,
    }
}

fn line(at: usize, told: &Told) -> String {
    let number = at + 1;
    let lost = told.records_lost.map_or(String::new(), |lost| format!(", {lost} records lost"));
    match (told.outcome, &told.why) {
        (Outcome::Passed, _) => format!("[{number}] passed in {:.1} s{lost}", told.seconds),
        (_, Some(why)) => format!("[{number}] FAILED after {:.1} s{lost}: {why}", told.seconds),
        (_, None) => format!("[{number}] interrupted after {:.1} s", told.seconds),
    }
}

/// Takes the applications of a visit away, with all that belongs to them.
///
/// # Errors
/// Something does not go.
pub(crate) async fn depart<'a>(
    visit: &Visit,
    sites: &Sites,
    stores: impl Iterator<Item = &'a S3Store>,
) -> Result<(), Refusal> {
    tidy::applications(sites, &visit.prefix).await;
    let traces = Traces::within(&visit.prefix);
    sweep::clusters(sites, &traces, sweep::AFTER_A_RUN).await?;
    sweep::stores(stores, &traces).await
}

async fn remove(sites: &Sites, stores: &Stores, name: &str) -> Result<(), Refusal> {
    let traces = Traces::of(name);
    let clusters = sweep::clusters(sites, &traces, sweep::AFTER_A_RUN).await;
    // One does not wait for the other.
    sweep::stores(stores.values().map(|(_, store)| store), &traces).await?;
    clusters
}

/// What there still is; also that nobody knows.
async fn left(sites: &Sites, stores: &Stores, name: &str) -> Vec<String> {
    let traces = Traces::of(name);
    let unknown = |refusal: Refusal| vec![format!("not known: {refusal}")];
    let mut all = find::left(sites, &traces).await.unwrap_or_else(unknown);
    all.extend(find::keys(stores.values().map(|(_, store)| store), &traces).await.unwrap_or_else(unknown));
    all
}

/// Removes what runs that were interrupted have left; their names.
///
/// # Errors
/// Something cannot be looked at, or does not go.
pub async fn clean(sites: &Sites, stores: &[S3Store], storage: Choice, say: &dyn Fn(&str)) -> Result<usize, Refusal> {
    let orderly = match storage {
        Choice::Sandbox => sweep::LATER,
        // Pods end, and their disks are given back, by those who still are there.
        Choice::Installed => sweep::AFTER_A_RUN,
    };
    let runs = find::runs(sites, stores.iter()).await?;
    let mut all = Ok(());
    for run in &runs {
        say(&format!("removing what {run} left"));
        let traces = Traces::of(run);
        all = all.and(sweep::clusters(sites, &traces, orderly).await);
        all = all.and(sweep::stores(stores.iter(), &traces).await);
    }
    all?;
    let traces = Traces::all();
    let mut left = find::left(sites, &traces).await?;
    left.extend(find::keys(stores.iter(), &traces).await?);
    match left.as_slice() {
        [] => Ok(runs.len()),
        left => Err(Refusal::new(
            format!("still there: {}", left.join(", ")),
            "look at what holds it, then run `accept clean` again",
        )),
    }
}

/// A folder for the logs of a run.
///
/// # Errors
/// It cannot be made.
pub fn log_folder(chosen: Option<&Path>, run: &str) -> Result<PathBuf, Refusal> {
    let folder = chosen.map_or_else(|| Path::new("accept-logs").join(run), Path::to_owned);
    std::fs::create_dir_all(&folder).and_then(|()| folder.canonicalize()).map_err(|error| {
        Refusal::new(format!("cannot make {}: {error}", folder.display()), "name another folder with --logs")
    })
}
