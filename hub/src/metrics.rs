//! The gauges `ramen_…`, by the names and labels that existing rules and dashboards select.
//!
//! They are facts about objects that are in the caches, so they are read from there at each scrape: there is nothing to
//! keep up to date, and the series of a deleted object are gone with it. While this process does not lead, there are
//! none.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kaedama_shared::api::conditions::{drcluster as drcluster_types, drpc as drpc_types};
use kaedama_shared::api::reasons::drcluster as drcluster_reasons;
use kaedama_shared::api::{
    DRCluster, DRPlacementControl, DRPlacementControlStatus, DRPolicy, Progression, condition,
    parse_scheduling_interval,
};
use kaedama_shared::config::{RamenConfig, Role};
use kaedama_shared::names;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::caches::Caches;
use crate::configuration::Configuration;
use crate::drpc::counters::Counters;
use crate::drpc::dr_type::{DrType, of_policy};

/// One series.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

/// A metric with its series.
#[derive(Clone, Debug, PartialEq)]
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Vec<Sample>,
}

/// The hub's gauges. Cheap to clone: clones read the same source.
#[derive(Clone, Default)]
pub struct HubMetrics {
    source: Arc<Mutex<Option<(Caches, Configuration)>>>,
}

impl fmt::Debug for HubMetrics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("HubMetrics")
    }
}

impl HubMetrics {
    /// Makes them and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let own = HubMetrics::default();
        registry.register_collector(Box::new(own.clone()));
        own
    }

    /// From here on this process leads, and these are what it sees.
    pub fn read_from(&self, caches: &Caches, configuration: &Configuration) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some((caches.clone(), configuration.clone()));
    }

    /// This process does not lead any more.
    pub fn stop(&self) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Collector for HubMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((caches, configuration)) = source else { return Ok(()) };
        let ops_namespace = configuration.settings().map_or_else(
            |_| RamenConfig::defaults(Role::Hub).ramen_ops_namespace,
            |config| config.ramen_ops_namespace.clone(),
        );
        let facts = Facts {
            drpcs: &caches.drpcs.list(),
            policies: &caches.policies.list(),
            drclusters: &caches.drclusters.list(),
            ops_namespace: &ops_namespace,
        };
        for metric in facts.metrics() {
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, MetricType::Gauge)?;
            for sample in &metric.samples {
                let labels: Vec<(&str, &str)> =
                    sample.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
                if labels.is_empty() {
                    family.encode_gauge(&sample.value)?;
                } else {
                    family.encode_family(&labels)?.encode_gauge(&sample.value)?;
                }
            }
        }
        Ok(())
    }
}

/// What the gauges are derived from.
struct Facts<'a> {
    drpcs: &'a [Arc<DRPlacementControl>],
    policies: &'a [Arc<DRPolicy>],
    drclusters: &'a [Arc<DRCluster>],
    ops_namespace: &'a str,
}

type Labels = Vec<(&'static str, String)>;

impl Facts<'_> {
    fn metrics(&self) -> Vec<Metric> {
        let metric = |name, help, samples: Vec<Sample>| Metric { name, help, samples };
        vec![
            metric(
                "ramen_policy_schedule_interval_seconds",
                "Schedule interval of a policy, in seconds",
                self.policies.iter().filter_map(interval).collect(),
            ),
            metric(
                "ramen_last_sync_timestamp_seconds",
                "Time of the last group synchronisation, in seconds since the epoch; 0 before the first",
                self.synced(true, |status| {
                    status.last_group_sync_time.as_ref().map(|time| seconds(time.0.as_second()))
                }),
            ),
            metric(
                "ramen_last_sync_duration_seconds",
                "Duration of the last group synchronisation, in seconds",
                self.synced(false, |status| status.last_group_sync_duration.map(|d| d.as_nanos() as f64 / 1e9)),
            ),
            metric(
                "ramen_last_sync_data_bytes",
                "Bytes of the last group synchronisation",
                self.synced(false, |status| status.last_group_sync_bytes.map(seconds)),
            ),
            metric(
                "ramen_workload_protection_status",
                "1 while the application is protected",
                self.each(|drpc, labels| {
                    Some(flag(labels, condition::is_true(conditions(drpc), drpc_types::PROTECTED)))
                }),
            ),
            metric(
                "ramen_unsupported_consistency_grouping_enabled",
                "1 while consistency groups are asked for",
                self.each(|drpc, labels| Some(flag(labels, annotation(drpc, names::IS_CG_ENABLED) == Some("true")))),
            ),
            metric(
                "ramen_global_action_consensus_status",
                "1 while the applications that share a group agree on the action",
                self.each(|drpc, labels| {
                    let shares =
                        drpc.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(names::GLOBAL_VGR));
                    let agreed = condition::find(conditions(drpc), drpc_types::GLOBAL_ACTION).filter(|_| shares)?;
                    Some(flag(labels, agreed.is_true()))
                }),
            ),
            metric("ramen_progression_state", "1 while the progression is the one of the label", self.progressions()),
            metric(
                "ramen_invalid_cidrs_detected",
                "1 while networks of a cluster's nodes are malformed or not configured",
                self.networks(|condition| condition.is_false()),
            ),
            metric(
                "ramen_undetected_cidrs_found",
                "1 while networks are configured that no node of the cluster uses",
                self.networks(|condition| condition.reason == drcluster_reasons::UNDETECTED_CIDRS_FOUND),
            ),
            metric("ramen_dr_policy_type", "Number of policies by type", self.policy_types()),
            metric("ramen_dr_protected_apps", "Number of protected applications by how they are managed", self.apps()),
            metric("ramen_dr_actions", "Number of actions that were begun", self.actions()),
        ]
    }

    /// A series of each application that is protected and not being released.
    fn each(&self, sample: impl Fn(&DRPlacementControl, Labels) -> Option<Sample>) -> Vec<Sample> {
        let held = self.drpcs.iter().filter(|drpc| {
            let ours = drpc.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == names::DRPC_FINALIZER);
            ours && drpc.metadata.deletion_timestamp.is_none() && drpc.status.is_some()
        });
        held.filter_map(|drpc| sample(drpc, identity(drpc))).collect()
    }

    fn policy_of(&self, drpc: &DRPlacementControl) -> Option<&DRPolicy> {
        let name = drpc.spec.dr_policy_ref.name.as_deref();
        self.policies.iter().find(|policy| policy.metadata.name.as_deref() == name).map(AsRef::as_ref)
    }

    /// A series of each application that is replicated by schedule. The oldest of these metrics names the policy as well.
    fn synced(&self, with_policy: bool, value: impl Fn(&DRPlacementControlStatus) -> Option<f64>) -> Vec<Sample> {
        self.each(|drpc, mut labels| {
            let policy = self.policy_of(drpc).filter(|policy| of_policy(policy) == DrType::Async)?;
            let interval = policy.spec.scheduling_interval.clone();
            parse_scheduling_interval(&interval).ok().filter(|seconds| *seconds > 0)?;
            if with_policy {
                labels.push(("policyname", policy.metadata.name.clone().unwrap_or_default()));
            }
            labels.push(("scheduling_interval", interval));
            let value = drpc.status.as_ref().and_then(&value).unwrap_or_default();
            Some(Sample { labels, value })
        })
    }

    fn progressions(&self) -> Vec<Sample> {
        let tracked = Progression::WaitOnUserToCleanUp;
        self.each(|drpc, mut labels| {
            self.policy_of(drpc).filter(|policy| of_policy(policy) == DrType::Async)?;
            labels.push(("state", tracked.to_string()));
            Some(flag(labels, drpc.status.as_ref().is_some_and(|status| status.progression == tracked)))
        })
    }

    fn networks(&self, holds: impl Fn(&kaedama_shared::api::Condition) -> bool) -> Vec<Sample> {
        let sample = |drcluster: &Arc<DRCluster>| {
            let status = drcluster.status.as_ref();
            let found = status.and_then(|status| condition::find(&status.conditions, drcluster_types::CIDRS_VALIDATED));
            let labels = vec![
                ("obj_type", "DRCluster".to_owned()),
                ("obj_name", drcluster.metadata.name.clone().unwrap_or_default()),
            ];
            flag(labels, found.is_some_and(&holds))
        };
        self.drclusters.iter().filter(|drcluster| drcluster.metadata.deletion_timestamp.is_none()).map(sample).collect()
    }

    fn policy_types(&self) -> Vec<Sample> {
        let of = |wanted| self.policies.iter().filter(|policy| of_policy(policy) == wanted).count();
        counts("dr_type", [("metro", of(DrType::Sync)), ("regional", of(DrType::Async)), ("unknown", 0)])
    }

    fn apps(&self) -> Vec<Sample> {
        let discovered =
            self.drpcs.iter().filter(|drpc| drpc.metadata.namespace.as_deref() == Some(self.ops_namespace)).count();
        counts("management_method", [("discovered", discovered), ("managed", self.drpcs.len() - discovered)])
    }

    fn actions(&self) -> Vec<Sample> {
        let sum = |of: fn(&Counters) -> u64| {
            let all = self.drpcs.iter().map(|drpc| of(&Counters::of(drpc))).fold(0_u64, u64::saturating_add);
            usize::try_from(all).unwrap_or(usize::MAX)
        };
        counts("action", [("failover", sum(|all| all.failover)), ("relocate", sum(|all| all.relocate))])
    }
}

fn counts<const N: usize>(label: &'static str, values: [(&str, usize); N]) -> Vec<Sample> {
    let sample = |(of, count): (&str, usize)| Sample { labels: vec![(label, of.to_owned())], value: count as f64 };
    values.into_iter().map(sample).collect()
}

fn flag(labels: Labels, holds: bool) -> Sample {
    Sample { labels, value: f64::from(u8::from(holds)) }
}

/// Numbers of a gauge are floating point; the times and sizes at hand keep their whole value up to 2^53.
fn seconds(value: i64) -> f64 {
    value as f64
}

fn identity(drpc: &DRPlacementControl) -> Labels {
    vec![
        ("obj_type", "DRPlacementControl".to_owned()),
        ("obj_name", drpc.metadata.name.clone().unwrap_or_default()),
        ("obj_namespace", drpc.metadata.namespace.clone().unwrap_or_default()),
    ]
}

fn conditions(drpc: &DRPlacementControl) -> &[kaedama_shared::api::Condition] {
    drpc.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

fn annotation<'a>(drpc: &'a DRPlacementControl, key: &str) -> Option<&'a str> {
    drpc.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The interval of a policy that replicates by schedule.
fn interval(policy: &Arc<DRPolicy>) -> Option<Sample> {
    let seconds = parse_scheduling_interval(&policy.spec.scheduling_interval).ok()?;
    let labels = vec![("policyname", policy.metadata.name.clone().unwrap_or_default())];
    (of_policy(policy) == DrType::Async).then_some(Sample { labels, value: seconds as f64 })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn drpc(name: &str, namespace: &str, annotations: Value) -> Arc<DRPlacementControl> {
        let drpc = json!({
            "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRPlacementControl",
            "metadata": {
                "name": name, "namespace": namespace, "finalizers": [names::DRPC_FINALIZER], "annotations": annotations,
            },
            "spec": { "drPolicyRef": { "name": "gold" }, "placementRef": { "name": "p" }, "pvcSelector": {} },
            "status": {
                "lastGroupSyncTime": "1970-01-01T00:01:40Z", "lastGroupSyncDuration": "1.5s", "lastGroupSyncBytes": 42,
                "conditions": [{
                    "type": "Protected", "status": "True", "reason": "Protected", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            },
        });
        Arc::new(serde_json::from_value(drpc).unwrap())
    }

    fn policy(name: &str, interval: &str) -> Arc<DRPolicy> {
        Arc::new(
            serde_json::from_value(json!({
                "apiVersion": "ramendr.openshift.io/v1alpha1", "kind": "DRPolicy", "metadata": { "name": name },
                "spec": { "drClusters": ["dr1", "dr2"], "schedulingInterval": interval },
            }))
            .unwrap(),
        )
    }

    /// All series as lines `name{label=value,…} number`.
    fn lines(facts: &Facts<'_>) -> Vec<String> {
        let line = |name: &str, sample: &Sample| {
            let labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{name}{{{}}} {}", labels.join(","), sample.value)
        };
        facts
            .metrics()
            .iter()
            .flat_map(|metric| metric.samples.iter().map(|s| line(metric.name, s)).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn series_carry_the_names_and_labels_of_the_contract() {
        let counted = json!({ names::DR_ACTION_COUNT: r#"{"failover":2,"relocate":1,"lastPhase":"FailingOver"}"# });
        let drpcs = [drpc("web", "shop", counted), drpc("vm", "ramen-ops", json!({ names::IS_CG_ENABLED: "true" }))];
        let policies = [policy("gold", "5m"), policy("metro", "")];
        let facts = Facts { drpcs: &drpcs, policies: &policies, drclusters: &[], ops_namespace: "ramen-ops" };
        let lines = lines(&facts);
        let web = "obj_type=DRPlacementControl,obj_name=web,obj_namespace=shop";
        for wanted in [
            "ramen_policy_schedule_interval_seconds{policyname=gold} 300".to_owned(),
            format!("ramen_last_sync_timestamp_seconds{{{web},policyname=gold,scheduling_interval=5m}} 100"),
            format!("ramen_last_sync_duration_seconds{{{web},scheduling_interval=5m}} 1.5"),
            format!("ramen_last_sync_data_bytes{{{web},scheduling_interval=5m}} 42"),
            format!("ramen_workload_protection_status{{{web}}} 1"),
            format!("ramen_unsupported_consistency_grouping_enabled{{{web}}} 0"),
            "ramen_dr_policy_type{dr_type=metro} 1".to_owned(),
            "ramen_dr_policy_type{dr_type=unknown} 0".to_owned(),
            "ramen_dr_protected_apps{management_method=discovered} 1".to_owned(),
            "ramen_dr_protected_apps{management_method=managed} 1".to_owned(),
            "ramen_dr_actions{action=failover} 2".to_owned(),
            "ramen_dr_actions{action=relocate} 1".to_owned(),
        ] {
            assert!(lines.contains(&wanted), "{wanted} is missing in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("policyname=metro")), "a metro policy has no interval");
    }

    #[test]
    fn an_application_that_is_being_released_has_no_series() {
        let mut going = drpc("web", "shop", json!({}));
        Arc::make_mut(&mut going).metadata.deletion_timestamp =
            Some(kaedama_shared::api::Time("2026-01-01T00:00:00Z".parse().unwrap()));
        let facts = Facts { drpcs: &[going], policies: &[policy("gold", "5m")], drclusters: &[], ops_namespace: "ops" };
        assert!(!lines(&facts).iter().any(|line| line.contains("obj_name=web")));
    }

    #[test]
    fn a_process_that_does_not_lead_has_no_series() {
        let mut registry = Registry::default();
        HubMetrics::register(&mut registry);
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        assert!(!page.contains("ramen_"), "{page}");
    }
}
