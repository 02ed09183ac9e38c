//! `volume ...`: one file for each, and here what they share.

pub mod create;
pub mod exists;
pub mod export;
pub mod import;
pub mod inspect;
pub mod ls;
pub mod mount;
pub mod prune;
pub mod reload;
pub mod rm;
pub mod unmount;

use std::collections::BTreeMap;

use containers::{Engine, MountKind};
use jiff::Timestamp;
use storage::Volume;

use crate::arguments::{go_bool, go_quote};
use crate::error::{ExitCode, Failure};
use crate::filters::Pattern;
use crate::format::{Value, zero_time};
use crate::object;

/// The volume of that name, or the one whose name begins like that and no other's does.
pub fn find(engine: &Engine, name: &str) -> Result<Volume, Failure> {
    if let Some(volume) = engine.store.volume(name)? {
        return Ok(volume);
    }
    let mut found = all(engine)?.into_iter().filter(|volume| !name.is_empty() && volume.name.starts_with(name));
    match (found.next(), found.next()) {
        (Some(volume), None) => Ok(volume),
        (None, _) => Err(missing(name)),
        (Some(_), Some(_)) => {
            Err(Failure::plain(format!("more than one result for volume name {name}: volume already exists")))
        }
    }
}

pub fn missing(name: &str) -> Failure {
    Failure::plain(format!("no volume with name {} found: no such volume", go_quote(name)))
        .code(ExitCode::No)
        .missing("volume", name)
}

/// All volumes in the order they were made in; a damaged one is said and left out.
pub fn all(engine: &Engine) -> Result<Vec<Volume>, Failure> {
    let mut volumes = Vec::new();
    for (name, volume) in engine.store.volumes()? {
        match volume {
            Ok(volume) => volumes.push(volume),
            Err(error) => tracing::warn!(%name, %error, "cannot read a volume"),
        }
    }
    volumes.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
    Ok(volumes)
}

/// The containers that mount each volume, by full id.
pub fn users(engine: &Engine) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for container in containers::list_with_working(engine)? {
        for mount in &container.spec().mounts {
            if let MountKind::Volume { name: Some(name), .. } = &mount.kind {
                users.entry(name.clone()).or_default().push(container.id().to_string());
            }
        }
    }
    Ok(users)
}

pub fn created(volume: &Volume) -> Timestamp {
    Timestamp::new(volume.created.0, i32::try_from(volume.created.1).unwrap_or(0)).unwrap_or_else(|_| zero_time())
}

pub fn value(engine: &Engine, volume: &Volume) -> Value {
    object! {
        "Name": volume.name.clone(),
        "Driver": if volume.driver.is_empty() { "local" } else { volume.driver.as_str() },
        "Mountpoint": engine.store.volume_mountpoint(&volume.name).as_path(),
        "CreatedAt": created(volume),
        fn "Status": Value::Map(BTreeMap::new()),
        "Labels": Value::map(&volume.labels),
        "Scope": "local",
        "Options": Value::map(&volume.options),
        "UID"?: volume.uid,
        "GID"?: volume.gid,
        "Anonymous"?: volume.anonymous,
        "MountCount": 0i64,
        "NeedsCopyUp"?: volume.needs_copy_up,
        "NeedsChown"?: volume.needs_copy_up && volume.uid == 0 && volume.gid == 0,
        fn "Timeout": 0i64,
        fn "StorageID": "",
        "LockNumber": 0i64,
    }
}

/// One `--filter` of volumes.
enum Filter {
    Anonymous(bool),
    Dangling(bool),
    Driver(String),
    Label { key: String, value: Option<String>, negated: bool },
    Name(Pattern),
    Option { key: String, value: Option<String> },
    Scope(String),
    Since(Timestamp),
    Until(Timestamp),
}

/// All filters of a command. Different keys are "and"; the same key repeated is "or", labels are "and".
pub struct Filters(Vec<(String, Filter)>);

impl Filters {
    pub fn parse(engine: &Engine, texts: &[String]) -> Result<Filters, Failure> {
        let parse = |text: &String| {
            let Some((key, value)) = text.split_once('=') else {
                return Err(Failure::plain(format!(
                    "filter input must be in the form of filter=value: {text} is invalid"
                )));
            };
            let pair = || match value.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (value.to_owned(), None),
            };
            let filter = match key {
                "anonymous" | "dangling" => match go_bool(value) {
                    Some(wanted) if key == "anonymous" => Filter::Anonymous(wanted),
                    Some(wanted) => Filter::Dangling(wanted),
                    None => {
                        return Err(Failure::plain(format!(
                            "{} is not a valid value for the {} filter - must be true or false",
                            go_quote(value),
                            go_quote(key)
                        )));
                    }
                },
                "driver" => Filter::Driver(value.to_owned()),
                "label" | "label!" => {
                    let (label, value) = pair();
                    Filter::Label { key: label, value, negated: key == "label!" }
                }
                "name" => Filter::Name(Pattern::lenient(value)),
                "opt" => {
                    let (key, value) = pair();
                    Filter::Option { key, value }
                }
                "scope" => Filter::Scope(value.to_owned()),
                "after" | "since" => {
                    Filter::Since(created(&find(engine, value).map_err(|failure| failure.code(ExitCode::Failed))?))
                }
                "until" => Filter::Until(crate::when::filter(value)?),
                _ => return Err(Failure::plain(format!("{} is an invalid volume filter", go_quote(key)))),
            };
            Ok((key.to_owned(), filter))
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Filters)
    }

    pub fn pass(&self, volume: &Volume, is_used: bool) -> bool {
        self.0.iter().all(|(key, filter)| match filter {
            Filter::Label { .. } => fits(filter, volume, is_used),
            _ => self.0.iter().any(|(other, filter)| other == key && fits(filter, volume, is_used)),
        })
    }
}

fn fits(filter: &Filter, volume: &Volume, is_used: bool) -> bool {
    let has = |map: &BTreeMap<String, String>, key: &str, value: &Option<String>| {
        map.get(key).is_some_and(|found| value.as_ref().is_none_or(|value| found == value))
    };
    match filter {
        Filter::Anonymous(wanted) => volume.anonymous == *wanted,
        Filter::Dangling(wanted) => *wanted != is_used,
        Filter::Driver(driver) => volume.driver == *driver || volume.driver.is_empty() && driver == "local",
        Filter::Label { key, value, negated } => has(&volume.labels, key, value) != *negated,
        Filter::Name(pattern) => pattern.fits(&volume.name),
        Filter::Option { key, value } => has(&volume.options, key, value),
        Filter::Scope(scope) => scope == "local",
        Filter::Since(time) => created(volume) > *time,
        Filter::Until(time) => created(volume) < *time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose_volumes() {
        let labels = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let volume = Volume { name: "data-1".into(), driver: "local".into(), labels, ..Volume::default() };
        let label =
            |value: Option<&str>, negated| Filter::Label { key: "k".into(), value: value.map(str::to_owned), negated };
        assert!(fits(&label(None, false), &volume, false));
        assert!(fits(&label(Some("v"), false), &volume, false));
        assert!(!fits(&label(Some("w"), false), &volume, false));
        assert!(!fits(&label(None, true), &volume, false));
        assert!(fits(&Filter::Dangling(true), &volume, false));
        assert!(!fits(&Filter::Dangling(true), &volume, true));
        assert!(fits(&Filter::Name(Pattern::parse("^data").unwrap()), &volume, false));
    }
}
