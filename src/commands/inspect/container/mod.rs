//! `creel container inspect`, and what every inspect shows of a container.

mod config;
mod host_config;
mod mounts;
mod network;

pub use host_config::{allow_egress, host_entry, namespace_word, security_options, userns_word};
pub use mounts::mounts;
pub use network::port_bindings;

use std::collections::BTreeMap;
use std::path::Path;

use containers::{Container, Engine, Facts, PodRole};

use super::{Kind, show};
use crate::context::Context;
use crate::error::{ExitCode, Failure, go_words};
use crate::format::{self, Nil, Value};
use crate::{object, state};

/// Show everything about containers
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show through a Go template
    #[arg(short, long, value_name = "TEMPLATE", default_value = "json")]
    pub format: String,
    /// Show the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Show the sizes, too
    #[arg(short, long)]
    pub size: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER [CONTAINER...]")]
    pub names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    show(context, &args.names, args.latest, args.size, &args.format, Kind::Container)
}

/// Everything about one container; its sizes are counted only when asked for.
pub fn value(engine: &Engine, container: &Container, with_size: bool) -> Result<Value, Failure> {
    let facts = containers::facts(engine, container)?;
    let size = if with_size { Some(containers::size(engine, container)?) } else { None };
    let (record, spec) = (&container.record, container.spec());
    let (path, arguments) = path_and_arguments(container);
    let (image_name, image_id) = state::image(container);
    let digest = record.image.as_ref().and_then(|image| image.digest.as_ref());
    let driver = match engine.store.options().driver {
        storage::Driver::Overlay => "overlay",
        storage::Driver::Vfs => "vfs",
    };
    let run_dir = engine.run_dir(container.id());
    Ok(object! {
        "Id": record.id.as_str(),
        fn "ID": record.id.as_str(),
        "Created": record.created,
        "Path": path,
        "Args": Value::list(&arguments),
        "State": state_value(&facts),
        "Image": image_id,
        "ImageDigest": digest.map(ToString::to_string).unwrap_or_default(),
        "ImageName": image_name,
        "Rootfs": path_or_empty(facts.rootfs.as_deref()),
        "Pod": spec.pod.clone().unwrap_or_default(),
        "ResolvConfPath": path_or_empty(facts.resolv_conf_path.as_deref()),
        "HostnamePath": path_or_empty(facts.hostname_path.as_deref()),
        "HostsPath": path_or_empty(facts.hosts_path.as_deref()),
        "StaticDir": facts.static_dir.as_path(),
        "OCIConfigPath"?: "",
        "OCIRuntime": spec.runtime.as_ref().map_or("creel".into(), |path| path.display().to_string()),
        "ConmonPidFile": path_or_empty(spec.monitor_pidfile.as_deref()),
        "PidFile": path_or_empty(spec.pidfile.as_deref()),
        "Name": record.name.clone(),
        "RestartCount": facts.restarts,
        "Driver": driver,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": spec.security.apparmor.clone().unwrap_or_default(),
        "EffectiveCaps": Value::list_or_nil(&facts.effective_capabilities),
        "BoundingCaps": Value::list_or_nil(&facts.bounding_capabilities),
        "ExecIDs": Value::list(&facts.exec_ids),
        "GraphDriver": object! { "Name": driver, "Data": graph_data(&facts) },
        "SizeRw"?: size.map(|(written, _)| written),
        "SizeRootFs"?: size.map_or(0, |(_, all)| all),
        "Mounts": Value::List(mounts(&facts.mounts)),
        "Dependencies": Value::list(&facts.dependencies),
        "NetworkSettings": network::value(engine, container, &facts),
        "Namespace": "",
        "IsInfra": matches!(spec.pod_role, Some(PodRole::Infra)),
        "IsService": spec.service.is_some(),
        "KubeExitCodePropagation": spec.service.map_or("invalid", containers::ExitPropagation::word),
        "lockNumber" as "LockNumber": 0i64,
        "Config": config::value(container, &facts),
        "HostConfig": host_config::value(engine, container, &facts, &run_dir),
        "UseImageHosts": spec.network.hosts_file.as_deref() == Some("image"),
        "UseImageHostname": spec.no_hostname,
    })
}

/// As Podman shows it: a command of one word is its own argument, too.
fn path_and_arguments(container: &Container) -> (String, Vec<String>) {
    let mut words = state::whole_command(container);
    if container.spec().init {
        words.splice(0..0, [containers::INIT_PATH.to_owned(), "--".to_owned()]);
    }
    let path = words.first().cloned().unwrap_or_default();
    if words.len() > 1 {
        words.remove(0);
    } else {
        words = vec![path.clone()];
    }
    (path, words)
}

fn path_or_empty(path: Option<&Path>) -> Value {
    path.map_or_else(|| "".into(), Value::from)
}

fn graph_data(facts: &Facts) -> Value {
    let lower: Vec<String> = facts.lower_dirs.iter().map(|dir| dir.display().to_string()).collect();
    let mut data = BTreeMap::from([
        ("UpperDir".to_owned(), Value::from(facts.upper_dir.as_path())),
        ("WorkDir".to_owned(), Value::from(facts.work_dir.as_path())),
    ]);
    if !lower.is_empty() {
        data.insert("LowerDir".to_owned(), lower.join(":").into());
    }
    if facts.pid > 0 {
        // It is mounted nowhere else.
        data.insert("MergedDir".to_owned(), format!("/proc/{}/root", facts.pid).into());
    }
    Value::Map(data)
}

fn state_value(facts: &Facts) -> Value {
    let exit = facts.exit.as_ref();
    let running = matches!(facts.status, "running" | "paused" | "stopping");
    let health = facts.health.as_ref().map(|health| {
        let status = if running { health.status.word() } else { "" };
        let log: Vec<Value> = health
            .log
            .iter()
            .map(|entry| {
                object! {
                    "Start": format::rfc3339(entry.start),
                    "End": format::rfc3339(entry.end),
                    "ExitCode": entry.exit_code,
                    "Output": entry.output.clone(),
                }
            })
            .collect();
        object! {
            "Status": status,
            "FailingStreak": health.failing_streak,
            "Log": if log.is_empty() { Value::Nil(Nil::List) } else { Value::List(log) },
        }
    });
    let health = Value::from(health);
    object! {
        "OciVersion": "1.2.1",
        "Status": facts.status,
        "Running": running,
        "Paused": facts.paused,
        "Restarting": facts.restarting,
        "OOMKilled": exit.is_some_and(|exit| exit.oom_killed) && !running,
        "Dead": false,
        "Pid": facts.pid,
        "ConmonPid"?: facts.monitor_pid,
        "ExitCode": exit.filter(|_| !running).map_or(0, |exit| exit.code),
        "Error": facts.error.clone().map(go_words).unwrap_or_default(),
        "StartedAt": Value::time_or_zero(facts.started),
        "FinishedAt": Value::time_or_zero(facts.finished),
        "Health"?: health.clone(),
        fn "Healthcheck": health,
        "CgroupPath"?: facts.cgroup_path.clone().unwrap_or_default(),
        "Checkpointed"?: false,
        "CheckpointedAt": Value::zero_time(),
        "CheckpointLog"?: "",
        "CheckpointPath"?: "",
        "Restored"?: false,
        "RestoredAt": Value::zero_time(),
        "RestoreLog"?: "",
        "StoppedByUser"?: exit.is_some_and(|exit| exit.stopped_by_user),
    }
}
