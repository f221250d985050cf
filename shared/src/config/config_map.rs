//! The operator's ConfigMap at start: created if missing, else the user's values over the defaults, written back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use serde_json::Value;

use super::load::{self, Loaded};
use super::{ConfigError, RamenConfig, Role};
use crate::yaml::{self, YamlError};

/// The data key.
pub const KEY: &str = "ramen_manager_config.yaml";
/// Label of ConfigMaps that the operator made.
pub const CREATED_BY: (&str, &str) = ("ramendr.openshift.io/created-by-ramen", "true");
/// Label that puts the hub's ConfigMap into the hub's own backup.
pub const BACKUP: (&str, &str) = ("cluster.open-cluster-management.io/backup", "ramen");
/// Labels by which OLM owns the ConfigMap; with them it would be removed or reverted.
const OLM_LABELS: [&str; 2] = ["olm.managed", "operators.coreos.com/odr-hub-operator.openshift-operators"];
/// Where OLM puts operators for all namespaces; there, other namespaces are usual.
const OPENSHIFT_OPERATORS: &str = "openshift-operators";

/// The OLM Subscription of the hub's operator, as far as it decides names. Source: `spec` of the Subscription in the
/// operator's namespace whose package ends in `-hub-operator`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSubscription {
    /// `spec.channel`.
    pub channel: String,
    /// `spec.name`.
    pub package: String,
    /// `spec.source`.
    pub catalog_source: String,
    /// `spec.sourceNamespace`.
    pub catalog_source_namespace: String,
    /// `spec.startingCSV`, else `status.installedCSV`.
    pub cluster_service_version: String,
}

/// The configuration as the ConfigMap had it last, so that each version is read once, not in every pass; and what of it has
/// no meaning is said once.
#[derive(Clone, Debug, Default)]
pub struct LastRead(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    /// Which ConfigMap, in which version, and what it said.
    read: Option<(String, Arc<RamenConfig>)>,
    /// Members without a meaning that were told of.
    told: Vec<String>,
}

impl Last {
    fn tell(&mut self, ignored: Vec<String>) {
        for path in ignored.iter().filter(|path| !self.told.contains(path)) {
            tracing::warn!(path, "the configuration has a member that means nothing");
        }
        self.told = ignored;
    }
}

impl LastRead {
    /// To go on from what [`at_start`] found.
    #[must_use]
    pub fn after_start(loaded: &Loaded) -> Self {
        let mut last = Last::default();
        last.tell(loaded.ignored.clone());
        Self(Arc::new(Mutex::new(last)))
    }

    /// The configuration in this ConfigMap.
    ///
    /// # Errors
    /// As [`RamenConfig::from_config_map`].
    pub fn of(&self, config_map: &ConfigMap, role: Role) -> Result<Arc<RamenConfig>, ConfigError> {
        // The uid too: one that was made anew may repeat a version.
        let metadata = &config_map.metadata;
        let version = format!("{:?} {:?}", metadata.uid, metadata.resource_version);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, config)) = &last.read
            && *at == version
        {
            return Ok(config.clone());
        }
        let loaded = RamenConfig::from_config_map(config_map, role)?;
        last.tell(loaded.ignored);
        for error in loaded.config.profile_errors() {
            tracing::warn!(%error, "the configuration has a profile that cannot be used as it is");
        }
        let config = Arc::new(loaded.config);
        last.read = Some((version, config.clone()));
        Ok(config)
    }
}

impl RamenConfig {
    /// Reads the operator's ConfigMap.
    ///
    /// # Errors
    /// The key is missing, or as [`load::parse`].
    pub fn from_config_map(config_map: &ConfigMap, role: Role) -> Result<Loaded, ConfigError> {
        let text = config_map.data.as_ref().and_then(|data| data.get(KEY)).ok_or_else(|| {
            let problem = format!("ConfigMap {} has no such key", role.config_map_name());
            ConfigError::new(
                KEY,
                KEY,
                problem,
                "add the key, or delete the ConfigMap to have it made with the defaults",
            )
        })?;
        load::parse(text, role)
    }

    /// Sets the names that come from the hub operator's own installation, over what the user gave.
    pub fn apply_installation(&mut self, operator_namespace: &str, subscription: Option<&HubSubscription>) {
        let operator = &mut self.dr_cluster_operator;
        if let Some(subscription) = subscription {
            operator.channel_name = subscription.channel.clone();
            operator.package_name = subscription.package.replace("-hub-", "-cluster-");
            operator.namespace_name = operator_namespace.to_owned();
            operator.catalog_source_name = subscription.catalog_source.clone();
            operator.catalog_source_namespace_name = subscription.catalog_source_namespace.clone();
            operator.cluster_service_version_name = subscription.cluster_service_version.replace("-hub-", "-cluster-");
        }
        if operator_namespace == OPENSHIFT_OPERATORS {
            operator.namespace_name = "openshift-dr-system".into();
            self.kube_object_protection.velero_namespace_name = "openshift-adp".into();
            self.ramen_ops_namespace = "openshift-dr-ops".into();
        }
    }
}

/// The ConfigMap as it should be at the operator's start, and the configuration in it. It keeps everything of the
/// existing one but its ownership; equal to the existing one if there is nothing to write.
///
/// # Errors
/// The existing one cannot be read: it is left as it is, for the administrator to correct.
pub fn at_start(
    existing: Option<&ConfigMap>,
    role: Role,
    operator_namespace: &str,
    subscription: Option<&HubSubscription>,
) -> Result<(ConfigMap, Loaded), ConfigError> {
    let mut loaded = match existing {
        Some(config_map) => RamenConfig::from_config_map(config_map, role)?,
        None => Loaded { config: RamenConfig::defaults(role), ignored: Vec::new() },
    };
    if role == Role::Hub {
        loaded.config.apply_installation(operator_namespace, subscription);
    }
    let text = existing.and_then(|map| map.data.as_ref()?.get(KEY)).map(String::as_str).unwrap_or_default();
    let yaml = with_unknown(&loaded, text).map_err(|error| {
        ConfigError::new(KEY, KEY, format!("cannot be written: {error}"), "report this as a defect of the operator")
    })?;
    let mut config_map = existing.cloned().unwrap_or_else(|| ConfigMap {
        metadata: ObjectMeta {
            name: Some(role.config_map_name().into()),
            namespace: Some(operator_namespace.into()),
            labels: Some([label(CREATED_BY)].into()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    });
    config_map.metadata.owner_references = None;
    if let Some(labels) = &mut config_map.metadata.labels {
        labels.retain(|name, _| !OLM_LABELS.contains(&name.as_str()));
    }
    if role == Role::Hub {
        let (name, value) = label(BACKUP);
        config_map.metadata.labels.get_or_insert_default().insert(name, value);
    }
    config_map.data.get_or_insert_with(BTreeMap::new).insert(KEY.into(), yaml);
    Ok((config_map, loaded))
}

/// The configuration as YAML, with what the user wrote and we do not know: a misspelt block is to be corrected, not lost.
fn with_unknown(loaded: &Loaded, text: &str) -> Result<String, YamlError> {
    let yaml = loaded.config.to_yaml()?;
    if loaded.ignored.is_empty() {
        return Ok(yaml);
    }
    let (mut known, written): (Value, Value) = (yaml::from_str(&yaml)?, yaml::from_str(text)?);
    keep_unknown(&mut known, &written);
    yaml::to_string(&known)
}

fn keep_unknown(known: &mut Value, written: &Value) {
    let (Value::Object(known), Value::Object(written)) = (known, written) else { return };
    for (name, value) in written {
        match known.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some((_, known)) => keep_unknown(known, value),
            None => drop(known.insert(name.clone(), value.clone())),
        }
    }
}

fn label((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missing_map_is_made_with_the_defaults_and_then_left_alone() {
        let (made, loaded) = at_start(None, Role::Hub, "ramen-system", None).unwrap();
        assert_eq!(loaded.config, RamenConfig::defaults(Role::Hub));
        assert_eq!(made.metadata.name.as_deref(), Some("ramen-hub-operator-config"));
        assert_eq!(made.metadata.labels, Some([label(CREATED_BY), label(BACKUP)].into()));
        let (again, _) = at_start(Some(&made), Role::Hub, "ramen-system", None).unwrap();
        assert_eq!(again, made);
    }

    #[test]
    fn what_is_misspelt_is_kept_to_be_corrected() {
        let text = "s3StoreProfile:\n- s3ProfileName: east\nvolsync: {disabled: true, twice: 2}\n";
        let existing: ConfigMap = serde_json::from_value(json!({ "metadata": {}, "data": { KEY: text } })).unwrap();
        let (written, loaded) = at_start(Some(&existing), Role::Spoke, "ramen-system", None).unwrap();
        assert_eq!(loaded.ignored.len(), 2, "{:?}", loaded.ignored);
        let written: Value = yaml::from_str(&written.data.unwrap()[KEY]).unwrap();
        assert_eq!(written["s3StoreProfile"], json!([{ "s3ProfileName": "east" }]));
        assert_eq!(written["volSync"]["disabled"], true);
        assert_eq!(written["volSync"]["twice"], 2);
        assert!(written.get("volsync").is_none());
    }

    #[test]
    fn an_existing_map_keeps_what_is_the_users_and_loses_olms_hold() {
        let existing: ConfigMap = serde_json::from_value(json!({
            "metadata": {
                "name": "ramen-hub-operator-config", "namespace": "openshift-operators",
                "labels": {"olm.managed": "true", "mine": "1",
                           "operators.coreos.com/odr-hub-operator.openshift-operators": ""},
                "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u"}],
            },
            "data": {KEY: "volSync: {disabled: true}\nvolumeUnprotectionEnabled: false\n", "other": "kept"},
        }))
        .unwrap();
        let subscription = HubSubscription {
            channel: "stable-4.20".into(),
            package: "odr-hub-operator".into(),
            catalog_source: "redhat-operators".into(),
            catalog_source_namespace: "openshift-marketplace".into(),
            cluster_service_version: "odr-hub-operator.v4.20.1".into(),
        };
        let (written, loaded) =
            at_start(Some(&existing), Role::Hub, "openshift-operators", Some(&subscription)).unwrap();
        assert_eq!(written.metadata.owner_references, None);
        assert_eq!(written.metadata.labels, Some([("mine".into(), "1".into()), label(BACKUP)].into()));
        assert_eq!(written.data.as_ref().unwrap()["other"], "kept");
        let operator = &loaded.config.dr_cluster_operator;
        assert_eq!(operator.package(), "odr-cluster-operator");
        assert_eq!(operator.cluster_service_version(), "odr-cluster-operator.v4.20.1");
        assert_eq!(operator.namespace("x"), "openshift-dr-system");
        assert_eq!(loaded.config.kube_object_protection.velero_namespace_name, "openshift-adp");
        assert_eq!(loaded.config.ramen_ops_namespace, "openshift-dr-ops");
        assert!(loaded.config.vol_sync.disabled && !loaded.config.volume_unprotection_enabled);
        assert_eq!(RamenConfig::from_config_map(&written, Role::Hub).unwrap(), loaded);
    }

    #[test]
    fn what_means_nothing_is_said_once_and_again_when_something_is_added() {
        let map = |text: &str, version: &str| -> ConfigMap {
            serde_json::from_value(json!({ "metadata": { "resourceVersion": version }, "data": { KEY: text } }))
                .unwrap()
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let first = map("twice: 2\n", "1");
            let (written, loaded) = at_start(Some(&first), Role::Hub, "ramen-system", None).unwrap();
            let read = LastRead::after_start(&loaded);
            assert_eq!(lines.about("twice"), 1);
            read.of(&ConfigMap { metadata: first.metadata, ..written }, Role::Hub).unwrap();
            assert_eq!(lines.about("twice"), 1, "it was said at the start");
            read.of(&map("twice: 2\nthrice: 3\n", "2"), Role::Hub).unwrap();
            assert_eq!((lines.about("twice"), lines.about("thrice")), (1, 1));
            read.of(&map("", "3"), Role::Hub).unwrap();
            read.of(&map("twice: 2\n", "4"), Role::Hub).unwrap();
            assert_eq!(lines.about("twice"), 2, "it was gone in between");
        });
    }

    /// What is logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn about(&self, word: &str) -> usize {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().filter(|line| line.contains(word)).count()
        }
    }

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_map_that_cannot_be_read_is_not_overwritten() {
        let empty = ConfigMap::default();
        let error = at_start(Some(&empty), Role::Spoke, "ramen-system", None).unwrap_err().to_string();
        assert!(error.contains("ramen-dr-cluster-operator-config has no such key"), "{error}");
    }
}
