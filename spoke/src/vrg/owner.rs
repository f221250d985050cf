//! Who owns a claim: the labels that name its group, and their reading.
//!
//! A label value holds 63 characters, a namespace or name can be longer. Such a one is shortened and given its hash,
//! and the full name stands in an annotation beside it.

use std::collections::BTreeMap;

use kaedama_shared::harness::ObjectKey;
use kaedama_shared::names;
use sha2::{Digest, Sha256};

/// Full name of the owner, where the label is too short for it.
pub const FULL_NAME: &str = "ramendr.openshift.io/owner-name";
/// Full namespace of the owner, where the label is too short for it.
pub const FULL_NAMESPACE: &str = "ramendr.openshift.io/owner-namespace";

/// The owner of an object, as its labels tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// No owner is named.
    Nobody,
    /// The group that is asked for.
    Us,
    /// Another group.
    Other(String),
}

/// The labels that name `group` as owner.
#[must_use]
pub fn labels(group: &ObjectKey) -> BTreeMap<String, String> {
    [(names::OWNER_NAMESPACE.to_owned(), value(group.namespace())), (names::OWNER_NAME.to_owned(), value(&group.name))]
        .into()
}

/// The annotations that go with [`labels`]: empty unless a name was shortened.
#[must_use]
pub fn annotations(group: &ObjectKey) -> BTreeMap<String, String> {
    let mut full = BTreeMap::new();
    for (key, name) in [(FULL_NAMESPACE, group.namespace()), (FULL_NAME, &group.name)] {
        if name.len() > names::MAX_LABEL {
            full.insert(key.to_owned(), name.to_owned());
        }
    }
    full
}

/// Whose object this is, seen from `group`.
#[must_use]
pub fn of(group: &ObjectKey, meta: &kube::core::ObjectMeta) -> Owner {
    match label(meta) {
        None => Owner::Nobody,
        Some(label) if label == label_of(group) => Owner::Us,
        Some(label) => Owner::Other(label),
    }
}

/// Both labels of an owner as one text; none where nobody is named. No value of a label has a slash.
#[must_use]
pub fn label(meta: &kube::core::ObjectMeta) -> Option<String> {
    let label = |key| meta.labels.as_ref().and_then(|all: &BTreeMap<String, String>| all.get(key)).map(String::as_str);
    match (label(names::OWNER_NAMESPACE), label(names::OWNER_NAME)) {
        (None, None) => None,
        (namespace, name) => Some(format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())),
    }
}

/// The [`label`] of what `group` owns.
#[must_use]
pub fn label_of(group: &ObjectKey) -> String {
    format!("{}/{}", value(group.namespace()), value(&group.name))
}

/// The group that owns an object, when its labels or annotations name one in full.
#[must_use]
pub fn named_in(meta: &kube::core::ObjectMeta) -> Option<ObjectKey> {
    let read = |label: &str, annotation: &str| {
        let annotation = meta.annotations.as_ref().and_then(|all| all.get(annotation));
        annotation.or_else(|| meta.labels.as_ref().and_then(|all| all.get(label))).cloned()
    };
    Some(ObjectKey::namespaced(read(names::OWNER_NAMESPACE, FULL_NAMESPACE)?, read(names::OWNER_NAME, FULL_NAME)?))
}

fn value(name: &str) -> String {
    if name.len() <= names::MAX_LABEL {
        return name.to_owned();
    }
    let hash = hex(&Sha256::digest(name.as_bytes())[..4]);
    let kept: String = name.chars().take(names::MAX_LABEL - 1 - hash.len()).collect();
    format!("{}-{hash}", kept.trim_end_matches(['-', '.']))
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned_by(group: &ObjectKey) -> kube::core::ObjectMeta {
        kube::core::ObjectMeta {
            labels: Some(labels(group)),
            annotations: Some(annotations(group)),
            ..Default::default()
        }
    }

    #[test]
    fn an_owner_is_recognised_and_a_foreign_one_is_named() {
        let ours = ObjectKey::namespaced("shop", "web");
        assert_eq!(of(&ours, &owned_by(&ours)), Owner::Us);
        assert_eq!(of(&ours, &kube::core::ObjectMeta::default()), Owner::Nobody);
        let other = ObjectKey::namespaced("shop", "db");
        assert_eq!(of(&ours, &owned_by(&other)), Owner::Other("shop/db".into()));
        assert!(annotations(&ours).is_empty());
    }

    #[test]
    fn a_long_name_still_makes_a_valid_label_and_stays_distinct() {
        let long = |last: &str| ObjectKey::namespaced("shop", format!("{}{last}", "a".repeat(80)));
        let meta = owned_by(&long("x"));
        assert!(meta.labels.as_ref().unwrap().values().all(|value| value.len() <= names::MAX_LABEL));
        assert_eq!(of(&long("x"), &meta), Owner::Us);
        assert_ne!(of(&long("y"), &meta), Owner::Us);
        assert_eq!(named_in(&meta), Some(long("x")), "the annotation keeps the full name");
    }
}
