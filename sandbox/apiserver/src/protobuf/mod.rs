//! Kubernetes' protobuf form of the built-in kinds, which Go clients write and ask for.
//!
//! * [`decode`]: from a body to the JSON form of its object. [`encode`]: the way back. [`watch_frame`]: events.
//! * [`table`]: the numbers of all fields. [`wire`]: the encoding.

mod decode;
mod empty;
mod encode;
mod table;
mod wire;

pub(crate) use decode::decode;
pub(crate) use empty::omit_empty;
pub(crate) use encode::{encode, knows, watch_frame};
pub(crate) use table::blank;

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body starts with.
const MAGIC: &[u8] = b"k8s\0";

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It is no body of this form.
    #[error("the body is not protobuf as Kubernetes writes it")]
    Malformed,
    /// It is of a kind whose messages are not known here.
    #[error("{0} is not read in protobuf form")]
    UnknownKind(String),
}

#[cfg(test)]
mod tests {
    use super::{DecodeError, decode, encode, watch_frame};
    use serde_json::json;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &type_meta), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let label = [field(1, b"k"), field(2, b"v")].concat();
        let meta = [field(1, b"name"), field(2, b""), field(8, b""), field(11, &label)].concat();
        let raw = [field(1, &meta), field(2, &label), field(3, &label)].concat();
        assert_eq!(
            decode(&body("v1", "ConfigMap", &raw)),
            Ok(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "name", "labels": {"k": "v"}},
                "data": {"k": "v"}, "binaryData": {"k": "dg=="}
            }))
        );
    }

    /// The body that `kubectl create ns x` of release 1.32 sends.
    #[test]
    fn kubectl_s_namespace_is_read() {
        let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x19\x0a\x11\x0a\x01x\x12\0\x1a\0\"\0*\x002\x008\0B\0\x12\0\x1a\x02\x0a\0\x1a\0\"\0";
        let expected =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}, "spec": {}, "status": {}});
        assert_eq!(decode(body), Ok(expected));
    }

    #[test]
    fn a_released_lease_keeps_its_empty_holder() {
        let renewed = [vec![1 << 3, 60], vec![2 << 3, 0xc0, 0x84, 0x3d]].concat();
        let spec = [field(1, b""), vec![2 << 3, 1], field(4, &renewed), vec![5 << 3, 0]].concat();
        let raw = [field(1, &field(1, b"l")), field(2, &spec)].concat();
        assert_eq!(
            decode(&body("coordination.k8s.io/v1", "Lease", &raw)).unwrap()["spec"],
            json!({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": "1970-01-01T00:01:00.001000Z", "leaseTransitions": 0})
        );
    }

    #[test]
    fn what_is_broken_or_unknown_is_refused() {
        assert_eq!(decode(b"{}"), Err(DecodeError::Malformed));
        assert_eq!(decode(&body("v1", "ConfigMap", &[0x0a, 200])), Err(DecodeError::Malformed));
        assert_eq!(decode(&body("v1", "Widget", &[])), Err(DecodeError::UnknownKind("v1, Kind=Widget".to_owned())));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for object in [
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
                    "name": "p", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a": "b"},
                    "managedFields": [{"manager": "m", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}],
                }, "spec": {
                    "hostNetwork": true, "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}},
                        "livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": -1},
                        "readinessProbe": {"tcpSocket": {"port": 80}}}],
                    "volumes": [{"name": "v", "configMap": {"name": "m", "optional": false}}],
                }, "status": {"hostIPs": [{"ip": "::1"}]}}),
            json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "7"}, "items": [
                {"metadata": {"name": "a"}, "data": {"k": ""}, "binaryData": {"b": "AAE="}}]}),
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"},
            "spec": {"group": "g", "scope": "Cluster", "names": {"plural": "xs", "kind": "X"}, "versions": [{
                "name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {
                    "type": "object", "additionalProperties": false,
                    "properties": {
                        "a": {"type": "number", "minimum": 0, "maximum": 1.5, "default": 1, "enum": [1, "x", null]},
                        "l": {"type": "array", "items": {"type": "string"}},
                        "m": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                    "x-kubernetes-validations": [{"rule": "self.a > 0"}],
                }}}]}}),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
                "status": {"userInfo": {"username": "u", "extra": {"k": ["a", "b"]}}}}),
        ] {
            assert_eq!(decode(&encode(&object).unwrap()), Ok(object));
        }
        assert_eq!(encode(&json!({"apiVersion": "example.com/v1", "kind": "Widget"})), None);
    }

    #[test]
    fn a_frame_of_a_watch_is_as_long_as_it_says() {
        let frame = watch_frame("ADDED", &json!({"apiVersion": "v1", "kind": "Status"})).unwrap();
        assert_eq!(usize::from(frame[3]), frame.len() - 4);
        assert_eq!(&frame[4..11], b"\x0a\x05ADDED");
    }
}
