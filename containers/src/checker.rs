//! One health check, probe or hook in a process of its own, re-executed: one that hangs holds up nobody, and it holds nothing
//! of the monitor's (its lock, its clients), which it may outlive where it restarts the container.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::fs::MemfdFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use storage::Store;
use sys::process::Pidfd;

use crate::container::Container;
use crate::engine::{Engine, Settings};
use crate::error::{Error, Result};
use crate::list;

/// What the process is told.
#[derive(Serialize, Deserialize)]
struct Request<What> {
    id: String,
    dirs: storage::Dirs,
    options: storage::StoreOptions,
    settings: Settings,
    what: What,
}

/// Starts `creel MODE`, and what becomes readable when it has ended.
pub(crate) fn spawn<What: Serialize>(
    engine: &Engine,
    container: &Container,
    mode: &str,
    what: What,
    stdout: Stdio,
) -> Result<(Child, Pidfd)> {
    let request = Request {
        id: container.id().to_string(),
        dirs: engine.store.dirs().clone(),
        options: engine.store.options().clone(),
        settings: engine.settings.clone(),
        what,
    };
    let child = Command::new("/proc/self/exe")
        .arg0("creel")
        .arg(mode)
        .stdin(in_memory(&request).map_err(Error::io("a request in memory"))?)
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io("/proc/self/exe"))?;
    // It cannot be anybody else's pid: the child is ours to wait for.
    let end = Pidfd::open(child.id().cast_signed()).map_err(Error::io("a check"))?;
    Ok((child, end))
}

/// Not on the command line, which everybody on the machine can read: a probe's headers may hold what is secret.
fn in_memory(request: &impl Serialize) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create(c"creel-check", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(request)?)?;
    file.rewind()?;
    Ok(file)
}

/// What this process was told. It is in the user namespace already.
pub(crate) fn told<What: DeserializeOwned>() -> Result<(Engine, Container, What)> {
    let text = io::read_to_string(io::stdin()).map_err(Error::io("the request"))?;
    let request: Request<What> = serde_json::from_str(&text).map_err(|error| Error::Invalid(error.to_string()))?;
    let engine = Engine { store: Store::open(request.dirs, request.options)?, settings: request.settings };
    let container = list::find(&engine, &request.id)?;
    Ok((engine, container, request.what))
}
