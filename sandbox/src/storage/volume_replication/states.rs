//! Primary, secondary, resync: which calls are made, and what follows from the answers.

use std::collections::BTreeMap;

use kaedama_shared::{
    api::csiaddons::{VolumeReplication, VolumeState},
    harness::controller::Next,
};

use super::{Timing, parameters, parameters::ForcePolicy, report::Report};
use crate::storage::{
    array::{Code, StorageError, UnitId},
    fabric::Driver,
    kit::annotation,
};

/// Consent to a forced promotion: the generation for which it is given.
pub(super) const ALLOW_FORCE: &str = "replication.unified.io/allow-force";

/// The storage, and what it is to be told about which unit.
pub(super) struct Work<'a> {
    pub(super) driver: &'a Driver,
    pub(super) timing: Timing,
    pub(super) unit: &'a UnitId,
    pub(super) vr: &'a VolumeReplication,
    pub(super) parameters: &'a BTreeMap<String, String>,
}

impl Work<'_> {
    fn retry(&self) -> Next {
        Next::After(self.timing.retry)
    }

    /// Makes the unit primary, once; a unit that is said to be primary is only asked how it is doing. One that was
    /// demoted behind this object is not promoted again: that could be the second primary.
    pub(super) async fn primary(&self, report: &mut Report) -> Next {
        let transition = report.status.state != VolumeState::Primary;
        if transition {
            report.started();
            let enabled = match parameters::replication(self.parameters) {
                Ok(replication) => self.driver.enable(self.unit, &replication).await,
                Err(error) => Err(error),
            };
            match enabled {
                Ok(()) => report.validated(),
                Err(error) if error.code == Code::FailedPrecondition => {
                    report.prerequisite_missing(&error);
                    return self.retry();
                }
                Err(error) => {
                    report.promote_failed("could not be enabled for replication", &error.message);
                    return self.retry();
                }
            }
            if let Err((what, detail)) = self.promote().await {
                report.promote_failed(what, &detail);
                return self.retry();
            }
        }
        report.promoted(transition);
        match self.driver.info(self.unit).await {
            Ok(info) => report.replicating(&info),
            Err(error) => match error.code {
                Code::NotFound | Code::Unimplemented => {}
                Code::FailedPrecondition | Code::InvalidArgument => {
                    report.replication_unknown(&error);
                    report.not_primary(&error);
                }
                _ => {
                    report.replication_unknown(&error);
                    return self.retry();
                }
            },
        }
        Next::Await
    }

    async fn promote(&self) -> Result<(), (&'static str, String)> {
        let refused = match self.driver.promote(self.unit, false).await {
            Ok(_) => return Ok(()),
            Err(error) if error.code == Code::FailedPrecondition => error,
            Err(error) => return Err(("could not be promoted", error.message)),
        };
        let generation = self.vr.metadata.generation.unwrap_or_default().to_string();
        let consent = match parameters::force_policy(self.parameters) {
            ForcePolicy::Auto => true,
            ForcePolicy::Annotation => annotation(self.vr, ALLOW_FORCE) == Some(&generation),
            ForcePolicy::Never => false,
        };
        if !consent {
            return Err(("could not be promoted", format!("force required: {}", refused.message)));
        }
        tracing::warn!(unit = %self.unit, why = refused.message, "promotion is forced");
        let forced = self.driver.promote(self.unit, true).await;
        forced.map(|_| ()).map_err(|error| ("could not be promoted by force", error.message))
    }

    /// Makes the unit secondary, and from the next pass on asks whether it is in sync.
    pub(super) async fn secondary(&self, report: &mut Report) -> Next {
        let first = report.status.state != VolumeState::Secondary;
        if first {
            report.started();
        }
        if let Err(error) = self.driver.demote(self.unit).await {
            report.demote_failed(&error.message);
            return self.retry();
        }
        if first {
            report.demoted();
            // Some storage can only tell of a split-brain a while after the demotion.
            return Next::After(self.timing.settle);
        }
        let ready = self.driver.resync(self.unit, self.vr.spec.auto_resync).await;
        self.resynced(report, ready)
    }

    /// Has divergent writes thrown away, and asks whether the unit is in sync.
    pub(super) async fn resync(&self, report: &mut Report) -> Next {
        if report.status.state != VolumeState::Secondary {
            report.started();
        }
        let ready = self.driver.resync(self.unit, true).await;
        self.resynced(report, ready)
    }

    fn resynced(&self, report: &mut Report, ready: Result<bool, StorageError>) -> Next {
        match ready {
            Ok(true) => report.resynced(),
            Ok(false) => report.resyncing(),
            Err(error) => {
                report.resync_failed(&error.message);
                return self.retry();
            }
        }
        // The storage says when that changes.
        Next::Await
    }
}
