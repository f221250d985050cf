//! The text of a case.
//!
//! ```text
//! == its title, unique in all files; the namespace is named after it
//! # a remark
//! except metadata.generation: why this field is left out of the comparison
//!
//! made = POST /api/v1/namespaces/$NS/configmaps
//! {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
//! > 201
//! > apiVersion: v1
//! ```
//!
//! Paragraphs are separated by empty lines. A step's first line is what to do, then come headers (`@Name: value`), then
//! the body in YAML, then what is expected behind `> `. `${made.metadata.uid}` is of an earlier answer
//! (`${made.metadata.uid?}`: nothing where it is not there).
//!
//! | first line | |
//! |---|---|
//! | `GET`, `POST`, `PUT`, `DELETE` path | a request; its body is sent as JSON |
//! | `JSON`, `MERGE`, `STRATEGIC`, `APPLY` path | a PATCH of that kind |
//! | `TABLE`, `PARTIAL` path | a GET that asks for a Table, or for metadata only |
//! | `WATCH` n path | a watch until n events have come, or one of the name n, or it ends |
//! | `SETTLE` path | waits until the garbage collector has no finalizer on the object |
//! | `UNTIL` word path | GET until code or body contain the word |
//! | `COMPACT` path | has the history dropped; GET until the code is 410 |
//! | `DEFINE` name | creates `definitions/name.yaml` and waits until it is served |
//! | `$` command | a line of shell, with kubectl; the body is its standard input |
//!
//! A body behind the header `@Raw: yes` is sent as it is written. `@Except: path: reason` is an exception for one step; the
//! path
//! `*` leaves out all but the code, `warning` the warnings.

use std::path::{Path, PathBuf};

/// A file of cases.
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// The lines before the first case.
    pub head: Vec<String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone)]
pub struct Case {
    /// What it states.
    pub title: String,
    /// Fields that are left out, and why.
    pub excepts: Vec<Except>,
    /// Its paragraphs in order.
    pub parts: Vec<Part>,
}

/// A field that is left out of the comparison.
#[derive(Clone, Debug)]
pub struct Except {
    /// Its path; `*` is any key or element.
    pub path: String,
    /// Why it differs.
    pub reason: String,
}

/// A paragraph.
#[derive(Clone)]
pub enum Part {
    /// Remarks and exceptions, as they are written.
    Text(Vec<String>),
    /// A step.
    Step(Box<Step>),
}

/// A step of a case.
#[derive(Clone, Debug)]
pub struct Step {
    /// The lines as they are written, without what is expected.
    pub source: Vec<String>,
    /// The name of its answer.
    pub name: Option<String>,
    /// What to do.
    pub verb: String,
    /// What with.
    pub target: String,
    /// Headers of the request.
    pub headers: Vec<(String, String)>,
    /// Fields that are left out of this step's answer.
    pub excepts: Vec<Except>,
    /// Body, as it is written.
    pub body: String,
    /// What is expected.
    pub golden: Vec<String>,
}

impl Case {
    /// The namespace of the case, and the beginning of its cluster-wide names.
    pub fn namespace(&self) -> String {
        let words = self.title.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
        words.join("-").chars().take(50).collect::<String>().trim_end_matches('-').to_owned()
    }

    /// Its steps.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.parts.iter().filter_map(|part| match part {
            Part::Step(step) => Some(step.as_ref()),
            Part::Text(_) => None,
        })
    }

    /// Whether it needs kubectl.
    pub fn needs_kubectl(&self) -> bool {
        self.steps().any(|step| step.verb == "$")
    }
}

impl Except {
    fn parse(text: &str) -> Self {
        let (path, reason) = text.split_once(": ").expect("an exception has a reason");
        Self { path: path.to_owned(), reason: reason.to_owned() }
    }
}

impl Step {
    /// A step from its lines.
    pub fn parse(lines: &[&str]) -> Self {
        let written = lines.iter().take_while(|line| !line.starts_with('>'));
        let source: Vec<String> = written.map(|line| (*line).to_owned()).collect();
        let golden = lines[source.len()..].iter().map(|line| line[1..].strip_prefix(' ').unwrap_or("").to_owned());
        let golden = golden.collect();
        let mut first = source[0].as_str();
        let mut name = None;
        if !first.starts_with('$')
            && let Some((before, after)) = first.split_once(" = ")
            && !before.contains(' ')
        {
            (name, first) = (Some(before.to_owned()), after);
        }
        let (verb, target) = first.split_once(' ').unwrap_or((first, ""));
        let mut headers = Vec::new();
        let mut excepts = Vec::new();
        let mut body = Vec::new();
        for line in &source[1..] {
            match line.strip_prefix('@').and_then(|header| header.split_once(": ")) {
                Some(("Except", value)) if body.is_empty() => excepts.push(Except::parse(value)),
                Some((name, value)) if body.is_empty() => headers.push((name.to_owned(), value.to_owned())),
                _ => body.push(line.as_str()),
            }
        }
        let body = body.join("\n");
        Self { name, verb: verb.to_owned(), target: target.to_owned(), headers, excepts, body, golden, source }
    }
}

/// The folder of cases and definitions.
pub fn folder() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = manifest.join("tests/conformance/cases");
    let folder = if own.is_dir() { own } else { manifest.join("../sandbox/apiserver/tests/conformance/cases") };
    folder.parent().expect("it has just been joined").to_owned()
}

/// All files of cases, by name.
pub fn files() -> Vec<File> {
    let entries = std::fs::read_dir(folder().join("cases")).expect("a folder of cases");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    paths.sort();
    let files: Vec<File> = paths.into_iter().map(File::read).collect();
    let mut names: Vec<String> = files.iter().flat_map(|file| &file.cases).map(Case::namespace).collect();
    names.sort();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two cases have the same name");
    }
    files
}

impl File {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).expect("a file of cases");
        let mut parts = text.split("\n== ");
        let head = parts.next().unwrap_or_default().trim_end().lines().map(str::to_owned).collect();
        let cases = parts.map(case).collect();
        Self { path, head, cases }
    }

    /// What the file is about: its name.
    pub fn area(&self) -> String {
        self.path.file_stem().expect("it has a name").to_string_lossy().replace('-', " ")
    }

    /// Its text.
    pub fn text(&self) -> String {
        let mut out = self.head.join("\n");
        for case in &self.cases {
            out.push_str(&format!("\n\n== {}\n", case.title));
            for part in &case.parts {
                let lines = match part {
                    Part::Text(lines) => lines.clone(),
                    Part::Step(step) => {
                        let golden = step.golden.iter().map(|line| format!("> {line}").trim_end().to_owned());
                        step.source.iter().cloned().chain(golden).collect()
                    }
                };
                // What belongs to the title stands right below it.
                if !out.ends_with(&format!("== {}\n", case.title)) || matches!(part, Part::Step(_)) {
                    out.push('\n');
                }
                out.push_str(&(lines.join("\n") + "\n"));
            }
            out.truncate(out.trim_end().len());
        }
        out + "\n"
    }
}

fn case(text: &str) -> Case {
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut case = Case { title: title.trim().to_owned(), excepts: Vec::new(), parts: Vec::new() };
    let lines: Vec<&str> = rest.lines().collect();
    for paragraph in lines.split(|line| line.is_empty()).filter(|paragraph| !paragraph.is_empty()) {
        let remarks = paragraph.iter().take_while(|line| line.starts_with('#') || line.starts_with("except "));
        let (remarks, step) = paragraph.split_at(remarks.count());
        for line in remarks.iter().filter_map(|line| line.strip_prefix("except ")) {
            case.excepts.push(Except::parse(line));
        }
        if !remarks.is_empty() {
            case.parts.push(Part::Text(remarks.iter().map(|line| (*line).to_owned()).collect()));
        }
        if !step.is_empty() {
            case.parts.push(Part::Step(Box::new(Step::parse(step))));
        }
    }
    case
}
