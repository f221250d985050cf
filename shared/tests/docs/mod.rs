//! The objects that the documentation shows. Also read by the tests on a real API server.

use std::fs;
use std::path::Path;

use kaedama_shared::yaml;
use serde_json::Value;

const PAGES: [&str; 2] = ["docs/user-guide.md", "docs/operations.md"];

/// Every object in fenced YAML, with its page.
pub fn examples() -> Vec<(String, Value)> {
    let mut examples = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)).unwrap();
        let mut block: Option<(usize, String)> = None;
        for line in text.lines() {
            let trimmed = line.trim_start();
            block = match block.take() {
                None if trimmed == "```yaml" => Some((line.len() - trimmed.len(), String::new())),
                None => None,
                Some((_, yaml)) if trimmed == "```" => {
                    let objects = yaml::from_documents(&yaml).unwrap_or_else(|error| panic!("{page}: {error}\n{yaml}"));
                    examples.extend(objects.into_iter().map(|object| (page.to_owned(), object)));
                    None
                }
                Some((indent, yaml)) => Some((indent, yaml + line.get(indent..).unwrap_or_default() + "\n")),
            };
        }
    }
    examples
}
