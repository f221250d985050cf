//! The world kept up: what to try with kubectl, and a few commands.

use std::io;
use std::thread;

use anyhow::Context;
use tokio::sync::mpsc;

use super::interrupted;
use super::screen::Screen;
use super::stage::Stage;

/// A command of somebody who tries things.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Kill(String),
    Revive(String),
    Status,
    Help,
    Quit,
    Nothing,
    Unknown(String),
}

fn parse(line: &str) -> Command {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [] => Command::Nothing,
        ["kill", cluster] => Command::Kill((*cluster).to_owned()),
        ["revive", cluster] => Command::Revive((*cluster).to_owned()),
        ["status"] => Command::Status,
        ["help" | "?"] => Command::Help,
        ["quit" | "exit"] => Command::Quit,
        _ => Command::Unknown(line.trim().to_owned()),
    }
}

/// Keeps the world up until it is told to end. The end of the input is no wish to end.
pub async fn hold(stage: &mut Stage, screen: &mut Screen) -> anyhow::Result<()> {
    screen.write(&invitation(stage).await);
    let mut lines = input().context("read commands")?;
    loop {
        let line = tokio::select! {
            () = interrupted() => return Ok(()),
            // Once the input has ended, only an interruption is left to wait for.
            Some(line) = lines.recv() => line,
        };
        let answer = match parse(&line) {
            Command::Nothing => continue,
            Command::Quit => return Ok(()),
            Command::Help => invitation(stage).await,
            Command::Status => status(stage, screen).await,
            Command::Kill(cluster) => kill(stage, &cluster).await,
            Command::Revive(cluster) => revive(stage, &cluster).await,
            Command::Unknown(line) => {
                format!("  {line:?} is not known here: kill <cluster>, revive <cluster>, status, help, quit\n")
            }
        };
        screen.write(&answer);
    }
}

/// Lines of the standard input, read by a thread of its own: reading cannot be interrupted, and must not keep the
/// process from ending.
fn input() -> io::Result<mpsc::Receiver<String>> {
    let (sender, receiver) = mpsc::channel(16);
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        for line in io::stdin().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

async fn kill(stage: &mut Stage, cluster: &str) -> String {
    if stage.is_down(cluster) {
        return format!("  {cluster} is down already\n");
    }
    match stage.kill(cluster).await {
        Ok(_) => format!("  {cluster} is destroyed: its API server refuses, its storage and S3 store are gone\n"),
        Err(error) => format!("  {error}\n"),
    }
}

async fn revive(stage: &mut Stage, cluster: &str) -> String {
    if stage.world.server(cluster).is_ok() && !stage.is_down(cluster) {
        return format!("  {cluster} is up already\n");
    }
    match stage.revive(cluster).await {
        Ok(Ok(())) => format!("  {cluster} is back, as it was when it died\n"),
        Ok(Err(error)) => format!("  {cluster} is back, but not for kubectl: {error}\n"),
        Err(error) => format!("  {error}\n"),
    }
}

async fn status(stage: &Stage, screen: &Screen) -> String {
    let look = stage.look().await;
    let mut text = format!("  {}\n", look.line(&screen.paint()));
    let lives = look.places.iter().filter(|(_, place)| *place == super::look::Place::Runs);
    for (cluster, _) in lives {
        if let Some(audit) = stage.audit(cluster) {
            let (present, lost) = (audit.present, audit.lost);
            text.push_str(&format!(
                "  on {cluster}: {present} of {} records, {lost} lost so far\n",
                audit.acknowledged
            ));
        }
    }
    text
}

/// What to try.
async fn invitation(stage: &Stage) -> String {
    let Some(front) = stage.front() else { return String::new() };
    let clusters = stage.world.clusters();
    let look = stage.look().await;
    let lives = look.places.iter().find(|(_, place)| *place == super::look::Place::Runs);
    let here = lives.map_or_else(|| stage.app.home.clone(), |(cluster, _)| cluster.clone());
    let there = stage.other(&here);
    let (name, namespace) = (&stage.app.name, &stage.app.namespace);
    let kubectl =
        |server: &str, rest: &str| format!("  kubectl --kubeconfig {} {rest}\n", front.kubeconfig(server).display());
    let patch = |spec: &str| format!("patch drpc {name} -n {namespace} --type merge \\\n    -p '{{\"spec\":{spec}}}'");
    let relocate = patch(&format!("{{\"action\":\"Relocate\",\"preferredCluster\":\"{there}\"}}"));
    let failover = patch(&format!("{{\"action\":\"Failover\",\"failoverCluster\":\"{there}\"}}"));
    let mut text = String::from("\nThe world stays up until Ctrl-C. Look at it from another terminal:\n\n");
    text.push_str(&kubectl("hub", "get drpc -A -o wide"));
    text.push_str(&kubectl("hub", &format!("describe drpc {name} -n {namespace}")));
    text.push_str(&kubectl("hub", "get drpolicy,drcluster,managedcluster"));
    text.push_str(&kubectl(&here, "get vrg -A"));
    text.push_str(&kubectl(&here, &format!("get pods,pvc,pv,volumereplication -n {namespace}")));
    text.push_str(&format!("\nMove {name} to {there}, and watch it go (or use kubectl edit drpc):\n\n"));
    text.push_str(&kubectl("hub", &relocate));
    text.push_str(&kubectl("hub", "get drpc -A -o wide -w"));
    text.push_str(&format!("\nOr type here \"kill {here}\", then fail over, then \"revive {here}\":\n\n"));
    text.push_str(&kubectl("hub", &failover));
    text.push_str(&format!("\nCommands here: kill|revive {}, status, help, quit\n", clusters.join("|")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        assert_eq!(parse(" kill  dr1 "), Command::Kill("dr1".to_owned()));
        assert_eq!(parse("revive dr1"), Command::Revive("dr1".to_owned()));
        assert_eq!((parse("status"), parse("?"), parse("quit")), (Command::Status, Command::Help, Command::Quit));
        assert_eq!(parse("  "), Command::Nothing);
        assert_eq!(parse("kill"), Command::Unknown("kill".to_owned()));
    }
}
