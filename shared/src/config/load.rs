//! Reading a RamenConfig: the user's YAML over the defaults.

use serde_json::{Map, Value};

use super::ramen::{API_VERSION, KIND, RamenConfig};
use super::{ConfigError, Role, S3StoreProfile, SecretRef};
use crate::yaml;

/// A configuration, and what of the user's text had no meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: RamenConfig,
    /// Paths of members that RamenConfig does not have. Ramen ignores them too; a misspelt one should be shown.
    pub ignored: Vec<String>,
}

/// Reads the YAML of a ConfigMap, over the defaults of the role.
///
/// # Errors
/// The text is not YAML, is of another kind, or a member has the wrong type; the error names it. Wrong content of an
/// S3 profile is not an error here: the other profiles must stay usable (see [`RamenConfig::s3_profile`]).
pub fn parse(text: &str, role: Role) -> Result<Loaded, ConfigError> {
    let path = "ramen_manager_config.yaml";
    let user: Value = yaml::from_str(text).map_err(|error| {
        ConfigError::new(path, "ramen_manager_config.yaml", error.to_string(), "correct the YAML at this place")
    })?;
    let user = match user {
        Value::Null => Map::new(),
        Value::Object(members) => members,
        _ => {
            let problem = "holds no mapping";
            let remedy = "write a RamenConfig: members such as s3StoreProfiles, one per line";
            return Err(ConfigError::new(path, "ramen_manager_config.yaml", problem, remedy));
        }
    };
    let mut ignored = Vec::new();
    let template = template(role);
    let user = canonical(user, &template, "", &mut ignored);
    ignored.sort();
    expect(&user, "kind", KIND)?;
    expect(&user, "apiVersion", API_VERSION)?;
    let mut merged = serde_json::to_value(RamenConfig::defaults(role)).unwrap_or_default();
    overlay(&mut merged, Value::Object(user));
    let config = serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        let remedy = "give it a value of the right type, or leave it out to have the default";
        ConfigError::new(path, "ramen_manager_config.yaml", error.into_inner().to_string(), remedy)
    })?;
    Ok(Loaded { config, ignored })
}

fn expect(user: &Map<String, Value>, field: &'static str, expected: &str) -> Result<(), ConfigError> {
    match user.get(field) {
        None => Ok(()),
        Some(found) if found == expected => Ok(()),
        Some(found) => {
            let problem = format!("is {found}, expected {expected:?}");
            Err(ConfigError::new(field, field, problem, "put a RamenConfig into this ConfigMap, not another object"))
        }
    }
}

/// Every member that a RamenConfig can have, with a value of the right type.
fn template(role: Role) -> Map<String, Value> {
    let filled = || "x".to_owned();
    let mut config = RamenConfig::defaults(role);
    config.ramen_controller_type = filled();
    let operator = &mut config.dr_cluster_operator;
    for name in [
        &mut operator.channel_name,
        &mut operator.package_name,
        &mut operator.namespace_name,
        &mut operator.catalog_source_name,
        &mut operator.catalog_source_namespace_name,
        &mut operator.cluster_service_version_name,
        &mut config.vol_sync.ceph_fs_csi_driver_name,
    ] {
        *name = filled();
    }
    config.s3_store_profiles.push(S3StoreProfile {
        s3_profile_name: filled(),
        s3_bucket: filled(),
        s3_compatible_endpoint: filled(),
        s3_region: filled(),
        s3_secret_ref: SecretRef { name: filled(), namespace: filled() },
        velero_namespace_secret_key_ref: Some(super::profiles::SecretKeyRef {
            name: filled(),
            key: filled(),
            optional: Some(false),
        }),
        ca_certificates: filled(),
    });
    match serde_json::to_value(config) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// Gives every member its canonical name, as Go's decoder matches them in any case; drops nulls, which Go takes as
/// absent, and members that the template does not have.
fn canonical(
    user: Map<String, Value>,
    template: &Map<String, Value>,
    path: &str,
    ignored: &mut Vec<String>,
) -> Map<String, Value> {
    let mut result = Map::new();
    // An exact name wins over one in another case, whatever their order.
    let (exact, other): (Vec<_>, Vec<_>) = user.into_iter().partition(|(name, _)| template.contains_key(name));
    for (name, value) in exact.into_iter().chain(other) {
        let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let known = template.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        let Some((known, example)) = known else {
            ignored.push(here);
            continue;
        };
        if value.is_null() || result.contains_key(known) {
            continue;
        }
        let value = match (value, example) {
            (Value::Object(members), Value::Object(example)) => {
                Value::Object(canonical(members, example, &here, ignored))
            }
            (Value::Array(items), Value::Array(examples)) => Value::Array(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(at, item)| match (item, examples.first()) {
                        (Value::Object(members), Some(Value::Object(example))) => {
                            Value::Object(canonical(members, example, &format!("{here}[{at}]"), ignored))
                        }
                        (item, _) => item,
                    })
                    .collect(),
            ),
            (Value::String(text), Value::Bool(_)) => boolean(text),
            (value, _) => value,
        };
        result.insert(known.clone(), value);
    }
    result
}

/// The words that YAML 1.1, and with it Ramen's reader, takes for a boolean.
fn boolean(text: String) -> Value {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" => true.into(),
        "no" | "off" | "n" => false.into(),
        _ => text.into(),
    }
}

/// Field by field; lists are replaced as a whole.
fn overlay(base: &mut Value, user: Value) {
    match (base, user) {
        (Value::Object(base), Value::Object(user)) => {
            for (name, value) in user {
                overlay(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, user) => *base = user,
    }
}

impl RamenConfig {
    /// The YAML of the ConfigMap. Booleans are written whatever their value.
    ///
    /// # Errors
    /// Never for a value of this type; the YAML library's signature has an error.
    pub fn to_yaml(&self) -> Result<String, yaml::YamlError> {
        yaml::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Loaded {
        parse(text, Role::Spoke).unwrap()
    }

    #[test]
    fn nothing_given_is_the_table_of_defaults() {
        for text in ["", "---\n", "kind: RamenConfig\napiVersion: ramendr.openshift.io/v1alpha1\n"] {
            assert_eq!(load(text), Loaded { config: RamenConfig::defaults(Role::Spoke), ignored: vec![] });
        }
        let config = load("").config;
        assert_eq!(config.leader_election.resource_name, "dr-cluster.ramendr.openshift.io");
        assert_eq!(parse("", Role::Hub).unwrap().config.leader_election.resource_name, "hub.ramendr.openshift.io");
        assert_eq!((config.workers(), config.metrics_address()), (50, Some("0.0.0.0:9289")));
        assert_eq!(config.vol_sync.copy_method(), "Direct");
        assert_eq!(config.vol_sync.ceph_fs_csi_driver(), "openshift-storage.cephfs.csi.ceph.com");
        assert_eq!(config.dr_cluster_operator.namespace("ramen-system"), "ramen-system");
        assert_eq!(config.dr_cluster_operator.cluster_service_version(), "ramen-dr-cluster-operator.v0.0.1");
    }

    #[test]
    fn a_section_that_is_given_in_part_keeps_the_other_defaults() {
        let config = load("leaderElection: {leaderElect: false}\nkubeObjectProtection:\n  veleroNamespaceName: oadp\n");
        assert!(!config.config.leader_election.leader_elect);
        assert_eq!(config.config.leader_election.resource_name, "dr-cluster.ramendr.openshift.io");
        assert!(!config.config.kube_object_protection.disabled);
        assert_eq!(config.config.kube_object_protection.velero_namespace_name, "oadp");
    }

    #[test]
    fn a_switch_turned_off_survives_being_written_and_read() {
        let text = "volumeUnprotectionEnabled: false\nmultiNamespace: {FeatureEnabled: false}\n\
                    retainNamespaceSCCAcrossPeers: false\ndrClusterOperator: {deploymentAutomationEnabled: false}\n";
        let first = load(text).config;
        let written = first.to_yaml().unwrap();
        assert!(written.contains("volumeUnprotectionEnabled: false"), "{written}");
        assert!(written.contains("FeatureEnabled: false"), "{written}");
        let second = load(&written);
        assert_eq!(second, Loaded { config: first, ignored: vec![] });
        assert!(!second.config.dr_cluster_operator.distributes_s3_secrets());
    }

    #[test]
    fn member_names_match_in_any_case_and_the_exact_one_wins() {
        for name in ["FeatureEnabled", "featureEnabled", "featureenabled"] {
            let config = load(&format!("multinamespace:\n  {name}: false\n")).config;
            assert!(!config.multi_namespace.feature_enabled, "{name}");
        }
        let config = load("multiNamespace: {featureEnabled: true, FeatureEnabled: false}").config;
        assert!(!config.multi_namespace.feature_enabled);
    }

    #[test]
    fn unknown_members_are_ignored_and_named() {
        let loaded =
            load("s3StoreProfile: []\nhealth: {readinessEndpointName: /r}\ns3StoreProfiles: [{s3Buckets: b}]\n");
        assert_eq!(loaded.ignored, ["health.readinessEndpointName", "s3StoreProfile", "s3StoreProfiles[0].s3Buckets"]);
    }

    #[test]
    fn null_is_absent_and_the_words_of_yaml_1_1_are_booleans() {
        let config =
            load("s3StoreProfiles: null\nmetrics:\nvolSync: {disabled: yes}\nvolumeUnprotectionEnabled: off\n");
        assert_eq!(config.config.s3_store_profiles, []);
        assert_eq!(config.config.metrics.bind_address, "0.0.0.0:9289");
        assert!(config.config.vol_sync.disabled);
        assert!(!config.config.volume_unprotection_enabled);
    }

    #[test]
    fn an_explicit_empty_or_zero_keeps_its_own_meaning() {
        let config =
            load("maxConcurrentReconciles: 0\nvolSync: {destinationCopyMethod: \"\"}\nmetrics: {bindAddress: \"0\"}");
        assert_eq!(config.config.workers(), 1);
        assert_eq!(config.config.vol_sync.copy_method(), "Snapshot");
        assert_eq!(config.config.metrics_address(), None);
    }

    #[test]
    fn a_wrong_type_is_named_with_its_path() {
        let error = parse("maxConcurrentReconciles: many", Role::Hub).unwrap_err();
        assert_eq!(error.path, "maxConcurrentReconciles");
        let error = parse("s3StoreProfiles: [{s3Bucket: b}, {s3Bucket: {}}]", Role::Hub).unwrap_err();
        assert_eq!(error.path, "s3StoreProfiles[1].s3Bucket");
        let error = parse("volSync: {disabled: maybe}", Role::Hub).unwrap_err().to_string();
        assert!(error.starts_with("configuration field volSync.disabled: invalid type"), "{error}");
        assert_eq!(parse("kind: Pod", Role::Hub).unwrap_err().path, "kind");
        assert_eq!(parse("- a", Role::Hub).unwrap_err().problem, "holds no mapping");
        assert!(parse("a: [", Role::Hub).unwrap_err().problem.contains("line"));
    }

    #[test]
    fn what_goes_to_the_spokes_differs_in_the_lease_only() {
        let hub = parse("volSync: {disabled: true}", Role::Hub).unwrap().config;
        let mut expected = hub.clone();
        expected.leader_election.resource_name = "dr-cluster.ramendr.openshift.io".into();
        assert_eq!(hub.for_spokes(), expected);
    }
}
