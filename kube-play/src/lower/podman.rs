//! The annotations that Podman's kube play reads.

use containers::{IdMap, RestartPolicy, SdNotify, SeccompProfile, Ulimit, UserNamespace};
use std::path::PathBuf;

use super::{At, Lowering};
use crate::model::PodSpec;
use crate::plan::{ContainerPlan, PodTemplate};

const PREFIX: &str = "io.podman.annotations.";
pub(super) const INFRA_NAME: &str = "io.podman.annotations.infra.name";
const USERNS: &str = "io.podman.annotations.userns";
const INIT_TYPE: &str = "io.podman.annotations.init.container.type";
const AUTO_UPDATE: &str = "io.containers.autoupdate";
const SDNOTIFY: &str = "io.containers.sdnotify";
/// What may stand after [`PREFIX`].
const KNOWN: &[&str] = &[
    "apparmor",
    "autoremove",
    "cid-file",
    "cpuset",
    "infra.name",
    "init",
    "init.container.type",
    "kube.health.check",
    "label",
    "memory-nodes",
    "pids-limit",
    "privileged",
    "publish-all",
    "seccomp",
    "ulimit",
    "userns",
    "volumes-from",
];

impl Lowering<'_> {
    /// `--userns`, the annotation, or `hostUsers: false`.
    pub(super) fn user_namespace(
        &mut self,
        spec: &PodSpec,
        annotations: &std::collections::BTreeMap<String, String>,
        metadata: &At<'_>,
    ) -> Option<UserNamespace> {
        if let Some(given) = &self.options.user_namespace {
            return Some(given.clone());
        }
        if let Some(text) = annotations.get(USERNS) {
            return match user_namespace(text) {
                Ok(namespace) => Some(namespace),
                Err(text) => {
                    self.wrong(&metadata.key("annotations").key(USERNS), text);
                    None
                }
            };
        }
        (spec.host_users == Some(false)).then(|| UserNamespace::Auto {
            size: None,
            uid_maps: Vec::new(),
            gid_maps: Vec::new(),
        })
    }

    /// Those that change a container: `KEY/CONTAINER`, or `KEY` alone for all of them.
    pub(super) fn podman_annotations(&mut self, template: &mut PodTemplate, metadata: &At<'_>) {
        for (key, value) in template.annotations.clone() {
            let (word, name) = match key.rsplit_once('/') {
                Some((word, name)) => (word, Some(name)),
                None => (key.as_str(), None),
            };
            if !word.starts_with(PREFIX) && !word.starts_with(AUTO_UPDATE) && word != SDNOTIFY {
                continue;
            }
            let at = metadata.key("annotations").key(&key);
            if word.strip_prefix(PREFIX).is_some_and(|word| !KNOWN.contains(&word)) {
                self.unsupported(&at, "is not supported, or no annotation of Podman's");
                continue;
            }
            // Nobody waits for one that comes before: its end is what counts.
            let init = if word == SDNOTIFY { &mut [][..] } else { &mut template.init[..] };
            let main = if word == INIT_TYPE { &mut [][..] } else { &mut template.containers[..] };
            let containers = init.iter_mut().chain(main);
            let mut found = false;
            for container in containers.filter(|container| name.is_none_or(|name| container.name == name)) {
                found = true;
                if let Err(text) = annotate(container, word, &value) {
                    self.wrong(&at, text);
                    break;
                }
            }
            if let (false, Some(name)) = (found, name) {
                let what = if word == INIT_TYPE { "init container" } else { "container" };
                self.warn(&at, format!("has no effect here: the pod has no {what} {name:?}"));
            }
        }
    }
}

fn annotate(container: &mut ContainerPlan, word: &str, value: &str) -> Result<(), String> {
    let truth = || match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("must be true or false, and is {value:?}")),
    };
    let Some(word) = word.strip_prefix(PREFIX) else {
        if word.starts_with(AUTO_UPDATE) {
            container.spec.labels.insert(word.to_owned(), value.to_owned());
        } else {
            if value == "healthy"
                && [&container.liveness, &container.readiness, &container.startup].iter().all(|it| it.is_none())
            {
                return Err("\"healthy\" needs a probe".to_owned());
            }
            container.spec.sdnotify = match value {
                "container" => SdNotify::Container,
                "conmon" => SdNotify::Conmon,
                "healthy" => SdNotify::Healthy,
                "ignore" | "" => SdNotify::Ignore,
                _ => return Err(format!("must be container, conmon, healthy or ignore, and is {value:?}")),
            };
        }
        return Ok(());
    };
    let spec = &mut container.spec;
    match word {
        "init" => spec.init = truth()?,
        "autoremove" => {
            container.auto_remove = truth()?;
            if container.auto_remove {
                // It goes with its pod; until then it is not started again.
                spec.restart = RestartPolicy::No;
            }
        }
        "init.container.type" => {
            container.once = match value {
                "once" => true,
                "always" | "" => false,
                _ => return Err(format!("must be always or once, and is {value:?}")),
            };
        }
        "privileged" => spec.security.privileged |= truth()?,
        "seccomp" => {
            spec.security.seccomp = match value {
                "unconfined" => SeccompProfile::Unconfined,
                "" | "default" => SeccompProfile::Default,
                path => SeccompProfile::File(PathBuf::from(path)),
            };
        }
        "apparmor" => spec.security.apparmor = Some(value.to_owned()),
        "label" => spec.security.labels.push(value.to_owned()),
        "ulimit" => spec.ulimits = value.split(',').map(|text| ulimit(text.trim())).collect::<Result<_, _>>()?,
        "volumes-from" => {
            for part in value.split(';').filter(|part| !part.is_empty()) {
                let (name, options) = part.split_once(':').unwrap_or((part, ""));
                spec.volumes_from.push((name.to_owned(), options.to_owned()));
            }
        }
        "pids-limit" => {
            let limit = value.parse().map_err(|_| format!("must be a number, and is {value:?}"))?;
            spec.resources.pids_limit = Some(limit);
        }
        "cpuset" => spec.resources.cpuset_cpus = Some(value.to_owned()),
        "memory-nodes" => spec.resources.cpuset_mems = Some(value.to_owned()),
        // Of the pod, read elsewhere; and what Podman notes for its own inspect.
        _ => {}
    }
    Ok(())
}

/// `nofile=1024:2048`, `nproc=100`, `core=-1`.
fn ulimit(text: &str) -> Result<Ulimit, String> {
    let wrong = || format!("{text:?} is no limit like nofile=1024:2048");
    let (name, values) = text.split_once('=').ok_or_else(wrong)?;
    let number = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        text => text.parse().map_err(|_| wrong()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("rlimit_").unwrap_or(&name).to_owned();
    Ok(Ulimit { name, soft: number(soft)?, hard: number(hard)? })
}

/// As `--userns` takes it: `auto:size=100`, `keep-id:uid=1,gid=2`, `nomap`, `host`.
fn user_namespace(text: &str) -> Result<UserNamespace, String> {
    let (mode, options) = text.split_once(':').unwrap_or((text, ""));
    let mut pairs = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        pairs.push(option.split_once('=').ok_or_else(|| format!("{option:?} is no option of userns {mode}"))?);
    }
    let number = |value: &str| value.parse::<u32>().map_err(|_| format!("{value:?} is no number"));
    match mode {
        "" | "host" if pairs.is_empty() => Ok(UserNamespace::Host),
        "nomap" if pairs.is_empty() => Ok(UserNamespace::NoMap),
        "keep-id" => {
            let (mut uid, mut gid, mut size) = (None, None, None);
            for (key, value) in pairs {
                match key {
                    "uid" => uid = Some(number(value)?),
                    "gid" => gid = Some(number(value)?),
                    "size" => size = Some(number(value)?),
                    _ => return Err(format!("{key:?} is no option of userns keep-id")),
                }
            }
            Ok(UserNamespace::KeepId { uid, gid, size })
        }
        "auto" => {
            let (mut size, mut uid_maps, mut gid_maps) = (None, Vec::new(), Vec::new());
            for (key, value) in pairs {
                match key {
                    "size" => size = Some(number(value)?),
                    "uidmapping" => uid_maps.push(id_map(value)?),
                    "gidmapping" => gid_maps.push(id_map(value)?),
                    _ => return Err(format!("{key:?} is no option of userns auto")),
                }
            }
            Ok(UserNamespace::Auto { size, uid_maps, gid_maps })
        }
        _ => Err(format!("{text:?} is no user namespace of a pod: there are auto, keep-id, nomap, host")),
    }
}

fn id_map(text: &str) -> Result<IdMap, String> {
    let wrong = || format!("{text:?} is no mapping CONTAINER:HOST:SIZE");
    let numbers: Vec<u32> = text.split(':').map(|part| part.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    match numbers[..] {
        [container, host, size] => Ok(IdMap { container, host, size }),
        _ => Err(wrong()),
    }
}
