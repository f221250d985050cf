//! The verbs of csi-addons: enable, promote, demote, resync, information, disable.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    ArrayId, Arrays, Code, Discarded, Health, Info, Mode, Promotion, Replication, SideState, StorageError, UnitId,
    VolumeHandle, What,
    image::common_prefix,
    relation::{Relation, Role, Side, SyncReport, peer_of},
};

type Result<T> = std::result::Result<T, StorageError>;

pub(super) fn refused(message: String) -> StorageError {
    StorageError::new(Code::FailedPrecondition, message)
}

impl Arrays {
    /// A unit's relation and the side that `array` has in it, unless that side disabled it.
    pub(super) fn relation_side(&self, unit: &UnitId, array: &ArrayId) -> Option<(&Relation, usize)> {
        let relation = self.relations.get(unit)?;
        let side = relation.side_of(array)?;
        (relation.removed_by != Some(side)).then_some((relation, side))
    }

    pub(super) fn replicated(&self, unit: &UnitId, array: &ArrayId) -> Result<(&Relation, usize)> {
        self.relation_side(unit, array)
            .ok_or_else(|| refused(format!("replication of {unit} is not enabled on array {array}")))
    }

    /// Whether side `side` has blocks that the peer, which is the source, does not have.
    pub(super) fn diverged(&self, relation: &Relation, side: usize) -> bool {
        let array = &relation.sides[side].array;
        relation.members.iter().any(|(handle, common)| self.length(array, handle) > *common)
    }

    /// The side whose data has to travel: the only primary or, when both are demoted, the one whose demotion the
    /// other has not got. Of two unsent demotions the side with writes of its own goes first.
    pub(super) fn source(&self, relation: &Relation) -> Option<usize> {
        if relation.removed_by.is_some() {
            return None;
        }
        let [one, other] = &relation.sides;
        match (one.role, other.role) {
            (Role::Primary, Role::Secondary) => Some(0),
            (Role::Secondary, Role::Primary) => Some(1),
            (Role::Primary, Role::Primary) => None,
            (Role::Secondary, Role::Secondary) => match (one.unsent, other.unsent) {
                (true, false) => Some(0),
                (false, true) => Some(1),
                (false, false) => None,
                (true, true) => match (self.diverged(relation, 0), self.diverged(relation, 1)) {
                    (true, true) => None,
                    (_, false) => Some(0),
                    (false, true) => Some(1),
                },
            },
        }
    }

    /// What a unit is doing on an array, as this array can know it.
    #[must_use]
    pub fn state(&self, array: &ArrayId, unit: &UnitId) -> SideState {
        let Some((relation, side)) = self.relation_side(unit, array) else { return SideState::Unreplicated };
        let (own, peer) = (&relation.sides[side], &relation.sides[peer_of(side)]);
        if own.role == Role::Primary {
            return SideState::Primary;
        }
        if !self.connected(&own.array, &peer.array) || relation.removed_by.is_some() {
            return SideState::Disconnected;
        }
        if own.resyncing {
            return SideState::Resyncing;
        }
        match (peer.role, own.unsent, peer.unsent) {
            (Role::Primary, _, _) if self.diverged(relation, side) => SideState::SplitBrain,
            (Role::Primary, _, _) => SideState::Replaying,
            (Role::Secondary, true, true) if self.source(relation).is_none() => SideState::SplitBrain,
            (Role::Secondary, false, false) => SideState::Demoted,
            (Role::Secondary, _, _) => SideState::Exchanging,
        }
    }

    /// Starts replicating volumes as one unit, with `array` as primary. Repeating it is fine; on a unit that is
    /// replicated already it changes the schedule and nothing else.
    ///
    /// # Errors
    /// `NotFound` (a volume is missing), `InvalidArgument` (no such peer), `AlreadyExists` (a volume is in another
    /// unit), `Unavailable`.
    pub fn enable(
        &mut self,
        array: &ArrayId,
        unit: &UnitId,
        members: &[VolumeHandle],
        replication: &Replication,
        now: Timestamp,
    ) -> Result<()> {
        self.advance(now);
        self.array(array)?;
        if let Some(relation) = self.relations.get_mut(unit) {
            let Some(side) = relation.side_of(array) else {
                let message = format!("{unit} is replicated between other arrays than {array}");
                return Err(StorageError::new(Code::InvalidArgument, message));
            };
            relation.mode = replication.mode;
            if relation.removed_by == Some(side) {
                relation.removed_by = None;
                relation.orphans.retain(|(_, handle)| !members.contains(handle));
                relation.sides[side] = Side::new(array.clone(), Role::Primary);
                let peer = relation.sides[peer_of(side)].array.clone();
                self.adopt(array, unit, members)?;
                let common = self.commons(array, &peer, members);
                self.known(unit)?.members = common;
                self.emit(now, array, unit.clone(), What::Enabled);
                self.kick(unit, now);
            }
            return Ok(());
        }
        let peer = self.choose_peer(array, replication)?;
        self.adopt(array, unit, members)?;
        let common = self.commons(array, &peer, members);
        for handle in members {
            if let Some(image) = self.arrays.get_mut(&peer).and_then(|a| a.images.get_mut(handle)) {
                image.unit = Some(unit.clone());
            }
        }
        let relation = Relation {
            sides: [Side::new(array.clone(), Role::Primary), Side::new(peer, Role::Secondary)],
            mode: replication.mode,
            members: common,
            next_at: None,
            transfer: None,
            last: None,
            broken: false,
            removed_by: None,
            orphans: Vec::new(),
        };
        self.relations.insert(unit.clone(), relation);
        self.emit(now, array, unit.clone(), What::Enabled);
        self.kick(unit, now);
        Ok(())
    }

    fn choose_peer(&self, array: &ArrayId, replication: &Replication) -> Result<ArrayId> {
        let linked: Vec<&ArrayId> = self
            .links
            .keys()
            .filter_map(|(a, b)| if a == array { Some(b) } else { (b == array).then_some(a) })
            .collect();
        let wrong = |message: String| Err(StorageError::new(Code::InvalidArgument, message));
        match (&replication.peer, linked.as_slice()) {
            (Some(peer), linked) if linked.contains(&peer) => Ok(peer.clone()),
            (Some(peer), _) => wrong(format!("array {array} has no link to {peer}")),
            (None, [only]) => Ok((*only).clone()),
            (None, []) => wrong(format!("array {array} has no peer")),
            (None, _) => wrong(format!("array {array} has several peers: one has to be named")),
        }
    }

    /// Takes volumes of `array` into a unit: all of them or, when one cannot be taken, none.
    pub(super) fn adopt(&mut self, array: &ArrayId, unit: &UnitId, members: &[VolumeHandle]) -> Result<()> {
        for handle in members {
            let image = self.image(array, handle)?;
            if let Some(other) = image.unit.as_ref().filter(|other| *other != unit) {
                let message = format!("volume {handle} is replicated as part of {other}");
                return Err(StorageError::new(Code::AlreadyExists, message));
            }
        }
        for handle in members {
            self.image(array, handle)?.unit = Some(unit.clone());
        }
        Ok(())
    }

    /// For each volume how many blocks two arrays have in common.
    pub(super) fn commons(
        &self,
        one: &ArrayId,
        other: &ArrayId,
        members: &[VolumeHandle],
    ) -> BTreeMap<VolumeHandle, usize> {
        let log = |array, handle| {
            let images = self.arrays.get(array).map(|a| &a.images);
            images.and_then(|images| images.get(handle)).map_or(&[][..], |image| &image.log)
        };
        members.iter().map(|h| (h.clone(), common_prefix(log(one, h), log(other, h)))).collect()
    }

    /// Makes the unit on `array` primary. Without force only when its last snapshot is a demotion, so that nothing
    /// can be lost; with force from the last complete snapshot, whatever the peer is doing.
    ///
    /// # Errors
    /// `FailedPrecondition` (not enabled, or only possible with force), `NotFound` (the replica has never been
    /// complete), `Unavailable`.
    pub fn promote(&mut self, array: &ArrayId, unit: &UnitId, force: bool, now: Timestamp) -> Result<Promotion> {
        self.advance(now);
        self.array(array)?;
        let (relation, side) = self.replicated(unit, array)?;
        let own = &relation.sides[side];
        if own.role == Role::Primary {
            return Ok(Promotion::Already);
        }
        let peer = &relation.sides[peer_of(side)];
        let seen_by = self.connected(array, &peer.array).then(|| peer.array.clone());
        let clean = own.promotable && !(peer.role == Role::Primary && seen_by.is_some());
        if !clean && !force {
            let message =
                format!("{unit} on array {array}: the peer has not been demoted, or its demotion is not here");
            return Err(refused(message));
        }
        for handle in relation.members.keys() {
            if !self.arrays.get(array).is_some_and(|a| a.images.contains_key(handle)) {
                let message = format!("no volume {handle} on array {array}: it has never been replicated completely");
                return Err(StorageError::new(Code::NotFound, message));
            }
        }
        let relation = self.known(unit)?;
        relation.sides[side] = Side::new(array.clone(), Role::Primary);
        relation.broken = !clean;
        // What is on its way is an incomplete snapshot, or a demotion that is no longer true: it is dropped.
        relation.transfer = None;
        self.emit(now, array, unit.clone(), What::Promoted { forced: !clean });
        if let Some(peer) = seen_by {
            self.emit(now, &peer, unit.clone(), What::PeerPromoted);
        }
        self.kick(unit, now);
        Ok(if clean { Promotion::Clean } else { Promotion::Forced })
    }

    /// Makes the unit on `array` secondary. What was written before travels to the peer, with the fact of the
    /// demotion, as soon as the link allows.
    ///
    /// # Errors
    /// `FailedPrecondition` (not enabled), `Unavailable`.
    pub fn demote(&mut self, array: &ArrayId, unit: &UnitId, now: Timestamp) -> Result<()> {
        self.advance(now);
        self.array(array)?;
        let (relation, side) = self.replicated(unit, array)?;
        if relation.sides[side].role == Role::Secondary {
            return Ok(());
        }
        let relation = self.known(unit)?;
        relation.sides[side] = Side { promotable: true, unsent: true, ..Side::new(array.clone(), Role::Secondary) };
        // The demotion snapshot replaces a scheduled one that is still on its way.
        relation.transfer = None;
        self.emit(now, array, unit.clone(), What::Demoted);
        self.kick(unit, now);
        Ok(())
    }

    /// Whether a demoted unit is in sync with its peer. With `force`, a side in split-brain throws its own writes
    /// after the common point away and copies from the peer; without, it never discards anything.
    ///
    /// # Errors
    /// `FailedPrecondition` (not enabled, not demoted, or split-brain without force), `Unavailable`.
    pub fn resync(&mut self, array: &ArrayId, unit: &UnitId, force: bool, now: Timestamp) -> Result<bool> {
        self.advance(now);
        self.array(array)?;
        let (relation, side) = self.replicated(unit, array)?;
        let caught_up = relation.transfer.is_none() && !self.behind(relation, side);
        match self.state(array, unit) {
            SideState::Primary | SideState::Unreplicated => {
                Err(refused(format!("{unit} on array {array} is not demoted")))
            }
            SideState::Disconnected | SideState::Exchanging | SideState::Resyncing => Ok(false),
            SideState::Replaying => Ok(self.ready_while_primary && caught_up),
            SideState::Demoted => Ok(true),
            SideState::SplitBrain if !force => {
                let message = format!("{unit} on array {array} is in split-brain: force the resync to recover it");
                Err(refused(message))
            }
            SideState::SplitBrain => {
                self.discard(array, unit, side, now)?;
                Ok(false)
            }
        }
    }

    /// Whether the peer of `side` has blocks that `side` does not have.
    fn behind(&self, relation: &Relation, side: usize) -> bool {
        self.diverged(relation, peer_of(side))
    }

    fn discard(&mut self, array: &ArrayId, unit: &UnitId, side: usize, now: Timestamp) -> Result<()> {
        let mut discarded = Discarded::default();
        for (handle, common) in self.known(unit)?.members.clone() {
            let gone = self.image(array, &handle)?.truncate(common);
            discarded.blocks += gone.blocks;
            discarded.bytes += gone.bytes;
        }
        let relation = self.known(unit)?;
        relation.sides[side] = Side { resyncing: true, ..Side::new(array.clone(), Role::Secondary) };
        self.emit(now, array, unit.clone(), What::Discarded(discarded));
        self.kick(unit, now);
        Ok(())
    }

    /// How replication of a primary is doing.
    ///
    /// # Errors
    /// `FailedPrecondition` (not enabled, or not primary), `NotFound` (nothing has been shipped yet), `Unavailable`.
    pub fn info(&mut self, array: &ArrayId, unit: &UnitId, now: Timestamp) -> Result<Info> {
        self.advance(now);
        self.array(array)?;
        let (relation, side) = self.replicated(unit, array)?;
        let peer = &relation.sides[peer_of(side)];
        if relation.sides[side].role != Role::Primary {
            return Err(refused(format!("{unit} on array {array} is not primary")));
        }
        let Some(mut last) = relation.last else {
            return Err(StorageError::new(Code::NotFound, format!("{unit} has never been replicated completely")));
        };
        let health = if !self.connected(array, &peer.array) {
            Health::Degraded(format!("array {} cannot be reached", peer.array))
        } else if peer.role == Role::Primary {
            Health::Degraded(format!("the copy on array {} is primary too", peer.array))
        } else if self.diverged(relation, peer_of(side)) {
            Health::Degraded(format!("the copy on array {} is in split-brain", peer.array))
        } else {
            Health::Healthy
        };
        if matches!(relation.mode, Mode::Sync { .. }) && health == Health::Healthy && !self.diverged(relation, side) {
            last = SyncReport { at: now, ..last };
        }
        Ok(Info { last, health })
    }

    /// Stops replicating a unit; the local content stays. On the primary the replicas go as soon as the peer can be
    /// told. On a healthy secondary nothing is done: the relation is the primary's.
    ///
    /// # Errors
    /// `FailedPrecondition` on a secondary that is not in order, `Unavailable`.
    pub fn disable(&mut self, array: &ArrayId, unit: &UnitId, now: Timestamp) -> Result<()> {
        self.advance(now);
        self.array(array)?;
        let Some((relation, side)) = self.relation_side(unit, array) else { return Ok(()) };
        match self.state(array, unit) {
            SideState::Primary => {}
            SideState::Replaying | SideState::Demoted => return Ok(()),
            state => {
                let message = format!("{unit} on array {array} is a secondary ({state:?}): cannot be disabled");
                return Err(refused(message));
            }
        }
        let members: Vec<VolumeHandle> = relation.members.keys().cloned().collect();
        for handle in &members {
            self.image(array, handle)?.unit = None;
        }
        if let Some(relation) = self.relations.get_mut(unit) {
            relation.removed_by = Some(side);
            relation.transfer = None;
            relation.orphans.extend(members.into_iter().map(|handle| (peer_of(side), handle)));
        }
        self.emit(now, array, unit.clone(), What::Disabled);
        self.kick(unit, now);
        Ok(())
    }

    pub(super) fn known(&mut self, unit: &UnitId) -> Result<&mut Relation> {
        self.relations.get_mut(unit).ok_or_else(|| refused(format!("replication of {unit} is not enabled")))
    }
}
