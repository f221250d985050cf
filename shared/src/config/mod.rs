//! The operators' configuration: Ramen's `RamenConfig` in its ConfigMap, as it is.
//!
//! | module | what lives there |
//! |---|---|
//! | [`ramen`] | [`RamenConfig`] and its sections, with the defaults and what is used when a name is empty |
//! | [`load`] | reading: YAML, member names in any case, user's values over the defaults, errors that name the field |
//! | [`config_map`] | the ConfigMap at start: created, merged, cleaned |
//! | [`profiles`] | S3 profiles by name, the secrets that belong to them |
//! | [`excluded`] | the ConfigMap of default-excluded resources |
//!
//! Booleans are always written: Ramen leaves out those that are false, so that a default-true switch that was turned
//! off comes back after a restart. An absent boolean is read as the default of the table.

pub mod config_map;
pub mod excluded;
pub mod load;
pub mod profiles;
pub mod ramen;

pub use config_map::LastRead;
pub use load::Loaded;
pub use profiles::{ProfileChoice, S3StoreProfile, SecretRef};
pub use ramen::RamenConfig;

use crate::harness::leader::{HUB_LEASE, SPOKE_LEASE};

/// Which of the two operators a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator on the hub (`dr-hub`).
    Hub,
    /// The operator on a managed cluster (`dr-cluster`).
    Spoke,
}

impl Role {
    /// The value of `RAMEN_CONTROLLER_TYPE` and `ramenControllerType`.
    #[must_use]
    pub fn controller_type(self) -> &'static str {
        match self {
            Self::Hub => "dr-hub",
            Self::Spoke => "dr-cluster",
        }
    }

    /// The name of the operator's ConfigMap, in its own namespace.
    #[must_use]
    pub fn config_map_name(self) -> &'static str {
        match self {
            Self::Hub => "ramen-hub-operator-config",
            Self::Spoke => "ramen-dr-cluster-operator-config",
        }
    }

    /// The name of the leader-election lease, where the user has given none.
    #[must_use]
    pub fn lease_name(self) -> &'static str {
        match self {
            Self::Hub => HUB_LEASE,
            Self::Spoke => SPOKE_LEASE,
        }
    }
}

/// Something wrong in the configuration: which field, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration field {path}: {problem}; {remedy}")]
pub struct ConfigError {
    /// The path of the field, as it is written in the YAML.
    pub path: String,
    /// The name of the field alone.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// What an administrator can do.
    pub remedy: String,
}

impl ConfigError {
    pub(crate) fn new(
        path: impl Into<String>,
        field: &'static str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), field, problem: problem.into(), remedy: remedy.into() }
    }
}
