//! `UserNS=`, and the keys `Remap...=` from before it.

use super::translation::Translation;
use crate::error::{Error, Result};

pub(super) fn of_unit(of: &mut Translation<'_>) -> Result<()> {
    let Some(entry) = of.last("RemapUsers").filter(|entry| !entry.value.is_empty()).cloned() else {
        if !of.all("RemapUid").is_empty() {
            return Err(Error::Conflict("UidMap set without RemapUsers"));
        }
        if !of.all("RemapGid").is_empty() {
            return Err(Error::Conflict("GidMap set without RemapUsers"));
        }
        let mode = of.text("UserNS").map(str::to_owned);
        of.command.extend(mode.into_iter().flat_map(|mode| ["--userns".to_owned(), mode]));
        return Ok(());
    };
    if ["UserNS", "UIDMap", "GIDMap", "SubUIDMap", "SubGIDMap"].iter().any(|key| of.last(key).is_some()) {
        return Err(Error::Conflict("deprecated Remap keys are set along with explicit mapping keys"));
    }
    let values = |key| of.all(key).into_iter().map(|entry| entry.value.clone()).collect::<Vec<_>>();
    let (uids, gids) = (values("RemapUid"), values("RemapGid"));
    let options: Vec<String> = match entry.value.as_str() {
        "manual" => {
            let of_kind = |flag: &str, maps: &[String]| {
                maps.iter().flat_map(|map| [flag.to_owned(), map.clone()]).collect::<Vec<_>>()
            };
            of.command.extend([of_kind("--uidmap", &uids), of_kind("--gidmap", &gids)].concat());
            return Ok(());
        }
        "auto" => {
            let mappings = uids
                .iter()
                .map(|map| format!("uidmapping={map}"))
                .chain(gids.iter().map(|map| format!("gidmapping={map}")));
            let size = of.text("RemapUidSize").map(|size| format!("size={size}"));
            mappings.chain(size).collect()
        }
        "keep-id" if uids.len() > 1 => {
            return Err(Error::Conflict("RemapUsers=keep-id supports only a single value for UID mapping"));
        }
        "keep-id" if gids.len() > 1 => {
            return Err(Error::Conflict("RemapUsers=keep-id supports only a single value for GID mapping"));
        }
        "keep-id" => {
            let ids = uids.iter().map(|id| format!("uid={id}")).chain(gids.iter().map(|id| format!("gid={id}")));
            ids.collect()
        }
        other => {
            return Err(Error::Value { why: format!("unsupported RemapUsers option '{other}'"), at: entry.at.clone() });
        }
    };
    let mode = match options.is_empty() {
        true => entry.value,
        false => format!("{}:{}", entry.value, options.join(",")),
    };
    of.command.extend(["--userns".to_owned(), mode]);
    Ok(())
}
