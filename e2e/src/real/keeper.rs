//! The keeper: a process between the world and each of its programs, so that no program outlives the world.
//!
//! The world holds the writing end of a pipe to the keeper's standard input. However the world ends – by returning, by
//! a panic, by `SIGKILL` – the system closes that end, and the keeper kills its program. While the world lives, it
//! sends orders through the same pipe, one byte each.
//!
//! The keeper is told by its own standard output: `started <pid>`, later `ended <how>`; or `failed <why>`.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What the keeper can be told to do with its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// End in an orderly way (`SIGTERM`).
    Stop,
    /// End at once (`SIGKILL`).
    Kill,
    /// Stand still (`SIGSTOP`).
    Pause,
    /// Go on (`SIGCONT`).
    Resume,
}

impl Order {
    const ALL: [Self; 4] = [Self::Stop, Self::Kill, Self::Pause, Self::Resume];

    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Stop => b't',
            Self::Kill => b'k',
            Self::Pause => b'p',
            Self::Resume => b'c',
        }
    }

    const fn signal(self) -> Signal {
        match self {
            Self::Stop => Signal::TERM,
            Self::Kill => Signal::KILL,
            Self::Pause => Signal::STOP,
            Self::Resume => Signal::CONT,
        }
    }
}

/// What a keeper holds.
#[derive(Clone, Debug)]
pub enum Held {
    /// A program, with its arguments.
    Program {
        /// The file that its output is appended to.
        log: PathBuf,
        /// The program, and its arguments.
        command: Vec<OsString>,
    },
    /// A folder, removed when the pipe closes.
    Folder(PathBuf),
}

/// What a program is started with to be a keeper: nobody else starts it so.
#[derive(clap::Args)]
pub struct KeeperArgs {
    /// A folder to remove when standard input closes.
    #[arg(long, conflicts_with_all = ["log", "command"])]
    folder: Option<PathBuf>,
    /// Where the program's output goes.
    #[arg(long)]
    log: Option<PathBuf>,
    /// The program, and its arguments.
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl KeeperArgs {
    /// Runs as keeper, on a runtime of its own, until what is held has ended; the exit code of the process.
    ///
    /// # Errors
    /// Nothing is named that could be held.
    pub fn hold(self) -> anyhow::Result<i32> {
        let held = match (self.folder, self.log) {
            (Some(folder), _) => Held::Folder(folder),
            (None, Some(log)) => Held::Program { log, command: self.command },
            (None, None) => anyhow::bail!("a keeper needs --folder, or --log and a program"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(keep(held)))
    }
}

/// Runs as keeper until what is held has ended; the exit code of the process. Call it in a runtime of one thread: the
/// program is then killed by the system, too, should the keeper itself be.
pub async fn keep(held: Held) -> i32 {
    match held {
        Held::Program { log, command } => keep_program(&log, &command).await,
        Held::Folder(folder) => keep_folder(&folder).await,
    }
}

/// The world may be gone: what it is told is told in vain then.
fn tell(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// What comes through the pipe; `None` when the world is gone. The thread ends with the process.
fn orders() -> UnboundedReceiver<u8> {
    let (send, receive) = unbounded_channel();
    std::thread::spawn(move || {
        let bytes = std::io::stdin().lock().bytes();
        bytes.map_while(Result::ok).map_while(|byte| send.send(byte).ok()).for_each(drop);
    });
    receive
}

async fn keep_program(log: &Path, command: &[OsString]) -> i32 {
    let mut child = match start(log, command) {
        Ok(child) => child,
        Err(error) => {
            tell(&format!("failed {error}"));
            return 1;
        }
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let Some(pid) = pid else {
        tell("failed it has no process id");
        return 1;
    };
    tell(&format!("started {}", pid.as_raw_nonzero()));
    let mut orders = orders();
    loop {
        tokio::select! {
            ended = child.wait() => {
                tell(&format!("ended {}", ended.map_or_else(|error| error.to_string(), |status| status.to_string())));
                return 0;
            }
            byte = orders.recv() => {
                let Some(byte) = byte else {
                    // The world is gone. The program has not been waited for, so its id is still its own.
                    let _ = kill_process(pid, Signal::KILL);
                    let _ = child.wait().await;
                    return 0;
                };
                if let Some(order) = Order::ALL.into_iter().find(|order| order.byte() == byte) {
                    let _ = kill_process(pid, order.signal());
                }
            }
        }
    }
}

fn start(log: &Path, command: &[OsString]) -> std::io::Result<Child> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(std::io::Error::other("no program was named"));
    };
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    // Where util-linux is, the system kills the program should the keeper be killed. Without, the pipe is all there is.
    let setpriv = Path::new("/usr/bin/setpriv");
    let mut start = if setpriv.is_file() {
        let mut start = Command::new(setpriv);
        start.args(["--pdeathsig", "KILL", "--"]).arg(program);
        start
    } else {
        Command::new(program)
    };
    start.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

async fn keep_folder(folder: &Path) -> i32 {
    tell(&format!("started {}", std::process::id()));
    let mut orders = orders();
    while orders.recv().await.is_some() {}
    // Programs that write there are being killed by their own keepers at this moment.
    for _ in 0..200 {
        let _ = std::fs::remove_dir_all(folder);
        if !folder.exists() {
            return 0;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    1
}
