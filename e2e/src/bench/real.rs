//! A world on real clusters on loopback, with the operators as processes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kaedama_sandbox::world::ground::{Ground, Parts};
use kaedama_sandbox::world::{Options, World};
use tokio::time::Instant;

use super::args::Unfit;
use super::embedded;
use super::meter::{Meter, RealMeter};
use super::phases::{self, Plan, Stage};
use super::report::Size;
use super::usage;
use crate::ground::RealGround;
use crate::real::programs::Program;
use crate::real::{self, Operators, Real};
use crate::suite::{self, programs};

/// What it takes to bring real clusters up.
#[derive(Clone)]
pub(super) struct Setup {
    keeper: PathBuf,
    operators: Operators,
    parts: Parts,
    agent_qps: Option<u32>,
}

impl Setup {
    /// Looks for the programs, and builds the operators as this program was built.
    pub(super) fn find(keeper: &Path, agent_qps: Option<u32>) -> anyhow::Result<Self> {
        let parts = suite::parts().map_err(|error| Unfit(error.to_string()))?;
        if agent_qps.is_some() && !parts.work_agents {
            let stand_ins = suite::STAND_INS;
            return Err(
                Unfit(format!("--agent-qps is for work agents, which {stand_ins} replaces: leave one out")).into()
            );
        }
        let options = real::Options::new(keeper)?;
        let mut needed = options.needed();
        needed.push(Program::Kubectl);
        options.programs.require(&needed).map_err(|missing| Unfit(missing.to_string()))?;
        eprintln!("building the operators as this program was built; the first time that takes minutes");
        let operators = programs::operators().map_err(|error| {
            Unfit(format!(
                "there are no operators to measure ({error:#}): run this from the checkout, or set {} to a folder with both",
                programs::OPERATORS
            ))
        })?;
        Ok(Self { keeper: keeper.to_owned(), operators, parts, agent_qps })
    }
}

/// One size on clusters of its own.
pub(super) async fn measure(plan: Plan, setup: &Setup) -> anyhow::Result<Size> {
    usage::reset_peak();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("real-bench");
    let logs = folder.join(format!("{}-applications", plan.apps));
    // Left by a run that failed.
    let _ = std::fs::remove_dir_all(&logs);
    let size = measured(&plan, setup, &logs).await;
    let size = size.with_context(|| format!("on real clusters; their logs are in {}", logs.display()))?;
    let _ = std::fs::remove_dir_all(&logs);
    Ok(size)
}

async fn measured(plan: &Plan, setup: &Setup, logs: &Path) -> anyhow::Result<Size> {
    let began = Instant::now();
    let options = suite::options(&setup.keeper, setup.parts, &setup.operators, logs)?;
    let options = real::Options { agent_qps: setup.agent_qps, ..options };
    let real = Arc::new(Real::start(options).await?);
    let ground = Ground::Given(Arc::new(RealGround::new(real.clone(), setup.parts).await?));
    let world = World::start(Options { ground, ..embedded::options(plan) }).await?;
    let meter = Meter::Real(RealMeter::new(real)?);
    phases::run(plan, Stage { name: "real", world, meter, up: began.elapsed() }).await
}
