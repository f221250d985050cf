//! ManifestWorks as we write them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kaedama_shared::api::ocm::ManifestWork;
use kaedama_shared::api::ocm::work::{
    DeleteOption, FeedbackRule, JsonPath, ManifestConfig, ManifestStatus, ManifestWorkSpec, ResourceIdentifier,
    UpdateStrategy, Workload, feedback, scrape, strategy,
};
use kaedama_shared::api::{self, VolumeReplicationGroup, VolumeReplicationGroupReport};
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

/// The work that asks whether a cluster has a VRG, and what it reports. It does not touch the VRG, and whatever is there
/// stays when the work goes.
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
    let asked = ManifestConfig {
        resource_identifier: ResourceIdentifier {
            group: api::GROUP.to_owned(),
            resource: VolumeReplicationGroup::plural(&()).into_owned(),
            namespace: vrg.metadata.namespace.clone().unwrap_or_default(),
            name: vrg.metadata.name.clone().unwrap_or_default(),
        },
        update_strategy: Some(read_only),
        ..Default::default()
    };
    let spec = ManifestWorkSpec {
        workload: Workload { manifests: vec![manifest, report_on(vrg)] },
        manifest_configs: vec![asked, report_feedback(vrg)],
        ..Default::default()
    };
    work(name, cluster, annotations, spec)
}

/// Whether a work only asks.
pub fn is_question(work: &ManifestWork) -> bool {
    let read_only = |config: &ManifestConfig| {
        config.update_strategy.as_ref().is_some_and(|update| update.type_ == strategy::READ_ONLY)
    };
    work.spec.manifest_configs.iter().any(read_only)
}

/// The work that carries a VRG and feeds its report back.
pub fn vrg(
    name: &str,
    cluster: &str,
    vrg: &VolumeReplicationGroup,
    annotations: BTreeMap<String, String>,
) -> Result<ManifestWork, serde_json::Error> {
    let spec = ManifestWorkSpec {
        workload: Workload { manifests: vec![manifest(vrg)?, report_on(vrg)] },
        manifest_configs: vec![report_feedback(vrg)],
        ..Default::default()
    };
    Ok(work(name, cluster, annotations, spec))
}

/// The same work with another VRG; everything else of it is kept.
pub fn with_vrg(current: &ManifestWork, vrg: &VolumeReplicationGroup) -> Result<ManifestWork, serde_json::Error> {
    let mut work = current.clone();
    work.status = None;
    work.spec.workload.manifests = vec![manifest(vrg)?, report_on(vrg)];
    work.spec.manifest_configs = vec![report_feedback(vrg)];
    Ok(work)
}

/// What the agent says of the report in a work with a VRG. `None` where the work asks for none.
pub fn report_status(work: &ManifestWork) -> Option<&ManifestStatus> {
    let is_report = |manifest: &Value| manifest["kind"] == *VolumeReplicationGroupReport::kind(&());
    let ordinal = work.spec.workload.manifests.iter().position(is_report)?;
    work.manifest_status(ordinal)
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

/// The object that the spoke reports in. All of them are watched by one watch of the agent, however many there are.
fn report_on(vrg: &VolumeReplicationGroup) -> Value {
    let (name, namespace) = (vrg.metadata.name.clone().unwrap_or_default(), vrg.metadata.namespace.clone());
    let namespace = namespace.unwrap_or_default();
    json!({
        "apiVersion": VolumeReplicationGroupReport::api_version(&()),
        "kind": VolumeReplicationGroupReport::kind(&()),
        "metadata": {
            "name": names::group_report(&namespace, &name),
            "labels": { names::CREATED_BY: "true" },
        },
        "spec": { "volumeReplicationGroup": { "namespace": namespace, "name": name } },
    })
}

fn report_feedback(vrg: &VolumeReplicationGroup) -> ManifestConfig {
    let namespace = vrg.metadata.namespace.as_deref().unwrap_or_default();
    let name = names::group_report(namespace, vrg.metadata.name.as_deref().unwrap_or_default());
    let resource = VolumeReplicationGroupReport::plural(&()).into_owned();
    reported(api::OWN_GROUP, resource, name, report::GROUP_REPORT_PATH)
}

/// Asks the agent to watch a cluster-scoped object that a spoke reports in, and to feed back the string at `path`.
pub fn reported(group: &str, resource: String, name: String, path: &str) -> ManifestConfig {
    let path = JsonPath { name: report::FEEDBACK_REPORT.to_owned(), path: path.to_owned(), ..Default::default() };
    ManifestConfig {
        resource_identifier: ResourceIdentifier { group: group.to_owned(), resource, name, ..Default::default() },
        feedback_scrape_type: scrape::WATCH.to_owned(),
        feedback_rules: vec![FeedbackRule { type_: feedback::JSON_PATHS.to_owned(), json_paths: vec![path] }],
        ..Default::default()
    }
}
