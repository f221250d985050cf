//! The VolumeReplicationGroup that a cluster is to have: a pure function of the DRPC, the policy, the action and what
//! the cluster has already.

use std::collections::{BTreeMap, BTreeSet};

use kaedama_shared::api::{
    DRAction, KubeObjectProtectionSpec, PeerClasses, ReplicationState, VRGAsyncSpec, VolumeReplicationGroup,
    VolumeReplicationGroupSpec,
};
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord, Step};
use kube::api::ObjectMeta;

use super::dr_type::{DrType, dr_type};
use super::peer_classes;
use super::snapshot::{Site, Snapshot};

/// What a VRG is to be. Replication state and final-sync flags are changed by the flow of an action only (rule S15).
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    state: ReplicationState,
    action: Option<DRAction>,
    prepare_for_final_sync: bool,
    run_final_sync: bool,
}

impl Role {
    fn new(state: ReplicationState, record: &ActionRecord) -> Self {
        let action = match record.kind {
            ActionKind::Deploy => None,
            ActionKind::Failover => Some(DRAction::Failover),
            ActionKind::Relocate => Some(DRAction::Relocate),
        };
        Role { state, action, prepare_for_final_sync: false, run_final_sync: false }
    }

    /// In charge of the data.
    pub fn primary(record: &ActionRecord) -> Self {
        Role::new(ReplicationState::Primary, record)
    }

    /// Standing by.
    pub fn secondary(record: &ActionRecord) -> Self {
        Role::new(ReplicationState::Secondary, record)
    }

    /// Source of a relocate: prepares the final sync while the application still runs.
    pub fn preparing(record: &ActionRecord) -> Self {
        Role { prepare_for_final_sync: true, ..Role::primary(record) }
    }

    /// Source of a relocate: the application stops, the last writes are synced.
    pub fn final_sync(record: &ActionRecord) -> Self {
        Role { run_final_sync: true, ..Role::primary(record) }
    }
}

/// The VRG for a site.
pub fn vrg(s: &Snapshot, site: &Site, role: &Role, record: &ActionRecord) -> VolumeReplicationGroup {
    let base = site.asked().map(|work| &work.vrg).or_else(|| site.vrg.present());
    let spec = &s.drpc.spec;
    let mut wanted = base.map(|vrg| vrg.spec.clone()).unwrap_or_else(|| VolumeReplicationGroupSpec {
        pvc_selector: spec.pvc_selector.clone(),
        ..Default::default()
    });
    wanted.replication_state = role.state.clone();
    wanted.action = role.action.clone();
    wanted.prepare_for_final_sync = role.prepare_for_final_sync;
    wanted.run_final_sync = role.run_final_sync;
    wanted.dry_run = false;
    wanted.protected_namespaces.clone_from(&spec.protected_namespaces);
    wanted.kube_object_protection = kube_objects(s, base);
    wanted.s3_profiles = profiles(s);
    let dr_type = dr_type(s);
    wanted.vol_sync.disabled =
        dr_type == DrType::Sync || s.config.as_ref().is_ok_and(|settings| settings.volsync_disabled);
    if dr_type == DrType::Async && !spec.vol_sync_spec.mover_config.is_empty() {
        wanted.vol_sync.mover_config.clone_from(&spec.vol_sync_spec.mover_config);
    }
    replication(s, site, dr_type, &mut wanted);

    let mut vrg = VolumeReplicationGroup::new(s.drpc.metadata.name.as_deref().unwrap_or_default(), wanted);
    vrg.metadata = ObjectMeta {
        name: s.drpc.metadata.name.clone(),
        namespace: Some(s.vrg_namespace.clone()),
        labels: Some(labels(s, base)),
        annotations: Some(annotations(s, site, record, base)),
        ..Default::default()
    };
    vrg
}

/// Capture of Kubernetes objects is not supported by this version: a VRG that has it (the reference product made it) keeps
/// it, and none gets it, or a failover would wait for objects that nobody captured.
fn kube_objects(s: &Snapshot, base: Option<&VolumeReplicationGroup>) -> Option<KubeObjectProtectionSpec> {
    let harmless = s.config.as_ref().is_ok_and(|settings| settings.kube_objects_disabled);
    let has = base.is_some_and(|vrg| vrg.spec.kube_object_protection.is_some());
    s.drpc.spec.kube_object_protection.clone().filter(|_| harmless || has)
}

/// A VRG that is on the cluster already, as it is, under this DRPC's identity.
pub fn adopted(s: &Snapshot, site: &Site, vrg: &VolumeReplicationGroup) -> VolumeReplicationGroup {
    let mut annotations = vrg.metadata.annotations.clone().unwrap_or_default();
    annotations.insert(names::DRPC_UID.to_owned(), s.drpc.metadata.uid.clone().unwrap_or_default());
    annotations.insert(names::DESTINATION_CLUSTER.to_owned(), site.cluster.clone());
    let mut adopted =
        VolumeReplicationGroup::new(s.drpc.metadata.name.as_deref().unwrap_or_default(), vrg.spec.clone());
    adopted.metadata = ObjectMeta {
        name: s.drpc.metadata.name.clone(),
        namespace: Some(s.vrg_namespace.clone()),
        labels: vrg.metadata.labels.clone(),
        annotations: Some(annotations),
        ..Default::default()
    };
    adopted
}

/// Every profile of the policy's clusters that are not being deleted, sorted, each once. A cluster whose DRCluster
/// cannot be read keeps what the VRG has.
fn profiles(s: &Snapshot) -> Vec<String> {
    let mut profiles: BTreeSet<String> = BTreeSet::new();
    for site in &s.sites {
        match site.drcluster.present() {
            Some(drcluster) if drcluster.metadata.deletion_timestamp.is_none() => {
                profiles.insert(drcluster.spec.s3_profile_name.clone());
            }
            Some(_) => {}
            None => profiles.extend(site.asked().map(|work| work.vrg.spec.s3_profiles.clone()).unwrap_or_default()),
        }
    }
    profiles.into_iter().collect()
}

/// The `sync` or `async` part: selectors and interval of the policy, peer classes by the rules of [`peer_classes`].
fn replication(s: &Snapshot, site: &Site, dr_type: DrType, wanted: &mut VolumeReplicationGroupSpec) {
    let Some(policy) = s.policy.present() else { return };
    let status = policy.status.clone().unwrap_or_default();
    match dr_type {
        DrType::Sync => {
            let has = wanted.sync.take().map(|sync| sync.peer_classes);
            let peer_classes = peer_classes::for_vrg(s, site, has, &status.sync.peer_classes);
            wanted.sync = Some(PeerClasses { peer_classes });
            wanted.async_ = None;
        }
        DrType::Async => {
            let has = wanted.async_.take().map(|spec| spec.peer_classes);
            wanted.async_ = Some(VRGAsyncSpec {
                peer_classes: peer_classes::for_vrg(s, site, has, &status.async_.peer_classes),
                replication_class_selector: policy.spec.replication_class_selector.clone(),
                scheduling_interval: policy.spec.scheduling_interval.clone(),
                volume_group_snapshot_class_selector: policy.spec.volume_group_snapshot_class_selector.clone(),
                volume_snapshot_class_selector: policy.spec.volume_snapshot_class_selector.clone(),
            });
            wanted.sync = None;
        }
    }
}

fn labels(s: &Snapshot, base: Option<&VolumeReplicationGroup>) -> BTreeMap<String, String> {
    let mut labels = base.and_then(|vrg| vrg.metadata.labels.clone()).unwrap_or_default();
    labels.insert(names::CREATED_BY.to_owned(), "true".to_owned());
    let global = s.drpc.metadata.labels.as_ref().and_then(|labels| labels.get(names::GLOBAL_VGR));
    labels.extend(global.map(|value| (names::GLOBAL_VGR.to_owned(), value.clone())));
    labels
}

/// Open Cluster Management merges metadata maps, so a key that is left out stays on the cluster: a value that is gone
/// is overwritten by an empty one.
fn annotations(
    s: &Snapshot,
    site: &Site,
    record: &ActionRecord,
    base: Option<&VolumeReplicationGroup>,
) -> BTreeMap<String, String> {
    let mut annotations =
        base.filter(|_| site.asked().is_some()).and_then(|vrg| vrg.metadata.annotations.clone()).unwrap_or_default();
    for key in [names::IS_CG_ENABLED, names::IS_SUBMARINER_ENABLED, names::USE_VOLSYNC, names::ENABLE_DIFF] {
        annotations.insert(key.to_owned(), s.annotation(key).unwrap_or_default().to_owned());
    }
    annotations.insert(names::DRPC_UID.to_owned(), s.drpc.metadata.uid.clone().unwrap_or_default());
    annotations.insert(names::DESTINATION_CLUSTER.to_owned(), site.cluster.clone());
    // The clusters need to know which action it is, not how far it has come: a step is no reason to write a work.
    let record = ActionRecord { step: Step::Accepted, ..record.clone() };
    annotations.insert(names::ACTION_RECORD.to_owned(), record.to_annotation());
    annotations
}

/// True where writing `wanted` over `have` would change nothing that a cluster could see.
pub fn is_same(have: &VolumeReplicationGroup, wanted: &VolumeReplicationGroup) -> bool {
    have.spec == wanted.spec
        && have.metadata.annotations == wanted.metadata.annotations
        && have.metadata.labels == wanted.metadata.labels
}
