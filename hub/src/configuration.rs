//! The operator's configuration as it is at this moment: the ConfigMap and the secrets, from the caches.

use std::sync::Arc;

use kaedama_shared::config::{ConfigError, LastRead, ProfileChoice, RamenConfig, Role};
use kaedama_shared::harness::ObjectKey;
use kaedama_shared::s3::{Credentials, S3Error, S3Options, S3Store, StorePool};

use crate::caches::Caches;

/// Reads the configuration anew when its ConfigMap changes. Cheap to clone.
#[derive(Clone)]
pub struct Configuration {
    caches: Caches,
    namespace: String,
    read: LastRead,
    pool: Arc<StorePool>,
}

/// Why a profile's store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The configuration as a whole.
    #[error("{0}")]
    Configuration(String),
    /// The profile.
    #[error(transparent)]
    Profile(#[from] ConfigError),
    /// The secret is there, and not as it should be.
    #[error("S3 profile {profile}: {source}")]
    Secret {
        /// The profile.
        profile: String,
        /// What is wrong with its secret.
        #[source]
        source: ConfigError,
    },
    /// The secret is not there.
    #[error(
        "s3StoreProfiles[{profile}].s3SecretRef: there is no Secret {secret}; create it with the keys AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY"
    )]
    NoSecret {
        /// The profile.
        profile: String,
        /// Namespace and name of the secret.
        secret: String,
    },
    /// The hub reads the Secrets of its own namespace only.
    #[error(
        "s3StoreProfiles[{profile}].s3SecretRef: Secret {secret} is in another namespace, and this operator reads those of \
         its own only; copy it to {namespace}, and leave out s3SecretRef.namespace"
    )]
    SecretElsewhere {
        /// The profile.
        profile: String,
        /// Namespace and name of the secret.
        secret: String,
        /// The operator's namespace.
        namespace: String,
    },
    /// The store's client.
    #[error(transparent)]
    Store(#[from] S3Error),
}

impl Configuration {
    /// `namespace` is the operator's own, `read` what it read at its start.
    pub fn new(caches: &Caches, namespace: &str, s3: S3Options, read: LastRead) -> Self {
        Configuration {
            caches: caches.clone(),
            namespace: namespace.to_owned(),
            read,
            pool: Arc::new(StorePool::new(s3)),
        }
    }

    /// The operator's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The settings; the text says why there are none.
    pub fn settings(&self) -> Result<Arc<RamenConfig>, String> {
        let key = ObjectKey::namespaced(self.namespace.clone(), Role::Hub.config_map_name());
        let Some(config_map) = self.caches.config_maps.get(&key) else {
            return Err(format!("there is no ConfigMap {key}"));
        };
        self.read.of(&config_map, Role::Hub).map_err(|error| error.to_string())
    }

    /// What a store is opened with, in one text: it changes when the configuration or the profile's secret does.
    pub fn fingerprint(&self, profile: &str) -> String {
        let version = |metadata: &kube::api::ObjectMeta| {
            format!(
                "{}@{}",
                metadata.uid.as_deref().unwrap_or_default(),
                metadata.resource_version.as_deref().unwrap_or_default()
            )
        };
        let key = ObjectKey::namespaced(self.namespace.clone(), Role::Hub.config_map_name());
        let config_map = self.caches.config_maps.get(&key).map(|map| version(&map.metadata)).unwrap_or_default();
        let secret = self.settings().ok().and_then(|config| match config.s3_profile(profile) {
            Ok(ProfileChoice::Store(profile)) => {
                let (namespace, name) = profile.secret(&self.namespace);
                self.caches.secrets.get(&ObjectKey::namespaced(namespace, name)).map(|secret| version(&secret.metadata))
            }
            Ok(ProfileChoice::None) | Err(_) => None,
        });
        format!("{profile} {config_map} {}", secret.unwrap_or_default())
    }

    /// The store of a profile; none for the reserved profile that means no store.
    pub fn store(&self, profile: &str) -> Result<Option<S3Store>, StoreError> {
        let config = self.settings().map_err(StoreError::Configuration)?;
        let profile = match config.s3_profile(profile)? {
            ProfileChoice::Store(profile) => profile,
            ProfileChoice::None => return Ok(None),
        };
        let (namespace, name) = profile.secret(&self.namespace);
        let key = ObjectKey::namespaced(namespace, name);
        if namespace != self.namespace {
            let (profile, namespace) = (profile.s3_profile_name.clone(), self.namespace.clone());
            return Err(StoreError::SecretElsewhere { profile, secret: key.to_string(), namespace });
        }
        let Some(secret) = self.caches.secrets.get(&key) else {
            return Err(StoreError::NoSecret { profile: profile.s3_profile_name.clone(), secret: key.to_string() });
        };
        let credentials = Credentials::from_secret(&secret)
            .map_err(|source| StoreError::Secret { profile: profile.s3_profile_name.clone(), source })?;
        Ok(Some(self.pool.open(profile, &credentials)?))
    }
}
