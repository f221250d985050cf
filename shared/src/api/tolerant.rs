//! Reading what others wrote: `null`, absent and empty mean the same.
//!
//! Go writes a nil slice or map as `null`, some of its zero structs as `{}`, and zero times as `null`. Every field of
//! the API types is read through one of these functions, and empty members are left out on writing.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::duration::GoDuration;

/// Reads `null` as the type's default.
///
/// # Errors
/// Whatever the inner type refuses.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a list whose elements may be `null`; those are dropped.
///
/// # Errors
/// Whatever the element type refuses.
pub fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let read = Option::<Vec<Option<T>>>::deserialize(deserializer)?;
    Ok(read.unwrap_or_default().into_iter().flatten().collect())
}

/// Reads a map whose values may be `null`; those become the value type's default.
///
/// # Errors
/// Whatever the value type refuses.
pub fn map<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let read = Option::<BTreeMap<String, Option<T>>>::deserialize(deserializer)?;
    let filled = |(key, value): (String, Option<T>)| (key, value.unwrap_or_default());
    Ok(read.unwrap_or_default().into_iter().map(filled).collect())
}

/// Reads an RFC 3339 time; `null` and the empty string are no time.
///
/// # Errors
/// When the text is no RFC 3339 time.
pub fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    match text(deserializer)? {
        None => Ok(None),
        Some(text) => text.parse().map(|at| Some(Time(at))).map_err(D::Error::custom),
    }
}

/// Reads a Go duration; `null` and the empty string are no duration.
///
/// # Errors
/// When the text is no Go duration.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<GoDuration>, D::Error> {
    match text(deserializer)? {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(D::Error::custom),
    }
}

/// Reads an optional open enum; `null` and the empty string are no value.
///
/// # Errors
/// When the value is no string.
pub fn choice<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    Ok(text(deserializer)?.map(T::from))
}

/// Whether a member is left out on writing: true for the type's default value.
pub fn empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Makes an absent or `null` member of this type read as its default, wherever it is a member.
///
/// No CRD of the group requires `spec`, so an object without one can be created by anybody, and a list that holds it
/// must still be read. kube-derive offers no default for the member, so the type itself accepts a missing one: it is
/// derived with `serde(remote = "Self")`, and this wraps the derived functions.
macro_rules! absent_is_default {
    ($spec:ident) => {
        impl serde::Serialize for $spec {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $spec {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Optional;

                impl<'de> serde::de::Visitor<'de> for Optional {
                    type Value = $spec;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str(stringify!($spec))
                    }

                    fn visit_none<E>(self) -> Result<$spec, E> {
                        Ok($spec::default())
                    }

                    fn visit_unit<E>(self) -> Result<$spec, E> {
                        Ok($spec::default())
                    }

                    fn visit_some<D: serde::Deserializer<'de>>(self, inner: D) -> Result<$spec, D::Error> {
                        $spec::deserialize(inner)
                    }
                }

                deserializer.deserialize_option(Optional)
            }
        }
    };
}

pub(crate) use absent_is_default;

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Why a stored object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredObjectError {
    /// The bytes are not JSON, or not of the object's shape.
    #[error("reading a stored {kind}: {source}")]
    Malformed {
        /// The kind that was expected.
        kind: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The JSON names another kind or API version than the one expected.
    #[error("a stored {expected} says that it is a {found}")]
    WrongKind {
        /// `apiVersion/Kind` that was expected.
        expected: String,
        /// `apiVersion/Kind` that was found.
        found: String,
    },
}

/// Decodes an object as it lies in an S3 store (after unzipping).
///
/// Stored objects may lack `apiVersion` and `kind`, because typed Go structs are written without them: the caller
/// knows the type from the key. When they are present they must be right.
///
/// # Errors
/// [`StoredObjectError`] when the bytes are no such object.
pub fn from_stored_json<K>(body: &[u8]) -> Result<K, StoredObjectError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let kind = K::kind(&());
    let api_version = K::api_version(&());
    let malformed = |source| StoredObjectError::Malformed { kind: kind.to_string(), source };
    let mut value: serde_json::Value = serde_json::from_slice(body).map_err(malformed)?;
    if let Some(object) = value.as_object_mut() {
        let mut fill = |member: &str, wanted: &str| {
            let entry = object.entry(member).or_insert_with(|| serde_json::Value::from(wanted));
            if entry.as_str().is_none_or(str::is_empty) {
                *entry = wanted.into();
            }
            entry.as_str().unwrap_or_default().to_owned()
        };
        let found = (fill("apiVersion", &api_version), fill("kind", &kind));
        if found.0 != api_version || found.1 != kind {
            return Err(StoredObjectError::WrongKind {
                expected: format!("{api_version}/{kind}"),
                found: format!("{}/{}", found.0, found.1),
            });
        }
    }
    serde_json::from_value(value).map_err(malformed)
}
