//! The wire table: which field of which kind has which number, name in JSON and type. `table.txt` is made from the Go
//! types of Kubernetes by `e2e/real/kubernetes-tests/wire-table`.
//!
//! Its first part has lines `apiVersion kind message`, its second part lines `message number:name:type …`. A field
//! without a name is inline: its fields are those of the object around it. A type is a letter (or `=message`) behind
//! a mark: `?` a pointer, so that an empty value is a value; `!` shown in JSON even when empty; `*` a list; `{` a map.

use serde_json::Value;
use std::collections::HashMap;
use std::sync::OnceLock;

static TEXT: &str = include_str!("table.txt");

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub number: u64,
    /// Name in JSON; empty when inline.
    pub name: &'static str,
    pub mark: Mark,
    pub base: Base,
}

/// How often a field's value occurs, and what an empty one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Go writes it always, and leaves it out of JSON when it is empty.
    Plain,
    /// Go writes it always, and shows it in JSON always.
    Shown,
    /// A pointer: absent or there, and when there, shown.
    Maybe,
    List,
    Map,
}

/// The type of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Text,
    Bytes,
    Bool,
    Int,
    Double,
    /// `metav1.Time`: whole seconds.
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// A message around the bytes of a JSON value.
    Json,
    /// A message around a list of texts.
    Texts,
    SchemaOrArray,
    SchemaOrBool,
    SchemaOrTexts,
    Message(&'static str),
}

/// The table, read.
#[derive(Debug)]
pub(super) struct Table {
    kinds: HashMap<(&'static str, &'static str), &'static str>,
    messages: HashMap<&'static str, Vec<Field>>,
}

impl Table {
    /// The fields of a message; none when there is no such message, which the test of the table rules out for names that
    /// the table itself uses.
    pub(super) fn message(&self, name: &str) -> &[Field] {
        self.messages.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The message of a kind. What belongs to every group is found in each.
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<&'static str> {
        let everywhere = || match kind {
            "DeleteOptions" => Some("meta/v1.DeleteOptions"),
            _ => None,
        };
        self.kinds.get(&(api_version, kind)).copied().or_else(everywhere)
    }
}

/// What Go shows of an object that nothing was written into: its structures, as far as they are no pointers.
pub(crate) fn blank(api_version: &str, kind: &str) -> Option<Value> {
    let table = get();
    Some(structures(table, table.kind(api_version, kind)?))
}

fn structures(table: &Table, name: &str) -> Value {
    let mut map = serde_json::Map::new();
    for field in table.message(name) {
        // Of the lists with keys this is the one that Go shows when it is empty.
        if name == "core/v1.PodSpec" && field.name == "containers" {
            map.insert(field.name.to_owned(), Value::Array(Vec::new()));
        }
        if let (Mark::Plain, Base::Message(inner)) = (field.mark, field.base) {
            let inside = structures(table, inner);
            match inside {
                Value::Object(fields) if field.name.is_empty() => map.extend(fields),
                inside => {
                    map.insert(field.name.to_owned(), inside);
                }
            }
        }
    }
    Value::Object(map)
}

/// The table.
pub(super) fn get() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let (mut kinds, mut messages) = (HashMap::new(), HashMap::new());
        for line in TEXT.lines().filter(|l| !l.starts_with('#')) {
            let words: Vec<&'static str> = line.split(' ').collect();
            match words.as_slice() {
                [api_version, kind, message] if !kind.contains(':') => {
                    kinds.insert((*api_version, *kind), *message);
                }
                [name, fields @ ..] => {
                    messages.insert(*name, fields.iter().filter_map(|f| field(f)).collect());
                }
                [] => {}
            }
        }
        Table { kinds, messages }
    })
}

fn field(text: &'static str) -> Option<Field> {
    let mut parts = text.splitn(3, ':');
    let number = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let kind = parts.next()?;
    let mark = match kind.as_bytes().first()? {
        b'?' => Mark::Maybe,
        b'!' => Mark::Shown,
        b'*' => Mark::List,
        b'{' => Mark::Map,
        _ => Mark::Plain,
    };
    let base = match kind.trim_start_matches(['?', '!', '*', '{']) {
        "s" => Base::Text,
        "y" => Base::Bytes,
        "b" => Base::Bool,
        "i" => Base::Int,
        "d" => Base::Double,
        "T" => Base::Time,
        "U" => Base::MicroTime,
        "Q" => Base::Quantity,
        "I" => Base::IntOrString,
        "J" => Base::Json,
        "W" => Base::Texts,
        "A" => Base::SchemaOrArray,
        "B" => Base::SchemaOrBool,
        "C" => Base::SchemaOrTexts,
        message => Base::Message(message.strip_prefix('=')?),
    };
    Some(Field { number, name, mark, base })
}

#[cfg(test)]
mod tests {
    use super::{Base, TEXT, blank, get};
    use serde_json::json;

    #[test]
    fn a_blank_object_has_its_structures() {
        assert_eq!(blank("v1", "ConfigMap"), Some(json!({ "metadata": {} })));
        let deployment = blank("apps/v1", "Deployment").unwrap();
        assert_eq!(
            deployment["spec"],
            json!({ "strategy": {}, "template": { "metadata": {}, "spec": { "containers": [] } } })
        );
        assert_eq!(blank("example.com/v1", "Widget"), None);
    }

    #[test]
    fn every_word_of_the_table_is_understood() {
        let table = get();
        for message in table.kinds.values() {
            assert!(table.messages.contains_key(message), "{message}");
        }
        let mut read = 0;
        for (name, fields) in &table.messages {
            read += fields.len();
            for field in fields {
                if let Base::Message(inner) = field.base {
                    assert!(table.messages.contains_key(inner), "{inner} of {name}");
                }
            }
        }
        let written =
            TEXT.lines().filter(|l| !l.starts_with('#')).flat_map(|l| l.split(' ')).filter(|w| w.contains(':'));
        assert_eq!(read, written.count());
    }
}
