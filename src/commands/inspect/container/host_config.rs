//! `HostConfig`: what a container has of the machine.

use std::path::Path;

use containers::{
    CgroupsMode, Container, Engine, Facts, IpcMode, LogDriver, NamespaceMode, Remove, SeccompProfile, Ulimit,
    UserNamespace,
};
use network::Mode;

use super::config::annotations;
use super::mounts::{binds, tmpfs};
use super::network::{mode_word, port_bindings};
use super::path_or_empty;
use crate::format::{self, Nil, Value};
use crate::{object, state};

pub fn value(engine: &Engine, container: &Container, facts: &Facts, run_dir: &Path) -> Value {
    let spec = container.spec();
    let (resources, security, namespaces) = (&spec.resources, &spec.security, &spec.namespaces);
    let strings = |items: &[String]| Value::list(items);
    let ports = if matches!(spec.network.mode, Mode::None | Mode::Host) {
        Vec::new()
    } else {
        state::ports(container).to_vec()
    };
    let retries = match spec.restart {
        containers::RestartPolicy::OnFailure { max_retries } => max_retries,
        containers::RestartPolicy::No
        | containers::RestartPolicy::Always
        | containers::RestartPolicy::UnlessStopped => 0,
    };
    let nano_cpus = match (resources.cpu_quota, resources.cpu_period) {
        (Some(quota), Some(period)) if quota > 0 && period > 0 => {
            quota.saturating_mul(1_000_000_000) / i64::try_from(period).unwrap_or(i64::MAX)
        }
        _ => 0,
    };
    let rates = |rates: &[(std::path::PathBuf, u64)]| {
        let all: Vec<Value> =
            rates.iter().map(|(path, rate)| object! { "Path": path.as_path(), "Rate": *rate }).collect();
        if all.is_empty() { Value::Nil(Nil::List) } else { Value::List(all) }
    };
    let weights: Vec<Value> = resources
        .blkio_weight_device
        .iter()
        .map(|(path, weight)| object! { "Path": path.as_path(), "Weight": *weight })
        .collect();
    let devices: Vec<Value> = spec
        .devices
        .iter()
        .map(|device| {
            object! {
                "PathOnHost": device.host.as_path(),
                "PathInContainer": device.container.as_path(),
                "CgroupPermissions": device.permissions.clone(),
            }
        })
        .collect();
    let volumes_from: Vec<String> = spec
        .volumes_from
        .iter()
        .map(|(name, options)| if options.is_empty() { name.clone() } else { format!("{name}:{options}") })
        .collect();
    let hosts: Vec<String> = spec.network.add_hosts.iter().map(host_entry).collect();
    let mut security_opt: Vec<String> = security.labels.iter().map(|label| format!("label={label}")).collect();
    if security.no_new_privileges {
        security_opt.push("no-new-privileges".into());
    }
    match &security.seccomp {
        SeccompProfile::Default => {}
        SeccompProfile::Unconfined => security_opt.push("seccomp=unconfined".into()),
        SeccompProfile::File(path) => security_opt.push(format!("seccomp={}", path.display())),
    }
    let capabilities = |names: &[String]| -> Vec<String> {
        let full = |name: &String| if name == "ALL" { name.clone() } else { format!("CAP_{name}") };
        names.iter().map(full).collect()
    };
    let log_driver = match spec.log.driver {
        LogDriver::K8sFile => "k8s-file",
        LogDriver::JsonFile => "json-file",
        LogDriver::Journald => "journald",
        LogDriver::None => "none",
        LogDriver::Passthrough => "passthrough",
        LogDriver::PassthroughTty => "passthrough-tty",
    };
    let restart = match spec.restart {
        containers::RestartPolicy::No => "no",
        containers::RestartPolicy::OnFailure { .. } => "on-failure",
        containers::RestartPolicy::Always => "always",
        containers::RestartPolicy::UnlessStopped => "unless-stopped",
    };
    let ipc = match &namespaces.ipc {
        IpcMode::Shareable => "shareable".to_owned(),
        IpcMode::Private => "private".into(),
        IpcMode::None => "none".into(),
        IpcMode::Host => "host".into(),
        IpcMode::Container(id) => format!("container:{id}"),
        IpcMode::Path(path) => format!("ns:{}", path.display()),
    };
    let cgroups = match resources.cgroups {
        CgroupsMode::Enabled => "default",
        CgroupsMode::Disabled => "disabled",
        CgroupsMode::NoConmon => "no-conmon",
        CgroupsMode::Split => "split",
    };
    // Of the run, so that nothing of it is shown as lasting.
    let cidfile = spec.cidfile.as_deref().filter(|path| !path.starts_with(run_dir));
    object! {
        "Binds": binds(facts),
        "CgroupManager": engine.settings.cgroup_manager.clone().unwrap_or_else(|| "cgroupfs".into()),
        "CgroupMode": namespace_word(&namespaces.cgroup, "private"),
        "ContainerIDFile": path_or_empty(cidfile),
        "LogConfig": object! {
            "Type": log_driver,
            "Config": Value::Nil(Nil::Map),
            "Path": path_or_empty(facts.log_path.as_deref()),
            "Tag": spec.log.tag.clone().unwrap_or_default(),
            "Size": spec.log.max_size.map_or_else(|| "-1B".to_owned(), format::human::size4),
        },
        "NetworkMode": mode_word(container),
        "PortBindings": Value::Map(port_bindings(&ports)),
        "RestartPolicy": object! { "Name": restart, "MaximumRetryCount": retries },
        "AutoRemove": spec.remove != Remove::Nothing,
        "AutoRemoveImage": spec.remove == Remove::ContainerAndImage,
        "Annotations": annotations(container, facts.stop_signal),
        "VolumeDriver": "",
        "VolumesFrom": Value::list_or_nil(&volumes_from),
        "CapAdd": strings(&capabilities(&security.cap_add)),
        "CapDrop": strings(&capabilities(&security.cap_drop)),
        "Dns": Value::List(spec.network.dns.iter().map(|ip| ip.to_string().into()).collect()),
        "DnsOptions": strings(&spec.network.dns_options),
        "DnsSearch": strings(&spec.network.dns_search),
        "ExtraHosts": strings(&hosts),
        "HostsFile": spec.network.hosts_file.clone().unwrap_or_default(),
        "GroupAdd": strings(&spec.group_add),
        "IpcMode": ipc,
        "Cgroup": "",
        "Cgroups": cgroups,
        "Links": Value::Nil(Nil::List),
        "OomScoreAdj": spec.oom_score_adj.unwrap_or(0),
        "PidMode": namespace_word(&namespaces.pid, "private"),
        "Privileged": security.privileged,
        "PublishAllPorts": spec.network.publish_all,
        "ReadonlyRootfs": security.read_only,
        "SecurityOpt": strings(&security_opt),
        "Tmpfs": tmpfs(container),
        "UTSMode": namespace_word(&namespaces.uts, "private"),
        "UsernsMode": userns_word(&namespaces.user),
        "IDMappings"?: id_mappings(&namespaces.user),
        "ShmSize": spec.shm_size.unwrap_or(65_536 << 10),
        "Runtime": "oci",
        "ConsoleSize": Value::List(vec![0i64.into(), 0i64.into()]),
        "Isolation": "",
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "Memory": resources.memory.unwrap_or(0),
        "NanoCpus": nano_cpus,
        "CgroupParent": resources.cgroup_parent.clone().unwrap_or_default(),
        "BlkioWeight": resources.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": if weights.is_empty() { Value::Nil(Nil::List) } else { Value::List(weights) },
        "BlkioDeviceReadBps": rates(&resources.read_bps),
        "BlkioDeviceWriteBps": rates(&resources.write_bps),
        "BlkioDeviceReadIOps": rates(&resources.read_iops),
        "BlkioDeviceWriteIOps": rates(&resources.write_iops),
        "CpuPeriod": resources.cpu_period.unwrap_or(0),
        "CpuQuota": resources.cpu_quota.unwrap_or(0),
        "CpuRealtimePeriod": 0i64,
        "CpuRealtimeRuntime": 0i64,
        "CpusetCpus": resources.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": resources.cpuset_mems.clone().unwrap_or_default(),
        "Devices": Value::List(devices),
        "DiskQuota": 0i64,
        "KernelMemory": 0i64,
        "MemoryReservation": resources.memory_reservation.unwrap_or(0),
        "MemorySwap": resources.memory_swap.or(resources.memory.map(|memory| memory.saturating_mul(2))).unwrap_or(0),
        "MemorySwappiness": resources.memory_swappiness.unwrap_or(0),
        "OomKillDisable": false,
        "Init"?: spec.init,
        "PidsLimit": resources.pids_limit.unwrap_or(2048),
        "Ulimits": Value::List(spec.ulimits.iter().filter(|limit| limit.name != "host").map(ulimit).collect()),
        "CpuCount": 0i64,
        "CpuPercent": 0i64,
        "IOMaximumIOps": 0i64,
        "IOMaximumBandwidth": 0i64,
        "CgroupConf": Value::map_or_nil(&resources.unified),
    }
}

pub fn namespace_word(mode: &NamespaceMode, private: &str) -> String {
    match mode {
        NamespaceMode::Private => private.to_owned(),
        NamespaceMode::Host => "host".into(),
        NamespaceMode::Container(id) => format!("container:{id}"),
        NamespaceMode::Path(path) => format!("ns:{}", path.display()),
    }
}

/// As `--add-host` takes it.
pub fn host_entry(entry: &network::HostEntry) -> String {
    let address = match entry.address {
        network::HostAddress::Ip(ip) => ip.to_string(),
        network::HostAddress::HostGateway => "host-gateway".into(),
    };
    format!("{}:{address}", entry.names.join(";"))
}

pub fn userns_word(mode: &UserNamespace) -> String {
    match mode {
        UserNamespace::Host => String::new(),
        UserNamespace::KeepId { .. } => "keep-id".into(),
        UserNamespace::NoMap => "nomap".into(),
        UserNamespace::Auto { .. } => "auto".into(),
        UserNamespace::Private { .. } => "private".into(),
        UserNamespace::Container(id) => format!("container:{id}"),
        UserNamespace::Path(path) => format!("ns:{}", path.display()),
    }
}

fn id_mappings(mode: &UserNamespace) -> Value {
    let UserNamespace::Private { uid_maps, gid_maps } = mode else { return Value::Nil(Nil::Pointer) };
    let lines = |maps: &[containers::IdMap]| -> Value {
        Value::List(maps.iter().map(|map| format!("{}:{}:{}", map.container, map.host, map.size).into()).collect())
    };
    object! { "UidMap": lines(uid_maps), "GidMap": lines(gid_maps) }
}

fn ulimit(limit: &Ulimit) -> Value {
    // Unlimited is -1, as Docker has it.
    let number = |value: u64| i64::try_from(value).unwrap_or(-1);
    object! {
        "Name": format!("RLIMIT_{}", limit.name.to_ascii_uppercase()),
        "Soft": number(limit.soft),
        "Hard": number(limit.hard),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_minus_one() {
        let limit = Ulimit { name: "nofile".into(), soft: 10, hard: u64::MAX };
        assert_eq!(ulimit(&limit).json(), r#"{"Name":"RLIMIT_NOFILE","Soft":10,"Hard":-1}"#);
    }
}
