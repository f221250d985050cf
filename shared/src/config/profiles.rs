//! S3 profiles, and the secrets that belong to them.

use base64::Engine as _;
use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};

use super::{ConfigError, RamenConfig};
use crate::s3::Credentials;

/// The profile name that means: no store. It exists for tests of Ramen.
pub const NO_S3: &str = "NoS3";
/// Key of the access key id in an S3 secret.
pub const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// Key of the secret access key in an S3 secret.
pub const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
/// Key of the credentials file in the secret that the hub makes for Velero.
pub const VELERO_KEY: &str = "ramengenerated";

/// One entry of `s3StoreProfiles`, as it is written. It is checked when it is used, so that a wrong one does not
/// hide the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct S3StoreProfile {
    /// What VolumeReplicationGroups and DRClusters call it.
    pub s3_profile_name: String,
    /// The bucket; it must exist.
    pub s3_bucket: String,
    /// The endpoint, with its scheme.
    pub s3_compatible_endpoint: String,
    /// The region that requests are signed for.
    pub s3_region: String,
    /// Where the access key is.
    #[serde(rename = "s3SecretRef")]
    pub s3_secret_ref: SecretRef,
    /// The secret for Velero, if not the one that the hub makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub velero_namespace_secret_key_ref: Option<SecretKeyRef>,
    /// PEM bundle in base64; see [`S3StoreProfile::ca_certificates`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_certificates: String,
}

/// A secret by name and namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretRef {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its namespace; empty for the operator's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// One key of a secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretKeyRef {
    /// Name of the secret.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// What a profile name leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum ProfileChoice<'a> {
    /// A store.
    Store(&'a S3StoreProfile),
    /// [`NO_S3`]: no store is wanted.
    None,
}

impl RamenConfig {
    /// The profile of this name, checked.
    ///
    /// # Errors
    /// There is no such profile, or a field of it is wrong; the error names it.
    pub fn s3_profile(&self, name: &str) -> Result<ProfileChoice<'_>, ConfigError> {
        if name == NO_S3 {
            return Ok(ProfileChoice::None);
        }
        let profile = self.s3_store_profiles.iter().find(|profile| profile.s3_profile_name == name);
        let Some(profile) = profile else {
            let known: Vec<&str> = self.s3_store_profiles.iter().map(|profile| &*profile.s3_profile_name).collect();
            let problem = format!("there is no profile {name:?} (there are: {known:?})");
            let remedy = "add it to s3StoreProfiles in the operator's ConfigMap, or correct the name where it is used";
            return Err(ConfigError::new("s3StoreProfiles", "s3StoreProfiles", problem, remedy));
        };
        profile.validate()?;
        Ok(ProfileChoice::Store(profile))
    }

    /// Everything that is wrong with the profiles, for a report; each of them is checked again when it is used.
    #[must_use]
    pub fn profile_errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for (at, profile) in self.s3_store_profiles.iter().enumerate() {
            let name = profile.s3_profile_name.as_str();
            let wrong = |problem: &str, remedy: &str| {
                ConfigError::new(format!("s3StoreProfiles[{at}].s3ProfileName"), "s3ProfileName", problem, remedy)
            };
            if name.is_empty() {
                errors.push(wrong("is empty", "give the profile a name"));
            } else if name == NO_S3 {
                errors.push(wrong("NoS3 stands for no store", "give the profile another name"));
            } else if self.s3_store_profiles.iter().take(at).any(|earlier| earlier.s3_profile_name == name) {
                errors.push(wrong("is the name of an earlier profile too, which is used", "give each its own name"));
            }
            errors.extend(profile.validate().err());
        }
        errors
    }
}

impl S3StoreProfile {
    fn wrong(&self, field: &'static str, problem: impl Into<String>, remedy: &str) -> ConfigError {
        ConfigError::new(format!("s3StoreProfiles[{}].{field}", self.s3_profile_name), field, problem, remedy)
    }

    /// Checks what can be checked without the store.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.s3_bucket.trim().is_empty() {
            return Err(self.wrong("s3Bucket", "is empty", "name an existing bucket"));
        }
        let remedy = "write a URL with its scheme, such as https://s3.example.com:9000";
        let endpoint = self.s3_compatible_endpoint.trim();
        if endpoint.is_empty() {
            return Err(self.wrong("s3CompatibleEndpoint", "is empty", remedy));
        }
        match endpoint.parse::<http::Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => match uri.scheme_str() {
                Some("http" | "https") => {}
                _ => return Err(self.wrong("s3CompatibleEndpoint", format!("{endpoint:?} has no scheme"), remedy)),
            },
            _ => return Err(self.wrong("s3CompatibleEndpoint", format!("{endpoint:?} is not a URL"), remedy)),
        }
        if self.s3_region.trim().is_empty() {
            let remedy = "name the store's region; stores without regions take any, such as us-east-1";
            return Err(self.wrong("s3Region", "is empty, and requests are signed for a region", remedy));
        }
        self.ca_certificates().map(drop)
    }

    /// The PEM bundle of `caCertificates`; empty if there is none.
    ///
    /// # Errors
    /// It is not base64.
    pub fn ca_certificates(&self) -> Result<Vec<u8>, ConfigError> {
        // A block of base64 in YAML often has line breaks.
        let text: String = self.ca_certificates.split_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| {
            self.wrong("caCertificates", format!("is not base64: {error}"), "encode the PEM bundle with base64")
        })
    }

    /// Namespace and name of the secret with the access key: the operator's namespace if none is given.
    #[must_use]
    pub fn secret<'a>(&'a self, operator_namespace: &'a str) -> (&'a str, &'a str) {
        let SecretRef { name, namespace } = &self.s3_secret_ref;
        (if namespace.is_empty() { operator_namespace } else { namespace }, name)
    }

    /// The secret key that Velero reads: the configured one, else the one that the hub distributes.
    #[must_use]
    pub fn velero_secret(&self) -> SecretKeyRef {
        self.velero_namespace_secret_key_ref.clone().filter(|given| !given.name.is_empty()).unwrap_or_else(|| {
            SecretKeyRef { name: format!("v{}", self.s3_secret_ref.name), key: VELERO_KEY.into(), optional: None }
        })
    }
}

impl Credentials {
    /// The access key of an S3 secret. White space around the values is not part of them: a newline at the end comes
    /// from how such secrets are made, and would spoil every signature.
    ///
    /// # Errors
    /// A key is missing, empty or not text; the error names the secret and the key.
    pub fn from_secret(secret: &Secret) -> Result<Self, ConfigError> {
        Ok(Self::new(value(secret, ACCESS_KEY_ID)?, value(secret, SECRET_ACCESS_KEY)?))
    }

    /// The credentials file for Velero, byte for byte as Ramen writes it.
    #[must_use]
    pub fn velero_file(&self) -> String {
        format!(
            "[default]\n  aws_access_key_id = {}\n  aws_secret_access_key = {}\n",
            self.access_key_id, self.secret_access_key
        )
    }
}

fn value(secret: &Secret, key: &'static str) -> Result<String, ConfigError> {
    let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let wrong = |problem: &str| {
        let remedy = format!("put both {ACCESS_KEY_ID} and {SECRET_ACCESS_KEY} into the secret");
        ConfigError::new(format!("secret {namespace}/{name}, key {key}"), key, problem, remedy)
    };
    let bytes = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    let text = secret.string_data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    let value = std::str::from_utf8(bytes.or(text).ok_or_else(|| wrong("is missing"))?)
        .map_err(|_| wrong("is not text"))?
        .trim();
    if value.is_empty() { Err(wrong("is empty")) } else { Ok(value.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::super::{Role, load};
    use super::*;

    const TEXT: &str = "
s3StoreProfiles:
- s3ProfileName: dr1
  s3Bucket: bucket
  s3CompatibleEndpoint: http://s3.dr1:9000
  s3Region: us-east-1
  s3SecretRef: {name: s3secret}
  caCertificates: |
    aGVs
    bG8=
- s3ProfileName: dr2
  s3Bucket: bucket
  s3CompatibleEndpoint: s3.dr2:9000
  s3Region: us-east-1
  s3SecretRef: {name: s3secret, namespace: elsewhere}
  veleroNamespaceSecretKeyRef: {name: mine, key: cloud}
- s3ProfileName: dr1
  s3Bucket: ''
";

    fn config() -> RamenConfig {
        load::parse(TEXT, Role::Spoke).unwrap().config
    }

    #[test]
    fn profiles_are_found_by_name_and_a_wrong_one_does_not_hide_the_others() {
        let config = config();
        let Ok(ProfileChoice::Store(dr1)) = config.s3_profile("dr1") else { panic!("dr1 is usable") };
        assert_eq!(dr1.s3_compatible_endpoint, "http://s3.dr1:9000");
        assert_eq!(dr1.ca_certificates().unwrap(), b"hello");
        let error = config.s3_profile("dr2").unwrap_err();
        assert_eq!(error.path, "s3StoreProfiles[dr2].s3CompatibleEndpoint");
        assert!(error.to_string().contains("https://s3.example.com"), "{error}");
        let error = config.s3_profile("dr3").unwrap_err().to_string();
        assert!(error.contains("no profile \"dr3\" (there are: [\"dr1\", \"dr2\", \"dr1\"])"), "{error}");
        assert_eq!(config.s3_profile("NoS3"), Ok(ProfileChoice::None));
        let paths: Vec<String> = config.profile_errors().into_iter().map(|error| error.path).collect();
        assert_eq!(
            paths,
            [
                "s3StoreProfiles[dr2].s3CompatibleEndpoint",
                "s3StoreProfiles[2].s3ProfileName",
                "s3StoreProfiles[dr1].s3Bucket"
            ]
        );
    }

    #[test]
    fn secrets_are_in_the_operators_namespace_unless_said_otherwise() {
        let config = config();
        assert_eq!(config.s3_store_profiles[0].secret("ramen-system"), ("ramen-system", "s3secret"));
        assert_eq!(config.s3_store_profiles[1].secret("ramen-system"), ("elsewhere", "s3secret"));
        let velero = config.s3_store_profiles[0].velero_secret();
        assert_eq!((velero.name.as_str(), velero.key.as_str()), ("vs3secret", "ramengenerated"));
        assert_eq!(config.s3_store_profiles[1].velero_secret().name, "mine");
    }

    fn secret(values: &[(&str, &str)]) -> Secret {
        let data: serde_json::Map<_, _> = values
            .iter()
            .map(|(key, value)| (key.to_string(), base64::engine::general_purpose::STANDARD.encode(value).into()))
            .collect();
        let metadata = serde_json::json!({"name": "s3secret", "namespace": "ramen-system"});
        serde_json::from_value(serde_json::json!({"metadata": metadata, "data": data})).unwrap()
    }

    #[test]
    fn credentials_come_from_the_secret() {
        let good = secret(&[(ACCESS_KEY_ID, "id\n"), (SECRET_ACCESS_KEY, "key")]);
        let credentials = Credentials::from_secret(&good).unwrap();
        assert_eq!(credentials, Credentials::new("id", "key"));
        assert_eq!(credentials.velero_file(), "[default]\n  aws_access_key_id = id\n  aws_secret_access_key = key\n");
        let error = Credentials::from_secret(&secret(&[(ACCESS_KEY_ID, "id")])).unwrap_err();
        assert_eq!(error.path, "secret ramen-system/s3secret, key AWS_SECRET_ACCESS_KEY");
        let error = Credentials::from_secret(&secret(&[(ACCESS_KEY_ID, " "), (SECRET_ACCESS_KEY, "k")])).unwrap_err();
        assert_eq!(error.problem, "is empty");
    }
}
