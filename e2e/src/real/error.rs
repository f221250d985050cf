//! What keeps the real world from coming up: each error is one line that says what, where to look, and what to do.

use std::path::PathBuf;
use std::time::Duration;

/// Why the real world, or a part of it, does not run.
#[derive(Debug, thiserror::Error)]
pub enum RealError {
    /// A program is nowhere to be found.
    #[error(
        "there is no {program} ({looked}): build it with `cargo run -p kaedama-e2e --bin real -- build`, or set {variable} to its folder"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// Where it was looked for.
        looked: String,
        /// The variable that can name its folder.
        variable: &'static str,
    },
    /// There is no Go to build with.
    #[error(
        "there is no Go to build {what} with: install Go {version} or newer (https://go.dev/doc/install), or set {variable} to a folder with the programs"
    )]
    NoGo {
        /// The module.
        what: &'static str,
        /// The oldest Go that the module file accepts.
        version: String,
        /// The variable that can name a folder instead.
        variable: &'static str,
    },
    /// Go did not build a module.
    #[error("Go did not build {what} ({how}): {last}; the whole output is in {}", log.display())]
    Build {
        /// The module.
        what: &'static str,
        /// How Go ended.
        how: String,
        /// The last line that it printed.
        last: String,
        /// All that it printed.
        log: PathBuf,
    },
    /// A port that was asked for is in use.
    #[error("port {port} on 127.0.0.1 is taken: end what listens there, or choose another first port (or none)")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// No free port is left.
    #[error("there is no free port between {from} and {to} on 127.0.0.1")]
    NoPort {
        /// The first that was tried.
        from: u16,
        /// The last that was tried.
        to: u16,
    },
    /// A program ended that should run.
    #[error("{process} ended ({how}): {last}; its log is {}{}", log.display(), advice(last))]
    Ended {
        /// The process, with its cluster.
        process: String,
        /// Its exit status or signal.
        how: String,
        /// The last line of its log.
        last: String,
        /// Its log.
        log: PathBuf,
    },
    /// A program runs, and does not get ready.
    #[error(
        "{what} is not ready after {} s: {last}; the log is {}; a machine under load may need more patience",
        after.as_secs(), log.display()
    )]
    NotReady {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
        /// What it last answered.
        last: String,
        /// The log to look at.
        log: PathBuf,
    },
    /// The keeper, which holds a program, does not work.
    #[error("{process} cannot be started through {}: {why}", keeper.display())]
    Keeper {
        /// The process, with its cluster.
        process: String,
        /// The program that should hold it.
        keeper: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// A file or a folder cannot be used.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was attempted, on which path.
        doing: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot make {what}: {source}")]
    Certificate {
        /// Whose certificate or key.
        what: String,
        /// Why not.
        source: rcgen::Error,
    },
    /// An identity has more groups than a certificate of ours can carry.
    #[error("{user} has {groups} groups, and a client certificate carries two here: bind rights to the user instead")]
    Groups {
        /// The user.
        user: String,
        /// How many groups.
        groups: usize,
    },
    /// A client cannot be made.
    #[error("there is no client for {cluster}: {why}")]
    Client {
        /// The cluster.
        cluster: String,
        /// Why not.
        why: String,
    },
    /// An API server refuses what the bring-up needs.
    #[error("cannot {doing}: {}; the cluster's logs are in {}", brief(source), logs.display())]
    Request {
        /// What was attempted, on which cluster.
        doing: String,
        /// The answer.
        source: Box<kube::Error>,
        /// The cluster's logs.
        logs: PathBuf,
    },
    /// A definition that comes with Open Cluster Management cannot be read.
    #[error("{} is no definition of a kind: {why}", path.display())]
    Definition {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is no such part in this world.
    #[error("there is no {what} in this world, which has: {has}")]
    NoSuch {
        /// What was asked for.
        what: String,
        /// What there is.
        has: String,
    },
}

impl RealError {
    /// For `map_err` on file operations.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// What an API server answered, without the object around it.
pub(super) fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => other.to_string(),
    }
}

/// What to do, where the log tells.
fn advice(last: &str) -> &'static str {
    if last.contains("address already in use") {
        "; another program took its port meanwhile: start again"
    } else if last.contains("no space left") {
        "; make room, or set TMPDIR to a folder with some"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_one_line_and_names_log_and_remedy() {
        let ended = RealError::Ended {
            process: "etcd of dr1".into(),
            how: "exit status: 1".into(),
            last: "bind: address already in use".into(),
            log: "/logs/etcd.log".into(),
        };
        assert_eq!(
            ended.to_string(),
            "etcd of dr1 ended (exit status: 1): bind: address already in use; its log is /logs/etcd.log; another \
             program took its port meanwhile: start again"
        );
        let missing =
            RealError::Missing { program: "etcd", looked: "not in /cache".into(), variable: "KUBEBUILDER_ASSETS" };
        assert!(missing.to_string().contains("--bin real -- build") && !missing.to_string().contains('\n'));
    }
}
