//! What happened in this store, told by whoever did it: one line of JSON for each event, in a journal that creel's
//! processes append to together.
//!
//! To tell of a deed, call [`record`] right after it is done, with the id and the name that the user knows:
//!
//! ```no_run
//! # fn example(store: &storage::Store) {
//! use storage::events::{self, Event, Kind};
//! events::record(store, Event { name: "data".into(), ..Event::new(Kind::Volume, "create") });
//! # }
//! ```
//!
//! The status is Podman's word for the deed (`create`, `start`, `died`, `remove`, ...). A deed that failed is no event.
//! Several that belong together go through [`record_all`]: one write. `containers::events` makes an [`Event`] of a
//! container.
//!
//! Recording never fails the deed, holds no lock and waits for no disk: it is one write(2) with `O_APPEND`, which the
//! kernel keeps whole among several writers. A file that has grown over its limit is renamed to `NAME.1`, which replaces
//! the one before it: the journal is the two of them.

mod tail;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, Result};
use crate::journald;
use crate::store::Store;

pub use tail::{Notice, Tail};

/// Where events go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// A file of the store.
    #[default]
    File,
    /// systemd's journal.
    Journald,
    /// Nowhere.
    None,
}

/// The user's choices about events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    pub backend: Backend,
    /// Another place for the journal than `ROOT/events.log`.
    pub path: Option<PathBuf>,
    /// How many bytes the file may have before it is set aside; what was set aside before then goes. 0: no limit.
    pub max_bytes: u64,
    /// Whether checks of a container's health are told.
    pub health_checks: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { backend: Backend::File, path: None, max_bytes: 1 << 20, health_checks: true }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Container,
    Image,
    Network,
    Pod,
    Secret,
    System,
    Volume,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Image => "image",
            Kind::Network => "network",
            Kind::Pod => "pod",
            Kind::Secret => "secret",
            Kind::System => "system",
            Kind::Volume => "volume",
        }
    }
}

/// One thing that happened. What does not apply stays empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since 1970.
    pub time: i64,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Podman's word for it.
    pub status: Cow<'static, str>,
    /// Of the object; of a network's `connect` and `disconnect` the container's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// As the user knows the object; of an image the name that was used.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The name of a container's image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The id of a container's pod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// The name of the network that an event of a network is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// Of `died`, `exec_died` and a `remove` after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Ended by the kernel for want of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom_killed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Why it went wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// A container's labels; the driver of a network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// What a health check found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub status: String,
    pub failing_streak: u32,
    /// What the check wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

impl Event {
    /// Of now.
    pub fn new(kind: Kind, status: &'static str) -> Event {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Event {
            time: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            kind,
            status: Cow::Borrowed(status),
            id: String::new(),
            name: String::new(),
            image: String::new(),
            pod: String::new(),
            network: String::new(),
            exit_code: None,
            oom_killed: false,
            health: None,
            error: String::new(),
            attributes: BTreeMap::new(),
        }
    }
}

/// Tells of one deed.
pub fn record(store: &Store, event: Event) {
    record_all(store, &[event]);
}

/// Tells of several, in their order and with nothing between them.
pub fn record_all(store: &Store, events: &[Event]) {
    let options = &store.options().events;
    if !options.health_checks && events.iter().all(|event| event.health.is_some()) {
        return;
    }
    let written = match options.backend {
        Backend::None => return,
        Backend::File => append(store, events),
        Backend::Journald => send(store, events),
    };
    // A journal on a full disk is no reason to fail what has been done.
    if let Err(error) = written {
        tracing::warn!(%error, "cannot record an event");
    }
}

/// The journal's file.
pub fn path(store: &Store) -> PathBuf {
    store.options().events.path.clone().unwrap_or_else(|| store.path("events.log"))
}

/// All that the journal holds, oldest first. Lines that no creel wrote are passed over.
pub fn read(store: &Store) -> Result<Vec<Event>> {
    Ok(Tail::from_beginning(store)?.take())
}

/// How journalctl(1) finds the events of a store.
pub fn journal_match(store: &Store) -> String {
    format!("CREEL_ROOT={}", store.dirs().root.display())
}

/// Each event is one entry: with Podman's fields for whoever looks for them, and whole.
fn send(store: &Store, events: &[Event]) -> Result<()> {
    let at = Path::new(journald::SOCKET);
    let socket = journald::connect().at("cannot connect to", at)?;
    let root = store.dirs().root.display().to_string();
    for event in events {
        let whole = serde_json::to_vec(event).map_err(io::Error::from).at("cannot encode an event for", at)?;
        let code = event.exit_code.map(|code| code.to_string()).unwrap_or_default();
        let message = format!("{} {} {} {}", event.kind.as_str(), event.status, event.id, event.name);
        let fields = [
            ("MESSAGE", message.trim_end()),
            ("PRIORITY", "6"),
            ("SYSLOG_IDENTIFIER", "creel"),
            ("PODMAN_EVENT", event.status.as_ref()),
            ("PODMAN_TYPE", event.kind.as_str()),
            ("PODMAN_ID", &event.id),
            ("PODMAN_NAME", &event.name),
            ("PODMAN_IMAGE", &event.image),
            ("PODMAN_EXIT_CODE", &code),
            ("CREEL_ROOT", &root),
        ];
        let mut entry = Vec::with_capacity(512 + whole.len());
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            journald::field(&mut entry, name, value.as_bytes());
        }
        journald::field(&mut entry, "CREEL_EVENT", &whole);
        journald::send(&socket, &entry).at("cannot write to", at)?;
    }
    Ok(())
}

fn append(store: &Store, events: &[Event]) -> Result<()> {
    let path = path(store);
    let mut lines = Vec::with_capacity(256 * events.len());
    for event in events {
        serde_json::to_writer(&mut lines, event).map_err(io::Error::from).at("cannot encode an event for", &path)?;
        lines.push(b'\n');
    }
    let mut file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(&path)
        .at("cannot open", &path)?;
    // Not write_all: half a line, and the rest of it after somebody else's, would be worse than half a line.
    let length = file.write(&lines).at("cannot write", &path)?;
    if length < lines.len() {
        return Err(Error::io("cannot write", &path, io::ErrorKind::StorageFull));
    }
    let limit = store.options().events.max_bytes;
    if limit > 0 && file.metadata().at("cannot stat", &path)?.len() > limit {
        set_aside(&path, &file)?;
    }
    Ok(())
}

/// Renames a file that is full. Of several who find it so, one does it.
fn set_aside(path: &Path, file: &File) -> Result<()> {
    if file.try_lock().is_err() {
        return Ok(());
    }
    let ours = file.metadata().at("cannot stat", path)?;
    if fs::symlink_metadata(path).is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev()) {
        fs::rename(path, older(path)).at("cannot rename", path)?;
    }
    Ok(())
}

/// Where the file that was full is.
fn older(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".1");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_on_disk_is_short_and_comes_back_whole() {
        let event = Event { time: 1, name: "v".into(), ..Event::new(Kind::Volume, "create") };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(line, r#"{"time":1,"type":"volume","status":"create","name":"v"}"#);
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        let newer = r#"{"time":1,"type":"volume","status":"create","name":"v","colour":"red"}"#;
        assert_eq!(serde_json::from_str::<Event>(newer).unwrap(), event);
    }
}
