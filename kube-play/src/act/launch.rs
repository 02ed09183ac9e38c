//! A pod as planned becomes one that runs: its network, its volumes, its containers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use containers::{
    Action, Container, ContainerSpec, Engine, NamespaceMode, NetworkSpec, PodRole, Probe, Probes, RestartPolicy,
    SeccompProfile, Source, UserNamespace,
};
use network::{HostAddress, HostEntry, Mode, NetworkRef, PortMapping};
use pods::{ExitPolicy, Own, Pod, PodSpec, Share};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::objects::Shelf;
use super::volumes::{self, PodVolumes};
use super::{mark, networks};
use crate::plan::{
    ConfigObject, ContainerPlan, DnsPolicy, EnvEntry, FieldRef, Handler, ObjectId, Objects, PodFacts, PodIdentity,
    PodNetwork, PodRestartPolicy, PodTemplate, ProbePlan, PublishedPort, PullPolicy, Scheme, VolumePlan, identity,
    service_variables, volume_name,
};

/// How an image is had: by the surface, which knows the user's registries and shows progress.
pub type FindImage<'a> = dyn Fn(&Engine, &WantedImage<'_>) -> std::result::Result<containers::Image, String> + 'a;

/// An image that a pod needs.
#[derive(Clone, Copy, Debug)]
pub struct WantedImage<'a> {
    pub name: &'a str,
    pub pull: PullPolicy,
    /// What the pod's pull secrets say, each as a config.json of Docker's.
    pub logins: &'a [serde_json::Value],
}

/// One pod to be made. It can be written down: pods of one play start side by side, each in a process of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodRequest {
    pub namespace: String,
    /// In Kubernetes; in the store it has the namespace before it, outside of `default`.
    pub name: String,
    /// What keeps it; `None`: a manifest of its own.
    pub owner: Option<ObjectId>,
    /// The number of a StatefulSet's pod, the completion index of a Job's.
    pub index: Option<u32>,
    pub template: PodTemplate,
    /// Claims that are made with it and stay.
    pub claims: Vec<VolumePlan>,
    /// Whether it is only made.
    pub start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    Now,
    /// `--start=false`.
    Later,
}

impl PodRequest {
    fn identity(&self) -> PodIdentity {
        identity(self.owner.as_ref(), &self.template, &self.namespace, &self.name, self.index)
    }
}

/// A pod that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launched {
    pub pod: String,
    /// Ids, without the infra container.
    pub containers: Vec<String>,
}

/// Where a cluster shows a service account; there is no token here, but programs read their namespace there.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Makes the pod with all its containers, none of which runs yet. Nothing of it is left when that fails.
pub(super) fn launch(engine: &Engine, find_image: &FindImage<'_>, request: &PodRequest) -> Result<Launched> {
    let template = &request.template;
    let objects = Shelf::new(engine).objects(engine)?;
    let logins = logins(template, |name| objects.secret(&request.namespace, name));
    let mut images = BTreeMap::new();
    for (name, pull) in template.images() {
        let image = find_image(engine, &WantedImage { name, pull, logins: &logins });
        images.insert(name.to_owned(), image.map_err(|error| Error::Image(error).of(format!("image {name}")))?);
    }
    if template.network == PodNetwork::Namespace {
        networks::ensure(engine, &request.namespace)?;
    }
    for claim in &request.claims {
        volumes::make_claim(engine, claim)?;
    }
    let name = volume_name(&request.namespace, &request.name);
    let identity = request.identity();
    let mut spec = pod_spec(engine, request, &identity)?;
    if let UserNamespace::Auto { size: size @ None, .. } = &mut spec.user {
        *size = Some(ids_needed(engine, template, images.values()));
    }
    let made = pods::CreateRequest { spec, name: Some(&name), replace: false, infra_image: None };
    let pod = pods::create(engine, made)?;
    let result = furnish(engine, &pod, &images, request, &identity, &objects);
    result.inspect_err(|_| {
        // The error that matters is the first.
        let _ = pods::remove(engine, &pod, true, Some(0));
    })
}

/// How many ids a pod of its own ids has: those of its images, and those that its manifest names.
fn ids_needed<'a>(engine: &Engine, template: &PodTemplate, images: impl Iterator<Item = &'a containers::Image>) -> u32 {
    const LEAST: u32 = 1024;
    const MOST: u32 = 65_536;
    let of_images = images.map(|image| containers::ids_of_image(engine, image));
    let users = template.all_containers().flat_map(|one| one.spec.user.iter().chain(&one.spec.group_add));
    let named = users.flat_map(|words| words.split(':')).filter_map(|word| word.parse::<u32>().ok());
    let of_groups = template.all_containers().filter_map(|one| one.group);
    let of_manifest = named.chain(of_groups).map(|id| id.saturating_add(1));
    of_images.chain(of_manifest).max().unwrap_or(LEAST).clamp(LEAST, MOST)
}

/// What a template's pull secrets say. One that is not there, or holds something else, says nothing.
pub(super) fn logins<'a>(
    template: &PodTemplate,
    secret: impl Fn(&str) -> Option<&'a ConfigObject>,
) -> Vec<serde_json::Value> {
    let secrets = template.pull_secrets.iter().filter_map(|name| secret(name));
    let login = |secret: &ConfigObject| {
        let content = |key: &str| serde_json::from_slice(&secret.data.get(key)?.bytes).ok();
        // The older form is the inside of the newer one.
        content(".dockerconfigjson").or_else(|| Some(serde_json::json!({ "auths": content(".dockercfg")? })))
    };
    secrets.filter_map(login).collect()
}

fn furnish(
    engine: &Engine,
    pod: &Pod,
    images: &BTreeMap<String, containers::Image>,
    request: &PodRequest,
    identity: &PodIdentity,
    objects: &Objects,
) -> Result<Launched> {
    let template = &request.template;
    let mut facts = facts(pod.id().as_str(), &request.name, &request.namespace, template, identity);
    let takes_address = template.address.is_some() && request.start == Start::Now;
    if asks_for_address(template) || takes_address {
        let infra = pod.infra().ok_or_else(|| Error::NotFound("the pod's infra container".into()))?;
        containers::start(engine, infra, containers::StartRequest::default())?;
        let now = containers::find(engine, infra.id().as_str())?;
        facts.addresses = networks::addresses_of(&now);
    }
    let volumes = volumes::prepare(engine, pod, template, objects, &facts)?;
    let services = services_of(objects, request);
    let around = Around { volumes: &volumes, services: &services, objects, facts: &facts, identity };
    let mut launched = Launched { pod: pod.id().to_string(), containers: Vec::new() };
    for container in template.all_containers() {
        let image = &images[&container.image];
        let is_init = template.init.iter().any(|init| init.name == container.name);
        let role = match (is_init, container.sidecar) {
            (true, true) => PodRole::Sidecar,
            (true, false) if container.once => PodRole::InitOnce,
            // Once per start of the pod, as in Kubernetes, and until it succeeds where the pod's policy restarts.
            (true, false) => PodRole::InitAlways,
            (false, _) => PodRole::Member,
        };
        let made = member(engine, pod, container, image, role, request, &around)
            .map_err(|error| error.of(format!("container {}", container.name)))?;
        launched.containers.push(made.id().to_string());
    }
    Ok(launched)
}

/// What a container of a pod is told of the pod and of what is around that.
pub(super) struct Around<'a> {
    pub(super) volumes: &'a PodVolumes,
    /// The variables of the namespace's Services.
    pub(super) services: &'a [(String, String)],
    pub(super) objects: &'a Objects,
    pub(super) facts: &'a PodFacts,
    pub(super) identity: &'a PodIdentity,
}

fn member(
    engine: &Engine,
    pod: &Pod,
    plan: &ContainerPlan,
    image: &containers::Image,
    role: PodRole,
    request: &PodRequest,
    around: &Around<'_>,
) -> Result<Container> {
    let spec = specification(engine, plan, image, role, request, around)?;
    let name = request.template.container_name(&volume_name(&request.namespace, &request.name), &plan.name);
    let made = containers::CreateRequest { spec, name: Some(&name), image: Some(image), replace: false };
    let own = Own { restart: true, ..Own::default() };
    Ok(pods::create_member(engine, pod, made, own)?)
}

/// All that a container of the pod is to be, but for what it shares with the others.
pub(super) fn specification(
    engine: &Engine,
    plan: &ContainerPlan,
    image: &containers::Image,
    role: PodRole,
    request: &PodRequest,
    around: &Around<'_>,
) -> Result<ContainerSpec> {
    let template = &request.template;
    let resolved = plan.resolve(around.services, around.objects, around.facts).map_err(Error::Invalid)?;
    let mut spec = resolved.spec;
    let known = image.names.iter().find(|name| **name == plan.image || name.ends_with(&format!("/{}", plan.image)));
    let shown = known.or(image.names.first()).cloned().unwrap_or_else(|| plan.image.clone());
    spec.source = Source::Image { id: image.id.clone(), name: shown };
    spec.raw_image.clone_from(&plan.image);
    for (key, value) in &image.settings.labels {
        spec.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (key, value) in &around.identity.labels {
        spec.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    spec.env.extend(around.identity.environment.iter().cloned());
    spec.mounts = around.volumes.mounts(engine, &resolved.mounts)?;
    if template.tells_namespace && !spec.mounts.iter().any(|mount| holds_account(&mount.destination)) {
        spec.files.insert(Path::new(SERVICE_ACCOUNT).join("namespace"), request.namespace.clone());
    }
    spec.resources = enforced(engine, &spec.resources)?;
    spec.pod_role = Some(role);
    spec.probes = probes(plan);
    // `NOTIFY_SOCKET` is the play's own: no container of its many is the unit's main process.
    spec.sdnotify_inside = true;
    spec.backoff = Some(containers::Backoff::kubernetes());
    if matches!(role, PodRole::InitOnce | PodRole::InitAlways) && template.restart != PodRestartPolicy::Never {
        spec.restart = RestartPolicy::OnFailure { max_retries: 0 };
    }
    spec.make_workdir = true;
    if let SeccompProfile::File(path) = &spec.security.seccomp {
        std::fs::metadata(path).map_err(Error::io(path))?;
    }
    if plan.run_as_non_root && is_root(spec.user.as_deref().unwrap_or(&image.settings.user)) {
        return Err(Error::Invalid("runAsNonRoot is set and the user would be root".into()));
    }
    if let Some(group) = plan.group {
        let user = spec.user.as_deref().or(Some(image.settings.user.as_str()).filter(|user| !user.is_empty()));
        let user = user.unwrap_or("0").split(':').next().unwrap_or("0").to_owned();
        spec.user = Some(format!("{user}:{group}"));
    }
    Ok(spec)
}

/// A mount there is the user's own, who may have a service account in it; /var/run is a link to /run in most images.
fn holds_account(destination: &Path) -> bool {
    let account = Path::new(SERVICE_ACCOUNT);
    let behind_link =
        account.strip_prefix("/var").is_ok_and(|below| Path::new("/").join(below).starts_with(destination));
    account.starts_with(destination) || destination.starts_with(account) || behind_link
}

fn probes(plan: &ContainerPlan) -> Probes {
    let probe = |probe: &Option<ProbePlan>| {
        probe.as_ref().map(|probe| Probe {
            action: action(&probe.handler),
            initial_delay: Duration::from_secs(probe.initial_delay.into()),
            period: Duration::from_secs(probe.period.into()),
            timeout: Duration::from_secs(probe.timeout.into()),
            success_threshold: probe.success_threshold,
            failure_threshold: probe.failure_threshold,
            grace: probe.grace,
        })
    };
    Probes {
        startup: probe(&plan.startup),
        liveness: probe(&plan.liveness),
        readiness: probe(&plan.readiness),
        post_start: plan.post_start.as_ref().map(action),
        pre_stop: plan.pre_stop.as_ref().map(action),
    }
}

fn action(handler: &Handler) -> Action {
    match handler.clone() {
        Handler::Exec { command } => Action::Exec { command },
        Handler::Http { scheme, host, port, path, headers } => {
            Action::Http { tls: scheme == Scheme::Https, host, port, path, headers }
        }
        Handler::Tcp { host, port } => Action::Tcp { host, port },
        Handler::Grpc { port, service } => Action::Grpc { port, service },
        Handler::Sleep { seconds } => Action::Sleep { seconds },
    }
}

fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), None | Some("" | "0" | "root"))
}

/// Without limits that cannot be enforced: the play has said so.
fn enforced(engine: &Engine, resources: &containers::Resources) -> Result<containers::Resources> {
    Ok(match containers::why_no_limits(engine)? {
        Some(_) => containers::Resources::default(),
        None => resources.clone(),
    })
}

fn pod_spec(engine: &Engine, request: &PodRequest, identity: &PodIdentity) -> Result<PodSpec> {
    let template = &request.template;
    let mut annotations = identity.annotations.clone();
    for (key, value) in [
        (mark::NAMESPACE, Some(request.namespace.clone())),
        (mark::NAME, Some(request.name.clone())),
        (mark::HASH, Some(template.hash.clone())),
        (mark::OWNER, request.owner.as_ref().map(|owner| format!("{}/{}", owner.kind, owner.name))),
        (mark::CONTAINERS, Some(lasting(template).to_string())),
        (mark::INDEX, request.index.map(|index| index.to_string())),
    ] {
        annotations.extend(value.map(|value| (key.to_owned(), value)));
    }
    let restart = match template.restart {
        PodRestartPolicy::Always => RestartPolicy::Always,
        PodRestartPolicy::OnFailure => RestartPolicy::OnFailure { max_retries: 0 },
        PodRestartPolicy::Never => RestartPolicy::No,
    };
    // In the host's network a pod is the host, as in Kubernetes, unless it is called otherwise.
    let is_host = template.network == PodNetwork::Host && template.hostname.is_none();
    Ok(PodSpec {
        hostname: (!is_host).then(|| identity.hostname.clone()),
        uts: if is_host { NamespaceMode::Host } else { NamespaceMode::Private },
        no_hostname: template.no_hostname,
        labels: identity.labels.clone(),
        annotations,
        share: Share { pid: template.share_processes || template.host_pid, ..Share::usual() },
        share_parent: true,
        network: network(request, identity)?,
        pid: if template.host_pid { NamespaceMode::Host } else { NamespaceMode::Private },
        host_ipc: template.host_ipc,
        user: template.user_namespace.clone().unwrap_or(UserNamespace::Host),
        sysctls: template.sysctls.clone(),
        memory: volumes::in_memory(template),
        resources: enforced(engine, &template.resources)?,
        // Podman's: a played pod whose containers have all ended is over.
        exit_policy: ExitPolicy::Stop,
        restart,
        service: template.service.clone(),
        // As Podman's: `ps --filter label=` is to find the manifest's containers alone.
        infra: pods::Infra { name: template.infra_name.clone(), unlabelled: true, ..pods::Infra::default() },
        stop_timeout: Some(template.grace),
        ..PodSpec::usual()
    })
}

/// Containers that are there for as long as the pod is.
fn lasting(template: &PodTemplate) -> usize {
    template.all_containers().filter(|container| !container.auto_remove && !container.once).count()
}

fn network(request: &PodRequest, identity: &PodIdentity) -> Result<NetworkSpec> {
    let template = &request.template;
    let mode = match &template.network {
        PodNetwork::Host => Mode::Host,
        PodNetwork::Given(words) => match Mode::parse_all(words)? {
            Mode::Networks(mut networks) => {
                for network in &mut networks {
                    network.options.extend(aliases(given_names(request, identity)));
                }
                Mode::Networks(networks)
            }
            mode => mode,
        },
        PodNetwork::Namespace => {
            let options = aliases(identity.names.iter().map(String::as_str)).collect();
            Mode::Networks(vec![NetworkRef { name: networks::of_namespace(&request.namespace), options }])
        }
    };
    let dns = &template.dns;
    Ok(NetworkSpec {
        ports: ports(template),
        full_name: identity.full_name.clone(),
        dns: dns.servers.clone(),
        dns_none: dns.policy == DnsPolicy::None && dns.servers.is_empty(),
        dns_search: dns.searches.clone(),
        dns_options: dns.options.clone(),
        add_hosts: template
            .host_aliases
            .iter()
            .map(|(address, names)| HostEntry { names: names.clone(), address: HostAddress::Ip(*address) })
            .collect(),
        no_hosts: template.no_hosts,
        ip: template.address,
        mac: template.mac.clone(),
        mode,
        ..NetworkSpec::default()
    })
}

fn aliases<'a>(names: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = String> {
    names.into_iter().map(|name| format!("alias={name}"))
}

/// What a pod is called in a network of the user's: there a pod that a manifest writes as such also goes by the names of
/// its containers, as with Podman.
fn given_names<'a>(request: &'a PodRequest, identity: &'a PodIdentity) -> impl Iterator<Item = &'a str> {
    let containers = request.template.containers.iter().filter(|_| request.owner.is_none());
    identity.names.iter().map(String::as_str).chain(containers.map(|container| container.name.as_str()))
}

/// The ports of the host that a pod of the template publishes.
pub(super) fn ports(template: &PodTemplate) -> Vec<PortMapping> {
    if template.network == PodNetwork::Host {
        return Vec::new();
    }
    let mapping = |port: &PublishedPort| PortMapping {
        host_ip: port.host_ip,
        host_port: port.host_port,
        container_port: port.container_port,
        protocol: networks::protocol(port.protocol),
        ..PortMapping::default()
    };
    template.ports.iter().map(mapping).collect()
}

/// The variables of all Services of the pod's namespace that have an address, where it wants them.
pub(super) fn services_of(objects: &Objects, request: &PodRequest) -> Vec<(String, String)> {
    let in_its = |((space, _), _): &(&(String, String), _)| *space == request.namespace;
    let of_namespace = objects.services.iter().filter(|entry| request.template.service_links && in_its(entry));
    let with_address = of_namespace.filter_map(|(key, plan)| Some((plan, *objects.service_addresses.get(key)?)));
    service_variables(with_address)
}

fn asks_for_address(template: &PodTemplate) -> bool {
    let asks = |entry: &EnvEntry| matches!(entry, EnvEntry::Field { field: FieldRef::PodIp | FieldRef::PodIps, .. });
    template.all_containers().any(|container| container.env.iter().any(asks))
}

pub(super) fn facts(id: &str, name: &str, namespace: &str, template: &PodTemplate, identity: &PodIdentity) -> PodFacts {
    PodFacts {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: mark::uid(id),
        labels: identity.labels.clone(),
        annotations: identity.annotations.clone(),
        service_account: template.service_account.clone(),
        node: node_name(),
        addresses: Vec::new(),
        host_addresses: network::host_addresses().unwrap_or_default(),
        cpus: std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1)),
        memory: memory(),
    }
}

/// The host's name.
pub fn node_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// Bytes of the machine's memory, see proc_meminfo(5).
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
