//! What an image says about how to run it: the `config` object of its configuration.
//!
//! Read with Docker's additions (health check, shell, onbuild), which the OCI type leaves out, and with ordered maps, so
//! that writing the same settings gives the same bytes and thereby the same image id.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Keys of a set, in Go's way: `{"80/tcp": {}}`.
pub type Set = BTreeMap<String, Empty>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// image-spec config.md, `config`, and Docker's fields beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub user: String,
    /// `80/tcp`.
    #[serde(skip_serializing_if = "Set::is_empty", deserialize_with = "or_default")]
    pub exposed_ports: Set,
    /// `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Set::is_empty", deserialize_with = "or_default")]
    pub volumes: Set,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub stop_signal: String,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub on_build: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub shell: Vec<String>,
}

/// Docker's health check. Times are nanoseconds; 0 leaves the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", args...]` or `["CMD-SHELL", line]`.
    #[serde(deserialize_with = "or_default")]
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

impl Healthcheck {
    /// One of the times as a duration, `None` where it is unset.
    pub fn duration(nanoseconds: i64) -> Option<Duration> {
        u64::try_from(nanoseconds).ok().filter(|time| *time > 0).map(Duration::from_nanos)
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Docker writes `null` for every empty field.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Settings {
    /// With something in every field, so that its JSON has every key.
    pub(crate) fn complete() -> Settings {
        let text = || "x".to_owned();
        let set = || Set::from([(text(), Empty {})]);
        Settings {
            user: text(),
            exposed_ports: set(),
            env: vec![text()],
            entrypoint: Some(Vec::new()),
            cmd: Some(Vec::new()),
            volumes: set(),
            working_dir: text(),
            labels: BTreeMap::from([(text(), text())]),
            stop_signal: text(),
            stop_timeout: Some(0),
            healthcheck: Some(Healthcheck::default()),
            on_build: vec![text()],
            shell: vec![text()],
        }
    }

    /// Lays others over these: what they have replaces single values, and is added to lists and maps.
    pub fn merge(&mut self, other: &Settings) {
        let text = |place: &mut String, value: &String| {
            if !value.is_empty() {
                place.clone_from(value);
            }
        };
        text(&mut self.user, &other.user);
        text(&mut self.working_dir, &other.working_dir);
        text(&mut self.stop_signal, &other.stop_signal);
        for entry in &other.env {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            self.set_variable(name, value);
        }
        self.exposed_ports.extend(other.exposed_ports.clone());
        self.volumes.extend(other.volumes.clone());
        self.labels.extend(other.labels.clone());
        self.on_build.extend(other.on_build.iter().cloned());
        self.entrypoint = other.entrypoint.clone().or(self.entrypoint.take());
        self.cmd = other.cmd.clone().or(self.cmd.take());
        self.stop_timeout = other.stop_timeout.or(self.stop_timeout);
        self.healthcheck = other.healthcheck.clone().or(self.healthcheck.take());
        if !other.shell.is_empty() {
            self.shell.clone_from(&other.shell);
        }
    }

    /// The value of one environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|entry| entry.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
    }

    /// Sets one environment variable in its place, or at the end.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        match self.env.iter_mut().find(|entry| entry.split_once('=').is_some_and(|(key, _)| key == name)) {
            Some(place) => *place = entry,
            None => self.env.push(entry),
        }
    }
}
