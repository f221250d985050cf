//! Chance against the whole product: from a seed a world, applications and a series of disasters and orders, in virtual
//! time. What must never be is looked for all the time, and at the end everything has to come right.
//!
//! `KAEDAMA_CHAOS_SEEDS=100..200` runs these seeds instead of the few fixed ones. A failure prints its seed and the
//! journal of what was done; `KAEDAMA_CHAOS_TRACE=1` prints the journal while it is made.

#[path = "chaos/bed.rs"]
mod bed;
#[path = "chaos/directed.rs"]
mod directed;
#[path = "chaos/events.rs"]
mod events;
#[path = "chaos/losses.rs"]
mod losses;
#[path = "chaos/rng.rs"]
mod rng;
#[path = "chaos/run.rs"]
mod run;
#[path = "chaos/watch.rs"]
mod watch;

use std::time::Instant;

/// Seeds that `cargo test` runs. Few, as a debug build is slow.
const FIXED: [u64; 3] = [1, 2, 3];

fn seeds() -> Vec<u64> {
    let Ok(text) = std::env::var("KAEDAMA_CHAOS_SEEDS") else { return FIXED.to_vec() };
    let number = |text: &str| {
        text.trim().parse::<u64>().unwrap_or_else(|_| panic!("KAEDAMA_CHAOS_SEEDS: {text:?} is no number"))
    };
    match text.split_once("..") {
        Some((from, to)) => (number(from)..number(to)).collect(),
        None => text.split(',').map(number).collect(),
    }
}

#[test]
fn whatever_happens_nothing_is_lost_that_was_not_given_up_and_everything_comes_right() {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().try_init();
    let mut failed = Vec::new();
    for seed in seeds() {
        #[allow(clippy::disallowed_methods, reason = "how long a seed takes is told to whoever runs many")]
        let began = Instant::now();
        let ran = run::seed(seed);
        let took = began.elapsed();
        match ran {
            Ok(told) => eprintln!("seed {seed}: {told} ({took:.1?})"),
            Err(why) => {
                eprintln!("seed {seed}: FAILED ({took:.1?})\n{why:#}\n");
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}
