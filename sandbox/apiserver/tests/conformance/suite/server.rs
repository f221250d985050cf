//! A server, whichever it is: requests in, whole answers out.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long the next event of a watch may take. What comes, comes at once.
const EVENT: Duration = Duration::from_secs(5);

/// A server.
pub struct Server {
    /// What it is called in the output.
    pub name: &'static str,
    client: Client,
    kubectl: Option<Kubectl>,
    compact: Option<Box<dyn Fn() + Send + Sync>>,
}

/// kubectl for a server.
pub struct Kubectl {
    /// The folder of the program.
    pub folder: PathBuf,
    /// The kubeconfig, as YAML.
    pub config: String,
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The code of HTTP.
    pub code: u16,
    /// Warnings in its headers.
    pub warnings: Vec<String>,
    /// Its text.
    pub text: String,
}

/// When a watch has been read.
pub enum Enough {
    /// After so many events.
    Events(usize),
    /// After an event of an object of this name.
    Name(String),
}

impl Enough {
    /// From a number, or a name.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Events)
    }

    fn is(&self, events: &[Value]) -> bool {
        match self {
            Self::Events(count) => events.len() >= *count,
            Self::Name(name) => events.iter().any(|event| event["object"]["metadata"]["name"] == name.as_str()),
        }
    }
}

impl Answer {
    /// Its JSON, or YAML; null for anything else.
    pub fn json(&self) -> Value {
        let json = serde_json::from_str(&self.text).unwrap_or_default();
        let is_yaml = self.text.starts_with("apiVersion:");
        if is_yaml { serde_yaml::from_str(&self.text).unwrap_or_default() } else { json }
    }
}

impl Server {
    /// A server behind a client, which has to be called `conformance` and must not repeat requests.
    pub fn new(name: &'static str, client: Client, kubectl: Option<Kubectl>) -> Self {
        Self { name, client, kubectl, compact: None }
    }

    /// A server that drops its history when it is told to. Others do so by themselves, after a time.
    #[must_use]
    pub fn compacted_by(mut self, compact: impl Fn() + Send + Sync + 'static) -> Self {
        self.compact = Some(Box::new(compact));
        self
    }

    /// Has it drop its history, where it can be told.
    pub fn compact(&self) {
        if let Some(compact) = &self.compact {
            compact();
        }
    }

    async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> (http::response::Parts, Body) {
        let path = path.replace(' ', "%20");
        let mut request = http::Request::builder().method(method).uri(&path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body.as_bytes().to_vec()));
        let request = request.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let answer = self.client.send(request).await;
        let (parts, body) =
            answer.unwrap_or_else(|error| panic!("{}: {method} {path}: {error}", self.name)).into_parts();
        (parts, body)
    }

    /// A request and its whole answer.
    pub async fn send(&self, method: &str, path: &str, headers: &[(String, String)], body: &str) -> Answer {
        let (parts, body) = self.open(method, path, headers, body).await;
        let bytes = body.collect().await.unwrap_or_else(|error| panic!("{method} {path}: {error}")).to_bytes();
        Answer { code: parts.status.as_u16(), warnings: warnings(&parts), text: text(&bytes) }
    }

    /// A GET and its whole answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// A watch: its code, and its events until enough have come, none comes any more, or it ends; and which of these.
    pub async fn watch(&self, path: &str, enough: &Enough) -> (Answer, Vec<Value>, &'static str) {
        let (parts, mut body) = self.open("GET", path, &[], "").await;
        let mut answer = Answer { code: parts.status.as_u16(), warnings: warnings(&parts), text: String::new() };
        if answer.code != 200 {
            answer.text = text(&body.collect().await.expect("an answer").to_bytes());
            return (answer, Vec::new(), "refused");
        }
        let (mut events, mut rest) = (Vec::new(), String::new());
        while !enough.is(&events) {
            let frame = match tokio::time::timeout(EVENT, body.frame()).await {
                Err(_) => return (answer, events, "silence"),
                Ok(None) => return (answer, events, "the end"),
                Ok(Some(frame)) => frame.expect("a frame of the watch"),
            };
            rest.push_str(&text(frame.data_ref().map(AsRef::as_ref).unwrap_or_default()));
            while let Some((line, after)) = rest.split_once('\n') {
                events.push(serde_json::from_str(line).expect("an event in JSON"));
                rest = after.to_owned();
            }
        }
        if let Enough::Events(count) = enough {
            events.truncate(*count);
        }
        (answer, events, "more")
    }

    /// A line of shell with kubectl, in a namespace: its code, standard output and standard error.
    pub async fn shell(&self, line: &str, namespace: &str, input: &str) -> (i32, String, String) {
        let kubectl = self.kubectl.as_ref().expect("asked for before");
        let folder = tempfile(namespace, self.name);
        std::fs::write(folder.join("config"), in_namespace(&kubectl.config, namespace)).expect("a kubeconfig");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", kubectl.folder.display());
        let command = Command::new("sh")
            .args(["-c", line])
            .env_clear()
            .env("PATH", path)
            .env("KUBECONFIG", folder.join("config"))
            .env("HOME", &folder)
            .env("NS", namespace)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = command.expect("a shell");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that does not read its input may have ended.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.expect("the command's output");
        let read = |bytes: &[u8]| text(bytes).replace(&folder.display().to_string(), "<folder>");
        (output.status.code().unwrap_or(-1), read(&output.stdout), read(&output.stderr))
    }
}

/// A folder for a case, kept over its steps for kubectl's cache.
fn tempfile(namespace: &str, server: &str) -> PathBuf {
    let name = format!("kaedama-conformance-{}/{}/{namespace}", std::process::id(), server.replace(' ', "-"));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// Removes the folders of all cases.
pub fn clean_up() {
    let folder: &Path = &std::env::temp_dir().join(format!("kaedama-conformance-{}", std::process::id()));
    // There is none when no case needed one.
    let _ = std::fs::remove_dir_all(folder);
}

fn in_namespace(config: &str, namespace: &str) -> String {
    let mut config: Value = serde_yaml::from_str(config).expect("a kubeconfig");
    config["contexts"][0]["context"]["namespace"] = namespace.into();
    config.to_string()
}

fn warnings(parts: &http::response::Parts) -> Vec<String> {
    let warnings = parts.headers.get_all("warning").iter();
    warnings.map(|warning| text(warning.as_bytes())).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
