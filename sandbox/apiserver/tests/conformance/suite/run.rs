//! A case on a server.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::normal::{Seen, remove};
use super::script::{Case, Except, Step, folder};
use super::server::{Answer, Enough, Server};

/// How often `UNTIL` looks again, and how many times: a minute.
const PAUSE: Duration = Duration::from_millis(100);
const LOOKS: usize = 600;

/// A case while it runs.
pub struct Run<'a> {
    server: &'a Server,
    namespace: String,
    excepts: Vec<Except>,
    seen: Seen,
    answers: HashMap<String, Value>,
}

/// What a case's steps were answered, one list of lines for each.
pub async fn case(server: &Server, case: &Case) -> Vec<Vec<String>> {
    let mut run = Run::begin(server, &case.namespace(), case.excepts.clone()).await;
    let mut out = Vec::new();
    for step in case.steps() {
        out.push(run.step(step).await);
    }
    out
}

impl<'a> Run<'a> {
    /// Makes the namespace, with all that is made in a new one.
    pub async fn begin(server: &'a Server, namespace: &str, excepts: Vec<Except>) -> Self {
        let answers = HashMap::new();
        let run = Self { server, namespace: namespace.to_owned(), excepts, seen: Seen::default(), answers };
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let made = run.send("POST", "/api/v1/namespaces", "application/json", &body.to_string()).await;
        assert_eq!(made.code, 201, "{}", made.text);
        for path in ["configmaps/kube-root-ca.crt", "serviceaccounts/default"] {
            run.until("200", &format!("/api/v1/namespaces/{namespace}/{path}")).await;
        }
        run
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: &str) -> Answer {
        let headers = [("content-type".to_owned(), content_type.to_owned())];
        self.server.send(method, path, &headers, body).await
    }

    /// GET until the answer contains a word.
    async fn until(&self, word: &str, path: &str) -> Answer {
        let mut last = None;
        for _ in 0..LOOKS {
            let answer = self.server.get(path).await;
            let has =
                if word.parse::<u16>().is_ok() { answer.code.to_string() == word } else { answer.text.contains(word) };
            if has {
                return answer;
            }
            last = Some(answer);
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{}: {path} never answered {word}: {last:?}", self.server.name)
    }

    /// Waits until the garbage collector has taken its finalizers off an object.
    async fn settle(&self, path: &str) {
        for _ in 0..LOOKS {
            let answer = self.server.get(path).await;
            let finalizers = answer.json()["metadata"]["finalizers"].to_string();
            if !["foregroundDeletion", "orphan"].iter().any(|of_collector| finalizers.contains(of_collector)) {
                return;
            }
            tokio::time::sleep(PAUSE / 5).await;
        }
        panic!("{}: the finalizers of {path} are never taken off", self.server.name)
    }

    /// `$NS`, and `${step.path}` of earlier answers; what is not there becomes `undefined`.
    fn fill(&self, text: &str) -> String {
        let text = text.replace("$NS", &self.namespace);
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let (path, tail) = after.split_once('}').expect("a closing brace");
            let (path, missing) = path.strip_suffix('?').map_or((path, "undefined"), |path| (path, ""));
            let (name, path) = path.split_once('.').expect("a name and a path");
            let mut value = self.answers.get(name).unwrap_or(&Value::Null);
            for key in path.split('.') {
                value = key.parse().map_or_else(|_| &value[key], |at: usize| &value[at]);
            }
            out.push_str(before);
            match value {
                Value::Null => out.push_str(missing),
                Value::String(text) => out.push_str(text),
                other => out.push_str(&other.to_string()),
            }
            rest = tail;
        }
        out + rest
    }

    /// Does a step; the lines of its answer.
    pub async fn step(&mut self, step: &Step) -> Vec<String> {
        let of_case = self.excepts.len();
        self.excepts.extend(step.excepts.iter().cloned());
        let mut lines = self.told(step).await;
        self.excepts.truncate(of_case);
        if step.excepts.iter().any(|except| except.path == "*") {
            lines.truncate(1);
        }
        lines
    }

    async fn told(&mut self, step: &Step) -> Vec<String> {
        let target = self.fill(&step.target);
        let body = self.fill(&step.body);
        match step.verb.as_str() {
            "$" => return self.command(&target, &body).await,
            "DEFINE" => {
                self.define(&target).await;
                return Vec::new();
            }
            "SETTLE" => {
                self.settle(&target).await;
                return Vec::new();
            }
            "WATCH" => {
                let (count, path) = target.split_once(' ').expect("an end and a path");
                let (answer, events, end) = self.server.watch(path, &Enough::parse(count)).await;
                return self.events(step, &answer, &events, end);
            }
            "COMPACT" => {
                self.server.compact();
                let answer = self.until("410", &target).await;
                return self.answer(step, &answer);
            }
            "UNTIL" => {
                let (word, path) = target.split_once(' ').expect("a word and a path");
                let answer = self.until(word, path).await;
                return self.answer(step, &answer);
            }
            _ => {}
        }
        let mut headers = step.headers.clone();
        headers.retain(|(name, _)| name != "Raw");
        let mut send = |name: &str, value: &str| {
            if !headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        };
        let (method, content) = match step.verb.as_str() {
            "JSON" => ("PATCH", "application/json-patch+json"),
            "MERGE" => ("PATCH", "application/merge-patch+json"),
            "STRATEGIC" => ("PATCH", "application/strategic-merge-patch+json"),
            "APPLY" => ("PATCH", "application/apply-patch+yaml"),
            "TABLE" => {
                send("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
                ("GET", "")
            }
            "PARTIAL" => {
                send(
                    "accept",
                    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
                );
                ("GET", "")
            }
            other => (other, "application/json"),
        };
        if !body.is_empty() && !content.is_empty() {
            send("content-type", content);
        }
        let raw = step.headers.iter().any(|(name, _)| name == "Raw");
        let body = if raw || body.is_empty() { body } else { to_json(&body) };
        let answer = self.server.send(method, &target, &headers, &body).await;
        self.answer(step, &answer)
    }

    /// Creates a definition, and waits until it is served and described.
    async fn define(&mut self, name: &str) {
        let path = folder().join("definitions").join(format!("{name}.yaml"));
        let text = self.fill(&std::fs::read_to_string(&path).expect("a definition"));
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let made = self.send("POST", path, "application/json", &to_json(&text)).await;
        assert_eq!(made.code, 201, "{}", made.text);
        let spec = &made.json()["spec"];
        let group = spec["group"].as_str().expect("a group");
        for version in spec["versions"].as_array().expect("versions") {
            let version = version["name"].as_str().expect("a name");
            self.until(
                "200",
                &format!("/apis/{group}/{version}/{}", spec["names"]["plural"].as_str().unwrap_or_default()),
            )
            .await;
            self.until("200", &format!("/openapi/v3/apis/{group}/{version}")).await;
        }
    }

    fn answer(&mut self, step: &Step, answer: &Answer) -> Vec<String> {
        let json = answer.json();
        if let Some(name) = &step.name {
            self.answers.insert(name.clone(), json.clone());
        }
        if answer.code < 300
            && let (Some(kind), Some(object)) = (json["kind"].as_str(), json["metadata"]["name"].as_str())
        {
            self.answers.insert(format!("{kind}/{object}"), json.clone());
        }
        let mut lines = vec![answer.code.to_string()];
        let warned = !self.excepts.iter().any(|except| except.path == "warning");
        lines.extend(answer.warnings.iter().filter(|_| warned).map(|warning| format!("Warning: {warning}")));
        if json.is_null() {
            lines.extend(self.seen.output(&answer.text).lines().map(str::to_owned));
        } else {
            lines.extend(self.shown(&json));
        }
        lines
    }

    fn events(&mut self, step: &Step, answer: &Answer, events: &[Value], end: &str) -> Vec<String> {
        if let Some(name) = &step.name {
            self.answers.insert(name.clone(), json!(events));
        }
        let mut lines = vec![format!("{}, {} events, then {end}", answer.code, events.len())];
        lines.extend(answer.warnings.iter().map(|warning| format!("Warning: {warning}")));
        if end == "refused" {
            lines.extend(self.shown(&answer.json()));
        }
        for event in events {
            lines.push(format!("--- {}", event["type"].as_str().unwrap_or_default()));
            lines.extend(self.shown(&event["object"]));
        }
        lines
    }

    async fn command(&mut self, line: &str, input: &str) -> Vec<String> {
        let (code, out, err) = self.server.shell(line, &self.namespace, input).await;
        let mut lines: Vec<String> = self.seen.output(&out).lines().map(str::to_owned).collect();
        lines.insert(0, format!("exit code {code}"));
        lines.extend(self.seen.output(&err).lines().map(|line| format!("! {line}")));
        lines
    }

    /// A body as YAML.
    fn shown(&mut self, value: &Value) -> Vec<String> {
        let mut value = self.seen.value(value);
        for except in &self.excepts {
            remove(&mut value, &except.path);
        }
        let text = serde_yaml::to_string(&value).expect("JSON has a form in YAML");
        text.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

fn to_json(yaml: &str) -> String {
    let value: Value = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"));
    value.to_string()
}
