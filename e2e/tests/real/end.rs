//! Nothing outlives who started it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{KEEPER, ONE_WORLD, options, until};

/// The processes that `parent` has started, and those that these have started.
fn descendants(parent: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id: u32| Some((id, state_and_parent(id)?.1)))
        .collect();
    let mut found = vec![parent];
    let mut at = 0;
    while at < found.len() {
        let of = found[at];
        found.extend(all.iter().filter(|(_, parent)| *parent == of).map(|(id, _)| *id));
        at += 1;
    }
    found.split_off(1)
}

fn state_and_parent(id: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it is in parentheses, and may hold anything.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

/// A zombie is gone: nobody has asked yet how it ended.
fn is_alive(id: u32) -> bool {
    state_and_parent(id).is_some_and(|(state, _)| state != 'Z')
}

fn kill(id: u32) {
    kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
}

async fn all_are_gone(ids: &[u32]) {
    until("the end of all that it had started", async || ids.iter().all(|id| !is_alive(*id)).then_some(())).await;
}

/// A whole world, in a process of its own.
fn world_in(folder: &Path) -> Child {
    Command::new(KEEPER).args(["up", "--no-ocm", "--directory"]).arg(folder).stdout(Stdio::piped()).spawn().unwrap()
}

/// Waits until it is up, and gives the processes of it.
fn comes_up(child: &mut Child) -> Vec<u32> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let up = output.lines().map_while(Result::ok).any(|line| line.starts_with("Ctrl-C"));
    assert!(up, "it ended before it was up");
    descendants(child.id())
}

/// The folders that the world's programs store in.
fn data_of(ids: &[u32]) -> Vec<PathBuf> {
    let of = |id: &u32| {
        let command = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let arguments: Vec<_> = command.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let at = arguments.iter().position(|argument| argument == "--folder")?;
        Some(PathBuf::from(arguments.get(at + 1)?.as_ref()))
    };
    ids.iter().filter_map(of).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_who_started_a_world_is_killed_nothing_is_left() {
    if options().is_none() {
        return;
    }
    let _one = ONE_WORLD.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mut child = world_in(folder.path());
    let ids = comes_up(&mut child);
    // Eleven programs, a keeper for each, and one for the data.
    assert_eq!(ids.len(), 23, "three clusters of three and two stores");
    let data = data_of(&ids);
    assert!(data.len() == 1 && data[0].join("hub/etcd").is_dir(), "{data:?}");

    child.kill().unwrap();
    child.wait().unwrap();
    all_are_gone(&ids).await;
    assert!(!data[0].exists(), "{} was left", data[0].display());
}

/// Needs no program but the keeper: runs everywhere.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_program_ends_with_the_pipe_to_its_keeper() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut keeper = Command::new(KEEPER)
            .args(["keeper", "--log"])
            .arg(folder.path().join("log"))
            .args(["--", "/bin/sleep", "100000"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let program: u32 = line.trim().strip_prefix("started ").unwrap().parse().unwrap();
        (keeper, program)
    };

    let (mut keeper, program) = start();
    assert!(is_alive(program));
    drop(keeper.stdin.take());
    assert!(keeper.wait().unwrap().success());
    assert!(!is_alive(program), "the program outlived the pipe");

    // The keeper itself is killed: the system ends the program, where util-linux can ask it to.
    if Path::new("/usr/bin/setpriv").is_file() {
        let (mut keeper, program) = start();
        // Its process is util-linux's, until that has asked and becomes the program.
        let name = || std::fs::read_to_string(format!("/proc/{program}/comm")).unwrap();
        until("the program itself", async || (name().trim() == "sleep").then_some(())).await;
        kill(keeper.id());
        keeper.wait().unwrap();
        all_are_gone(&[program]).await;
    }
}
