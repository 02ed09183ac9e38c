//! `creel pod inspect`

use containers::{Engine, RestartPolicy, UserNamespace};
use network::Mode;
use pods::{Pod, PodSpec};

use crate::commands::inspect::container::{self as of_container, namespace_word, port_bindings, userns_word};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Nil, Value};
use crate::{object, select, state};

/// Show everything about pods
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show through a Go template
    #[arg(short, long, value_name = "TEMPLATE", default_value = "json")]
    format: String,
    /// Show the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "POD [POD...]")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.latest && !args.pods.is_empty() {
        return Err(Failure::plain("--latest and arguments cannot be used together"));
    }
    if args.pods.is_empty() && !args.latest {
        return Err(Failure::plain("no names or ids specified"));
    }
    let engine = context.reader()?;
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    if args.latest {
        values.push(value(&engine, &super::latest(&engine)?));
    }
    for name in &args.pods {
        match pods::find(&engine, name) {
            Ok(pod) => values.push(value(&engine, &pod)),
            Err(pods::Error::NotFound { .. }) => {
                failures.push(Failure::plain(format!("no such pod {name}")).missing("pod", name))
            }
            Err(error) => failures.push(error.into()),
        }
    }
    crate::commands::inspect::print("pod inspect", values, &args.format)?;
    select::conclude_inspect(failures)
}

/// Where the pod's cgroup is, as far as anybody can say before a member runs.
pub(super) fn cgroup_parent(pod: &Pod) -> String {
    match &pod.spec().resources.cgroup_parent {
        Some(parent) => parent.clone(),
        None => cgroup_path(pod).rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default(),
    }
}

/// The cgroup that the members' cgroups are parts of, while one of them runs.
fn cgroup_path(pod: &Pod) -> String {
    if !pod.spec().share_parent {
        return String::new();
    }
    let of_member = pod.containers.iter().find_map(|container| container.status.cgroup.as_ref());
    let around = of_member.and_then(|path| path.parent());
    around.map(|path| format!("/{}", path.display().to_string().trim_start_matches('/'))).unwrap_or_default()
}

pub(crate) fn value(engine: &Engine, pod: &Pod) -> Value {
    let spec = pod.spec();
    let resources = &spec.resources;
    let containers: Vec<Value> = pod
        .containers
        .iter()
        .map(|container| {
            object! { "Id": container.id().as_str(), "Name": container.name(), "State": state::word(container) }
        })
        .collect();
    let mounts: Vec<_> = spec.mounts.iter().map(|mount| containers::mount_fact(engine, mount)).collect();
    object! {
        "Id": pod.id().as_str(),
        fn "ID": pod.id().as_str(),
        "Name": pod.name(),
        "Namespace"?: "",
        "Created": pod.record.created,
        "CreateCommand"?: Value::list(&spec.create_command),
        "ExitPolicy": spec.exit_policy.word(),
        "State": pod.state().word(),
        "Hostname": spec.hostname.clone().unwrap_or_default(),
        "Labels"?: Value::map(&spec.labels),
        "CreateCgroup": spec.share_parent,
        "CgroupParent"?: cgroup_parent(pod),
        "CgroupPath"?: cgroup_path(pod),
        "CreateInfra": spec.has_infra(),
        "InfraContainerID"?: pod.infra().map(|infra| infra.id().to_string()).unwrap_or_default(),
        "InfraConfig"?: if spec.has_infra() { infra_config(pod) } else { Value::Nil(Nil::Map) },
        "SharedNamespaces"?: Value::list(&shared_namespaces(spec)),
        "NumContainers": containers.len(),
        "Containers"?: containers,
        "cpu_period" as "CPUPeriod"?: resources.cpu_period.unwrap_or_default(),
        "cpu_quota" as "CPUQuota"?: resources.cpu_quota.unwrap_or_default(),
        "cpu_shares" as "CPUShares"?: resources.cpu_shares.unwrap_or_default(),
        "cpuset_cpus" as "CPUSetCPUs"?: resources.cpuset_cpus.clone().unwrap_or_default(),
        "cpuset_mems" as "CPUSetMems"?: resources.cpuset_mems.clone().unwrap_or_default(),
        "mounts" as "Mounts"?: of_container::mounts(&mounts),
        "devices" as "Devices"?: Value::Nil(Nil::List),
        "device_read_bps" as "BlkioDeviceReadBps"?: Value::Nil(Nil::List),
        "device_write_bps" as "BlkioDeviceWriteBps"?: Value::Nil(Nil::List),
        "volumes_from" as "VolumesFrom"?: Value::Nil(Nil::List),
        "blkio_weight_device" as "BlkioWeightDevice"?: Value::Nil(Nil::List),
        "blkio_weight" as "BlkioWeight"?: resources.blkio_weight.unwrap_or_default(),
        "memory_limit" as "MemoryLimit"?: resources.memory.unwrap_or_default(),
        "memory_swap" as "MemorySwap"?: resources.memory_swap.unwrap_or_default(),
        "memory_reservation" as "MemoryReservation"?: resources.memory_reservation.unwrap_or_default(),
        "pids_limit" as "PidsLimit"?: resources.pids_limit.unwrap_or_default(),
        "RestartPolicy"?: match spec.restart {
            RestartPolicy::No => "",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
            RestartPolicy::OnFailure { .. } => "on-failure",
        },
        "security_opt" as "SecurityOpts"?: Value::list(&of_container::security_options(&spec.security)),
        "LockNumber": 0,
    }
}

/// As Podman: sorted, and the user namespace of the pod's own is one.
fn shared_namespaces(spec: &PodSpec) -> Vec<&'static str> {
    let mut names = spec.share.names();
    if spec.user != UserNamespace::Host {
        names.push("user");
        names.sort_unstable();
    }
    names
}

fn infra_config(pod: &Pod) -> Value {
    let spec = pod.spec();
    let network = &spec.network;
    let bindings = port_bindings(&network.ports);
    let nil_or = |list: Vec<String>| Value::list_or_nil(&list);
    let networks: Vec<String> = pod.infra().map(state::networks).unwrap_or_default();
    object! {
        "PortBindings": Value::map(&bindings),
        "HostNetwork": network.mode == Mode::Host,
        "StaticIP": network.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        "StaticMAC": network.mac.clone().unwrap_or_default(),
        "NoManageResolvConf": network.dns_none,
        "DNSServer": nil_or(network.dns.iter().map(ToString::to_string).collect()),
        "DNSSearch": nil_or(network.dns_search.clone()),
        "DNSOption": nil_or(network.dns_options.clone()),
        "AllowEgress"?: network.egress.as_ref().map(of_container::allow_egress),
        "NoManageHostname": spec.no_hostname,
        "NoManageHosts": network.no_hosts,
        "HostAdd": nil_or(network.add_hosts.iter().map(of_container::host_entry).collect()),
        "HostsFile": network.hosts_file.clone().unwrap_or_default(),
        "Networks": nil_or(networks),
        "NetworkOptions": match &network.mode {
            Mode::Creel(options) if !options.is_empty() => options_of("creel", options),
            Mode::Slirp4netns(options) if !options.is_empty() => options_of("slirp4netns", options),
            Mode::Pasta(options) if !options.is_empty() => options_of("pasta", options),
            _ => Value::Nil(Nil::Map),
        },
        "cpu_period" as "CPUPeriod"?: spec.resources.cpu_period.unwrap_or_default(),
        "cpu_quota" as "CPUQuota"?: spec.resources.cpu_quota.unwrap_or_default(),
        "cpuset_cpus" as "CPUSetCPUs"?: spec.resources.cpuset_cpus.clone().unwrap_or_default(),
        "pid_ns" as "PidNS"?: namespace_word(&spec.pid, "private"),
        // Podman knows two words here, whatever was asked for.
        "userns" as "UserNS"?: match userns_word(&spec.user).split(':').next().unwrap_or_default() {
            "" | "auto" | "host" => "host",
            _ => "private",
        },
        "uts_ns" as "UtsNS"?: namespace_word(&spec.uts, "private"),
    }
}

fn options_of(stack: &str, options: &[String]) -> Value {
    Value::Map([(stack.to_owned(), Value::list(options))].into_iter().collect())
}
