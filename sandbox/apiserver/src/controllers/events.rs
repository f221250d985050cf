//! Events expire an hour after they were last written, as their time-to-live in etcd makes them.
//!
//! Expired ones are removed when another event is written: nothing has to wake up for it.

use crate::registry::Resource;
use crate::server::Inner;
use crate::store::Stored;
use crate::verbs::delete::remove;
use jiff::ToSpan;
use std::sync::{Arc, PoisonError};

/// How long events live, in hours.
const TIME_TO_LIVE: i64 = 1;

pub(super) fn written(server: &Arc<Inner>, resource: &Resource, stored: &Arc<Stored>) {
    let now = server.now();
    let mut expired = Vec::new();
    {
        let mut expiries = server.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(expiry) = now.checked_add(TIME_TO_LIVE.hours()) {
            expiries.push_back((expiry, stored.key.clone(), stored.revision));
        }
        while expiries.front().is_some_and(|(expiry, _, _)| *expiry <= now) {
            expired.extend(expiries.pop_front());
        }
    }
    for (_, key, revision) in expired {
        // An event that was written since has a later entry of its own.
        let live = server.store.get(&resource.storage, &key).filter(|e| e.revision == revision);
        if let Some(event) = live {
            // Whoever deleted or changed it meanwhile was first.
            let _ = remove(server, resource, &event, None);
        }
    }
}
