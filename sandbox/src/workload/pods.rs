//! The pods and volume attachments of an application: what others look at to see whether a claim is in use.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Pod, PodCondition, PodStatus},
        storage::v1::{VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec, VolumeAttachmentStatus},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kaedama_shared::harness::ObjectKey;
use kube::api::{DeleteParams, ListParams, PostParams};

use super::APP_LABEL;
use crate::storage::kit::{Cluster, Doing, PassError, is_deleting, unless_gone};

/// Name of the node on which everything runs.
const NODE: &str = "sandbox-node";
/// Label of an attachment: the namespace of its application.
const NAMESPACE_LABEL: &str = "sandbox.kaedama.dev/app-namespace";

/// Brings the pods of an application to the wanted number and state.
pub(super) async fn keep(
    cluster: &Cluster,
    deployment: &Deployment,
    replicas: usize,
    ready: bool,
) -> Result<(), PassError> {
    let key = ObjectKey::of(deployment);
    let api = cluster.within::<Pod>(key.namespace());
    let mut wanted: Vec<String> = (0..replicas).map(|index| format!("{}-{index}", key.name)).collect();
    for pod in list(cluster, &key).await? {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let keep = wanted.contains(&name) && !is_deleting(&pod);
        if keep {
            wanted.retain(|other| *other != name);
            set_status(cluster, pod, ready).await?;
        } else {
            end(cluster, &key, &name).await?;
        }
    }
    for name in wanted {
        let created = api.create(&PostParams::default(), &pod(deployment, &name)).await;
        match created {
            Ok(pod) => set_status(cluster, pod, ready).await?,
            // The one that was just ended is still on its way out.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).doing(|| format!("creating pod {}/{name}", key.namespace())),
        }
    }
    Ok(())
}

/// Removes the pods and attachments of an application.
pub(super) async fn remove(cluster: &Cluster, key: &ObjectKey) -> Result<(), PassError> {
    for pod in list(cluster, key).await? {
        end(cluster, key, &pod.metadata.name.unwrap_or_default()).await?;
    }
    detach(cluster, attached(cluster, key).await?, &[]).await
}

async fn list(cluster: &Cluster, key: &ObjectKey) -> Result<Vec<Pod>, PassError> {
    let selected = ListParams::default().labels(&format!("{APP_LABEL}={}", key.name));
    let pods = cluster.within::<Pod>(key.namespace()).list(&selected).await;
    pods.map(|pods| pods.items).doing(|| format!("listing the pods of {key}"))
}

/// Ends a pod at once: there is no kubelet that would.
async fn end(cluster: &Cluster, key: &ObjectKey, name: &str) -> Result<(), PassError> {
    let deleted = cluster.within::<Pod>(key.namespace()).delete(name, &DeleteParams::default().grace_period(0)).await;
    unless_gone(deleted).doing(|| format!("deleting pod {}/{name}", key.namespace()))?;
    Ok(())
}

fn pod(deployment: &Deployment, name: &str) -> Pod {
    let template = deployment.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    let mut labels: BTreeMap<String, String> = metadata.labels.unwrap_or_default();
    labels.insert(APP_LABEL.to_owned(), deployment.metadata.name.clone().unwrap_or_default());
    let mut spec = template.spec.unwrap_or_default();
    spec.node_name = Some(NODE.to_owned());
    let owner = OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: deployment.metadata.name.clone().unwrap_or_default(),
        uid: deployment.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: metadata.annotations,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

async fn set_status(cluster: &Cluster, mut pod: Pod, ready: bool) -> Result<(), PassError> {
    let before = pod.status.clone().unwrap_or_default();
    let phase = if ready { "Running" } else { "Pending" };
    let text = if ready { "True" } else { "False" };
    let current = before.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    if before.phase.as_deref() == Some(phase) && current.is_some_and(|condition| condition.status == text) {
        return Ok(());
    }
    let condition = PodCondition {
        type_: "Ready".to_owned(),
        status: text.to_owned(),
        last_transition_time: Some(cluster.clock.time()),
        ..PodCondition::default()
    };
    let start_time = before.start_time.clone().or_else(|| Some(cluster.clock.time()));
    pod.status =
        Some(PodStatus { phase: Some(phase.to_owned()), conditions: Some(vec![condition]), start_time, ..before });
    let key = ObjectKey::of(&pod);
    let api = cluster.within::<Pod>(key.namespace());
    let written = api.replace_status(&key.name, &PostParams::default(), &pod).await;
    unless_gone(written).doing(|| format!("writing the status of pod {key}"))?;
    Ok(())
}

/// Shows these volumes as attached, and no others of the application.
pub(super) async fn attach(
    cluster: &Cluster,
    key: &ObjectKey,
    driver: &str,
    volumes: &[String],
) -> Result<(), PassError> {
    let api = cluster.all::<VolumeAttachment>();
    let present = attached(cluster, key).await?;
    for volume in volumes {
        let name = format!("csi-{volume}");
        if present.iter().any(|attachment| attachment.metadata.name.as_ref() == Some(&name)) {
            continue;
        }
        let labels = BTreeMap::from([
            (APP_LABEL.to_owned(), key.name.clone()),
            (NAMESPACE_LABEL.to_owned(), key.namespace().to_owned()),
        ]);
        let attachment = VolumeAttachment {
            metadata: ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() },
            spec: VolumeAttachmentSpec {
                attacher: driver.to_owned(),
                node_name: NODE.to_owned(),
                source: VolumeAttachmentSource {
                    persistent_volume_name: Some(volume.clone()),
                    ..VolumeAttachmentSource::default()
                },
            },
            status: None,
        };
        let created = match api.create(&PostParams::default(), &attachment).await {
            // Another application's.
            Err(kube::Error::Api(status)) if status.code == 409 => continue,
            created => created,
        };
        let mut attachment = created.doing(|| format!("creating VolumeAttachment {name}"))?;
        attachment.status = Some(VolumeAttachmentStatus { attached: true, ..VolumeAttachmentStatus::default() });
        let written = api.replace_status(&name, &PostParams::default(), &attachment).await;
        unless_gone(written).doing(|| format!("writing the status of VolumeAttachment {name}"))?;
    }
    detach(cluster, present, volumes).await
}

/// The application that an attachment was made for.
pub(super) fn owner(attachment: &VolumeAttachment) -> Option<ObjectKey> {
    let labels = attachment.metadata.labels.as_ref()?;
    Some(ObjectKey::namespaced(labels.get(NAMESPACE_LABEL)?.clone(), labels.get(APP_LABEL)?.clone()))
}

/// The attachments of an application.
async fn attached(cluster: &Cluster, key: &ObjectKey) -> Result<Vec<VolumeAttachment>, PassError> {
    let selector = format!("{APP_LABEL}={},{NAMESPACE_LABEL}={}", key.name, key.namespace());
    let attached = cluster.all::<VolumeAttachment>().list(&ListParams::default().labels(&selector)).await;
    attached.map(|attached| attached.items).doing(|| format!("listing the attachments of {key}"))
}

async fn detach(cluster: &Cluster, present: Vec<VolumeAttachment>, keep: &[String]) -> Result<(), PassError> {
    let api = cluster.all::<VolumeAttachment>();
    for attachment in present {
        let volume = attachment.spec.source.persistent_volume_name.unwrap_or_default();
        if !keep.contains(&volume) {
            let name = attachment.metadata.name.unwrap_or_default();
            let deleted = api.delete(&name, &DeleteParams::default()).await;
            unless_gone(deleted).doing(|| format!("deleting VolumeAttachment {name}"))?;
        }
    }
    Ok(())
}
