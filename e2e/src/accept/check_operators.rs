//! What has to be true of operators that are installed, and of those that are started.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kaedama_sandbox::world::OPERATOR_NAMESPACE;
use kaedama_shared::api::conditions::drpolicy::VALIDATED;
use kaedama_shared::api::{
    DRCluster, DRClusterConfig, DRPlacementControl, DRPolicy, DRPolicySpec, VolumeReplicationGroup, condition,
};
use kaedama_shared::config::{RamenConfig, Role};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::operators::account;
use super::{Refusal, brief};

use super::check::Look;

impl Look<'_> {
    /// Nobody's operators are in the way of those that are started.
    pub(super) async fn nobody_home(&mut self) -> Result<(), Refusal> {
        let remedy = "write operators: installed to accept those that are there, or remove them";
        let client = self.site.client.clone();
        if self.get(Api::<Namespace>::all(client.clone()), OPERATOR_NAMESPACE).await?.is_some() {
            self.refuse(format!("operators: start, and there is a namespace {OPERATOR_NAMESPACE}"), remedy);
        }
        let role = account(&self.site.name);
        if self.get(Api::<ClusterRole>::all(client.clone()), role).await?.is_some() {
            self.refuse(format!("operators: start, and there is a ClusterRole {role}"), remedy);
        }
        // Operators of any name and namespace may be there, RamenDR's too, and ours would act on all of their objects.
        if self.is_hub() {
            self.none::<DRCluster>(remedy).await?;
            self.none::<DRPolicy>(remedy).await?;
            self.none::<DRPlacementControl>(remedy).await?;
        } else {
            self.none::<DRClusterConfig>(remedy).await?;
            self.none::<VolumeReplicationGroup>(remedy).await?;
        }
        Ok(())
    }

    /// There is no object of a kind.
    async fn none<K>(&mut self, remedy: &str) -> Result<(), Refusal>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let kind = K::kind(&());
        match Api::<K>::all(self.site.client.clone()).list_metadata(&ListParams::default().limit(1)).await {
            Ok(list) => {
                if let Some(found) = list.items.first() {
                    let name = match found.namespace() {
                        Some(namespace) => format!("{namespace}/{}", found.name_any()),
                        None => found.name_any(),
                    };
                    self.refuse(format!("operators: start, and there is a {kind} {name}"), remedy);
                }
                Ok(())
            }
            // The kind is not there.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(Refusal::new(
                format!("cannot list {kind}: {}", brief(&error)),
                "the user of the kubeconfig needs the rights of a cluster administrator",
            )),
        }
    }

    /// The operator runs, and its configuration can be read.
    pub(super) async fn installed(&mut self) -> Result<(), Refusal> {
        let client = self.site.client.clone();
        let name = account(&self.site.name);
        let found = self.get(Api::<Deployment>::namespaced(client.clone(), OPERATOR_NAMESPACE), name).await?;
        let available = |found: &Deployment| {
            found.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default() > 0
        };
        match found {
            None => self.refuse(
                format!("operators: installed, and there is no Deployment {OPERATOR_NAMESPACE}/{name}"),
                "install it (kubectl apply -k deploy/…), or write operators: start",
            ),
            Some(found) if !available(&found) => self.refuse(
                format!("Deployment {OPERATOR_NAMESPACE}/{name} has no pod that is available"),
                format!("`kubectl -n {OPERATOR_NAMESPACE} describe deployment {name}` says why"),
            ),
            Some(_) => {}
        }
        let role = if self.is_hub() { Role::Hub } else { Role::Spoke };
        let map = role.config_map_name();
        let found = self.get(Api::<ConfigMap>::namespaced(client, OPERATOR_NAMESPACE), map).await?;
        if found.is_none() {
            self.refuse(
                format!("there is no ConfigMap {OPERATOR_NAMESPACE}/{map}"),
                "the operator makes it when it starts: look at its log",
            );
        }
        Ok(())
    }

    /// The policy is for these clusters, and valid. And the stores are those of the operators.
    pub(super) async fn policy(&mut self) -> Result<Option<DRPolicySpec>, Refusal> {
        let client = self.site.client.clone();
        let name = self.description.policy.clone().unwrap_or_default();
        let Some(policy) = self.get(Api::<DRPolicy>::all(client.clone()), &name).await? else {
            self.refuse(
                format!("there is no DRPolicy {name}"),
                "write the name of one, as `kubectl get drpolicy` has it",
            );
            return Ok(None);
        };
        for (cluster, _) in self.description.managed() {
            if !policy.spec.dr_clusters.contains(&cluster) {
                let has = policy.spec.dr_clusters.join(", ");
                self.refuse(
                    format!("DRPolicy {name} is for {has}, not for {cluster}"),
                    "write a policy of both clusters",
                );
            }
        }
        let conditions = policy.status.clone().unwrap_or_default().conditions;
        if !condition::is_true(&conditions, VALIDATED) {
            let said = condition::find(&conditions, VALIDATED);
            let said = said.map_or("nobody has looked at it".to_owned(), |said| said.message.clone());
            self.refuse(format!("DRPolicy {name} is not validated: {said}"), "mend it first");
        }
        if policy.spec.scheduling_interval.is_empty() {
            self.refuse(
                format!("DRPolicy {name} has no schedulingInterval: it is for one storage system under both clusters"),
                "write a policy with an interval",
            );
        }
        let map = Api::<ConfigMap>::namespaced(client.clone(), OPERATOR_NAMESPACE);
        let text = self.get(map, Role::Hub.config_map_name()).await?.and_then(|map| map.data);
        let text = text.and_then(|data| data.get(kaedama_shared::config::config_map::KEY).cloned()).unwrap_or_default();
        let config: Option<RamenConfig> = serde_yaml::from_str(&text).ok();
        for cluster in &self.description.clusters {
            let drcluster = self.get(Api::<DRCluster>::all(client.clone()), &cluster.name).await?;
            let profile = drcluster.map(|drcluster| drcluster.spec.s3_profile_name).unwrap_or_default();
            let profiles = config.iter().flat_map(|config| &config.s3_store_profiles);
            let bucket = profiles.filter(|known| known.s3_profile_name == profile).map(|known| &known.s3_bucket).next();
            if bucket.is_some_and(|bucket| *bucket != cluster.store.bucket) {
                self.refuse(
                    format!(
                        "the operators store {} in bucket {}, not in {}",
                        cluster.name,
                        bucket.cloned().unwrap_or_default(),
                        cluster.store.bucket
                    ),
                    "write the store that the operators use",
                );
            }
        }
        Ok(Some(policy.spec))
    }
}
