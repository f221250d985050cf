//! A container as a process of this machine: its command, its log, and folders in the place of its volumes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};
use kaedama_sandbox::storage::{Driver, StorageError, VolumeHandle};
use kaedama_shared::clock::Clock;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// The lines of one run of a container, each with its time.
#[derive(Debug)]
pub struct Log {
    lines: Mutex<Vec<String>>,
    /// How many there are, and whether that is all.
    state: watch::Sender<(usize, bool)>,
}

impl Log {
    fn new() -> Arc<Self> {
        Arc::new(Self { lines: Mutex::default(), state: watch::Sender::new((0, false)) })
    }

    fn push(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(format!("{} {line}\n", Clock::system().now()));
        let count = lines.len();
        self.state.send_modify(|state| state.0 = count);
    }

    /// The lines from here on; where there are none yet, those that come next. None where there will be none.
    pub async fn from(&self, at: usize) -> Option<Vec<String>> {
        let mut state = self.state.subscribe();
        // The sender lives in `self`.
        let _ = state.wait_for(|(count, ended)| *count > at || *ended).await;
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        (lines.len() > at).then(|| lines[at..].to_vec())
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A piece of a file that a container appended to. A volume is a list of them: its files only grow.
#[derive(Serialize, Deserialize)]
struct Piece {
    file: String,
    text: String,
}

/// A volume as a folder.
pub struct Mounted {
    handle: VolumeHandle,
    folder: PathBuf,
    /// How much of each file is on the array.
    written: BTreeMap<String, usize>,
}

impl Mounted {
    /// Fills a folder from the array.
    pub fn mount(driver: &Driver, handle: VolumeHandle, folder: PathBuf) -> Result<Self, StorageError> {
        driver.check_writable(&handle)?;
        let content = driver.read(&handle)?.to_bytes();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let piece: Piece = serde_json::from_slice(line).expect("it wrote this itself");
            files.entry(piece.file).or_default().push_str(&piece.text);
        }
        for (name, text) in &files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Ok(Self { handle, folder, written: files.into_iter().map(|(name, text)| (name, text.len())).collect() })
    }

    /// Writes to the array what is new in the folder.
    pub fn flush(&mut self, driver: &Driver) -> Result<(), StorageError> {
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let content = std::fs::read_to_string(&path).unwrap();
            let known = self.written.entry(file.clone()).or_default();
            if content.len() > *known {
                let piece = Piece { file, text: content[*known..].to_owned() };
                let mut line = serde_json::to_vec(&piece).unwrap();
                line.push(b'\n');
                driver.write(&self.handle, line.into())?;
                *known = content.len();
            }
        }
        Ok(())
    }
}

/// A container that runs, or has ended.
pub struct Running {
    child: Child,
    pub log: Arc<Log>,
}

impl Running {
    /// Starts a container of a pod with these folders in the place of its mount paths.
    pub fn start(pod: &Pod, container: &Container, mounts: &[(String, PathBuf)]) -> Self {
        let there = |text: &String| {
            mounts.iter().fold(text.clone(), |text, (path, folder)| text.replace(path, &folder.display().to_string()))
        };
        let words: Vec<String> =
            container.command.iter().flatten().chain(container.args.iter().flatten()).map(there).collect();
        let mut command = Command::new(if words[0] == "sh" { "/bin/sh" } else { &words[0] });
        command.args(&words[1..]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        for variable in container.env.iter().flatten() {
            command.env(&variable.name, there(&value(pod, variable)));
        }
        command.current_dir(Path::new("/")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let log = Log::new();
        let (out, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (told, also_told) = (log.clone(), log.clone());
        tokio::spawn(async move {
            let errors = async {
                let mut lines = BufReader::new(errors).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    also_told.push(&line);
                }
            };
            let out = async {
                let mut lines = BufReader::new(out).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    told.push(&line);
                }
            };
            tokio::join!(errors, out);
            told.state.send_modify(|state| state.1 = true);
        });
        Self { child, log }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks it to end, as a node does, or ends it.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let Some(id) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).unwrap())) else {
            return;
        };
        let _ = rustix::process::kill_process(id, signal);
    }
}

fn value(pod: &Pod, variable: &EnvVar) -> String {
    let field = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
    match field.map(|field| field.field_path.as_str()) {
        None => variable.value.clone().unwrap_or_default(),
        Some("metadata.uid") => pod.uid().unwrap(),
        Some("metadata.name") => pod.name_any(),
        Some("metadata.namespace") => pod.namespace().unwrap(),
        Some(other) => panic!("this node does not know the field {other}"),
    }
}
