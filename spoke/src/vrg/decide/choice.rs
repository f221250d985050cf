//! Which of the stored sets is restored, or why none can be.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PersistentVolume;
use kaedama_shared::api::reasons::vrg as reason;
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;

use super::restore::claim_of;
use crate::vrg::order::{Intent, Order};
use crate::vrg::plan::Verdict;
use crate::vrg::snapshot::{EpochClaim, Recovery, StoreRead, StoredSet};

/// The set that is restored.
pub(super) struct Chosen<'a> {
    pub(super) set: Option<&'a StoredSet>,
    profile: &'a str,
    /// Stores that could not be read, and why.
    unread: Vec<String>,
}

impl Chosen<'_> {
    /// Where it is from.
    pub(super) fn origin(&self) -> String {
        match self.set {
            None => "from empty stores".to_owned(),
            Some(StoredSet { capture: Some((epoch, _)), cluster, .. }) => {
                format!("from store {}, epoch {epoch} by cluster {cluster}", self.profile)
            }
            Some(StoredSet { capture: None, .. }) => format!("from store {}", self.profile),
        }
    }

    /// What was restored, and what was left aside for it.
    pub(super) fn describe(&self, recovery: &Recovery) -> String {
        let mut text = match self.set {
            None => "Nothing to restore: the stores hold nothing of the group".to_owned(),
            Some(set) => format!(
                "Restored {} PersistentVolumes and {} claims {}",
                set.volumes.len(),
                set.claims.len(),
                self.origin()
            ),
        };
        for missed in &self.unread {
            text.push_str(&format!(". Not read: {missed}"));
        }
        if let EpochClaim::Made(Some(missed)) = &recovery.claim {
            text.push_str(&format!(". Not told of the new primary: {missed}"));
        }
        text
    }
}

/// Chooses the newest complete set of the stores that answered.
///
/// A store that did not answer may hold a newer one. A failover takes the newest that can be had, because waiting for
/// a store that died with its cluster would defeat it; it does not take *nothing* while a store is silent. A
/// relocation waits; one that was called off, and whose peer is given up, takes what this cluster stored last, because nobody
/// else was primary since.
/// A first placement goes on when the others are provably empty.
///
/// A newer set with gaps does not count, unless it holds pairs of volume and claim that the complete one lacks: those
/// would be lost without a word.
///
/// Stores that are all empty prove a first placement only. An application that has been placed was stored, or had no time
/// to be; starting it on nothing would then make new volumes the ones that count.
pub(super) fn choose<'a>(order: &Order, recovery: &'a Recovery, accepts_nothing: bool) -> Result<Chosen<'a>, Verdict> {
    let mut sets: Vec<(&'a str, &'a StoredSet)> = Vec::new();
    let (mut unread, mut empty) = (Vec::new(), 0);
    for (profile, read) in &recovery.stores {
        match read {
            StoreRead::Empty => empty += 1,
            StoreRead::Unreadable(why) => unread.push(format!("{profile}: {why}")),
            StoreRead::Set(set) => match conflict(set) {
                Some(why) => unread.push(format!("{profile}: {why}")),
                None => sets.extend([&**set].into_iter().chain(&set.passed_over).map(|set| (profile.as_str(), set))),
            },
        }
    }
    // The first of equally new ones in the order of the spec.
    let newest = sets.iter().copied().reduce(|best, other| if other.1.is_newer_than(best.1) { other } else { best });
    let silent = !unread.is_empty();
    let planned = order.intent == Intent::Relocate || order.intent.is_way_back();
    let reclaims = order.intent == Intent::Reclaim && newest.is_some_and(|(_, set)| is_own(order, set));
    let waits = |text: String| Err(Verdict::waits(reason::ERROR, text));
    match newest {
        _ if silent && planned && !reclaims => waits(format!(
            "a relocation restores from the newest data only, and not every store could be read: {}",
            unread.join("; ")
        )),
        None if silent && !(order.deploys && empty > 0) => {
            waits(format!("no store could be read that holds the group's data: {}", unread.join("; ")))
        }
        None if !order.deploys && !accepts_nothing => waits(format!(
            "every store says that it holds nothing of the group, which was protected before: were they emptied, or \
             replaced? Bring back what they held. To start without it, annotate the group with {}={}",
            names::ACCEPT_EMPTY_S3,
            consent(order)
        )),
        None => Ok(Chosen { set: None, profile: "", unread }),
        Some((profile, set)) => match lost(&sets, profile, set) {
            Some(why) => waits(why),
            None => Ok(Chosen { set: Some(set), profile, unread }),
        },
    }
}

/// What later sets hold that `chosen` lacks. Only those with gaps can be later: of complete ones the newest is chosen.
fn lost(sets: &[(&str, &StoredSet)], profile: &str, chosen: &StoredSet) -> Option<String> {
    let kept = whole_pairs(chosen);
    let later = sets.iter().filter(|(_, set)| set.is_later_than(chosen));
    let lost = later.filter_map(|(other, set)| {
        let pairs = whole_pairs(set);
        let lost: Vec<String> = pairs
            .difference(&kept)
            .map(|(volume, claim)| format!("claim {claim} with PersistentVolume {volume}"))
            .collect();
        let gaps = set.gaps.join("; ");
        (!lost.is_empty())
            .then(|| format!("what store {other} holds is newer and incomplete ({gaps}) and holds {}", lost.join(", ")))
    });
    let lost: Vec<String> = lost.collect();
    (!lost.is_empty()).then(|| {
        format!(
            "{}; the newest complete set, in store {profile}, lacks that. Bring back what is missing there, or remove \
             from that store what the application does without",
            lost.join(". ")
        )
    })
}

/// The volumes of a set whose claims it holds as well.
fn whole_pairs(set: &StoredSet) -> BTreeSet<(&str, ObjectKey)> {
    let claims: BTreeSet<ObjectKey> = set.claims.iter().map(ObjectKey::of).collect();
    let pair = |volume: &'_ PersistentVolume| claim_of(volume).filter(|claim| claims.contains(claim));
    let volumes = set.volumes.iter();
    volumes.filter_map(|volume| Some((volume.metadata.name.as_deref()?, pair(volume)?))).collect()
}

/// Two volumes for one claim: two clusters were primary, and a person has to say which one is right.
fn conflict(set: &StoredSet) -> Option<String> {
    let mut claimed: BTreeMap<ObjectKey, &str> = BTreeMap::new();
    for volume in &set.volumes {
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        let Some(claim) = claim_of(volume) else { continue };
        if let Some(other) = claimed.insert(claim.clone(), name) {
            return Some(format!(
                "PersistentVolumes {other} and {name} both belong to claim {claim}; remove the wrong one from the store"
            ));
        }
    }
    None
}

/// What [`names::ACCEPT_EMPTY_S3`] has to say: it is meant for one action, and stays on the group.
pub(super) fn consent(order: &Order) -> &str {
    if order.writer.action.is_empty() { "true" } else { &order.writer.action }
}

/// This cluster wrote the set.
pub(super) fn is_own(order: &Order, set: &StoredSet) -> bool {
    set.capture.is_some() && !set.cluster.is_empty() && set.cluster == order.writer.cluster
}
