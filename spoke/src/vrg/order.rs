//! What a VolumeReplicationGroup orders, read once: the spec and the hub's annotations as one valid value.

use kaedama_shared::api::{DRAction, PeerClass, ReplicationState, VolumeReplicationGroup};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use kaedama_shared::record::{ActionKind, ActionRecord, MalformedRecord};
use kube::core::{Expression, Selector};

use super::snapshot::Snapshot;

/// The role that this cluster is told to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The application may run here.
    Primary,
    /// The cluster only receives.
    Secondary,
}

/// The action under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// None: first placement, or the steady state after it.
    Steady,
    /// The other side is lost or given up.
    Failover,
    /// Planned move: nothing may be lost.
    Relocate,
    /// A planned move away from here was called off after the application had been stopped. Nothing was promoted
    /// anywhere else, so what is here is all that counts.
    Return,
    /// The same, and the peer is lost or given up.
    Reclaim,
}

/// How the two sides hold their data.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Two storages, one sends to the other on a schedule.
    Async {
        /// `schedulingInterval`, compared as text.
        interval: String,
        /// Storage classes that are paired; empty means that the classes are matched by provisioner only.
        peers: Vec<PeerClass>,
        /// Which VolumeReplicationClasses may be used.
        classes: Selector,
    },
    /// One storage, shared by both sides.
    Sync {
        /// Storage classes that are shared.
        peers: Vec<PeerClass>,
    },
}

impl Intent {
    /// The intent of a group, also of one whose order is not valid: in doubt the one that lets go of the least.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        match &snapshot.order {
            Ok(order) => order.intent,
            Err(_) => Self::read(&snapshot.vrg).unwrap_or(Self::Return),
        }
    }

    /// What the action of a group, and its record, ask of this cluster.
    ///
    /// # Errors
    /// As [`Order::of`].
    fn read(vrg: &VolumeReplicationGroup) -> Result<Self, String> {
        let Some(action) = &vrg.spec.action else { return Ok(Self::Steady) };
        let record = recorded(vrg).map_err(|error| error.to_string())?;
        let leads_here = |record: &ActionRecord| destination(vrg) == Some(record.to.as_str());
        let returns = record.is_some_and(|record| record.is_way_back() && leads_here(&record));
        match action {
            DRAction::Failover if returns => Ok(Self::Reclaim),
            DRAction::Failover => Ok(Self::Failover),
            DRAction::Relocate if returns => Ok(Self::Return),
            DRAction::Relocate => Ok(Self::Relocate),
            DRAction::Other(other) => Err(format!("spec.action is {other:?}, neither Failover nor Relocate")),
        }
    }

    /// Back to where the application was stopped, and never left.
    #[must_use]
    pub fn is_way_back(self) -> bool {
        matches!(self, Self::Return | Self::Reclaim)
    }
}

/// Parts of the operator's configuration that a decision needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Namespace of discovered applications.
    pub ops_namespace: String,
    /// Claims that are no longer selected may be released.
    pub unprotection: bool,
    /// Capture of Kubernetes objects is switched off.
    pub kube_objects_disabled: bool,
}

/// A valid order.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The role to take.
    pub role: Role,
    /// The action under way.
    pub intent: Intent,
    /// The hub says that this is the first placement, or says nothing and no action is set.
    pub deploys: bool,
    /// Shared or replicated storage.
    pub mode: Mode,
    /// Which claims are protected.
    pub selector: Selector,
    /// Where those claims are looked for.
    pub namespaces: Vec<String>,
    /// Names of the stores, each once, in the order of the spec, without `NoS3`.
    pub profiles: Vec<String>,
    /// Only `NoS3` is listed: there is no store on purpose.
    pub without_store: bool,
    /// A relocation is being prepared or runs its final synchronisation.
    pub final_sync: FinalSync,
    /// A test: the stores must keep describing the real primary.
    pub dry_run: bool,
    /// A test failover is going on or is being cleaned up.
    pub test_failover: bool,
    /// Every claim is to be protected by VolSync.
    pub force_volsync: bool,
    /// Capture of Kubernetes objects is asked for.
    pub kube_objects: bool,
    /// Who this cluster is to the stores.
    pub writer: Writer,
}

/// Who writes to the stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// The action by which this cluster is, or was, the primary: older ones are refused. 0 for a hub that keeps no
    /// action records; then nobody can be told apart, and the cluster is left empty as well.
    pub epoch: u64,
    /// This cluster.
    pub cluster: String,
    /// Identity of the action.
    pub action: String,
    /// The present action makes this cluster the primary: the stores are told.
    pub takes_over: bool,
}

impl Writer {
    /// Who the group's cluster is to the stores, as far as that is recorded: also where the order is not valid.
    ///
    /// # Errors
    /// The record cannot be read. Nobody may be taken for the writer then.
    pub fn recorded(vrg: &VolumeReplicationGroup) -> Result<Self, MalformedRecord> {
        Ok(Self::of(recorded(vrg)?.as_ref(), destination(vrg).unwrap_or_default()))
    }

    /// From the action record. An action that leads away from this cluster does not make it the writer of that action's
    /// epoch: the source of a relocation goes on writing under the one before.
    fn of(record: Option<&ActionRecord>, own_cluster: &str) -> Self {
        let Some(record) = record else { return Self::default() };
        if own_cluster.is_empty() || record.to == own_cluster {
            let (cluster, action) = (record.to.clone(), record.id.clone());
            return Self { epoch: record.epoch, cluster, action, takes_over: true };
        }
        let before = record.epoch.saturating_sub(1);
        let action = record.id.strip_suffix(&record.epoch.to_string()).map(|stem| format!("{stem}{before}"));
        Self { epoch: before, cluster: own_cluster.to_owned(), action: action.unwrap_or_default(), takes_over: false }
    }
}

/// The two steps before a relocation's hand-over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinalSync {
    /// `spec.prepareForFinalSync`.
    pub prepare: bool,
    /// `spec.runFinalSync`.
    pub run: bool,
}

impl FinalSync {
    /// One of the steps is under way: a claim that is being deleted now is part of the relocation.
    #[must_use]
    pub fn any(self) -> bool {
        self.prepare || self.run
    }
}

impl Order {
    /// Reads the order.
    ///
    /// # Errors
    /// What is wrong with the object, for a person. Trying again helps only after an edit.
    pub fn of(vrg: &VolumeReplicationGroup, settings: &Settings) -> Result<Self, String> {
        let spec = &vrg.spec;
        let annotation = |key: &str| vrg.metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
        let role = match &spec.replication_state {
            ReplicationState::Primary => Role::Primary,
            ReplicationState::Secondary => Role::Secondary,
            other => {
                return Err(format!("spec.replicationState is {:?}, neither primary nor secondary", other.as_str()));
            }
        };
        let mode = match (&spec.async_, &spec.sync) {
            (Some(_), Some(_)) => return Err("both spec.async and spec.sync are set; one VRG is either".to_owned()),
            (None, None) => return Err("neither spec.async nor spec.sync is set".to_owned()),
            (Some(asynchronous), None) => Mode::Async {
                interval: asynchronous.scheduling_interval.clone(),
                peers: asynchronous.peer_classes.clone(),
                classes: asynchronous
                    .replication_class_selector
                    .clone()
                    .try_into()
                    .map_err(|error| format!("spec.async.replicationClassSelector: {error}"))?,
            },
            (None, Some(synchronous)) => Mode::Sync { peers: synchronous.peer_classes.clone() },
        };
        let record = recorded(vrg).map_err(|error| error.to_string())?;
        let intent = Intent::read(vrg)?;
        let deploys =
            intent == Intent::Steady && record.as_ref().is_none_or(|record| record.kind == ActionKind::Deploy);
        let recipe = spec.kube_object_protection.as_ref().and_then(|wanted| wanted.recipe_ref.as_ref());
        if recipe.is_some_and(|recipe| !recipe.name.is_empty()) {
            return Err(
                "spec.kubeObjectProtection.recipeRef: recipes are not built yet, so the claims that the recipe \
                        selects are not known"
                    .to_owned(),
            );
        }
        let profiles = distinct(&spec.s3_profiles);
        let stores: Vec<String> = profiles.iter().filter(|name| *name != names::NO_S3).cloned().collect();
        Ok(Self {
            role,
            intent,
            deploys,
            mode,
            selector: selector(vrg)?,
            namespaces: namespaces(vrg, settings)?,
            without_store: stores.is_empty() && !profiles.is_empty(),
            profiles: stores,
            final_sync: FinalSync { prepare: spec.prepare_for_final_sync, run: spec.run_final_sync },
            dry_run: spec.dry_run,
            test_failover: annotation(names::TEST_FAILOVER_DRY_RUN) == Some("true"),
            force_volsync: annotation(names::USE_VOLSYNC) == Some("true"),
            kube_objects: spec.kube_object_protection.is_some() && !settings.kube_objects_disabled,
            writer: Writer::of(record.as_ref(), destination(vrg).unwrap_or_default()),
        })
    }

    /// Whether a claim with these labels in this namespace is one that the order protects.
    #[must_use]
    pub fn selects(&self, namespace: &str, labels: &std::collections::BTreeMap<String, String>) -> bool {
        use kube::core::SelectorExt as _;
        self.namespaces.iter().any(|wanted| wanted == namespace) && self.selector.matches(labels)
    }
}

/// The record of the action that the group was written for.
fn recorded(vrg: &VolumeReplicationGroup) -> Result<Option<ActionRecord>, MalformedRecord> {
    vrg.metadata.annotations.as_ref().map_or(Ok(None), ActionRecord::from_annotations)
}

/// The cluster that the hub delivers the group to: this one.
fn destination(vrg: &VolumeReplicationGroup) -> Option<&str> {
    vrg.metadata.annotations.as_ref()?.get(names::DESTINATION_CLUSTER).map(String::as_str)
}

/// The claims' selector. Objects that VolSync or we made for a while are never protected themselves (an endless
/// regress), unless VolSync is out of the game altogether.
fn selector(vrg: &VolumeReplicationGroup) -> Result<Selector, String> {
    let mut selector: Selector =
        vrg.spec.pvc_selector.clone().try_into().map_err(|error| format!("spec.pvcSelector: {error}"))?;
    if !vrg.spec.vol_sync.disabled {
        selector.extend([
            Expression::NotEqual("app.kubernetes.io/created-by".to_owned(), "volsync".to_owned()),
            Expression::NotEqual(names::CREATED_BY.to_owned(), "true".to_owned()),
        ]);
    }
    Ok(selector)
}

fn namespaces(vrg: &VolumeReplicationGroup, settings: &Settings) -> Result<Vec<String>, String> {
    let own = ObjectKey::of(vrg).namespace().to_owned();
    let wanted = distinct(&vrg.spec.protected_namespaces);
    if wanted.is_empty() {
        return Ok(vec![own]);
    }
    if own != settings.ops_namespace {
        return Err(format!(
            "spec.protectedNamespaces is allowed only in namespace {}, where discovered applications live",
            settings.ops_namespace
        ));
    }
    Ok(wanted)
}

fn distinct(names: &[String]) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    names.iter().filter(|name| !name.is_empty() && seen.insert((*name).clone())).cloned().collect()
}
