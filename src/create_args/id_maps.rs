//! `--uidmap`, `--gidmap`, `--subuidname` and `--subgidname`: the maps of a user namespace, in ids of the user's own one.

use std::path::Path;

use containers::{IdMap, UserNamespace};

use super::{CreateArgs, Surroundings};
use crate::arguments::go_quote;
use crate::error::Failure;

/// One `[FLAGS]CONTAINER:[@]HOST[:SIZE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    container: u32,
    host: u32,
    size: u32,
    /// `@`: the host id is a real one, outside of the user's namespace.
    real: bool,
    /// `+`: the ids that no line names are there, too.
    extends: bool,
    /// `u`, `g`: for one kind only.
    only: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Uid,
    Gid,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Uid => "UID",
            Kind::Gid => "GID",
        }
    }
}

/// The ids of the user's namespace: those of one kind, each with the real id it has outside (`host`).
pub struct OwnIds {
    pub uids: Vec<IdMap>,
    pub gids: Vec<IdMap>,
}

impl OwnIds {
    fn of(&self, kind: Kind) -> &[IdMap] {
        match kind {
            Kind::Uid => &self.uids,
            Kind::Gid => &self.gids,
        }
    }
}

/// Whether any of the flags is there, or `--userns=auto`, whose maps may name real ids.
pub fn looks_at_own_ids(args: &CreateArgs) -> bool {
    is_private(args) || args.userns.as_deref().is_some_and(|mode| mode.starts_with("auto:"))
}

pub(super) fn is_private(args: &CreateArgs) -> bool {
    !args.uidmap.is_empty() || !args.gidmap.is_empty() || args.subuidname.is_some() || args.subgidname.is_some()
}

/// `None` when none of the flags is there.
pub fn private(args: &CreateArgs, around: &Surroundings<'_>) -> Result<Option<UserNamespace>, Failure> {
    if !is_private(args) {
        return Ok(None);
    }
    let uid_lines = lines(Kind::Uid, &args.uidmap)?;
    let gid_lines = lines(Kind::Gid, &args.gidmap)?;
    let own = (around.own_ids)()?;
    // One name, and one list, counts for both.
    let names = [(Kind::Uid, &args.subuidname, &args.subgidname), (Kind::Gid, &args.subgidname, &args.subuidname)];
    let mut maps = Vec::new();
    for (kind, name, other) in names {
        let mut all = match name.as_ref().or(other.as_ref()) {
            Some(name) => sub_ids(kind, name, around)?,
            None => Vec::new(),
        };
        let (mine, others) = match kind {
            Kind::Uid => (&uid_lines, &gid_lines),
            Kind::Gid => (&gid_lines, &uid_lines),
        };
        all.extend(mine.iter().filter(|line| line.only.is_none_or(|only| only == kind)).cloned());
        let counts = |line: &&Line| line.only.map_or(mine.is_empty(), |only| only == kind);
        all.extend(others.iter().filter(counts).cloned());
        maps.push(resolve(kind, &all, own.of(kind))?);
    }
    let gid_maps = maps.pop().unwrap_or_default();
    Ok(Some(UserNamespace::Private { uid_maps: maps.pop().unwrap_or_default(), gid_maps }))
}

/// One map of `--userns=auto:uidmapping=,gidmapping=`.
pub fn mapping(key: &str, text: &str, around: &Surroundings<'_>) -> Result<IdMap, Failure> {
    let kind = if key == "uidmapping" { Kind::Uid } else { Kind::Gid };
    let line = line(kind, text)?;
    let own = (around.own_ids)()?;
    place(kind, &line, own.of(kind))
}

fn lines(kind: Kind, texts: &[String]) -> Result<Vec<Line>, Failure> {
    texts.iter().map(|text| line(kind, text)).collect()
}

fn line(kind: Kind, text: &str) -> Result<Line, Failure> {
    let malformed = || {
        Failure::plain(format!(
            "initializing ID mappings: {} setting is malformed expected [\"[+ug]uint32:[@]uint32[:uint32]\"] : [{}]",
            kind.name(),
            go_quote(text)
        ))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (container, host, size) = match parts.as_slice() {
        [container, host] => (*container, *host, "1"),
        [container, host, size] => (*container, *host, *size),
        _ => return Err(malformed()),
    };
    let digits = container.trim_start_matches(|flag: char| !flag.is_ascii_digit());
    let (mut extends, mut only) = (false, None);
    for flag in container[..container.len() - digits.len()].chars() {
        match flag {
            '+' => extends = true,
            'u' => only = Some(Kind::Uid),
            'g' => only = Some(Kind::Gid),
            flag => {
                let parts = parts.join(" ");
                return Err(Failure::plain(format!("invalid mapping: [{parts}]. Unknown flag {}", u32::from(flag))));
            }
        }
    }
    let value = |word: &str| {
        let shown = go_quote(word);
        word.parse::<u32>().map_err(|_| {
            Failure::plain(format!("parsing id map value {shown}: strconv.ParseUint: parsing {shown}: invalid syntax"))
        })
    };
    let (real, host) = match host.strip_prefix('@') {
        Some(host) => (true, host),
        None => (false, host),
    };
    Ok(Line { container: value(digits)?, host: value(host)?, size: value(size)?, real, extends, only })
}

/// The ranges of /etc/subuid or /etc/subgid, one after the other from 0 upward.
fn sub_ids(kind: Kind, name: &str, around: &Surroundings<'_>) -> Result<Vec<Line>, Failure> {
    let (file, word) = match kind {
        Kind::Uid => ("/etc/subuid", "subuid"),
        Kind::Gid => ("/etc/subgid", "subgid"),
    };
    let text = (around.read)(Path::new(file)).map_err(crate::error::on_path("open", file))?;
    let mut next = 0;
    let mut all = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split(':').collect();
        if let [who, first, count] = parts.as_slice()
            && *who == name
            && let (Ok(host), Ok(size)) = (first.trim().parse::<u32>(), count.trim().parse::<u32>())
        {
            all.push(Line { container: next, host, size, real: true, extends: false, only: None });
            next = next.saturating_add(size);
        }
    }
    match all.is_empty() {
        true => Err(Failure::plain(format!("no {word} ranges found for user {} in {file}", go_quote(name)))),
        false => Ok(all),
    }
}

/// One line in ids of the user's namespace.
fn place(kind: Kind, line: &Line, own: &[IdMap]) -> Result<IdMap, Failure> {
    let Line { container, mut host, size, .. } = *line;
    if line.real {
        let range = own.iter().find(|range| {
            line.host >= range.host
                && u64::from(line.host) + u64::from(size) <= u64::from(range.host) + u64::from(range.size)
        });
        let range = range.ok_or_else(|| {
            Failure::plain(format!("parent ID {} {} is not mapped/delegated", kind.name(), line.host)).hint(
                "creel unshare cat /proc/self/uid_map /proc/self/gid_map shows the ids you have, in the second column",
            )
        })?;
        host = range.container + (line.host - range.host);
    }
    Ok(IdMap { container, host, size })
}

/// The lines as maps. With `+` in one of them every other id of the user's is there, too, in its order.
fn resolve(kind: Kind, lines: &[Line], own: &[IdMap]) -> Result<Vec<IdMap>, Failure> {
    let available = own.iter().map(|range| range.container.saturating_add(range.size)).max().unwrap_or(0);
    if lines.is_empty() {
        return Ok(vec![IdMap { container: 0, host: 0, size: available }]);
    }
    let mut maps: Vec<IdMap> = Vec::new();
    for line in lines {
        let map = place(kind, line, own)?;
        if map.size == 0 {
            continue;
        }
        if line.extends {
            // It takes the place of what was said before about the same ids.
            maps = maps.into_iter().flat_map(|other| without(other, &map)).collect();
        }
        maps.push(map);
    }
    if maps.is_empty() {
        return Err(Failure::plain("must provide at least one UID or GID mapping to configure a user namespace"));
    }
    if lines.iter().any(|line| line.extends) {
        fill(&mut maps, available);
        maps.sort_by_key(|map| map.container);
    }
    Ok(maps)
}

/// What is left of a map when another one takes its container ids, or its host ids.
fn without(map: IdMap, other: &IdMap) -> Vec<IdMap> {
    let cut = |map: IdMap, from: u32, size: u32, of: fn(&IdMap) -> u32| -> Vec<IdMap> {
        let (first, end) = (of(&map), of(&map) + map.size);
        let (cut_first, cut_end) = (from.clamp(first, end), from.saturating_add(size).clamp(first, end));
        let part = |start: u32, stop: u32| IdMap {
            container: map.container + (start - first),
            host: map.host + (start - first),
            size: stop - start,
        };
        [part(first, cut_first), part(cut_end.max(cut_first), end)].into_iter().filter(|part| part.size > 0).collect()
    };
    cut(map, other.container, other.size, |map| map.container)
        .into_iter()
        .flat_map(|map| cut(map, other.host, other.size, |map| map.host))
        .collect()
}

/// Gives the host ids that are left to the container ids that are left, both in their order.
fn fill(maps: &mut Vec<IdMap>, available: u32) {
    let gaps = |mut taken: Vec<(u32, u32)>, until: u32| {
        taken.sort_unstable();
        let (mut next, mut gaps) = (0, Vec::new());
        for (first, end) in taken {
            if first > next {
                gaps.push((next, first));
            }
            next = next.max(end);
        }
        if next < until {
            gaps.push((next, until));
        }
        gaps
    };
    let hosts = gaps(maps.iter().map(|map| (map.host, map.host + map.size)).collect(), available);
    let places = gaps(maps.iter().map(|map| (map.container, map.container + map.size)).collect(), u32::MAX);
    let mut places = places.into_iter();
    let mut place = places.next();
    for (mut host, end) in hosts {
        while host < end
            && let Some((first, last)) = place
        {
            let size = (end - host).min(last - first);
            maps.push(IdMap { container: first, host, size });
            host += size;
            place = if first + size < last { Some((first + size, last)) } else { places.next() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::translate;
    use super::*;

    /// The made-up user has the id 1001 and the sub-ids from 100000.
    fn maps(line: &[&str]) -> Result<(String, String), String> {
        let line: Vec<&str> = line.iter().copied().chain(["i"]).collect();
        let shown = |maps: &[IdMap]| {
            maps.iter().map(|map| format!("{}:{}:{}", map.container, map.host, map.size)).collect::<Vec<_>>().join(" ")
        };
        match translate(&line)?.namespaces.user {
            UserNamespace::Private { uid_maps, gid_maps } => Ok((shown(&uid_maps), shown(&gid_maps))),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn maps_are_read_in_all_their_forms() {
        let whole = "0:0:65537";
        let table: &[(&[&str], &str, &str)] = &[
            (&["--uidmap", "0:1:10,10:20:5"], "0:1:10 10:20:5", "0:1:10 10:20:5"),
            (&["--uidmap", "0:1:10", "--gidmap", "0:1:5"], "0:1:10", "0:1:5"),
            (&["--gidmap", "0:1:5"], "0:1:5", "0:1:5"),
            (&["--uidmap", "0:@1001"], "0:0:1", "0:0:1"),
            (&["--uidmap", "0:@100000:10"], "0:1:10", "0:1:10"),
            (&["--uidmap", "+10:@1001:1"], "0:1:10 10:0:1 11:11:65526", "0:1:10 10:0:1 11:11:65526"),
            (&["--uidmap", "u+10:0:1"], "0:1:10 10:0:1 11:11:65526", whole),
            (&["--uidmap", "g+10:0:1"], whole, "0:1:10 10:0:1 11:11:65526"),
            (&["--uidmap", "+0:@1001:1"], "0:0:1 1:1:65536", "0:0:1 1:1:65536"),
            (&["--uidmap", "0:0:10", "--uidmap", "+5:20:1"], "0:0:5 5:20:1 6:6:4 10:5:1 11:10:10 21:21:65516", ""),
            (&["--subuidname", "me"], "0:1:65536", "0:1:65536"),
        ];
        for (line, uids, gids) in table {
            let (found_uids, found_gids) = maps(line).unwrap();
            assert_eq!(&found_uids, uids, "{line:?}");
            assert!(gids.is_empty() || &found_gids == gids, "{line:?}: {found_gids}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("--uidmap", "0:@5:10", "parent ID UID 5 is not mapped/delegated"),
            ("--uidmap", "x0:0:5", "invalid mapping: [x0 0 5]. Unknown flag 120"),
            ("--uidmap", "0:0:0", "must provide at least one UID or GID mapping to configure a user namespace"),
            ("--subuidname", "nope", "no subuid ranges found for user \"nope\" in /etc/subuid"),
        ];
        for (flag, value, expected) in table {
            assert_eq!(maps(&[flag, value]).unwrap_err(), expected);
        }
    }
}
