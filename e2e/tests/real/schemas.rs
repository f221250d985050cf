//! A kube-apiserver with the peers' own definitions takes what Kaedama writes for them; and with ours, what the documentation
//! shows. No field is unknown to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kaedama_e2e::real::{HUB, Options, Real};
use kaedama_e2e::start::{deployed, regional};
use kaedama_sandbox::world::World;
use kaedama_sandbox::world::app::App;
use kaedama_shared::api::crdgen::all_crds;
use kaedama_shared::api::{DRAction, DRState};
use kaedama_shared::yaml;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::api::admin;
use crate::{ONE_WORLD, docs, options, peers, refused, until};

/// Field managers of the operators.
const OURS: [&str; 2] = [kaedama_hub::drpc::act::FIELD_MANAGER, kaedama_spoke::vrg::act::FIELD_MANAGER];

/// A kind that is served.
pub struct Kind {
    definition: CustomResourceDefinition,
}

impl Kind {
    /// Paths of its objects, in the version that is stored.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let namespace = namespace.map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        format!("/apis/{}{namespace}/{}", self.api_version(), self.definition.spec.names.plural)
    }

    pub fn name(&self) -> &str {
        &self.definition.spec.names.kind
    }

    pub fn is_namespaced(&self) -> bool {
        self.definition.spec.scope == "Namespaced"
    }

    fn stored(&self) -> &CustomResourceDefinitionVersion {
        self.definition.spec.versions.iter().find(|version| version.storage).unwrap()
    }

    pub fn api_version(&self) -> String {
        format!("{}/{}", self.definition.spec.group, self.stored().name)
    }

    /// The schema of an object.
    pub fn schema(&self) -> Value {
        serde_json::to_value(&self.stored().schema.as_ref().unwrap().open_api_v3_schema).unwrap()
    }

    fn has(&self, object: &Value) -> bool {
        let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map(|(group, _)| group);
        group == Some(self.definition.spec.group.as_str()) && object["kind"] == self.definition.spec.names.kind.as_str()
    }
}

fn files(folder: &Path) -> Vec<CustomResourceDefinition> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let objects = yaml::from_documents(&fs::read_to_string(&path).unwrap()).unwrap();
            all.extend(objects.into_iter().map(|object| serde_json::from_value(object).unwrap()));
        }
    }
    all
}

/// Installs definitions, and waits until they are served.
pub async fn install(client: &Client, definitions: Vec<CustomResourceDefinition>) -> Vec<Kind> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in &definitions {
        let name = definition.metadata.name.as_deref().unwrap_or_default();
        api.create(&PostParams::default(), definition).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let kinds: Vec<Kind> = definitions.into_iter().map(|definition| Kind { definition }).collect();
    for kind in &kinds {
        let path = kind.path(None);
        until(&path, async || get(client, &path).await.is_ok().then_some(())).await;
    }
    kinds
}

async fn get(client: &Client, path: &str) -> Result<Value, kube::Error> {
    client.request(http::Request::get(path).body(Vec::new()).unwrap()).await
}

pub async fn post(client: &Client, path: &str, object: &Value) -> Result<Value, kube::Error> {
    let request = http::Request::post(path).header("content-type", "application/json");
    client.request(request.body(object.to_string().into_bytes()).unwrap()).await
}

/// A JSON Patch.
pub async fn patch(client: &Client, path: &str, change: &Value) -> Result<Value, kube::Error> {
    let request = http::Request::patch(path).header("content-type", "application/json-patch+json");
    client.request(request.body(change.to_string().into_bytes()).unwrap()).await
}

/// Has the server judge an object, and keep nothing.
async fn judge(client: &Client, kinds: &[Kind], object: &Value) -> Result<(), String> {
    let namespace = object["metadata"]["namespace"].as_str();
    if let Some(name) = namespace {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match post(client, "/api/v1/namespaces", &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            made => drop(made.map_err(|error| error.to_string())?),
        }
    }
    let path = match kinds.iter().find(|kind| kind.has(object)) {
        Some(kind) => kind.path(namespace),
        None if object["apiVersion"] == "v1" => {
            let plural = format!("{}s", object["kind"].as_str().unwrap_or_default().to_lowercase());
            format!("/api/v1/namespaces/{}/{plural}", namespace.unwrap_or("default"))
        }
        None => return Err(format!("nobody defines {} {}", object["apiVersion"], object["kind"])),
    };
    let judged = post(client, &format!("{path}?dryRun=All&fieldValidation=Strict"), object).await;
    judged.map(drop).map_err(|error| error.to_string())
}

/// What the operators have written, of kinds that are not ours: by kind, each wording once.
async fn written(world: &World, kinds: &[Kind], all: &mut BTreeMap<String, Vec<Value>>) {
    for client in [world.hub(), world.cluster("dr1").unwrap(), world.cluster("dr2").unwrap()] {
        for kind in kinds {
            // Not every cluster serves every kind.
            let Ok(list) = get(&client, &kind.path(None)).await else { continue };
            for object in list["items"].as_array().unwrap() {
                let managers = object["metadata"]["managedFields"].as_array().into_iter().flatten();
                if !managers.into_iter().any(|entry| OURS.iter().any(|ours| entry["manager"] == *ours)) {
                    continue;
                }
                let mut wording = object.clone();
                let metadata = object["metadata"].as_object().unwrap().clone();
                let kept = ["name", "namespace", "labels", "annotations", "finalizers"];
                let kept = metadata.into_iter().filter(|(field, _)| kept.contains(&field.as_str()));
                wording["metadata"] = kept.collect::<serde_json::Map<_, _>>().into();
                let wordings = all.entry(kind.definition.spec.names.kind.clone()).or_default();
                if !wordings.contains(&wording) {
                    wordings.push(wording);
                }
            }
        }
    }
}

/// Protects an application and moves it both ways in a world of this process, and gathers what is written meanwhile.
async fn life(kinds: &[Kind]) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    let world = regional().await.unwrap();
    let app = deployed(&world, App::new("web", "dr1").claims(2)).await.unwrap();
    written(&world, kinds, &mut all).await;
    let moves = [(DRAction::Failover, "dr2", DRState::FailedOver), (DRAction::Relocate, "dr1", DRState::Relocated)];
    for (action, to, end) in moves {
        world.order(&app, action, to).await.unwrap();
        let completed = world.completed(&app, end);
        let mut completed = std::pin::pin!(completed);
        loop {
            tokio::select! {
                done = &mut completed => break drop(done.unwrap()),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
            written(&world, kinds, &mut all).await;
        }
        written(&world, kinds, &mut all).await;
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_definitions_of_the_peers_and_ours_take_what_is_written() {
    let Some(options) = options() else { return };
    let Some(folder) = peers::folder("KAEDAMA_PEER_CRDS", "shared/peer-crds") else { return };
    let _one = ONE_WORLD.lock().await;
    let alone = Options { clusters: Vec::new(), ocm: false, registration: false, s3: false, ..options };
    let server = Real::start(alone).await.unwrap_or_else(|error| panic!("{error}"));
    let client = admin(&server, HUB).await;
    let mut theirs = files(&folder);
    // The reference product's are compared with ours elsewhere, and ours take their place.
    theirs.retain(|definition| !definition.spec.group.ends_with("ramendr.openshift.io"));
    let theirs = install(&client, theirs).await;

    let all = life(&theirs).await;
    for kind in ["ManifestWork", "PlacementDecision", "VolumeReplication"] {
        assert!(all.contains_key(kind), "no {kind} was written: {:?}", all.keys());
    }
    for (kind, wordings) in &all {
        for object in wordings {
            let judged = judge(&client, &theirs, object).await;
            judged.unwrap_or_else(|why| panic!("{kind}: {why}\n{object:#}"));
        }
        eprintln!("{kind}: {} wordings are taken", wordings.len());
    }

    let mut kinds = install(&client, all_crds()).await;
    refused::every_rule(&client).await;
    kinds.extend(theirs);
    let examples = docs::examples();
    assert!(examples.len() > 5, "{examples:?}");
    for (page, object) in examples {
        let judged = judge(&client, &kinds, &object).await;
        judged.unwrap_or_else(|why| panic!("{page}: {why}\n{object:#}"));
    }
    let wrong = json!({
        "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRCluster", "metadata": {"name": "dr1"},
        "spec": {"s3ProfileName": "east", "s3Profile": "east"},
    });
    let refused = judge(&client, &kinds, &wrong).await.unwrap_err();
    assert!(refused.contains("spec.s3Profile"), "{refused}");
}
