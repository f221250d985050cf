//! The file that describes the clusters, their stores, and what of the installation is used.

use std::path::{Path, PathBuf};

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
    /// What runs applications, and carries them to the clusters.
    pub applications: Choice,
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
        let not_built = |what: &str, instead: &str| {
            Err(Refusal::new(format!("{what} is not built: this version has no scenario with real pods"), instead))
        };
        if self.storage == Choice::Installed {
            return not_built("storage: installed", "write storage: sandbox (volumes of the cluster are not used)");
        }
        if self.applications == Choice::Installed {
            return not_built("applications: installed", "write applications: sandbox (no pod of it is run by a node)");
        }
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
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Description, Refusal> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accept.yaml");
        std::fs::write(&path, text).unwrap();
        Description::read(&path)
    }

    fn said(text: &str) -> String {
        let said = read(text).unwrap_err().to_string();
        assert!(!said.contains('\n'), "{said}");
        said
    }

    #[test]
    fn the_example_is_a_description() {
        let read = read(EXAMPLE).unwrap();
        assert_eq!(read.clusters.len(), 2);
        assert_eq!((read.ocm, read.operators), (Choice::Installed, Operators::Start));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let typo = said(&EXAMPLE.replacen("bucket:", "bukcet:", 1));
        assert!(typo.contains("unknown field `bukcet`") && typo.contains("line"), "{typo}");
        let wrong = said(&EXAMPLE.replace("ocm: installed", "ocm: yes"));
        assert!(wrong.contains("ocm") && wrong.contains("sandbox"), "{wrong}");
        let twice = said(&EXAMPLE.replace("name: dr2", "name: dr1"));
        assert!(twice.contains("both clusters are called dr1"), "{twice}");
    }

    #[test]
    fn what_is_not_built_is_refused() {
        for part in ["storage", "applications"] {
            let said = said(&EXAMPLE.replace(&format!("{part}: sandbox"), &format!("{part}: installed")));
            assert!(said.contains(&format!("{part}: installed is not built")), "{said}");
        }
    }

    #[test]
    fn installed_operators_have_a_policy() {
        let said = said(&EXAMPLE.replace("operators: start", "operators: installed"));
        assert!(said.contains("add `policy:`"), "{said}");
    }

    #[test]
    fn keys_come_from_a_file_or_from_variables() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "[default]\naws_access_key_id = one\nAWS_SECRET_ACCESS_KEY=\"two=2\"\n").unwrap();
        assert_eq!(keys_of_file("dr1", &path).unwrap(), ("one".to_owned(), "two=2".to_owned()));
        std::fs::write(&path, "AWS_ACCESS_KEY_ID=one\n").unwrap();
        let said = keys_of_file("dr1", &path).unwrap_err().to_string();
        assert!(said.contains("has no line AWS_SECRET_ACCESS_KEY=…") && !said.contains("one"), "{said}");
        let said = variable("dr1", "KAEDAMA_NO_SUCH_VARIABLE").unwrap_err().to_string();
        assert!(said.contains("KAEDAMA_NO_SUCH_VARIABLE"), "{said}");
    }
}
