//! How a status is written: by server-side apply, after whatever another manager wrote there has been taken over.
//!
//! Apply takes back only what it put there itself. A status that the reference product wrote by update would keep every
//! member that is left out since: the duration of an action that is long over, peer classes that are gone.

use std::collections::BTreeSet;

use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::drpc::act::FIELD_MANAGER;

/// Members that are never left out: it does no harm that somebody else owns them too, and nobody sees them missing.
const ALWAYS_THERE: [&str; 3] = ["phase", "conditions", "observedGeneration"];

/// Writes the status of `object`, and returns the object as it is then. Two more writes, once, where another manager
/// has a share in it.
///
/// # Errors
/// What the API server answers; 409 where the status changed while it was taken over.
pub async fn write<K>(api: &Api<K>, object: &K, status: &impl Serialize) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let meta = object.meta();
    let name = meta.name.clone().unwrap_or_default();
    let identity = ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        ..Default::default()
    };
    let body = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": identity, "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = api.patch_status(&name, &params, &Patch::Apply(&body)).await?;
    let others = members_of_others(written.meta());
    if others.is_empty() {
        return Ok(written);
    }
    tracing::info!(kind = %K::kind(&()), name, ?others, "taking over the status of another manager");
    let gone: Map<String, Value> = others.into_iter().map(|member| (member, Value::Null)).collect();
    let version = &written.meta().resource_version;
    let without = json!({ "metadata": { "resourceVersion": version }, "status": gone });
    let update = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
    api.patch_status(&name, &update, &Patch::Merge(&without)).await?;
    api.patch_status(&name, &params, &Patch::Apply(&body)).await
}

/// The members of the status that stay when we leave them out.
fn members_of_others(meta: &ObjectMeta) -> BTreeSet<String> {
    let ours =
        |manager: Option<&str>, operation: Option<&str>| manager == Some(FIELD_MANAGER) && operation == Some("Apply");
    let foreign = meta
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| !ours(entry.manager.as_deref(), entry.operation.as_deref()));
    let members = foreign.filter_map(|entry| entry.fields_v1.as_ref()?.0.get("f:status")?.as_object());
    let names = members.flat_map(Map::keys).filter_map(|key| key.strip_prefix("f:"));
    names.filter(|name| !ALWAYS_THERE.contains(name)).map(str::to_owned).collect()
}
