//! `Config`: what a container is to run.

use std::collections::BTreeMap;

use containers::{Container, Facts, HealthAction, HealthSpec, NamespaceMode, Remove, SdNotify, UserNamespace};

use super::host_config::{seccomp_word, userns_word};
use super::network::port_bindings;
use crate::format::{Nil, Value};
use crate::{object, state};

pub fn value(container: &Container, facts: &Facts) -> Value {
    let spec = container.spec();
    let image = container.record.image.as_ref();
    let entrypoint =
        spec.entrypoint.clone().or_else(|| image.map(|image| image.entrypoint.clone())).unwrap_or_default();
    let health =
        spec.health.as_ref().or_else(|| image.and_then(|image| image.health.as_ref())).filter(|_| !spec.no_healthcheck);
    let volumes: BTreeMap<String, Value> =
        image.iter().flat_map(|image| &image.volumes).map(|path| (path.clone(), Value::Map(BTreeMap::new()))).collect();
    let exposed: BTreeMap<String, Value> = state::exposed(container)
        .into_iter()
        .chain(port_bindings(state::ports(container)).into_keys())
        .map(|port| (port, Value::Map(BTreeMap::new())))
        .collect();
    let or_nil = |map: BTreeMap<String, Value>| if map.is_empty() { Value::Nil(Nil::Map) } else { Value::Map(map) };
    let secrets: Vec<Value> = spec
        .secrets
        .iter()
        .filter_map(|secret| match &secret.target {
            containers::SecretTarget::Mount { uid, gid, mode, .. } => Some(object! {
                "Name": secret.name.clone(),
                "ID": secret.id.clone(),
                "UID": *uid,
                "GID": *gid,
                "Mode": *mode,
            }),
            containers::SecretTarget::Env { .. } => None,
        })
        .collect();
    object! {
        "Hostname": facts.hostname.clone(),
        "Domainname": spec.domainname.clone().unwrap_or_default(),
        "User": facts.user.clone(),
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": false,
        "Env": environment(container, facts),
        "Cmd": Value::list_or_nil(state::command(container)),
        "Image": state::image(container).0,
        "Volumes": or_nil(volumes),
        "WorkingDir": facts.workdir.clone(),
        "Entrypoint": Value::list_or_nil(&entrypoint),
        "OnBuild": Value::Nil(Nil::List),
        "Labels": Value::map_or_nil(&spec.labels),
        "Annotations": annotations(container, facts),
        "StopSignal": sys::signals::name(facts.stop_signal).unwrap_or_else(|| facts.stop_signal.to_string()),
        "Healthcheck"?: match spec.no_healthcheck {
            true => Some(object! { "Test": Value::List(vec!["NONE".into()]) }),
            false => health.map(health_value),
        },
        "StartupHealthCheck"?: health.and_then(|health| health.startup.as_ref()).map(|startup| object! {
            "Test": Value::list(&startup.test),
            "Interval": startup.interval.unwrap_or_default(),
            "Timeout": startup.timeout,
            "Retries"?: startup.retries,
            "Successes"?: startup.successes,
        }),
        "HealthcheckOnFailureAction"?: health.map_or("none", |health| match health.on_failure {
            HealthAction::None => "none",
            HealthAction::Kill => "kill",
            HealthAction::Restart => "restart",
            HealthAction::Stop => "stop",
        }),
        "HealthLogDestination"?: health.map_or_else(|| "local".to_owned(), |health| health.log_destination.clone()),
        "HealthcheckMaxLogCount" as "HealthMaxLogCount"?: health.map_or(5, |health| health.max_log_count),
        "HealthcheckMaxLogSize" as "HealthMaxLogSize"?: health.map_or(500, |health| health.max_log_size),
        "CreateCommand"?: Value::list(&spec.create_command),
        "Timezone"?: spec.timezone.clone().unwrap_or_default(),
        "SystemdMode"?: facts.runs_systemd,
        "Umask": format!("{:04o}", spec.umask.unwrap_or(0o022)),
        "Secrets"?: Value::List(secrets),
        "Timeout": spec.timeout.unwrap_or(0),
        "StopTimeout": facts.stop_timeout,
        "Passwd": spec.passwd == containers::PasswdMode::Add,
        "ChrootDirs"?: Value::List(spec.chroot_dirs.iter().map(|dir| dir.as_path().into()).collect()),
        "sdNotifyMode" as "SdNotifyMode": match spec.sdnotify {
            SdNotify::Container => "container",
            SdNotify::Conmon => "conmon",
            SdNotify::Healthy => "healthy",
            SdNotify::Ignore => "ignore",
        },
        "sdNotifySocket" as "SdNotifySocket"?: "",
        "ExposedPorts"?: or_nil(exposed),
    }
}

/// What the process will find, as far as it is known before a start.
fn environment(container: &Container, facts: &Facts) -> Value {
    let spec = container.spec();
    let mut all: Vec<(String, String)> = vec![
        ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ("container".into(), "podman".into()),
    ];
    let mut set = |key: &str, value: &str| match all.iter_mut().find(|(known, _)| known == key) {
        Some((_, old)) => value.clone_into(old),
        None => all.push((key.to_owned(), value.to_owned())),
    };
    if spec.tty {
        set("TERM", "xterm");
    }
    for (key, value) in &spec.proxy_env {
        set(key, value);
    }
    for entry in container.record.image.iter().flat_map(|image| &image.env) {
        if let Some((key, value)) = entry.split_once('=') {
            set(key, value);
        }
    }
    if spec.unset_env_all {
        all.clear();
    }
    all.retain(|(key, _)| !spec.unset_env.contains(key));
    // What a secret holds is never shown.
    let hidden = spec.secrets.iter().filter_map(|secret| match &secret.target {
        containers::SecretTarget::Env { name } => Some((name.clone(), "*******".to_owned())),
        containers::SecretTarget::Mount { .. } => None,
    });
    for (key, value) in spec.env.iter().cloned().chain(hidden) {
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => all.push((key, value)),
        }
    }
    // What a start adds where nothing else is said.
    let started = !matches!(container.state(), containers::State::Created);
    let home = facts.home.clone().filter(|_| started);
    let hostname = Some(facts.hostname.clone()).filter(|_| started || spec.hostname.is_some());
    for (key, value) in [("HOME", home), ("HOSTNAME", hostname.filter(|_| !spec.no_hostname))] {
        if let Some(value) = value.filter(|_| !all.iter().any(|(known, _)| known == key)) {
            all.push((key.to_owned(), value));
        }
    }
    Value::List(all.into_iter().map(|(key, value)| format!("{key}={value}").into()).collect())
}

/// With those that Podman notes flags in, and those that a start adds.
pub fn annotations(container: &Container, facts: &Facts) -> Value {
    let spec = container.spec();
    let (security, resources) = (&spec.security, &spec.resources);
    let mut annotations = spec.annotations.clone();
    let mut mark = |name: &str, text: String| {
        annotations.entry(name.to_owned()).or_insert(text);
    };
    for (flag, holds) in [
        ("autoremove", spec.remove != Remove::Nothing),
        ("init", spec.init),
        ("privileged", security.privileged),
        ("publish-all", spec.network.publish_all),
    ] {
        if holds {
            mark(&format!("io.podman.annotations.{flag}"), "TRUE".into());
        }
    }
    let label = security.labels.last().cloned();
    let userns = Some(userns_flag(&spec.namespaces.user)).filter(|mode| !mode.is_empty());
    for (flag, value) in [
        ("apparmor", security.apparmor.clone()),
        ("cid-file", spec.cidfile.as_ref().map(|path| path.display().to_string())),
        ("cpuset", resources.cpuset_cpus.clone()),
        ("label", label),
        ("pids-limit", resources.pids_limit.map(|limit| limit.to_string())),
        ("seccomp", seccomp_word(&security.seccomp)),
        ("userns", userns),
    ] {
        if let Some(value) = value {
            mark(&format!("io.podman.annotations.{flag}"), value);
        }
    }
    if spec.group_add.iter().any(|group| group == "keep-groups") {
        mark("run.oci.keep_original_groups", "1".into());
    }
    if !matches!(container.state(), containers::State::Created) {
        mark("io.container.manager", "libpod".into());
        mark("org.opencontainers.image.stopSignal", facts.stop_signal.to_string());
        mark("org.systemd.property.KillSignal", facts.stop_signal.to_string());
        let patience = u64::from(facts.stop_timeout) * 1_000_000;
        mark("org.systemd.property.TimeoutStopUSec", format!("uint64 {patience}"));
        if let (Some(_), NamespaceMode::Container(infra)) = (&spec.pod, &spec.namespaces.uts) {
            mark("io.kubernetes.cri-o.SandboxID", infra.clone());
        }
    }
    Value::map_or_nil(&annotations)
}

/// As `--userns` takes it.
fn userns_flag(mode: &UserNamespace) -> String {
    let options = match mode {
        UserNamespace::KeepId { uid, gid, size } => [("uid", uid), ("gid", gid), ("size", size)],
        other => return userns_word(other),
    };
    let options: Vec<String> =
        options.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))).collect();
    if options.is_empty() { "keep-id".into() } else { format!("keep-id:{}", options.join(",")) }
}

fn health_value(health: &HealthSpec) -> Value {
    object! {
        "Test"?: Value::list(&health.test),
        "StartPeriod"?: health.start_period,
        "StartInterval"?: health.start_interval.unwrap_or_default(),
        "Interval"?: health.interval.unwrap_or_default(),
        "Timeout"?: health.timeout,
        "Retries"?: health.retries,
    }
}
