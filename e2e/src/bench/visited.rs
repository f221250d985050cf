//! A world on clusters that belong to somebody else: the benchmark is what a run of `accept` tells there, so that
//! everything is checked before, marked, and removed afterwards as that does.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::args::Unfit;
use super::meter::Meter;
use super::phases::{self, Plan, Stage};
use super::report::Size;
use super::usage;
use crate::accept::Refusal;
use crate::accept::check::{self, Checked};
use crate::accept::file::{Choice, Description};
use crate::accept::report::Verdict;
use crate::accept::run::{self, Run};
use crate::start;
use crate::suite::Scenario;

/// Where the logs of a run are until it has ended well.
const LOGS: &str = "bench-logs";

/// The only scenario of such a run.
const SCENARIO: Scenario = Scenario { name: "the benchmark", body: || Box::pin(told()), not_real: None, core: false };

/// What a scenario is asked for, and what it answers: it has no arguments of its own.
struct Order {
    plan: Plan,
    began: Instant,
    answer: Mutex<Option<Size>>,
}

/// What is measured now: one world at a time.
static ORDER: Mutex<Option<Arc<Order>>> = Mutex::new(None);

/// The file of `accept`, and the program that holds others.
#[derive(Clone)]
pub(super) struct Setup {
    description: Description,
    keeper: PathBuf,
}

impl Setup {
    /// Reads the file and looks at everything that it names; makes nothing.
    pub(super) async fn find(file: &Path, keeper: &Path) -> anyhow::Result<Self> {
        let description = Description::read(file).map_err(|refusal| Unfit(refusal.to_string()))?;
        if description.storage == Choice::Installed {
            let what =
                "storage: installed, and the benchmark compares steps of orchestration with those in the sandbox";
            let refusal = Refusal::new(what, "write storage: sandbox and applications: sandbox");
            return Err(Unfit(refusal.to_string()).into());
        }
        let setup = Self { description, keeper: keeper.to_owned() };
        setup.check(&|well| eprintln!("ok  {well}")).await?;
        Ok(setup)
    }

    async fn check(&self, say: &dyn Fn(&str)) -> anyhow::Result<Checked> {
        let all = |refusals: Vec<Refusal>| {
            let lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
            Unfit(lines.join("\nbench: "))
        };
        check::check(&self.description, say).await.map_err(all).map_err(Into::into)
    }
}

/// One size. Its clusters are afterwards as they were, also after Ctrl-C.
pub(super) async fn measure(plan: Plan, setup: &Setup) -> anyhow::Result<Size> {
    usage::reset_peak();
    let checked = setup.check(&|_| {}).await?;
    let name = run::new_name();
    let logs = run::log_folder(Some(&Path::new(LOGS).join(&name)), &name)?;
    eprintln!("run {name}; logs: {}", logs.display());
    let stop = CancellationToken::new();
    let ends = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(ends(stop.clone())?));
    let order = Arc::new(Order { plan, began: Instant::now(), answer: Mutex::default() });
    let run = Run {
        name,
        checked,
        policy: setup.description.policy.clone(),
        at_once: 1,
        scenarios: vec![&SCENARIO],
        keeper: setup.keeper.clone(),
        logs: logs.clone(),
        stop,
        say: &|text| eprintln!("{text}"),
    };
    *ORDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(order.clone());
    let report = run::run(run).await;
    drop(ends);
    let why = report.scenarios.iter().find_map(|told| told.why.clone()).or(report.why);
    let left = match report.left_behind.as_slice() {
        [] => String::new(),
        left => format!("; left behind (`accept clean` removes it): {}", left.join(", ")),
    };
    match report.verdict {
        Verdict::Accepted => {}
        Verdict::Interrupted => bail!("interrupted; what was made is removed{left}"),
        Verdict::Rejected => bail!("{}{left}; logs: {}", why.unwrap_or_default(), logs.display()),
    }
    let _ = std::fs::remove_dir_all(&logs);
    // Goes only if nothing else is in it.
    let _ = std::fs::remove_dir(LOGS);
    let answer = order.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    answer.context("the benchmark was not run")
}

/// Asks for the end at the first signal, and ends at the second.
fn ends(stop: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_cancelled() {
                eprintln!("bench: ended without cleaning up; `accept clean` removes what is left");
                std::process::exit(130);
            }
            eprintln!("bench: ending: what was made is removed; once more ends at once, and leaves it");
            stop.cancel();
        }
    })
}

/// What the scenario does.
async fn told() -> anyhow::Result<()> {
    let order = ORDER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let order = order.context("this scenario is told by the benchmark only")?;
    let world = start::regional().await?;
    let stage = Stage { name: "given", world, meter: Meter::Uncounted, up: order.began.elapsed() };
    let size = phases::run(&order.plan, stage).await?;
    *order.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(size);
    Ok(())
}
