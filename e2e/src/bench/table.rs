//! The figures as text, at most 100 columns wide.

use std::fmt::{self, Write as _};

use super::report::{Phase, Report, Size};
use super::requests::{Count, Line, OURS, sum};
use super::usage;

/// The whole report.
pub fn text(report: &Report, detail: bool) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write_report(&mut out, report, detail);
    out
}

fn write_report(out: &mut String, report: &Report, detail: bool) -> fmt::Result {
    writeln!(out, "Kaedama in the sandbox: {} claims per application, storage latency 0 ms,", report.claims)?;
    writeln!(out, "{} processors, everything in one process, all applications at once.\n", report.processors)?;
    for size in &report.sizes {
        write_size(out, size, detail)?;
    }
    writeln!(out, "Targets\n{:>5} {:<62} {:>9} {:>9}", "apps", "", "measured", "at most")?;
    for verdict in &report.verdicts {
        let met = if verdict.met { "met" } else { "NOT MET" };
        writeln!(out, "{:>5} {:<62} {:>9.1} {:>9.1} {met}", verdict.apps, verdict.what, verdict.value, verdict.target)?;
    }
    writeln!(
        out,
        "\nFor comparison, Ramen on real API servers with storage that answers at once: failover 60 s to\n\
         ready for one application, 196 s for the last of fifty; 97-210 writes and 289-547 reads per\n\
         failover; 90-170 API requests per application and minute at rest; 39-61 S3 requests. Its API\n\
         servers are processes of their own, reached over TLS; the ones here are in this process: compare\n\
         requests, and durations with care."
    )
}

fn write_size(out: &mut String, size: &Size, detail: bool) -> fmt::Result {
    let apps = size.apps as f64;
    writeln!(out, "== {} application{} ==", size.apps, if size.apps == 1 { "" } else { "s" })?;
    writeln!(out, "{:<24} {:<16} {:>10} {:>10} {:>10}", "edit until", "", "p50 ms", "p99 ms", "max ms")?;
    for phase in &size.phases {
        let mut name = phase.name.as_str();
        for (mark, took) in &phase.took {
            writeln!(out, "{name:<24} {mark:<16} {:>10.0} {:>10.0} {:>10.0}", took.p50, took.p99, took.max)?;
            name = "";
        }
    }
    let head = ["hub r", "hub w", "spoke r", "spoke w", "ours 409", "others r", "others w", "S3"];
    write!(out, "\n{:<24}", "requests per app")?;
    head.iter().try_for_each(|name| write!(out, " {name:>8}"))?;
    writeln!(out)?;
    for phase in &size.phases {
        let agent = |name: &str| phase.agents.get(name).cloned().unwrap_or_default();
        let (hub, spoke, others) = (agent("kaedama-hub"), agent("kaedama-spoke"), phase.others());
        let s3: u64 = phase.s3.values().sum();
        let conflicts = hub.conflicts + spoke.conflicts;
        write!(out, "{:<24}", phase.name)?;
        for count in [hub.reads, hub.writes, spoke.reads, spoke.writes, conflicts, others.reads, others.writes, s3] {
            write!(out, " {:>8.1}", count as f64 / apps)?;
        }
        writeln!(out)?;
    }
    write_rest(out, size, detail)?;
    write_cpu(out, size)?;
    if detail {
        for phase in &size.phases {
            write_detail(out, phase, apps)?;
        }
    }
    writeln!(out)
}

fn write_rest(out: &mut String, size: &Size, detail: bool) -> fmt::Result {
    let apps = size.apps as f64;
    let per_minute = |count: u64| count as f64 / apps * 60.0 / size.rest.seconds.max(1) as f64;
    let title = format!("at rest, {} s", size.rest.seconds);
    writeln!(out, "\n{title:<24} {:>8} {:>8} {:>8} {:>8}  per app and minute", "reads", "writes", "watches", "leases")?;
    let mut row = |name: &str, count: &Count| {
        let (reads, writes) = (per_minute(count.reads), per_minute(count.writes));
        let (watches, leases) = (per_minute(count.watches), per_minute(count.leases));
        writeln!(out, "{name:<24} {reads:>8.1} {writes:>8.1} {watches:>8.1} {leases:>8.1}")
    };
    let others = sum(&size.rest.agents, |agent| !OURS.contains(&agent));
    for name in OURS {
        row(name, &size.rest.agents.get(name).cloned().unwrap_or_default())?;
    }
    row("all others", &others)?;
    if detail { lines(out, &size.rest.lines, apps) } else { Ok(()) }
}

fn write_cpu(out: &mut String, size: &Size) -> fmt::Result {
    let apps = size.apps as f64;
    writeln!(out, "\n{:<24} {:>9} {:>9} {:>9} {:>9}", "CPU ms per app", "hub", "spokes", "world", "process")?;
    let rest = (format!("at rest, {} s", size.rest.seconds), &size.rest.cpu);
    for (name, cpu) in size.phases.iter().map(|phase| (phase.name.clone(), &phase.cpu)).chain([rest]) {
        write!(out, "{name:<24}")?;
        for ms in [cpu.of(usage::HUB), cpu.of(usage::SPOKE), cpu.of(usage::WORLD), cpu.all_ms] {
            write!(out, " {:>9.1}", ms as f64 / apps)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "(hub and spokes: their threads, which also carry out the API servers' part of their requests)")?;
    writeln!(out, "peak memory {} MiB: hub, spokes, API servers, stores and storage together", size.peak_mib)
}

fn write_detail(out: &mut String, phase: &Phase, apps: f64) -> fmt::Result {
    writeln!(out, "\n{}: requests per app", phase.name)?;
    lines(out, &phase.lines, apps)?;
    for (operation, count) in &phase.s3 {
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
