//! Networks and ports of a container that runs are changed in its record; its monitor follows.

use storage::record::{self, Durability};
use sys::channel::Channel;

use crate::container::{Container, Record};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::list;
use crate::state::State;
use crate::wire::{FromClient, FromMonitor};

/// Refuses where nobody would hear of a change: a monitor whose container is held before its start waits for that alone.
pub(crate) fn check_changeable(container: &Container) -> Result<()> {
    match container.state() {
        State::Initialized { .. } => Err(Error::StateImproper {
            what: format!("cannot change the networks of container {} between init and start", container.id()),
        }),
        State::Created | State::Running { .. } | State::Exited(_) | State::Removing => Ok(()),
    }
}

/// Puts a record with other networks or ports in the place of the container's. The caller holds the container's lock.
///
/// A command that is killed here leaves no two truths: the monitor sees its end and follows whichever record is there.
///
/// # Errors
/// Where the monitor could not follow. All is as it was then.
pub(crate) fn replace_record(engine: &Engine, container: &Container, record: &Record) -> Result<()> {
    let path = engine.container_dir(container.id()).join("container.json");
    let monitor = match list::running(container) {
        true => Some(announce(engine, container)?),
        false => None,
    };
    record::write(&path, record, Durability::Durable)?;
    let monitor = match monitor {
        Some(monitor) => monitor,
        // By its restart policy it may run by now; a monitor looks at the record once more when it has said so.
        None if list::running(&list::again(engine, container)?) => announce(engine, container)?,
        None => return Ok(()),
    };
    let followed = follow(container, &monitor);
    if followed.is_err() {
        // The first error is the one that counts.
        let _ = record::write(&path, &container.record, Durability::Durable);
        let _ = follow(container, &monitor);
    }
    followed
}

/// Has the monitor look after what the record asks for: what is missing of it is made again.
pub(crate) fn follow_again(engine: &Engine, container: &Container) -> Result<()> {
    follow(container, &announce(engine, container)?)
}

fn announce(engine: &Engine, container: &Container) -> Result<Channel> {
    let channel = crate::attach::connect(engine, container)?;
    channel.send(&FromClient::Changing.encode(), &[]).map_err(gone(container))?;
    Ok(channel)
}

fn follow(container: &Container, monitor: &Channel) -> Result<()> {
    monitor.send(&FromClient::Follow.encode(), &[]).map_err(gone(container))?;
    loop {
        let (message, _) = monitor.recv().map_err(gone(container))?;
        if message.is_empty() {
            return Err(Error::MonitorGone { id: container.id().to_string(), detail: String::new() });
        }
        match FromMonitor::decode(&message).map_err(gone(container))? {
            FromMonitor::Done => return Ok(()),
            FromMonitor::Failed { message, .. } => return Err(Error::Invalid(message)),
            // It ended meanwhile: the record says what the next run is to have.
            FromMonitor::Exited { .. } => return Ok(()),
            FromMonitor::Started { .. } | FromMonitor::Stdout(_) | FromMonitor::Stderr(_) => {}
        }
    }
}

fn gone(container: &Container) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let id = container.id().to_string();
    move |error| Error::MonitorGone { id, detail: format!(": {error}") }
}
