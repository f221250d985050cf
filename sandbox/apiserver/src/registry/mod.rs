//! What is served: the built-in kinds and those of CRDs, as one kind of value, [`Resource`].
//!
//! * [`builtins`]: the table of built-in kinds.
//! * [`crd`]: resources made from a CustomResourceDefinition.
//! * [`Registry`]: the current set; readers take a snapshot.

pub mod builtins;
pub mod crd;

use crate::schema::StructuralSchema;
use crate::store::GroupResource;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// When `metadata.generation` goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The kind does not have it.
    None,
    /// When `spec` changes.
    Spec,
    /// When `spec` or annotations change (Deployments).
    SpecAndAnnotations,
    /// When anything outside `metadata` changes; outside `status` too when there is a status subresource (custom resources).
    Content,
}

/// The scale subresource: JSON paths of custom resources, field paths of built-in ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// `.spec.replicas`.
    pub spec_replicas: String,
    /// `.status.replicas`.
    pub status_replicas: String,
    /// Where the label selector is, as text.
    pub label_selector: Option<String>,
}

/// How names are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// DNS-1123 subdomain.
    Subdomain,
    /// DNS-1123 label.
    Label,
    /// DNS-1035 label.
    Label1035,
    /// Path segment.
    Path,
}

/// Where the schema of a resource comes from.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A built-in kind.
    Builtin,
    /// A version of a CRD; the schema is absent when it preserves unknown fields and has none.
    Custom(Option<Arc<StructuralSchema>>),
}

/// A kind at a version, as it is served.
#[derive(Debug, Clone)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Kind of lists.
    pub list_kind: String,
    /// Plural name.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories, such as `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs.
    pub verbs: Vec<&'static str>,
    /// Whether there is a status subresource.
    pub status: bool,
    /// The scale subresource.
    pub scale: Option<Scale>,
    /// When the generation goes up.
    pub generation: Generation,
    /// Whether an update without resourceVersion is allowed.
    pub unconditional_update: bool,
    /// Whether an update creates what is absent.
    pub create_on_update: bool,
    /// Whether a delete answers with the object (and not with a Status).
    pub returns_deleted: bool,
    /// How names are checked.
    pub names: NameRule,
    /// Fields that selectors may name, beyond name and namespace.
    pub selectable: Vec<String>,
    /// Where objects are stored.
    pub storage: GroupResource,
    /// `apiVersion` of stored objects.
    pub storage_api_version: String,
    /// The schema.
    pub shape: Shape,
    /// The schema as the CRD gave it, for OpenAPI.
    pub open_api: Option<Arc<Value>>,
    /// `additionalPrinterColumns` of a CRD version.
    pub printer_columns: Option<Arc<Value>>,
    /// Set when a CRD version is deprecated: the text of the Warning header.
    pub deprecation: Option<String>,
    /// Whether other versions than the stored one are made by a webhook, which is not called here.
    pub webhook: bool,
    /// Set while the CRD is being deleted: no new objects.
    pub terminating: bool,
}

impl Resource {
    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Group and plural name, as errors name it.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(&self.group, &self.plural)
    }

    /// Whether it comes from a CRD.
    pub fn is_custom(&self) -> bool {
        matches!(self.shape, Shape::Custom(_))
    }

    /// Whether it is this built-in kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        !self.is_custom() && self.group == group && self.kind == kind
    }

    /// Whether a field selector may name this field.
    pub fn is_selectable(&self, path: &str) -> bool {
        path == "metadata.name"
            || (path == "metadata.namespace" && self.namespaced_or_builtin())
            || self.selectable.iter().any(|s| s == path)
    }

    fn namespaced_or_builtin(&self) -> bool {
        self.namespaced || !self.is_custom()
    }

    /// The error for a field that no selector may name.
    pub fn unselectable(&self, path: &str) -> String {
        if self.is_custom() || !self.selectable.is_empty() {
            format!("field label not supported: {path}")
        } else {
            format!("\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
    }
}

/// `v1` for the core group, `group/version` otherwise.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Group and version of an `apiVersion`.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The resources that are served, by group, version and plural name.
#[derive(Debug, Clone, Default)]
pub struct Served {
    resources: BTreeMap<(String, String), BTreeMap<String, Arc<Resource>>>,
}

impl Served {
    /// One resource.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&(group.to_owned(), version.to_owned()))?.get(plural)
    }

    /// A resource by kind.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&(group.to_owned(), version.to_owned()))?.values().find(|r| r.kind == kind)
    }

    /// A served version of a stored resource, whichever comes first.
    pub fn by_storage(&self, storage: &GroupResource) -> Option<&Arc<Resource>> {
        self.iter()
            .find(|r| r.storage == *storage && r.group == storage.group && r.storage_api_version == r.api_version())
            .or_else(|| self.iter().find(|r| r.storage == *storage))
    }

    /// All resources.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values().flat_map(BTreeMap::values)
    }

    /// The resources of a group and version.
    pub fn group_version(&self, group: &str, version: &str) -> Option<impl Iterator<Item = &Arc<Resource>>> {
        self.resources.get(&(group.to_owned(), version.to_owned())).map(BTreeMap::values)
    }

    /// Groups with their versions, the preferred one first.
    pub fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((group, version), resources) in &self.resources {
            if !resources.is_empty() {
                groups.entry(group.clone()).or_default().push(version.clone());
            }
        }
        groups
            .into_iter()
            .map(|(group, mut versions)| {
                versions.sort_by_key(|v| std::cmp::Reverse(version_priority(v)));
                (group, versions)
            })
            .collect()
    }

    fn insert(&mut self, resource: Resource) {
        self.resources
            .entry((resource.group.clone(), resource.version.clone()))
            .or_default()
            .insert(resource.plural.clone(), Arc::new(resource));
    }

    fn remove(&mut self, storage: &GroupResource) {
        for resources in self.resources.values_mut() {
            resources.retain(|_, r| r.storage != *storage);
        }
        self.resources.retain(|_, r| !r.is_empty());
    }
}

/// Orders versions as Kubernetes does: GA before beta before alpha, then by number; greater is preferred.
fn version_priority(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else {
        return other;
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let Ok(major) = major.parse::<u64>() else {
        return other;
    };
    let (stage, minor) = if rest.is_empty() {
        (3, "0")
    } else if let Some(minor) = rest.strip_prefix("beta") {
        (2, minor)
    } else if let Some(minor) = rest.strip_prefix("alpha") {
        (1, minor)
    } else {
        return other;
    };
    match minor.parse::<u64>() {
        Ok(minor) => (stage, major, minor, std::cmp::Reverse(String::new())),
        Err(_) => other,
    }
}

/// The current set of resources.
#[derive(Debug)]
pub struct Registry {
    served: RwLock<Arc<Served>>,
}

impl Registry {
    /// With the built-in kinds.
    pub fn new() -> Self {
        let mut served = Served::default();
        for resource in builtins::resources() {
            served.insert(resource);
        }
        Self { served: RwLock::new(Arc::new(served)) }
    }

    /// The resources as they are now.
    pub fn snapshot(&self) -> Arc<Served> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces all versions of a custom resource.
    pub fn replace(&self, storage: &GroupResource, resources: Vec<Resource>) {
        let mut guard = self.served.write().unwrap_or_else(PoisonError::into_inner);
        let mut served = Served::clone(&guard);
        served.remove(storage);
        for resource in resources {
            served.insert(resource);
        }
        *guard = Arc::new(served);
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
