//! `ps` among the processes of a container: the host's own program, which sees them alone, else the image's.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags};
use sys::clone::{CloneRequest, clone_child_into_pid_namespace};
use sys::process::Process;
use sys::task::{StringList, execve};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::exec::{self, Captured, capture};

/// Output that is read at the most.
const MAX_OUTPUT: usize = 1024 * 1024;
const TAKES: Duration = Duration::from_secs(30);
/// What the child ends with where it did not come as far as `ps`, as env(1).
const NOT_RUN: i32 = 127;
const PLACES: [&str; 2] = ["/usr/bin/ps", "/bin/ps"];

/// The lines that `ps` prints with these arguments, its own process not among them.
pub(crate) fn lines(
    engine: &Engine,
    container: &Container,
    init: &Process,
    arguments: &[String],
) -> Result<Vec<String>> {
    let command: Vec<String> =
        std::iter::once("ps").chain(arguments.iter().map(String::as_str)).map(str::to_owned).collect();
    let own = command.join(" ");
    if let Some(ran) = of_the_host(init, &command)? {
        return match ran.code {
            Some(0) => Ok(without(&own, &ran.output)),
            Some(code) => {
                let said = String::from_utf8_lossy(&ran.output).trim().to_owned();
                Err(Error::Invalid(format!("ps(1) failed with exit code {code}: {said}")))
            }
            None => Err(Error::Invalid(format!("ps(1) did not end within {} seconds", TAKES.as_secs()))),
        };
    }
    let ran = capture(engine, container, command, Some(TAKES), MAX_OUTPUT)?;
    if ran.code == Some(0) {
        return Ok(without(&own, &ran.output));
    }
    let said = String::from_utf8_lossy(&ran.output).trim().to_owned();
    let id = container.id().short();
    Err(Error::Invalid(format!("unknown descriptor, and ps in container {id} failed: {said}")))
}

fn without(own: &str, output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().filter(|line| !line.ends_with(own)).map(str::to_owned).collect()
}

/// In the container's pid namespace, with a procfs of it. `None` where there is no such program, or where we may not go
/// there: the host's own pid namespace belongs to root.
fn of_the_host(init: &Process, command: &[String]) -> Result<Option<Captured>> {
    let Some(program) = PLACES.iter().find(|place| Path::new(place).exists()) else { return Ok(None) };
    let path = Path::new("/proc").join(init.pid.to_string()).join("ns/pid");
    let Ok(namespace) = File::open(&path) else { return Ok(None) };
    let nul = |_: std::io::Error| Error::Invalid("an argument of ps with a NUL byte".into());
    let arguments = StringList::new(command).map_err(nul)?;
    let program = StringList::new([program]).map_err(nul)?;
    let environment = StringList::new(["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"]).map_err(nul)?;
    let null = exec::null()?;
    let (read, write) = exec::pipe()?;
    let request = CloneRequest { namespaces: nix::sched::CloneFlags::CLONE_NEWNS.bits() as u64, cgroup: None };
    let run = || -> Infallible {
        if enter(&null, &write).is_ok()
            && let Some(path) = program.first()
        {
            let _ = execve(path, &arguments, &environment);
        }
        sys::clone::exit_now(NOT_RUN)
    };
    let Ok(child) = clone_child_into_pid_namespace(namespace.as_fd(), &request, run) else { return Ok(None) };
    drop(write);
    let ran = exec::output_of(&child.pidfd, read, Some(TAKES), MAX_OUTPUT)?;
    Ok(Some(ran).filter(|ran| ran.code != Some(NOT_RUN)))
}

/// In the child: what it sees and where it writes.
fn enter(null: &OwnedFd, output: &OwnedFd) -> std::io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None)?;
    sys::task::place_descriptors(0, &[null.as_fd(), output.as_fd(), output.as_fd()])
}
