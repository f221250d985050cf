//! Whether a volume or claim that is there already is the one that would be restored.
//!
//! A live, bound claim is never touched. A volume or claim that is something else is left alone and reported: adopting
//! a foreign or dying one loses data.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;

use super::restore::claim_of;
use crate::vrg::snapshot::annotation;

/// What becomes of a live volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// It is right.
    AsItIs,
    /// It is right, and has to forget the identity of the claim that it was bound to.
    MadeToWait,
}

/// Judges a live volume of the stored one's name. `claim` is the live claim that the stored volume is for. `own`: the
/// stored one is this cluster's own, and nobody was primary since.
///
/// # Errors
/// Why it cannot be taken.
pub fn volume(
    live: &PersistentVolume,
    stored: &PersistentVolume,
    claim: Option<&PersistentVolumeClaim>,
    asynchronous: bool,
    own: bool,
) -> Result<Live, String> {
    let name = live.metadata.name.as_deref().unwrap_or_default();
    let refuse = |why: &str| Err(format!("PersistentVolume {name} exists and {why}"));
    let phase = live.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    if phase == "Bound" {
        return match claim {
            None => refuse("is bound, but the claim that it is stored for does not exist"),
            Some(claim) if claim.metadata.deletion_timestamp.is_some() => {
                refuse(&format!("is bound to a claim that goes: {}", dying(claim)))
            }
            Some(_) => match difference(live, stored, own) {
                Some(difference) => refuse(&format!("differs from the stored one in {difference}")),
                None => Ok(Live::AsItIs),
            },
        };
    }
    if live.metadata.deletion_timestamp.is_some() {
        return refuse("is being deleted");
    }
    let ours = annotation(&live.metadata, names::RESTORED) == Some("True");
    // Released here for an action that never got to its target: the newest that is stored is still this very volume.
    if asynchronous && !ours && !own {
        return refuse("is not bound and was not restored by a recovery: its content is not known");
    }
    if let Some(difference) = difference(live, stored, own) {
        return refuse(&format!("differs from the stored one in {difference}"));
    }
    let remembers = live.spec.iter().filter_map(|spec| spec.claim_ref.as_ref()).any(|claim| claim.uid.is_some());
    // A new claim of the same name cannot bind while the old one's uid is remembered.
    let bound_to_other = remembers && claim.is_none_or(|claim| claim.metadata.uid != uid_of_claim(live));
    match bound_to_other || !ours {
        true => Ok(Live::MadeToWait),
        false => Ok(Live::AsItIs),
    }
}

fn uid_of_claim(volume: &PersistentVolume) -> Option<String> {
    volume.spec.as_ref()?.claim_ref.as_ref()?.uid.clone()
}

/// What is said of a claim that is being deleted, with what holds it.
#[must_use]
pub fn dying(claim: &PersistentVolumeClaim) -> String {
    let finalizers = claim.metadata.finalizers.as_deref().unwrap_or_default().join(", ");
    format!("claim {} exists and is being deleted, held by finalizers [{finalizers}]", ObjectKey::of(claim))
}

/// The first thing in which two volumes of one name differ that makes them different volumes. A volume of this cluster's
/// `own` set goes by its handle alone: the peer's name of it may be another volume's here.
fn difference(live: &PersistentVolume, stored: &PersistentVolume, own: bool) -> Option<&'static str> {
    let (Some(live_spec), Some(stored_spec)) = (&live.spec, &stored.spec) else { return Some("its spec") };
    let (Some(live_csi), Some(stored_csi)) = (&live_spec.csi, &stored_spec.csi) else {
        return (live_spec.csi.is_some() != stored_spec.csi.is_some()).then_some("its CSI source");
    };
    let kind = |volume: &PersistentVolume| {
        volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()).and_then(|claim| claim.kind.clone())
    };
    let of_peer = annotation(&stored.metadata, names::DESTINATION_VOLUME_HANDLE).filter(|_| !own);
    let handles = [Some(stored_csi.volume_handle.as_str()), of_peer];
    if live_csi.driver != stored_csi.driver {
        Some("its CSI driver")
    } else if !handles.contains(&Some(live_csi.volume_handle.as_str())) {
        Some("its volume handle")
    } else if live_csi.fs_type.as_deref().unwrap_or_default() != stored_csi.fs_type.as_deref().unwrap_or_default() {
        Some("its file system")
    } else if claim_of(live) != claim_of(stored) || matches!((kind(live), kind(stored)), (Some(a), Some(b)) if a != b) {
        Some("the claim that it is for")
    } else if live_spec.access_modes != stored_spec.access_modes {
        Some("its access modes")
    } else if live_spec.volume_mode != stored_spec.volume_mode {
        Some("its volume mode")
    } else {
        None
    }
}

/// The claim is bound to the volume, and stays.
#[must_use]
pub fn is_bound_to(claim: &PersistentVolumeClaim, volume: &str) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Bound") && names_volume(claim, volume) && claim.metadata.deletion_timestamp.is_none()
}

fn names_volume(claim: &PersistentVolumeClaim, volume: &str) -> bool {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()) == Some(volume)
}

/// Judges a live claim of the stored one's name.
///
/// # Errors
/// Why it cannot be taken.
pub fn claim(live: &PersistentVolumeClaim, volume: &str) -> Result<(), String> {
    let key = ObjectKey::of(live);
    // Restored a moment ago: it binds as soon as the volume controller gets to it.
    let on_its_way = annotation(&live.metadata, names::RESTORED) == Some("True") && names_volume(live, volume);
    if live.metadata.deletion_timestamp.is_some() {
        Err(dying(live))
    } else if !names_volume(live, volume) {
        let other = live.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or("no volume");
        Err(format!("claim {key} exists and belongs to {other}, not to the stored PersistentVolume {volume}"))
    } else if is_bound_to(live, volume) || on_its_way {
        Ok(())
    } else {
        Err(format!("claim {key} exists and is not bound"))
    }
}
