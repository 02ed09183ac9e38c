//! The supervisor's process: started where there is none, ended with its store.

use std::process::Command;

use containers::Engine;
use sys::lock::FileLock;

use super::Supervisor;
use crate::act::error::{Error, Result};
use crate::act::objects::Shelf;
use crate::act::place::Place;

/// Held by the supervisor for as long as it lives.
fn try_lock(engine: &Engine) -> Result<Option<FileLock>> {
    let dir = engine.store.dirs().runroot.join("kube");
    std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
    let path = dir.join("supervisor.lock");
    FileLock::try_exclusive(&path).map_err(Error::io(&path))
}

/// Whether anything needs it.
pub fn is_needed(engine: &Engine) -> Result<bool> {
    let shelf = Shelf::new(engine);
    for namespace in shelf.namespaces()? {
        for object in shelf.all(&namespace)? {
            let Some(meta) = object.body.meta() else { continue };
            if object.body.needs_supervisor(&shelf.kept(&meta.id)?) {
                return Ok(true);
            }
        }
    }
    Ok(false)
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
        let Some(lock) = try_lock(&engine)? else { return Ok(()) };
        Supervisor::new(&engine, program, forwarder).run()?;
        drop(lock);
        // Somebody may have relied on us in this moment.
        if !is_needed(&engine)? {
            return Ok(());
        }
    }
}
