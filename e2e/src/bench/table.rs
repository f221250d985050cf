//! The figures as text, at most 100 columns wide.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::ratio::{Cost, Pair, Ratios};
use super::report::{Memory, Phase, Report, Size, WorldReport};
use super::requests::{Count, HUB, Line, OURS, SPOKE};
use super::usage;

/// What stands in the place of a figure that nobody has.
const UNCOUNTED: &str = "-";

/// The whole report.
pub fn text(report: &Report, detail: bool) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write_report(&mut out, report, detail);
    out
}

fn write_report(out: &mut String, report: &Report, detail: bool) -> fmt::Result {
    for world in &report.worlds {
        let (claims, processors) = (report.claims, report.processors);
        match world.world.as_str() {
            "sandbox" => writeln!(
                out,
                "Kaedama in the sandbox: {claims} claims per application, storage latency 0 ms,\n\
                 {processors} processors, everything in one process, all applications at once."
            )?,
            "given" => writeln!(
                out,
                "Kaedama on the clusters of the file: {claims} claims per application, storage latency 0 ms,\n\
                 {processors} processors of this machine, all applications at once. Nothing there is killed: there is no\n\
                 \"source dead\"."
            )?,
            _ => writeln!(
                out,
                "Kaedama on real clusters: {claims} claims per application, storage latency 0 ms,\n\
                 {processors} processors for hub and two clusters (etcd, kube-apiserver, Open Cluster Management,\n\
                 S3 servers, both operators: a process each, over TLS), all applications at once."
            )?,
        }
        if let Some(often) = report.agent_qps.filter(|_| world.world == "real") {
            writeln!(out, "Each work agent may ask {often} times a second.")?;
        }
        if report.debug_build {
            writeln!(out, "DEBUG BUILD: requests are as they are, durations and processor time are not.")?;
        }
        writeln!(out)?;
        for size in &world.sizes {
            // Elsewhere not all that runs is counted.
            let processors = (world.world == "sandbox").then_some(processors);
            write_size(out, world, size, processors, detail)?;
        }
        write_targets(out, world)?;
    }
    if let Some(ratios) = &report.ratios {
        return write_ratios(out, ratios);
    }
    writeln!(
        out,
        "For comparison, Ramen on real API servers with storage that answers at once: failover 60 s to\n\
         ready for one application, 196 s for the last of fifty; 97-210 writes and 289-547 reads per\n\
         failover; 90-170 API requests per application and minute at rest; 39-61 S3 requests. Its API\n\
         servers are processes of their own, reached over TLS; the ones here are in this process: compare\n\
         requests, and durations with care (--world real has such API servers too)."
    )
}

fn write_targets(out: &mut String, world: &WorldReport) -> fmt::Result {
    writeln!(out, "Targets, {}\n{:>5} {:<62} {:>9} {:>9}", world.world, "apps", "", "measured", "at most")?;
    for verdict in &world.verdicts {
        let met = if verdict.met { "met" } else { "NOT MET" };
        writeln!(out, "{:>5} {:<62} {:>9.1} {:>9.1} {met}", verdict.apps, verdict.what, verdict.value, verdict.target)?;
    }
    writeln!(out)
}

fn write_size(
    out: &mut String,
    world: &WorldReport,
    size: &Size,
    processors: Option<usize>,
    detail: bool,
) -> fmt::Result {
    let apps = size.apps as f64;
    writeln!(out, "== {}: {} application{} ==", world.world, size.apps, if size.apps == 1 { "" } else { "s" })?;
    writeln!(out, "{:<24} {:<16} {:>10} {:>10} {:>10}", "edit until", "", "p50 ms", "p99 ms", "max ms")?;
    for phase in &size.phases {
        let mut name = phase.name.as_str();
        for (mark, took) in &phase.took {
            writeln!(out, "{name:<24} {mark:<16} {:>10.0} {:>10.0} {:>10.0}", took.p50, took.p99, took.max)?;
            name = "";
        }
    }
    let mut name = "the hub's API server";
    for (what, took) in [("one read", &size.server.read), ("one write", &size.server.write)] {
        writeln!(out, "{name:<24} {what:<16} {:>10.1} {:>10.1} {:>10.1}", took.p50, took.p99, took.max)?;
        name = "";
    }
    write_requests(out, size)?;
    write_verbs(out, size)?;
    write_rest(out, size, detail)?;
    write_cpu(out, world, size, processors)?;
    if detail {
        for phase in &size.phases {
            write_detail(out, phase, apps)?;
        }
    }
    writeln!(out)
}

fn write_requests(out: &mut String, size: &Size) -> fmt::Result {
    let apps = size.apps as f64;
    if size.phases.iter().all(|phase| phase.requests.is_none() && phase.s3.is_none()) {
        return writeln!(
            out,
            "\nrequests\nAPI and S3 requests are not counted in this world: the servers' logs are not ours to read."
        );
    }
    let head = ["hub r", "hub w", "spoke r", "spoke w", "ours 409", "others r", "others w", "S3"];
    write!(out, "\n{:<24}", "requests per app")?;
    head.iter().try_for_each(|name| write!(out, " {name:>8}"))?;
    writeln!(out)?;
    for phase in &size.phases {
        write!(out, "{:<24}", phase.name)?;
        let mut counts = vec![None; head.len() - 1];
        if let Some(calls) = &phase.requests {
            let (hub, spoke, others) = (calls.of(HUB), calls.of(SPOKE), calls.others());
            let conflicts = hub.conflicts + spoke.conflicts;
            counts = [hub.reads, hub.writes, spoke.reads, spoke.writes, conflicts, others.reads, others.writes]
                .map(Some)
                .to_vec();
        }
        for count in counts.into_iter().chain([phase.s3()]) {
            match count {
                Some(count) => write!(out, " {:>8.1}", count as f64 / apps)?,
                None => write!(out, " {UNCOUNTED:>8}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Verbs in the order of the table; what has another verb is no resource.
const VERBS: [&str; 6] = ["get", "list", "create", "update", "patch", "delete"];

fn write_verbs(out: &mut String, size: &Size) -> fmt::Result {
    let apps = size.apps as f64;
    let mut agents: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for calls in size.phases.iter().filter_map(|phase| phase.requests.as_ref()) {
        for line in &calls.lines {
            let verb = if line.verb == "deletecollection" { "delete" } else { line.verb.as_str() };
            let verb = if VERBS.contains(&verb) { verb } else { "other" };
            *agents.entry(&line.agent).or_default().entry(verb).or_default() += line.count;
        }
        for (agent, count) in &calls.agents {
            *agents.entry(agent).or_default().entry("watch").or_default() += count.watches;
        }
    }
    if agents.is_empty() {
        return Ok(());
    }
    write!(out, "\n{:<24}", "all actions, per app")?;
    let columns = || VERBS.iter().chain(&["watch", "other"]);
    columns().try_for_each(|verb| write!(out, " {verb:>8}"))?;
    writeln!(out)?;
    // Ours first.
    let ours = OURS.into_iter().filter_map(|agent| agents.get_key_value(agent));
    for (agent, verbs) in ours.chain(agents.iter().filter(|(agent, _)| !OURS.contains(agent))) {
        write!(out, "{:<24}", agent.chars().take(24).collect::<String>())?;
        columns()
            .try_for_each(|verb| write!(out, " {:>8.1}", verbs.get(verb).copied().unwrap_or_default() as f64 / apps))?;
        writeln!(out)?;
    }
    Ok(())
}

fn write_rest(out: &mut String, size: &Size, detail: bool) -> fmt::Result {
    let apps = size.apps as f64;
    // Where they are not counted, that is said of the actions.
    let Some(calls) = size.rest.requests.as_ref().filter(|_| size.rest.seconds > 0) else { return Ok(()) };
    let per_minute = |count: u64| count as f64 / apps * 60.0 / size.rest.seconds as f64;
    let title = format!("at rest, {} s", size.rest.seconds);
    writeln!(out, "\n{title:<24} {:>8} {:>8} {:>8} {:>8}  per app and minute", "reads", "writes", "watches", "leases")?;
    let mut row = |name: &str, count: &Count| {
        let (reads, writes) = (per_minute(count.reads), per_minute(count.writes));
        let (watches, leases) = (per_minute(count.watches), per_minute(count.leases));
        writeln!(out, "{name:<24} {reads:>8.1} {writes:>8.1} {watches:>8.1} {leases:>8.1}")
    };
    for name in OURS {
        row(name, &calls.of(name))?;
    }
    row("all others", &calls.others())?;
    if detail { lines(out, &calls.lines, apps) } else { Ok(()) }
}

fn write_cpu(out: &mut String, world: &WorldReport, size: &Size, processors: Option<usize>) -> fmt::Result {
    let apps = size.apps as f64;
    let busy = if processors.is_some() { "   busy" } else { "" };
    writeln!(out, "\n{:<24} {:>9} {:>9} {:>9} {:>9}{busy}", "CPU ms per app", "hub", "spokes", "the rest", "all")?;
    let here = size.phases.iter().all(|phase| phase.cpu.hub().is_some());
    let rest = (format!("at rest, {} s", size.rest.seconds), &size.rest.cpu, None);
    let rest = (size.rest.seconds > 0).then_some(rest);
    let busy = |phase: &Phase| processors.and_then(|processors| phase.busy(processors));
    let phases = size.phases.iter().map(|phase| (phase.name.clone(), &phase.cpu, busy(phase)));
    for (name, cpu, busy) in phases.chain(rest) {
        write!(out, "{name:<24}")?;
        let (hub, spokes) = (cpu.hub(), cpu.spokes());
        let others = cpu.all_ms.saturating_sub(hub.unwrap_or_default() + spokes.unwrap_or_default());
        for ms in [hub, spokes, Some(others), Some(cpu.all_ms)] {
            match ms {
                Some(ms) => write!(out, " {:>9.1}", ms as f64 / apps)?,
                None => write!(out, " {UNCOUNTED:>9}")?,
            }
        }
        match busy {
            Some(busy) => writeln!(out, " {:>5.0}%", busy * 100.0)?,
            None => writeln!(out)?,
        }
    }
    if world.world == "sandbox" {
        writeln!(
            out,
            "(hub and spokes: their threads, which also carry out the API servers' part of their requests;\n\
             busy: the share of the processors' time until the last application was done)"
        )?;
    }
    if !here {
        writeln!(out, "(of operators that do not run on this machine not counted; the rest is this program)")?;
    }
    writeln!(out, "\npeak memory; of several processes the sum of their peaks")?;
    // Operators first.
    let is_ours = |memory: &&Memory| memory.name == usage::HUB || memory.name.starts_with(usage::SPOKE);
    let others = size.memory.iter().filter(|memory| !is_ours(memory));
    for memory in size.memory.iter().filter(is_ours).chain(others) {
        writeln!(out, "{:>7.0} MiB {}", memory.peak_mib, memory.name)?;
    }
    if !size.memory.iter().any(|memory| is_ours(&memory)) {
        writeln!(out, "Memory of each operator is not counted in this world.")?;
    }
    Ok(())
}

fn write_detail(out: &mut String, phase: &Phase, apps: f64) -> fmt::Result {
    writeln!(out, "\n{}: requests per app", phase.name)?;
    if let Some(calls) = &phase.requests {
        lines(out, &calls.lines, apps)?;
    }
    for (operation, count) in phase.s3.iter().flatten() {
        writeln!(out, "  {:<16} {:<10} {:<52} {:>3} {:>8.2}", "S3", operation, "", "", *count as f64 / apps)?;
    }
    Ok(())
}

fn lines(out: &mut String, lines: &[Line], apps: f64) -> fmt::Result {
    lines.iter().try_for_each(|line| {
        let each = line.count as f64 / apps;
        writeln!(out, "  {:<16} {:<10} {:<52} {:>3} {each:>8.2}", line.agent, line.verb, line.resource, line.code)
    })
}

fn write_ratios(out: &mut String, ratios: &Ratios) -> fmt::Result {
    let world = ratios.world.as_str();
    writeln!(out, "== {world}, and as a multiple of the sandbox ==")?;
    writeln!(out, "{:<42} {:>9} {:>15} {:>9}", "edit until", "p50 ms", "", "p99 ms")?;
    writeln!(out, "{:<42} {:>9} {world:>8} {:>6} {:>9} {world:>8} {:>6}", "apps", "sandbox", "", "sandbox", "")?;
    let mut last = (0, "");
    for step in &ratios.steps {
        let same = last == (step.apps, step.phase.as_str());
        let (apps, phase) = if same { (String::new(), "") } else { (step.apps.to_string(), step.phase.as_str()) };
        last = (step.apps, &step.phase);
        write!(out, "{apps:>4} {phase:<22} {:<14}", step.until)?;
        for pair in [&step.p50, &step.p99] {
            write!(out, " {:>9.1} {:>8.1} {:>6}", pair.sandbox, pair.other, times(pair))?;
        }
        writeln!(out)?;
    }
    let costs: [(&str, Cells); 2] = [
        ("API reads of ours, writes of ours, S3 requests", |cost| vec![&cost.reads, &cost.writes, &cost.s3]),
        ("CPU ms of the hub operator, of the spoke operators", |cost| vec![&cost.hub_cpu_ms, &cost.spokes_cpu_ms]),
    ];
    for (title, cells) in costs {
        writeln!(out, "\n{title}, per app, each: sandbox, {world}")?;
        for cost in &ratios.costs {
            write!(out, "{:>4} {:<22}", cost.apps, cost.phase)?;
            for pair in cells(cost) {
                match pair {
                    Some(pair) => write!(out, " {:>7.1} {:>7.1} {:>6}", pair.sandbox, pair.other, times(pair))?,
                    None => write!(out, " {UNCOUNTED:>22}")?,
                }
            }
            writeln!(out)?;
        }
    }
    writeln!(
        out,
        "\nMore requests are ours. The same requests in more time are the servers' and the ways' to them, as\n\
         far as one read and one write take longer there; beyond that somebody waits. A spoke operator that\n\
         was killed with its cluster comes back as another one outside of the sandbox, and waits until the\n\
         lease of the first has expired: \"source comes back\" holds that. All programs share the processors\n\
         of this machine: what else runs on it falls into every duration."
    )
}

/// Figures of a line.
type Cells = fn(&Cost) -> Vec<&Option<Pair>>;

fn times(pair: &Pair) -> String {
    pair.ratio.map_or(UNCOUNTED.to_owned(), |ratio| format!("x{ratio:.1}"))
}
