//! The watched copies of everything that the hub operator reads. At rest they are its only requests.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kaedama_shared::api::ocm::{
    ApplicationSet, ManagedCluster, ManagedClusterView, ManifestWork, Placement, PlacementDecision,
};
use kaedama_shared::api::{DRCluster, DRPlacementControl, DRPolicy};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::cache::{Cache, Installations, Scope};
use kaedama_shared::names;
use kube::{Api, Client, Resource};

use crate::drpc::decoded::Decoded;

/// All caches of the operator.
#[derive(Clone)]
pub struct Caches {
    /// DRPlacementControls of every namespace, grouped by name.
    pub drpcs: Cache<DRPlacementControl>,
    /// DRPolicies.
    pub policies: Cache<DRPolicy>,
    /// DRClusters.
    pub drclusters: Cache<DRCluster>,
    /// ManagedClusters.
    pub managed_clusters: Cache<ManagedCluster>,
    /// ManifestWorks that we created, of every cluster, grouped by name.
    pub works: Cache<ManifestWork>,
    /// ManagedClusterViews that we created; the kind need not be installed.
    pub views: Cache<ManagedClusterView>,
    /// Placements of every namespace.
    pub placements: Cache<Placement>,
    /// PlacementDecisions of every namespace.
    pub decisions: Cache<PlacementDecision>,
    /// ApplicationSets of every namespace; the kind need not be installed.
    pub application_sets: Cache<ApplicationSet>,
    /// ConfigMaps of the operator's namespace.
    pub config_maps: Cache<ConfigMap>,
    /// Secrets of the operator's namespace.
    pub secrets: Cache<Secret>,
    /// What was read from the works last.
    pub decoded: Decoded,
}

impl Caches {
    /// Starts watching. `namespace` is the operator's own.
    pub fn start(client: &Client, namespace: &str, scope: &Scope) -> Self {
        let installations = Installations::start(client.clone());
        let ours = || scope.clone().labels(format!("{}=true", names::CREATED_BY));
        Caches {
            drpcs: Cache::start_grouped("drpcs", Api::all(client.clone()), scope.clone(), name_of),
            policies: Cache::start("drpolicies", Api::all(client.clone()), scope.clone()),
            drclusters: Cache::start("drclusters", Api::all(client.clone()), scope.clone()),
            managed_clusters: Cache::start("managedclusters", Api::all(client.clone()), scope.clone()),
            works: Cache::start_grouped("manifestworks", Api::all(client.clone()), ours(), name_of),
            views: Cache::start("managedclusterviews", Api::all(client.clone()), ours().optional_by(&installations)),
            placements: Cache::start("placements", Api::all(client.clone()), scope.clone()),
            decisions: Cache::start("placementdecisions", Api::all(client.clone()), scope.clone()),
            application_sets: Cache::start(
                "applicationsets",
                Api::all(client.clone()),
                scope.clone().optional_by(&installations),
            ),
            config_maps: Cache::start("configmaps", Api::namespaced(client.clone(), namespace), scope.clone()),
            secrets: Cache::start("secrets", Api::namespaced(client.clone(), namespace), scope.clone()),
            decoded: Decoded::default(),
        }
    }

    /// The DRPCs that name a policy.
    pub fn drpcs_of_policy(&self, policy: &str) -> Vec<ObjectKey> {
        keys(self.drpcs.filter(|drpc| drpc.spec.dr_policy_ref.name.as_deref() == Some(policy)))
    }

    /// The DRPCs whose policy names a cluster.
    pub fn drpcs_of_cluster(&self, cluster: &str) -> Vec<ObjectKey> {
        self.policies_of_cluster(cluster).iter().flat_map(|policy| self.drpcs_of_policy(policy)).collect()
    }

    /// The policies that name a cluster.
    pub fn policies_of_cluster(&self, cluster: &str) -> Vec<String> {
        let naming = self.policies.filter(|policy| policy.spec.dr_clusters.iter().any(|name| name == cluster));
        naming.iter().filter_map(|policy| policy.metadata.name.clone()).collect()
    }

    /// The DRPCs that use a Placement.
    pub fn drpcs_of_placement(&self, namespace: &str, placement: &str) -> Vec<ObjectKey> {
        keys(self.drpcs.within(namespace, |drpc| drpc.spec.placement_ref.name.as_deref() == Some(placement)))
    }

    /// The PlacementDecisions of a Placement.
    pub fn decisions_of(&self, namespace: &str, placement: &str) -> Vec<Arc<PlacementDecision>> {
        self.decisions.within(namespace, |decision| {
            decision.metadata.labels.iter().flatten().any(|(k, v)| k == names::PLACEMENT && v == placement)
        })
    }
}

fn name_of<K: Resource>(object: &K) -> Vec<String> {
    object.meta().name.iter().cloned().collect()
}

fn keys(drpcs: Vec<Arc<DRPlacementControl>>) -> Vec<ObjectKey> {
    drpcs.iter().map(|drpc| ObjectKey::of(drpc.as_ref())).collect()
}
