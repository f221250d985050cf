//! [`Driver`]: the storage as one cluster's CSI driver sees it.

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    super::array::{
        ArrayId, Arrays, Code, Content, DeleteOutcome, Info, Promotion, Replication, SideState, StorageError, UnitId,
        VolumeHandle,
    },
    Fault, Operation, State, StorageFabric,
};

type Result<T> = std::result::Result<T, StorageError>;

/// One cluster's CSI driver. Cheap to clone. Every call takes the fabric's latency, and may meet an injected fault.
#[derive(Clone, Debug)]
pub struct Driver {
    fabric: StorageFabric,
    cluster: String,
    name: String,
}

impl Driver {
    pub(super) fn new(fabric: StorageFabric, cluster: &str, name: &str) -> Self {
        Self { fabric, cluster: cluster.to_owned(), name: name.to_owned() }
    }

    /// The driver's name, as StorageClasses and volumes name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it serves.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The fabric behind it.
    #[must_use]
    pub fn fabric(&self) -> &StorageFabric {
        &self.fabric
    }

    /// The array that it speaks to.
    ///
    /// # Errors
    /// `Unavailable` when the cluster is not attached to any.
    pub fn array(&self) -> Result<ArrayId> {
        self.fabric.attached(&self.cluster, &self.name).ok_or_else(|| {
            let message = format!("driver {} of cluster {} is not attached to an array", self.name, self.cluster);
            StorageError::new(Code::Unavailable, message)
        })
    }

    /// The volume that a unit is; none where it is something else, such as a group of them.
    #[must_use]
    pub fn volume(&self, unit: &UnitId) -> Option<VolumeHandle> {
        let array = self.array().ok()?;
        let handle = VolumeHandle::from(unit.as_str());
        self.fabric.lock().arrays.has_volume(&array, &handle).then_some(handle)
    }

    async fn call<T>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut State, &ArrayId, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let latency = self.fabric.lock().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.at_once(operation, act)
    }

    fn at_once<T>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut State, &ArrayId, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let array = self.array()?;
        self.fabric.with_state(|state, now| match take_fault(&mut state.faults, &array, operation) {
            Some((error, false)) => Err(error),
            Some((error, true)) => act(state, &array, now).and(Err(error)),
            None => act(state, &array, now),
        })
    }

    async fn arrays<T>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut Arrays, &ArrayId, Timestamp) -> Result<T>,
    ) -> Result<T> {
        self.call(operation, |state, array, now| act(&mut state.arrays, array, now)).await
    }

    /// Creates a volume; repeating it finds the same one.
    ///
    /// # Errors
    /// As [`Arrays::create`].
    pub async fn create_volume(&self, name: &str, capacity: u64) -> Result<VolumeHandle> {
        self.arrays(Operation::CreateVolume, |arrays, array, now| {
            let handle = VolumeHandle::from(format!("{array}-{name}"));
            arrays.create(array, &handle, capacity, now)?;
            Ok(handle)
        })
        .await
    }

    /// Deletes a volume.
    ///
    /// # Errors
    /// As [`Arrays::delete`].
    pub async fn delete_volume(&self, handle: &VolumeHandle) -> Result<DeleteOutcome> {
        self.arrays(Operation::DeleteVolume, |arrays, array, now| arrays.delete(array, handle, now)).await
    }

    /// Starts replicating a volume or group.
    ///
    /// # Errors
    /// As [`Arrays::enable`].
    pub async fn enable(&self, unit: &UnitId, replication: &Replication) -> Result<()> {
        self.call(Operation::Enable, |state, array, now| {
            let members: Vec<VolumeHandle> = match state.groups.get(unit) {
                Some(members) => members.iter().cloned().collect(),
                None => vec![unit.as_str().into()],
            };
            state.arrays.enable(array, unit, &members, replication, now)
        })
        .await
    }

    /// Makes a unit primary here.
    ///
    /// # Errors
    /// As [`Arrays::promote`].
    pub async fn promote(&self, unit: &UnitId, force: bool) -> Result<Promotion> {
        self.arrays(Operation::Promote, |arrays, array, now| arrays.promote(array, unit, force, now)).await
    }

    /// Makes a unit secondary here.
    ///
    /// # Errors
    /// As [`Arrays::demote`].
    pub async fn demote(&self, unit: &UnitId) -> Result<()> {
        self.arrays(Operation::Demote, |arrays, array, now| arrays.demote(array, unit, now)).await
    }

    /// Whether a demoted unit is in sync; with `force` its divergent writes are thrown away.
    ///
    /// # Errors
    /// As [`Arrays::resync`].
    pub async fn resync(&self, unit: &UnitId, force: bool) -> Result<bool> {
        self.arrays(Operation::Resync, |arrays, array, now| arrays.resync(array, unit, force, now)).await
    }

    /// How replication of a primary is doing.
    ///
    /// # Errors
    /// As [`Arrays::info`].
    pub async fn info(&self, unit: &UnitId) -> Result<Info> {
        self.arrays(Operation::Info, |arrays, array, now| arrays.info(array, unit, now)).await
    }

    /// Stops replicating a unit.
    ///
    /// # Errors
    /// As [`Arrays::disable`].
    pub async fn disable(&self, unit: &UnitId) -> Result<()> {
        self.arrays(Operation::Disable, |arrays, array, now| arrays.disable(array, unit, now)).await
    }

    /// What a unit is doing here, as far as this side can know.
    ///
    /// # Errors
    /// `Unavailable` when the cluster is not attached.
    pub fn state(&self, unit: &UnitId) -> Result<SideState> {
        let array = self.array()?;
        Ok(self.fabric.with(|arrays, _| arrays.state(&array, unit)))
    }

    /// Creates a volume group; repeating it with the same members finds the same one.
    ///
    /// # Errors
    /// `InvalidArgument` when a volume is missing; `AlreadyExists` when the name has other members.
    pub async fn create_group(&self, name: &str, members: &[VolumeHandle]) -> Result<UnitId> {
        self.call(Operation::Group, |state, array, _| {
            let unit = UnitId::from(format!("{array}-{name}"));
            check_members(state, array, members)?;
            let members = members.iter().cloned().collect();
            match state.groups.get(&unit) {
                Some(existing) if *existing != members => {
                    Err(StorageError::new(Code::AlreadyExists, format!("group {unit} has other members")))
                }
                _ => {
                    state.groups.insert(unit.clone(), members);
                    Ok(unit)
                }
            }
        })
        .await
    }

    /// Sets the complete list of a group's members.
    ///
    /// # Errors
    /// `NotFound`, and as [`Arrays::set_members`] when the group is replicated.
    pub async fn set_group_members(&self, group: &UnitId, members: &[VolumeHandle]) -> Result<()> {
        self.call(Operation::Group, |state, array, now| {
            if !state.groups.contains_key(group) {
                return Err(StorageError::new(Code::NotFound, format!("no group {group}")));
            }
            check_members(state, array, members)?;
            if state.arrays.state(array, group) != SideState::Unreplicated {
                state.arrays.set_members(array, group, members, now)?;
            }
            state.groups.insert(group.clone(), members.iter().cloned().collect());
            Ok(())
        })
        .await
    }

    /// Deletes an empty group; its volumes were never deleted with it. One that does not exist is fine.
    ///
    /// # Errors
    /// `FailedPrecondition` when it has members.
    pub async fn delete_group(&self, group: &UnitId) -> Result<()> {
        self.call(Operation::Group, |state, _, _| match state.groups.get(group) {
            Some(members) if !members.is_empty() => {
                Err(StorageError::new(Code::FailedPrecondition, format!("group {group} is not empty")))
            }
            _ => {
                state.groups.remove(group);
                Ok(())
            }
        })
        .await
    }

    /// Fences or unfences networks on the array.
    ///
    /// # Errors
    /// As [`Arrays::fence`]; `InvalidArgument` for an empty list.
    pub async fn fence(&self, cidrs: &[String], fenced: bool) -> Result<()> {
        self.arrays(Operation::Fence, |arrays, array, now| {
            if cidrs.is_empty() {
                return Err(StorageError::new(Code::InvalidArgument, "no networks to fence"));
            }
            cidrs.iter().try_for_each(|cidr| arrays.fence(array, cidr, fenced, now))
        })
        .await
    }

    /// Appends a block to a volume for an application of this cluster. `Ok` means acknowledged.
    ///
    /// # Errors
    /// As [`Arrays::write`].
    pub fn write(&self, handle: &VolumeHandle, block: Bytes) -> Result<()> {
        self.at_once(Operation::Write, |state, array, now| {
            let addresses = state.addresses.get(&self.cluster).map_or(&[][..], Vec::as_slice);
            state.arrays.write(array, handle, block, addresses, now)
        })
    }

    /// Reads a volume for an application of this cluster.
    ///
    /// # Errors
    /// As [`Arrays::read`].
    pub fn read(&self, handle: &VolumeHandle) -> Result<Content> {
        self.at_once(Operation::Read, |state, array, now| {
            let addresses = state.addresses.get(&self.cluster).map_or(&[][..], Vec::as_slice);
            state.arrays.read(array, handle, addresses, now)
        })
    }

    /// Whether an application of this cluster could write to a volume now.
    ///
    /// # Errors
    /// Why it could not: the volume is missing or read-only, the array is down, the cluster is fenced.
    pub fn check_writable(&self, handle: &VolumeHandle) -> Result<()> {
        self.read(handle)?;
        let array = self.array()?;
        self.fabric.with(|arrays, _| arrays.check_writable(&array, handle))
    }
}

fn check_members(state: &State, array: &ArrayId, members: &[VolumeHandle]) -> Result<()> {
    let known = state.arrays.volumes(array);
    match members.iter().find(|handle| !known.contains(handle)) {
        Some(missing) => Err(StorageError::new(Code::InvalidArgument, format!("no volume {missing} on array {array}"))),
        None => Ok(()),
    }
}

fn take_fault(faults: &mut Vec<Fault>, array: &ArrayId, operation: Operation) -> Option<(StorageError, bool)> {
    let struck = faults
        .iter_mut()
        .filter(|fault| fault.times > 0 && fault.operation == operation)
        .find(|fault| fault.array.as_ref().is_none_or(|only| only == array))?;
    struck.times -= 1;
    let answer = (struck.error.clone(), struck.after);
    faults.retain(|fault| fault.times > 0);
    Some(answer)
}
