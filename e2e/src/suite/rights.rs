//! What the operators used of their rights, by the audit logs, against what `deploy/` grants them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;
use serde_json::Value;

use crate::real::{HUB, Identity, Real};

/// The namespace of the operators.
const NAMESPACE: &str = "ramen-system";

/// One use: verb, group, resource (with its subresource), whether it was in the operator's own namespace.
type Use = (String, String, String, bool);

/// What was used in any number of worlds.
#[derive(Debug, Default)]
pub struct Used {
    /// By base of `deploy/`.
    uses: BTreeMap<&'static str, BTreeSet<Use>>,
}

fn base(cluster: &str) -> &'static str {
    if cluster == HUB { "hub" } else { "spoke" }
}

/// What the operator of a cluster was denied, with how that is told, and what it was allowed.
fn asked(real: &Real, cluster: &str) -> anyhow::Result<(BTreeMap<Use, String>, BTreeSet<Use>)> {
    let (mut denied, mut allowed) = (BTreeMap::new(), BTreeSet::new());
    let operator = if base(cluster) == "hub" { Identity::hub_operator() } else { Identity::spoke_operator() };
    let log = real.audit_log(cluster)?;
    let text = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    for line in String::from_utf8_lossy(&text).lines().filter(|line| line.contains(&operator.user)) {
        // The last line may be cut off: the server was killed.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        if event["user"]["username"] != operator.user.as_str() {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (verb, object) = (text(&event["verb"]), &event["objectRef"]);
        let resource = match object["subresource"].as_str() {
            Some(subresource) => format!("{}/{subresource}", text(&object["resource"])),
            None => text(&object["resource"]),
        };
        let own = object["namespace"] == NAMESPACE;
        let one: Use = (verb, text(&object["apiGroup"]), resource, own);
        if event["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            let said = format!("{} may not {} {}: {}", operator.user, one.0, one.2, event["requestURI"]);
            denied.insert(one, said);
        } else if object.is_object() {
            allowed.insert(one);
        }
    }
    Ok((denied, allowed))
}

/// What the operators were denied at any time: verb and resource, each once.
///
/// # Errors
/// A log cannot be read.
pub fn denied(real: &Real) -> anyhow::Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for cluster in real.names() {
        let (denied, _) = asked(real, &cluster)?;
        all.extend(denied.into_keys().map(|(verb, _, resource, _)| format!("{verb} {resource}")));
    }
    Ok(all)
}

impl Used {
    /// Adds what the audit logs of a world say. The requests that were denied, each once.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn read(&mut self, real: &Real) -> anyhow::Result<Vec<String>> {
        let mut all = BTreeSet::new();
        for cluster in real.names() {
            let (denied, allowed) = asked(real, &cluster)?;
            // An API server that has just started denies for a moment what it grants once it knows its roles.
            all.extend(denied.into_iter().filter(|(one, _)| !allowed.contains(one)).map(|(_, said)| said));
            self.uses.entry(base(&cluster)).or_default().extend(allowed);
        }
        Ok(all.into_iter().collect())
    }

    /// Adds what was used elsewhere.
    pub fn add(&mut self, other: Self) {
        for (base, uses) in other.uses {
            self.uses.entry(base).or_default().extend(uses);
        }
    }

    /// The rights of a base that nobody used: `clusterrole list configmaps`. Without `get` beside `list`: whoever may list
    /// a kind may read each object of it, so that it is granted with it, as everywhere.
    ///
    /// # Errors
    /// A file of `deploy/` cannot be read.
    pub fn unused(&self, deploy: &Path) -> anyhow::Result<Vec<String>> {
        let mut unused = Vec::new();
        for base in ["hub", "spoke"] {
            let none = BTreeSet::new();
            let uses = self.uses.get(base).unwrap_or(&none);
            for (file, within) in [("cluster_role.yaml", false), ("role.yaml", true)] {
                for rule in rules(&deploy.join(base).join(file))? {
                    for (verb, group, resource) in rights(&rule) {
                        let used = uses.iter().any(|(used, of, what, own)| {
                            (used, of, what) == (&verb, &group, &resource) && (!within || *own)
                        });
                        let with_list = verb == "get" && rule.verbs.iter().any(|other| other == "list");
                        if !used && !with_list {
                            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
                            unused.push(format!("deploy/{base}/{file}: {verb} {resource}{group}"));
                        }
                    }
                }
            }
        }
        Ok(unused)
    }
}

/// Each right of a rule: verb, group, resource.
fn rights(rule: &PolicyRule) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            all.extend(rule.verbs.iter().map(|verb| (verb.clone(), group.clone(), resource.clone())));
        }
    }
    all
}

fn rules(file: &Path) -> anyhow::Result<Vec<PolicyRule>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut all = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = Value::deserialize(document)?;
        if matches!(value["kind"].as_str(), Some("ClusterRole" | "Role")) {
            all.extend(serde_json::from_value::<Vec<PolicyRule>>(value["rules"].clone())?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_and_not_used_is_found() {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("deploy");
        let mut used = Used::default();
        let all = used.unused(&deploy).unwrap();
        let lease = "deploy/hub/role.yaml: update leases.coordination.k8s.io".to_owned();
        assert!(all.contains(&lease), "{all:#?}");
        assert!(!all.iter().any(|right| right.contains(": get configmaps")), "it goes with list: {all:#?}");
        let renewal = ("update".to_owned(), "coordination.k8s.io".to_owned(), "leases".to_owned());
        used.uses.entry("hub").or_default().insert((renewal.0.clone(), renewal.1.clone(), renewal.2.clone(), false));
        assert!(used.unused(&deploy).unwrap().contains(&lease), "another namespace's leases are not the operator's");
        used.uses.entry("hub").or_default().insert((renewal.0, renewal.1, renewal.2, true));
        assert_eq!(used.unused(&deploy).unwrap().len(), all.len() - 1);
    }
}
