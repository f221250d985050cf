//! Open Cluster Management's own programs.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kaedama_e2e::real::{HUB, Identity, Real};
use kaedama_shared::api::ocm::{ManifestWork, PlacementDecision};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::api::admin;
use crate::until;

const NAMESPACE: &str = "from-the-hub";

fn work() -> ManifestWork {
    serde_json::from_value(json!({
        "metadata": {"name": "settings", "namespace": "dr1"},
        "spec": {
            "workload": {"manifests": [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
                {"apiVersion": "v1", "kind": "ConfigMap",
                 "metadata": {"name": "settings", "namespace": NAMESPACE}, "data": {"sent": "yes"}},
            ]},
            "manifestConfigs": [{
                "resourceIdentifier": {"resource": "configmaps", "namespace": NAMESPACE, "name": "settings"},
                "feedbackScrapeType": "Watch",
                "feedbackRules": [{"type": "JSONPaths", "jsonPaths": [
                    {"name": "answer", "path": ".metadata.annotations.answer"},
                ]}],
            }],
        },
    }))
    .unwrap()
}

/// The string that was fed back for the work's second manifest.
fn feedback(work: &ManifestWork) -> Option<String> {
    let work = json!(work);
    let manifests = work["status"]["resourceStatus"]["manifests"].as_array()?;
    let manifest = manifests.iter().find(|manifest| manifest["resourceMeta"]["kind"] == "ConfigMap")?;
    manifest["statusFeedback"]["values"][0]["fieldValue"]["string"].as_str().map(str::to_owned)
}

/// Whether the agent has asked the API server of dr1 to tell it of changes, by the audit log.
fn has_watched(world: &Real) -> bool {
    let log = std::fs::read_to_string(world.audit_log("dr1").unwrap()).unwrap();
    let user = Identity::service_account("open-cluster-management-agent", "klusterlet-work-sa").user;
    log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|event| {
        event["verb"] == "watch"
            && event["user"]["username"] == json!(user)
            && event["objectRef"]["resource"] == "configmaps"
            && event["objectRef"]["namespace"] == NAMESPACE
            && event["responseStatus"]["code"] == 200
    })
}

pub async fn a_work_arrives_and_its_feedback_is_watched(world: &Real) {
    let works = Api::<ManifestWork>::namespaced(admin(world, HUB).await, "dr1");
    let spoke = admin(world, "dr1").await;
    let maps = Api::<ConfigMap>::namespaced(spoke.clone(), NAMESPACE);
    works.create(&PostParams::default(), &work()).await.unwrap();
    let arrived = until("the object on dr1", async || maps.get_opt("settings").await.unwrap()).await;
    assert_eq!(arrived.data.unwrap()["sent"], "yes");
    // The agent watches once it has found the object; before that an answer would be found by reading, not by watching.
    until("the agent's watch", async || has_watched(world).then_some(())).await;

    let answer = Patch::Merge(json!({"metadata": {"annotations": {"answer": "from dr1"}}}));
    maps.patch("settings", &PatchParams::default(), &answer).await.unwrap();
    until("the feedback on the hub", async || {
        let fed_back = feedback(&works.get("settings").await.unwrap());
        (fed_back.as_deref() == Some("from dr1")).then_some(())
    })
    .await;

    works.delete("settings", &DeleteParams::default()).await.unwrap();
    let namespaces = Api::<Namespace>::all(spoke);
    until("the end of the work and all that it brought", async || {
        let left = works.get_opt("settings").await.unwrap().is_some();
        let left = left || namespaces.get_opt(NAMESPACE).await.unwrap().is_some();
        (!left).then_some(())
    })
    .await;
}

pub async fn an_agent_has_no_more_rights_than_a_klusterlet_gives(world: &Real) {
    let forbidden = |what: &str, error: kube::Error| {
        assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{what}: {error}");
    };
    let agent = Identity::user("system:open-cluster-management:dr1:agent").group("system:open-cluster-management:dr1");
    let hub = world.client(HUB, &agent, "test").await.unwrap();
    let own = Api::<ManifestWork>::namespaced(hub.clone(), "dr1");
    own.list(&ListParams::default()).await.unwrap();
    forbidden("making a work", own.create(&PostParams::default(), &work()).await.unwrap_err());
    let of_others = Api::<ManifestWork>::namespaced(hub, "dr2");
    forbidden("the works of dr2", of_others.list(&ListParams::default()).await.unwrap_err());

    let account = Identity::service_account("open-cluster-management-agent", "klusterlet-work-sa");
    let spoke = world.client("dr1", &account, "test").await.unwrap();
    Api::<Secret>::all(spoke.clone()).list(&ListParams::default()).await.unwrap();
    // Custom resources need a role of their own, labelled for aggregation.
    let kind = GroupVersionKind::gvk("cluster.open-cluster-management.io", "v1alpha1", "ClusterClaim");
    let claims = Api::<DynamicObject>::all_with(spoke, &ApiResource::from_gvk_with_plural(&kind, "clusterclaims"));
    forbidden("custom resources", claims.list(&ListParams::default()).await.unwrap_err());
}

pub async fn a_placement_is_decided(world: &Real) {
    let hub = admin(world, HUB).await;
    let apply = async |kind: GroupVersionKind, plural: &str, name: &str, spec: Value| {
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        let object = DynamicObject::new(name, &resource).within("default").data(json!({"spec": spec}));
        let api = Api::<DynamicObject>::namespaced_with(hub.clone(), "default", &resource);
        api.patch(name, &PatchParams::apply("test"), &Patch::Apply(&object)).await.unwrap();
    };
    let group = "cluster.open-cluster-management.io";
    let binding = GroupVersionKind::gvk(group, "v1beta2", "ManagedClusterSetBinding");
    apply(binding, "managedclustersetbindings", "default", json!({"clusterSet": "default"})).await;
    let placement = GroupVersionKind::gvk(group, "v1beta1", "Placement");
    let selector = json!({"labelSelector": {"matchLabels": {"name": "dr2"}}});
    let spec = json!({"numberOfClusters": 1, "predicates": [{"requiredClusterSelector": selector}]});
    apply(placement, "placements", "app", spec).await;

    let decisions = Api::<PlacementDecision>::namespaced(hub, "default");
    let labelled = ListParams::default().labels("cluster.open-cluster-management.io/placement=app");
    let chosen = until("the decision", async || {
        let all = decisions.list(&labelled).await.unwrap().items;
        let chosen: Vec<String> = all
            .iter()
            .filter_map(|decision| json!(decision)["status"]["decisions"].as_array().cloned())
            .flatten()
            .filter_map(|decision| decision["clusterName"].as_str().map(str::to_owned))
            .collect();
        (!chosen.is_empty()).then_some(chosen)
    })
    .await;
    assert_eq!(chosen, ["dr2"]);
}
