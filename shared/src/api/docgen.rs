//! The reference of our kinds as Markdown, from the generated CRDs: one page per kind, one table row per field.
//!
//! What comes from Kubernetes itself (label selectors, conditions, references) is named and not taken apart: it has a
//! reference of its own.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::Value;

use super::crdgen::all_crds;

/// First line of every page.
const NOTE: &str = "<!-- Generated from the API types by `cargo run -p kaedama-shared --bin crdgen`; do not edit. -->";

/// Types of Kubernetes, told by their members.
const KNOWN: [(&str, &[&str]); 9] = [
    ("LabelSelector", &["matchExpressions", "matchLabels"]),
    ("Condition", &["lastTransitionTime", "message", "observedGeneration", "reason", "status", "type"]),
    ("ObjectReference", &["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"]),
    ("TypedLocalObjectReference", &["apiGroup", "kind", "name"]),
    ("LocalObjectReference", &["name"]),
    ("VolumeResourceRequirements", &["limits", "requests"]),
    ("ResourceRequirements", &["claims", "limits", "requests"]),
    (
        "PodSecurityContext",
        &[
            "appArmorProfile",
            "fsGroup",
            "fsGroupChangePolicy",
            "runAsGroup",
            "runAsNonRoot",
            "runAsUser",
            "seLinuxChangePolicy",
            "seLinuxOptions",
            "seccompProfile",
            "supplementalGroups",
            "supplementalGroupsPolicy",
            "sysctls",
            "windowsOptions",
        ],
    ),
    ("object of any kind", &["apiVersion", "kind", "metadata"]),
];

/// Every page: its name in the folder, and its text.
#[must_use]
pub fn pages() -> Vec<(String, String)> {
    let crds = all_crds();
    let mut pages: Vec<(String, String)> = crds.iter().map(|crd| (page_name(crd), page(crd, &crds))).collect();
    pages.push(("README.md".to_owned(), index(&crds)));
    pages
}

/// The name of a kind's page.
#[must_use]
pub fn page_name(crd: &CustomResourceDefinition) -> String {
    format!("{}.md", crd.spec.names.kind.to_lowercase())
}

fn index(crds: &[CustomResourceDefinition]) -> String {
    let mut text = format!(
        "{NOTE}\n\n# API reference\n\nThe kinds of the group `ramendr.openshift.io/v1alpha1`, and the one of `kaedama.dev/v1alpha1`.\nA kind that has a page here \
         is not thereby supported in all it offers: what this version does not do yet is listed in the \
         [user guide](../user-guide.md).\n\n| Kind | Scope | Short name | |\n|---|---|---|---|\n"
    );
    for crd in crds {
        let names = &crd.spec.names;
        let short = names.short_names.iter().flatten().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let description = root(crd).and_then(|schema| schema.description.as_deref()).unwrap_or_default();
        text.push_str(&format!(
            "| [{}]({}) | {} | {short} | {} |\n",
            names.kind,
            page_name(crd),
            crd.spec.scope,
            cell(description)
        ));
    }
    text
}

fn root(crd: &CustomResourceDefinition) -> Option<&JSONSchemaProps> {
    crd.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()
}

fn page(crd: &CustomResourceDefinition, all: &[CustomResourceDefinition]) -> String {
    let names = &crd.spec.names;
    let version = crd.spec.versions.first();
    let mut text = format!("{NOTE}\n\n# {}\n\n", names.kind);
    let Some(schema) = root(crd) else { return text };
    text.push_str(&format!("{}\n\n", schema.description.as_deref().unwrap_or_default()));
    let api_version =
        format!("{}/{}", crd.spec.group, version.map(|version| version.name.as_str()).unwrap_or_default());
    text.push_str(&format!("| | |\n|---|---|\n| apiVersion | `{api_version}` |\n| resource | `{}` |\n", names.plural));
    for short in names.short_names.iter().flatten() {
        text.push_str(&format!("| short name | `{short}` |\n"));
    }
    text.push_str(&format!("| scope | {} |\n", crd.spec.scope));
    let columns = version.and_then(|version| version.additional_printer_columns.as_deref()).unwrap_or_default();
    if !columns.is_empty() {
        text.push_str("\n## Columns of `kubectl get`\n\n| Column | Value | Shown |\n|---|---|---|\n");
        for column in columns {
            let shown = if column.priority.unwrap_or_default() == 0 { "always" } else { "with `-o wide`" };
            text.push_str(&format!("| {} | `{}` | {shown} |\n", column.name, column.json_path));
        }
    }
    let mut writer = Writer { all, rows: String::new() };
    for (part, schema) in schema.properties.iter().flatten() {
        if matches!(part.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        writer.rows.clear();
        if schema.x_kubernetes_validations.as_ref().is_some_and(|rules| !rules.is_empty()) {
            writer.row(&format!(".{part}"), schema, false);
        }
        writer.members(&format!(".{part}"), schema);
        let head = "| Path | Type | Required | Default | Validation | Description |\n|---|---|---|---|---|---|\n";
        let description = schema.description.as_deref().unwrap_or_default();
        text.push_str(&format!("\n## {part}\n\n{description}\n\n{head}{}", writer.rows));
    }
    text
}

/// Writes the rows of one table.
struct Writer<'a> {
    all: &'a [CustomResourceDefinition],
    rows: String,
}

impl Writer<'_> {
    /// The rows of an object's members, and of what they hold.
    fn members(&mut self, path: &str, schema: &JSONSchemaProps) {
        let required = schema.required.as_deref().unwrap_or_default();
        for (name, member) in schema.properties.iter().flatten() {
            let path = format!("{path}.{name}");
            self.row(&path, member, required.contains(name));
            self.inside(path, member);
        }
    }

    /// What a member holds, through lists and maps, unless it is named in its type.
    fn inside(&mut self, path: String, schema: &JSONSchemaProps) {
        if self.known(schema).is_some() {
            return;
        }
        if let Some(items) = items(schema) {
            self.inside(format!("{path}[]"), items);
        } else if let Some(values) = values(schema) {
            self.inside(format!("{path}{{}}"), values);
        } else {
            self.members(&path, schema);
        }
    }

    fn row(&mut self, path: &str, schema: &JSONSchemaProps, required: bool) {
        let default = schema.default.as_ref().map(|value| code(&value.0.to_string())).unwrap_or_default();
        self.rows.push_str(&format!(
            "| {} | {} | {} | {default} | {} | {} |\n",
            code(path),
            cell(&self.type_of(schema)),
            if required { "yes" } else { "" },
            validation(schema),
            cell(schema.description.as_deref().unwrap_or_default()),
        ));
    }

    fn type_of(&self, schema: &JSONSchemaProps) -> String {
        if let Some(known) = self.known(schema) {
            return known;
        }
        if schema.x_kubernetes_int_or_string == Some(true) {
            return "integer or string".to_owned();
        }
        if let Some(items) = items(schema) {
            return format!("list of {}", self.type_of(items));
        }
        if let Some(values) = values(schema) {
            return format!("map of {}", self.type_of(values));
        }
        let name = schema.type_.as_deref().unwrap_or("any");
        match &schema.format {
            Some(format) => format!("{name} ({format})"),
            None => name.to_owned(),
        }
    }

    /// The name of a type that is not taken apart: one of Kubernetes, or another of our kinds.
    fn known(&self, schema: &JSONSchemaProps) -> Option<String> {
        let properties = schema.properties.as_ref()?;
        if ["apiVersion", "kind", "metadata", "spec"].iter().all(|name| properties.contains_key(*name)) {
            let spec = properties.get("spec")?;
            let same = |crd: &&CustomResourceDefinition| {
                let own = root(crd).and_then(|schema| schema.properties.as_ref()?.get("spec"));
                own.is_some_and(|own| own.properties == spec.properties)
            };
            let kind = &self.all.iter().find(same)?.spec.names.kind;
            return Some(format!("[{kind}]({}.md)", kind.to_lowercase()));
        }
        let is = |members: &[&str]| {
            properties.len() == members.len() && members.iter().all(|name| properties.contains_key(*name))
        };
        KNOWN.iter().find(|(_, members)| is(members)).map(|(name, _)| (*name).to_owned())
    }
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(items) => Some(items),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

fn values(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.additional_properties.as_ref()? {
        JSONSchemaPropsOrBool::Schema(values) => Some(values),
        JSONSchemaPropsOrBool::Bool(_) => None,
    }
}

/// What the API server checks, beyond the type.
fn validation(schema: &JSONSchemaProps) -> String {
    let mut rules = Vec::new();
    if let Some(values) = &schema.enum_ {
        let values: Vec<String> = values.iter().map(|value| code(plain(&value.0).as_str())).collect();
        rules.push(format!("one of {}", values.join(", ")));
    }
    rules.extend(schema.pattern.as_deref().map(|pattern| format!("pattern {}", code(pattern))));
    let bounds = [
        ("at least", schema.minimum),
        ("at most", schema.maximum),
        ("length at least", schema.min_length.map(|bound| bound as f64)),
        ("length at most", schema.max_length.map(|bound| bound as f64)),
        ("items at least", schema.min_items.map(|bound| bound as f64)),
        ("items at most", schema.max_items.map(|bound| bound as f64)),
    ];
    rules.extend(bounds.into_iter().filter_map(|(which, bound)| Some(format!("{which} {}", bound?))));
    let keys = schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
    if !keys.is_empty() {
        rules.push(format!("unique by {}", code(&keys.join(", "))));
    }
    if schema.nullable == Some(true) {
        rules.push("may be null".to_owned());
    }
    rules.extend(schema.x_kubernetes_validations.iter().flatten().map(cel));
    rules.extend(
        items(schema)
            .map(validation)
            .filter(|of_items| !of_items.is_empty())
            .map(|of_items| format!("each: {of_items}")),
    );
    rules.join("; ")
}

fn cel(rule: &ValidationRule) -> String {
    match &rule.message {
        Some(message) => format!("{} (“{}”)", code(&rule.rule), cell(message)),
        None => code(&rule.rule),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A code span in a table cell: a bar would end the cell even there.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// Text in a table cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: &str) -> String {
        let name = format!("{kind}.md");
        pages().into_iter().find(|(page, _)| *page == name).map(|(_, text)| text).unwrap()
    }

    #[test]
    fn a_row_tells_type_duty_default_and_rules() {
        let policy = text("drpolicy");
        let row = policy.lines().find(|line| line.starts_with("| `.spec.schedulingInterval` ")).unwrap();
        assert!(row.contains("| string | yes |"), "{row}");
        assert!(row.contains(r"pattern `^(\|\d+[mhd])$`"), "{row}");
        assert!(row.contains("schedulingInterval is immutable"), "{row}");
        assert!(policy.contains("| `.spec.replicationClassSelector` | LabelSelector |  | `{}` |"), "{policy}");
    }

    #[test]
    fn what_is_kubernetes_own_is_named_and_not_taken_apart() {
        let drpc = text("drplacementcontrol");
        assert!(drpc.contains("| `.status.conditions` | list of Condition |"), "{drpc}");
        assert!(!drpc.contains("lastTransitionTime"));
        assert!(drpc.contains("| `.spec.placementRef` | ObjectReference | yes |"));
    }

    #[test]
    fn one_of_our_kinds_inside_another_is_a_link() {
        let list = text("protectedvolumereplicationgrouplist");
        assert!(list.contains("| list of [VolumeReplicationGroup](volumereplicationgroup.md) |"), "{list}");
        assert!(!list.contains(".items[].spec"));
    }

    #[test]
    fn every_line_of_a_table_has_the_cells_of_its_head() {
        for (page, text) in pages() {
            let mut head = 0;
            for line in text.lines() {
                let cells = line.replace("\\|", "").matches('|').count();
                head = match (cells, head) {
                    (0, _) => 0,
                    (cells, 0) => cells,
                    (_, head) => head,
                };
                assert!(cells == head, "{page}: {line}");
            }
        }
    }
}
