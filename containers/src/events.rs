//! What happens to containers, told to the store's journal ([`storage::events`]).

pub use storage::events::{Event, Kind};

use crate::container::Container;
use crate::engine::Engine;

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

/// Its last run is over: `died`, and `remove` after it.
pub(crate) fn ended(container: &Container, status: &'static str) -> Event {
    let exit = container.state().exit();
    Event {
        exit_code: exit.map(|exit| exit.code),
        oom_killed: exit.is_some_and(|exit| exit.oom_killed),
        ..event(container, status)
    }
}
