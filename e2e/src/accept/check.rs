//! What has to be true before anything is made. Nothing is made here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_sandbox::world::app::Writers;
use kaedama_sandbox::world::ground::{HUB, Parts};
use kaedama_shared::api::ocm::ManagedCluster;
use kaedama_shared::api::ocm::cluster::CLUSTER_AVAILABLE;
use kaedama_shared::api::{DRPolicySpec, condition, parse_scheduling_interval};
use kaedama_shared::clock::Clock;
use kaedama_shared::s3::{S3Options, S3Store, ca_bundle_of_environment};
use kube::api::{ListParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::check_storage::{self, NO_STORAGE_RIGHTS, STORAGE_RIGHTS};
use super::clusters::{Site, Sites};
use super::file::{Choice, Description, OpenStore, Operators as WhichOperators};
use super::mark::{LABEL, PREFIX, is_run, run_of};
use super::operators::Programs;
use super::{Refusal, brief};
use crate::start::SHIP_EVERY;

/// Who answers a ManagedClusterView, where that is somebody of the installation.
const VIEWS: &str = "managedclusterviews.view.open-cluster-management.io";

/// What is known when everything is as it should be.
pub struct Checked {
    /// The clusters.
    pub sites: Sites,
    /// The stores, by cluster.
    pub stores: BTreeMap<String, (OpenStore, S3Store)>,
    /// What is there already.
    pub parts: Parts,
    /// The operators' programs, where the run starts them.
    pub programs: Option<Programs>,
    /// `schedulingInterval` of the policy.
    pub interval: String,
    /// Who writes the records of applications.
    pub writers: Writers,
}

impl Checked {
    /// How often the storage ships its changes: that of the sandbox does not wait for the policy.
    #[must_use]
    pub fn ships_every(&self) -> Duration {
        match self.writers {
            Writers::Simulated => SHIP_EVERY,
            // Whoever looked at it saw that it is an interval.
            Writers::Pods(_) => Duration::from_secs(parse_scheduling_interval(&self.interval).unwrap_or(60)),
        }
    }
}

/// What the hub says of all clusters.
#[derive(Default)]
struct OfHub {
    /// Somebody answers a ManagedClusterView.
    views: bool,
    /// The policy of installed operators.
    policy: Option<DRPolicySpec>,
}

/// Looks at everything, and tells `say` what is well. All that is wrong, in the file's order.
///
/// # Errors
/// Something is wrong.
pub async fn check(description: &Description, say: &dyn Fn(&str)) -> Result<Checked, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut stores = BTreeMap::new();
    for cluster in &description.clusters {
        match store(description, cluster).await {
            Ok(open) => {
                say(&format!("store of {}: bucket {} at {}", cluster.name, open.1.bucket(), cluster.store.endpoint));
                stores.insert(cluster.name.clone(), open);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    let programs = match description.operators {
        WhichOperators::Installed => None,
        WhichOperators::Start => match programs(description) {
            Ok(found) => {
                say(&format!("operators: {}, {}", found.hub.display(), found.spoke.display()));
                Some(found)
            }
            Err(refusal) => {
                refusals.push(refusal);
                None
            }
        },
    };
    let sites = match Sites::reach(description).await {
        Ok(sites) => sites,
        Err(more) => {
            refusals.extend(more);
            return Err(refusals);
        }
    };
    let mut hub = OfHub::default();
    for site in &sites.all {
        let before = refusals.len();
        let looked = Look { site, description, refusals: &mut refusals };
        match looked.all().await {
            Ok(of_hub) if site.name == HUB => hub = of_hub,
            Ok(_) => {}
            Err(refusal) => refusals.push(refusal.within(&site.name)),
        }
        if refusals.len() == before {
            say(&format!("{}: Kubernetes {} at {}", site.name, site.version, site.config.cluster_url));
        }
    }
    if description.ocm == Choice::Installed && !hub.views {
        say("hub: no ManagedClusterView is installed; the sandbox answers them for the time of the run");
    }
    let policy = hub.policy.unwrap_or_else(|| DRPolicySpec {
        scheduling_interval: description.scheduling_interval.clone().unwrap_or_else(|| "1m".to_owned()),
        ..DRPolicySpec::default()
    });
    let writers = description.writers();
    if let Writers::Pods(pods) = &writers
        && refusals.is_empty()
    {
        match check_storage::classes(&sites, &pods.storage_class, &policy).await {
            Ok(said) => said.iter().for_each(|well| say(well)),
            Err(more) => refusals.extend(more),
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let ocm = description.ocm == Choice::Installed;
    let parts = Parts {
        work_agents: ocm,
        placement: ocm,
        registration: ocm,
        views: hub.views,
        binder: true,
        protection: true,
        operators: description.operators == WhichOperators::Installed,
        olm: true,
    };
    Ok(Checked { sites, stores, parts, programs, interval: policy.scheduling_interval, writers })
}

/// The stores and clusters, and nothing else: what removing needs.
///
/// # Errors
/// One of them cannot be reached.
pub async fn reach(description: &Description) -> Result<(Sites, Vec<S3Store>), Vec<Refusal>> {
    let mut stores = Vec::new();
    for cluster in &description.clusters {
        stores.push(store(description, cluster).await.map_err(|refusal| vec![refusal])?.1);
    }
    Ok((Sites::reach(description).await?, stores))
}

fn programs(description: &Description) -> Result<Programs, Refusal> {
    let folder = match &description.programs {
        Some(folder) => description.path(folder),
        None => {
            let own = std::env::current_exe().ok().and_then(|own| own.parent().map(PathBuf::from));
            own.ok_or_else(|| Refusal::new("this program does not know where it is", "write programs: with a folder"))?
        }
    };
    Programs::within(&folder)
}

async fn store(description: &Description, cluster: &super::file::Cluster) -> Result<(OpenStore, S3Store), Refusal> {
    let open = description.store(cluster)?;
    let mut options = S3Options::new(Clock::system());
    options.ca_bundle =
        ca_bundle_of_environment().map_err(|error| Refusal::new(error.to_string(), "mend or unset AWS_CA_BUNDLE"))?;
    let wrong = |error: kaedama_shared::s3::S3Error| {
        Refusal::new(
            format!("store of {} ({} bucket {}): {error}", cluster.name, cluster.store.endpoint, cluster.store.bucket),
            error.remedy(),
        )
    };
    let store = S3Store::connect(&open.profile, &open.credentials, &options).map_err(wrong)?;
    store.head_bucket().await.map_err(wrong)?;
    store.list(PREFIX).await.map_err(wrong)?;
    Ok((open, store))
}

/// One cluster is looked at.
pub(super) struct Look<'a> {
    pub(super) site: &'a Site,
    pub(super) description: &'a Description,
    refusals: &'a mut Vec<Refusal>,
}

impl Look<'_> {
    pub(super) fn refuse(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.refusals.push(Refusal::new(what, remedy).within(&self.site.name));
    }

    pub(super) fn is_hub(&self) -> bool {
        self.site.name == HUB
    }

    pub(super) async fn get<K>(&self, api: Api<K>, name: &str) -> Result<Option<K>, Refusal>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        match api.get_opt(name).await {
            Ok(found) => Ok(found),
            // Its kind is not there.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(Refusal::new(
                format!("cannot read {} {name}: {}", K::kind(&()), brief(&error)),
                "the user of the kubeconfig needs the rights of a cluster administrator",
            )),
        }
    }

    pub(super) async fn has_kind(&self, name: &str) -> Result<bool, Refusal> {
        let api = Api::<CustomResourceDefinition>::all(self.site.client.clone());
        Ok(self.get(api, name).await?.is_some())
    }

    /// Everything, and what the hub says of all clusters.
    async fn all(mut self) -> Result<OfHub, Refusal> {
        self.rights().await?;
        if self.leftovers().await? {
            // What else is in the way is what that run made.
            return Ok(OfHub::default());
        }
        self.ocm().await?;
        if !self.is_hub() {
            match self.description.storage {
                Choice::Sandbox => self.no_storage().await?,
                Choice::Installed => self.storage().await?,
            }
        }
        let mut policy = None;
        match self.description.operators {
            WhichOperators::Start => self.nobody_home().await?,
            WhichOperators::Installed => {
                self.installed().await?;
                if self.is_hub() {
                    policy = self.policy().await?;
                }
            }
        }
        Ok(OfHub { views: self.is_hub() && self.has_kind(VIEWS).await?, policy })
    }

    /// Whoever runs this may do what the run does.
    async fn rights(&mut self) -> Result<(), Refusal> {
        let start = self.description.operators == WhichOperators::Start;
        let mut wanted = vec![
            ("", "namespaces", vec!["list", "create", "delete"]),
            ("apiextensions.k8s.io", "customresourcedefinitions", vec!["list", "create", "delete"]),
        ];
        if start {
            wanted.extend([
                ("", "serviceaccounts", vec!["create"]),
                ("", "serviceaccounts/token", vec!["create"]),
                ("", "secrets", vec!["create"]),
                ("", "configmaps", vec!["create"]),
                ("rbac.authorization.k8s.io", "clusterroles", vec!["create", "delete", "escalate", "bind"]),
                ("rbac.authorization.k8s.io", "clusterrolebindings", vec!["create", "delete"]),
                ("rbac.authorization.k8s.io", "roles", vec!["create", "escalate", "bind"]),
                ("rbac.authorization.k8s.io", "rolebindings", vec!["create"]),
            ]);
        }
        if self.is_hub() {
            wanted.extend([
                ("ramendr.openshift.io", "drplacementcontrols", vec!["list", "create", "patch", "delete"]),
                ("cluster.open-cluster-management.io", "placements", vec!["create", "delete"]),
                ("cluster.open-cluster-management.io", "placementdecisions", vec!["list"]),
                ("work.open-cluster-management.io", "manifestworks", vec!["list", "create", "patch", "delete"]),
            ]);
        } else {
            let rights = match self.description.storage {
                Choice::Sandbox => NO_STORAGE_RIGHTS,
                Choice::Installed => STORAGE_RIGHTS,
            };
            wanted.extend(rights.iter().map(|(group, resource, verbs)| (*group, *resource, verbs.to_vec())));
        }
        let api = Api::<SelfSubjectAccessReview>::all(self.site.client.clone());
        let mut missing = Vec::new();
        for (group, resource, verbs) in wanted {
            let (plural, subresource) = resource.split_once('/').map_or((resource, None), |(a, b)| (a, Some(b)));
            for verb in verbs {
                let review = SelfSubjectAccessReview {
                    spec: SelfSubjectAccessReviewSpec {
                        resource_attributes: Some(ResourceAttributes {
                            group: Some(group.to_owned()),
                            resource: Some(plural.to_owned()),
                            subresource: subresource.map(str::to_owned),
                            verb: Some(verb.to_owned()),
                            ..ResourceAttributes::default()
                        }),
                        ..SelfSubjectAccessReviewSpec::default()
                    },
                    ..SelfSubjectAccessReview::default()
                };
                let answer = api.create(&PostParams::default(), &review).await;
                let answer = answer.map_err(|error| {
                    Refusal::new(
                        format!("cannot ask for rights (SelfSubjectAccessReview): {}", brief(&error)),
                        "use the kubeconfig of a cluster administrator",
                    )
                })?;
                if !answer.status.is_some_and(|status| status.allowed) {
                    missing.push(format!("{verb} {resource}"));
                }
            }
        }
        if !missing.is_empty() {
            self.refuse(
                format!("the user of its kubeconfig may not {}", missing.join(", ")),
                "use the kubeconfig of a cluster administrator, or have these rights granted",
            );
        }
        Ok(())
    }

    /// Whether something is left of an earlier run, which is refused.
    async fn leftovers(&mut self) -> Result<bool, Refusal> {
        let all = Api::<Namespace>::all(self.site.client.clone()).list_metadata(&ListParams::default()).await;
        let all = all.map_err(|error| {
            Refusal::new(format!("cannot list namespaces: {}", brief(&error)), "look at the cluster")
        })?;
        let ours = all.iter().find(|namespace| {
            let marked = namespace.labels().get(LABEL).is_some_and(|run| is_run(run));
            marked || run_of(&namespace.name_any()).is_some()
        });
        if let Some(namespace) = ours {
            self.refuse(
                format!("namespace {} is there, of a run that was interrupted or still goes on", namespace.name_any()),
                "wait for that run to end, or `accept clean`",
            );
            return Ok(true);
        }
        Ok(!self.is_hub() && self.volumes_left().await?)
    }

    async fn ocm(&mut self) -> Result<(), Refusal> {
        let kinds: &[&str] = match self.is_hub() {
            true => &[
                "managedclusters.cluster.open-cluster-management.io",
                "placements.cluster.open-cluster-management.io",
                "placementdecisions.cluster.open-cluster-management.io",
                "manifestworks.work.open-cluster-management.io",
            ],
            false => &["appliedmanifestworks.work.open-cluster-management.io"],
        };
        let mut missing = Vec::new();
        for kind in kinds {
            if !self.has_kind(kind).await? {
                missing.push(*kind);
            }
        }
        match self.description.ocm {
            Choice::Sandbox if missing.len() < kinds.len() => self.refuse(
                "ocm: sandbox, and Open Cluster Management is installed there",
                "write ocm: installed: two of them would work against each other",
            ),
            Choice::Installed if !missing.is_empty() => self.refuse(
                format!("ocm: installed, and there is no Open Cluster Management: {} is missing", missing.join(", ")),
                "install it (clusteradm init, clusteradm join), or write ocm: sandbox",
            ),
            Choice::Installed if self.is_hub() => self.joined().await?,
            Choice::Installed | Choice::Sandbox => {}
        }
        Ok(())
    }

    async fn joined(&mut self) -> Result<(), Refusal> {
        let api = Api::<ManagedCluster>::all(self.site.client.clone());
        for (name, _) in self.description.managed() {
            let Some(found) = self.get(api.clone(), &name).await? else {
                let has = api.list_metadata(&ListParams::default()).await;
                let has: Vec<String> = has.into_iter().flatten().map(|cluster| cluster.name_any()).collect();
                self.refuse(
                    format!("there is no ManagedCluster {name}"),
                    format!("write the name of one that there is ({}), or join it", has.join(", ")),
                );
                continue;
            };
            if !condition::is_true(found.conditions(), CLUSTER_AVAILABLE) {
                let said = condition::find(found.conditions(), CLUSTER_AVAILABLE);
                let said = said.map_or("it says nothing of that".to_owned(), |said| said.message.clone());
                self.refuse(
                    format!("ManagedCluster {name} is not available: {said}"),
                    format!("`kubectl get managedcluster {name}` has to show it available"),
                );
            }
        }
        Ok(())
    }
}
