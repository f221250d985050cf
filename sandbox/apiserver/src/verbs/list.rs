//! List: selectors, revisions, pages.

use super::{Answer, Op};
use crate::convert;
use crate::request::Query;
use crate::schema::FieldError;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::ApiError;
use crate::store::{Key, Stored};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a list waits for a revision that is not reached yet.
const FRESHNESS_WAIT: Duration = Duration::from_secs(3);

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub objects: Vec<Arc<Stored>>,
    pub revision: u64,
    pub next: Option<String>,
    pub remaining: Option<u64>,
}

/// Which objects are meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selection {
    pub(crate) fn parse(op: &Op<'_>) -> Result<Self, ApiError> {
        let query = &op.request.query;
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default());
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default(), &op.resource);
        Ok(Self { labels: labels.map_err(ApiError::bad_request)?, fields: fields.map_err(ApiError::bad_request)? })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, op: &crate::registry::Resource, stored: &Stored) -> bool {
        if self.is_everything() {
            return true;
        }
        let value = convert::from_storage(op, stored);
        self.labels.matches(&value) && self.fields.matches(&value)
    }

    /// The namespace that is left of the request's (empty: all) after the field selector.
    pub(crate) fn namespace<'a>(&'a self, requested: &'a str) -> Option<&'a str> {
        if requested.is_empty() { self.fields.namespace() } else { Some(requested) }
    }
}

/// `resourceVersion`; absent when it is not given.
pub(crate) fn revision(op: &Op<'_>) -> Result<Option<u64>, ApiError> {
    op.request
        .query
        .text("resourceVersion")
        .map(|text| {
            text.parse().map_err(|_| {
                let why = format!("strconv.ParseUint: parsing \"{text}\": invalid syntax");
                let fault = FieldError::invalid("resourceVersion", &Value::from(text), why);
                if op.request.query.flag("watch") || !op.name.is_empty() {
                    ApiError::new(500, "", fault.to_string())
                } else {
                    ApiError::bad_request(format!("invalid resource version: {fault}"))
                }
            })
        })
        .transpose()
}

/// Waits until the store has reached a revision; fails as the watch cache does when it does not.
pub(crate) async fn wait_for(op: &Op<'_>, revision: u64) -> Result<(), ApiError> {
    let deadline = tokio::time::Instant::now() + FRESHNESS_WAIT;
    loop {
        let current = op.server.store.revision();
        if current >= revision {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(ApiError::too_large_resource_version(revision, current));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Where a list is continued.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Continue {
    /// The revision of the list; absent when it goes on at the newest one.
    revision: Option<u64>,
    /// The last object that was sent.
    after: Key,
}

impl Continue {
    fn encode(&self) -> String {
        let value = json!({
            "v": "meta.k8s.io/v1",
            "rv": self.revision.map_or(-1, |r| i64::try_from(r).unwrap_or(i64::MAX)),
            "start": [self.after.namespace, self.after.name],
        });
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn decode(text: &str) -> Result<Self, ApiError> {
        let fail = || ApiError::bad_request("continue key is not valid: incorrectly encoded or from another server");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| fail())?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| fail())?;
        let part = |i: usize| value["start"][i].as_str().map(str::to_owned).ok_or_else(fail);
        let revision = value["rv"].as_i64().ok_or_else(fail)?;
        Ok(Self { revision: u64::try_from(revision).ok(), after: Key::new(part(0)?, part(1)?) })
    }
}

/// Refuses combinations of parameters that have no meaning.
fn validate(query: &Query) -> Result<(), ApiError> {
    let Some(matching) = query.text("resourceVersionMatch") else {
        return Ok(());
    };
    let mut errors = Vec::new();
    let forbidden = |why: &str| FieldError::forbidden("resourceVersionMatch", why);
    let revision = query.text("resourceVersion");
    if revision.is_none() {
        errors.push(forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"));
    }
    if query.text("continue").is_some() {
        errors.push(forbidden("resourceVersionMatch is forbidden when continue is provided"));
    }
    match matching {
        "Exact" if revision == Some("0") => {
            errors.push(forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""))
        }
        "Exact" | "NotOlderThan" => {}
        other => errors.push(FieldError::not_supported(
            "resourceVersionMatch",
            &Value::from(other),
            &["Exact", "NotOlderThan", ""],
        )),
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

pub(crate) async fn list(op: &Op<'_>) -> Result<Answer, ApiError> {
    let query = &op.request.query;
    if query.get("sendInitialEvents").is_some() {
        return Err(ApiError::invalid(
            "meta.k8s.io",
            "ListOptions",
            "",
            &[FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")],
        ));
    }
    validate(query)?;
    page(op).await.map(Answer::List)
}

/// The page that the query asks for.
pub(crate) async fn page(op: &Op<'_>) -> Result<Page, ApiError> {
    let query = &op.request.query;
    let selection = Selection::parse(op)?;
    let limit = query.number("limit")?.and_then(|l| usize::try_from(l).ok()).filter(|l| *l > 0);
    let mut asked = revision(op)?;
    // From revision 0 the watch cache answers, whole.
    let limit = limit.filter(|_| asked != Some(0));
    let (objects, revision, after) = match query.text("continue") {
        Some(token) => {
            if asked.take().is_some_and(|r| r != 0) {
                return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
            }
            let token = Continue::decode(token)?;
            let (objects, revision) = continued(op, &selection, &token)?;
            (objects, revision, Some(token.after))
        }
        None => {
            if let Some(revision) = asked {
                wait_for(op, revision).await?;
            }
            // A limit with a revision means that very revision, as it did before resourceVersionMatch.
            let exact = match query.text("resourceVersionMatch") {
                Some(matching) => matching == "Exact",
                None => limit.is_some(),
            };
            match asked.filter(|r| exact && *r > 0) {
                Some(revision) => (at(op, &selection, revision)?, revision, None),
                None => {
                    let (objects, revision) =
                        op.server.store.list(&op.resource.storage, selection.namespace(&op.namespace));
                    (objects, revision, None)
                }
            }
        }
    };
    let objects = objects.into_iter().filter(|o| after.as_ref().is_none_or(|a| o.key > *a));
    let mut objects: Vec<Arc<Stored>> = objects.filter(|o| selection.matches(&op.resource, o)).collect();
    let mut page = Page { objects: Vec::new(), revision, next: None, remaining: None };
    if let Some(limit) = limit.filter(|l| objects.len() > *l) {
        let rest = objects.len() - limit;
        objects.truncate(limit);
        page.next = objects.last().map(|last| Continue { revision: Some(revision), after: last.key.clone() }.encode());
        // With a selector the real server does not know how many of the remaining objects match.
        page.remaining = selection.is_everything().then_some(rest as u64);
    }
    page.objects = objects;
    Ok(page)
}

fn at(op: &Op<'_>, selection: &Selection, revision: u64) -> Result<Vec<Arc<Stored>>, ApiError> {
    op.server
        .store
        .list_at(&op.resource.storage, selection.namespace(&op.namespace), revision)
        .map_err(|_| ApiError::expired("The resourceVersion for the provided list is too old."))
}

fn continued(op: &Op<'_>, selection: &Selection, token: &Continue) -> Result<(Vec<Arc<Stored>>, u64), ApiError> {
    let namespace = selection.namespace(&op.namespace);
    let Some(revision) = token.revision else {
        return Ok(op.server.store.list(&op.resource.storage, namespace));
    };
    match op.server.store.list_at(&op.resource.storage, namespace, revision) {
        Ok(objects) => Ok((objects, revision)),
        Err(_) => {
            let token = Continue { revision: None, after: token.after.clone() };
            Err(ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            )
            .with_continue(token.encode()))
        }
    }
}
