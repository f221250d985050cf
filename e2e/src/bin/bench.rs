//! The benchmark: how long the actions take, and what they cost in requests, for 1, 10 and 100 applications; in the
//! sandbox, or on real clusters.
//!
//! It measures and judges, and never fails for a figure: `cargo run --release -p kaedama-e2e --bin bench`.

use std::process::ExitCode;

use clap::Parser;
use kaedama_e2e::bench::{Args, Unfit, main as measure};
use kaedama_e2e::real::RealError;
use kaedama_e2e::real::keeper::KeeperArgs;

/// Objects come and go as JSON, in small pieces: see `docs/decisions/0009-allocator.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How this program is run to hold another: nobody else runs it like this.
#[derive(Parser)]
struct Keeper {
    /// Always `keeper`.
    _name: String,
    #[command(flatten)]
    held: KeeperArgs,
}

/// What was asked for cannot be measured; nothing was started.
const UNFIT: u8 = 2;

fn main() -> ExitCode {
    let done = if std::env::args_os().nth(1).is_some_and(|first| first == "keeper") { held() } else { measured() };
    done.unwrap_or_else(|error| {
        // One line; an error of the real parts is a whole sentence, its source included.
        match error.downcast_ref::<RealError>() {
            Some(error) => eprintln!("bench: {error}"),
            None => eprintln!("bench: {error:#}"),
        }
        if error.is::<Unfit>() { ExitCode::from(UNFIT) } else { ExitCode::FAILURE }
    })
}

fn measured() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "error,kube_client=off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    measure(&args, &std::env::current_exe()?)?;
    Ok(ExitCode::SUCCESS)
}

fn held() -> anyhow::Result<ExitCode> {
    Ok(if Keeper::parse().held.hold()? == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
