//! The service account `default` and the config map `kube-root-ca.crt` of every namespace.

use super::create;
use crate::admission::namespaces;
use crate::meta;
use crate::server::Inner;
use crate::store::{Change, EventKind, Key};
use serde_json::json;
use std::sync::Arc;

const ACCOUNT: &str = "default";
const ROOT_CA: &str = "kube-root-ca.crt";

pub(super) fn observe(server: &Arc<Inner>, change: &Change) {
    let event = &change.event;
    let key = &event.object.key;
    let core = change.resource.group.is_empty();
    match (core, change.resource.resource.as_str(), event.kind) {
        (true, "namespaces", EventKind::Added) => ensure(server, &key.name),
        (true, "serviceaccounts", EventKind::Deleted) if key.name == ACCOUNT => ensure(server, &key.namespace),
        (true, "configmaps", EventKind::Deleted) if key.name == ROOT_CA => ensure(server, &key.namespace),
        _ => {}
    }
}

/// Creates what is absent, unless the namespace is going away.
fn ensure(server: &Arc<Inner>, namespace: &str) {
    let live = server.store.get(&namespaces(), &Key::new("", namespace));
    if live.is_none_or(|n| meta::is_deleting(&n.value)) {
        return;
    }
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": ACCOUNT } });
    // There is no TLS, so that there is no authority to publish: the key is there, its value is empty.
    let root = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": ROOT_CA,
            "annotations": { "kubernetes.io/description": "The authority of this server's certificate: empty, as it is served without TLS." },
        },
        "data": { "ca.crt": "" },
    });
    for (plural, object) in [("serviceaccounts", account), ("configmaps", root)] {
        if let Err(error) = create(server, "", "v1", plural, namespace, object)
            && error.code() != 409
        {
            tracing::debug!(server = server.name, namespace, error = error.message(), "not created");
        }
    }
}
