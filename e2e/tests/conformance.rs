//! The conformance suite on a kube-apiserver, and what both servers make of random requests.
//!
//! | `KAEDAMA_CONFORMANCE` | |
//! |---|---|
//! | unset | the kube-apiserver has to answer what the cases expect, the embedded server too, also to kubectl |
//! | `write` | what the cases expect is written anew from the kube-apiserver, and the figures of the document |
//!
//! Skipped, loudly, where the programs are not there; with `CI=true` that is a failure. See `docs/testing.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[path = "conformance/operations.rs"]
mod operations;
#[path = "conformance/random.rs"]
mod random;
#[path = "conformance/servers.rs"]
mod servers;
#[allow(dead_code, reason = "what is for one of the two programs only")]
#[path = "../../sandbox/apiserver/tests/conformance/suite/mod.rs"]
mod suite;

use futures::StreamExt;

use suite::report;
use suite::run;
use suite::script::{self, Case, File, Part};
use suite::server::{self, Server};

/// A kube-apiserver and its controllers take 0.7 GiB: one at a time.
static ONE_WORLD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How many cases are told at a time: each is in a namespace of its own.
const AT_A_TIME: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kube_apiserver_answers_as_is_written() {
    let _one = ONE_WORLD.lock().await;
    let Some(real) = servers::real().await else { return };
    let mut files = script::files();
    let answers = tell(&files, &real.server, |_| true).await;
    if std::env::var("KAEDAMA_CONFORMANCE").as_deref() == Ok("write") {
        write(&mut files, answers);
    } else {
        judge(&real.server, &files, &answers);
    }
    server::clean_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_says_the_same_of_the_embedded_server() {
    let Some(kubectl) = servers::kubectl() else { return };
    let files = script::files();
    let embedded = servers::embedded(kubectl).await;
    let answers = tell(&files, &embedded, Case::needs_kubectl).await;
    judge(&embedded, &files, &answers);
}

/// What each case's steps were answered; none for a case that was not told.
type Answers = Vec<Vec<Option<Vec<Vec<String>>>>>;

async fn tell(files: &[File], server: &Server, told: impl Fn(&Case) -> bool) -> Answers {
    let wanted = std::env::var("KAEDAMA_CASE").unwrap_or_default();
    let mut out = Vec::new();
    for file in files {
        let cases = futures::stream::iter(&file.cases).map(async |case| {
            let told = told(case) && case.title.contains(&wanted);
            if told { Some(run::case(server, case).await) } else { None }
        });
        out.push(cases.buffered(AT_A_TIME).collect().await);
    }
    out
}

fn judge(server: &Server, files: &[File], answers: &Answers) {
    let cases = files.iter().zip(answers).flat_map(|(file, answers)| file.cases.iter().zip(answers));
    let (mut told, mut different) = (0, Vec::new());
    for (case, came) in cases {
        if let Some(came) = came {
            told += 1;
            different.extend(report::differences(case, came));
        }
    }
    println!("{}: {} of {told} cases are as written", server.name, told - different.len());
    assert!(different.is_empty(), "{}: {} cases differ:\n{}", server.name, different.len(), different.join("\n"));
    assert!(told > 0, "no case is called so");
}

fn write(files: &mut [File], answers: Answers) {
    for (file, answers) in files.iter_mut().zip(answers) {
        for (case, came) in file.cases.iter_mut().zip(answers) {
            let Some(came) = came else { continue };
            let steps = case.parts.iter_mut().filter_map(|part| match part {
                Part::Step(step) => Some(step),
                Part::Text(_) => None,
            });
            for (step, came) in steps.zip(came) {
                step.golden = came;
            }
        }
        std::fs::write(&file.path, file.text()).unwrap();
    }
    let document = report::document();
    let text = std::fs::read_to_string(&document).unwrap();
    std::fs::write(&document, report::with_figures(&text, files)).unwrap();
    println!("written from {}", servers::REAL);
}
