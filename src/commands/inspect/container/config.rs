//! `Config`: what a container is to run.

use std::collections::BTreeMap;

use containers::{Container, Facts, HealthAction, HealthSpec, NamespaceMode, Remove, SdNotify};

use super::network::port_bindings;
use crate::format::{Nil, Value};
use crate::{object, signal, state};

pub fn value(container: &Container, facts: &Facts) -> Value {
    let (record, spec) = (&container.record, container.spec());
    let image = record.image.as_ref();
    let entrypoint =
        spec.entrypoint.clone().or_else(|| image.map(|image| image.entrypoint.clone())).unwrap_or_default();
    let hostname = match (&spec.hostname, &spec.namespaces.uts) {
        (Some(name), _) => name.clone(),
        (None, NamespaceMode::Host) => {
            nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }
        (None, _) => record.id.short().to_owned(),
    };
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
        "Hostname": hostname.clone(),
        "Domainname": spec.domainname.clone().unwrap_or_default(),
        "User": facts.user.clone(),
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": false,
        "Env": environment(container, &hostname),
        "Cmd": Value::list_or_nil(state::command(container)),
        "Image": state::image(container).0,
        "Volumes": or_nil(volumes),
        "WorkingDir": facts.workdir.clone(),
        "Entrypoint": Value::list_or_nil(&entrypoint),
        "OnBuild": Value::Nil(Nil::List),
        "Labels": Value::map_or_nil(&spec.labels),
        "Annotations": annotations(container, facts.stop_signal),
        "StopSignal": signal::name(facts.stop_signal),
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
        "HealthcheckMaxLogCount"?: health.map_or(5, |health| health.max_log_count),
        "HealthcheckMaxLogSize"?: health.map_or(500, |health| health.max_log_size),
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
        "ExposedPorts"?: or_nil(exposed),
    }
}

/// What the process will find, as far as it is known before a start.
fn environment(container: &Container, hostname: &str) -> Value {
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
    set("HOSTNAME", hostname);
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
        let (key, value) = (&key, &value);
        match all.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => value.clone_into(old),
            None => all.push((key.clone(), value.clone())),
        }
    }
    Value::List(all.into_iter().map(|(key, value)| format!("{key}={value}").into()).collect())
}

/// With those that a start adds.
pub fn annotations(container: &Container, stop_signal: i32) -> Value {
    let mut annotations = container.spec().annotations.clone();
    let mut mark = |name: &str, text: String| {
        annotations.entry(name.to_owned()).or_insert(text);
    };
    for (name, holds) in [
        ("io.podman.annotations.autoremove", container.spec().remove != Remove::Nothing),
        ("io.podman.annotations.init", container.spec().init),
        ("io.podman.annotations.privileged", container.spec().security.privileged),
        ("io.podman.annotations.publish-all", container.spec().network.publish_all),
    ] {
        if holds {
            mark(name, "TRUE".into());
        }
    }
    if !matches!(container.state(), containers::State::Created) {
        mark("io.container.manager", "libpod".into());
        mark("org.opencontainers.image.stopSignal", stop_signal.to_string());
    }
    Value::map_or_nil(&annotations)
}

fn health_value(health: &HealthSpec) -> Value {
    object! {
        "Test"?: Value::list(&health.test),
        "StartPeriod"?: health.start_period,
        "Interval"?: health.interval.unwrap_or_default(),
        "Timeout"?: health.timeout,
        "Retries"?: health.retries,
    }
}
