//! Runs an OCI bundle from a directory, for trying out and measuring the runtime by itself:
//! `run_bundle BUNDLE [COUNT]`, `run_bundle exec PID CONFIG` or `run_bundle external PROGRAM BUNDLE`.

#![expect(clippy::print_stderr, reason = "this is a program")]

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use oci_spec::runtime::Spec;
use runtime::cgroup::{Cgroup, Manager};
use runtime::external::External;
use runtime::{Bundle, ExecRequest, Stdio};
use sys::mount::RootMount;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match run(&arguments[1..]) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(255)),
        Err((code, text)) => {
            eprintln!("error: {text}");
            ExitCode::from(code)
        }
    }
}

type Failed = (u8, String);

fn failed(error: impl std::fmt::Display) -> Failed {
    (125, error.to_string())
}

fn of_runtime(error: runtime::Error) -> Failed {
    (error.exit_code(), error.to_string())
}

fn run(arguments: &[String]) -> Result<i32, Failed> {
    let state = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| "/tmp".into())).join("run-bundle");
    let identity = sys::userns::enter(&state).map_err(failed)?;
    if let [word, pid, config] = arguments
        && word == "exec"
    {
        let spec = Spec::load(config).map_err(failed)?;
        let init = sys::process::Process::of(pid.parse().map_err(failed)?).map_err(failed)?;
        let process = spec.process().as_ref().ok_or_else(|| failed("no process"))?;
        // Only where containers have cgroups of their own.
        let cgroup = Cgroup::of_process(init.pid).filter(|cgroup| cgroup.path.to_string_lossy().contains("creel-"));
        let child = runtime::exec(ExecRequest {
            keep_groups: false,
            init: &init,
            process,
            cgroup: cgroup.as_ref(),
            stdio: Stdio::Inherit,
            preserve_fds: Vec::new(),
            seccomp: spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()),
        })
        .map_err(of_runtime)?;
        return Ok(child.pidfd.wait().map_err(failed)?.exit_code());
    }
    if let [word, program, bundle] = arguments
        && word == "external"
    {
        let bundle = std::path::absolute(bundle).map_err(failed)?;
        return external(Path::new(program), &bundle, &state, identity.uid);
    }
    let bundle = Path::new(arguments.first().ok_or_else(|| failed("no bundle"))?);
    let count: u32 = arguments.get(1).map_or(Ok(1), |count| count.parse()).map_err(failed)?;
    let mut code = 0;
    let mut times = Vec::new();
    for _ in 0..count {
        let mut spec = Spec::load(bundle.join("config.json")).map_err(failed)?;
        let root = bundle.join(spec.root().as_ref().ok_or_else(|| failed("no root"))?.path());
        let mut place = spec.root().clone().unwrap_or_default();
        place.set_path(root.clone());
        spec.set_root(Some(place));
        let begun = Instant::now();
        let cgroup = cgroup(&spec, identity.uid)?;
        let terminal = spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
        let stdio = if terminal { Stdio::Terminal } else { Stdio::Inherit };
        let bundle = Bundle::new(spec, RootMount::Directory(root)).named("example", bundle);
        let mut created = runtime::create(&bundle, stdio, cgroup.as_ref(), Vec::new()).map_err(of_runtime)?;
        let running = if terminal {
            created.prepared().map_err(of_runtime)?;
            created.start()
        } else {
            created.start()
        }
        .map_err(of_runtime)?;
        if let Some(terminal) = &running.terminal {
            show(terminal.as_fd());
        }
        code = running.pidfd.wait().map_err(failed)?.exit_code();
        times.push(begun.elapsed());
        if let Some(cgroup) = cgroup {
            if count == 1 {
                eprintln!("{:?} oom {} {:?}", cgroup.path, cgroup.oom_killed(), cgroup.stats());
            }
            cgroup.remove().map_err(of_runtime)?;
        }
    }
    if count > 1 {
        times.sort();
        eprintln!("min {:?} median {:?} p90 {:?}", times[0], times[times.len() / 2], times[times.len() * 9 / 10]);
    }
    Ok(code)
}

fn external(program: &Path, bundle: &Path, state: &Path, uid: u32) -> Result<i32, Failed> {
    let mut spec = Spec::load(bundle.join("config.json")).map_err(failed)?;
    let root = bundle.join(spec.root().as_ref().ok_or_else(|| failed("no root"))?.path());
    let mut place = spec.root().clone().unwrap_or_default();
    place.set_path(root.clone());
    spec.set_root(Some(place));
    let cgroup = cgroup(&spec, uid)?;
    let external = External { program: program.into(), state: state.join("external"), options: Vec::new() };
    let terminal = spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
    let stdio = if terminal { Stdio::Terminal } else { Stdio::Inherit };
    let id = format!("example-{}", std::process::id());
    let bundle = Bundle::new(spec, RootMount::Directory(root)).named(&id, state.join("bundle"));
    let created = external.create(&bundle, stdio, cgroup.as_ref(), &[]).map_err(of_runtime)?;
    external.start(&id).map_err(of_runtime)?;
    if let Some(terminal) = &created.terminal {
        show(terminal.as_fd());
    }
    let code = created.pidfd.wait().map_err(failed)?.exit_code();
    external.delete(&id).map_err(of_runtime)?;
    if let Some(cgroup) = cgroup {
        cgroup.remove().map_err(of_runtime)?;
    }
    Ok(code)
}

/// With a `resources` section only.
fn cgroup(spec: &Spec, uid: u32) -> Result<Option<Cgroup>, Failed> {
    let Some(limits) = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) else { return Ok(None) };
    let manager = Manager::choose(None, uid).map_err(of_runtime)?;
    let name = format!("example-{}", std::process::id());
    Cgroup::create(&manager, &name, None, limits).map_err(of_runtime)
}

/// What the container writes, until it ends (EIO on the master).
fn show(terminal: std::os::fd::BorrowedFd<'_>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = rustix::io::read(terminal, &mut buffer) {
        let _ = rustix::io::write(rustix::stdio::stdout(), &buffer[..count]);
    }
}
