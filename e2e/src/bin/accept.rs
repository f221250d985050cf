//! Accepts an installation: tells the scenarios on clusters that belong to somebody else, and leaves them as they were.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario says by a panic that something is wrong")]

#[path = "../../tests/only_real/mod.rs"]
mod only_real;
#[path = "../../tests/refusals/mod.rs"]
mod refusals;
#[path = "../../tests/scenarios/mod.rs"]
mod scenarios;
#[path = "../../tests/yaml/mod.rs"]
mod yaml;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kaedama_e2e::accept::check::{self, Checked};
use kaedama_e2e::accept::file::{Choice, Description, EXAMPLE};
use kaedama_e2e::accept::report::Verdict;
use kaedama_e2e::accept::run::{self, Run};
use kaedama_e2e::accept::{Refusal, told};
use kaedama_e2e::real::keeper::KeeperArgs;
use kaedama_e2e::suite::Scenario;
use kaedama_sandbox::world::app::Writers;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Accept an installation: tell disaster-recovery scenarios on your clusters, and leave these as they were.
///
/// A file describes the hub, two managed clusters and their stores. Everything that a run makes lies in namespaces of
/// its own or bears the label kaedama.dev/acceptance, and is removed at the end, also after Ctrl-C.
#[derive(Parser)]
#[command(name = "accept", version, after_help = AFTER)]
struct Cli {
    /// The file that describes clusters and stores.
    #[arg(short, long, global = true, default_value = "accept.yaml", value_name = "FILE")]
    file: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "Exit codes: 0 accepted (or done), 1 not accepted, 2 refused: nothing was made, 130 and 143 \
                     interrupted.\n\nBegin with: accept init > accept.yaml";

#[derive(Subcommand)]
enum Command {
    /// Print a commented example of the file.
    Init,
    /// Look at clusters and stores, and make nothing.
    Check,
    /// Tell scenarios: all that can be told there, or those whose names contain one of these texts.
    Run(RunArgs),
    /// List the scenarios, and why some are not told on clusters like yours.
    List,
    /// Remove what interrupted runs have left.
    Clean(CleanArgs),
    /// Hold a program for as long as standard input is open.
    #[command(hide = true)]
    Keeper(KeeperArgs),
}

#[derive(Args)]
struct RunArgs {
    /// Parts of names, as `accept list` has them.
    scenarios: Vec<String>,
    /// Do not ask before something is made on the clusters.
    #[arg(short, long)]
    yes: bool,
    /// How many scenarios are told at a time. Those that break the sandbox's storage are told alone.
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    at_once: u8,
    /// How the report is written, to standard output.
    #[arg(short, long, default_value = "text")]
    output: Output,
    /// Where logs go; accept-logs and the name of the run otherwise.
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
}

#[derive(Args)]
struct CleanArgs {
    /// Do not ask before something is removed.
    #[arg(short, long)]
    yes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Nothing was made.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Init => {
            print!("{EXAMPLE}");
            Ok(0)
        }
        Command::List => {
            list();
            Ok(0)
        }
        Command::Keeper(args) => {
            let code = args.hold().ok().and_then(|code| u8::try_from(code).ok());
            return code.map_or(ExitCode::FAILURE, ExitCode::from);
        }
        Command::Check => at_work(async |_| checked(&read(&cli.file)?).await.map(|_| 0)),
        Command::Run(args) => at_work(async |stop| told_there(&cli.file, args, stop).await),
        Command::Clean(args) => at_work(async |_| clean(&cli.file, &args).await),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(refusals) => {
            for refusal in refusals {
                eprintln!("accept: {refusal}");
            }
            ExitCode::from(REFUSED)
        }
    }
}

type Done<T> = Result<T, Vec<Refusal>>;

/// Runs on several threads, with signals: the first asks for the end, the second does not wait for it.
fn at_work(work: impl AsyncFnOnce(Stop) -> Done<u8>) -> Done<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let failed = |error: std::io::Error| vec![Refusal::new(error.to_string(), "report this")];
    let runtime = runtime.map_err(failed)?;
    runtime.block_on(async {
        let stop = Stop::default();
        let mut signals = [
            (signal(SignalKind::interrupt()).map_err(failed)?, 130),
            (signal(SignalKind::terminate()).map_err(failed)?, 143),
        ];
        let heard = stop.clone();
        tokio::spawn(async move {
            let [(interrupt, _), (terminate, _)] = &mut signals;
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                };
                if heard.token.is_cancelled() {
                    eprintln!("accept: ended without cleaning up; `accept clean` removes what is left");
                    std::process::exit(code);
                }
                eprintln!("accept: ending: what was made is removed; once more ends at once, and leaves it");
                heard.code.store(code, std::sync::atomic::Ordering::SeqCst);
                heard.token.cancel();
            }
        });
        work(stop).await
    })
}

/// Whether, and by which signal, somebody wants the end.
#[derive(Clone, Default)]
struct Stop {
    token: CancellationToken,
    code: std::sync::Arc<std::sync::atomic::AtomicI32>,
}

fn read(file: &Path) -> Done<Description> {
    Description::read(file).map_err(|refusal| vec![refusal])
}

async fn checked(description: &Description) -> Done<Checked> {
    check::check(description, &|well| eprintln!("ok  {well}")).await
}

/// All scenarios; those that cannot be told on real clusters of our own with the reason.
fn real() -> Vec<Scenario> {
    let mut all = scenarios::every!(kaedama_e2e::real_scenarios);
    all.extend(refusals::every!(kaedama_e2e::real_scenarios));
    all.extend(yaml::every!(kaedama_e2e::real_scenarios));
    all.extend(only_real::every!(kaedama_e2e::real_scenarios));
    all
}

/// All scenarios; those that cannot be told on clusters of somebody else, with this storage, with the reason.
fn all(storage: Choice) -> Vec<Scenario> {
    let mut all = real();
    for scenario in &mut all {
        scenario.not_real = told::not_told(scenario.name, storage).or(scenario.not_real);
    }
    all
}

fn list() {
    let all = all(Choice::Sandbox);
    let (told, not_told): (Vec<&Scenario>, Vec<&Scenario>) = all.iter().partition(|one| one.not_real.is_none());
    for scenario in &told {
        println!("{}", scenario.name);
    }
    println!("\nNot told with storage: installed:");
    for scenario in told {
        if let Some(why) = told::not_told(scenario.name, Choice::Installed) {
            println!("{}: {why}", scenario.name);
        }
    }
    println!("\nNot told on clusters that belong to somebody else:");
    for scenario in not_told {
        println!("{}: {}", scenario.name, scenario.not_real.unwrap_or_default());
    }
}

/// The scenarios that were asked for.
fn chosen<'a>(all: &'a [Scenario], wanted: &[String]) -> Done<Vec<&'a Scenario>> {
    let mut refusals = Vec::new();
    for text in wanted {
        let fitting: Vec<&Scenario> = all.iter().filter(|scenario| scenario.name.contains(text.as_str())).collect();
        match fitting.iter().find(|scenario| scenario.not_real.is_none()) {
            Some(_) => {}
            None => refusals.push(match fitting.first() {
                Some(scenario) => {
                    Refusal::new(format!("{} is not told there", scenario.name), scenario.not_real.unwrap_or_default())
                }
                None => Refusal::new(format!("no scenario's name contains {text:?}"), "`accept list` has the names"),
            }),
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let fits =
        |scenario: &&Scenario| wanted.is_empty() || wanted.iter().any(|text| scenario.name.contains(text.as_str()));
    Ok(all.iter().filter(|scenario| scenario.not_real.is_none()).filter(fits).collect())
}

async fn told_there(file: &Path, args: RunArgs, stop: Stop) -> Done<u8> {
    let description = read(file)?;
    let all = all(description.storage);
    let scenarios = chosen(&all, &args.scenarios)?;
    let checked = tokio::select! {
        checked = checked(&description) => checked?,
        () = stop.token.cancelled() => return Ok(code(&stop)),
    };
    plan(&checked, scenarios.len());
    consent(args.yes, "Go on?", &stop).await?;
    if stop.token.is_cancelled() {
        return Ok(code(&stop));
    }
    // The answer may have taken its time, and somebody may have begun to use the clusters.
    let checked = if args.yes { checked } else { check::check(&description, &|_| {}).await? };
    let name = run::new_name();
    let logs = run::log_folder(args.logs.as_deref(), &name).map_err(|refusal| vec![refusal])?;
    log_to(&logs.join("accept.log"));
    let keeper = std::env::current_exe().map_err(|error| {
        vec![Refusal::new(format!("this program does not know where it is: {error}"), "report this")]
    })?;
    eprintln!("run {name}; logs: {}", logs.display());
    let say = |text: &str| eprintln!("{text}");
    let policy = description.policy.clone();
    let at_once = args.at_once.into();
    let run = Run { name, checked, policy, scenarios, at_once, keeper, logs, stop: stop.token.clone(), say: &say };
    let report = run::run(run).await;
    match args.output {
        Output::Text => print!("{}", report.text()),
        Output::Json => match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("accept: the report has no JSON text: {error}"),
        },
    }
    Ok(match report.verdict {
        Verdict::Accepted => 0,
        Verdict::Rejected => 1,
        Verdict::Interrupted => code(&stop),
    })
}

fn code(stop: &Stop) -> u8 {
    u8::try_from(stop.code.load(std::sync::atomic::Ordering::SeqCst)).unwrap_or(1)
}

/// Says what is going to be made.
fn plan(checked: &Checked, scenarios: usize) {
    let start = checked.programs.is_some();
    eprintln!("\n{scenarios} scenarios. For the time of the run, and removed at its end, this makes");
    for site in &checked.sites.all {
        let mut made = vec!["namespaces kaedama-accept-…"];
        if start {
            made.push(
                "namespace ramen-system with configuration, S3 secrets, service account and roles of the operator",
            );
            made.push("Kaedama's kinds, where they are missing");
        }
        if site.name == kaedama_sandbox::world::ground::HUB {
            if start {
                made.push("a DRPolicy and two DRClusters");
            }
            made.push("ManifestWorks for the applications");
        } else {
            made.push(match &checked.writers {
                Writers::Simulated => "kinds, classes and volumes of the sandbox's storage",
                Writers::Pods(_) => "Deployments and claims",
            });
        }
        if !checked.parts.registration {
            made.push("the sandbox's Open Cluster Management");
        }
        eprintln!("  on {} ({}): {}", site.name, site.config.cluster_url, made.join("; "));
    }
    eprintln!("  in the buckets: keys that begin with kaedama-accept-");
    if let Writers::Pods(pods) = &checked.writers {
        eprintln!(
            "Your storage provisions and replicates volumes of StorageClass {}, and your nodes run image {}.",
            pods.storage_class, pods.image
        );
    }
    if start {
        eprintln!(
            "and starts kaedama-hub and kaedama-spoke on this machine, with the rights of those service accounts."
        );
    } else {
        eprintln!("and gives the operators that are installed applications to protect.");
    }
}

/// Asks, unless that was said already.
async fn consent(yes: bool, question: &str, stop: &Stop) -> Done<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(vec![Refusal::new("nobody is there to be asked", "say --yes in a script")]);
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let answer = tokio::select! {
        answer = answer => answer.ok().and_then(Result::ok).unwrap_or_default(),
        // Whoever reads the terminal cannot be told; the process ends with it.
        () = stop.token.cancelled() => std::process::exit(i32::from(code(stop))),
    };
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(vec![Refusal::new("the answer was no", "nothing was made or removed")]),
    }
}

/// What the sandbox's part logs, and what panics.
fn log_to(path: &Path) {
    let Ok(file) = std::fs::File::create(path) else { return };
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info,kube_client=off".into());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file))
        .try_init();
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a scenario says that something is wrong")));
}

async fn clean(file: &Path, args: &CleanArgs) -> Done<u8> {
    let description = read(file)?;
    let (sites, stores) = check::reach(&description).await?;
    eprintln!("This removes what runs of `accept` left on {} clusters and {} stores.", sites.all.len(), stores.len());
    consent(args.yes, "No such run may still go on. Go on?", &Stop::default()).await?;
    let cleaned = run::clean(&sites, &stores, description.storage, &|text| eprintln!("{text}")).await;
    match cleaned.map_err(|refusal| vec![refusal])? {
        0 => println!("nothing was left"),
        runs => println!("removed what {runs} runs had left"),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_a_scenario() {
        assert_eq!(told::stale(&real()), Vec::<&str>::new());
    }

    /// A line of the page about the embedded API server, whose figures are written by what counted them.
    fn line_of_the_servers_page(end: &str) -> String {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/embedded-api-server.md");
        let text = std::fs::read_to_string(page).unwrap();
        let is_figure = |line: &&str| line.ends_with(end) && line.starts_with(|first: char| first.is_ascii_digit());
        text.lines()
            .find(is_figure)
            .unwrap_or_else(|| panic!("no line ends with {end}"))
            .trim_end_matches('.')
            .to_owned()
    }

    /// Which scenarios are told where, as the documentation has it.
    fn counts() -> String {
        let all = real();
        let mut table = "| Scenarios of | In the sandbox | On real clusters | On clusters of somebody else |\n\
                         |---|---:|---:|---:|\n"
            .to_owned();
        let there = |scenario: &Scenario| told::not_told(scenario.name, Choice::Sandbox);
        for folder in ["scenarios", "refusals", "yaml", "only_real"] {
            let prefix = format!("{folder}::");
            let of_folder = || all.iter().filter(|scenario| scenario.name.starts_with(&prefix));
            let sandbox = if folder == "only_real" { 0 } else { of_folder().count() };
            let real = of_folder().filter(|scenario| scenario.not_real.is_none()).count();
            let accepted = of_folder().filter(|scenario| scenario.not_real.or(there(scenario)).is_none()).count();
            table += &format!("| `e2e/tests/{folder}` | {sandbox} | {real} | {accepted} |\n");
        }
        let suite = line_of_the_servers_page(" steps.");
        let kubernetes = line_of_the_servers_page(" pass.");
        table
            + &format!(
                "\n| [Conformance](embedded-api-server.md) | On the embedded API server | On kube-apiserver |\n\
                 |---|---|---|\n\
                 | Our suite | {suite} | the same: it wrote the answers |\n\
                 | Kubernetes' own `sig-api-machinery` tests | {kubernetes} | see there, with the reason for each that does not |\n"
            )
    }

    #[test]
    fn the_documentation_counts_the_scenarios() {
        const BEGIN: &str =
            "<!-- counts: written by `KAEDAMA_COUNTS=write cargo test -p kaedama-e2e --bin accept counts` -->\n";
        const END: &str = "<!-- end of the counts -->";
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/testing.md");
        let text = std::fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (found, after) = rest.split_once(END).unwrap();
        if std::env::var("KAEDAMA_COUNTS").as_deref() == Ok("write") {
            std::fs::write(&page, format!("{before}{BEGIN}\n{}\n{END}{after}", counts())).unwrap();
            return;
        }
        assert_eq!(found.trim(), counts().trim(), "write it anew: the command stands in the page");
    }

    #[test]
    fn what_is_not_told_there_is_refused_with_the_reason() {
        let installed = all(Choice::Installed);
        let breaks = chosen(&installed, &["edited_back".to_owned()]).map(|_| ()).unwrap_err();
        assert!(breaks[0].to_string().contains("it breaks the storage"), "{breaks:?}");
        for told in
            ["moves::a_failover_from", "relocate::a_relocate_while", "relocate::ten", "relocate::one", "disable::"]
        {
            assert!(chosen(&installed, &[told.to_owned()]).is_ok(), "{told}");
        }
        let all = all(Choice::Sandbox);
        assert!(chosen(&all, &["edited_back".to_owned()]).is_ok());
        let refused = chosen(&all, &["a_dead_cluster".to_owned()]).map(|_| ()).unwrap_err();
        assert!(refused[0].to_string().ends_with("is not told there; it kills a cluster"), "{refused:?}");
        assert_eq!(chosen(&all, &["relocate::ten".to_owned()]).unwrap().len(), 1);
        assert!(chosen(&all, &["no-such".to_owned()]).is_err());
    }
}
