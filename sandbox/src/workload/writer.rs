//! The running applications of a cluster, and the timer that drives them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kaedama_shared::harness::ObjectKey;
use tokio::{
    sync::{Notify, mpsc::UnboundedSender},
    time::{Instant, sleep_until},
};

use super::{AppId, Ledger, Location, Record};
use crate::storage::{Cluster, Driver, StorageError, VolumeHandle};

/// How an application writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) location: Location,
    /// Time between records.
    pub(super) period: Duration,
    /// Least size of a record in bytes.
    pub(super) size: usize,
}

/// One running application.
struct Writer {
    app: AppId,
    plan: Plan,
    /// Its name in the records.
    name: String,
    next_seq: u64,
    next_at: Instant,
    /// A record that some of its volumes have and others do not: it is finished before the next one.
    unfinished: Option<(Record, Vec<VolumeHandle>)>,
    /// The last write failed, and how.
    failing: Option<String>,
}

/// The running applications of one cluster.
pub(super) struct Writers {
    cluster: Cluster,
    driver: Driver,
    ledger: Ledger,
    running: Mutex<BTreeMap<ObjectKey, Writer>>,
    rearm: Notify,
    /// Told when an application begins or ceases to fail.
    changed: UnboundedSender<ObjectKey>,
}

impl Writers {
    pub(super) fn new(cluster: Cluster, driver: Driver, ledger: Ledger, changed: UnboundedSender<ObjectKey>) -> Self {
        Self { cluster, driver, ledger, running: Mutex::default(), rearm: Notify::new(), changed }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Writer>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an application run as planned. One that runs so already goes on; one whose plan changed starts again.
    ///
    /// It continues the numbers that it finds on its volumes.
    pub(super) fn start(&self, key: &ObjectKey, plan: Plan) -> Result<(), StorageError> {
        if self.lock().get(key).is_some_and(|writer| writer.plan == plan) {
            return Ok(());
        }
        let mut last = 0;
        for handle in plan.location.volumes.values() {
            self.driver.check_writable(handle)?;
            let (records, _) = Record::read_all(&self.driver.read(handle)?.to_bytes());
            last = records.iter().map(|record| record.seq).fold(last, u64::max);
        }
        let app = AppId::new(key.namespace(), &key.name);
        let name = self.ledger.start(&app, &plan.location);
        tracing::info!(app = %key, cluster = self.cluster.name, writer = name, next = last + 1, "application starts");
        let writer =
            Writer { app, plan, name, next_seq: last + 1, next_at: Instant::now(), unfinished: None, failing: None };
        self.lock().insert(key.clone(), writer);
        self.rearm.notify_one();
        Ok(())
    }

    /// Stops an application at once.
    pub(super) fn stop(&self, key: &ObjectKey) {
        if self.lock().remove(key).is_some() {
            tracing::info!(app = %key, cluster = self.cluster.name, "application stops");
        }
    }

    /// Whether an application runs here.
    pub(super) fn is_running(&self, key: &ObjectKey) -> bool {
        self.lock().contains_key(key)
    }

    /// Why an application that runs cannot write at present.
    pub(super) fn failing(&self, key: &ObjectKey) -> Option<String> {
        self.lock().get(key).and_then(|writer| writer.failing.clone())
    }

    /// Writes whatever is due, for as long as it is polled.
    pub(super) async fn run(&self) {
        loop {
            let due = self.lock().values().map(|writer| writer.next_at).min();
            let rearm = self.rearm.notified();
            match due {
                None => rearm.await,
                Some(due) => {
                    tokio::select! {
                        biased;
                        () = rearm => continue,
                        () = sleep_until(due) => {}
                    }
                    self.write_due(Instant::now());
                }
            }
        }
    }

    fn write_due(&self, now: Instant) {
        let mut running = self.lock();
        for (key, writer) in running.iter_mut().filter(|(_, writer)| writer.next_at <= now) {
            let before = writer.failing.is_some();
            writer.failing = self.write(writer).err().map(|error| error.to_string());
            // A clock that jumped ahead is not made up for with a burst.
            writer.next_at = (writer.next_at + writer.plan.period).max(now);
            if writer.failing.is_some() != before {
                // Nobody listens only when the controller is about to end.
                let _ = self.changed.send(key.clone());
            }
        }
    }

    fn write(&self, writer: &mut Writer) -> Result<(), StorageError> {
        let (record, mut missing) = writer.unfinished.take().unwrap_or_else(|| {
            let record = Record {
                app: writer.app.to_string(),
                seq: writer.next_seq,
                at: self.cluster.clock.now(),
                writer: writer.name.clone(),
            };
            (record, writer.plan.location.volumes.values().rev().cloned().collect())
        });
        let block = record.to_bytes(writer.plan.size);
        let all = writer.plan.location.volumes.len();
        while let Some(handle) = missing.last() {
            if let Err(error) = self.driver.write(handle, block.clone()) {
                // A record that no volume has is written anew, with its own time.
                writer.unfinished = (missing.len() < all).then_some((record, missing));
                return Err(error);
            }
            missing.pop();
        }
        writer.next_seq = record.seq + 1;
        self.ledger.acknowledge(&writer.app, &self.cluster.name, record);
        Ok(())
    }
}
