//! One container as an entry of a pod's list.

use std::time::Duration;

use containers::{
    Container, ContainerSpec, HealthAction, HealthSpec, Remove, SeccompProfile, SecretTarget, StartupHealth,
};
use network::{HostAddress, PortMapping, Protocol};
use serde_json::{Map, Value, json};

use super::volumes::Volumes;

/// `POD-NAME` of `kube play` without the pod's name; Kubernetes has no underscores.
pub(super) fn name(container: &Container, pod: &str) -> String {
    let name = container.name();
    let own = name.strip_prefix(pod).and_then(|rest| rest.strip_prefix('-')).unwrap_or(name);
    own.replace('_', "").replace('.', "-").to_lowercase()
}

pub(super) fn entry(
    container: &Container,
    pod: &str,
    is_init: bool,
    volumes: &mut Volumes,
    notes: &mut Vec<String>,
) -> Map<String, Value> {
    let spec = container.spec();
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Null => true,
            _ => false,
        };
        if !is_empty {
            entry.insert(key.to_owned(), value);
        }
    };
    put("name", name(container, pod).into());
    put("image", container.record.image.as_ref().map_or(Value::Null, |image| image.name.clone().into()));
    let (command, arguments) = command(container);
    put("command", json!(command));
    put("args", json!(arguments));
    put("env", environment(container));
    put("workingDir", spec.workdir.clone().map_or(Value::Null, Value::from));
    if spec.stdin {
        put("stdin", true.into());
    }
    if spec.tty {
        put("tty", true.into());
    }
    put("ports", ports(&spec.network.ports));
    put("resources", resources(spec));
    put("securityContext", security(spec));
    put("volumeMounts", volumes.mounts(container, notes).into());
    if !is_init {
        let health = spec.health.as_ref().filter(|_| !spec.no_healthcheck);
        if let Some(health) = health {
            let kind = if health.on_failure == HealthAction::None { "readinessProbe" } else { "livenessProbe" };
            put(kind, probe(health));
            put("startupProbe", health.startup.as_ref().map_or(Value::Null, startup_probe));
        }
    }
    if let Some(signal) = spec.stop_signal.and_then(containers::signal_name) {
        put("lifecycle", json!({ "stopSignal": signal }));
    }
    left_out(container, notes);
    entry
}

/// An entry point of the user's own, and what it is given. Where the image has none, the arguments are the command.
fn command(container: &Container) -> (Vec<String>, Vec<String>) {
    let spec = container.spec();
    let image_has_one = container.record.image.as_ref().is_some_and(|image| !image.entrypoint.is_empty());
    match &spec.entrypoint {
        Some(entrypoint) => (entrypoint.clone(), spec.command.clone()),
        None if image_has_one => (Vec::new(), spec.command.clone()),
        None => (spec.command.clone(), Vec::new()),
    }
}

/// What the image does not say itself.
fn environment(container: &Container) -> Value {
    let image = container.record.image.as_ref();
    let known = |name: &str, value: &str| {
        image.is_some_and(|image| image.env.iter().any(|entry| entry.split_once('=') == Some((name, value))))
    };
    // What a terminal adds to the environment, as Podman writes it.
    let terminal = ("TERM".to_owned(), "xterm".to_owned());
    let says = |name: &str| container.spec().env.iter().any(|(own, _)| own == name);
    let added = Some(&terminal).filter(|_| container.spec().tty && !says("TERM"));
    let all = added.into_iter().chain(&container.spec().env).filter(|(name, value)| !known(name, value));
    // `$(NAME)` would be filled in.
    all.map(|(name, value)| json!({ "name": name, "value": value.replace("$(", "$$(") })).collect()
}

pub(super) fn ports(mappings: &[PortMapping]) -> Value {
    let mut all = Vec::new();
    for mapping in mappings {
        for offset in 0..mapping.range.max(1) {
            let mut port = json!({ "containerPort": u32::from(mapping.container_port) + u32::from(offset) });
            if mapping.host_port != 0 {
                port["hostPort"] = (u32::from(mapping.host_port) + u32::from(offset)).into();
            }
            if let Some(address) = mapping.host_ip {
                port["hostIP"] = address.to_string().into();
            }
            match mapping.protocol {
                Protocol::Tcp => {}
                Protocol::Udp => port["protocol"] = "UDP".into(),
                Protocol::Sctp => port["protocol"] = "SCTP".into(),
            }
            all.push(port);
        }
    }
    all.into()
}

/// A quantity with the largest unit that fits without a rest.
pub(super) fn bytes(count: u64) -> String {
    let units = [(1u64 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let fitting = units.into_iter().find(|(unit, _)| count >= *unit && count.is_multiple_of(*unit));
    fitting.map_or_else(|| count.to_string(), |(unit, name)| format!("{}{name}", count / unit))
}

fn resources(spec: &ContainerSpec) -> Value {
    /// Microseconds, where only the quota was given.
    const USUAL_PERIOD: u64 = 100_000;
    let (mut limits, mut requests) = (Map::new(), Map::new());
    let amount = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    if let Some(memory) = amount(spec.resources.memory) {
        limits.insert("memory".into(), bytes(memory).into());
    }
    if let Some(memory) = amount(spec.resources.memory_reservation) {
        requests.insert("memory".into(), bytes(memory).into());
    }
    if let Some(quota) = amount(spec.resources.cpu_quota) {
        let thousandths = quota * 1000 / spec.resources.cpu_period.unwrap_or(USUAL_PERIOD).max(1);
        let cpus =
            if thousandths.is_multiple_of(1000) { (thousandths / 1000).to_string() } else { format!("{thousandths}m") };
        limits.insert("cpu".into(), cpus.into());
    }
    for device in &spec.devices {
        limits.insert(format!("podman.io/device={}", device.host.display()), "1".into());
    }
    limits.extend(spec.cdi_devices.iter().map(|name| (name.clone(), "1".into())));
    let mut all = Map::new();
    if !limits.is_empty() {
        all.insert("limits".into(), limits.into());
    }
    if !requests.is_empty() {
        all.insert("requests".into(), requests.into());
    }
    all.into()
}

fn security(spec: &ContainerSpec) -> Value {
    let security = &spec.security;
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| all.insert(key.to_owned(), value);
    if security.privileged {
        put("privileged", true.into());
        put("procMount", "Unmasked".into());
    } else if security.unmask.iter().any(|path| path.eq_ignore_ascii_case("all")) {
        put("procMount", "Unmasked".into());
    }
    if security.no_new_privileges {
        put("allowPrivilegeEscalation", false.into());
    }
    let names = |list: &[String]| -> Vec<String> {
        let full = |name: &String| match name.as_str() {
            "ALL" => "ALL".to_owned(),
            name => format!("CAP_{}", name.trim_start_matches("CAP_")),
        };
        list.iter().map(full).collect()
    };
    let mut capabilities = Map::new();
    for (key, list) in [("add", &security.cap_add), ("drop", &security.cap_drop)] {
        if !list.is_empty() {
            capabilities.insert(key.into(), json!(names(list)));
        }
    }
    if !capabilities.is_empty() {
        put("capabilities", capabilities.into());
    }
    if security.read_only {
        put("readOnlyRootFilesystem", true.into());
    }
    match &security.seccomp {
        SeccompProfile::Default => None,
        SeccompProfile::Unconfined => put("seccompProfile", json!({ "type": "Unconfined" })),
        SeccompProfile::File(path) => {
            put("seccompProfile", json!({ "type": "Localhost", "localhostProfile": path.to_string_lossy() }))
        }
    };
    if let Some((user, group)) = numbers(spec) {
        put("runAsUser", user.into());
        if let Some(group) = group {
            put("runAsGroup", group.into());
        }
    }
    let mut selinux = Map::new();
    for label in &security.labels {
        if let Some((key @ ("user" | "role" | "type" | "level" | "filetype"), value)) = label.split_once(':') {
            selinux.insert(key.to_owned(), value.into());
        } else if label == "disable" {
            // The type that nothing confines: a manifest has no other word for it.
            selinux.insert("type".to_owned(), "spc_t".into());
        }
    }
    if !selinux.is_empty() {
        put("seLinuxOptions", selinux.into());
    }
    all.into()
}

/// `--user`, where it is numbers.
fn numbers(spec: &ContainerSpec) -> Option<(u32, Option<u32>)> {
    let text = spec.user.as_deref()?;
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    Some((user.parse().ok()?, group.and_then(|group| group.parse().ok())))
}

fn probe(health: &HealthSpec) -> Value {
    let mut probe = exec(&health.test);
    if !health.start_period.is_zero() {
        probe["initialDelaySeconds"] = seconds(health.start_period).into();
    }
    if let Some(interval) = health.interval {
        probe["periodSeconds"] = seconds(interval).into();
    }
    probe["timeoutSeconds"] = seconds(health.timeout).into();
    probe["failureThreshold"] = health.retries.into();
    probe
}

fn startup_probe(startup: &StartupHealth) -> Value {
    let mut probe = exec(&startup.test);
    if let Some(interval) = startup.interval {
        probe["periodSeconds"] = seconds(interval).into();
    }
    probe["timeoutSeconds"] = seconds(startup.timeout).into();
    if startup.retries > 0 {
        probe["failureThreshold"] = startup.retries.into();
    }
    if startup.successes > 0 {
        probe["successThreshold"] = startup.successes.into();
    }
    probe
}

fn exec(test: &[String]) -> Value {
    let command = match test.split_first() {
        Some((kind, rest)) if kind == "CMD-SHELL" => {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.join(" ")]
        }
        Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
        _ => test.to_vec(),
    };
    json!({ "exec": { "command": command } })
}

/// Kubernetes counts in whole ones, at least one.
fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// `hostAliases`: an address with all its names.
pub(super) fn host_aliases(entries: &[network::HostEntry]) -> Vec<Value> {
    let address = |entry: &network::HostEntry| match entry.address {
        HostAddress::Ip(address) => address.to_string(),
        HostAddress::HostGateway => "host-gateway".to_owned(),
    };
    entries.iter().map(|entry| json!({ "ip": address(entry), "hostnames": entry.names })).collect()
}

/// What was asked of a container and a manifest cannot say.
fn left_out(container: &Container, notes: &mut Vec<String>) {
    let spec = container.spec();
    let resources = &spec.resources;
    let table = [
        ("--user by name", spec.user.is_some() && numbers(spec).is_none()),
        ("--group-add by name", spec.group_add.iter().any(|group| group.parse::<u32>().is_err())),
        ("--unsetenv", !spec.unset_env.is_empty() || spec.unset_env_all),
        ("--domainname", spec.domainname.is_some()),
        ("--shm-size", spec.shm_size.is_some()),
        ("--umask", spec.umask.is_some()),
        ("--tz", spec.timezone.is_some()),
        ("--oom-score-adj", spec.oom_score_adj.is_some()),
        ("--timeout", spec.timeout.is_some()),
        ("--memory-swap", resources.memory_swap.is_some() && resources.memory.is_none()),
        ("--cpu-shares", resources.cpu_shares.is_some()),
        ("--blkio-weight", resources.blkio_weight.is_some()),
        ("--cgroup-conf", !resources.unified.is_empty()),
        ("--cgroup-parent", resources.cgroup_parent.is_some() && spec.pod.is_none()),
        ("--rootfs", container.record.image.is_none()),
        ("--requires", !spec.requires.is_empty()),
        ("--secret", spec.secrets.iter().any(|secret| matches!(secret.target, SecretTarget::Mount { .. }))),
        ("--secret of type env", spec.secrets.iter().any(|secret| matches!(secret.target, SecretTarget::Env { .. }))),
        ("--hosts-file", spec.network.hosts_file.is_some()),
        ("--rmi", spec.remove == Remove::ContainerAndImage),
        ("--chrootdirs", !spec.chroot_dirs.is_empty()),
        ("--mask", !spec.security.mask.is_empty()),
    ];
    for (flag, given) in table {
        if given {
            notes.push(format!("container {}: {flag} has no place in a manifest and is left out", container.name()));
        }
    }
}
