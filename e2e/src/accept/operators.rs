//! Kaedama's operators as processes of this machine, with the service accounts and the rights of `deploy/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kaedama_sandbox::world::OPERATOR_NAMESPACE;
use kaedama_sandbox::world::ground::HUB;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams, TypeMeta};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::clusters::Site;
use super::{Refusal, brief};
use crate::real::Process;
use crate::real::files::write_private;
use crate::real::operator::keep;
use crate::real::process::Start;

/// The rights of the operators, as `deploy/` has them.
const RIGHTS: [(&str, [&str; 3]); 2] = [
    (
        "ramen-hub-operator",
        [
            include_str!("../../../deploy/hub/service_account.yaml"),
            include_str!("../../../deploy/hub/cluster_role.yaml"),
            include_str!("../../../deploy/hub/role.yaml"),
        ],
    ),
    (
        "ramen-dr-cluster-operator",
        [
            include_str!("../../../deploy/spoke/service_account.yaml"),
            include_str!("../../../deploy/spoke/cluster_role.yaml"),
            include_str!("../../../deploy/spoke/role.yaml"),
        ],
    ),
];

/// How long a token may be asked for. A run takes minutes.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// Name of a cluster's operator: its service account, roles and Deployment.
#[must_use]
pub fn account(cluster: &str) -> &'static str {
    RIGHTS[usize::from(cluster != HUB)].0
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `kaedama-hub`.
    pub hub: PathBuf,
    /// `kaedama-spoke`.
    pub spoke: PathBuf,
}

impl Programs {
    /// Both, in a folder.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn within(folder: &Path) -> Result<Self, Refusal> {
        let found = Self { hub: folder.join("kaedama-hub"), spoke: folder.join("kaedama-spoke") };
        for program in [&found.hub, &found.spoke] {
            if !program.is_file() {
                return Err(Refusal::new(
                    format!("operators: start, and there is no {}", program.display()),
                    "build both (`cargo build --bins -p kaedama-hub -p kaedama-spoke`) or name their folder as programs",
                ));
            }
        }
        Ok(found)
    }
}

/// The operators of a run.
pub struct Operators {
    keeper: PathBuf,
    programs: Programs,
    /// Kubeconfigs with tokens.
    private: PathBuf,
    logs: PathBuf,
    running: Mutex<BTreeMap<String, Running>>,
}

struct Running {
    process: Arc<Process>,
    wanted: Arc<AtomicBool>,
    _keeps: AbortOnDropHandle<()>,
}

impl Operators {
    /// None runs yet. `keeper` is this program, `private` a folder that only its owner may read.
    #[must_use]
    pub fn new(keeper: PathBuf, programs: Programs, private: PathBuf, logs: PathBuf) -> Self {
        Self { keeper, programs, private, logs, running: Mutex::default() }
    }

    /// Gives the operator of a cluster its rights there, and starts it with them. `client` marks what it makes.
    ///
    /// # Errors
    /// The rights cannot be given, or the program cannot be started.
    pub async fn start(&self, site: &Site, client: &Client) -> Result<(), Refusal> {
        let mut running = self.running.lock().await;
        let name = &site.name;
        if running.contains_key(name) {
            return Ok(());
        }
        let (account, files) = &RIGHTS[usize::from(name != HUB)];
        for text in files {
            for document in serde_yaml::Deserializer::from_str(text) {
                let object = Value::deserialize(document)
                    .map_err(|error| Refusal::new(format!("a manifest of deploy/: {error}"), "report this"))?;
                create(client, &object).await.map_err(|refusal| refusal.within(name))?;
            }
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let token = accounts.create_token_request(account, &PostParams::default(), &request).await;
        let token = token.map_err(|error| {
            Refusal::new(
                format!("{name}: cannot get a token of service account {account}: {}", brief(&error)),
                "ask for the right to create serviceaccounts/token",
            )
        })?;
        let token = token.status.map(|status| status.token).unwrap_or_default();
        let kubeconfig = self.private.join(format!("{name}.kubeconfig"));
        write_private(&kubeconfig, &site.kubeconfig(account, &token)?)
            .map_err(|error| Refusal::new(error.to_string(), "make room, or set TMPDIR"))?;

        let (program, kind) =
            if name == HUB { (&self.programs.hub, "dr-hub") } else { (&self.programs.spoke, "dr-cluster") };
        let command = vec![
            program.into(),
            "--kubeconfig".into(),
            kubeconfig.into(),
            "--health-address=".into(),
            "--metrics-address=".into(),
            "--log-format=text".into(),
        ];
        let environment = vec![
            ("RAMEN_CONTROLLER_TYPE".into(), kind.into()),
            ("POD_NAMESPACE".into(), OPERATOR_NAMESPACE.into()),
            ("POD_NAME".into(), format!("kaedama-accept-{name}").into()),
            ("POD_UID".into(), std::process::id().to_string().into()),
        ];
        let log = self.logs.join(format!("operator-{name}.log"));
        let start = Start { name: format!("operator of {name}"), command, environment, log };
        let process = Arc::new(Process::new(&self.keeper, start));
        process.start().await.map_err(|error| Refusal::new(error.to_string(), "look at its log"))?;
        let wanted = Arc::new(AtomicBool::new(true));
        let keeps = AbortOnDropHandle::new(tokio::spawn(keep(process.clone(), wanted.clone())));
        running.insert(name.clone(), Running { process, wanted, _keeps: keeps });
        Ok(())
    }

    /// Ends all of them in an orderly way.
    pub async fn stop(&self) {
        let running = std::mem::take(&mut *self.running.lock().await);
        futures::future::join_all(running.into_values().map(async |running| {
            running.wanted.store(false, Ordering::SeqCst);
            running.process.stop().await;
        }))
        .await;
    }
}

/// Creates an object that is not there yet.
async fn create(client: &Client, object: &Value) -> Result<(), Refusal> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let made = async {
        let types: TypeMeta = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
        let gvk = GroupVersionKind::try_from(&types).map_err(|error| kube::Error::Service(error.into()))?;
        let resource = ApiResource::from_gvk(&gvk);
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            // Kustomize would put it there.
            None if kind == "ServiceAccount" => Api::namespaced_with(client.clone(), OPERATOR_NAMESPACE, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let object: DynamicObject = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
        api.create(&PostParams::default(), &object).await
    };
    made.await.map(drop).map_err(|error| {
        Refusal::new(
            format!("cannot create {kind} {name}: {}", brief(&error)),
            "where it is there already, `accept clean` removes what an earlier run left; an installation is accepted \
             with operators: installed",
        )
    })
}
