//! The resources that a capture of Kubernetes objects leaves out by default.

use k8s_openapi::api::core::v1::ConfigMap;

/// Name of the ConfigMap, in the namespace of the spoke's operator.
pub const CONFIG_MAP: &str = "default-excluded-resources";
/// Its data key.
pub const KEY: &str = "resources";

/// The defaults. The first [`CRITICAL`] of them are never left away.
pub const DEFAULTS: [&str; 10] = [
    "volumereplications.replication.storage.openshift.io",
    "volumegroupreplications.replication.storage.openshift.io",
    "replicationsources.volsync.backube",
    "replicationdestinations.volsync.backube",
    "persistentvolumeclaims",
    "persistentvolumes",
    "endpointslices.discovery.k8s.io",
    "endpoints",
    "volumesnapshots.snapshot.storage.k8s.io",
    "volumegroupsnapshots.groupsnapshot.storage.k8s.io",
];

/// How many of [`DEFAULTS`] are critical: restored on the other cluster, they would fight over the replication there.
pub const CRITICAL: usize = 4;

/// The list of a ConfigMap, with the critical ones that it lacks put back. A missing map or key, and a value that
/// cannot be read, give the defaults; an empty value excludes nothing but the critical ones.
#[must_use]
pub fn excluded_resources(config_map: Option<&ConfigMap>) -> Vec<String> {
    let value = config_map.and_then(|map| map.data.as_ref()).and_then(|data| data.get(KEY));
    let Some(mut resources) = value.and_then(|value| parse(value)) else {
        return DEFAULTS.iter().map(ToString::to_string).collect();
    };
    for critical in DEFAULTS.iter().take(CRITICAL) {
        if !resources.iter().any(|resource| resource == critical) {
            resources.push((*critical).to_owned());
        }
    }
    resources
}

/// A JSON array of strings, or a list with commas.
fn parse(value: &str) -> Option<Vec<String>> {
    let value = value.trim();
    if value.is_empty() {
        return Some(Vec::new());
    }
    let items: Vec<String> = if value.starts_with(['[', '{', '"']) {
        serde_json::from_str(value).ok()?
    } else {
        value.split(',').map(str::to_owned).collect()
    };
    Some(items.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Vec<String> {
        let data = [(KEY.to_owned(), value.to_owned())].into();
        excluded_resources(Some(&ConfigMap { data: Some(data), ..ConfigMap::default() }))
    }

    #[test]
    fn both_forms_are_read_and_the_critical_ones_stay() {
        let expected = [["secrets", "pods"].as_slice(), &DEFAULTS[..CRITICAL]].concat();
        assert_eq!(read(r#"["secrets", "pods"]"#), expected);
        assert_eq!(read("secrets, pods,"), expected);
        assert_eq!(read(""), DEFAULTS[..CRITICAL]);
    }

    #[test]
    fn missing_or_unreadable_is_the_default() {
        assert_eq!(excluded_resources(None), DEFAULTS);
        assert_eq!(excluded_resources(Some(&ConfigMap::default())), DEFAULTS);
        assert_eq!(read("[1, 2]"), DEFAULTS);
    }
}
