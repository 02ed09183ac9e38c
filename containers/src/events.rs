//! What happens to containers, told to the store's journal ([`storage::events`]).

pub use storage::events::{Event, Kind};

use storage::events::Backend;

use crate::container::Container;
use crate::engine::Engine;
use crate::id::ContainerId;
use crate::journal::JournalEvents;

/// An event of this container: its id, name, image, pod and labels.
pub fn event(container: &Container, status: &'static str) -> Event {
    let record = &container.record;
    Event {
        id: record.id.to_string(),
        name: record.name.clone(),
        image: record.image.as_ref().map(|image| image.name.clone()).unwrap_or_default(),
        pod: record.spec.pod.clone().unwrap_or_default(),
        attributes: record.spec.labels.clone(),
        ..Event::new(Kind::Container, status)
    }
}

/// Tells what was done with a container.
pub fn record(engine: &Engine, container: &Container, status: &'static str) {
    tell(engine, container, event(container, status));
}

/// Writes an event of a container down. Those in which images are built have none.
pub(crate) fn tell(engine: &Engine, container: &Container, event: Event) {
    if container.record.builder.is_none() {
        storage::events::record(&engine.store, event);
    }
}

/// The end of a run.
pub(crate) const DIED: &str = "died";

/// Its last run is over: [`DIED`], and `remove` after it.
pub(crate) fn ended(container: &Container, status: &'static str) -> Event {
    let exit = container.state().exit();
    Event {
        exit_code: exit.map(|exit| exit.code),
        oom_killed: exit.is_some_and(|exit| exit.oom_killed),
        ..event(container, status)
    }
}

/// How the last run of a container ended that is gone: its records go with it, what was told of it stays.
pub(crate) fn last_code(engine: &Engine, id: &ContainerId) -> Option<i32> {
    let told = match engine.store.options().events.backend {
        Backend::File => storage::events::read(&engine.store).ok()?,
        Backend::Journald => JournalEvents::open(&engine.store, false).ok()?.take().ok()?,
        Backend::None => return None,
    };
    let of_end = |event: &Event| event.kind == Kind::Container && event.status == DIED && event.id == id.as_str();
    told.into_iter().rfind(of_end)?.exit_code
}
