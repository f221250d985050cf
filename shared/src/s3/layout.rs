//! The keys. Ramen's layout as it is, and Kaedama's own segment beside it.
//!
//! ```text
//! <vrg namespace>/<vrg name>/v1alpha1.VolumeReplicationGroup/a
//!                           /v1.PersistentVolume/<pv>
//!                           /v1.PersistentVolumeClaim/<namespace>/<pvc>
//!                           /v1alpha1.VolumeGroupReplication/<namespace>/<name>
//!                           /v1alpha1.VolumeGroupReplicationContent/<name>
//!                           /kube-objects/<0|1>/velero/…                       (written by Velero)
//!                           /kaedama/v1/{manifest, parts/<sha256>}             (ours)
//! ```
//!
//! Ramen lists by type segment only, so it never reads what is under `kaedama/`; it deletes the whole prefix of an
//! application when its primary is deleted, ours with it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One protected application: namespace and name of its VolumeReplicationGroup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AppId {
    /// Namespace of the VolumeReplicationGroup.
    pub namespace: String,
    /// Name of the VolumeReplicationGroup.
    pub name: String,
}

impl AppId {
    /// The application of the VolumeReplicationGroup `namespace`/`name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The prefix of everything that is stored for it, with the slash at its end.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}/{}/", self.namespace, self.name)
    }

    /// The prefix under which all objects of one type are.
    #[must_use]
    pub fn type_prefix(&self, kind: ObjectKind) -> String {
        format!("{}{}/", self.prefix(), kind.segment())
    }

    /// The prefix of Velero's backup store of capture `number` (0 or 1), as it is given to a BackupStorageLocation.
    #[must_use]
    pub fn kube_objects_prefix(&self, number: u8) -> String {
        format!("{}kube-objects/{number}/velero/", self.prefix())
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The types that Ramen's layout has a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `v1` PersistentVolume.
    PersistentVolume,
    /// `v1` PersistentVolumeClaim.
    PersistentVolumeClaim,
    /// `ramendr.openshift.io/v1alpha1` VolumeReplicationGroup.
    VolumeReplicationGroup,
    /// `replication.storage.openshift.io/v1alpha1` VolumeGroupReplication.
    VolumeGroupReplication,
    /// `replication.storage.openshift.io/v1alpha1` VolumeGroupReplicationContent.
    VolumeGroupReplicationContent,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PersistentVolume,
        Self::PersistentVolumeClaim,
        Self::VolumeReplicationGroup,
        Self::VolumeGroupReplication,
        Self::VolumeGroupReplicationContent,
    ];

    /// The type segment of the key: Go's package-qualified type name, not an API version.
    #[must_use]
    pub fn segment(self) -> &'static str {
        match self {
            Self::PersistentVolume => "v1.PersistentVolume",
            Self::PersistentVolumeClaim => "v1.PersistentVolumeClaim",
            Self::VolumeReplicationGroup => "v1alpha1.VolumeReplicationGroup",
            Self::VolumeGroupReplication => "v1alpha1.VolumeGroupReplication",
            Self::VolumeGroupReplicationContent => "v1alpha1.VolumeGroupReplicationContent",
        }
    }

    /// The Kubernetes kind, which stored bodies may lack.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::PersistentVolume => "PersistentVolume",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::VolumeReplicationGroup => "VolumeReplicationGroup",
            Self::VolumeGroupReplication => "VolumeGroupReplication",
            Self::VolumeGroupReplicationContent => "VolumeGroupReplicationContent",
        }
    }

    /// The Kubernetes apiVersion, which stored bodies may lack.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::PersistentVolume | Self::PersistentVolumeClaim => "v1",
            Self::VolumeReplicationGroup => "ramendr.openshift.io/v1alpha1",
            Self::VolumeGroupReplication | Self::VolumeGroupReplicationContent => {
                "replication.storage.openshift.io/v1alpha1"
            }
        }
    }
}

/// One object of an application: its place in the layout below the application's prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectRef {
    /// The VolumeReplicationGroup; there is one.
    Vrg,
    /// A PersistentVolume by name.
    Pv(String),
    /// A PersistentVolumeClaim. `namespace` is absent in keys of older Ramen versions only.
    Pvc {
        /// Namespace of the claim.
        namespace: Option<String>,
        /// Name of the claim.
        name: String,
    },
    /// A VolumeGroupReplication.
    Vgr {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A VolumeGroupReplicationContent by name.
    Vgrc(String),
}

impl ObjectRef {
    /// The claim `namespace`/`name`.
    pub fn pvc(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::Pvc { namespace: Some(namespace.into()), name: name.into() }
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Vrg => ObjectKind::VolumeReplicationGroup,
            Self::Pv(_) => ObjectKind::PersistentVolume,
            Self::Pvc { .. } => ObjectKind::PersistentVolumeClaim,
            Self::Vgr { .. } => ObjectKind::VolumeGroupReplication,
            Self::Vgrc(_) => ObjectKind::VolumeGroupReplicationContent,
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = self.kind().segment();
        match self {
            // Ramen's constant suffix.
            Self::Vrg => write!(f, "{segment}/a"),
            Self::Pv(name) | Self::Vgrc(name) | Self::Pvc { namespace: None, name } => write!(f, "{segment}/{name}"),
            Self::Pvc { namespace: Some(namespace), name } | Self::Vgr { namespace, name } => {
                write!(f, "{segment}/{namespace}/{name}")
            }
        }
    }
}

/// A key of a bucket that both products know the meaning of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct S3Key {
    /// Whose it is.
    pub app: AppId,
    /// What it is.
    pub content: KeyContent,
}

/// What a key of an application holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyContent {
    /// A Kubernetes object, gzip JSON.
    Object(ObjectRef),
    /// Something in Velero's backup store; `path` is relative to [`AppId::kube_objects_prefix`].
    KubeObjects {
        /// Capture number, 0 or 1.
        number: u8,
        /// The rest of the key.
        path: String,
    },
    /// The manifest: who may write, and the capture set.
    Manifest,
    /// A part of a capture set that was too large to be in the manifest; named by the sha256 of its JSON.
    Part(String),
}

/// A key that is none of the layout's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("S3 key {0:?} is not of the form <namespace>/<vrg>/<type>/<name>")]
pub struct NotAKey(pub String);

impl S3Key {
    /// The key of one Kubernetes object of `app`.
    #[must_use]
    pub fn object(app: &AppId, object: ObjectRef) -> Self {
        Self { app: app.clone(), content: KeyContent::Object(object) }
    }

    /// The key of the manifest of `app`.
    #[must_use]
    pub fn manifest(app: &AppId) -> Self {
        Self { app: app.clone(), content: KeyContent::Manifest }
    }

    /// The key of a part with this digest.
    #[must_use]
    pub fn part(app: &AppId, sha256: &str) -> Self {
        Self { app: app.clone(), content: KeyContent::Part(sha256.into()) }
    }
}

impl fmt::Display for S3Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.app.prefix())?;
        match &self.content {
            KeyContent::Object(object) => write!(f, "{object}"),
            KeyContent::KubeObjects { number, path } => write!(f, "kube-objects/{number}/velero/{path}"),
            KeyContent::Manifest => f.write_str("kaedama/v1/manifest"),
            KeyContent::Part(sha256) => write!(f, "kaedama/v1/parts/{sha256}"),
        }
    }
}

impl std::str::FromStr for S3Key {
    type Err = NotAKey;

    fn from_str(key: &str) -> Result<Self, NotAKey> {
        let not_a_key = || NotAKey(key.to_owned());
        let segments: Vec<&str> = key.split('/').collect();
        let [namespace, name, rest @ ..] = segments.as_slice() else { return Err(not_a_key()) };
        if namespace.is_empty() || name.is_empty() {
            return Err(not_a_key());
        }
        let content = content(rest).ok_or_else(not_a_key)?;
        Ok(Self { app: AppId::new(*namespace, *name), content })
    }
}

fn content(segments: &[&str]) -> Option<KeyContent> {
    match segments {
        ["kaedama", "v1", "manifest"] => return Some(KeyContent::Manifest),
        ["kaedama", "v1", "parts", sha256] if !sha256.is_empty() => {
            return Some(KeyContent::Part((*sha256).to_owned()));
        }
        ["kube-objects", number, "velero", path @ ..] => {
            return Some(KeyContent::KubeObjects { number: number.parse().ok()?, path: path.join("/") });
        }
        _ => {}
    }
    let (segment, names) = segments.split_first()?;
    if names.iter().any(|name| name.is_empty()) {
        return None;
    }
    let kind = ObjectKind::ALL.into_iter().find(|kind| kind.segment() == *segment)?;
    let object = match (kind, names) {
        (ObjectKind::VolumeReplicationGroup, ["a"]) => ObjectRef::Vrg,
        (ObjectKind::PersistentVolume, [name]) => ObjectRef::Pv((*name).to_owned()),
        (ObjectKind::PersistentVolumeClaim, [namespace, name]) => ObjectRef::pvc(*namespace, *name),
        (ObjectKind::PersistentVolumeClaim, [name]) => ObjectRef::Pvc { namespace: None, name: (*name).to_owned() },
        (ObjectKind::VolumeGroupReplication, [namespace, name]) => {
            ObjectRef::Vgr { namespace: (*namespace).to_owned(), name: (*name).to_owned() }
        }
        (ObjectKind::VolumeGroupReplicationContent, [name]) => ObjectRef::Vgrc((*name).to_owned()),
        _ => return None,
    };
    Some(KeyContent::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> AppId {
        AppId::new("shop", "shop-drpc")
    }

    #[test]
    fn keys_are_written_as_ramen_writes_them_and_read_back() {
        let vgr = ObjectRef::Vgr { namespace: "shop".into(), name: "g1".into() };
        let table = [
            (S3Key::object(&app(), ObjectRef::Vrg), "shop/shop-drpc/v1alpha1.VolumeReplicationGroup/a"),
            (S3Key::object(&app(), ObjectRef::Pv("pvc-1".into())), "shop/shop-drpc/v1.PersistentVolume/pvc-1"),
            (S3Key::object(&app(), ObjectRef::pvc("db", "data")), "shop/shop-drpc/v1.PersistentVolumeClaim/db/data"),
            (
                S3Key::object(&app(), ObjectRef::Pvc { namespace: None, name: "data".into() }),
                "shop/shop-drpc/v1.PersistentVolumeClaim/data",
            ),
            (S3Key::object(&app(), vgr), "shop/shop-drpc/v1alpha1.VolumeGroupReplication/shop/g1"),
            (
                S3Key::object(&app(), ObjectRef::Vgrc("c1".into())),
                "shop/shop-drpc/v1alpha1.VolumeGroupReplicationContent/c1",
            ),
            (
                S3Key { app: app(), content: KeyContent::KubeObjects { number: 1, path: "backups/b/x.gz".into() } },
                "shop/shop-drpc/kube-objects/1/velero/backups/b/x.gz",
            ),
            (S3Key::manifest(&app()), "shop/shop-drpc/kaedama/v1/manifest"),
            (S3Key::part(&app(), "ab12"), "shop/shop-drpc/kaedama/v1/parts/ab12"),
        ];
        for (key, text) in table {
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse::<S3Key>(), Ok(key));
        }
    }

    #[test]
    fn what_is_no_key_of_the_layout_is_refused() {
        for text in [
            "",
            "shop",
            "shop/shop-drpc",
            "shop/shop-drpc/",
            "/shop-drpc/v1.PersistentVolume/p",
            "shop/shop-drpc/v1.PersistentVolume/",
            "shop/shop-drpc/v1.PersistentVolume/a/b",
            "shop/shop-drpc/v1alpha1.VolumeReplicationGroup/b",
            "shop/shop-drpc/v1.Secret/s",
            "shop/shop-drpc/kaedama/v2/manifest",
            "shop/shop-drpc/kube-objects/x/velero/y",
        ] {
            assert_eq!(text.parse::<S3Key>(), Err(NotAKey(text.into())), "{text}");
        }
    }

    #[test]
    fn our_keys_are_below_no_prefix_that_ramen_lists_by_type() {
        for kind in ObjectKind::ALL {
            for key in [S3Key::manifest(&app()), S3Key::part(&app(), "00")] {
                let key = key.to_string();
                assert!(!key.starts_with(&app().type_prefix(kind)));
                assert!(key.starts_with(&app().prefix()));
            }
        }
    }
}
