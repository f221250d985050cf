//! Kaedama's own operators as processes: with the service account and the rights of `deploy/`, started again when they
//! end, as a kubelet does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::HUB;
use super::cluster::Cluster;
use super::error::RealError;
use super::files::write_private;
use super::identity::Identity;
use super::ports::{Port, Ports};
use super::process::{Process, Start};

/// How long a kubelet waits before it starts a container again for the first time; here the machine is small.
const AGAIN: Duration = Duration::from_secs(1);

/// The variable with the uid of the operator's pod, which stays when a container is started again.
const POD_UID: &str = "POD_UID";

/// The programs, and what installs their rights.
#[derive(Clone, Debug)]
pub struct Operators {
    /// `kaedama-hub`.
    pub hub: PathBuf,
    /// `kaedama-spoke`.
    pub spoke: PathBuf,
    /// The folder with the kustomize bases `hub` and `spoke`.
    pub deploy: PathBuf,
}

/// The operator of one cluster.
pub(super) struct Operator {
    pub process: Arc<Process>,
    /// It is to run.
    wanted: Arc<AtomicBool>,
    /// What the kubelet would do.
    keeps: AbortOnDropHandle<()>,
    /// How many pods there were before this one.
    pods: AtomicUsize,
    _ports: [Port; 2],
}

impl Operator {
    pub(super) fn prepare(
        cluster: &Cluster,
        keeper: &Path,
        operators: &Operators,
        ports: &mut Ports,
    ) -> Result<Self, RealError> {
        let on_hub = cluster.name == HUB;
        let (program, identity, kind) = match on_hub {
            true => (&operators.hub, Identity::hub_operator(), "dr-hub"),
            false => (&operators.spoke, Identity::spoke_operator(), "dr-cluster"),
        };
        let own = cluster.folder().join("operator.kubeconfig");
        write_private(&own, &cluster.kubeconfig(&identity)?)?;
        let ports = [ports.take()?, ports.take()?];
        let address = |at: usize| OsString::from(format!("127.0.0.1:{}", ports[at].number()));
        let mut command: Vec<OsString> = vec![program.into(), "--kubeconfig".into(), own.into()];
        command.extend(["--health-address".into(), address(0), "--metrics-address".into(), address(1)]);
        command.extend(["--log-format".into(), "text".into()]);
        let environment = vec![
            ("RAMEN_CONTROLLER_TYPE".into(), kind.into()),
            ("POD_NAMESPACE".into(), "ramen-system".into()),
            ("POD_NAME".into(), format!("kaedama-{}-0", cluster.name).into()),
            (POD_UID.into(), "0".into()),
        ];
        let log = cluster.logs().join("operator.log");
        let start = Start { name: format!("operator of {}", cluster.name), command, environment, log };
        let process = Arc::new(Process::new(keeper, start));
        let wanted = Arc::new(AtomicBool::new(false));
        let keeps = AbortOnDropHandle::new(tokio::spawn(keep(process.clone(), wanted.clone())));
        Ok(Self { process, wanted, keeps, pods: AtomicUsize::new(0), _ports: ports })
    }

    pub(super) async fn start(&self) -> Result<(), RealError> {
        self.wanted.store(true, Ordering::SeqCst);
        self.process.start().await
    }

    /// Kills it, and starts it as another pod.
    pub(super) async fn replace(&self) -> Result<(), RealError> {
        self.kill().await;
        let pods = self.pods.fetch_add(1, Ordering::SeqCst) + 1;
        self.process.set_environment(POD_UID, &pods.to_string());
        self.start().await
    }

    /// Kills it; it is not started again.
    pub(super) async fn kill(&self) {
        self.wanted.store(false, Ordering::SeqCst);
        self.process.kill().await;
    }

    pub(super) fn let_go(&mut self) {
        self.wanted.store(false, Ordering::SeqCst);
        self.keeps.abort();
        if let Some(process) = Arc::get_mut(&mut self.process) {
            process.let_go();
        }
    }

    /// Whether it is to run.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }
}

pub(crate) async fn keep(process: Arc<Process>, wanted: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(AGAIN).await;
        if wanted.load(Ordering::SeqCst) && process.check().await.is_err() {
            // Why it ended is in its log. It may have been killed on purpose meanwhile.
            if wanted.load(Ordering::SeqCst)
                && let Err(error) = process.start().await
            {
                tracing::warn!(%error, "an operator does not start again");
            }
        }
    }
}

/// Applies a kustomize base as an administrator does.
pub(super) async fn deploy(cluster: &Cluster, kubectl: &Path, operators: &Operators) -> Result<(), RealError> {
    let base = operators.deploy.join(if cluster.name == HUB { "hub" } else { "spoke" });
    let own = cluster.folder().join("admin.kubeconfig");
    write_private(&own, &cluster.kubeconfig(&Identity::admin())?)?;
    let mut command = tokio::process::Command::new(kubectl);
    command.arg("--kubeconfig").arg(&own).args(["apply", "--server-side", "-k"]).arg(&base);
    command.env("HOME", cluster.folder()).kill_on_drop(true);
    let doing = format!("apply {} to {} with kubectl", base.display(), cluster.name);
    let output = command.output().await.map_err(RealError::io(doing.clone()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(RealError::Io { doing, source: std::io::Error::other(said) })
}
