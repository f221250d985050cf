//! Versions: objects are stored in one version and served in others.
//!
//! Custom resources have conversion strategy None: only `apiVersion` differs. Events have two forms, that of the core
//! group (stored) and that of `events.k8s.io`; [`autoscaler`] has the two of HorizontalPodAutoscalers.

mod autoscaler;

use crate::registry::Resource;
use crate::store::Stored;
use serde_json::Value;
use std::borrow::Cow;

/// Core name and `events.k8s.io` name of the fields that differ.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn is_new_event(resource: &Resource) -> bool {
    resource.is("events.k8s.io", "Event")
}

fn is_old_autoscaler(resource: &Resource) -> bool {
    resource.version == "v1" && resource.is("autoscaling", "HorizontalPodAutoscaler")
}

fn rename(value: &mut Value, pairs: impl Iterator<Item = (&'static str, &'static str)>) {
    if let Some(map) = value.as_object_mut() {
        for (from, to) in pairs {
            if let Some(field) = map.remove(from) {
                map.insert(to.to_owned(), field);
            }
        }
    }
}

/// Turns an object of the resource's version into its stored form.
pub(crate) fn to_storage(resource: &Resource, value: &mut Value) {
    if is_new_event(resource) {
        rename(value, EVENT_FIELDS.iter().map(|(core, new)| (*new, *core)));
    }
    if is_old_autoscaler(resource) {
        autoscaler::to_v2(value);
    }
    value["apiVersion"] = Value::from(resource.storage_api_version.clone());
}

/// Whether stored objects are served as they are.
pub(crate) fn is_stored_version(resource: &Resource, value: &Value) -> bool {
    !is_new_event(resource) && value["apiVersion"].as_str() == Some(&resource.api_version())
}

/// A stored object in the resource's version.
pub(crate) fn from_storage<'a>(resource: &Resource, stored: &'a Stored) -> Cow<'a, Value> {
    if is_stored_version(resource, &stored.value) {
        return Cow::Borrowed(&stored.value);
    }
    let mut value = stored.value.clone();
    value["apiVersion"] = Value::from(resource.api_version());
    if is_new_event(resource) {
        rename(&mut value, EVENT_FIELDS.iter().copied());
    }
    if is_old_autoscaler(resource) {
        autoscaler::to_v1(&mut value);
    }
    Cow::Owned(value)
}
