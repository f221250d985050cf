//! Clusters that scenarios are told on, one after the other: bringing them up takes most of what they cost.
//!
//! Each scenario is a visit, with namespaces of its own. When it has passed, what it broke is mended, and what it made in
//! those is removed as `accept` does it on clusters of somebody else; when it has failed, the clusters are not used again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kaedama_sandbox::world::ground::Parts;
use kaedama_sandbox::world::{World, profile};
use kaedama_shared::clock::Clock;
use kaedama_shared::s3::{S3Options, S3Store};

use super::rights::Used;
use super::share::{METRO, Share};
use super::{LONGEST, News, Scenario, to_its_end};
use crate::accept::clusters::Sites;
use crate::accept::find::{self, Traces};
use crate::accept::run::{depart, new_name};
use crate::real::{Identity, Operators, Real};
use crate::start::{Visit, metro, on_a_visit, on_real_ground, regional};

/// Clusters, and what scenarios share on them.
pub(super) struct Bed {
    real: Arc<Real>,
    parts: Parts,
    logs: PathBuf,
    share: Share,
    /// None where the one scenario makes a world of its own.
    shared: Option<Shared>,
}

struct Shared {
    world: World,
    sites: Sites,
    stores: Vec<S3Store>,
    /// What all namespaces begin with.
    run: String,
    /// Scenarios so far.
    told: usize,
}

impl Bed {
    pub(super) async fn start(keeper: &Path, operators: &Operators, logs: &Path, share: Share) -> anyhow::Result<Self> {
        let parts = super::parts()?;
        let real = Arc::new(Real::start(super::options(keeper, parts, operators, logs)?).await?);
        let shared = match share {
            Share::Nothing => None,
            Share::With(METRO) => Some(Shared::start(&real, parts, metro()).await?),
            Share::With(_) | Share::WithAll => Some(Shared::start(&real, parts, regional()).await?),
        };
        Ok(Self { real, parts, logs: logs.to_owned(), share, shared })
    }

    /// Whether what shares clusters so is told on these.
    pub(super) fn is_for(&self, share: Share) -> bool {
        self.shared.is_some() && self.share == share
    }

    /// The folder of its logs.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Tells a scenario, and removes what it made: what that took. Why it failed, where it did.
    pub(super) async fn tell(&mut self, scenario: &Scenario) -> Result<Duration, String> {
        let (real, parts) = (self.real.clone(), self.parts);
        let Some(shared) = &mut self.shared else {
            on_real_ground(real, parts, to_its_end(LONGEST, (scenario.body)())).await?;
            return Ok(Duration::ZERO);
        };
        shared.told += 1;
        let prefix = format!("{}-{:02}", shared.run, shared.told);
        let visit = Arc::new(Visit::new(shared.world.clone(), ["dr1", "dr2"], prefix));
        let body = on_a_visit(visit.clone(), to_its_end(LONGEST, (scenario.body)()));
        on_real_ground(real, parts, body).await?;
        let began = Instant::now();
        shared.depart(&visit).await.map_err(|error| format!("what it left does not go: {error:#}"))?;
        Ok(began.elapsed())
    }

    /// Ends the clusters, and tells what was used of the operators' rights. Of logs only those of failures are kept.
    pub(super) fn end(self, tell: &Sender<News>, failed: bool) {
        let mut used = Used::default();
        let missing = used.read(&self.real);
        let _ = tell.send(News::Ended(missing.map(|missing| (used, missing))));
        let logs = self.logs.clone();
        drop(self);
        if !failed {
            let _ = std::fs::remove_dir_all(logs);
        }
    }
}

impl Shared {
    async fn start(
        real: &Arc<Real>,
        parts: Parts,
        world: impl Future<Output = anyhow::Result<World>>,
    ) -> anyhow::Result<Self> {
        let world = on_real_ground(real.clone(), parts, world).await?;
        let sites = Sites::of(real, &Identity::admin()).await?;
        let mut stores = Vec::new();
        for cluster in real.managed() {
            let access = real.s3(&cluster)?;
            let options = S3Options::new(Clock::system());
            let store = S3Store::connect(&access.profile(&profile(&cluster)), &access.credentials, &options);
            stores.push(store.with_context(|| format!("cannot reach the store of {cluster}"))?);
        }
        Ok(Self { world, sites, stores, run: new_name(), told: 0 })
    }

    async fn depart(&self, visit: &Visit) -> anyhow::Result<()> {
        self.world.mend()?;
        depart(visit, &self.sites, self.stores.iter()).await?;
        let left = find::left(&self.sites, &Traces::within(&visit.prefix)).await?;
        anyhow::ensure!(left.is_empty(), "there still is {}", left.join(", "));
        Ok(())
    }
}
