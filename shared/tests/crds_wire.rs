//! The wire rules: what Go writes is read, and what we write is what Go reads.

use kaedama_shared::api::{
    self, ClusterFence, DRAction, DRCluster, DRPlacementControl, DRPolicy, DRState, MaintenanceMode, Progression,
    ProtectedVolumeReplicationGroupList, Recipe, ReplicationGroupDestination, ReplicationState, StoredObjectError,
    VRGState, VolumeReplicationGroup,
};
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("the object is read")
}

fn write<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).expect("the object is written")
}

/// A group as Go writes it, with every empty member that Go does not leave out.
fn go_vrg() -> Value {
    json!({
        "metadata": { "name": "app", "namespace": "app-ns", "generation": 4, "creationTimestamp": null },
        "spec": {
            "pvcSelector": {},
            "replicationState": "primary",
            "s3Profiles": ["one", "two"],
            "async": {
                "schedulingInterval": "5m",
                "replicationClassSelector": {},
                "volumeSnapshotClassSelector": {},
                "peerClasses": null,
            },
            "volSync": {},
            "action": "Relocate",
            "kubeObjectProtection": {
                "captureInterval": "5m0s",
                "recipeRef": { "name": "r", "namespace": "ns" },
                "recipeParameters": { "KEY": ["a", "b"], "NONE": null },
            },
            "protectedNamespaces": null,
        },
        "status": {
            "state": "Primary",
            "protectedPVCs": [{
                "name": "data",
                "namespace": "app-ns",
                "storageID": { "id": "" },
                "replicationID": { "id": "", "modes": null },
                "resources": {},
                "accessModes": ["ReadWriteOnce"],
                "labels": null,
                "conditions": [{
                    "type": "DataReady",
                    "status": "True",
                    "reason": "Ready",
                    "message": "",
                    "lastTransitionTime": null,
                    "observedGeneration": 4,
                }],
                "lastSyncTime": null,
                "lastSyncDuration": "2m43.123456s",
            }],
            "conditions": null,
            "kubeObjectProtection": {},
            "lastUpdateTime": null,
            "pvcgroups": null,
        },
    })
}

#[test]
fn a_group_as_go_writes_it_is_read() {
    let vrg: VolumeReplicationGroup = read(go_vrg());
    assert_eq!(vrg.spec.replication_state, ReplicationState::Primary);
    assert_eq!(vrg.spec.action, Some(DRAction::Relocate));
    let kube_objects = vrg.spec.kube_object_protection.as_ref().unwrap();
    assert_eq!(kube_objects.capture_interval.unwrap().to_std().as_secs(), 300);
    assert_eq!(kube_objects.recipe_parameters["KEY"], ["a", "b"]);
    assert!(kube_objects.recipe_parameters["NONE"].is_empty());
    let status = vrg.status.as_ref().unwrap();
    assert_eq!(status.state, VRGState::Primary);
    assert_eq!(status.last_update_time, None);
    let pvc = &status.protected_pvcs[0];
    assert_eq!(pvc.storage_id, api::Identifier::default());
    assert_eq!(pvc.last_sync_duration.unwrap().as_nanos(), 163_123_456_000);
    assert!(pvc.conditions[0].is_true_at(4) && !pvc.conditions[0].is_true_at(5));
    assert_eq!(pvc.conditions[0].last_transition_time, None);
}

#[test]
fn what_is_written_is_read_back_and_has_no_empty_members() {
    let vrg: VolumeReplicationGroup = read(go_vrg());
    let written = write(&vrg);
    assert_eq!(read::<VolumeReplicationGroup>(written.clone()), vrg);
    assert_eq!(written["apiVersion"], api::API_VERSION);
    assert_eq!(written["kind"], "VolumeReplicationGroup");
    // What the schema demands is written even when it is empty.
    assert_eq!(written["spec"]["pvcSelector"], json!({}));
    for absent in ["volSync", "protectedNamespaces", "dryRun", "sync"] {
        assert_eq!(written["spec"].get(absent), None, "{absent}");
    }
    let pvc = &written["status"]["protectedPVCs"][0];
    for absent in ["storageID", "replicationID", "resources", "lastSyncTime", "protectedByVolSync"] {
        assert_eq!(pvc.get(absent), None, "{absent}");
    }
    assert_eq!(pvc["lastSyncDuration"], "2m43.123456s");
    assert!(!written.to_string().contains("null"));
}

#[test]
fn odd_spellings_of_the_contract_are_kept() {
    let names = json!({
        "metadata": {},
        "spec": {
            "pvcSelector": {}, "replicationState": "secondary", "s3Profiles": ["p"],
            "staticIPTranslationSpec": { "ipTranslations": [{
                "resourceRef": { "apiVersion": "v1", "kind": "VirtualMachine", "namespace": "n", "name": "vm" },
                "networks": [{ "networkName": "net", "addresses": [{ "targetIP": "10.0.0.9" }] }],
            }] },
            "sync": { "peerClasses": [{
                "storageClassName": "sc", "storageID": ["s"], "clusterIDs": ["a", "b"],
                "replicationID": "r", "groupreplicationID": "g", "grouping": true, "offloaded": true, "global": true,
            }] },
            "volSync": {
                "rdSpec": [{ "protectedPVC": { "name": "data" } }],
                "rsSpec": [{
                    "protectedPVC": { "name": "data" },
                    "rsyncTLS": { "address": "a", "tlsSecretRef": { "name": "psk" } },
                }],
                "moverConfig": [{
                    "pvcName": "data", "pvcNamespace": "n", "moverServiceAccount": "sa",
                    "moverSecurityContext": { "runAsUser": 1000 },
                }],
            },
        },
        "status": {
            "state": "Secondary",
            "pvcgroups": [{ "grouped": ["a", "b"] }],
            "rdInfo": [{ "protectedPVC": { "name": "data" }, "rsyncTLS": { "address": "a" } }],
            "staticIPDiscovery": { "resources": [{
                "resourceRef": { "namespace": "n", "name": "vm" },
                "networks": [{ "networkName": "net", "addresses": ["10.0.0.1"] }],
            }] },
            "kubeObjectProtection": { "captureToRecoverFrom": {
                "number": 1, "startTime": "2026-08-01T10:00:00Z", "endTime": "2026-08-01T10:00:05Z",
            } },
        },
    });
    let mut written = write(&read::<VolumeReplicationGroup>(names.clone()));
    let object = written.as_object_mut().unwrap();
    object.remove("apiVersion");
    object.remove("kind");
    assert_eq!(written, names);
}

#[test]
fn a_stored_group_without_a_kind_is_read() {
    let body = format!("{}\n", go_vrg());
    let vrg = VolumeReplicationGroup::from_stored_json(body.as_bytes()).unwrap();
    assert_eq!(vrg.metadata.name.as_deref(), Some("app"));

    let foreign = json!({ "kind": "Recipe", "apiVersion": api::API_VERSION, "metadata": {} }).to_string();
    let error = VolumeReplicationGroup::from_stored_json(foreign.as_bytes()).unwrap_err();
    assert!(matches!(error, StoredObjectError::WrongKind { .. }), "{error}");
    let error = VolumeReplicationGroup::from_stored_json(b"[1").unwrap_err();
    assert!(matches!(error, StoredObjectError::Malformed { .. }), "{error}");
}

#[test]
fn a_stored_volume_without_a_kind_is_read() {
    use k8s_openapi::api::core::v1::PersistentVolume;
    let body = json!({ "metadata": { "name": "pv", "creationTimestamp": null }, "spec": {}, "status": {} });
    let volume: PersistentVolume = api::from_stored_json(body.to_string().as_bytes()).unwrap();
    assert_eq!(volume.metadata.name.as_deref(), Some("pv"));
}

#[test]
fn unknown_enum_values_are_kept() {
    let drpc: DRPlacementControl = read(json!({
        "metadata": {},
        "spec": { "action": "Teleport", "pvcSelector": {}, "placementRef": {}, "drPolicyRef": {} },
        "status": { "phase": "Dreaming", "progression": "Cleaning Up" },
    }));
    assert_eq!(drpc.spec.action, Some(DRAction::Other("Teleport".to_owned())));
    let status = drpc.status.as_ref().unwrap();
    assert_eq!(status.phase, DRState::Other("Dreaming".to_owned()));
    assert_eq!(status.progression, Progression::CleaningUp);
    assert_eq!(write(&drpc)["status"], json!({ "phase": "Dreaming", "progression": "Cleaning Up" }));

    let mode: MaintenanceMode = read(json!({
        "metadata": {}, "spec": { "storageProvisioner": "p", "modes": ["Nap"] }, "status": { "state": "Asleep" },
    }));
    assert_eq!(mode.spec.modes, [api::MMode::Other("Nap".to_owned())]);
}

#[test]
fn an_empty_choice_is_no_choice() {
    let cluster: DRCluster = read(json!({ "metadata": {}, "spec": { "s3ProfileName": "p", "clusterFence": "" } }));
    assert_eq!(cluster.spec.cluster_fence, None);
    let cluster: DRCluster =
        read(json!({ "metadata": {}, "spec": { "s3ProfileName": "p", "clusterFence": "ManuallyFenced" } }));
    assert_eq!(cluster.spec.cluster_fence, Some(ClusterFence::ManuallyFenced));
}

#[test]
fn a_status_as_go_writes_it_is_read() {
    let drpc: DRPlacementControl = read(json!({
        "metadata": {},
        "spec": {
            "pvcSelector": {}, "placementRef": { "name": "p" }, "drPolicyRef": { "name": "d" }, "volSyncSpec": {},
        },
        "status": {
            "phase": "",
            "preferredDecision": {},
            "resourceConditions": { "resourceMeta": { "generation": 0, "kind": "", "name": "", "namespace": "" } },
            "lastUpdateTime": null,
            "actionDuration": null,
        },
    }));
    let status = drpc.status.as_ref().unwrap();
    assert!(status.phase.is_unset() && status.last_update_time.is_none());
    assert_eq!(write(&drpc)["status"], json!({}));

    let policy: DRPolicy = read(json!({
        "metadata": {},
        "spec": { "drClusters": ["a", "b"], "schedulingInterval": "5m" },
        "status": { "sync": {}, "async": { "peerClasses": null }, "conditions": null },
    }));
    assert_eq!(policy.status, Some(api::DRPolicyStatus::default()));
}

#[test]
fn times_are_written_with_second_precision() {
    let list: ProtectedVolumeReplicationGroupList = read(json!({
        "metadata": {},
        "spec": { "s3ProfileName": "p" },
        "status": { "sampleTime": "2026-08-01T12:00:00.987654321+02:00", "items": [go_vrg()] },
    }));
    let written = write(&list);
    assert_eq!(written["status"]["sampleTime"], "2026-08-01T10:00:00Z");
    assert_eq!(written["status"]["items"][0]["metadata"]["name"], "app");
}

#[test]
fn a_recipe_is_read_and_written() {
    let spec = json!({
        "appType": "db",
        "groups": [{ "name": "g", "type": "resource", "includedResourceTypes": ["configmaps"], "essential": false }],
        "volumes": { "name": "v", "type": "volume", "labelSelector": { "matchLabels": { "app": "db" } } },
        "hooks": [{
            "name": "h", "namespace": "n", "type": "exec", "onError": "continue", "skipHookIfNotPresent": true,
            "ops": [{ "name": "o", "command": "sync", "timeout": 30 }],
        }],
        "workflows": [{ "name": "backup", "failOn": "any-error", "sequence": [{ "group": "g" }, { "hook": "h/o" }] }],
    });
    let recipe: Recipe = read(json!({ "metadata": {}, "spec": spec }));
    assert_eq!(recipe.spec.workflows[0].sequence[1]["hook"], "h/o");
    assert_eq!(write(&recipe)["spec"], spec);
}

/// Anybody may create an object without a spec, and one such object must not blind a watch of all the others.
fn reads_without_a_spec<K>()
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize,
{
    for object in [json!({ "metadata": { "name": "x" } }), json!({ "metadata": { "name": "x" }, "spec": null })] {
        let kind = K::kind(&());
        let read: K = serde_json::from_value(object).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(read.meta().name.as_deref(), Some("x"));
        assert!(write(&read)["spec"].is_object());
    }
}

#[test]
fn every_kind_is_read_without_a_spec() {
    reads_without_a_spec::<DRPolicy>();
    reads_without_a_spec::<DRCluster>();
    reads_without_a_spec::<DRPlacementControl>();
    reads_without_a_spec::<VolumeReplicationGroup>();
    reads_without_a_spec::<api::DRClusterConfig>();
    reads_without_a_spec::<MaintenanceMode>();
    reads_without_a_spec::<ProtectedVolumeReplicationGroupList>();
    reads_without_a_spec::<Recipe>();
    reads_without_a_spec::<api::ReplicationGroupSource>();
    reads_without_a_spec::<ReplicationGroupDestination>();
}
