//! ManifestWorks as we write them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::api::ocm::work::{
    DeleteOption, FeedbackRule, JsonPath, ManifestConfig, ManifestWorkSpec, ResourceIdentifier, UpdateStrategy,
    Workload, feedback, scrape, strategy,
};
use kaedama_shared::api::{self, VolumeReplicationGroup};
use kaedama_shared::{names, report};
use kube::Resource;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

fn work(name: &str, cluster: &str, annotations: BTreeMap<String, String>, spec: ManifestWorkSpec) -> ManifestWork {
    ManifestWork {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(cluster.to_owned()),
            labels: Some([(names::CREATED_BY.to_owned(), "true".to_owned())].into()),
            annotations: Some(annotations),
            ..Default::default()
        },
        spec,
        status: None,
    }
}

/// The work that carries a namespace. It is orphaned on deletion: the namespace is the user's (rule S19).
pub fn namespace(
    name: &str,
    cluster: &str,
    namespace: &Namespace,
    annotations: BTreeMap<String, String>,
) -> ManifestWork {
    let manifest = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": namespace.metadata });
    let spec = ManifestWorkSpec {
        workload: Workload { manifests: vec![manifest] },
        delete_option: Some(DeleteOption::orphan()),
        ..Default::default()
    };
    work(name, cluster, annotations, spec)
}

/// The work that asks whether a cluster has a VRG, and what it reports. It writes nothing, and whatever is there stays
/// when it goes.
pub fn question(
    name: &str,
    cluster: &str,
    vrg: &VolumeReplicationGroup,
    annotations: BTreeMap<String, String>,
) -> ManifestWork {
    let manifest = json!({
        "apiVersion": VolumeReplicationGroup::api_version(&()),
        "kind": VolumeReplicationGroup::kind(&()),
        "metadata": { "name": vrg.metadata.name, "namespace": vrg.metadata.namespace },
    });
    let read_only = UpdateStrategy { type_: strategy::READ_ONLY.to_owned(), ..Default::default() };
    let spec = ManifestWorkSpec {
        workload: Workload { manifests: vec![manifest] },
        manifest_configs: vec![ManifestConfig { update_strategy: Some(read_only), ..vrg_feedback(vrg) }],
        ..Default::default()
    };
    work(name, cluster, annotations, spec)
}

/// Whether a work only asks.
pub fn is_question(work: &ManifestWork) -> bool {
    let read_only = |config: &ManifestConfig| {
        config.update_strategy.as_ref().is_some_and(|update| update.type_ == strategy::READ_ONLY)
    };
    !work.spec.manifest_configs.is_empty() && work.spec.manifest_configs.iter().all(read_only)
}

/// The work that carries a VRG and feeds its report back.
pub fn vrg(
    name: &str,
    cluster: &str,
    vrg: &VolumeReplicationGroup,
    annotations: BTreeMap<String, String>,
) -> Result<ManifestWork, serde_json::Error> {
    let spec = ManifestWorkSpec {
        workload: Workload { manifests: vec![manifest(vrg)?] },
        manifest_configs: vec![vrg_feedback(vrg)],
        ..Default::default()
    };
    Ok(work(name, cluster, annotations, spec))
}

/// The same work with another VRG; everything else of it is kept.
pub fn with_vrg(current: &ManifestWork, vrg: &VolumeReplicationGroup) -> Result<ManifestWork, serde_json::Error> {
    let mut work = current.clone();
    work.status = None;
    let manifest = manifest(vrg)?;
    match work.spec.workload.manifests.first_mut() {
        Some(first) => *first = manifest,
        None => work.spec.workload.manifests.push(manifest),
    }
    let config = vrg_feedback(vrg);
    let configs = &mut work.spec.manifest_configs;
    configs.retain(|existing| existing.resource_identifier != config.resource_identifier);
    configs.push(config);
    Ok(work)
}

/// Whether the work agent is asked to watch what the work carries, and not only to look at it now and then.
pub fn is_watched(work: &ManifestWork) -> bool {
    work.spec.manifest_configs.iter().any(|config| config.feedback_scrape_type == scrape::WATCH)
}

/// The same work, looked at now and then.
pub fn polled(current: &ManifestWork) -> ManifestWork {
    let mut work = current.clone();
    work.status = None;
    for config in &mut work.spec.manifest_configs {
        config.feedback_scrape_type = scrape::POLL.to_owned();
    }
    work
}

/// The VRG as a manifest: without status, and without the members that an API server fills in.
fn manifest(vrg: &VolumeReplicationGroup) -> Result<Value, serde_json::Error> {
    let metadata = json!({
        "name": vrg.metadata.name,
        "namespace": vrg.metadata.namespace,
        "labels": vrg.metadata.labels,
        "annotations": vrg.metadata.annotations,
    });
    Ok(json!({
        "apiVersion": VolumeReplicationGroup::api_version(&()),
        "kind": VolumeReplicationGroup::kind(&()),
        "metadata": metadata,
        "spec": serde_json::to_value(&vrg.spec)?,
    }))
}

fn vrg_feedback(vrg: &VolumeReplicationGroup) -> ManifestConfig {
    let path = |name: &str, path: &str| JsonPath { name: name.to_owned(), path: path.to_owned(), ..Default::default() };
    ManifestConfig {
        resource_identifier: ResourceIdentifier {
            group: api::GROUP.to_owned(),
            resource: "volumereplicationgroups".to_owned(),
            namespace: vrg.metadata.namespace.clone().unwrap_or_default(),
            name: vrg.metadata.name.clone().unwrap_or_default(),
        },
        feedback_scrape_type: scrape::WATCH.to_owned(),
        feedback_rules: vec![FeedbackRule {
            type_: feedback::JSON_PATHS.to_owned(),
            json_paths: vec![
                path(report::FEEDBACK_GENERATION, report::GENERATION_PATH),
                path(report::FEEDBACK_REPORT, report::REPORT_PATH),
            ],
        }],
        ..Default::default()
    }
}
