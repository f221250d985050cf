//! The programs: which there are, from which Go module each comes, and where it is found.
//!
//! Order: the folder that the module's variable names, else the cache of what `real build` made. Never `PATH`: a
//! program of an unknown version would be tested unnoticed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::RealError;

/// The variable that names the folder under which built programs are kept.
pub const TOOLS: &str = "KAEDAMA_TOOLS";

/// A Go module of `e2e/real`, whose tools are the programs.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// Folder below `e2e/real`, and beginning of the cache folder's name.
    pub name: &'static str,
    /// What it is, in messages.
    pub title: &'static str,
    /// The variable that can name a folder with the programs instead.
    pub variable: &'static str,
    /// Each program, and the name that Go gives to what it builds for it.
    pub programs: &'static [(Program, &'static str)],
    /// What is linked in beside the defaults.
    pub ldflags: &'static str,
    /// The Go module whose definitions of kinds are kept beside the programs.
    pub definitions: Option<&'static str>,
}

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Kubernetes' API server.
    ApiServer,
    /// Kubernetes' controller manager.
    ControllerManager,
    /// Kubernetes' command line.
    Kubectl,
    /// The API server's storage.
    Etcd,
    /// Open Cluster Management's work agent.
    Work,
    /// Open Cluster Management's placement controller.
    Placement,
    /// A server of S3 on a folder.
    S3,
}

impl Program {
    /// Its file name, as in a folder that a variable names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Etcd => "etcd",
            Self::Work => "work",
            Self::Placement => "placement",
            Self::S3 => "versitygw",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// The modules. The version that Kubernetes links in is that of its module file; a test compares them.
pub const MODULES: [Module; 3] = [
    Module {
        name: "s3",
        title: "the S3 server",
        variable: "KAEDAMA_S3_ASSETS",
        programs: &[(Program::S3, "versitygw")],
        ldflags: "",
        definitions: None,
    },
    Module {
        name: "kubernetes",
        title: "Kubernetes and etcd",
        variable: "KUBEBUILDER_ASSETS",
        programs: &[
            (Program::ApiServer, "kube-apiserver"),
            (Program::ControllerManager, "kube-controller-manager"),
            (Program::Kubectl, "kubectl"),
            // The server is the root of its module, and is called after the module's folder.
            (Program::Etcd, "server"),
        ],
        // Without these the server calls itself v0.0.0-master, and kubectl's check of versions complains.
        ldflags: "-X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
                  -X k8s.io/component-base/version.gitMinor=36",
        definitions: None,
    },
    Module {
        name: "ocm",
        title: "Open Cluster Management",
        variable: "KAEDAMA_OCM_ASSETS",
        programs: &[(Program::Work, "work"), (Program::Placement, "placement")],
        ldflags: "",
        definitions: Some("open-cluster-management.io/ocm"),
    },
];

impl Module {
    /// Where its `go.mod` is.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("real").join(self.name)
    }

    /// Where what is built from it is kept: the name holds a hash of its `go.mod` and `go.sum`.
    ///
    /// # Errors
    /// The module files cannot be read.
    pub fn cache(&self) -> Result<PathBuf, RealError> {
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum"] {
            let path = self.source().join(file);
            let text = std::fs::read(&path).map_err(RealError::io(format!("read {}", path.display())))?;
            hash.update(text);
        }
        let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(tools().join(format!("{}-{digest}", self.name)))
    }

    /// The folder that its variable names.
    fn named(&self) -> Option<PathBuf> {
        std::env::var_os(self.variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Whether all its programs are in a folder.
    #[must_use]
    pub fn is_complete(&self, folder: &Path) -> bool {
        self.programs.iter().all(|(program, _)| file_of(*program, folder).is_some())
    }
}

fn file_of(program: Program, folder: &Path) -> Option<PathBuf> {
    Some(folder.join(program.name())).filter(|path| path.is_file())
}

/// Where built programs are kept: `KAEDAMA_TOOLS`, else `~/.cache/kaedama/tools`.
#[must_use]
pub fn tools() -> PathBuf {
    if let Some(named) = std::env::var_os(TOOLS).filter(|value| !value.is_empty()) {
        return named.into();
    }
    let home = std::env::home_dir().unwrap_or_else(std::env::temp_dir);
    home.join(".cache/kaedama/tools")
}

/// From where a program was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the folder that this variable names.
    Variable(&'static str),
    /// From the cache.
    Cache,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => write!(out, "from {variable}"),
            Self::Cache => out.write_str("from the cache"),
        }
    }
}

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// From where.
    pub origin: Origin,
}

/// What was found of the programs, and of what comes with them.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    found: BTreeMap<Program, Found>,
    /// What to say of a program that was not found: where it was looked for, and which variable can name its folder.
    missing: BTreeMap<Program, (String, &'static str)>,
    definitions: Option<PathBuf>,
}

impl Programs {
    /// Looks for all of them.
    ///
    /// # Errors
    /// The module files, which name the cache's folders, cannot be read.
    pub fn find() -> Result<Self, RealError> {
        let mut all = Self::default();
        for module in &MODULES {
            let cache = module.cache()?;
            let named = module.named();
            for (program, _) in module.programs {
                let in_named = named.as_ref().and_then(|folder| file_of(*program, folder));
                let found = match in_named {
                    Some(path) => Some(Found { path, origin: Origin::Variable(module.variable) }),
                    None => file_of(*program, &cache).map(|path| Found { path, origin: Origin::Cache }),
                };
                match found {
                    Some(found) => {
                        all.found.insert(*program, found);
                    }
                    None => {
                        let variable = named.as_ref().map(|folder| format!("not in {}, ", folder.display()));
                        let looked = format!("{}not in {}", variable.unwrap_or_default(), cache.display());
                        all.missing.insert(*program, (looked, module.variable));
                    }
                }
            }
            if module.definitions.is_some() {
                let folders = named.iter().chain(std::iter::once(&cache));
                all.definitions = folders.map(|folder| folder.join("crds")).find(|folder| folder.is_dir());
            }
        }
        Ok(all)
    }

    /// The file of a program.
    ///
    /// # Errors
    /// [`RealError::Missing`].
    pub fn path(&self, program: Program) -> Result<&Path, RealError> {
        if let Some(found) = self.found.get(&program) {
            return Ok(&found.path);
        }
        let (looked, variable) = self.missing.get(&program).cloned().unwrap_or_default();
        Err(RealError::Missing { program: program.name(), looked, variable })
    }

    /// That all these programs are there.
    ///
    /// # Errors
    /// [`RealError::Missing`] for the first that is not.
    pub fn require(&self, programs: &[Program]) -> Result<(), RealError> {
        programs.iter().try_for_each(|program| self.path(*program).map(drop))
    }

    /// Whether these programs are there, for a test that is skipped without them: it says so loudly.
    ///
    /// # Panics
    /// One of them is missing, and `CI` is `true`.
    #[must_use]
    pub fn there_or_skipped(&self, programs: &[Program]) -> bool {
        let Err(missing) = self.require(programs) else { return true };
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("SKIPPED: {missing}");
        false
    }

    /// Each program, and what was found; `Err` holds where it was looked for.
    pub fn all(&self) -> impl Iterator<Item = (Program, Result<&Found, &str>)> {
        let of = |program: &Program| {
            let looked = self.missing.get(program).map_or("", |(looked, _)| looked.as_str());
            (*program, self.found.get(program).ok_or(looked))
        };
        MODULES.iter().flat_map(|module| module.programs).map(move |(program, _)| of(program))
    }

    /// The folder of the definitions that Open Cluster Management brings (`hub` and `spoke` are in it).
    #[must_use]
    pub fn definitions(&self) -> Option<&Path> {
        self.definitions.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module_file(name: &str) -> String {
        let module = MODULES.iter().find(|module| module.name == name).unwrap();
        std::fs::read_to_string(module.source().join("go.mod")).unwrap()
    }

    #[test]
    fn the_version_that_is_linked_in_is_that_of_the_module() {
        let text = module_file("kubernetes");
        let line = text.lines().find(|line| line.trim().starts_with("k8s.io/kubernetes v")).unwrap();
        let version = line.split_whitespace().nth(1).unwrap();
        let module = MODULES.iter().find(|module| module.name == "kubernetes").unwrap();
        assert!(module.ldflags.contains(&format!("gitVersion={version} ")), "{version}");
        let minor = version.split('.').nth(1).unwrap();
        assert!(module.ldflags.ends_with(&format!("gitMinor={minor}")), "{version}");
    }

    #[test]
    fn every_program_is_a_tool_of_its_module() {
        for module in &MODULES {
            let text = module_file(module.name);
            for (program, built) in module.programs {
                let is_tool = |line: &&str| {
                    let path = line.trim().trim_start_matches("tool ");
                    // The root of a module is built under the name of the folder above its major version.
                    path.ends_with(&format!("/{built}")) || path.ends_with(&format!("/{built}/v3"))
                };
                assert!(text.lines().any(|line| is_tool(&line)), "{program} is no tool of {}", module.name);
            }
        }
    }
}
