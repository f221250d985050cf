//! Waiting until a part serves: looked at again and again, given up at once when a program ends.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::error::RealError;
use super::ports::Port;
use super::process::Process;

/// How often to look. Bring-up takes seconds, and what is looked at is on this machine.
const STEP: Duration = Duration::from_millis(50);
/// The most that one look may take: a program that stands still must not hold the wait up.
const LOOK: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting<'a> {
    /// What it is called in the error.
    pub what: &'a str,
    /// The log to look at when it does not come.
    pub log: &'a Path,
    /// How long to wait.
    pub patience: Duration,
}

/// Waits until `look` says `Ok`; its `Err` says what is missing.
pub(super) async fn wait<F>(waiting: Waiting<'_>, processes: &[&Process], look: impl Fn() -> F) -> Result<(), RealError>
where
    F: Future<Output = Result<(), String>>,
{
    let until = Instant::now() + waiting.patience;
    loop {
        for process in processes {
            process.check().await?;
        }
        let last = match timeout(LOOK, look()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(missing)) => missing,
            Err(_) => format!("no answer within {} s", LOOK.as_secs()),
        };
        if Instant::now() >= until {
            return Err(RealError::NotReady {
                what: waiting.what.to_owned(),
                after: waiting.patience,
                last: last.replace('\n', "; "),
                log: waiting.log.to_owned(),
            });
        }
        sleep(STEP).await;
    }
}

/// A program that serves as soon as it listens on its port.
pub(super) struct Server {
    pub process: Process,
    pub patience: Duration,
    pub port: Port,
}

impl Server {
    pub(super) async fn start(&self) -> Result<(), RealError> {
        self.process.start().await?;
        self.ready().await
    }

    pub(super) async fn ready(&self) -> Result<(), RealError> {
        let process = &self.process;
        let waiting = Waiting { what: process.name(), log: process.log(), patience: self.patience };
        wait(waiting, &[process], || listens(self.port.number())).await
    }
}

/// Whether something listens on a port of loopback.
pub(super) async fn listens(port: u16) -> Result<(), String> {
    let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
    connected.map(drop).map_err(|error| format!("port {port}: {error}"))
}
