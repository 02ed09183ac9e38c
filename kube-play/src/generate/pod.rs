//! Pods, and containers without one, as the specification of a Kubernetes pod.

use std::collections::BTreeMap;

use containers::{
    Container, ContainerSpec, IpcMode, NamespaceMode, NetworkSpec, PodRole, RestartPolicy, Ulimit, UserNamespace,
};
use network::Mode;
use pods::{MemoryVolume, Pod};
use serde_json::{Map, Value, json};

use super::Generate;
use super::volumes::Volumes;
use super::{Body, Error, container};

const DEFAULT_GRACE: u32 = 10;

/// A pod with all its members.
pub(super) fn of_pod(pod: &Pod, request: &Generate<'_>, notes: &mut Vec<String>) -> Body {
    let spec = pod.spec();
    let mut body = start(pod.name(), &spec.labels);
    // What a pod is made of is known by the manifest that is played, not by the one it was made of.
    for (key, value) in spec.annotations.iter().filter(|(key, _)| !crate::act::mark::is_mark(key)) {
        body.annotations.insert(key.clone(), value.clone().into());
    }
    if let Some(infra) = &spec.infra.name {
        body.annotations.insert("io.podman.annotations.infra.name".to_owned(), infra.clone().into());
    }
    let looks_in = |member: &&Container| member.spec().pod_role == Some(PodRole::Ephemeral);
    let (added, members): (Vec<&Container>, Vec<&Container>) = pod.members().partition(looks_in);
    notes.extend(added.iter().map(|one| format!("container {} only looks into the pod and is left out", one.name())));
    contain(&mut body, &members, &spec.network.ports, &spec.memory, request.podman_only, notes);
    shared_network(&mut body, &spec.network, notes);
    if let Some(hostname) = &spec.hostname {
        body.spec.insert("hostname".into(), hostname.clone().into());
    }
    if spec.share.pid {
        body.spec.insert("shareProcessNamespace".into(), true.into());
    }
    namespaces(&mut body, &spec.pid, spec.host_ipc, &spec.user);
    pod_security(&mut body, &own_sysctls(&spec.sysctls, request.default_sysctls), &members);
    body.restart = policy(spec.restart).or_else(|| members.iter().find_map(|one| policy(one.spec().restart)));
    let resources = &spec.resources;
    let limited = resources.memory.is_some() || resources.cpu_quota.is_some() || resources.cpuset_cpus.is_some();
    if limited || resources.blkio_weight.is_some() || resources.cpu_shares.is_some() {
        notes.push(format!("pod {}: limits of all containers together have no place in a manifest", pod.name()));
    }
    if spec.shm_size.is_some() {
        notes.push(format!("pod {}: --shm-size has no place in a manifest and is left out", pod.name()));
    }
    body
}

/// Containers outside of pods: one pod with all of them, named after the first.
pub(super) fn of_containers(request: &Generate<'_>, notes: &mut Vec<String>) -> Result<Body, Error> {
    let all = request.containers;
    let [first, others @ ..] = all else { return Err(Error("there is no container".into())) };
    let name = format!("{}-pod", container::name(first, ""));
    let mut body = start(&name, &BTreeMap::new());
    let members: Vec<&Container> = all.iter().collect();
    contain(&mut body, &members, &[], &[], request.podman_only, notes);
    let spec = first.spec();
    shared_network(&mut body, &spec.network, notes);
    if let Some(hostname) = &spec.hostname {
        body.spec.insert("hostname".into(), hostname.clone().into());
    }
    let namespaces_of = &spec.namespaces;
    namespaces(&mut body, &namespaces_of.pid, namespaces_of.ipc == IpcMode::Host, &namespaces_of.user);
    pod_security(&mut body, &own_sysctls(&spec.sysctls, request.default_sysctls), &members);
    body.restart = policy(spec.restart);
    for other in others {
        let differs = |own: &ContainerSpec| {
            own.network.mode != spec.network.mode
                || own.hostname != spec.hostname
                || own.namespaces != spec.namespaces
                || own.restart != spec.restart
        };
        if differs(other.spec()) {
            notes.push(format!(
                "container {} gets the network, namespaces, host name and restart policy of {}: a pod has them once",
                other.name(),
                first.name()
            ));
        }
    }
    Ok(body)
}

fn start(name: &str, labels: &BTreeMap<String, String>) -> Body {
    let mut all: Map<String, Value> = labels.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    all.entry("app").or_insert_with(|| name.into());
    Body { name: name.to_owned(), labels: all.into(), annotations: Map::new(), spec: Map::new(), restart: None }
}

/// The containers and their volumes. Ports that the pod publishes are the first container's.
fn contain(
    body: &mut Body,
    members: &[&Container],
    ports: &[network::PortMapping],
    memory: &[MemoryVolume],
    podman_only: bool,
    notes: &mut Vec<String>,
) {
    let mut volumes = Volumes::of_pod(memory);
    let (mut init, mut main) = (Vec::new(), Vec::new());
    for member in members {
        let role = member.spec().pod_role;
        let is_init = matches!(role, Some(PodRole::InitOnce | PodRole::InitAlways | PodRole::Sidecar));
        let mut entry = container::entry(member, &body.name, is_init, &mut volumes, notes);
        match role {
            Some(PodRole::Sidecar) => drop(entry.insert("restartPolicy".into(), "Always".into())),
            Some(PodRole::InitOnce) => {
                let name = container::name(member, &body.name);
                body.annotations.insert(format!("io.podman.annotations.init.container.type/{name}"), "once".into());
            }
            _ => {}
        }
        if !is_init && main.is_empty() && !ports.is_empty() {
            entry.insert("ports".into(), container::ports(ports));
        }
        annotate(body, member, podman_only);
        if is_init { init.push(Value::Object(entry)) } else { main.push(Value::Object(entry)) }
    }
    body.spec.insert("containers".into(), main.into());
    if !init.is_empty() {
        body.spec.insert("initContainers".into(), init.into());
    }
    let volumes = volumes.into_list();
    if !volumes.is_empty() {
        body.spec.insert("volumes".into(), volumes.into());
    }
    let graces = members.iter().filter_map(|member| member.spec().stop_timeout);
    if let Some(grace) = graces.max().filter(|grace| *grace != DEFAULT_GRACE) {
        body.spec.insert("terminationGracePeriodSeconds".into(), grace.into());
    }
}

/// What Podman keeps in annotations; those that only it understands where that was asked for.
fn annotate(body: &mut Body, member: &Container, podman_only: bool) {
    let spec = member.spec();
    let name = container::name(member, &body.name);
    let mut put = |key: String, value: String| body.annotations.insert(key, value.into());
    for (key, value) in &spec.annotations {
        // Those that creel writes itself mean nothing elsewhere.
        if !key.starts_with("io.kubernetes.cri-o.") && key != "io.container.manager" && !key.contains('/') {
            put(format!("{key}/{name}"), value.clone());
        }
    }
    for (key, value) in spec.labels.iter().filter(|(key, _)| key.starts_with("io.containers.autoupdate")) {
        put(format!("{key}/{name}"), value.clone());
    }
    if !spec.ulimits.is_empty() {
        let all: Vec<String> = spec.ulimits.iter().map(ulimit).collect();
        put("io.podman.annotations.ulimit".into(), all.join(","));
    }
    if let Some(limit) = spec.resources.pids_limit {
        put(format!("io.podman.annotations.pids-limit/{name}"), limit.to_string());
    }
    if let Some(cpus) = &spec.resources.cpuset_cpus {
        put(format!("io.podman.annotations.cpuset/{name}"), cpus.clone());
    }
    if let Some(nodes) = &spec.resources.cpuset_mems {
        put(format!("io.podman.annotations.memory-nodes/{name}"), nodes.clone());
    }
    if !podman_only {
        return;
    }
    let said = [
        ("privileged", spec.security.privileged),
        ("publish-all", spec.network.publish_all),
        ("init", spec.init),
        ("autoremove", spec.remove != containers::Remove::Nothing),
    ];
    for (key, _) in said.into_iter().filter(|(_, said)| *said) {
        put(format!("io.podman.annotations.{key}/{name}"), "TRUE".into());
    }
    if let Some(path) = &spec.cidfile {
        put(format!("io.podman.annotations.cid-file/{name}"), path.display().to_string());
    }
    if !spec.volumes_from.is_empty() {
        let all: Vec<String> = spec
            .volumes_from
            .iter()
            .map(|(from, options)| if options.is_empty() { from.clone() } else { format!("{from}:{options}") })
            .collect();
        put(format!("io.podman.annotations.volumes-from/{name}"), all.join(";"));
    }
}

fn ulimit(limit: &Ulimit) -> String {
    let number = |value: u64| if value == u64::MAX { "-1".to_owned() } else { value.to_string() };
    format!("{}={}:{}", limit.name, number(limit.soft), number(limit.hard))
}

fn shared_network(body: &mut Body, network: &NetworkSpec, notes: &mut Vec<String>) {
    if let Some(list) = &network.egress {
        notes.push(format!("--allow-egress {list} has no place in a pod's manifest: the pod may talk to everybody"));
    }
    if network.mode == Mode::Host {
        body.spec.insert("hostNetwork".into(), true.into());
    }
    let aliases = container::host_aliases(&network.add_hosts);
    if !aliases.is_empty() {
        body.spec.insert("hostAliases".into(), aliases.into());
    }
    let mut dns = Map::new();
    if !network.dns.is_empty() {
        let servers: Vec<String> = network.dns.iter().map(ToString::to_string).collect();
        dns.insert("nameservers".into(), json!(servers));
    }
    if !network.dns_search.is_empty() {
        dns.insert("searches".into(), json!(network.dns_search));
    }
    if !network.dns_options.is_empty() {
        let option = |text: &String| match text.split_once(':') {
            Some((name, value)) => json!({ "name": name, "value": value }),
            None => json!({ "name": text }),
        };
        dns.insert("options".into(), network.dns_options.iter().map(option).collect());
    }
    if !dns.is_empty() {
        body.spec.insert("dnsConfig".into(), dns.into());
    }
}

fn namespaces(body: &mut Body, pid: &NamespaceMode, host_ipc: bool, user: &UserNamespace) {
    if *pid == NamespaceMode::Host {
        body.spec.insert("hostPID".into(), true.into());
    }
    if host_ipc {
        body.spec.insert("hostIPC".into(), true.into());
    }
    let word = match user {
        UserNamespace::Host | UserNamespace::Container(_) | UserNamespace::Path(_) => return,
        UserNamespace::KeepId { uid: None, gid: None, .. } => "keep-id".to_owned(),
        UserNamespace::KeepId { uid, gid, .. } => {
            let parts = [("uid", uid), ("gid", gid)];
            let parts: Vec<String> = parts.iter().filter_map(|(key, id)| id.map(|id| format!("{key}={id}"))).collect();
            format!("keep-id:{}", parts.join(","))
        }
        UserNamespace::NoMap => "nomap".into(),
        UserNamespace::Auto { .. } => "auto".into(),
        UserNamespace::Private { .. } => return drop(body.spec.insert("hostUsers".into(), false.into())),
    };
    body.annotations.insert("io.podman.annotations.userns".into(), word.into());
    body.spec.insert("hostUsers".into(), false.into());
}

/// Those that somebody asked for.
fn own_sysctls(all: &BTreeMap<String, String>, defaults: &[String]) -> BTreeMap<String, String> {
    let is_own = |(key, value): &(&String, &String)| !defaults.contains(&format!("{key}={value}"));
    all.iter().filter(is_own).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn pod_security(body: &mut Body, sysctls: &BTreeMap<String, String>, members: &[&Container]) {
    let mut all = Map::new();
    if !sysctls.is_empty() {
        let list: Vec<Value> = sysctls.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        all.insert("sysctls".into(), list.into());
    }
    let groups: std::collections::BTreeSet<u32> =
        members.iter().flat_map(|member| &member.spec().group_add).filter_map(|group| group.parse().ok()).collect();
    if !groups.is_empty() {
        all.insert("supplementalGroups".into(), json!(groups));
    }
    if !all.is_empty() {
        body.spec.insert("securityContext".into(), all.into());
    }
}

/// `None` where nobody asked for one.
fn policy(policy: RestartPolicy) -> Option<&'static str> {
    match policy {
        RestartPolicy::No => None,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => Some("Always"),
        RestartPolicy::OnFailure { .. } => Some("OnFailure"),
    }
}
