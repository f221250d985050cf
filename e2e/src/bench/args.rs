//! What can be asked for.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

/// Measures protection, failover, relocation and rest, for several numbers of applications.
///
/// In the sandbox, or on real clusters on loopback; there the sandbox is measured as well, by the same program, and the
/// report ends with how the one stands to the other.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version)]
pub struct Args {
    /// `sandbox`; `real`: etcd, kube-apiserver, Open Cluster Management, S3 servers and both operators as processes; or
    /// the file that `accept` reads, for clusters that you have.
    #[arg(long, default_value = "sandbox")]
    pub world: String,
    /// With a file: agrees to what `accept run` makes on those clusters, which is removed at the end.
    #[arg(short, long)]
    pub yes: bool,
    /// Numbers of applications, a world for each.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    pub apps: Vec<usize>,
    /// Claims of each application.
    #[arg(long, default_value_t = 3)]
    pub claims: usize,
    /// Seconds at rest over which requests are counted.
    #[arg(long, default_value_t = 20)]
    pub rest: u64,
    /// Seconds between two synchronisations of the storage. Longer than the run, none of its news falls into a figure.
    #[arg(long, default_value_t = 3600)]
    pub sync_every: u64,
    /// With `--world real`: how often a second each work agent may ask an API server; its own 50 otherwise.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub agent_qps: Option<u32>,
    /// How the figures are written.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Lists the requests of each action by agent, verb, resource and answer.
    #[arg(long)]
    pub detail: bool,
}

/// How the figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables.
    Text,
    /// One JSON document.
    Json,
}

/// A world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Everything in this process.
    Sandbox,
    /// Real clusters on loopback.
    Real,
    /// Clusters of somebody else, as this file describes them.
    Given(PathBuf),
}

/// What cannot be measured: one line that says why, and what to do. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

impl Args {
    /// The world, where all that was asked for makes sense.
    ///
    /// # Errors
    /// It does not.
    pub fn which(&self) -> Result<Which, Unfit> {
        if self.apps.contains(&0) {
            return Err(Unfit("0 applications cannot be measured: name numbers from 1 on, such as --apps 1,10".into()));
        }
        if self.claims == 0 || self.sync_every == 0 {
            let option = if self.claims == 0 { "--claims" } else { "--sync-every" };
            return Err(Unfit(format!("{option} 0 cannot be measured: name a number from 1 on")));
        }
        if self.agent_qps.is_some() && self.world != "real" {
            return Err(Unfit("--agent-qps is for the work agents that this starts: add --world real".into()));
        }
        match self.world.as_str() {
            "sandbox" => Ok(Which::Sandbox),
            "real" => Ok(Which::Real),
            file if !Path::new(file).is_file() => Err(Unfit(format!(
                "there is no world, and no file, {file:?}: say --world sandbox, --world real, or the file that `accept` \
                 reads (`accept init` prints an example)"
            ))),
            _ if !self.yes => Err(Unfit(
                "this makes on the clusters what `accept run` makes there, and removes it at the end: agree with --yes"
                    .into(),
            )),
            file => Ok(Which::Given(file.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(arguments: &[&str]) -> Result<Which, String> {
        let arguments = ["bench"].into_iter().chain(arguments.iter().copied());
        Args::parse_from(arguments).which().map_err(|unfit| unfit.to_string())
    }

    #[test]
    fn a_world_has_a_name_and_whoever_errs_is_told_what_to_say() {
        assert_eq!(which(&[]), Ok(Which::Sandbox));
        assert_eq!(which(&["--world", "real"]), Ok(Which::Real));
        let unknown = which(&["--world", "reel"]).unwrap_err();
        assert!(unknown.contains("\"reel\"") && unknown.contains("--world real"), "{unknown}");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(which(&["--world", file]).unwrap_err().contains("--yes"), "nobody agreed yet");
        assert_eq!(which(&["--world", file, "--yes"]), Ok(Which::Given(file.into())));
        assert!(which(&["--agent-qps", "200"]).unwrap_err().contains("--world real"));
        for nothing in [["--apps", "1,0"], ["--claims", "0"], ["--sync-every", "0"]] {
            let told = which(&nothing).unwrap_err();
            assert!(told.contains("from 1 on") && !told.contains('\n'), "{told}");
        }
    }
}
