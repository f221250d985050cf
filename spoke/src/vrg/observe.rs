//! All the reading of a pass: the snapshot from watched copies, and the few uncached reads that safety demands.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kaedama_shared::api::csiaddons::VolumeReplication;
use kaedama_shared::api::{VolumeReplicationGroup, VolumeReplicationGroupReport};
use kaedama_shared::clock::Clock;
use kaedama_shared::config::{LastRead, RamenConfig, Role as Operator};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kaedama_shared::seen::Seen;
use kube::api::ListParams;
use kube::core::ObjectList;
use kube::{Api, Client};

use super::evidence::{self, LetGo, NotInUse, NothingHeld, Proven};
use super::order::{Order, Role, Settings};
use super::owner::{self, Owner};
use super::plan::Needs;
use super::snapshot::{
    Classes, EpochClaim, ObjectId, Recovery, Replication, ReplicationClass, Snapshot, StoreRead, Volume,
};
use super::told::Told;
use crate::cluster::Caches;
use crate::stores::Stores;

/// What was asked of API server and stores in this pass.
#[derive(Debug, Default)]
pub struct Asked {
    /// Whether claims are in use. An answer holds for this pass only.
    pub unused: BTreeMap<ObjectKey, Proven<NotInUse>>,
    /// Whether the replication of claims is gone.
    pub let_go: BTreeMap<ObjectKey, Proven<LetGo>>,
    /// Whether no claim carries the group's marks.
    pub nothing_held: Proven<NothingHeld>,
    /// What the stores hold.
    pub recovery: Option<Vec<(String, StoreRead)>>,
    /// Whether the stores know this cluster as the writer.
    pub claim: Option<EpochClaim>,
    /// Which stores were cleared.
    pub purged: Option<Vec<(String, Result<(), String>)>>,
}

/// Reads for the passes over groups.
#[derive(Clone)]
pub struct Observer {
    /// The watched copies.
    pub caches: Caches,
    /// For uncached reads.
    pub client: Client,
    /// The stores.
    pub stores: Arc<Stores>,
    /// Where the time comes from.
    pub clock: Clock,
    /// The operator's namespace.
    pub namespace: String,
    /// The configuration, as it was read last.
    pub read: LastRead,
    /// What the hub was last told.
    pub told: Told,
}

impl Observer {
    /// The operator's configuration.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn config(&self) -> Result<Arc<RamenConfig>, String> {
        let key = ObjectKey::namespaced(self.namespace.clone(), Operator::Spoke.config_map_name());
        let map: Arc<ConfigMap> = match self.caches.config_maps.seen(&key) {
            Seen::Present(map) => map,
            Seen::Absent => return Err(format!("ConfigMap {key} does not exist")),
            Seen::Unknown(why) => return Err(why),
        };
        self.read.of(&map, Operator::Spoke).map_err(|error| error.to_string())
    }

    /// The snapshot of one group; none if there is no such group.
    #[must_use]
    pub fn snapshot(&self, key: &ObjectKey, asked: &Asked) -> Option<Snapshot> {
        let stored = self.caches.groups.get(key)?;
        let vrg = self.told.newest(stored, self.report(key).as_deref());
        let settings = self.config().map(|config| Settings {
            ops_namespace: config.ramen_ops_namespace.clone(),
            unprotection: config.volume_unprotection_enabled,
            kube_objects_disabled: config.kube_object_protection.disabled,
        });
        let order = match &settings {
            Ok(settings) => Order::of(&vrg, settings),
            Err(why) => Err(format!("the operator's configuration cannot be read: {why}")),
        };
        let volumes = self.volumes(&vrg, order.as_ref().ok(), asked);
        let stores = order.as_ref().map(|order| self.stores.views(key, order)).unwrap_or_default();
        Some(Snapshot {
            now: self.clock.now_seconds(),
            order,
            settings,
            volumes,
            classes: self.classes(),
            stores,
            recovery: asked.recovery.as_ref().map(|reads| self.recovery(reads, asked)),
            nothing_held: asked.nothing_held.clone(),
            purged: asked.purged.clone(),
            vrg,
        })
    }

    /// The object that a report on this group belongs in; none where nobody asks for one.
    #[must_use]
    pub fn report(&self, key: &ObjectKey) -> Option<Arc<VolumeReplicationGroupReport>> {
        self.caches.reports.get(&Told::place(key))
    }

    fn classes(&self) -> Classes {
        let storage = self.caches.storage_classes.list();
        let replication = self.caches.replication_classes.list();
        Classes {
            storage: storage
                .into_iter()
                .map(|class| (class.metadata.name.clone().unwrap_or_default(), class))
                .collect(),
            replication: replication
                .into_iter()
                .map(|class| ReplicationClass {
                    name: class.metadata.name.clone().unwrap_or_default(),
                    provisioner: class.spec.provisioner.clone(),
                    parameters: class.spec.parameters.clone(),
                    labels: class.metadata.labels.clone().unwrap_or_default(),
                    default: class
                        .metadata
                        .annotations
                        .as_ref()
                        .and_then(|all| all.get(names::IS_DEFAULT_CLASS))
                        .map(String::as_str)
                        == Some("true"),
                })
                .collect(),
        }
    }

    /// Claims that the order selects, or that carry the group's labels.
    fn volumes(&self, vrg: &VolumeReplicationGroup, order: Option<&Order>, asked: &Asked) -> Vec<Volume> {
        let group = ObjectKey::of(vrg);
        let selected = |claim: &PersistentVolumeClaim| {
            static NONE: BTreeMap<String, String> = BTreeMap::new();
            let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
            order.is_some_and(|order| order.selects(namespace, claim.metadata.labels.as_ref().unwrap_or(&NONE)))
        };
        let concerned =
            |claim: &PersistentVolumeClaim| selected(claim) || owner::of(&group, &claim.metadata) == Owner::Us;
        let namespaces = order.map(|order| order.namespaces.as_slice()).unwrap_or_default();
        let claims = self.caches.claims.among(namespaces, &owner::label_of(&group), concerned);
        // Who uses a claim matters only where it may be demoted.
        let demotes = order.is_none_or(|order| order.role == Role::Secondary);
        let users = |key: &ObjectKey, claim: &PersistentVolumeClaim, volume: Option<&str>| {
            if !demotes {
                return Vec::new();
            }
            let pods = self.caches.pods.within(key.namespace(), mounts_claims);
            let attachments = volume.map(|volume| self.caches.attachments.grouped(volume)).unwrap_or_default();
            evidence::users(claim, pods.iter().map(|pod| &**pod), attachments.iter().map(|found| &**found))
        };
        claims
            .into_iter()
            .map(|claim| {
                let key = ObjectKey::of(&*claim);
                let pv = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).filter(|name| !name.is_empty());
                Volume {
                    users: users(&key, &claim, pv.as_deref()),
                    pv: pv.and_then(|name| self.caches.volumes.get(&ObjectKey::cluster(name))),
                    replication: self.caches.replications.get(&key).map(|found| replication(&group, &found)),
                    selected: selected(&claim),
                    owner: owner::of(&group, &claim.metadata),
                    unused: asked.unused.get(&key).cloned().unwrap_or_default(),
                    let_go: asked.let_go.get(&key).cloned().unwrap_or_default(),
                    claim,
                }
            })
            .collect()
    }

    fn recovery(&self, reads: &[(String, StoreRead)], asked: &Asked) -> Recovery {
        let mut live_volumes = BTreeMap::new();
        let mut live_claims = BTreeMap::new();
        for (_, read) in reads {
            let StoreRead::Set(set) = read else { continue };
            for volume in &set.volumes {
                let name = volume.metadata.name.clone().unwrap_or_default();
                if let Some(live) = self.caches.volumes.get(&ObjectKey::cluster(name.clone())) {
                    live_volumes.insert(name, live);
                }
            }
            let of_volumes = set.volumes.iter().filter_map(super::decide::restore::claim_of);
            for key in set.claims.iter().map(ObjectKey::of).chain(of_volumes) {
                if let Some(live) = self.caches.claims.get(&key) {
                    live_claims.insert(key, live);
                }
            }
        }
        let claim = asked.claim.clone().unwrap_or(EpochClaim::Open);
        Recovery { stores: reads.to_vec(), live_volumes, live_claims, claim }
    }

    /// Makes the reads that a plan needs.
    pub async fn read(&self, snapshot: &Snapshot, needs: &Needs, asked: &mut Asked) {
        let of = |key: &ObjectKey| snapshot.volumes.iter().find(|volume| volume.key() == *key);
        let (in_use, gone, held, stored) = futures::join!(
            self.in_use(needs.unused.iter().filter_map(of).map(|volume| volume.claim.clone()).collect()),
            join_all(needs.let_go.iter().map(|key| self.replication_gone(key))),
            async {
                match needs.nothing_held {
                    true => self.nothing_held(&snapshot.key()).await,
                    false => Proven::NotAsked,
                }
            },
            async {
                match (&snapshot.order, needs.recovery) {
                    (Ok(order), true) => Some(self.stores.read(&snapshot.key(), order).await),
                    _ => None,
                }
            }
        );
        asked.unused.extend(in_use);
        asked.let_go.extend(needs.let_go.iter().cloned().zip(gone));
        if needs.nothing_held {
            asked.nothing_held = held;
        }
        if stored.is_some() {
            asked.recovery = stored;
        }
    }

    /// Asks the API server who uses these claims: one list per namespace, one of attachments.
    async fn in_use(&self, claims: Vec<Arc<PersistentVolumeClaim>>) -> Vec<(ObjectKey, Proven<NotInUse>)> {
        if claims.is_empty() {
            return Vec::new();
        }
        let mut namespaces: Vec<String> = claims.iter().filter_map(|claim| claim.metadata.namespace.clone()).collect();
        namespaces.sort();
        namespaces.dedup();
        let attachments =
            async { listed(Api::<VolumeAttachment>::all(self.client.clone()).list(&ListParams::default()).await) };
        let pods = join_all(namespaces.iter().map(|namespace| async move {
            listed(Api::<Pod>::namespaced(self.client.clone(), namespace).list(&ListParams::default()).await)
        }));
        let (attachments, pods) = futures::join!(attachments, pods);
        let pods: BTreeMap<String, Seen<Vec<Pod>>> = namespaces.into_iter().zip(pods).collect();
        claims
            .iter()
            .map(|claim| {
                let key = ObjectKey::of(&**claim);
                let unread = Seen::Unknown("the claim has no namespace".to_owned());
                let pods = pods.get(key.namespace()).unwrap_or(&unread);
                let proof = evidence::not_in_use(claim, pods, &attachments);
                (key, proof)
            })
            .collect()
    }

    /// Asks the API server whether the replication of a claim is gone.
    async fn replication_gone(&self, key: &ObjectKey) -> Proven<LetGo> {
        let api = Api::<VolumeReplication>::namespaced(self.client.clone(), key.namespace());
        let answer = Seen::from_api(api.get_metadata_opt(&key.name).await);
        evidence::replication_gone(key.clone(), &answer)
    }

    /// Asks the API server whether no claim carries the group's marks any more: a claim that was made a moment ago may not
    /// be in the copy yet, and nobody would take the marks off when the group is gone.
    async fn nothing_held(&self, group: &ObjectKey) -> Proven<NothingHeld> {
        let labels: Vec<String> = owner::labels(group).iter().map(|(key, value)| format!("{key}={value}")).collect();
        let api = Api::<PersistentVolumeClaim>::all(self.client.clone());
        let answer = api.list_metadata(&ListParams::default().labels(&labels.join(","))).await;
        evidence::nothing_held(group, &listed(answer))
    }
}

fn mounts_claims(pod: &Pod) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.into_iter().any(|volume| volume.persistent_volume_claim.is_some())
}

/// A list as an observation; a kind that is not served has no objects.
fn listed<K: Clone>(answer: Result<ObjectList<K>, kube::Error>) -> Seen<Vec<K>> {
    match answer {
        Ok(list) => Seen::Present(list.items),
        Err(kube::Error::Api(status)) if status.code == 404 => Seen::Absent,
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// A VolumeReplication as the decision sees it.
fn replication(group: &ObjectKey, found: &VolumeReplication) -> Replication {
    let status = found.status.clone().unwrap_or_default();
    Replication {
        id: ObjectId::of(found),
        generation: found.metadata.generation.unwrap_or_default(),
        deleting: found.metadata.deletion_timestamp.is_some(),
        ours: owner::of(group, &found.metadata) == Owner::Us,
        wanted: found.spec.replication_state.as_str().to_owned(),
        auto_resync: found.spec.auto_resync,
        force_consent: super::snapshot::annotation(&found.metadata, super::decide::replication::ALLOW_FORCE)
            .unwrap_or_default()
            .to_owned(),
        observed_generation: status.observed_generation,
        state: status.state.as_str().to_owned(),
        message: status.message,
        conditions: status.conditions,
        last_sync_time: status.last_sync_time,
        last_sync_duration: status.last_sync_duration,
        last_sync_bytes: status.last_sync_bytes,
        destination_id: status.destination_volume_id,
    }
}
