//! How fast the server is on this machine: `cargo run --release -p kaedama-apiserver --example load`.

use futures::{StreamExt, TryStreamExt};
use kaedama_apiserver::ApiServer;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use std::time::Instant;

const OBJECTS: usize = 5000;
const WATCHES: usize = 300;
const WRITES: usize = 500;

fn report(what: &str, count: usize, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    println!("{what:<44} {count:>8} in {seconds:>7.3} s  {:>10.0}/s", count as f64 / seconds);
}

#[tokio::main]
async fn main() -> Result<(), kube::Error> {
    let server = ApiServer::builder("load").build();
    let client = server.client("load/1.0");
    let definitions =
        ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    let crd: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "loads.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "loads", "kind": "Load"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}, "text": {"type": "string"}}},
                    "status": {"type": "object", "properties": {"n": {"type": "integer"}}}}}}}]}
    }))
    .map_err(kube::Error::SerdeError)?;
    Api::all_with(client.clone(), &definitions).create(&PostParams::default(), &crd).await?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Load"));
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);

    let since = Instant::now();
    for n in 0..OBJECTS {
        let object =
            DynamicObject::new(&format!("o{n:05}"), &resource).data(json!({"spec": {"n": n, "text": "x".repeat(500)}}));
        api.create(&PostParams::default(), &object).await?;
    }
    report("create", OBJECTS, since);

    let since = Instant::now();
    let all = api.list(&ListParams::default()).await?;
    report("list, all at once, objects", all.items.len(), since);

    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        let revision = all.metadata.resource_version.clone().unwrap_or_default();
        let api = api.clone();
        watches.push(tokio::spawn(async move {
            let stream = api.watch(&WatchParams::default(), &revision).await?;
            let seen: Vec<WatchEvent<DynamicObject>> = stream.take(WRITES).try_collect().await?;
            Ok::<_, kube::Error>(seen.len())
        }));
    }
    tokio::task::yield_now().await;
    let since = Instant::now();
    for n in 0..WRITES {
        let patch = Patch::Merge(json!({"status": {"n": n}}));
        api.patch_status(&format!("o{n:05}"), &PatchParams::default(), &patch).await?;
    }
    report("status patches under 300 watches", WRITES, since);
    let mut events = 0;
    for watch in watches {
        events += watch.await.map_err(|e| kube::Error::Service(e.into()))??;
    }
    report("events delivered and decoded", events, since);

    let since = Instant::now();
    for n in 0..OBJECTS {
        let apply = json!({"apiVersion": "example.com/v1", "kind": "Load", "metadata": {"name": format!("o{n:05}")}, "spec": {"n": n + 1}});
        api.patch(&format!("o{n:05}"), &PatchParams::apply("me").force(), &Patch::Apply(apply)).await?;
    }
    report("server-side apply", OBJECTS, since);
    let since = Instant::now();
    for n in 0..OBJECTS {
        api.get(&format!("o{n:05}")).await?;
    }
    report("get", OBJECTS, since);
    Ok(())
}
