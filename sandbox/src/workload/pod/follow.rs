//! Reading the logs of a cluster's pods while they run.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::{APP_LABEL, AppId};
use super::{CONTAINER, Logs};
use crate::storage::Cluster;

/// Between two attempts to read a log: a container that has just ended is started again, or its pod goes.
const AGAIN: Duration = Duration::from_millis(500);

/// How long a log says nothing before it is asked for anew: whoever carries it may have forgotten us. A pod writes at least
/// one record a second.
const SILENT: Duration = Duration::from_secs(30);

/// Follows the logs of all pods of applications on a cluster until `stop` is cancelled or the future is dropped.
pub async fn follow(cluster: Cluster, logs: Logs, stop: CancellationToken) {
    let config = watcher::Config::default().labels(APP_LABEL);
    let mut pods = pin!(watcher(cluster.all::<Pod>(), config).default_backoff().applied_objects());
    let mut known = BTreeSet::new();
    let mut readers = JoinSet::new();
    loop {
        let pod = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = readers.join_next() => continue,
            pod = pods.next() => match pod {
                Some(Ok(pod)) => pod,
                // A watch that broke off is opened again.
                Some(Err(_)) => continue,
                None => return,
            },
        };
        // A pod without a node has no log.
        let has_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        if has_node && known.insert(pod.metadata.uid.clone()) {
            readers.spawn(read(cluster.clone(), logs.clone(), pod));
        }
    }
}

/// Reads the log of a pod until it is gone.
async fn read(cluster: Cluster, logs: Logs, pod: Pod) {
    let (namespace, name, uid) = (pod.namespace().unwrap_or_default(), pod.name_any(), pod.uid().unwrap_or_default());
    let Some(app) = pod.labels().get(APP_LABEL).map(|app| AppId::new(&namespace, app)) else { return };
    logs.pod(&app, &cluster.name, &uid);
    let api: Api<Pod> = cluster.within(&namespace);
    let mut pod = pod;
    loop {
        // The end of a container that was started again is in the log before. Lines that were read are read again.
        for previous in [true, false] {
            if previous && restarts(&pod) == 0 {
                continue;
            }
            let read = lines(&api, &name, previous, |line| logs.line(&app, &cluster.name, line)).await;
            if let Err(error) = read {
                tracing::debug!(cluster = cluster.name, pod = name, previous, %error, "the log breaks off");
            }
        }
        tokio::time::sleep(AGAIN).await;
        match api.get_opt(&name).await {
            Ok(Some(now)) if now.uid().as_deref() == Some(&uid) => pod = now,
            Ok(_) => return,
            // Whether it is gone is not known.
            Err(_) => {}
        }
    }
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|container| container.restart_count).sum()
}

/// Hands on the lines of a log, each with its time, until the container ends.
async fn lines(api: &Api<Pod>, name: &str, previous: bool, mut each: impl FnMut(&str)) -> Result<(), String> {
    let params = LogParams {
        container: Some(CONTAINER.to_owned()),
        follow: !previous,
        previous,
        timestamps: true,
        ..LogParams::default()
    };
    let stream = api.log_stream(name, &params).await.map_err(|error| error.to_string())?;
    whole(pin!(stream), &mut each).await.map_err(|error| error.to_string())
}

/// Hands on the lines that have an end: one that is cut off may break in the middle of a number.
async fn whole(mut stream: impl AsyncBufRead + Unpin, each: &mut impl FnMut(&str)) -> std::io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = tokio::time::timeout(SILENT, stream.read_until(b'\n', &mut line));
        read.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        match line.strip_suffix(b"\n") {
            Some(whole) => each(&String::from_utf8_lossy(whole)),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;
    use crate::workload::Books as _;

    #[tokio::test(start_paused = true)]
    async fn a_log_that_falls_silent_is_given_up_with_all_that_it_said() {
        let (mut said, one) = (Vec::new(), b"kaedama wrote a 1\n");
        let silent = futures::stream::iter([Ok::<_, std::io::Error>(one)]).chain(futures::stream::pending());
        let read = whole(pin!(silent.into_async_read()), &mut |line: &str| said.push(line.to_owned())).await;
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(said, ["kaedama wrote a 1"]);
    }

    /// The same log, cut off behind the first digit of 12 and then whole.
    #[tokio::test]
    async fn a_number_that_is_cut_off_is_not_taken_for_another() {
        let (logs, app) = (Logs::default(), AppId::new("shop", "web"));
        let mut log = String::new();
        for told in ["begins a", "found a data b 1 10", "damaged a data 0", "ready a", "wrote a 11", "wrote a 12"] {
            log += &format!("2026-03-01T03:00:00Z kaedama {told}\n");
        }
        let mut line = |line: &str| logs.line(&app, "dr1", line);
        whole(&log.as_bytes()[..log.len() - 2], &mut line).await.unwrap();
        assert_eq!(logs.audit(&app).unwrap().acknowledged, 11);
        whole(log.as_bytes(), &mut line).await.unwrap();
        let audit = logs.audit(&app).unwrap();
        assert!(audit.is_clean() && audit.acknowledged == 12, "{audit:#?}");
    }
}
