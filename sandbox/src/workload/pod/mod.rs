//! Applications that are pods of the cluster, on volumes of its own storage, and what their logs say.
//!
//! A pod appends numbered records to its volumes and tells in its log what it found on them when it started, and each
//! record that was on the disks of all of them. It is a shell script, so that any image with a POSIX shell will do. What
//! was told as written is acknowledged; what the next start finds on the volumes is what is left of that.
//!
//! | file | what |
//! |---|---|
//! | `writer.sh` | what runs in the pod |
//! | `log.rs` | [`Logs`]: the lines of all pods, and the audit that follows from them |
//! | `follow.rs` | reading the logs of a cluster's pods while they run |

mod follow;
mod log;

pub use follow::follow;
pub use log::Logs;

use serde_json::{Value, json};

use super::APP_LABEL;

/// What runs in the pod.
const SCRIPT: &str = include_str!("writer.sh");
/// The container whose log is read.
const CONTAINER: &str = "writer";
/// A record costs processes and a write to every disk: more of them in a second say nothing more.
const MOST_PER_SECOND: u32 = 10;

/// What the pods of applications are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// The StorageClass of their claims.
    pub storage_class: String,
    /// Any image with a POSIX shell.
    pub image: String,
}

impl Pods {
    /// The Deployment of an application with these claims.
    #[must_use]
    pub fn deployment(&self, name: &str, namespace: &str, claims: &[String], records_per_second: u32) -> Value {
        let path = |claim: &String| format!("/data/{claim}");
        let pause = 1.0 / f64::from(records_per_second.clamp(1, MOST_PER_SECOND));
        let mut args = vec![CONTAINER.to_owned(), pause.to_string()];
        args.extend(claims.iter().map(|claim| format!("{claim}={}", path(claim))));
        let mounts: Vec<Value> =
            claims.iter().map(|claim| json!({ "name": claim, "mountPath": path(claim) })).collect();
        let volumes: Vec<Value> = claims
            .iter()
            .map(|claim| json!({ "name": claim, "persistentVolumeClaim": { "claimName": claim } }))
            .collect();
        let labels = json!({ "app": name, APP_LABEL: name });
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": name, "namespace": namespace, "labels": { "app": name } },
            "spec": {
                "replicas": 1,
                // Two pods must never write at a time.
                "strategy": { "type": "Recreate" },
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "automountServiceAccountToken": false,
                        "containers": [{
                            "name": CONTAINER,
                            "image": self.image,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["sh", "-c", SCRIPT],
                            "args": args,
                            "env": [{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.uid" } } }],
                            "securityContext": {
                                "allowPrivilegeEscalation": false,
                                "capabilities": { "drop": ["ALL"] },
                                "seccompProfile": { "type": "RuntimeDefault" },
                            },
                            "volumeMounts": mounts,
                        }],
                        "volumes": volumes,
                    },
                },
            },
        })
    }
}
