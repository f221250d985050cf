//! Phases and progressions of a DRPlacementControl. Consoles and tools compare the exact strings.
//!
//! ```text
//! (unset) ─► Initiating ─► Deploying ──► Deployed ◄─┐
//!    │            │ ▲                               │ an order: Failover or Relocate
//!    │            │ └───────────────────────────────┤
//!    │            ├─► FailingOver ► FailedOver ◄────┤
//!    │            └─► Relocating ─► Relocated ◄─────┘
//!    └─► WaitForUser (state lost with the hub)          Deleting, from everywhere
//! ```

use super::open_enum::open_enum;

open_enum! {
    /// Phase of an application's disaster recovery.
    #[derive(Default)]
    pub enum DRState (string) {
        /// Never processed, or the hub was restored from a backup (which holds no status).
        #[default]
        Unset => "",
        /// The state could not be rebuilt after the loss of a hub: an order is needed.
        WaitForUser => "WaitForUser",
        /// An order was accepted and what it needs is being checked.
        Initiating => "Initiating",
        /// First placement under way.
        Deploying => "Deploying",
        /// First placement done.
        Deployed => "Deployed",
        /// Failover under way.
        FailingOver => "FailingOver",
        /// Failover done.
        FailedOver => "FailedOver",
        /// Relocation under way.
        Relocating => "Relocating",
        /// Relocation done.
        Relocated => "Relocated",
        /// Protection is being removed.
        Deleting => "Deleting",
    }
}

impl DRState {
    /// Whether an order has reached its goal: the application runs where it should.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Deployed | Self::FailedOver | Self::Relocated)
    }
}

open_enum! {
    /// Step of the running action.
    #[derive(Default)]
    pub enum Progression (string) {
        /// An order was just accepted.
        #[default]
        Unset => "",
        /// The first group is being sent to the preferred cluster.
        CreatingMW => "CreatingMW",
        /// The first placement decision is being written.
        UpdatingPlRule => "UpdatingPlRule",
        /// The secondary is being prepared, for every kind of replication.
        EnsuringVolSyncSetup => "EnsuringVolSyncSetup",
        /// The secondary's group is being made.
        SettingUpVolSyncDest => "SettingUpVolSyncDest",
        /// The target is told to be primary; its data is not ready yet.
        WaitForReadiness => "WaitForReadiness",
        /// A failover begins.
        CheckingFailoverPrerequisites => "CheckingFailoverPrerequisites",
        /// Waiting until the old cluster is fenced.
        WaitForFencing => "WaitForFencing",
        /// Waiting until the storage is in its maintenance mode.
        WaitForStorageMaintenanceActivation => "WaitForStorageMaintenanceActivation",
        /// What the failover needs is there.
        FailingOverToCluster => "FailingOverToCluster",
        /// The target is told to be primary and restores.
        WaitingForResourceRestore => "WaitingForResourceRestore",
        /// The placement decision was written.
        UpdatedPlacement => "UpdatedPlacement",
        /// The old primary gets ready for its final synchronisation.
        PreparingFinalSync => "PreparingFinalSync",
        /// The placement decision is taken back, so that the application stops.
        ClearingPlacement => "ClearingPlacement",
        /// The old primary sends what is left.
        RunningFinalSync => "RunningFinalSync",
        /// Everything was sent.
        FinalSyncComplete => "FinalSyncComplete",
        /// Waiting until the volumes are secondary on both clusters.
        EnsuringVolumesAreSecondary => "EnsuringVolumesAreSecondary",
        /// Waiting for the other applications of a shared group.
        WaitOnGlobalAction => "WaitOnGlobalAction",
        /// The old primary becomes secondary. The only value with a space.
        CleaningUp => "Cleaning Up",
        /// The old primary's virtual machines are being removed without help.
        CleanupReadiness => "CleanupReadiness",
        /// The administrator has to delete the application on the old cluster.
        WaitOnUserToCleanUp => "WaitOnUserToCleanUp",
        /// A failover test is active.
        TestingFailover => "TestingFailover",
        /// Nothing to do.
        Completed => "Completed",
        /// Stopped after the recovery of a hub: an order is needed.
        Paused => "Paused",
        /// Protection is being removed.
        Deleting => "Deleting",
        /// Protection was removed.
        Deleted => "Deleted",
    }
}

impl Progression {
    /// Whether a relocation has not yet switched: the old primary's group still is the one to report about.
    #[must_use]
    pub fn is_before_relocation(&self) -> bool {
        matches!(
            self,
            Self::PreparingFinalSync
                | Self::ClearingPlacement
                | Self::RunningFinalSync
                | Self::FinalSyncComplete
                | Self::EnsuringVolumesAreSecondary
                | Self::WaitOnUserToCleanUp
        )
    }
}
