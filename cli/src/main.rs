//! kubectl-dr: look at, plan and carry out disaster recovery; and the demo.
//!
//! | module | what lives there |
//! |---|---|
//! | [`demo`] | `kubectl-dr demo`: a whole world in this process, a disaster, and the way back |

mod demo;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Objects come and go as JSON, in small pieces: see `docs/decisions/0009-allocator.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Disaster recovery of Kubernetes applications.
#[derive(Debug, Parser)]
#[command(name = "kubectl-dr", version, about, arg_required_else_help = true)]
struct Cli {
    /// Show the operators' logs on stderr; twice for more. RUST_LOG is honoured as well.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Protect an application, destroy its cluster, fail over, come back: everything in this process.
    Demo(demo::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let logging = log(cli.verbose);
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(args, logging).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kubectl-dr: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Sets up logging to stderr; quiet unless it is asked for. Returns whether it was.
fn log(verbose: u8) -> bool {
    let wish = std::env::var("RUST_LOG").ok().filter(|wish| !wish.is_empty());
    let level = match verbose {
        0 => None,
        1 => Some("warn,kaedama=info,kaedama_hub=info,kaedama_spoke=info,kaedama_sandbox=info".to_owned()),
        _ => Some("info,kaedama_hub=debug,kaedama_spoke=debug,kaedama_sandbox=debug,kaedama_shared=debug".to_owned()),
    };
    let Some(filter) = level.or(wish) else { return false };
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();
    true
}
