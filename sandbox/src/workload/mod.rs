//! Applications that write numbered records to their volumes, so that lost and doubled writes are counted, not guessed.
//!
//! An application is a Deployment labelled (or annotated) `sandbox.kaedama.dev/writer: "true"` whose pod template mounts
//! claims. While its claims are bound to writable volumes it appends a record to each of them, at a configured rate, and
//! notes in the [`Ledger`] what was acknowledged. The ledger lies outside of the simulated world: nothing that
//! happens to a cluster touches it. [`Ledger::audit`] compares it with the bytes on the volumes.
//!
//! | file | what |
//! |---|---|
//! | `record.rs` | a record, and its form in bytes |
//! | `ledger.rs` | [`Ledger`]: what was acknowledged, by whom, when |
//! | `audit.rs` | pure: ledger against volume |
//! | `controller.rs` | one pass of a Deployment: pods, claims, status |
//! | `pods.rs` | the pods and volume attachments of an application |
//! | `writer.rs` | the running applications of a cluster, and the timer that drives them |
//! | [`pod`] | applications that are real pods, on real volumes: what their logs say instead |

mod audit;
mod controller;
mod ledger;
pub mod pod;
mod pods;
mod record;
mod writer;

pub use audit::{Audit, VolumeAudit, compare};
pub use controller::{Settings, run};
pub use ledger::{Acknowledged, AppId, Ledger, Location};
pub use record::Record;

/// What is known of the applications' writes: kept by the writers themselves, or read from the logs of pods.
pub trait Books {
    /// What an application's volumes hold of what was acknowledged to it, where it started last. `None`: it never started.
    fn audit(&self, app: &AppId) -> Option<Audit>;

    /// As [`Books::audit`], with the volumes on a cluster. `None` also where nobody can look into these.
    fn audit_on(&self, app: &AppId, cluster: &str) -> Option<Audit>;
}

/// Label or annotation of a Deployment: it is an application of the sandbox. Value `true`.
pub const WRITER: &str = "sandbox.kaedama.dev/writer";
/// Annotation of such a Deployment: records per second, a decimal number. Default 1.
pub const RATE: &str = "sandbox.kaedama.dev/rate";
/// Annotation of such a Deployment: bytes that each record has at least. Default 0.
pub const RECORD_BYTES: &str = "sandbox.kaedama.dev/record-bytes";
/// Label of a pod: the application that it belongs to.
pub const APP_LABEL: &str = "sandbox.kaedama.dev/app";
