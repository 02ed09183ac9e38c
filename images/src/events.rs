//! What happens to images, told to the store's journal.

use storage::Store;
use storage::events::{self, Event, Kind};

/// `name` as it was typed, a path for an archive, or empty.
pub(crate) fn record(store: &Store, status: &'static str, id: &str, name: &str) {
    events::record(store, Event { id: id.to_owned(), name: name.to_owned(), ..Event::new(Kind::Image, status) });
}
