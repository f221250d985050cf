//! The same random operations on both servers, which have to answer the same.
//!
//! `PROPTEST_CASES` says how many sequences (100), `PROPTEST_RNG_SEED` which. What is found is shrunk to a few requests, in the
//! form of a case.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tokio::runtime::Runtime;

use crate::operations::{END, Kind, Operation, operations};
use crate::suite::report::diff;
use crate::suite::run::Run;
use crate::suite::script::Step;
use crate::suite::server::{self, Server};
use crate::{ONE_WORLD, servers};

/// Sequences, where `PROPTEST_CASES` does not say.
const SEQUENCES: u32 = 100;
/// Operations of the longest of them.
const LONGEST: usize = 12;

#[test]
fn both_servers_make_the_same_of_random_requests() {
    let runtime = Runtime::new().unwrap();
    let _one = runtime.block_on(ONE_WORLD.lock());
    let Some(real) = runtime.block_on(servers::real()) else { return };
    let embedded = runtime.block_on(async { servers::embedded_only() });
    for server in [&real.server, &embedded] {
        runtime.block_on(async {
            let mut run = Run::begin(server, "random", Vec::new()).await;
            run.step(&Step::parse(&["DEFINE widget"])).await;
        });
    }
    let mut config = Config { failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = SEQUENCES;
    }
    let (sequences, told) = (config.cases, AtomicUsize::new(0));
    let found = TestRunner::new(config).run(&vec(operations(), 1..=LONGEST), |operations| {
        let number = told.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("random-{number}");
        let steps = script(&operations);
        let answers = runtime.block_on(async {
            tokio::join!(answers(&real.server, &namespace, &steps), answers(&embedded, &namespace, &steps))
        });
        compare(&steps, &answers.0, &answers.1).map_err(TestCaseError::fail)
    });
    server::clean_up();
    match found {
        Ok(()) => println!("{sequences} random sequences are answered the same"),
        Err(TestError::Fail(why, _)) => panic!("the servers differ:\n{why}"),
        Err(other) => panic!("{other}"),
    }
}

/// The operations as steps, and what shows their outcome as a whole: lists, and watches from the beginning.
fn script(operations: &[Operation]) -> Vec<Step> {
    let kinds = [Kind::Secret, Kind::Widget];
    let mut lines: Vec<String> =
        kinds.iter().enumerate().map(|(at, kind)| format!("start{at} = GET {}", kind.path())).collect();
    lines.extend(operations.iter().enumerate().flat_map(|(number, operation)| operation.steps(number)));
    for (at, kind) in kinds.iter().enumerate() {
        let path = kind.path();
        let last = kind.object(END, serde_json::json!({ "metadata": { "labels": { "app": "x" } } }));
        let last = if *kind == Kind::Widget { with_size(last) } else { last };
        lines.push(format!("POST {path}\n{last}"));
        lines.push(format!("GET {path}"));
        let since = format!("watch=1&resourceVersion=${{start{at}.metadata.resourceVersion}}");
        lines.push(format!("WATCH {END} {path}?{since}"));
        lines.push(format!("WATCH {END} {path}?{since}&labelSelector=app%3Dx"));
    }
    lines.iter().map(|text| Step::parse(&text.lines().collect::<Vec<_>>())).collect()
}

fn with_size(mut widget: serde_json::Value) -> serde_json::Value {
    widget["spec"]["size"] = serde_json::json!(1);
    widget
}

async fn answers(server: &Server, namespace: &str, steps: &[Step]) -> Vec<Vec<String>> {
    let mut run = Run::begin(server, namespace, Vec::new()).await;
    let mut out = Vec::new();
    for step in steps {
        out.push(run.step(step).await);
    }
    out
}

/// The first step that was answered differently, with all that came before it.
fn compare(steps: &[Step], real: &[Vec<String>], embedded: &[Vec<String>]) -> Result<(), String> {
    let Some(at) = real.iter().zip(embedded).position(|(real, embedded)| real != embedded) else { return Ok(()) };
    let told: Vec<String> = steps[..=at].iter().map(|step| step.source.join("\n")).collect();
    let difference = diff(&real[at], &embedded[at]);
    Err(format!("{}\n(- kube-apiserver, + embedded server)\n{difference}", told.join("\n\n")))
}
