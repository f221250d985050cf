//! YAML in and out. The one module that names the YAML library, so that it can be exchanged in one place.

use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};

/// Text that is not the YAML that was expected; says where.
#[derive(Debug, thiserror::Error)]
#[error("invalid YAML: {0}")]
pub struct YamlError(#[from] serde_yaml::Error);

/// Reads one YAML document.
///
/// # Errors
/// The text is not YAML, or not of the shape of `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    Ok(serde_yaml::from_str(text)?)
}

/// Reads every document of a multi-document text; empty documents are skipped.
///
/// # Errors
/// One of the documents is not YAML, or not of the shape of `T`.
pub fn from_documents<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, YamlError> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document)?;
        if !value.is_null() {
            documents.push(serde_yaml::from_value(value)?);
        }
    }
    Ok(documents)
}

/// Writes one YAML document, with a newline at its end.
///
/// # Errors
/// The value has no YAML form (a map whose keys are not scalars).
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, YamlError> {
    Ok(serde_yaml::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn documents_are_read_in_order_and_empty_ones_skipped() {
        let read: Vec<Value> = from_documents("---\na: 1\n---\n---\nb: [x, null]\n").unwrap();
        assert_eq!(read, [json!({"a": 1}), json!({"b": ["x", null]})]);
    }

    #[test]
    fn an_error_says_where() {
        let error = from_str::<Value>("a: 1\nb: [").unwrap_err().to_string();
        assert!(error.contains("line"), "{error}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({"text": "yes", "number": 3, "none": null});
        assert_eq!(from_str::<Value>(&to_string(&value).unwrap()).unwrap(), value);
    }
}
