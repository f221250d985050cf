//! [`StorageFabric`]: the shared handle of all storage arrays.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | who is attached to what, faults, events, the timer |
//! | `driver.rs` | [`Driver`]: the storage as one cluster's CSI driver sees it |

mod driver;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use kaedama_shared::clock::Clock;
use tokio::sync::{Notify, broadcast};

pub use self::driver::Driver;
use super::array::{ArrayId, Arrays, Event, LinkSettings, StorageError, UnitId, VolumeHandle};

/// How many events are kept for those who ask afterwards.
const HISTORY: usize = 10_000;
/// How many events a slow subscriber may lag behind before it is told to look at everything again.
const BACKLOG: usize = 4_096;

/// What a driver is asked to do; faults are aimed at these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// CreateVolume.
    CreateVolume,
    /// DeleteVolume.
    DeleteVolume,
    /// EnableVolumeReplication.
    Enable,
    /// PromoteVolume.
    Promote,
    /// DemoteVolume.
    Demote,
    /// ResyncVolume.
    Resync,
    /// GetVolumeReplicationInfo.
    Info,
    /// DisableVolumeReplication.
    Disable,
    /// Creating, changing or deleting a volume group.
    Group,
    /// Fencing or unfencing a network.
    Fence,
    /// A write of an application.
    Write,
    /// A read of an application.
    Read,
}

/// A failure that the next calls meet.
#[derive(Clone, Debug)]
pub struct Fault {
    /// On which array. `None`: on any.
    pub array: Option<ArrayId>,
    /// In which call.
    pub operation: Operation,
    /// What the driver answers.
    pub error: StorageError,
    /// How many calls fail.
    pub times: u32,
    /// The storage does what it was asked for and fails afterwards, as when an answer is lost.
    pub after: bool,
}

/// All storage arrays, shared by everything in a world. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StorageFabric {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    state: Mutex<State>,
    /// Something may be due earlier than the timer thinks.
    rearm: Notify,
    events: broadcast::Sender<Event>,
}

#[derive(Debug, Default)]
struct State {
    arrays: Arrays,
    /// Which array a cluster's driver of this name speaks to.
    attached: BTreeMap<(String, String), ArrayId>,
    /// The networks from which a cluster reaches storage, as CIDRs.
    addresses: BTreeMap<String, Vec<String>>,
    /// Volume groups and their members.
    groups: BTreeMap<UnitId, BTreeSet<VolumeHandle>>,
    latency: Duration,
    faults: Vec<Fault>,
    history: VecDeque<Event>,
}

impl StorageFabric {
    /// A fabric without arrays.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let (events, _) = broadcast::channel(BACKLOG);
        Self { inner: Arc::new(Inner { clock, state: Mutex::default(), rearm: Notify::new(), events }) }
    }

    /// The clock that the storage lives by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between calls: a panic elsewhere does not make it wrong.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` on the arrays at the present time, and tells subscribers what happened.
    pub fn with<R>(&self, f: impl FnOnce(&mut Arrays, Timestamp) -> R) -> R {
        self.with_state(|state, now| f(&mut state.arrays, now))
    }

    fn with_state<R>(&self, f: impl FnOnce(&mut State, Timestamp) -> R) -> R {
        let (result, events) = {
            let mut state = self.lock();
            // Not before: whoever comes later has a later time.
            let now = self.inner.clock.now();
            state.arrays.advance(now);
            let before = state.arrays.next_due().map(|(at, _)| at);
            let result = f(&mut state, now);
            let events = state.arrays.take_events();
            let after = state.arrays.next_due().map(|(at, _)| at);
            if after != before || !events.is_empty() {
                self.inner.rearm.notify_one();
            }
            let excess = (state.history.len() + events.len()).saturating_sub(HISTORY).min(state.history.len());
            state.history.drain(..excess);
            state.history.extend(events.iter().cloned());
            (result, events)
        };
        for event in events {
            // No subscriber is fine.
            let _ = self.inner.events.send(event);
        }
        result
    }

    /// Adds an array, if there is none of this name.
    pub fn add_array(&self, id: &ArrayId) {
        self.with(|arrays, _| arrays.add_array(id));
    }

    /// Links two arrays, so that volumes can be replicated between them.
    pub fn link(&self, one: &ArrayId, other: &ArrayId, settings: LinkSettings) {
        self.with(|arrays, _| arrays.link(one, other, settings));
    }

    /// Cuts or heals the link between two arrays.
    pub fn set_link(&self, one: &ArrayId, other: &ArrayId, up: bool) {
        self.with(|arrays, now| arrays.set_link(one, other, up, now));
    }

    /// Kills an array, or revives it with the content that it had.
    pub fn set_alive(&self, array: &ArrayId, alive: bool) {
        self.with(|arrays, now| arrays.set_alive(array, alive, now));
    }

    /// Says which array a cluster's CSI driver speaks to. Two clusters on one array are a metro pair: both see the
    /// same volumes.
    pub fn attach(&self, cluster: &str, driver: &str, array: &ArrayId) {
        self.with_state(|state, _| state.attached.insert((cluster.to_owned(), driver.to_owned()), array.clone()));
    }

    /// Sets the networks (CIDRs) from which a cluster reaches storage: those that a fence is compared with.
    pub fn set_addresses(&self, cluster: &str, cidrs: Vec<String>) {
        self.with_state(|state, _| state.addresses.insert(cluster.to_owned(), cidrs));
    }

    /// Sets how long every call of a driver takes (default: no time).
    pub fn set_latency(&self, latency: Duration) {
        self.with_state(|state, _| state.latency = latency);
    }

    /// Makes calls fail.
    pub fn inject(&self, fault: Fault) {
        self.with_state(|state, _| state.faults.push(fault));
    }

    /// Takes all faults back that have not struck yet.
    pub fn clear_faults(&self) {
        self.with_state(|state, _| state.faults.clear());
    }

    /// The storage as a cluster's CSI driver of this name sees it.
    #[must_use]
    pub fn driver(&self, cluster: &str, name: &str) -> Driver {
        Driver::new(self.clone(), cluster, name)
    }

    /// The array that a cluster's driver speaks to.
    #[must_use]
    pub fn attached(&self, cluster: &str, driver: &str) -> Option<ArrayId> {
        self.lock().attached.get(&(cluster.to_owned(), driver.to_owned())).cloned()
    }

    /// Events from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// The last events, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Event> {
        self.with_state(|_, _| ());
        self.lock().history.iter().cloned().collect()
    }

    /// Lets scheduled replication happen on time; runs until it is dropped. Without it everything still happens, at
    /// its right time, but nobody hears of it before somebody else touches the storage.
    pub async fn run(&self) {
        loop {
            let due = self
                .with_state(|state, now| state.arrays.next_due().map(|(at, _)| at.duration_since(now).unsigned_abs()));
            let rearm = self.inner.rearm.notified();
            match due {
                Some(wait) => {
                    // Timers have a resolution of a millisecond; a shorter wait would spin.
                    let _ = tokio::time::timeout(wait.max(Duration::from_millis(1)), rearm).await;
                }
                None => rearm.await,
            }
        }
    }
}
