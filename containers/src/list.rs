//! Reading containers: one by name or id, or all. No lock is taken, nothing is entered, and a plain user can do it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use images::ImageUser;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::de::DeserializeOwned;

use crate::container::{Container, Record, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::state::State;

const RECORD: &str = "container.json";
const STATUS: &str = "state.json";

/// The container of that name, that id, or an id that begins like that and no other does. A name wins over an id.
pub fn find(engine: &Engine, name_or_id: &str) -> Result<Container> {
    let wanted = name_or_id.strip_prefix('/').unwrap_or(name_or_id);
    let not_found = || Error::NotFound { name: name_or_id.to_owned() };
    if wanted.is_empty() {
        return Err(not_found());
    }
    let by_name = storage::names::resolve(&crate::names::dir(engine), wanted).ok().flatten();
    if let Some(id) = by_name.and_then(|id| id.parse::<ContainerId>().ok())
        && let Some(container) = read(engine, &id)?
    {
        return Ok(container);
    }
    if let Ok(id) = wanted.parse::<ContainerId>() {
        return read(engine, &id)?.ok_or_else(not_found);
    }
    if !wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) || wanted.len() > 64 {
        return Err(not_found());
    }
    let mut found = None;
    for id in ids(engine)? {
        if id.as_str().starts_with(wanted) && found.replace(id).is_some() {
            return Err(Error::Ambiguous { name: name_or_id.to_owned() });
        }
    }
    match found {
        Some(id) => read(engine, &id)?.ok_or_else(not_found),
        None => Err(not_found()),
    }
}

/// All containers of the user, oldest first; those in which images are built are none. A record that cannot be read is
/// reported, set aside when it is damaged, and does not keep the others from being listed.
pub fn list(engine: &Engine) -> Result<Vec<Container>> {
    let mut containers = list_with_working(engine)?;
    containers.retain(|container| container.record.builder.is_none());
    Ok(containers)
}

/// As [`list`], of those alone whose records have one of these words in them, in whatever place: ids or names, which are
/// written as they are. The others are neither parsed nor asked how they are: that makes it cheap to look for few among
/// many.
pub fn list_mentioning(engine: &Engine, words: &[&str]) -> Result<Vec<Container>> {
    let mut containers = list_where(engine, &|record| words.iter().any(|word| record.contains(word)))?;
    containers.retain(|container| container.record.builder.is_none());
    Ok(containers)
}

/// As [`list`], with the containers in which images are built: they use images and volumes, too.
pub fn list_with_working(engine: &Engine) -> Result<Vec<Container>> {
    list_where(engine, &|_| true)
}

fn list_where(engine: &Engine, wanted: Wanted<'_>) -> Result<Vec<Container>> {
    let dir = engine.store.containers_dir();
    let Some(all) = open_dir(&dir)? else { return Ok(Vec::new()) };
    let mut containers = Vec::new();
    for id in ids(engine)? {
        match read_in(all.as_fd(), &dir, &id, wanted) {
            Ok(Some(container)) => containers.push(container),
            Ok(None) => {}
            Err(error) => tracing::warn!(%id, %error, "cannot read a container"),
        }
    }
    // Each is moved once: they are large.
    containers.sort_by_cached_key(|container| (container.record.created, container.record.id.clone()));
    Ok(containers)
}

/// Which containers stand on which images.
pub fn image_users(engine: &Engine) -> Result<Vec<ImageUser>> {
    let user = |container: Container| {
        let running = running(&container);
        let Record { id, image, .. } = container.record;
        Some(ImageUser { image_id: image?.id, container_id: id.to_string(), running })
    };
    Ok(list_with_working(engine)?.into_iter().filter_map(user).collect())
}

/// Whether its program runs (paused ones run too).
pub fn running(container: &Container) -> bool {
    matches!(container.state(), State::Running { .. })
}

/// The container as it is now; `None` when it is gone.
pub(crate) fn read(engine: &Engine, id: &ContainerId) -> Result<Option<Container>> {
    let dir = engine.store.containers_dir();
    match open_dir(&dir)? {
        Some(all) => read_in(all.as_fd(), &dir, id, &|_| true),
        None => Ok(None),
    }
}

/// The same container as it is now.
pub(crate) fn again(engine: &Engine, container: &Container) -> Result<Container> {
    read(engine, container.id())?.ok_or_else(|| Error::NotFound { name: container.name().to_owned() })
}

fn ids(engine: &Engine) -> Result<Vec<ContainerId>> {
    let dir = engine.store.containers_dir();
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::Io { path: dir, source: error }),
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn open_dir(path: &Path) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(Error::Io { path: path.to_owned(), source: error.into() }),
    }
}

/// Whether a container is wanted, by the text of its record.
type Wanted<'a> = &'a dyn Fn(&str) -> bool;

/// `None`: it is gone, or not wanted.
fn read_in(all: BorrowedFd<'_>, dir: &Path, id: &ContainerId, wanted: Wanted<'_>) -> Result<Option<Container>> {
    let mut buffer = Vec::new();
    if !read_file(all, dir, id, RECORD, &mut buffer)? || std::str::from_utf8(&buffer).is_ok_and(|text| !wanted(text)) {
        return Ok(None);
    }
    let Some(record) = parse::<Record>(dir, id, RECORD, &buffer)? else { return Ok(None) };
    // Both come into being with one rename; a status that is gone now went with its container.
    let Some(mut status) = read_record::<Status>(all, dir, id, STATUS, &mut buffer)? else { return Ok(None) };
    while status.state.is_abandoned() {
        // The monitor may have written the end after we read, and before we looked for it. It is gone: what is there now
        // is its last word.
        let Some(now) = read_record::<Status>(all, dir, id, STATUS, &mut buffer)? else { return Ok(None) };
        let is_final = now.state == status.state;
        status = now;
        if is_final {
            status.state = status.state.after_the_monitor();
        }
    }
    let mut container = Container { record, status };
    if running(&container) && crate::health::spec_of(&container).is_some() {
        let log = read_record::<crate::health::HealthLog>(all, dir, id, crate::health::LOG, &mut buffer);
        container.status.health = Some(log.ok().flatten().unwrap_or_default().status);
    }
    if running(&container) && container.spec().probes.is_watched() {
        let status = read_record::<crate::probes::ProbeStatus>(all, dir, id, crate::probes::LOG, &mut buffer);
        let status = status.ok().flatten().unwrap_or_default();
        container.status.health.get_or_insert_with(|| status.health());
        container.status.probes = Some(status);
    }
    Ok(Some(container))
}

fn read_record<T: storage::record::Record + DeserializeOwned>(
    all: BorrowedFd<'_>,
    dir: &Path,
    id: &ContainerId,
    file: &str,
    buffer: &mut Vec<u8>,
) -> Result<Option<T>> {
    if read_file(all, dir, id, file, buffer)? { parse(dir, id, file, buffer) } else { Ok(None) }
}

/// One open, one read: a list of a thousand containers is made of these. `false`: there is no such file.
fn read_file(all: BorrowedFd<'_>, dir: &Path, id: &ContainerId, file: &str, buffer: &mut Vec<u8>) -> Result<bool> {
    let name = format!("{id}/{file}");
    let failed = |error: std::io::Error| Error::Io { path: dir.join(&name), source: error };
    let opened = match rustix::fs::openat(all, name.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(false),
        Err(error) => return Err(failed(error.into())),
    };
    read_whole(&opened, buffer).map_err(|error| failed(error.into()))?;
    Ok(true)
}

/// What was read of it. `None`: it was of an older version, and is gone by now.
fn parse<T: storage::record::Record + DeserializeOwned>(
    dir: &Path,
    id: &ContainerId,
    file: &str,
    text: &[u8],
) -> Result<Option<T>> {
    // The usual case without a second pass for the version.
    if text.starts_with(format!("{{\"version\":{},", T::VERSION).as_bytes())
        && let Ok(record) = serde_json::from_slice(text)
    {
        return Ok(Some(record));
    }
    let path = dir.join(id).join(file);
    match storage::record::read_optional(&path) {
        Err(error @ storage::Error::Damaged { .. }) => {
            if let Ok(aside) = storage::record::set_aside(&path) {
                tracing::warn!(path = %aside.display(), "a damaged record was set aside");
            }
            Err(error.into())
        }
        other => Ok(other?),
    }
}

/// Records are small and never written in place, so a read that is not filled has seen the end: no size is asked for,
/// and no second read.
fn read_whole(file: &OwnedFd, buffer: &mut Vec<u8>) -> rustix::io::Result<()> {
    const ROOM: usize = 16 * 1024;
    buffer.clear();
    loop {
        let length = buffer.len();
        buffer.reserve(ROOM);
        let room = buffer.capacity() - length;
        let read = rustix::io::read(file, rustix::buffer::spare_capacity(buffer))?;
        if read < room {
            return Ok(());
        }
    }
}
