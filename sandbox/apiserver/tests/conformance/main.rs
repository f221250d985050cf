//! The conformance suite on the embedded server: it has to answer what a kube-apiserver was seen to answer.
//!
//! `e2e/tests/conformance.rs` asks a kube-apiserver itself, and writes what is expected here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic that something is wrong")]

#[allow(dead_code, reason = "some of it is only for the program that has kubectl")]
mod suite;

use kaedama_apiserver::ApiServer;
use suite::server::Server;
use suite::{report, run, script};

/// Each case has a server of its own. `KAEDAMA_CASE`, a part of the title, leaves out the others.
#[tokio::test(start_paused = true)]
async fn the_embedded_server_answers_as_a_kube_apiserver() {
    let wanted = std::env::var("KAEDAMA_CASE").unwrap_or_default();
    let (mut told, mut different) = (0, Vec::new());
    for file in script::files() {
        for case in file.cases.iter().filter(|case| !case.needs_kubectl() && case.title.contains(&wanted)) {
            let embedded = ApiServer::builder("conformance").seed(1).build();
            let server = Server::new("embedded server", embedded.client("conformance"), None);
            let server = server.compacted_by(move || embedded.compact());
            let came = run::case(&server, case).await;
            told += 1;
            different.extend(report::differences(case, &came));
        }
    }
    println!("embedded server: {} of {told} cases are as with a kube-apiserver", told - different.len());
    assert!(different.is_empty(), "{} cases differ:\n{}", different.len(), different.join("\n"));
    assert!(told > 0, "no case is called so");
}

#[test]
fn the_figures_in_the_document_are_fresh() {
    let text = std::fs::read_to_string(report::document()).unwrap();
    let fresh = report::with_figures(&text, &script::files());
    assert!(text == fresh, "run: KAEDAMA_CONFORMANCE=write cargo test -p kaedama-e2e --test conformance");
}

#[test]
fn a_file_of_cases_is_written_as_it_was_read() {
    for file in script::files() {
        let text = std::fs::read_to_string(&file.path).unwrap();
        assert!(text == file.text(), "{} is not formed as it would be written", file.path.display());
    }
}
