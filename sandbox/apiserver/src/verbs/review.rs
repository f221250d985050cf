//! Reviews: questions about rights, which are answered and not stored. There is no authorization: all is allowed.

use super::{Answer, Op, body};
use crate::registry::Resource;
use crate::status::ApiError;
use serde_json::{Value, json};

/// Whether objects of this resource are questions.
pub(crate) fn is_review(resource: &Resource) -> bool {
    !resource.is_custom() && matches!(resource.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
}

pub(crate) fn answer(op: &Op<'_>) -> Result<Answer, ApiError> {
    let mut review = body::parse(op.request)?;
    review["kind"] = Value::from(op.resource.kind.clone());
    review["apiVersion"] = Value::from(op.resource.api_version());
    if !review["metadata"].is_object() {
        review["metadata"] = json!({});
    }
    review["status"] = match op.resource.kind.as_str() {
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            "incomplete": false,
        }),
        "SelfSubjectReview" => json!({
            "userInfo": { "username": op.request.user_agent(), "groups": ["system:masters", "system:authenticated"] },
        }),
        "TokenReview" => json!({
            "authenticated": false, "user": {},
            "error": "this embedded API server has no authentication, and so no token that is valid",
        }),
        _ => json!({ "allowed": true, "reason": "this embedded API server has no authorization" }),
    };
    Ok(Answer::Value(201, review))
}
