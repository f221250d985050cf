//! The kinds of `replication.storage.openshift.io`.

use serde_json::{Value, json};

use super::{
    AGE, Definition,
    schema::{
        atomic, boolean, class_spec, conditions, immutable, integer, list, map, names, object, one_of, root, strings,
        text, time, with,
    },
};

const GROUP: &str = "replication.storage.openshift.io";
const VERSION: &str = "v1alpha1";
const STATES: [&str; 3] = ["primary", "secondary", "resync"];

/// The status of a VolumeReplication, which a group shows as well.
fn status_properties() -> Vec<(&'static str, Value)> {
    vec![
        ("conditions", conditions()),
        ("destinationVolumeID", text()),
        ("lastCompletionTime", time()),
        ("lastStartTime", time()),
        ("lastSyncBytes", integer()),
        ("lastSyncDuration", text()),
        ("lastSyncTime", time()),
        ("message", text()),
        ("observedGeneration", integer()),
        ("state", text()),
    ]
}

pub(super) fn volume_replication() -> Value {
    let source = object(&[("apiGroup", text()), ("kind", text()), ("name", text())], &["kind", "name"]);
    let spec = object(
        &[
            ("autoResync", with(boolean(), "default", json!(false))),
            ("dataSource", immutable(atomic(source), "dataSource is immutable")),
            ("replicationHandle", text()),
            ("replicationState", one_of(&STATES)),
            ("volumeReplicationClass", immutable(text(), "volumeReplicationClass is immutable")),
        ],
        &["autoResync", "dataSource", "replicationState", "volumeReplicationClass"],
    );
    Definition {
        group: GROUP,
        version: VERSION,
        kind: "VolumeReplication",
        plural: "volumereplications",
        short_names: &["vr"],
        namespaced: true,
        status: true,
        columns: &[
            AGE,
            ("volumeReplicationClass", ".spec.volumeReplicationClass", "string"),
            ("SourceKind", ".spec.dataSource.kind", "string"),
            ("SourceName", ".spec.dataSource.name", "string"),
            ("desiredState", ".spec.replicationState", "string"),
            ("currentState", ".status.state", "string"),
        ],
        schema: root(spec, Some(object(&status_properties(), &[])), &["spec"]),
    }
    .build()
}

fn class(kind: &str, plural: &str, short_name: &str, required: &[&str]) -> Value {
    Definition {
        group: GROUP,
        version: VERSION,
        kind,
        plural,
        short_names: &[short_name],
        namespaced: false,
        status: true,
        columns: &[("provisioner", ".spec.provisioner", "string"), AGE],
        schema: root(class_spec(), Some(object(&[], &[])), required),
    }
    .build()
}

pub(super) fn volume_replication_class() -> Value {
    class("VolumeReplicationClass", "volumereplicationclasses", "vrc", &["spec"])
}

pub(super) fn volume_group_replication_class() -> Value {
    class("VolumeGroupReplicationClass", "volumegroupreplicationclasses", "vgrc", &[])
}

pub(super) fn volume_group_replication() -> Value {
    let expression =
        object(&[("key", text()), ("operator", text()), ("values", atomic_list(text()))], &["key", "operator"]);
    let selector = object(&[("matchExpressions", atomic_list(expression)), ("matchLabels", map())], &[]);
    let selector = immutable(atomic(selector), "selector is immutable");
    let spec = object(
        &[
            ("autoResync", with(boolean(), "default", json!(false))),
            ("external", immutable(with(boolean(), "default", json!(false)), "external is immutable")),
            ("replicationState", one_of(&STATES)),
            ("source", immutable(object(&[("selector", selector)], &["selector"]), "source is immutable")),
            ("volumeGroupReplicationClassName", immutable(text(), "volumeGroupReplicationClassName is immutable")),
            ("volumeGroupReplicationContentName", immutable(text(), "volumeGroupReplicationContentName is immutable")),
            ("volumeReplicationClassName", immutable(text(), "volumeReplicationClassName is immutable")),
            ("volumeReplicationName", immutable(text(), "volumeReplicationName is immutable")),
        ],
        &["autoResync", "replicationState", "source", "volumeGroupReplicationClassName"],
    );
    let mut status = status_properties();
    status.push(("persistentVolumeClaimsRefList", names()));
    Definition {
        group: GROUP,
        version: VERSION,
        kind: "VolumeGroupReplication",
        plural: "volumegroupreplications",
        short_names: &["vgr"],
        namespaced: true,
        status: true,
        columns: &[
            ("VolumeGroupReplicationClass", ".spec.volumeGroupReplicationClassName", "string"),
            ("VolumeGroupReplicationContent", ".spec.volumeGroupReplicationContentName", "string"),
            ("desiredState", ".spec.replicationState", "string"),
            ("currentState", ".status.state", "string"),
            AGE,
        ],
        schema: root(spec, Some(object(&status, &[])), &[]),
    }
    .build()
}

fn atomic_list(items: Value) -> Value {
    with(list(items), "x-kubernetes-list-type", json!("atomic"))
}

pub(super) fn volume_group_replication_content() -> Value {
    let reference = ["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"];
    let reference = atomic(object(&reference.map(|field| (field, text())), &[]));
    let complete = json!([{
        "rule": "self != null ? has(self.name) && has(self.__namespace__) && has(self.uid) : true",
        "message": "name, namespace and uid of volumeGroupReplicationRef must be set",
    }]);
    let spec = object(
        &[
            ("provisioner", text()),
            ("source", object(&[("volumeHandles", strings())], &["volumeHandles"])),
            ("volumeGroupAttributes", immutable(map(), "field is immutable")),
            ("volumeGroupReplicationClassName", text()),
            ("volumeGroupReplicationHandle", text()),
            ("volumeGroupReplicationRef", with(reference, "x-kubernetes-validations", complete)),
        ],
        &["provisioner", "source", "volumeGroupReplicationClassName"],
    );
    let mapping = object(
        &[("destinationVolumeHandle", text()), ("name", text()), ("volumeHandle", text())],
        &["name", "volumeHandle"],
    );
    let status = object(
        &[
            ("destinationVolumeGroupID", text()),
            ("persistentVolumeMappingList", list(mapping)),
            ("persistentVolumeRefList", names()),
        ],
        &[],
    );
    Definition {
        group: GROUP,
        version: VERSION,
        kind: "VolumeGroupReplicationContent",
        plural: "volumegroupreplicationcontents",
        short_names: &["vgrcontent"],
        namespaced: false,
        status: true,
        columns: &[
            ("VolumeGroupReplicationClass", ".spec.volumeGroupReplicationClassName", "string"),
            ("VolumeGroupReplication", ".spec.volumeGroupReplicationRef.name", "string"),
            AGE,
        ],
        schema: root(spec, Some(status), &[]),
    }
    .build()
}
