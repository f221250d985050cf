//! Whether the clusters' stores can be used. They are tried beside the passes: the store of a dead site takes its time to
//! say nothing, and the fence of that very site must not wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kaedama_shared::api::{DRCluster, reasons::drcluster as reasons};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::harness::backoff::spread_for;
use kaedama_shared::s3::{S3ErrorKind, S3Store};
use tokio::time::Instant;

use crate::configuration::{Configuration, StoreError};

use super::snapshot::StoreCheck;

/// A store that failed is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// A store that was good is tried again after this long, or up to a fifth longer, which is five minutes: nothing else would
/// tell of one that died, or whose keys were revoked, before it is needed.
const LOOK_AGAIN: Duration = Duration::from_secs(250);

/// When the store of a cluster, with this outcome, is tried again; none while it is being tried. Good ones are not tried all
/// at once.
pub fn due_after(cluster: &str, outcome: &StoreCheck) -> Option<Duration> {
    match outcome {
        StoreCheck::Bad { .. } => Some(TRY_AGAIN),
        StoreCheck::Good => Some(spread_for(LOOK_AGAIN, cluster)),
        StoreCheck::Untried => None,
    }
}

/// What the stores answered, by cluster. Cheap to clone.
#[derive(Clone)]
pub struct StoreChecks {
    checks: Arc<Mutex<BTreeMap<String, Check>>>,
    answered: UnboundedSender<ObjectKey>,
}

struct Check {
    /// Profile, configuration and secret that it was tried with.
    with: String,
    outcome: StoreCheck,
    /// When it answered; none while it is being tried.
    at: Option<Instant>,
}

impl StoreChecks {
    /// None are tried yet. The stream names the clusters whose stores have answered.
    pub fn new() -> (Self, UnboundedReceiver<ObjectKey>) {
        let (answered, receiver) = unbounded();
        (StoreChecks { checks: Arc::default(), answered }, receiver)
    }

    /// What is known of a cluster's store. Tries it where that is nothing, or is some time ago, and when its
    /// configuration or secret changes.
    pub fn look(&self, configuration: &Configuration, drcluster: &DRCluster) -> StoreCheck {
        let name = drcluster.metadata.name.clone().unwrap_or_default();
        let profile = &drcluster.spec.s3_profile_name;
        let bad = |reason, message: String| StoreCheck::Bad { reason, message };
        let store = match configuration.store(profile) {
            Ok(Some(store)) => store,
            Ok(None) => return StoreCheck::Good,
            Err(StoreError::Configuration(why)) => return bad(reasons::CONFIG_MAP_GET_FAILED, why),
            Err(error) => return bad(reasons::S3_CONNECTION_FAILED, error.to_string()),
        };
        let with = configuration.fingerprint(profile);
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match checks.get(&name).filter(|check| check.with == with) {
            Some(check) if check.is_due(&name) => check.outcome.clone(),
            Some(check) => return check.outcome.clone(),
            None => StoreCheck::Untried,
        };
        checks.insert(name.clone(), Check { with: with.clone(), outcome: known.clone(), at: None });
        drop(checks);
        let (this, before) = (self.clone(), known.clone());
        tokio::spawn(async move {
            let mut outcome = check(&store, &name).await;
            if before == StoreCheck::Good && outcome != StoreCheck::Good {
                // One that was good has a second try before anybody is alarmed.
                tokio::time::sleep(TRY_AGAIN).await;
                outcome = check(&store, &name).await;
            }
            let mut checks = this.checks.lock().unwrap_or_else(PoisonError::into_inner);
            // An answer of a configuration that was replaced meanwhile is of no use.
            if checks.get(&name).is_some_and(|check| check.with == with) {
                checks.insert(name.clone(), Check { with, outcome, at: Some(Instant::now()) });
            }
            drop(checks);
            // Nobody listens once the controller has stopped.
            let _ = this.answered.unbounded_send(ObjectKey::cluster(name));
        });
        known
    }
}

impl Check {
    fn is_due(&self, cluster: &str) -> bool {
        self.at.zip(due_after(cluster, &self.outcome)).is_some_and(|(at, after)| at.elapsed() >= after)
    }
}

/// Tries the bucket, and to list the cluster's keys in it.
async fn check(store: &S3Store, cluster: &str) -> StoreCheck {
    let bad = |reason, message: String| StoreCheck::Bad { reason, message };
    if let Err(error) = store.head_bucket().await {
        let reason = match error.kind {
            S3ErrorKind::NoBucket | S3ErrorKind::Absent => reasons::S3_BUCKET_NOT_FOUND,
            _ => reasons::S3_CONNECTION_FAILED,
        };
        return bad(reason, error.to_string());
    }
    match store.list(&format!("/{cluster}")).await {
        Ok(_) => StoreCheck::Good,
        Err(error) => bad(reasons::S3_LIST_FAILED, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_stores_are_not_tried_again_all_at_once() {
        let after = |number: u32| due_after(&format!("dr{number}"), &StoreCheck::Good).unwrap();
        let delays: std::collections::BTreeSet<Duration> = (0..20).map(after).collect();
        assert!(delays.len() > 15, "{delays:?}");
        assert!(delays.iter().all(|delay| (LOOK_AGAIN..=Duration::from_secs(300)).contains(delay)), "{delays:?}");
        assert_eq!(after(7), after(7), "the pass and the check have to agree");
    }
}
