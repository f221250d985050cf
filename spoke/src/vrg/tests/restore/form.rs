//! What a restored object looks like.

use super::*;
use crate::vrg::plan::Action;
use crate::vrg::snapshot::StoreRead;

#[test]
fn what_is_restored_is_marked_and_waits_for_its_claim() {
    let plan = decide(&with(Some("Failover"), recovery(vec![("s1", read(set(&["a"])))])));
    let steps = &of(&plan, "a").unwrap().actions;
    let (Action::CreateVolume(volume), Action::CreateClaim(claim)) = (&steps[0], &steps[1]) else {
        panic!("{steps:?}")
    };
    let reference = volume.spec.as_ref().unwrap().claim_ref.as_ref().unwrap();
    assert_eq!((reference.uid.as_ref(), reference.name.as_deref()), (None, Some("a")));
    for meta in [&volume.metadata, &claim.metadata] {
        assert_eq!(meta.annotations.as_ref().unwrap()[names::RESTORED], "True");
        assert!(meta.uid.is_none() && meta.resource_version.is_none());
    }
    assert_eq!(claim.metadata.finalizers.as_deref(), Some(&[names::PVC_VR_FINALIZER.to_owned()][..]));
    assert_eq!(claim.spec.as_ref().unwrap().volume_name.as_deref(), Some("pv-a"));
}

#[test]
fn the_handle_and_secrets_are_those_of_this_cluster() {
    let mut stored = set(&["a"]);
    stored.volumes[0]
        .metadata
        .annotations
        .get_or_insert_default()
        .insert(names::DESTINATION_VOLUME_HANDLE.into(), "h-here".into());
    let mut snapshot = with(Some("Failover"), recovery(vec![("s1", read(stored))]));
    let class = Arc::make_mut(snapshot.classes.storage.get_mut("rbd").unwrap());
    class.parameters = Some(from(json!({
        "clusterID": "ceph-2",
        "csi.storage.k8s.io/controller-publish-secret-name": "pub", "csi.storage.k8s.io/controller-publish-secret-namespace": "rook",
    })));
    let plan = decide(&snapshot);
    let Action::CreateVolume(volume) = &of(&plan, "a").unwrap().actions[0] else { panic!() };
    let csi = volume.spec.as_ref().unwrap().csi.as_ref().unwrap();
    assert_eq!(csi.volume_handle, "h-here");
    assert_eq!(csi.volume_attributes.as_ref().unwrap()["clusterID"], "ceph-2");
    assert_eq!(csi.controller_publish_secret_ref.as_ref().unwrap().name.as_deref(), Some("pub"));
    assert!(csi.controller_expand_secret_ref.is_none(), "not where the publish secret belongs");
    assert!(!volume.metadata.annotations.as_ref().unwrap().contains_key(names::DESTINATION_VOLUME_HANDLE));
}

#[test]
fn a_restored_volume_has_the_digest_of_its_stored_copy() {
    let volume = volume("a", protected());
    let stored = crate::vrg::recovery::store_claim(&volume.claim);
    let back = crate::vrg::recovery::fit_claim(&from(stored.object.clone()), &key("web"));
    let bound = json!({"metadata": {"uid": "new", "resourceVersion": "77", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
    let mut live = serde_json::to_value(&back).unwrap();
    merge(&mut live, bound);
    assert_eq!(crate::vrg::recovery::store_claim(&from(live)).digest, stored.digest);
    let stored = crate::vrg::recovery::store_volume(volume.pv.as_ref().unwrap());
    let class = classes().storage["rbd"].clone();
    let mut fitted = crate::vrg::recovery::fit_volume(&from(stored.object.clone()), &class, true).unwrap();
    fitted.metadata.annotations.as_mut().unwrap().remove("pv.kubernetes.io/provisioned-by");
    fitted.status = from(json!({"phase": "Bound"}));
    fitted.metadata.uid = Some("new".into());
    assert_eq!(crate::vrg::recovery::store_volume(&fitted).digest, stored.digest);
}

#[test]
fn what_every_store_holds_is_noted_as_stored_and_what_one_lacks_is_not() {
    let volume = volume("a", protected());
    let mut pv = (**volume.pv.as_ref().unwrap()).clone();
    let provisioner = classes().storage["rbd"].provisioner.clone();
    pv.metadata.annotations.get_or_insert_default().insert("pv.kubernetes.io/provisioned-by".into(), provisioner);
    let stored = |number: i64| {
        let volumes = vec![from(crate::vrg::recovery::store_volume(&pv).object)];
        let claims = vec![from(crate::vrg::recovery::store_claim(&volume.claim).object)];
        read(StoredSet { capture: Some((2, number)), volumes, claims, ..set(&[]) })
    };
    let table = [
        (vec![("s1", stored(1)), ("s2", stored(1))], true),
        (vec![("s1", stored(2)), ("s2", stored(1))], false),
        (vec![("s1", stored(1)), ("s2", unreadable())], false),
        (vec![("s1", stored(1)), ("s2", StoreRead::Empty)], false),
    ];
    for (stores, noted) in table {
        let case = format!("{stores:?}");
        let plan = decide(&with(Some("Failover"), recovery(stores)));
        let [Action::CreateVolume(volume), Action::CreateClaim(claim)] = &of(&plan, "a").unwrap().actions[..] else {
            panic!("{plan:?}")
        };
        for meta in [&volume.metadata, &claim.metadata] {
            assert_eq!(meta.annotations.as_ref().unwrap().contains_key(names::VR_ARCHIVED), noted, "{case}");
        }
    }
}
