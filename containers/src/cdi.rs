//! Devices by name, from the files of their vendors: the Container Device Interface, see its SPEC.md. A name
//! (`vendor.com/class=name`) stands for edits of the container's configuration.

mod yaml;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hook, Hooks, Mount, Spec};
use serde::Deserialize;

use crate::devices;
use crate::error::{Error, Result};
use crate::oci::VolumeMount;

/// Where the specification says they are, the second one for what is made at run time.
const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    kind: String,
    #[serde(default)]
    devices: Vec<Device>,
    #[serde(default)]
    container_edits: Edits,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// What a device changes. Fields that are not here (intelRdt, netDevices) need rights over the host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Edits {
    env: Vec<String>,
    device_nodes: Vec<Node>,
    mounts: Vec<CdiMount>,
    hooks: Vec<CdiHook>,
    #[serde(rename = "additionalGids")]
    additional_gids: Vec<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    path: PathBuf,
    #[serde(default)]
    host_path: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CdiMount {
    host_path: PathBuf,
    container_path: PathBuf,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CdiHook {
    hook_name: String,
    path: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    timeout: Option<i64>,
}

/// Whether a name is one of these devices and not a path: `vendor.com/class=name`.
pub fn is_device_name(text: &str) -> bool {
    let word = |text: &str| text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    text.split_once('=')
        .and_then(|(kind, name)| Some((kind.split_once('/')?, name)))
        .is_some_and(|((vendor, class), name)| word(vendor) && word(class) && word(name) && !class.contains('/'))
}

/// The edits of all these devices together.
///
/// # Errors
/// [`Error::Invalid`] for names that no file has.
pub(crate) fn find(directories: &[PathBuf], names: &[String]) -> Result<Edits> {
    let mut all = Edits::default();
    if names.is_empty() {
        return Ok(all);
    }
    let files = read(directories);
    let mut missing = Vec::new();
    let mut kinds = Vec::new();
    for name in names {
        let found = name.split_once('=').and_then(|(kind, name)| {
            // A later directory is the more important one.
            files
                .iter()
                .rev()
                .filter(|file| file.kind == kind)
                .find_map(|file| Some((file, file.devices.iter().find(|device| device.name == name)?)))
        });
        match found {
            Some((file, device)) => {
                if !kinds.contains(&&file.kind) {
                    kinds.push(&file.kind);
                    all.add(&file.container_edits);
                }
                all.add(&device.container_edits);
            }
            None => missing.push(name.as_str()),
        }
    }
    match missing.is_empty() {
        true => Ok(all),
        false => {
            Err(Error::Invalid(format!("setting up CDI devices: unresolvable CDI devices {}", missing.join(", "))))
        }
    }
}

/// Every file that can be read; a broken one is no reason to fail for the devices of others.
fn read(directories: &[PathBuf]) -> Vec<File> {
    let usual = DIRECTORIES.map(PathBuf::from);
    let directories = if directories.is_empty() { usual.as_slice() } else { directories };
    let mut files = Vec::new();
    for directory in directories {
        // Sorted, so that what counts does not depend on the disk.
        let entries: BTreeMap<_, _> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| (entry.file_name(), entry.path()))
            .collect();
        for path in entries.into_values() {
            let is_json = match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => true,
                Some("yaml" | "yml") => false,
                _ => continue,
            };
            match read_file(&path, is_json) {
                Ok(file) => files.push(file),
                Err(error) => tracing::warn!(path = %path.display(), error, "cannot read a CDI specification"),
            }
        }
    }
    files
}

fn read_file(path: &Path, is_json: bool) -> std::result::Result<File, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    if is_json {
        return serde_json::from_str(&text).map_err(|error| error.to_string());
    }
    serde_json::from_value(yaml::parse(&text)?).map_err(|error| error.to_string())
}

impl Edits {
    fn add(&mut self, other: &Edits) {
        self.env.extend(other.env.iter().cloned());
        self.device_nodes.extend(other.device_nodes.iter().cloned());
        self.mounts.extend(other.mounts.iter().cloned());
        self.hooks.extend(other.hooks.iter().cloned());
        self.additional_gids.extend(&other.additional_gids);
    }

    /// The nodes, as mounts of the host's.
    pub(crate) fn nodes(&self) -> Result<Vec<VolumeMount>> {
        let one = |node: &Node| {
            let host = node.host_path.as_ref().unwrap_or(&node.path);
            devices::node_mount(host, &node.path)
        };
        self.device_nodes.iter().map(one).collect()
    }

    pub(crate) fn has_hooks(&self) -> bool {
        !self.hooks.is_empty()
    }

    /// Variables, mounts, groups and hooks.
    pub(crate) fn apply(&self, configuration: &mut Spec) -> Result<()> {
        if let Some(process) = configuration.process_mut() {
            let mut env = process.env().clone().unwrap_or_default();
            for variable in &self.env {
                let name = variable.split('=').next().unwrap_or_default();
                env.retain(|known| known.split('=').next() != Some(name));
                env.push(variable.clone());
            }
            process.set_env(Some(env));
            let mut groups = process.user().additional_gids().clone().unwrap_or_default();
            groups.extend(&self.additional_gids);
            process.user_mut().set_additional_gids(Some(groups));
        }
        let mut mounts = configuration.mounts().clone().unwrap_or_default();
        for wanted in &self.mounts {
            let mut mount = Mount::default();
            mount.set_destination(wanted.container_path.clone());
            mount.set_source(Some(wanted.host_path.clone()));
            mount.set_typ(Some(wanted.kind.clone().unwrap_or_else(|| "bind".into())));
            mount.set_options(Some(wanted.options.clone()));
            mounts.push(mount);
        }
        configuration.set_mounts(Some(mounts));
        if self.has_hooks() {
            let mut hooks = configuration.hooks().clone().unwrap_or_default();
            self.hooks.iter().try_for_each(|hook| hook.add_to(&mut hooks))?;
            configuration.set_hooks(Some(hooks));
        }
        Ok(())
    }
}

impl CdiHook {
    fn add_to(&self, hooks: &mut Hooks) -> Result<()> {
        let mut hook = Hook::default();
        hook.set_path(self.path.clone());
        hook.set_args(Some(self.args.clone()));
        hook.set_env(Some(self.env.clone()));
        hook.set_timeout(self.timeout);
        let with = |list: &Option<Vec<Hook>>| {
            let mut list = list.clone().unwrap_or_default();
            list.push(hook.clone());
            Some(list)
        };
        match self.hook_name.as_str() {
            "prestart" => {
                let list = with(hooks.prestart());
                hooks.set_prestart(list);
            }
            "createRuntime" => {
                let list = with(hooks.create_runtime());
                hooks.set_create_runtime(list);
            }
            "createContainer" => {
                let list = with(hooks.create_container());
                hooks.set_create_container(list);
            }
            "startContainer" => {
                let list = with(hooks.start_container());
                hooks.set_start_container(list);
            }
            "poststart" => {
                let list = with(hooks.poststart());
                hooks.set_poststart(list);
            }
            "poststop" => {
                let list = with(hooks.poststop());
                hooks.set_poststop(list);
            }
            other => return Err(Error::Invalid(format!("a CDI specification has a hook of the unknown kind {other}"))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        assert!(is_device_name("nvidia.com/gpu=all") && is_device_name("vendor.com/net=0"));
        assert!(!is_device_name("/dev/x=y") && !is_device_name("nvidia.com/gpu") && !is_device_name("a=b/c"));
    }

    #[test]
    fn edits_of_the_kind_come_once() {
        let dir = std::env::temp_dir().join(format!("creel-cdi-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let text = r#"{"cdiVersion":"0.6.0","kind":"v.com/d","devices":[{"name":"a","containerEdits":{"env":["A=1"]}},
            {"name":"b","containerEdits":{"env":["B=1"]}}],"containerEdits":{"env":["ALL=1"]}}"#;
        fs::write(dir.join("v.json"), text).unwrap();
        fs::write(dir.join("broken.json"), "{").unwrap();
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let found = find(std::slice::from_ref(&dir), &names(&["v.com/d=a", "v.com/d=b"])).unwrap();
        assert_eq!(found.env, ["ALL=1", "A=1", "B=1"]);
        let error = find(std::slice::from_ref(&dir), &names(&["v.com/d=c"])).unwrap_err().to_string();
        assert_eq!(error, "setting up CDI devices: unresolvable CDI devices v.com/d=c");
        fs::remove_dir_all(&dir).unwrap();
    }
}
