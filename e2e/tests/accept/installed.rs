//! An installation that is there already: its operators, configuration and policy are accepted as they are.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kaedama_e2e::accept::operators::account;
use kaedama_e2e::real::{HUB, Identity, Options};
use kaedama_e2e::suite::programs;
use kaedama_shared::api::conditions::drpolicy::VALIDATED;
use kaedama_shared::api::{DRCluster, DRClusterConfig, DRClusterSpec, DRPolicy, DRPolicySpec, condition};
use kaedama_shared::config::{RamenConfig, Role, SecretRef, config_map};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::RELOCATE;
use super::stranger::{Stranger, options};

const NAMESPACE: &str = "ramen-system";
const POLICY: &str = "gold";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installed_operators_are_accepted_as_they_are() {
    let Some(mut options) = options() else { return };
    // Without a kubelet a Deployment's pods would never be available; here its operator is a process.
    options.controllers.retain(|name| name != "deployment-controller");
    let options = Options { operators: Some(programs::operators().unwrap()), ..options };
    let stranger = Stranger::start(options, "installed").await;
    let installed = ("operators: start", "operators: installed\npolicy: gold");
    let text = std::fs::read_to_string(stranger.path("accept.yaml")).unwrap();
    std::fs::write(stranger.path("accept.yaml"), text.replace(installed.0, installed.1)).unwrap();

    let early = stranger.accept(&["check"]).await;
    assert_eq!(early.code, 2, "{early}");
    for words in ["ramen-hub-operator has no pod that is available", "there is no DRPolicy gold"] {
        assert!(early.stderr.contains(words), "{words}: {early}");
    }
    install(&stranger).await;
    let before = stranger.inventory().await;

    let run = stranger.accept(&["run", RELOCATE, "--yes", "--output", "json"]).await;
    assert_eq!(run.code, 0, "{run}");
    let report = run.report();
    assert_eq!((&report["verdict"], &report["scenarios"][0]["recordsLost"]), (&"accepted".into(), &0.into()), "{run}");
    stranger.assert_as(&before, &run).await;
    // They still run, and the policy is as it was.
    for cluster in stranger.real.names() {
        assert!(stranger.real.process(&cluster, kaedama_e2e::real::Part::Operator).unwrap().is_running().await);
    }
}

/// What an administrator does after `kubectl apply -k deploy/…`.
async fn install(stranger: &Stranger) {
    let real = &stranger.real;
    let (post, clusters) = (PostParams::default(), real.managed());
    let mut config = RamenConfig::defaults(Role::Hub);
    config.dr_cluster_operator.deployment_automation_enabled = false;
    config.vol_sync.disabled = true;
    for cluster in &clusters {
        let mut profile = real.s3(cluster).unwrap().profile(&format!("store-of-{cluster}"));
        profile.s3_secret_ref = SecretRef { name: format!("keys-of-{cluster}"), ..SecretRef::default() };
        config.s3_store_profiles.push(profile);
    }
    for cluster in real.names() {
        let client = real.client(&cluster, &Identity::admin(), "administrator").await.unwrap();
        for store in &clusters {
            let keys = &real.s3(store).unwrap().credentials;
            let secret: Secret = serde_json::from_value(json!({
                "metadata": { "name": format!("keys-of-{store}") },
                "stringData": {
                    "AWS_ACCESS_KEY_ID": keys.access_key_id, "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
                },
            }))
            .unwrap();
            Api::<Secret>::namespaced(client.clone(), NAMESPACE).create(&post, &secret).await.unwrap();
        }
        let (role, config) =
            if cluster == HUB { (Role::Hub, config.clone()) } else { (Role::Spoke, config.for_spokes()) };
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": role.config_map_name() },
            "data": { config_map::KEY: config.to_yaml().unwrap() },
        }))
        .unwrap();
        Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE).create(&post, &map).await.unwrap();
        real.start_operator(&cluster).await.unwrap();
        let available = json!({ "status": { "replicas": 1, "readyReplicas": 1, "availableReplicas": 1 } });
        let deployments = Api::<Deployment>::namespaced(client, NAMESPACE);
        let name = account(&cluster);
        deployments.patch_status(name, &PatchParams::default(), &Patch::Merge(available)).await.unwrap();
    }
    let hub = real.client(HUB, &Identity::admin(), "administrator").await.unwrap();
    for cluster in &clusters {
        let spec = DRClusterSpec {
            s3_profile_name: format!("store-of-{cluster}"),
            region: cluster.clone(),
            ..DRClusterSpec::default()
        };
        Api::all(hub.clone()).create(&post, &DRCluster::new(cluster, spec)).await.unwrap();
    }
    let spec = DRPolicySpec { dr_clusters: clusters, scheduling_interval: "1m".to_owned(), ..DRPolicySpec::default() };
    let policies = Api::<DRPolicy>::all(hub);
    policies.create(&post, &DRPolicy::new(POLICY, spec)).await.unwrap();
    settled(stranger, &policies).await;
}

/// Waits until the policy is valid, and what the hub sends has arrived.
async fn settled(stranger: &Stranger, policies: &Api<DRPolicy>) {
    for _ in 0..600 {
        let policy = policies.get(POLICY).await.unwrap();
        let mut done = condition::is_true(&policy.status.unwrap_or_default().conditions, VALIDATED);
        for cluster in stranger.real.managed() {
            let client = stranger.real.client(&cluster, &Identity::admin(), "administrator").await.unwrap();
            // A kind that is new is not served for a moment.
            let all = Api::<DRClusterConfig>::all(client).list(&ListParams::default()).await;
            done &= all.is_ok_and(|all| all.iter().any(|config| config.status.is_some()));
        }
        if done {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("the installation does not settle");
}
