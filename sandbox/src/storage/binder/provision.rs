//! A new volume for a claim.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{
            CSIPersistentVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec,
        },
        storage::v1::StorageClass,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use kaedama_shared::harness::{ObjectKey, controller::Next};
use kube::api::PostParams;

use super::{
    Context, PROVISIONED_BY, STORAGE_PROVISIONER,
    bind::{bind, claim_phase, write_claim},
    matching::requested,
    used_by,
};
use crate::storage::kit::{Doing, PassError, annotation, fetch, is_deleting};

/// Annotation of the class that claims without a class get.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The older name of [`STORAGE_PROVISIONER`], which is written beside it.
const BETA_STORAGE_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";

/// Makes a volume for a claim that no existing one fits, and binds them.
pub(super) async fn provision(context: &Context, claim: PersistentVolumeClaim) -> Result<Next, PassError> {
    let Some(claim) = with_class(context, claim).await? else { return Ok(Next::Await) };
    let name = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()).unwrap_or_default();
    let class = fetch(&context.cluster.all::<StorageClass>(), &name).await?;
    let Some(class) = class.filter(|class| class.provisioner == context.driver.name()) else {
        claim_phase(context, claim, "Pending", None).await?;
        return Ok(Next::Await);
    };
    if class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer") && !is_consumed(context, &claim) {
        claim_phase(context, claim, "Pending", None).await?;
        return Ok(Next::Await);
    }
    let claim = asked(context, claim).await?;
    let volume = make(context, &claim, &class).await?;
    bind(context, volume, claim).await?;
    Ok(Next::Await)
}

/// Makes a volume for a claim for which the cluster's own binder asks: it binds them itself.
pub(super) async fn on_request(context: &Context, claim: PersistentVolumeClaim) -> Result<Next, PassError> {
    let ours = annotation(&claim, STORAGE_PROVISIONER) == Some(context.driver.name());
    let bound = claim.spec.as_ref().is_some_and(|spec| spec.volume_name.as_deref().is_some_and(|n| !n.is_empty()));
    if !ours || bound || is_deleting(&claim) {
        return Ok(Next::Await);
    }
    let name = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()).unwrap_or_default();
    if let Some(class) = fetch(&context.cluster.all::<StorageClass>(), &name).await? {
        make(context, &claim, &class).await?;
    }
    Ok(Next::Await)
}

/// The claim with a class: its own, or the default one. `None`: it has none and gets none for now.
async fn with_class(
    context: &Context,
    mut claim: PersistentVolumeClaim,
) -> Result<Option<PersistentVolumeClaim>, PassError> {
    let named = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone());
    if named.as_deref().is_some_and(|name| !name.is_empty()) {
        return Ok(Some(claim));
    }
    let default = context.classes.filter(|class| annotation(class, DEFAULT_CLASS) == Some("true"));
    // The empty name is a wish of its own: no class, and so no new volume.
    let Some(default) = default.first().filter(|_| named.is_none()) else {
        claim_phase(context, claim, "Pending", None).await?;
        return Ok(None);
    };
    claim.spec.get_or_insert_default().storage_class_name.clone_from(&default.metadata.name);
    write_claim(context, &claim).await.map(Some)
}

fn is_consumed(context: &Context, claim: &PersistentVolumeClaim) -> bool {
    let key = ObjectKey::of(claim);
    !context.pods.within(key.namespace(), |pod| used_by(Some(pod)).contains(&key)).is_empty()
}

/// The claim with the annotation that names its provisioner.
async fn asked(context: &Context, mut claim: PersistentVolumeClaim) -> Result<PersistentVolumeClaim, PassError> {
    if annotation(&claim, STORAGE_PROVISIONER) == Some(context.driver.name()) {
        return Ok(claim);
    }
    let annotations = claim.metadata.annotations.get_or_insert_default();
    for key in [STORAGE_PROVISIONER, BETA_STORAGE_PROVISIONER] {
        annotations.insert(key.to_owned(), context.driver.name().to_owned());
    }
    write_claim(context, &claim).await
}

async fn make(
    context: &Context,
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
) -> Result<PersistentVolume, PassError> {
    let name = format!("pvc-{}", claim.metadata.uid.as_deref().unwrap_or_default());
    let api = context.cluster.all::<PersistentVolume>();
    if let Some(volume) = fetch(&api, &name).await? {
        return Ok(volume);
    }
    let size = requested(claim);
    let made = context.driver.create_volume(&name, size).await;
    let handle = made.doing(|| format!("creating a volume for PersistentVolumeClaim {}", ObjectKey::of(claim)))?;
    let wanted = claim.spec.clone().unwrap_or_default();
    let volume = PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            annotations: Some([(PROVISIONED_BY.to_owned(), context.driver.name().to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: wanted.access_modes,
            capacity: Some(BTreeMap::from([("storage".to_owned(), Quantity(size.to_string()))])),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: claim.metadata.namespace.clone(),
                name: claim.metadata.name.clone(),
                uid: claim.metadata.uid.clone(),
                ..ObjectReference::default()
            }),
            csi: Some(CSIPersistentVolumeSource {
                driver: context.driver.name().to_owned(),
                volume_handle: handle.as_str().to_owned(),
                fs_type: Some("ext4".to_owned()),
                ..CSIPersistentVolumeSource::default()
            }),
            persistent_volume_reclaim_policy: Some(class.reclaim_policy.clone().unwrap_or_else(|| "Delete".to_owned())),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: Some(wanted.volume_mode.unwrap_or_else(|| "Filesystem".to_owned())),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    };
    let written = api.create(&PostParams::default(), &volume).await;
    written.doing(|| format!("creating PersistentVolume {name}"))
}
