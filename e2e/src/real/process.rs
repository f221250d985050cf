//! One program of the world: started through its keeper, stopped, killed, paused, started again.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::error::RealError;
use super::keeper::{Held, Order};

/// How long a program may take to end after it was asked to.
const ORDERLY_END: Duration = Duration::from_secs(15);
/// How long a keeper may take for anything of its own.
const KEEPER: Duration = Duration::from_secs(20);

/// What a keeper has said.
#[derive(Clone, Debug)]
enum Said {
    Nothing,
    Started(u32),
    Failed(String),
    Ended(String),
}

/// A held program or folder, as long as it lasts.
struct Hold {
    keeper: Child,
    /// None when it was let go.
    orders: Option<ChildStdin>,
    said: watch::Receiver<Said>,
}

impl Hold {
    fn new(keeper: &Path, held: &Held, environment: &[(OsString, OsString)]) -> std::io::Result<Self> {
        let mut command = Command::new(keeper);
        command.arg("keeper");
        match held {
            Held::Program { log, command: program } => {
                command.arg("--log").arg(log).arg("--").args(program);
            }
            Held::Folder(folder) => {
                command.arg("--folder").arg(folder);
            }
        }
        // A user's ETCD_… or VGW_… would change what the programs do. Those of Go's runtime change only what they take.
        command.env_clear();
        for name in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "GOGC", "GOMAXPROCS"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        // Ctrl-C is for the world, which ends its programs in order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut keeper = command.spawn()?;
        let orders = keeper.stdin.take();
        let (says, said) = watch::channel(Said::Nothing);
        let output = keeper.stdout.take();
        std::thread::spawn(move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
                let said = match line.split_once(' ') {
                    Some(("started", pid)) => Said::Started(pid.parse().unwrap_or(0)),
                    Some(("failed", why)) => Said::Failed(why.to_owned()),
                    Some(("ended", how)) => Said::Ended(how.to_owned()),
                    _ => continue,
                };
                says.send_replace(said);
            }
            says.send_if_modified(|said| {
                let lost = matches!(said, Said::Nothing | Said::Started(_));
                if lost {
                    *said = Said::Ended("with its keeper".to_owned());
                }
                lost
            });
        });
        Ok(Self { keeper, orders, said })
    }

    /// Waits until it was started.
    async fn started(&mut self) -> Result<(), String> {
        let waited = timeout(KEEPER, self.said.wait_for(|said| !matches!(said, Said::Nothing))).await;
        match waited {
            Ok(Ok(said)) => match &*said {
                // The end of what was started is for who looks whether it still runs.
                Said::Started(_) | Said::Ended(_) => Ok(()),
                Said::Failed(why) => Err(why.clone()),
                Said::Nothing => Err("its keeper says nothing".to_owned()),
            },
            Ok(Err(_)) => Err("its keeper is gone".to_owned()),
            Err(_) => Err(format!("its keeper says nothing within {} s", KEEPER.as_secs())),
        }
    }

    fn order(&mut self, order: Order) {
        // A keeper that is gone has taken its program with it.
        if let Some(orders) = &mut self.orders {
            let _ = orders.write_all(&[order.byte()]).and_then(|()| orders.flush());
        }
    }

    fn has_ended(&self) -> Option<String> {
        match &*self.said.borrow() {
            Said::Ended(how) | Said::Failed(how) => Some(how.clone()),
            Said::Nothing | Said::Started(_) => None,
        }
    }

    /// Whether it ended within this time.
    async fn ends_within(&mut self, time: Duration) -> bool {
        let ended = self.said.wait_for(|said| matches!(said, Said::Ended(_) | Said::Failed(_)));
        timeout(time, ended).await.is_ok()
    }

    /// Closes the pipe: the keeper kills what it holds.
    fn let_go(&mut self) {
        self.orders = None;
    }

    /// Waits, blocking, until the keeper has ended; at most `time`.
    fn wait(&mut self, time: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        for _ in 0..time.as_millis() / STEP.as_millis() {
            if !matches!(self.keeper.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(STEP);
        }
    }
}

impl Drop for Hold {
    /// Waits, or the keeper would stay in the process table for as long as this process lives.
    fn drop(&mut self) {
        self.let_go();
        self.wait(KEEPER);
    }
}

/// How a program is started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// What it is, such as `etcd of dr1`.
    pub name: String,
    /// The program, and its arguments.
    pub command: Vec<OsString>,
    /// Its environment at first, beside a few variables of ours.
    pub environment: Vec<(OsString, OsString)>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// One program of the world. It runs until it is stopped, or the world ends.
pub struct Process {
    start: Start,
    keeper: PathBuf,
    /// What it is started with from now on.
    environment: std::sync::Mutex<Vec<(OsString, OsString)>>,
    hold: Mutex<Option<Hold>>,
    /// It was started by another program, which became it.
    behind: AtomicBool,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Process").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Process {
    pub(crate) fn new(keeper: &Path, mut start: Start) -> Self {
        let environment = std::sync::Mutex::new(std::mem::take(&mut start.environment));
        Self { start, keeper: keeper.to_owned(), environment, hold: Mutex::new(None), behind: AtomicBool::new(false) }
    }

    /// What it is, such as `etcd of dr1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.start.name
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.start.log
    }

    /// Its process id, while it runs.
    pub async fn id(&self) -> Option<u32> {
        let hold = self.hold.lock().await;
        let said = hold.as_ref()?.said.borrow().clone();
        if let Said::Started(id) = said { Some(id) } else { None }
    }

    /// Whether it was started by another program, and may see other files than this process.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::SeqCst)
    }

    /// Whether it runs (or stands still).
    pub async fn is_running(&self) -> bool {
        self.id().await.is_some()
    }

    /// Starts it, if it does not run. It may not serve yet: see the `ready` methods of [`super::Real`].
    ///
    /// # Errors
    /// [`RealError::Keeper`] when it cannot be started at all.
    pub async fn start(&self) -> Result<(), RealError> {
        self.start_behind(Vec::new()).await
    }

    /// Starts it by another program, which gets its command as last arguments, and becomes it.
    pub(super) async fn start_behind(&self, mut command: Vec<OsString>) -> Result<(), RealError> {
        let mut hold = self.hold.lock().await;
        if hold.as_ref().is_some_and(|hold| hold.has_ended().is_none()) {
            return Ok(());
        }
        let failed =
            |why: String| RealError::Keeper { process: self.start.name.clone(), keeper: self.keeper.clone(), why };
        self.behind.store(!command.is_empty(), Ordering::SeqCst);
        command.extend(self.start.command.iter().cloned());
        let held = Held::Program { log: self.start.log.clone(), command };
        let environment = self.environment.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut new = Hold::new(&self.keeper, &held, &environment).map_err(|e| failed(e.to_string()))?;
        new.started().await.map_err(failed)?;
        *hold = Some(new);
        Ok(())
    }

    /// Changes a variable for its next start.
    pub(super) fn set_environment(&self, name: &str, value: &str) {
        let mut environment = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
        environment.retain(|(known, _)| known != name);
        environment.push((name.into(), value.into()));
    }

    /// Asks it to end (`SIGTERM`), kills it when it does not within 15 s, and waits until it is gone.
    pub async fn stop(&self) {
        if let Some(mut hold) = self.hold.lock().await.take() {
            hold.order(Order::Stop);
            // It may stand still, and would not hear.
            hold.order(Order::Resume);
            if !hold.ends_within(ORDERLY_END).await {
                hold.order(Order::Kill);
                hold.ends_within(KEEPER).await;
            }
        }
    }

    /// Kills it (`SIGKILL`), and waits until it is gone. What it had written is as the system has it.
    pub async fn kill(&self) {
        if let Some(mut hold) = self.hold.lock().await.take() {
            hold.order(Order::Kill);
            hold.ends_within(KEEPER).await;
        }
    }

    /// Stops it and starts it again.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub async fn restart(&self) -> Result<(), RealError> {
        self.stop().await;
        self.start().await
    }

    /// Lets it stand still (`SIGSTOP`): its connections stay open, and nothing answers.
    pub async fn pause(&self) {
        if let Some(hold) = self.hold.lock().await.as_mut() {
            hold.order(Order::Pause);
        }
    }

    /// Lets it go on after [`Process::pause`].
    pub async fn resume(&self) {
        if let Some(hold) = self.hold.lock().await.as_mut() {
            hold.order(Order::Resume);
        }
    }

    /// That it has not ended by itself.
    pub(super) async fn check(&self) -> Result<(), RealError> {
        let how = self.hold.lock().await.as_ref().and_then(Hold::has_ended);
        match how {
            None => Ok(()),
            Some(how) => Err(RealError::Ended {
                process: self.start.name.clone(),
                how,
                last: last_line(&self.start.log),
                log: self.start.log.clone(),
            }),
        }
    }

    /// Lets its keeper kill it, without waiting.
    pub(super) fn let_go(&mut self) {
        if let Some(hold) = self.hold.get_mut() {
            hold.let_go();
        }
    }
}

/// A folder that is removed when this is dropped, or the process that holds it ends in whatever way.
pub(super) struct HeldFolder {
    path: PathBuf,
    _hold: Hold,
}

impl HeldFolder {
    pub(super) async fn new(keeper: &Path, path: PathBuf) -> Result<Self, RealError> {
        let failed = |why: String| RealError::Keeper {
            process: format!("the keeper of {}", path.display()),
            keeper: keeper.to_owned(),
            why,
        };
        let mut hold = Hold::new(keeper, &Held::Folder(path.clone()), &[]).map_err(|e| failed(e.to_string()))?;
        hold.started().await.map_err(failed)?;
        Ok(Self { path, _hold: hold })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The last line of a log that says something, shortened.
pub(super) fn last_line(log: &Path) -> String {
    const TAIL: u64 = 16 * 1024;
    const LONGEST: usize = 400;
    let mut tail = Vec::new();
    let read = std::fs::File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        file.read_to_end(&mut tail)
    });
    if read.is_err() {
        return "it left no log".to_owned();
    }
    let text = String::from_utf8_lossy(&tail);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("its log is empty");
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(last_line(&log), "it left no log");
        std::fs::write(&log, "\n\n").unwrap();
        assert_eq!(last_line(&log), "its log is empty");
        std::fs::write(&log, format!("{}\nfatal: so it is \n\n", "x".repeat(40_000))).unwrap();
        assert_eq!(last_line(&log), "fatal: so it is");
        std::fs::write(&log, "y".repeat(40_000)).unwrap();
        assert_eq!(last_line(&log), "y".repeat(400));
    }
}
