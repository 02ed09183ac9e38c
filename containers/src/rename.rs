//! Another name for a container.

use storage::record::{self, Durability};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::ContainerName;
use crate::{events, list, names};

/// Gives the container another name. It may run; what it knows of itself (its hosts file) keeps the old one.
pub fn rename(engine: &Engine, container: &Container, name: &ContainerName) -> Result<()> {
    let _lock = engine.lock(container.id())?;
    let mut record = list::again(engine, container)?.record;
    let old = std::mem::replace(&mut record.name, name.as_str().to_owned());
    let names = names::dir(engine);
    // The new name first, then the record, then the old name goes: at no moment does somebody else get either.
    match storage::names::reserve(&names, name.as_str(), record.id.as_str()) {
        Ok(()) => {}
        Err(storage::Error::NameTaken { holder, .. }) => {
            return Err(Error::NameTaken { name: name.as_str().to_owned(), holder });
        }
        Err(error) => return Err(error.into()),
    }
    let path = engine.container_dir(container.id()).join("container.json");
    if let Err(error) = record::write(&path, &record, Durability::Durable) {
        // The first error is the one that counts.
        let _ = storage::names::release(&names, name.as_str(), record.id.as_str());
        return Err(error.into());
    }
    if old != record.name {
        storage::names::release(&names, &old, record.id.as_str())?;
    }
    let renamed = Container { record, status: container.status.clone() };
    events::record(engine, &renamed, "rename");
    crate::networks::renamed(engine, &renamed)
}
