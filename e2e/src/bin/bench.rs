//! The benchmark: how long the actions take, and what they cost in requests, for 1, 10 and 100 applications.
//!
//! It measures and judges, and never fails for a figure: `cargo run --release -p kaedama-e2e --bin bench`.

#[path = "../bench/mod.rs"]
mod bench;

use clap::Parser;

/// Objects come and go as JSON, in small pieces: see `docs/decisions/0009-allocator.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    bench::main(&bench::Args::parse())
}
