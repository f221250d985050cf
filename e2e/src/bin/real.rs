//! Builds, finds and brings up the real parts: Kubernetes, Open Cluster Management, S3, on loopback.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use kaedama_e2e::real::build::{BuildOptions, build};
use kaedama_e2e::real::keeper::KeeperArgs;
use kaedama_e2e::real::programs::{MODULES, Programs};
use kaedama_e2e::real::{HUB, Identity, Options, Real, RealError};
use tokio::signal::unix::{SignalKind, signal};

/// Real Kubernetes, Open Cluster Management and S3 on loopback.
#[derive(Parser)]
#[command(name = "real")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the programs with the installed Go, once for each state of the module files.
    Build(BuildArgs),
    /// Print which programs were found, and from where. Fails when one is missing.
    Where {
        /// Print the path of this program, and nothing else.
        program: Option<String>,
    },
    /// Bring everything up, and end it at Ctrl-C or SIGTERM.
    Up(UpArgs),
    /// Hold a program or a folder for as long as standard input is open.
    #[command(hide = true)]
    Keeper(KeeperArgs),
}

#[derive(Args)]
struct BuildArgs {
    /// How many packages Go builds at a time.
    #[arg(short = 'p', long)]
    jobs: Option<u32>,
    /// Build only these modules.
    #[arg(value_parser = MODULES.map(|module| module.name))]
    modules: Vec<String>,
}

#[derive(Args)]
struct UpArgs {
    /// Where to write the kubeconfigs; `target/real-world` of the checkout otherwise.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Where to keep the logs; below the directory otherwise.
    #[arg(long)]
    logs: Option<PathBuf>,
    /// The first of the ports, which then follow each other; free ports otherwise.
    #[arg(long)]
    first_port: Option<u16>,
    /// Seconds between two renewals of a cluster's lease; it counts as lost after five of them.
    #[arg(long, default_value_t = 4)]
    lease_seconds: i32,
    /// Without Open Cluster Management's programs.
    #[arg(long)]
    no_ocm: bool,
    /// Without the S3 servers.
    #[arg(long)]
    no_s3: bool,
    /// The S3 servers serve HTTPS.
    #[arg(long)]
    s3_tls: bool,
}

fn main() {
    let code = match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // An error of ours is a whole sentence, its source included.
            match error.downcast_ref::<RealError>() {
                Some(error) => eprintln!("real: {error}"),
                None => eprintln!("real: {error:#}"),
            }
            1
        }
    };
    std::process::exit(code);
}

fn run(command: Command) -> anyhow::Result<i32> {
    match command {
        Command::Build(args) => make(args),
        Command::Where { program: Some(program) } => find_one(&program),
        Command::Where { program: None } => find(),
        Command::Up(args) => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(up(args))
        }
        Command::Keeper(args) => args.hold(),
    }
}

fn make(args: BuildArgs) -> anyhow::Result<i32> {
    let options = BuildOptions { jobs: args.jobs, only: args.modules };
    for built in build(&options, |line| eprintln!("{line}"))? {
        let how = built.took.map_or("is there already".to_owned(), |took| format!("built in {} s", took.as_secs()));
        println!("{} {how}: {}", built.module.title, built.folder.display());
    }
    Ok(0)
}

fn find_one(name: &str) -> anyhow::Result<i32> {
    let all = MODULES.iter().flat_map(|module| module.programs);
    let program = all.map(|(program, _)| *program).find(|program| program.name() == name);
    let program = program.with_context(|| format!("there is no program {name} among the real parts"))?;
    println!("{}", Programs::find()?.path(program)?.display());
    Ok(0)
}

fn find() -> anyhow::Result<i32> {
    let programs = Programs::find()?;
    let mut missing = 0;
    for (program, found) in programs.all() {
        match found {
            Ok(found) => println!("{program:24} {} ({})", found.path.display(), found.origin),
            Err(looked) => {
                missing += 1;
                println!("{program:24} MISSING ({looked})");
            }
        }
    }
    let definitions = programs.definitions().map_or("the sandbox's".to_owned(), |path| path.display().to_string());
    println!("{:24} {definitions}", "definitions of OCM");
    if missing > 0 {
        let variables = MODULES.map(|module| module.variable).join(", ");
        eprintln!(
            "real: {missing} missing: run `cargo run -p kaedama-e2e --bin real -- build`, or name folders with them in {variables}"
        );
    }
    Ok(i32::from(missing > 0))
}

async fn up(args: UpArgs) -> anyhow::Result<i32> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "error,kube_client=off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("real-world");
    let directory = &args.directory.unwrap_or_else(usual);
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut options = Options::new(std::env::current_exe()?)?;
    options.logs = Some(args.logs.unwrap_or_else(|| directory.join("logs")));
    options.first_port = args.first_port;
    options.lease_seconds = args.lease_seconds;
    options.ocm = !args.no_ocm;
    options.s3 = !args.no_s3;
    options.s3_tls = args.s3_tls;
    let world = tokio::select! {
        world = Real::start(options) => world?,
        _ = interrupted.recv() => return Ok(130),
        _ = terminated.recv() => return Ok(143),
    };
    describe(&world, directory)?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    eprintln!("ending");
    drop(world);
    Ok(0)
}

fn describe(world: &Real, directory: &Path) -> anyhow::Result<()> {
    let times = world.times();
    let seconds = |time: std::time::Duration| format!("{:.1} s", time.as_secs_f64());
    println!(
        "up: clusters {}, kinds and roles {}, agents {}",
        seconds(times.clusters),
        seconds(times.definitions),
        seconds(times.agents)
    );
    for cluster in world.names() {
        let path = directory.join(format!("{cluster}.kubeconfig"));
        world.write_kubeconfig(&cluster, &Identity::admin(), &path)?;
        println!("{cluster}: {}; KUBECONFIG={}", world.url(&cluster)?, path.canonicalize()?.display());
        if cluster != HUB
            && let Ok(store) = world.s3(&cluster)
        {
            let (id, secret) = (&store.credentials.access_key_id, &store.credentials.secret_access_key);
            println!(
                "  S3: {} bucket {} region {} AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}",
                store.endpoint, store.bucket, store.region
            );
        }
    }
    println!("logs, audit logs among them: {}", world.logs().display());
    println!("Ctrl-C ends everything");
    Ok(())
}
