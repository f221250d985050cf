//! Which volume fits which claim. Pure.

use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::{PersistentVolume, PersistentVolumeClaim},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::core::{Selector, SelectorExt as _};

use crate::storage::kit::is_deleting;

/// How a volume stands to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Nobody's: its claimRef is empty.
    Free,
    /// Meant for this claim by name, or bound to this very claim.
    Ours,
    /// Meant for or bound to another claim.
    Others,
}

/// How `volume` stands to `claim`.
pub(super) fn relation(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Relation {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else {
        return Relation::Free;
    };
    let same_name = reference.namespace == claim.metadata.namespace && reference.name == claim.metadata.name;
    let uid = reference.uid.as_deref().unwrap_or_default();
    if same_name && (uid.is_empty() || Some(uid) == claim.metadata.uid.as_deref()) {
        Relation::Ours
    } else {
        Relation::Others
    }
}

/// The volume for an unbound claim that names none: the one that is meant for it, else the smallest free one that fits.
pub(super) fn choose(
    volumes: &[Arc<PersistentVolume>],
    claim: &PersistentVolumeClaim,
) -> Option<Arc<PersistentVolume>> {
    let usable = |volume: &&Arc<PersistentVolume>| !is_deleting(&***volume) && large_enough(volume, claim);
    let meant = volumes.iter().filter(usable).find(|volume| relation(volume, claim) == Relation::Ours);
    let free = || {
        volumes
            .iter()
            .filter(usable)
            .filter(|volume| relation(volume, claim) == Relation::Free && fits(volume, claim))
            .min_by_key(|volume| capacity(volume))
    };
    meant.or_else(free).cloned()
}

fn fits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(offered), Some(wanted)) = (&volume.spec, &claim.spec) else { return false };
    let class = |name: &Option<String>| name.clone().unwrap_or_default();
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    let offered_modes = offered.access_modes.clone().unwrap_or_default();
    let selected = match wanted.selector.clone().map(Selector::try_from) {
        None => true,
        Some(Ok(selector)) => selector.matches(&volume.metadata.labels.clone().unwrap_or_default()),
        Some(Err(_)) => false,
    };
    selected
        && class(&offered.storage_class_name) == class(&wanted.storage_class_name)
        && mode(&offered.volume_mode) == mode(&wanted.volume_mode)
        && wanted.access_modes.iter().flatten().all(|mode| offered_modes.contains(mode))
}

fn large_enough(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    capacity(volume) >= requested(claim)
}

fn capacity(volume: &PersistentVolume) -> u64 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    capacity.and_then(|all| all.get("storage")).map_or(0, bytes)
}

/// The bytes that a claim asks for.
pub(super) fn requested(claim: &PersistentVolumeClaim) -> u64 {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    requests.and_then(|all| all.get("storage")).map_or(0, bytes)
}

/// A quantity in whole units, rounded up; what is not a quantity is zero.
pub(super) fn bytes(quantity: &Quantity) -> u64 {
    let text = quantity.0.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor: f64 = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Pi" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        exponent => match exponent.strip_prefix(['e', 'E']).and_then(|power| power.parse().ok()) {
            Some(power) => 10f64.powi(power),
            None => return 0,
        },
    };
    let value = number.parse::<f64>().unwrap_or(0.0) * factor;
    // Saturating, and there are no negative numbers to lose the sign of.
    value.ceil() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(spec: Value) -> PersistentVolumeClaim {
        let metadata = json!({"name": "data", "namespace": "shop", "uid": "u1"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn volume(name: &str, size: &str, claim_ref: Value) -> Arc<PersistentVolume> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                    "claimRef": claim_ref
                }
            }))
            .unwrap(),
        )
    }

    fn wish() -> PersistentVolumeClaim {
        claim(json!({
            "storageClassName": "fast", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}
        }))
    }

    fn chosen(volumes: &[Arc<PersistentVolume>], claim: &PersistentVolumeClaim) -> Option<String> {
        choose(volumes, claim).and_then(|volume| volume.metadata.name.clone())
    }

    #[test]
    fn a_volume_meant_for_the_claim_comes_before_every_free_one() {
        let volumes = [
            volume("small", "1Gi", Value::Null),
            volume("meant", "2Gi", json!({"namespace": "shop", "name": "data"})),
            volume("other", "2Gi", json!({"namespace": "shop", "name": "data", "uid": "u0"})),
        ];
        assert_eq!(chosen(&volumes, &wish()).as_deref(), Some("meant"));
        assert_eq!(relation(&volumes[2], &wish()), Relation::Others);
    }

    #[test]
    fn the_smallest_free_volume_that_fits_is_chosen() {
        let volumes =
            [volume("big", "9Gi", Value::Null), volume("fit", "1Gi", Value::Null), volume("tiny", "1M", Value::Null)];
        assert_eq!(chosen(&volumes, &wish()).as_deref(), Some("fit"));
        assert_eq!(chosen(&volumes[2..], &wish()), None);
        let shared = claim(json!({"storageClassName": "fast", "accessModes": ["ReadWriteMany"]}));
        assert_eq!(chosen(&volumes, &shared), None);
        let slow = claim(json!({"storageClassName": "slow", "accessModes": ["ReadWriteOnce"]}));
        assert_eq!(chosen(&volumes, &slow), None);
    }

    #[test]
    fn quantities_are_bytes() {
        let read = |text: &str| bytes(&Quantity(text.to_owned()));
        assert_eq!(["1Gi", "1G", "1500m", "12", "1e3", "0.5Ki"].map(read), [1 << 30, 1_000_000_000, 2, 12, 1000, 512]);
        assert_eq!(read("much"), 0);
    }
}
