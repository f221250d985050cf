//! Argo CD's ApplicationSet, as far as it follows a Placement.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::kind;
use super::placement::PLACEMENT_LABEL;
use crate::api::tolerant::nullable;

kind! {
    /// Makes an Application for each cluster that its generators name.
    ApplicationSet, NamespaceResourceScope, "argoproj.io", "v1alpha1", "applicationsets",
    spec: ApplicationSetSpec, status: Value
}

/// What an ApplicationSet is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSetSpec {
    /// What names the clusters, as it comes: generators are nested in each other.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub generators: Vec<Value>,
    /// What is made for each of them.
    #[serde(default, deserialize_with = "nullable")]
    pub template: ApplicationTemplate,
}

/// The template of an Application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApplicationTemplate {
    /// What every Application has.
    #[serde(default, deserialize_with = "nullable")]
    pub spec: ApplicationSpec,
}

/// What an Application is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApplicationSpec {
    /// Where it is deployed.
    #[serde(default, deserialize_with = "nullable")]
    pub destination: Destination,
}

/// Where an Application is deployed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// Namespace on the cluster.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

impl ApplicationSet {
    /// True where one of its generators follows the decisions of a Placement in its namespace.
    #[must_use]
    pub fn follows(&self, placement: &str) -> bool {
        self.spec.generators.iter().any(|generator| follows(generator, placement))
    }

    /// The namespace on the clusters; empty where the template leaves it open.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.spec.template.spec.destination.namespace
    }
}

fn follows(generator: &Value, placement: &str) -> bool {
    let label = generator
        .pointer("/clusterDecisionResource/labelSelector/matchLabels")
        .and_then(|labels| labels.get(PLACEMENT_LABEL));
    let nested = ["matrix", "merge"].into_iter().filter_map(|kind| generator.get(kind)?.get("generators")?.as_array());
    label.and_then(Value::as_str) == Some(placement) || nested.flatten().any(|generator| follows(generator, placement))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(generators: &Value) -> ApplicationSet {
        let spec = json!({
            "generators": generators,
            "template": { "metadata": { "name": "x" }, "spec": { "destination": { "namespace": "shop", "server": "{{server}}" } } },
        });
        serde_json::from_value(json!({ "metadata": { "name": "web" }, "spec": spec })).unwrap()
    }

    #[test]
    fn a_placement_is_followed_by_any_generator() {
        let decision = |placement: &str| {
            json!({ "clusterDecisionResource": {
                "configMapRef": "acm-placement",
                "labelSelector": { "matchLabels": { PLACEMENT_LABEL: placement } },
                "requeueAfterSeconds": 180,
            }})
        };
        assert!(set(&json!([decision("place")])).follows("place"));
        assert!(!set(&json!([decision("other")])).follows("place"));
        assert!(set(&json!([{ "list": {} }, decision("place")])).follows("place"));
        assert!(set(&json!([{ "matrix": { "generators": [{ "git": {} }, decision("place")] } }])).follows("place"));
        assert!(!set(&Value::Null).follows("place"));
        assert_eq!(set(&Value::Null).namespace(), "shop");
    }
}
