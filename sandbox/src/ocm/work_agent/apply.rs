//! Applying one manifest, by its strategy.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kaedama_shared::api::ocm::work::{ResourceMeta, strategy};
use kube::Client;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::Value;

use super::super::runtime::kinds::Served;
use super::super::runtime::{Error, from_json, is_conflict, is_not_found, is_silence, to_json};
use super::manifest::Manifest;
use super::{merge, owner};

/// What became of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is on the cluster as this object.
    Applied {
        /// uid of the object; empty for one that is only looked at.
        uid: String,
    },
    /// It is not.
    Failed {
        /// Reason of the condition.
        reason: &'static str,
        /// Message of the condition.
        message: String,
        /// Trying again soon may help.
        retry: bool,
    },
}

impl Outcome {
    /// The manifest is on the cluster.
    pub(super) fn is_applied(&self) -> bool {
        matches!(self, Self::Applied { .. })
    }

    fn failed(message: impl Into<String>, retry: bool) -> Self {
        Self::Failed { reason: "AppliedManifestFailed", message: message.into(), retry }
    }
}

/// Applies one manifest. A refusal of the cluster is an outcome; silence of the cluster is an error.
///
/// # Errors
/// When the cluster does not answer.
pub(super) async fn apply(client: &Client, manifest: &Manifest, ours: &OwnerReference) -> Result<Outcome, Error> {
    let served = match &manifest.served {
        Ok(served) => served,
        Err(why) => return Ok(Outcome::failed(why.clone(), true)),
    };
    let meta = &manifest.meta;
    if served.namespaced && meta.namespace.is_empty() {
        return Ok(Outcome::failed(
            format!("{} {} is namespaced, and the manifest has no namespace", meta.kind, meta.name),
            true,
        ));
    }
    let one = One { client, manifest, served, ours, own: !manifest.options.orphan };
    let answer = match manifest.options.update.type_.as_str() {
        "" | strategy::UPDATE => one.update().await,
        strategy::CREATE_ONLY => one.create_only().await,
        strategy::SERVER_SIDE_APPLY => return one.server_side().await,
        strategy::READ_ONLY => one.read_only().await,
        other => return Ok(Outcome::failed(format!("the update strategy {other:?} is not known"), false)),
    };
    one.outcome(answer, true)
}

struct One<'a> {
    client: &'a Client,
    manifest: &'a Manifest,
    served: &'a Served,
    ours: &'a OwnerReference,
    own: bool,
}

impl One<'_> {
    fn meta(&self) -> &ResourceMeta {
        &self.manifest.meta
    }

    fn api(&self) -> kube::Api<DynamicObject> {
        self.served.api(self.client, &self.meta().namespace)
    }

    fn outcome(&self, answer: Result<String, Failure>, retry: bool) -> Result<Outcome, Error> {
        match answer {
            Ok(uid) => Ok(Outcome::Applied { uid }),
            Err(Failure::Request(source)) if is_silence(&source) => {
                Err(Error::Request { doing: format!("applying {} {}", self.meta().kind, self.meta().name), source })
            }
            Err(Failure::Request(kube::Error::Api(status))) => Ok(Outcome::failed(status.message.clone(), retry)),
            Err(Failure::Request(source)) => Ok(Outcome::failed(source.to_string(), retry)),
            Err(Failure::Manifest(error)) => Ok(Outcome::failed(error.to_string(), retry)),
        }
    }

    async fn existing(&self) -> Result<Option<DynamicObject>, Failure> {
        Ok(self.api().get_opt(&self.meta().name).await?)
    }

    async fn create(&self) -> Result<String, Failure> {
        let mut object = merge::for_creation(&self.manifest.object);
        if self.own {
            let given = serde_json::from_value(object["metadata"]["ownerReferences"].clone()).unwrap_or_default();
            let given: Vec<OwnerReference> = given;
            owner::set_owners(&mut object, &owner::owners(&given, self.ours, true));
        }
        let object = self.read(object)?;
        Ok(uid(&self.api().create(&PostParams::default(), &object).await?))
    }

    async fn update(&self) -> Result<String, Failure> {
        let Some(existing) = self.existing().await? else { return self.create().await };
        let before = to_json(&existing);
        let mut after = merge::update(&before, &self.manifest.object);
        let owners = existing.metadata.owner_references.clone().unwrap_or_default();
        owner::set_owners(&mut after, &owner::owners(&owners, self.ours, self.own));
        if after == before {
            return Ok(uid(&existing));
        }
        let object = self.read(after)?;
        Ok(uid(&self.api().replace(&self.meta().name, &PostParams::default(), &object).await?))
    }

    async fn create_only(&self) -> Result<String, Failure> {
        let Some(existing) = self.existing().await? else { return self.create().await };
        owner::ensure(self.client, self.served, &existing, self.ours, self.own).await?;
        Ok(uid(&existing))
    }

    /// Never writes the object itself; only an ownership from the time before the strategy was changed is taken away,
    /// so that the object stays when the work goes.
    async fn read_only(&self) -> Result<String, Failure> {
        if let Some(existing) = self.existing().await? {
            owner::ensure(self.client, self.served, &existing, self.ours, false).await?;
        }
        Ok(String::new())
    }

    async fn server_side(&self) -> Result<Outcome, Error> {
        let options = self.manifest.options.update.server_side_apply.clone().unwrap_or_default();
        if !options.ignore_fields.is_empty() {
            return Ok(Outcome::Failed {
                reason: "AppliedManifestSSAIgnoreFieldError",
                message: "serverSideApply.ignoreFields is not supported by this agent".into(),
                retry: false,
            });
        }
        let manager = if options.field_manager.is_empty() { "work-agent" } else { &options.field_manager };
        let parameters = PatchParams {
            field_manager: Some(manager.to_owned()),
            force: options.force == Some(true),
            ..Default::default()
        };
        let object = merge::for_creation(&self.manifest.object);
        let applied = self.api().patch(&self.meta().name, &parameters, &Patch::Apply(&object)).await;
        match applied {
            // A conflict with another manager does not go away by trying again soon.
            Err(error) if is_conflict(&error) => self.outcome(Err(error.into()), false),
            Err(error) => self.outcome(Err(error.into()), true),
            Ok(applied) => {
                let owned = owner::ensure(self.client, self.served, &applied, self.ours, self.own).await;
                self.outcome(owned.map(|()| uid(&applied)).map_err(Failure::from), true)
            }
        }
    }

    fn read(&self, object: Value) -> Result<DynamicObject, Failure> {
        from_json(object, || format!("reading the manifest of {} {}", self.meta().kind, self.meta().name))
            .map_err(Failure::Manifest)
    }
}

enum Failure {
    Request(kube::Error),
    Manifest(Error),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        Self::Request(error)
    }
}

fn uid(object: &DynamicObject) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

/// The server no longer serves the resource: what is remembered of its kind is out of date.
pub(super) fn kind_may_be_gone(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed { message, .. } if message.contains("could not find the requested resource")
        || message.contains("404 page not found"))
}

/// What is on the cluster, for status and feedback.
pub(super) enum Look {
    /// The object.
    Found(Value),
    /// There is no such object.
    Missing,
    /// The cluster answered with an error.
    Refused(String),
    /// The cluster does not know the kind.
    NoKind(String),
}

/// Looks at the object of a manifest.
///
/// # Errors
/// When the cluster does not answer.
pub(super) async fn look(client: &Client, manifest: &Manifest) -> Result<Look, Error> {
    let served = match &manifest.served {
        Ok(served) => served,
        Err(why) => return Ok(Look::NoKind(why.clone())),
    };
    let meta = &manifest.meta;
    match served.api(client, &meta.namespace).get(&meta.name).await {
        Ok(object) => Ok(Look::Found(to_json(&object))),
        Err(error) if is_not_found(&error) => Ok(Look::Missing),
        Err(source) if is_silence(&source) => {
            Err(Error::Request { doing: format!("reading {} {}", meta.kind, meta.name), source })
        }
        Err(error) => Ok(Look::Refused(error.to_string())),
    }
}
