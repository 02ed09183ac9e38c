//! What happens to pods, told to the store's journal.

use containers::Engine;
use storage::events::{Event, Kind};

use crate::pod::Record;

pub(crate) fn record(engine: &Engine, pod: &Record, status: &'static str) {
    let event = Event {
        id: pod.id.to_string(),
        name: pod.name.clone(),
        attributes: pod.spec.labels.clone(),
        ..Event::new(Kind::Pod, status)
    };
    storage::events::record(&engine.store, event);
}
