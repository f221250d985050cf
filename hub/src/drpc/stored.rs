//! What the stores say about an application that the clusters leave in doubt.

use kaedama_shared::api::VolumeReplicationGroup;
use kaedama_shared::s3::capture::read_newest_capture;
use kaedama_shared::s3::{AppId, StoreSet};
use kaedama_shared::seen::Seen;

use crate::configuration::Configuration;

use super::snapshot::Snapshot;

/// The VRG of the newest primary, over all stores of the policy's clusters. A store that cannot be read makes absence
/// unknown (rule S17): it could be the one that has the VRG.
pub async fn newest_primary(configuration: &Configuration, s: &Snapshot) -> Seen<VolumeReplicationGroup> {
    let mut stores = StoreSet::default();
    for site in &s.sites {
        let Some(drcluster) = site.drcluster.present() else {
            return Seen::Unknown(format!("the store of {} is not known", site.cluster));
        };
        let profile = &drcluster.spec.s3_profile_name;
        match configuration.store(profile) {
            Ok(Some(store)) => stores.push(profile.clone(), Ok(store)),
            Ok(None) => {}
            Err(error) => return Seen::Unknown(error.to_string()),
        }
    }
    let app = AppId::new(s.vrg_namespace.clone(), s.drpc.metadata.name.clone().unwrap_or_default());
    let reading = read_newest_capture(&stores, &app).await;
    match reading.seen() {
        Seen::Present(set) => match set.vrg::<VolumeReplicationGroup>() {
            Ok(Some(vrg)) => Seen::Present(vrg),
            Ok(None) => match &set.vrg_unread {
                Some(error) => Seen::Unknown(error.to_string()),
                None => Seen::Absent,
            },
            Err(error) => Seen::Unknown(error.to_string()),
        },
        Seen::Absent => Seen::Absent,
        Seen::Unknown(why) => Seen::Unknown(why),
    }
}
