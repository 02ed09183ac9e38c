//! Hook directories (`--hooks-dir`): JSON files that say which program is to see which containers, and when. See
//! oci-hooks(5) of Podman for the format, and `runtime::hooks` for what becomes of those that fit.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oci_spec::runtime::{Hook, Hooks, Spec};
use regex::Regex;
use serde::Deserialize;

use crate::error::{Error, Result};

/// Where they are looked for when the user names no directory.
const DEFAULT: &str = "/usr/share/containers/oci/hooks.d";

/// The hooks of one container.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// See the configuration before the container is made, and may change it.
    precreate: Vec<Hook>,
    /// Those that the runtime runs.
    runtime: Hooks,
    /// Run when it is gone.
    pub(crate) poststop: Vec<Hook>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    version: String,
    hook: Hook,
    when: When,
    stages: Vec<String>,
}

/// All that is set must be true, and something must be set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct When {
    always: Option<bool>,
    /// Regular expressions for the key and the value of an annotation.
    annotations: BTreeMap<String, String>,
    /// Regular expressions for the program.
    commands: Vec<String>,
    has_bind_mounts: Option<bool>,
}

/// What a container is, as conditions see it.
struct Subject<'a> {
    annotations: &'a BTreeMap<&'a str, &'a str>,
    command: Option<&'a str>,
    has_bind_mounts: bool,
}

/// The hooks of the directories that fit a container. Of two files of one name the later directory's counts.
pub(crate) fn choose(directories: &[PathBuf], configuration: &Spec, has_bind_mounts: bool) -> Result<Chosen> {
    let fallback = [PathBuf::from(DEFAULT)];
    let directories = if directories.is_empty() { &fallback } else { directories };
    let mut files = BTreeMap::new();
    for directory in directories {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::Io { path: directory.clone(), source: error }),
        };
        for entry in entries {
            let path = entry.map_err(Error::io(directory))?.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(name) = path.file_name()
            {
                files.insert(name.to_string_lossy().to_lowercase(), path);
            }
        }
    }
    let mut chosen = Chosen::default();
    if files.is_empty() {
        return Ok(chosen);
    }
    let annotations = configuration.annotations().iter().flatten();
    let annotations = annotations.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let arguments = configuration.process().as_ref().and_then(|process| process.args().as_ref());
    let subject = Subject {
        annotations: &annotations,
        command: arguments.and_then(|arguments| arguments.first()).map(String::as_str),
        has_bind_mounts,
    };
    for path in files.values() {
        let bad = |why: String| Error::Invalid(format!("parsing hook {}: {why}", path.display()));
        let text = std::fs::read(path).map_err(Error::io(path))?;
        let definition: Definition = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if definition.version != "1.0.0" {
            return Err(bad(format!("unrecognized hook version: {:?}", definition.version)));
        }
        if definition.when.fits(&subject).map_err(|error| bad(error.to_string()))? {
            chosen.add(&definition).map_err(bad)?;
        }
    }
    Ok(chosen)
}

impl When {
    fn fits(&self, subject: &Subject<'_>) -> std::result::Result<bool, regex::Error> {
        let mut conditions = Vec::new();
        conditions.extend(self.always);
        conditions.extend(self.has_bind_mounts.map(|wanted| wanted == subject.has_bind_mounts));
        for (key, value) in &self.annotations {
            let (key, value) = (Regex::new(key)?, Regex::new(value)?);
            conditions.push(subject.annotations.iter().any(|(k, v)| key.is_match(k) && value.is_match(v)));
        }
        if !self.commands.is_empty() {
            let commands: std::result::Result<Vec<Regex>, _> =
                self.commands.iter().map(|text| Regex::new(text)).collect();
            let commands = commands?;
            let fits = |program| commands.iter().any(|command| command.is_match(program));
            conditions.push(subject.command.is_some_and(fits));
        }
        Ok(!conditions.is_empty() && conditions.into_iter().all(|condition| condition))
    }
}

impl Chosen {
    fn add(&mut self, definition: &Definition) -> std::result::Result<(), String> {
        for stage in &definition.stages {
            let list = match stage.as_str() {
                "precreate" => &mut self.precreate,
                "poststop" => &mut self.poststop,
                "prestart" => self.runtime.prestart_mut().get_or_insert_default(),
                "createRuntime" => self.runtime.create_runtime_mut().get_or_insert_default(),
                "createContainer" => self.runtime.create_container_mut().get_or_insert_default(),
                "startContainer" => self.runtime.start_container_mut().get_or_insert_default(),
                "poststart" => self.runtime.poststart_mut().get_or_insert_default(),
                other => return Err(format!("unknown stage {other:?}")),
            };
            list.push(definition.hook.clone());
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.precreate.is_empty() && self.poststop.is_empty() && self.runtime == Hooks::default()
    }

    /// Puts them into the configuration, which `precreate` hooks read and may answer with another one.
    pub(crate) fn apply(&self, mut configuration: Spec) -> Result<Spec> {
        if self.runtime != Hooks::default() {
            configuration.set_hooks(Some(self.runtime.clone()));
        }
        self.precreate.iter().try_fold(configuration, filter)
    }
}

fn filter(configuration: Spec, hook: &Hook) -> Result<Spec> {
    use std::os::unix::process::CommandExt as _;
    let failed = |what: String| Error::Invalid(format!("precreate hook {}: {what}", hook.path().display()));
    let mut command = Command::new(hook.path());
    if let Some((name, rest)) = hook.args().as_ref().and_then(|args| args.split_first()) {
        command.arg0(name).args(rest);
    }
    command.env_clear().envs(hook.env().iter().flatten().filter_map(|variable| variable.split_once('=')));
    let input = serde_json::to_vec(&configuration).map_err(|error| failed(error.to_string()))?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    // The configuration fits a pipe, or the hook reads it before it answers.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(&input);
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    if output.stdout.iter().all(u8::is_ascii_whitespace) {
        return Ok(configuration);
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(format!("its answer is no configuration: {error}")))
}

/// What hooks find in the bundle beside what they are told.
pub(crate) fn write_configuration(directory: &Path, configuration: &Spec) -> Result<()> {
    let path = directory.join("config.json");
    let text = serde_json::to_vec(configuration).map_err(|error| Error::Invalid(error.to_string()))?;
    std::fs::write(&path, text).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(when: &str, annotations: &[(&str, &str)], command: &str, has_bind_mounts: bool) -> bool {
        let annotations = annotations.iter().copied().collect();
        let when: When = serde_json::from_str(when).unwrap();
        when.fits(&Subject { annotations: &annotations, command: Some(command), has_bind_mounts }).unwrap()
    }

    #[test]
    fn every_condition_must_hold_and_there_must_be_one() {
        assert!(!fits("{}", &[], "sh", true));
        assert!(fits(r#"{"always": true}"#, &[], "sh", false));
        assert!(!fits(r#"{"always": false}"#, &[], "sh", false));
        assert!(!fits(r#"{"always": true, "hasBindMounts": true}"#, &[], "sh", false));
        assert!(fits(r#"{"commands": ["^/bin/", "sh$"]}"#, &[], "bash", false));
        assert!(!fits(r#"{"commands": ["^/bin/"]}"#, &[], "bash", false));
        let annotated = r#"{"annotations": {"^org\\.x$": "^(a|b)$"}}"#;
        assert!(fits(annotated, &[("org.x", "b")], "sh", false));
        assert!(!fits(annotated, &[("org.x", "c"), ("org.y", "a")], "sh", false));
    }

    #[test]
    fn an_unknown_stage_is_refused() {
        let text = r#"{"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": {}, "stages": ["before"]}"#;
        let definition: Definition = serde_json::from_str(text).unwrap();
        assert_eq!(Chosen::default().add(&definition), Err("unknown stage \"before\"".to_owned()));
    }
}
