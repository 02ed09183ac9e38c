//! storage.conf: where the store is, and how its root file systems are made.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Places, parse, shape, unusable};
use crate::error::Failure;

/// The keys of storage.conf that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageConfig {
    pub driver: Option<String>,
    pub graphroot: Option<PathBuf>,
    pub runroot: Option<PathBuf>,
    pub mount_program: Option<PathBuf>,
    pub ignore_chown_errors: bool,
    pub imagestore: Option<PathBuf>,
    /// Roots of stores whose images are seen, too.
    pub additional_stores: Vec<PathBuf>,
}

impl StorageConfig {
    /// The file that counts, and whether it is the user's: that one replaces the system's as a whole.
    pub fn file(places: &Places) -> Option<(PathBuf, bool)> {
        if let Some(path) = &places.storage {
            return Some((path.clone(), true));
        }
        let candidates = [
            (places.config_home.join("containers/storage.conf"), true),
            ("/etc/containers/storage.conf".into(), false),
            ("/usr/share/containers/storage.conf".into(), false),
        ];
        // One that nobody may look at is there: reading it says so.
        candidates.into_iter().find(|(path, _)| path.try_exists().unwrap_or(true))
    }

    /// The system's paths are root's, so only its options count.
    pub fn load(places: &Places, variable: impl Fn(&str) -> Option<String>) -> Result<StorageConfig, Failure> {
        let Some((path, ours)) = StorageConfig::file(places) else { return Ok(StorageConfig::default()) };
        let text = fs::read_to_string(&path).map_err(|error| unusable(crate::error::on_path("open", &path)(error)))?;
        StorageConfig::parse(&text, &path, ours, &variable)
    }

    fn parse(
        text: &str,
        path: &Path,
        ours: bool,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<StorageConfig, Failure> {
        let table = parse(text, path)?;
        check(&table, text, path)?;
        tell_of_storage(&table);
        let storage = table.get("storage").and_then(Value::as_table);
        let options = storage.and_then(|table| table.get("options")).and_then(Value::as_table);
        let overlay = options.and_then(|table| table.get("overlay")).and_then(Value::as_table);
        let text_of = |table: Option<&Table>, key: &str| {
            table
                .and_then(|table| table.get(key))
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let path_of = |key: &str| text_of(storage, key).map(|text| PathBuf::from(expand(&text, variable)));
        let ignore = |table: Option<&Table>| {
            // Podman's file has it as a text.
            table
                .and_then(|table| table.get("ignore_chown_errors"))
                .is_some_and(|value| value.as_bool() == Some(true) || value.as_str() == Some("true"))
        };
        Ok(StorageConfig {
            driver: text_of(storage, "driver"),
            graphroot: path_of("rootless_storage_path").or_else(|| path_of("graphroot").filter(|_| ours)),
            runroot: path_of("runroot").filter(|_| ours),
            mount_program: text_of(overlay, "mount_program")
                .or_else(|| text_of(options, "mount_program"))
                .map(PathBuf::from),
            ignore_chown_errors: ignore(overlay) || ignore(options),
            imagestore: path_of("imagestore").filter(|_| ours),
            additional_stores: list_of(options, "additionalimagestores")
                .chain(list_of(overlay, "additionalimagestores"))
                .map(|text| PathBuf::from(expand(text, variable)))
                .collect(),
        })
    }
}

/// The texts of a list.
fn list_of<'a>(table: Option<&'a Table>, key: &str) -> impl Iterator<Item = &'a str> {
    let list = table.and_then(|table| table.get(key)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).filter(|text| !text.is_empty())
}

/// What is read as a text has to be one.
fn check(table: &Table, text: &str, path: &Path) -> Result<(), Failure> {
    const TEXTS: [&[&str]; 7] = [
        &["storage", "driver"],
        &["storage", "graphroot"],
        &["storage", "imagestore"],
        &["storage", "runroot"],
        &["storage", "rootless_storage_path"],
        &["storage", "options", "mount_program"],
        &["storage", "options", "overlay", "mount_program"],
    ];
    for keys in TEXTS {
        let (name, tables) = keys.split_last().unwrap_or((&"", &[]));
        let inner = tables.iter().try_fold(table, |table, name| table.get(*name)?.as_table());
        if let Some(value) = inner.and_then(|table| table.get(*name)).filter(|value| !value.is_str()) {
            return Err(shape::wrong(path, text, keys, &shape::mismatch(value, "string")));
        }
    }
    Ok(())
}

/// One debug message for each key of storage.conf that has no effect here.
fn tell_of_storage(table: &Table) {
    let honoured = [
        "driver",
        "graphroot",
        "rootless_storage_path",
        "runroot",
        "options",
        "overlay",
        "mount_program",
        "ignore_chown_errors",
        "imagestore",
        "additionalimagestores",
    ];
    let mut tables = vec![("storage".to_owned(), table.get("storage").and_then(Value::as_table))];
    while let Some((name, table)) = tables.pop() {
        for (key, value) in table.into_iter().flatten() {
            match value {
                Value::Table(inner) if honoured.contains(&key.as_str()) => {
                    tables.push((format!("{name}.{key}"), Some(inner)));
                }
                _ if honoured.contains(&key.as_str()) => {}
                _ => tracing::debug!("storage.conf: {key} of [{name}] has no effect: creel's store is its own"),
            }
        }
    }
}

/// `$HOME`, `$UID` and other variables in a path.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let (name, next) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, next)) => (name, next),
            None => {
                let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        out.push_str(&variable(name).unwrap_or_default());
        rest = next;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_conf_gives_paths_and_options() {
        let text = "[storage]\ndriver=\"overlay\"\ngraphroot=\"$HOME/x\"\nrunroot=\"/run/${UID}\"\n\
                    [storage.options]\nignore_chown_errors=\"true\"\n[storage.options.overlay]\nmount_program=\"/usr/bin/fuse-overlayfs\"\n";
        let variable = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "UID" => Some("7".to_owned()),
            _ => None,
        };
        let read = |ours| StorageConfig::parse(text, Path::new("x"), ours, &variable).unwrap();
        assert_eq!(read(true).graphroot, Some("/home/me/x".into()));
        assert_eq!(read(true).runroot, Some("/run/7".into()));
        assert_eq!(read(true).mount_program, Some("/usr/bin/fuse-overlayfs".into()));
        assert!(read(true).ignore_chown_errors);
        assert_eq!(read(false).graphroot, None);
    }
}
