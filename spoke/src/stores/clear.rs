//! What goes from the stores with the group.

use futures::future::join_all;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::s3::capture::{delete_application, withdraw_claim};
use kaedama_shared::s3::{PerStore, S3Error, StoreSet};

use super::Stores;
use super::content::{app, record};
use crate::vrg::order::Writer;

impl Stores {
    /// Deletes everything stored of a group. A store that knows a newer primary keeps its own: that counts as done.
    ///
    /// Not while something of the group is being written: what is written after the deletion would stay for ever. The end
    /// of the write wakes the group, and one that is being deleted starts no other.
    pub async fn purge(
        &self,
        group: &ObjectKey,
        profiles: &[String],
        writer: &Writer,
    ) -> Vec<(String, Result<(), String>)> {
        let busy = self.busy(group);
        if !busy.is_empty() {
            let why = format!("a write to {} is still under way", busy.join(", "));
            return profiles.iter().map(|profile| (profile.clone(), Err(why.clone()))).collect();
        }
        let (app, record) = (app(group), record(writer));
        join_all(profiles.iter().map(|profile| async {
            let mut set = StoreSet::default();
            set.push(profile.clone(), self.open(profile).await);
            let result = delete_application(&set, &app, &record).await.pop().map(|answer| answer.result);
            let result = match result {
                None | Some(Ok(_)) => Ok(()),
                Some(Err(error)) if error.is_superseded() => {
                    tracing::info!(%error, "what is stored belongs to a newer primary and stays");
                    Ok(())
                }
                Some(Err(error)) => Err(error.to_string()),
            };
            (profile.clone(), result)
        }))
        .await
    }

    /// Takes the claim of a writer back that never stored anything.
    pub async fn withdraw(
        &self,
        group: &ObjectKey,
        profiles: &[String],
        writer: &Writer,
    ) -> Vec<(String, Result<(), String>)> {
        let mut set = StoreSet::default();
        for profile in profiles {
            set.push(profile.clone(), self.open(profile).await);
        }
        let answers = withdraw_claim(&set, &app(group), &record(writer)).await;
        let told = |PerStore { profile, result }: PerStore<Result<bool, S3Error>>| {
            if let Err(error) = &result {
                tracing::warn!(%group, store = profile, %error, "whether this cluster is noted there as the writer is not known; it stays so");
            }
            (profile, result.map(drop).map_err(|error| error.to_string()))
        };
        answers.into_iter().map(told).collect()
    }

    /// The stores that something of the group is being written to.
    fn busy(&self, group: &ObjectKey) -> Vec<String> {
        let memory = self.lock();
        let of_group = memory.get(group).into_iter().flatten();
        let mut busy: Vec<String> =
            of_group.filter(|(_, known)| known.busy).map(|(profile, _)| profile.clone()).collect();
        busy.sort();
        busy
    }
}
