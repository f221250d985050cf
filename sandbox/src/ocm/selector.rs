//! Label selectors, evaluated. Private to [`crate::ocm`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Whether labels fit a selector. An empty selector fits everything.
///
/// # Errors
/// When an operator is not known.
pub(super) fn fits(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Result<bool, String> {
    let exact = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    Ok(exact && all_hold(selector.match_expressions.as_deref().unwrap_or_default(), labels)?)
}

/// Whether all requirements hold.
///
/// # Errors
/// When an operator is not known.
pub(super) fn all_hold(
    requirements: &[LabelSelectorRequirement],
    labels: &BTreeMap<String, String>,
) -> Result<bool, String> {
    for requirement in requirements {
        let value = labels.get(&requirement.key);
        let listed = || value.is_some_and(|value| requirement.values.iter().flatten().any(|one| one == value));
        let holds = match requirement.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => return Err(format!("the selector operator {other:?} is not known")),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_follow_kubernetes() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let one = |key: &str, operator: &str, values: &[&str]| LabelSelectorRequirement {
            key: key.into(),
            operator: operator.into(),
            values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        for (requirement, holds) in [
            (one("a", "In", &["1", "2"]), true),
            (one("a", "In", &["2"]), false),
            (one("b", "In", &["2"]), false),
            (one("a", "NotIn", &["2"]), true),
            (one("b", "NotIn", &["2"]), true),
            (one("a", "Exists", &[]), true),
            (one("a", "DoesNotExist", &[]), false),
        ] {
            assert_eq!(all_hold(std::slice::from_ref(&requirement), &labels), Ok(holds), "{requirement:?}");
        }
        assert!(all_hold(&[one("a", "Near", &[])], &labels).is_err());
        let selector = LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() };
        assert_eq!(fits(&selector, &labels), Ok(true));
        assert_eq!(fits(&selector, &BTreeMap::new()), Ok(false));
    }
}
