//! The manifests in `deploy/`: names are the contract's, roles hold what the code uses and nothing more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kaedama_shared::api::OWN_GROUP;
use kaedama_shared::api::crdgen::{all_crds, file_name};
use kaedama_shared::config::Role;
use kaedama_shared::yaml;
use serde_json::Value;

/// A kind that an operator reads or writes: its Rust type, where the API has it, and whether it lives in the operator's
/// own namespace only.
struct Used {
    rust: &'static str,
    group: &'static str,
    resource: &'static str,
    own_namespace: bool,
}

const fn used(rust: &'static str, group: &'static str, resource: &'static str) -> Used {
    Used { rust, group, resource, own_namespace: false }
}

const fn own(rust: &'static str, group: &'static str, resource: &'static str) -> Used {
    Used { rust, group, resource, own_namespace: true }
}

const RAMEN: &str = "ramendr.openshift.io";
const CLUSTER: &str = "cluster.open-cluster-management.io";
const REPLICATION: &str = "replication.storage.openshift.io";
const CSI_ADDONS: &str = "csiaddons.openshift.io";

/// What the hub operator names in `Api<…>` and `Cache<…>`.
const HUB: [Used; 11] = [
    used("DRPlacementControl", RAMEN, "drplacementcontrols"),
    used("DRPolicy", RAMEN, "drpolicies"),
    used("DRCluster", RAMEN, "drclusters"),
    used("ManifestWork", "work.open-cluster-management.io", "manifestworks"),
    used("ManagedClusterView", "view.open-cluster-management.io", "managedclusterviews"),
    used("ManagedCluster", CLUSTER, "managedclusters"),
    used("Placement", CLUSTER, "placements"),
    used("PlacementDecision", CLUSTER, "placementdecisions"),
    used("ApplicationSet", "argoproj.io", "applicationsets"),
    own("ConfigMap", "", "configmaps"),
    own("Secret", "", "secrets"),
];

/// The same of the operator of a managed cluster.
const SPOKE: [Used; 16] = [
    used("VolumeReplicationGroup", RAMEN, "volumereplicationgroups"),
    used("VolumeReplicationGroupReport", OWN_GROUP, "volumereplicationgroupreports"),
    used("DRClusterConfig", RAMEN, "drclusterconfigs"),
    used("PersistentVolumeClaim", "", "persistentvolumeclaims"),
    used("PersistentVolume", "", "persistentvolumes"),
    used("Pod", "", "pods"),
    used("StorageClass", "storage.k8s.io", "storageclasses"),
    used("VolumeAttachment", "storage.k8s.io", "volumeattachments"),
    used("VolumeReplication", REPLICATION, "volumereplications"),
    used("VolumeReplicationClass", REPLICATION, "volumereplicationclasses"),
    used("VolumeGroupReplicationClass", REPLICATION, "volumegroupreplicationclasses"),
    used("VolumeSnapshotClass", "snapshot.storage.k8s.io", "volumesnapshotclasses"),
    used("VolumeGroupSnapshotClass", "groupsnapshot.storage.k8s.io", "volumegroupsnapshotclasses"),
    used("NetworkFenceClass", CSI_ADDONS, "networkfenceclasses"),
    own("ConfigMap", "", "configmaps"),
    own("Secret", "", "secrets"),
];

/// What is created and not looked at: its Rust type, where the API has it.
const CREATED: [(Role, &str, &str, &str); 1] =
    [(Role::Hub, "ManagedClusterAddOn", "addon.open-cluster-management.io", "managedclusteraddons")];

/// What is not named by a type of its own: kinds read as dynamic objects, and what the harness writes.
const UNTYPED: [(Role, &str, &str); 9] = [
    (Role::Hub, "apiextensions.k8s.io", "customresourcedefinitions"),
    (Role::Spoke, "apiextensions.k8s.io", "customresourcedefinitions"),
    (Role::Hub, "", "events"),
    (Role::Hub, "coordination.k8s.io", "leases"),
    (Role::Spoke, "", "events"),
    (Role::Spoke, "coordination.k8s.io", "leases"),
    (Role::Spoke, CSI_ADDONS, "csiaddonsnodes"),
    (Role::Spoke, "k8s.cni.cncf.io", "network-attachment-definitions"),
    (Role::Spoke, CLUSTER, "clusterclaims"),
];

/// Kinds of ours that neither operator touches yet.
const UNUSED_KINDS: [&str; 5] = [
    "maintenancemodes",
    "protectedvolumereplicationgrouplists",
    "recipes",
    "replicationgroupdestinations",
    "replicationgroupsources",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder(role: Role) -> &'static str {
    match role {
        Role::Hub => "hub",
        Role::Spoke => "spoke",
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Hub => "ramen-hub-operator",
        Role::Spoke => "ramen-dr-cluster-operator",
    }
}

fn kinds(role: Role) -> &'static [Used] {
    match role {
        Role::Hub => &HUB,
        Role::Spoke => &SPOKE,
    }
}

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::from_documents(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn kustomization(folder: &Path) -> Value {
    documents(&folder.join("kustomization.yaml")).remove(0)
}

/// The objects of one base, without the CRDs.
fn objects(role: Role) -> Vec<Value> {
    let base = root().join("deploy").join(folder(role));
    let files = strings(&kustomization(&base)["resources"]);
    files.iter().filter(|file| file.ends_with(".yaml")).flat_map(|file| documents(&base.join(file))).collect()
}

fn object(role: Role, kind: &str) -> Value {
    let mut found: Vec<Value> = objects(role).into_iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind} of {}", folder(role));
    found.remove(0)
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect()
}

/// Verbs by group and resource, of a Role or ClusterRole.
fn rights(role: &Value) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut rights: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                rights.entry((group.clone(), resource)).or_default().extend(strings(&rule["verbs"]));
            }
        }
    }
    rights
}

const ROLES: [Role; 2] = [Role::Hub, Role::Spoke];

#[test]
fn a_base_lists_its_files_and_the_crds_theirs() {
    for role in ROLES {
        let base = root().join("deploy").join(folder(role));
        let kustomization = kustomization(&base);
        let mut listed: BTreeSet<String> = strings(&kustomization["resources"]).into_iter().collect();
        assert!(listed.remove("../../crds"));
        let found: BTreeSet<String> = fs::read_dir(&base)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "kustomization.yaml")
            .collect();
        assert_eq!(listed, found);
    }
    let listed: BTreeSet<String> = strings(&kustomization(&root().join("crds"))["resources"]).into_iter().collect();
    assert_eq!(listed, all_crds().iter().map(file_name).collect());
}

#[test]
fn names_are_the_contracts() {
    for role in ROLES {
        let name = name(role);
        for kind in ["Deployment", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
            assert_eq!(object(role, kind)["metadata"]["name"], name, "{kind}");
        }
        assert_eq!(object(role, "Service")["metadata"]["name"], format!("{name}-metrics-service"));
        assert_eq!(object(role, "Namespace")["metadata"]["name"], "ramen-system");
        for object in objects(role) {
            let cluster_wide =
                ["Namespace", "ClusterRole", "ClusterRoleBinding"].contains(&object["kind"].as_str().unwrap());
            let namespace = if cluster_wide { Value::Null } else { "ramen-system".into() };
            assert_eq!(object["metadata"]["namespace"], namespace, "{}", object["kind"]);
        }
    }
}

#[test]
fn bindings_lead_from_the_account_to_a_role_that_is_there() {
    for role in ROLES {
        for (binding, of) in [("RoleBinding", "Role"), ("ClusterRoleBinding", "ClusterRole")] {
            let binding = object(role, binding);
            assert_eq!(binding["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
            assert_eq!(binding["roleRef"]["kind"], of);
            assert_eq!(binding["roleRef"]["name"], object(role, of)["metadata"]["name"]);
            let subjects = binding["subjects"].as_array().unwrap();
            assert_eq!(subjects.len(), 1);
            assert_eq!(subjects[0]["kind"], "ServiceAccount");
            assert_eq!(subjects[0]["name"], object(role, "ServiceAccount")["metadata"]["name"]);
            assert_eq!(subjects[0]["namespace"], "ramen-system");
        }
    }
}

#[test]
fn no_right_is_boundless() {
    for role in ROLES {
        for of in ["Role", "ClusterRole"] {
            for ((group, resource), verbs) in rights(&object(role, of)) {
                let dangerous = ["*", "escalate", "bind", "impersonate", "deletecollection"];
                assert!(!group.contains('*') && !resource.contains('*'), "{group}/{resource}");
                assert!(!verbs.iter().any(|verb| dangerous.contains(&verb.as_str())), "{group}/{resource}: {verbs:?}");
            }
        }
        let cluster_wide = rights(&object(role, "ClusterRole"));
        assert!(!cluster_wide.contains_key(&(String::new(), "secrets".to_owned())), "secrets of every namespace");
        assert!(!cluster_wide.contains_key(&(String::new(), "configmaps".to_owned())), "ConfigMaps of every namespace");
        for resource in ["persistentvolumeclaims", "persistentvolumes"] {
            let verbs = cluster_wide.get(&(String::new(), resource.to_owned()));
            assert!(!verbs.is_some_and(|verbs| verbs.contains("delete")), "nothing may delete {resource}");
        }
    }
}

/// Type names that stand in `Api<…>`, `Cache<…>` or `Kept<…>` of an operator's source.
fn named_in_source(role: Role) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root().join(folder(role)).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
                names.extend(type_names(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    names
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

fn type_names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for wrapper in ["Api<", "Api::<", "Cache<", "Kept<"] {
        for (at, _) in text.match_indices(wrapper) {
            let rest = &text[at + wrapper.len()..];
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
            let name = name.rsplit("::").next().unwrap_or_default().to_owned();
            // A single letter is a type parameter.
            if name.len() > 1 && name != "DynamicObject" {
                names.insert(name);
            }
        }
    }
    names
}

#[test]
fn every_kind_in_the_source_is_in_the_table_and_the_other_way_round() {
    for role in ROLES {
        let mut table: BTreeSet<String> = kinds(role).iter().map(|kind| kind.rust.to_owned()).collect();
        table.extend(CREATED.iter().filter(|(of, ..)| *of == role).map(|(_, rust, ..)| (*rust).to_owned()));
        assert_eq!(
            named_in_source(role),
            table,
            "{}: the source on the left, this test's table on the right",
            folder(role)
        );
    }
}

#[test]
fn what_is_used_is_granted_and_what_is_granted_is_used() {
    for role in ROLES {
        let (cluster, own) = (rights(&object(role, "ClusterRole")), rights(&object(role, "Role")));
        let mut expected: [BTreeSet<(String, String)>; 2] = Default::default();
        for kind in kinds(role) {
            let key = (kind.group.to_owned(), kind.resource.to_owned());
            let rights = if kind.own_namespace { &own } else { &cluster };
            let verbs =
                rights.get(&key).unwrap_or_else(|| panic!("{} of {} is not granted", kind.resource, folder(role)));
            for verb in ["get", "list", "watch"] {
                assert!(verbs.contains(verb), "{} of {} lacks {verb}", kind.resource, folder(role));
            }
            expected[usize::from(kind.own_namespace)].insert(key);
        }
        for (of, group, resource) in UNTYPED.iter().filter(|(of, ..)| *of == role) {
            let own_namespace = *resource == "leases";
            let rights = if own_namespace { &own } else { &cluster };
            let key = ((*group).to_owned(), (*resource).to_owned());
            assert!(rights.contains_key(&key), "{resource} of {} is not granted", folder(*of));
            expected[usize::from(own_namespace)].insert(key);
        }
        for (of, _, group, resource) in CREATED.iter().filter(|(of, ..)| *of == role) {
            let key = ((*group).to_owned(), (*resource).to_owned());
            let verbs = cluster.get(&key).unwrap_or_else(|| panic!("{resource} of {} is not granted", folder(*of)));
            assert_eq!(verbs, &BTreeSet::from(["create".to_owned()]), "{resource} of {}", folder(*of));
            expected[0].insert(key);
        }
        // A subresource goes with its resource.
        for (rights, expected) in [cluster, own].iter().zip(&expected) {
            let granted = rights
                .keys()
                .map(|(group, resource)| (group.clone(), resource.split('/').next().unwrap_or_default().to_owned()));
            assert_eq!(&granted.collect::<BTreeSet<_>>(), expected, "{}", folder(role));
        }
    }
}

#[test]
fn every_kind_of_ours_is_granted_or_known_to_be_unused() {
    let granted: BTreeSet<String> = ROLES
        .iter()
        .flat_map(|role| rights(&object(*role, "ClusterRole")).into_keys())
        .filter(|(group, resource)| [RAMEN, OWN_GROUP].contains(&group.as_str()) && !resource.contains('/'))
        .map(|(_, resource)| resource)
        .collect();
    let unused: BTreeSet<String> = UNUSED_KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    assert!(granted.is_disjoint(&unused), "{granted:?}");
    let all: BTreeSet<String> = all_crds().into_iter().map(|crd| crd.spec.names.plural).collect();
    assert_eq!(granted.union(&unused).cloned().collect::<BTreeSet<_>>(), all);
}

#[test]
fn the_process_gets_what_it_asks_for() {
    for role in ROLES {
        let deployment = object(role, "Deployment");
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], name(role));
        let container = &pod["containers"][0];
        assert_eq!(container["name"], "manager");
        let env = |name: &str| {
            let all = container["env"].as_array().unwrap();
            all.iter().find(|entry| entry["name"] == name).cloned().unwrap_or_default()
        };
        assert_eq!(env("RAMEN_CONTROLLER_TYPE")["value"], role.controller_type());
        assert_eq!(env("POD_NAMESPACE")["valueFrom"]["fieldRef"]["fieldPath"], "metadata.namespace");
        assert_eq!(env("POD_NAME")["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
        let port = |name: &Value| {
            let ports = container["ports"].as_array().unwrap();
            ports
                .iter()
                .find(|port| port["name"] == *name)
                .map(|port| port["containerPort"].clone())
                .unwrap_or_default()
        };
        for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"]["path"], path);
            assert_eq!(port(&container[probe]["httpGet"]["port"]), 8081);
        }
        let service = object(role, "Service");
        assert_eq!(port(&service["spec"]["ports"][0]["targetPort"]), 9289);
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        for selector in [&service["spec"]["selector"], &deployment["spec"]["selector"]["matchLabels"]] {
            assert!(selector.as_object().is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value)));
        }
        let image = format!("kaedama-{}", folder(role));
        assert_eq!(container["image"], format!("{image}:latest"));
        let kustomization = kustomization(&root().join("deploy").join(folder(role)));
        assert_eq!(kustomization["images"][0]["name"], image);
    }
}

#[test]
fn the_pod_is_allowed_where_pods_are_restricted() {
    for role in ROLES {
        let deployment = object(role, "Deployment");
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
        assert_eq!(container["resources"]["limits"]["cpu"], "100m");
        assert_eq!(container["resources"]["limits"]["memory"], "300Mi");
    }
}

#[test]
fn the_operators_own_config_map_is_the_only_one_that_they_may_change() {
    for role in ROLES {
        let own = object(role, "Role");
        let rules = own["rules"].as_array().unwrap().iter();
        let updating = rules.filter(|rule| {
            strings(&rule["resources"]).contains(&"configmaps".to_owned())
                && strings(&rule["verbs"]).contains(&"update".to_owned())
        });
        let names: Vec<String> = updating.flat_map(|rule| strings(&rule["resourceNames"])).collect();
        assert_eq!(names, [role.config_map_name()]);
    }
}
