//! The account of losses: every acknowledged record that is missing has to be explained.
//!
//! A record is given up by a Failover alone: one that was written after the last transfer that was complete when the
//! other side was promoted by force, or one that the old home wrote after that.

use std::collections::BTreeSet;

use anyhow::bail;
use kaedama_sandbox::storage::array::{VolumeHandle, What};
use kaedama_sandbox::workload::Record;
use kaedama_sandbox::world::app::App;

use crate::bed::Bed;
use crate::watch::{of_unit, synced_by};

/// What an application's volumes hold on a cluster.
#[derive(Debug, Default)]
#[allow(dead_code, reason = "told to whoever runs seeds, as it is printed")]
pub struct Account {
    pub acknowledged: usize,
    /// Missing from some volume, and given up by a Failover.
    pub given_up: usize,
}

/// Compares the volumes on `cluster` with everything that was acknowledged.
pub fn account(bed: &Bed, app: &App, cluster: &str) -> anyhow::Result<Account> {
    let acknowledged = bed.world.ledger().records_from(&app.id(), 0);
    let mut missing: BTreeSet<&Record> = BTreeSet::new();
    for (claim, unit) in bed.watch.handles(app) {
        let handle = VolumeHandle::from(unit.as_str());
        let content = bed.world.fabric().with(|arrays, _| arrays.inspect(&bed.array(cluster), &handle));
        let Some(content) = content else { bail!("VIOLATED: {claim} of {} has no volume on {cluster}", app.name) };
        let (records, damaged) = Record::read_all(&content.to_bytes());
        let there: BTreeSet<&Record> = records.iter().collect();
        if damaged > 0 || there.len() != records.len() || !records.is_sorted_by_key(|record| record.seq) {
            bail!(
                "VIOLATED: {claim} of {} on {cluster} has {damaged} damaged lines, or records out of order",
                app.name
            );
        }
        for ack in acknowledged.iter().filter(|ack| !there.contains(&ack.record)) {
            let at = ack.record.at;
            let promotions = || {
                of_unit(&bed.watch.history, &unit).filter_map(|event| match event.what {
                    What::Promoted { forced } => Some((event.at, &event.array, forced)),
                    What::Enabled => Some((event.at, &event.array, false)),
                    _ => None,
                })
            };
            let home = bed.array(&ack.cluster);
            let before = promotions().rfind(|(when, ..)| *when <= at);
            let explained = match before {
                // The other side had been promoted by force: this is the old home.
                Some((_, array, forced)) if *array != home => forced,
                _ => promotions().find(|(when, array, _)| *when > at && **array != home).is_some_and(
                    |(when, _, forced)| {
                        forced && synced_by(&bed.watch.history, &unit, when).is_none_or(|synced| synced <= at)
                    },
                ),
            };
            if !explained {
                bail!(
                    "VIOLATED: record {} of {}, written on {} at {at}, is lost on {claim} on {cluster}, and no Failover gave it \
                     up; promotions: {:?}",
                    ack.record.seq,
                    app.name,
                    ack.cluster,
                    promotions().collect::<Vec<_>>()
                );
            }
            missing.insert(&ack.record);
        }
    }
    Ok(Account { acknowledged: acknowledged.len(), given_up: missing.len() })
}
