//! [`Arrays`]: all arrays and links, their volumes, reading and writing, fencing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    ArrayId, Code, Content, DeleteOutcome, Event, LinkSettings, Mode, SideState, StorageError, SyncPolicy, UnitId,
    VolumeHandle, What,
    image::Image,
    relation::{Relation, Role, peer_of},
};

type Result<T> = std::result::Result<T, StorageError>;

/// One storage array.
#[derive(Clone, Debug)]
pub(super) struct Array {
    pub(super) alive: bool,
    pub(super) images: BTreeMap<VolumeHandle, Image>,
    /// Networks whose I/O is refused.
    pub(super) fences: BTreeSet<String>,
}

/// A link between two arrays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) up: bool,
    pub(super) settings: LinkSettings,
}

/// All arrays, the links between them, and the replication over those links.
///
/// Every call that is handed the time first lets everything happen that was due before it, so the outcome does not
/// depend on how often somebody looks.
#[derive(Clone, Debug, Default)]
pub struct Arrays {
    pub(super) arrays: BTreeMap<ArrayId, Array>,
    pub(super) links: BTreeMap<(ArrayId, ArrayId), Link>,
    pub(super) relations: BTreeMap<UnitId, Relation>,
    /// Whether a secondary that follows a live primary answers a resync with "ready". Ceph never does.
    pub(super) ready_while_primary: bool,
    pub(super) events: Vec<Event>,
}

impl Arrays {
    /// No arrays yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether a healthy secondary answers a resync with "ready" while its primary is alive (default: no, as
    /// Ceph).
    pub fn set_ready_while_primary(&mut self, ready: bool) {
        self.ready_while_primary = ready;
    }

    /// Adds an empty array. One that exists already is left as it is.
    pub fn add_array(&mut self, id: &ArrayId) {
        self.arrays.entry(id.clone()).or_insert_with(|| Array {
            alive: true,
            images: BTreeMap::new(),
            fences: BTreeSet::new(),
        });
    }

    /// Links two arrays, so that units can be replicated between them.
    pub fn link(&mut self, one: &ArrayId, other: &ArrayId, settings: LinkSettings) {
        self.links.insert(link_key(one, other), Link { up: true, settings });
    }

    /// The events since the last call, oldest first.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn emit(&mut self, at: Timestamp, array: &ArrayId, unit: UnitId, what: What) {
        self.events.push(Event { at, array: array.clone(), unit, what });
    }

    /// The array, if it exists and is alive.
    pub(super) fn array(&mut self, id: &ArrayId) -> Result<&mut Array> {
        match self.arrays.get_mut(id) {
            None => Err(StorageError::new(Code::NotFound, format!("no array {id}"))),
            Some(array) if !array.alive => {
                Err(StorageError::new(Code::Unavailable, format!("array {id} cannot be reached")))
            }
            Some(array) => Ok(array),
        }
    }

    pub(super) fn image(&mut self, array: &ArrayId, handle: &VolumeHandle) -> Result<&mut Image> {
        self.array(array)?
            .images
            .get_mut(handle)
            .ok_or_else(|| StorageError::new(Code::NotFound, format!("no volume {handle} on array {array}")))
    }

    /// How many blocks `array` has of a volume, whether the array is alive or not.
    pub(super) fn length(&self, array: &ArrayId, handle: &VolumeHandle) -> usize {
        self.arrays.get(array).and_then(|a| a.images.get(handle)).map_or(0, |image| image.log.len())
    }

    /// Whether `array` has a volume of this handle, whether the array is alive or not.
    #[must_use]
    pub fn has_volume(&self, array: &ArrayId, handle: &VolumeHandle) -> bool {
        self.arrays.get(array).is_some_and(|a| a.images.contains_key(handle))
    }

    /// Whether both arrays are alive and the link between them is up.
    #[must_use]
    pub fn connected(&self, one: &ArrayId, other: &ArrayId) -> bool {
        let alive = |id| self.arrays.get(id).is_some_and(|array| array.alive);
        alive(one) && alive(other) && self.links.get(&link_key(one, other)).is_some_and(|link| link.up)
    }

    /// Creates an empty volume, or finds the one that this handle names already.
    ///
    /// # Errors
    /// `Unavailable` when the array is down; `AlreadyExists` when the handle names a smaller volume.
    pub fn create(&mut self, array: &ArrayId, handle: &VolumeHandle, capacity: u64, now: Timestamp) -> Result<()> {
        self.advance(now);
        let images = &mut self.array(array)?.images;
        match images.get(handle) {
            Some(image) if image.capacity >= capacity => return Ok(()),
            Some(image) => {
                let message = format!("volume {handle} exists with {} bytes, {capacity} are asked for", image.capacity);
                return Err(StorageError::new(Code::AlreadyExists, message));
            }
            None => images.insert(handle.clone(), Image::new(capacity)),
        };
        self.emit(now, array, handle.into(), What::Created);
        Ok(())
    }

    /// Appends a block to a volume, on behalf of a client at `addresses` (its networks, CIDR). When this returns
    /// `Ok` the write is acknowledged: a synchronous relation then has it on both arrays, unless it is degraded.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable` (array down, or a synchronous relation that stalls), `Fenced`, and
    /// `FailedPrecondition` when the volume is a secondary.
    pub fn write(
        &mut self,
        array: &ArrayId,
        handle: &VolumeHandle,
        block: Bytes,
        addresses: &[String],
        now: Timestamp,
    ) -> Result<()> {
        self.advance(now);
        self.check_fence(array, addresses)?;
        let unit = self.image(array, handle)?.unit.clone();
        if let Some((relation, side)) = unit.as_ref().and_then(|unit| self.relation_side(unit, array)) {
            if relation.sides[side].role == Role::Secondary {
                return Err(read_only(array, handle));
            }
            if let Mode::Sync { policy } = relation.mode {
                let policy = if relation.broken { SyncPolicy::Degrade } else { policy };
                return self.write_both(array, handle, unit.as_ref(), block, policy, now);
            }
        }
        self.image(array, handle)?.log.push(block);
        Ok(())
    }

    fn write_both(
        &mut self,
        array: &ArrayId,
        handle: &VolumeHandle,
        unit: Option<&UnitId>,
        block: Bytes,
        policy: SyncPolicy,
        now: Timestamp,
    ) -> Result<()> {
        let local = self.length(array, handle);
        let target = unit.and_then(|unit| self.relation_side(unit, array)).and_then(|(relation, side)| {
            let peer = &relation.sides[peer_of(side)];
            let in_step = relation.members.get(handle) == Some(&local)
                && self.length(&peer.array, handle) == local
                && peer.role == Role::Secondary;
            (in_step && self.connected(array, &peer.array)).then(|| peer.array.clone())
        });
        match (target, policy) {
            (Some(peer), _) => {
                self.image(&peer, handle)?.log.push(block.clone());
                self.image(array, handle)?.log.push(block);
                if let Some(common) =
                    unit.and_then(|u| self.relations.get_mut(u)).and_then(|r| r.members.get_mut(handle))
                {
                    *common += 1;
                }
                Ok(())
            }
            (None, SyncPolicy::Stall) => {
                let message = format!("the write to {handle} cannot reach the peer of array {array}");
                Err(StorageError::new(Code::Unavailable, message))
            }
            (None, SyncPolicy::Degrade) => {
                self.image(array, handle)?.log.push(block);
                if let Some(unit) = unit {
                    self.kick(&unit.clone(), now);
                }
                Ok(())
            }
        }
    }

    /// Whether a write to a volume would be taken now, fences aside.
    ///
    /// # Errors
    /// As [`Arrays::write`].
    pub fn check_writable(&mut self, array: &ArrayId, handle: &VolumeHandle) -> Result<()> {
        let unit = self.image(array, handle)?.unit.clone();
        match unit.and_then(|unit| self.relation_side(&unit, array)) {
            Some((relation, side)) if relation.sides[side].role == Role::Secondary => Err(read_only(array, handle)),
            _ => Ok(()),
        }
    }

    /// A volume's content as `array` has it, read by a client at `addresses`.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Fenced`.
    pub fn read(
        &mut self,
        array: &ArrayId,
        handle: &VolumeHandle,
        addresses: &[String],
        now: Timestamp,
    ) -> Result<Content> {
        self.advance(now);
        self.check_fence(array, addresses)?;
        Ok(self.image(array, handle)?.content())
    }

    /// A volume's content as it lies on the array, also when the array is down: for audits, not for clients.
    #[must_use]
    pub fn inspect(&self, array: &ArrayId, handle: &VolumeHandle) -> Option<Content> {
        self.arrays.get(array)?.images.get(handle).map(Image::content)
    }

    /// Deletes a volume as a driver's DeleteVolume does: a replica that follows a live primary is left alone, any
    /// other secondary is refused, everything else is really gone, and its replica with it.
    ///
    /// # Errors
    /// `Unavailable`, and `FailedPrecondition` for a secondary that does not follow a live primary.
    pub fn delete(&mut self, array: &ArrayId, handle: &VolumeHandle, now: Timestamp) -> Result<DeleteOutcome> {
        self.advance(now);
        let Some(unit) = self.array(array)?.images.get(handle).map(|image| image.unit.clone()) else {
            return Ok(DeleteOutcome::Absent);
        };
        if let Some(unit) = &unit {
            match self.state(array, unit) {
                SideState::Primary | SideState::Unreplicated => self.forget_member(array, unit, handle),
                SideState::Replaying => return Ok(DeleteOutcome::LeftToPrimary),
                state => {
                    let message = format!("volume {handle} on array {array} is a secondary ({state:?}): not deleted");
                    return Err(StorageError::new(Code::FailedPrecondition, message));
                }
            }
        }
        let bytes = self.array(array)?.images.remove(handle).map_or(0, |image| image.size());
        self.emit(now, array, handle.into(), What::Deleted { bytes });
        if let Some(unit) = unit {
            self.kick(&unit, now);
        }
        Ok(DeleteOutcome::Deleted)
    }

    /// Takes a snapshot of several volumes at one moment. An existing snapshot of that name is kept as it is.
    ///
    /// # Errors
    /// `NotFound` when a volume is missing (then no snapshot is taken of any), `Unavailable`.
    pub fn snapshot(&mut self, array: &ArrayId, handles: &[VolumeHandle], name: &str, now: Timestamp) -> Result<()> {
        self.advance(now);
        for handle in handles {
            self.image(array, handle)?;
        }
        for handle in handles {
            let image = self.image(array, handle)?;
            let content = image.content();
            image.snapshots.entry(name.to_owned()).or_insert(content);
        }
        Ok(())
    }

    /// A snapshot's content.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub fn read_snapshot(&mut self, array: &ArrayId, handle: &VolumeHandle, name: &str) -> Result<Content> {
        let image = self.image(array, handle)?;
        image.snapshots.get(name).cloned().ok_or_else(|| {
            StorageError::new(Code::NotFound, format!("no snapshot {name} of volume {handle} on array {array}"))
        })
    }

    /// Deletes a snapshot; one that is not there is fine.
    ///
    /// # Errors
    /// `NotFound` when the volume is missing, `Unavailable`.
    pub fn delete_snapshot(&mut self, array: &ArrayId, handle: &VolumeHandle, name: &str) -> Result<()> {
        self.image(array, handle)?.snapshots.remove(name);
        Ok(())
    }

    /// Replaces a volume's content as a mover does that copies from elsewhere.
    ///
    /// # Errors
    /// As [`Arrays::write`].
    pub fn overwrite(
        &mut self,
        array: &ArrayId,
        handle: &VolumeHandle,
        content: Content,
        now: Timestamp,
    ) -> Result<()> {
        self.advance(now);
        let unit = self.image(array, handle)?.unit.clone();
        if let Some(unit) = unit {
            let state = self.state(array, &unit);
            if state != SideState::Primary && state != SideState::Unreplicated {
                return Err(read_only(array, handle));
            }
            if self.relations.contains_key(&unit) {
                // Replication here ships what was appended; a rewritten log would need a full copy of the unit.
                let message = format!("volume {handle} is replicated: its content cannot be replaced");
                return Err(StorageError::new(Code::Unimplemented, message));
            }
        }
        self.image(array, handle)?.log = content.blocks;
        Ok(())
    }

    /// The handles of all volumes on an array, also when it is down.
    #[must_use]
    pub fn volumes(&self, array: &ArrayId) -> Vec<VolumeHandle> {
        self.arrays.get(array).map(|a| a.images.keys().cloned().collect()).unwrap_or_default()
    }

    /// Fences or unfences a network (CIDR) on an array.
    ///
    /// # Errors
    /// `InvalidArgument` when it is not a CIDR, `Unavailable`.
    pub fn fence(&mut self, array: &ArrayId, cidr: &str, fenced: bool, now: Timestamp) -> Result<()> {
        self.advance(now);
        if parse_cidr(cidr).is_none() {
            return Err(StorageError::new(Code::InvalidArgument, format!("{cidr} is not a CIDR")));
        }
        let fences = &mut self.array(array)?.fences;
        let changed = if fenced { fences.insert(cidr.to_owned()) } else { fences.remove(cidr) };
        if changed {
            let what = What::Fence { cidr: cidr.to_owned(), fenced };
            self.emit(now, array, array.as_str().into(), what);
        }
        Ok(())
    }

    fn check_fence(&mut self, array: &ArrayId, addresses: &[String]) -> Result<()> {
        let fences = &self.array(array)?.fences;
        let hit = addresses.iter().find(|address| fences.iter().any(|fence| overlaps(fence, address)));
        hit.map_or(Ok(()), |address| {
            Err(StorageError::new(Code::Fenced, format!("{address} is fenced on array {array}")))
        })
    }
}

fn read_only(array: &ArrayId, handle: &VolumeHandle) -> StorageError {
    let message = format!("volume {handle} on array {array} is secondary: read-only");
    StorageError::new(Code::FailedPrecondition, message)
}

pub(super) fn link_key(one: &ArrayId, other: &ArrayId) -> (ArrayId, ArrayId) {
    if one <= other { (one.clone(), other.clone()) } else { (other.clone(), one.clone()) }
}

/// The network's first address as bits from the left, and its prefix length. A bare address is its own network.
fn parse_cidr(cidr: &str) -> Option<(u128, u32)> {
    let (address, prefix) = cidr.split_once('/').map_or((cidr, None), |(a, p)| (a, Some(p)));
    let (bits, base) = match address.parse::<IpAddr>().ok()? {
        // An IPv4 network is held as its mapped IPv6 network, so that both compare alike.
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), 96),
        IpAddr::V6(v6) => (v6.to_bits(), 0),
    };
    let length = match prefix {
        Some(text) => base + text.parse::<u32>().ok()?,
        None => 128,
    };
    (length <= 128).then_some((bits, length))
}

fn overlaps(one: &str, other: &str) -> bool {
    match (parse_cidr(one), parse_cidr(other)) {
        (Some((a, la)), Some((b, lb))) => {
            let shared = la.min(lb);
            shared == 0 || (a ^ b) >> (128 - shared) == 0
        }
        _ => false,
    }
}
