//! The demo: a whole world in this process, a disaster, and the way back, with every lost record counted.
//!
//! | module | what lives there |
//! |---|---|
//! | `stage` | the world with one application in it, and how it stands |
//! | `story` | what happens, step by step |
//! | `relocate` | the planned moves of the story |
//! | `look` | how it stands at a moment, for the screen and for `status` |
//! | `sync` | pure: when the storage last had everything on the other side |
//! | `tale` | what came of it: actions, measurements |
//! | `invariants` | pure: what has to be true of it all |
//! | `summary` | pure: the table at the end, and the document for scripts |
//! | `screen`, `paint` | what a person sees: a terminal, or plain lines |
//! | `hold`, `front` | the world kept up: kubeconfigs, HTTP, and a few commands |

mod front;
mod hold;
mod invariants;
mod look;
mod paint;
mod relocate;
mod screen;
mod stage;
mod story;
mod summary;
mod sync;
mod tale;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use tokio::time::Instant;

use paint::Paint;
use screen::Screen;
use stage::Stage;
use tale::Tale;

/// How the demo is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A table for people, or one JSON document for scripts.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Keep the world up afterwards, reachable with kubectl, until Ctrl-C.
    #[arg(long)]
    hold: bool,
    /// With --hold: only put the application under protection, and leave the rest to you.
    #[arg(long, requires = "hold")]
    no_story: bool,
    /// With --hold: where the kubeconfigs go.
    #[arg(long, default_value = "kaedama-demo", requires = "hold")]
    dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Exit code of a process that was interrupted from the keyboard.
const INTERRUPTED: u8 = 130;

/// Runs the demo. `logging`: log lines go to stderr, so nothing may be drawn in place.
///
/// # Errors
/// What keeps the demo from being shown at all: the directory or a port for `--hold`, the output.
pub async fn run(args: Args, logging: bool) -> anyhow::Result<ExitCode> {
    let mut screen = screen(args.output, logging);
    let mut tale = Tale::default();
    let mut stage = None;
    let told = tokio::select! {
        told = perform(&args, &mut stage, &mut screen, &mut tale) => told?,
        () = interrupted() => None,
    };
    let Some(passed) = told else {
        screen.clear();
        eprintln!("interrupted");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    if let Some(stage) = stage.as_mut().filter(|stage| args.hold && stage.front().is_some()) {
        hold::hold(stage, &mut screen).await?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// From the first API server to the verdict: whether everything held.
async fn perform(
    args: &Args,
    stage: &mut Option<Stage>,
    screen: &mut Screen,
    tale: &mut Tale,
) -> anyhow::Result<Option<bool>> {
    let since = Instant::now();
    story::introduce(screen, !args.no_story);
    let outcome = async {
        let stage = stage.insert(story::open(screen).await?);
        if args.hold {
            stage.serve(&args.dir).await.map_err(story::StoryError::Serve)?;
        }
        if args.no_story { story::protect(stage, screen).await } else { story::tell(stage, screen, tale).await }
    }
    .await;
    if let Err(error) = &outcome {
        let step = screen.failed(error);
        tale.failure = Some(format!("{step}: {error}"));
    }
    tale.took = since.elapsed();
    let passed = tale.passed();
    match args.output {
        Output::Json => print(&format!("{}\n", summary::json(tale)?))?,
        Output::Text if args.no_story => {}
        Output::Text => screen.write(&summary::table(tale, &screen.paint())),
    }
    if !passed && args.output == Output::Json {
        for line in tale.broken() {
            eprintln!("kubectl-dr: {line}");
        }
    }
    Ok(Some(passed))
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("write the result")
}

/// The story goes to stdout; beside a document for scripts to stderr, and there only where somebody watches.
fn screen(output: Output, logging: bool) -> Screen {
    match output {
        Output::Text => {
            let terminal = io::stdout().is_terminal();
            Screen::new(Some(Box::new(io::stdout())), Paint::detect(terminal), terminal && !logging)
        }
        Output::Json if io::stderr().is_terminal() => {
            Screen::new(Some(Box::new(io::stderr())), Paint::detect(true), !logging)
        }
        Output::Json => Screen::new(None, Paint::PLAIN, false),
    }
}

/// Completes when the process is asked to end.
async fn interrupted() {
    let keyboard = tokio::signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = keyboard => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    // Where there is no such signal, nothing interrupts.
    if keyboard.await.is_err() {
        std::future::pending::<()>().await;
    }
}
