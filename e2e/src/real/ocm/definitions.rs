//! The definitions of Open Cluster Management's kinds: its own where the build kept them, else the sandbox's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kaedama_sandbox::ocm::crds;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::json;

use super::super::cluster::Cluster;
use super::super::error::RealError;
use super::super::ready::{Waiting, wait};

/// Whose definitions the clusters serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Definitions {
    /// Open Cluster Management's own, where they are; the sandbox's for kinds that it does not define, or defines with
    /// a webhook for conversion (add-ons), and for all of them where its own are missing.
    #[default]
    Own,
    /// The sandbox's, and an empty one for the scores of add-ons, without which the placement controller waits.
    Sandbox,
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::real) enum Side {
    Hub,
    Spoke,
}

/// The definitions of one side. `own` is the folder that the build filled.
pub(in crate::real) fn of(
    side: Side,
    choice: Definitions,
    own: Option<&Path>,
) -> Result<Vec<CustomResourceDefinition>, RealError> {
    let (folder, mut stand_ins) = match side {
        Side::Hub => ("hub", crds::hub()),
        Side::Spoke => ("spoke", crds::spoke()),
    };
    if side == Side::Hub {
        stand_ins.extend(scores());
    }
    let named =
        |definition: CustomResourceDefinition| (definition.metadata.name.clone().unwrap_or_default(), definition);
    let mut all: BTreeMap<_, _> = stand_ins.into_iter().map(named).collect();
    if let (Definitions::Own, Some(own)) = (choice, own) {
        all.extend(read(&own.join(folder))?.into_iter().map(named));
    }
    Ok(all.into_values().collect())
}

/// The one kind that the placement controller wants beyond those of the sandbox: without it, it decides nothing. Nobody
/// here writes any.
fn scores() -> Option<CustomResourceDefinition> {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let value = json!({
        "metadata": {"name": "addonplacementscores.cluster.open-cluster-management.io"},
        "spec": {
            "group": "cluster.open-cluster-management.io",
            "names": {
                "kind": "AddOnPlacementScore",
                "listKind": "AddOnPlacementScoreList",
                "plural": "addonplacementscores",
                "singular": "addonplacementscore",
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": open},
            }],
        },
    });
    // A literal; that it can be read is seen by every world with these definitions.
    serde_json::from_value(value).ok()
}

fn read(folder: &Path) -> Result<Vec<CustomResourceDefinition>, RealError> {
    let reading = || RealError::io(format!("read {}", folder.display()));
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(reading())? {
        let path = entry.map_err(reading())?.path();
        let text = std::fs::read_to_string(&path).map_err(RealError::io(format!("read {}", path.display())))?;
        // A template is filled by the operator that installs; what it fills in is the address of a webhook, which
        // cannot run on loopback.
        if text.contains("{{") {
            continue;
        }
        let definition = serde_yaml::from_str(&text)
            .map_err(|error| RealError::Definition { path: path.clone(), why: error.to_string() })?;
        all.push(definition);
    }
    Ok(all)
}

/// Puts definitions in place and waits until each of their kinds is served.
pub(in crate::real) async fn install(
    cluster: &Cluster,
    client: &Client,
    definitions: &[CustomResourceDefinition],
    patience: Duration,
) -> Result<(), RealError> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let apply = PatchParams::apply("kaedama-real").force();
    try_join_all(definitions.iter().map(async |definition| {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let mut value = json!(definition);
        value["apiVersion"] = json!("apiextensions.k8s.io/v1");
        value["kind"] = json!("CustomResourceDefinition");
        // The server writes it; the files bring an empty one.
        if let Some(value) = value.as_object_mut() {
            value.remove("status");
        }
        let applied = api.patch(&name, &apply, &Patch::Apply(&value)).await;
        applied.map(drop).map_err(|source| RealError::Request {
            doing: format!("define {name} on {}", cluster.name),
            source: Box::new(source),
            logs: cluster.logs().to_owned(),
        })
    }))
    .await?;
    // A kind is served a moment after its definition is established: only an answer proves it.
    try_join_all(definitions.iter().flat_map(served).map(async |resource| {
        let what = format!("{}/{} on {}", resource.api_version, resource.plural, cluster.name);
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let waiting = Waiting { what: &what, log: cluster.api_server.log(), patience };
        let look = async || {
            let listed = api.list(&ListParams::default().limit(1)).await;
            listed.map(drop).map_err(|error| error.to_string())
        };
        wait(waiting, &[&cluster.api_server], look).await
    }))
    .await
    .map(drop)
}

fn served(definition: &CustomResourceDefinition) -> impl Iterator<Item = ApiResource> + '_ {
    let names = &definition.spec.names;
    definition.spec.versions.iter().filter(|version| version.served).map(move |version| {
        let kind = GroupVersionKind::gvk(&definition.spec.group, &version.name, &names.kind);
        ApiResource::from_gvk_with_plural(&kind, &names.plural)
    })
}
