//! What is particular to built-in kinds: defaults, and what may not change.

use crate::common::*;
use kaedama_apiserver::ApiServer;
use serde_json::{Value, json};

async fn create(server: &ApiServer, path: &str, object: Value) -> Value {
    let (code, _, made) = raw(server, "POST", path, &[], object).await;
    assert_eq!(code, 201, "{made}");
    made
}

/// The fields that a merge patch is refused for.
async fn refused(server: &ApiServer, path: &str, patch: Value) -> Vec<String> {
    let (code, value) = merge(server, path, patch).await;
    assert_eq!((code, &value["reason"]), (422, &json!("Invalid")), "{value}");
    value["details"]["causes"].as_array().unwrap().iter().map(|c| c["field"].as_str().unwrap().to_owned()).collect()
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}]}]}}}})
}

#[tokio::test(start_paused = true)]
async fn workloads_get_their_defaults_and_generations() {
    let (server, _client) = server();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let made = create(&server, path, deployment()).await;
    assert_eq!(
        made["spec"]["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(
        (&made["spec"]["replicas"], &made["spec"]["progressDeadlineSeconds"], &made["metadata"]["generation"]),
        (&json!(1), &json!(600), &json!(1))
    );
    let pod = &made["spec"]["template"]["spec"];
    assert_eq!(
        (
            &pod["restartPolicy"],
            &pod["dnsPolicy"],
            &pod["containers"][0]["imagePullPolicy"],
            &pod["containers"][0]["ports"][0]["protocol"]
        ),
        (&json!("Always"), &json!("ClusterFirst"), &json!("IfNotPresent"), &json!("TCP"))
    );
    let one = format!("{path}/d");
    let (_, labelled) = merge(&server, &one, json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(labelled["metadata"]["generation"], 1, "labels are no new generation");
    let (_, annotated) = merge(&server, &one, json!({"metadata": {"annotations": {"a": "b"}}})).await;
    assert_eq!(annotated["metadata"]["generation"], 2, "annotations of a Deployment are");
    let (_, status) =
        merge(&server, &format!("{one}/status"), json!({"status": {"replicas": 1}, "spec": {"replicas": 9}})).await;
    assert_eq!(
        (&status["spec"]["replicas"], &status["status"]["replicas"], &status["metadata"]["generation"]),
        (&json!(1), &json!(1), &json!(2))
    );
    assert_eq!(
        refused(&server, &one, json!({"spec": {"selector": {"matchLabels": {"app": "e"}}}})).await,
        ["spec.selector"]
    );
    let mut bad = deployment();
    bad["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    bad["metadata"]["name"] = json!("bad");
    let (code, _, value) = raw(&server, "POST", path, &[], bad).await;
    assert_eq!((code, &value["details"]["causes"][0]["field"]), (422, &json!("spec.template.metadata.labels")));

    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    let made = create(&server, "/apis/batch/v1/namespaces/default/jobs", job).await;
    let uid = &made["metadata"]["uid"];
    assert_eq!(&made["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], uid);
    assert_eq!(
        (
            &made["spec"]["template"]["metadata"]["labels"]["job-name"],
            &made["spec"]["backoffLimit"],
            &made["spec"]["completions"]
        ),
        (&json!("j"), &json!(6), &json!(1))
    );
}

#[tokio::test(start_paused = true)]
async fn services_get_addresses_and_keep_them() {
    let (server, _client) = server();
    let path = "/api/v1/namespaces/default/services";
    let service = |name: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    let made = create(&server, path, service("a")).await;
    let address = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("10.96."));
    assert_eq!(
        (&made["spec"]["clusterIPs"], &made["spec"]["ports"][0]["targetPort"], &made["spec"]["type"]),
        (&json!([address]), &json!(80), &json!("ClusterIP"))
    );
    let other = create(&server, path, service("b")).await;
    assert_ne!(other["spec"]["clusterIP"], address.as_str());
    let (code, _, kept) = raw(&server, "PUT", &format!("{path}/a"), &[], service("a")).await;
    assert_eq!(
        (code, &kept["spec"]["clusterIP"], &kept["metadata"]["resourceVersion"]),
        (200, &json!(address), &made["metadata"]["resourceVersion"])
    );
    assert_eq!(
        refused(&server, &format!("{path}/a"), json!({"spec": {"clusterIP": "10.96.9.9"}})).await,
        ["spec.clusterIPs[0]"]
    );
    let mut headless = service("h");
    headless["spec"]["clusterIP"] = json!("None");
    assert_eq!(create(&server, path, headless).await["spec"]["clusterIPs"], json!(["None"]));
}

#[tokio::test(start_paused = true)]
async fn claims_and_volumes_are_fixed_but_for_what_the_binder_changes() {
    let (server, _client) = server();
    let path = "/api/v1/namespaces/default/persistentvolumeclaims";
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let made = create(&server, path, claim).await;
    assert_eq!((&made["spec"]["volumeMode"], &made["status"]["phase"]), (&json!("Filesystem"), &json!("Pending")));
    let one = format!("{path}/c");
    assert_eq!(refused(&server, &one, json!({"spec": {"accessModes": ["ReadWriteMany"]}})).await, ["spec"]);
    assert_eq!(
        refused(&server, &one, json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})).await,
        ["spec"]
    );
    assert_eq!(merge(&server, &one, json!({"spec": {"volumeName": "v"}})).await.0, 200, "the binder sets the volume");
    assert_eq!(refused(&server, &one, json!({"spec": {"volumeName": "w"}})).await, ["spec"]);
    merge(&server, &format!("{one}/status"), json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}))
        .await;
    assert_eq!(
        merge(&server, &one, json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})).await.0,
        200,
        "a bound claim grows"
    );
    assert_eq!(
        refused(&server, &one, json!({"spec": {"resources": {"requests": {"storage": "500Mi"}}}})).await,
        ["spec.resources.requests.storage"]
    );
    let (code, _, bad) = raw(
        &server,
        "POST",
        path,
        &[],
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "e"}, "spec": {}}),
    )
    .await;
    assert_eq!((code, bad["details"]["causes"].as_array().unwrap().len()), (422, 2));

    let mut class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "usual"}, "provisioner": "p"});
    class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] = json!("true");
    create(&server, "/apis/storage.k8s.io/v1/storageclasses", class).await;
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(create(&server, path, claim.clone()).await["spec"]["storageClassName"], "usual");
    claim["metadata"]["name"] = json!("none");
    claim["spec"]["storageClassName"] = json!("");
    assert_eq!(create(&server, path, claim).await["spec"]["storageClassName"], "");

    let volumes = "/api/v1/persistentvolumes";
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "csi": {"driver": "d", "volumeHandle": "h"}}});
    let made = create(&server, volumes, volume).await;
    assert_eq!(
        (&made["spec"]["persistentVolumeReclaimPolicy"], &made["status"]["phase"]),
        (&json!("Retain"), &json!("Pending"))
    );
    assert_eq!(
        refused(&server, "/api/v1/persistentvolumes/v", json!({"spec": {"csi": {"volumeHandle": "other"}}})).await,
        ["spec.persistentvolumesource"]
    );
    let (code, _) = merge(
        &server,
        "/api/v1/persistentvolumes/v",
        json!({"spec": {"persistentVolumeReclaimPolicy": "Delete", "claimRef": {"namespace": "default", "name": "c"}}}),
    )
    .await;
    assert_eq!(code, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_immutable_stays() {
    let (server, _client) = server();
    let mut frozen = config_map("f", json!({}), json!({"k": "v"}));
    frozen["immutable"] = json!(true);
    create(&server, CONFIG_MAPS, frozen).await;
    let path = format!("{CONFIG_MAPS}/f");
    assert_eq!(refused(&server, &path, json!({"data": {"k": "w"}})).await, ["data"]);
    assert_eq!(refused(&server, &path, json!({"immutable": null})).await, ["immutable"]);
    create(
        &server,
        "/api/v1/namespaces/default/secrets",
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "a/b"}),
    )
    .await;
    assert_eq!(refused(&server, "/api/v1/namespaces/default/secrets/s", json!({"type": "a/c"})).await, ["type"]);
    create(&server, "/apis/storage.k8s.io/v1/storageclasses", json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"}, "provisioner": "p"})).await;
    assert_eq!(
        refused(&server, "/apis/storage.k8s.io/v1/storageclasses/c", json!({"provisioner": "q"})).await,
        ["provisioner"]
    );
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    create(&server, "/api/v1/namespaces/default/pods", pod).await;
    let patch = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "j"}]);
    let (code, _, changed) = raw(
        &server,
        "PATCH",
        "/api/v1/namespaces/default/pods/p",
        &[("content-type", "application/json-patch+json")],
        patch,
    )
    .await;
    assert_eq!((code, &changed["metadata"]["generation"]), (200, &json!(2)));
    assert_eq!(
        refused(&server, "/api/v1/namespaces/default/pods/p", json!({"spec": {"nodeName": "n"}})).await,
        ["spec"]
    );
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    assert_eq!(raw(&server, "POST", "/api/v1/namespaces/default/pods/p/binding", &[], binding.clone()).await.0, 201);
    assert_eq!(raw(&server, "POST", "/api/v1/namespaces/default/pods/p/binding", &[], binding).await.0, 409);
    let (_, _, bound) =
        raw(&server, "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn,status.phase%3DPending", &[], Value::Null)
            .await;
    assert_eq!(bound["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_finalizers_of_a_namespace_go_through_finalize() {
    let (server, _client) = server();
    create(&server, "/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}, "spec": {"finalizers": ["example.com/x"]}})).await;
    let (_, untouched) = merge(&server, "/api/v1/namespaces/n", json!({"spec": {"finalizers": []}})).await;
    assert_eq!(untouched["spec"]["finalizers"], json!(["example.com/x", "kubernetes"]));
    raw(&server, "DELETE", "/api/v1/namespaces/n", &[], Value::Null).await;
    settle().await;
    let (_, _, live) = raw(&server, "GET", "/api/v1/namespaces/n", &[], Value::Null).await;
    assert_eq!(live["spec"]["finalizers"], json!(["example.com/x"]), "the namespace controller is done");
    let mut last = live.clone();
    last["spec"]["finalizers"] = json!([]);
    assert_eq!(raw(&server, "PUT", "/api/v1/namespaces/n/finalize", &[], last).await.0, 200);
    assert_eq!(raw(&server, "GET", "/api/v1/namespaces/n", &[], Value::Null).await.0, 404);
    let (code, _, kept) = raw(&server, "DELETE", "/api/v1/namespaces/kube-system", &[], Value::Null).await;
    assert_eq!(
        (code, kept["message"].as_str().unwrap()),
        (403, "namespaces \"kube-system\" is forbidden: this namespace may not be deleted")
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_kube_apiserver_refuses_is_refused_in_its_words() {
    let (server, _client) = server();
    let refused = async |path: &str, object: Value| {
        let (code, _, answer) = raw(&server, "POST", path, &[], object).await;
        (code, answer["message"].as_str().unwrap_or_default().to_owned())
    };
    let namespace = "/api/v1/namespaces/default";
    for (path, object, code, why) in [
        (
            "services",
            json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 0}]}}),
            422,
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        ("services", json!({"metadata": {"name": "s"}, "spec": {}}), 422, "spec.ports: Required value"),
        (
            "secrets",
            json!({"metadata": {"name": "s"}, "data": {"a": "!!"}}),
            400,
            "illegal base64 data at input byte 0",
        ),
        (
            "secrets",
            json!({"metadata": {"name": "s"}, "type": "kubernetes.io/tls"}),
            422,
            "data[tls.key]: Required value",
        ),
        (
            "configmaps",
            json!({"metadata": {"name": "s", "finalizers": ["x"]}}),
            422,
            "metadata.finalizers[0]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified",
        ),
        (
            "persistentvolumeclaims",
            json!({"metadata": {"name": "s"}, "spec": {"accessModes": ["X"], "resources": {"requests": {"storage": "-1"}}}}),
            422,
            "spec.accessModes: Unsupported value: \"X\"",
        ),
        (
            "configmaps",
            json!([]),
            400,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal array",
        ),
        ("nothings", json!({}), 404, "the server could not find the requested resource"),
    ] {
        let (found, said) = refused(&format!("{namespace}/{path}"), object).await;
        assert!(found == code && said.contains(why), "{path}: {found} {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_creates_an_object_does_not_own_what_every_empty_one_has() {
    let (server, _client) = server();
    let (_, _, made) =
        raw(&server, "POST", "/api/v1/namespaces", &[("user-agent", "u")], json!({"metadata": {"name": "n"}})).await;
    let fields = &made["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(*fields, json!({"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}}}}));
    let lease = json!({"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 1}});
    let (_, _, made) = raw(&server, "POST", "/apis/coordination.k8s.io/v1/namespaces/default/leases", &[], lease).await;
    assert_eq!(made["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:spec": {"f:leaseDurationSeconds": {}}}));
}
