//! The passing of time: schedules, transfers, and what happens on contact after a cut.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    ArrayId, Arrays, LinkSettings, Mode, SyncReport, UnitId, VolumeHandle, What,
    image::{Image, size_of_blocks},
    relation::{Relation, Role, Transfer, peer_of},
    world::link_key,
};

impl Arrays {
    /// Lets everything happen that is due at or before `now`, in order and each at its own time.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((at, unit)) = self.next_due().filter(|(at, _)| *at <= now) {
            self.step(&unit, at);
        }
    }

    /// When something happens next by itself, and to which unit.
    #[must_use]
    pub fn next_due(&self) -> Option<(Timestamp, UnitId)> {
        // Of those that are due at the same time the first: units are in order, and need not be compared.
        let due = self.relations.iter().filter_map(|(unit, relation)| due(relation).map(|at| (at, unit)));
        due.min_by_key(|(at, _)| *at).map(|(at, unit)| (at, unit.clone()))
    }

    fn step(&mut self, unit: &UnitId, at: Timestamp) {
        let Some(relation) = self.relations.get(unit) else { return };
        match &relation.transfer {
            Some(transfer) if transfer.done_at <= at => self.complete(unit, at),
            _ => self.start(unit, at),
        }
    }

    /// Has a unit looked at now: something changed that may let data travel.
    pub(super) fn kick(&mut self, unit: &UnitId, now: Timestamp) {
        if let Some(relation) = self.relations.get_mut(unit) {
            relation.next_at = Some(relation.next_at.map_or(now, |at| at.min(now)));
        }
        self.advance(now);
    }

    /// Takes a snapshot of the source and sends it, if there is a source and the peer can take it.
    fn start(&mut self, unit: &UnitId, now: Timestamp) {
        if self.contact(unit, now) {
            return;
        }
        let Some(relation) = self.relations.get(unit) else { return };
        let sending = self.source(relation).filter(|source| self.may_send(relation, *source));
        let Some(from) = sending else {
            self.tell_split_brain(unit, now);
            if let Some(relation) = self.relations.get_mut(unit) {
                relation.next_at = None;
            }
            return;
        };
        let (own, peer) = (&relation.sides[from], &relation.sides[peer_of(from)]);
        let mut upto = BTreeMap::new();
        let mut bytes = 0;
        for (handle, common) in &relation.members {
            let log = self.arrays.get(&own.array).and_then(|a| a.images.get(handle)).map_or(&[][..], |i| &i.log);
            upto.insert(handle.clone(), log.len());
            bytes += size_of_blocks(log.get(*common..).unwrap_or_default());
        }
        let settings =
            self.links.get(&link_key(&own.array, &peer.array)).map_or(LinkSettings::default(), |l| l.settings);
        let demotion = own.role == Role::Secondary;
        let transfer =
            Transfer { from, upto, demotion, taken_at: now, done_at: later(now, settings.duration(bytes)), bytes };
        if let Some(relation) = self.relations.get_mut(unit) {
            relation.next_at = match relation.mode {
                Mode::Async { interval } if !demotion => Some(later(now, interval.max(MIN_INTERVAL))),
                _ => None,
            };
            relation.transfer = Some(transfer);
        }
    }

    fn may_send(&self, relation: &Relation, from: usize) -> bool {
        let (own, peer) = (&relation.sides[from], &relation.sides[peer_of(from)]);
        self.connected(&own.array, &peer.array) && !self.diverged(relation, peer_of(from))
    }

    /// The peer has the whole snapshot: now, and not before, it becomes the peer's content, of all members at once.
    fn complete(&mut self, unit: &UnitId, now: Timestamp) {
        let Some(relation) = self.relations.get_mut(unit) else { return };
        let Some(transfer) = relation.transfer.take() else { return };
        let (source, target) = (relation.sides[transfer.from].array.clone(), peer_of(transfer.from));
        let peer = relation.sides[target].array.clone();
        let report = SyncReport {
            at: transfer.taken_at,
            duration: transfer.done_at.duration_since(transfer.taken_at).unsigned_abs(),
            bytes: transfer.bytes,
        };
        // A snapshot that fell due while this one was on its way is taken now.
        relation.next_at = relation.next_at.map(|at| at.max(now));
        relation.last = Some(report);
        relation.broken = false;
        relation.sides[target].resyncing = false;
        relation.sides[target].unsent = false;
        relation.sides[target].split_told = false;
        relation.sides[target].promotable = transfer.demotion;
        if transfer.demotion {
            relation.sides[transfer.from].unsent = false;
        }
        let members = relation.members.clone();
        let mut rest = false;
        for (handle, common) in members {
            let upto = transfer.upto.get(&handle).copied().unwrap_or(common).max(common);
            let (blocks, capacity, length) = match self.arrays.get(&source).and_then(|a| a.images.get(&handle)) {
                Some(image) => {
                    (image.log.get(common..upto).unwrap_or_default().to_vec(), image.capacity, image.log.len())
                }
                None => continue,
            };
            rest |= length > upto;
            let Some(array) = self.arrays.get_mut(&peer) else { continue };
            let image = array.images.entry(handle.clone()).or_insert_with(|| Image::new(capacity));
            image.unit = Some(unit.clone());
            image.log.extend(blocks);
            if let Some(shared) = self.relations.get_mut(unit).and_then(|r| r.members.get_mut(&handle)) {
                *shared = upto;
            }
        }
        self.emit(now, &source, unit.clone(), What::Synced(report));
        self.emit(now, &peer, unit.clone(), What::Synced(report));
        if let Some(relation) = self.relations.get_mut(unit)
            && rest
            && matches!(relation.mode, Mode::Sync { .. })
        {
            relation.next_at = Some(now);
        }
    }

    /// What both sides agree on when they can speak: a replica whose primary was disabled or deleted goes. Returns
    /// whether the relation ended.
    fn contact(&mut self, unit: &UnitId, now: Timestamp) -> bool {
        let Some(relation) = self.relations.get(unit) else { return true };
        let arrays = [relation.sides[0].array.clone(), relation.sides[1].array.clone()];
        if !self.connected(&arrays[0], &arrays[1]) {
            return false;
        }
        let roles = [relation.sides[0].role, relation.sides[1].role];
        let removed = relation.removed_by;
        let orphans = self.relations.get_mut(unit).map(|r| std::mem::take(&mut r.orphans)).unwrap_or_default();
        for (side, handle) in orphans {
            self.drop_orphan(&arrays[side], roles[side], unit, &handle, now);
        }
        if removed.is_some() {
            self.relations.remove(unit);
        }
        removed.is_some()
    }

    fn drop_orphan(&mut self, array: &ArrayId, role: Role, unit: &UnitId, handle: &VolumeHandle, now: Timestamp) {
        let Some(images) = self.arrays.get_mut(array).map(|a| &mut a.images) else { return };
        let Some(image) = images.get_mut(handle).filter(|image| image.unit.as_ref() == Some(unit)) else { return };
        // A copy that is primary itself is nobody's replica: it stays, unreplicated.
        if role == Role::Primary {
            image.unit = None;
            return;
        }
        let bytes = image.size();
        images.remove(handle);
        self.emit(now, array, handle.into(), What::Deleted { bytes });
    }

    fn tell_split_brain(&mut self, unit: &UnitId, now: Timestamp) {
        let Some(relation) = self.relations.get(unit) else { return };
        let arrays = [relation.sides[0].array.clone(), relation.sides[1].array.clone()];
        for (side, array) in arrays.iter().enumerate() {
            let split = self.state(array, unit) == super::SideState::SplitBrain;
            let Some(relation) = self.relations.get_mut(unit) else { return };
            if split && !std::mem::replace(&mut relation.sides[side].split_told, true) {
                self.emit(now, array, unit.clone(), What::SplitBrain);
            }
        }
    }

    /// Cuts or heals the link between two arrays. A transfer that is under way when it is cut starts again later.
    pub fn set_link(&mut self, one: &ArrayId, other: &ArrayId, up: bool, now: Timestamp) {
        self.advance(now);
        let Some(link) = self.links.get_mut(&link_key(one, other)) else { return };
        if std::mem::replace(&mut link.up, up) == up {
            return;
        }
        for unit in self.units_between(|a, b| link_key(a, b) == link_key(one, other)) {
            for array in [one, other] {
                self.emit(now, array, unit.clone(), What::Link { up });
            }
            self.contact_changed(&unit, now);
        }
    }

    /// Kills an array, or revives it with the content that it had.
    pub fn set_alive(&mut self, id: &ArrayId, alive: bool, now: Timestamp) {
        self.advance(now);
        let Some(array) = self.arrays.get_mut(id) else { return };
        if std::mem::replace(&mut array.alive, alive) == alive {
            return;
        }
        self.emit(now, id, id.as_str().into(), What::Power { up: alive });
        for unit in self.units_between(|a, b| a == id || b == id) {
            for array in self.relations.get(&unit).map(|r| r.sides.clone()).into_iter().flatten() {
                self.emit(now, &array.array, unit.clone(), What::Link { up: alive });
            }
            self.contact_changed(&unit, now);
        }
    }

    fn units_between(&self, matches: impl Fn(&ArrayId, &ArrayId) -> bool) -> Vec<UnitId> {
        let matching = |r: &&Relation| matches(&r.sides[0].array, &r.sides[1].array);
        self.relations.iter().filter(|(_, r)| matching(r)).map(|(unit, _)| unit.clone()).collect()
    }

    fn contact_changed(&mut self, unit: &UnitId, now: Timestamp) {
        let Some(relation) = self.relations.get(unit) else { return };
        if self.connected(&relation.sides[0].array, &relation.sides[1].array) {
            self.kick(unit, now);
        } else if let Some(relation) = self.relations.get_mut(unit) {
            relation.transfer = None;
            relation.next_at = None;
        }
    }
}

/// A schedule below this would keep the model busy without an end.
const MIN_INTERVAL: std::time::Duration = std::time::Duration::from_millis(1);

/// When a relation has something to do by itself: finish the transfer, else start the next one.
fn due(relation: &Relation) -> Option<Timestamp> {
    match &relation.transfer {
        Some(transfer) => Some(transfer.done_at),
        None => relation.next_at,
    }
}

fn later(at: Timestamp, by: std::time::Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
