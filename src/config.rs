//! containers.conf and storage.conf, read only by commands that need a key of them, and parsed only where they exist.

mod keys;
mod shape;
mod storage_conf;

pub use storage_conf::StorageConfig;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use storage::{events, journald};
use toml::{Table, Value};

use crate::error::{ExitCode, Failure};

/// Where to look. Taken from the environment once, by [`crate::context`].
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `$XDG_CONFIG_HOME` or `~/.config`.
    pub config_home: PathBuf,
    pub uid: u32,
    /// `$CONTAINERS_CONF`: only this file.
    pub only: Option<PathBuf>,
    /// `$CONTAINERS_CONF_OVERRIDE`: read last.
    pub last: Option<PathBuf>,
    /// `--module`, after the others.
    pub modules: Vec<PathBuf>,
    /// `$CONTAINERS_STORAGE_CONF`.
    pub storage: Option<PathBuf>,
}

/// The merged keys of containers.conf.
#[derive(Clone, Debug, Default)]
pub struct Config {
    table: Table,
}

impl Config {
    /// Reads and merges all files; later ones win.
    pub fn load(places: &Places) -> Result<Config, Failure> {
        let mut config = Config::default();
        if let Some(only) = &places.only {
            only.metadata().map_err(|error| {
                let why = crate::error::on_path("faccessat", only)(error);
                unusable(format!("finding config on system: CONTAINERS_CONF file: {why}"))
            })?;
            config.merge_file(only, true)?;
        } else {
            config.merge_file(Path::new("/usr/share/containers/containers.conf"), false)?;
            let system = Path::new("/etc/containers");
            config.merge_file(&system.join("containers.conf"), false)?;
            config.merge_dir(&system.join("containers.conf.d"))?;
            config.merge_file(&system.join("containers.rootless.conf"), false)?;
            config.merge_dir(&system.join("containers.rootless.conf.d"))?;
            config.merge_dir(&system.join("containers.rootless.conf.d").join(places.uid.to_string()))?;
            let user = places.config_home.join("containers");
            config.merge_file(&user.join("containers.conf"), false)?;
            config.merge_dir(&user.join("containers.conf.d"))?;
        }
        for module in &places.modules {
            config.merge_file(&find_module(module, places)?, true)?;
        }
        if let Some(last) = &places.last {
            config.merge_file(last, false)?;
        }
        Ok(config)
    }

    fn merge_file(&mut self, path: &Path, required: bool) -> Result<(), Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(()),
            Err(error) => return Err(unusable(crate::error::on_path("open", path)(error))),
        };
        let layer = parse(&text, path)?;
        shape::check(&layer, &text, path)?;
        merge(&mut self.table, layer);
        Ok(())
    }

    fn merge_dir(&mut self, dir: &Path) -> Result<(), Failure> {
        let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
            .collect();
        files.sort();
        files.iter().try_for_each(|file| self.merge_file(file, false))
    }

    /// `[engine] env` as `NAME=VALUE`: variables for creel itself and what it starts.
    pub fn engine_variables(&self) -> Vec<(String, String)> {
        let texts = self.list("engine", "env");
        texts.iter().filter_map(|text| text.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// One debug message for each key that has no effect here.
    pub fn tell_what_is_not_honoured(&self) {
        for (section, keys) in &self.table {
            let Some(keys) = keys.as_table() else { continue };
            for name in keys.keys() {
                match keys::find(section, name).map(|key| key.is) {
                    Some(keys::Is::Honoured) => {}
                    Some(keys::Is::Ignored(why)) => {
                        tracing::debug!("containers.conf: {name} of [{section}] has no effect: {why}");
                    }
                    None => tracing::debug!("containers.conf: {name} of [{section}] is unknown"),
                }
            }
        }
    }

    fn get(&self, section: &str, key: &str) -> Option<&Value> {
        self.table.get(section)?.as_table()?.get(key)
    }

    pub fn text(&self, section: &str, key: &str) -> Option<&str> {
        self.get(section, key)?.as_str().filter(|text| !text.is_empty())
    }

    pub fn integer(&self, section: &str, key: &str) -> Option<i64> {
        self.get(section, key)?.as_integer()
    }

    pub fn boolean(&self, section: &str, key: &str) -> Option<bool> {
        self.get(section, key)?.as_bool()
    }

    pub fn list(&self, section: &str, key: &str) -> Vec<String> {
        let items = self.get(section, key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }

    /// Addresses of the Internet protocol.
    pub fn addresses(&self, section: &str, key: &str) -> Result<Vec<IpAddr>, Failure> {
        self.list(section, key).iter().map(|text| self.address(section, key, text)).collect()
    }

    pub fn address(&self, section: &str, key: &str, text: &str) -> Result<IpAddr, Failure> {
        let unknown = |_| Failure::plain(format!("containers.conf: {key} of [{section}]: invalid IP address {text:?}"));
        text.parse().map_err(unknown)
    }

    /// `[engine.runtimes_flags] NAME = [flags]`, without their dashes.
    pub fn runtime_flags(&self, name: &str) -> Vec<String> {
        let flags = self.get("engine", "runtimes_flags").and_then(Value::as_table).and_then(|table| table.get(name));
        let flags = flags.and_then(Value::as_array).into_iter().flatten();
        flags.filter_map(|flag| flag.as_str().map(str::to_owned)).collect()
    }

    /// A table of texts, as `[secrets.opts]`.
    pub fn texts_of(&self, section: &str, key: &str) -> BTreeMap<String, String> {
        let table = self.get(section, key).and_then(Value::as_table);
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        table.into_iter().flatten().filter_map(text).collect()
    }

    /// Where events go: by the flag, else the file.
    pub fn events(&self, flag: Option<&str>) -> Result<events::Options, Failure> {
        let backend = match flag.or(self.text("engine", "events_logger")) {
            None | Some("file") => events::Backend::File,
            Some("none") => events::Backend::None,
            Some("journald") if journald::is_there() => events::Backend::Journald,
            // What the file asks for may suit another machine; a flag is meant.
            Some("journald") if flag.is_none() => events::Backend::File,
            Some("journald") => {
                let text = format!("no systemd-journald runs here: {} is missing", journald::SOCKET);
                return Err(Failure::plain(text).hint("use --events-backend file"));
            }
            Some(other) => {
                let other = crate::arguments::go_quote(other);
                return Err(Failure::plain(format!("{other} is not a valid events backend: invalid argument")));
            }
        };
        let defaults = events::Options::default();
        let max_bytes = match self.get("engine", "events_logfile_max_size") {
            None => defaults.max_bytes,
            Some(Value::Integer(bytes)) => u64::try_from(*bytes).unwrap_or_default(),
            Some(value) => {
                let text = value.as_str().unwrap_or_default();
                let bytes = crate::format::human::parse_size(text)
                    .map_err(|why| Failure::plain(format!("events_logfile_max_size {text:?}: {why}")))?;
                u64::try_from(bytes).unwrap_or_default()
            }
        };
        let path = self.text("engine", "events_logfile_path").map(PathBuf::from);
        let health_checks = self.boolean("engine", "healthcheck_events").unwrap_or(defaults.health_checks);
        Ok(events::Options { backend, path, max_bytes, health_checks })
    }

    /// `[network] default_subnet_pools`: where subnets of networks are taken from, and how large they are.
    pub fn subnet_pools(&self) -> Vec<(network::Cidr, u8)> {
        let pools = self.get("network", "default_subnet_pools").and_then(Value::as_array);
        let pool = |value: &Value| {
            let base = value.get("base")?.as_str()?.parse().ok()?;
            Some((base, u8::try_from(value.get("size")?.as_integer()?).ok().filter(|size| *size <= 32)?))
        };
        pools.into_iter().flatten().filter_map(pool).collect()
    }

    /// `[network] default_subnet`: that of the network which is always there.
    pub fn default_subnet(&self) -> Result<Option<network::Cidr>, Failure> {
        let Some(text) = self.text("network", "default_subnet") else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Failure::plain(format!("containers.conf: default_subnet of [network]: invalid CIDR address {text:?}"))
        })
    }

    /// `[engine.runtimes] NAME = [paths]`.
    pub fn runtime_paths(&self, name: &str) -> Vec<PathBuf> {
        let runtimes = self.get("engine", "runtimes").and_then(Value::as_table);
        let paths = runtimes.and_then(|table| table.get(name)).and_then(Value::as_array);
        paths.into_iter().flatten().filter_map(|path| path.as_str().map(PathBuf::from)).collect()
    }

    #[cfg(test)]
    pub fn from_text(text: &str) -> Config {
        Config { table: parse(text, Path::new("test")).unwrap() }
    }
}

fn parse(text: &str, path: &Path) -> Result<Table, Failure> {
    text.parse::<Table>().map_err(|error| {
        let problem = error.message().to_owned();
        let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        unusable(format!("decode configuration {}: line {line}: {problem}", path.display()))
    })
}

/// A configuration file that nothing can be done with, as Podman says it: without `Error:`, and the process ends with 1.
fn unusable(problem: impl std::fmt::Display) -> Failure {
    Failure::plain(format!("Failed to obtain creel configuration: {problem}")).code(ExitCode::No).bare()
}

/// A relative module is looked for below the module directories, the user's first.
fn find_module(module: &Path, places: &Places) -> Result<PathBuf, Failure> {
    if module.is_absolute() {
        return match module.metadata() {
            Ok(_) => Ok(module.to_owned()),
            Err(error) => {
                let why = crate::error::on_path("faccessat", module)(error);
                Err(unusable(format!("could not resolve module \"{}\": {why}", module.display())))
            }
        };
    }
    let user = places.config_home.join("containers/containers.conf.modules");
    let places = [
        user.as_path(),
        Path::new("/etc/containers/containers.conf.modules"),
        Path::new("/usr/share/containers/containers.conf.modules"),
    ];
    places.iter().map(|dir| dir.join(module)).find(|path| path.exists()).ok_or_else(|| {
        let failure = unusable(format!("could not resolve module \"{}\"", module.display()));
        failure.hint(format!("modules lie in {}, or are named by their whole path", user.display()))
    })
}

/// Tables merge by key, everything else is replaced. An array that ends in `{append=true}` is added to what was there, and
/// so are those of later files, until one says `{append=false}`: so the mark stays at the end.
fn merge(into: &mut Table, layer: Table) {
    for (key, value) in layer {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(more)) => merge(known, more),
            (known, Value::Array(mut items)) => {
                let mut known = match known {
                    Some(Value::Array(known)) => std::mem::take(known),
                    _ => Vec::new(),
                };
                let before = take_mark(&mut known);
                let mark = take_mark(&mut items).or(before);
                if mark.as_ref().is_some_and(appends) {
                    known.append(&mut items);
                    items = known;
                }
                items.extend(mark);
                into.insert(key, Value::Array(items));
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// `{append=...}` at the end of an array.
fn take_mark(items: &mut Vec<Value>) -> Option<Value> {
    items.pop_if(|last| last.as_table().is_some_and(|table| table.contains_key("append")))
}

fn appends(mark: &Value) -> bool {
    mark.get("append").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_merge_by_key_and_arrays_append_when_asked() {
        let mut config =
            Config::from_text("[containers]\nenv = [\"A=1\"]\npids_limit = 5\n[engine]\nruntime = \"crun\"\n");
        let layer = "[containers]\nenv = [\"B=2\", {append=true}]\nlog_driver = \"none\"\n";
        merge(&mut config.table, parse(layer, Path::new("x")).unwrap());
        assert_eq!(config.list("containers", "env"), ["A=1", "B=2"]);
        assert_eq!(config.integer("containers", "pids_limit"), Some(5));
        assert_eq!(config.text("containers", "log_driver"), Some("none"));
        assert_eq!(config.text("engine", "runtime"), Some("crun"));
        merge(&mut config.table, parse("[containers]\nenv = [\"C=3\"]\n", Path::new("x")).unwrap());
        assert_eq!(config.list("containers", "env"), ["A=1", "B=2", "C=3"]);
        let layer = "[containers]\nenv = [\"D=4\", {append=false}]\n";
        merge(&mut config.table, parse(layer, Path::new("x")).unwrap());
        assert_eq!(config.list("containers", "env"), ["D=4"]);
    }

    #[test]
    fn a_damaged_file_is_named_with_its_line() {
        let error = parse("[containers]\nenv = [\n", Path::new("/etc/x.conf")).unwrap_err().to_string();
        assert!(error.contains(": decode configuration /etc/x.conf: line "), "{error}");
    }
}
