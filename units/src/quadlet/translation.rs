//! From all Quadlets that were found to their services.

use std::collections::BTreeMap;

use super::keys::{self, Becomes, Key};
use super::kind::{self, Kind};
use super::{build, container, kube, network, paths, pod, pull, references, volume};
use crate::error::{Error, Result};
use crate::file::{Entry, UnitFile};
use crate::words::joined;

/// What a translation asks of the machine.
pub struct Host<'a> {
    /// Whether this path is there (`AddDevice=-/dev/x`).
    pub exists: &'a dyn Fn(&str) -> bool,
    /// The number of a user's or a group's name (`User=` and `Group=` of a volume).
    pub user: &'a dyn Fn(&str) -> Option<u32>,
    pub group: &'a dyn Fn(&str) -> Option<u32>,
}

/// For whom the services are.
pub struct Setting<'a> {
    /// The path of the program that the services call.
    pub program: &'a str,
    /// The unit that a service waits for before it needs the network.
    pub network: &'a str,
    pub host: Host<'a>,
}

/// What became of one Quadlet.
pub struct Outcome {
    /// The name of its file.
    pub name: String,
    /// The name of its service, with `.service`.
    pub service: String,
    /// The service's file, or why there is none.
    pub unit: Result<UnitFile>,
    /// What was taken and is yet worth a word.
    pub warnings: Vec<String>,
}

/// One Quadlet, and what is known of it before anything is translated.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) unit: UnitFile,
    /// Its service's name, without `.service`.
    pub(super) service: String,
}

/// The translation of one Quadlet.
pub(super) struct Translation<'a> {
    pub(super) source: &'a Source,
    pub(super) all: &'a BTreeMap<String, Source>,
    pub(super) setting: &'a Setting<'a>,
    /// The containers of each pod that its service starts, by the file's name of the pod.
    pub(super) members: &'a mut BTreeMap<String, Vec<String>>,
    /// What is made: the Quadlet's other sections and what is added.
    pub(super) service: UnitFile,
    /// The command line that is being written.
    pub(super) command: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// The services of these Quadlets: each the name of its file and what is in it and in its drop-ins. In the order in which
/// they are to be written.
pub fn translate(quadlets: Vec<(String, UnitFile)>, setting: &Setting<'_>) -> Vec<Outcome> {
    let sources: BTreeMap<String, Source> = quadlets
        .into_iter()
        .filter_map(|(name, unit)| {
            let kind = Kind::of(&name)?;
            let service = kind::service_stem(&name, kind, &unit);
            Some((name.clone(), Source { name, kind, unit, service }))
        })
        .collect();
    let mut order: Vec<&Source> = sources.values().collect();
    order.sort_by_key(|source| source.kind);
    let mut members = BTreeMap::new();
    let mut services: BTreeMap<&str, &str> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for source in order {
        let mut translation = Translation {
            source,
            all: &sources,
            setting,
            members: &mut members,
            service: source.unit.clone(),
            command: Vec::new(),
            warnings: Vec::new(),
        };
        let made = match services.get(source.service.as_str()) {
            Some(first) => {
                let service = format!("{}.service", source.service);
                Err(Error::SameService { service, first: (*first).to_owned() })
            }
            None => translation.run(),
        };
        let Translation { service, warnings, .. } = translation;
        if made.is_ok() {
            services.insert(&source.service, &source.name);
        }
        outcomes.push(Outcome {
            name: source.name.clone(),
            service: format!("{}.service", source.service),
            unit: made.map(|()| service),
            warnings,
        });
    }
    outcomes
}

impl Translation<'_> {
    fn run(&mut self) -> Result<()> {
        self.check_keys()?;
        self.warn_of_users();
        let kind = self.source.kind;
        self.service.rename_section(kind.section(), &format!("X-{}", kind.section()));
        self.service.rename_section("Quadlet", "X-Quadlet");
        references::translate_dependencies(&mut self.service, self.all)?;
        if self.source.unit.switch("Quadlet", "DefaultDependencies")? != Some(false) {
            self.service.add_first("Unit", "After", self.setting.network);
            self.service.add_first("Unit", "Wants", self.setting.network);
        }
        self.service.add("Unit", "SourcePath", self.source.unit.path());
        self.service.add("Unit", "RequiresMountsFor", "%t/containers");
        match kind {
            Kind::Container => container::translate(self),
            Kind::Pod => pod::translate(self),
            Kind::Volume => volume::translate(self),
            Kind::Network => network::translate(self),
            Kind::Kube => kube::translate(self),
            Kind::Image | Kind::Artifact => pull::translate(self),
            Kind::Build => build::translate(self),
        }
    }

    fn check_keys(&self) -> Result<()> {
        for (section, known) in [(self.source.kind.section(), self.source.kind.keys()), ("Quadlet", keys::QUADLET)] {
            let unknown = self.source.unit.entries(section).find(|entry| known.iter().all(|key| key.name != entry.key));
            if let Some(entry) = unknown {
                return Err(Error::UnknownKey {
                    key: entry.key.clone(),
                    section: section.to_owned(),
                    at: entry.at.clone(),
                    nearest: keys::nearest(known, &entry.key),
                });
            }
        }
        Ok(())
    }

    fn warn_of_users(&mut self) {
        for key in ["User", "Group", "DynamicUser"] {
            if self.source.unit.last("Service", key).is_some() {
                self.warnings
                    .push(format!("using key {key} in the Service group is not supported - use at your own risk"));
            }
        }
    }

    /// All keys of this kind that are flags, in the table's order.
    pub(super) fn add_keys(&mut self) -> Result<()> {
        self.source.kind.keys().iter().try_for_each(|key| self.add_key(key))
    }

    fn add_key(&mut self, key: &Key) -> Result<()> {
        let (section, unit) = (self.source.kind.section(), &self.source.unit);
        match key.becomes {
            Becomes::Last(flag, prefix) => {
                if let Some(value) = unit.text(section, key.name) {
                    self.command.extend([flag.to_owned(), format!("{prefix}{value}")]);
                }
            }
            Becomes::Joined(flag) => {
                self.command.extend(unit.text(section, key.name).map(|value| format!("{flag}={value}")))
            }
            Becomes::Each(flag) => {
                for entry in unit.all(section, key.name) {
                    self.command.extend([flag.to_owned(), entry.value.clone()]);
                }
            }
            Becomes::Words(flag, prefix) => {
                for word in unit.words(section, key.name)? {
                    self.command.extend([flag.to_owned(), format!("{prefix}{word}")]);
                }
            }
            Becomes::Pairs(flag) => {
                let words = unit.words(section, key.name)?;
                let pairs: BTreeMap<&str, &String> = words
                    .iter()
                    .map(|word| (word.split_once('=').map_or(word.as_str(), |(name, _)| name), word))
                    .collect();
                for pair in pairs.into_values() {
                    self.command.extend([flag.to_owned(), pair.clone()]);
                }
            }
            Becomes::Paths(flag) => {
                for word in unit.words(section, key.name)? {
                    self.command.extend([flag.to_owned(), paths::absolute(unit.path(), &word)]);
                }
            }
            Becomes::Switch(flag) => {
                if let Some(on) = unit.switch(section, key.name)? {
                    self.command.push(if on { flag.to_owned() } else { format!("{flag}=false") });
                }
            }
            Becomes::When(words) => {
                if unit.switch(section, key.name)? == Some(true) {
                    self.command.extend(words.iter().map(|word| (*word).to_owned()));
                }
            }
            Becomes::Verbatim => self.command.extend(unit.words(section, key.name)?),
            Becomes::Done(_, act) => act(self)?,
            Becomes::Read(_) | Becomes::Retired(_) => {}
        }
        Ok(())
    }

    /// A command line of creel's: the program, `GlobalArgs=`, and these words.
    pub(super) fn begin(&self, words: &[&str]) -> Result<Vec<String>> {
        let (section, unit) = (self.source.kind.section(), &self.source.unit);
        let mut line = vec![self.setting.program.to_owned()];
        line.extend(unit.all(section, "ContainersConfModule").iter().map(|entry| format!("--module={}", entry.value)));
        line.extend(unit.words(section, "GlobalArgs")?);
        line.extend(words.iter().map(|word| (*word).to_owned()));
        Ok(line)
    }

    /// `KEY=` of `[Service]` is this command line.
    pub(super) fn add_line(&mut self, key: &str, line: &[String]) {
        let minus = if key == "ExecStopPost" && self.source.kind == Kind::Container { "-" } else { "" };
        self.service.add("Service", key, &format!("{minus}{}", joined(line)));
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.source.unit.text(self.source.kind.section(), key)
    }

    pub(super) fn last(&self, key: &str) -> Option<&Entry> {
        self.source.unit.last(self.source.kind.section(), key)
    }

    pub(super) fn all(&self, key: &str) -> Vec<&Entry> {
        self.source.unit.all(self.source.kind.section(), key)
    }

    pub(super) fn switch(&self, key: &str) -> Result<Option<bool>> {
        self.source.unit.switch(self.source.kind.section(), key)
    }

    pub(super) fn words(&self, key: &str) -> Result<Vec<String>> {
        self.source.unit.words(self.source.kind.section(), key)
    }

    /// `[Service]`'s own word goes before ours.
    pub(super) fn default(&mut self, key: &str, value: &str) {
        if self.source.unit.text("Service", key).is_none() {
            self.service.set("Service", key, value);
        }
    }

    /// `KillMode=`: only the monitor is told to end, and only those two modes leave creel the time to clean up.
    pub(super) fn kill_mode(&mut self) -> Result<()> {
        match self.source.unit.last("Service", "KillMode").filter(|entry| !entry.value.is_empty()) {
            None => self.service.set("Service", "KillMode", "mixed"),
            Some(entry) if matches!(entry.value.as_str(), "mixed" | "control-group") => {}
            Some(entry) => {
                return Err(Error::Value { why: format!("invalid KillMode '{}'", entry.value), at: entry.at.clone() });
            }
        }
        Ok(())
    }

    /// The `Type=` of `[Service]`, where only `notify` (the default) and `oneshot` are possible.
    pub(super) fn is_oneshot(&self) -> Result<bool> {
        match self.source.unit.last("Service", "Type") {
            None => Ok(false),
            Some(entry) => match entry.value.as_str() {
                "notify" => Ok(false),
                "oneshot" => Ok(true),
                other => Err(Error::Value { why: format!("invalid service Type '{other}'"), at: entry.at.clone() }),
            },
        }
    }

    /// The service ends when its command does, and stays active.
    pub(super) fn oneshot(&mut self, line: &[String]) {
        self.add_line("ExecStart", line);
        self.default("SyslogIdentifier", "%N");
        self.default("Type", "oneshot");
    }

    pub(super) fn warn_of_short_name(&mut self, image: &str) {
        if !pull::is_unambiguous(image) {
            self.warnings.push(format!(
                "{} specifies the image \"{image}\" which not a fully qualified image name. This is not ideal for performance and \
                 security reasons. See the podman-pull manpage discussion of short-name-aliases.conf for details.",
                self.source.name
            ));
        }
    }
}
