//! The facts of objects, on the hub and on a cluster.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::{World, WorldError};
use kaedama_shared::api::csiaddons::VolumeReplication;
use kaedama_shared::api::ocm::{ManagedClusterView, ManifestWork, Placement, PlacementDecision};
use kaedama_shared::api::{DRPlacementControl, VolumeReplicationGroup, VolumeReplicationGroupReport, condition};
use kaedama_shared::{names, report};
use kaedama_spoke::vrg::told::same;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// What a DRPlacementControl says, in one line for each of its conditions, in their order: `Available=True/Deployed`.
#[must_use]
pub fn conditions(drpc: &DRPlacementControl) -> Vec<String> {
    let status = drpc.status.clone().unwrap_or_default();
    status.conditions.iter().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect()
}

/// Phase and progression: `Deployed/Completed`.
#[must_use]
pub fn stage(drpc: &DRPlacementControl) -> String {
    let status = drpc.status.clone().unwrap_or_default();
    format!("{}/{}", status.phase, status.progression)
}

/// The message of a DRPlacementControl's condition; empty where there is none.
#[must_use]
pub fn message(drpc: &DRPlacementControl, type_: &str) -> String {
    let conditions = drpc.status.clone().unwrap_or_default().conditions;
    condition::find(&conditions, type_).map(|condition| condition.message.clone()).unwrap_or_default()
}

/// What an application has on a cluster.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its VolumeReplicationGroup.
    pub vrg: Option<VolumeReplicationGroup>,
    /// The replication of its volumes.
    pub replications: Vec<VolumeReplication>,
    /// Its claims.
    pub claims: Vec<PersistentVolumeClaim>,
    /// The volumes that belong to claims of its namespace.
    pub volumes: Vec<PersistentVolume>,
    /// Its Deployments.
    pub deployments: Vec<Deployment>,
}

impl Site {
    /// The wanted and the reported state of the VolumeReplicationGroup: `primary/Primary`; `none` without one.
    #[must_use]
    pub fn role(&self) -> String {
        let Some(vrg) = &self.vrg else { return "none".to_owned() };
        let state = vrg.status.as_ref().map(|status| status.state.to_string()).unwrap_or_default();
        format!("{}/{state}", vrg.spec.replication_state)
    }

    /// A condition of the VolumeReplicationGroup: `True/Ready: message`; `none` without one.
    #[must_use]
    pub fn condition(&self, type_: &str) -> String {
        let status = self.vrg.as_ref().and_then(|vrg| vrg.status.as_ref());
        let found = status.and_then(|status| condition::find(&status.conditions, type_));
        found.map_or("none".to_owned(), |c| format!("{}/{}: {}", c.status, c.reason, c.message))
    }
}

/// The namespace of the claim that a volume is, or was, bound to.
#[must_use]
pub fn claimed_in(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.claim_ref.as_ref()?.namespace.as_deref()
}

/// Reads what an application has on a cluster, once the group's status has followed what the hub was told. The cluster has
/// to be up.
///
/// # Errors
/// The cluster cannot be read.
pub async fn site(world: &World, cluster: &str, app: &App) -> anyhow::Result<Site> {
    told(&world.cluster(cluster)?, app).await?;
    site_now(world, cluster, app).await
}

/// The same, as it is at this moment.
///
/// # Errors
/// The cluster cannot be read.
pub async fn site_now(world: &World, cluster: &str, app: &App) -> anyhow::Result<Site> {
    let client = world.cluster(cluster)?;
    let all = ListParams::default();
    let mut volumes = Api::<PersistentVolume>::all(client.clone()).list(&all).await?.items;
    volumes.retain(|volume| claimed_in(volume) == Some(&app.namespace));
    let replications = Api::<VolumeReplication>::namespaced(client.clone(), &app.namespace);
    let replications = match replications.list(&all).await {
        Ok(list) => list.items,
        // The kind is not installed where one storage serves both clusters.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(Site {
        vrg: Api::namespaced(client.clone(), &app.namespace).get_opt(&app.name).await?,
        replications,
        claims: Api::namespaced(client.clone(), &app.namespace).list(&all).await?.items,
        volumes,
        deployments: Api::namespaced(client, &app.namespace).list(&all).await?.items,
    })
}

/// How long a status may take to follow what the hub was told, and the steps in which it is looked for.
const STATUS_FOLLOWS: (usize, Duration) = (120, Duration::from_millis(100));

/// The group of an application as its cluster has reported it to the hub.
///
/// # Errors
/// The cluster cannot be read.
pub async fn reported(client: &Client, app: &App) -> kube::Result<Option<VolumeReplicationGroup>> {
    let reports: Api<VolumeReplicationGroupReport> = Api::all(client.clone());
    let report = reports.get_opt(&names::group_report(&app.namespace, &app.name)).await?;
    Ok(report.and_then(|report| report::decode(&report.status?.report).ok()))
}

/// Waits until the group's status has followed what the hub was told of it.
async fn told(client: &Client, app: &App) -> kube::Result<()> {
    let groups: Api<VolumeReplicationGroup> = Api::namespaced(client.clone(), &app.namespace);
    let (looks, pause) = STATUS_FOLLOWS;
    for _ in 0..looks {
        let Some(group) = groups.get_opt(&app.name).await? else { return Ok(()) };
        let told = reported(client, app).await?;
        if told.is_none_or(|told| {
            told.metadata.uid != group.metadata.uid
                || same(&told.status.unwrap_or_default(), &group.status.clone().unwrap_or_default())
        }) {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// The placement decisions of an application: cluster and whether it is live or only retained, `dr2` or `dr1 (retained)`.
///
/// # Errors
/// The hub cannot be read.
pub async fn decisions(world: &World, app: &App) -> anyhow::Result<Vec<String>> {
    let api: Api<PlacementDecision> = Api::namespaced(world.hub(), &app.namespace);
    let mut names = Vec::new();
    for decision in api.list(&ListParams::default()).await?.items {
        for entry in decision.decisions() {
            let retained = if entry.is_retained() { " (retained)" } else { "" };
            names.push(format!("{}{retained}", entry.cluster_name));
        }
    }
    names.sort();
    Ok(names)
}

/// The Placement of an application.
///
/// # Errors
/// It is not there.
pub async fn placement(world: &World, app: &App) -> anyhow::Result<Placement> {
    Ok(Api::namespaced(world.hub(), &app.namespace).get(&app.name).await?)
}

/// The names of the works and views that protect an application on a cluster. What GitOps delivers is not among them.
///
/// # Errors
/// The hub cannot be read.
pub async fn works(world: &World, cluster: &str, app: &App) -> anyhow::Result<Vec<String>> {
    let all = ListParams::default();
    let works = Api::<ManifestWork>::namespaced(world.hub(), cluster).list(&all).await?.items;
    let views = Api::<ManagedClusterView>::namespaced(world.hub(), cluster).list(&all).await?.items;
    let names = works.iter().map(ResourceExt::name_any).chain(views.iter().map(ResourceExt::name_any));
    let start = format!("{}-{}-", app.name, app.namespace);
    let ours = |name: &String| name.starts_with(&start) && (name.ends_with("-mw") || name.ends_with("-mcv"));
    let mut names: Vec<String> = names.filter(ours).collect();
    names.sort();
    Ok(names)
}

/// Waits until no work or view protects an application on a cluster: a work goes when its agent has removed what it
/// brought. What is left after a time that is more than enough.
///
/// # Errors
/// The hub cannot be read.
pub async fn works_left(world: &World, cluster: &str, app: &App) -> anyhow::Result<Vec<String>> {
    for _ in 0..120 {
        if works(world, cluster, app).await?.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    works(world, cluster, app).await
}

/// Waits until an object of a cluster is as `wanted` has it.
///
/// # Errors
/// It does not become so within `seconds` of the world's time; the error shows the site.
pub async fn until_site(
    world: &World,
    cluster: &str,
    app: &App,
    what: &str,
    wanted: impl Fn(&Site) -> bool,
) -> anyhow::Result<Site> {
    const SECONDS: u64 = 120;
    let mut last = None;
    // Several kinds are looked at together, so this asks again rather than watch.
    for _ in 0..SECONDS * 4 {
        let now = site(world, cluster, app).await?;
        if wanted(&now) {
            return Ok(now);
        }
        last = Some(now);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let seen = WorldError::TimedOut {
        what: format!("{} on {cluster}: {what}", app.name),
        seconds: SECONDS,
        state: format!("{last:#?}"),
    };
    Err(seen.into())
}
