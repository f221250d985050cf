//! Operations, drawn at random and written as steps of a case.

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// The group of the widgets.
pub const GROUP: &str = "random.example.com";
/// The name of the last object, by which watches know that they have seen everything.
pub const END: &str = "the-end";

/// What is written to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A built-in kind without a status.
    Secret,
    /// A kind of a definition with status, defaults, rules, lists with keys and sets.
    Widget,
}

/// Which revision a write names.
#[derive(Clone, Copy, Debug)]
pub enum Revision {
    /// None.
    Any,
    /// The one that was seen last.
    Seen,
    /// One that has passed.
    Past,
}

/// What a deletion demands of the object.
#[derive(Clone, Copy, Debug)]
pub enum Demand {
    /// Nothing.
    Nothing,
    /// The uid that was seen last.
    SameUid,
    /// Another uid.
    OtherUid,
    /// The revision that was seen last.
    SeenRevision,
}

/// An operation on an object.
#[derive(Clone, Debug)]
pub enum Operation {
    /// POST.
    Create { kind: Kind, name: &'static str, content: Value, dry: bool },
    /// PUT.
    Update { kind: Kind, name: &'static str, content: Value, revision: Revision },
    /// A merge patch.
    Merge { kind: Kind, name: &'static str, content: Value, revision: Revision },
    /// A strategic merge patch of a secret.
    Strategic { name: &'static str, content: Value },
    /// A JSON patch.
    Json { kind: Kind, name: &'static str, patch: Value },
    /// Server-side apply.
    Apply { kind: Kind, name: &'static str, content: Value, manager: &'static str, force: bool, dry: bool },
    /// A write to the status of a widget, by apply or by merge patch.
    Status { name: &'static str, content: Value, applier: Option<&'static str> },
    /// DELETE.
    Delete { kind: Kind, name: &'static str, propagation: Option<&'static str>, demand: Demand },
    /// All finalizers go.
    Release { kind: Kind, name: &'static str },
    /// A list in two pages.
    List { kind: Kind, limit: u8, selector: &'static str },
    /// DELETE of a collection.
    DeleteAll { kind: Kind, selector: &'static str },
}

impl Kind {
    /// Where its objects are.
    pub fn path(self) -> String {
        match self {
            Self::Secret => "/api/v1/namespaces/$NS/secrets".to_owned(),
            Self::Widget => format!("/apis/{GROUP}/v1/namespaces/$NS/widgets"),
        }
    }

    /// An object of it, with this content.
    pub fn object(self, name: &str, mut content: Value) -> Value {
        let (version, kind) = match self {
            Self::Secret => ("v1".to_owned(), "Secret"),
            Self::Widget => (format!("{GROUP}/v1"), "Widget"),
        };
        content["apiVersion"] = json!(version);
        content["kind"] = json!(kind);
        content["metadata"]["name"] = json!(name);
        content
    }

    fn seen(self, name: &str, field: &str) -> String {
        let kind = if self == Self::Secret { "Secret" } else { "Widget" };
        format!("${{{kind}/{name}.metadata.{field}}}")
    }
}

impl Operation {
    /// The operation as text of steps; `number` is for the names of answers.
    pub fn steps(&self, number: usize) -> Vec<String> {
        let dry = |dry: bool| if dry { "&dryRun=All" } else { "" };
        match self {
            Self::Create { kind, name, content, dry: is_dry } => {
                let object = kind.object(name, content.clone());
                vec![format!("POST {}?fieldManager=creator{}\n{object}", kind.path(), dry(*is_dry))]
            }
            Self::Update { kind, name, content, revision } => {
                let object = at(kind.object(name, content.clone()), *kind, name, *revision);
                vec![format!("PUT {}/{name}\n{object}", kind.path())]
            }
            Self::Merge { kind, name, content, revision } => {
                let patch = at(content.clone(), *kind, name, *revision);
                vec![format!("MERGE {}/{name}\n{patch}", kind.path())]
            }
            Self::Strategic { name, content } => vec![format!("STRATEGIC {}/{name}\n{content}", Kind::Secret.path())],
            Self::Json { kind, name, patch } => vec![format!("JSON {}/{name}\n{patch}", kind.path())],
            Self::Apply { kind, name, content, manager, force, dry: is_dry } => {
                let object = kind.object(name, content.clone());
                let query = format!("fieldManager={manager}&force={force}{}", dry(*is_dry));
                vec![format!("APPLY {}/{name}?{query}\n{object}", kind.path())]
            }
            Self::Status { name, content, applier } => {
                let path = format!("{}/{name}/status", Kind::Widget.path());
                vec![match applier {
                    Some(manager) => {
                        let object = Kind::Widget.object(name, json!({ "status": content }));
                        format!("APPLY {path}?fieldManager={manager}\n{object}")
                    }
                    None => format!("MERGE {path}\n{}", json!({ "status": content })),
                }]
            }
            Self::Delete { kind, name, propagation, demand } => {
                let mut options = Map::new();
                if let Some(policy) = propagation {
                    options.insert("propagationPolicy".to_owned(), json!(policy));
                }
                let demanded = match demand {
                    Demand::Nothing => None,
                    Demand::SameUid => Some(json!({ "uid": kind.seen(name, "uid") })),
                    Demand::OtherUid => Some(json!({ "uid": "11111111-1111-1111-1111-111111111111" })),
                    Demand::SeenRevision => Some(json!({ "resourceVersion": kind.seen(name, "resourceVersion") })),
                };
                options.extend(demanded.map(|demanded| ("preconditions".to_owned(), demanded)));
                let path = format!("{}/{name}", kind.path());
                vec![format!("DELETE {path}\n{}", Value::Object(options)), format!("SETTLE {path}")]
            }
            Self::Release { kind, name } => {
                vec![format!("MERGE {}/{name}\n{}", kind.path(), json!({ "metadata": { "finalizers": null } }))]
            }
            Self::List { kind, limit, selector } => {
                let query = format!("{}?limit={limit}{selector}", kind.path());
                vec![
                    format!("p{number} = GET {query}"),
                    format!("GET {query}&continue=${{p{number}.metadata.continue?}}"),
                ]
            }
            Self::DeleteAll { kind, selector } => vec![format!("DELETE {}?{selector}", kind.path())],
        }
    }
}

/// Puts a revision into a body.
fn at(mut body: Value, kind: Kind, name: &str, revision: Revision) -> Value {
    match revision {
        Revision::Any => {}
        Revision::Seen => body["metadata"]["resourceVersion"] = json!(kind.seen(name, "resourceVersion")),
        Revision::Past => body["metadata"]["resourceVersion"] = json!("1"),
    }
    body
}

fn kinds() -> impl Strategy<Value = Kind> {
    select(vec![Kind::Secret, Kind::Widget])
}

fn names() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b"])
}

fn managers() -> impl Strategy<Value = &'static str> {
    select(vec!["one", "two"])
}

/// Content of an object: metadata, and what the kind has.
fn contents(kind: Kind) -> BoxedStrategy<Value> {
    let labels = option::of(select(vec![json!({ "app": "x" }), json!({ "app": "y", "n": "1" }), json!({})]));
    let finalizers =
        option::weighted(0.2, select(vec![json!(["example.com/x"]), json!(["example.com/y", "example.com/x"])]));
    let metadata = (labels, finalizers).prop_map(|(labels, finalizers)| {
        let mut out = Map::new();
        out.extend(labels.map(|labels| ("labels".to_owned(), labels)));
        out.extend(finalizers.map(|finalizers| ("finalizers".to_owned(), finalizers)));
        Value::Object(out)
    });
    let body = match kind {
        Kind::Secret => {
            let value = || option::of(select(vec!["MQ==", "Mg=="]));
            let immutable = option::weighted(0.1, any::<bool>());
            let fields = (value(), value(), immutable).prop_map(|(k, l, immutable)| {
                let mut data = Map::new();
                data.extend(k.map(|k| ("k".to_owned(), json!(k))));
                data.extend(l.map(|l| ("l".to_owned(), json!(l))));
                // An empty map is one thing and none is another where Go compares them: no data that is empty.
                let mut out = if data.is_empty() { json!({}) } else { json!({ "data": data }) };
                if let Some(immutable) = immutable {
                    out["immutable"] = json!(immutable);
                }
                out
            });
            fields.boxed()
        }
        Kind::Widget => specs().prop_map(|spec| json!({ "spec": spec })).boxed(),
    };
    let both = (metadata, body).prop_map(|(metadata, mut body)| {
        body["metadata"] = metadata;
        body
    });
    both.boxed()
}

/// What a widget is to be: mostly what the schema allows.
fn specs() -> impl Strategy<Value = Value> {
    let field = |name: &'static str, values: Vec<Value>| {
        option::weighted(0.35, select(values)).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    let part = || {
        (select(vec!["p", "q"]), option::of(1..3)).prop_map(|(name, count)| {
            let mut part = json!({ "name": name });
            if let Some(count) = count {
                part["count"] = json!(count);
            }
            part
        })
    };
    let size = option::weighted(0.8, select(vec![1, 1, 2, 3, 0]))
        .prop_map(|size| size.map(|size| ("size".to_owned(), json!(size))));
    let tags = option::weighted(0.35, btree_set(select(vec!["s", "t", "u"]), 0..3));
    let parts = option::weighted(0.35, vec(part(), 0..3));
    let simple = (
        size,
        field("color", vec![json!("blue"), json!("red"), json!("pink"), Value::Null]),
        field("max", vec![json!(2), json!(9)]),
        field("fixed", vec![json!("x"), json!("y")]),
        field("plain", vec![json!([1]), json!([1, 2])]),
        field("whole", vec![json!({ "x": "1" }), json!({ "y": "1" })]),
        field("labels", vec![json!({ "k": "1" }), json!({ "l": "1" }), json!({})]),
        field("free", vec![json!({ "d": { "e": 1 } }), json!({ "d": { "f": [1] } })]),
        field("unknown", vec![json!(1)]),
    );
    (simple, tags, parts).prop_map(|((size, color, max, fixed, plain, whole, labels, free, unknown), tags, parts)| {
        let mut out = Map::new();
        // Of several faults of an apply kube-apiserver finds some, by the order of a Go map.
        let parts = parts.map(|mut parts: Vec<Value>| {
            if unknown.is_some() {
                parts.truncate(1);
            }
            parts
        });
        out.extend([size, color, max, fixed, plain, whole, labels, free, unknown].into_iter().flatten());
        out.extend(tags.map(|tags| ("tags".to_owned(), json!(tags))));
        out.extend(parts.map(|parts| ("parts".to_owned(), json!(parts))));
        Value::Object(out)
    })
}

fn statuses() -> impl Strategy<Value = Value> {
    select(vec![
        json!({ "phase": "Ready" }),
        json!({ "phase": "Lost", "replicas": 1 }),
        json!({ "conditions": [{ "type": "A", "status": "True" }] }),
        json!({ "conditions": [{ "type": "A", "status": "False" }, { "type": "B", "status": "True" }] }),
        json!({}),
    ])
}

fn json_patches(kind: Kind) -> impl Strategy<Value = Value> {
    let of_kind = match kind {
        Kind::Secret => vec![
            json!({ "op": "add", "path": "/data/k", "value": "Mw==" }),
            json!({ "op": "remove", "path": "/data/l" }),
            json!({ "op": "test", "path": "/data/k", "value": "MQ==" }),
        ],
        Kind::Widget => vec![
            json!({ "op": "replace", "path": "/spec/size", "value": 3 }),
            json!({ "op": "add", "path": "/spec/tags/-", "value": "v" }),
            json!({ "op": "remove", "path": "/spec/parts/0" }),
            json!({ "op": "add", "path": "/spec/labels", "value": { "m": "1" } }),
        ],
    };
    let label = json!({ "op": "add", "path": "/metadata/labels", "value": { "app": "x" } });
    let all: Vec<Value> = of_kind.into_iter().chain([label]).collect();
    vec(select(all), 1..3).prop_map(Value::from)
}

fn operations_on(kind: Kind) -> BoxedStrategy<Operation> {
    let revisions = || select(vec![Revision::Any, Revision::Any, Revision::Seen, Revision::Past]);
    let selectors =
        || select(vec!["", "&labelSelector=app%3Dx", "&labelSelector=app", "&fieldSelector=metadata.name%3Da"]);
    let demands =
        select(vec![Demand::Nothing, Demand::Nothing, Demand::SameUid, Demand::OtherUid, Demand::SeenRevision]);
    // The collector learns of a new definition within half a minute only.
    let policies = match kind {
        Kind::Secret => vec![None, Some("Background"), Some("Foreground"), Some("Orphan")],
        Kind::Widget => vec![None, Some("Background")],
    };
    let rarely = || prop::bool::weighted(0.1);
    prop_oneof![
        3 => (names(), contents(kind), rarely())
            .prop_map(move |(name, content, dry)| Operation::Create { kind, name, content, dry }),
        2 => (names(), contents(kind), revisions())
            .prop_map(move |(name, content, revision)| Operation::Update { kind, name, content, revision }),
        2 => (names(), contents(kind), revisions())
            .prop_map(move |(name, content, revision)| Operation::Merge { kind, name, content, revision }),
        1 => (names(), json_patches(kind)).prop_map(move |(name, patch)| Operation::Json { kind, name, patch }),
        5 => (names(), contents(kind), managers(), any::<bool>(), rarely()).prop_map(
            move |(name, content, manager, force, dry)| Operation::Apply { kind, name, content, manager, force, dry }
        ),
        2 => (names(), select(policies), demands)
            .prop_map(move |(name, propagation, demand)| Operation::Delete { kind, name, propagation, demand }),
        1 => names().prop_map(move |name| Operation::Release { kind, name }),
        1 => (1..3_u8, selectors()).prop_map(move |(limit, selector)| Operation::List { kind, limit, selector }),
        1 => select(vec!["labelSelector=app%3Dx", "fieldSelector=metadata.name%3Db"])
            .prop_map(move |selector| Operation::DeleteAll { kind, selector }),
    ]
    .boxed()
}

/// One operation.
pub fn operations() -> impl Strategy<Value = Operation> {
    let of_widgets = (names(), statuses(), option::of(managers()))
        .prop_map(|(name, content, applier)| Operation::Status { name, content, applier });
    let of_secrets =
        (names(), contents(Kind::Secret)).prop_map(|(name, content)| Operation::Strategic { name, content });
    prop_oneof![
        8 => kinds().prop_flat_map(operations_on),
        1 => of_widgets,
        1 => of_secrets,
    ]
}
