//! Reading the journal: what is there, then what comes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::WatchFlags;

use super::{Event, older, path};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::watch::watch;

/// A place in the journal. Each [`Tail::take`] gives what was written since the last.
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line whose end is not there yet.
    partial: Vec<u8>,
}

impl Tail {
    /// Before the oldest event.
    pub fn from_beginning(store: &Store) -> Result<Tail> {
        let path = path(store);
        let file = match open(&older(&path))? {
            Some(file) => Some(file),
            None => open(&path)?,
        };
        Ok(Tail { path, file, partial: Vec::new() })
    }

    /// The events since the last call. A journal that was removed goes on with the next one.
    pub fn take(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            self.read_on(&mut events);
            match self.next_file() {
                Some(file) => {
                    // Whoever still has the old one open finished with it before the rename, but for a blink.
                    self.read_on(&mut events);
                    self.partial.clear();
                    self.file = Some(file);
                }
                None => return events,
            }
        }
    }

    fn read_on(&mut self, events: &mut Vec<Event>) {
        let Some(file) = &mut self.file else { return };
        let mut bytes = std::mem::take(&mut self.partial);
        if let Err(error) = file.read_to_end(&mut bytes) {
            tracing::warn!(path = %self.path.display(), %error, "cannot read the journal of events");
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        events.extend(bytes[..whole].split(|byte| *byte == b'\n').filter_map(parse));
        self.partial = bytes.split_off(whole);
    }

    /// The journal's file, if it is another than the one being read.
    fn next_file(&self) -> Option<File> {
        let there = open(&self.path).ok().flatten()?;
        let Some(ours) = &self.file else { return Some(there) };
        let (ours, found) = (ours.metadata().ok()?, there.metadata().ok()?);
        (ours.ino() != found.ino() || ours.dev() != found.dev()).then_some(there)
    }
}

/// Readable when the journal may have more than before. Made before the first [`Tail::take`], it misses nothing.
pub struct Notice(OwnedFd);

impl Notice {
    pub fn of(store: &Store) -> Result<Notice> {
        let path = path(store);
        let dir = path.parent().unwrap_or(Path::new("/"));
        let changes = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        watch(dir, changes).map(Notice)
    }

    /// Takes what was noticed off the queue: the journal is read anyway.
    pub fn clear(&self) {
        let mut buffer = [0u8; 4096];
        while rustix::io::read(&self.0, &mut buffer).is_ok_and(|length| length > 0) {}
    }
}

impl AsFd for Notice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("cannot open", path, error)),
    }
}

/// A line that a full disk cut short stands before the next one on the same line.
fn parse(line: &[u8]) -> Option<Event> {
    const BEGIN: &[u8] = b"{\"time\":";
    let begins = line.windows(BEGIN.len()).enumerate().filter(|(_, window)| *window == BEGIN).map(|(at, _)| at);
    begins.into_iter().find_map(|at| serde_json::from_slice(&line[at..]).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Kind;

    #[test]
    fn damage_costs_one_event_and_no_more() {
        let event = Event { time: 7, ..Event::new(Kind::System, "refresh") };
        let line = serde_json::to_vec(&event).unwrap();
        assert_eq!(parse(&line), Some(event.clone()));
        assert_eq!(parse(&[&line[..20], &line].concat()), Some(event));
        assert_eq!(parse(b"nonsense"), None);
        assert_eq!(parse(b""), None);
    }
}
