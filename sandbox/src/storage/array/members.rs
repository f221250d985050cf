//! The members of a replicated group: who joins, who leaves.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    ArrayId, Arrays, StorageError, UnitId, VolumeHandle, What,
    control::refused,
    relation::{Role, peer_of},
};

type Result<T> = std::result::Result<T, StorageError>;

impl Arrays {
    /// Sets the complete list of a replicated group's members.
    ///
    /// # Errors
    /// `FailedPrecondition` (not enabled or not primary), `NotFound`, `AlreadyExists`, `Unavailable`.
    pub fn set_members(
        &mut self,
        array: &ArrayId,
        unit: &UnitId,
        members: &[VolumeHandle],
        now: Timestamp,
    ) -> Result<()> {
        self.advance(now);
        self.array(array)?;
        let (relation, side) = self.replicated(unit, array)?;
        let wanted: BTreeSet<&VolumeHandle> = members.iter().collect();
        if relation.members.keys().collect::<BTreeSet<_>>() == wanted {
            return Ok(());
        }
        if relation.sides[side].role != Role::Primary {
            return Err(refused(format!("{unit} on array {array} is not primary: its members cannot change")));
        }
        let peer = relation.sides[peer_of(side)].array.clone();
        self.adopt(array, unit, members)?;
        let common = self.commons(array, &peer, members);
        let gone: Vec<VolumeHandle> =
            self.known(unit)?.members.keys().filter(|handle| !wanted.contains(handle)).cloned().collect();
        for handle in gone {
            self.forget_member(array, unit, &handle);
        }
        let relation = self.known(unit)?;
        for (handle, shared) in common {
            relation.members.entry(handle).or_insert(shared);
        }
        relation.transfer = None;
        self.emit(now, array, unit.clone(), What::Members);
        self.kick(unit, now);
        Ok(())
    }

    /// Takes a volume out of its unit on the primary; its replica goes on the next contact.
    pub(super) fn forget_member(&mut self, array: &ArrayId, unit: &UnitId, handle: &VolumeHandle) {
        if let Some(image) = self.arrays.get_mut(array).and_then(|a| a.images.get_mut(handle)) {
            image.unit = None;
        }
        let Some(relation) = self.relations.get_mut(unit) else { return };
        let Some(side) = relation.side_of(array) else { return };
        relation.members.remove(handle);
        relation.transfer = None;
        relation.orphans.push((peer_of(side), handle.clone()));
        // A unit without members is nothing to replicate any more, unless it is a group that may fill again.
        if relation.members.is_empty() && unit.as_str() == handle.as_str() {
            relation.removed_by = Some(side);
        }
    }
}
