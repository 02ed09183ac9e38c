//! `--userns`: the maps of a nested user namespace, in ids of the user's own one.

use sys::userns::MapLine;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::list;
use crate::spec::{IdMap, UserNamespace};

/// The uid and gid maps; both empty where the container stays in the user's own namespace.
pub(crate) fn maps(engine: &Engine, wanted: &UserNamespace) -> Result<(Vec<IdMap>, Vec<IdMap>)> {
    let io = Error::io("/proc/self/uid_map");
    let (uids, gids) = match (sys::userns::uid_map(), sys::userns::gid_map()) {
        (Ok(uids), Ok(gids)) => (available(&uids), available(&gids)),
        (Err(error), _) | (_, Err(error)) => return Err(io(error)),
    };
    match wanted {
        UserNamespace::Host => Ok((Vec::new(), Vec::new())),
        UserNamespace::KeepId { uid, gid, size } => Ok((
            keep_id(uid.unwrap_or(engine.settings.uid), uids, *size)?,
            keep_id(gid.unwrap_or(engine.settings.gid), gids, *size)?,
        )),
        UserNamespace::NoMap => Ok((no_map(uids)?, no_map(gids)?)),
        UserNamespace::Private { uid_maps, gid_maps } => Ok((uid_maps.clone(), gid_maps.clone())),
        UserNamespace::Container(other) => {
            let other = list::find(engine, other)?;
            maps(engine, &other.spec().namespaces.user.clone())
        }
        UserNamespace::Auto { .. } => Err(Error::Invalid("--userns=auto is not supported yet".into())),
        UserNamespace::Path(_) => Err(Error::Invalid("--userns=ns:PATH is not supported yet".into())),
    }
}

/// How many ids there are, from 0 upward without a gap (the maps that creel makes have none).
fn available(lines: &[MapLine]) -> u32 {
    lines.iter().fold(0, |count: u32, line| count.saturating_add(line.count))
}

/// The caller (0 in its own namespace) becomes `own`; the sub-ids fill the ids below and above it.
fn keep_id(own: u32, available: u32, size: Option<u32>) -> Result<Vec<IdMap>> {
    let subs = available.saturating_sub(1).min(size.unwrap_or(u32::MAX));
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
    fn without_sub_ids_only_the_caller_is_there() {
        assert_eq!(shown(&keep_id(1000, 1, None).unwrap()), "1000:0:1");
        assert!(no_map(1).is_err());
    }
}
