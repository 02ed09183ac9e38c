//! The supervisor's process: started where there is none, ended with its store.

use std::process::Command;
use std::time::Duration;

use containers::Engine;
use sys::lock::FileLock;

use super::Supervisor;
use crate::act::error::{Error, Result};
use crate::act::objects::{Body, Shelf};
use crate::act::observe::{self, Seen};
use crate::act::place::Place;
use crate::act::status::Kept;

/// Held by the supervisor for as long as it lives.
fn try_lock(engine: &Engine) -> Result<Option<FileLock>> {
    let dir = engine.store.dirs().runroot.join("kube");
    std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
    let path = dir.join("supervisor.lock");
    FileLock::try_exclusive(&path).map_err(Error::io(&path))
}

/// `None`: there is one already. Whoever starts one looks first by taking the lock for a moment: that is none.
fn become_the_one(engine: &Engine) -> Result<Option<FileLock>> {
    const TRIES: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(2);
    for _ in 1..TRIES {
        if let Some(lock) = try_lock(engine)? {
            return Ok(Some(lock));
        }
        std::thread::sleep(PAUSE);
    }
    try_lock(engine)
}

/// Whether anything needs it.
pub fn is_needed(engine: &Engine) -> Result<bool> {
    let (shelf, seen) = (Shelf::new(engine), observe::pods(engine)?);
    for namespace in shelf.namespaces()? {
        for object in shelf.all(&namespace)? {
            let Some(meta) = object.body.meta() else { continue };
            if is_to_be_kept(&object.body, &shelf.kept(&meta.id)?, &seen) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether somebody has to look after an object.
pub(super) fn is_to_be_kept(body: &Body, kept: &Kept, seen: &[Seen]) -> bool {
    match body {
        Body::Namespace(_) | Body::ConfigMap(_) | Body::Volume(_) => false,
        Body::Pod(plan) => seen.iter().any(|pod| pod.belongs_to(&plan.meta.id) && pod.is_to_be_kept()),
        Body::Job { plan, .. } => kept.job.ended.is_none() || plan.run.ttl.is_some(),
        Body::Service { .. } | Body::Workload { .. } | Body::CronJob(_) | Body::Ingress(_) | Body::Autoscaler(_) => {
            true
        }
    }
}

/// Starts `program` (`creel __kube-supervisor`) for this store, where none runs. It outlives the caller.
pub fn start_supervisor(engine: &Engine, mut program: Command) -> Result<()> {
    if try_lock(engine)?.is_none() {
        return Ok(());
    }
    let place = serde_json::to_vec(&Place::of(engine)).map_err(|error| Error::Invalid(error.to_string()))?;
    let (null, failed) = (std::process::Stdio::null, Error::io("/proc/self/exe"));
    program.stdin(std::process::Stdio::piped()).stdout(null()).stderr(null());
    let mut child = sys::memory::frugal(&mut program).spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, &place).map_err(Error::io("/proc/self/exe"))?;
    }
    Ok(())
}

/// Ends the supervisor of a store that is taken away, and takes its records first: what is left to look after is nothing.
pub fn end_supervisor(engine: &Engine) -> Result<()> {
    let dir = engine.store.path("kube");
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&dir)(error)),
        _ => engine.store.tell(),
    }
    let path = engine.store.dirs().runroot.join("kube").join("supervisor.lock");
    match FileLock::exclusive(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path)(error)),
        _ => Ok(()),
    }
}

/// The whole of `creel __kube-supervisor`.
pub fn supervisor_main(program: fn() -> Command, forwarder: fn() -> Command) -> Result<()> {
    sys::memory::settle();
    let mut place = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut place).map_err(Error::io("standard input"))?;
    let place: Place = serde_json::from_slice(&place).map_err(|error| Error::Invalid(error.to_string()))?;
    // Signals of the caller's terminal are not meant for it.
    let _ = rustix::process::setsid();
    let engine = place.open()?;
    loop {
        let Some(lock) = become_the_one(&engine)? else { return Ok(()) };
        Supervisor::new(&engine, program, forwarder)?.run()?;
        drop(lock);
        // Somebody may have relied on us in this moment.
        if !is_needed(&engine)? {
            return Ok(());
        }
    }
}
