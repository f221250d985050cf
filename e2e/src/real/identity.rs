//! Who may speak to a cluster: its authority, certificates for servers, and kubeconfigs for anyone.

use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::json;

use super::error::RealError;

/// A user of a cluster, as a client certificate names it: what its RBAC allows is all that it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: String,
    /// Its groups, two at most; the API server adds `system:authenticated`.
    pub groups: Vec<String>,
}

impl Identity {
    /// A user without groups.
    #[must_use]
    pub fn user(user: impl Into<String>) -> Self {
        Self { user: user.into(), groups: Vec::new() }
    }

    /// Who may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self::user("admin").group("system:masters")
    }

    /// What the API server calls a service account: bindings to the account hold for it.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self::user(format!("system:serviceaccount:{namespace}:{name}"))
            .group("system:serviceaccounts")
            .group(format!("system:serviceaccounts:{namespace}"))
    }

    /// The hub operator, as `deploy/hub` installs it.
    #[must_use]
    pub fn hub_operator() -> Self {
        Self::service_account("ramen-system", "ramen-hub-operator")
    }

    /// The spoke operator, as `deploy/spoke` installs it.
    #[must_use]
    pub fn spoke_operator() -> Self {
        Self::service_account("ramen-system", "ramen-dr-cluster-operator")
    }

    /// The same, in one more group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }
}

/// A certificate with its key, both as PEM.
#[derive(Clone)]
pub(super) struct Pair {
    pub certificate: String,
    pub key: String,
}

/// The authority of one cluster: what it signs is worth nothing on another.
pub(super) struct Authority {
    cluster: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new(cluster: &str) -> Result<Self, RealError> {
        let failed = |source| RealError::Certificate { what: format!("the authority of {cluster}"), source };
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name = name(&format!("{cluster} authority"), &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)?;
        Ok(Self { cluster: cluster.to_owned(), issuer })
    }

    /// The authority itself; the key signs what the controller manager approves.
    pub(super) fn pair(&self) -> Pair {
        Pair { certificate: self.issuer.pem(), key: self.issuer.key().serialize_pem() }
    }

    /// For a server on loopback, which may speak to other servers as client as well.
    pub(super) fn server(&self, what: &str) -> Result<Pair, RealError> {
        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        self.sign(what, &[], |params| {
            let dns = names.iter().filter_map(|name| (*name).try_into().ok().map(SanType::DnsName));
            let addresses = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 96, 0, 1)];
            let addresses = addresses.into_iter().map(|address| SanType::IpAddress(IpAddr::V4(address)));
            params.subject_alt_names = dns.chain(addresses).collect();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    pub(super) fn client(&self, identity: &Identity) -> Result<Pair, RealError> {
        if identity.groups.len() > 2 {
            return Err(RealError::Groups { user: identity.user.clone(), groups: identity.groups.len() });
        }
        self.sign(&identity.user, &identity.groups, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    fn sign(
        &self,
        user: &str,
        groups: &[String],
        complete: impl FnOnce(&mut CertificateParams),
    ) -> Result<Pair, RealError> {
        let failed =
            |source| RealError::Certificate { what: format!("the certificate of {user} for {}", self.cluster), source };
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name = name(user, groups);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        complete(&mut params);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// A kubeconfig, as YAML, with everything inside.
    pub(super) fn kubeconfig(&self, server: &str, identity: &Identity) -> Result<String, RealError> {
        let pair = self.client(identity)?;
        let data = |pem: &str| STANDARD.encode(pem);
        let value = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster, "cluster": {
                "server": server,
                "certificate-authority-data": data(&self.issuer.pem()),
            }}],
            "users": [{"name": identity.user, "user": {
                "client-certificate-data": data(&pair.certificate),
                "client-key-data": data(&pair.key),
            }}],
            "contexts": [{"name": self.cluster, "context": {"cluster": self.cluster, "user": identity.user}}],
            "current-context": self.cluster,
        });
        serde_yaml::to_string(&value).map_err(|error| RealError::Client {
            cluster: self.cluster.clone(),
            why: format!("its kubeconfig cannot be written: {error}"),
        })
    }
}

/// A name of user and groups. The library keeps one value for each type; the same object identifier spelt out is
/// another type to it, so that there is room for a second group.
fn name(user: &str, groups: &[String]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    let types = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
    for (kind, group) in types.into_iter().zip(groups) {
        name.push(kind, group.as_str());
    }
    name.push(DnType::CommonName, user);
    name
}

/// The keys that sign and verify the tokens of service accounts.
pub(super) fn token_keys(cluster: &str) -> Result<(String, String), RealError> {
    let key = KeyPair::generate()
        .map_err(|source| RealError::Certificate { what: format!("the token key of {cluster}"), source })?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}
