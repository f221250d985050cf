//! The name of an object within one kind and one cluster.

use std::fmt;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::reflector::{Lookup, ObjectRef};

/// Namespace and name of an object; the kind and the cluster follow from where it is used.
///
/// Ordered, unlike kube's `ObjectRef`, so that whatever iterates over objects does so in the same order in every run.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace; `None` for a cluster-scoped object.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a cluster-scoped object.
    #[must_use]
    pub fn cluster(name: impl Into<String>) -> Self {
        Self { namespace: None, name: name.into() }
    }

    /// The key of a namespaced object. An empty namespace is none.
    #[must_use]
    pub fn namespaced(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()).filter(|namespace| !namespace.is_empty()), name: name.into() }
    }

    /// The key of `object`. An object without a name (it was never stored) has the empty name.
    #[must_use]
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            namespace: meta.namespace.clone().filter(|namespace| !namespace.is_empty()),
            name: meta.name.clone().unwrap_or_default(),
        }
    }

    /// The namespace, empty for a cluster-scoped object.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The same name as kube's runtime writes it.
    #[must_use]
    pub fn to_ref<K: Lookup>(&self) -> ObjectRef<K>
    where
        K::DynamicType: Default,
    {
        let reference = ObjectRef::new(&self.name);
        match &self.namespace {
            Some(namespace) => reference.within(namespace),
            None => reference,
        }
    }
}

impl<K: Lookup> From<&ObjectRef<K>> for ObjectKey {
    fn from(reference: &ObjectRef<K>) -> Self {
        Self { namespace: reference.namespace.clone(), name: reference.name.clone() }
    }
}

impl From<&ObjectReference> for ObjectKey {
    fn from(reference: &ObjectReference) -> Self {
        Self::namespaced(reference.namespace.clone().unwrap_or_default(), reference.name.clone().unwrap_or_default())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(out, "{namespace}/{}", self.name),
            None => out.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Node};

    use super::*;

    #[test]
    fn namespaced_and_cluster_scoped_objects_are_told_apart() {
        let map = ConfigMap {
            metadata: kube::core::ObjectMeta {
                namespace: Some("a".into()),
                name: Some("x".into()),
                ..Default::default()
            },
            ..ConfigMap::default()
        };
        let key = ObjectKey::of(&map);
        assert_eq!(key, ObjectKey::namespaced("a", "x"));
        assert_eq!(key.to_string(), "a/x");
        assert_ne!(key, ObjectKey::cluster("x"));
        assert_eq!(ObjectKey::from(&key.to_ref::<ConfigMap>()), key);
        let node = ObjectKey::cluster("n");
        assert_eq!(ObjectKey::from(&node.to_ref::<Node>()), node);
        assert_eq!((node.namespace(), node.to_string().as_str()), ("", "n"));
        assert_eq!(ObjectKey::namespaced("", "n"), node, "an empty namespace is no namespace");
    }
}
