//! The clusters themselves.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kaedama_e2e::real::{HUB, Identity, Real};
use kaedama_shared::api::condition::find;
use kaedama_shared::api::ocm::ManagedCluster;
use kaedama_shared::api::ocm::cluster::CLUSTER_AVAILABLE;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};

use crate::until;

/// A client that may do everything.
pub async fn admin(world: &Real, cluster: &str) -> Client {
    world.client(cluster, &Identity::admin(), "test").await.unwrap()
}

pub fn config_map(name: &str, key: &str, value: &str) -> ConfigMap {
    let mut map = ConfigMap { data: Some([(key.to_owned(), value.to_owned())].into()), ..ConfigMap::default() };
    map.metadata.name = Some(name.to_owned());
    map
}

pub async fn every_cluster_takes_objects_and_collects_garbage(world: &Real) {
    for cluster in world.names() {
        let client = admin(world, &cluster).await;
        let maps = Api::<ConfigMap>::namespaced(client, "default");
        let owner = maps.create(&PostParams::default(), &config_map("owner", "a", "b")).await.unwrap();
        let mut owned = config_map("owned", "a", "b");
        owned.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            name: "owner".into(),
            uid: owner.metadata.uid.unwrap(),
            ..OwnerReference::default()
        }]);
        maps.create(&PostParams::default(), &owned).await.unwrap();
        maps.delete("owner", &DeleteParams::background()).await.unwrap();
        until("the end of what the deleted object owned", async || {
            maps.get_opt("owned").await.unwrap().is_none().then_some(())
        })
        .await;
    }
}

pub async fn certificates_name_their_users(world: &Real) {
    let operator = Identity::spoke_operator();
    let client = world.client("dr1", &operator, "test").await.unwrap();
    let reviews = Api::<SelfSubjectReview>::all(client);
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    let user = review.status.unwrap().user_info.unwrap();
    assert_eq!(user.username.as_deref(), Some("system:serviceaccount:ramen-system:ramen-dr-cluster-operator"));
    let groups = user.groups.unwrap();
    for group in ["system:serviceaccounts", "system:serviceaccounts:ramen-system", "system:authenticated"] {
        assert!(groups.iter().any(|of| of == group), "{group} is not among {groups:?}");
    }
}

pub async fn strangers_are_denied(world: &Real) {
    for cluster in world.names() {
        let client = world.client(&cluster, &Identity::user("stranger"), "test").await.unwrap();
        let refused = Api::<ConfigMap>::namespaced(client, "default").list(&ListParams::default()).await.unwrap_err();
        assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{cluster}: {refused}");
    }
    // Each cluster has an authority of its own: an admin of one is nobody on another.
    let mut config = world.config("dr1", &Identity::admin()).await.unwrap();
    config.cluster_url = world.url("dr2").unwrap().parse().unwrap();
    config.root_cert = world.config("dr2", &Identity::admin()).await.unwrap().root_cert;
    let client = Client::try_from(config).unwrap();
    let refused = Api::<Namespace>::all(client).list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 401), "{refused}");
}

pub async fn a_lost_cluster_is_called_unknown_and_comes_back_as_it_was(world: &Real) {
    let maps = Api::<ConfigMap>::namespaced(admin(world, "dr2").await, "default");
    maps.create(&PostParams::default(), &config_map("survivor", "a", "b")).await.unwrap();
    let clusters = Api::<ManagedCluster>::all(admin(world, HUB).await);
    let available = async |wanted: &str| {
        let cluster = clusters.get("dr2").await.unwrap();
        let status = find(cluster.conditions(), CLUSTER_AVAILABLE).map(|condition| condition.status.to_string());
        (status.as_deref() == Some(wanted)).then_some(())
    };

    world.kill_cluster("dr2").await.unwrap();
    assert!(maps.get_opt("survivor").await.is_err(), "a dead API server answered");
    until("the word of the hub that dr2 is lost", async || available("Unknown").await).await;

    world.revive_cluster("dr2").await.unwrap_or_else(|error| panic!("{error}"));
    assert!(maps.get_opt("survivor").await.unwrap().is_some(), "what was stored is lost");
    until("the word of the hub that dr2 is back", async || available("True").await).await;
}
