//! `HostConfig`: what a container has of the machine.

use std::path::Path;

use containers::{
    CgroupsMode, Container, Engine, Facts, IpcMode, LogDriver, NamespaceMode, Remove, SeccompProfile, Security, Ulimit,
    UserNamespace,
};
use network::Mode;

use super::config::annotations;
use super::mounts::{binds, tmpfs};
use super::network::port_bindings;
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
        // As --cpus writes it.
        (Some(quota), Some(100_000)) if quota > 0 => quota.saturating_mul(10_000),
        _ => 0,
    };
    // What the kernel no longer has is said to be unset where memory is limited at all.
    let limits_memory =
        [resources.memory, resources.memory_swap, resources.memory_reservation].iter().any(Option::is_some);
    let swappiness = match resources.memory_swappiness {
        Some(swappiness) => i64::try_from(swappiness).unwrap_or(i64::MAX),
        None => -i64::from(limits_memory),
    };
    // One limit of this kind makes empty lists of the others.
    let limits_devices = resources.blkio_weight.is_some()
        || !resources.blkio_weight_device.is_empty()
        || [&resources.read_bps, &resources.write_bps, &resources.read_iops, &resources.write_iops]
            .iter()
            .any(|rates| !rates.is_empty());
    let list = |all: Vec<Value>| if limits_devices { Value::List(all) } else { Value::Nil(Nil::List) };
    let memory_swap = match (resources.memory_swap, resources.memory) {
        // Without a limit.
        (Some(-1), _) => 0,
        (Some(swap), _) => swap,
        (None, memory) => memory.map_or(0, |memory| memory.saturating_mul(2)),
    };
    let rates = |rates: &[(std::path::PathBuf, u64)]| {
        list(rates.iter().map(|(path, rate)| object! { "Path": path.as_path(), "Rate": *rate }).collect())
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
    let group_add: Vec<String> = spec.group_add.iter().filter(|group| *group != "keep-groups").cloned().collect();
    let hosts: Vec<String> = spec.network.add_hosts.iter().map(host_entry).collect();
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
        CgroupsMode::Enabled | CgroupsMode::NoConmon | CgroupsMode::Split => "default",
        CgroupsMode::Disabled => "disabled",
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
        "NetworkMode": containers::network_mode_word(engine, container),
        "PortBindings": Value::Map(port_bindings(&ports)),
        "RestartPolicy": object! { "Name": restart, "MaximumRetryCount": retries },
        "AutoRemove": spec.remove != Remove::Nothing,
        "AutoRemoveImage": spec.remove == Remove::ContainerAndImage,
        "Annotations": annotations(container, facts),
        "VolumeDriver": "",
        "VolumesFrom": Value::list_or_nil(&volumes_from),
        "CapAdd": strings(&facts.added_capabilities),
        "CapDrop": strings(&facts.dropped_capabilities),
        "Dns": Value::List(spec.network.dns.iter().map(|ip| ip.to_string().into()).collect()),
        "DnsOptions": strings(&spec.network.dns_options),
        "DnsSearch": strings(&spec.network.dns_search),
        "ExtraHosts": strings(&hosts),
        "AllowEgress"?: spec.network.egress.as_ref().map(allow_egress),
        "HostsFile": spec.network.hosts_file.clone().unwrap_or_default(),
        "GroupAdd": strings(&group_add),
        "IpcMode": ipc,
        "Cgroup": "",
        "Cgroups": cgroups,
        "Links": Value::Nil(Nil::List),
        "OomScoreAdj": spec.oom_score_adj.unwrap_or(0),
        "PidMode": namespace_word(&namespaces.pid, "private"),
        "Privileged": security.privileged,
        "PublishAllPorts": spec.network.publish_all,
        "ReadonlyRootfs": security.read_only,
        "SecurityOpt": strings(&security_options(security)),
        "Tmpfs": tmpfs(container),
        "UTSMode": namespace_word(&namespaces.uts, "private"),
        "UsernsMode": match &namespaces.user {
            UserNamespace::KeepId { .. } | UserNamespace::NoMap => "private".to_owned(),
            other => userns_word(other),
        },
        "IDMappings"?: id_mappings(facts),
        "IntelRdtClosID"?: "",
        "ShmSize": spec.shm_size.unwrap_or(containers::SHM_SIZE),
        "Runtime": "oci",
        "ConsoleSize": Value::List(vec![0i64.into(), 0i64.into()]),
        "Isolation": "",
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "Memory": resources.memory.unwrap_or(0),
        "NanoCpus": nano_cpus,
        "CgroupParent": resources.cgroup_parent.clone().unwrap_or_default(),
        "BlkioWeight": resources.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": list(weights),
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
        "MemorySwap": memory_swap,
        "MemorySwappiness": swappiness,
        "OomKillDisable": false,
        "Init"?: spec.init,
        "PidsLimit": resources.pids_limit.unwrap_or(2048),
        "Ulimits": Value::List(facts.ulimits.iter().filter(|limit| limit.name != "host").map(ulimit).collect()),
        "CpuCount": 0i64,
        "CpuPercent": 0i64,
        "IOMaximumIOps": 0i64,
        "IOMaximumBandwidth": 0i64,
        "CgroupConf": Value::map_or_nil(&resources.unified),
    }
}

/// As `--security-opt` takes them, but for single paths that are masked or not: those Podman does not show.
pub fn security_options(security: &Security) -> Vec<String> {
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    options.extend(security.labels.iter().map(|label| format!("label={label}")));
    options.extend(security.apparmor.iter().map(|profile| format!("apparmor={profile}")));
    options.extend(seccomp_word(&security.seccomp).map(|profile| format!("seccomp={profile}")));
    if security.privileged || security.unmask.iter().any(|path| path == "ALL") {
        options.push("unmask=all".into());
    }
    options
}

pub fn namespace_word(mode: &NamespaceMode, private: &str) -> String {
    match mode {
        NamespaceMode::Private => private.to_owned(),
        NamespaceMode::Host => "host".into(),
        NamespaceMode::Container(id) => format!("container:{id}"),
        NamespaceMode::Path(path) => format!("ns:{}", path.display()),
    }
}

/// Each as `--allow-egress` takes it.
pub fn allow_egress(list: &network::Egress) -> Value {
    match list.targets.is_empty() {
        true => Value::List(vec![list.to_string().into()]),
        false => Value::List(list.targets.iter().map(|target| target.to_string().into()).collect()),
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

/// What `--security-opt seccomp=` said.
pub fn seccomp_word(profile: &SeccompProfile) -> Option<String> {
    match profile {
        SeccompProfile::Default => None,
        SeccompProfile::Unconfined => Some("unconfined".into()),
        SeccompProfile::File(path) => Some(path.display().to_string()),
    }
}

fn id_mappings(facts: &Facts) -> Value {
    let (uid_maps, gid_maps) = &facts.id_maps;
    if uid_maps.is_empty() && gid_maps.is_empty() {
        return Value::Nil(Nil::Pointer);
    }
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
