//! `--userns`: the maps of a nested user namespace, in ids of the user's own one.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::thread::LinkNameSpaceType;
use sys::clone::{CloneRequest, clone_idle};
use sys::lock::FileLock;
use sys::userns::MapLine;

use crate::archive::Ids;
use crate::container::{Container, Record, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::spec::{IdMap, Source, UserNamespace};
use crate::state::State;
use crate::{list, users};

/// What inspect shows of `--userns=auto`, and by which its ids are known to be taken; Podman's key.
const ANNOTATION: &str = "io.podman.annotations.userns";
/// Fewest and most ids that `--userns=auto` gives without being told how many; Podman's.
const AUTO_LEAST: u32 = 1024;
const AUTO_MOST: u32 = 65_536;

/// The uid and gid maps; both empty where the container stays in the user's own namespace.
pub(crate) fn maps(engine: &Engine, wanted: &UserNamespace) -> Result<(Vec<IdMap>, Vec<IdMap>)> {
    let (own_uids, own_gids, uids, gids);
    match wanted {
        UserNamespace::Host => return Ok((Vec::new(), Vec::new())),
        UserNamespace::Container(other) => return maps(engine, &list::find(engine, other)?.spec().namespaces.user),
        UserNamespace::Path(path) => return maps_of(path),
        UserNamespace::Auto { .. } => {
            return Err(Error::Invalid("a container of --userns=auto has no ids yet".into()));
        }
        UserNamespace::KeepId { uid, gid, size } => {
            (own_uids, own_gids) = own_lines()?;
            uids = keep_id(uid.unwrap_or(engine.settings.uid), available(&own_uids), *size)?;
            gids = keep_id(gid.unwrap_or(engine.settings.gid), available(&own_gids), *size)?;
        }
        UserNamespace::NoMap => {
            (own_uids, own_gids) = own_lines()?;
            (uids, gids) = (no_map(available(&own_uids))?, no_map(available(&own_gids))?);
        }
        UserNamespace::Private { uid_maps, gid_maps } => {
            let (own_uids, own_gids) = own_lines()?;
            return Ok((split(uid_maps, &own_uids), split(gid_maps, &own_gids)));
        }
    }
    Ok((split(&uids, &own_uids), split(&gids, &own_gids)))
}

/// The same for the store. With one id only there is nothing to shift: every file is the user's, and is whoever that is
/// in the container.
pub(crate) fn shift(engine: &Engine, uids: &[IdMap], gids: &[IdMap]) -> storage::IdShift {
    if engine.settings.single_id {
        return storage::IdShift::default();
    }
    let ranges = |maps: &[IdMap]| {
        let range = |map: &IdMap| storage::IdRange { container: map.container, host: map.host, size: map.size };
        maps.iter().map(range).collect()
    };
    storage::IdShift { uids: ranges(uids), gids: ranges(gids) }
}

/// The kernel takes a line only if one line of the namespace around has all of its ids (user_namespaces(7)): the user's
/// own id is one line there, each range of sub-ids another.
fn split(maps: &[IdMap], own: &[MapLine]) -> Vec<IdMap> {
    let mut all = Vec::with_capacity(maps.len());
    for map in maps {
        let mut rest = *map;
        while rest.size > 0 {
            let line = own.iter().find(|line| line.inside <= rest.host && rest.host - line.inside < line.count);
            // What is not there the kernel refuses.
            let size = line.map_or(rest.size, |line| rest.size.min(line.count - (rest.host - line.inside)));
            all.push(IdMap { size, ..rest });
            rest = IdMap { container: rest.container + size, host: rest.host + size, size: rest.size - size };
        }
    }
    all
}

/// How many bytes of files the first start will copy because the container's ids are not the image's.
pub fn copy_cost(engine: &Engine, container: &Container) -> Result<u64> {
    let (Source::Image { .. }, Some(image)) = (&container.spec().source, &container.record.image) else { return Ok(0) };
    if container.spec().namespaces.user == UserNamespace::Host {
        return Ok(0);
    }
    let (uids, gids) = maps(engine, &container.spec().namespaces.user)?;
    Ok(engine.store.shift_cost(&image.layers, &engine.container_dir(container.id()), &shift(engine, &uids, &gids))?)
}

/// A user and a group of a container, as files outside of its user namespace have them.
pub fn outside_owner(engine: &Engine, container: &Container, (user, group): (u32, u32)) -> Result<(u32, u32)> {
    let (uids, gids) = maps(engine, &container.spec().namespaces.user)?;
    Ok((Ids::outside(&uids, user), Ids::outside(&gids, group)))
}

/// A namespace of its own in which everybody has the id that they have around it.
pub(crate) fn same_ids() -> Result<UserNamespace> {
    let (uids, gids) = available_ids()?;
    let all = |size| vec![IdMap { container: 0, host: 0, size }];
    Ok(UserNamespace::Private { uid_maps: all(uids), gid_maps: all(gids) })
}

fn available_ids() -> Result<(u32, u32)> {
    own_lines().map(|(uids, gids)| (available(&uids), available(&gids)))
}

/// The user's own ids.
fn own_lines() -> Result<(Vec<MapLine>, Vec<MapLine>)> {
    match (sys::userns::uid_map(), sys::userns::gid_map()) {
        (Ok(uids), Ok(gids)) => Ok((uids, gids)),
        (Err(error), _) | (_, Err(error)) => Err(Error::io("/proc/self/uid_map")(error)),
    }
}

/// What can be known to be wrong before anything is made.
pub(crate) fn check(wanted: &UserNamespace) -> Result<()> {
    match wanted {
        UserNamespace::Private { uid_maps, gid_maps } => {
            let (uids, gids) = available_ids()?;
            check_maps("UID", uid_maps, uids)?;
            check_maps("GID", gid_maps, gids)
        }
        UserNamespace::Host
        | UserNamespace::KeepId { .. }
        | UserNamespace::NoMap
        | UserNamespace::Auto { .. }
        | UserNamespace::Container(_)
        | UserNamespace::Path(_) => Ok(()),
    }
}

fn check_maps(kind: &str, maps: &[IdMap], available: u32) -> Result<()> {
    let shown = |map: &IdMap| format!("{}:{}:{}", map.container, map.host, map.size);
    let overlap = |one: u32, other: u32, sizes: (u32, u32)| {
        u64::from(one) < u64::from(other) + u64::from(sizes.1) && u64::from(other) < u64::from(one) + u64::from(sizes.0)
    };
    for (place, map) in maps.iter().enumerate() {
        if u64::from(map.host) + u64::from(map.size) > u64::from(available) {
            return Err(Error::Invalid(format!(
                "{kind} mapping {} is not possible: the user namespace has the ids 0 to {}",
                shown(map),
                available.saturating_sub(1)
            )));
        }
        let conflict = maps[..place].iter().any(|other| {
            let sizes = (map.size, other.size);
            overlap(map.container, other.container, sizes) || overlap(map.host, other.host, sizes)
        });
        if conflict {
            return Err(Error::Invalid(format!(
                "the specified UID and/or GID mapping {} conflicts with other mappings: invalid mappings specified",
                shown(map)
            )));
        }
    }
    if !maps.iter().any(|map| map.container == 0) {
        let all = maps.iter().map(shown).collect::<Vec<_>>().join(", ");
        return Err(Error::Invalid(format!("container uses ID mappings ({all}), but doesn't map {kind} 0")));
    }
    Ok(())
}

/// `--userns=auto` becomes ids that no other such container has. What comes back is held until the container's record is
/// in place.
pub(crate) fn settle(engine: &Engine, record: &mut Record) -> Result<Option<FileLock>> {
    let UserNamespace::Auto { size, uid_maps, gid_maps } = record.spec.namespaces.user.clone() else { return Ok(None) };
    let lock = engine.store.lock()?;
    let wanted = match size.filter(|size| *size > 0) {
        Some(size) => size,
        None => {
            let container = Container { record: record.clone(), status: Status::new(State::Created) };
            let needed = users::ids_needed(&users::stored_files(engine, &container)?, &container);
            needed.clamp(AUTO_LEAST, AUTO_MOST)
        }
    };
    let (uids, gids) = available_ids()?;
    let (used_uids, used_gids) = taken(engine)?;
    let maps = |own: &[IdMap], used: &[IdMap], available| {
        auto(wanted, own, used, available)
            .ok_or_else(|| Error::Invalid("creating container storage: not enough unused IDs in user namespace".into()))
    };
    record.spec.namespaces.user = UserNamespace::Private {
        uid_maps: maps(&uid_maps, &used_uids, uids)?,
        gid_maps: maps(&gid_maps, &used_gids, gids)?,
    };
    let mut text = "auto".to_owned();
    let sized = size.map(|size| format!("size={size}"));
    let pairs = [("uidmapping", &uid_maps), ("gidmapping", &gid_maps)].into_iter().flat_map(|(key, maps)| {
        maps.iter().map(move |map| format!("{key}={}:{}:{}", map.container, map.host, map.size))
    });
    for (place, option) in sized.into_iter().chain(pairs).enumerate() {
        text.push(if place == 0 { ':' } else { ',' });
        text.push_str(&option);
    }
    record.spec.annotations.insert(ANNOTATION.into(), text);
    Ok(Some(lock))
}

/// Ids that containers of `--userns=auto` have, running or not.
fn taken(engine: &Engine) -> Result<(Vec<IdMap>, Vec<IdMap>)> {
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    for container in list::list(engine)? {
        let spec = container.spec();
        let is_auto = spec.annotations.get(ANNOTATION).is_some_and(|mode| mode.starts_with("auto"));
        if let UserNamespace::Private { uid_maps, gid_maps } = &spec.namespaces.user
            && is_auto
        {
            uids.extend(uid_maps.iter().copied());
            gids.extend(gid_maps.iter().copied());
        }
    }
    Ok((uids, gids))
}

/// `size` ids from 0 upward: those of `own` as they are, the others on host ids from 1 upward that nobody has.
fn auto(size: u32, own: &[IdMap], used: &[IdMap], available: u32) -> Option<Vec<IdMap>> {
    let mut maps = Vec::new();
    let mut taken: Vec<(u32, u32)> =
        used.iter().chain(own).map(|map| (map.host, map.host.saturating_add(map.size))).collect();
    taken.sort_unstable();
    let mut free = Vec::new();
    let mut next = 1;
    for (first, end) in taken {
        if first > next {
            free.push((next, first));
        }
        next = next.max(end);
    }
    if next < available {
        free.push((next, available));
    }
    let mut own: Vec<IdMap> = own.to_vec();
    own.sort_by_key(|map| map.container);
    let mut free = free.into_iter();
    let mut range = free.next();
    let mut id = 0;
    while id < size {
        if let Some(map) = own.iter().find(|map| map.container <= id && id - map.container < map.size) {
            id = map.container.saturating_add(map.size);
            continue;
        }
        let until = own.iter().map(|map| map.container).find(|first| *first > id).unwrap_or(size).min(size);
        let (first, end) = range?;
        let count = (until - id).min(end - first);
        maps.push(IdMap { container: id, host: first, size: count });
        id += count;
        range = if first + count < end { Some((first + count, end)) } else { free.next() };
    }
    maps.extend(own);
    Some(merged(maps))
}

/// Neighbours become one line.
fn merged(maps: Vec<IdMap>) -> Vec<IdMap> {
    let mut all: Vec<IdMap> = Vec::with_capacity(maps.len());
    for map in maps {
        match all.last_mut() {
            Some(last) if last.container + last.size == map.container && last.host + last.size == map.host => {
                last.size += map.size;
            }
            _ => all.push(map),
        }
    }
    all
}

/// The maps of somebody else's namespace, as seen from ours: a process of ours that is in it can be looked at.
fn maps_of(path: &Path) -> Result<(Vec<IdMap>, Vec<IdMap>)> {
    let namespace = fs::File::open(path).map_err(Error::io(path))?;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    if namespace.metadata().map(identity).ok() == fs::metadata("/proc/self/ns/user").map(identity).ok() {
        return Ok((Vec::new(), Vec::new()));
    }
    let (ready, told) = crate::exec::pipe()?;
    let child = clone_idle(&CloneRequest::default(), || {
        let entered = rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User));
        let word = if entered.is_ok() { b"y" } else { b"n" };
        // Whoever waits for it is gone otherwise.
        let _ = rustix::io::write(&told, word);
    })
    .map_err(Error::io(path))?;
    let mut word = [0u8; 1];
    let heard = rustix::io::retry_on_intr(|| rustix::io::read(&ready, &mut word));
    let read = |file: &str| {
        let text = fs::read_to_string(format!("/proc/{}/{file}", child.pid)).map_err(Error::io(path))?;
        let map = |line: MapLine| IdMap { container: line.inside, host: line.outside, size: line.count };
        Ok(sys::userns::parse_map(&text).into_iter().map(map).collect())
    };
    let maps = match (heard, word[0]) {
        (Ok(1), b'y') => read("uid_map").and_then(|uids| Ok((uids, read("gid_map")?))),
        _ => Err(Error::Invalid(format!(
            "cannot join the user namespace {}: it is not one of this user's",
            path.display()
        ))),
    };
    let _ = child.pidfd.signal(9);
    let _ = child.pidfd.wait();
    maps
}

/// How many ids there are, from 0 upward without a gap (the maps that creel makes have none).
fn available(lines: &[MapLine]) -> u32 {
    lines.iter().fold(0, |count: u32, line| count.saturating_add(line.count))
}

/// The caller (0 in its own namespace) becomes `own`; the sub-ids fill the ids below and above it.
fn keep_id(own: u32, available: u32, size: Option<u32>) -> Result<Vec<IdMap>> {
    // The size counts the caller's own id.
    let subs = available.saturating_sub(1).min(size.map_or(u32::MAX, |size| size.saturating_sub(1)));
    let mut maps = Vec::with_capacity(3);
    let below = own.min(subs);
    if below > 0 {
        maps.push(IdMap { container: 0, host: 1, size: below });
    }
    maps.push(IdMap { container: own, host: 0, size: 1 });
    if subs > below {
        maps.push(IdMap { container: own + 1, host: below + 1, size: subs - below });
    }
    Ok(maps)
}

fn no_map(available: u32) -> Result<Vec<IdMap>> {
    match available {
        0 | 1 => Err(Error::Invalid("--userns=nomap needs sub-ids: /etc/subuid has none for this user".into())),
        _ => Ok(vec![IdMap { container: 0, host: 1, size: available - 1 }]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(maps: &[IdMap]) -> String {
        maps.iter().map(|map| format!("{}:{}:{}", map.container, map.host, map.size)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_caller_keeps_its_id_and_the_rest_goes_around_it() {
        assert_eq!(shown(&keep_id(1000, 65_537, None).unwrap()), "0:1:1000 1000:0:1 1001:1001:64536");
        assert_eq!(shown(&keep_id(0, 65_537, None).unwrap()), "0:0:1 1:1:65536");
        // Fewer sub-ids than the caller's number: those there are start at 0.
        assert_eq!(shown(&keep_id(1000, 11, None).unwrap()), "0:1:10 1000:0:1");
    }

    #[test]
    fn automatic_ids_are_those_that_nobody_has() {
        let map = |container, host, size| IdMap { container, host, size };
        let auto = |size, own: &[IdMap], used: &[IdMap]| auto(size, own, used, 65_537).map(|maps| shown(&maps));
        assert_eq!(auto(1024, &[], &[]).unwrap(), "0:1:1024");
        assert_eq!(auto(2000, &[], &[map(0, 1, 2000)]).unwrap(), "0:2001:2000");
        assert_eq!(auto(10, &[], &[map(0, 5, 5)]).unwrap(), "0:1:4 4:10:6");
        assert_eq!(auto(1024, &[map(5, 0, 1)], &[]).unwrap(), "0:1:5 6:6:1018 5:0:1");
        assert_eq!(auto(1024, &[map(0, 0, 1)], &[]).unwrap(), "1:1:1023 0:0:1");
        assert_eq!(auto(70_000, &[], &[]), None);
        assert_eq!(auto(1, &[], &[map(0, 1, 65_536)]), None);
    }

    #[test]
    fn no_line_has_ids_of_two_ranges() {
        let map = |container, host, size| IdMap { container, host, size };
        let own = [(0, 1000, 1), (1, 100_000, 50), (51, 300_000, 50)];
        let own = own.map(|(inside, outside, count)| MapLine { inside, outside, count });
        let split = |map| shown(&split(&[map], &own));
        assert_eq!(split(map(0, 0, 10)), "0:0:1 1:1:9");
        assert_eq!(split(map(0, 1, 100)), "0:1:50 50:51:50");
        assert_eq!(split(map(7, 60, 3)), "7:60:3");
        assert_eq!(split(map(0, 100, 3)), "0:100:1 1:101:2");
    }

    #[test]
    fn maps_are_checked() {
        let map = |container, host, size| IdMap { container, host, size };
        let told = |maps: &[IdMap]| check_maps("UID", maps, 100).map_err(|error| error.to_string());
        assert!(told(&[map(0, 1, 50), map(50, 0, 1)]).is_ok());
        assert!(told(&[map(0, 0, 5), map(3, 10, 5)]).unwrap_err().contains("3:10:5 conflicts"));
        assert!(told(&[map(0, 0, 5), map(10, 3, 5)]).unwrap_err().contains("10:3:5 conflicts"));
        assert!(told(&[map(0, 0, 101)]).unwrap_err().contains("0 to 99"));
        assert!(told(&[map(10, 0, 1)]).unwrap_err().contains("doesn't map UID 0"));
    }

    #[test]
    fn without_sub_ids_only_the_caller_is_there() {
        assert_eq!(shown(&keep_id(1000, 1, None).unwrap()), "1000:0:1");
        assert!(no_map(1).is_err());
    }
}
