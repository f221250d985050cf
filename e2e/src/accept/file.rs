//! The file that describes the clusters, their stores, and what of the installation is used.

use std::path::{Path, PathBuf};

use kaedama_sandbox::workload::pod::Pods;
use kaedama_sandbox::world::app::Writers;
use kaedama_shared::api::parse_scheduling_interval;
use kaedama_shared::config::S3StoreProfile;
use kaedama_shared::s3::Credentials;
use serde::Deserialize;

use super::Refusal;

/// A commented example; it is what `accept init` prints.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// Whose a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Choice {
    /// What is installed there.
    Installed,
    /// The sandbox's controllers, for the time of the run.
    Sandbox,
}

/// Whose operators are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operators {
    /// Those that run there.
    Installed,
    /// Started for the run, as processes of this machine.
    Start,
}

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Description {
    /// The hub.
    pub hub: Access,
    /// The managed clusters: two.
    pub clusters: Vec<Cluster>,
    /// Open Cluster Management.
    pub ocm: Choice,
    /// Storage and its VolumeReplication controller.
    pub storage: Choice,
    /// What runs applications: the same as `storage`.
    pub applications: Choice,
    /// Installed storage: the StorageClass of the applications' claims.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// Installed storage: the policy's `schedulingInterval`, where the operators are started.
    #[serde(default)]
    pub scheduling_interval: Option<String>,
    /// Installed storage: the image of the applications' pods; [`USUAL_IMAGE`] where it is none.
    #[serde(default)]
    pub image: Option<String>,
    /// Kaedama's operators.
    pub operators: Operators,
    /// The DRPolicy of installed operators.
    #[serde(default)]
    pub policy: Option<String>,
    /// The folder with `kaedama-hub` and `kaedama-spoke`; that of this program where it is none.
    #[serde(default)]
    pub programs: Option<PathBuf>,
    /// The folder of the file, which relative paths are below.
    #[serde(skip)]
    folder: PathBuf,
}

/// How to reach a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Access {
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// The context in it; its current one where it is none.
    #[serde(default)]
    pub context: Option<String>,
}

/// A managed cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Cluster {
    /// Name of its ManagedCluster.
    pub name: String,
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// The context in it.
    #[serde(default)]
    pub context: Option<String>,
    /// Its store.
    pub store: Store,
}

/// A store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Store {
    /// The endpoint, with its scheme.
    pub endpoint: String,
    /// The region that requests are signed for.
    #[serde(default = "usual_region")]
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// PEM file of the authority that signed the server's certificate.
    #[serde(default)]
    pub ca_certificates: Option<PathBuf>,
    /// Where the keys are.
    pub keys: Keys,
}

/// The image that applications are run from, where no other is named.
pub const USUAL_IMAGE: &str = "busybox";

fn usual_region() -> String {
    "us-east-1".to_owned()
}

/// Where the keys of a store are: one of the two.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Keys {
    /// A file with the lines `AWS_ACCESS_KEY_ID=…` and `AWS_SECRET_ACCESS_KEY=…`.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// Environment variables.
    #[serde(default)]
    pub variables: Option<Variables>,
}

/// Environment variables that hold keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Variables {
    /// The one with the key's id.
    pub access_key_id: String,
    /// The one with its secret.
    pub secret_access_key: String,
}

/// A store, with all that it takes to use it.
#[derive(Clone)]
pub struct OpenStore {
    /// Profile, without its secret.
    pub profile: S3StoreProfile,
    /// The keys.
    pub credentials: Credentials,
}

impl Description {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, is no such YAML, or wants what is not built.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Refusal::new(
                format!("cannot read {}: {error}", path.display()),
                format!("make it: `accept init > {}`", path.display()),
            )
        })?;
        let mut read: Self = serde_yaml::from_str(&text).map_err(|error| {
            Refusal::new(
                format!("{}: {error}", path.display()),
                "mend that line; `accept init` prints an example with every field",
            )
        })?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        read.folder = absolute.parent().map(Path::to_owned).unwrap_or_default();
        read.makes_sense().map_err(|refusal| refusal.within(&path.display().to_string()))?;
        Ok(read)
    }

    fn makes_sense(&self) -> Result<(), Refusal> {
        let [one, other] = self.clusters.as_slice() else {
            let what = format!("clusters has {} entries", self.clusters.len());
            return Err(Refusal::new(what, "name exactly two managed clusters; the hub is not one of them"));
        };
        if one.name == other.name {
            return Err(Refusal::new(
                format!("both clusters are called {}", one.name),
                "name each as its ManagedCluster is called",
            ));
        }
        for cluster in &self.clusters {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if cluster.name.is_empty() || cluster.name.len() > 63 || !cluster.name.chars().all(fits) {
                return Err(Refusal::new(
                    format!("a cluster is called {:?}", cluster.name),
                    "write its ManagedCluster's name: lower case letters, digits and dashes",
                ));
            }
            if cluster.name == kaedama_sandbox::world::ground::HUB {
                return Err(Refusal::new("a managed cluster is called hub", "that name is taken: it means the hub"));
            }
            if cluster.store.keys.file.is_some() == cluster.store.keys.variables.is_some() {
                return Err(Refusal::new(
                    format!("store.keys of {} has neither or both of file and variables", cluster.name),
                    "write one of them",
                ));
            }
        }
        self.storage_makes_sense()?;
        match (self.operators, &self.policy) {
            (Operators::Installed, None) => Err(Refusal::new(
                "operators: installed, and no policy",
                "add `policy:` with the name of the DRPolicy for these two clusters",
            )),
            (Operators::Start, Some(policy)) => Err(Refusal::new(
                format!("operators: start, and policy: {policy}"),
                "remove policy: operators that are started get one of their own",
            )),
            (Operators::Installed, Some(_)) if self.ocm == Choice::Sandbox => Err(Refusal::new(
                "operators: installed, and ocm: sandbox",
                "write ocm: installed: operators that are installed work with the OCM that is there",
            )),
            _ => Ok(()),
        }
    }

    fn storage_makes_sense(&self) -> Result<(), Refusal> {
        let refused = |what: String, remedy: &str| Err(Refusal::new(what, remedy));
        let (storage, applications) = (self.storage, self.applications);
        if storage != applications {
            let said = |choice| if choice == Choice::Installed { "installed" } else { "sandbox" };
            return refused(
                format!("storage: {}, and applications: {}", said(storage), said(applications)),
                "write the same for both: real pods cannot mount simulated volumes, nor simulated writers real ones",
            );
        }
        let given = [
            ("storageClass", self.storage_class.is_some()),
            ("schedulingInterval", self.scheduling_interval.is_some()),
            ("image", self.image.is_some()),
        ];
        match (storage, self.operators, &self.scheduling_interval) {
            (Choice::Sandbox, ..) => match given.iter().find(|(_, given)| *given) {
                None => Ok(()),
                Some((field, _)) => refused(
                    format!("{field} is written, and storage: sandbox"),
                    "remove it, or write storage: installed and applications: installed",
                ),
            },
            _ if self.image.as_ref().is_some_and(|image| image.trim().is_empty()) => refused(
                "image is empty".to_owned(),
                "write one with a POSIX shell, or remove it: busybox is taken then",
            ),
            _ if self.storage_class.is_none() => refused(
                "storage: installed, and no storageClass".to_owned(),
                "add `storageClass:` with the name of a replicated StorageClass that is on both clusters",
            ),
            (_, Operators::Start, None) => refused(
                "storage: installed, and no schedulingInterval".to_owned(),
                "add `schedulingInterval:` as a VolumeReplicationClass of the storage has it, such as 5m",
            ),
            (_, Operators::Start, Some(interval)) if !is_interval(interval) => refused(
                format!("schedulingInterval is {interval:?}"),
                "write whole minutes, hours or days, such as 5m, 1h or 1d",
            ),
            (_, Operators::Installed, Some(interval)) => refused(
                format!("operators: installed, and schedulingInterval: {interval}"),
                "remove schedulingInterval: it is that of the policy",
            ),
            _ => Ok(()),
        }
    }

    /// Who writes the records of applications.
    #[must_use]
    pub fn writers(&self) -> Writers {
        match &self.storage_class {
            None => Writers::Simulated,
            Some(class) => Writers::Pods(Pods {
                storage_class: class.clone(),
                image: self.image.clone().unwrap_or_else(|| USUAL_IMAGE.to_owned()),
            }),
        }
    }

    /// A path of the file, which is relative to the file's folder.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// How to reach the managed clusters, with their names.
    pub fn managed(&self) -> impl Iterator<Item = (String, Access)> {
        let access =
            |cluster: &Cluster| Access { kubeconfig: cluster.kubeconfig.clone(), context: cluster.context.clone() };
        self.clusters.iter().map(move |cluster| (cluster.name.clone(), access(cluster)))
    }

    /// The store of a cluster with its keys.
    ///
    /// # Errors
    /// Keys or certificate cannot be read.
    pub fn store(&self, cluster: &Cluster) -> Result<OpenStore, Refusal> {
        use base64::Engine as _;
        let (name, store) = (&cluster.name, &cluster.store);
        let (access_key_id, secret_access_key) = match (&store.keys.file, &store.keys.variables) {
            (Some(file), _) => keys_of_file(name, &self.path(file))?,
            (None, Some(variables)) => {
                (variable(name, &variables.access_key_id)?, variable(name, &variables.secret_access_key)?)
            }
            (None, None) => {
                return Err(Refusal::new(format!("store.keys of {name} is empty"), "write file or variables"));
            }
        };
        let mut ca_certificates = String::new();
        if let Some(file) = &store.ca_certificates {
            let path = self.path(file);
            let pem = std::fs::read(&path).map_err(|error| {
                Refusal::new(
                    format!("cannot read caCertificates {} of {name}: {error}", path.display()),
                    "name the PEM file of the store's authority, or remove the field",
                )
            })?;
            ca_certificates = base64::engine::general_purpose::STANDARD.encode(pem);
        }
        Ok(OpenStore {
            profile: S3StoreProfile {
                s3_profile_name: kaedama_sandbox::world::profile(name),
                s3_bucket: store.bucket.clone(),
                s3_compatible_endpoint: store.endpoint.clone(),
                s3_region: store.region.clone(),
                ca_certificates,
                ..S3StoreProfile::default()
            },
            credentials: Credentials::new(access_key_id, secret_access_key),
        })
    }
}

/// Whether a DRPolicy may have this interval, and it is one.
fn is_interval(text: &str) -> bool {
    let number = text.strip_suffix(['m', 'h', 'd']).unwrap_or_default();
    !number.is_empty()
        && number.bytes().all(|digit| digit.is_ascii_digit())
        && parse_scheduling_interval(text).is_ok_and(|seconds| seconds > 0)
}

fn variable(cluster: &str, name: &str) -> Result<String, Refusal> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
        Refusal::new(
            format!("the variable {name}, which store.keys of {cluster} names, is not set"),
            "set it in the environment of this command",
        )
    })
}

fn keys_of_file(cluster: &str, path: &Path) -> Result<(String, String), Refusal> {
    let remedy = "the file has two lines, AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…";
    let text = std::fs::read_to_string(path).map_err(|error| {
        Refusal::new(format!("cannot read the keys of {cluster} in {}: {error}", path.display()), remedy)
    })?;
    let value = |wanted: &str| {
        let of_line = |line: &str| {
            let (name, value) = line.trim().trim_start_matches("export ").split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
        };
        let found = text.lines().find_map(of_line).filter(|value| !value.is_empty());
        found.ok_or_else(|| Refusal::new(format!("{} has no line {wanted}=…", path.display()), remedy))
    };
    Ok((value("AWS_ACCESS_KEY_ID")?, value("AWS_SECRET_ACCESS_KEY")?))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
