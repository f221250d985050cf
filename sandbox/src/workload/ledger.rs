//! [`Ledger`]: what was acknowledged to whom, outside of the world.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Audit, Books, Record, compare};
use crate::storage::{StorageFabric, VolumeHandle};

/// An application: the namespace and name of its Deployment, on whatever cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppId {
    namespace: String,
    name: String,
}

impl AppId {
    /// The application of this Deployment.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A record that the storage acknowledged on all of the application's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The record.
    pub record: Record,
    /// The cluster on which it was written.
    pub cluster: String,
}

/// Where an application's volumes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The cluster.
    pub cluster: String,
    /// Name of the CSI driver there.
    pub driver: String,
    /// The volumes, by claim.
    pub volumes: BTreeMap<String, VolumeHandle>,
}

#[derive(Debug, Default)]
struct Entry {
    acknowledged: Vec<Acknowledged>,
    starts: u64,
    last: Location,
}

/// What was acknowledged to every application, shared by everything in a world and changed by nothing that happens in
/// it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    fabric: StorageFabric,
    apps: Arc<Mutex<BTreeMap<AppId, Entry>>>,
}

impl Ledger {
    /// An empty ledger, which reads volumes from this fabric.
    #[must_use]
    pub fn new(fabric: StorageFabric) -> Self {
        Self { fabric, apps: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppId, Entry>> {
        // Entries are whole between calls.
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an application starts somewhere. Returns the name under which this start writes.
    pub(super) fn start(&self, app: &AppId, location: &Location) -> String {
        let mut apps = self.lock();
        let entry = apps.entry(app.clone()).or_default();
        entry.starts += 1;
        entry.last = location.clone();
        format!("{}#{}", location.cluster, entry.starts)
    }

    /// Notes that a record was acknowledged.
    pub(super) fn acknowledge(&self, app: &AppId, cluster: &str, record: Record) {
        let mut apps = self.lock();
        apps.entry(app.clone()).or_default().acknowledged.push(Acknowledged { record, cluster: cluster.to_owned() });
    }

    /// The applications that ever started.
    #[must_use]
    pub fn apps(&self) -> Vec<AppId> {
        self.lock().keys().cloned().collect()
    }

    /// Where an application started last.
    #[must_use]
    pub fn location(&self, app: &AppId) -> Option<Location> {
        self.lock().get(app).map(|entry| entry.last.clone())
    }

    /// How many records were ever acknowledged to an application.
    #[must_use]
    pub fn acknowledged(&self, app: &AppId) -> u64 {
        self.lock().get(app).map_or(0, |entry| entry.acknowledged.len() as u64)
    }

    /// What was acknowledged to an application, from the `from`th record on, in order.
    #[must_use]
    pub fn records_from(&self, app: &AppId, from: usize) -> Vec<Acknowledged> {
        self.lock().get(app).and_then(|entry| entry.acknowledged.get(from..)).map(<[_]>::to_vec).unwrap_or_default()
    }

    /// What the volumes where the application started last hold of what was acknowledged. `None`: it never started.
    #[must_use]
    pub fn audit(&self, app: &AppId) -> Option<Audit> {
        let location = self.location(app)?;
        self.audit_at(app, &location)
    }

    /// As [`Ledger::audit`], with the copies of the volumes that another cluster has.
    #[must_use]
    pub fn audit_on(&self, app: &AppId, cluster: &str) -> Option<Audit> {
        let location = Location { cluster: cluster.to_owned(), ..self.location(app)? };
        self.audit_at(app, &location)
    }

    fn audit_at(&self, app: &AppId, location: &Location) -> Option<Audit> {
        // What was acknowledged comes first: a record that is written meanwhile is then extra, and never looks lost.
        let acknowledged = self.lock().get(app).map(|entry| entry.acknowledged.clone())?;
        let array = self.fabric.attached(&location.cluster, &location.driver);
        let content = |handle: &VolumeHandle| {
            let array = array.as_ref()?;
            self.fabric.with(|arrays, _| arrays.inspect(array, handle)).map(|content| content.to_bytes())
        };
        // A volume that is gone is read as an empty one: everything on it is lost.
        let volumes = location
            .volumes
            .iter()
            .map(|(claim, handle)| (claim.clone(), content(handle).unwrap_or_default()))
            .collect();
        Some(compare(app, &location.cluster, &acknowledged, &volumes))
    }
}

impl Books for Ledger {
    fn audit(&self, app: &AppId) -> Option<Audit> {
        Self::audit(self, app)
    }

    fn audit_on(&self, app: &AppId, cluster: &str) -> Option<Audit> {
        Self::audit_on(self, app, cluster)
    }
}
