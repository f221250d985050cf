//! Our CRDs are structurally equal to RamenDR's, path by path, except for what [`DIFFERENCES`] lists.

mod crds_peers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use kaedama_shared::api::OWN_GROUP;
use kaedama_shared::api::crdgen::{all_crds, file_name, to_yaml};
use kaedama_shared::yaml;
use serde_json::Value;

/// A place where the two may differ: how the path begins, how it ends, and why.
struct Difference {
    crd: &'static str,
    starts: &'static str,
    ends: &'static str,
    ours: Option<&'static str>,
    theirs: Option<&'static str>,
    why: &'static str,
}

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

const DIFFERENCES: &[Difference] = &[
    Difference {
        crd: "drclusterconfigs",
        starts: "/status",
        ends: "/properties/hubReport/type",
        ours: Some("\"string\""),
        theirs: None,
        why: "added: the classes of the cluster in one string, which OCM can feed back to the hub",
    },
    Difference {
        crd: "recipes",
        starts: "/spec",
        ends: "/hooks/items/properties/skipHookIfNotPresent/type",
        ours: Some("\"boolean\""),
        theirs: None,
        why: "added: newer recipes have the member, and without it the API server would drop it",
    },
    Difference {
        crd: "recipes",
        starts: "/spec",
        ends: "/matchExpressions/x-kubernetes-list-type",
        ours: Some("\"atomic\""),
        theirs: None,
        why: "says what holds anyway: a list without the marker is atomic",
    },
    Difference {
        crd: "recipes",
        starts: "/spec",
        ends: "/matchExpressions/items/properties/values/x-kubernetes-list-type",
        ours: Some("\"atomic\""),
        theirs: None,
        why: "says what holds anyway: a list without the marker is atomic",
    },
    Difference {
        crd: "recipes",
        starts: "",
        ends: "/metadata/annotations/controller-gen.kubebuilder.io/version",
        ours: Some("\"v0.18.0\""),
        theirs: Some("\"v0.14.0\""),
        why: "the form of all our CRDs is that of one generator version",
    },
];

impl Difference {
    fn covers(&self, crd: &str, path: &str, ours: Option<&str>, theirs: Option<&str>) -> bool {
        let inside = self.starts.is_empty() || path.starts_with(&format!("{SCHEMA}{}", self.starts));
        self.crd == crd && inside && path.ends_with(self.ends) && self.ours == ours && self.theirs == theirs
    }
}

/// Every scalar (and empty collection) of a CRD by its path; descriptions are left out.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                // A property that is called description holds an object.
                if name != "description" || !member.is_string() {
                    leaves(member, &format!("{path}/{name}"), found);
                }
            }
        }
        // A set, whatever order it is written in.
        Value::Array(elements) if path.ends_with("/required") => {
            for element in elements {
                found.insert(format!("{path}/{element}"), "required".to_owned());
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for (index, element) in elements.iter().enumerate() {
                leaves(element, &format!("{path}/{index}"), found);
            }
        }
        leaf => {
            found.insert(path.to_owned(), leaf.to_string());
        }
    }
}

fn leaves_of(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let crd: Value = yaml::from_str(text).expect("a CRD file is YAML");
    leaves(&crd, "", &mut found);
    found
}

#[test]
fn every_crd_equals_the_peers_path_by_path() {
    let Some(folder) = crds_peers::folder("KAEDAMA_PEER_CRDS", "shared/peer-crds") else { return };
    let folder = folder.join("ramen");
    let (mut unexpected, mut used, mut compared) = (Vec::new(), BTreeSet::new(), 0);
    for crd in all_crds().into_iter().filter(|crd| crd.spec.group != OWN_GROUP) {
        let plural = &crd.spec.names.plural;
        let ours = leaves_of(&to_yaml(&crd).unwrap());
        let theirs = leaves_of(&fs::read_to_string(folder.join(file_name(&crd))).unwrap());
        for path in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            compared += 1;
            let (our, their) = (ours.get(path).map(String::as_str), theirs.get(path).map(String::as_str));
            if our == their {
                continue;
            }
            match DIFFERENCES.iter().position(|allowed| allowed.covers(plural, path, our, their)) {
                Some(index) => {
                    used.insert(index);
                }
                None => unexpected.push(format!("{plural} {path}: ours {our:?}, theirs {their:?}")),
            }
        }
    }
    assert!(unexpected.is_empty(), "{} differences:\n{}", unexpected.len(), unexpected.join("\n"));
    assert!(compared > 2000, "only {compared} paths were compared");
    for (index, allowed) in DIFFERENCES.iter().enumerate() {
        assert!(used.contains(&index), "no longer a difference: {} {} ({})", allowed.crd, allowed.ends, allowed.why);
    }
}

#[test]
fn the_peers_have_no_crd_that_we_lack() {
    let Some(folder) = crds_peers::folder("KAEDAMA_PEER_CRDS", "shared/peer-crds") else { return };
    let ours: BTreeSet<String> = all_crds().iter().map(file_name).collect();
    for entry in fs::read_dir(folder.join("ramen")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(ours.contains(&name), "no type generates {name}");
    }
}

/// What the contract says of columns, so that it is held where the peers' files are not at hand.
#[test]
fn the_printer_columns_are_those_of_the_contract() {
    let columns = |plural: &str| {
        let crd = all_crds().into_iter().find(|crd| crd.spec.names.plural == plural).unwrap();
        let columns = crd.spec.versions[0].additional_printer_columns.clone().unwrap_or_default();
        columns.into_iter().map(|column| (column.name, column.json_path)).collect::<Vec<_>>()
    };
    let vrg = columns("volumereplicationgroups");
    assert_eq!(vrg[0], ("desiredState".to_owned(), ".spec.replicationState".to_owned()));
    assert_eq!(vrg[1], ("currentState".to_owned(), ".status.state".to_owned()));
    let drpc = columns("drplacementcontrols");
    assert_eq!(drpc.len(), 9);
    assert_eq!(drpc[8], ("peer ready".to_owned(), ".status.conditions[1].status".to_owned()));
    assert!(columns("drpolicies").is_empty());
}
