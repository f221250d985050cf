//! What may be wrong with an application's claims, of which the others must not suffer.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kaedama_e2e::bytes::last_syncs;
use kaedama_e2e::objects::{Site, message, site, until_site};
use kaedama_e2e::start::{app, deployed, dr1, dr2, drpc, pass, regional};
use kaedama_sandbox::world::app::App;
use kaedama_sandbox::world::{DRIVER, World};
use kaedama_shared::api::conditions::drpc::PROTECTED;
use kaedama_shared::api::conditions::pvc::DATA_READY;
use kaedama_shared::api::{Condition, DRAction, DRState, condition};
use kaedama_shared::names;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{create, merge};

fn claim(app: &App, name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": app.namespace, "labels": { "app": app.name } },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class,
            "resources": { "requests": { "storage": "1Gi" } },
        },
    })
}

/// The DataReady of one claim, as the group lists it.
fn data_ready(site: &Site, name: &str) -> Option<Condition> {
    let status = site.vrg.as_ref()?.status.as_ref()?;
    let entry = status.protected_pvcs.iter().find(|pvc| pvc.name == name)?;
    condition::find(&entry.conditions, DATA_READY).cloned()
}

/// The application's own claims are ready, and the storage goes on sending them.
async fn others_go_on(world: &World, app: &App) -> anyhow::Result<()> {
    let before = last_syncs(world, app)?;
    pass(130).await;
    let home = site(world, dr1(), app).await?;
    for name in app.claim_names() {
        let ready = data_ready(&home, &name);
        assert!(ready.as_ref().is_some_and(Condition::is_true), "{name}: {ready:?}");
    }
    for (name, after) in last_syncs(world, app)? {
        assert!(after.at > before[&name].at, "{name} is no longer sent: {after:?}");
    }
    assert!(world.audit(app).is_some_and(|audit| audit.is_clean()));
    Ok(())
}

pub async fn a_claim_without_a_replication_class_says_so_and_the_others_stay_protected() -> anyhow::Result<()> {
    let world = regional().await?;
    let class = |labels: Value| {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": { "name": "slow", "labels": labels }, "provisioner": DRIVER,
        })
    };
    for cluster in [dr1(), dr2()] {
        let labels = json!({ names::STORAGE_ID: format!("storage-{cluster}") });
        create(world.cluster(cluster)?, &class(labels)).await?;
    }
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    create(world.cluster(dr1())?, &claim(&app, "extra", "slow")).await?;
    let words = "waiting for a VolumeReplicationClass that fits StorageClass slow";
    until_site(&world, dr1(), &app, words, |home| {
        data_ready(home, "extra").is_some_and(|ready| ready.is_false() && ready.message.contains(words))
    })
    .await?;
    world
        .until_drpc(&app, "Protected names the claim", |seen| {
            let said = message(seen, PROTECTED);
            said.contains(&format!("claim {}/extra", app.namespace)) && said.contains(words)
        })
        .await?;
    others_go_on(&world, &app).await?;
    for cluster in [dr1(), dr2()] {
        merge(world.cluster(cluster)?, &class(json!({ names::REPLICATION_ID: "replication-sandbox" }))).await?;
    }
    world.protected(&app).await?;
    let home = site(&world, dr1(), &app).await?;
    assert_eq!(home.replications.len(), 3);
    // Its application gone, the class can go.
    world.unprotect(&app).await?;
    world.until_gone(world.drpcs(&app.namespace), &app.name).await?;
    for cluster in [dr1(), dr2()] {
        Api::<StorageClass>::all(world.cluster(cluster)?).delete("slow", &DeleteParams::default()).await?;
    }
    Ok(())
}

pub async fn a_claim_of_an_unknown_class_says_so_and_the_others_stay_protected() -> anyhow::Result<()> {
    let world = regional().await?;
    let app = deployed(&world, app("web", dr1()).claims(2)).await?;
    create(world.cluster(dr1())?, &claim(&app, "extra", "kaedama-golden")).await?;
    until_site(&world, dr1(), &app, "the unknown class is named", |home| {
        data_ready(home, "extra")
            .is_some_and(|ready| ready.is_false() && ready.message.contains("StorageClass kaedama-golden"))
    })
    .await?;
    others_go_on(&world, &app).await?;
    let said = message(&drpc(&world, &app).await?, PROTECTED);
    assert!(said.contains(&format!("claim {}/extra", app.namespace)) && said.contains("kaedama-golden"), "{said}");
    // The mistake is taken back.
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(world.cluster(dr1())?, &app.namespace);
    claims.delete("extra", &DeleteParams::default()).await?;
    world.protected(&app).await?;
    until_site(&world, dr1(), &app, "the claim is gone", |home| home.claims.len() == 2).await?;
    world.order(&app, DRAction::Failover, dr2()).await?;
    world.completed(&app, DRState::FailedOver).await?;
    Ok(())
}
