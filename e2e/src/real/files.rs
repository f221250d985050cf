//! The files of a cluster – certificates, keys, kubeconfigs, policy – and the arguments of the programs that read them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::RealError;
use super::identity::{Authority, Identity, token_keys};

/// Every request is one line, without bodies: who, what, with which answer.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
# The stage before anything was done says nothing that the later ones do not.
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// The certificate of a cluster's servers, which etcd and the API server share.
pub(super) const CERTIFICATE: &str = "server.crt";
/// Its key.
pub(super) const KEY: &str = "server.key";

/// The files of a cluster, and the arguments that name them.
pub(super) struct Files {
    pub folder: PathBuf,
    pub logs: PathBuf,
}

impl Files {
    pub(super) fn make_folders(&self) -> Result<(), RealError> {
        for folder in [&self.folder, &self.logs] {
            std::fs::create_dir_all(folder).map_err(RealError::io(format!("make {}", folder.display())))?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<(), RealError> {
        write_private(&self.folder.join(name), text)
    }

    pub(super) fn write_credentials(&self, name: &str, authority: &Authority, url: &str) -> Result<(), RealError> {
        let (own, server) = (authority.pair(), authority.server("kube-apiserver")?);
        // Who may speak for others through the aggregator: nobody here, but the agents look for the authority.
        let front = Authority::new(&format!("{name} front proxy"))?.pair();
        let (token_key, token_public) = token_keys(name)?;
        let controllers = authority.kubeconfig(url, &Identity::user("system:kube-controller-manager"))?;
        for (file, text) in [
            ("ca.crt", &own.certificate),
            ("ca.key", &own.key),
            ("front-proxy-ca.crt", &front.certificate),
            (CERTIFICATE, &server.certificate),
            (KEY, &server.key),
            ("tokens.key", &token_key),
            ("tokens.pub", &token_public),
            ("kube-controller-manager.kubeconfig", &controllers),
            ("audit-policy.yaml", &AUDIT_POLICY.to_owned()),
        ] {
            self.write(file, text)?;
        }
        Ok(())
    }

    pub(super) fn etcd(&self, name: &str, client: u16, peer: u16, fsync: bool) -> Vec<String> {
        let (client, peer) = (format!("https://127.0.0.1:{client}"), format!("https://127.0.0.1:{peer}"));
        let mut arguments = vec![
            format!("--name={name}"),
            format!("--data-dir={}", self.path("etcd")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={name}={peer}"),
            "--client-cert-auth".to_owned(),
            "--peer-client-cert-auth".to_owned(),
            "--logger=zap".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        for prefix in ["", "peer-"] {
            arguments.push(format!("--{prefix}cert-file={}", self.path(CERTIFICATE)));
            arguments.push(format!("--{prefix}key-file={}", self.path(KEY)));
            arguments.push(format!("--{prefix}trusted-ca-file={}", self.path("ca.crt")));
        }
        if !fsync {
            arguments.push("--unsafe-no-fsync".to_owned());
        }
        arguments
    }

    pub(super) fn api_server(&self, etcd: u16, secure: u16, compaction: Option<Duration>) -> Vec<String> {
        let path = |name: &str| self.path(name);
        let mut arguments = vec![
            format!("--etcd-servers=https://127.0.0.1:{etcd}"),
            format!("--etcd-cafile={}", path("ca.crt")),
            format!("--etcd-certfile={}", path(CERTIFICATE)),
            format!("--etcd-keyfile={}", path(KEY)),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={secure}"),
            // Otherwise it wants an address that is not loopback.
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            format!("--tls-cert-file={}", path(CERTIFICATE)),
            format!("--tls-private-key-file={}", path(KEY)),
            format!("--client-ca-file={}", path("ca.crt")),
            format!("--requestheader-client-ca-file={}", path("front-proxy-ca.crt")),
            "--requestheader-allowed-names=front-proxy-client".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            format!("--service-account-key-file={}", path("tokens.pub")),
            format!("--service-account-signing-key-file={}", path("tokens.key")),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--anonymous-auth=true".to_owned(),
            format!("--audit-policy-file={}", path("audit-policy.yaml")),
            format!("--audit-log-path={}", self.logs.join("audit.log").display()),
            // Who reads the log while it grows wants one file. In megabytes.
            "--audit-log-maxsize=100000".to_owned(),
            "--profiling=false".to_owned(),
        ];
        arguments.extend(compaction.map(|every| format!("--etcd-compaction-interval={}s", every.as_secs())));
        arguments
    }

    pub(super) fn controller_manager(&self, port: u16, controllers: &[String]) -> Vec<String> {
        let path = |name: &str| self.path(name);
        let kubeconfig = path("kube-controller-manager.kubeconfig");
        vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--authentication-skip-lookup=true".to_owned(),
            format!("--client-ca-file={}", path("ca.crt")),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", path("kube-controller-manager")),
            "--leader-elect=false".to_owned(),
            format!("--controllers={}", controllers.join(",")),
            // Each controller with the rights of its own account, as in a real cluster.
            "--use-service-account-credentials=true".to_owned(),
            format!("--service-account-private-key-file={}", path("tokens.key")),
            format!("--root-ca-file={}", path("ca.crt")),
            format!("--cluster-signing-cert-file={}", path("ca.crt")),
            format!("--cluster-signing-key-file={}", path("ca.key")),
            "--profiling=false".to_owned(),
        ]
    }
}

/// Writes a file that only its owner may read: there are keys among them.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), RealError> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(RealError::io(format!("write {}", path.display())))
}
