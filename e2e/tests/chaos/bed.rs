//! The world under test, what has been done to it, and the journal of that.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use kaedama_sandbox::storage::array::{ArrayId, Arrays, SideState};
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::{Options, Replication, World, array};
use kaedama_shared::api::csiaddons::VolumeReplication;
use kaedama_shared::api::{DRAction, DRCluster, DRPlacementControl};
use kaedama_shared::clock::Clock;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::watch::Watch;

/// An order of the user, as it was written into a DRPlacementControl.
#[derive(Clone, Debug)]
pub struct Ordered {
    pub at: Timestamp,
    pub app: String,
    pub action: DRAction,
    pub to: String,
}

/// A world, what is broken in it at present, and everything that was done to it.
pub struct Bed {
    pub world: World,
    pub apps: Vec<App>,
    pub metro: bool,
    pub start: Timestamp,
    pub down: BTreeSet<String>,
    pub cut: BTreeSet<String>,
    pub dark: BTreeSet<String>,
    pub fenced: BTreeSet<String>,
    pub replication_cut: bool,
    pub orders: Vec<Ordered>,
    pub journal: Vec<String>,
    pub watch: Watch,
}

/// The network from which a cluster reaches the storage.
fn network(cluster: &str) -> String {
    let number = cluster.trim_start_matches("dr");
    format!("10.{number}.0.0/16")
}

impl Bed {
    pub async fn start(metro: bool) -> anyhow::Result<Self> {
        let clock = Clock::starting_at("2026-03-01T03:00:00Z".parse()?);
        let options = if metro {
            Options::metro(clock)
        } else {
            let every = Duration::from_secs(60);
            Options {
                replication: Replication::Regional { interval: "1m".to_owned(), every },
                ..Options::regional(clock)
            }
        };
        let world = World::start(Options { leader_election: false, ..options }).await?;
        for cluster in world.clusters() {
            world.fabric().set_addresses(cluster, vec![network(cluster)]);
        }
        let watch = Watch::new(&world);
        Ok(Bed {
            start: clock.now(),
            world,
            apps: Vec::new(),
            metro,
            down: BTreeSet::new(),
            cut: BTreeSet::new(),
            dark: BTreeSet::new(),
            fenced: BTreeSet::new(),
            replication_cut: false,
            orders: Vec::new(),
            journal: Vec::new(),
            watch,
        })
    }

    pub fn note(&mut self, what: impl std::fmt::Display) {
        let at = self.world.clock().now().duration_since(self.start).as_secs_f64();
        let line = format!("{at:8.2} {what}");
        if std::env::var_os("KAEDAMA_CHAOS_TRACE").is_some() {
            eprintln!("{line}");
        }
        self.journal.push(line);
    }

    /// Lets time pass, and looks at everything once in a second.
    pub async fn pass(&mut self, millis: u64) -> anyhow::Result<()> {
        let mut left = millis;
        while left > 0 {
            let step = left.min(1000);
            tokio::time::sleep(Duration::from_millis(step)).await;
            left -= step;
            self.look().await?;
        }
        Ok(())
    }

    /// One look at everything. What must never be is an error.
    pub async fn look(&mut self) -> anyhow::Result<()> {
        let mut watch = std::mem::take(&mut self.watch);
        let seen = watch.look(self).await;
        self.watch = watch;
        for line in self.watch.news.drain(..).collect::<Vec<_>>() {
            self.note(line);
        }
        seen
    }

    pub async fn drpc(&self, app: &App) -> anyhow::Result<DRPlacementControl> {
        Ok(self.world.drpcs(&app.namespace).get(&app.name).await?)
    }

    pub fn other(&self, cluster: &str) -> String {
        self.world.clusters().iter().find(|other| *other != cluster).cloned().unwrap_or_default()
    }

    pub async fn order(&mut self, app: &App, action: DRAction, to: &str) -> anyhow::Result<()> {
        self.note(format!("order {} {action:?} to {to}", app.name));
        let ordered =
            Ordered { at: self.world.clock().now(), app: app.name.clone(), action: action.clone(), to: to.to_owned() };
        self.orders.push(ordered);
        Ok(self.world.order(app, action, to).await?)
    }

    pub async fn edit(&mut self, app: &App, spec: Value) -> anyhow::Result<()> {
        self.note(format!("edit {} {spec}", app.name));
        Ok(self.world.edit(app, spec).await?)
    }

    pub fn kill(&mut self, cluster: &str) -> anyhow::Result<()> {
        self.note(format!("kill {cluster}"));
        self.down.insert(cluster.to_owned());
        Ok(self.world.kill(cluster)?)
    }

    pub fn revive(&mut self, cluster: &str) -> anyhow::Result<()> {
        self.note(format!("revive {cluster}"));
        self.down.remove(cluster);
        self.dark.remove(cluster);
        Ok(self.world.revive(cluster)?)
    }

    pub fn link(&mut self, cluster: &str, up: bool) -> anyhow::Result<()> {
        self.note(format!("link of {cluster} to the hub {}", if up { "mended" } else { "cut" }));
        if up {
            self.cut.remove(cluster)
        } else {
            self.cut.insert(cluster.to_owned())
        };
        Ok(self.world.set_link(cluster, up)?)
    }

    pub fn replication(&mut self, up: bool) {
        self.note(format!("replication link {}", if up { "mended" } else { "cut" }));
        self.replication_cut = !up;
        let clusters = self.world.clusters().to_vec();
        self.world.set_replication_link(&clusters[0], &clusters[1], up);
    }

    pub fn store(&mut self, cluster: &str, up: bool) {
        self.note(format!("store of {cluster} {}", if up { "up" } else { "down" }));
        if up {
            self.dark.remove(cluster)
        } else {
            self.dark.insert(cluster.to_owned())
        };
        self.world.set_store_down(cluster, !up);
    }

    /// The array that a cluster uses.
    pub fn array(&self, cluster: &str) -> ArrayId {
        if self.metro { "metro".into() } else { array(cluster) }
    }

    /// What an admin does who fences by hand: first the network, then the word.
    pub async fn fence(&mut self, cluster: &str, fenced: bool) -> anyhow::Result<()> {
        self.note(format!("{} {cluster} by hand", if fenced { "fence" } else { "unfence" }));
        if fenced {
            self.fenced.insert(cluster.to_owned())
        } else {
            self.fenced.remove(cluster)
        };
        let (array, now) = (self.array(cluster), self.world.clock().now());
        self.world.fabric().with(|arrays, _| arrays.fence(&array, &network(cluster), fenced, now))?;
        let api: Api<DRCluster> = Api::all(self.world.hub());
        let word = if fenced { "ManuallyFenced" } else { "ManuallyUnfenced" };
        let patch = Patch::Merge(json!({ "spec": { "clusterFence": word } }));
        api.patch(cluster, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// What a storage admin has to do by hand where the protection of a demoted volume ended before its array could see
    /// the peer: the volume is then in split-brain, with writes that the failover gave up, and nobody is left to say so.
    pub async fn mend_split_brains(&mut self) -> anyhow::Result<()> {
        if self.metro {
            return Ok(());
        }
        for cluster in self.world.clusters().to_vec() {
            let client = self.world.server(&cluster)?.client("chaos");
            for app in self.apps.clone() {
                let api: Api<VolumeReplication> = Api::namespaced(client.clone(), &app.namespace);
                let list = api.list(&ListParams::default()).await?.items;
                for replication in list.iter().filter(|vr| vr.metadata.deletion_timestamp.is_some()) {
                    let handles = self.watch.handles(&app);
                    let Some(unit) = handles.get(&replication.spec.data_source.name).cloned() else { continue };
                    let (array, now) = (self.array(&cluster), self.world.clock().now());
                    let split = |arrays: &Arrays| arrays.state(&array, &unit) == SideState::SplitBrain;
                    if self.world.fabric().with(|arrays, _| split(arrays)) {
                        self.note(format!("the storage admin resolves the split-brain of {unit} on {array}"));
                        self.world.fabric().with(|arrays, _| arrays.resync(&array, &unit, true, now))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Repairs everything that is broken.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        self.world.fabric().clear_faults();
        for cluster in self.world.clusters().to_vec() {
            if self.down.contains(&cluster) {
                self.revive(&cluster)?;
            }
            if self.dark.contains(&cluster) {
                self.store(&cluster, true);
            }
            if self.cut.contains(&cluster) {
                self.link(&cluster, true)?;
            }
        }
        if self.replication_cut {
            self.replication(true);
        }
        Ok(())
    }
}
