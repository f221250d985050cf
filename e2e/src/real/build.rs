//! Makes the programs with the installed Go, once for each state of the module files.
//!
//! What is built lands in a folder of its own beside the final one, and is moved there when it is complete: a folder of
//! the cache is never half of one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::error::RealError;
use super::process::last_line;
use super::programs::{MODULES, Module, tools};

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// How many packages at a time; Go's choice (the number of processors) where it is not given.
    pub jobs: Option<u32>,
    /// Only these modules; all where it is empty.
    pub only: Vec<String>,
}

/// What became of a module.
#[derive(Clone, Debug)]
pub struct Built {
    /// The module.
    pub module: &'static Module,
    /// The folder with its programs.
    pub folder: PathBuf,
    /// How long it took; none where it was complete already.
    pub took: Option<Duration>,
}

/// Builds each module that the cache does not hold. `tell` is told what begins.
///
/// # Errors
/// [`RealError::NoGo`], [`RealError::Build`], or the cache cannot be written.
pub fn build(options: &BuildOptions, mut tell: impl FnMut(&str)) -> Result<Vec<Built>, RealError> {
    let wanted = |module: &&Module| options.only.is_empty() || options.only.iter().any(|name| name == module.name);
    let mut all = Vec::new();
    for module in MODULES.iter().filter(wanted) {
        let folder = module.cache()?;
        let took = if is_complete(module, &folder) { None } else { make(module, &folder, options, &mut tell)? };
        all.push(Built { module, folder, took });
    }
    Ok(all)
}

fn is_complete(module: &Module, folder: &Path) -> bool {
    module.is_complete(folder) && (module.definitions.is_none() || folder.join("crds").is_dir())
}

fn make(
    module: &'static Module,
    folder: &Path,
    options: &BuildOptions,
    tell: &mut impl FnMut(&str),
) -> Result<Option<Duration>, RealError> {
    let version = version_of(module)?;
    let has_go = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !has_go.is_ok_and(|status| status.success()) {
        return Err(RealError::NoGo { what: module.title, version, variable: module.variable });
    }
    let tools = tools();
    fs::create_dir_all(&tools).map_err(RealError::io(format!("make {}", tools.display())))?;
    // Two builds at once would do the same work twice; the second waits, and finds it done.
    let lock = tools.join(format!(".{}.lock", module.name));
    let lock_file = File::create(&lock).map_err(RealError::io(format!("write {}", lock.display())))?;
    lock_file.lock().map_err(RealError::io(format!("lock {}", lock.display())))?;
    if is_complete(module, folder) {
        return Ok(None);
    }
    let log = tools.join(format!("{}-build.log", module.name));
    tell(&format!("building {} (minutes, the first time; Go's output is in {})", module.title, log.display()));
    let began = Instant::now();
    let partial = tools.join(format!(".{}.partial", module.name));
    clear(&partial)?;
    fs::create_dir_all(&partial).map_err(RealError::io(format!("make {}", partial.display())))?;
    go_build(module, &partial, &log, options)?;
    for (program, built) in module.programs {
        if *built != program.name() {
            let (from, to) = (partial.join(built), partial.join(program.name()));
            fs::rename(&from, &to).map_err(RealError::io(format!("rename {}", from.display())))?;
        }
    }
    if let Some(of) = module.definitions {
        copy_definitions(module, of, &partial.join("crds"), &log)?;
    }
    clear(folder)?;
    fs::rename(&partial, folder).map_err(RealError::io(format!("move {}", partial.display())))?;
    Ok(Some(began.elapsed()))
}

fn clear(folder: &Path) -> Result<(), RealError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RealError::io(format!("clear {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}

/// The oldest Go that the module's file accepts.
fn version_of(module: &Module) -> Result<String, RealError> {
    let path = module.source().join("go.mod");
    let text = fs::read_to_string(&path).map_err(RealError::io(format!("read {}", path.display())))?;
    let version = text.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("1.26");
    Ok(version.trim().to_owned())
}

/// Go in the module's folder, as every build of ours runs it: nothing but what `go.sum` names, and no workspace around.
fn go(module: &Module) -> Command {
    let mut go = Command::new("go");
    go.current_dir(module.source()).env("CGO_ENABLED", "0").env("GOWORK", "off").stdin(Stdio::null());
    go
}

fn go_build(module: &'static Module, to: &Path, log: &Path, options: &BuildOptions) -> Result<(), RealError> {
    let opening = || RealError::io(format!("write {}", log.display()));
    let output = File::create(log).map_err(opening())?;
    let errors = output.try_clone().map_err(opening())?;
    let mut go = go(module);
    go.args(["build", "-mod=readonly", "-trimpath", "-ldflags"]).arg(format!("-s -w {}", module.ldflags));
    if let Some(jobs) = options.jobs {
        go.arg("-p").arg(jobs.to_string());
    }
    // With a separator at its end the path is a folder for all tools.
    go.arg("-o").arg(to.join("")).arg("tool").stdout(output).stderr(errors);
    let status = go.status().map_err(RealError::io("run go"))?;
    if status.success() {
        return Ok(());
    }
    Err(RealError::Build { what: module.title, how: status.to_string(), last: last_line(log), log: log.to_owned() })
}

/// The definitions are files of the Go module: what the programs expect is beside them, in the same version.
fn copy_definitions(module: &'static Module, of: &str, to: &Path, log: &Path) -> Result<(), RealError> {
    let listed = go(module)
        .args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", of])
        .output()
        .map_err(RealError::io("run go list"))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&listed.stdout).trim());
    if !listed.status.success() || !folder.is_dir() {
        return Err(RealError::Build {
            what: module.title,
            how: listed.status.to_string(),
            last: String::from_utf8_lossy(&listed.stderr).trim().replace('\n', "; "),
            log: log.to_owned(),
        });
    }
    for (side, from) in [("hub", "manifests/cluster-manager/hub/crds"), ("spoke", "manifests/klusterlet/managed")] {
        let to = to.join(side);
        fs::create_dir_all(&to).map_err(RealError::io(format!("make {}", to.display())))?;
        let from = folder.join(from);
        let reading = || RealError::io(format!("read {}", from.display()));
        for entry in fs::read_dir(&from).map_err(reading())? {
            let path = entry.map_err(reading())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.ends_with(".crd.yaml") {
                continue;
            }
            // Written anew, not copied: files of the module cache are read-only.
            let text = fs::read(&path).map_err(RealError::io(format!("read {}", path.display())))?;
            fs::write(to.join(&name), text).map_err(RealError::io(format!("write {}", to.join(&name).display())))?;
        }
    }
    Ok(())
}
