//! One manifest of a work: which object it is, and which options it has.

use kaedama_shared::api::ocm::work::{
    ConditionRule, DeleteOption, FeedbackRule, ManifestConfig, ManifestWorkSpec, ResourceMeta, UpdateStrategy,
    propagation, scrape, strategy,
};
use kube::core::GroupVersionKind;
use serde_json::Value;

use super::super::runtime::Error;
use super::super::runtime::kinds::{Kinds, Served};

/// A manifest with everything that decides how it is applied.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    /// Which object it is; `resource` is empty where the cluster does not know the kind.
    pub(super) meta: ResourceMeta,
    /// The object as the work has it.
    pub(super) object: Value,
    /// The kind as the cluster serves it, or why it cannot be applied.
    pub(super) served: Result<Served, String>,
    /// Options.
    pub(super) options: Options,
}

/// Options of one manifest, after matching `manifestConfigs` and `deleteOption`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Options {
    /// How it is written; empty type means Update.
    pub(super) update: UpdateStrategy,
    /// What to report back.
    pub(super) feedback: Vec<FeedbackRule>,
    /// Feedback follows a watch.
    pub(super) watched: bool,
    /// Conditions to compute.
    pub(super) conditions: Vec<ConditionRule>,
    /// The object stays when the work goes.
    pub(super) orphan: bool,
}

impl Options {
    /// The agent does not write the object.
    pub(super) fn read_only(&self) -> bool {
        self.update.type_ == strategy::READ_ONLY
    }
}

/// The manifests of a work, in the order in which they are applied.
///
/// # Errors
/// When the cluster cannot be asked for its kinds.
pub(super) async fn manifests(spec: &ManifestWorkSpec, kinds: &Kinds) -> Result<Vec<Manifest>, Error> {
    let mut all = Vec::new();
    for (ordinal, object) in spec.workload.manifests.iter().enumerate() {
        all.push(manifest(ordinal, object, spec, kinds).await?);
    }
    all.sort_by_key(|manifest| (rank(&manifest.meta), manifest.meta.ordinal));
    Ok(all)
}

async fn manifest(ordinal: usize, object: &Value, spec: &ManifestWorkSpec, kinds: &Kinds) -> Result<Manifest, Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let mut meta = ResourceMeta {
        ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text(&object["kind"]),
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
        ..ResourceMeta::default()
    };
    let served = if meta.version.is_empty() || meta.kind.is_empty() {
        Err("the manifest has no apiVersion or no kind".to_owned())
    } else if meta.name.is_empty() {
        Err(format!("the manifest of kind {} has no metadata.name", meta.kind))
    } else {
        let gvk = GroupVersionKind::gvk(&meta.group, &meta.version, &meta.kind);
        let unknown = || format!("the server doesn't have a resource type {:?}", meta.kind);
        kinds.of(&gvk).await?.ok_or_else(unknown)
    };
    if let Ok(served) = &served {
        meta.resource = served.resource.plural.clone();
    }
    let options = options(&meta, spec);
    Ok(Manifest { meta, object: object.clone(), served, options })
}

/// The options of an object. Of several configs that match, the first that sets an option wins; for the scrape type
/// the last one does.
fn options(meta: &ResourceMeta, spec: &ManifestWorkSpec) -> Options {
    let mut options = Options::default();
    let mut update = None;
    for config in spec.manifest_configs.iter().filter(|config| matches(config, meta)) {
        update = update.or_else(|| config.update_strategy.clone());
        if options.feedback.is_empty() {
            options.feedback.clone_from(&config.feedback_rules);
        }
        if options.conditions.is_empty() {
            options.conditions.clone_from(&config.condition_rules);
        }
        options.watched = config.feedback_scrape_type == scrape::WATCH;
    }
    // What only asks for a watch says nothing to Open Cluster Management's agent, and is polled.
    options.watched &= update.is_some() || !options.feedback.is_empty() || !options.conditions.is_empty();
    options.update = update.unwrap_or_default();
    options.orphan = orphaned(meta, spec.delete_option.as_ref());
    options
}

/// The object stays when the work goes.
pub(super) fn orphaned(meta: &ResourceMeta, option: Option<&DeleteOption>) -> bool {
    let Some(option) = option else { return false };
    match option.propagation_policy.as_str() {
        propagation::ORPHAN => true,
        propagation::SELECTIVELY_ORPHAN => {
            let rules = option.selectively_orphans.iter().flat_map(|orphans| &orphans.orphaning_rules);
            let exactly = |rule: &&kaedama_shared::api::ocm::work::ResourceIdentifier| {
                rule.group == meta.group
                    && rule.resource == meta.resource
                    && rule.namespace == meta.namespace
                    && rule.name == meta.name
            };
            rules.into_iter().any(|rule| exactly(&rule))
        }
        _ => false,
    }
}

fn matches(config: &ManifestConfig, meta: &ResourceMeta) -> bool {
    let wanted = &config.resource_identifier;
    wanted.group == meta.group
        && wanted.resource == meta.resource
        && !meta.resource.is_empty()
        && wildcard(&wanted.namespace, &meta.namespace)
        && wildcard(&wanted.name, &meta.name)
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, middle)) = parts.split_last() else { return true };
    for part in middle {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

/// The place of a kind in the order of applying: what others need goes first, custom resources last.
fn rank(meta: &ResourceMeta) -> u8 {
    const LAST: u8 = 8;
    match (meta.group.as_str(), meta.kind.as_str()) {
        ("", "Namespace" | "PersistentVolume")
        | ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("storage.k8s.io", "StorageClass")
        | ("scheduling.k8s.io", "PriorityClass") => 0,
        ("rbac.authorization.k8s.io", "ClusterRole") => 1,
        ("rbac.authorization.k8s.io", _) => 2,
        ("networking.k8s.io", "NetworkPolicy") | ("", "ResourceQuota" | "LimitRange" | "ServiceAccount") => 3,
        ("", "Secret" | "ConfigMap" | "PersistentVolumeClaim") => 4,
        ("", "Service") => 5,
        ("apps" | "batch", _) | ("", "Pod" | "ReplicationController") => 6,
        ("admissionregistration.k8s.io" | "apiregistration.k8s.io", _) => 7,
        _ => LAST,
    }
}

#[cfg(test)]
mod tests {
    use kaedama_shared::api::ocm::work::{ResourceIdentifier, SelectivelyOrphan};

    use super::*;

    fn meta(resource: &str, namespace: &str, name: &str) -> ResourceMeta {
        let text = str::to_owned;
        ResourceMeta { resource: text(resource), namespace: text(namespace), name: text(name), ..Default::default() }
    }

    fn identifier(resource: &str, namespace: &str, name: &str) -> ResourceIdentifier {
        let text = str::to_owned;
        ResourceIdentifier {
            resource: text(resource),
            namespace: text(namespace),
            name: text(name),
            ..Default::default()
        }
    }

    #[test]
    fn wildcards_stand_for_anything() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*a*", "bab", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(wildcard(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_config_wins_and_for_the_scrape_type_the_last() {
        let config = |name: &str, scrape: &str, strategy: &str| ManifestConfig {
            resource_identifier: identifier("configmaps", "n", name),
            feedback_scrape_type: scrape.into(),
            update_strategy: Some(UpdateStrategy { type_: strategy.into(), ..Default::default() }),
            ..Default::default()
        };
        let spec = ManifestWorkSpec {
            manifest_configs: vec![
                config("x*", scrape::WATCH, strategy::CREATE_ONLY),
                config("xy", scrape::POLL, strategy::READ_ONLY),
                config("other", scrape::WATCH, strategy::READ_ONLY),
            ],
            ..Default::default()
        };
        let found = options(&meta("configmaps", "n", "xy"), &spec);
        assert_eq!((found.update.type_.as_str(), found.watched), (strategy::CREATE_ONLY, false));
        assert_eq!(options(&meta("secrets", "n", "xy"), &spec), Options::default());
        assert!(options(&meta("configmaps", "n", "other"), &spec).watched);
        let only_watched = ManifestConfig { update_strategy: None, ..config("other", scrape::WATCH, "") };
        let spec = ManifestWorkSpec { manifest_configs: vec![only_watched], ..Default::default() };
        assert!(!options(&meta("configmaps", "n", "other"), &spec).watched, "as Open Cluster Management's agent");
    }

    #[test]
    fn selective_orphans_are_matched_exactly() {
        let option = DeleteOption {
            propagation_policy: propagation::SELECTIVELY_ORPHAN.into(),
            selectively_orphans: Some(SelectivelyOrphan { orphaning_rules: vec![identifier("namespaces", "", "n")] }),
            ..Default::default()
        };
        assert!(orphaned(&meta("namespaces", "", "n"), Some(&option)));
        assert!(!orphaned(&meta("namespaces", "", "m"), Some(&option)));
        assert!(!orphaned(&meta("secrets", "", "n"), Some(&option)));
        assert!(orphaned(&meta("secrets", "", "n"), Some(&DeleteOption::orphan())));
        assert!(!orphaned(&meta("secrets", "", "n"), None));
    }
}
